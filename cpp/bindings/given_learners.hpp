// What learners in compiled loops are given.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "given_arrays.hpp"
#include "learnt.hpp"
#include "together.hpp"

namespace socialgrid::bindings {

// Numbers by name: "gamma", "tau", "beta1", "beta2", "eps", "max_norm" or 0.
learning::Rules rules_of(const pybind11::dict& numbers);

// Raises a ValueError unless every one of these is at least 1.
void check_positive(const std::vector<std::int64_t>& counts);

// Raises a ValueError unless `rows` are `learners` of the agents, each once, with a number of steps
// before each.
void check_learners(std::int64_t agents, std::int64_t learners,
                    const std::vector<std::int64_t>& rows, const std::vector<std::int64_t>& begun);

// Arrays of the memory: "obs" and "next_obs" [agents, capacity, inputs] or, instead of them,
// "views" and "next_views" uint8 [agents, capacity, bytes], "action" float32 [agents, capacity,
// size] or, of `choices`, int64 [agents, capacity], "reward", "terminated"; of the learners:
// "places" int64 [learners, steps, batch] and, where wanted, "weight" and "errors" alike.
struct GivenMemory {
  std::int64_t agents, capacity, inputs, learners, steps, batch;  // inputs: or bytes
  std::int64_t size = 0;  // numbers of an action; or choices

  // Looks at shapes first; `choices` is 0 where actions are continuous.
  GivenMemory(const GivenArrays& arrays, std::int64_t choices, bool views = false);
  // Of the learner that is agent `agent`, and the `place`th of the learners.
  learning::Stored of(std::int64_t agent, std::int64_t place) const;
  // Raises a ValueError unless what was drawn is there.
  void check_drawn(const learning::Stored& stored) const;

 private:
  learning::Stored first_;  // of agent 0 and learner 0
};

// A network of all agents, with what is needed to train it: "NAME/values", "/first", "/second" and,
// of what has one, "/target" [agents, parameters], "/steps" int64 [agents], "/rate" float64
// [agents].
class GivenPart {
 public:
  GivenPart(const GivenArrays& arrays, const std::string& name, std::int64_t agents,
            std::int64_t parameters, bool has_target);
  learning::LearntPart of(std::int64_t agent) const;
  // Keeps the count of the optimiser's steps.
  void keep(std::int64_t agent, const learning::LearntPart& part) { steps_[agent] = part.steps; }

 private:
  learning::LearntPart first_;  // of agent 0
  std::int64_t* steps_;
  const double* rates_;
  std::int64_t parameters_;
};

}  // namespace socialgrid::bindings
