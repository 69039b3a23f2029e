// The decoder of one agent: from its memory and action to the next view, and how far it is off.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels.hpp"
#include "layers.hpp"

namespace socialgrid::learning {

// Views [count, cells] that a decoder is held against: each cell a number of `number` bytes (1 or
// 2) of a tile in the atlas, or, where `number` is 0, its `pixels` bytes.
struct Shown {
  const std::uint8_t* views = nullptr;
  std::int64_t number = 0, tiles = 0;
  const std::uint8_t* atlas = nullptr;  // [tiles, pixels]
};

struct Decoding {
  std::int64_t count = 0, memory = 0, actions = 0, cells = 0, pixels = 0;
  // One affine layer of memory and action, then layers that spread `outputs` of each pixel over
  // their windows to `inputs`.
  std::vector<Layer> layers;
  float slope = 1.0f;  // of leaky ReLU after the last layer, which makes pixels of every cell
  // Of the layers [outputs, kernel, kernel, inputs]; of the last one [channels, pixels] and [3].
  std::vector<const float*> weights, biases;
  const float* core = nullptr;           // [count, memory]
  const std::int64_t* action = nullptr;  // [count]
  const float* row_weight = nullptr;     // [count]
  Shown shown;

  std::int64_t channels() const;  // of a cell before the last layer
};

// Gradients of the weighted error, as the weights lie; all are written.
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
