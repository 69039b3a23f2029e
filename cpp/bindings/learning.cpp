// The learners' kernels. They work on memory that belongs to others' tensors and are given its
// addresses, so that they fit every version of the library that the tensors are of.
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <exception>
#include <new>
#include <string>
#include <typeinfo>
#include <vector>

#include "kernels.hpp"
#include "learning.hpp"
#include "register.hpp"
#include "unlocked.hpp"

namespace py = pybind11;

namespace socialgrid::bindings {
namespace {

using learning::Alternatives;
using learning::Kernels;
using learning::Unroll;
using learning::UnrollBack;

Kernels set_of(const std::string& name) {
  for (const Kernels* one : learning::kernel_sets()) {
    if (name == one->name) return *one;
  }
  throw py::value_error("this processor has no kernels named '" + name + "'");
}

// An LSTM over time, as kernels.hpp describes it, of `agents` agents one behind the other.
struct Shape {
  std::int64_t agents, steps, count, inputs, hidden, h_agent, h_row, c_agent, c_row;

  explicit Shape(const std::array<std::int64_t, 9>& n)
      : agents(n[0]),
        steps(n[1]),
        count(n[2]),
        inputs(n[3]),
        hidden(n[4]),
        h_agent(n[5]),
        h_row(n[6]),
        c_agent(n[7]),
        c_row(n[8]) {}

