// Rules shared by the MiniGrid-style games. A game of this family is its options and a generator.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "core/game.hpp"
#include "core/map.hpp"
#include "grid/actions.hpp"

namespace socialgrid {

// Defaults in which the games of the family differ.
struct GridDefaults {
  int grid_size = 9;
  int min_size = 3;
  int max_steps = 100;
  int num_agents = 1;
  bool prestige_color = false;
  bool respawn = false;
  bool reward_decay = true;
};

// Options every game of the family has; a game appends its own.
std::vector<Option> grid_options(const GridDefaults& defaults);
// The options num_clutter and clutter_density.
std::vector<Option> clutter_options(double default_density);
// Number of clutter walls they ask for; both at once are an error unless they agree.
int clutter_count(const Config& config);

// Empty cells in row-major order, taken one by one at random.
class CellPool {
 public:
  // The empty cells of columns below `cols` (all columns if negative).
  explicit CellPool(const World& world, int cols = -1);
  // Takes a random cell out. Throws ConfigError if there is none left.
  Position take(Rng& rng);

 private:
  std::vector<Position> cells_;
};

// Surrounds the grid with wall.
void draw_frame(World& world);

// Fills the cells of an empty world; agents are placed afterwards by the rules.
using Generator = std::function<void(World&, Rng&)>;

struct CycleRules {
  double reward = 1.0;
  double penalty = 1.5;  // its absolute value is subtracted
  bool initial_reward = true;
  bool reset_on_mistake = false;
};

class GridGame final : public Game {
 public:
  struct Setup {
    Generator generate{};  // unused when the user brings a map
    CycleRules cycle{};
    int num_cycle_tiles = 0;                    // tiles the generator lays; a map counts its own
    bool has_objects = false;                   // doors, keys, balls and boxes can occur
    std::vector<std::string> layout_options{};  // options that a user's map makes meaningless
  };

  GridGame(const Config& config, Setup setup);

  void reset(World& world, Rng& rng) const override;
  void step(World& world, std::span<const std::int32_t> actions, const Outcome& outcome,
            Rng& rng) const override;
  Layout layout(const World& world) const override;
  void apply_layout(World& world, const Layout& layout, bool finished) const override;
  void validate(const World& world, bool finished) const override;

 private:
  void spawn_due_agents(World& world, Rng& rng) const;
  double act(World& world, Agent& agent, GridAction action) const;
  double enter_tile(Agent& agent, Tile tile) const;
  double enter_cycle_tile(Agent& agent, int index) const;
  void retire_leaving_agents(World& world, Rng& rng) const;
  // Brings an agent into play, if there is room; where `solvable`, on a cell from which it can do
  // its task.
  void place(World& world, Agent& agent, bool solvable, Rng& rng) const;
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
  bool ghost_mode_ = true;
  bool respawn_ = false;
  bool reward_decay_ = true;
  double prestige_decay_ = 0.95;
  std::vector<int> spawn_delay_;
  bool solvable_ = false;
};

}  // namespace socialgrid
