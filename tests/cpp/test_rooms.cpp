// Checks of the rooms: where things are, what steps do, what the agent is told.
#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "check.hpp"
#include "core/batch.hpp"
#include "rooms/room_game.hpp"

using namespace socialgrid;  // NOLINT(google-build-using-namespace)
using socialgrid::testing::contains;
using socialgrid::testing::message_of;

namespace {

constexpr std::int32_t kDown = 0, kUp = 1, kRight = 2, kLeft = 3;

// One environment and the results of its last step.
struct Room {
  explicit Room(const std::string& game, const Values& options = {},
                ObsMode mode = ObsMode::kVector)
      : batch(make_game(game, options), 1, 1, 3, 0, mode),
        obs(batch.observer().bytes_per_agent()),
        final_obs(obs.size()) {
    reset();
  }

  void reset() { batch.reset({obs.data(), &active, &visible, &last_action}); }
  void step(std::int32_t action) {
    batch.step(std::array{action}, {obs.data(), &reward, &terminated, &truncated, &done,
                                    final_obs.data(), &active, &visible, &last_action});
  }
  // Puts the goal and the agent somewhere.
  void arrange(Position goal, std::pair<int, int> agent) {
    Layout layout = batch.layout(0);
    for (std::string& line : layout.cells) line.assign(line.size(), '.');
    layout.cells[static_cast<std::size_t>(goal.row)][static_cast<std::size_t>(goal.col)] = 'G';
    layout.agent_pos = {agent};
    batch.set_layout(0, layout);
  }
  std::pair<int, int> place() const { return batch.layout(0).agent_pos.front(); }
  std::vector<float> numbers(const std::vector<std::byte>& from) const {
    std::vector<float> out(from.size() / sizeof(float));
    std::memcpy(out.data(), from.data(), from.size());
    return out;
  }

