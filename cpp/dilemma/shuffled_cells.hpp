// The default view of the social dilemmas, 15 x 15 cells of one pixel, painted by byte shuffles
// (core/shuffles.hpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/observer.hpp"
#include "dilemma/square_view.hpp"

namespace socialgrid {

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
