// What is learnt from, and what is made of, shards of a recorded batch where they lie: see
// learning.cpp.
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "given_lesson.hpp"
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

// Address of a mask or 0; clip and so on, see GivenDecision; layers of policy and value.
using NetworkDecision = std::tuple<std::uintptr_t, std::array<double, 4>, GivenLayers, GivenLayers>;
// Whether it is the following view; coefficient and slope; actions; layers.
using NetworkPrediction = std::tuple<bool, std::array<double, 2>, std::int64_t, GivenLayers>;
// Addresses of atlas and of packed weights of the memory, forward and back; rows, cols, pixels,
// bytes of a tile's number, tiles, features, hidden; whether the first layer is of cells; layers
// that see; channels; decisions; predictions; parameters, and numbers of an agent in each.
using GivenNetwork = std::tuple<std::array<std::uintptr_t, 3>, std::array<std::int64_t, 7>, bool,
                                GivenLayers, GivenChannels, std::vector<NetworkDecision>,
                                std::vector<NetworkPrediction>, Addresses, Sizes>;
// Steps, environments, agents, bytes of a view, numbers of a state, decisions, columns of tokens.
using BatchSizes = std::array<std::int64_t, 7>;
// Addresses of views, states, flags, choices, numbers, tokens.
using BatchAddresses = std::array<std::uintptr_t, 6>;

Recorded recorded_of(const BatchAddresses& where, const BatchSizes& n) {
  Recorded r;
  r.steps = n[0];
  r.envs = n[1];
  r.agents = n[2];
  r.views = at<const std::uint8_t>(where[0]);
  r.view = n[3];
  r.state = at<float>(where[1]);
  r.state_size = n[4];
  r.flags = at<const std::uint8_t>(where[2]);
  r.choices = at<const std::int64_t>(where[3]);
  r.numbers = at<const float>(where[4]);
  r.decisions = n[5];
  r.tokens = at<const std::int16_t>(where[5]);
  r.columns = n[6];
  return r;
}

template <typename T>
std::uintptr_t address(const std::vector<T>& x, std::size_t offset = 0) {
  return reinterpret_cast<std::uintptr_t>(x.data() + offset);
}

class Network {
 public:
  Network(const Kernels& kernels, const GivenNetwork& given)
      : parameters_(std::get<7>(given)),
        apart_(std::get<8>(given)),
        lesson_{
            kernels, {}, {}, std::get<2>(given), layers_of(std::get<3>(given)), std::get<4>(given),
            {},      {}, {}} {
    const auto& where = std::get<0>(given);
    const auto& n = std::get<1>(given);
    lesson_.where = {0, where[0], 0, 0, 0, 0, where[1], where[2], 0};
    lesson_.n = {1, 0, 0, n[0], n[1], n[2], n[3], n[4], 0, n[5], n[6], 0, 0, 0, 0};
    lesson_.zeros.resize(static_cast<std::size_t>(n[6]));
    for (const auto& [mask, constants, policy, value] : std::get<5>(given)) {
      GivenDecision d;
      std::get<0>(d)[5] = mask;
      std::get<2>(d) = constants;
      std::get<3>(d) = policy;
      std::get<4>(d) = value;
      lesson_.decisions.push_back(d);
    }
    for (const auto& [following, constants, actions, layers] : std::get<6>(given)) {
      following_.push_back(following);
      lesson_.predictions.push_back({{}, constants, actions, layers});
    }
  }

  // Whether it looks at the view after the last step.
  bool ahead() const {
    return std::find(following_.begin(), following_.end(), true) != following_.end();
  }
  std::int64_t rows() const {
    return static_cast<std::int64_t>(1 + 5 * lesson_.decisions.size() + following_.size());
  }

