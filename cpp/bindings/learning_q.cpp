// Gradient steps of deep Q-networks, on the memory of others' tensors: see learning.cpp.
#include <pybind11/stl.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "given_learners.hpp"
#include "given_outlook.hpp"
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

// Arrays: those of GivenMemory, of GivenPart for "q" and of outlook_of. Hidden: units of the
// network's layers between what is seen and actions. Learners: rows of the agents, and gradient
// steps of each before. Returns the failing step and learner and whether its gradient failed, -1
// each if none did, and sums of losses and errors of every learner; or nothing where views show too
// many different tiles, and nothing has changed.
py::object learn(const Kernels& kernels, const py::dict& given, const Indices& hidden,
                 const py::dict& numbers, const Indices& learners, const Indices& begun,
                 const std::optional<GivenViews>& views, int threads) {
  const GivenArrays arrays(given);
  const auto choices = numbers["num_actions"].cast<std::int64_t>();
  check_positive({choices});
  const GivenMemory memory(arrays, choices, views.has_value());
  check_learners(memory.agents, memory.learners, learners, begun);
  QLearning task;
  task.batch = memory.batch;
  task.steps = memory.steps;
  task.target_interval = numbers["target_interval"].cast<std::int64_t>();
  task.is_double = numbers["double"].cast<bool>();
  task.rules = rules_of(numbers);
  task.outlook = outlook_of(views, arrays, memory.inputs);
  if (views && memory.inputs != task.outlook.bytes) {
    throw py::value_error("views: must have " + std::to_string(task.outlook.bytes) +
                          " bytes, not " + std::to_string(memory.inputs));
  }
  // Where a step on views cannot be taken, none before it has been.
  if (views && memory.steps != 1) throw py::value_error("places: must be those of one step");
  task.sizes = {task.outlook.features};
  task.sizes.insert(task.sizes.end(), hidden.begin(), hidden.end());
  task.sizes.push_back(choices);
  check_positive(task.sizes);
  check_positive({task.target_interval});
  const std::int64_t parameters = task.outlook.parameters() + learning::parameters_of(task.sizes);
  GivenPart network(arrays, "q", memory.agents, parameters, true);
  std::vector<QAgent> all;
  for (std::size_t i = 0; i < learners.size(); ++i) {
    QAgent q;
    q.stored = memory.of(learners[i], static_cast<std::int64_t>(i));
    q.network = network.of(learners[i]);
    q.updates = begun[i];
    all.push_back(q);
  }
  learning::Failure failure;
  try {
    const Unlocked unlocked;
    for (const QAgent& q : all) memory.check_drawn(q.stored);
    learning::Crew crew(learning::threads_for(memory.learners, threads));
    failure = learning::QLearners(kernels, task, all, crew, threads).learn();
  } catch (const learning::TooManyTiles&) {
    return py::none();
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
              py::arg("learners"), py::arg("begun"), py::arg("views"), py::arg("threads"));
}

}  // namespace socialgrid::bindings
