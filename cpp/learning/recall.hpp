// What the network of one agent makes of what was recorded: memories, values, log-probabilities.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels.hpp"
#include "lesson.hpp"

namespace socialgrid::learning {

// Values [rows] of the rows that `core` [rows, memory] is of, `apart` numbers one from the next.
void value_rows(const Kernels& kernels, const Heads& heads, const float* core, std::int64_t rows,
                float* values, std::int64_t apart);

// Likewise log-probabilities of the deciding's choices, which are checked.
void log_prob_rows(const Kernels& kernels, const Deciding& deciding, std::int64_t rows,
                   float* log_probs, std::int64_t apart);

}  // namespace socialgrid::learning
