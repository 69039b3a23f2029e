// Convolutions and look-ups of the learners, on the memory of others' tensors: see learning.cpp.
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "distinct.hpp"
#include "given_layers.hpp"
#include "kernels.hpp"
#include "learning.hpp"
#include "register.hpp"
#include "unlocked.hpp"

namespace py = pybind11;

namespace socialgrid::bindings {
namespace {

using learning::Images;
using learning::Kernels;
using learning::LookUp;
using learning::LookUpBack;

// Agents, then the images of each: count, rows, cols, inputs, outputs, kernel.
using ImageSizes = std::array<std::int64_t, 7>;
// Count, rows, cols, kernel, tiles, outputs.
using ViewSizes = std::array<std::int64_t, 6>;

struct Stack {
  std::int64_t agents, x_size, y_size, weight_size;
  Images one;

  explicit Stack(const ImageSizes& n) : agents(n[0]) {
    one.count = n[1];
    one.rows = n[2];
    one.cols = n[3];
    one.inputs = n[4];
    one.outputs = n[5];
    one.kernel = n[6];
    const std::int64_t edge = one.kernel - 1;
    x_size = one.count * one.rows * one.cols * one.inputs;
    y_size = one.count * (one.rows - edge) * (one.cols - edge) * one.outputs;
    weight_size = one.kernel * one.kernel * one.inputs * one.outputs;
  }

