// Perceptrons. Compiled once for every set of kernels.
//
// Inside, results lie feature by feature: a row of numbers for each unit, one for each sample. So a
// layer is a product of its weights, as they are, with blocks of samples; and units that ReLU left
// at zero for all of a block, often half of them, are left out of the sums, which changes no bit.
#include "perceptron.hpp"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "dense.hpp"
#include "panels.hpp"

namespace socialgrid::learning::SOCIALGRID_KERNEL_SET {
namespace {

constexpr int kWidth = kPanel * kLanes;  // samples of a block
constexpr int kAcross = kLanes / 4;      // of a tile of gradients, 4 rows high

// Numbers between the rows of two features. The line more spreads rows over the cache.
std::int64_t distance(std::int64_t count) { return (vectors_of(count) + 1) * kLanes; }

// A number of a sum: where its factor is in the weights, and where its row of samples is.
struct Term {
  std::int64_t factor, row;
};
using Units = std::vector<std::int64_t>;

// What a thread needs on the way, kept from one call to the next: threads that ask for memory all
// the time wait for each other.
struct Lists {
  std::vector<Term> terms, following;
  Units outs, ins;
};
Lists& lists() {
  thread_local Lists own;
  return own;
}

void all_units(std::int64_t count, Units& units) {
  units.resize(static_cast<std::size_t>(count));
  for (std::int64_t k = 0; k < count; ++k) units[static_cast<std::size_t>(k)] = k;
}

// Not zero, which includes what is no number.
SOCIALGRID_INLINE bool any(Lanes x) {
  std::uint64_t words[kLanes / 2], found = 0;
  std::memcpy(words, &x, sizeof x);
  for (const std::uint64_t word : words) found |= word;
  return found != 0;
}

void living_units(const float* rows, std::int64_t count, std::int64_t apart, Units& units) {
  units.clear();
  for (std::int64_t k = 0; k < count; ++k) {
    const float* row = rows + k * apart;
    Lanes together = {};  // nothing is negative: only zeros add up to zero
    for (std::int64_t b = 0; b < apart - kLanes; b += kLanes) together += load(row + b);
    if (any(together)) units.push_back(k);
  }
}

// sums[r][v] += rows[r][factor] * (vector v of the term's row). See add_products.
template <int Vectors, int Height>
[[gnu::noinline]] void add_terms(Lanes (&sums)[Height][Vectors], const float* const (&rows)[Height],
                                 const Term* term, std::int64_t count, const float* samples) {
  Lanes own[Height][Vectors];
#pragma GCC unroll 12
  for (int r = 0; r < Height; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) own[r][v] = sums[r][v];
  }
  const float* from[Height];
#pragma GCC unroll 12
  for (int r = 0; r < Height; ++r) from[r] = rows[r];
  for (const Term* end = term + count; term != end; ++term) {
    const std::int64_t factor = term->factor;
    const float* row = samples + term->row;
    Lanes w[Vectors];
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) w[v] = load(row + v * kLanes);
#pragma GCC unroll 12
    for (int r = 0; r < Height; ++r) {
      const Lanes x = all(from[r][factor]);
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) own[r][v] += x * w[v];
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < Height; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) sums[r][v] = own[r][v];
  }
}

// Calls work(Rows<n>, first) for as many as fit in registers, then for what is left over.
template <int Height, typename Work>
SOCIALGRID_INLINE void by_height(std::int64_t begin, std::int64_t end, const Work& work) {
  for (; end - begin >= Height; begin += Height) work(Rows<Height>{}, begin);
  if constexpr (Height > 1) {
    constexpr int kLess = Height > 8 ? 8 : Height > 4 ? 4 : Height > 2 ? 2 : 1;
    by_height<kLess>(begin, end, work);
  }
}

// Calls work(Count<vectors>, first) for blocks of samples.
template <typename Work>
SOCIALGRID_INLINE void by_block(std::int64_t count, const Work& work) {
  for (std::int64_t first = 0; first < count; first += kWidth) {
    switch (vectors_of(count - first)) {
      case 1:
        work(Count<1>{}, first);
        break;
      case 2:
        work(Count<2>{}, first);
        break;
      case 3:
        work(Count<3>{}, first);
        break;
      default:
        work(Count<kPanel>{}, first);
    }
  }
}