  // On rows of some steps of some sequences that were gathered, which have to stay.
  Lesson of(std::int64_t agent, const Gathered& g, std::int64_t steps, std::int64_t sequences,
            std::int64_t state_size, std::int64_t view) const {
    GivenLesson own = lesson_;
    own.where[0] = address(g.views);
    own.where[2] = address(g.tokens);
    own.where[3] = address(g.reset);
    own.where[4] = address(g.state);
    own.where[5] = address(g.state, static_cast<std::size_t>(own.n[10]));
    own.n[1] = steps;
    own.n[2] = sequences;
    own.n[12] = own.n[14] = state_size;
    const auto decisions = static_cast<std::int64_t>(own.decisions.size());
    for (std::size_t i = 0; i < own.decisions.size(); ++i) {
      auto& [from, apart, constants, policy, value] = own.decisions[i];
      from = {
          address(g.choices, i),         address(g.numbers, 3 * i), address(g.numbers, 3 * i + 1),
          address(g.numbers, 3 * i + 2), address(g.weight),         from[5]};
      apart = {decisions, 3 * decisions};
    }
    for (std::size_t i = 0; i < own.predictions.size(); ++i) {
      auto& from = std::get<0>(own.predictions[i]);
      const std::int64_t before = following_[i] ? sequences * view : 0;
      from[0] = address(g.views, static_cast<std::size_t>(before));
      from[1] = following_[i] ? address(g.next_weight) : address(g.weight);
    }
    Lesson lesson = own.of(agent, 0, {parameters_, apart_, agent});
    lesson.memory.zeros = lesson_.zeros.data();  // which stay
    return lesson;
  }

  // Gradients one after the other, in the order of the parameters.
  LessonGrads grads(float* to) const {
    Addresses where;
    for (const std::int64_t count : apart_) {
      where.push_back(reinterpret_cast<std::uintptr_t>(to));
      to += count;
    }
    return lesson_.grads_of({where, Sizes(where.size()), 0});
  }
  const Sizes& apart() const { return apart_; }

 private:
  const Addresses parameters_;
  const Sizes apart_;
  GivenLesson lesson_;
  std::vector<bool> following_;
};

// Calls work(i, desk) for all i below `count`, each of several threads with a desk of its own, in
// this order; false as soon as that says so. The first error, in this order, is thrown on.
template <typename Desk, typename Work>
bool all_of_them(std::int64_t count, int threads, const Work& work) {
  std::atomic<std::int64_t> next{0};
  std::atomic<bool> fine{true};
  std::vector<std::exception_ptr> failed(static_cast<std::size_t>(count));
  const auto some = [&] {
    Desk desk;
    for (std::int64_t i = next++; i < count && fine; i = next++) {
      try {
        if (!work(i, desk)) fine = false;
      } catch (...) {
        failed[static_cast<std::size_t>(i)] = std::current_exception();
      }
    }
  };
  std::vector<std::thread> others;
  for (std::int64_t i = 1; i < std::min<std::int64_t>(threads, count); ++i) {
    others.emplace_back(some);
  }
  some();
  for (std::thread& other : others) other.join();
  for (const std::exception_ptr& error : failed) {
    if (error) std::rethrow_exception(error);
  }
  return fine;
}

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
  const Unlocked unlocked;
  const Network network(kernels, given);
  const auto agents = static_cast<std::int64_t>(columns.size());
  const auto count = static_cast<std::int64_t>(shards.size());
  const auto [length, sequences, piece] = sizes;
  const std::int64_t rows = network.rows();
  std::int64_t numbers = rows;
  for (const std::int64_t one : network.apart()) numbers += one;
  std::vector<std::unique_ptr<TreeSum>> sums;
  for (std::int64_t a = 0; a < agents; ++a) {
    sums.push_back(std::make_unique<TreeSum>(count, numbers));
  }
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
    const Lesson lesson =
        network.of(agent, desk, length, s.count, recorded.state_size, recorded.view);
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
  return all_of_them<Gathered>(agents * count, threads, [&](std::int64_t i, Gathered& desk) {
    const std::int64_t agent = i / count, k = i % count;
    const GivenShard& shard = shards[static_cast<std::size_t>(k)];
    Numbers own = Numbers::unset(numbers);
    if (!learn(agent, shard, 0, desk, own.data())) return false;
    for (std::int64_t first = piece; first < sequences; first += piece) {
      Numbers more = Numbers::unset(numbers);
      if (!learn(agent, shard, first, desk, more.data())) return false;
      for (std::int64_t j = 0; j < numbers; ++j) own.data()[j] += more.data()[j];
    }
    if (sums[static_cast<std::size_t>(agent)]->put(k, std::move(own))) put(agent);
    return true;
  });
}

}  // namespace

void add_shards(py::class_<Kernels>& kernels) {
  kernels.def("learn_shards", &learn_shards, py::arg("network"), py::arg("batch"),
              py::arg("shards"), py::arg("columns"), py::arg("sizes"), py::arg("where"),
              py::arg("grads"), py::arg("threads"));
}

}  // namespace socialgrid::bindings
