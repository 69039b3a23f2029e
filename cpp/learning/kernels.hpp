// Kernels of the learners, over raw memory: one set for every kind of vector unit.
#pragma once

#include <cstdint>
#include <vector>

#include "perceptron.hpp"
#include "policies.hpp"

namespace socialgrid::learning {

// The unrolled memory of one agent: an LSTM over `steps` steps of `count` sequences, its gates in
// PyTorch's order (input, forget, cell, output). All arrays are float32 and dense unless a distance
// between rows stands beside them.
struct Unroll {
  std::int64_t steps = 0, count = 0, inputs = 0, hidden = 0;
  const float* weights = nullptr;  // what pack_forward or pack_backward made of them
  const float* zeros = nullptr;    // [hidden]
  const float* x = nullptr;        // [steps, count, inputs]
  const float* first_h = nullptr;  // [count, hidden], before the first step
  const float* first_c = nullptr;
  std::int64_t first_h_row = 0, first_c_row = 0;
  // Inputs behind those of x of which few are 1 and all others 0: `heard` has the numbers of those
  // that are, -1 for none. Forward only.
  std::int64_t codes = 0, columns = 0;
  const std::int32_t* heard = nullptr;  // [steps, count, columns]
  const std::uint8_t* reset = nullptr;  // [steps, count]: the state is zeroed before this step
  float* gates = nullptr;  // [steps, count, 4 * hidden], after nonlinearities; null: not wanted
  float* h = nullptr;      // [steps, count, hidden], after every step
  float* c = nullptr;      // [steps, count, hidden]
};

// What the way back needs besides.
struct UnrollBack {
  const float* grad_h = nullptr;  // [steps, count, hidden]
  float* grad_gates = nullptr;    // [steps, count, 4 * hidden], scratch
  float* carried_h = nullptr;     // [count, padded(hidden)], scratch
  float* carried_c = nullptr;     // [count, padded(hidden)], scratch
  float* grad_x = nullptr;        // [steps, count, inputs]; null: not wanted
  float* grad_input = nullptr;    // [4 * hidden, inputs], of the weights
  float* grad_hidden = nullptr;   // [4 * hidden, hidden]
  float* grad_bias = nullptr;     // [4 * hidden]
};

// A step of the memory from `count` states for each of `choices` inputs, of which one at a time is
// 1. The cell gate's numbers are doubled: tanh(x) = 2 sigmoid(2 x) - 1.
struct Alternatives {
  std::int64_t count = 0, choices = 0, hidden = 0;
  // [count, 4 * hidden], of the state and all other inputs but those of which few are 1: `heard`
  // has the numbers of those that are, -1 for none.
  const float* gates = nullptr;
  std::int64_t columns = 0;
  const std::int32_t* heard = nullptr;  // [count, columns]
  const float* codes = nullptr;         // their weights, [codes, 4 * hidden]
  const float* weights = nullptr;       // [choices, 4 * hidden]
  const float* c = nullptr;  // the first of hidden numbers each, c_row from the next one's
  std::int64_t c_row = 0;
  float* h = nullptr;  // [count, choices, hidden]
};

// Images [count, rows, cols, inputs] and their valid correlation with kernel x kernel windows,
// [count, rows - kernel + 1, cols - kernel + 1, outputs], in one of three ways.
struct Images {
  std::int64_t count = 0, rows = 0, cols = 0, inputs = 0, outputs = 0, kernel = 0;
  const float* packed = nullptr;  // correlate, spread: what pack_taps made of the weight
  const float* bias = nullptr;    // [outputs] (spread: [inputs]) or null
  float slope = 1.0f;             // of the result left of zero
  bool tanh = false;              // of the result
  bool onto = false;              // tap_gradients: add to what is there
  const float* x = nullptr;       // images; spread writes them
  const float* y = nullptr;       // correlations; correlate writes them
  float* to = nullptr;            // what is written
};

// The first convolution of views whose cells show few different tiles: what a tile adds to the
// result stands in a table, by its place in the window.
struct LookUp {
  std::int64_t count = 0, rows = 0, cols = 0, kernel = 0, tiles = 0, outputs = 0;
  const std::uint16_t* cells = nullptr;  // [count, rows, cols]: numbers of tiles
  // Padded outputs of every tile at every place of the window, and how far one tile's are from the
  // next one's and one place's from the next one's.
  const float* table = nullptr;
  std::int64_t tile = 0, place = 0;
  const float* bias = nullptr;  // [padded outputs]
  float slope = 1.0f;           // of the result left of zero
  float* out = nullptr;         // [count, rows - kernel + 1, cols - kernel + 1, outputs]
};

// What the way back needs besides; numbers are zeroed, and added up over calls.
struct LookUpBack {
  std::int32_t common = 0;        // of the tiles
  const float* grad = nullptr;    // as LookUp's out
  float* grad_table = nullptr;    // as LookUp's table
  float* sums = nullptr;          // [padded outputs], of all gradients before leaky ReLU
  float* margins = nullptr;       // scratch: as many as `margins` says
  std::int32_t* lists = nullptr;  // [5 * tiles + 2 * cells], scratch
};

// What is chosen among `choices`, row by row: by inverting the cumulative distribution at a number
// in [0, 1), the most probable where there are no such numbers, or what is there already.
struct Choice {
  std::int64_t rows = 0, choices = 0;
  const float* logits = nullptr;  // [rows, choices]
  const float* mask = nullptr;    // [choices], added to the logits, or null
  float* scratch = nullptr;       // [choices rounded up to padded_outputs]
  const float* uniform = nullptr;
  bool given = false;
  std::int64_t* choice = nullptr;  // read where given, written otherwise
  float* log_prob = nullptr;       // of the choice
  std::int64_t uniform_row = 0, choice_row = 0, log_prob_row = 0;
};

// How far pixels are off, in `columns` of every cell, a whole number of vectors: those that a table
// has for a cell's number. On the way back a pixel adds its view's weight times `scale` and `coef`,
// through leaky ReLU with the result `shown`.
struct Errors {
  std::int64_t views = 0, cells = 0, columns = 0;
  float slope = 1.0f, scale = 1.0f, coef = 1.0f;
  const float* weight = nullptr;          // [views]
  const float* table = nullptr;           // [numbers, columns]
  const std::int32_t* numbers = nullptr;  // [views, cells]
  float* shown = nullptr;                 // [views, cells, columns]; its gradient afterwards
  float* sums = nullptr;  // [columns], added to: of the gradients; null: there are none
};

// What decisions are judged by. Logits lie in whole vectors; what is no choice has one far below
// all others.
struct Judgement {
  std::int64_t rows = 0;
  float* logits = nullptr;  // [rows, logits_row]; their gradients afterwards, if wanted
  float* values = nullptr;  // the first of values_row numbers each; likewise
  std::int64_t logits_row = 0, values_row = 0;
  const std::int64_t* choice = nullptr;
  const float *log_prob = nullptr, *advantage = nullptr, *target = nullptr;
  std::int64_t choice_row = 0, number_row = 0;
  const float* weight = nullptr;  // [rows]
  bool clipped = false;           // PPO's loss of a policy; else the policy gradient's
  float clip = 0.0f;              // of its ratios, above and below 1
  // The whole loss: factor * (policy + value_coef * value) - entropy_coef * entropy.
  float factor = 1.0f, value_coef = 0.0f, entropy_coef = 0.0f;
  bool back = false;
};

// Weighted sums over rows; the last two, change of log-probability and clipped ratios, of PPO only.
struct Losses {
  double policy = 0.0, value = 0.0, entropy = 0.0, divergence = 0.0, share = 0.0;
};

// How far what agents do is from how far they are known: see `influence` and `listening` in Python.
enum class Divergence { kl, jsd, pmi };

// What an agent would do for each of another one's `choices`, and how far that is from what it
// would do whatever that one does, weighted by what that one does. A logit of minus infinity rules
// out an action.
struct Exertion {
  Divergence divergence = Divergence::kl;
  std::int64_t rows = 0, choices = 0, actions = 0;
  std::int64_t possible = 0;  // choices, the first ones, that there are
  const float* logits =
      nullptr;  // [rows, choices] of `actions` each, logits_row from the next ones
  std::int64_t logits_row = 0;
  const float* weights = nullptr;       // [rows] of `choices` each, the other one's probabilities
  const std::int64_t* taken = nullptr;  // [rows]: its choice
  const std::int64_t* then = nullptr;   // [rows]: the agent's action; for `pmi` only
  std::int64_t weights_row = 0, taken_row = 0, then_row = 0;
  const std::uint8_t *counts = nullptr, *known = nullptr;  // [rows]: for listening, for influence
  std::int64_t counts_row = 0, known_row = 0;
  float* exerted = nullptr;  // [rows], written: 0 where it is not known
  std::int64_t exerted_row = 0;
  double* listening = nullptr;  // [possible], added to: over the rows that count
  float* scratch = nullptr;     // as many as `exertion_room` says
};

// One set of kernels. What it computes for a row depends neither on how many rows there are nor on
// which of them a call computes.
struct Kernels {
  const char* name;
  // Numbers that packed weights take, whichever way, and a row of carried gradients.
  std::int64_t (*packed)(std::int64_t inputs, std::int64_t hidden);
  std::int64_t (*padded)(std::int64_t hidden);
  // From [4 * hidden, inputs], [4 * hidden, hidden] and, forward, the sum of the two [4 * hidden].
  void (*pack_forward)(const float* input, const float* recurrent, const float* bias_input,
                       const float* bias_recurrent, std::int64_t inputs, std::int64_t hidden,
                       float* packed);
  void (*pack_backward)(const float* input, const float* recurrent, std::int64_t inputs,
                        std::int64_t hidden, float* packed);
  // Sequences `begin` to `end`, all steps.
  void (*forward)(const Unroll& unroll, std::int64_t begin, std::int64_t end);
  void (*backward)(const Unroll& unroll, const UnrollBack& back, std::int64_t begin,
                   std::int64_t end);
  // Rows `begin` to `end` of the weights' gradients, once grad_gates are there.
  void (*weights)(const Unroll& unroll, const UnrollBack& back, std::int64_t begin,
                  std::int64_t end);

