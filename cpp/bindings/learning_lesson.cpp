// Whole gradients of recurrent actor-critics, on the memory of others' tensors: see learning.cpp.
#include "lesson.hpp"

#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <exception>
#include <tuple>
#include <utility>
#include <vector>

#include "given_layers.hpp"
#include "kernels.hpp"
#include "learning.hpp"
#include "unlocked.hpp"

namespace py = pybind11;

namespace socialgrid::bindings {
namespace {

using learning::Deciding;
using learning::Decoding;
using learning::Kernels;
using learning::Layer;
using learning::Learnt;
using learning::Lesson;
using learning::LessonGrads;

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

struct Given {
  const Kernels& kernels;
  // Views, atlas, tokens, resets, h and c before the first step, packed weights of the memory
  // forward and back; what is learnt, a row for each number, [rows, agents].
  std::array<std::uintptr_t, 9> where;
  // Agents, steps, sequences, rows, cols, pixels, bytes of a tile's number, tiles, bytes from an
  // agent's views to the next one's, features, hidden, then distances of h and c, by agent and row.
  std::array<std::int64_t, 15> n;
  bool of_cells;
  std::vector<Layer> layers;
  GivenChannels heard;
  std::vector<GivenDecision> decisions;
  std::vector<GivenPrediction> predictions;
  std::vector<float> zeros;

  std::int64_t columns() const {
    std::int64_t found = 0;
    for (const auto& channel : heard) found += channel.first;
    return found;
  }
  std::int64_t inputs() const {
    std::int64_t found = n[9];
    for (const auto& [count, symbols] : heard) found += count * symbols;
    return found;
  }

