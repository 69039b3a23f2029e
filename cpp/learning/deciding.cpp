#include "deciding.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "head.hpp"

namespace socialgrid::learning {
namespace {

constexpr std::int64_t kBlock = 256;  // rows whose results stay in the cache
constexpr float kImpossible = -1e9f;  // logit of what is no choice

}  // namespace

void check(const Deciding& d) {
  for (std::int64_t row = 0; row < d.judgement.rows; ++row) {
    const std::int64_t choice = d.judgement.choice[row * d.judgement.choice_row];
    const std::int64_t choices = d.policy.layers.back().outputs;
    if (choice >= 0 && choice < choices) continue;
    throw std::out_of_range("choice " + std::to_string(choice) + ": there are " +
                            std::to_string(choices));
  }
}

Losses decide(const Kernels& kernels, const Deciding& d, const DecidingGrads* grads) {
  const std::int64_t rows = d.judgement.rows, block = std::min(kBlock, rows);
  const std::int64_t memory = d.policy.layers[0].inputs;
  const bool back = grads != nullptr;
  Head policy(kernels, d.policy.layers, d.policy.weights, d.policy.biases, block, kImpossible,
              d.mask, back);
  Head value(kernels, d.value.layers, d.value.weights, d.value.biases, block, 0.0f, nullptr, back);
  Losses losses;
  for (std::int64_t first = 0; first < rows; first += block) {
    const float* core = d.core + first * memory;
    Judgement j = d.judgement;
    j.rows = std::min(block, rows - first);
    j.choice += first * j.choice_row;
    j.log_prob += first * j.number_row;
    j.advantage += first * j.number_row;
    j.target += first * j.number_row;
    j.weight += first;
    j.logits = policy.forward(core, j.rows);
    j.values = value.forward(core, j.rows);
    j.logits_row = policy.width();
    j.values_row = value.width();
    j.back = back;
    kernels.judge(j, losses);
    if (!back) continue;
    float* grad = grads->core + first * memory;
    policy.back(core, j.logits, j.rows, grad, false);
    value.back(core, j.values, j.rows, grad, true);
  }
  if (back) {
    policy.finish(grads->policy.weights, grads->policy.biases);
    value.finish(grads->value.weights, grads->value.biases);
  }
  return losses;
}

}  // namespace socialgrid::learning
