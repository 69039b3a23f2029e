// Gradient steps of deep Q-networks, on the memory of others' tensors: see learning.cpp.
#include <pybind11/stl.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "given_outlook.hpp"
#include "given_q.hpp"
#include "kernels.hpp"
#include "learning.hpp"
#include "network.hpp"
#include "q_learning.hpp"

namespace py = pybind11;

namespace socialgrid::bindings {
namespace {

using learning::Kernels;
using learning::QAgent;
using learning::QLearning;

using Indices = std::vector<std::int64_t>;

// Arrays: those of GivenMemory, of GivenPart for "q" and of outlook_of. Hidden: units of the
// network's layers between what is seen and actions. Learners: rows of the agents, and gradient
// steps of each before. Returns what learnt() does.
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
  task.outlook = outlook_of(views, arrays, memory.inputs);
  if (views && memory.inputs != task.outlook.bytes) {
    throw py::value_error("views: must have " + std::to_string(task.outlook.bytes) +
                          " bytes, not " + std::to_string(memory.inputs));
  }
  // Where a step on views cannot be taken, none before it has been.
  if (views && memory.steps != 1) throw py::value_error("places: must be those of one step");
  read_task(numbers, task.outlook.features, hidden, choices, task);
  const std::int64_t parameters = task.outlook.parameters() + learning::parameters_of(task.sizes);
  GivenPart network(arrays, "q", memory.agents, parameters, true);
  auto all = learners_of<QAgent>(memory, network, learners, begun);
  const auto learn_all = [&] {
    for (const QAgent& q : all) memory.check_drawn(q.stored);
    learning::Crew crew(learning::threads_for(memory.learners, threads));
    return learning::QLearners(kernels, task, all, crew, threads).learn();
  };
  return learnt(learn_all, all, learners, network);
}

}  // namespace

void add_q_learning(py::class_<Kernels>& kernels) {
  kernels.def("learn_q", &learn, py::arg("arrays"), py::arg("hidden"), py::arg("numbers"),
              py::arg("learners"), py::arg("begun"), py::arg("views"), py::arg("threads"));
}

}  // namespace socialgrid::bindings
