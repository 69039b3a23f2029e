// Layouts and foreign snapshots of all games: what is written, read and checked alike.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/game.hpp"
#include "core/text.hpp"

namespace socialgrid {
namespace {

constexpr std::uint64_t kLastWord = std::uint64_t{1} << 34;  // of a random stream

std::string who(std::size_t agent) { return "agent " + std::to_string(agent); }

double stored(const World& world, const AgentField& field, std::size_t index, std::size_t agent) {
  return field.type == FieldType::kNumber ? world.field(Field<double>{index})[agent]
                                          : world.field(Field<std::int32_t>{index})[agent];
}

void set_field(World& world, const AgentField& field, std::size_t index, std::size_t agent,
               double value) {
  if (field.type == FieldType::kNumber) {
    world.field(Field<double>{index})[agent] = value;
  } else {
    world.field(Field<std::int32_t>{index})[agent] = static_cast<std::int32_t>(value);
  }
}

// A stored value as layouts write it.
Value written(const AgentField& field, double value) {
  if (field.optional && value == field.fallback) return {};
  if (field.type == FieldType::kNumber) return value;
  if (field.type == FieldType::kInteger) return static_cast<std::int64_t>(value);
  const auto thing = std::find_if(field.things.begin(), field.things.end(),
                                  [&](const Thing& t) { return t.tile == value; });
  return thing->text;
}

// The value a layout's entry stands for; one that no field holds where it stands for none.
double read(const AgentField& field, const Value& value) {
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  if (value.is_none()) return field.optional ? field.fallback : kNone;
  if (field.type == FieldType::kThing) {
    const auto* text = std::get_if<std::string>(&value.data);
    const auto thing = std::find_if(field.things.begin(), field.things.end(), [&](const Thing& t) {
      return text != nullptr && t.text == *text;
    });
    return thing == field.things.end() ? kNone : thing->tile;
  }
  double number = kNone;
  if (const auto* integer = std::get_if<std::int64_t>(&value.data)) {
    number = static_cast<double>(*integer);
  } else if (const auto* real = std::get_if<double>(&value.data);
             real != nullptr && field.type == FieldType::kNumber) {
    number = *real;
  }
  return number >= field.low && number <= field.high ? number : kNone;
}

// What a message says of a value that a field cannot have.
std::string refusal(const AgentField& field, const Value& value) {
  const auto* text = std::get_if<std::string>(&value.data);
  const std::string shown = text != nullptr ? "'" + printable(*text) + "'" : to_string(value);
  if (field.complaint) return field.complaint(shown);
  const std::string wrong = ": " + field.name + " = " + shown;
  if (field.type == FieldType::kThing) {
    std::string message = wrong + " is no thing that agents have; allowed:";
    for (const Thing& thing : field.things) message += " '" + thing.text + "'";
    return message;
  }
  const auto bound = [&](double number) {
    return field.type == FieldType::kNumber ? to_string(Value(number))
                                            : std::to_string(static_cast<std::int64_t>(number));
  };
  return wrong + " is out of range; allowed: " + bound(field.low) + " to " + bound(field.high) +
         (field.optional ? ", and None" : "");
}

}  // namespace

bool AgentField::holds(double value) const {
  if (value == fallback) return true;
  if (type == FieldType::kThing) {
    return std::any_of(things.begin(), things.end(),
                       [&](const Thing& thing) { return thing.tile == value; });
  }
  return value >= low && value <= high;
}

Layout Game::layout(const World& world) const {
  Layout out;
  out.step = world.header().step;
  std::vector<std::uint8_t> glyphs(world.shape().num_cells());
  write_glyphs(world, glyphs.data());
  const auto cols = static_cast<std::ptrdiff_t>(world.cols());
  for (auto row = glyphs.begin(); row != glyphs.end(); row += cols) {
    out.cells.emplace_back(row, row + cols);
  }
  for (const Agent& agent : world.agents()) {
    out.agent_pos.emplace_back(agent.row, agent.col);
    out.agent_dir.push_back(agent.dir);
    out.agent_active.push_back(agent.active());
  }
  for (std::size_t i = 0; i < spec_.agent_fields.size(); ++i) {
    const AgentField& field = spec_.agent_fields[i];
    for (std::size_t a = 0; field.shown && a < world.agents().size(); ++a) {
      out.agent_fields[field.name].push_back(written(field, stored(world, field, i, a)));
    }
  }
  write_details(world, out);
  return out;
}

void Game::apply_layout(World& world, const Layout& layout, bool finished) const {
  // Everything is built beside the world, which is replaced only when all of it is right.
  std::vector<std::byte> block(world.block().begin(), world.block().end());
  World next(world.shape(), block.data());
  try {
    check_entries(layout);
    check_step(layout.step, finished);
    begin_episode(next);
    next.header().step = layout.step;
    read_cells(next, layout);
    for (std::size_t a = 0; a < next.agents().size(); ++a) read_agent(next, layout, a);
    read_agents(next, layout);
    check(next, finished);
  } catch (const LayoutError&) {
    throw;
  } catch (const std::invalid_argument& error) {
    throw LayoutError(error.what());
  }
  std::copy(block.begin(), block.end(), world.block().begin());
}

void Game::validate(const World& world, bool finished) const {
  if (world.header().stream.used > kLastWord) {
    throw std::invalid_argument("random stream position out of range");
  }
  check_step(world.header().step, finished);
  for (std::size_t i = 0; i < spec_.world_fields.size(); ++i) {
    const WorldField& field = spec_.world_fields[i];
    const std::int32_t value = world.value(WorldValue<std::int32_t>{i});
    if (value < field.low || value > field.high) {
      throw std::invalid_argument(field.name + " = " + std::to_string(value) + " is out of range");
    }
  }
  for (std::size_t a = 0; a < world.agents().size(); ++a) check_agent(world, a);
  check(world, finished);
}

void Game::check_entries(const Layout& layout) const {
  const auto agents = static_cast<std::size_t>(spec_.shape.num_agents);
  const auto check_count = [&](const std::string& field, std::size_t count, bool may_be_empty) {
    if (count != agents && !(may_be_empty && count == 0)) {
      throw LayoutError(field + " has " + std::to_string(count) + " entries for " +
                        std::to_string(agents) + " agents");
    }
  };
  const auto refuse = [&](const std::string& field) {
    throw LayoutError(printable(field) + " has no meaning in " + spec_.name);
  };
  check_count("agent_pos", layout.agent_pos.size(), false);
  check_count("agent_dir", layout.agent_dir.size(), false);
  check_count("agent_active", layout.agent_active.size(), true);
  for (const auto& entry : layout.agent_fields) {
    const std::string& name = entry.first;
    const Value::List& values = entry.second;
    check_count("agent_" + printable(name), values.size(), true);
    const bool known =
        std::any_of(spec_.agent_fields.begin(), spec_.agent_fields.end(),
                    [&](const AgentField& field) { return field.shown && field.name == name; });
    const bool says_nothing = std::all_of(values.begin(), values.end(), [](const Value& value) {
      const auto* number = std::get_if<double>(&value.data);
      return value.is_none() || (number != nullptr && *number == 0);
    });
    if (!known && !says_nothing) refuse("agent_" + name);
  }
  if (!spec_.has_details && !layout.details.empty()) refuse("details");
}

void Game::check_step(int step, bool finished) const {
  const int last = spec_.max_steps - (finished ? 0 : 1);
  if (step >= 0 && step <= last) return;
  throw std::invalid_argument("step = " + std::to_string(step) +
                              " is out of range; allowed: 0 to " + std::to_string(last));
}

void Game::check_pose(std::size_t agent, Position position, int dir, bool may_wait) const {
  const auto [rows, cols] = std::pair{spec_.shape.rows, spec_.shape.cols};
  const bool inside =
      position.row >= 0 && position.col >= 0 && position.row < rows && position.col < cols;
  if (!inside && !(may_wait && spec_.agents_wait && position == Position{})) {
    throw std::invalid_argument(who(agent) + " at " + place_text(position.row, position.col) +
                                " is outside the " + std::to_string(rows) + " x " +
                                std::to_string(cols) + " grid");
  }
  if (!spec_.agents_turn && dir != 0) {
    throw std::invalid_argument(who(agent) + ": direction " + std::to_string(dir) + "; in " +
                                spec_.name + " agents do not turn and it is always 0");
  }
  if (dir < 0 || dir > 3) {
    throw std::invalid_argument(who(agent) + ": direction " + std::to_string(dir) +
                                " is not one of 0 right, 1 down, 2 left, 3 up");
  }
}

void Game::read_agent(World& next, const Layout& layout, std::size_t a) const {
  const Position position{layout.agent_pos[a].first, layout.agent_pos[a].second};
  const bool active = layout.agent_active.empty() || layout.agent_active[a];
  check_pose(a, position, layout.agent_dir[a], !active);
  Agent& agent = next.agents()[a];
  agent.row = static_cast<std::int16_t>(position.row);
  agent.col = static_cast<std::int16_t>(position.col);
  agent.dir = static_cast<std::uint8_t>(layout.agent_dir[a]);
  agent.status = active                   ? AgentStatus::kActive
                 : position == Position{} ? AgentStatus::kWaiting
                                          : AgentStatus::kEnded;
  for (std::size_t i = 0; i < spec_.agent_fields.size(); ++i) {
    const AgentField& field = spec_.agent_fields[i];
    const auto given = layout.agent_fields.find(field.name);
    if (!field.shown || given == layout.agent_fields.end() || given->second.empty()) continue;
    const Value& value = given->second[a];
    const double number = read(field, value);
    if (std::isnan(number)) throw LayoutError(who(a) + refusal(field, value));
    set_field(next, field, i, a, number);
  }
}

void Game::check_agent(const World& world, std::size_t a) const {
  const auto require = [&](bool holds, const std::string& what) {
    if (!holds) throw std::invalid_argument(who(a) + ": " + what);
  };
  const Agent& agent = world.agents()[a];
  require(agent.status <= AgentStatus::kEnded && agent.status != AgentStatus::kLeaving,
          "its status is unknown");
  check_pose(a, agent.position(), agent.dir, !agent.shown());
  require(agent.last_action >= -1 && agent.last_action < spec_.action_counts[a],
          "its last action is unknown");
  for (std::size_t i = 0; i < spec_.agent_fields.size(); ++i) {
    const AgentField& field = spec_.agent_fields[i];
    const double value = stored(world, field, i, a);
    require(field.holds(value), field.name + " = " + to_string(Value(value)) + " is impossible");
  }
}

}  // namespace socialgrid
