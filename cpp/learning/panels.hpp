// Products of rows with packed weights: panels of up to four vectors of columns.
#pragma once

#include "lanes.hpp"

namespace socialgrid::learning {
namespace {

constexpr int kPanel = 4;         // vectors of a panel
constexpr int kSums = 4 * kRows;  // sums that stay in registers

// Rows of a block: the narrower the panel, the more, as long as addresses fit in registers.
constexpr int rows_of(int vectors) {
  const int rows = kSums / vectors;
  return rows > 12 ? 12 : rows;
}

SOCIALGRID_INLINE std::int64_t vectors_of(std::int64_t columns) {
  return (columns + kLanes - 1) / kLanes;
}

// Numbers that a weight of `depth` rows and `columns` columns takes when it is packed.
SOCIALGRID_INLINE std::int64_t panels_size(std::int64_t depth, std::int64_t columns) {
  return depth * vectors_of(columns) * kLanes;
}

// Packs a weight, number (k, j) of which is at(k, j), panel after panel and row after row.
template <typename At>
SOCIALGRID_INLINE void pack_panels(std::int64_t depth, std::int64_t columns, float* to,
                                   const At& at) {
  for (std::int64_t column = 0; column < columns; column += kPanel * kLanes) {
    const std::int64_t left = vectors_of(columns - column);
    const std::int64_t width = (left < kPanel ? left : kPanel) * kLanes;
    // Blocks that stay in the cache whichever way the weight lies.
    for (std::int64_t first = 0; first < depth; first += kLanes) {
      const std::int64_t last = first + kLanes < depth ? first + kLanes : depth;
      for (std::int64_t j = 0; j < width; ++j) {
        float* place = to + first * width + j;
        for (std::int64_t k = first; k < last; ++k, place += width) {
          *place = column + j < columns ? at(k, column + j) : 0.0f;
        }
      }
    }
    to += depth * width;
  }
}

// Calls work(Count<vectors>, first column, packed panel) for every panel.
template <int Number>
struct Count {};
template <typename Work>
SOCIALGRID_INLINE void for_panels(std::int64_t depth, std::int64_t columns, const float* packed,
                                  const Work& work) {
  const std::int64_t vectors = vectors_of(columns);
  for (std::int64_t v = 0; v < vectors; v += kPanel) {
    const float* panel = packed + depth * v * kLanes;
    switch (vectors - v) {
      case 1:
        work(Count<1>{}, v * kLanes, panel);
        break;
      case 2:
        work(Count<2>{}, v * kLanes, panel);
        break;
      case 3:
        work(Count<3>{}, v * kLanes, panel);
        break;
      default:
        work(Count<4>{}, v * kLanes, panel);
    }
  }
}

// sums[r][v] += rows[r][k] * (vector v of the panel's row k), over `depth` k. Never inlined: the
// loop needs all registers, and compilers move sums to memory when there is more around it.
template <int Vectors, int Rows>
[[gnu::noinline]] void add_products(Lanes (&sums)[Rows][Vectors], const float* const (&rows)[Rows],
                                    const float* panel, std::int64_t depth) {
  Lanes own[Rows][Vectors];
#pragma GCC unroll 12
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) own[r][v] = sums[r][v];
  }
  const float* from[Rows];
#pragma GCC unroll 12
  for (int r = 0; r < Rows; ++r) from[r] = rows[r];
  for (std::int64_t k = 0; k < depth; ++k, panel += Vectors * kLanes) {
    Lanes w[Vectors];
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) w[v] = load(panel + v * kLanes);
#pragma GCC unroll 12
    for (int r = 0; r < Rows; ++r) {
      const Lanes x = all(from[r][k]);
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) own[r][v] += x * w[v];
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) sums[r][v] = own[r][v];
  }
}

}  // namespace
}  // namespace socialgrid::learning
