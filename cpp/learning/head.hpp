// Affine layers of rows, forward and back, some rows at a time.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels.hpp"
#include "layers.hpp"
#include "numbers.hpp"

namespace socialgrid::learning {

// One agent's layers. Results of the last one are padded to whole vectors.
class Head {
 public:
  // At most `rows` rows at a time. Biases of results that are only padding are `pad`; `mask` [the
  // last layer's outputs] is added to the others, or null.
  Head(const Kernels& kernels, const std::vector<Layer>& layers,
       const std::vector<const float*>& weights, const std::vector<const float*>& biases,
       std::int64_t rows, float pad, const float* mask, bool back);

  std::int64_t width() const { return layers_.back().outputs; }
  // Results [count, width], in whose place the caller may put their gradients.
  float* forward(const float* x, std::int64_t count);
  // From those, `given`, to the gradients of x, written or added to what is there; null: not
  // wanted.
  void back(const float* x, const float* given, std::int64_t count, float* grad_x, bool onto);
  // Gradients of all weights and biases, as they lie, written.
  void finish(const std::vector<float*>& weights, const std::vector<float*>& biases) const;

 private:
  struct Part {
    Numbers packed, bias, turned, results, grad_weight, grad_bias, sums;
  };

  const Kernels& kernels_;
  std::vector<Layer> layers_;  // the last one padded
  std::int64_t outputs_;       // of the last one that are not
  std::vector<Part> parts_;
  Numbers given_, before_;
};

}  // namespace socialgrid::learning
