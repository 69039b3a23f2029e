// Painting views by byte shuffles: what the families' painters share.
//
// Nearly every cell of a view shows one colour. A row of cells becomes a row of pixels by two
// shuffles: of each cell's number into its red, green and blue, and of those into their places.
// That takes AVX2, which is looked for when an observer is made; where it is missing (or
// SOCIALGRID_SIMD=off stands in the environment) and for other views than the default ones
// observers go their own way and write the same bytes.
//
// SOCIALGRID_AVX2 marks functions that use it, and is defined only where the compiler knows it.
#pragma once

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define SOCIALGRID_AVX2 __attribute__((target("avx2")))
#include <immintrin.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <string_view>

namespace socialgrid {

inline bool can_shuffle() {
  const char* simd = std::getenv("SOCIALGRID_SIMD");
  return __builtin_cpu_supports("avx2") && (simd == nullptr || std::string_view(simd) != "off");
}

using Bytes16 = std::array<std::uint8_t, 16>;
inline constexpr std::uint8_t kNothing = 0x80;  // in a shuffle: a byte that becomes 0

inline __m128i load(const Bytes16& bytes) {
  return _mm_load_si128(reinterpret_cast<const __m128i*>(bytes.data()));
}

SOCIALGRID_AVX2 inline __m256i load_twice(const Bytes16& bytes) {
  return _mm256_broadcastsi128_si256(load(bytes));
}

SOCIALGRID_AVX2 inline __m256i load_32(const std::uint8_t* from) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
}

inline void store(std::uint8_t* to, __m128i bytes) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), bytes);
}

SOCIALGRID_AVX2 inline void store(std::uint8_t* to, __m256i bytes) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), bytes);
}

}  // namespace socialgrid

#endif
