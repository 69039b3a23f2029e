// What a scenario draws from, what it demands, and what happened in all of them.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <stdexcept>

#include "core/rng.hpp"

namespace socialgrid::stress {

// What happened, summed over all scenarios.
struct Counts {
  std::atomic<std::uint64_t> scenarios{0}, refused{0}, steps{0}, faults{0}, snapshots{0};
  std::atomic<std::uint64_t> damaged{0}, forged{0}, choices{0}, layouts{0}, stopped{0};
};
inline Counts counts;

class CheckFailed : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

inline void check(bool holds, const char* what) {
  if (!holds) throw CheckFailed(what);
}

template <typename Error, typename Fn>
void check_throws(Fn fn, const char* what) {
  try {
    fn();
  } catch (const Error&) {
    return;
  }
  throw CheckFailed(what);
}

class Dice {
 public:
  Dice(std::uint64_t seed, std::uint64_t scenario) : state_{.seed = seed, .stream = scenario} {}

  int between(int low, int high) {
    return low + static_cast<int>(rng_.uniform_int(static_cast<std::uint32_t>(high - low + 1)));
  }
  std::size_t below(std::size_t n) { return rng_.uniform_int(static_cast<std::uint32_t>(n)); }
  bool chance(double p) { return rng_.bernoulli(p); }
  double real(double low, double high) { return low + (high - low) * rng_.uniform(); }
  template <typename Container>
  const auto& pick(const Container& items) {
    return items[below(std::size(items))];
  }

 private:
  StreamState state_;
  Rng rng_{state_};
};

}  // namespace socialgrid::stress
