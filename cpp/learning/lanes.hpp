// Vectors of floats as wide as the set of kernels that is being compiled. Everything is local to
// the file that includes this: files of one name are compiled once for every set.
#pragma once

#include <cstdint>

namespace socialgrid::learning {
namespace {

#if defined(__AVX512F__)
constexpr int kLanes = 16, kRows = 6;  // rows of a block: 4 x 6 sums stay in 32 registers
#elif defined(__AVX2__)
constexpr int kLanes = 8, kRows = 3;
#elif defined(__aarch64__)
constexpr int kLanes = 4, kRows = 6;
#else
constexpr int kLanes = 4, kRows = 2;
#endif

typedef float Lanes __attribute__((vector_size(4 * kLanes)));
typedef std::int32_t Bits __attribute__((vector_size(4 * kLanes)));
typedef float LooseLanes __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));

#define SOCIALGRID_INLINE [[gnu::always_inline]] inline

SOCIALGRID_INLINE Lanes load(const float* from) {
  return *reinterpret_cast<const LooseLanes*>(from);
}
SOCIALGRID_INLINE void store(float* to, Lanes value) { *reinterpret_cast<LooseLanes*>(to) = value; }

SOCIALGRID_INLINE Lanes load_some(const float* from, std::int64_t count) {
  float all[kLanes] = {};
  for (std::int64_t i = 0; i < count; ++i) all[i] = from[i];
  return load(all);
}
SOCIALGRID_INLINE void store_some(float* to, Lanes value, std::int64_t count) {
  float all[kLanes];
  store(all, value);
  for (std::int64_t i = 0; i < count; ++i) to[i] = all[i];
}

// Of the vector units' width or what is left of a row.
SOCIALGRID_INLINE Lanes get(const float* from, std::int64_t left) {
  return left >= kLanes ? load(from) : load_some(from, left);
}
SOCIALGRID_INLINE void put(float* to, Lanes value, std::int64_t left) {
  if (left >= kLanes) {
    store(to, value);
  } else if (left > 0) {
    store_some(to, value, left);
  }
}

SOCIALGRID_INLINE Lanes all(float value) { return value - Lanes{}; }

// a * b, rounded. The compiler fuses products with the sums they stand in; of two products in one
// sum it might choose either, and results would depend on which loop they were computed in.
SOCIALGRID_INLINE Lanes product(Lanes a, Lanes b) {
  Lanes found = a * b;
#if defined(__AVX512F__)
  asm("" : "+v"(found));
#elif defined(__x86_64__)
  asm("" : "+x"(found));
#elif defined(__aarch64__)
  asm("" : "+w"(found));
#else
  asm("" : "+m"(found));
#endif
  return found;
}

// e^x within 2 units in the last place; beyond +-87 that of the bound; NaN for NaN.
SOCIALGRID_INLINE Lanes exponential(Lanes x) {
  const Lanes high = all(87.0f), low = all(-87.0f);
  x = x > high ? high : x;
  x = x < low ? low : x;
  // Adding 1.5 * 2^23 leaves the nearest integer in the lowest bits.
  const Lanes shift = all(12582912.0f);
  const Lanes shifted = x * 1.44269504088896341f + shift;
  const Lanes whole = shifted - shift;
  x = x - whole * 0.693359375f;
  x = x + whole * 2.12194440e-4f;
  Lanes y = all(1.9875691500e-4f);
  y = y * x + 1.3981999507e-3f;
  y = y * x + 8.3334519073e-3f;
  y = y * x + 4.1665795894e-2f;
  y = y * x + 1.6666665459e-1f;
  y = y * x + 5.0000001201e-1f;
  y = y * product(x, x) + (x + 1.0f);
  const Bits power = ((Bits)shifted << 23) + (127 << 23);
  return y * (Lanes)power;
}

// Natural logarithm of positive numbers that are not subnormal within 2 units in the last place;
// NaN for NaN.
SOCIALGRID_INLINE Lanes logarithm(Lanes x) {
  const Bits bits = (Bits)x;
  const Lanes half = (Lanes)((bits & 0x007fffff) | 0x3f000000);  // x = half * 2^power, 0.5 to 1
  const Bits power = (bits >> 23) - 126;
  const Bits low = half < 0.707106781186547524f;  // -1 where it is
  const Lanes whole = __builtin_convertvector(power + low, Lanes);
  const Lanes m = (low ? half + half : half) - 1.0f;
  const Lanes z = product(m, m);
  Lanes y = all(7.0376836292e-2f);
  y = y * m - 1.1514610310e-1f;
  y = y * m + 1.1676998740e-1f;
  y = y * m - 1.2420140846e-1f;
  y = y * m + 1.4249322787e-1f;
  y = y * m - 1.6668057665e-1f;
  y = y * m + 2.0000714765e-1f;
  y = y * m - 2.4999993993e-1f;
  y = y * m + 3.3333331174e-1f;
  y = product(product(y, m), z) - whole * 2.12194440e-4f - 0.5f * z;
  y = whole * 0.693359375f + (m + y);
  return x == x ? y : x;
}

SOCIALGRID_INLINE Lanes sigmoid(Lanes x) { return 1.0f / (1.0f + exponential(-x)); }
SOCIALGRID_INLINE Lanes tanh(Lanes x) { return 2.0f * sigmoid(x + x) - 1.0f; }

// The same with small numbers as exact as large ones.
SOCIALGRID_INLINE Lanes exact_tanh(Lanes x) {
  const Lanes square = product(x, x);
  Lanes y = all(0.0218694885f);
  y = y * square - 0.0539682540f;
  y = y * square + 0.1333333333f;
  y = y * square - 0.3333333333f;
  const Lanes small = product(x, square) * y + x;
  return square < 0.09f ? small : tanh(x);
}

template <int Count>
struct Rows {};

// Calls work(Rows<n>, first row) for blocks of kRows rows, then for what is left over.
template <typename Work>
SOCIALGRID_INLINE void in_blocks(std::int64_t begin, std::int64_t end, const Work& work) {
  for (; end - begin >= kRows; begin += kRows) work(Rows<kRows>{}, begin);
  if (kRows > 5 && end - begin == 5) work(Rows<5>{}, begin);
  if (kRows > 4 && end - begin == 4) work(Rows<4>{}, begin);
  if (kRows > 3 && end - begin == 3) work(Rows<3>{}, begin);
  if (kRows > 2 && end - begin == 2) work(Rows<2>{}, begin);
  if (kRows > 1 && end - begin == 1) work(Rows<1>{}, begin);
}

}  // namespace
}  // namespace socialgrid::learning
