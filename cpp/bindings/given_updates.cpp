#include "given_updates.hpp"

#include <pybind11/stl.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "bindings/keyed.hpp"
#include "given_outlook.hpp"
#include "given_q.hpp"
#include "network.hpp"

namespace py = pybind11;

namespace socialgrid::bindings {
namespace {

learning::QLearning task_of(const GivenArrays& arrays, const GivenMemory& memory,
                            const py::dict& numbers, const std::vector<std::int64_t>& hidden) {
  learning::QLearning task;
  task.batch = memory.batch;
  task.steps = memory.steps;
  task.outlook = outlook_of(std::nullopt, arrays, memory.inputs);
  read_task(numbers, memory.inputs, hidden, memory.size, task);
  return task;
}

}  // namespace

GivenUpdates::GivenUpdates(const py::dict& given, const std::vector<std::int64_t>& hidden,
                           std::int64_t choices)
    : arrays_(given["arrays"].cast<py::dict>()),
      memory_(arrays_, choices),
      learners_(given["learners"].cast<std::vector<std::int64_t>>()),
      begun_(given["begun"].cast<std::vector<std::int64_t>>()),
      task_(task_of(arrays_, memory_, given["numbers"].cast<py::dict>(), hidden)),
      network_(arrays_, "q", memory_.agents, learning::parameters_of(task_.sizes), true) {
  check_learners(memory_.agents, memory_.learners, learners_, begun_);
  const auto numbers = given["numbers"].cast<py::dict>();
  const auto integer = [&](const char* name) { return numbers[name].cast<std::int64_t>(); };
  schedule_ = {integer("interval"), integer("starts"), integer("waited"), integer("taken")};
  stored_ = integer("stored");
  copies_ = integer("copies");
  kind_ = static_cast<std::uint32_t>(integer("kind"));
  check_positive({schedule_.interval, copies_});
  if (stored_ < 0 || stored_ > memory_.capacity) {
    throw py::value_error("transitions stored: must be 0 to " + std::to_string(memory_.capacity));
  }
  const std::int64_t count = memory_.learners;
  places_ = arrays_.writable<std::int64_t>("places", {count, memory_.steps, memory_.batch});
  keys_ = arrays_.readable<std::uint64_t>("keys", {count});
  agents_ = learners_of<learning::QAgent>(memory_, network_, learners_, begun_);
}

void GivenUpdates::draw(std::size_t learner, std::int64_t stored) {
  const Keyed keyed{0, 1, kind_, memory_.batch};
  const learning::QAgent& agent = agents_[learner];
  std::vector<std::uint32_t> words(static_cast<std::size_t>(memory_.batch));
  std::int64_t* to = places_ + static_cast<std::int64_t>(learner) * memory_.steps * memory_.batch;
  for (std::int64_t step = 0; step < memory_.steps; ++step) {
    const auto moment = static_cast<std::uint64_t>(agent.updates + step);
    draw_words(keys_[learner], moment, keyed, words.data());
    for (const std::uint64_t word : words) {
      *to++ = static_cast<std::int64_t>(word * static_cast<std::uint64_t>(stored) >> 32);
    }
  }
  memory_.check_drawn(agent.stored);
}

void GivenUpdates::begin(const learning::Kernels& kernels, learning::Crew& crew) {
  crew_ = &crew;
  together_.emplace(kernels, task_, agents_, crew, crew.threads());
}

bool GivenUpdates::take(std::int64_t steps) {
  std::vector<std::array<double, 2>> found(agents_.size());
  sums_.reserve(sums_.size() + 1);
  const std::int64_t stored = std::min(stored_ + steps * copies_, memory_.capacity);
  crew_->work([&](int thread) {
    const auto first = [&](int of) {
      return static_cast<std::size_t>(crew_->first(memory_.learners, of));
    };
    for (std::size_t i = first(thread); i < first(thread + 1); ++i) draw(i, stored);
  });
  for (learning::QAgent& agent : agents_) agent.loss = agent.error = 0.0;
  const learning::Failure failure = together_->learn();
  const bool whole = failure.step < 0;
  for (std::size_t i = 0; i < agents_.size(); ++i) {
    found[i] = {agents_[i].loss, agents_[i].error};
    network_.keep(learners_[i], agents_[i].network);
    agents_[i].updates += memory_.steps;
  }
  if (whole) {
    sums_.push_back(std::move(found));
  } else {
    partly_ = failure.step;
  }
  return whole;
}

}  // namespace socialgrid::bindings
