// Work on rows that threads share where it pays.
#pragma once

#include <algorithm>
#include <cstdint>

#include "crew.hpp"

namespace socialgrid::learning {

// Threads that pay: to start one takes as long as some million products.
inline int worthwhile(int threads, double products) {
  return static_cast<int>(std::clamp(products / 5e6, 1.0, std::max(1.0, 1.0 * threads)));
}

// Does `rows` rows of every agent, shared among threads. Throws as side_by_side() does.
template <typename Work>
void share(std::int64_t agents, std::int64_t rows, int threads, const Work& work) {
  const std::int64_t all = agents * rows;
  const auto part = [&](std::int64_t begin, std::int64_t end) {
    while (begin < end) {
      const std::int64_t agent = begin / rows, first = begin % rows;
      const std::int64_t last = std::min(rows, first + end - begin);
      work(agent, first, last);
      begin += last - first;
    }
  };
  side_by_side(threads, [&](int i) { part(all * i / threads, all * (i + 1) / threads); });
}

}  // namespace socialgrid::learning
