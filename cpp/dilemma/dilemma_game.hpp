// What the sequential social dilemmas share: maps, options, starts, layouts. A game of this family
// is its legend, its options and a step composed of passes (moves.hpp, beams.hpp, growth.hpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/game.hpp"
#include "dilemma/beams.hpp"
#include "dilemma/crowd.hpp"
#include "dilemma/dilemma_tile.hpp"
#include "dilemma/moves.hpp"
#include "dilemma/square_view.hpp"

namespace socialgrid {

// Defaults in which the games of the family differ.
struct DilemmaDefaults {
  std::vector<std::string> map{};
  std::string map_help{};
  int min_agents = 1;
  int max_agents = kMaxAgents;
  int num_agents = 5;
  int max_steps = 1000;
  int view_size = 15;
  bool has_beams = true;
};

// Options every game of the family has; a game appends its own.
std::vector<Option> dilemma_options(const DilemmaDefaults& defaults);

// What shooting costs: the shooter for every shot, the agent hit for every hit.
struct Fines {
  double shot = 1.0;
  double hit = 50.0;
};
// The options fire_cost and hit_penalty, and what they say.
std::vector<Option> fine_options();
Fines read_fines(const Config& config);

// A character of a game's text maps.
struct MapSymbol {
  char symbol = '?';
  Tile start = dilemma::kGround;  // what the cell holds when an episode begins
  std::vector<Tile> later{};      // what else it may hold
};

class DilemmaGame : public Game {
 public:
  struct Setup {
    std::vector<MapSymbol> legend{};          // besides '@' wall, ' ' ground and 'P' spawn point
    std::vector<std::string> more_actions{};  // beyond MoveAction
    std::vector<std::string> event_names{};
    bool has_beams = true;
    bool agents_leave = false;  // an agent's play can end before the episode
  };

  std::vector<ObsMode> obs_modes() const override { return {ObsMode::kRgb, ObsMode::kTiles}; }
  std::unique_ptr<const Observer> observer(ObsMode mode) const override;

  void read_cells(World& next, const Layout& layout) const override;
  void check(const World& world, bool finished) const override;

  // Row-major indices of the cells where the user's map has one of these characters.
  std::vector<std::uint16_t> cells_marked(const std::string& symbols) const;

 protected:
  // Reads the map and everything the options of dilemma_options say.
  DilemmaGame(const Config& config, const Setup& setup);

  // Lets an agent start on that cell instead of a random one.
  void start_at(std::size_t agent, std::uint16_t cell);
  // Throws ConfigError unless there is a cell for every agent; the last thing a constructor does.
  void check_room() const;

  // The base map with agents: one after another on random spawn points; when those are used up, on
  // random free cells of empty ground; facing anywhere.
  void place_all(World& world, Rng& rng) const;
  // What every step begins with: time, remembered actions, no beams, an empty outcome.
  void begin_step(World& world, std::span<const std::int32_t> actions,
                  const Outcome& outcome) const;
  // Agents on apples eat them, counting them as event number `event`.
  void eat_apples(World& world, int event, const Outcome& outcome) const;
  // Rewards from what was counted: 1 for each apple, less the fines.
  void pay(int apples_event, const BeamRules& beams, const Fines& fines,
           const Outcome& outcome) const;
  // Throws std::invalid_argument if cells contradict each other.
  virtual void check_cells(const World&) const {}

 private:
  std::vector<std::string> map_;        // as the user wrote it
  std::vector<Tile> base_;              // [rows, cols]
  std::vector<std::uint16_t> allowed_;  // [rows, cols] bit t: the cell may hold tile t
  std::vector<std::uint16_t> spawns_;
  std::vector<std::uint16_t> ground_;
  std::vector<int> starts_;  // per agent: its own cell, or -1
  bool agents_leave_;
  SquareView view_;
};

}  // namespace socialgrid
