// What networks make of a recorded batch where it lies: see learning.cpp.
#include <algorithm>
#include <array>
#include <cstdint>
#include <tuple>
#include <vector>

#include "advantages.hpp"
#include "given_recall.hpp"
#include "kernels.hpp"
#include "learning.hpp"
#include "unlocked.hpp"

namespace py = pybind11;

namespace socialgrid::bindings {
namespace {

using learning::Gathered;
using learning::Kernels;
using learning::Recorded;
using learning::Rows;

// Recomputes what some columns of a batch remember and are worth, see given_recall.hpp.
bool refresh(const Kernels& kernels, const GivenNetwork& given, const BatchSizes& batch,
             const BatchAddresses& where, const Sizes& columns, std::int64_t block,
             const Addresses& values, std::uintptr_t log_probs, int threads) {
  if (block < 1) throw py::value_error("refresh: blocks of less than one step");
  Unlocked unlocked;
  Signals signals(unlocked);
  const Network network(kernels, given);
  const Recorded r = recorded_of(where, batch);
  const auto agents = static_cast<std::int64_t>(columns.size());
  return all_of_them<Gathered>(agents, threads, &signals, [&](std::int64_t agent, Gathered& desk) {
    const Recalled one{kernels, network, r, agent, columns[static_cast<std::size_t>(agent)]};
    return one.refresh(block, values, log_probs, agents, signals, desk);
  });
}

// Likewise what comes after: both results are [decisions, ..., columns].
bool foresee(const Kernels& kernels, const GivenNetwork& given, const BatchSizes& batch,
             const BatchAddresses& where, const Sizes& columns,
             const std::array<std::uintptr_t, 6>& ends_at, std::int64_t ends, int threads) {
  Unlocked unlocked;
  Signals signals(unlocked);
  const Network network(kernels, given);
  const Recorded r = recorded_of(where, batch);
  const auto agents = static_cast<std::int64_t>(columns.size());
  return all_of_them<Gathered>(agents, threads, &signals, [&](std::int64_t agent, Gathered& desk) {
    const Recalled one{kernels, network, r, agent, columns[static_cast<std::size_t>(agent)]};
    const auto* at_ends = ends_at.data();
    return one.foresee({{at_ends[0], at_ends[1], at_ends[2], at_ends[3]}, ends},
                       at<float>(at_ends[4], agent), at<float>(at_ends[5], agent), agents, desk);
  });
}

// An address, and the distances of steps, environments and agents.
using GivenRows = std::tuple<std::uintptr_t, std::array<std::int64_t, 3>>;
// Addresses of a batch; of values by decision; rewards by decision; who was terminated, truncated,
// and goes on; addresses of what came after, see `foresee`, without results; how many ends; which
// of them belongs to a step.
using GivenCourse =
    std::tuple<BatchAddresses, Addresses, std::vector<GivenRows>, std::array<GivenRows, 3>,
               std::array<std::uintptr_t, 4>, std::int64_t, GivenRows>;
// Discount and lambda; whether differences are discounted, and whether targets are returns.
using GivenDiscounting = std::tuple<std::array<double, 2>, bool, bool>;

template <typename T>
Rows<const T> rows_of(const GivenRows& given, std::int64_t column) {
  const auto& [where, apart] = given;
  return {at<const T>(where, apart[2] * column), apart[0], apart[1]};
}

// Advantages and value targets into the numbers of all shards, from stored memories; in blocks of
// so many steps these are recomputed before, unless that is 0. False as above: all is to be done
// again.
bool estimate(const Kernels& kernels, const GivenNetwork& given, const BatchSizes& batch,
              const std::vector<GivenCourse>& shards, const Sizes& columns, std::int64_t block,
              const GivenDiscounting& discounting, int threads) {
  Unlocked unlocked;
  Signals signals(unlocked);
  const Network network(kernels, given);
  const auto agents = static_cast<std::int64_t>(columns.size());
  const auto count = static_cast<std::int64_t>(shards.size());
  const auto one = [&](std::int64_t i, Gathered& desk) {
    const std::int64_t agent = i / count, column = columns[static_cast<std::size_t>(agent)];
    const auto& [where, values, rewards, flags, after, ends, slots] =
        shards[static_cast<std::size_t>(i % count)];
    const Recorded r = recorded_of(where, batch);
    const Recalled own{kernels, network, r, agent, column};
    if (block > 0 && !own.refresh(block, values, 0, agents, signals, desk)) return false;
    const auto decisions = static_cast<std::int64_t>(values.size());
    std::vector<float> last(static_cast<std::size_t>(decisions * r.envs));
    std::vector<float> final(static_cast<std::size_t>(decisions * ends));
    if (!own.foresee({after, ends}, last.data(), final.data(), 1, desk)) return false;
    learning::Estimates s;
    s.steps = r.steps;
    s.envs = r.envs;
    s.terminated = rows_of<std::uint8_t>(flags[0], column);
    s.truncated = rows_of<std::uint8_t>(flags[1], column);
    s.continues = rows_of<std::uint8_t>(flags[2], column);
    s.ends = ends;
    s.slots = rows_of<std::int64_t>(slots, 0);
    s.discount = std::get<0>(discounting)[0];
    s.lambda = std::get<0>(discounting)[1];
    s.of_difference = std::get<1>(discounting);
    s.of_returns = std::get<2>(discounting);
    for (std::int64_t d = 0; d < decisions; ++d) {
      const auto place = static_cast<std::size_t>(d);
      s.reward = rows_of<float>(rewards[place], column);
      s.value = {at<const float>(values[place], column), r.envs * r.agents, r.agents};
      s.last = last.data() + d * r.envs;
      s.final = final.data() + d * ends;
      auto* numbers = at<float>(where[4], 3 * (column * decisions + d));
      const std::int64_t env = 3 * decisions * r.agents;
      s.advantage = {numbers + 1, r.envs * env, env};
      s.target = {numbers + 2, r.envs * env, env};
      learning::estimate(s);
    }
    return true;
  };
  return all_of_them<Gathered>(agents * count, threads, &signals, one);
}

}  // namespace

void add_recall(py::class_<Kernels>& kernels) {
  kernels
      .def("refresh", &refresh, py::arg("network"), py::arg("batch"), py::arg("where"),
           py::arg("columns"), py::arg("block"), py::arg("values"), py::arg("log_probs"),
           py::arg("threads"))
      .def("foresee", &foresee, py::arg("network"), py::arg("batch"), py::arg("where"),
           py::arg("columns"), py::arg("ends_at"), py::arg("ends"), py::arg("threads"))
      .def("estimate", &estimate, py::arg("network"), py::arg("batch"), py::arg("shards"),
           py::arg("columns"), py::arg("block"), py::arg("discounting"), py::arg("threads"));
}

}  // namespace socialgrid::bindings
