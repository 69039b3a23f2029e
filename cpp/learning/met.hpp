// Views that somebody has met, and what was made of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "numbers.hpp"

namespace socialgrid::learning {

// Numbers views, each a row of cells, in the order in which they are met first. What is made of
// them lies in the same order.
class Met {
 public:
  // There is room for at least so many views, and for more if they fit so many bytes, with what is
  // made of them.
  Met(std::int64_t cells, std::int64_t features, std::int64_t least, std::int64_t bytes);

  void clear();
  std::int64_t count() const { return count_; }
  std::int64_t most() const { return most_; }
  std::int64_t room() const { return most_ - count_; }

  // The number of a view, which is count() if it is met for the first time; there has to be room.
  std::int64_t number(const std::uint16_t* view);

  const std::uint16_t* view(std::int64_t number) const { return views_.data() + number * cells_; }
  float* features(std::int64_t number) { return made_.data() + number * features_; }

 private:
  static constexpr std::uint32_t kFree = 0xffffffff;
  struct Place {
    std::uint32_t number = kFree, hash = 0;
  };

  std::int64_t cells_, features_, most_, count_ = 0;
  std::vector<Place> table_;
  std::vector<std::uint16_t> views_;
  Numbers made_;
};

}  // namespace socialgrid::learning
