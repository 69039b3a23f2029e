// What the rooms of Peer Learning share (Derstroff et al. 2024): one agent that is paid for every
// step on a goal at the wall. A game of this family is its dimensions and where the agent starts.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/game.hpp"

namespace socialgrid {

// Where the goal is: worlds of this family keep no plane of cells.
inline constexpr WorldValue<std::int32_t> kGoalRow{0}, kGoalCol{1};
inline Position goal_of(const World& world) {
  return {world.value(kGoalRow), world.value(kGoalCol)};
}

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
  std::vector<ObsMode> obs_modes() const override {
    return {ObsMode::kVector, ObsMode::kRgb, ObsMode::kTiles};
  }
  std::unique_ptr<const Observer> observer(ObsMode mode) const override;

  void write_glyphs(const World& world, std::uint8_t* out) const override;
  void read_cells(World& next, const Layout& layout) const override;
  void check(const World& world, bool finished) const override;

 private:
  bool at_wall(Position p) const;

  Position start_;
  int tile_size_;
  bool terminate_on_goal_;
};

}  // namespace socialgrid
