// What a memory would hold had it heard something else. Compiled once for every set of kernels.
#include "lanes.hpp"
#include "unroll.hpp"

namespace socialgrid::learning::SOCIALGRID_KERNEL_SET {
namespace {

SOCIALGRID_INLINE Lanes some(const float* from, std::int64_t left) {
  return left >= kLanes ? load(from) : load_some(from, left);
}

}  // namespace

void alternatives(const Alternatives& a, std::int64_t begin, std::int64_t end) {
  const std::int64_t width = 4 * a.hidden;
  for (std::int64_t row = begin; row < end; ++row) {
    const float *gates = a.gates + row * width, *c = a.c + row * a.c_row;
    for (std::int64_t k = 0; k < a.hidden; k += kLanes) {
      const std::int64_t left = a.hidden - k;
      Lanes gate[4];
      for (int g = 0; g < 4; ++g) gate[g] = some(gates + g * a.hidden + k, left);
      const Lanes before = some(c + k, left);
      for (std::int64_t choice = 0; choice < a.choices; ++choice) {
        const float* weights = a.weights + choice * width + k;
        Lanes act[4];
        for (int g = 0; g < 4; ++g) {
          act[g] = sigmoid(gate[g] + some(weights + g * a.hidden, left));
        }
        const Lanes cell = product(act[1], before) + act[0] * (2.0f * act[2] - 1.0f);
        const Lanes h = act[3] * tanh(cell);
        float* to = a.h + (row * a.choices + choice) * a.hidden + k;
        if (left >= kLanes) {
          store(to, h);
        } else {
          store_some(to, h, left);
        }
      }
    }
  }
}

}  // namespace socialgrid::learning::SOCIALGRID_KERNEL_SET