// [count, columns] to rows of `width`, `apart` from each other; zeros behind the last sample.
void turn(const float* from, std::int64_t count, std::int64_t columns, std::int64_t width,
          std::int64_t apart, float* to) {
  for (std::int64_t k = 0; k < columns; ++k, to += apart) {
    for (std::int64_t b = 0; b < count; ++b) to[b] = from[b * columns + k];
    for (std::int64_t b = count; b < width; ++b) to[b] = 0.0f;
  }
}

void turn_back(const float* from, std::int64_t count, std::int64_t columns, std::int64_t apart,
               float* to) {
  for (std::int64_t b = 0; b < count; ++b, to += columns) {
    for (std::int64_t k = 0; k < columns; ++k) to[k] = from[k * apart + b];
  }
}

// Rows of the same numbers, without what lies between them.
void copy_rows(const float* from, std::int64_t from_apart, std::int64_t rows, std::int64_t width,
               float* to, std::int64_t to_apart) {
  const auto size = static_cast<std::size_t>(width) * sizeof(float);
  for (std::int64_t k = 0; k < rows; ++k) {
    std::memcpy(to + k * to_apart, from + k * from_apart, size);
  }
}

std::int64_t units_of(const Perceptron& p) {
  std::int64_t found = 0;
  for (std::int64_t l = 0; l <= p.layers; ++l) found += p.sizes[l];
  return found;
}

// One layer for a block of samples, from rows to rows; the units that are not zero everywhere
// become the next layer's terms.
template <int Vectors>
void layer_block(const float* weight, const float* bias, std::int64_t inputs, std::int64_t outputs,
                 bool rectify, std::int64_t apart, const float* from, float* to,
                 std::vector<Term>& terms, std::vector<Term>& following) {
  following.clear();
  by_height<rows_of(Vectors)>(0, outputs, [&]<int Height>(Rows<Height>, std::int64_t o) {
    Lanes sums[Height][Vectors];
    const float* rows[Height];
    for (int r = 0; r < Height; ++r) {
      rows[r] = weight + (o + r) * inputs;
      for (int v = 0; v < Vectors; ++v) sums[r][v] = all(bias[o + r]);
    }
    add_terms<Vectors, Height>(sums, rows, terms.data(), static_cast<std::int64_t>(terms.size()),
                               from);
    for (int r = 0; r < Height; ++r) {
      float* row = to + (o + r) * apart;
      Lanes together = {};
      for (int v = 0; v < Vectors; ++v) {
        Lanes found = sums[r][v];
        if (rectify) found = found < 0.0f ? Lanes{} : found;
        store(row + v * kLanes, found);
        together += found;
      }
      if (!rectify || any(together)) following.push_back({o + r, (o + r) * apart});
    }
  });
  terms.swap(following);
}

Lanes sum_of(const float* row, std::int64_t length) {
  Lanes found = {};
  for (std::int64_t b = 0; b < length; b += kLanes) found += load(row + b);
  return found;
}

// Of pieces of `half` numbers: every first one of the first vector and every second one of the
// second, where they are; or, crossed, the others, each in the place of its neighbour.
constexpr int place(int half, bool crossed, int lane) {
  const bool first = lane % (2 * half) < half;
  const int from = !crossed ? lane : first ? lane + half : lane - half;
  return first ? from : from + kLanes;
}
template <int Half, bool Crossed, int... Lane>
SOCIALGRID_INLINE Lanes mixed(Lanes a, Lanes b, std::integer_sequence<int, Lane...>) {
  return __builtin_shufflevector(a, b, place(Half, Crossed, Lane)...);
}
// The sums of kLanes vectors, in their order, in the first.
template <int Half = kLanes / 2>
SOCIALGRID_INLINE void fold(Lanes* of) {
  constexpr auto kEach = std::make_integer_sequence<int, kLanes>{};
  for (int i = 0; i < Half; ++i) {
    of[i] = mixed<Half, false>(of[i], of[i + Half], kEach) +
            mixed<Half, true>(of[i], of[i + Half], kEach);
  }
  if constexpr (Half > 1) fold<Half / 2>(of);
}

