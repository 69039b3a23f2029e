// What temporal differences of action values are made of.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace socialgrid::learning {

// The first of the largest; what is no number counts as that.
inline std::int64_t largest(const float* values, std::int64_t count) {
  std::int64_t found = 0;
  for (std::int64_t k = 1; k < count && !std::isnan(values[found]); ++k) {
    if (values[k] > values[found] || std::isnan(values[k])) found = k;
  }
  return found;
}

// Huber's loss of a difference, and its gradient.
inline double huber(float difference) {
  const float size = std::abs(difference);
  return size < 1.0f ? 0.5 * size * size : size - 0.5;
}
inline float huber_back(float difference) { return std::clamp(difference, -1.0f, 1.0f); }

}  // namespace socialgrid::learning
