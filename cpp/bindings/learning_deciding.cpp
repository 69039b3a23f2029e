// Losses of policies and values of the learners, on the memory of others' tensors: see
// learning.cpp.
#include "deciding.hpp"

#include <pybind11/stl.h>

#include <array>
#include <cstdint>
#include <vector>

#include "given_layers.hpp"
#include "kernels.hpp"
#include "learning.hpp"
#include "unlocked.hpp"

namespace py = pybind11;

namespace socialgrid::bindings {
namespace {

using learning::Deciding;
using learning::DecidingGrads;
using learning::Kernels;

using Addresses = std::vector<std::uintptr_t>;
using Distances = std::vector<std::int64_t>;

template <typename T>
void divide(const GivenWeights<T>& all, std::size_t first, std::vector<T*>& weights,
            std::vector<T*>& biases, std::size_t count) {
  const auto begin = static_cast<std::ptrdiff_t>(first),
             end = begin + static_cast<std::ptrdiff_t>(count);
  weights.assign(all.weights.begin() + begin, all.weights.begin() + end);
  biases.assign(all.biases.begin() + begin, all.biases.begin() + end);
}

// Addresses: memories, choices, log-probabilities, advantages, targets, weights of rows, mask or 0,
// losses of the agents (six numbers each: the whole one, then its ingredients). Sizes: agents, rows
// of each, distance of choices, and of the numbers, from one row to the next. Constants: clip, or
// less than 0 for the policy gradient's loss, factor, value_coef, entropy_coef. Parameters: of the
// policy, then of the value. Gradients: of memories, then of those, or none.
void decide(const Kernels& kernels, const std::array<std::uintptr_t, 8>& where,
            const std::array<std::int64_t, 4>& n, const std::array<double, 4>& constants,
            const GivenLayers& policy, const GivenLayers& value, const Addresses& weights,
            const Distances& apart, std::uintptr_t grad_core, const Addresses& grads,
            const Distances& grads_apart, int threads) {
  const Unlocked unlocked;
  const std::int64_t agents = n[0], rows = n[1];
  Deciding all;
  all.policy.layers = layers_of(policy);
  all.value.layers = layers_of(value);
  learning::Judgement& judgement = all.judgement;
  judgement.rows = rows;
  judgement.choice_row = n[2];
  judgement.number_row = n[3];
  judgement.clipped = constants[0] >= 0.0;
  judgement.clip = static_cast<float>(constants[0]);
  judgement.factor = static_cast<float>(constants[1]);
  judgement.value_coef = static_cast<float>(constants[2]);
  judgement.entropy_coef = static_cast<float>(constants[3]);
  const std::int64_t memory = all.policy.layers.front().inputs;
  const std::int64_t choices = all.policy.layers.back().outputs;
  const auto one_agent = [&](std::int64_t agent) {
    Deciding d = all;
    const GivenWeights<const float> own(weights, apart, agent);
    divide(own, 0, d.policy.weights, d.policy.biases, policy.size());
    divide(own, policy.size(), d.value.weights, d.value.biases, value.size());
    d.core = at<const float>(where[0], agent * rows * memory);
    learning::Judgement& j = d.judgement;
    j.choice = at<const std::int64_t>(where[1], agent * rows * j.choice_row);
    j.log_prob = at<const float>(where[2], agent * rows * j.number_row);
    j.advantage = at<const float>(where[3], agent * rows * j.number_row);
    j.target = at<const float>(where[4], agent * rows * j.number_row);
    j.weight = at<const float>(where[5], agent * rows);
    d.mask = at<const float>(where[6], agent * choices);
    return d;
  };
  for (std::int64_t agent = 0; agent < agents; ++agent) learning::check(one_agent(agent));
  double products = 0.0;
  for (const auto* layers : {&all.policy.layers, &all.value.layers}) {
    for (const learning::Layer& layer : *layers) products += static_cast<double>(layer.weights());
  }
  share(agents, 1, worthwhile(threads, 3.0 * static_cast<double>(agents * rows) * products),
        [&](std::int64_t agent, std::int64_t, std::int64_t) {
          DecidingGrads g;
          if (grad_core != 0) {
            const GivenWeights<float> own(grads, grads_apart, agent);
            divide(own, 0, g.policy.weights, g.policy.biases, policy.size());
            divide(own, policy.size(), g.value.weights, g.value.biases, value.size());
            g.core = at<float>(grad_core, agent * rows * memory);
          }
          const learning::Losses found =
              learning::decide(kernels, one_agent(agent), grad_core == 0 ? nullptr : &g);
          const double whole = constants[1] * (found.policy + constants[2] * found.value) -
                               constants[3] * found.entropy;
          const std::array<double, 6> told = {whole,         found.policy,     found.value,
                                              found.entropy, found.divergence, found.share};
          for (std::size_t i = 0; i < told.size(); ++i) {
            *at<float>(where[7], static_cast<std::int64_t>(i) * agents + agent) =
                static_cast<float>(told[i]);
          }
        });
}

}  // namespace

void add_deciding(py::class_<Kernels>& kernels) {
  kernels.def("decide", &decide, py::arg("where"), py::arg("sizes"), py::arg("constants"),
              py::arg("policy"), py::arg("value"), py::arg("weights"), py::arg("apart"),
              py::arg("grad_core"), py::arg("grads"), py::arg("grads_apart"), py::arg("threads"));
}

}  // namespace socialgrid::bindings
