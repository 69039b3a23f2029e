// What networks make of a recorded batch, agent by agent.
#pragma once

#include <array>
#include <cstdint>

#include "given_network.hpp"
#include "kernels.hpp"
#include "recorded.hpp"
#include "unlocked.hpp"

namespace socialgrid::bindings {

// Addresses of tokens [envs, agents, ...] after the last step, of the ends' steps and environments
// [ends, 2], views and tokens [ends, agents, ...]; how many there are.
struct GivenEnds {
  std::array<std::uintptr_t, 4> where;
  std::int64_t count;
};

// A network's agent, and the column that is its own.
struct Recalled {
  const learning::Kernels& kernels;
  const Network& network;
  const learning::Recorded& recorded;
  std::int64_t agent, column;

  // Memories, and values [steps, envs, agents] of each decision, some steps at a time;
  // log-probabilities [steps, envs, `agents`] of actions unless that address is 0. False where
  // views have too many different tiles, or a signal has come: what was there before the first step
  // still is, and all else is to be done again.
  bool refresh(std::int64_t block, const Addresses& values, std::uintptr_t log_probs,
               std::int64_t agents, Signals& signals, learning::Gathered& desk) const;

  // Values of views that come after steps, whose numbers lie `apart`: [decisions, envs] of those
  // after the last step, and [decisions, ends] of last views of episodes. False as above.
  bool foresee(const GivenEnds& ends, float* last, float* final, std::int64_t apart,
               learning::Gathered& desk) const;
};

}  // namespace socialgrid::bindings
