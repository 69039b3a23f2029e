// What a game is: an immutable specification and rules that act on worlds.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "socialgrid/config.hpp"
#include "socialgrid/layout.hpp"
#include "socialgrid/rng.hpp"
#include "socialgrid/world.hpp"

namespace socialgrid {

inline constexpr int kMaxAgents = 255;
inline constexpr int kMaxViewSize = 31;
inline constexpr int kPrestigeColor = -1;  // in AgentLook::colors

// The egocentric square an agent sees: it looks up, from column size/2, row size-1-offset.
struct ViewSpec {
  int size = 7;                                   // tiles a side, odd
  int offset = 1;                                 // rows behind the agent
  int tile_size = 3;                              // pixels a tile
  std::vector<bool> see_through_walls;            // per agent
  std::vector<bool> hides_kinds;                  // per agent: shown_tile differs from the identity
  std::vector<std::array<Tile, 256>> shown_tile;  // per agent: what a tile looks like to it

  int agent_row() const { return size - 1 - offset; }
  int agent_col() const { return size / 2; }
};

enum class PrestigeMapping { kTanh, kSigmoid };

struct AgentLook {
  std::vector<int> colors;  // per agent: a colour index or kPrestigeColor
  PrestigeMapping mapping = PrestigeMapping::kTanh;
  double scale = 2.0;
};

struct GameSpec {
  std::string name;
  WorldShape shape;
  int max_steps = 0;
  std::vector<int> action_counts;  // per agent
  std::vector<Tile> tile_set;      // every tile that can occur
  int num_cycle_tiles = 0;
  ViewSpec view;
  AgentLook look;
  Values config;  // every option with its value
};

// Rules. Stateless and shared by all environments of a batch and all threads; everything that
// changes lives in the World. Rules never touch pixels.
class Game {
 public:
  virtual ~Game() = default;

  const GameSpec& spec() const { return spec_; }

  // Starts an episode. The stream is already at its beginning and the world constructed afresh.
  virtual void reset(World& world, Rng& rng) const = 0;

  // One step: every agent acts, rewards (one per agent) are written, endings go to Agent::status.
  virtual void step(World& world, std::span<const std::int32_t> actions, std::span<float> rewards,
                    Rng& rng) const = 0;

  virtual Layout layout(const World& world) const = 0;

  // Replaces everything but the random stream. Throws LayoutError and leaves the world as it was.
  virtual void apply_layout(World& world, const Layout& layout) const = 0;

  // Throws std::invalid_argument if the world could not have come from this game (foreign
  // snapshot).
  virtual void validate(const World& world) const = 0;

 protected:
  explicit Game(GameSpec spec) : spec_(std::move(spec)) {}
  GameSpec spec_;
};

// One line of the registry.
struct GameEntry {
  std::string name;
  std::vector<Option> options;
  std::function<std::shared_ptr<const Game>(const Config&)> make;
};

// All games, in the order of CMake's list.
const std::vector<GameEntry>& games();

// Throws ConfigError for an unknown name (naming the nearest), key or value.
std::shared_ptr<const Game> make_game(const std::string& name, const Values& values);

}  // namespace socialgrid
