// The default view of the MiniGrid-style games, 7 x 7 tiles of 3 x 3 pixels, painted by byte
// shuffles (core/shuffles.hpp).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/world.hpp"
#include "grid/atlas.hpp"
#include "grid/view.hpp"

namespace socialgrid {

// What one agent sees.
struct Sight {
  // Rows of seven tiles, a tile a byte, column 0 the lowest; row 7 and column 7 mean nothing. Cells
  // it does not see hold kUnseen.
  alignas(32) std::array<std::uint64_t, 8> rows;
  std::uint64_t seen = 0;  // bit 8 * row + col: the cell is seen
  // The same of tiles that are not of one colour: their place in what is painted holds nothing
  // meaningful.
  std::uint64_t patterned = 0;
};

class ShuffledTiles {
 public:
  static constexpr int kSize = 7;  // tiles a side
  static constexpr int kSide = 3;  // pixels a side of a tile

  // Nothing if the views are others or this processor cannot.
  static std::unique_ptr<const ShuffledTiles> make(const WorldShape& grid,
                                                   const EgocentricView& view,
                                                   const TileAtlas& atlas);
  virtual ~ShuffledTiles() = default;

  // Crops the view of an agent out of a world and hides what it does not see: all, where it is not
  // in play. `shown`: what tiles look like to it, or nothing where they look like themselves.
  virtual void look(const World& world, const Agent& viewer, bool see_through,
                    const std::array<Tile, 256>* shown, Sight& sight) const = 0;
  // Pixels, uint8 [21, 21, 3].
  virtual void paint(const Sight& sight, std::uint8_t* out) const = 0;
  // Sprite numbers as an agent facing `dir` sees them, [7, 7] of one byte or, if `wide`, two.
  virtual void number(const Sight& sight, int dir, bool wide, std::uint8_t* out) const = 0;
};

}  // namespace socialgrid
