// An LSTM over time. Compiled once for every set of kernels.
#include "unroll.hpp"

#include "lanes.hpp"

namespace socialgrid::learning::SOCIALGRID_KERNEL_SET {
namespace {

constexpr int kGates = 4;
constexpr int kWide = kGates * kLanes;  // columns of a tile of packed weights
constexpr std::int64_t kDepth = 256;    // rows whose products are summed before they are stored

std::int64_t tiles(std::int64_t columns, std::int64_t width) {
  return (columns + width - 1) / width;
}

template <int Count>
using Sums = Lanes[Count][kGates];

// sums[row][v] += row k's number times the tile's vector v, over all k.
template <int Count>
SOCIALGRID_INLINE void multiply(Sums<Count>& sums, const float* const (&rows)[Count],
                                const float* tile, std::int64_t depth) {
  for (std::int64_t k = 0; k < depth; ++k, tile += kWide) {
    const Lanes w0 = load(tile), w1 = load(tile + kLanes), w2 = load(tile + 2 * kLanes),
                w3 = load(tile + 3 * kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < Count; ++r) {
      const Lanes x = all(rows[r][k]);
      sums[r][0] += x * w0;
      sums[r][1] += x * w1;
      sums[r][2] += x * w2;
      sums[r][3] += x * w3;
    }
  }
}

// Where row `i` of the state before step `t` is.
struct Before {
  const float* h;
  const float* c;
};
SOCIALGRID_INLINE Before before(const Unroll& u, std::int64_t t, std::int64_t i) {
  if (u.reset[t * u.count + i]) return {u.zeros, u.zeros};
  if (t == 0) return {u.first_h + i * u.first_h_row, u.first_c + i * u.first_c_row};
  const std::int64_t at = ((t - 1) * u.count + i) * u.hidden;
  return {u.h + at, u.c + at};
}

template <int Count>
SOCIALGRID_INLINE void step_block(const Unroll& u, std::int64_t t, std::int64_t tile,
                                  std::int64_t row) {
  const std::int64_t hidden = u.hidden, column = tile * kLanes, left = hidden - column;
  const float* weights = u.weights + tile * (1 + u.inputs + u.codes + hidden) * kWide;
  const float *inputs[Count], *states[Count], *cells[Count];
  Sums<Count> sums;
#pragma GCC unroll 8
  for (int r = 0; r < Count; ++r) {
    const Before state = before(u, t, row + r);
    inputs[r] = u.x + (t * u.count + row + r) * u.inputs;
    states[r] = state.h;
    cells[r] = state.c + column;
#pragma GCC unroll 4
    for (int g = 0; g < kGates; ++g) sums[r][g] = load(weights + g * kLanes);
    const std::int32_t* heard = u.heard + (t * u.count + row + r) * u.columns;
    for (std::int64_t k = 0; k < u.columns; ++k) {
      if (heard[k] < 0) continue;
      const float* code = weights + (1 + u.inputs + heard[k]) * kWide;
#pragma GCC unroll 4
      for (int g = 0; g < kGates; ++g) sums[r][g] += load(code + g * kLanes);
    }
  }
  multiply<Count>(sums, inputs, weights + kWide, u.inputs);
  multiply<Count>(sums, states, weights + (1 + u.inputs + u.codes) * kWide, hidden);
  const std::int64_t at = (t * u.count + row) * hidden;
#pragma GCC unroll 8
  for (int r = 0; r < Count; ++r) {
    const Lanes i = sigmoid(sums[r][0]), f = sigmoid(sums[r][1]), s = tanh(sums[r][2]),
                o = sigmoid(sums[r][3]);
    const Lanes cell = f * get(cells[r], left) + product(i, s);
    put(u.c + at + r * hidden + column, cell, left);
    put(u.h + at + r * hidden + column, product(o, tanh(cell)), left);
    if (u.gates == nullptr) continue;
    float* gates = u.gates + kGates * (at + r * hidden) + column;
    put(gates, i, left);
    put(gates + hidden, f, left);
    put(gates + 2 * hidden, s, left);
    put(gates + 3 * hidden, o, left);
  }
}

// Through h = o tanh(c) and c = f c' + i s to the gates' inputs and to c'.
SOCIALGRID_INLINE void sweep_row(const Unroll& u, const UnrollBack& b, std::int64_t t,
                                 std::int64_t row, std::int64_t wide) {
  const std::int64_t hidden = u.hidden, at = (t * u.count + row) * hidden;
  const bool last = t == u.steps - 1, reset = u.reset[t * u.count + row] != 0;
  const float* c_before = before(u, t, row).c;
  const float* gates = u.gates + kGates * at;
  float* grad = b.grad_gates + kGates * at;
  float *carried_h = b.carried_h + row * wide, *carried_c = b.carried_c + row * wide;
  for (std::int64_t j = 0; j < hidden; j += kLanes) {
    const std::int64_t left = hidden - j;
    const Lanes i = get(gates + j, left), f = get(gates + hidden + j, left),
                s = get(gates + 2 * hidden + j, left), o = get(gates + 3 * hidden + j, left);
    Lanes d_h = get(b.grad_h + at + j, left), d_c = {};
    if (!last) {
      d_h += load(carried_h + j);
      d_c = load(carried_c + j);
    }
    const Lanes q = tanh(get(u.c + at + j, left));
    d_c = product(d_h, o) * (1.0f - q * q) + d_c;
    const Lanes d_i = product(product(d_c, s), product(i, 1.0f - i)),
                d_f = product(product(d_c, get(c_before + j, left)), product(f, 1.0f - f)),
                d_s = product(product(d_c, i), 1.0f - s * s),
                d_o = product(product(d_h, q), product(o, 1.0f - o));
    put(grad + j, d_i, left);
    put(grad + hidden + j, d_f, left);
    put(grad + 2 * hidden + j, d_s, left);
    put(grad + 3 * hidden + j, d_o, left);
    store(carried_c + j, reset ? Lanes{} : product(d_c, f));
  }
}

// From the gates' inputs to the state before the step or to the inputs, one tile of columns.
template <int Count>
SOCIALGRID_INLINE void carry_block(const Unroll& u, const UnrollBack& b, std::int64_t t,
                                   std::int64_t tile, std::int64_t row, std::int64_t wide) {
  const std::int64_t depth = kGates * u.hidden, at = t * u.count + row;
  const float* rows[Count];
  Sums<Count> sums = {};
  for (int r = 0; r < Count; ++r) rows[r] = b.grad_gates + (at + r) * depth;
  multiply<Count>(sums, rows, u.weights + tile * depth * kWide, depth);
  const std::int64_t column = tile * kWide - wide;  // of the inputs
#pragma GCC unroll 8
  for (int r = 0; r < Count; ++r) {
#pragma GCC unroll 4
    for (int g = 0; g < kGates; ++g) {
      const std::int64_t here = column + g * kLanes;
      if (column < 0) {
        float* to = b.carried_h + (row + r) * wide + tile * kWide + g * kLanes;
        store(to, u.reset[at + r] ? Lanes{} : sums[r][g]);
      } else if (here < u.inputs) {
        put(b.grad_x + (at + r) * u.inputs + here, sums[r][g], u.inputs - here);
      }
    }
  }
}

// Adds to a block of a weight's gradient: rows of the gates, kWide columns of what they read.
template <int Count>
SOCIALGRID_INLINE void outer_block(const float* gates, std::int64_t gates_row,
                                   const float* const* read, std::int64_t depth,
                                   std::int64_t column, std::int64_t columns, float* to,
                                   bool first) {
  Sums<Count> sums = {};
  const std::int64_t left = columns - column;
  if (!first) {
#pragma GCC unroll 8
    for (int r = 0; r < Count; ++r) {
#pragma GCC unroll 4
      for (int g = 0; g < kGates; ++g) {
        const std::int64_t there = left - g * kLanes;
        if (there > 0) sums[r][g] = get(to + r * columns + column + g * kLanes, there);
      }
    }
  }
  if (left >= kWide) {
    for (std::int64_t k = 0; k < depth; ++k, gates += gates_row) {
      const float* from = read[k] + column;
      const Lanes w0 = load(from), w1 = load(from + kLanes), w2 = load(from + 2 * kLanes),
                  w3 = load(from + 3 * kLanes);
#pragma GCC unroll 8
      for (int r = 0; r < Count; ++r) {
        const Lanes x = all(gates[r]);
        sums[r][0] += x * w0;
        sums[r][1] += x * w1;
        sums[r][2] += x * w2;
        sums[r][3] += x * w3;
      }
    }
  } else {
    for (std::int64_t k = 0; k < depth; ++k, gates += gates_row) {
#pragma GCC unroll 4
      for (int g = 0; g < kGates; ++g) {
        const std::int64_t there = left - g * kLanes;
        if (there <= 0) break;
        const Lanes w = get(read[k] + column + g * kLanes, there);
#pragma GCC unroll 8
        for (int r = 0; r < Count; ++r) sums[r][g] += all(gates[r]) * w;
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < Count; ++r) {
#pragma GCC unroll 4
    for (int g = 0; g < kGates; ++g) {
      const std::int64_t there = left - g * kLanes;
      if (there > 0) put(to + r * columns + column + g * kLanes, sums[r][g], there);
    }
  }
}

void outer(const Unroll& u, const UnrollBack& b, const float* const* read, std::int64_t depth,
           std::int64_t start, std::int64_t columns, float* to, std::int64_t begin,
           std::int64_t end) {
  const std::int64_t width = kGates * u.hidden;
  for (std::int64_t column = 0; column < columns; column += kWide) {
    in_blocks(begin, end, [&]<int Count>(Rows<Count>, std::int64_t row) {
      outer_block<Count>(b.grad_gates + start * width + row, width, read, depth, column, columns,
                         to + row * columns, start == 0);
    });
  }
}

}  // namespace

std::int64_t padded(std::int64_t hidden) { return tiles(hidden, kWide) * kWide; }

std::int64_t packed(std::int64_t inputs, std::int64_t hidden) {
  // Forward, tiles of kLanes units with their four gates; backward, tiles of kWide units.
  const std::int64_t forward = tiles(hidden, kLanes) * (1 + inputs + hidden) * kWide;
  const std::int64_t backward = (padded(hidden) + padded(inputs)) * kGates * hidden;
  return forward > backward ? forward : backward;
}

void pack_forward(const float* input, const float* recurrent, const float* bias_input,
                  const float* bias_recurrent, std::int64_t inputs, std::int64_t hidden,
                  float* packed) {
  for (std::int64_t column = 0; column < hidden; column += kLanes) {
    for (std::int64_t g = 0; g < kGates; ++g) {
      for (int lane = 0; lane < kLanes; ++lane) {
        const bool there = column + lane < hidden;
        const std::int64_t row = there ? g * hidden + column + lane : 0;
        float* to = packed + g * kLanes + lane;
        *to = there ? bias_input[row] + bias_recurrent[row] : 0.0f;
        for (std::int64_t k = 0; k < inputs; ++k) {
          to += kWide;
          *to = there ? input[row * inputs + k] : 0.0f;
        }
        for (std::int64_t k = 0; k < hidden; ++k) {
          to += kWide;
          *to = there ? recurrent[row * hidden + k] : 0.0f;
        }
      }
    }
    packed += (1 + inputs + hidden) * kWide;
  }
}

void pack_backward(const float* input, const float* recurrent, std::int64_t inputs,
                   std::int64_t hidden, float* packed) {
  const auto pack = [&](const float* weight, std::int64_t columns) {
    for (std::int64_t column = 0; column < columns; column += kWide) {
      const std::int64_t there = columns - column < kWide ? columns - column : kWide;
      for (std::int64_t k = 0; k < kGates * hidden; ++k, packed += kWide) {
        const float* from = weight + k * columns + column;
        for (std::int64_t j = 0; j < kWide; ++j) packed[j] = j < there ? from[j] : 0.0f;
      }
    }
  };
  pack(recurrent, hidden);
  pack(input, inputs);
}

void forward(const Unroll& unroll, std::int64_t begin, std::int64_t end) {
  for (std::int64_t t = 0; t < unroll.steps; ++t) {
    for (std::int64_t tile = 0; tile < tiles(unroll.hidden, kLanes); ++tile) {
      in_blocks(begin, end, [&]<int Count>(Rows<Count>, std::int64_t row) {
        step_block<Count>(unroll, t, tile, row);
      });
    }
  }
}

void backward(const Unroll& unroll, const UnrollBack& back, std::int64_t begin, std::int64_t end) {
  const std::int64_t wide = padded(unroll.hidden), states = wide / kWide;
  const std::int64_t all = states + (back.grad_x ? tiles(unroll.inputs, kWide) : 0);
  for (std::int64_t t = unroll.steps - 1; t >= 0; --t) {
    for (std::int64_t row = begin; row < end; ++row) sweep_row(unroll, back, t, row, wide);
    for (std::int64_t tile = t > 0 ? 0 : states; tile < all; ++tile) {
      in_blocks(begin, end, [&]<int Count>(Rows<Count>, std::int64_t row) {
        carry_block<Count>(unroll, back, t, tile, row, wide);
      });
    }
  }
}

void weights(const Unroll& unroll, const UnrollBack& back, std::int64_t begin, std::int64_t end) {
  const std::int64_t rows = unroll.steps * unroll.count, width = kGates * unroll.hidden;
  const float *inputs[kDepth], *states[kDepth];
  for (std::int64_t row = begin; row < end; ++row) back.grad_bias[row] = 0.0f;
  for (std::int64_t start = 0; start < rows; start += kDepth) {
    const std::int64_t depth = rows - start < kDepth ? rows - start : kDepth;
    for (std::int64_t k = 0; k < depth; ++k) {
      const std::int64_t at = start + k;
      inputs[k] = unroll.x + at * unroll.inputs;
      states[k] = before(unroll, at / unroll.count, at % unroll.count).h;
      const float* grad = back.grad_gates + at * width;
      for (std::int64_t row = begin; row < end; ++row) back.grad_bias[row] += grad[row];
    }
    outer(unroll, back, inputs, depth, start, unroll.inputs, back.grad_input, begin, end);
    outer(unroll, back, states, depth, start, unroll.hidden, back.grad_hidden, begin, end);
  }
}

}  // namespace socialgrid::learning::SOCIALGRID_KERNEL_SET
