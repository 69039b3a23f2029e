// A convolution by look-up. Compiled once for every set of kernels.
#include "images.hpp"
#include "panels.hpp"

namespace socialgrid::learning::SOCIALGRID_KERNEL_SET {

namespace {

// sums[p] += what the window of `kernel` x `kernel` cells adds whose first cell is number p of
// `cells`, from column `column` on.
template <int Kernel, int Vectors, int Pixels>
SOCIALGRID_INLINE void add_windows(Lanes (&sums)[Pixels][Vectors], const LookUp& l,
                                   const std::uint16_t* cells, std::int64_t column) {
  const std::int64_t kernel = Kernel > 0 ? Kernel : l.kernel;
  const std::int64_t place = l.place, tile = l.tile, cols = l.cols;
  const float* table = l.table + column;
#pragma GCC unroll 3
  for (std::int64_t i = 0; i < kernel; ++i, cells += cols) {
#pragma GCC unroll 3
    for (std::int64_t j = 0; j < kernel; ++j, table += place) {
#pragma GCC unroll 4
      for (int p = 0; p < Pixels; ++p) {
        const float* entry = table + cells[j + p] * tile;
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; ++v) sums[p][v] += load(entry + v * kLanes);
      }
    }
  }
}

template <int Kernel, int Vectors>
struct Panel {
  const LookUp l;
  const std::int64_t column, left;
  float* const last;
  // With one panel, whole vectors may spill into the next pixel, which is written later.
  const bool spill;

  // Pixels of one row, from the window on whose first cell is `cells`.
  template <int Pixels>
  SOCIALGRID_INLINE void write(const std::uint16_t* cells, float* to) const {
    Lanes sums[Pixels][Vectors];
#pragma GCC unroll 4
    for (int p = 0; p < Pixels; ++p) {
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) sums[p][v] = load(l.bias + column + v * kLanes);
    }
    add_windows<Kernel>(sums, l, cells, column);
#pragma GCC unroll 4
    for (int p = 0; p < Pixels; ++p, to += l.outputs) {
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) {
        const Lanes x = sums[p][v], value = x > 0.0f ? x : product(x, all(l.slope));
        float* here = to + v * kLanes;
        const bool whole = spill && last - here >= kLanes;
        put(here, value, whole ? kLanes : left - v * kLanes);
      }
    }
  }
};

template <int Kernel, int Vectors>
SOCIALGRID_INLINE void look_up_panel(const LookUp& l, std::int64_t begin, std::int64_t end,
                                     std::int64_t column) {
  constexpr int kMost = kSums / Vectors, kPixels = kMost > 4 ? 4 : kMost;
  const std::int64_t down = l.rows - l.kernel + 1, across = l.cols - l.kernel + 1;
  const std::int64_t view = l.rows * l.cols, outputs = l.outputs;
  const Panel<Kernel, Vectors> panel{l, column, outputs - column,
                                     l.out + end * down * across * outputs,
                                     outputs <= kPanel * kLanes};
  float* to = l.out + begin * down * across * outputs + column;
  for (std::int64_t n = begin; n < end; ++n) {
    const std::uint16_t* cells = l.cells + n * view;
    for (std::int64_t row = 0; row < down; ++row, cells += l.cols) {
      std::int64_t col = 0;
      for (; col + kPixels <= across; col += kPixels, to += kPixels * outputs) {
        panel.template write<kPixels>(cells + col, to);
      }
      for (; col < across; ++col, to += outputs) panel.template write<1>(cells + col, to);
    }
  }
}

}  // namespace

std::int64_t padded_outputs(std::int64_t outputs) { return vectors_of(outputs) * kLanes; }

void look_up(const LookUp& l, std::int64_t begin, std::int64_t end) {
  for_panels(0, l.outputs, nullptr,
             [&]<int Vectors>(Count<Vectors>, std::int64_t column, const float*) {
               if (l.kernel == 3) {
                 look_up_panel<3, Vectors>(l, begin, end, column);
               } else {
                 look_up_panel<0, Vectors>(l, begin, end, column);
               }
             });
}

std::int64_t margins(const LookUp& l) {
  return (l.rows + l.kernel - 1) * (l.cols + l.kernel - 1) * kLanes;
}

namespace {

constexpr int kLists = 4;  // of each tile: neighbouring cells often show the same one

// Cells of a view by their tiles, but for those that show one tile.
struct Lists {
  std::int32_t *heads, *next, *where, *seen;  // where cells are among the margins
  std::int64_t count = 0;
  std::int32_t common;

  Lists(const LookUp& l, const LookUpBack& back)
      : heads(back.lists),
        next(heads + kLists * l.tiles),
        where(next + l.rows * l.cols),
        seen(where + l.rows * l.cols),
        common(back.common) {
    for (std::int64_t i = 0; i < kLists * l.tiles; ++i) heads[i] = -1;
    for (std::int64_t i = 0; i < l.rows * l.cols; ++i) {
      const std::int64_t pixel = i / l.cols * (l.cols + l.kernel - 1) + i % l.cols;
      where[i] = static_cast<std::int32_t>(pixel * kLanes);
    }
  }

  void sort(const std::uint16_t* cells, std::int64_t all) {
    count = 0;
    for (std::int64_t i = 0; i < all; ++i) {
      const std::int32_t tile = cells[i];
      if (tile == common) continue;
      std::int32_t* own = heads + kLists * tile;
      if ((own[0] & own[1] & own[2] & own[3]) == -1) seen[count++] = tile;
      next[i] = own[i % kLists];
      own[i % kLists] = static_cast<std::int32_t>(i);
    }
  }