  Lesson of(std::int64_t agent, Parameters<const float> own) const;
  void put(const Learnt& learnt, std::int64_t agent) const;
  LessonGrads grads_of(Parameters<float> own) const;
};

Lesson Given::of(std::int64_t agent, Parameters<const float> own) const {
  const std::int64_t rows = n[1] * n[2], hidden = n[10];
  Lesson lesson;
  learning::Sight& sight = lesson.sight;
  sight.count = rows;
  sight.rows = n[3];
  sight.cols = n[4];
  sight.pixels = n[5];
  sight.shown.number = n[6];
  sight.shown.tiles = n[7];
  sight.shown.views = at<const std::uint8_t>(where[0], agent * n[8]);
  sight.shown.atlas = at<const std::uint8_t>(where[1]);
  sight.of_cells = of_cells;
  sight.layers = layers;
  own.take(layers.size(), sight.weights, sight.biases);
  lesson.heard = heard;
  lesson.tokens = at<const std::int16_t>(where[2], agent * rows * columns());
  std::vector<const float*> unused, not_used;  // packed weights are
  own.take(2, unused, not_used);
  learning::Unroll& u = lesson.memory;
  u.steps = n[1];
  u.count = n[2];
  u.inputs = inputs();
  u.hidden = hidden;
  u.zeros = zeros.data();
  u.reset = at<const std::uint8_t>(where[3], agent * rows);
  u.first_h = at<const float>(where[4], agent * n[11]);
  u.first_h_row = n[12];
  u.first_c = at<const float>(where[5], agent * n[13]);
  u.first_c_row = n[14];
  const std::int64_t packed = kernels.packed(u.inputs, hidden);
  u.weights = at<const float>(where[6], agent * packed);
  lesson.weights_back = at<const float>(where[7], agent * packed);
  for (const auto& [from, apart, constants, policy, value] : decisions) {
    Deciding d;
    d.policy.layers = layers_of(policy);
    d.value.layers = layers_of(value);
    own.take(policy.size(), d.policy.weights, d.policy.biases);
    own.take(value.size(), d.value.weights, d.value.biases);
    d.mask = at<const float>(from[5], agent * d.policy.layers.back().outputs);
    learning::Judgement& j = d.judgement;
    j.rows = rows;
    j.choice_row = apart[0];
    j.number_row = apart[1];
    j.choice = at<const std::int64_t>(from[0], agent * rows * j.choice_row);
    j.log_prob = at<const float>(from[1], agent * rows * j.number_row);
    j.advantage = at<const float>(from[2], agent * rows * j.number_row);
    j.target = at<const float>(from[3], agent * rows * j.number_row);
    j.weight = at<const float>(from[4], agent * rows);
    j.clipped = constants[0] >= 0.0;
    j.clip = static_cast<float>(constants[0]);
    j.factor = static_cast<float>(constants[1]);
    j.value_coef = static_cast<float>(constants[2]);
    j.entropy_coef = static_cast<float>(constants[3]);
    lesson.decisions.push_back(d);
  }
  for (const auto& [from, constants, actions, own_layers] : predictions) {
    Decoding d;
    d.count = rows;
    d.memory = hidden;
    d.actions = actions;
    d.cells = n[3] * n[4];
    d.pixels = n[5];
    d.layers = layers_of(own_layers);
    d.coef = static_cast<float>(constants[0]);
    d.slope = static_cast<float>(constants[1]);
    own.take(own_layers.size() + 1, d.weights, d.biases);
    d.action = lesson.decisions.front().judgement.choice;
    d.action_row = lesson.decisions.front().judgement.choice_row;
    d.row_weight = at<const float>(from[1], agent * rows);
    d.shown = sight.shown;
    d.shown.views = at<const std::uint8_t>(from[0], agent * n[8]);
    lesson.predictions.push_back(d);
  }
  return lesson;
}

LessonGrads Given::grads_of(Parameters<float> own) const {
  LessonGrads g;
  own.take(layers.size(), g.sight.weights, g.sight.biases);
  std::vector<float*> weights, biases;
  own.take(2, weights, biases);
  g.input = weights[0];
  g.hidden = weights[1];
  g.bias_input = biases[0];
  g.bias_hidden = biases[1];
  for (const GivenDecision& one : decisions) {
    auto& [policy, value] = g.decisions.emplace_back();
    own.take(std::get<3>(one).size(), policy.weights, policy.biases);
    own.take(std::get<4>(one).size(), value.weights, value.biases);
  }
  for (const GivenPrediction& one : predictions) {
    learning::DecodingGrads& prediction = g.predictions.emplace_back();
    own.take(std::get<3>(one).size() + 1, prediction.weights, prediction.biases);
  }
  return g;
}

void Given::put(const Learnt& learnt, std::int64_t agent) const {
  std::vector<double> told = {learnt.loss};
  for (const learning::Losses& one : learnt.decisions) {
    for (const double x : {one.policy, one.value, one.entropy, one.divergence, one.share}) {
      told.push_back(x);
    }
  }
  for (const double error : learnt.errors) told.push_back(error);
  for (std::size_t i = 0; i < told.size(); ++i) {
    *at<float>(where[8], static_cast<std::int64_t>(i) * n[0] + agent) = static_cast<float>(told[i]);
  }
}

// Parameters: weights and biases of the layers that see, of the memory (input's and hidden), of
// policy and value of each decision, and of each prediction. Gradients likewise, or none. False
// where the views of an agent have too many different tiles; nothing is promised of results then.
bool learn(const Kernels& kernels, const std::array<std::uintptr_t, 9>& where,
           const std::array<std::int64_t, 15>& sizes, bool of_cells, const GivenLayers& layers,
           const GivenChannels& heard, const std::vector<GivenDecision>& decisions,
           const std::vector<GivenPrediction>& predictions, const Addresses& parameters,
           const Sizes& apart, const Addresses& grads, const Sizes& grads_apart, int threads) {
  const Unlocked unlocked;
  const Given given{kernels,
                    where,
                    sizes,
                    of_cells,
                    layers_of(layers),
                    heard,
                    decisions,
                    predictions,
                    std::vector<float>(static_cast<std::size_t>(sizes[10]))};
  const std::int64_t agents = sizes[0];
  std::vector<std::exception_ptr> failed(static_cast<std::size_t>(agents));
  std::vector<std::uint8_t> known(static_cast<std::size_t>(agents));
  const auto one = [&](std::int64_t agent) {
    const Lesson lesson = given.of(agent, {parameters, apart, agent});
    LessonGrads own;
    if (!grads.empty()) own = given.grads_of({grads, grads_apart, agent});
    Learnt learnt;
    if (!learning::learn_from(kernels, lesson, grads.empty() ? nullptr : &own, learnt)) return;
    given.put(learnt, agent);
    known[static_cast<std::size_t>(agent)] = 1;
  };
  share(agents, 1, static_cast<int>(std::min<std::int64_t>(threads, agents)),
        [&](std::int64_t agent, std::int64_t, std::int64_t) {
          try {
            one(agent);
          } catch (...) {
            failed[static_cast<std::size_t>(agent)] = std::current_exception();
          }
        });
  for (const std::exception_ptr& error : failed) {
    if (error) std::rethrow_exception(error);
  }
  return std::all_of(known.begin(), known.end(), [](std::uint8_t is) { return is != 0; });
}

}  // namespace

void add_lesson(py::class_<Kernels>& kernels) {
  kernels.def("learn", &learn, py::arg("where"), py::arg("sizes"), py::arg("of_cells"),
              py::arg("layers"), py::arg("heard"), py::arg("decisions"), py::arg("predictions"),
              py::arg("parameters"), py::arg("apart"), py::arg("grads"), py::arg("grads_apart"),
              py::arg("threads"));
}

}  // namespace socialgrid::bindings
