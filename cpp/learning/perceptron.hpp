// Perceptrons of one agent: rows through dense layers, ReLU after the first few of them.
#pragma once

#include <cstdint>

namespace socialgrid::learning {

struct Perceptron {
  std::int64_t count = 0, layers = 0, rectified = 0;
  const std::int64_t* sizes = nullptr;    // [layers + 1]
  const float* const* weights = nullptr;  // [layers], each [sizes[l + 1], sizes[l]]
  const float* const* biases = nullptr;   // [layers], each [sizes[l + 1]]
  const float* x = nullptr;               // [count, sizes[0]]
  bool kept = true;       // inputs and all results stay in the room: for the way back
  float* room = nullptr;  // as much as perceptron_room says
  float* out = nullptr;   // [count, sizes[layers]]
  // Inputs, results and their gradients lie unit by unit, as all do in the room: a row of numbers
  // for each, one for each sample, rows perceptron_apart numbers from each other. Gradients behind
  // the last sample are 0 then.
  bool by_unit = false;
};

// What the way back needs besides.
struct PerceptronBack {
  const float* grad = nullptr;      // [count, sizes[layers]]
  float* scratch = nullptr;         // as much as the room
  float* const* weights = nullptr;  // [layers]: gradients like the parameters; null: not wanted
  float* const* biases = nullptr;
  float* grad_x = nullptr;   // [count, sizes[0] - first_x]; null: not wanted
  std::int64_t first_x = 0;  // of the inputs whose gradients are wanted
  // What reaches the results before the last layer on other ways, unit by unit; null: nothing.
  const float* beside = nullptr;
};

// One Adam (Kingma & Ba 2014) on `count` parameters.
struct Descent {
  std::int64_t count = 0;
  float* values = nullptr;
  const float* grads = nullptr;
  float* first = nullptr;  // moments
  float* second = nullptr;
  double rate = 0.0, beta1 = 0.0, beta2 = 0.0, eps = 0.0;
  double steps = 0.0;  // this one included
  double scale = 1.0;  // of the gradients, before anything else
};

}  // namespace socialgrid::learning
