// Which agent stands where, for the length of one step.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

#include "core/map.hpp"
#include "core/world.hpp"

namespace socialgrid {

// Agents in play by cell; no two may share one.
class Crowd {
 public:
  static constexpr int kNobody = -1;

  explicit Crowd(const World& world) {
    std::memset(names_.data(), 0, world.shape().num_cells());
    for (std::size_t i = 0; i < world.agents().size(); ++i) {
      const Agent& agent = world.agents()[i];
      if (agent.active()) enter(world.index(agent.position()), i);
    }
  }

  int agent_at(std::size_t cell) const { return names_[cell] - 1; }
  void enter(std::size_t cell, std::size_t agent) {
    names_[cell] = static_cast<std::uint8_t>(agent + 1);
  }
  void leave(std::size_t cell) { names_[cell] = 0; }

 private:
  std::array<std::uint8_t, kMaxSide * kMaxSide> names_;  // index + 1; 0: nobody
};

}  // namespace socialgrid
