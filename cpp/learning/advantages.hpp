// What the steps of one agent were worth.
#pragma once

#include <cstdint>

namespace socialgrid::learning {

// Rows [steps, envs] at distances of a step and of an environment.
template <typename T>
struct Rows {
  T* first = nullptr;
  std::int64_t step = 0, env = 0;

  T& at(std::int64_t t, std::int64_t e) const { return first[t * step + e * env]; }
};

struct Estimates {
  std::int64_t steps = 0, envs = 0;
  Rows<const float> reward, value;
  Rows<const std::uint8_t> terminated, truncated;
  Rows<const std::uint8_t> continues;  // the next step is of the same episode, and in play
  const float* last = nullptr;         // [envs], values after the last steps
  const float* final = nullptr;        // [ends], of last views of episodes
  std::int64_t ends = 0;
  Rows<const std::int64_t> slots;  // which of them belongs to a step; `ends`: none
  double discount = 1.0, lambda = 1.0;
  bool of_difference = false;  // only what values gain is discounted: r + gamma (V' - V)
  bool of_returns = false;     // targets are discounted returns; else advantages plus values
  Rows<float> advantage, target;
};

// Generalised advantages and value targets, operation by operation as data/returns.py has them.
void estimate(const Estimates& estimates);

}  // namespace socialgrid::learning
