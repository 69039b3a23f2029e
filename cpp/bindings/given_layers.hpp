// Layers as they are given from Python.
#pragma once

#include <pybind11/stl.h>

#include <cstdint>
#include <tuple>
#include <vector>

#include "layers.hpp"
#include "learning.hpp"

namespace socialgrid::bindings {

// Rows, cols, inputs, outputs, kernel, slope, whether tanh follows.
using GivenLayer =
    std::tuple<std::int64_t, std::int64_t, std::int64_t, std::int64_t, std::int64_t, double, bool>;
using GivenLayers = std::vector<GivenLayer>;

inline learning::Layer layer_of(const GivenLayer& given) {
  learning::Layer layer;
  double slope = 1.0;
  std::tie(layer.rows, layer.cols, layer.inputs, layer.outputs, layer.kernel, slope, layer.tanh) =
      given;
  layer.slope = static_cast<float>(slope);
  return layer;
}

inline std::vector<learning::Layer> layers_of(const GivenLayers& given) {
  std::vector<learning::Layer> layers;
  for (const GivenLayer& one : given) layers.push_back(layer_of(one));
  return layers;
}

// Weights and biases, or their gradients, of one agent: addresses of the first agent's in turn, and
// numbers from one agent to the next.
template <typename T>
struct GivenWeights {
  std::vector<T*> weights, biases;

  GivenWeights(const std::vector<std::uintptr_t>& where, const std::vector<std::int64_t>& apart,
               std::int64_t agent) {
    for (std::size_t i = 0; i + 1 < where.size(); i += 2) {
      weights.push_back(at<T>(where[i], agent * apart.at(i)));
      biases.push_back(at<T>(where[i + 1], agent * apart.at(i + 1)));
    }
  }
};

}  // namespace socialgrid::bindings
