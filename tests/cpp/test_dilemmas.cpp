// Checks of the social dilemmas' passes on small worlds drawn as text.
#include <algorithm>
#include <array>
#include <cstring>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "check.hpp"
#include "core/batch.hpp"
#include "dilemma/beams.hpp"
#include "dilemma/cell_bits.hpp"
#include "dilemma/dilemma_tile.hpp"
#include "dilemma/growth.hpp"
#include "dilemma/moves.hpp"
#include "stage.hpp"

using namespace socialgrid;           // NOLINT(google-build-using-namespace)
using namespace socialgrid::testing;  // NOLINT(google-build-using-namespace)

namespace {

void steps_are_relative_to_the_heading() {
  // From the middle of a 3 x 3 field, (action, heading) to where the agent ends.
  const Picture ends = {" 0 ", "3 1", " 2 "};  // relative direction up, right, down, left
  for (int dir = 0; dir < 4; ++dir) {
    for (const std::int32_t action : {kLeft, kRight, kUp, kDown}) {
      Stage stage({"   ", " a ", "   "});
      stage.agent('a').dir = static_cast<std::uint8_t>(dir);
      stage.move({action});
      const int turns = action == kUp ? 0 : action == kRight ? 1 : action == kDown ? 2 : 3;
      const int went = (dir + 1 + turns) % 4;  // 0 up, 1 right, 2 down, 3 left
      const Agent& agent = stage.agent('a');
      CHECK(ends[static_cast<std::size_t>(agent.row)][static_cast<std::size_t>(agent.col)] ==
            static_cast<char>('0' + went));
      CHECK(agent.dir == dir);
    }
  }
  Stage stage({"a"});
  stage.move({kClockwise});
  CHECK(stage.agent('a').dir == 0);
  stage.move({kClockwise + 1});
  CHECK(stage.agent('a').dir == 3);
  stage.move({kStay});
  CHECK(stage.drawn() == Picture{"a"});
}

void walls_and_the_edge_stop_moves() {
  Stage stage({"a@", " b"});
  stage.move({kUp, kUp});
  CHECK((stage.drawn() == Picture{"a@", " b"}));
  stage.move({kRight, kRight});
  CHECK((stage.drawn() == Picture{"a@", " b"}));
}

void a_chain_moves_and_a_blocked_chain_stays() {
  Stage stage({"abc "});
  stage.move({kRight, kRight, kRight});
  CHECK(stage.drawn() == Picture{" abc"});
  stage.move({kRight, kRight, kRight});  // the edge stops the first, so all
  CHECK(stage.drawn() == Picture{" abc"});
  stage.move({kRight, kStay, kStay});
  CHECK(stage.drawn() == Picture{" abc"});
  CHECK(stage.words_used() == 0);  // nothing was left to chance
}

void two_never_change_places_but_four_go_round() {
  Stage pair({"ab "});
  pair.move({kRight, kLeft});
  CHECK(pair.drawn() == Picture{"ab "});
  Stage ring({"ab", "dc"});
  ring.move({kRight, kDown, kLeft, kUp});
  CHECK((ring.drawn() == Picture{"da", "cb"}));
  // Who follows one of a pair that would change places stays too.
  Stage tail({"cab "});
  tail.move({kRight, kLeft, kRight});
  CHECK(tail.drawn() == Picture{"cab "});
}

void a_wanted_cell_goes_to_one_uniformly() {
  std::array<int, 3> won{};
  Stage stage({" c ", "a b"});
  constexpr int kTrials = 6000;
  for (int trial = 0; trial < kTrials; ++trial) {
    Stage fresh({" c ", "a b"});
    fresh.agent('c').dir = 1;  // it looks at the cell below
    World world = fresh.world();
    Crowd crowd(world);
    const std::array<std::int32_t, 3> actions = {kRight, kLeft, kUp};
    move_all(world, actions, crowd, stage.rng());
    const int winner = crowd.agent_at(world.index({1, 1}));
    if (winner >= 0) ++won[static_cast<std::size_t>(winner)];
  }
  double chi_squared = 0;
  for (const int count : won) {
    chi_squared += (count - kTrials / 3.0) * (count - kTrials / 3.0) / (kTrials / 3.0);
  }
  CHECK(chi_squared < 13.8);  // 99.9% of 2 degrees of freedom
  CHECK(won[0] + won[1] + won[2] == kTrials);
}

void a_cell_whose_occupant_stays_is_not_entered_though_drawn_for() {
  Stage stage({"acb"});
  stage.move({kRight, kLeft, kStay});
  CHECK(stage.drawn() == Picture{"acb"});
  CHECK(stage.words_used() == 1);
}

void rays_start_ahead_and_beside_and_are_five_long() {
  Stage up(
      {"       ", "       ", "       ", "       ", "       ", "       ", "   a   ", "       "});
  up.shoot({kFire});
  CHECK((up.beams() == Picture{".......", "...f...", "..fff..", "..fff..", "..fff..", "..fff..",
                               "..f.f..", "......."}));
  Stage right({"         ", " a       ", "         "});
  right.agent('a').dir = 0;
  right.shoot({kClean});
  CHECK((right.beams() == Picture{".ccccc...", "..ccccc..", ".ccccc..."}));
  right.shoot({kStay});
  CHECK((right.beams() == Picture{".........", ".........", "........."}));
}

void rays_end_at_walls_and_agents() {
  Stage stage({"     ", "  b  ", "@    ", "     ", " a@  "});
  const auto events = stage.shoot({kFire, kStay});
  // The left ray misses everything; that on the right starts in a wall; b is not ahead.
  CHECK((stage.beams() == Picture{".f...", ".f...", ".f...", "ff...", "f...."}));
  CHECK((events == std::vector<std::uint8_t>{1, 0, 0, 0, 0, 0}));
  Stage hit({" c ", "   ", " b ", "   ", "dae"});
  const auto hits = hit.shoot({kFire, kStay, kStay, kStay, kStay});
  // Neighbours on both sides are hit in their own cells, b is covered and shields c.
  CHECK((hit.beams() == Picture{"...", "...", ".f.", ".f.", "f.f"}));
  CHECK((hits == std::vector<std::uint8_t>{1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0}));
}

void cleaning_turns_the_first_waste_of_each_ray_into_river() {
  Stage stage({"HHH", "HHH", "  H", " a "});
  const auto events = stage.shoot({kClean});
  CHECK((stage.drawn() == Picture{"HHH", "RRH", "  R", " a "}));
  CHECK((stage.beams() == Picture{"...", "cc.", "ccc", "c.c"}));
  CHECK((events == std::vector<std::uint8_t>{0, 0, 3}));
  // Under an agent too; the agent is not harmed.
  Stage under({"H", "b", "a"});
  under.world().at({1, 0}) = dilemma::kWaste;
  const auto harmless = under.shoot({kClean, kStay});
  CHECK(under.world().at({1, 0}) == dilemma::kRiver);
  CHECK(under.world().at({0, 0}) == dilemma::kWaste);
  CHECK((harmless == std::vector<std::uint8_t>{0, 0, 1, 0, 0, 0}));
}

void who_shoots_first_is_random() {
  // Both clean the same cell; the first gets it.
  std::array<int, 2> cleaned{};
  Stage dice({"a"});
  for (int trial = 0; trial < 2000; ++trial) {
    Stage stage({" H ", "a b"});
    stage.agent('a').dir = 0;
    stage.agent('b').dir = 2;
    stage.world().at({1, 1}) = dilemma::kWaste;
    stage.world().at({0, 1}) = dilemma::kGround;
    World world = stage.world();
    std::array<std::uint8_t, 6> events{};
    constexpr BeamRules kRules = {.clean_action = kClean, .cleaned_event = 2, .num_events = 3};
    const std::array<std::int32_t, 2> actions = {kClean, kClean};
    shoot(world, actions, Crowd(world), kRules, events, dice.rng());
    CHECK(events[2] + events[5] == 1);
    ++cleaned[events[2] == 1 ? 0 : 1];
  }
  CHECK(std::abs(cleaned[0] - cleaned[1]) < 148);  // 99.9%
}

void sets_of_cells_agree_with_the_cells() {
  StreamState state{.seed = 9};
  Rng rng(state);
  for (const std::size_t size : {1, 7, 63, 64, 65, 608, 1000}) {
    std::vector<Tile> cells(size);
    for (Tile& cell : cells) cell = static_cast<Tile>(rng.uniform_int(4));
    const CellBits bits(cells, 2);
    std::vector<std::size_t> expected, listed;
    for (std::size_t i = 0; i < size; ++i) {
      if (cells[i] == 2) expected.push_back(i);
      CHECK(bits.contains(i) == (cells[i] == 2));
    }
    bits.for_each([&](std::size_t cell) { listed.push_back(cell); });
    CHECK(listed == expected);
    CHECK(bits.size() == expected.size());
    for (std::size_t k = 0; k < expected.size(); ++k) CHECK(bits.nth(k) == expected[k]);
  }
}

// Which empty cells have `near` apples around them, cell by cell; 3 stands for 3 and more.
std::set<std::size_t> cells_with_apples_near(const World& world, int near, int reach) {
  std::set<std::size_t> found;
  for (int row = 0; row < world.rows(); ++row) {
    for (int col = 0; col < world.cols(); ++col) {
      if (world.at({row, col}) == dilemma::kApple) continue;
      int count = 0;
      for (int r = row - 2; r <= row + 2; ++r) {
        for (int c = col - 2; c <= col + 2; ++c) {
          const int distance = (r - row) * (r - row) + (c - col) * (c - col);
          if (distance <= reach && world.contains({r, c}) && world.at({r, c}) == dilemma::kApple) {
            ++count;
          }
        }
      }
      if (std::min(count, 3) == near) found.insert(world.index({row, col}));
    }
  }
  return found;
}

void apples_come_back_by_the_apples_near() {
  StreamState state{.seed = 4};
  Rng rng(state);
  constexpr std::tuple<int, int> kSizes[] = {{1, 1}, {3, 5}, {16, 38}, {2, 130}, {40, 3}, {7, 64}};
  for (const auto& [rows, cols] : kSizes) {
    for (const Neighbourhood neighbourhood : {Neighbourhood::kPublic, Neighbourhood::kPaper}) {
      for (int near = 0; near <= 3; ++near) {
        Picture picture(static_cast<std::size_t>(rows),
                        std::string(static_cast<std::size_t>(cols), ' '));
        for (std::string& line : picture) {
          for (char& c : line) c = rng.uniform_int(4) == 0 ? 'A' : ' ';
        }
        picture[0][0] = 'a';  // an agent on an apple place
        Stage stage(picture);
        World world = stage.world();
        std::vector<std::uint16_t> places;
        for (std::size_t i = 0; i < world.cells().size(); ++i) {
          places.push_back(static_cast<std::uint16_t>(i));
        }
        std::array<double, 4> chances{};
        chances[static_cast<std::size_t>(near)] = 1.0;
        std::set<std::size_t> expected =
            cells_with_apples_near(world, near, neighbourhood == Neighbourhood::kPublic ? 2 : 4);
        expected.erase(0);
        std::vector<Tile> before(world.cells().begin(), world.cells().end());
        AppleRegrowth(rows, cols, places, chances, neighbourhood).grow(world, stage.rng());
        std::set<std::size_t> grown;
        for (std::size_t i = 0; i < before.size(); ++i) {
          if (world.cells()[i] != before[i]) grown.insert(i);
        }
        CHECK(grown == expected);
        CHECK(stage.words_used() == expected.size());  // impossible cells draw nothing
      }
    }
  }
}

void the_river_stops_growth_when_it_is_full_of_waste() {
  const Picture clean = {"RRRRR", "     "};
  const std::vector<std::uint16_t> river = {0, 1, 2, 3, 4}, apples = {5, 6, 7, 8, 9};
  const RiverGrowth growth(10, apples, river, {.apple_probability = 1.0, .waste_probability = 1.0});
  Stage stage(clean);
  World world = stage.world();
  growth.grow(world, stage.rng());
  CHECK(stage.drawn()[1] == "AAAAA");
  CHECK(std::count(world.cells().begin(), world.cells().end(), dilemma::kWaste) == 1);
  growth.grow(world, stage.rng());
  CHECK(std::count(world.cells().begin(), world.cells().end(), dilemma::kWaste) == 2);
  const std::uint64_t used = stage.words_used();
  world.at({1, 2}) = dilemma::kGround;
  growth.grow(world, stage.rng());  // 2 of 5 is the depletion threshold
  CHECK(stage.drawn()[1] == "AA AA");
  CHECK(stage.words_used() == used);

  // Nothing grows under agents.
  Stage crowded({"abcde", "fghij"});
  for (int col = 0; col < 5; ++col) crowded.world().at({0, col}) = dilemma::kRiver;
  World full = crowded.world();
  growth.grow(full, crowded.rng());
  CHECK(std::count(full.cells().begin(), full.cells().end(), dilemma::kApple) == 0);
  CHECK(std::count(full.cells().begin(), full.cells().end(), dilemma::kWaste) == 0);
  CHECK(crowded.words_used() == 0);
}

void agents_look_different() {
  const std::vector<Rgb> colors = dilemma::agent_colors(255);
  std::set<std::tuple<int, int, int>> seen;
  for (const Rgb color : colors) seen.insert({color.r, color.g, color.b});
  CHECK(seen.size() == 255);
  for (std::size_t i = 9; i < colors.size(); ++i) {
    for (const dilemma::TileTraits& tile : dilemma::kTileTraits) CHECK(!(colors[i] == tile.color));
    for (const Rgb beam : dilemma::kBeamColors) CHECK(!(colors[i] == beam));
  }
  const std::vector<Rgb> few = dilemma::agent_colors(12);
  CHECK(std::equal(few.begin(), few.end(), colors.begin()));
}

// One environment of Harvest with agents where the picture has them and nothing growing.
struct Scene {
  explicit Scene(const std::string& rotation)
      : batch(make_game("Harvest-v0",
                        {{"map", Value::List{"A    ", " PPP ", "     "}},
                         {"num_agents", 2},
                         {"view_size", 3},
                         {"view_rotation", rotation},
                         {"apple_spawn_probabilities", Value::List{0.0, 0.0, 0.0, 0.0}}}),
              1, 1, 0, 0, ObsMode::kTiles) {
    batch.reset(buffers());
  }

