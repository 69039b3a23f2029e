// Items drawn by priority: a search in partial sums.
#pragma once

#include <cstdint>
#include <vector>

namespace socialgrid::learning {

// Priorities of one agent's items, and sums over `children` neighbours of the level below; the last
// level has at most so many. Entries behind the last are 0.
struct PriorityLevels {
  std::vector<const double*> levels;
  std::vector<std::int64_t> sizes;  // of the levels: multiples of `children`
  std::int64_t children = 1;

  // The item at which the cumulative priority first exceeds `mass`; never one of priority 0, if any
  // other exists.
  std::int64_t find(double mass) const;
};

}  // namespace socialgrid::learning
