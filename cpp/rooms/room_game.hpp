// What the rooms of Peer Learning share (Derstroff et al. 2024): one agent that is paid for every
// step on a goal at the wall. A game of this family is its dimensions and where the agent starts.
#pragma once

#include <vector>

#include "core/game.hpp"

namespace socialgrid {

// Options every game of the family has; `min_length` is the smallest room.
std::vector<Option> room_options(int min_length);

class RoomGame final : public Game {
 public:
  struct Setup {
    int dimensions = 2;    // 1: a single row
    int start_offset = 0;  // the agent starts so many columns before the middle
  };

  RoomGame(const Config& config, const Setup& setup);

  void reset(World& world, Rng& rng) const override;
  void step(World& world, std::span<const std::int32_t> actions, const Outcome& outcome,
            Rng& rng) const override;
  Layout layout(const World& world) const override;
  void write_glyphs(const World& world, std::uint8_t* out) const override;
  void apply_layout(World& world, const Layout& layout, bool finished) const override;
  void validate(const World& world, bool finished) const override;

 private:
  bool at_wall(Position p) const;
  void check_world(const World& world, bool finished) const;

  Position start_;
  bool terminate_on_goal_;
};

}  // namespace socialgrid
