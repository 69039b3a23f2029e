// Steps along gradients. Compiled once for every set of kernels.
#include <cmath>

#include "dense.hpp"
#include "lanes.hpp"

namespace socialgrid::learning::SOCIALGRID_KERNEL_SET {
namespace {

// Calls work(offset, numbers left) for vectors of `count` numbers.
template <typename Work>
SOCIALGRID_INLINE void by_lanes(std::int64_t count, const Work& work) {
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) work(i, std::int64_t{kLanes});
  if (i < count) work(i, count - i);
}

SOCIALGRID_INLINE Lanes root(Lanes x) {
  for (int i = 0; i < kLanes; ++i) x[i] = std::sqrt(x[i]);
  return x;
}

}  // namespace

bool finite(const float* x, std::int64_t count) {
  Lanes found = {};  // zero times what is not finite is no number
  by_lanes(count, [&](std::int64_t i, std::int64_t left) { found += get(x + i, left) * 0.0f; });
  for (int lane = 0; lane < kLanes; ++lane) {
    if (std::isnan(found[lane])) return false;
  }
  return true;
}

double norm(const float* x, std::int64_t count) {
  Lanes sums[4] = {};
  std::int64_t i = 0;
  for (; i + 4 * kLanes <= count; i += 4 * kLanes) {
    for (int v = 0; v < 4; ++v) {
      const Lanes one = load(x + i + v * kLanes);
      sums[v] += one * one;
    }
  }
  const Lanes all_sums = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  double total = 0.0;
  for (int lane = 0; lane < kLanes; ++lane) total += all_sums[lane];
  for (; i < count; ++i) total += static_cast<double>(x[i]) * x[i];
  return std::sqrt(total);
}

void descend(const Descent& d) {
  const double correction1 = 1.0 - std::pow(d.beta1, d.steps);
  const double correction2 = 1.0 - std::pow(d.beta2, d.steps);
  const Lanes scale = all(static_cast<float>(d.scale));
  const Lanes fresh1 = all(static_cast<float>(1.0 - d.beta1));
  const Lanes kept2 = all(static_cast<float>(d.beta2));
  const Lanes fresh2 = all(static_cast<float>(1.0 - d.beta2));
  const Lanes rate = all(static_cast<float>(d.rate / correction1));
  const Lanes shrink = all(static_cast<float>(1.0 / std::sqrt(correction2)));
  const Lanes eps = all(static_cast<float>(d.eps));
  by_lanes(d.count, [&](std::int64_t i, std::int64_t left) {
    const Lanes grad = product(get(d.grads + i, left), scale);
    Lanes first = get(d.first + i, left);
    first += fresh1 * (grad - first);
    const Lanes second = kept2 * get(d.second + i, left) + product(product(fresh2, grad), grad);
    put(d.first + i, first, left);
    put(d.second + i, second, left);
    const Lanes step = rate * first / (product(root(second), shrink) + eps);
    put(d.values + i, get(d.values + i, left) - step, left);
  });
}

void approach(float* to, const float* from, std::int64_t count, double rate) {
  const Lanes share = all(static_cast<float>(rate));
  by_lanes(count, [&](std::int64_t i, std::int64_t left) {
    const Lanes here = get(to + i, left), there = get(from + i, left);
    put(to + i, rate == 1.0 ? there : here + share * (there - here), left);
  });
}

}  // namespace socialgrid::learning::SOCIALGRID_KERNEL_SET