  ObserveBuffers buffers() {
    return {obs.data(), active.data(), visible.data(), last_actions.data()};
  }

  std::array<int, 9> view_facing(int dir) {
    Layout layout = batch.layout(0);
    layout.cells = {"A    ", "     ", "     "};
    layout.agent_pos = {{1, 1}, {1, 2}};
    layout.agent_dir = {dir, 0};
    batch.set_layout(0, layout);
    batch.observe(buffers());
    std::array<int, 9> view{};
    for (std::size_t i = 0; i < 9; ++i) view[i] = std::to_integer<int>(obs[i]);
    return view;
  }

  BatchEnv batch;
  std::array<std::byte, 18> obs{};
  std::array<std::uint8_t, 2> active{};
  std::array<std::uint8_t, 4> visible{};
  std::array<std::int32_t, 2> last_actions{};
};

void views_turn_with_the_agent() {
  constexpr int kSelf = 13, kOther = 14, kApple = dilemma::kApple;
  using View = std::array<int, 9>;
  Scene scene("egocentric");
  CHECK((scene.view_facing(3) == View{kApple, 0, 0, 0, kSelf, kOther, 0, 0, 0}));
  CHECK((scene.view_facing(0) == View{0, kOther, 0, 0, kSelf, 0, kApple, 0, 0}));
  CHECK((scene.view_facing(1) == View{0, 0, 0, kOther, kSelf, 0, 0, 0, kApple}));
  CHECK((scene.view_facing(2) == View{0, 0, kApple, 0, kSelf, 0, 0, kOther, 0}));
  CHECK(scene.visible[1] == 1 && scene.visible[0] == 0);
  Scene turned("public");
  CHECK(turned.view_facing(3) == scene.view_facing(3));
  CHECK(turned.view_facing(1) == scene.view_facing(1));
  CHECK(turned.view_facing(0) == scene.view_facing(2));
  CHECK(turned.view_facing(2) == scene.view_facing(0));
}

void bytes_that_are_no_text_are_no_part_of_a_row() {
  Scene scene("public");
  Layout layout = scene.batch.layout(0);
  for (const char* stray : {"\x8d", "\xbf\x80", "\xc3"}) {
    for (const std::size_t place : {0u, 3u, 5u}) {
      Layout other = layout;
      other.cells[1].insert(place, stray);
      bool refused = false;
      try {
        scene.batch.set_layout(0, other);
      } catch (const LayoutError&) {
        refused = true;
      }
      CHECK(refused);
    }
  }
  CHECK(scene.batch.layout(0).cells == layout.cells);
}

}  // namespace

int main() {
  steps_are_relative_to_the_heading();
  walls_and_the_edge_stop_moves();
  a_chain_moves_and_a_blocked_chain_stays();
  two_never_change_places_but_four_go_round();
  a_wanted_cell_goes_to_one_uniformly();
  a_cell_whose_occupant_stays_is_not_entered_though_drawn_for();
  rays_start_ahead_and_beside_and_are_five_long();
  rays_end_at_walls_and_agents();
  cleaning_turns_the_first_waste_of_each_ray_into_river();
  who_shoots_first_is_random();
  sets_of_cells_agree_with_the_cells();
  apples_come_back_by_the_apples_near();
  the_river_stops_growth_when_it_is_full_of_waste();
  agents_look_different();
  views_turn_with_the_agent();
  bytes_that_are_no_text_are_no_part_of_a_row();
  return socialgrid::testing::outcome();
}