  // States `begin` to `end`.
  void (*alternatives)(const Alternatives& alternatives, std::int64_t begin, std::int64_t end);
  std::int64_t (*exertion_room)(const Exertion& exertion);
  void (*exert)(const Exertion& exertion);

  // Convolutions by a weight [outputs, kernel, kernel, inputs]: its numbers when packed, for
  // correlations or for spreading; images `begin` to `end` of either; rows `begin` to `end` of the
  // weight's transposed gradient [kernel * kernel * inputs, outputs].
  std::int64_t (*packed_taps)(const Images& images, bool spread);
  void (*pack_taps)(const Images& images, const float* weight, bool spread, float* packed);
  void (*correlate)(const Images& images, std::int64_t begin, std::int64_t end);
  void (*spread)(const Images& images, std::int64_t begin, std::int64_t end);
  void (*tap_gradients)(const Images& images, std::int64_t begin, std::int64_t end);

  // Through leaky ReLU or tanh with a result `out`, [rows, columns], and the sum of the columns.
  void (*rectified)(const float* grad, const float* out, float slope, std::int64_t rows,
                    std::int64_t columns, float* before, float* sums);
  void (*squashed)(const float* grad, const float* out, std::int64_t rows, std::int64_t columns,
                   float* before, float* sums);

  void (*tanh_all)(float* x, std::int64_t count);  // in place

