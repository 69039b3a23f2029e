// The decoder of one agent: from its memory and action to the next view, and how far it is off.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels.hpp"
#include "layers.hpp"
#include "shown.hpp"

namespace socialgrid::learning {

struct Decoding {
  std::int64_t count = 0, memory = 0, actions = 0, cells = 0, pixels = 0;
  // One affine layer of memory and action, then layers that spread `outputs` of each pixel over
  // their windows to `inputs`.
  std::vector<Layer> layers;
  float slope = 1.0f;  // of leaky ReLU after the last layer, which makes pixels of every cell
  // Of the layers [outputs, kernel, kernel, inputs]; of the last one [channels, pixels] and [3].
  std::vector<const float*> weights, biases;
  const float* core = nullptr;           // [count, memory]
  const std::int64_t* action = nullptr;  // the first of [count], action_row apart
  std::int64_t action_row = 1;
  const float* row_weight = nullptr;  // [count]
  Shown shown;
  float coef = 1.0f;  // of the gradients

  std::int64_t channels() const;  // of a cell before the last layer
};

// Gradients of `coef` times the weighted error, as the weights lie; all are written.
struct DecodingGrads {
  float* core = nullptr;  // [count, memory]
  std::vector<float*> weights, biases;
};

// Throws std::out_of_range where there is no such action or tile.
void check(const Decoding& decoding);

// The sum over views of their weight times their mean absolute error, a pixel counting 0 to 1; and
// its gradients unless `grads` is null.
double decode(const Kernels& kernels, const Decoding& decoding, const DecodingGrads* grads);

}  // namespace socialgrid::learning
