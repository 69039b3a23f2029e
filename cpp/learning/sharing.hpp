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

// Threads that each of some agents may use, who are shared among all of them.
inline int threads_of_each(std::int64_t agents, int threads) {
  return static_cast<int>(std::max<std::int64_t>(threads / std::max<std::int64_t>(agents, 1), 1));
}

// Does two pieces of work, one after the other, or side by side where there are two threads. Throws
// as side_by_side() does; of both, what the first one throws.
template <typename One, typename Other>
void both(int threads, const One& one, const Other& other) {
  if (threads < 2) {
    one();
    other();
    return;
  }
  side_by_side(2, [&](int thread) { thread == 0 ? one() : other(); });
}

}  // namespace socialgrid::learning
