// The default views, painted by byte shuffles: 7 x 7 tiles of 3 x 3 pixels and 15 x 15 cells of
// one.
//
// Nearly every cell shows one colour. A row of cells becomes a row of pixels by two shuffles: of
// each cell's number into its red, green and blue, and of those into their places. That takes AVX2,
// which is looked for when an observer is made; where it is missing (or SOCIALGRID_SIMD=off stands
// in the environment) and for other views observers go their own way and write the same bytes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "socialgrid/atlas.hpp"
#include "socialgrid/game.hpp"
#include "socialgrid/observer.hpp"
#include "socialgrid/view.hpp"

namespace socialgrid {

// Rows of a narrow view, a tile a byte, column 0 the lowest (narrow_view in view.hpp).
using TileRows = std::array<std::uint64_t, 8>;

class ShuffledTiles {
 public:
  static constexpr int kSize = 7;  // tiles a side
  static constexpr int kSide = 3;  // pixels a side of a tile

  // Nothing if the views are others or this processor cannot.
  static std::unique_ptr<const ShuffledTiles> make(const EgocentricView& view,
                                                   const TileAtlas& atlas);
  virtual ~ShuffledTiles() = default;

  // Crops a view and hides what the viewer, in row `view.agent_row()`, does not see (kUnseen).
  // `shown`: what tiles look like to it, or nothing where they look like themselves. `seen`: bit c
  // of each row, whether the cell in column c is seen.
  virtual void look(const ViewFrame& frame, int dir, bool see_through,
                    const std::array<Tile, 256>* shown, TileRows& rows,
                    std::array<std::uint32_t, 8>& seen) const = 0;
  // Bit c: the tile in column c is not of one colour. Its place in `out` holds nothing meaningful.
  virtual std::uint32_t patterned(std::uint64_t row) const = 0;
  // Pixels, uint8 [21, 21, 3].
  virtual void paint(const TileRows& rows, std::uint8_t* out) const = 0;
  // Sprite numbers as an agent facing `dir` sees them, [7, 7] of one byte or, if `wide`, two.
  virtual void number(const TileRows& rows, int dir, bool wide, std::uint8_t* out) const = 0;
};

class ShuffledCells {
 public:
  static constexpr int kSize = 15;  // cells a side

  // Nothing if the views are others or this processor cannot. `colors`: red the lowest byte.
  static std::unique_ptr<const ShuffledCells> make(const SquareView& view, ObsMode mode,
                                                   const std::vector<std::uint32_t>& colors);
  virtual ~ShuffledCells() = default;

  // Writes the cells whose upper left one in the view is `corner`, out of a plane with `cols` bytes
  // a row, turned so that direction `up` is up: pixels [15, 15, 3], or the cells' codes [15, 15].
  // Reads up to two bytes beyond the cells of a row.
  virtual void write(const std::uint8_t* corner, std::ptrdiff_t cols, int up,
                     std::uint8_t* out) const = 0;
};

}  // namespace socialgrid
