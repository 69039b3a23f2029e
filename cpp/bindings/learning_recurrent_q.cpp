// Gradient steps of deep Q-networks with a memory, on others' tensors: see learning.cpp.
#include <pybind11/stl.h>

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "given_outlook.hpp"
#include "given_q.hpp"
#include "kernels.hpp"
#include "learning.hpp"
#include "network.hpp"
#include "recurrent_q.hpp"

namespace py = pybind11;

namespace socialgrid::bindings {
namespace {

using learning::Kernels;
using learning::RecurrentQAgent;
using learning::RecurrentQLearning;
using learning::StoredSequences;

constexpr std::int64_t kMostUnits = 1 << 20;  // so that numbers of weights can be counted

using Indices = std::vector<std::int64_t>;

const std::uint8_t* flags(const GivenArrays& arrays, const char* name, const Indices& shape) {
  return reinterpret_cast<const std::uint8_t*>(arrays.readable<bool>(name, shape));
}

// Arrays: "obs" and "final_obs" uint8 [agents, slots, envs, bytes], "reset", "terminated",
// "truncated", "action" int64 and "reward" [agents, slots, envs], "state" [agents, starts, envs,
// 2 * memory]; of the learners "places" int64 [learners, 1, batch] and, where wanted, "weight" and
// "errors" alike.
struct GivenSequences {
  std::int64_t agents, starts, learners, batch, bytes, state;

  GivenSequences(const GivenArrays& arrays, std::int64_t stride, std::int64_t memory) {
    const Indices seen = arrays.shape("obs", 4), drawn = arrays.shape("places", 3);
    const Indices own(seen.begin(), seen.begin() + 3);
    agents = seen[0];
    bytes = seen[3];
    learners = drawn[0];
    batch = drawn[2];
    first_.slots = seen[1];
    first_.envs = seen[2];
    first_.stride = stride;
    check_positive({first_.slots, first_.envs, bytes, batch, stride, memory});
    if (memory > kMostUnits) throw py::value_error("memory: must have at most 1048576 units");
    if (drawn[1] != 1) throw py::value_error("places: must be those of one step");
    starts = first_.slots / stride;
    state = 2 * memory;
    first_.obs = arrays.readable<std::uint8_t>("obs", seen);
    first_.final_obs = arrays.readable<std::uint8_t>("final_obs", seen);
    first_.reset = flags(arrays, "reset", own);
    first_.terminated = flags(arrays, "terminated", own);
    first_.truncated = flags(arrays, "truncated", own);
    first_.choice = arrays.readable<std::int64_t>("action", own);
    first_.reward = arrays.readable<float>("reward", own);
    first_.state = arrays.readable<float>("state", {agents, starts, first_.envs, state});
    first_.drawn = arrays.readable<std::int64_t>("places", drawn);
    if (arrays.has("weight")) first_.weight = arrays.readable<float>("weight", drawn);
    if (arrays.has("errors")) first_.errors = arrays.writable<float>("errors", drawn);
  }

  std::int64_t slots() const { return first_.slots; }
  // Of the learner that is agent `agent`, and the `place`th of the learners.
  StoredSequences of(std::int64_t agent, std::int64_t place) const {
    const std::int64_t from = agent * first_.slots * first_.envs;
    StoredSequences found = first_;
    found.obs += from * bytes;
    found.final_obs += from * bytes;
    found.reset += from;
    found.terminated += from;
    found.truncated += from;
    found.choice += from;
    found.reward += from;
    found.state += agent * starts * first_.envs * state;
    found.drawn += place * batch;
    if (found.weight != nullptr) found.weight += place * batch;
    if (found.errors != nullptr) found.errors += place * batch;
    return found;
  }

  // Raises a ValueError unless what was drawn is there.
  void check_drawn(const StoredSequences& stored, const RecurrentQLearning& task) const {
    for (std::int64_t b = 0; b < batch; ++b) {
      const std::int64_t place = stored.drawn[b];
      if (place < 0 || place >= starts * stored.envs) {
        throw std::invalid_argument("place " + std::to_string(place) + " is not in a memory of " +
                                    std::to_string(starts * stored.envs) + " sequences");
      }
      for (std::int64_t t = task.burn_in; t < task.burn_in + task.length; ++t) {
        const std::int64_t choice = stored.choice[stored.row(place, t)];
        if (choice >= 0 && choice < task.sizes.back()) continue;
        throw std::invalid_argument("action " + std::to_string(choice) + " in the sequence at " +
                                    std::to_string(place) + ": must be less than " +
                                    std::to_string(task.sizes.back()));
      }
    }
  }

 private:
  StoredSequences first_;  // of agent 0 and learner 0
};

// Arrays: those of GivenSequences, of GivenPart for "q" and of outlook_of. Hidden: units of the
// layers between memory and actions. Otherwise as learn_q, but one step.
py::object learn(const Kernels& kernels, const py::dict& given, const Indices& hidden,
                 const py::dict& numbers, const Indices& learners, const Indices& begun,
                 const std::optional<GivenViews>& views, int threads) {
  const GivenArrays arrays(given);
  const auto number = [&](const char* name) { return numbers[name].cast<std::int64_t>(); };
  RecurrentQLearning task;
  task.memory = number("memory");
  const GivenSequences memory(arrays, number("stride"), task.memory);
  check_learners(memory.agents, memory.learners, learners, begun);
  task.batch = memory.batch;
  task.burn_in = number("burn_in");
  task.length = number("sequence_length");
  task.mix = numbers["priority_mix"].cast<double>();
  read_task(numbers, task.memory, hidden, number("num_actions"), task);
  check_positive({task.burn_in + 1, task.length});
  if (task.steps() > memory.slots()) {
    throw py::value_error("sequences of " + std::to_string(task.steps()) +
                          " steps: must fit a ring of " + std::to_string(memory.slots()));
  }
  task.outlook = outlook_of(views, arrays, memory.bytes / static_cast<std::int64_t>(sizeof(float)));
  if (memory.bytes != task.outlook.bytes) {
    throw py::value_error("obs: must have " + std::to_string(task.outlook.bytes) + " bytes, not " +
                          std::to_string(memory.bytes));
  }
  GivenPart network(arrays, "q", memory.agents, task.parameters(), true);
  auto all = learners_of<RecurrentQAgent>(memory, network, learners, begun);
  const auto learn_all = [&] {
    for (const RecurrentQAgent& q : all) memory.check_drawn(q.stored, task);
    return learning::learn(kernels, task, all, threads);
  };
  return learnt(learn_all, all, learners, network);
}

}  // namespace

void add_recurrent_q(py::class_<Kernels>& kernels) {
  kernels.def("learn_recurrent_q", &learn, py::arg("arrays"), py::arg("hidden"), py::arg("numbers"),
              py::arg("learners"), py::arg("begun"), py::arg("views"), py::arg("threads"));
}

}  // namespace socialgrid::bindings
