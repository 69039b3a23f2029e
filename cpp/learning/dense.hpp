// Declarations of one set's kernels; SOCIALGRID_KERNEL_SET is its namespace.
#pragma once

#include "kernels.hpp"

namespace socialgrid::learning::SOCIALGRID_KERNEL_SET {

std::int64_t perceptron_apart(std::int64_t count);
std::int64_t perceptron_room(const Perceptron& perceptron);
void perceptron_forward(const Perceptron& perceptron);
void perceptron_back(const Perceptron& perceptron, const PerceptronBack& back);
void exponential_all(const float* x, std::int64_t count, float* to);
void squash(const Squash& squash);
void squash_back(const Squash& squash, const SquashBack& back);
void state_noise(const StateNoise& noise);
void state_noise_back(const StateNoise& noise, const StateNoiseBack& back);
void categorical(const Categorical& categorical);
bool finite(const float* x, std::int64_t count);
double norm(const float* x, std::int64_t count);
void descend(const Descent& descent);
void approach(float* to, const float* from, std::int64_t count, double rate);

}  // namespace socialgrid::learning::SOCIALGRID_KERNEL_SET
