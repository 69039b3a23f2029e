// What a game is: an immutable specification and rules that act on worlds.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/config.hpp"
#include "core/fields.hpp"
#include "core/layout.hpp"
#include "core/observer.hpp"
#include "core/option.hpp"
#include "core/rng.hpp"
#include "core/world.hpp"

namespace socialgrid {

inline constexpr int kMaxAgents = 255;

struct GameSpec {
  std::string name;
  WorldShape shape;
  int max_steps = 0;
  std::vector<int> action_counts;         // per agent
  std::vector<std::string> action_names;  // of the agent with the most actions
  std::vector<std::string> event_names;   // what a step counts for each agent; may be empty
  std::array<char, 256> glyphs{};         // character of each tile in layouts
  bool agents_turn = true;                // if not, their direction is always 0
  bool agents_wait = false;               // agents may be nowhere: (-1, -1), before they enter play
  bool has_details = false;               // layouts say more of some cells than their character
  Values config;                          // every option with its value

  // What agents and worlds have besides what all have, in the order of declaration.
  std::vector<AgentField> agent_fields;
  std::vector<WorldField> world_fields;

  // Declares another one; once the shape is known, and before there is a world. The type of the
  // field is of the function's making, but for things, which are integers.
  Field<std::int32_t> add_integer(AgentField field);
  Field<double> add_number(AgentField field);
  WorldValue<std::int32_t> add_value(WorldField field);
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

  // Starts an episode. The stream is already at its beginning.
  virtual void reset(World& world, Rng& rng) const = 0;

  // One step: every agent acts, the whole outcome is written, endings go to Agent::status.
  virtual void step(World& world, std::span<const std::int32_t> actions, const Outcome& outcome,
                    Rng& rng) const = 0;

  // How agents may see, the default first.
  virtual std::vector<ObsMode> obs_modes() const = 0;
  // What agents see in one of these modes, for as long as the game lives.
  virtual std::unique_ptr<const Observer> observer(ObsMode mode) const = 0;

  // What each cell holds, as the characters of layouts: [rows, cols].
  virtual void write_glyphs(const World& world, std::uint8_t* out) const;

  Layout layout(const World& world) const;
  // Replaces everything but the random stream. Throws LayoutError and leaves the world as it was.
  // `finished`: it may be as it stands when an episode is over.
  void apply_layout(World& world, const Layout& layout, bool finished) const;
  // Throws std::invalid_argument if the world could not have come from this game (foreign
  // snapshot). `finished`: as it stands when an episode is over.
  void validate(const World& world, bool finished) const;

  // What a family knows of layouts. They throw std::invalid_argument.
  // Describes cells of which a character does not say all, where the game has_details.
  virtual void write_details(const World&, Layout&) const {}
  // Fills the cells, and the world's values, of a copy of the world.
  virtual void read_cells(World& next, const Layout& layout) const = 0;
  // The agents are in place, out of play where they are not active: says more of them.
  virtual void read_agents(World&, const Layout&) const {}
  // The core has seen to the step, to where agents are and what they face, and to the ranges of
  // fields; all else.
  virtual void check(const World& world, bool finished) const = 0;

 protected:
  explicit Game(GameSpec spec) : spec_(std::move(spec)) {}

  // What every episode begins with: step 0, agents and the world's values as they are declared, and
  // empty planes. Cells stay.
  void begin_episode(World& world) const;

  GameSpec spec_;

 private:
  void check_entries(const Layout& layout) const;
  void check_step(int step, bool finished) const;
  void check_pose(std::size_t agent, Position position, int dir, bool may_wait) const;
  void read_agent(World& next, const Layout& layout, std::size_t a) const;
  void check_agent(const World& world, std::size_t a) const;
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

// What agents of a game see in this mode. Throws ConfigError if the game does not offer it.
std::unique_ptr<const Observer> make_observer(const Game& game, ObsMode mode);
// The mode of that name. Throws ConfigError, naming those there are, if the game does not offer it.
ObsMode obs_mode_of(const Game& game, const std::string& name);

}  // namespace socialgrid
