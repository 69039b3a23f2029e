// What all ways of learning Q-values are given alike, and what they give back.
#pragma once

#include <pybind11/stl.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "given_learners.hpp"
#include "q_learning.hpp"
#include "unlocked.hpp"

namespace socialgrid::bindings {

// Numbers by name: "target_interval", "double" and those of rules_of. Layers from `inputs` to
// `choices` have the units of `hidden` between them.
inline void read_task(const pybind11::dict& numbers, std::int64_t inputs,
                      const std::vector<std::int64_t>& hidden, std::int64_t choices,
                      learning::QTask& task) {
  task.target_interval = numbers["target_interval"].cast<std::int64_t>();
  task.is_double = numbers["double"].cast<bool>();
  task.rules = rules_of(numbers);
  task.sizes = {inputs};
  task.sizes.insert(task.sizes.end(), hidden.begin(), hidden.end());
  task.sizes.push_back(choices);
  check_positive(task.sizes);
  check_positive({task.target_interval});
}

// Those who learn: rows of the agents, and gradient steps of each before.
template <typename Agent, typename Memory>
std::vector<Agent> learners_of(const Memory& memory, const GivenPart& network,
                               const std::vector<std::int64_t>& rows,
                               const std::vector<std::int64_t>& begun) {
  std::vector<Agent> all;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    all.push_back(
        {memory.of(rows[i], static_cast<std::int64_t>(i)), network.of(rows[i]), begun[i]});
  }
  return all;
}

// Takes the steps by learn_all(), without the interpreter's lock. Returns the failing step and
// learner and whether its gradient failed, -1 each if none did, and sums of losses and errors of
// every learner; or nothing where views show too many different tiles, and nothing has changed.
template <typename Learn, typename Agent>
pybind11::object learnt(const Learn& learn_all, const std::vector<Agent>& all,
                        const std::vector<std::int64_t>& rows, GivenPart& network) {
  learning::Failure failure;
  try {
    const Unlocked unlocked;
    failure = learn_all();
  } catch (const learning::TooManyTiles&) {
    return pybind11::none();
  }
  std::vector<std::array<double, 2>> sums;
  for (std::size_t i = 0; i < all.size(); ++i) {
    network.keep(rows[i], all[i].network);
    sums.push_back({all[i].loss, all[i].error});
  }
  return pybind11::make_tuple(failure.step, failure.agent, failure.gradient, sums);
}

}  // namespace socialgrid::bindings
