#include "players/mind.hpp"

#include <algorithm>
#include <stdexcept>

namespace socialgrid::players {

Mind::Mind(Role role, std::vector<Column> columns, std::size_t slots)
    : role_(std::move(role)), columns_(std::move(columns)), slots_(slots) {
  if (columns_.size() > Memory::kMaxColumns) throw std::logic_error("too many columns");
  if (role_.agent >= role_.num_agents) throw std::invalid_argument("no such agent");
}

void Mind::refuse(const std::string& why) const {
  throw std::invalid_argument("this player was made for " + why);
}

void Mind::check(const BatchEnv& batch) const {
  if (batch.num_envs() != role_.num_envs) {
    refuse(std::to_string(role_.num_envs) + " environments, not " +
           std::to_string(batch.num_envs()));
  }
  if (batch.spec().name != role_.game) refuse(role_.game + ", not " + batch.spec().name);
  if (batch.num_agents() != role_.num_agents) {
    refuse(std::to_string(role_.num_agents) + " agents, not " + std::to_string(batch.num_agents()));
  }
}

Field<std::int32_t> Mind::field(const BatchEnv& batch, const std::string& name) const {
  const std::vector<AgentField>& fields = batch.spec().agent_fields;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (fields[i].name == name && fields[i].type != FieldType::kNumber) return {i};
  }
  refuse("agents with " + name + ", which " + batch.spec().name + " does not have");
}

WorldValue<std::int32_t> Mind::value(const BatchEnv& batch, const std::string& name) const {
  const std::vector<WorldField>& fields = batch.spec().world_fields;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (fields[i].name == name) return {i};
  }
  refuse("worlds with " + name + ", which " + batch.spec().name + " does not have");
}

void Mind::observe(const Call& call, const float*, const std::uint8_t* done) const {
  take_in(call, done, [](std::size_t, bool) {});
}

void Mind::forget(const Memory& memory, std::size_t env) const {
  memory.known[env] = 0;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    const Column& column = columns_[i];
    const std::size_t width = column.width(memory.slots);
    switch (column.type) {
      case ColumnType::kBool:
        std::fill_n(memory.flags(i) + env * width, width,
                    static_cast<std::uint8_t>(column.fallback));
        break;
      case ColumnType::kInt32:
        std::fill_n(memory.integers(i) + env * width, width,
                    static_cast<std::int32_t>(column.fallback));
        break;
      case ColumnType::kInt64:
        std::fill_n(memory.longs(i) + env * width, width, column.fallback);
        break;
    }
  }
}

std::int32_t Mind::past_others(const Memory& memory, std::size_t env, const Agent& agent,
                               std::int32_t chosen, std::uint64_t whether,
                               std::uint64_t side) const {
  // Two that want past each other would stand there for ever, so each of them now and then takes a
  // turn and a step aside.
  const bool known = memory.known[env] != 0;
  const bool stuck =
      known && memory.action[env] == kForward && agent.position() == memory.position(env);
  const bool turns = stuck && as_unit(whether) < 0.5;
  const bool aside = memory.aside[env] != 0;
  memory.aside[env] = turns ? 1 : 0;
  if (turns) return kLeft + as_choice(side, 2);
  return aside && known ? kForward : chosen;
}

}  // namespace socialgrid::players
