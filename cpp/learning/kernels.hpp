// Kernels of the learners, over raw memory: one set for every kind of vector unit.
#pragma once

#include <cstdint>
#include <vector>

namespace socialgrid::learning {

// The unrolled memory of one agent: an LSTM over `steps` steps of `count` sequences, its gates in
// PyTorch's order (input, forget, cell, output). All arrays are float32 and dense unless a distance
// between rows stands beside them.
struct Unroll {
  std::int64_t steps = 0, count = 0, inputs = 0, hidden = 0;
  const float* weights = nullptr;  // what pack_forward or pack_backward made of them
  const float* zeros = nullptr;    // [hidden]
  const float* x = nullptr;        // [steps, count, inputs]
  const float* first_h = nullptr;  // [count, hidden], before the first step
  const float* first_c = nullptr;
  std::int64_t first_h_row = 0, first_c_row = 0;
  const std::uint8_t* reset = nullptr;  // [steps, count]: the state is zeroed before this step
  float* gates = nullptr;  // [steps, count, 4 * hidden], after nonlinearities; null: not wanted
  float* h = nullptr;      // [steps, count, hidden], after every step
  float* c = nullptr;      // [steps, count, hidden]
};

// What the way back needs besides.
struct UnrollBack {
  const float* grad_h = nullptr;  // [steps, count, hidden]
  float* grad_gates = nullptr;    // [steps, count, 4 * hidden], scratch
  float* carried_h = nullptr;     // [count, padded(hidden)], scratch
  float* carried_c = nullptr;     // [count, padded(hidden)], scratch
  float* grad_x = nullptr;        // [steps, count, inputs]; null: not wanted
  float* grad_input = nullptr;    // [4 * hidden, inputs], of the weights
  float* grad_hidden = nullptr;   // [4 * hidden, hidden]
  float* grad_bias = nullptr;     // [4 * hidden]
};

// One set of kernels. What it computes for a row depends neither on how many rows there are nor on
// which of them a call computes.
struct Kernels {
  const char* name;
  // Numbers that packed weights take, whichever way, and a row of carried gradients.
  std::int64_t (*packed)(std::int64_t inputs, std::int64_t hidden);
  std::int64_t (*padded)(std::int64_t hidden);
  // From [4 * hidden, inputs], [4 * hidden, hidden] and, forward, the sum of the two [4 * hidden].
  void (*pack_forward)(const float* input, const float* recurrent, const float* bias_input,
                       const float* bias_recurrent, std::int64_t inputs, std::int64_t hidden,
                       float* packed);
  void (*pack_backward)(const float* input, const float* recurrent, std::int64_t inputs,
                        std::int64_t hidden, float* packed);
  // Sequences `begin` to `end`, all steps.
  void (*forward)(const Unroll& unroll, std::int64_t begin, std::int64_t end);
  void (*backward)(const Unroll& unroll, const UnrollBack& back, std::int64_t begin,
                   std::int64_t end);
  // Rows `begin` to `end` of the weights' gradients, once grad_gates are there.
  void (*weights)(const Unroll& unroll, const UnrollBack& back, std::int64_t begin,
                  std::int64_t end);
};

// The sets that this processor can run, the fastest first; none where the compiler had no vectors.
std::vector<const Kernels*> kernel_sets();

}  // namespace socialgrid::learning
