// Whole gradient steps of deep Q-networks, each agent on its own memory.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "eye.hpp"
#include "kernels.hpp"
#include "learnt.hpp"
#include "together.hpp"

namespace socialgrid::learning {

// One who learns from what is stored this way or that.
template <typename Memory>
struct QAgentWith {
  Memory stored;
  LearntPart network;
  std::int64_t updates = 0;  // gradient steps before
  // Sums over the steps of what is logged.
  double loss = 0.0, error = 0.0;
};

// What all of them are about.
struct QTask {
  std::int64_t batch = 0, target_interval = 1;
  Outlook outlook;
  std::vector<std::int64_t> sizes;  // of what chooses: rows before and after each layer
  bool is_double = false;           // the network chooses what its target values
  Rules rules;
};

// Parameters lie without gaps: weight and bias of every layer, one after the other; of those that
// see first.
using QAgent = QAgentWith<Stored>;

struct QLearning : QTask {
  std::int64_t steps = 0;
};

// Agents who learn, shared among the threads of a crew; where there are more threads than agents,
// an agent may use some. Results do not depend on them. What was given is used for as long as they
// learn.
class QLearners {
 public:
  QLearners(const Kernels& kernels, const QLearning& task, std::vector<QAgent>& agents, Crew& crew,
            int threads);
  ~QLearners();

  // Takes the task's steps. Nobody takes a step in which somebody's loss or gradient is not finite,
  // nor any after that. Throws as Eye::see does; then all have taken the same steps.
  Failure learn();

 private:
  class All;
  std::unique_ptr<All> all_;
};

}  // namespace socialgrid::learning