  double products() const {
    return static_cast<double>(agents * y_size) *
           static_cast<double>(one.kernel * one.kernel * one.inputs);
  }
};

// Addresses: weights, packed weights.
void pack_taps(const Kernels& kernels, const std::array<std::uintptr_t, 2>& where,
               const ImageSizes& sizes, bool spread) {
  const Unlocked unlocked;
  const Stack stack(sizes);
  const std::int64_t packed = kernels.packed_taps(stack.one, spread);
  for (std::int64_t agent = 0; agent < stack.agents; ++agent) {
    kernels.pack_taps(stack.one, at<const float>(where[0], agent * stack.weight_size), spread,
                      at<float>(where[1], agent * packed));
  }
}

// Addresses: images (spread: correlations), packed weights, bias or 0, result.
void convolve(const Kernels& kernels, const std::array<std::uintptr_t, 4>& where,
              const ImageSizes& sizes, bool spread, double slope, bool tanh, int threads) {
  const Unlocked unlocked;
  const Stack stack(sizes);
  const std::int64_t packed = kernels.packed_taps(stack.one, spread);
  share(stack.agents, stack.one.count, worthwhile(threads, stack.products()),
        [&](std::int64_t agent, std::int64_t begin, std::int64_t end) {
          Images images = stack.one;
          images.packed = at<const float>(where[1], agent * packed);
          images.slope = static_cast<float>(slope);
          images.tanh = tanh;
          if (spread) {
            images.y = at<const float>(where[0], agent * stack.y_size);
            images.bias = at<const float>(where[2], agent * images.inputs);
            images.to = at<float>(where[3], agent * stack.x_size);
            kernels.spread(images, begin, end);
          } else {
            images.x = at<const float>(where[0], agent * stack.x_size);
            images.bias = at<const float>(where[2], agent * images.outputs);
            images.to = at<float>(where[3], agent * stack.y_size);
            kernels.correlate(images, begin, end);
          }
        });
}

// Addresses: images, gradients of their correlations, transposed gradients of the weights.
void tap_gradients(const Kernels& kernels, const std::array<std::uintptr_t, 3>& where,
                   const ImageSizes& sizes, int threads) {
  const Unlocked unlocked;
  const Stack stack(sizes);
  const std::int64_t rows = stack.one.kernel * stack.one.kernel * stack.one.inputs;
  share(stack.agents, rows, worthwhile(threads, stack.products()),
        [&](std::int64_t agent, std::int64_t begin, std::int64_t end) {
          Images images = stack.one;
          images.x = at<const float>(where[0], agent * stack.x_size);
          images.y = at<const float>(where[1], agent * stack.y_size);
          images.to = at<float>(where[2], agent * stack.weight_size);
          kernels.tap_gradients(images, begin, end);
        });
}

// Addresses: gradients of results, results, gradients before leaky ReLU, their sums. Sizes: agents,
// rows, columns.
void rectified(const Kernels& kernels, const std::array<std::uintptr_t, 4>& where,
               const std::array<std::int64_t, 3>& sizes, double slope) {
  const Unlocked unlocked;
  const auto [agents, rows, columns] = sizes;
  for (std::int64_t agent = 0; agent < agents; ++agent) {
    const std::int64_t from = agent * rows * columns;
    kernels.rectified(at<const float>(where[0], from), at<const float>(where[1], from),
                      static_cast<float>(slope), rows, columns, at<float>(where[2], from),
                      at<float>(where[3], agent * columns));
  }
}

LookUp views_of(const ViewSizes& n, double slope) {
  LookUp l;
  l.count = n[0];
  l.rows = n[1];
  l.cols = n[2];
  l.kernel = n[3];
  l.tiles = n[4];
  l.outputs = n[5];
  l.slope = static_cast<float>(slope);
  return l;
}

double additions(const LookUp& l) {
  return static_cast<double>(l.count * l.rows * l.cols) *
         static_cast<double>(l.kernel * l.kernel * l.outputs);
}

// Copies `rows` rows of `from` numbers as rows of `to`, as far as both reach.
void copy_rows(const float* source, std::int64_t from, float* target, std::int64_t to,
               std::int64_t rows) {
  for (std::int64_t row = 0; row < rows; ++row) {
    std::copy_n(source + row * from, std::min(from, to), target + row * to);
  }
}

// What is looked up where. Addresses: numbers of tiles, table, bias. Both are padded in `room`.
void put_table(const Kernels& kernels, const std::uintptr_t* where, Numbers& room, LookUp& l) {
  const std::int64_t padded = kernels.padded_outputs(l.outputs);
  const std::int64_t entries = l.kernel * l.kernel * l.tiles;
  room.resize((entries + 1) * padded);
  copy_rows(at<const float>(where[1]), l.outputs, room.data(), padded, entries);
  copy_rows(at<const float>(where[2]), l.outputs, room.data() + entries * padded, padded, 1);
  l.cells = at<const std::uint16_t>(where[0]);
  l.table = room.data();
  l.bias = room.data() + entries * padded;
  l.tile = padded;
  l.place = l.tiles * padded;
}

// Addresses: numbers of tiles, table, bias, result.
void look_up(const Kernels& kernels, const std::array<std::uintptr_t, 4>& where,
             const ViewSizes& sizes, double slope, int threads) {
  const Unlocked unlocked;
  LookUp l = views_of(sizes, slope);
  Numbers room;
  put_table(kernels, where.data(), room, l);
  l.out = at<float>(where[3]);
  share(
      1, l.count, worthwhile(threads, additions(l)),
      [&](std::int64_t, std::int64_t begin, std::int64_t end) { kernels.look_up(l, begin, end); });
}

// Addresses: numbers of tiles, result, its gradient, gradients of the table and of the bias.
void look_up_back(const Kernels& kernels, const std::array<std::uintptr_t, 5>& where,
                  const ViewSizes& sizes, double slope, int threads) {
  const Unlocked unlocked;
  LookUp l = views_of(sizes, slope);
  const std::int64_t padded = kernels.padded_outputs(l.outputs);
  const std::int64_t entries = l.kernel * l.kernel * l.tiles;
  Numbers table((entries + 1) * padded);
  l.tile = padded;
  l.place = l.tiles * padded;
  l.cells = at<const std::uint16_t>(where[0]);
  l.out = at<float>(where[1]);
  LookUpBack back;
  back.grad = at<const float>(where[2]);
  back.grad_table = table.data();
  back.common = kernels.common_tile(l);
  float* bias = table.data() + entries * padded;
  share(1, l.kernel * l.kernel, worthwhile(threads, additions(l)),
        [&](std::int64_t, std::int64_t begin, std::int64_t end) {
          Numbers margins(kernels.margins(l)), sums(padded);
          std::vector<std::int32_t> lists(
              static_cast<std::size_t>(5 * l.tiles + 2 * l.rows * l.cols));
          LookUpBack own = back;
          own.margins = margins.data();
          own.sums = sums.data();
          own.lists = lists.data();
          kernels.look_up_back(l, own, begin, end);
          kernels.look_up_rest(l, own, begin, end);
          if (begin == 0) std::copy_n(sums.data(), padded, bias);
        });
  copy_rows(table.data(), padded, at<float>(where[3]), l.outputs, entries);
  copy_rows(bias, padded, at<float>(where[4]), l.outputs, 1);
}

// A look-up and the layers after it, whose weights and biases follow each other. Addresses: numbers
// of tiles, table, bias. The table is padded in `room`.
learning::Encoding encoding_of(const Kernels& kernels, const std::array<std::uintptr_t, 3>& where,
                               const ViewSizes& sizes, double slope, const GivenLayers& layers,
                               const std::vector<std::uintptr_t>& weights, Numbers& room) {
  learning::Encoding e;
  e.first = views_of(sizes, slope);
  put_table(kernels, where.data(), room, e.first);
  e.layers = layers_of(layers);
  for (std::size_t i = 0; i < e.layers.size(); ++i) {
    e.weights.push_back(at<const float>(weights.at(2 * i)));
    e.biases.push_back(at<const float>(weights.at(2 * i + 1)));
  }
  return e;
}

void encode(const Kernels& kernels, const std::array<std::uintptr_t, 3>& where,
            const ViewSizes& sizes, double slope, const GivenLayers& layers,
            const std::vector<std::uintptr_t>& weights, std::uintptr_t features, int threads) {
  const Unlocked unlocked;
  Numbers room;
  const learning::Encoding e = encoding_of(kernels, where, sizes, slope, layers, weights, room);
  double products = additions(e.first);
  for (const learning::Layer& layer : e.layers) {
    products +=
        static_cast<double>(e.first.count * layer.pixels()) * static_cast<double>(layer.weights());
  }
  const learning::ReadyLayers ready =
      learning::ready_layers(kernels, e.layers, e.weights, e.biases, false);
  share(1, e.first.count, worthwhile(threads, products),
        [&](std::int64_t, std::int64_t begin, std::int64_t end) {
          learning::encode(kernels, e, ready, at<float>(features), nullptr, begin, end);
        });
}

// Addresses of gradients: of features (and those themselves), table, bias, then of weights and
// biases.
void encode_back(const Kernels& kernels, const std::array<std::uintptr_t, 3>& where,
                 const ViewSizes& sizes, double slope, const GivenLayers& layers,
                 const std::vector<std::uintptr_t>& weights,
                 const std::array<std::uintptr_t, 4>& back,
                 const std::vector<std::uintptr_t>& grads) {
  const Unlocked unlocked;
  Numbers room;
  const learning::Encoding e = encoding_of(kernels, where, sizes, slope, layers, weights, room);
  const std::int64_t padded = e.first.tile,
                     entries = e.first.kernel * e.first.place / padded * e.first.kernel;
  Numbers table((entries + 1) * padded);
  learning::EncodingGrads g;
  g.features = at<const float>(back[0]);
  g.grad = at<const float>(back[1]);
  g.table = table.data();
  g.bias = table.data() + entries * padded;
  for (std::size_t i = 0; i < e.layers.size(); ++i) {
    g.weights.push_back(at<float>(grads.at(2 * i)));
    g.biases.push_back(at<float>(grads.at(2 * i + 1)));
  }
  const learning::ReadyLayers ready =
      learning::ready_layers(kernels, e.layers, e.weights, e.biases, true);
  learning::encode_back(kernels, e, ready, g);
  copy_rows(g.table, padded, at<float>(back[2]), e.first.outputs, entries);
  copy_rows(g.bias, padded, at<float>(back[3]), e.first.outputs, 1);
}

// Addresses: rows [count, columns], the place of each int64, sums.
void add_rows(const Kernels& kernels, const std::array<std::uintptr_t, 3>& where,
              std::int64_t count, std::int64_t columns) {
  const Unlocked unlocked;
  kernels.add_rows(at<const float>(where[0]), at<const std::int64_t>(where[1]), count, columns,
                   at<float>(where[2]));
}

// Addresses: rows of bytes, number of each (uint16, or int64 where wide), first row of each number.
std::int64_t distinct(const std::array<std::uintptr_t, 3>& where, std::int64_t count,
                      std::int64_t bytes, std::int64_t limit, bool wide) {
  const Unlocked unlocked;
  const auto* rows = at<const std::uint8_t>(where[0]);
  auto* first = at<std::int64_t>(where[2]);
  return wide ? learning::distinct(rows, count, bytes, limit, at<std::int64_t>(where[1]), first)
              : learning::distinct(rows, count, bytes, limit, at<std::uint16_t>(where[1]), first);
}

}  // namespace

void add_images(py::class_<Kernels>& kernels, py::module_& module) {
  kernels
      .def(
          "packed_taps",
          [](const Kernels& own, const ImageSizes& sizes, bool spread) {
            return own.packed_taps(Stack(sizes).one, spread);
          },
          py::arg("sizes"), py::arg("spread"))
      .def("pack_taps", &pack_taps, py::arg("where"), py::arg("sizes"), py::arg("spread"))
      .def("convolve", &convolve, py::arg("where"), py::arg("sizes"), py::arg("spread"),
           py::arg("slope"), py::arg("tanh"), py::arg("threads"))
      .def("tap_gradients", &tap_gradients, py::arg("where"), py::arg("sizes"), py::arg("threads"))
      .def(
          "tanh",
          [](const Kernels& own, std::uintptr_t x, std::int64_t count) {
            const Unlocked unlocked;
            own.tanh_all(at<float>(x), count);
          },
          py::arg("x"), py::arg("count"))
      .def("rectified", &rectified, py::arg("where"), py::arg("sizes"), py::arg("slope"))
      .def("look_up", &look_up, py::arg("where"), py::arg("sizes"), py::arg("slope"),
           py::arg("threads"))
      .def("look_up_back", &look_up_back, py::arg("where"), py::arg("sizes"), py::arg("slope"),
           py::arg("threads"))
      .def("encode", &encode, py::arg("where"), py::arg("sizes"), py::arg("slope"),
           py::arg("layers"), py::arg("weights"), py::arg("features"), py::arg("threads"))
      .def("encode_back", &encode_back, py::arg("where"), py::arg("sizes"), py::arg("slope"),
           py::arg("layers"), py::arg("weights"), py::arg("back"), py::arg("grads"))
      .def("add_rows", &add_rows, py::arg("where"), py::arg("count"), py::arg("columns"));
  module.def("distinct", &distinct, py::arg("where"), py::arg("count"), py::arg("bytes"),
             py::arg("limit"), py::arg("wide"));
}

}  // namespace socialgrid::bindings
