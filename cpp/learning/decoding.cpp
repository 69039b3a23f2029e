#include "decoding.hpp"

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <string>

namespace socialgrid::learning {
namespace {

constexpr std::int64_t kBlock = 256;  // rows of the affine layer at a time
constexpr float kWhite = 255.0f;      // errors are taken in bytes, which targets are exactly

// A layer for the way forward and, turned, for the way back.
struct Turned {
  Images images;
  Numbers forward, back, sums, transposed;
};

class Pass {
 public:
  Pass(const Kernels& kernels, const Decoding& decoding, const DecodingGrads* grads);

  double all();

 private:
  void block(std::int64_t first, std::int64_t count);
  void piece(std::int64_t first, std::int64_t count, float* expanded);
  void read_inputs(std::int64_t first, std::int64_t count);
  void read_target(std::int64_t first, std::int64_t count);
  void pack_last();
  void back(std::int64_t count, float* expanded);
  void finish();

  const Kernels& kernels_;
  const Decoding& d_;
  const DecodingGrads* grads_;
  const std::int64_t inputs_, padded_;
  std::int64_t widest_ = 0, piece_ = 0;
  Turned expand_, last_;
  std::vector<Turned> spreads_;
  Numbers last_bias_, read_, expanded_, grad_read_;
  std::vector<Numbers> results_;  // of the layers that spread
  Numbers shown_, target_;
  Numbers given_, before_;  // gradients
  std::vector<std::int32_t> numbers_;
  double error_ = 0.0;
};

Pass::Pass(const Kernels& kernels, const Decoding& decoding, const DecodingGrads* grads)
    : kernels_(kernels),
      d_(decoding),
      grads_(grads),
      inputs_(decoding.memory + decoding.actions),
      padded_(kernels.padded_outputs(decoding.pixels)) {
  const auto pack = [&](const Images& images, const float* weight, bool spread, Numbers& to) {
    to.resize(kernels.packed_taps(images, spread));
    kernels.pack_taps(images, weight, spread, to.data());
  };
  widest_ = std::max(d_.cells * padded_, d_.layers[0].outputs);
  for (std::size_t i = 0; i < d_.layers.size(); ++i) {
    const Layer& layer = d_.layers[i];
    Turned one;
    one.images = layer.images();
    // The first layer is a correlation, the others are transposed ones.
    pack(one.images, d_.weights[i], i > 0, one.forward);
    if (i > 0) widest_ = std::max(widest_, layer.rows * layer.cols * layer.inputs);
    if (grads != nullptr) {
      pack(one.images, d_.weights[i], i == 0, one.back);
      one.sums.resize(std::max(layer.inputs, layer.outputs));
      one.transposed.resize(layer.weights());
      std::fill_n(grads->biases[i], i == 0 ? layer.outputs : layer.inputs, 0.0f);
    }
    if (i == 0) {
      expand_ = std::move(one);
    } else {
      spreads_.push_back(std::move(one));
    }
  }
  piece_ = piece_of(widest_);
  const std::int64_t block = std::min(kBlock, d_.count);
  read_.resize(block * inputs_);
  expanded_.resize(block * expand_.images.outputs);
  for (std::size_t i = 0; i < spreads_.size(); ++i) results_.emplace_back(piece_ * widest_);
  shown_.resize(piece_ * d_.cells * padded_);
  numbers_.resize(static_cast<std::size_t>(piece_ * d_.cells));
  if (d_.shown.number == 0) {
    target_.resize(piece_ * d_.cells * padded_);
  } else {
    target_.resize(d_.shown.tiles * padded_);
    for (std::int64_t tile = 0; tile < d_.shown.tiles; ++tile) {
      const std::uint8_t* from = d_.shown.atlas + tile * d_.pixels;
      std::copy_n(from, d_.pixels, target_.data() + tile * padded_);
    }
  }
  if (grads != nullptr) {
    grad_read_.resize(block * inputs_);
    given_.resize(piece_ * widest_);
    before_.resize(piece_ * widest_);
  }
  pack_last();
}

// The last layer in the shape of the others, with as many pixels as vectors hold, which are black
// in all views; forward in bytes.
void Pass::pack_last() {
  const std::int64_t channels = d_.channels();
  Numbers weight(padded_ * channels);
  last_.images.rows = last_.images.cols = last_.images.kernel = 1;
  last_.images.inputs = channels;
  last_.images.outputs = padded_;
  last_.images.slope = d_.slope;
  last_bias_.resize(padded_);
  const auto fill = [&](float scale) {
    for (std::int64_t c = 0; c < channels; ++c) {
      for (std::int64_t j = 0; j < d_.pixels; ++j) {
        weight.data()[j * channels + c] = d_.weights.back()[c * d_.pixels + j] * scale;
      }
    }
  };
  fill(kWhite);
  for (std::int64_t j = 0; j < d_.pixels; ++j) {
    last_bias_.data()[j] = d_.biases.back()[j % 3] * kWhite;
  }
  last_.forward.resize(kernels_.packed_taps(last_.images, false));
  kernels_.pack_taps(last_.images, weight.data(), false, last_.forward.data());
  if (grads_ == nullptr) return;
  fill(1.0f);
  last_.back.resize(kernels_.packed_taps(last_.images, true));
  kernels_.pack_taps(last_.images, weight.data(), true, last_.back.data());
  last_.sums.resize(padded_);
  last_.transposed.resize(channels * padded_);
}

double Pass::all() {
  for (std::int64_t first = 0; first < d_.count; first += kBlock) {
    block(first, std::min(kBlock, d_.count - first));
  }
  if (grads_ != nullptr) finish();
  return error_;
}

void Pass::read_inputs(std::int64_t first, std::int64_t count) {
  for (std::int64_t n = 0; n < count; ++n) {
    float* to = read_.data() + n * inputs_;
    std::copy_n(d_.core + (first + n) * d_.memory, d_.memory, to);
    std::fill_n(to + d_.memory, d_.actions, 0.0f);
    to[d_.memory + d_.action[(first + n) * d_.action_row]] = 1.0f;
  }
}

void Pass::read_target(std::int64_t first, std::int64_t count) {
  const std::int64_t cells = count * d_.cells;
  for (std::int64_t i = 0; i < cells; ++i) {
    const std::int64_t place = first * d_.cells + i;
    if (d_.shown.number == 0) {
      const std::uint8_t* from = d_.shown.views + place * d_.pixels;
      std::copy_n(from, d_.pixels, target_.data() + i * padded_);
      numbers_[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(i);
      continue;
    }
    numbers_[static_cast<std::size_t>(i)] = d_.shown.at(place);
  }
}

// Some rows: through the affine layer at once, for its weights are many, then piece by piece.
void Pass::block(std::int64_t first, std::int64_t count) {
  read_inputs(first, count);
  Images images = expand_.images;
  const std::int64_t width = images.outputs;
  images.count = count;
  images.packed = expand_.forward.data();
  images.bias = d_.biases[0];
  images.x = read_.data();
  images.to = expanded_.data();
  kernels_.correlate(images, 0, count);
  for (std::int64_t n = 0; n < count; n += piece_) {
    piece(first + n, std::min(piece_, count - n), expanded_.data() + n * width);
  }
  if (grads_ == nullptr) return;
  // In its place now: gradients before tanh.
  Images turned = expand_.images;  // whose transposed gradient lies as the weight does
  std::swap(turned.inputs, turned.outputs);
  turned.count = count;
  turned.x = expanded_.data();
  turned.y = read_.data();
  turned.onto = true;
  turned.to = expand_.transposed.data();
  kernels_.tap_gradients(turned, 0, width);
  images.packed = expand_.back.data();
  images.bias = nullptr;
  images.tanh = false;
  images.slope = 1.0f;
  images.y = expanded_.data();
  images.to = grad_read_.data();
  kernels_.spread(images, 0, count);
  for (std::int64_t n = 0; n < count; ++n) {
    const float* from = grad_read_.data() + n * inputs_;
    std::copy_n(from, d_.memory, grads_->core + (first + n) * d_.memory);
  }
}

void Pass::piece(std::int64_t first, std::int64_t count, float* expanded) {
  const float* from = expanded;
  for (std::size_t i = 0; i < spreads_.size(); ++i) {
    Images images = spreads_[i].images;
    images.packed = spreads_[i].forward.data();
    images.bias = d_.biases[i + 1];
    images.y = from;
    images.to = results_[i].data();
    kernels_.spread(images, 0, count);
    from = results_[i].data();
  }
  Images last = last_.images;
  last.packed = last_.forward.data();
  last.bias = last_bias_.data();
  last.x = from;
  last.to = shown_.data();
  kernels_.correlate(last, 0, count * d_.cells);
  read_target(first, count);
  Errors errors;
  errors.views = count;
  errors.cells = d_.cells;
  errors.columns = padded_;
  errors.slope = d_.slope;
  errors.scale = 1.0f / static_cast<float>(d_.cells * d_.pixels);
  errors.coef = d_.coef;
  errors.weight = d_.row_weight + first;
  errors.table = target_.data();
  errors.numbers = numbers_.data();
  errors.shown = shown_.data();
  errors.sums = grads_ == nullptr ? nullptr : last_.sums.data();
  error_ += kernels_.absolute_errors(errors) / kWhite;
  if (grads_ == nullptr) return;
  last.count = count * d_.cells;
  last.y = shown_.data();
  last.onto = true;
  last.to = last_.transposed.data();
  kernels_.tap_gradients(last, 0, last.inputs);
  last.packed = last_.back.data();
  last.bias = nullptr;
  last.slope = 1.0f;
  last.to = given_.data();
  kernels_.spread(last, 0, last.count);
  back(count, expanded);
}

// From gradients of what the last layer read to those of the affine layer before tanh.
void Pass::back(std::int64_t count, float* expanded) {
  for (std::size_t i = spreads_.size(); i-- > 0;) {
    Turned& one = spreads_[i];
    Images images = one.images;
    images.slope = 1.0f;
    const std::int64_t rows = count * images.rows * images.cols;
    kernels_.rectified(given_.data(), results_[i].data(), one.images.slope, rows, images.inputs,
                       before_.data(), one.sums.data());
    for (std::int64_t c = 0; c < images.inputs; ++c) {
      grads_->biases[i + 1][c] += one.sums.data()[c];
    }
    images.count = count;
    images.x = before_.data();
    images.y = i == 0 ? expanded : results_[i - 1].data();
    images.onto = true;
    images.to = one.transposed.data();
    kernels_.tap_gradients(images, 0, images.kernel * images.kernel * images.inputs);
    images.packed = one.back.data();
    images.to = given_.data();
    kernels_.correlate(images, 0, count);
  }
  const std::int64_t width = expand_.images.outputs;
  kernels_.squashed(given_.data(), expanded, count, width, expanded, expand_.sums.data());
  for (std::int64_t c = 0; c < width; ++c) grads_->biases[0][c] += expand_.sums.data()[c];
}

void Pass::finish() {
  std::copy_n(expand_.transposed.data(), d_.layers[0].weights(), grads_->weights[0]);
  for (std::size_t i = 0; i < spreads_.size(); ++i) {
    const Layer& layer = d_.layers[i + 1];
    const std::int64_t taps = layer.kernel * layer.kernel * layer.inputs;
    for (std::int64_t o = 0; o < layer.outputs; ++o) {
      for (std::int64_t k = 0; k < taps; ++k) {
        grads_->weights[i + 1][o * taps + k] = spreads_[i].transposed.data()[k * layer.outputs + o];
      }
    }
  }
  for (std::int64_t c = 0; c < d_.channels(); ++c) {
    std::copy_n(last_.transposed.data() + c * padded_, d_.pixels,
                grads_->weights.back() + c * d_.pixels);
  }
  std::fill_n(grads_->biases.back(), 3, 0.0f);
  for (std::int64_t j = 0; j < d_.pixels; ++j) {
    grads_->biases.back()[j % 3] += last_.sums.data()[j];
  }
}

}  // namespace

std::int64_t Decoding::channels() const {
  return layers.size() == 1 ? layers[0].outputs / cells : layers.back().inputs;
}

void check(const Decoding& d) {
  for (std::int64_t n = 0; n < d.count; ++n) {
    const std::int64_t action = d.action[n * d.action_row];
    if (action >= 0 && action < d.actions) continue;
    throw std::out_of_range("action " + std::to_string(action) + ": there are " +
                            std::to_string(d.actions));
  }
  for (std::int64_t i = 0; d.shown.number > 0 && i < d.count * d.cells; ++i) {
    const std::int32_t found = d.shown.at(i);
    if (found < d.shown.tiles) continue;
    throw std::out_of_range("a view shows tile " + std::to_string(found) + ", but there are only " +
                            std::to_string(d.shown.tiles));
  }
}

double decode(const Kernels& kernels, const Decoding& decoding, const DecodingGrads* grads) {
  return Pass(kernels, decoding, grads).all();
}

}  // namespace socialgrid::learning