// Products of rows of samples: 4 of one kind with kAcross of another, in this order.
[[gnu::noinline]] Lanes tile(const float* const (&high)[4], const float* const (&across)[kAcross],
                             std::int64_t length) {
  Lanes sums[kLanes] = {};
  const float *h0 = high[0], *h1 = high[1], *h2 = high[2], *h3 = high[3];
  for (std::int64_t b = 0; b < length; b += kLanes) {
    const Lanes a0 = load(h0 + b), a1 = load(h1 + b), a2 = load(h2 + b), a3 = load(h3 + b);
#pragma GCC unroll 4
    for (int j = 0; j < kAcross; ++j) {
      const Lanes x = load(across[j] + b);
      sums[j] += a0 * x;
      sums[kAcross + j] += a1 * x;
      sums[2 * kAcross + j] += a2 * x;
      sums[3 * kAcross + j] += a3 * x;
    }
  }
  fold(sums);
  return sums[0];
}

// Gradients of a layer's parameters: of the outputs and inputs that are given; others are 0.
void parameters_back(const float* grad, const float* x, const Units& outs, const Units& ins,
                     std::int64_t outputs, std::int64_t inputs, std::int64_t apart, float* d_weight,
                     float* d_bias) {
  const std::int64_t length = apart - kLanes;
  const auto rows = static_cast<std::int64_t>(outs.size());
  const auto columns = static_cast<std::int64_t>(ins.size());
  for (std::int64_t i = 0; i < outputs * inputs; ++i) d_weight[i] = 0.0f;
  for (std::int64_t i = 0; i < outputs; ++i) d_bias[i] = 0.0f;
  for (const std::int64_t o : outs) {
    const Lanes sums = sum_of(grad + o * apart, length);
    for (int i = 0; i < kLanes; ++i) d_bias[o] += sums[i];
  }
  const auto of = [](const Units& units, std::int64_t i) {
    const auto last = static_cast<std::int64_t>(units.size()) - 1;
    return units[static_cast<std::size_t>(i < last ? i : last)];
  };
  for (std::int64_t i = 0; i < rows; i += 4) {
    const float* high[4];
    for (int r = 0; r < 4; ++r) high[r] = grad + of(outs, i + r) * apart;
    for (std::int64_t j = 0; j < columns; j += kAcross) {
      const float* across[kAcross];
      for (int c = 0; c < kAcross; ++c) across[c] = x + of(ins, j + c) * apart;
      const Lanes found = tile(high, across, length);
      for (int r = 0; r < 4 && i + r < rows; ++r) {
        float* row = d_weight + of(outs, i + r) * inputs;
        for (int c = 0; c < kAcross && j + c < columns; ++c) {
          row[of(ins, j + c)] = found[r * kAcross + c];
        }
      }
    }
  }
}

// Gradients of a layer's inputs, of those that are given, through ReLU where `x` is its result.
void inputs_back(const float* grad, const float* x, const float* weight, const Units& outs,
                 const Units& ins, std::int64_t inputs, std::int64_t count, std::int64_t apart,
                 std::vector<Term>& terms, float* to) {
  terms.clear();
  for (const std::int64_t o : outs) terms.push_back({o * inputs, o * apart});
  by_block(count, [&]<int Vectors>(Count<Vectors>, std::int64_t first) {
    by_height<rows_of(Vectors)>(
        0, static_cast<std::int64_t>(ins.size()), [&]<int Height>(Rows<Height>, std::int64_t i) {
          Lanes sums[Height][Vectors] = {};
          const float* rows[Height];
          for (int r = 0; r < Height; ++r) {
            rows[r] = weight + ins[static_cast<std::size_t>(i + r)];
          }
          add_terms<Vectors, Height>(sums, rows, terms.data(),
                                     static_cast<std::int64_t>(terms.size()), grad + first);
          for (int r = 0; r < Height; ++r) {
            const std::int64_t at = ins[static_cast<std::size_t>(i + r)] * apart + first;
            for (int v = 0; v < Vectors; ++v) {
              Lanes found = sums[r][v];
              if (x != nullptr) found = load(x + at + v * kLanes) == 0.0f ? Lanes{} : found;
              store(to + at + v * kLanes, found);
            }
          }
        });
  });
}

// Adds some rows, through ReLU where `x` is its result.
void add_rectified(const float* from, const float* x, const Units& units, std::int64_t apart,
                   float* to) {
  for (const std::int64_t k : units) {
    for (std::int64_t at = k * apart; at < (k + 1) * apart - kLanes; at += kLanes) {
      Lanes more = load(from + at);
      if (x != nullptr) more = load(x + at) == 0.0f ? Lanes{} : more;
      store(to + at, load(to + at) + more);
    }
  }
}

