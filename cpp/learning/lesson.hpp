// Everything that one agent learns from some sequences: its loss and the gradients of all weights.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "deciding.hpp"
#include "decoding.hpp"
#include "kernels.hpp"
#include "modelling.hpp"
#include "numbers.hpp"
#include "sight.hpp"

namespace socialgrid::learning {

struct Lesson {
  Sight sight;  // steps before sequences
  // Tokens [views, columns], -1 says nothing, of channels: columns and symbols of each. They follow
  // the features, one-hot.
  std::vector<std::pair<std::int64_t, std::int64_t>> heard;
  const std::int16_t* tokens = nullptr;
  Unroll memory;                        // without x, gates, h and c
  const float* weights_back = nullptr;  // of the memory, for the way back
  std::vector<Deciding> decisions;      // without core
  std::vector<Decoding> predictions;    // likewise
  std::vector<Modelling> models;        // one or none, which reads what sight's other way comes to
};

// All are written.
struct LessonGrads {
  SightGrads sight;
  MemoryGrads memory;
  std::vector<std::pair<HeadsGrads, HeadsGrads>> decisions;  // of policy and value
  std::vector<DecodingGrads> predictions;                    // without core
  std::vector<ModellingGrads> models;
};

// What the memory made of a lesson's views.
struct Memory {
  Numbers x, gates, h, c;  // gates only for the way back
  Unroll unroll;
};

// Throws std::out_of_range where there is no such token. With a model, it is given its features.
Memory remember(const Kernels& kernels, const Lesson& lesson, Seen& seen, bool back,
                Modeller* model = nullptr);

struct Learnt {
  double loss = 0.0;
  std::vector<Losses> decisions;
  std::vector<double> errors;  // of predictions
  std::vector<Modelled> models;
};

// False where views have too many different tiles to be looked up. Throws std::out_of_range where
// there is no such tile, token or choice.
bool learn_from(const Kernels& kernels, const Lesson& lesson, const LessonGrads* grads,
                Learnt& learnt);

}  // namespace socialgrid::learning
