// A convolution by look-up. Compiled once for every set of kernels.
#include "images.hpp"
#include "panels.hpp"

namespace socialgrid::learning::SOCIALGRID_KERNEL_SET {

namespace {

// sums += what the window of `kernel` x `kernel` cells adds, from column `column` on.
template <int Kernel, int Vectors>
SOCIALGRID_INLINE void add_window(Lanes (&sums)[Vectors], const LookUp& l, std::int64_t stride,
                                  const std::uint16_t* cells, std::int64_t column) {
  const std::int64_t kernel = Kernel > 0 ? Kernel : l.kernel, place = l.tiles * stride;
  const float* table = l.table + column;
#pragma GCC unroll 3
  for (std::int64_t i = 0; i < kernel; ++i, cells += l.cols) {
#pragma GCC unroll 3
    for (std::int64_t j = 0; j < kernel; ++j, table += place) {
      const float* entry = table + cells[j] * stride;
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) sums[v] += load(entry + v * kLanes);
    }
  }
}

template <int Kernel, int Vectors>
SOCIALGRID_INLINE void look_up_panel(const LookUp& l, std::int64_t begin, std::int64_t end,
                                     std::int64_t column) {
  const std::int64_t down = l.rows - l.kernel + 1, across = l.cols - l.kernel + 1;
  const std::int64_t stride = vectors_of(l.outputs) * kLanes, left = l.outputs - column;
  float* const last = l.out + end * down * across * l.outputs;
  // With one panel, whole vectors may spill into the next pixel, which is written later.
  const bool spill = l.outputs <= kPanel * kLanes;
  float* to = l.out + begin * down * across * l.outputs + column;
  for (std::int64_t n = begin; n < end; ++n) {
    const std::uint16_t* view = l.cells + n * l.rows * l.cols;
    for (std::int64_t row = 0; row < down; ++row) {
      for (std::int64_t col = 0; col < across; ++col, to += l.outputs) {
        Lanes sums[Vectors];
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; ++v) sums[v] = load(l.bias + column + v * kLanes);
        add_window<Kernel, Vectors>(sums, l, stride, view + row * l.cols + col, column);
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; ++v) {
          const Lanes value = sums[v] > 0.0f ? sums[v] : product(sums[v], all(l.slope));
          float* here = to + v * kLanes;
          const bool whole = spill && last - here >= kLanes;
          put(here, value, whole ? kLanes : left - v * kLanes);
        }
      }
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

std::int64_t table_copies(std::int64_t outputs) { return outputs <= kLanes ? 4 : 1; }

// Of the places `begin` to `end` in the window; the first of them does the bias too.
void look_up_back(const LookUp& l, const float* grad, float* grad_table, float* grad_bias,
                  std::int64_t begin, std::int64_t end) {
  const std::int64_t down = l.rows - l.kernel + 1, across = l.cols - l.kernel + 1;
  const std::int64_t stride = vectors_of(l.outputs) * kLanes;
  const std::int64_t copies = table_copies(l.outputs);
  const std::int64_t size = l.kernel * l.kernel * l.tiles * stride;
  const std::int64_t total = l.count * down * across * l.outputs;
  const auto work = [&]<int Vectors>(Count<Vectors>, std::int64_t column, const float*) {
    const std::int64_t left = l.outputs - column;
    Lanes sums[Vectors] = {};
    std::int64_t at = column;
    for (std::int64_t n = 0; n < l.count; ++n) {
      const std::uint16_t* view = l.cells + n * l.rows * l.cols;
      for (std::int64_t row = 0; row < down; ++row) {
        for (std::int64_t col = 0; col < across; ++col, at += l.outputs) {
          Lanes g[Vectors];
#pragma GCC unroll 4
          for (int v = 0; v < Vectors; ++v) {
            // Numbers of the next pixel reach places of the table that nobody reads.
            const std::int64_t here = at + v * kLanes;
            const std::int64_t some = total - here >= kLanes ? kLanes : left - v * kLanes;
            const Lanes out = get(l.out + at + v * kLanes, some);
            g[v] = get(grad + at + v * kLanes, some);
            g[v] = out > 0.0f ? g[v] : product(g[v], all(l.slope));
            sums[v] += g[v];
          }
          const std::uint16_t* cells = view + row * l.cols + col;
          // Cells often show what their neighbours show: an entry alone would wait for itself.
          float* own = grad_table + (copies > 1 ? col % copies * size : 0);
          std::int64_t i = begin / l.kernel * l.cols, j = begin % l.kernel;
          own += begin * l.tiles * stride + column;
          for (std::int64_t tap = begin; tap < end; ++tap, own += l.tiles * stride) {
            float* entry = own + cells[i + j] * stride;
            if (++j == l.kernel) {
              j = 0;
              i += l.cols;
            }
#pragma GCC unroll 4
            for (int v = 0; v < Vectors; ++v) {
              store(entry + v * kLanes, load(entry + v * kLanes) + g[v]);
            }
          }
        }
      }
    }
    if (begin > 0) return;
    for (int v = 0; v < Vectors; ++v) store(grad_bias + column + v * kLanes, sums[v]);
  };
  for_panels(0, l.outputs, nullptr, work);
  const std::int64_t first = begin * l.tiles * stride, last = end * l.tiles * stride;
  for (std::int64_t i = 1; i < copies; ++i) {
    for (std::int64_t j = first; j < last; ++j) grad_table[j] += grad_table[i * size + j];
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
