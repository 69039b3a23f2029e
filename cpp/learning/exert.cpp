// How far what somebody does is from what it would do. Compiled once for every set of kernels.
#include "lanes.hpp"
#include "unroll.hpp"

namespace socialgrid::learning::SOCIALGRID_KERNEL_SET {
namespace {

constexpr float kTiny = 1.17549435e-38f;  // the smallest number that is not subnormal
constexpr float kNothing = -87.0f;        // logarithm from which on down there is no probability

// NaN stays what it is in all of these.
SOCIALGRID_INLINE Lanes probability(Lanes log) {
  return log < kNothing ? Lanes{} : exponential(log);
}
SOCIALGRID_INLINE Lanes log_of(Lanes p) { return logarithm(p < kTiny ? all(kTiny) : p); }
// p (log p - log q), nothing where p is.
SOCIALGRID_INLINE Lanes term(Lanes p, Lanes log_p, Lanes log_q) {
  const Lanes found = product(p, log_p - log_q);
  return p == 0.0f ? Lanes{} : found;
}

// Rows side by side, one in each place of a vector.
class Block {
 public:
  Block(const Exertion& e, std::int64_t first)
      : e_(e), first_(first), count_(e.rows - first < kLanes ? e.rows - first : kLanes) {
    p_ = reinterpret_cast<Lanes*>(e.scratch);
    log_p_ = p_ + e.choices * e.actions;
    behind_ = log_p_ + e.choices * e.actions;
    for (int i = 0; i < kLanes; ++i)
      taken_[i] = static_cast<std::int32_t>(e.taken[row(i) * e.taken_row]);
  }

  void work() {
    read();
    for (std::int64_t c = 0; c < e_.choices; ++c) normalise(at(c, 0));
    const Lanes found = e_.divergence == Divergence::pmi ? pointwise() : divergence();
    for (std::int64_t i = 0; i < count_; ++i) {
      const std::int64_t own = first_ + i;
      e_.exerted[own * e_.exerted_row] =
          found[i] * (e_.known[own * e_.known_row] != 0 ? 1.0f : 0.0f);
    }
    if (e_.possible > 1) listen();
  }

 private:
  // Places beyond the last row have the last row's numbers, and nobody reads what they come to.
  std::int64_t row(std::int64_t i) const { return first_ + (i < count_ ? i : count_ - 1); }
  std::int64_t at(std::int64_t choice, std::int64_t action) const {
    return choice * e_.actions + action;
  }

  void read() {
    auto* to = reinterpret_cast<float*>(log_p_);
    for (int i = 0; i < kLanes; ++i) {
      const float* from = e_.logits + row(i) * e_.choices * e_.logits_row;
      for (std::int64_t c = 0; c < e_.choices; ++c, from += e_.logits_row) {
        for (std::int64_t a = 0; a < e_.actions; ++a) to[at(c, a) * kLanes + i] = from[a];
      }
    }
  }

  void normalise(std::int64_t first) {
    Lanes *p = p_ + first, *log_p = log_p_ + first;
    Lanes top = log_p[0], sum = {};
    for (std::int64_t a = 1; a < e_.actions; ++a) top = log_p[a] > top ? log_p[a] : top;
    for (std::int64_t a = 0; a < e_.actions; ++a) {
      log_p[a] -= top;
      p[a] = probability(log_p[a]);
      sum += p[a];
    }
    const Lanes log_sum = logarithm(sum), share = 1.0f / sum;
    for (std::int64_t a = 0; a < e_.actions; ++a) {
      log_p[a] -= log_sum;
      p[a] = product(p[a], share);
    }
  }

  Lanes weight(std::int64_t choice) const {
    Lanes found;
    for (int i = 0; i < kLanes; ++i) found[i] = e_.weights[row(i) * e_.weights_row + choice];
    return found;
  }

  Lanes divergence() const {
    Lanes found = {};
    for (std::int64_t a = 0; a < e_.actions; ++a) {
      Lanes q = {}, p = {}, log_p = {};
      for (std::int64_t c = 0; c < e_.choices; ++c) {
        const Bits mine = taken_ == static_cast<std::int32_t>(c);
        q += weight(c) * p_[at(c, a)];
        p = mine ? p_[at(c, a)] : p;
        log_p = mine ? log_p_[at(c, a)] : log_p;
      }
      const Lanes log_q = log_of(q);
      if (e_.divergence == Divergence::kl) {
        found += term(p, log_p, log_q);
      } else {
        const Lanes log_middle = log_of(0.5f * (p + q));
        found += 0.5f * (term(p, log_p, log_middle) + term(q, log_q, log_middle));
      }
    }
    return found;
  }

  // In logarithms all along: the action may be as improbable as it likes.
  Lanes pointwise() const {
    Bits then;
    for (int i = 0; i < kLanes; ++i) {
      then[i] = static_cast<std::int32_t>(e_.then[row(i) * e_.then_row]);
    }
    const auto each = [&](const auto& work) {
      for (std::int64_t c = 0; c < e_.choices; ++c) {
        Lanes log_p = {};
        for (std::int64_t a = 0; a < e_.actions; ++a) {
          log_p = then == static_cast<std::int32_t>(a) ? log_p_[at(c, a)] : log_p;
        }
        const Lanes own = weight(c);
        work(c, log_p, own == 0.0f ? log_p - __builtin_inff() : log_p + log_of(own));
      }
    };
    Lanes top = all(-__builtin_inff()), sum = {}, known = {};
    each([&](std::int64_t c, Lanes log_p, Lanes both) {
      known = taken_ == static_cast<std::int32_t>(c) ? log_p : known;
      top = top > both ? top : both;
    });
    each([&](std::int64_t, Lanes, Lanes both) { sum += probability(both - top); });
    return known - (top + logarithm(sum));
  }

  // Of every choice, how far it is from the mean of all others. Sums of the ones before and of
  // those behind, as in Python.
  void listen() {
    const Lanes share = all(1.0f / static_cast<float>(e_.possible - 1));
    for (std::int64_t a = 0; a < e_.actions; ++a) {
      Lanes sum = {};
      for (std::int64_t c = e_.possible - 1; c >= 0; --c) {
        behind_[at(c, a)] = sum;
        sum += p_[at(c, a)];
      }
    }
    Lanes* before = behind_ + e_.possible * e_.actions;
    for (std::int64_t a = 0; a < e_.actions; ++a) before[a] = Lanes{};
    for (std::int64_t c = 0; c < e_.possible; ++c) {
      Lanes found = {};
      for (std::int64_t a = 0; a < e_.actions; ++a) {
        const Lanes p = p_[at(c, a)], others = product(before[a] + behind_[at(c, a)], share);
        found += term(p, log_p_[at(c, a)], log_of(others));
        before[a] += p;
      }
      for (std::int64_t i = 0; i < count_; ++i) {
        const std::int64_t own = first_ + i;
        e_.listening[c] += found[i] * (e_.counts[own * e_.counts_row] != 0 ? 1.0f : 0.0f);
      }
    }
  }

  const Exertion& e_;
  const std::int64_t first_, count_;
  Lanes *p_, *log_p_, *behind_;
  Bits taken_;
};

}  // namespace

std::int64_t exertion_room(const Exertion& e) { return (3 * e.choices + 1) * e.actions * kLanes; }

void exert(const Exertion& e) {
  for (std::int64_t first = 0; first < e.rows; first += kLanes) Block(e, first).work();
}

}  // namespace socialgrid::learning::SOCIALGRID_KERNEL_SET
