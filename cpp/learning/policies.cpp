// Policies. Compiled once for every set of kernels.
#include "policies.hpp"

#include <cmath>

#include "dense.hpp"
#include "lanes.hpp"

namespace socialgrid::learning::SOCIALGRID_KERNEL_SET {
namespace {

constexpr float kLeastLogDeviation = -20.0f, kMostLogDeviation = 2.0f, kMostMean = 2.0f;
constexpr float kLeastVariance = 1e-6f;
constexpr float kLog2 = 0.693147180559945f, kHalfLog2Pi = 0.918938533204673f;

SOCIALGRID_INLINE Lanes within(Lanes x, float low, float high) {
  x = x > high ? all(high) : x;
  return x < low ? all(low) : x;
}

// log x of positive, normal numbers within 2 units in the last place; NaN for what is not finite.
SOCIALGRID_INLINE Lanes logarithm(Lanes x) {
  const Bits exponent = ((Bits)x - 0x3f3504f3) >> 23;  // what is left is in [sqrt(1/2), sqrt(2))
  const Lanes rest = (Lanes)((Bits)x - (exponent << 23)) - 1.0f;
  const Lanes whole = __builtin_convertvector(exponent, Lanes) + (x - x);
  const Lanes square = product(rest, rest);
  Lanes y = all(7.0376836292e-2f);
  y = y * rest - 1.1514610310e-1f;
  y = y * rest + 1.1676998740e-1f;
  y = y * rest - 1.2420140846e-1f;
  y = y * rest + 1.4249322787e-1f;
  y = y * rest - 1.6668057665e-1f;
  y = y * rest + 2.0000714765e-1f;
  y = y * rest - 2.4999993993e-1f;
  y = y * rest + 3.3333331174e-1f;
  y = product(y, product(rest, square));
  y = y - whole * 2.12194440e-4f;
  y = y - square * 0.5f;
  return (rest + y) + whole * 0.693359375f;
}

// log(1 + e^x)
SOCIALGRID_INLINE Lanes softplus(Lanes x) {
  const Lanes size = x < 0.0f ? -x : x;
  return (x < 0.0f ? Lanes{} : x) + logarithm(1.0f + exponential(-size));
}

// Zeros behind the last of `left` numbers.
SOCIALGRID_INLINE Lanes first_of(Lanes x, std::int64_t left) {
  if (left >= kLanes) return x;
  for (std::int64_t i = left; i < kLanes; ++i) x[i] = 0.0f;
  return x;
}

// Calls work(sample, samples left) for vectors of samples.
template <typename Work>
SOCIALGRID_INLINE void by_samples(std::int64_t count, const Work& work) {
  for (std::int64_t b = 0; b < count; b += kLanes) work(b, count - b);
}

SOCIALGRID_INLINE float sum(Lanes x) {
  float found = 0.0f;
  for (int i = 0; i < kLanes; ++i) found += x[i];
  return found;
}

}  // namespace

void exponential_all(const float* x, std::int64_t count, float* to) {
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(to + i, exponential(load(x + i)));
  if (i < count) store_some(to + i, exponential(load_some(x + i, count - i)), count - i);
}

// The logarithm of tanh's slope is 2 (log 2 - x - softplus(-2 x)): Haarnoja et al. (2018), appendix
// C, without overflow and cancellation.
void squash(const Squash& s) {
  by_samples(s.count, [&](std::int64_t b, std::int64_t) {
    Lanes unlikely = {};
    for (std::int64_t d = 0; d < s.size; ++d) {
      const std::int64_t at = d * s.apart + b;
      const Lanes mean = load(s.mean + at), spread = load(s.spread + at);
      const Lanes noise = load(s.noise + at);
      Lanes x, normal;
      if (s.of_state) {
        x = within(mean, -kMostMean, kMostMean) + noise;
        normal = 0.5f * (product(noise, noise) / spread + logarithm(spread));
      } else {
        const Lanes log_std = within(spread, kLeastLogDeviation, kMostLogDeviation);
        x = mean + product(exponential(log_std), noise);
        normal = 0.5f * product(noise, noise) + log_std;
      }
      unlikely += normal + kHalfLog2Pi + 2.0f * ((kLog2 - x) - softplus(-2.0f * x));
      store(s.action + at, exact_tanh(x));
    }
    store(s.log_prob + b, -unlikely);
  });
}

void squash_back(const Squash& s, const SquashBack& k) {
  by_samples(s.count, [&](std::int64_t b, std::int64_t left) {
    for (std::int64_t d = 0; d < s.size; ++d) {
      const std::int64_t at = d * s.apart + b;
      const Lanes mean = load(s.mean + at), spread = load(s.spread + at);
      const Lanes noise = load(s.noise + at), action = load(s.action + at);
      const Lanes d_x =
          product(load(k.grad + at), 1.0f - product(action, action)) + 2.0f * k.share * action;
      if (s.of_state) {
        const Lanes inverse = 1.0f / spread, ratio = product(noise, inverse);
        const Lanes free = mean > -kMostMean ? d_x : Lanes{};
        const Lanes d_spread = 0.5f * k.share * (product(ratio, ratio) - inverse);
        store(k.mean + at, first_of(mean < kMostMean ? free : Lanes{}, left));
        store(k.spread + at, first_of(d_spread, left));
        store(k.noise + at, first_of(d_x - k.share * ratio, left));
      } else {
        const Lanes log_std = within(spread, kLeastLogDeviation, kMostLogDeviation);
        const Lanes moved = product(d_x, product(exponential(log_std), noise)) - k.share;
        store(k.mean + at, first_of(d_x, left));
        store(k.spread + at, first_of(log_std == spread ? moved : Lanes{}, left));
      }
    }
  });
}

void state_noise(const StateNoise& s) {
  for (std::int64_t d = 0; d < s.size; ++d) {
    by_samples(s.count, [&](std::int64_t b, std::int64_t) {
      Lanes even = all(kLeastVariance), odd = {};
      std::int64_t l = 0;
      for (; l + 2 <= s.latent; l += 2) {
        const Lanes z = load(s.z + l * s.apart + b), w = load(s.z + (l + 1) * s.apart + b);
        even += product(z, z) * s.squares[l * s.size + d];
        odd += product(w, w) * s.squares[(l + 1) * s.size + d];
      }
      if (l < s.latent) {
        const Lanes z = load(s.z + l * s.apart + b);
        even += product(z, z) * s.squares[l * s.size + d];
      }
      store(s.variance + d * s.apart + b, even + odd);
    });
  }
}

void state_noise_back(const StateNoise& s, const StateNoiseBack& k) {
  for (std::int64_t l = 0; l < s.latent; ++l) {
    const float* z = s.z + l * s.apart;
    const float* squares = s.squares + l * s.size;
    by_samples(s.count, [&](std::int64_t b, std::int64_t) {
      Lanes found = {};
      for (std::int64_t d = 0; d < s.size; ++d) {
        found += load(k.grad + d * s.apart + b) * squares[d];
      }
      store(k.z + l * s.apart + b, product(found, load(z + b) * 2.0f));
    });
    for (std::int64_t d = 0; d < s.size; ++d) {
      Lanes found = {};
      by_samples(s.count, [&](std::int64_t b, std::int64_t) {
        const Lanes x = load(z + b);
        found += product(x, x) * load(k.grad + d * s.apart + b);
      });
      k.squares[l * s.size + d] = sum(found);
    }
  }
}

void categorical(const Categorical& c) {
  by_samples(c.count, [&](std::int64_t b, std::int64_t) {
    Lanes top = load(c.logits + b), total = {};
    for (std::int64_t k = 1; k < c.size; ++k) {
      const Lanes x = load(c.logits + k * c.apart + b);
      top = x > top ? x : top;
    }
    for (std::int64_t k = 0; k < c.size; ++k) {
      total += exponential(load(c.logits + k * c.apart + b) - top);
    }
    const Lanes whole = top + logarithm(total);
    for (std::int64_t k = 0; k < c.size; ++k) {
      const std::int64_t at = k * c.apart + b;
      const Lanes log_prob = load(c.logits + at) - whole;
      store(c.log_probs + at, log_prob);
      store(c.probs + at, exponential(log_prob));
    }
  });
}

}  // namespace socialgrid::learning::SOCIALGRID_KERNEL_SET
