// What is learnt from, and what is made of, shards of a recorded batch where they lie: see
// learning.cpp.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

#include "given_minibatches.hpp"
#include "kernels.hpp"
#include "learning.hpp"
#include "unlocked.hpp"

namespace py = pybind11;

namespace socialgrid::bindings {
namespace {

using learning::Gathered;
using learning::Kernels;

constexpr double kProductsOfAStep = 30.0;  // that take as long as Adam does for a number

// The gradients of a minibatch, the first of those given, and what was learnt. Addresses of numbers
// [rows, agents], and of gradients by parameter, an agent's next to another's. False where the
// views of an agent have too many different tiles; nothing is promised of results then.
bool learn_shards(const Kernels& kernels, const GivenNetwork& given, const GivenMinibatches& drawn,
                  std::uintptr_t found, const Addresses& grads, int threads) {
  Unlocked unlocked;
  Signals signals(unlocked);
  const Network network(kernels, given);
  Minibatch minibatch(kernels, network, drawn, 0);
  const std::int64_t rows = network.rows();
  const auto agents = static_cast<std::int64_t>(std::get<2>(drawn).size());
  const auto put = [&](std::int64_t agent) {
    const float* from = minibatch.whole(agent);
    for (std::int64_t i = 0; i < rows; ++i) *at<float>(found, i * agents + agent) = from[i];
    from += rows;
    for (std::size_t i = 0; i < grads.size(); ++i) {
      const std::int64_t own = network.apart()[i];
      std::copy_n(from, own, at<float>(grads[i], agent * own));
      from += own;
    }
  };
  return all_of_them<Gathered>(
      minibatch.pieces(), threads, &signals, [&](std::int64_t piece, Gathered& desk) {
        const Minibatch::Found known = minibatch.learn(piece, desk, signals);
        if (known == Minibatch::Found::all) put(minibatch.agent_of(piece));
        return known != Minibatch::Found::unknown;
      });
}

// Steps of Adam. Addresses of parameters, gradients and both moments of every part of a network,
// and numbers of an agent in it; of every agent that takes a step its place among the moments, its
// row, its steps, this one included, its rate, and a factor of its gradients. All of them, whatever
// signals come.
void descend_parts(const Kernels& kernels, const std::vector<std::array<std::uintptr_t, 4>>& parts,
                   const Sizes& apart, const std::vector<std::array<double, 5>>& agents,
                   const std::array<double, 3>& constants, int threads) {
  const Unlocked unlocked;
  const auto count = static_cast<std::int64_t>(parts.size());
  const auto steps = static_cast<std::int64_t>(agents.size());
  double numbers = 0.0;
  for (const std::int64_t own : apart) numbers += static_cast<double>(own * steps);
  struct Nothing {};
  all_of_them<Nothing>(count * steps, worthwhile(threads, kProductsOfAStep * numbers), nullptr,
                       [&](std::int64_t i, Nothing&) {
                         const auto part = static_cast<std::size_t>(i % count);
                         const auto& [agent, row, taken, rate, scale] =
                             agents[static_cast<std::size_t>(i / count)];
                         learning::Descent d = descent_of(parts[part], constants, apart[part],
                                                          static_cast<std::int64_t>(row),
                                                          static_cast<std::int64_t>(agent));
                         d.steps = taken;
                         d.rate = rate;
                         d.scale = scale;
                         kernels.descend(d);
                         return true;
                       });
}

// Norms of the gradients of agents, of whose parts are given addresses and numbers of an agent.
std::vector<double> norms(const Kernels& kernels, const Addresses& grads, const Sizes& apart,
                          std::int64_t agents) {
  const Unlocked unlocked;
  std::vector<double> found;
  for (std::int64_t agent = 0; agent < agents; ++agent) {
    double squares = 0.0;
    for (std::size_t i = 0; i < grads.size(); ++i) {
      const double own = kernels.norm(at<const float>(grads[i], agent * apart[i]), apart[i]);
      squares += own * own;
    }
    found.push_back(std::sqrt(squares));
  }
  return found;
}

}  // namespace

void add_shards(py::class_<Kernels>& kernels) {
  kernels.def("descend_parts", &descend_parts, py::arg("parts"), py::arg("apart"),
              py::arg("agents"), py::arg("constants"), py::arg("threads"));
  kernels.def("norms", &norms, py::arg("grads"), py::arg("apart"), py::arg("agents"));
  kernels.def("learn_shards", &learn_shards, py::arg("network"), py::arg("minibatches"),
              py::arg("found"), py::arg("grads"), py::arg("threads"));
}

}  // namespace socialgrid::bindings
