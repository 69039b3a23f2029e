// Which cells of a view can be seen past opaque ones.
//
// Sight floods from the viewer over transparent cells, row by row, first away from the viewer, then
// towards its back; within a row rightward and then leftward. A visible transparent cell shows its
// neighbour in sweep direction, the cell one row further and the diagonal between them. The order
// matters to the result and is part of the game's rules. Rows are bit masks, column 0 the lowest bit,
// so that a sweep along a row is a few shifts.
#pragma once

#include <cstdint>

namespace socialgrid {

namespace visibility_detail {

// One row: sees along it from `seen`, returns what becomes visible one row further.
inline std::uint32_t sweep_row(std::uint32_t& seen, std::uint32_t transparent, int size, int col) {
  const std::uint32_t all = (std::uint32_t{1} << size) - 1;
  // Rightward, from the viewer's column to the edge.
  const std::uint32_t right_open = transparent & (all << col);
  std::uint32_t reached = seen & right_open;
  for (std::uint32_t open = right_open, shift = 1; shift < static_cast<std::uint32_t>(size);
       shift *= 2) {
    reached |= open & (reached << shift);
    open &= open << shift;
  }
  seen |= (reached << 1) & all;
  std::uint32_t further = (reached | (reached << 1)) & all;
  // Leftward, from one right of the viewer's column down to column 1.
  const std::uint32_t left_open = transparent & ((std::uint32_t{1} << (col + 2)) - 2);
  reached = seen & left_open;
  for (std::uint32_t open = left_open, shift = 1; shift < static_cast<std::uint32_t>(size);
       shift *= 2) {
    reached |= open & (reached >> shift);
    open &= open >> shift;
  }
  seen |= reached >> 1;
  further |= reached | (reached >> 1);
  return further;
}

}  // namespace visibility_detail

// transparent, visible: `size` rows of `size` bits, row 0 farthest ahead of the viewer, who is at
// (row, col) with 1 <= col <= size - 2. Bits at and above `size` must be 0 in `transparent`.
inline void flood_visible(const std::uint32_t* transparent, std::uint32_t* visible, int size,
                          int row, int col) {
  for (int r = 0; r < size; ++r) visible[r] = 0;
  visible[row] = std::uint32_t{1} << col;
  // The row behind the viewer, where the sweep begins, shows nothing yet.
  for (int r = row; r > 0; --r) {
    visible[r - 1] |= visibility_detail::sweep_row(visible[r], transparent[r], size, col);
  }
  for (int r = row; r < size; ++r) {
    const std::uint32_t further =
        visibility_detail::sweep_row(visible[r], transparent[r], size, col);
    if (r + 1 < size) visible[r + 1] |= further;
  }
}

}  // namespace socialgrid
