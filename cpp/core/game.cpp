#include "core/game.hpp"

#include "core/text.hpp"

namespace socialgrid {

void Game::write_glyphs(const World& world, std::uint8_t* out) const {
  for (const Tile tile : world.cells()) *out++ = static_cast<std::uint8_t>(spec_.glyphs[tile]);
}

std::shared_ptr<const Game> make_game(const std::string& name, const Values& values) {
  std::vector<std::string> names;
  for (const GameEntry& entry : games()) {
    if (entry.name == name) return entry.make(Config(name, entry.options, values));
    names.push_back(entry.name);
  }
  std::string message = "there is no game '" + printable(name) + "'";
  if (const std::string near = nearest_name(name, names); !near.empty()) {
    message += "; did you mean '" + near + "'?";
  } else {
    message += "; games:";
    for (const std::string& known : names) message += " " + known;
  }
  throw ConfigError(message);
}

}  // namespace socialgrid
