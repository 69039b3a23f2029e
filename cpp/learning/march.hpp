// Steps that agents take one after the other in tasks of their own, while neither their networks
// nor whom they follow changes.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "kernels.hpp"
#include "trusting.hpp"

namespace socialgrid::learning {

// Results of a step of all tasks, [agents, copies, ...], written by whoever makes it.
struct Happened {
  std::vector<float> obs, final_obs, reward;  // final_obs: only where episodes ended
  std::vector<std::uint8_t> terminated, truncated, done;
};

// What is drawn for those who explore, [steps, agents, copies] each; of every agent, the share of
// random actions falls from `from` to `to` over so many steps.
struct Exploring {
  const std::uint32_t *whether = nullptr, *which = nullptr;
  double from = 0.0, to = 0.0;
  std::int64_t until = 1;
  std::int64_t random_before = 0;          // steps of an agent before which all are random
  const std::int64_t* taken = nullptr;     // [agents]: steps before
  const std::uint8_t* explores = nullptr;  // [agents]
};

// Everything lies agent by agent.
struct Marching {
  std::int64_t agents = 0, copies = 0, steps = 0, actions = 0;
  AgentNetworks networks;
  float* obs = nullptr;                 // [agents, copies, inputs]: before and after
  const std::int64_t* first = nullptr;  // [agents, copies]: actions of the first step; null: chosen
  // Whose networks choose, [agents, copies]; null: each agent's own, which explores.
  const std::int64_t* advisers = nullptr;
  Exploring exploring;

  // The memory, [agents, capacity, ...], and where each agent goes on in it.
  std::int64_t capacity = 0;
  const std::int64_t* next = nullptr;
  float *kept_obs = nullptr, *kept_next_obs = nullptr, *kept_reward = nullptr;
  std::int64_t* kept_action = nullptr;
  std::uint8_t *kept_terminated = nullptr, *kept_truncated = nullptr;

  // [agents, copies]: returns of the episodes that go on, and whether they have begun.
  double* returns = nullptr;
  std::uint8_t* played = nullptr;
  Trusting* trusting = nullptr;
};

struct Marched {
  std::vector<std::pair<std::int64_t, double>> finished;  // agents and returns of their episodes
  // Of the step that did not go into the memory, for it is not finite, and after which nothing was
  // done any more: rewards, and observations before and after.
  std::vector<std::vector<float>> refused;
  double acting = 0.0, stepping = 0.0, remembering = 0.0, trusting = 0.0;  // seconds
};

// Takes all steps, up to one with rewards or observations that are not finite. `step` is told
// everybody's actions [agents, copies].
Marched march(const Kernels& kernels, const Marching& task,
              const std::function<void(const std::vector<std::int32_t>&, Happened&)>& step);

}  // namespace socialgrid::learning
