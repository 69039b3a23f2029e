// Whole gradient steps of deep Q-networks, each agent on its own memory.
#pragma once

#include <cstdint>
#include <vector>

#include "eye.hpp"
#include "kernels.hpp"
#include "learnt.hpp"
#include "together.hpp"

namespace socialgrid::learning {

// Parameters lie without gaps: weight and bias of every layer, one after the other; of those that
// see first.
struct QAgent {
  Stored stored;
  LearntPart network;
  std::int64_t updates = 0;  // gradient steps before
  // Sums over the steps of what is logged.
  double loss = 0.0, error = 0.0;
};

struct QLearning {
  std::int64_t batch = 0, steps = 0, target_interval = 1;
  Outlook outlook;
  std::vector<std::int64_t> sizes;  // of what reads what is seen: rows before and after each layer
  bool is_double = false;           // the network chooses what its target values
  Rules rules;
};

// Takes the gradient steps of all agents. Nobody takes a step in which somebody's loss or gradient
// is not finite, nor any after that. Agents are shared among threads; results do not depend on it.
// Throws as Eye::see does; then all have taken the same steps.
Failure learn(const Kernels& kernels, const QLearning& task, std::vector<QAgent>& agents,
              int threads);

}  // namespace socialgrid::learning
