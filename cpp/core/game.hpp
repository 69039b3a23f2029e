// What a game is: an immutable specification and rules that act on worlds.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "core/config.hpp"
#include "core/layout.hpp"
#include "core/rng.hpp"
#include "core/world.hpp"

namespace socialgrid {

inline constexpr int kMaxAgents = 255;
inline constexpr int kMaxViewSize = 31;
inline constexpr int kPrestigeColor = -1;  // in AgentLook::colors

enum class PrestigeMapping { kTanh, kSigmoid };

struct AgentLook {
  std::vector<int> colors;  // per agent: a colour index or kPrestigeColor
  PrestigeMapping mapping = PrestigeMapping::kTanh;
  double scale = 2.0;
};

// The square an agent of the MiniGrid-style games sees, as far as nothing is in the way: it looks
// up, from column size/2, row size-1-offset.
struct EgocentricView {
  int size = 7;                                   // tiles a side, odd
  int offset = 1;                                 // rows behind the agent
  int tile_size = 3;                              // pixels a tile
  std::vector<bool> see_through_walls;            // per agent
  std::vector<bool> hides_kinds;                  // per agent: shown_tile differs from the identity
  std::vector<std::array<Tile, 256>> shown_tile;  // per agent: what a tile looks like to it
  std::vector<Tile> tile_set;                     // every tile that can occur
  AgentLook look;

  int agent_row() const { return size - 1 - offset; }
  int agent_col() const { return size / 2; }
};

// The whole square around an agent of the social dilemmas, turned by its heading.
struct SquareView {
  int size = 15;           // cells a side, odd; the agent is in the middle
  int tile_size = 1;       // pixels a cell
  bool show_beams = true;  // beams of the last step are drawn in agents' views
  // The agent looks up; if false, sideways headings are turned the other way (and look down), as in
  // the public implementation.
  bool heading_up = true;
};

// The whole room from above, or where the agent and its goal are as numbers.
struct RoomView {
  int tile_size = 8;  // pixels a cell
};

// How agents see; the kind of view decides which Observer draws it.
using View = std::variant<EgocentricView, SquareView, RoomView>;

struct GameSpec {
  std::string name;
  WorldShape shape;
  int max_steps = 0;
  std::vector<int> action_counts;         // per agent
  std::vector<std::string> action_names;  // of the agent with the most actions
  std::vector<std::string> event_names;   // what a step counts for each agent; may be empty
  std::array<char, 256> glyphs{};         // character of each tile in layouts
  View view;
  Values config;  // every option with its value
};

// What a step did to each agent; the memory is the caller's.
struct Outcome {
  std::span<float> rewards;        // [A]
  std::span<std::uint8_t> events;  // [A, number of event_names] counts of this step
};

// Rules. Stateless and shared by all environments of a batch and all threads; everything that
// changes lives in the World. Rules never touch pixels.
class Game {
 public:
  virtual ~Game() = default;

  const GameSpec& spec() const { return spec_; }

  // Starts an episode. The stream is already at its beginning and the world constructed afresh.
  virtual void reset(World& world, Rng& rng) const = 0;

  // One step: every agent acts, the whole outcome is written, endings go to Agent::status.
  virtual void step(World& world, std::span<const std::int32_t> actions, const Outcome& outcome,
                    Rng& rng) const = 0;

  virtual Layout layout(const World& world) const = 0;

  // What each cell holds, as the characters of layouts: [rows, cols].
  virtual void write_glyphs(const World& world, std::uint8_t* out) const;

  // Replaces everything but the random stream. Throws LayoutError and leaves the world as it was.
  // `finished`: it may be as it stands when an episode is over.
  virtual void apply_layout(World& world, const Layout& layout, bool finished) const = 0;

  // Throws std::invalid_argument if the world could not have come from this game (foreign
  // snapshot). `finished`: as it stands when an episode is over.
  virtual void validate(const World& world, bool finished) const = 0;

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
