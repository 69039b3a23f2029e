// What the bindings of the learners' kernels share.
#pragma once

#include <pybind11/pybind11.h>

#include <algorithm>
#include <cstdint>

#include "crew.hpp"
#include "kernels.hpp"
#include "numbers.hpp"

namespace socialgrid::bindings {

using learning::Numbers;

template <typename T>
T* at(std::uintptr_t address, std::int64_t offset = 0) {
  return address == 0 ? nullptr : reinterpret_cast<T*>(address) + offset;
}

// Threads that pay: to start one takes as long as some million products.
inline int worthwhile(int threads, double products) {
  return static_cast<int>(std::clamp(products / 5e6, 1.0, std::max(1.0, 1.0 * threads)));
}

// Does `rows` rows of every agent, shared among threads. Throws as side_by_side() does.
template <typename Work>
void share(std::int64_t agents, std::int64_t rows, int threads, const Work& work) {
  const std::int64_t all = agents * rows;
  const auto part = [&](std::int64_t begin, std::int64_t end) {
    while (begin < end) {
      const std::int64_t agent = begin / rows, first = begin % rows;
      const std::int64_t last = std::min(rows, first + end - begin);
      work(agent, first, last);
      begin += last - first;
    }
  };
  learning::side_by_side(threads, [&](int i) { part(all * i / threads, all * (i + 1) / threads); });
}

void add_images(pybind11::class_<learning::Kernels>& kernels, pybind11::module_& module);
void add_perceptron(pybind11::class_<learning::Kernels>& kernels);
void add_q_learning(pybind11::class_<learning::Kernels>& kernels);
void add_deciding(pybind11::class_<learning::Kernels>& kernels);
void add_decoding(pybind11::class_<learning::Kernels>& kernels);
void add_actor_critic(pybind11::class_<learning::Kernels>& kernels);
void add_lesson(pybind11::class_<learning::Kernels>& kernels);
void add_shards(pybind11::class_<learning::Kernels>& kernels);
void add_acting(pybind11::module_& module);

}  // namespace socialgrid::bindings
