// What the bindings of the learners' kernels share.
#pragma once

#include <pybind11/pybind11.h>

#include <array>
#include <cstdint>

#include "kernels.hpp"
#include "numbers.hpp"
#include "perceptron.hpp"
#include "sharing.hpp"

namespace socialgrid::bindings {

using learning::Numbers;
using learning::share;
using learning::worthwhile;

template <typename T>
T* at(std::uintptr_t address, std::int64_t offset = 0) {
  return address == 0 ? nullptr : reinterpret_cast<T*>(address) + offset;
}

// Adam's step on `count` parameters of an agent. Addresses of parameters, gradients and both
// moments of all agents; its row among the former, and its place among the moments; both betas and
// epsilon.
inline learning::Descent descent_of(const std::array<std::uintptr_t, 4>& where,
                                    const std::array<double, 3>& constants, std::int64_t count,
                                    std::int64_t row, std::int64_t place) {
  learning::Descent d;
  d.count = count;
  d.values = at<float>(where[0], row * count);
  d.grads = at<const float>(where[1], row * count);
  d.first = at<float>(where[2], place * count);
  d.second = at<float>(where[3], place * count);
  d.beta1 = constants[0];
  d.beta2 = constants[1];
  d.eps = constants[2];
  return d;
}

void add_images(pybind11::class_<learning::Kernels>& kernels, pybind11::module_& module);
void add_perceptron(pybind11::class_<learning::Kernels>& kernels);
void add_q_learning(pybind11::class_<learning::Kernels>& kernels);
void add_recurrent_q(pybind11::class_<learning::Kernels>& kernels);
void add_counterfactual(pybind11::class_<learning::Kernels>& kernels);
void add_deciding(pybind11::class_<learning::Kernels>& kernels);
void add_decoding(pybind11::class_<learning::Kernels>& kernels);
void add_actor_critic(pybind11::class_<learning::Kernels>& kernels);
void add_lesson(pybind11::class_<learning::Kernels>& kernels);
void add_recall(pybind11::class_<learning::Kernels>& kernels);
void add_minibatches(pybind11::class_<learning::Kernels>& kernels);
void add_shards(pybind11::class_<learning::Kernels>& kernels);
void add_march(pybind11::class_<learning::Kernels>& kernels);
void add_acting(pybind11::module_& module);
void add_priorities(pybind11::module_& module);

}  // namespace socialgrid::bindings
