// Cropping an agent's square out of the grid and turning it so that the agent looks up.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "core/tile.hpp"
#include "core/world.hpp"
#include "grid/visibility.hpp"

namespace socialgrid {

// Where a view lies in a plane of tiles: its corner (farthest ahead, leftmost) and the steps from
// row to row (towards the viewer) and from column to column (to its right).
struct ViewFrame {
  const Tile* corner;
  int row_step;
  int col_step;

  ViewFrame(const Tile* viewer, int plane_cols, int dir, int agent_row, int agent_col) {
    const int back = dir ^ 2;
    const int right = (dir + 1) % 4;
    row_step = kRowStep[back] * plane_cols + kColStep[back];
    col_step = kRowStep[right] * plane_cols + kColStep[right];
    corner = viewer - agent_row * row_step - agent_col * col_step;
  }
};

// Views of up to eight cells a side: a row is the eight bytes of one word, column 0 the lowest.
namespace narrow_view {

static_assert(std::endian::native == std::endian::little, "column 0 is the lowest byte");

inline std::uint64_t load_word(const Tile* from) {
  std::uint64_t word;
  std::memcpy(&word, from, sizeof word);
  return word;
}

// Transposes the 8 x 8 bytes of eight words.
inline void transpose(std::array<std::uint64_t, 8>& rows) {
  const auto exchange = [&](std::size_t a, std::size_t b, int shift, std::uint64_t mask) {
    const std::uint64_t difference = ((rows[a] >> shift) ^ rows[b]) & mask;
    rows[b] ^= difference;
    rows[a] ^= difference << shift;
  };
  for (std::size_t i = 0; i < 4; ++i) exchange(i, i + 4, 32, 0x00000000ffffffffull);
  for (const std::size_t i : {0, 1, 4, 5}) exchange(i, i + 2, 16, 0x0000ffff0000ffffull);
  for (const std::size_t i : {0, 2, 4, 6}) exchange(i, i + 1, 8, 0x00ff00ff00ff00ffull);
}

inline std::uint64_t reverse_bytes(std::uint64_t word) {
  word = ((word >> 8) & 0x00ff00ff00ff00ffull) | ((word & 0x00ff00ff00ff00ffull) << 8);
  word = ((word >> 16) & 0x0000ffff0000ffffull) | ((word & 0x0000ffff0000ffffull) << 16);
  return (word >> 32) | (word << 32);
}

// The view's rows. Bytes beyond `size` and rows beyond `size` are unspecified. Reads up to seven
// bytes past either end of a row of the plane.
inline std::array<std::uint64_t, 8> crop(const ViewFrame& frame, int dir, int size) {
  std::array<std::uint64_t, 8> rows{};
  if (dir == 3 || dir == 1) {  // rows of the view lie along rows of the plane
    const Tile* from = frame.corner;
    for (int i = 0; i < size; ++i, from += frame.row_step) {
      rows[static_cast<std::size_t>(i)] =
          dir == 3 ? load_word(from) : reverse_bytes(load_word(from - 7));
    }
    return rows;
  }
  // Rows of the view lie along columns of the plane: take its columns as rows, then transpose.
  const Tile* from = frame.corner;
  for (int i = 0; i < size; ++i, from += frame.col_step) {
    rows[static_cast<std::size_t>(i)] =
        dir == 2 ? load_word(from) : reverse_bytes(load_word(from - 7));
  }
  transpose(rows);
  return rows;
}

// Bit i: byte i has its top bit set.
inline std::uint32_t top_bits(std::uint64_t word) {
  return static_cast<std::uint32_t>(
      (((word >> 7) & 0x0101010101010101ull) * 0x0102040810204080ull) >> 56);
}

// Byte i is 0xff where bit i is set.
inline std::uint64_t spread(std::uint32_t bits) {
  const std::uint64_t chosen = (bits * 0x0101010101010101ull) & 0x8040201008040201ull;
  // A chosen byte is not zero; adding 0x7f carries that into its top bit.
  const std::uint64_t top =
      (((chosen & 0x7f7f7f7f7f7f7f7full) + 0x7f7f7f7f7f7f7f7full) | chosen) & 0x8080808080808080ull;
  return (top >> 7) * 0xff;
}

}  // namespace narrow_view

}  // namespace socialgrid
