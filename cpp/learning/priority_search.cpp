#include "priority_search.hpp"

#include <algorithm>

namespace socialgrid::learning {
namespace {

// Which of `count` entries it is, and what is left of the mass there.
std::int64_t step_into(const double* entries, std::int64_t count, double& mass) {
  double last = 0.0;
  for (std::int64_t k = 0; k < count; ++k) last += entries[k];
  std::int64_t found = 0;
  double before = 0.0;
  // Rounding may leave a mass at or beyond the sum: the last entry that has any, then.
  for (double sum = entries[0]; found + 1 < count && !(sum > mass) && sum < last;) {
    before = sum;
    sum += entries[++found];
  }
  mass -= before;
  return found;
}

}  // namespace

std::int64_t PriorityLevels::find(double mass) const {
  std::int64_t node = 0, count = sizes.back();
  for (std::size_t level = levels.size(); level-- > 0;) {
    // Whatever the sums are: in the level.
    const std::int64_t first = std::min(node * children, sizes[level] - count);
    node = first + step_into(levels[level] + first, count, mass);
    count = children;
  }
  return node;
}

}  // namespace socialgrid::learning
