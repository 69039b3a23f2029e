// Minibatches of a batch that lies in shards, as they are given from Python.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <tuple>
#include <vector>

#include "given_network.hpp"
#include "kernels.hpp"
#include "layers.hpp"
#include "recorded.hpp"
#include "tree_sum.hpp"
#include "unlocked.hpp"

namespace socialgrid::bindings {

// What belongs to one shard: where its batch lies; first steps and environments of sequences
// [drawn for, minibatches, sequences]; where lies what models of others learn from.
using GivenShard = std::tuple<BatchAddresses, std::uintptr_t, std::uintptr_t, ModelAddresses>;
// Sizes of the shards' batches; the shards; columns of the agents in them, and their places among
// those that was drawn for; how many that are, minibatches, sequences in each, their steps, and
// most sequences at a time; address of scales [2, drawn for, minibatches].
using GivenMinibatches = std::tuple<BatchSizes, std::vector<GivenShard>, Sizes, Sizes,
                                    std::array<std::int64_t, 5>, std::uintptr_t>;

// What agents learn from one minibatch, added up over the shards along a tree. Threads share its
// pieces, the shards of each agent one after the other: few sums are on their way at a time.
class Minibatch {
 public:
  // Everything given has to stay.
  Minibatch(const learning::Kernels& kernels, const Network& network, const GivenMinibatches& given,
            std::int64_t number);

  std::int64_t pieces() const { return agents() * shards(); }
  std::int64_t agent_of(std::int64_t piece) const { return piece / shards(); }

  // Makes ready what all pieces of an agent read. Otherwise the first of them does, and others
  // wait.
  void make_ready(std::int64_t agent);

  enum class Found { unknown, known, all };
  // Learns from a piece. All: nobody else has pieces of the agent left. Unknown: its views have too
  // many different tiles to be looked up, or a signal has come.
  Found learn(std::int64_t piece, learning::Gathered& desk, Signals& signals);

  // Of an agent that has learnt from all of its pieces: the numbers that are told, then gradients.
  const float* whole(std::int64_t agent) const;

 private:
  std::int64_t agents() const;
  std::int64_t shards() const;
  bool learn_from(std::int64_t agent, std::int64_t shard, std::int64_t first,
                  learning::Gathered& desk, float* to);

  const learning::Kernels& kernels_;
  const Network& network_;
  const GivenMinibatches& given_;
  const std::int64_t number_, numbers_;
  std::vector<std::unique_ptr<learning::TreeSum>> sums_;
  std::vector<std::once_flag> begun_;
  std::vector<learning::ReadyLayers> ready_;  // of every agent
};

}  // namespace socialgrid::bindings
