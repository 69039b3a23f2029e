// Sums whose bits depend on neither the order nor the threads in which their parts come.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <utility>
#include <vector>

#include "numbers.hpp"

namespace socialgrid::learning {

// Arrays of `count` numbers, one for each place, added up along a balanced binary tree over the
// places: the first half of them, rounded down, and the rest, and so on.
class TreeSum {
 public:
  TreeSum(std::size_t places, std::int64_t count) : count_(count), leaves_(places), nodes_(places) {
    if (places == 0) throw std::invalid_argument("a sum needs places");
    plant(0, static_cast<std::int64_t>(places), {});
  }

  // Hands in the array of a place; whoever brings the second of two adds them up. True: that was
  // the last one.
  bool put(std::int64_t place, Numbers x) {
    Above above = leaves_[static_cast<std::size_t>(place)];
    while (above.node >= 0) {
      Node& node = nodes_[static_cast<std::size_t>(above.node)];
      node.halves[above.half] = std::move(x);
      if (node.there.fetch_add(1) == 0) return false;
      float* sum = node.halves[0].data();
      const float* other = node.halves[1].data();
      for (std::int64_t i = 0; i < count_; ++i) sum[i] += other[i];
      x = std::move(node.halves[0]);
      node.halves[1] = Numbers();
      above = node.above;
    }
    whole_ = std::move(x);
    return true;
  }

  const float* whole() const { return whole_.data(); }

 private:
  struct Above {
    std::int64_t node = -1;
    std::size_t half = 0;
  };
  struct Node {
    Above above;
    Numbers halves[2];
    std::atomic<int> there{0};
  };

  void plant(std::int64_t begin, std::int64_t end, Above above) {
    if (end - begin == 1) {
      leaves_[static_cast<std::size_t>(begin)] = above;
      return;
    }
    const std::int64_t own = planted_++, half = begin + (end - begin) / 2;
    nodes_[static_cast<std::size_t>(own)].above = above;
    plant(begin, half, {own, 0});
    plant(half, end, {own, 1});
  }

  std::int64_t count_, planted_ = 0;
  std::vector<Above> leaves_;
  std::vector<Node> nodes_;
  Numbers whole_;
};

}  // namespace socialgrid::learning
