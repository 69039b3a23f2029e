// What is learnt from, and what is made of, shards of a recorded batch where they lie: see
// learning.cpp.
#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <tuple>
#include <utility>
#include <vector>

#include "given_network.hpp"
#include "kernels.hpp"
#include "learning.hpp"
#include "lesson.hpp"
#include "recorded.hpp"
#include "tree_sum.hpp"
#include "unlocked.hpp"

namespace py = pybind11;

namespace socialgrid::bindings {
namespace {

using learning::Gathered;
using learning::Kernels;
using learning::Learnt;
using learning::Lesson;
using learning::LessonGrads;
using learning::Recorded;
using learning::TreeSum;

constexpr double kProductsOfAStep = 30.0;  // that take as long as Adam does for a number

// What belongs to one shard: where its batch lies; first steps and environments of sequences
// [agents, sequences].
using GivenShard = std::tuple<BatchAddresses, std::uintptr_t, std::uintptr_t>;

// The gradients of a minibatch, and what was learnt, added up over the shards along a tree. Agents'
// columns in the batch; sizes: steps and number of sequences, most of them at a time; addresses of
// scales [2, agents], of numbers [rows, agents], of gradients by parameter, an agent's next to
// another's. False where the views of an agent have too many different tiles; nothing is promised
// of results then.
bool learn_shards(const Kernels& kernels, const GivenNetwork& given, const BatchSizes& batch,
                  const std::vector<GivenShard>& shards, const Sizes& columns,
                  const std::array<std::int64_t, 3>& sizes,
                  const std::array<std::uintptr_t, 2>& where, const Addresses& grads, int threads) {
  Unlocked unlocked;
  Signals signals(unlocked);
  const Network network(kernels, given);
  const auto agents = static_cast<std::int64_t>(columns.size());
  const auto count = static_cast<std::int64_t>(shards.size());
  const auto [length, sequences, piece] = sizes;
  const std::int64_t rows = network.rows();
  std::int64_t numbers = rows;
  for (const std::int64_t one : network.apart()) numbers += one;
  std::vector<std::unique_ptr<TreeSum>> sums;
  for (std::int64_t a = 0; a < agents; ++a) {
    sums.push_back(std::make_unique<TreeSum>(shards.size(), numbers));
  }
  std::vector<std::once_flag> begun(columns.size());
  std::vector<learning::ReadyLayers> ready(columns.size());  // of every agent
  const auto learn = [&](std::int64_t agent, const GivenShard& shard, std::int64_t first,
                         Gathered& desk, float* to) {
    const auto& [addresses, starts, envs] = shard;
    learning::Sequences s;
    s.count = std::min(piece, sequences - first);
    s.length = length;
    s.starts = at<const std::int64_t>(starts, agent * sequences + first);
    s.envs = at<const std::int64_t>(envs, agent * sequences + first);
    const auto* scales = at<const float>(where[0], agent);
    const Recorded recorded = recorded_of(addresses, batch);
    gather(recorded, columns[static_cast<std::size_t>(agent)], s, scales[0], scales[agents],
           network.ahead(), desk);
    Lesson lesson = network.of(agent, desk, length, s.count, recorded);
    const auto at_agent = static_cast<std::size_t>(agent);
    std::call_once(begun[at_agent],
                   [&] { ready[at_agent] = learning::ready_layers(kernels, lesson.sight, true); });
    lesson.sight.ready = &ready[at_agent];
    const LessonGrads own = network.grads(to + rows);
    Learnt learnt;
    if (!learning::learn_from(kernels, lesson, &own, learnt)) return false;
    const std::vector<float> known = told(learnt);
    std::copy(known.begin(), known.end(), to);
    return true;
  };
  const auto put = [&](std::int64_t agent) {
    const float* from = sums[static_cast<std::size_t>(agent)]->whole();
    for (std::int64_t i = 0; i < rows; ++i) *at<float>(where[1], i * agents + agent) = from[i];
    from += rows;
    for (std::size_t i = 0; i < grads.size(); ++i) {
      const std::int64_t own = network.apart()[i];
      std::copy_n(from, own, at<float>(grads[i], agent * own));
      from += own;
    }
  };
  // An agent's shards one after the other: few sums are on their way at a time.
  return all_of_them<Gathered>(
      agents * count, threads, &signals, [&](std::int64_t i, Gathered& desk) {
        const std::int64_t agent = i / count, k = i % count;
        const GivenShard& shard = shards[static_cast<std::size_t>(k)];
        Numbers own = Numbers::unset(numbers);
        if (!learn(agent, shard, 0, desk, own.data())) return false;
        for (std::int64_t first = piece; first < sequences; first += piece) {
          if (signals.given_up()) return false;
          Numbers more = Numbers::unset(numbers);
          if (!learn(agent, shard, first, desk, more.data())) return false;
          for (std::int64_t j = 0; j < numbers; ++j) own.data()[j] += more.data()[j];
        }
        if (sums[static_cast<std::size_t>(agent)]->put(k, std::move(own))) put(agent);
        return true;
      });
}

// Steps of Adam. Addresses of parameters, gradients and both moments of every part of a network,
// and numbers of an agent in it; of every agent that takes a step its place among the moments, its
// row, its steps, this one included, and its rate. All of them, whatever signals come.
void descend_parts(const Kernels& kernels, const std::vector<std::array<std::uintptr_t, 4>>& parts,
                   const Sizes& apart, const std::vector<std::array<double, 4>>& agents,
                   const std::array<double, 3>& constants, int threads) {
  const Unlocked unlocked;
  const auto count = static_cast<std::int64_t>(parts.size());
  const auto steps = static_cast<std::int64_t>(agents.size());
  double numbers = 0.0;
  for (const std::int64_t own : apart) numbers += static_cast<double>(own * steps);
  struct Nothing {};
  all_of_them<Nothing>(count * steps, worthwhile(threads, kProductsOfAStep * numbers), nullptr,
                       [&](std::int64_t i, Nothing&) {
                         const auto part = static_cast<std::size_t>(i % count);
                         const auto& [agent, row, taken, rate] =
                             agents[static_cast<std::size_t>(i / count)];
                         const std::int64_t own = apart[part];
                         const std::int64_t place = static_cast<std::int64_t>(agent) * own;
                         const auto& [values, grads, first, second] = parts[part];
                         learning::Descent d;
                         d.count = own;
                         d.values = at<float>(values, static_cast<std::int64_t>(row) * own);
                         d.grads = at<const float>(grads, static_cast<std::int64_t>(row) * own);
                         d.first = at<float>(first, place);
                         d.second = at<float>(second, place);
                         d.beta1 = constants[0];
                         d.beta2 = constants[1];
                         d.eps = constants[2];
                         d.steps = taken;
                         d.rate = rate;
                         kernels.descend(d);
                         return true;
                       });
}

}  // namespace

void add_shards(py::class_<Kernels>& kernels) {
  kernels.def("descend_parts", &descend_parts, py::arg("parts"), py::arg("apart"),
              py::arg("agents"), py::arg("constants"), py::arg("threads"));
  kernels.def("learn_shards", &learn_shards, py::arg("network"), py::arg("batch"),
              py::arg("shards"), py::arg("columns"), py::arg("sizes"), py::arg("where"),
              py::arg("grads"), py::arg("threads"));
}

}  // namespace socialgrid::bindings
