#include "core/portable_math.hpp"

#include <bit>
#include <cmath>
#include <cstdint>

namespace socialgrid {
namespace {

// exp(x) from IEEE additions, multiplications and ldexp only (this file is built without
// contraction to fused operations): x = n ln 2 + r, and a Taylor polynomial for exp(r), |r| <= ln 2
// / 2, summed by Estrin's scheme, whose operations do not wait for each other.
double portable_exp(double x) {
  constexpr double kLn2High = 6.93147180369123816490e-01;
  constexpr double kLn2Low = 1.90821492927058770002e-10;
  constexpr double kInvLn2 = 1.44269504088896338700e+00;
  constexpr double kPlain = 600.0;  // up to here 2^n and the result are normal numbers
  const bool plain = x > -kPlain && x < kPlain;
  // Both by hand where that gives the same: calls of the library take longer.
  const double shifted = x * kInvLn2 + 0.5;
  const auto whole = plain ? static_cast<std::int64_t>(shifted) : 0;
  const double n = plain ? static_cast<double>(whole) - (static_cast<double>(whole) > shifted)
                         : std::floor(shifted);
  const double r = (x - n * kLn2High) - n * kLn2Low;
  const double r2 = r * r;
  const double r4 = r2 * r2;
  const double p01 = 1.0 + r;
  const double p23 = 1.0 / 2 + r * (1.0 / 6);
  const double p45 = 1.0 / 24 + r * (1.0 / 120);
  const double p67 = 1.0 / 720 + r * (1.0 / 5040);
  const double p89 = 1.0 / 40320 + r * (1.0 / 362880);
  const double p1011 = 1.0 / 3628800 + r * (1.0 / 39916800);
  const double p1213 = 1.0 / 479001600 + r * (1.0 / 6227020800.0);
  const double low = (p01 + r2 * p23) + r4 * (p45 + r2 * p67);
  const double high = (p89 + r2 * p1011) + r4 * p1213;
  const double power = low + r4 * r4 * high;
  const auto exponent = static_cast<int>(n);
  if (!plain) return std::ldexp(power, exponent);
  return power * std::bit_cast<double>(static_cast<std::uint64_t>(exponent + 1023) << 52);
}

}  // namespace

double portable_tanh(double x) {
  if (x > 20.0) return 1.0;
  if (x < 1e-4) return x * (1.0 - x * x / 3.0);  // where the formula below would lose digits
  return 1.0 - 2.0 / (portable_exp(2.0 * x) + 1.0);
}

double portable_sigmoid(double x) {
  if (x > 700.0) return 1.0;
  return 1.0 / (1.0 + portable_exp(-x));
}

}  // namespace socialgrid
