#include "modelling.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>
#include <utility>

#include "head.hpp"

namespace socialgrid::learning {
namespace {

constexpr std::int64_t kBlock = 256;  // rows whose results stay in the cache

void check(const std::int64_t* actions, std::int64_t count, std::int64_t all) {
  for (std::int64_t i = 0; i < count; ++i) {
    if (actions[i] >= -1 && actions[i] < all) continue;
    throw std::out_of_range("action " + std::to_string(actions[i]) +
                            " of another agent: there are " + std::to_string(all));
  }
}

}  // namespace

void unroll_back(const Kernels& kernels, Unroll u, const float* weights_back, const float* grad_h,
                 const MemoryGrads& grads, float* grad_x) {
  const std::int64_t carried = u.count * kernels.padded(u.hidden);
  Numbers grad_gates = Numbers::unset(4 * u.steps * u.count * u.hidden),
          scratch = Numbers::unset(2 * carried);
  u.weights = weights_back;
  UnrollBack b;
  b.grad_h = grad_h;
  b.grad_gates = grad_gates.data();
  b.carried_h = scratch.data();
  b.carried_c = scratch.data() + carried;
  b.grad_x = grad_x;
  b.grad_input = grads.input;
  b.grad_hidden = grads.hidden;
  b.grad_bias = grads.bias_input;
  kernels.backward(u, b, 0, u.count);
  kernels.weights(u, b, 0, 4 * u.hidden);
  std::copy_n(grads.bias_input, 4 * u.hidden, grads.bias_hidden);
}

Modeller::Modeller(const Kernels& kernels, const Modelling& modelling, bool back)
    : kernels_(kernels), modelling_(modelling), back_(back) {
  const Modelling& m = modelling_;
  const std::int64_t rows = m.memory.steps * m.memory.count;
  check(m.taken, rows * m.others, m.actions);
  check(m.following, rows * m.others, m.actions);
  x_.resize(rows * m.memory.inputs);
  hear();
}

// Ones behind the features: the own action, then everybody else's.
void Modeller::hear() {
  const Modelling& m = modelling_;
  for (std::int64_t row = 0; row < m.memory.steps * m.memory.count; ++row) {
    const std::int64_t* taken = m.taken + row * m.others;
    float* code = x_.data() + row * m.memory.inputs + m.features;
    if (taken[m.slot] >= 0) code[taken[m.slot]] = 1.0f;
    for (std::int64_t other = 0; other < m.others; ++other) {
      code += m.actions;
      if (other != m.slot && taken[other] >= 0) code[taken[other]] = 1.0f;
    }
  }
}

// Of logits of a row, padded, leaves the gradients.
void Modeller::predict(std::int64_t row, float* logits, Modelled& found) const {
  const Modelling& m = modelling_;
  for (std::int64_t other = 0; other < m.others; ++other, logits += m.actions) {
    const std::int64_t at = row * m.others + other, right = m.following[at];
    const bool counts =
        other != m.slot && right >= 0 && (m.visible == nullptr || m.visible[at] != 0);
    if (!counts) {
      std::fill_n(logits, m.actions, 0.0f);
      continue;
    }
    const float weight =
        m.weight[row] / static_cast<float>(std::max<std::int64_t>(m.others - 1, 1));
    const float* top = std::max_element(logits, logits + m.actions);
    const float most = *top, target = logits[right] - most;
    found.right += top - logits == right ? static_cast<double>(weight) : 0.0;
    found.all += static_cast<double>(weight);
    for (std::int64_t i = 0; i < m.actions; ++i) logits[i] -= most;
    kernels_.exponential_all(logits, m.actions, logits);
    float sum = 0.0f;
    for (std::int64_t i = 0; i < m.actions; ++i) sum += logits[i];
    found.loss += static_cast<double>((std::log(sum) - target) * weight);
    const float scale = m.coef * weight;
    for (std::int64_t i = 0; i < m.actions; ++i) logits[i] *= scale / sum;
    logits[right] -= scale;
  }
}

Modelled Modeller::learn(const ModellingGrads* grads) {
  const Modelling& m = modelling_;
  Unroll u = m.memory;
  const std::int64_t rows = u.steps * u.count, numbers = rows * u.hidden;
  Numbers gates = Numbers::unset(back_ ? 4 * numbers : 0), h = Numbers::unset(numbers),
          c = Numbers::unset(numbers), grad_h = Numbers::unset(back_ ? numbers : 0);
  u.x = x_.data();
  u.gates = back_ ? gates.data() : nullptr;
  u.h = h.data();
  u.c = c.data();
  kernels_.forward(u, 0, u.count);
  const std::int64_t block = std::min(kBlock, rows);
  Head head(kernels_, m.head.layers, m.head.weights, m.head.biases, block, 0.0f, m.mask, back_);
  Modelled found;
  for (std::int64_t first = 0; first < rows; first += block) {
    const std::int64_t count = std::min(block, rows - first);
    const float* core = h.data() + first * u.hidden;
    float* logits = head.forward(core, count);
    for (std::int64_t i = 0; i < count; ++i) predict(first + i, logits + i * head.width(), found);
    if (!back_) continue;
    for (std::int64_t i = 0; i < count; ++i) {
      float* own = logits + i * head.width();
      std::fill(own + m.others * m.actions, own + head.width(), 0.0f);
    }
    head.back(core, logits, count, grad_h.data() + first * u.hidden, false);
  }
  if (!back_) return found;
  head.finish(grads->head.weights, grads->head.biases);
  Numbers grad_x = Numbers::unset(rows * u.inputs);
  unroll_back(kernels_, u, m.weights_back, grad_h.data(), grads->memory, grad_x.data());
  x_ = std::move(grad_x);
  return found;
}

}  // namespace socialgrid::learning
