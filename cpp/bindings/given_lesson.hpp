// Whole lessons as they are given from Python.
#pragma once

#include <pybind11/stl.h>

#include <array>
#include <cstdint>
#include <tuple>
#include <utility>
#include <vector>

#include "given_layers.hpp"
#include "kernels.hpp"
#include "lesson.hpp"

namespace socialgrid::bindings {

using Addresses = std::vector<std::uintptr_t>;
using Sizes = std::vector<std::int64_t>;
// Addresses of choices, log-probabilities, advantages, targets, weights of rows, mask or 0;
// distance of choices, and of the numbers, from one row to the next; clip, or less than 0 for the
// policy gradient's loss, factor, value_coef, entropy_coef; layers of policy and value.
using GivenDecision = std::tuple<std::array<std::uintptr_t, 6>, std::array<std::int64_t, 2>,
                                 std::array<double, 4>, GivenLayers, GivenLayers>;
// Addresses of views and of rows' weights; coefficient and slope; actions; layers.
using GivenPrediction =
    std::tuple<std::array<std::uintptr_t, 2>, std::array<double, 2>, std::int64_t, GivenLayers>;
using GivenChannels = std::vector<std::pair<std::int64_t, std::int64_t>>;

// A model of others: address of a mask or 0; layers that see before those that it has in the place
// of the others, agents of the world, actions, units of its memory; coefficient; whether only
// predictions of visible agents count; places of the agents; layers that see, of the head.
using GivenModel = std::tuple<std::uintptr_t, std::array<std::int64_t, 4>, double, bool, Sizes,
                              GivenLayers, GivenLayers>;
// What it learns from: see learning::Modelling.
struct ModelRows {
  const std::int64_t *taken = nullptr, *following = nullptr;
  const std::uint8_t* visible = nullptr;
  const float *weight = nullptr, *memory = nullptr;
  // Packed weights of its memory, of all agents.
  float *forward = nullptr, *back = nullptr;
};

// Weights and biases of one agent, layers of one part after those of another.
template <typename T>
class Parameters {
 public:
  Parameters(const Addresses& where, const Sizes& apart, std::int64_t agent)
      : all_(where, apart, agent) {}

  void take(std::size_t count, std::vector<T*>& weights, std::vector<T*>& biases) {
    for (std::size_t i = 0; i < count; ++i, ++next_) {
      weights.push_back(all_.weights.at(next_));
      biases.push_back(all_.biases.at(next_));
    }
  }

 private:
  GivenWeights<T> all_;
  std::size_t next_ = 0;
};

struct GivenLesson {
  const learning::Kernels& kernels;
  // Views, atlas, tokens, resets, h and c before the first step, packed weights of the memory
  // forward and back; what is learnt, a row for each number, [rows, agents].
  std::array<std::uintptr_t, 9> where;
  // Agents, steps, sequences, rows, cols, pixels, bytes of a tile's number, tiles, bytes from an
  // agent's views to the next one's, features, hidden, then distances of h and c, by agent and row.
  std::array<std::int64_t, 15> n;
  bool of_cells;
  std::vector<learning::Layer> layers;
  GivenChannels heard;
  std::vector<GivenDecision> decisions;
  std::vector<GivenPrediction> predictions;
  std::vector<float> zeros;
  std::vector<GivenModel> models;  // one or none
  ModelRows model_rows;

  // What a model's memory reads.
  static std::int64_t inputs_of(const GivenModel& model);

  // Columns of tokens, and what the memory reads.
  std::int64_t columns() const;
  std::int64_t inputs() const;

  // Of the agent's network, on what is given of `rows`, which is itself unless there is only one.
  learning::Lesson of(std::int64_t agent, std::int64_t rows_of, Parameters<const float> own) const;
  learning::LessonGrads grads_of(Parameters<float> own) const;

 private:
  void add_model(learning::Lesson& lesson, std::int64_t agent, Parameters<const float>& own) const;
};

// The numbers in the order of the rows.
std::vector<float> told(const learning::Learnt& learnt);

}  // namespace socialgrid::bindings
