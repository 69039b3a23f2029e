// Gradient steps of deep Q-networks, on the memory of others' tensors: see learning.cpp.
#include <pybind11/stl.h>

#include <array>
#include <cstdint>
#include <vector>

#include "given_learners.hpp"
#include "kernels.hpp"
#include "learning.hpp"
#include "network.hpp"
#include "q_learning.hpp"
#include "unlocked.hpp"

namespace py = pybind11;

namespace socialgrid::bindings {
namespace {

using learning::Kernels;
using learning::QAgent;
using learning::QLearning;

using Indices = std::vector<std::int64_t>;

// Arrays: those of GivenMemory, and of GivenPart for "q". Hidden: units of the network's layers
// between observations and actions. Learners: rows of the agents, and gradient steps of each
// before. Returns the failing step and learner and whether its gradient failed, -1 each if none
// did, and sums of losses and errors of every learner.
py::tuple learn(const Kernels& kernels, const py::dict& given, const Indices& hidden,
                const py::dict& numbers, const Indices& learners, const Indices& begun,
                int threads) {
  const GivenArrays arrays(given);
  const auto choices = numbers["num_actions"].cast<std::int64_t>();
  check_positive({choices});
  const GivenMemory memory(arrays, choices);
  memory.check_learners(learners, begun);
  QLearning task;
  task.batch = memory.batch;
  task.steps = memory.steps;
  task.target_interval = numbers["target_interval"].cast<std::int64_t>();
  task.is_double = numbers["double"].cast<bool>();
  task.rules = rules_of(numbers);
  task.sizes = {memory.inputs};
  task.sizes.insert(task.sizes.end(), hidden.begin(), hidden.end());
  task.sizes.push_back(choices);
  check_positive(task.sizes);
  check_positive({task.target_interval});
  GivenPart network(arrays, "q", memory.agents, learning::parameters_of(task.sizes), true);
  std::vector<QAgent> all;
  for (std::size_t i = 0; i < learners.size(); ++i) {
    QAgent q;
    q.stored = memory.of(learners[i], static_cast<std::int64_t>(i));
    q.network = network.of(learners[i]);
    q.updates = begun[i];
    all.push_back(q);
  }
  learning::Failure failure;
  {
    const Unlocked unlocked;
    for (const QAgent& q : all) memory.check_drawn(q.stored);
    failure = learning::learn(kernels, task, all, threads);
  }
  std::vector<std::array<double, 2>> sums;
  for (std::size_t i = 0; i < all.size(); ++i) {
    network.keep(learners[i], all[i].network);
    sums.push_back({all[i].loss, all[i].error});
  }
  return py::make_tuple(failure.step, failure.agent, failure.gradient, sums);
}

}  // namespace

void add_q_learning(py::class_<Kernels>& kernels) {
  kernels.def("learn_q", &learn, py::arg("arrays"), py::arg("hidden"), py::arg("numbers"),
              py::arg("learners"), py::arg("begun"), py::arg("threads"));
}

}  // namespace socialgrid::bindings
