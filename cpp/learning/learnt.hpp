// What agents learn from, and what they learn.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels.hpp"

namespace socialgrid::learning {

// How all agents learn.
struct Rules {
  double gamma = 0.0, tau = 0.0, beta1 = 0.0, beta2 = 0.0, eps = 0.0;
  double max_norm = 0.0;  // 0: gradients are not clipped
};

// Stored steps of one agent: [capacity, inputs], actions [capacity, size] or the number of one, but
// single numbers of reward and end.
struct Stored {
  const float* obs = nullptr;
  const float* next_obs = nullptr;
  const std::uint8_t* views = nullptr;  // instead of those: [capacity, bytes]
  const std::uint8_t* next_views = nullptr;
  const float* action = nullptr;
  const std::int64_t* choice = nullptr;
  const float* reward = nullptr;
  const std::uint8_t* terminated = nullptr;
  const std::int64_t* drawn = nullptr;  // [steps, batch]: places of those to learn from
  const float* weight = nullptr;        // [steps, batch]: of importance; null: all 1
  float* errors = nullptr;              // [steps, batch], written; null: not wanted
};

// Parameters of one agent with their target, which may be none, and moments.
struct LearntPart {
  float* values = nullptr;
  float* target = nullptr;
  float* first = nullptr;
  float* second = nullptr;
  std::int64_t steps = 0;  // of the optimiser, counted on
  double rate = 0.0;

  // Takes a step along gradients of this norm.
  void descend(const Kernels& kernels, const Rules& rules, const float* grads, std::int64_t count,
               double norm) {
    Descent d;
    d.count = count;
    d.values = values;
    d.grads = grads;
    d.first = first;
    d.second = second;
    d.rate = rate;
    d.beta1 = rules.beta1;
    d.beta2 = rules.beta2;
    d.eps = rules.eps;
    d.steps = static_cast<double>(++steps);
    if (rules.max_norm > 0.0) d.scale = std::min(1.0, rules.max_norm / (norm + 1e-6));
    kernels.descend(d);
  }
  // The target moves.
  void follow(const Kernels& kernels, const Rules& rules, std::int64_t count) {
    kernels.approach(target, values, count, rules.tau);
  }
};

}  // namespace socialgrid::learning