  BatchEnv batch;
  std::vector<std::byte> obs, final_obs;
  float reward = 0;
  std::uint8_t terminated = 0, truncated = 0, done = 0, active = 0, visible = 9;
  std::int32_t last_action = 0;
};

void walls_stop_the_agent_and_only_the_goal_pays() {
  Room room("Room-v0", {{"length", 4}});
  CHECK((room.place() == std::pair{2, 2}));
  room.arrange({3, 1}, {3, 2});
  room.step(kDown);
  CHECK((room.place() == std::pair{3, 2} && room.reward == -0.001f));
  room.step(kLeft);
  CHECK((room.place() == std::pair{3, 1} && room.reward == 1.0f));
  room.step(kDown);  // presses against the wall
  CHECK((room.place() == std::pair{3, 1} && room.reward == 1.0f));
  CHECK(room.terminated == 0 && room.done == 0 && room.active == 1 && room.visible == 0);
  room.step(kLeft);
  room.step(kUp);
  room.step(kLeft);
  CHECK((room.place() == std::pair{2, 0} && room.last_action == kLeft));
  room.step(kRight);
  CHECK((room.place() == std::pair{2, 1} && room.reward == -0.001f));
}

void a_hallway_has_only_the_sideways_actions() {
  Room hallway("Hallway-v0", {{"length", 6}});
  CHECK((hallway.place() == std::pair{0, 1}));
  CHECK(hallway.batch.spec().action_counts == std::vector<int>{2});
  hallway.arrange({0, 5}, {0, 4});
  hallway.step(0);
  CHECK((hallway.place() == std::pair{0, 5} && hallway.reward == 1.0f));
  hallway.step(0);
  CHECK(hallway.reward == 1.0f);
  hallway.step(1);
  CHECK((hallway.place() == std::pair{0, 4} && hallway.reward == -0.001f));
  CHECK((hallway.numbers(hallway.obs) == std::vector<float>{4.0f / 5.0f, 1.0f}));
}

void numbers_are_shares_of_the_way_across() {
  Room room("Room-v0", {{"length", 8}});
  room.arrange({0, 3}, {6, 1});
  room.step(kRight);
  CHECK((room.numbers(room.obs) == std::vector<float>{6.0f / 7.0f, 2.0f / 7.0f, 0, 3.0f / 7.0f}));
}

void episodes_end_by_time_and_at_the_goal_only_if_asked() {
  Room timed("Room-v0", {{"length", 5}, {"max_steps", 2}});
  timed.arrange({2, 4}, {2, 2});
  timed.step(kRight);
  timed.step(kRight);
  CHECK(timed.truncated == 1 && timed.terminated == 0 && timed.done == 1 && timed.reward == 1.0f);
  CHECK((timed.numbers(timed.final_obs) == std::vector<float>{0.5f, 1, 0.5f, 1}));
  CHECK((timed.place() == std::pair{2, 2} && timed.last_action == -1));

  Room brief("Room-v0", {{"length", 5}, {"terminate_on_goal", true}});
  brief.arrange({2, 4}, {2, 3});
  brief.step(kRight);
  CHECK(brief.terminated == 1 && brief.truncated == 0 && brief.done == 1 && brief.reward == 1.0f);
  CHECK((brief.numbers(brief.final_obs) == std::vector<float>{0.5f, 1, 0.5f, 1}));
  CHECK((brief.place() == std::pair{2, 2} && brief.active == 1));
}

void goals_lie_at_walls_everywhere_but_in_the_last_corners() {
  Room room("Room-v0", {{"length", 4}});
  std::set<std::pair<float, float>> goals;
  for (int i = 0; i < 500; ++i, room.reset()) {
    const std::vector<float> numbers = room.numbers(room.obs);
    goals.emplace(numbers[2] * 3, numbers[3] * 3);
    CHECK((room.place() == std::pair{2, 2}));
  }
  // A coordinate that is not set to an end is never the last one: the corner (3, 3) is out.
  CHECK(goals.size() == 11 && !goals.contains({3.0f, 3.0f}));

  Room hallway("Hallway-v0");
  std::set<float> ends;
  for (int i = 0; i < 50; ++i, hallway.reset()) ends.insert(hallway.numbers(hallway.obs)[1]);
  CHECK((ends == std::set<float>{0.0f, 1.0f}));
}

void tiles_number_what_the_pictures_show() {
  Room room("Room-v0", {{"length", 3}, {"tile_size", 1}}, ObsMode::kTiles);
  const TilePictures pictures = room.batch.observer().tile_pictures();
  std::set<int> different;
  for (auto at = pictures.pixels.begin(); at != pictures.pixels.end(); at += 3) {
    different.insert(at[0] << 16 | at[1] << 8 | at[2]);
  }
  CHECK(pictures.count == 4 && different.size() == 4);
  const auto seen = [&](std::pair<int, int> agent) {
    room.arrange({1, 2}, agent);
    room.batch.observe({room.obs.data(), &room.active, &room.visible, &room.last_action});
    return room.obs;
  };
  const auto codes = [](std::array<int, 9> numbers) {
    std::vector<std::byte> out;
    for (const int number : numbers) out.push_back(std::byte(number));
    return out;
  };
  CHECK(seen({0, 0}) == codes({2, 0, 0, 0, 0, 1, 0, 0, 0}));
  CHECK(seen({1, 2}) == codes({0, 0, 0, 0, 0, 3, 0, 0, 0}));
  // One pixel a cell: rendering is the same codes through the pictures.
  const std::vector<std::uint8_t> image = room.batch.render(0, 1);
  for (std::size_t cell = 0; cell < 9; ++cell) {
    const auto code = static_cast<std::size_t>(room.obs[cell]);
    CHECK(std::memcmp(&image[3 * cell], &pictures.pixels[3 * code], 3) == 0);
  }
}

void only_rooms_are_seen_as_numbers() {
  const auto refused = [](const char* game) {
    return message_of<ConfigError>(
        [&] { BatchEnv(make_game(game, {}), 1, 1, 0, 0, ObsMode::kVector); });
  };
  for (const char* game : {"GoalCycle-v0", "Harvest-v0"}) {
    CHECK(contains(refused(game), "'rgb', 'tiles'"));
    CHECK(make_game(game, {})->obs_modes().front() == ObsMode::kRgb);
  }
  CHECK(refused("Hallway-v0").empty());
  CHECK(make_game("Room-v0", {})->obs_modes().front() == ObsMode::kVector);
}

void a_room_takes_little_memory_and_tells_its_cells_all_the_same() {
  Room room("Room-v0", {{"length", 255}});
  CHECK(room.batch.state_bytes_per_env() <= 80);
  std::vector<std::uint8_t> glyphs(255 * 255);
  room.arrange({254, 7}, {0, 0});
  room.batch.write_glyphs(0, glyphs.data());
  CHECK(std::count(glyphs.begin(), glyphs.end(), '.') == 255 * 255 - 1);
  CHECK(glyphs[254 * 255 + 7] == 'G');
}

void impossible_worlds_are_refused() {
  const auto game = make_game("Room-v0", {{"length", 5}});
  std::vector<std::byte> block(game->spec().shape.bytes());
  World world(game->spec().shape, block.data());
  const auto error = [&](const std::function<void()>& change) {
    world.construct();
    Rng rng(world.header().stream);
    game->reset(world, rng);
    CHECK(message_of<std::invalid_argument>([&] { game->validate(world, false); }).empty());
    change();
    return message_of<std::invalid_argument>([&] { game->validate(world, false); });
  };
  Agent& agent = world.agents().front();
  WorldHeader& header = world.header();
  CHECK(contains(error([&] { world.value(kGoalRow) = world.value(kGoalCol) = 2; }), "(2, 2)"));
  CHECK(contains(error([&] { world.value(kGoalCol) = 5; }), "goal"));
  CHECK(contains(error([&] { header.step = 100; }), "step = 100"));
  CHECK(contains(error([&] { agent.row = 5; }), "outside"));
  CHECK(contains(error([&] { agent.col = -1; }), "outside"));
  CHECK(contains(error([&] { agent.dir = 1; }), "do not turn"));
  CHECK(contains(error([&] { agent.last_action = 4; }), "action"));
  CHECK(contains(error([&] { agent.status = AgentStatus::kEnded; }), "out of play"));
  CHECK(contains(error([&] { header.stream.used = ~std::uint64_t{0}; }), "stream"));
}

}  // namespace

int main() {
  walls_stop_the_agent_and_only_the_goal_pays();
  a_hallway_has_only_the_sideways_actions();
  numbers_are_shares_of_the_way_across();
  episodes_end_by_time_and_at_the_goal_only_if_asked();
  goals_lie_at_walls_everywhere_but_in_the_last_corners();
  tiles_number_what_the_pictures_show();
  only_rooms_are_seen_as_numbers();
  a_room_takes_little_memory_and_tells_its_cells_all_the_same();
  impossible_worlds_are_refused();
  return socialgrid::testing::outcome();
}
