// Convolutions of images by windows, channels last. Compiled once for every set of kernels.
#include "images.hpp"

#include "panels.hpp"

namespace socialgrid::learning::SOCIALGRID_KERNEL_SET {
namespace {

constexpr std::int64_t kDepth = 256;  // pixels whose products are summed before they are stored

struct Geometry {
  std::int64_t across, down, pixels, chunk, line, image;

  explicit Geometry(const Images& images)
      : across(images.cols - images.kernel + 1),
        down(images.rows - images.kernel + 1),
        pixels(across * down),
        chunk(images.kernel * images.inputs),
        line(images.cols * images.inputs),
        image(images.rows * line) {}
};

// Windows of an image after the other, row by row.
struct Walk {
  const Geometry& g;
  std::int64_t inputs, row = 0, col = 0;
  const float *image, *at;

  Walk(const Geometry& geometry, const Images& images, std::int64_t n)
      : g(geometry), inputs(images.inputs), image(images.x + n * g.image), at(image) {}

  void next() {
    at += inputs;
    if (++col < g.across) return;
    col = 0;
    if (++row == g.down) {
      row = 0;
      image += g.image;
    }
    at = image + row * g.line;
  }
};

SOCIALGRID_INLINE Lanes finish(Lanes x, const Images& images) {
  if (images.tanh) return exact_tanh(x);
  return x > 0.0f ? x : product(x, all(images.slope));
}

template <int Vectors>
SOCIALGRID_INLINE void start(Lanes (&sums)[Vectors], const float* bias, std::int64_t columns) {
#pragma GCC unroll 4
  for (int v = 0; v < Vectors; ++v) {
    sums[v] = bias == nullptr ? Lanes{} : get(bias + v * kLanes, columns - v * kLanes);
  }
}

// sums[r][v] += pixel k's number r times vector v of y's row k, over `depth` k.
template <int Vectors, int Rows>
SOCIALGRID_INLINE void add_outer(Lanes (&sums)[Rows][Vectors], const float* const* pixels,
                                 std::int64_t offset, const float* y, std::int64_t outputs,
                                 std::int64_t depth) {
  for (std::int64_t k = 0; k < depth; ++k, y += outputs) {
    const float* x = pixels[k] + offset;
    Lanes w[Vectors];
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) w[v] = load(y + v * kLanes);
#pragma GCC unroll 12
    for (int r = 0; r < Rows; ++r) {
      const Lanes factor = all(x[r]);
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) sums[r][v] += factor * w[v];
    }
  }
}

// The same of `there` rows only and of vectors that are not full.
template <int Vectors, int Rows>
SOCIALGRID_INLINE void add_some_outer(Lanes (&sums)[Rows][Vectors], const float* const* pixels,
                                      std::int64_t offset, const float* y, std::int64_t outputs,
                                      std::int64_t depth, std::int64_t there, std::int64_t left) {
  for (std::int64_t k = 0; k < depth; ++k, y += outputs) {
    const float* x = pixels[k] + offset;
    for (int v = 0; v < Vectors; ++v) {
      const Lanes w = get(y + v * kLanes, left - v * kLanes);
      for (std::int64_t r = 0; r < there; ++r) sums[r][v] += all(x[r]) * w;
    }
  }
}

}  // namespace

std::int64_t packed_taps(const Images& images, bool spread) {
  const std::int64_t taps = images.kernel * images.kernel;
  return spread ? panels_size(taps * images.outputs, images.inputs)
                : panels_size(taps * images.inputs, images.outputs);
}

void pack_taps(const Images& images, const float* weight, bool spread, float* packed) {
  const std::int64_t taps = images.kernel * images.kernel, inputs = images.inputs;
  if (!spread) {
    pack_panels(taps * inputs, images.outputs, packed,
                [&](std::int64_t k, std::int64_t j) { return weight[j * taps * inputs + k]; });
    return;
  }
  // Windows from right to left, in which a pixel meets correlations from left to right.
  pack_panels(taps * images.outputs, inputs, packed, [&](std::int64_t k, std::int64_t j) {
    const std::int64_t tap = k / images.outputs, back = tap % images.kernel;
    const std::int64_t place = tap - back + images.kernel - 1 - back;
    return weight[(k % images.outputs * taps + place) * inputs + j];
  });
}

