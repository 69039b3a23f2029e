// Whole gradient steps of deep Q-networks, each agent on its own memory.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels.hpp"
#include "together.hpp"

namespace socialgrid::learning {

// A perceptron's parameters without gaps: weight and bias of every layer, one after the other.
struct QAgent {
  // Stored steps: [capacity, inputs], but single numbers of action, reward and end.
  const float* obs = nullptr;
  const float* next_obs = nullptr;
  const std::int64_t* action = nullptr;
  const float* reward = nullptr;
  const std::uint8_t* terminated = nullptr;
  const std::int64_t* drawn = nullptr;  // [steps, batch]: places of those to learn from
  float* values = nullptr;
  float* target = nullptr;
  float* first = nullptr;  // moments of the parameters
  float* second = nullptr;
  std::int64_t updates = 0;     // gradient steps before
  std::int64_t adam_steps = 0;  // of them steps of the optimiser
  double rate = 0.0;
  // Sums over the steps of what is logged.
  double loss = 0.0, error = 0.0;
};

struct QLearning {
  std::int64_t batch = 0, steps = 0, target_interval = 1;
  std::vector<std::int64_t> sizes;  // of the network's rows, before and after each layer
  bool is_double = false;           // the network chooses what its target values
  double gamma = 0.0, tau = 0.0, beta1 = 0.0, beta2 = 0.0, eps = 0.0;
  double max_norm = 0.0;  // 0: gradients are not clipped
};

// Takes the gradient steps of all agents. Nobody takes a step in which somebody's loss or gradient
// is not finite, nor any after that. Agents are shared among threads; results do not depend on it.
Failure learn(const Kernels& kernels, const QLearning& task, std::vector<QAgent>& agents,
              int threads);

}  // namespace socialgrid::learning
