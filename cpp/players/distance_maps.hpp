// Shortest ways for agents that turn and walk, kept until a world's cells change.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/batch.hpp"

namespace socialgrid::players {

// Actions of the games whose agents turn and walk.
inline constexpr std::int32_t kLeft = 0, kRight = 1, kForward = 2, kPickup = 3, kToggle = 5,
                              kNoop = 6;

// Cost of a target that no way leads to.
inline constexpr std::int32_t kUnreachable = std::int32_t{1} << 30;

// What a walker looks for and where it may walk, as characters of layouts.
struct Terrain {
  std::string targets;   // cells to enter
  std::string walkable;  // cells that it likes to cross on the way
  std::string fallback;  // cells that it crosses when no way over walkable ones exists
  friend bool operator==(const Terrain&, const Terrain&) = default;
};

struct Lead {
  std::int32_t cost = kUnreachable;  // fewest actions that enter the target
  std::int32_t action = kNoop;       // the first of them
};

// Environments of a batch from one on, up to another.
struct Envs {
  std::size_t begin, end;
};

// Distances to every target cell of every environment of one batch. Targets are numbered in
// row-major order; a number is a slot.
class DistanceMaps {
 public:
  // `slots`: targets that there is room for; more room is made where a world has more.
  DistanceMaps(const BatchEnv& batch, Terrain terrain, std::size_t slots);

  const Terrain& terrain() const { return terrain_; }
  std::size_t slots() const { return slots_; }
  void make_room(std::size_t slots);

  // Measures the worlds whose content has changed since.
  void refresh(BatchEnv& batch);
  // Of some of them, in the calling thread. Throws std::logic_error where there is no room.
  void refresh(const BatchEnv& batch, Envs only);

  std::size_t count(std::size_t env) const { return counts_[env]; }
  Position position(std::size_t env, std::size_t slot) const {
    return targets_[env * slots_ + slot].position;
  }
  char character(std::size_t env, std::size_t slot) const {
    return targets_[env * slots_ + slot].character;
  }

  // The way to one target: a way over walkable cells, however long, before one over others.
  // Different threads may ask about different environments.
  Lead lead(const World& world, std::size_t env, std::size_t slot, Position from, int dir);

  // Calls for the memory that lead() will read: maps of many environments are in no cache, and a
  // walker that waits for its own could have asked for the next one's meanwhile.
  void expect(std::size_t env, std::size_t slot, Position from) const;

  // The nearest of the targets for which among(slot) holds, the first of equals; slot 0 where no
  // way leads to any.
  struct Nearest {
    std::size_t slot = 0;
    Lead lead;
  };
  template <typename Among>
  Nearest nearest(const World& world, std::size_t env, Position from, int dir, Among among) {
    Nearest best;
    for (std::size_t slot = 0; slot < count(env); ++slot) {
      if (!among(slot)) continue;
      const Lead way = lead(world, env, slot, from, dir);
      if (way.cost < best.lead.cost) best = {slot, way};
    }
    return best;
  }

 private:
  struct Target {
    Position position;
    char character = '?';
    bool wider = false;  // ways over the fallback are in its map, or there are none
  };
  struct Scratch;

  std::size_t map_at(std::size_t env, std::size_t slot) const {
    return (env * slots_ + slot) * 4 * cells_;
  }
  std::int32_t onward(std::size_t index) const { return small_ ? near_[index] : far_[index]; }
  Lead best_heading(std::size_t env, std::size_t slot, Position from, int dir) const;
  std::size_t count_targets(const World& world) const;
  void measure(const World& world, std::size_t env, Scratch& scratch);
  void widen(const World& world, std::size_t env, std::size_t slot, Scratch& scratch);

  Terrain terrain_;
  int rows_, cols_;
  std::size_t envs_, cells_, slots_;
  bool small_;  // 16 bits hold every distance
  // By tile.
  std::array<char, 256> glyphs_;
  std::array<bool, 256> is_target_{}, walkable_{}, crossable_{};
  bool crosses_targets_ = false;        // the fallback crosses every kind of target
  std::vector<std::uint64_t> content_;  // [E] what the maps are of
  std::vector<std::size_t> stale_;
  std::vector<std::size_t> counts_;  // [E]
  std::vector<Target> targets_;      // [E, slots]
  // [E, slots, 4, rows, cols] fewest actions from a place and a direction, -1 where there is no
  // way; one of the two is in use.
  std::vector<std::int16_t> near_;
  std::vector<std::int32_t> far_;
};

// The maps of one batch, shared by all players that need the same.
class MapStore {
 public:
  // Up to date, with room for so many targets at least.
  DistanceMaps& of(BatchEnv& batch, const Terrain& terrain, std::size_t slots);
  // Up to date for some environments; different threads may ask for different ones. Throws
  // std::logic_error where nobody has asked for all environments before.
  DistanceMaps& of(const BatchEnv& batch, const Terrain& terrain, std::size_t slots, Envs only);

 private:
  DistanceMaps* find(const Terrain& terrain) const;

  std::vector<std::unique_ptr<DistanceMaps>> maps_;
};

}  // namespace socialgrid::players
