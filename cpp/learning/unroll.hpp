// Declarations of one set's kernels; SOCIALGRID_KERNEL_SET is its namespace.
#pragma once

#include "kernels.hpp"

namespace socialgrid::learning::SOCIALGRID_KERNEL_SET {

std::int64_t packed(std::int64_t inputs, std::int64_t hidden);
std::int64_t padded(std::int64_t hidden);
void pack_forward(const float* input, const float* recurrent, const float* bias_input,
                  const float* bias_recurrent, std::int64_t inputs, std::int64_t hidden,
                  float* packed);
void pack_backward(const float* input, const float* recurrent, std::int64_t inputs,
                   std::int64_t hidden, float* packed);
void forward(const Unroll& unroll, std::int64_t begin, std::int64_t end);
void backward(const Unroll& unroll, const UnrollBack& back, std::int64_t begin, std::int64_t end);
void weights(const Unroll& unroll, const UnrollBack& back, std::int64_t begin, std::int64_t end);
void alternatives(const Alternatives& alternatives, std::int64_t begin, std::int64_t end);
std::int64_t exertion_room(const Exertion& exertion);
void exert(const Exertion& exertion);

}  // namespace socialgrid::learning::SOCIALGRID_KERNEL_SET
