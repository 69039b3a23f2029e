// Sets of a grid's cells, a bit a cell in row-major order, so that rules look at 64 cells at once.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "core/map.hpp"

namespace socialgrid {

class CellBits {
 public:
  static constexpr std::size_t kMaxCells = std::size_t{kMaxSide} * kMaxSide;
  static constexpr std::size_t kMaxWords = (kMaxCells + 127) / 128 * 2;  // some take two at once

  // The empty set of a grid of `num_cells` cells.
  explicit CellBits(std::size_t num_cells) : count_((num_cells + 63) / 64) {
    std::memset(words_.data(), 0, count_ * sizeof(std::uint64_t));
  }

  // The cells that hold a tile. Tiles are below 128.
  CellBits(std::span<const Tile> cells, Tile tile) : count_((cells.size() + 63) / 64) {
    const std::size_t whole = cells.size() / 64;
    for (std::size_t w = 0; w < whole; ++w) words_[w] = matches(&cells[w * 64], tile);
    if (whole == count_) return;
    std::array<Tile, 64> rest;
    rest.fill(static_cast<Tile>(tile ^ 1));
    std::memcpy(rest.data(), &cells[whole * 64], cells.size() - whole * 64);
    words_[whole] = matches(rest.data(), tile);
  }

  // The cells that hold something else.
  static CellBits other_than(std::span<const Tile> cells, Tile tile) {
    CellBits bits(cells, tile);
    for (std::size_t w = 0; w < bits.count_; ++w) bits.words_[w] = ~bits.words_[w];
    const std::size_t rest = cells.size() % 64;
    if (rest != 0) bits.words_[bits.count_ - 1] &= (std::uint64_t{1} << rest) - 1;
    return bits;
  }

  std::size_t num_words() const { return count_; }
  std::uint64_t& word(std::size_t w) { return words_[w]; }
  std::uint64_t word(std::size_t w) const { return words_[w]; }
  const std::uint64_t* data() const { return words_.data(); }

  void insert(std::size_t cell) { words_[cell / 64] |= std::uint64_t{1} << (cell % 64); }
  void erase(std::size_t cell) { words_[cell / 64] &= ~(std::uint64_t{1} << (cell % 64)); }
  bool contains(std::size_t cell) const { return ((words_[cell / 64] >> (cell % 64)) & 1) != 0; }
  std::size_t size() const {
    std::size_t total = 0;
    for (std::size_t w = 0; w < count_; ++w) {
      total += static_cast<std::size_t>(std::popcount(words_[w]));
    }
    return total;
  }

  // Calls fn(cell) for every cell in row-major order.
  template <typename Fn>
  void for_each(Fn fn) const {
    for (std::size_t w = 0; w < count_; ++w) {
      for (std::uint64_t rest = words_[w]; rest != 0; rest &= rest - 1) {
        fn(w * 64 + static_cast<std::size_t>(std::countr_zero(rest)));
      }
    }
  }

  // The k-th cell in row-major order; k < size().
  std::size_t nth(std::size_t k) const {
    for (std::size_t w = 0;; ++w) {
      const auto here = static_cast<std::size_t>(std::popcount(words_[w]));
      if (k >= here) {
        k -= here;
        continue;
      }
      std::uint64_t rest = words_[w];
      while (k-- > 0) rest &= rest - 1;
      return w * 64 + static_cast<std::size_t>(std::countr_zero(rest));
    }
  }

 private:
  // Bit i: cells[i] is `tile`, of 64 cells.
  static std::uint64_t matches(const Tile* cells, Tile tile) {
    static_assert(std::endian::native == std::endian::little, "the first cell is the lowest byte");
    std::uint64_t bits = 0;
#if defined(__SSE2__)
    const __m128i wanted = _mm_set1_epi8(static_cast<char>(tile));
    for (int i = 0; i < 64; i += 16) {
      const __m128i some = _mm_loadu_si128(reinterpret_cast<const __m128i*>(cells + i));
      const auto equal =
          static_cast<std::uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(some, wanted)));
      bits |= std::uint64_t{equal} << i;
    }
#else
    for (int i = 0; i < 64; i += 8) {
      std::uint64_t eight;
      std::memcpy(&eight, cells + i, sizeof eight);
      eight ^= 0x0101010101010101ull * tile;
      // Adding 0x7f carries what is not 0 into a byte's top bit.
      const std::uint64_t equal = ~(eight + 0x7f7f7f7f7f7f7f7full) & 0x8080808080808080ull;
      bits |= (((equal >> 7) * 0x0102040810204080ull) >> 56) << i;
    }
#endif
    return bits;
  }

  std::size_t count_;
  std::array<std::uint64_t, kMaxWords> words_;
};

}  // namespace socialgrid
