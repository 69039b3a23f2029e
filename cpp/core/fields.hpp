// What a game's agents and worlds have besides what all have. A game or its family declares it in
// GameSpec; the core keeps it in every world's block, and so in snapshots, and shows what agents
// have in layouts and arrays.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/tile.hpp"

namespace socialgrid {

// Names a value of every agent: World::field(f)[agent]. T is std::int32_t, or double for numbers.
template <typename T>
struct Field {
  std::size_t index = 0;
};

// Names an integer of a world: World::value(v).
template <typename T>
struct WorldValue {
  std::size_t index = 0;
};

enum class FieldType {
  kInteger,  // std::int32_t
  kNumber,   // double
  kThing     // a tile or nothing, as std::int32_t
};

struct Thing {
  Tile tile = 0;
  char glyph = '?';  // in arrays
  std::string text;  // in layouts
};

struct AgentField {
  std::string name;  // "energy": Layout's and VecEnv.worlds()' agent_energy
  FieldType type = FieldType::kInteger;
  double fallback = 0;  // at the beginning of an episode
  double low = 0;       // smallest and largest value there can be
  double high = 0;
  bool optional = false;        // a layout says None for the fallback, which need not be in range
  bool shown = true;            // in layouts and arrays; if not, snapshots alone have it
  std::vector<Thing> things{};  // what a field of things can be besides nothing, the fallback
  // What a message says of a wrong value, quoted as given, after "agent 0"; nothing: the range.
  std::function<std::string(const std::string&)> complaint{};

  bool holds(double value) const;
};

// An integer of the world, which layouts say by other means.
struct WorldField {
  std::string name;
  std::int32_t fallback = 0;
  double low = 0;
  double high = 0;
};

}  // namespace socialgrid
