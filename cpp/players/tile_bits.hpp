// Which of 64 cells hold a tile, as bits: bit i is cells[i]; and how many of any number of cells.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "core/tile.hpp"

#if defined(__SSE2__) || defined(_M_X64)
#include <emmintrin.h>
#define SOCIALGRID_TILE_BITS_SSE2
#endif

namespace socialgrid::players {

// Where there is nothing faster.
inline std::uint64_t tile_bits_portable(const Tile* cells, Tile tile) {
  static_assert(std::endian::native == std::endian::little, "the first cell is the lowest byte");
  constexpr std::uint64_t kLow = 0x7f7f7f7f7f7f7f7f;
  std::uint64_t bits = 0;
  for (int i = 0; i < 64; i += 8) {
    std::uint64_t eight;
    std::memcpy(&eight, cells + i, sizeof eight);
    eight ^= 0x0101010101010101u * tile;
    // Adding 0x7f carries what is not 0 into a byte's top bit.
    const std::uint64_t equal = ~(((eight & kLow) + kLow) | eight | kLow);
    bits |= (((equal >> 7) * 0x0102040810204080u) >> 56) << i;
  }
  return bits;
}

inline std::uint64_t tile_bits(const Tile* cells, Tile tile) {
#ifdef SOCIALGRID_TILE_BITS_SSE2
  const __m128i wanted = _mm_set1_epi8(static_cast<char>(tile));
  std::uint64_t bits = 0;
  for (int i = 0; i < 64; i += 16) {
    const __m128i some = _mm_loadu_si128(reinterpret_cast<const __m128i*>(cells + i));
    const int equal = _mm_movemask_epi8(_mm_cmpeq_epi8(some, wanted));
    bits |= static_cast<std::uint64_t>(static_cast<std::uint16_t>(equal)) << i;
  }
  return bits;
#else
  return tile_bits_portable(cells, tile);
#endif
}

// How many of `count` cells hold a tile.
inline std::size_t count_of(const Tile* cells, std::size_t count, Tile tile) {
  std::size_t found = 0, at = 0;
#ifdef SOCIALGRID_TILE_BITS_SSE2
  const __m128i wanted = _mm_set1_epi8(static_cast<char>(tile));
  while (count - at >= 16) {
    // In bytes, for as long as they cannot overflow.
    const std::size_t end = at + std::min<std::size_t>((count - at) / 16, 255) * 16;
    __m128i counts = _mm_setzero_si128();
    for (; at < end; at += 16) {
      const __m128i some = _mm_loadu_si128(reinterpret_cast<const __m128i*>(cells + at));
      counts = _mm_sub_epi8(counts, _mm_cmpeq_epi8(some, wanted));
    }
    const __m128i sums = _mm_sad_epu8(counts, _mm_setzero_si128());
    found += static_cast<std::size_t>(_mm_extract_epi16(sums, 0) + _mm_extract_epi16(sums, 4));
  }
#endif
  for (; at < count; ++at) found += cells[at] == tile ? 1 : 0;
  return found;
}

}  // namespace socialgrid::players
