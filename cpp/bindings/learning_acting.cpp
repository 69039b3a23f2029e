// Acting in one call, on the memory of others' tensors: see learning.cpp.
#include <pybind11/stl.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "acting.hpp"
#include "given_layers.hpp"
#include "learning.hpp"
#include "unlocked.hpp"

namespace py = pybind11;

namespace socialgrid::bindings {
namespace {

using learning::Acting;
using learning::Kernels;
using learning::Layer;

// Address, distance of environments, distance of agents.
using GivenTable = std::tuple<std::uintptr_t, std::int64_t, std::int64_t>;

// Views: rows, cols, pixels along the side of a tile, bytes of a number, tiles.
std::unique_ptr<Acting> make_acting(
    const Kernels& kernels, std::int64_t agents, const std::array<std::int64_t, 5>& views,
    const py::bytes& atlas, const GivenLayers& encoder, bool of_cells, std::int64_t memory,
    const std::vector<std::array<std::int64_t, 3>>& heard,
    const std::vector<std::pair<GivenLayers, GivenLayers>>& deciders, std::vector<float> mask) {
  learning::Network n;
  n.agents = agents;
  n.views = {views[0], views[1], views[2], views[3], views[4]};
  const auto pixels = static_cast<std::string_view>(atlas);
  n.atlas.assign(pixels.begin(), pixels.end());
  std::vector<Layer> layers = layers_of(encoder);
  n.features = layers.back().outputs;
  if (of_cells) {
    n.cell = layers.front();
    layers.erase(layers.begin());
  }
  n.first = layers.front();
  layers.erase(layers.begin());
  n.layers = std::move(layers);
  n.memory = memory;
  for (const auto& one : heard) n.heard.push_back({one[0], one[1], one[2]});
  for (const auto& [policy, value] : deciders) {
    n.deciders.push_back({layers_of(policy), layers_of(value)});
  }
  n.mask = std::move(mask);
  return std::make_unique<Acting>(kernels, std::move(n));
}

template <typename T>
learning::Table<T> table_of(const GivenTable& given) {
  const auto [address, env, agent] = given;
  return {at<T>(address), env, agent};
}

// Tables: views, state, reset, tokens, state before, state after, tokens told; then of each decider
// uniform numbers, choices, log-probabilities, values.
void act(Acting& acting, const std::vector<GivenTable>& tables, std::int64_t begin,
         std::int64_t end) {
  constexpr std::size_t kShared = 7, kEach = 4;
  if (tables.size() != kShared + kEach * acting.deciders()) {
    throw py::value_error("acting: " + std::to_string(tables.size()) + " tables, expected " +
                          std::to_string(kShared + kEach * acting.deciders()));
  }
  const Unlocked unlocked;
  learning::Step step;
  step.views = table_of<const std::uint8_t>(tables[0]);
  step.state = table_of<const float>(tables[1]);
  step.reset = table_of<const std::uint8_t>(tables[2]);
  step.tokens = table_of<const std::int16_t>(tables[3]);
  step.before = table_of<float>(tables[4]);
  step.after = table_of<float>(tables[5]);
  step.told = table_of<std::int16_t>(tables[6]);
  for (std::size_t i = kShared; i < tables.size(); i += kEach) {
    step.decided.push_back({table_of<const float>(tables[i]), table_of<std::int64_t>(tables[i + 1]),
                            table_of<float>(tables[i + 2]), table_of<float>(tables[i + 3])});
  }
  acting.act(step, begin, end);
}

void load(Acting& acting, const std::vector<std::uintptr_t>& parameters) {
  if (parameters.size() != acting.parameters()) {
    throw py::value_error("acting: " + std::to_string(parameters.size()) +
                          " parameters, expected " + std::to_string(acting.parameters()));
  }
  const Unlocked unlocked;
  std::vector<const float*> found;
  for (const std::uintptr_t address : parameters) found.push_back(at<const float>(address));
  acting.load(found);
}

}  // namespace

void add_acting(py::module_& module) {
  py::class_<Acting>(module, "Acting")
      .def(py::init(&make_acting), py::arg("kernels"), py::arg("agents"), py::arg("views"),
           py::arg("atlas"), py::arg("encoder"), py::arg("of_cells"), py::arg("memory"),
           py::arg("heard"), py::arg("deciders"), py::arg("mask"))
      .def("load", &load, py::arg("parameters"))
      .def("act", &act, py::arg("tables"), py::arg("begin"), py::arg("end"));
}

}  // namespace socialgrid::bindings
