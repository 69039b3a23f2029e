// Maps of every game that takes one: a byte names the game, another its number of agents, a third
// says whether the rest is the map's lines, or changes to the game's own map.
#include <algorithm>

#include "fuzz.hpp"
#include "grid/grid_map.hpp"

using namespace socialgrid;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Bytes bytes(data, size);
  const GameEntry& entry = games()[bytes.below(games().size())];
  const auto option = std::find_if(entry.options.begin(), entry.options.end(),
                                   [](const Option& o) { return o.name == "map"; });
  const int agents = 1 + static_cast<int>(bytes.below(4));
  std::vector<std::string> lines;
  if (bytes.below(2) == 1 && option != entry.options.end() && option->fallback.list() != nullptr) {
    for (const Value& line : *option->fallback.list()) {
      lines.push_back(std::get<std::string>(line.data));
    }
    for (int i = 0; i < 12 && !bytes.empty(); ++i) {
      std::string& line = lines[bytes.below(lines.size())];
      line[bytes.below(line.size())] = static_cast<char>(bytes.take<std::uint8_t>());
    }
  } else {
    lines = bytes.lines();
  }
  for (const bool spawns : {false, true}) {
    try {
      parse_map(lines, spawns);
    } catch (const std::invalid_argument&) {
    }
  }
  if (option == entry.options.end()) return 0;
  Value::List map;
  for (const std::string& line : lines) map.emplace_back(line);
  fuzz::make_and_play(entry.name, {{"map", map}, {"num_agents", agents}}, bytes);
  return 0;
}
