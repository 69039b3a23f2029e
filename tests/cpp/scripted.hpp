// A scripted player for the stress driver: a mind, and what it remembers in one batch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "players/kinds.hpp"

namespace socialgrid {

class Scripted {
 public:
  static constexpr const char* kKinds[] = {
      "cycle-expert", "trial-and-error", "goal-expert",    "door-key-expert",
      "gatherer",     "cleaner",         "exit-finder",    "box-opener",
      "random",       "room-expert",     "room-adversary", "sustainable-gatherer"};

  // Throws std::invalid_argument for a kind that cannot play in the batch.
  Scripted(const BatchEnv& batch, std::string kind, std::size_t agent, double error_rate)
      : kind_(std::move(kind)) {
    players::Role role;
    role.game = batch.spec().name;
    role.num_envs = batch.num_envs();
    role.num_agents = batch.num_agents();
    role.agent = agent;
    role.num_actions = batch.spec().action_counts[agent % batch.spec().action_counts.size()];
    role.idle_action = 6;
    role.can_block = agent % 2 == 0;
    role.seed = 3;
    role.error_rate = error_rate;
    const players::Numbers numbers({{"targets", 1},
                                    {"forgets_on_mistake", double(agent % 2)},
                                    {"neighbours", 2},
                                    {"radius_squared", 4},
                                    {"trap_row", 1},
                                    {"trap_col", 1},
                                    {"held", double(agent % 2)},
                                    {"begin", 0.3},
                                    {"until", 0.1}});
    mind_ = players::make_mind(kind_, role, numbers);
    mind_->check(batch);
    begin();
  }

  std::size_t agent() const { return mind_->role().agent; }

  // One of its kind who has not played yet, in another batch.
  Scripted newcomer(const BatchEnv& batch) const {
    return {batch, kind_, agent(), mind_->role().error_rate};
  }

  // As if it had not played yet.
  void begin() {
    calls_ = 0;
    make(mind_->slots());
  }

  // Remembers what another one of its kind does, who plays in another batch.
  void remember(const Scripted& other) {
    make(other.memory_.slots);
    bytes_ = other.bytes_;
    integers_ = other.integers_;
    longs_ = other.longs_;
    longs_[0].assign(longs_[0].size(), -1);
    calls_ = other.calls_;
    point();
  }

  std::vector<std::int32_t> act(BatchEnv& batch) {
    make_room(batch);
    std::vector<std::int32_t> actions(batch.num_envs());
    mind_->act({batch, maps_, memory_, calls_++}, actions.data());
    return actions;
  }

  void observe(BatchEnv& batch, const float* rewards, const std::uint8_t* done) {
    make_room(batch);
    mind_->observe({batch, maps_, memory_, calls_}, rewards, done);
  }

  // The same in some environments, by the thread that plays them on, `further` steps after act().
  void act(BatchEnv& batch, players::Envs envs, std::uint64_t further, std::int32_t* actions) {
    mind_->act({batch, maps_, memory_, calls_ - 1 + further, envs}, actions);
  }
  void observe(BatchEnv& batch, players::Envs envs, std::uint64_t further, const float* rewards,
               const std::uint8_t* done) {
    mind_->observe({batch, maps_, memory_, calls_ + further, envs}, rewards, done);
  }

  // So many steps were played on.
  void play_on(std::uint64_t further) { calls_ += further; }

 private:
  // Where a layout has more targets than there was room for it begins anew.
  void make_room(BatchEnv& batch) {
    const std::size_t slots = mind_->slots(batch, maps_);
    if (slots > memory_.slots) make(slots);
  }

  void make(std::size_t slots) {
    const std::size_t envs = mind_->role().num_envs;
    bytes_.assign(2, std::vector<std::uint8_t>(envs));
    integers_.assign(3, std::vector<std::int32_t>(2 * envs));
    longs_.assign(1, std::vector<std::int64_t>(envs, -1));
    memory_.slots = slots;
    for (const players::Column& column : mind_->columns()) {
      const std::size_t items = envs * column.width(slots);
      switch (column.type) {
        case players::ColumnType::kBool:
          bytes_.emplace_back(items, static_cast<std::uint8_t>(column.fallback));
          break;
        case players::ColumnType::kInt32:
          integers_.emplace_back(items, static_cast<std::int32_t>(column.fallback));
          break;
        case players::ColumnType::kInt64:
          longs_.emplace_back(items, column.fallback);
          break;
      }
    }
    point();
  }

  void point() {
    memory_.known = bytes_[0].data();
    memory_.aside = bytes_[1].data();
    memory_.pos = integers_[0].data();
    memory_.dir = integers_[1].data();
    memory_.action = integers_[2].data();
    memory_.restart = longs_[0].data();
    std::size_t bytes = 2, integers = 3, longs = 1;
    for (std::size_t i = 0; i < mind_->columns().size(); ++i) {
      switch (mind_->columns()[i].type) {
        case players::ColumnType::kBool:
          memory_.own[i] = bytes_[bytes++].data();
          break;
        case players::ColumnType::kInt32:
          memory_.own[i] = integers_[integers++].data();
          break;
        case players::ColumnType::kInt64:
          memory_.own[i] = longs_[longs++].data();
          break;
      }
    }
  }

  std::string kind_;
  std::unique_ptr<const players::Mind> mind_;
  players::MapStore maps_;
  players::Memory memory_;
  std::uint64_t calls_ = 0;
  std::vector<std::vector<std::uint8_t>> bytes_;
  std::vector<std::vector<std::int32_t>> integers_;
  std::vector<std::vector<std::int64_t>> longs_;
};

}  // namespace socialgrid
