#include "counterfactual.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "head.hpp"
#include "numbers.hpp"

namespace socialgrid::learning {
namespace {

constexpr std::int64_t kBlock = 32;  // rows whose results for all choices stay in the cache

void check(std::int64_t number, std::int64_t least, std::int64_t count, const char* what) {
  if (number >= least && number < count) return;
  throw std::out_of_range(std::string(what) + " " + std::to_string(number) + ": there are " +
                          std::to_string(count));
}

void check(const Counterfactual& given) {
  const Alternatives& a = given.alternatives;
  for (std::int64_t i = 0; i < a.count * a.columns; ++i) check(a.heard[i], -1, given.codes, "code");
  for (const Asked& one : given.asked) {
    const Exertion& e = one.exertion;
    for (std::int64_t row = 0; row < e.rows; ++row) {
      check(e.taken[row * e.taken_row], 0, e.choices, "choice");
      if (e.divergence != Divergence::pmi) continue;
      check(e.then[row * e.then_row], 0, e.actions, "action");
    }
  }
}

}  // namespace

void exert(const Kernels& kernels, const Counterfactual& given) {
  check(given);
  const Alternatives& all = given.alternatives;
  const std::int64_t block = std::min(kBlock, all.count), choices = all.choices;
  Head head(kernels, given.head.layers, given.head.weights, given.head.biases, block * choices,
            0.0f, given.mask, false);
  Numbers h = Numbers::unset(block * choices * all.hidden);
  std::int64_t room = 0;
  for (const Asked& one : given.asked) room = std::max(room, kernels.exertion_room(one.exertion));
  Numbers scratch = Numbers::unset(room);
  for (std::int64_t first = 0; first < all.count; first += block) {
    Alternatives a = all;
    a.count = std::min(block, all.count - first);
    a.gates += first * 4 * a.hidden;
    a.c += first * a.c_row;
    a.heard += first * a.columns;
    a.h = h.data();
    kernels.alternatives(a, 0, a.count);
    const float* logits = head.forward(h.data(), a.count * choices);
    for (const Asked& one : given.asked) {
      Exertion e = one.exertion;
      e.rows = a.count;
      e.logits = logits + one.first;
      e.logits_row = head.width();
      e.weights += first * e.weights_row;
      e.taken += first * e.taken_row;
      if (e.then != nullptr) e.then += first * e.then_row;
      e.counts += first * e.counts_row;
      e.known += first * e.known_row;
      e.exerted += first * e.exerted_row;
      e.scratch = scratch.data();
      kernels.exert(e);
    }
  }
}

}  // namespace socialgrid::learning
