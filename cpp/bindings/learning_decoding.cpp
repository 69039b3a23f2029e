// Predicted views of the learners, on the memory of others' tensors: see learning.cpp.
#include "decoding.hpp"

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

using learning::Decoding;
using learning::DecodingGrads;
using learning::Kernels;

// Addresses: memories, actions, weights of rows, views, atlas or 0, errors of the agents.
// Sizes: agents, rows of each, numbers of a memory, actions, cells, pixels of a cell, bytes of a
// tile's number, tiles, bytes from one agent's views to the next one's. Gradients: addresses and
// distances of memories' and of all weights' and biases', or none.
void decode(const Kernels& kernels, const std::array<std::uintptr_t, 6>& where,
            const std::array<std::int64_t, 9>& n, const GivenLayers& layers, double slope,
            const std::vector<std::uintptr_t>& weights, const std::vector<std::int64_t>& apart,
            std::uintptr_t grad_core, const std::vector<std::uintptr_t>& grads,
            const std::vector<std::int64_t>& grads_apart, int threads) {
  const Unlocked unlocked;
  const std::int64_t agents = n[0], count = n[1], memory = n[2];
  const std::vector<learning::Layer> all = layers_of(layers);
  double products = 0.0;
  for (const learning::Layer& layer : all) {
    products += static_cast<double>(count * layer.pixels()) * static_cast<double>(layer.weights());
  }
  const auto one_agent = [&](std::int64_t agent) {
    Decoding d;
    d.count = count;
    d.memory = memory;
    d.actions = n[3];
    d.cells = n[4];
    d.pixels = n[5];
    d.layers = all;
    d.slope = static_cast<float>(slope);
    const GivenWeights<const float> own(weights, apart, agent);
    d.weights = own.weights;
    d.biases = own.biases;
    d.core = at<const float>(where[0], agent * count * memory);
    d.action = at<const std::int64_t>(where[1], agent * count);
    d.row_weight = at<const float>(where[2], agent * count);
    d.shown.views = at<const std::uint8_t>(where[3], agent * n[8]);
    d.shown.number = n[6];
    d.shown.tiles = n[7];
    d.shown.atlas = at<const std::uint8_t>(where[4]);
    return d;
  };
  for (std::int64_t agent = 0; agent < agents; ++agent) learning::check(one_agent(agent));
  share(agents, 1, worthwhile(threads, 3.0 * static_cast<double>(agents) * products),
        [&](std::int64_t agent, std::int64_t, std::int64_t) {
          DecodingGrads g;
          if (grad_core != 0) {
            const GivenWeights<float> of_own(grads, grads_apart, agent);
            g.core = at<float>(grad_core, agent * count * memory);
            g.weights = of_own.weights;
            g.biases = of_own.biases;
          }
          *at<float>(where[5], agent) = static_cast<float>(
              learning::decode(kernels, one_agent(agent), grad_core == 0 ? nullptr : &g));
        });
}

}  // namespace

void add_decoding(py::class_<Kernels>& kernels) {
  kernels.def("decode", &decode, py::arg("where"), py::arg("sizes"), py::arg("layers"),
              py::arg("slope"), py::arg("weights"), py::arg("apart"), py::arg("grad_core"),
              py::arg("grads"), py::arg("grads_apart"), py::arg("threads"));
}

}  // namespace socialgrid::bindings
