#include "layers.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace socialgrid::learning {
namespace {

constexpr std::int64_t kPiece = 49152;  // numbers of images that stay in the cache
constexpr std::int64_t kBlock = 12;     // rows that products are best computed of

std::int64_t widest_of(const Encoding& e) {
  const LookUp& l = e.first;
  std::int64_t found = (l.rows - l.kernel + 1) * (l.cols - l.kernel + 1) * l.outputs;
  for (const Layer& layer : e.layers) found = std::max(found, layer.results());
  return found;
}

// Some of the views.
LookUp part_of(const LookUp& whole, std::int64_t first, std::int64_t count, float* out) {
  LookUp part = whole;
  part.cells += first * whole.rows * whole.cols;
  part.count = count;
  part.out = out;
  return part;
}

void add(const Numbers& from, std::int64_t count, float* to) {
  for (std::int64_t i = 0; i < count; ++i) to[i] += from.data()[i];
}

}  // namespace

Images Layer::images() const {
  Images images;
  images.rows = rows;
  images.cols = cols;
  images.inputs = inputs;
  images.outputs = outputs;
  images.kernel = kernel;
  images.slope = slope;
  images.tanh = tanh;
  return images;
}

void Ready::apply(const Kernels& kernels, const float* x, float* to, std::int64_t count) const {
  Images own = images;
  own.packed = weight.data();
  own.bias = bias.data();
  own.x = x;
  own.to = to;
  kernels.correlate(own, 0, count);
}

Ready ready(const Kernels& kernels, const Layer& layer, const float* weight, const float* bias) {
  Ready found;
  found.images = layer.images();
  found.weight.resize(kernels.packed_taps(found.images, false));
  kernels.pack_taps(found.images, weight, false, found.weight.data());
  found.bias.resize(layer.outputs);
  if (bias != nullptr) std::copy_n(bias, layer.outputs, found.bias.data());
  return found;
}

ReadyLayers ready_layers(const Kernels& kernels, const std::vector<Layer>& layers,
                         const std::vector<const float*>& weights,
                         const std::vector<const float*>& biases, bool back) {
  ReadyLayers found;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    found.forward.push_back(ready(kernels, layers[i], weights[i], biases[i]));
    if (!back) continue;
    const Images images = layers[i].images();
    found.back.push_back(Numbers::unset(kernels.packed_taps(images, true)));
    kernels.pack_taps(images, weights[i], true, found.back.back().data());
  }
  return found;
}

std::int64_t piece_of(std::int64_t widest) {
  return std::max(kPiece / widest / kBlock * kBlock, kBlock);
}

void encode(const Kernels& kernels, const Encoding& e, const ReadyLayers& ready, float* features,
            std::int64_t begin, std::int64_t end) {
  const std::int64_t widest = widest_of(e), piece = piece_of(widest);
  const std::int64_t width = e.layers.back().outputs;
  const std::vector<Ready>& layers = ready.forward;
  Numbers image(piece * widest), next(piece * widest);
  for (std::int64_t first = begin; first < end; first += piece) {
    const std::int64_t count = std::min(piece, end - first);
    float *x = image.data(), *to = next.data();
    kernels.look_up(part_of(e.first, first, count, x), 0, count);
    for (const Ready& layer : layers) {
      if (&layer == &layers.back()) to = features + first * width;
      layer.apply(kernels, x, to, count);
      std::swap(x, to);
    }
  }
}

void encode_back(const Kernels& kernels, const Encoding& e, const ReadyLayers& ready,
                 const EncodingGrads& grads) {
  const std::int64_t widest = widest_of(e), piece = piece_of(widest);
  const std::int64_t width = e.layers.back().outputs;
  const std::size_t depth = e.layers.size();
  const std::vector<Ready>& layers = ready.forward;
  // What the look-up and all layers but the last make of a piece, and gradients of two layers.
  std::vector<Numbers> results;
  Numbers grad(piece * widest), before(piece * widest), sums(widest);
  std::vector<Numbers> transposed;
  for (std::size_t i = 0; i < depth; ++i) {
    results.emplace_back(piece * widest);
    transposed.emplace_back(e.layers[i].weights());
  }
  LookUpBack back;
  const std::int64_t padded = kernels.padded_outputs(e.first.outputs);
  Numbers margins(kernels.margins(e.first));
  std::vector<std::int32_t> lists(
      static_cast<std::size_t>(5 * e.first.tiles + 2 * e.first.rows * e.first.cols));
  const std::int64_t places = e.first.kernel * e.first.kernel;
  Numbers total(padded);
  back.common = kernels.common_tile(e.first);
  back.grad_table = grads.table;
  back.sums = total.data();
  back.margins = margins.data();
  back.lists = lists.data();
  for (std::int64_t first = 0; first < e.first.count; first += piece) {
    const std::int64_t count = std::min(piece, e.first.count - first);
    const LookUp part = part_of(e.first, first, count, results[0].data());
    kernels.look_up(part, 0, count);
    for (std::size_t i = 0; i + 1 < depth; ++i) {
      layers[i].apply(kernels, results[i].data(), results[i + 1].data(), count);
    }
    const float* given = grads.grad + first * width;
    for (std::size_t i = depth; i-- > 0;) {
      const Layer& layer = e.layers[i];
      const float* y = i + 1 == depth ? grads.features + first * width : results[i + 1].data();
      const std::int64_t rows = count * layer.pixels();
      if (layer.tanh) {
        kernels.squashed(given, y, rows, layer.outputs, before.data(), sums.data());
      } else {
        kernels.rectified(given, y, layer.slope, rows, layer.outputs, before.data(), sums.data());
      }
      add(sums, layer.outputs, grads.biases[i]);
      Images images = layer.images();
      images.count = count;
      images.x = results[i].data();
      images.y = before.data();
      images.onto = true;
      images.to = transposed[i].data();
      kernels.tap_gradients(images, 0, layer.kernel * layer.kernel * layer.inputs);
      images.packed = ready.back[i].data();
      images.slope = 1.0f;
      images.tanh = false;
      images.to = grad.data();
      kernels.spread(images, 0, count);
      given = grad.data();
    }
    back.grad = given;
    kernels.look_up_back(part, back, 0, places);
  }
  kernels.look_up_rest(e.first, back, 0, places);
  std::copy_n(total.data(), padded, grads.bias);
  for (std::size_t i = 0; i < depth; ++i) {
    const Layer& layer = e.layers[i];
    const std::int64_t inputs = layer.kernel * layer.kernel * layer.inputs;
    for (std::int64_t o = 0; o < layer.outputs; ++o) {
      for (std::int64_t k = 0; k < inputs; ++k) {
        grads.weights[i][o * inputs + k] = transposed[i].data()[k * layer.outputs + o];
      }
    }
  }
}

}  // namespace socialgrid::learning
