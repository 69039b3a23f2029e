// What decisions of one agent cost: the losses of a policy and a value head on its memory.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels.hpp"
#include "layers.hpp"

namespace socialgrid::learning {

struct Heads {
  std::vector<Layer> layers;  // affine
  std::vector<const float*> weights, biases;
};

// Gradients, as the parameters lie; all are written.
struct HeadsGrads {
  std::vector<float*> weights, biases;
};

struct Deciding {
  Heads policy, value;
  const float* mask = nullptr;  // [choices], added to the logits, or null
  const float* core = nullptr;  // [rows, memory]
  Judgement judgement;          // of all rows, without logits and values
};

struct DecidingGrads {
  float* core = nullptr;  // [rows, memory]
  HeadsGrads policy, value;
};

// Throws std::out_of_range where there is no such choice.
void check(const Deciding& deciding);

// The ingredients of the loss, and its gradients unless `grads` is null.
Losses decide(const Kernels& kernels, const Deciding& deciding, const DecidingGrads* grads);

}  // namespace socialgrid::learning
