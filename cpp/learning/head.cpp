#include "head.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace socialgrid::learning {

Head::Head(const Kernels& kernels, const std::vector<Layer>& layers,
           const std::vector<const float*>& weights, const std::vector<const float*>& biases,
           std::int64_t rows, float pad, const float* mask, bool back)
    : kernels_(kernels), layers_(layers), outputs_(layers.back().outputs) {
  layers_.back().outputs = kernels.padded_outputs(outputs_);
  std::int64_t widest = 0;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const Layer &given = layers[i], &own = layers_[i];
    const Images images = own.images();
    Numbers weight(own.weights());
    std::copy_n(weights[i], given.weights(), weight.data());
    Part part;
    part.packed.resize(kernels.packed_taps(images, false));
    kernels.pack_taps(images, weight.data(), false, part.packed.data());
    part.bias.resize(own.outputs);
    std::fill_n(part.bias.data(), own.outputs, pad);
    for (std::int64_t o = 0; o < given.outputs; ++o) {
      const bool masked = mask != nullptr && i + 1 == layers.size();
      part.bias.data()[o] = biases[i][o] + (masked ? mask[o] : 0.0f);
    }
    part.results.resize(rows * own.outputs);
    if (back) {
      part.turned.resize(kernels.packed_taps(images, true));
      kernels.pack_taps(images, weight.data(), true, part.turned.data());
      part.grad_weight.resize(own.weights());
      part.grad_bias.resize(own.outputs);
      part.sums.resize(own.outputs);
    }
    widest = std::max(widest, own.inputs);
    parts_.push_back(std::move(part));
  }
  if (back) {
    given_.resize(rows * widest);
    before_.resize(rows * widest);
  }
}

float* Head::forward(const float* x, std::int64_t count) {
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    Images images = layers_[i].images();
    images.packed = parts_[i].packed.data();
    images.bias = parts_[i].bias.data();
    images.x = x;
    images.to = parts_[i].results.data();
    kernels_.correlate(images, 0, count);
    x = images.to;
  }
  return parts_.back().results.data();
}

void Head::back(const float* x, const float* given, std::int64_t count, float* grad_x, bool onto) {
  for (std::size_t i = layers_.size(); i-- > 0;) {
    Part& part = parts_[i];
    const Layer& layer = layers_[i];
    if (layer.tanh) {
      kernels_.squashed(given, part.results.data(), count, layer.outputs, part.results.data(),
                        part.sums.data());
    } else {
      kernels_.rectified(given, part.results.data(), layer.slope, count, layer.outputs,
                         part.results.data(), part.sums.data());
    }
    for (std::int64_t o = 0; o < layer.outputs; ++o) {
      part.grad_bias.data()[o] += part.sums.data()[o];
    }
    Images turned = layer.images();  // whose transposed gradient lies as the weight does
    std::swap(turned.inputs, turned.outputs);
    turned.count = count;
    turned.x = part.results.data();
    turned.y = i == 0 ? x : parts_[i - 1].results.data();
    turned.onto = true;
    turned.to = part.grad_weight.data();
    kernels_.tap_gradients(turned, 0, layer.outputs);
    if (i == 0 && grad_x == nullptr) return;
    Images images = layer.images();
    images.tanh = false;
    images.slope = 1.0f;
    images.packed = part.turned.data();
    images.y = part.results.data();
    images.to = i == 0 && !onto ? grad_x : given_.data();
    kernels_.spread(images, 0, count);
    given = images.to;
  }
  if (!onto) return;
  for (std::int64_t j = 0; j < count * layers_[0].inputs; ++j) grad_x[j] += given[j];
}

void Head::finish(const std::vector<float*>& weights, const std::vector<float*>& biases) const {
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const std::int64_t outputs = i + 1 == layers_.size() ? outputs_ : layers_[i].outputs;
    std::copy_n(parts_[i].grad_weight.data(), outputs * layers_[i].inputs, weights[i]);
    std::copy_n(parts_[i].grad_bias.data(), outputs, biases[i]);
  }
}

}  // namespace socialgrid::learning
