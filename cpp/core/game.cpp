#include "core/game.hpp"

#include <algorithm>

#include "core/text.hpp"

namespace socialgrid {

Field<std::int32_t> GameSpec::add_integer(AgentField field) {
  agent_fields.push_back(std::move(field));
  shape.add_field(sizeof(std::int32_t));
  return {agent_fields.size() - 1};
}

Field<double> GameSpec::add_number(AgentField field) {
  field.type = FieldType::kNumber;
  agent_fields.push_back(std::move(field));
  shape.add_field(sizeof(double));
  return {agent_fields.size() - 1};
}

WorldValue<std::int32_t> GameSpec::add_value(WorldField field) {
  world_fields.push_back(std::move(field));
  shape.add_value();
  return {world_fields.size() - 1};
}

void Game::begin_episode(World& world) const {
  world.header().step = 0;
  for (std::size_t i = 0; i < world.shape().num_planes(); ++i) {
    std::fill(world.plane(i).begin(), world.plane(i).end(), std::uint8_t{0});
  }
  std::fill(world.agents().begin(), world.agents().end(), Agent{});
  for (std::size_t i = 0; i < spec_.agent_fields.size(); ++i) {
    const AgentField& field = spec_.agent_fields[i];
    if (field.type == FieldType::kNumber) {
      const std::span<double> values = world.field(Field<double>{i});
      std::fill(values.begin(), values.end(), field.fallback);
    } else {
      const std::span<std::int32_t> values = world.field(Field<std::int32_t>{i});
      std::fill(values.begin(), values.end(), static_cast<std::int32_t>(field.fallback));
    }
  }
  for (std::size_t i = 0; i < spec_.world_fields.size(); ++i) {
    world.value(WorldValue<std::int32_t>{i}) = spec_.world_fields[i].fallback;
  }
}

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

std::unique_ptr<const Observer> make_observer(const Game& game, ObsMode mode) {
  return game.observer(obs_mode_of(game, name_of(mode)));
}

ObsMode obs_mode_of(const Game& game, const std::string& name) {
  std::string allowed;
  for (const ObsMode mode : game.obs_modes()) {
    if (name == name_of(mode)) return mode;
    allowed += std::string(allowed.empty() ? "" : ", ") + "'" + name_of(mode) + "'";
  }
  throw ConfigError(game.spec().name + " has no obs_mode '" + printable(name) +
                    "'; allowed: " + allowed);
}

}  // namespace socialgrid