void correlate(const Images& images, std::int64_t begin, std::int64_t end) {
  const Geometry g(images);
  const std::int64_t first = begin * g.pixels, last = end * g.pixels;
  if (first == last) return;
  const auto work = [&]<int Vectors>(Count<Vectors>, std::int64_t column, const float* panel) {
    constexpr int kBlock = rows_of(Vectors);
    const std::int64_t left = images.outputs - column;
    const float* bias = images.bias == nullptr ? nullptr : images.bias + column;
    Walk walk(g, images, begin);
    for (std::int64_t at = first; at < last; at += kBlock) {
      const float* rows[kBlock];
      Lanes sums[kBlock][Vectors];
      for (int r = 0; r < kBlock; ++r) {
        rows[r] = walk.at;
        if (at + r < last - 1) walk.next();
        start<Vectors>(sums[r], bias, left);
      }
      const float* taps = panel;
      for (std::int64_t line = 0; line < images.kernel; ++line) {
        add_products<Vectors, kBlock>(sums, rows, taps, g.chunk);
        taps += g.chunk * Vectors * kLanes;
        for (int r = 0; r < kBlock; ++r) rows[r] += g.line;
      }
      const std::int64_t there = last - at < kBlock ? last - at : kBlock;
#pragma GCC unroll 12
      for (int r = 0; r < kBlock; ++r) {
        if (r >= there) break;
        float* to = images.to + (at + r) * images.outputs + column;
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; ++v) {
          put(to + v * kLanes, finish(sums[r][v], images), left - v * kLanes);
        }
      }
    }
  };
  for_panels(images.kernel * g.chunk, images.outputs, images.packed, work);
}

void spread(const Images& images, std::int64_t begin, std::int64_t end) {
  const Geometry g(images);
  const std::int64_t source = g.pixels * images.outputs;
  if (begin == end) return;
  const auto work = [&]<int Vectors>(Count<Vectors>, std::int64_t column, const float* panel) {
    constexpr int kBlock = rows_of(Vectors);
    const std::int64_t left = images.inputs - column;
    const float* bias = images.bias == nullptr ? nullptr : images.bias + column;
    // The same pixel of several images at once: it has the same windows in all of them.
    for (std::int64_t n = begin; n < end; n += kBlock) {
      const std::int64_t there = end - n < kBlock ? end - n : kBlock;
      const float* from[kBlock];
      for (int r = 0; r < kBlock; ++r) {
        from[r] = images.y + (r < there ? n + r : end - 1) * source;
      }
      for (std::int64_t row = 0; row < images.rows; ++row) {
        for (std::int64_t col = 0; col < images.cols; ++col) {
          Lanes sums[kBlock][Vectors];
          for (int r = 0; r < kBlock; ++r) start<Vectors>(sums[r], bias, left);
          for (std::int64_t i = 0; i < images.kernel; ++i) {
            if (row < i || row - i >= g.down) continue;
            // Correlations `west` to `east` of this row have the pixel in their windows.
            const std::int64_t edge = images.kernel - 1;
            const std::int64_t west = col < edge ? 0 : col - edge;
            const std::int64_t east = col < g.across ? col : g.across - 1;
            const std::int64_t tap = i * images.kernel + edge - (col - west);
            const std::int64_t at = ((row - i) * g.across + west) * images.outputs;
            const float* rows[kBlock];
            for (int r = 0; r < kBlock; ++r) rows[r] = from[r] + at;
            add_products<Vectors, kBlock>(sums, rows,
                                          panel + tap * images.outputs * Vectors * kLanes,
                                          (east - west + 1) * images.outputs);
          }
          const std::int64_t pixel = row * g.line + col * images.inputs + column;
#pragma GCC unroll 12
          for (int r = 0; r < kBlock; ++r) {
            if (r >= there) break;
            float* to = images.to + (n + r) * g.image + pixel;
#pragma GCC unroll 4
            for (int v = 0; v < Vectors; ++v) {
              put(to + v * kLanes, finish(sums[r][v], images), left - v * kLanes);
            }
          }
        }
      }
    }
  };
  for_panels(images.kernel * images.kernel * images.outputs, images.inputs, images.packed, work);
}

