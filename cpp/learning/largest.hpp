// Choices among a network's values.
#pragma once

#include <cmath>
#include <cstdint>

namespace socialgrid::learning {

// The first of the largest; what is no number counts as that.
inline std::int64_t largest(const float* row, std::int64_t count) {
  std::int64_t found = 0;
  for (std::int64_t k = 1; k < count && !std::isnan(row[found]); ++k) {
    if (row[k] > row[found] || std::isnan(row[k])) found = k;
  }
  return found;
}

// A multiple of 2^-24 in [0, 1).
inline float uniform(std::uint32_t word) { return static_cast<float>(word >> 8) * 0x1p-24f; }

}  // namespace socialgrid::learning
