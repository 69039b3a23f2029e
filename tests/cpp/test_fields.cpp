// Checks of what games declare of their agents, on the game of forage.cpp.
#include <cstring>
#include <functional>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "check.hpp"
#include "core/batch.hpp"
#include "grid/grid_state.hpp"

using namespace socialgrid;  // NOLINT(google-build-using-namespace)
using socialgrid::testing::contains;

namespace {

constexpr std::int32_t kRight = 1, kStay = 4;
constexpr Field<std::int32_t> kEnergy{0};

// One world of a game, stepped by hand.
struct Table {
  explicit Table(const std::string& name, const Values& values)
      : game(make_game(name, values)), block(game->spec().shape.bytes()) {
    world().construct();
    Rng rng(world().header().stream);
    World fresh = world();
    game->reset(fresh, rng);
  }

  World world() { return {game->spec().shape, block.data()}; }
  void step(std::vector<std::int32_t> actions) {
    std::vector<float> rewards(actions.size());
    std::vector<std::uint8_t> events(actions.size() * game->spec().event_names.size());
    World next = world();
    Rng rng(next.header().stream);
    game->step(next, actions, {rewards, events}, rng);
  }
  // What is said of a layout that was changed; the world stays as it was.
  std::string refusal(const std::function<void(Layout&)>& change) {
    Layout layout = game->layout(world());
    change(layout);
    const std::vector<std::byte> before = block;
    World here = world();
    try {
      game->apply_layout(here, layout, false);
    } catch (const LayoutError& error) {
      CHECK(block == before);
      return error.what();
    }
    return "";
  }

  std::shared_ptr<const Game> game;
  std::vector<std::byte> block;
};

void a_declared_field_is_played_shown_and_set() {
  Table table(
      "Forage-v0",
      {{"energy", 3}, {"map", Value::List{"@@@@@@@", "@P    @", "@@@@@@@"}}, {"num_agents", 1}});
  CHECK(table.world().field(kEnergy)[0] == 3);
  Layout layout = table.game->layout(table.world());
  CHECK(layout.agent_fields.size() == 1);
  CHECK(std::get<std::int64_t>(layout.agent_fields.at("energy")[0].data) == 3);
  layout.agent_pos = {{1, 1}};
  layout.agent_dir = {3};
  layout.agent_fields["energy"] = {1};
  World world = table.world();
  table.game->apply_layout(world, layout, false);
  table.step({kRight});
  CHECK(table.world().field(kEnergy)[0] == 0);
  CHECK((table.world().agents()[0].position() == Position{1, 2}));
  table.step({kRight});
  CHECK((table.world().agents()[0].position() == Position{1, 2}));  // no energy left
  table.step({kStay});
  table.game->validate(table.world(), false);
}

void what_a_layout_leaves_out_is_as_an_episode_begins() {
  Table table("Forage-v0", {{"energy", 5}});
  Layout layout = table.game->layout(table.world());
  table.world().field(kEnergy)[1] = 2;
  layout.agent_fields.clear();
  World world = table.world();
  table.game->apply_layout(world, layout, false);
  CHECK(table.world().field(kEnergy)[1] == 5);
}

void layouts_with_wrong_fields_are_refused() {
  Table table("Forage-v0", {{"energy", 5}});
  const auto with = [](const std::string& name, Value::List values) {
    return [name, values](Layout& layout) { layout.agent_fields[name] = values; };
  };
  CHECK(table.refusal(with("energy", {5, 0})).empty());
  CHECK(table.refusal(with("energy", {5, 6})) ==
        "agent 1: energy = 6 is out of range; allowed: 0 to 5");
  CHECK(contains(table.refusal(with("energy", {-1, 0})), "agent 0: energy = -1"));
  CHECK(contains(table.refusal(with("energy", {Value(), 0})), "agent 0: energy = None"));
  CHECK(contains(table.refusal(with("energy", {0.5, 0})), "agent 0: energy = 0.5"));
  CHECK(contains(table.refusal(with("energy", {"much", 0})), "agent 0: energy = 'much'"));
  CHECK(table.refusal(with("energy", {5})) == "agent_energy has 1 entries for 2 agents");
  CHECK(table.refusal(with("enrgy", {5, 5})) == "agent_enrgy has no meaning in Forage-v0");
  CHECK(table.refusal(with("prestige", {0.0, 0.0})).empty());  // says nothing
}

void worlds_with_impossible_fields_are_refused() {
  const auto error = [](Table& table) -> std::string {
    try {
      table.game->validate(table.world(), false);
    } catch (const std::invalid_argument& refused) {
      return refused.what();
    }
    return "";
  };
  Table forage("Forage-v0", {{"energy", 5}});
  CHECK(error(forage).empty());
  forage.world().field(kEnergy)[0] = 6;
  CHECK(error(forage) == "agent 0: energy = 6 is impossible");
  Table grid("GoalCycle-v0", {});
  CHECK(error(grid).empty());
  for (const double wrong :
       {-1.0, std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()}) {
    grid.world().field(kPrestige)[1] = wrong;
    CHECK(contains(error(grid), "agent 1: prestige"));
  }
  grid.world().field(kPrestige)[1] = 1.0;
  grid.world().field(kCarrying)[1] = 13;  // a key, in a game without
  CHECK(contains(error(grid), "agent 1: carrying"));
  grid.world().field(kCarrying)[1] = 0;
  grid.world().value(kSpawnCols) = 14;
  CHECK(contains(error(grid), "spawn_cols = 14"));
}

void values_lie_apart_and_are_aligned() {
  WorldShape shape(3, 5, 3);
  shape.add_field(4);
  shape.add_field(8);
  shape.add_value();
  shape.add_field(4);
  shape.add_plane();
  std::vector<std::byte> block(shape.bytes());
  World world(shape, block.data());
  world.construct();
  const auto fill = [](auto values, auto value) {
    for (auto& one : values) one = value;
  };
  fill(world.field(Field<std::int32_t>{0}), 1);
  fill(world.field(Field<double>{1}), 2.0);
  fill(world.field(Field<std::int32_t>{2}), 3);
  world.value(WorldValue<std::int32_t>{0}) = 4;
  fill(world.cells(), Tile{5});
  fill(world.plane(0), std::uint8_t{6});
  CHECK(world.agents()[2].last_action == -1);
  CHECK(world.field(Field<std::int32_t>{0})[2] == 1);
  CHECK(world.field(Field<double>{1})[0] == 2.0 && world.field(Field<double>{1})[2] == 2.0);
  CHECK(world.field(Field<std::int32_t>{2})[0] == 3);
  CHECK(world.value(WorldValue<std::int32_t>{0}) == 4);
  CHECK(world.cells().size() == 15 && world.cells()[14] == 5 && world.plane(0)[0] == 6);
  CHECK(world.plane(0).data() + 15 + 16 <=
        reinterpret_cast<std::uint8_t*>(block.data() + block.size()));
  CHECK(reinterpret_cast<std::uintptr_t>(world.field(Field<double>{1}).data()) % 8 == 0);
}

}  // namespace

int main() {
  a_declared_field_is_played_shown_and_set();
  what_a_layout_leaves_out_is_as_an_episode_begins();
  layouts_with_wrong_fields_are_refused();
  worlds_with_impossible_fields_are_refused();
  values_lie_apart_and_are_aligned();
  return socialgrid::testing::outcome();
}
