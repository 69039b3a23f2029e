// Whole gradient steps of deep Q-networks with a memory, each agent on its own sequences.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels.hpp"
#include "q_learning.hpp"
#include "together.hpp"

namespace socialgrid::learning {

// Steps [slots, envs] of one agent, a ring, of which sequences start every `stride` steps.
struct StoredSequences {
  std::int64_t slots = 0, envs = 0, stride = 1;
  const std::uint8_t* obs = nullptr;        // rows of bytes
  const std::uint8_t* final_obs = nullptr;  // likewise, of truncated steps
  const std::uint8_t* reset = nullptr;      // an episode began with what was seen
  const std::uint8_t *terminated = nullptr, *truncated = nullptr;
  const std::int64_t* choice = nullptr;
  const float* reward = nullptr;
  const float* state = nullptr;  // [slots / stride, envs, 2 * memory]: h and c before a start
  const std::int64_t* drawn = nullptr;  // [batch]: starts, numbered as states lie
  const float* weight = nullptr;        // [batch]: of importance; null: all 1
  float* errors = nullptr;              // [batch], written; null: not wanted

  // The row of a step of the sequence that starts at a place.
  std::int64_t row(std::int64_t place, std::int64_t step) const {
    return (place / envs * stride + step) % slots * envs + place % envs;
  }
};

// Parameters lie without gaps: of those that see, of the memory (weights of inputs and of its own
// results, biases likewise), then weight and bias of every layer behind it.
using RecurrentQAgent = QAgentWith<StoredSequences>;

struct RecurrentQLearning : QTask {
  // Of a sequence, the steps that only freshen the memory and those that are learnt from.
  std::int64_t burn_in = 0, length = 0;
  std::int64_t memory = 0;
  double mix = 0.0;  // an error is this share of a sequence's largest, the rest of the mean

  std::int64_t steps() const { return burn_in + length + 1; }
  std::int64_t parameters_of_memory() const { return 4 * memory * (outlook.features + memory + 2); }
  std::int64_t parameters() const;
};

// Takes one gradient step of all agents, or none. See learn() of Q-learning.
Failure learn(const Kernels& kernels, const RecurrentQLearning& task,
              std::vector<RecurrentQAgent>& agents, int threads);

}  // namespace socialgrid::learning
