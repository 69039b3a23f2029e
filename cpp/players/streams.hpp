// Random numbers of scripted players, by position instead of by history: each is a hash of (seed,
// agent, environment, call, purpose), so it does not depend on how a batch is split, and the only
// state to save is the number of calls. socialgrid/players/streams.py says the same in numpy.
#pragma once

#include <cstdint>
#include <initializer_list>

namespace socialgrid::players {

inline constexpr std::uint64_t kGolden = 0x9E3779B97F4A7C15;

// Finaliser of SplitMix64 (Steele, Lea, Flood 2014, fig. 16).
inline std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

// What a player draws for one purpose in one call: a 64-bit word an environment.
class Draws {
 public:
  Draws(std::uint64_t seed, std::uint64_t agent, std::uint64_t call, std::uint64_t purpose)
      : key_(seed) {
    for (const std::uint64_t part : {agent, call, purpose}) key_ = mix(key_ * kGolden + part + 1);
  }

  // `env`: the global index of an environment.
  std::uint64_t word(std::uint64_t env) const {
    return mix(mix(key_ + (env + 1) * kGolden) + kGolden);
  }

 private:
  std::uint64_t key_;
};

// In [0, 1), of a word's upper 53 bits.
inline double as_unit(std::uint64_t word) { return static_cast<double>(word >> 11) * 0x1p-53; }

// In [0, count), of a word's upper 32 bits.
inline std::int32_t as_choice(std::uint64_t word, std::uint64_t count) {
  return static_cast<std::int32_t>(((word >> 32) * count) >> 32);
}

}  // namespace socialgrid::players
