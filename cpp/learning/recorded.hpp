// What was recorded in some environments, and sequences of it that one agent learns from.
#pragma once

#include <cstdint>
#include <vector>

#include "numbers.hpp"

namespace socialgrid::learning {

// Rows [steps, envs, agents], of views one step more. Distances are those of a row.
struct Recorded {
  std::int64_t steps = 0, envs = 0, agents = 0;
  const std::uint8_t* views = nullptr;  // `view` bytes each
  std::int64_t view = 0;
  float* state = nullptr;  // memory before each step: h, c, and choices
  std::int64_t state_size = 0;
  std::int64_t state_apart = 0;           // numbers from those of a step to those of the next
  const std::uint8_t* flags = nullptr;    // reset, in play, comparable with the next view
  const std::int64_t* choices = nullptr;  // of `decisions` decisions
  const float* numbers = nullptr;         // of each its log-probability, advantage and target
  std::int64_t decisions = 0;
  const std::int16_t* tokens = nullptr;
  std::int64_t columns = 0;
  // What models of others learn from, or null: what everybody did and did next [steps, envs,
  // others], whom each row saw, of `others` each, and the model's memory before each step.
  const std::int64_t *taken = nullptr, *following = nullptr;
  const std::uint8_t* visible = nullptr;
  const float* modelled = nullptr;  // `modelled_size` numbers each
  std::int64_t others = 0, modelled_size = 0;

  std::int64_t row(std::int64_t step, std::int64_t env, std::int64_t agent) const {
    return (step * envs + env) * agents + agent;
  }
  float* state_at(std::int64_t step, std::int64_t env, std::int64_t agent) const {
    return state + step * state_apart + row(0, env, agent) * state_size;
  }
};

struct Sequences {
  const std::int64_t *starts = nullptr, *envs = nullptr;
  std::int64_t count = 0, length = 0;
};

// Rows [length, count] of an agent's sequences, steps before sequences.
struct Gathered {
  std::vector<std::uint8_t> views;  // of one step more where that is asked for
  std::vector<float> state;         // [count, state_size]
  std::vector<std::uint8_t> reset;
  std::vector<std::int64_t> choices;                // [rows, decisions]
  std::vector<float> numbers, weight, next_weight;  // [rows, decisions, 3] and [rows] each
  std::vector<std::int16_t> tokens;                 // [rows, columns]
  std::vector<std::int64_t> taken, following;       // [rows, others]
  std::vector<std::uint8_t> visible;                // [rows, others]
  std::vector<float> modelled;                      // [count, modelled_size]
};

// Weights are `scale` where the agent was in play, `next_scale` where views can be compared.
void gather(const Recorded& recorded, std::int64_t agent, const Sequences& sequences, float scale,
            float next_scale, bool following, Gathered& to);

}  // namespace socialgrid::learning
