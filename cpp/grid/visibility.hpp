// Which cells of views can be seen past opaque ones.
//
// Sight floods from the viewer over transparent cells, row by row, first away from the viewer, then
// towards its back; within a row rightward and then leftward. A visible transparent cell shows its
// neighbour in sweep direction, the cell one row further and the diagonal between them. The order
// matters to the result and is part of the game's rules.
//
// Rows are bit masks, column 0 the lowest bit, so that a sweep along a row is a few shifts. Several
// views are flooded at once, one a lane, because each row waits for the one before it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace socialgrid {

// One row of several views.
template <std::size_t kLanes>
using RowMasks = std::array<std::uint32_t, kLanes>;

namespace visibility_detail {

// Sees along one row from `seen`, and adds to `further` what becomes visible one row on.
template <std::size_t kLanes>
inline void sweep_row(RowMasks<kLanes>& seen, const RowMasks<kLanes>& transparent,
                      RowMasks<kLanes>& further, int size, int col) {
  const std::uint32_t all = (std::uint32_t{1} << size) - 1;
  const std::uint32_t right_part = all << col;  // viewer's column to the edge
  const std::uint32_t left_part =
      (std::uint32_t{1} << (col + 2)) - 2;  // one right of it to column 1
  const std::uint32_t viewer = std::uint32_t{1} << col;
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    const std::uint32_t open = transparent[lane];
    // Rightward. Adding the seen cells to a run of open ones carries from the first of them to the
    // run's end.
    const std::uint32_t right_open = open & right_part;
    const std::uint32_t right_seeds = seen[lane] & right_open;
    const std::uint32_t right =
        (((right_open + right_seeds) ^ right_open) | right_seeds) & right_open;
    // Leftward, by doubling. Of the rightward sweep it sees the cell right of the viewer's column.
    std::uint32_t left_open = open & left_part;
    std::uint32_t left = (seen[lane] | ((seen[lane] & open & viewer) << 1)) & left_open;
    left |= left_open & (left >> 1);
    left_open &= left_open >> 1;
    left |= left_open & (left >> 2);
    left_open &= left_open >> 2;
    left |= left_open & (left >> 4);
    if (size > 15) {
      left_open &= left_open >> 4;
      left |= left_open & (left >> 8);
    }
    seen[lane] |= ((right << 1) & all) | (left >> 1);
    further[lane] |= ((right | (right << 1)) & all) | left | (left >> 1);
  }
}

}  // namespace visibility_detail

// transparent, visible: `size` rows, row 0 farthest ahead of the viewer, who is at (row, col) with
// 1 <= col <= size - 2. Bits at and above `size` must be 0 in `transparent`.
template <std::size_t kLanes>
inline void flood_visible(const RowMasks<kLanes>* transparent, RowMasks<kLanes>* visible, int size,
                          int row, int col) {
  for (int r = 0; r < size; ++r) visible[r].fill(r == row ? std::uint32_t{1} << col : 0);
  // In the row behind the viewer, where the sweep begins, nothing is visible yet.
  for (int r = row; r > 0; --r) {
    visibility_detail::sweep_row(visible[r], transparent[r], visible[r - 1], size, col);
  }
  RowMasks<kLanes> outside{};
  for (int r = row; r < size; ++r) {
    visibility_detail::sweep_row(visible[r], transparent[r],
                                 r + 1 < size ? visible[r + 1] : outside, size, col);
  }
}

// The same for one view of kSize cells a side, with every sweep of a row looked up (32 KiB).
class SightTable {
 public:
  static constexpr int kSize = 7;

  // col: the viewer's column.
  explicit SightTable(int col) : viewer_(std::uint32_t{1} << col), swept_((kAll + 1) * (kAll + 1)) {
    for (std::uint32_t open = 0; open <= kAll; ++open) {
      for (std::uint32_t seen = 0; seen <= kAll; ++seen) {
        RowMasks<1> row{seen}, further{0};
        visibility_detail::sweep_row<1>(row, {open}, further, kSize, col);
        swept_[open << kSize | seen] =
            static_cast<std::uint16_t>((row[0] & kAll) | (further[0] & kAll) << 8);
      }
    }
  }

  // transparent, visible: as for flood_visible, with the viewer in row `row`.
  void flood(const std::array<std::uint32_t, 8>& transparent, std::array<std::uint32_t, 8>& visible,
             std::size_t row) const {
    std::uint32_t next = viewer_;  // what is seen of the row that comes next
    for (std::size_t r = row; r > 0; --r) {
      const std::uint32_t both = swept_[transparent[r] << kSize | next];
      visible[r] = both & kAll;
      next = both >> 8;
    }
    if (row > 0) {
      visible[0] = next;
      next = visible[row];
    }
    for (std::size_t r = row; r < kSize; ++r) {
      const std::uint32_t both = swept_[transparent[r] << kSize | next];
      visible[r] = both & kAll;
      next = both >> 8;
    }
  }

 private:
  static constexpr std::uint32_t kAll = (1u << kSize) - 1;

  std::uint32_t viewer_;
  std::vector<std::uint16_t> swept_;  // [transparent, seen]: seen, and from bit 8 what lies further
};

}  // namespace socialgrid