// Rows `begin` to `end` of the transposed gradient [kernel * kernel * inputs, outputs].
void tap_gradients(const Images& images, std::int64_t begin, std::int64_t end) {
  const Geometry g(images);
  const std::int64_t outputs = images.outputs, all_pixels = images.count * g.pixels;
  const float* pixels[kDepth];
  Walk walk(g, images, 0);
  for (std::int64_t i = begin * outputs; i < end * outputs && !images.onto; ++i) {
    images.to[i] = 0.0f;
  }
  for (std::int64_t first = 0; first < all_pixels; first += kDepth) {
    const std::int64_t depth = all_pixels - first < kDepth ? all_pixels - first : kDepth;
    for (std::int64_t k = 0; k < depth; ++k, walk.next()) pixels[k] = walk.at;
    const auto work = [&]<int Vectors>(Count<Vectors>, std::int64_t column, const float*) {
      constexpr int kBlock = rows_of(Vectors);
      const std::int64_t left = outputs - column;
      for (std::int64_t row = begin; row < end;) {
        const std::int64_t line = row / g.chunk, within = row % g.chunk;
        std::int64_t there = end - row < kBlock ? end - row : kBlock;
        if (there > g.chunk - within) there = g.chunk - within;
        // A block that is not full begins with rows that are already done.
        const std::int64_t again = within >= kBlock - there ? kBlock - there : 0;
        const std::int64_t offset = line * g.line + within - again;
        Lanes sums[kBlock][Vectors] = {};
        const float* y = images.y + first * outputs + column;
        // Vectors may reach into the next pixel, whose numbers are then not used.
        const std::int64_t reach = (all_pixels - first) * outputs - column - Vectors * kLanes;
        std::int64_t whole = reach < 0 ? 0 : reach / outputs + 1;
        if (whole > depth) whole = depth;
        if (again + there < kBlock) whole = 0;
        add_outer<Vectors, kBlock>(sums, pixels, offset, y, outputs, whole);
        add_some_outer<Vectors, kBlock>(sums, pixels + whole, offset, y + whole * outputs, outputs,
                                        depth - whole, again + there, left);
#pragma GCC unroll 12
        for (int r = 0; r < kBlock; ++r) {
          if (r < again || r >= again + there) continue;
          float* to = images.to + (row + r - again) * outputs + column;
#pragma GCC unroll 4
          for (int v = 0; v < Vectors; ++v) {
            const std::int64_t some = left - v * kLanes;
            put(to + v * kLanes, get(to + v * kLanes, some) + sums[r][v], some);
          }
        }
        row += there;
      }
    };
    for_panels(0, outputs, nullptr, work);
  }
}

namespace {

// before = through(grad, out), and the sum of the columns.
template <typename Through>
SOCIALGRID_INLINE void pass(const float* grad, const float* out, std::int64_t rows,
                            std::int64_t columns, float* before, float* sums,
                            const Through& through) {
  const auto work = [&]<int Vectors>(Count<Vectors>, std::int64_t column, const float*) {
    const std::int64_t left = columns - column;
    Lanes totals[Vectors] = {};
    for (std::int64_t at = column; at < rows * columns; at += columns) {
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) {
        const std::int64_t some = left - v * kLanes;
        const Lanes g =
            through(get(grad + at + v * kLanes, some), get(out + at + v * kLanes, some));
        put(before + at + v * kLanes, g, some);
        totals[v] += g;
      }
    }
    for (int v = 0; v < Vectors; ++v) put(sums + column + v * kLanes, totals[v], left - v * kLanes);
  };
  for_panels(0, columns, nullptr, work);
}

}  // namespace

void rectified(const float* grad, const float* out, float slope, std::int64_t rows,
               std::int64_t columns, float* before, float* sums) {
  pass(grad, out, rows, columns, before, sums,
       [slope](Lanes g, Lanes y) { return y > 0.0f ? g : product(g, all(slope)); });
}

void squashed(const float* grad, const float* out, std::int64_t rows, std::int64_t columns,
              float* before, float* sums) {
  pass(grad, out, rows, columns, before, sums,
       [](Lanes g, Lanes y) { return product(g, 1.0f - y * y); });
}

void tanh_all(float* x, std::int64_t count) {
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(x + i, exact_tanh(load(x + i)));
  put(x + i, exact_tanh(load_some(x + i, count - i)), count - i);
}

}  // namespace socialgrid::learning::SOCIALGRID_KERNEL_SET