// In its room, which has one block at a time where results are not kept.
std::int64_t distance_in(const Perceptron& p) {
  return distance(p.kept ? p.count : std::min<std::int64_t>(p.count, kWidth));
}

}  // namespace

std::int64_t perceptron_apart(std::int64_t count) { return distance(count); }

std::int64_t perceptron_room(const Perceptron& p) { return units_of(p) * distance_in(p); }

void perceptron_forward(const Perceptron& p) {
  const std::int64_t inputs = p.sizes[0], outputs = p.sizes[p.layers];
  const std::int64_t apart = distance_in(p), outside = distance(p.count);
  const std::int64_t last = (units_of(p) - outputs) * apart;
  std::vector<Term>&terms = lists().terms, &following = lists().following;
  by_block(p.count, [&]<int Vectors>(Count<Vectors>, std::int64_t first) {
    terms.clear();
    for (std::int64_t k = 0; k < p.sizes[0]; ++k) terms.push_back({k, k * apart});
    const std::int64_t rows = std::min<std::int64_t>(p.count - first, Vectors * kLanes);
    float* from = p.kept ? p.room + first : p.room;
    if (p.by_unit) {
      copy_rows(p.x + first, outside, inputs, Vectors * kLanes, from, apart);
    } else {
      turn(p.x + first * inputs, rows, inputs, Vectors * kLanes, apart, from);
    }
    const float* result = from + last;
    for (std::int64_t l = 0; l < p.layers; ++l) {
      float* to = from + p.sizes[l] * apart;
      layer_block<Vectors>(p.weights[l], p.biases[l], p.sizes[l], p.sizes[l + 1], l < p.rectified,
                           apart, from, to, terms, following);
      from = to;
    }
    if (p.by_unit) {
      copy_rows(result, apart, outputs, Vectors * kLanes, p.out + first, outside);
    } else {
      turn_back(result, rows, outputs, apart, p.out + first * outputs);
    }
  });
}

void perceptron_back(const Perceptron& p, const PerceptronBack& b) {
  const std::int64_t apart = distance(p.count);
  const float* x = p.room + (units_of(p) - p.sizes[p.layers]) * apart;
  float* grad = b.scratch + (x - p.room);
  std::vector<Term>& terms = lists().terms;
  Units &outs = lists().outs, &ins = lists().ins;
  if (p.by_unit) {
    copy_rows(b.grad, apart, p.sizes[p.layers], apart - kLanes, grad, apart);
  } else {
    turn(b.grad, p.count, p.sizes[p.layers], apart, apart, grad);
  }
  if (p.rectified == p.layers) {
    for (std::int64_t i = 0; i < p.sizes[p.layers] * apart; ++i) {
      grad[i] = x[i] == 0.0f ? 0.0f : grad[i];
    }
    living_units(x, p.sizes[p.layers], apart, outs);
  } else {
    all_units(p.sizes[p.layers], outs);
  }
  for (std::int64_t l = p.layers - 1; l >= 0; --l) {
    const std::int64_t inputs = p.sizes[l], outputs = p.sizes[l + 1];
    x -= inputs * apart;
    const bool rectified = l > 0 && l <= p.rectified;
    if (rectified) {
      living_units(x, inputs, apart, ins);
    } else {
      all_units(inputs, ins);
    }
    if (b.weights != nullptr) {
      parameters_back(grad, x, outs, ins, outputs, inputs, apart, b.weights[l], b.biases[l]);
    }
    if (l == 0 && b.grad_x == nullptr) break;
    if (l == 0) ins.erase(ins.begin(), ins.begin() + b.first_x);
    float* before = b.scratch + (x - p.room);
    inputs_back(grad, rectified ? x : nullptr, p.weights[l], outs, ins, inputs, p.count, apart,
                terms, before);
    if (l == p.layers - 1 && b.beside != nullptr) {
      add_rectified(b.beside, rectified ? x : nullptr, ins, apart, before);
    }
    grad = before;
    outs.swap(ins);
  }
  if (b.grad_x == nullptr) return;
  const std::int64_t wanted = p.sizes[0] - b.first_x;
  grad += b.first_x * apart;
  if (p.by_unit) {
    copy_rows(grad, apart, wanted, apart - kLanes, b.grad_x, apart);
  } else {
    turn_back(grad, p.count, wanted, apart, b.grad_x);
  }
}

}  // namespace socialgrid::learning::SOCIALGRID_KERNEL_SET
