#include "given_outlook.hpp"

#include <limits>
#include <string>

#include "given_learners.hpp"

namespace py = pybind11;

namespace socialgrid::bindings {
namespace {

using learning::Layer;

constexpr std::int64_t kMostOutputs = 1 << 20;  // so that numbers of weights can be counted

// Whether a layer reads what the one before it writes.
bool follows(const Layer& layer, const Layer& before) {
  if (layer.kernel == 1 && layer.rows == 1 && layer.cols == 1) {
    return layer.inputs == before.results();
  }
  return layer.inputs == before.outputs && layer.rows == before.rows - before.kernel + 1 &&
         layer.cols == before.cols - before.kernel + 1;
}

void check_layers(const learning::Sight& sight) {
  const std::size_t windows = sight.of_cells ? 1 : 0;
  if (sight.layers.size() < windows + 2) {
    throw py::value_error("views: must be seen by windows of cells and layers behind those");
  }
  for (std::size_t i = 0; i < sight.layers.size(); ++i) {
    const Layer& layer = sight.layers[i];
    check_positive({layer.rows, layer.cols, layer.inputs, layer.outputs, layer.kernel});
    bool fits =
        layer.kernel <= layer.rows && layer.kernel <= layer.cols && layer.outputs <= kMostOutputs;
    if (i < windows) {
      fits = fits && layer.rows == 1 && layer.cols == 1 && layer.inputs == sight.pixels;
    } else if (i == windows) {
      const std::int64_t inputs = i == 0 ? sight.pixels : sight.layers[0].outputs;
      fits = fits && layer.rows == sight.rows && layer.cols == sight.cols && layer.inputs == inputs;
    } else {
      fits = fits && follows(layer, sight.layers[i - 1]);
    }
    if (!fits) {
      throw py::value_error(
          "views: layer " + std::to_string(i) +
          " must read what the one before it writes, and write at most 1048576 numbers");
    }
  }
  const Layer& last = sight.layers.back();
  if (last.pixels() != 1) throw py::value_error("views: the last layer must write one pixel");
}

}  // namespace

learning::Outlook outlook_of(const std::optional<GivenViews>& given, const GivenArrays& arrays,
                             std::int64_t inputs) {
  learning::Outlook found;
  found.features = inputs;
  found.bytes = inputs * static_cast<std::int64_t>(sizeof(float));
  if (!given) return found;
  found.views = true;
  const auto& [sizes, of_cells, layers] = *given;
  learning::Sight& sight = found.sight;
  sight.rows = sizes[0];
  sight.cols = sizes[1];
  found.side = sizes[2];
  sight.shown.number = sizes[3];
  check_positive({sight.rows, sight.cols, found.side});
  if (sight.rows * sight.cols > std::numeric_limits<std::uint16_t>::max() || found.side > 1024 ||
      sight.shown.number < 0 || sight.shown.number > 2) {
    throw py::value_error(
        "views: must have at most 65535 cells, tiles of at most 1024 pixels along a side, and "
        "numbers of 1 or 2 bytes or none");
  }
  sight.pixels = 3 * found.side * found.side;
  sight.of_cells = of_cells;
  sight.layers = layers_of(layers);
  sight.cells_a_tile = 2;  // a table costs less than the convolution that it replaces
  sight.most_tiles = 8192;
  check_layers(sight);
  const std::int64_t cell = sight.shown.number > 0 ? sight.shown.number : sight.pixels;
  found.bytes = sight.rows * sight.cols * cell;
  found.features = sight.layers.back().outputs;
  if (sight.shown.number > 0) {
    sight.shown.tiles = arrays.shape("atlas", 2)[0];
    check_positive({sight.shown.tiles});
    sight.shown.atlas = arrays.readable<std::uint8_t>("atlas", {sight.shown.tiles, sight.pixels});
  }
  return found;
}

}  // namespace socialgrid::bindings
