// What agents would do had others done something else: see learning.cpp.
#include "counterfactual.hpp"

#include <array>
#include <cstdint>
#include <tuple>
#include <vector>

#include "given_network.hpp"
#include "kernels.hpp"
#include "learning.hpp"
#include "unlocked.hpp"

namespace py = pybind11;

namespace socialgrid::bindings {
namespace {

using learning::Asked;
using learning::Counterfactual;
using learning::Kernels;

// First output and how many; how many choices there are; addresses of the other one's
// probabilities, its choices, the agent's actions, who counts, whose influence is known, influence,
// and of what is listened to; distances of the first six from one row to the next.
using GivenAsked = std::tuple<std::array<std::int64_t, 3>, std::array<std::uintptr_t, 7>,
                              std::array<std::int64_t, 6>>;
// Addresses of gates, of the choices' weights, of c, of the numbers of codes that are heard and of
// their weights; rows, choices, units, distance of c from one row to the next, columns that are
// heard, codes; layers of the head, with addresses of weights and biases in turn, and of a mask or
// 0; who is asked.
using GivenCounterfactual =
    std::tuple<std::array<std::uintptr_t, 5>, std::array<std::int64_t, 6>, GivenLayers, Addresses,
               std::uintptr_t, std::vector<GivenAsked>>;

Asked asked_of(const GivenAsked& given, std::int64_t rows, std::int64_t choices, int divergence) {
  const auto& [n, where, apart] = given;
  Asked one;
  one.first = n[0];
  learning::Exertion& e = one.exertion;
  e.divergence = static_cast<learning::Divergence>(divergence);
  e.rows = rows;
  e.choices = choices;
  e.actions = n[1];
  e.possible = n[2];
  e.weights = at<const float>(where[0]);
  e.taken = at<const std::int64_t>(where[1]);
  e.then = at<const std::int64_t>(where[2]);
  e.counts = at<const std::uint8_t>(where[3]);
  e.known = at<const std::uint8_t>(where[4]);
  e.exerted = at<float>(where[5]);
  e.listening = at<double>(where[6]);
  e.weights_row = apart[0];
  e.taken_row = apart[1];
  e.then_row = apart[2];
  e.counts_row = apart[3];
  e.known_row = apart[4];
  e.exerted_row = apart[5];
  return one;
}

Counterfactual counterfactual_of(const GivenCounterfactual& given, int divergence) {
  const auto& [where, n, layers, parameters, mask, asked] = given;
  Counterfactual c;
  learning::Alternatives& a = c.alternatives;
  a.count = n[0];
  a.choices = n[1];
  a.hidden = n[2];
  a.gates = at<const float>(where[0]);
  a.weights = at<const float>(where[1]);
  a.c = at<const float>(where[2]);
  a.c_row = n[3];
  a.columns = n[4];
  a.heard = at<const std::int32_t>(where[3]);
  a.codes = at<const float>(where[4]);
  c.codes = n[5];
  c.head.layers = layers_of(layers);
  Parameters<const float> own(parameters, Sizes(parameters.size()), 0);
  own.take(layers.size(), c.head.weights, c.head.biases);
  c.mask = at<const float>(mask);
  for (const GivenAsked& one : asked) c.asked.push_back(asked_of(one, n[0], n[1], divergence));
  return c;
}

// Divergence: 0 is kl, 1 jsd, 2 pmi. No two write to the same numbers.
void exert(const Kernels& kernels, const std::vector<GivenCounterfactual>& given, int divergence,
           int threads) {
  const Unlocked unlocked;
  struct Nothing {};
  const auto count = static_cast<std::int64_t>(given.size());
  all_of_them<Nothing>(count, threads, nullptr, [&](std::int64_t i, Nothing&) {
    learning::exert(kernels, counterfactual_of(given[static_cast<std::size_t>(i)], divergence));
    return true;
  });
}

}  // namespace

void add_counterfactual(py::class_<Kernels>& kernels) {
  kernels.def("exert", &exert, py::arg("given"), py::arg("divergence"), py::arg("threads"));
}

}  // namespace socialgrid::bindings
