// Declarations of one set's kernels; SOCIALGRID_KERNEL_SET is its namespace.
#pragma once

#include "kernels.hpp"

namespace socialgrid::learning::SOCIALGRID_KERNEL_SET {

std::int64_t packed_taps(const Images& images, bool spread);
void pack_taps(const Images& images, const float* weight, bool spread, float* packed);
void correlate(const Images& images, std::int64_t begin, std::int64_t end);
void spread(const Images& images, std::int64_t begin, std::int64_t end);
void tap_gradients(const Images& images, std::int64_t begin, std::int64_t end);
void rectified(const float* grad, const float* out, float slope, std::int64_t rows,
               std::int64_t columns, float* before, float* sums);
void squashed(const float* grad, const float* out, std::int64_t rows, std::int64_t columns,
              float* before, float* sums);
void tanh_all(float* x, std::int64_t count);
double absolute_errors(const Errors& errors);
std::int64_t padded_outputs(std::int64_t outputs);
std::int64_t margins(const LookUp& look_up);
void look_up(const LookUp& look_up, std::int64_t begin, std::int64_t end);
void look_up_back(const LookUp& look_up, const LookUpBack& back, std::int64_t begin,
                  std::int64_t end);
std::int32_t common_tile(const LookUp& look_up);
void look_up_rest(const LookUp& look_up, const LookUpBack& back, std::int64_t begin,
                  std::int64_t end);
void choose(const Choice& choice);
void judge(const Judgement& judgement, Losses& losses);
void add_rows(const float* from, const std::int64_t* place, std::int64_t count,
              std::int64_t columns, float* to);

}  // namespace socialgrid::learning::SOCIALGRID_KERNEL_SET
