// Networks, and shards of a recorded batch, as they are given from Python.
#pragma once

#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <exception>
#include <tuple>
#include <vector>

#include "crew.hpp"
#include "given_lesson.hpp"
#include "lesson.hpp"
#include "recorded.hpp"
#include "unlocked.hpp"

namespace socialgrid::bindings {

// Address of a mask or 0; clip and so on, see GivenDecision; layers of policy and value.
using NetworkDecision = std::tuple<std::uintptr_t, std::array<double, 4>, GivenLayers, GivenLayers>;
// Whether it is the following view; coefficient and slope; actions; layers.
using NetworkPrediction = std::tuple<bool, std::array<double, 2>, std::int64_t, GivenLayers>;
// Addresses of atlas and of packed weights of the memory, forward and back; rows, cols, pixels,
// bytes of a tile's number, tiles, features, hidden; whether the first layer is of cells; layers
// that see; channels; decisions; predictions; parameters, and numbers of an agent in each; a model
// of others or none, with addresses of its memory's packed weights, forward and back.
using GivenNetwork =
    std::tuple<std::array<std::uintptr_t, 3>, std::array<std::int64_t, 7>, bool, GivenLayers,
               GivenChannels, std::vector<NetworkDecision>, std::vector<NetworkPrediction>,
               Addresses, Sizes, std::vector<std::pair<GivenModel, std::array<std::uintptr_t, 2>>>>;
// Steps, environments, agents, bytes of a view, numbers of a state, decisions, columns of tokens;
// numbers from the states of a step to those of the next.
using BatchSizes = std::array<std::int64_t, 8>;
// Addresses of views, states, flags, choices, numbers, tokens.
using BatchAddresses = std::array<std::uintptr_t, 6>;
// Addresses of what models of others learn from, see learning::Recorded, or zeros.
using ModelAddresses = std::array<std::uintptr_t, 4>;

learning::Recorded recorded_of(const BatchAddresses& where, const BatchSizes& n);

class Network {
 public:
  Network(const learning::Kernels& kernels, const GivenNetwork& given);

  // Whether it looks at the view after the last step.
  bool ahead() const;
  // Has what a model of others learns from recorded, too, if there is a model.
  void tell(const ModelAddresses& where, learning::Recorded& recorded) const;
  // Numbers that packed weights of an agent's memories take.
  std::int64_t packed() const;
  // Numbers that are told of a lesson.
  std::int64_t rows() const;
  // On rows of some steps of some sequences that were gathered, which have to stay.
  learning::Lesson of(std::int64_t agent, const learning::Gathered& gathered, std::int64_t steps,
                      std::int64_t sequences, const learning::Recorded& recorded) const;
  // Gradients one after the other, in the order of the parameters.
  learning::LessonGrads grads(float* to) const;
  const Sizes& apart() const { return apart_; }
  // All of an agent's.
  std::int64_t gradients() const;
  // Numbers of a parameter that belong to an agent.
  float* values(std::size_t parameter, std::int64_t agent) const;
  // Where packed weights are from now on, `packed()` numbers an agent; packs those of an agent
  // anew.
  void pack_into(float* forward, float* back, std::int64_t agents);
  void pack(std::int64_t agent, bool back) const;

 private:
  std::int64_t packed_of_memory() const;
  void pack(std::int64_t agent, bool back, std::size_t first, std::int64_t inputs,
            std::int64_t hidden, float* to) const;

  const Addresses parameters_;
  const Sizes apart_;
  GivenLesson lesson_;
  std::vector<bool> following_;
};

// Calls work(i, desk) for all i below `count`, each of several threads with a desk of its own, in
// this order; false as soon as that says so. The first error, in this order, is thrown on, and what
// a handler of signals raises, which ends the work, unless nobody is to ask for it.
template <typename Desk, typename Work>
bool all_of_them(std::int64_t count, int threads, Signals* signals, const Work& work) {
  std::atomic<std::int64_t> next{0};
  std::atomic<bool> fine{true};
  std::vector<std::exception_ptr> failed(static_cast<std::size_t>(count));
  const auto given_up = [&] { return signals != nullptr && signals->given_up(); };
  const auto most = static_cast<int>(std::min<std::int64_t>(threads, count));
  learning::side_by_side(most, [&](int) {
    Desk desk;
    for (std::int64_t i = next++; i < count && fine && !given_up(); i = next++) {
      try {
        if (!work(i, desk)) fine = false;
      } catch (...) {
        failed[static_cast<std::size_t>(i)] = std::current_exception();
      }
    }
  });
  if (signals != nullptr) signals->rethrow();
  for (const std::exception_ptr& error : failed) {
    if (error) std::rethrow_exception(error);
  }
  return fine;
}

}  // namespace socialgrid::bindings
