// What a memory would hold had it heard something else. Compiled once for every set of kernels.
#include "lanes.hpp"
#include "unroll.hpp"

namespace socialgrid::learning::SOCIALGRID_KERNEL_SET {
namespace {

constexpr int kGates = 4;
constexpr std::int64_t kTogether = 16;  // choices at a time
constexpr float kLimit = 1e15f;         // e^-2x from which on tanh x is -1

// (1 - x) / ((1 + x) (1 + y)): tanh a sigmoid b of x = e^-2a and y = e^-b.
SOCIALGRID_INLINE Lanes squashed(Lanes x, Lanes y) {
  x = x > kLimit ? all(kLimit) : x;  // not NaN, which is not more
  return (1.0f - x) / product(1.0f + x, 1.0f + y);
}

}  // namespace

// e^-(a + b) is e^-a e^-b: of every gate and of every weight there is one exponential, whatever
// they are added to.
void alternatives(const Alternatives& a, std::int64_t begin, std::int64_t end) {
  const std::int64_t width = kGates * a.hidden;
  Lanes weights[kTogether][kGates];  // exponentials of some choices'
  for (std::int64_t k = 0; k < a.hidden; k += kLanes) {
    const std::int64_t left = a.hidden - k;
    for (std::int64_t first = 0; first < a.choices; first += kTogether) {
      const std::int64_t last = first + kTogether < a.choices ? first + kTogether : a.choices;
      for (std::int64_t choice = first; choice < last; ++choice) {
        for (int g = 0; g < kGates; ++g) {
          const float* weight = a.weights + choice * width + g * a.hidden + k;
          weights[choice - first][g] = exponential(-get(weight, left));
        }
      }
      for (std::int64_t row = begin; row < end; ++row) {
        Lanes gates[kGates];
        for (int g = 0; g < kGates; ++g) {
          gates[g] = get(a.gates + row * width + g * a.hidden + k, left);
        }
        for (std::int64_t j = 0; j < a.columns; ++j) {
          const std::int32_t code = a.heard[row * a.columns + j];
          if (code < 0) continue;
          for (int g = 0; g < kGates; ++g) {
            gates[g] += get(a.codes + code * width + g * a.hidden + k, left);
          }
        }
        for (int g = 0; g < kGates; ++g) gates[g] = exponential(-gates[g]);
        const Lanes before = get(a.c + row * a.c_row + k, left);
        float* h = a.h + (row * a.choices + first) * a.hidden + k;
        for (const auto* weight = weights; weight != weights + (last - first); ++weight) {
          const Lanes in = product(gates[0], (*weight)[0]), kept = product(gates[1], (*weight)[1]),
                      cell = product(gates[2], (*weight)[2]), out = product(gates[3], (*weight)[3]);
          const Lanes c = before / (1.0f + kept) + squashed(cell, in);
          const Lanes found = squashed(exponential(-(c + c)), out);
          put(h, found, left);
          h += a.hidden;
        }
      }
    }
  }
}

}  // namespace socialgrid::learning::SOCIALGRID_KERNEL_SET
