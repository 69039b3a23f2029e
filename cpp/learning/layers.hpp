// Layers one after the other, on few enough images at a time that all stays in the cache.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels.hpp"
#include "numbers.hpp"

namespace socialgrid::learning {

// Windows of kernel x kernel of images [rows, cols, inputs] to `outputs` numbers, then leaky ReLU
// or tanh. An affine layer has images of one pixel.
struct Layer {
  std::int64_t rows = 1, cols = 1, inputs = 0, outputs = 0, kernel = 1;
  float slope = 1.0f;
  bool tanh = false;

  std::int64_t weights() const { return outputs * kernel * kernel * inputs; }
  std::int64_t pixels() const { return (rows - kernel + 1) * (cols - kernel + 1); }
  std::int64_t results() const { return pixels() * outputs; }
  Images images() const;
};

// A layer with its weights in the order in which kernels read them.
struct Ready {
  Images images;
  Numbers weight, bias;

  void apply(const Kernels& kernels, const float* x, float* to, std::int64_t count) const;
};

// Of a weight [outputs, kernel, kernel, inputs] and a bias [outputs] or none.
Ready ready(const Kernels& kernels, const Layer& layer, const float* weight, const float* bias);

// How many images of so many numbers, the most in any layer, are best computed at a time.
std::int64_t piece_of(std::int64_t widest);

// The encoder of one agent, from tiles on: a look-up and layers after it.
struct Encoding {
  LookUp first;               // of all views; its result is not written
  std::vector<Layer> layers;  // at least one
  std::vector<const float*> weights, biases;
  // The last ones of these layers may be another way from what layer `fork` reads.
  std::size_t fork = 0, others = 0;

  // Those that are not.
  std::size_t depth() const { return layers.size() - others; }
  std::int64_t width() const { return layers[depth() - 1].outputs; }
};

// Layers with their weights in the orders in which kernels read them, forward and, if wanted, back.
struct ReadyLayers {
  std::vector<Ready> forward;
  std::vector<Numbers> back;
};
ReadyLayers ready_layers(const Kernels& kernels, const std::vector<Layer>& layers,
                         const std::vector<const float*>& weights,
                         const std::vector<const float*>& biases, bool back);

// Features [count, width] of the views `begin` to `end`, and likewise what the other way comes to,
// unless that is null; `ready` has the layers after the look-up.
void encode(const Kernels& kernels, const Encoding& encoding, const ReadyLayers& ready,
            float* features, float* other, std::int64_t begin, std::int64_t end);

// From gradients of all features to those of the table, as it lies, of its bias [padded outputs],
// of weights and of biases, which are all zero before.
struct EncodingGrads {
  const float *features = nullptr, *other = nullptr;  // as encode wrote them
  const float *grad = nullptr, *grad_other = nullptr;
  float *table = nullptr, *bias = nullptr;
  std::vector<float*> weights, biases;
};
void encode_back(const Kernels& kernels, const Encoding& encoding, const ReadyLayers& ready,
                 const EncodingGrads& grads);

}  // namespace socialgrid::learning