  void forget() {
    for (std::int64_t i = 0; i < count; ++i) {
      for (int j = 0; j < kLists; ++j) heads[kLists * seen[i] + j] = -1;
    }
  }
};

// The gradient before leaky ReLU of one vector of a view's results, in the middle of zeros.
SOCIALGRID_INLINE void spread_out(const LookUp& l, const float* grad, std::int64_t view,
                                  std::int64_t column, float* margins, Lanes& sums) {
  const std::int64_t edge = l.kernel - 1, down = l.rows - edge, across = l.cols - edge;
  const std::int64_t line = l.cols + edge, total = l.count * down * across * l.outputs;
  std::int64_t at = view * down * across * l.outputs + column;
  for (std::int64_t row = 0; row < down; ++row) {
    float* to = margins + ((row + edge) * line + edge) * kLanes;
    for (std::int64_t col = 0; col < across; ++col, at += l.outputs, to += kLanes) {
      // Numbers of the next pixel reach places of the table that nobody reads.
      const std::int64_t some = total - at >= kLanes ? kLanes : l.outputs - column;
      Lanes g = get(grad + at, some);
      g = get(l.out + at, some) > 0.0f ? g : product(g, all(l.slope));
      sums += g;
      store(to, g);
    }
  }
}

// Adds to the places `tap` to `tap + Taps - 1` of the window, whose gradients are at `offsets`.
template <int Taps>
SOCIALGRID_INLINE void add_cells(const LookUp& l, const Lists& lists, const float* margins,
                                 std::int64_t tap, std::int64_t column, float* grad_table) {
  const std::int64_t line = (l.cols + l.kernel - 1) * kLanes;
  std::int64_t offsets[Taps];
  for (int p = 0; p < Taps; ++p) {
    offsets[p] = ((tap + p) / l.kernel) * line + ((tap + p) % l.kernel) * kLanes;
  }
  const float* corner = margins + (l.kernel - 1) * (line + kLanes);
  for (std::int64_t i = 0; i < lists.count; ++i) {
    const std::int64_t tile = lists.seen[i];
    Lanes sums[Taps] = {};
    for (int j = 0; j < kLists; ++j) {
      for (std::int32_t cell = lists.heads[kLists * tile + j]; cell >= 0; cell = lists.next[cell]) {
        const float* here = corner + lists.where[cell];
#pragma GCC unroll 9
        for (int p = 0; p < Taps; ++p) sums[p] += load(here - offsets[p]);
      }
    }
#pragma GCC unroll 9
    for (int p = 0; p < Taps; ++p) {
      float* entry = grad_table + (tap + p) * l.place + tile * l.tile + column;
      store(entry, load(entry) + sums[p]);
    }
  }
}

}  // namespace

std::int32_t common_tile(const LookUp& l) {
  constexpr std::int64_t kSample = 512;
  const std::int64_t cells = l.count * l.rows * l.cols, stride = cells / kSample + 1;
  std::int64_t best = 0, most = 0;
  for (std::int64_t tile = 0; tile < l.tiles && 2 * most <= kSample; ++tile) {
    std::int64_t count = 0;
    for (std::int64_t i = 0; i < cells; i += stride) count += l.cells[i] == tile ? 1 : 0;
    if (count <= most) continue;
    best = tile;
    most = count;
  }
  return static_cast<std::int32_t>(best);
}

void look_up_back(const LookUp& l, const LookUpBack& back, std::int64_t begin, std::int64_t end) {
  const std::int64_t cells = l.rows * l.cols;
  Lists lists(l, back);
  for (std::int64_t n = 0; n < l.count; ++n) {
    lists.sort(l.cells + n * cells, cells);
    for (std::int64_t column = 0; column < l.outputs; column += kLanes) {
      Lanes sum = {};
      spread_out(l, back.grad, n, column, back.margins, sum);
      store(back.sums + column, load(back.sums + column) + sum);
      std::int64_t tap = begin;
      for (; tap + 9 <= end; tap += 9) {
        add_cells<9>(l, lists, back.margins, tap, column, back.grad_table);
      }
      for (; tap < end; ++tap) {
        add_cells<1>(l, lists, back.margins, tap, column, back.grad_table);
      }
    }
    lists.forget();
  }
}

// Every pixel has one tile at each place.
void look_up_rest(const LookUp& l, const LookUpBack& back, std::int64_t begin, std::int64_t end) {
  for (std::int64_t column = 0; column < l.outputs; column += kLanes) {
    for (std::int64_t tap = begin; tap < end; ++tap) {
      float* table = back.grad_table + tap * l.place + column;
      Lanes rest = load(back.sums + column);
      for (std::int64_t tile = 0; tile < l.tiles; ++tile) {
        if (tile != back.common) rest -= load(table + tile * l.tile);
      }
      store(table + back.common * l.tile, rest);
    }
  }
}

void add_rows(const float* from, const std::int64_t* place, std::int64_t count,
              std::int64_t columns, float* to) {
  for (std::int64_t n = 0; n < count; ++n, from += columns) {
    float* row = to + place[n] * columns;
    std::int64_t j = 0;
    for (; j + kLanes <= columns; j += kLanes) store(row + j, load(row + j) + load(from + j));
    for (; j < columns; ++j) row[j] += from[j];
  }
}

}  // namespace socialgrid::learning::SOCIALGRID_KERNEL_SET
