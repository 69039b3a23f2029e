// Steps that agents take one after the other in tasks of their own, and what they learn in between.
#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <utility>
#include <vector>

#include "crew.hpp"
#include "follow.hpp"
#include "kernels.hpp"
#include "trusting.hpp"

namespace socialgrid::learning {

// Results of a step of all tasks, [agents, copies, ...], written by whoever makes it.
struct Happened {
  std::vector<float> obs, final_obs, reward;  // final_obs: only where episodes ended
  std::vector<std::uint8_t> terminated, truncated, done;
};

// Of every agent, the share of random actions falls from `from` to `to` over so many steps.
struct Exploring {
  Draw whether, which;  // one number for each copy, by steps from the first of the march
  double from = 0.0, to = 0.0;
  std::int64_t until = 1;
  std::int64_t random_before = 0;          // steps of an agent before which all are random
  const std::int64_t* taken = nullptr;     // [agents]: steps before
  const std::uint8_t* explores = nullptr;  // [agents]
};

// After which steps agents update their networks, all at once, counted in steps of an agent.
struct Schedule {
  std::int64_t interval = 1, starts = 0;  // never before more than so many were taken
  std::int64_t waited = 0, taken = 0;     // since the last update, and in all
};

// Everything lies agent by agent.
struct Marching {
  std::int64_t agents = 0, copies = 0, steps = 0, actions = 0;
  AgentNetworks networks;
  float* obs = nullptr;                 // [agents, copies, inputs]: before and after
  const std::int64_t* first = nullptr;  // [agents, copies]: actions of the first step; null: chosen
  Following* following = nullptr;       // null: each agent acts by its own network, and explores
  Trusting* trusting = nullptr;
  Exploring exploring;
  Schedule schedule;

  // The memory, [agents, capacity, ...], and where each agent goes on in it.
  std::int64_t capacity = 0;
  const std::int64_t* next = nullptr;
  float *kept_obs = nullptr, *kept_next_obs = nullptr, *kept_reward = nullptr;
  std::int64_t* kept_action = nullptr;
  std::uint8_t *kept_terminated = nullptr, *kept_truncated = nullptr;

  // [agents, copies]: returns of the episodes that go on, and whether they have begun.
  double* returns = nullptr;
  std::uint8_t* played = nullptr;
};

struct Marched {
  std::int64_t steps = 0;  // taken, up to one that ends the march; all of them are whole
  std::vector<std::pair<std::int64_t, double>> finished;  // agents and returns of their episodes
  // Of the step that did not go into the memory, for it is not finite: rewards, and observations
  // before and after.
  std::vector<std::vector<float>> refused;
  std::exception_ptr error;  // what ended the march
  bool undecided = false;    // it ended before a choice of whom to follow that others have to make
  std::int64_t waited = 0;   // steps of an agent since the last update
  double acting = 0.0, stepping = 0.0, remembering = 0.0, trusting = 0.0,
         updating = 0.0;  // seconds
};

// What others do in a march.
struct Hands {
  // A step of all tasks, told everybody's actions [agents, copies]; where it throws, none was
  // taken.
  std::function<void(const std::vector<std::int32_t>&, Happened&)> step;
  // An update after so many steps of the march; false: it ends, that was not taken whole. None is
  // taken where this is empty.
  std::function<bool(std::int64_t)> update;
  std::function<bool()> stop;  // whether to end after a step
};

// Takes steps, up to the first before which it cannot be told whom agents choose to follow.
// The crew shares what agents do and learn. Throws nothing but what is missing at the start.
Marched march(const Kernels& kernels, const Marching& task, const Hands& hands, Crew& crew);

}  // namespace socialgrid::learning
