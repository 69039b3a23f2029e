// Updates of deep Q-networks that are taken between steps.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "given_learners.hpp"
#include "kernels.hpp"
#include "march.hpp"
#include "q_learning.hpp"

namespace socialgrid::bindings {

// Given "arrays", those of GivenMemory ("places" are written) and of GivenPart for "q", and "keys"
// uint64 [learners]; "numbers", those of learn_q, and "interval", "starts", "waited" and "taken" as
// of learning::Schedule, "stored" in the memory of each agent, "copies" that store in a step, and
// "kind" of what is drawn; "learners", "begun" as of learn_q.
class GivenUpdates {
 public:
  using Sums = std::vector<std::vector<std::array<double, 2>>>;

  GivenUpdates(const pybind11::dict& given, const std::vector<std::int64_t>& hidden,
               std::int64_t choices);

  const learning::Schedule& schedule() const { return schedule_; }
  // By what and by whom updates are taken; before the first one.
  void begin(const learning::Kernels& kernels, learning::Crew& crew);
  // Takes one update, so many steps after these were given. False where somebody's loss or
  // gradient is not finite: the gradient steps before that were taken. Where it throws none was.
  bool take(std::int64_t steps);

  // Of every update that was taken, sums of losses and errors of every learner.
  const Sums& sums() const { return sums_; }
  // Gradient steps of one that was not taken whole.
  std::int64_t partly() const { return partly_; }

 private:
  void draw(std::size_t learner, std::int64_t stored);

  GivenArrays arrays_;
  GivenMemory memory_;
  std::vector<std::int64_t> learners_, begun_;
  learning::QLearning task_;
  GivenPart network_;
  learning::Schedule schedule_;
  std::int64_t stored_ = 0, copies_ = 1;
  std::uint32_t kind_ = 0;
  std::int64_t* places_ = nullptr;
  const std::uint64_t* keys_ = nullptr;
  std::vector<learning::QAgent> agents_;
  learning::Crew* crew_ = nullptr;
  std::optional<learning::QLearners> together_;
  Sums sums_;
  std::int64_t partly_ = 0;
};

}  // namespace socialgrid::bindings
