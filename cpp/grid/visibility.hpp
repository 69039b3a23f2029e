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

// The same for one view of kSize cells a side whose viewer is in the middle column. Only what a row
// shows of the next one makes rows wait for each other: that is looked up (16 KiB). What it shows
// of itself is then found for all rows at once, a row a byte.
class SightTable {
 public:
  static constexpr int kSize = 7, kCol = kSize / 2;

  SightTable() {
    for (std::uint32_t open = 0; open <= kAll; ++open) {
      beside_[open] = static_cast<std::uint8_t>(kViewer | (along(kViewer, open) & kAll));
      for (std::uint32_t seen = 0; seen <= kAll; ++seen) {
        RowMasks<1> row{seen}, further{0};
        visibility_detail::sweep_row<1>(row, {open}, further, kSize, kCol);
        further_[open << kSize | seen] = static_cast<std::uint8_t>(further[0]);
      }
    }
  }

  // transparent, and what is returned: byte r is row r of kSize, row 0 farthest ahead of the
  // viewer, who is in row `row` > 0. What is returned is 0 in bits at and above kSize of each.
  std::uint64_t flood(std::uint64_t transparent, int row) const {
    const auto open = [&](int r) { return transparent >> (8 * r) & kAll; };
    std::uint64_t seen = 0, next = kViewer;
    for (int r = row; r > 0; --r) {
      next = further_[open(r) << kSize | next];
      seen |= next << (8 * (r - 1));
    }
    next = beside_[open(row)];
    seen |= next << (8 * row);
    for (int r = row; r < kSize - 1; ++r) {
      next = further_[open(r) << kSize | next];
      seen |= next << (8 * (r + 1));
    }
    return seen | along(seen, transparent & ~kAll);  // but for row 0
  }

 private:
  static constexpr std::uint64_t kAll = (1u << kSize) - 1, kViewer = 1u << kCol;
  static constexpr std::uint64_t kRows = 0x0001010101010101ull;

  // What sweeps along every row add to it, as sweep_row does.
  static std::uint64_t along(std::uint64_t seen, std::uint64_t open) {
    const std::uint64_t right_runs = open & kRows * 0x78, left_runs = open & kRows * 0x1e;
    const std::uint64_t seeds = seen & right_runs;
    const std::uint64_t right = (((right_runs + seeds) ^ right_runs) | seeds) & right_runs;
    std::uint64_t left = (seen | ((seen & open & kRows * kViewer) << 1)) & left_runs;
    left |= left_runs & (left >> 1);
    left |= left_runs & (left_runs >> 1) & (left >> 2);
    return ((right << 1) & kRows * kAll) | (left >> 1);
  }

  std::array<std::uint8_t, 1 << (2 * kSize)> further_;  // [transparent, seen]
  std::array<std::uint8_t, 1 << kSize> beside_;         // what the viewer sees of its own row
};

}  // namespace socialgrid
