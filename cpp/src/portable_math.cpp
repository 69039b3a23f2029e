#include "portable_math.hpp"

#include <cmath>

namespace socialgrid {
namespace {

// exp(x) from IEEE additions, multiplications and ldexp only (this file is built without contraction
// to fused operations): x = n ln 2 + r, and a Taylor polynomial for exp(r), |r| <= ln 2 / 2.
double portable_exp(double x) {
  constexpr double kLn2High = 6.93147180369123816490e-01;
  constexpr double kLn2Low = 1.90821492927058770002e-10;
  constexpr double kInvLn2 = 1.44269504088896338700e+00;
  const double n = std::floor(x * kInvLn2 + 0.5);
  const double r = (x - n * kLn2High) - n * kLn2Low;
  double sum = 1.0;
  for (int k = 14; k >= 1; --k) sum = 1.0 + r * sum / k;
  return std::ldexp(sum, static_cast<int>(n));
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
