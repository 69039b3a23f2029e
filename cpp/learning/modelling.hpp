// What an agent learns of others: its model predicts what everybody else does next.
#pragma once

#include <cstdint>

#include "deciding.hpp"
#include "kernels.hpp"
#include "numbers.hpp"

namespace socialgrid::learning {

struct MemoryGrads {
  float *input = nullptr, *hidden = nullptr, *bias_input = nullptr, *bias_hidden = nullptr;
};

// Back through an unrolled memory, from gradients of what it put out, `grad_h`, to those of its
// weights and, at `grad_x`, of what it read. All are written.
void unroll_back(const Kernels& kernels, Unroll unroll, const float* weights_back,
                 const float* grad_h, const MemoryGrads& grads, float* grad_x);

// The model reads features, its agent's own action and everybody else's, one-hot, and puts out
// logits of everybody's next action.
struct Modelling {
  Unroll memory;                        // without x, gates, h and c
  const float* weights_back = nullptr;  // of the memory, for the way back
  Heads head;
  const float* mask = nullptr;  // [others * actions], added to the logits
  std::int64_t features = 0, others = 0, actions = 0, slot = 0;  // slot: the agent's own place
  const std::int64_t *taken = nullptr, *following = nullptr;     // [rows, others], -1: not known
  const std::uint8_t* visible = nullptr;  // [rows, others]: who counts; null: everybody
  const float* weight = nullptr;          // [rows]
  float coef = 0.0f;                      // of the cross-entropy in the whole loss
};

// All are written.
struct ModellingGrads {
  MemoryGrads memory;
  HeadsGrads head;
};

// Weighted sums over predictions: cross-entropy, of those that are right, of all.
struct Modelled {
  double loss = 0.0, right = 0.0, all = 0.0;
};

class Modeller {
 public:
  // Nothing is learnt of its modelling without a way `back`, but the numbers. Throws
  // std::out_of_range where there is no such action.
  Modeller(const Kernels& kernels, const Modelling& modelling, bool back);

  // Where features are to be written, and those of the next row behind.
  float* x() { return x_.data(); }
  std::int64_t row() const { return modelling_.memory.inputs; }

  // From features; leaves gradients of those in their place where there is a way back.
  Modelled learn(const ModellingGrads* grads);

 private:
  void hear();
  void predict(std::int64_t row, float* logits, Modelled& found) const;

  const Kernels& kernels_;
  const Modelling modelling_;
  const bool back_;
  Numbers x_;
};

}  // namespace socialgrid::learning
