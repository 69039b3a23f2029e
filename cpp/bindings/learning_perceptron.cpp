// Perceptrons and their optimiser, on the memory of others' tensors: see learning.cpp.
#include <pybind11/stl.h>

#include <array>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "given_layers.hpp"
#include "kernels.hpp"
#include "learning.hpp"
#include "unlocked.hpp"

namespace py = pybind11;

namespace socialgrid::bindings {
namespace {

using learning::Kernels;
using learning::Perceptron;
using learning::PerceptronBack;

using Addresses = std::vector<std::uintptr_t>;
using Sizes = std::vector<std::int64_t>;

// Perceptrons of `agents` agents, one behind the other. Sizes: agents, rows of each, how many
// layers ReLU follows, numbers of a row before and after each layer.
struct Stack {
  std::int64_t agents;
  Perceptron one;
  Sizes sizes;

  explicit Stack(const Sizes& given) : agents(given.at(0)), sizes(given.begin() + 3, given.end()) {
    one.count = given.at(1);
    one.rectified = given.at(2);
    one.layers = static_cast<std::int64_t>(sizes.size()) - 1;
    one.sizes = sizes.data();
  }

  double products() const {
    double found = 0.0;
    for (std::size_t l = 0; l + 1 < sizes.size(); ++l) {
      found += static_cast<double>(sizes[l]) * static_cast<double>(sizes[l + 1]);
    }
    return found * static_cast<double>(agents * one.count);
  }
};

std::int64_t room_of(const Kernels& kernels, const Sizes& sizes, bool kept) {
  Stack stack(sizes);
  stack.one.kept = kept;
  return stack.agents * kernels.perceptron_room(stack.one);
}

// Addresses: inputs, room, results.
void forward(const Kernels& kernels, const Addresses& parameters, const Sizes& apart,
             const std::array<std::uintptr_t, 3>& where, const Sizes& sizes, bool kept,
             int threads) {
  const Unlocked unlocked;
  Stack stack(sizes);
  stack.one.kept = kept;
  const std::int64_t room = kernels.perceptron_room(stack.one);
  share(stack.agents, 1, worthwhile(threads, stack.products()),
        [&](std::int64_t agent, std::int64_t, std::int64_t) {
          const GivenWeights<const float> own(parameters, apart, agent);
          Perceptron p = stack.one;
          p.weights = own.weights.data();
          p.biases = own.biases.data();
          p.x = at<const float>(where[0], agent * p.count * p.sizes[0]);
          p.room = at<float>(where[1], agent * room);
          p.out = at<float>(where[2], agent * p.count * p.sizes[p.layers]);
          kernels.perceptron_forward(p);
        });
}

// Addresses: room, scratch of the same size, gradients of results, of inputs or 0. Gradients of
// parameters are not wanted where there are no addresses of them.
void back(const Kernels& kernels, const Addresses& parameters, const Sizes& apart,
          const Addresses& grads, const Sizes& grads_apart,
          const std::array<std::uintptr_t, 4>& where, const Sizes& sizes, int threads) {
  const Unlocked unlocked;
  const Stack stack(sizes);
  const std::int64_t room = kernels.perceptron_room(stack.one);
  share(stack.agents, 1, worthwhile(threads, 2.0 * stack.products()),
        [&](std::int64_t agent, std::int64_t, std::int64_t) {
          const GivenWeights<const float> own(parameters, apart, agent);
          const GivenWeights<float> of_own(grads, grads_apart, agent);
          Perceptron p = stack.one;
          p.weights = own.weights.data();
          p.biases = own.biases.data();
          p.room = at<float>(where[0], agent * room);
          PerceptronBack b;
          b.scratch = at<float>(where[1], agent * room);
          b.grad = at<const float>(where[2], agent * p.count * p.sizes[p.layers]);
          b.grad_x = at<float>(where[3], agent * p.count * p.sizes[0]);
          if (!grads.empty()) {
            b.weights = of_own.weights.data();
            b.biases = of_own.biases.data();
          }
          kernels.perceptron_back(p, b);
        });
}

// Addresses: parameters, gradients, both moments, each [agents, count]. Numbers of every agent that
// takes a step: which it is, its steps, rate and the factor of its gradients.
void descend(const Kernels& kernels, const std::array<std::uintptr_t, 4>& where, std::int64_t count,
             const std::vector<std::array<double, 4>>& agents,
             const std::array<double, 3>& constants) {
  const Unlocked unlocked;
  for (const auto& [agent, steps, rate, scale] : agents) {
    const auto row = static_cast<std::int64_t>(agent);
    learning::Descent d = descent_of(where, constants, count, row, row);
    d.steps = steps;
    d.rate = rate;
    d.scale = scale;
    kernels.descend(d);
  }
}

}  // namespace

void add_perceptron(py::class_<Kernels>& kernels) {
  kernels.def("perceptron_room", &room_of, py::arg("sizes"), py::arg("kept"))
      .def("perceptron", &forward, py::arg("parameters"), py::arg("apart"), py::arg("where"),
           py::arg("sizes"), py::arg("kept"), py::arg("threads"))
      .def("perceptron_back", &back, py::arg("parameters"), py::arg("apart"), py::arg("grads"),
           py::arg("grads_apart"), py::arg("where"), py::arg("sizes"), py::arg("threads"))
      .def(
          "finite",
          [](const Kernels& kernels, const std::vector<std::array<std::int64_t, 2>>& all) {
            for (const auto& [x, count] : all) {
              const auto* from = reinterpret_cast<const float*>(static_cast<std::uintptr_t>(x));
              if (!kernels.finite(from, count)) return false;
            }
            return true;
          },
          py::arg("all"))
      .def("descend", &descend, py::arg("where"), py::arg("count"), py::arg("agents"),
           py::arg("constants"));
}

}  // namespace socialgrid::bindings
