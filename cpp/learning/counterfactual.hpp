// What one agent would do had it heard something else, and what that says of those it hears.
#pragma once

#include <cstdint>
#include <vector>

#include "deciding.hpp"
#include "kernels.hpp"

namespace socialgrid::learning {

// One of those whom a response is read of: some of the head's outputs.
struct Asked {
  std::int64_t first = 0;  // output
  Exertion exertion;       // of all rows, without logits and scratch
};

struct Counterfactual {
  Alternatives alternatives;  // of all rows, without h
  std::int64_t codes = 0;     // that there are
  Heads head;
  const float* mask = nullptr;  // added to the head's outputs, or null
  std::vector<Asked> asked;
};

// Throws std::out_of_range where there is no such code, choice or action.
void exert(const Kernels& kernels, const Counterfactual& counterfactual);

}  // namespace socialgrid::learning
