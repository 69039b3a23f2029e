// What temporal differences of action values are made of.
#pragma once

#include <algorithm>
#include <cmath>

namespace socialgrid::learning {

// Huber's loss of a difference, and its gradient.
inline double huber(float difference) {
  const float size = std::abs(difference);
  return size < 1.0f ? 0.5 * size * size : size - 0.5;
}
inline float huber_back(float difference) { return std::clamp(difference, -1.0f, 1.0f); }

}  // namespace socialgrid::learning
