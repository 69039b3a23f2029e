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
            float* other, std::int64_t begin, std::int64_t end) {
  const std::int64_t widest = widest_of(e), piece = piece_of(widest);
  const std::size_t depth = e.depth(), all = e.layers.size();
  const bool both = other != nullptr && e.others > 0;
  Numbers image(piece * widest), next(piece * widest), forked(both ? piece * widest : 0);
  for (std::int64_t first = begin; first < end; first += piece) {
    const std::int64_t count = std::min(piece, end - first);
    float *x = image.data(), *to = next.data();
    kernels.look_up(part_of(e.first, first, count, x), 0, count);
    const auto apply = [&](std::size_t i, float* last) {
      if (last != nullptr) to = last;
      ready.forward[i].apply(kernels, x, to, count);
      std::swap(x, to);
    };
    for (std::size_t i = 0; i < depth; ++i) {
      if (both && i == e.fork) {
        const std::int64_t numbers = e.layers[i].rows * e.layers[i].cols * e.layers[i].inputs;
        std::copy_n(x, count * numbers, forked.data());
      }
      apply(i, i + 1 == depth ? features + first * e.width() : nullptr);
    }
    if (!both) continue;
    x = forked.data();
    to = image.data();
    for (std::size_t i = depth; i < all; ++i) {
      apply(i, i + 1 == all ? other + first * e.layers.back().outputs : nullptr);
    }
  }
}

namespace {

// Goes back through layers of some views.
class Backward {
 public:
  Backward(const Kernels& kernels, const Encoding& e, const ReadyLayers& ready,
           const EncodingGrads& grads, std::int64_t most)
      : kernels_(kernels),
        e_(e),
        ready_(ready),
        grads_(grads),
        before_(most * widest_of(e)),
        sums_(widest_of(e)) {
    for (const Layer& layer : e.layers) {
      results_.emplace_back(most * widest_of(e));
      transposed_.emplace_back(layer.weights());
    }
  }

  // What layer `i` reads.
  float* read_by(std::size_t i) { return results_[i == e_.depth() ? e_.fork : i].data(); }

  // Layers from `first` to before `last`, without the results of the last one.
  void forward(std::size_t first, std::size_t last, std::int64_t count) {
    for (std::size_t i = first; i + 1 < last; ++i) {
      ready_.forward[i].apply(kernels_, read_by(i), read_by(i + 1), count);
    }
  }

  // From gradients of what layer `i` put out, `y`, to those of what it reads, written.
  void back(std::size_t i, const float* given, const float* y, std::int64_t count, float* to) {
    const Layer& layer = e_.layers[i];
    const std::int64_t rows = count * layer.pixels();
    if (layer.tanh) {
      kernels_.squashed(given, y, rows, layer.outputs, before_.data(), sums_.data());
    } else {
      kernels_.rectified(given, y, layer.slope, rows, layer.outputs, before_.data(), sums_.data());
    }
    add(sums_, layer.outputs, grads_.biases[i]);
    Images images = layer.images();
    images.count = count;
    images.x = read_by(i);
    images.y = before_.data();
    images.onto = true;
    images.to = transposed_[i].data();
    kernels_.tap_gradients(images, 0, layer.kernel * layer.kernel * layer.inputs);
    images.packed = ready_.back[i].data();
    images.slope = 1.0f;
    images.tanh = false;
    images.to = to;
    kernels_.spread(images, 0, count);
  }

  // Gradients of all weights, as they lie.
  void finish() const {
    for (std::size_t i = 0; i < e_.layers.size(); ++i) {
      const Layer& layer = e_.layers[i];
      const std::int64_t inputs = layer.kernel * layer.kernel * layer.inputs;
      for (std::int64_t o = 0; o < layer.outputs; ++o) {
        for (std::int64_t k = 0; k < inputs; ++k) {
          grads_.weights[i][o * inputs + k] = transposed_[i].data()[k * layer.outputs + o];
        }
      }
    }
  }

 private:
  const Kernels& kernels_;
  const Encoding& e_;
  const ReadyLayers& ready_;
  const EncodingGrads& grads_;
  std::vector<Numbers> results_, transposed_;
  Numbers before_, sums_;
};

}  // namespace

void encode_back(const Kernels& kernels, const Encoding& e, const ReadyLayers& ready,
                 const EncodingGrads& grads) {
  const std::int64_t widest = widest_of(e), piece = piece_of(widest);
  const std::size_t depth = e.depth(), all = e.layers.size();
  Backward backward(kernels, e, ready, grads, piece);
  Numbers grad(piece * widest), forked(e.others > 0 ? piece * widest : 0);
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
    const LookUp part = part_of(e.first, first, count, backward.read_by(0));
    kernels.look_up(part, 0, count);
    backward.forward(0, depth, count);
    backward.forward(depth, all, count);
    const auto way = [&](std::size_t begin, std::size_t end, const float* given, const float* y,
                         float* to) {
      for (std::size_t i = end; i-- > begin;) {
        backward.back(i, given, i + 1 == end ? y : backward.read_by(i + 1), count, to);
        given = to;
        if (e.others == 0 || i != e.fork) continue;
        const Layer& layer = e.layers[i];
        add(forked, count * layer.rows * layer.cols * layer.inputs, to);
      }
    };
    if (e.others > 0) {
      const std::int64_t width = e.layers.back().outputs;
      way(depth, all, grads.grad_other + first * width, grads.other + first * width, forked.data());
    }
    way(0, depth, grads.grad + first * e.width(), grads.features + first * e.width(), grad.data());
    back.grad = grad.data();
    kernels.look_up_back(part, back, 0, places);
  }
  kernels.look_up_rest(e.first, back, 0, places);
  std::copy_n(total.data(), padded, grads.bias);
  backward.finish();
}

}  // namespace socialgrid::learning
