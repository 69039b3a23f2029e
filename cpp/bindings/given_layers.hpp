// Layers as they are given from Python.
#pragma once

#include <pybind11/stl.h>

#include <cstdint>
#include <tuple>
#include <vector>

#include "layers.hpp"

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

}  // namespace socialgrid::bindings
