#include "given_learners.hpp"

#include <algorithm>
#include <limits>
#include <stdexcept>

namespace py = pybind11;

namespace socialgrid::bindings {

learning::Rules rules_of(const py::dict& numbers) {
  const auto number = [&](const char* name) { return numbers[name].cast<double>(); };
  return {number("gamma"), number("tau"), number("beta1"),
          number("beta2"), number("eps"), number("max_norm")};
}

void check_positive(const std::vector<std::int64_t>& counts) {
  const auto [least, most] = std::minmax_element(counts.begin(), counts.end());
  if (*least < 1 || *most > std::numeric_limits<std::int32_t>::max()) {
    throw py::value_error(
        "numbers of steps, samples, inputs, actions, critics and units, and intervals: must be 1 "
        "to 2147483647");
  }
}

void check_learners(std::int64_t agents, std::int64_t learners,
                    const std::vector<std::int64_t>& rows, const std::vector<std::int64_t>& begun) {
  if (static_cast<std::int64_t>(rows.size()) != learners || begun.size() != rows.size()) {
    throw py::value_error("places drawn, and gradient steps before: must be those of each of " +
                          std::to_string(rows.size()) + " learners");
  }
  for (const std::int64_t row : rows) {
    if (row < 0 || row >= agents || std::count(rows.begin(), rows.end(), row) != 1) {
      throw py::value_error("learner " + std::to_string(row) + ": must be one of " +
                            std::to_string(agents) + " agents, once");
    }
  }
}

GivenMemory::GivenMemory(const GivenArrays& arrays, std::int64_t choices, bool views) {
  const auto stored = arrays.shape(views ? "views" : "obs", 3), drawn = arrays.shape("places", 3);
  agents = stored[0];
  capacity = stored[1];
  inputs = stored[2];
  learners = drawn[0];
  steps = drawn[1];
  batch = drawn[2];
  size = choices > 0 ? choices : arrays.shape("action", 3)[2];
  check_positive({inputs, steps, batch, size});
  if (views) {
    first_.views = arrays.readable<std::uint8_t>("views", stored);
    first_.next_views = arrays.readable<std::uint8_t>("next_views", stored);
  } else {
    first_.obs = arrays.readable<float>("obs", stored);
    first_.next_obs = arrays.readable<float>("next_obs", stored);
  }
  if (choices > 0) {
    first_.choice = arrays.readable<std::int64_t>("action", {agents, capacity});
  } else {
    first_.action = arrays.readable<float>("action", {agents, capacity, size});
  }
  first_.reward = arrays.readable<float>("reward", {agents, capacity});
  const auto* terminated = arrays.readable<bool>("terminated", {agents, capacity});
  first_.terminated = reinterpret_cast<const std::uint8_t*>(terminated);
  first_.drawn = arrays.readable<std::int64_t>("places", drawn);
  if (arrays.has("weight")) first_.weight = arrays.readable<float>("weight", drawn);
  if (arrays.has("errors")) first_.errors = arrays.writable<float>("errors", drawn);
}

learning::Stored GivenMemory::of(std::int64_t agent, std::int64_t place) const {
  const std::int64_t from = agent * capacity, behind = place * steps * batch;
  learning::Stored found = first_;
  if (found.views != nullptr) {
    found.views += from * inputs;
    found.next_views += from * inputs;
  } else {
    found.obs += from * inputs;
    found.next_obs += from * inputs;
  }
  if (found.action != nullptr) found.action += from * size;
  if (found.choice != nullptr) found.choice += from;
  found.reward += from;
  found.terminated += from;
  found.drawn += behind;
  if (found.weight != nullptr) found.weight += behind;
  if (found.errors != nullptr) found.errors += behind;
  return found;
}

void GivenMemory::check_drawn(const learning::Stored& stored) const {
  for (std::int64_t i = 0; i < steps * batch; ++i) {
    const std::int64_t place = stored.drawn[i];
    if (place < 0 || place >= capacity) {
      throw std::invalid_argument("place " + std::to_string(place) + " is not in a memory of " +
                                  std::to_string(capacity));
    }
    if (stored.choice == nullptr) continue;
    const std::int64_t choice = stored.choice[place];
    if (choice < 0 || choice >= size) {
      throw std::invalid_argument("action " + std::to_string(choice) + " at place " +
                                  std::to_string(place) + ": must be less than " +
                                  std::to_string(size));
    }
  }
}

GivenPart::GivenPart(const GivenArrays& arrays, const std::string& name, std::int64_t agents,
                     std::int64_t parameters, bool has_target)
    : steps_(arrays.writable<std::int64_t>(name + "/steps", {agents})),
      rates_(arrays.readable<double>(name + "/rate", {agents})),
      parameters_(parameters) {
  const std::vector<std::int64_t> shape = {agents, parameters};
  first_.values = arrays.writable<float>(name + "/values", shape);
  if (has_target) first_.target = arrays.writable<float>(name + "/target", shape);
  first_.first = arrays.writable<float>(name + "/first", shape);
  first_.second = arrays.writable<float>(name + "/second", shape);
}

learning::LearntPart GivenPart::of(std::int64_t agent) const {
  const std::int64_t from = agent * parameters_;
  learning::LearntPart found = first_;
  found.values += from;
  if (found.target != nullptr) found.target += from;
  found.first += from;
  found.second += from;
  found.steps = steps_[agent];
  found.rate = rates_[agent];
  return found;
}

}  // namespace socialgrid::bindings
