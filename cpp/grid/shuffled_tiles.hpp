// The default view of the MiniGrid-style games, 7 x 7 tiles of 3 x 3 pixels, painted by byte
// shuffles (core/shuffles.hpp).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "grid/atlas.hpp"
#include "grid/view.hpp"

namespace socialgrid {

// Rows of a narrow view, a tile a byte, column 0 the lowest (narrow_view in view.hpp).
using TileRows = std::array<std::uint64_t, 8>;

class ShuffledTiles {
 public:
  static constexpr int kSize = 7;  // tiles a side
  static constexpr int kSide = 3;  // pixels a side of a tile

  // Nothing if the views are others or this processor cannot. Planes that are looked at have
  // `plane_cols` columns, and a view's width of cells around every viewer.
  static std::unique_ptr<const ShuffledTiles> make(const EgocentricView& view,
                                                   const TileAtlas& atlas, int plane_cols);
  virtual ~ShuffledTiles() = default;

  // Crops a view around its viewer's cell in a plane, whose last row may be read a byte beyond its
  // end, and hides what the viewer, in row `view.agent_row()`, does not see (kUnseen).
  // `shown`: what tiles look like to it, or nothing where they look like themselves. `seen`: bit c
  // of each row, whether the cell in column c is seen.
  virtual void look(const Tile* viewer, int dir, bool see_through,
                    const std::array<Tile, 256>* shown, TileRows& rows,
                    std::array<std::uint32_t, 8>& seen) const = 0;
  // Bit c: the tile in column c is not of one colour. Its place in `out` holds nothing meaningful.
  virtual std::uint32_t patterned(std::uint64_t row) const = 0;
  // Pixels, uint8 [21, 21, 3].
  virtual void paint(const TileRows& rows, std::uint8_t* out) const = 0;
  // Sprite numbers as an agent facing `dir` sees them, [7, 7] of one byte or, if `wide`, two.
  virtual void number(const TileRows& rows, int dir, bool wide, std::uint8_t* out) const = 0;
};

}  // namespace socialgrid
