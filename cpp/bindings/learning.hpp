// What the bindings of the learners' kernels share.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>

#include "kernels.hpp"
#include "numbers.hpp"
#include "sharing.hpp"

namespace socialgrid::bindings {

using learning::Numbers;
using learning::share;
using learning::worthwhile;

template <typename T>
T* at(std::uintptr_t address, std::int64_t offset = 0) {
  return address == 0 ? nullptr : reinterpret_cast<T*>(address) + offset;
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