  // The sum over views of weight times scale times absolute errors.
  double (*absolute_errors)(const Errors& errors);

  // Views `begin` to `end`. On the way back, places `begin` to `end` in the window of all views but
  // for the most common tile, as a sample tells, whose gradients are what is left of the sums.
  std::int64_t (*padded_outputs)(std::int64_t outputs);
  std::int64_t (*margins)(const LookUp& look_up);
  void (*look_up)(const LookUp& look_up, std::int64_t begin, std::int64_t end);
  void (*look_up_back)(const LookUp& look_up, const LookUpBack& back, std::int64_t begin,
                       std::int64_t end);
  std::int32_t (*common_tile)(const LookUp& look_up);
  void (*look_up_rest)(const LookUp& look_up, const LookUpBack& back, std::int64_t begin,
                       std::int64_t end);
  void (*choose)(const Choice& choice);
  void (*judge)(const Judgement& judgement, Losses& losses);
  // Numbers from a unit's results for `count` samples to the next one's.
  std::int64_t (*perceptron_apart)(std::int64_t count);
  // Numbers that all results of a perceptron take; through it, and back through what is in there.
  std::int64_t (*perceptron_room)(const Perceptron& perceptron);
  void (*perceptron_forward)(const Perceptron& perceptron);
  void (*perceptron_back)(const Perceptron& perceptron, const PerceptronBack& back);
  void (*exponential_all)(const float* x, std::int64_t count, float* to);
  // Actions and what policies say of them, and the way back.
  void (*squash)(const Squash& squash);
  void (*squash_back)(const Squash& squash, const SquashBack& back);
  void (*state_noise)(const StateNoise& noise);
  void (*state_noise_back)(const StateNoise& noise, const StateNoiseBack& back);
  void (*categorical)(const Categorical& categorical);
  // Whether all of `count` numbers are finite. Norm of them; a step; `to` moves by `rate` towards
  // `from`: 1 copies.
  bool (*finite)(const float* x, std::int64_t count);
  double (*norm)(const float* x, std::int64_t count);
  void (*descend)(const Descent& descent);
  void (*approach)(float* to, const float* from, std::int64_t count, double rate);

  // to[place[n]] += from[n], rows of `columns`, one after the other.
  void (*add_rows)(const float* from, const std::int64_t* place, std::int64_t count,
                   std::int64_t columns, float* to);
};

// The sets that this processor can run, the fastest first; none where the compiler had no vectors.
std::vector<const Kernels*> kernel_sets();

}  // namespace socialgrid::learning
