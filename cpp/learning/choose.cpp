// Choices among few. Compiled once for every set of kernels.
#include "images.hpp"
#include "lanes.hpp"

#include <cmath>

namespace socialgrid::learning::SOCIALGRID_KERNEL_SET {
namespace {

SOCIALGRID_INLINE std::int64_t most_probable(const float* x, std::int64_t count) {
  std::int64_t best = 0;
  for (std::int64_t i = 1; i < count; ++i) best = x[i] > x[best] ? i : best;
  return best;
}

}  // namespace

void choose(const Choice& c) {
  const std::int64_t last = c.choices - 1;
  float* x = c.scratch;
  for (std::int64_t row = 0; row < c.rows; ++row) {
    const float* logits = c.logits + row * c.choices;
    for (std::int64_t i = 0; i <= last; ++i) {
      x[i] = c.mask == nullptr ? logits[i] : logits[i] + c.mask[i];
    }
    std::int64_t& chosen = c.choice[row * c.choice_row];
    const std::int64_t best = most_probable(x, c.choices);
    if (!c.given) chosen = best;
    const float top = x[best];
    for (std::int64_t i = 0; i <= last; i += kLanes) {
      store(x + i, exponential(load(x + i) - top));
    }
    float sum = 0.0f;
    for (std::int64_t i = 0; i <= last; ++i) {
      sum += x[i];
      x[i] = sum;
    }
    if (!c.given && c.uniform != nullptr) {
      // Scaling by the sum keeps rounding from choosing beyond the last one that is possible.
      const float at = c.uniform[row * c.uniform_row] * sum;
      chosen = 0;
      for (std::int64_t i = 0; i < last; ++i) chosen += x[i] <= at ? 1 : 0;
    }
    const float picked = c.mask == nullptr ? logits[chosen] : logits[chosen] + c.mask[chosen];
    c.log_prob[row * c.log_prob_row] = picked - top - std::log(sum);
  }
}

}  // namespace socialgrid::learning::SOCIALGRID_KERNEL_SET
