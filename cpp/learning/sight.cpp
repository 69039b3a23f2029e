#include "sight.hpp"

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "distinct.hpp"

namespace socialgrid::learning {
namespace {

constexpr double kWorthSharing = 0.9;  // share of distinct views from which on all are encoded

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

}  // namespace

ReadyLayers ready_layers(const Kernels& kernels, const Sight& sight, bool back) {
  const std::int64_t from = sight.of_cells ? 2 : 1;
  const auto both = [from](const auto& own, const auto& other) {
    std::decay_t<decltype(own)> found(own.begin() + from, own.end());
    found.insert(found.end(), other.begin(), other.end());
    return found;
  };
  return ready_layers(kernels, both(sight.layers, sight.other),
                      both(sight.weights, sight.other_weights),
                      both(sight.biases, sight.other_biases), back);
}

Seen::Seen(const Kernels& kernels, const Sight& sight, bool back)
    : kernels_(kernels), sight_(sight), back_(back) {
  const Layer& window = sight.layers[sight.of_cells ? 1 : 0];
  places_ = window.kernel * window.kernel;
  padded_ = kernels.padded_outputs(window.outputs);
  const std::int64_t cells = sight.count * sight.rows * sight.cols;
  const std::int64_t limit = std::min(sight.most_tiles, cells / sight.cells_a_tile);
  const std::int64_t bytes = sight.shown.number > 0 ? sight.shown.number : sight.pixels;
  std::vector<std::int64_t> first(index(limit));
  numbers_.resize(index(cells));
  const std::int64_t found =
      distinct(sight.shown.views, cells, bytes, limit, numbers_.data(), first.data());
  if (found > limit) return;
  tiles_ = found;
  read_tiles(first);
  share_views();
  table_.push_back(make_table());
  LookUp& l = encoding_.first;
  l.count = views_;
  l.rows = sight.rows;
  l.cols = sight.cols;
  l.kernel = window.kernel;
  l.tiles = tiles_;
  l.outputs = window.outputs;
  l.slope = window.slope;
  l.cells = place_.empty() ? numbers_.data() : distinct_.data();
  l.table = table_[0].forward(pixels_.data(), tiles_);
  l.tile = places_ * padded_;
  l.place = padded_;
  const std::size_t from = sight.of_cells ? 2 : 1;
  bias_.resize(padded_);
  std::copy_n(sight.biases[from - 1], window.outputs, bias_.data());
  l.bias = bias_.data();
  for (std::size_t i = from; i < sight.layers.size(); ++i) {
    encoding_.layers.push_back(sight.layers[i]);
    encoding_.weights.push_back(sight.weights[i]);
    encoding_.biases.push_back(sight.biases[i]);
  }
  encoding_.others = sight.other.size();
  if (encoding_.others > 0) encoding_.fork = sight.fork - from;
  for (std::size_t i = 0; i < sight.other.size(); ++i) {
    encoding_.layers.push_back(sight.other[i]);
    encoding_.weights.push_back(sight.other_weights[i]);
    encoding_.biases.push_back(sight.other_biases[i]);
  }
  if (sight.ready == nullptr) own_ = ready_layers(kernels, sight, back);
  ready_ = sight.ready == nullptr ? &own_ : sight.ready;
}

void Seen::read_tiles(const std::vector<std::int64_t>& first) {
  const Shown& shown = sight_.shown;
  pixels_.resize(tiles_ * sight_.pixels);
  for (std::int64_t tile = 0; tile < tiles_; ++tile) {
    const std::int64_t place = first[index(tile)];
    const std::uint8_t* from = shown.views + place * sight_.pixels;
    if (shown.number > 0) {
      const std::int32_t number = shown.at(place);
      if (number >= shown.tiles) {
        throw std::out_of_range("a view shows tile " + std::to_string(number) +
                                ", but there are only " + std::to_string(shown.tiles));
      }
      from = shown.atlas + number * sight_.pixels;
    }
    for (std::int64_t j = 0; j < sight_.pixels; ++j) {
      pixels_.data()[tile * sight_.pixels + j] = static_cast<float>(from[j]) / 255.0f;
    }
  }
}

void Seen::share_views() {
  const std::int64_t cells = sight_.rows * sight_.cols;
  std::vector<std::int64_t> first(index(sight_.count));
  place_.resize(index(sight_.count));
  views_ = distinct(reinterpret_cast<const std::uint8_t*>(numbers_.data()), sight_.count,
                    cells * static_cast<std::int64_t>(sizeof(std::uint16_t)), sight_.count,
                    place_.data(), first.data());
  if (static_cast<double>(views_) > kWorthSharing * static_cast<double>(sight_.count)) {
    views_ = sight_.count;
    place_.clear();
    return;
  }
  distinct_.resize(index(views_ * cells));
  for (std::int64_t i = 0; i < views_; ++i) {
    std::copy_n(numbers_.data() + first[index(i)] * cells, cells, distinct_.data() + i * cells);
  }
}

// From a tile's pixels to what it adds at every place of the window.
Head Seen::make_table() const {
  const std::size_t at = sight_.of_cells ? 1 : 0;
  const Layer& window = sight_.layers[at];
  std::vector<Layer> layers(sight_.layers.begin(), sight_.layers.begin() + (at + 1));
  std::vector<const float*> weights(sight_.weights.begin(), sight_.weights.begin() + (at + 1));
  std::vector<const float*> biases(sight_.biases.begin(), sight_.biases.begin() + (at + 1));
  Layer places;
  places.inputs = window.inputs;
  places.outputs = places_ * padded_;
  Numbers turned(places.outputs * places.inputs), zeros(places.outputs);
  for (std::int64_t o = 0; o < window.outputs; ++o) {
    for (std::int64_t p = 0; p < places_; ++p) {
      std::copy_n(sight_.weights[at] + (o * places_ + p) * window.inputs, window.inputs,
                  turned.data() + (p * padded_ + o) * window.inputs);
    }
  }
  layers.back() = places;
  weights.back() = turned.data();
  biases.back() = zeros.data();
  return Head(kernels_, layers, weights, biases, tiles_, 0.0f, nullptr, back_);
}

void Seen::features(const Features<float>& to) {
  const std::int64_t width = encoding_.width(), other = encoding_.layers.back().outputs;
  features_.resize(views_ * width);
  if (to.other != nullptr) other_.resize(views_ * other);
  encode(kernels_, encoding_, *ready_, features_.data(),
         to.other == nullptr ? nullptr : other_.data(), 0, views_);
  for (std::int64_t n = 0; n < sight_.count; ++n) {
    std::copy_n(features_.data() + place(n) * width, width, to.data + n * to.row);
    if (to.other == nullptr) continue;
    std::copy_n(other_.data() + place(n) * other, other, to.other + n * to.other_row);
  }
}

void Seen::back(const Features<const float>& grad, const SightGrads& grads) {
  const std::size_t from = sight_.of_cells ? 2 : 1;
  const Layer& window = sight_.layers[from - 1];
  const std::int64_t width = encoding_.width(), other = encoding_.layers.back().outputs;
  const bool both = encoding_.others > 0;
  Numbers given(views_ * width), table(tiles_ * places_ * padded_), bias(padded_);
  Numbers other_given(both ? views_ * other : 0);
  const auto gather = [&](const float* rows, std::int64_t row, std::int64_t numbers, float* to) {
    for (std::int64_t n = 0; n < sight_.count; ++n) {
      float* own = to + place(n) * numbers;
      for (std::int64_t j = 0; j < numbers; ++j) own[j] += rows[n * row + j];
    }
  };
  gather(grad.data, grad.row, width, given.data());
  if (both) gather(grad.other, grad.other_row, other, other_given.data());
  EncodingGrads g;
  g.features = features_.data();
  g.grad = given.data();
  g.other = other_.data();
  g.grad_other = other_given.data();
  g.table = table.data();
  g.bias = bias.data();
  for (std::size_t i = from; i < sight_.layers.size(); ++i) {
    std::fill_n(grads.biases[i], sight_.layers[i].outputs, 0.0f);
    g.weights.push_back(grads.weights[i]);
    g.biases.push_back(grads.biases[i]);
  }
  for (std::size_t i = 0; i < sight_.other.size(); ++i) {
    std::fill_n(grads.other_biases[i], sight_.other[i].outputs, 0.0f);
    g.weights.push_back(grads.other_weights[i]);
    g.biases.push_back(grads.other_biases[i]);
  }
  encode_back(kernels_, encoding_, *ready_, g);
  std::copy_n(bias.data(), window.outputs, grads.biases[from - 1]);
  table_[0].back(pixels_.data(), table.data(), tiles_, nullptr, false);
  Numbers turned(places_ * padded_ * window.inputs), unused(places_ * padded_);
  std::vector<float*> weights(grads.weights.begin(), grads.weights.begin() + from);
  std::vector<float*> biases(grads.biases.begin(), grads.biases.begin() + from);
  weights.back() = turned.data();
  biases.back() = unused.data();
  table_[0].finish(weights, biases);
  for (std::int64_t o = 0; o < window.outputs; ++o) {
    for (std::int64_t p = 0; p < places_; ++p) {
      std::copy_n(turned.data() + (p * padded_ + o) * window.inputs, window.inputs,
                  grads.weights[from - 1] + (o * places_ + p) * window.inputs);
    }
  }
}

}  // namespace socialgrid::learning
