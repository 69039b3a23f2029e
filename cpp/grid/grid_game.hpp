// Rules shared by the MiniGrid-style games. A game of this family is its options and a generator.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/game.hpp"
#include "grid/actions.hpp"
#include "grid/egocentric_view.hpp"
#include "grid/generation.hpp"
#include "grid/grid_map.hpp"
#include "grid/grid_options.hpp"
#include "grid/grid_state.hpp"
#include "grid/grid_tile.hpp"

namespace socialgrid {

struct CycleRules {
  double reward = 1.0;
  double penalty = 1.5;  // its absolute value is subtracted
  bool initial_reward = true;
  bool reset_on_mistake = false;
};

class GridGame : public Game {
 public:
  struct Setup {
    Generator generate{};  // unused when the user brings a map
    CycleRules cycle{};
    int num_cycle_tiles = 0;   // tiles the generator lays; a map counts its own
    bool has_objects = false;  // doors, keys, balls and boxes can occur
  };

  GridGame(const Config& config, Setup setup);

  void reset(World& world, Rng& rng) const override;
  void step(World& world, std::span<const std::int32_t> actions, const Outcome& outcome,
            Rng& rng) const override;
  std::vector<ObsMode> obs_modes() const override { return {ObsMode::kRgb, ObsMode::kTiles}; }
  std::unique_ptr<const Observer> observer(ObsMode mode) const override;

  // Of layouts (grid_layout.cpp).
  void write_details(const World& world, Layout& layout) const override;
  void read_cells(World& next, const Layout& layout) const override;
  void read_agents(World& next, const Layout& layout) const override;
  void check(const World& world, bool finished) const override;

 private:
  void spawn_due_agents(World& world, Rng& rng) const;
  double act(World& world, std::size_t agent, GridAction action) const;
  double enter_tile(World& world, std::size_t agent) const;
  double enter_cycle_tile(std::int32_t& last_tile, int index) const;
  void retire_leaving_agents(World& world, Rng& rng) const;
  // Brings an agent into play, if there is room; where `solvable`, on a cell from which it can do
  // its task.
  void place(World& world, std::size_t agent, bool solvable, Rng& rng) const;
  // The beginning of an episode, solvable or not.
  void draw(World& world, Rng& rng) const;
  bool is_solvable(const World& world) const;
  // Where agents may start and can do their task from: bytes [rows, cols].
  std::vector<std::uint8_t> solving_starts(const World& world) const;
  // Throws ConfigError where solvable worlds are too rare; `trial` is one that was drawn.
  void require_solvable(World& trial, Rng& rng) const;
  bool in_tile_set(Tile tile) const;
  Tile tile_for_layout(const Layout& layout, int row, int col) const;

  Setup setup_;
  TextMap map_;  // rows == 0: generated
  EgocentricView view_;
  bool ghost_mode_ = true;
  bool respawn_ = false;
  bool reward_decay_ = true;
  double prestige_decay_ = 0.95;
  std::vector<int> spawn_delay_;
  bool solvable_ = false;
};

}  // namespace socialgrid
