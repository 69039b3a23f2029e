#include "recall.hpp"

#include <algorithm>
#include <cstddef>

#include "head.hpp"

namespace socialgrid::learning {
namespace {

constexpr std::int64_t kBlock = 256;  // rows whose results stay in the cache
constexpr float kImpossible = -1e9f;  // logit of what is no choice

}  // namespace

void value_rows(const Kernels& kernels, const Heads& heads, const float* core, std::int64_t rows,
                float* values, std::int64_t apart) {
  const std::int64_t block = std::min(kBlock, rows), memory = heads.layers[0].inputs;
  Head head(kernels, heads.layers, heads.weights, heads.biases, block, 0.0f, nullptr, false);
  for (std::int64_t first = 0; first < rows; first += block) {
    const std::int64_t count = std::min(block, rows - first);
    const float* found = head.forward(core + first * memory, count);
    for (std::int64_t i = 0; i < count; ++i) values[(first + i) * apart] = found[i * head.width()];
  }
}

void log_prob_rows(const Kernels& kernels, const Deciding& d, std::int64_t rows, float* log_probs,
                   std::int64_t apart) {
  check(d);
  const Heads& heads = d.policy;
  const std::int64_t block = std::min(kBlock, rows), memory = heads.layers[0].inputs;
  Head head(kernels, heads.layers, heads.weights, heads.biases, block, kImpossible, d.mask, false);
  Numbers scratch(head.width());
  std::vector<std::int64_t> choices(static_cast<std::size_t>(block));
  Choice c;
  c.choices = head.width();
  c.scratch = scratch.data();
  c.given = true;
  c.choice = choices.data();
  c.choice_row = 1;
  c.log_prob_row = apart;
  for (std::int64_t first = 0; first < rows; first += block) {
    c.rows = std::min(block, rows - first);
    for (std::int64_t i = 0; i < c.rows; ++i) {
      c.choice[i] = d.judgement.choice[(first + i) * d.judgement.choice_row];
    }
    c.logits = head.forward(d.core + first * memory, c.rows);
    c.log_prob = log_probs + first * apart;
    kernels.choose(c);
  }
}

}  // namespace socialgrid::learning