  double products() const {
    return 4.0 * static_cast<double>(agents * steps * count) *
           static_cast<double>(hidden * (inputs + hidden));
  }
};

// Addresses: weights, x, h, c, reset, gates, all h, all c.
using Where = std::array<std::uintptr_t, 8>;

Unroll one_agent(const Kernels& kernels, const Where& where, const Shape& shape,
                 const std::vector<float>& zeros, std::int64_t agent) {
  const std::int64_t rows = agent * shape.steps * shape.count;
  Unroll u;
  u.steps = shape.steps;
  u.count = shape.count;
  u.inputs = shape.inputs;
  u.hidden = shape.hidden;
  u.zeros = zeros.data();
  u.weights = at<const float>(where[0], agent * kernels.packed(shape.inputs, shape.hidden));
  u.x = at<const float>(where[1], rows * shape.inputs);
  u.first_h = at<const float>(where[2], agent * shape.h_agent);
  u.first_c = at<const float>(where[3], agent * shape.c_agent);
  u.first_h_row = shape.h_row;
  u.first_c_row = shape.c_row;
  u.reset = at<const std::uint8_t>(where[4], rows);
  u.gates = at<float>(where[5], rows * 4 * shape.hidden);
  u.h = at<float>(where[6], rows * shape.hidden);
  u.c = at<float>(where[7], rows * shape.hidden);
  return u;
}

// Addresses: input weights, recurrent weights, their biases (forward), packed weights.
void pack(const Kernels& kernels, const std::array<std::uintptr_t, 5>& where, std::int64_t agents,
          std::int64_t inputs, std::int64_t hidden) {
  const Unlocked unlocked;
  const std::int64_t rows = 4 * hidden;
  for (std::int64_t agent = 0; agent < agents; ++agent) {
    const auto* input = at<const float>(where[0], agent * rows * inputs);
    const auto* recurrent = at<const float>(where[1], agent * rows * hidden);
    const auto* bias_input = at<const float>(where[2], agent * rows);
    const auto* bias_recurrent = at<const float>(where[3], agent * rows);
    auto* packed = at<float>(where[4], agent * kernels.packed(inputs, hidden));
    if (bias_input == nullptr) {
      kernels.pack_backward(input, recurrent, inputs, hidden, packed);
    } else {
      kernels.pack_forward(input, recurrent, bias_input, bias_recurrent, inputs, hidden, packed);
    }
  }
}

void unroll(const Kernels& kernels, const Where& where, const std::array<std::int64_t, 9>& sizes,
            int threads) {
  const Unlocked unlocked;
  const Shape shape(sizes);
  const std::vector<float> zeros(static_cast<std::size_t>(shape.hidden));
  share(shape.agents, shape.count, worthwhile(threads, shape.products()),
        [&](std::int64_t agent, std::int64_t begin, std::int64_t end) {
          kernels.forward(one_agent(kernels, where, shape, zeros, agent), begin, end);
        });
}

// Addresses besides: gradients of h, of the gates (scratch), of x or 0, of both weights and of the
// biases or thrice 0.
void unroll_back(const Kernels& kernels, const Where& where,
                 const std::array<std::int64_t, 9>& sizes,
                 const std::array<std::uintptr_t, 6>& grads, int threads) {
  const Unlocked unlocked;
  const Shape shape(sizes);
  const std::vector<float> zeros(static_cast<std::size_t>(shape.hidden));
  const std::int64_t carried = shape.count * kernels.padded(shape.hidden);
  Numbers scratch(2 * shape.agents * carried);
  const auto back = [&](std::int64_t agent) {
    const std::int64_t rows = agent * shape.steps * shape.count, width = 4 * shape.hidden;
    UnrollBack b;
    b.grad_h = at<const float>(grads[0], rows * shape.hidden);
    b.grad_gates = at<float>(grads[1], rows * width);
    b.grad_x = at<float>(grads[2], rows * shape.inputs);
    b.grad_input = at<float>(grads[3], agent * width * shape.inputs);
    b.grad_hidden = at<float>(grads[4], agent * width * shape.hidden);
    b.grad_bias = at<float>(grads[5], agent * width);
    b.carried_h = scratch.data() + 2 * agent * carried;
    b.carried_c = b.carried_h + carried;
    return b;
  };
  threads = worthwhile(threads, shape.products());
  const auto sweep = [&](std::int64_t agent, std::int64_t begin, std::int64_t end) {
    kernels.backward(one_agent(kernels, where, shape, zeros, agent), back(agent), begin, end);
  };
  const auto weigh = [&](std::int64_t agent, std::int64_t begin, std::int64_t end) {
    kernels.weights(one_agent(kernels, where, shape, zeros, agent), back(agent), begin, end);
  };
  if (threads == 1) {  // while an agent's numbers are in the cache
    for (std::int64_t agent = 0; agent < shape.agents; ++agent) {
      sweep(agent, 0, shape.count);
      if (grads[5] != 0) weigh(agent, 0, 4 * shape.hidden);
    }
  } else {
    share(shape.agents, shape.count, threads, sweep);
    if (grads[5] != 0) share(shape.agents, 4 * shape.hidden, threads, weigh);
  }
}

// Addresses: gates [agents, count, 4 * hidden], weights [agents, choices, 4 * hidden], c, h
// [agents, count, choices, hidden]. Sizes: agents, count, choices, hidden, and how far an agent's c
// is from the next one's and a row's from the next one's.
void alternatives(const Kernels& kernels, const std::array<std::uintptr_t, 4>& where,
                  const std::array<std::int64_t, 6>& sizes, int threads) {
  const Unlocked unlocked;
  const auto [agents, count, choices, hidden, c_agent, c_row] = sizes;
  const double nonlinear = static_cast<double>(agents * count * choices * hidden);
  share(agents, count, worthwhile(threads, 64.0 * nonlinear),
        [&, count = count, choices = choices, hidden = hidden, c_agent = c_agent, c_row = c_row](
            std::int64_t agent, std::int64_t begin, std::int64_t end) {
          Alternatives a;
          a.count = count;
          a.choices = choices;
          a.hidden = hidden;
          a.gates = at<const float>(where[0], agent * count * 4 * hidden);
          a.weights = at<const float>(where[1], agent * choices * 4 * hidden);
          a.c = at<const float>(where[2], agent * c_agent);
          a.c_row = c_row;
          a.h = at<float>(where[3], agent * count * choices * hidden);
          kernels.alternatives(a, begin, end);
        });
}

}  // namespace

void register_learning(py::module_& module) {
  // The core says what there is no memory for; for the kernels this does.
  py::register_local_exception_translator([](std::exception_ptr thrown) {
    try {
      std::rethrow_exception(thrown);
    } catch (const std::bad_alloc& error) {
      if (typeid(error) != typeid(std::bad_alloc)) throw;
      PyErr_SetString(PyExc_MemoryError, "there is not enough memory for what is computed here");
    }
  });
  py::class_<Kernels> kernels(module, "Kernels");
  add_images(kernels, module);
  add_perceptron(kernels);
  add_q_learning(kernels);
  add_recurrent_q(kernels);
  add_counterfactual(kernels);
  add_deciding(kernels);
  add_decoding(kernels);
  add_actor_critic(kernels);
  add_lesson(kernels);
  add_recall(kernels);
  add_minibatches(kernels);
  add_shards(kernels);
  add_march(kernels);
  add_acting(module);
  add_priorities(module);
  kernels.def(py::init(&set_of), py::arg("name"))
      .def_property_readonly("name", [](const Kernels& kernels) { return kernels.name; })
      .def(
          "packed",
          [](const Kernels& kernels, std::int64_t inputs, std::int64_t hidden) {
            return kernels.packed(inputs, hidden);
          },
          py::arg("inputs"), py::arg("hidden"))
      .def("pack", &pack, py::arg("where"), py::arg("agents"), py::arg("inputs"), py::arg("hidden"))
      .def("unroll", &unroll, py::arg("where"), py::arg("sizes"), py::arg("threads"))
      .def("unroll_back", &unroll_back, py::arg("where"), py::arg("sizes"), py::arg("grads"),
           py::arg("threads"))
      .def("alternatives", &alternatives, py::arg("where"), py::arg("sizes"), py::arg("threads"));
  module.def("kernel_sets", [] {
    std::vector<std::string> names;
    for (const Kernels* one : learning::kernel_sets()) names.emplace_back(one->name);
    return names;
  });
}

}  // namespace socialgrid::bindings
