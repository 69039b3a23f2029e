// Harvest (Hughes et al. 2018; Jaques et al. 2019): apples that come back only where apples are
// left, and a beam to fine others with.
#include "games/apple_game.hpp"

namespace socialgrid {
namespace {

const std::vector<std::string> kMap = {
    "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@", "@ P   P      A    P AAAAA    P  A P  @",
    "@  P     A P AA    P    AAA    A  A  @", "@     A AAA  AAA    A    A AA AAAA   @",
    "@ A  AAA A    A  A AAA  A  A   A A   @", "@AAA  A A    A  AAA A  AAA        A P@",
    "@ A A  AAA  AAA  A A    A AA   AA AA @", "@  A A  AAA    A A  AAA    AAA  A    @",
    "@   AAA  A      AAA  A    AAAA       @", "@ P  A       A  A AAA    A  A      P @",
    "@A  AAA  A  A  AAA A    AAAA     P   @", "@    A A   AAA  A A      A AA   A  P @",
    "@     AAA   A A  AAA      AA   AAA P @", "@ A    A     AAA  A  P          A    @",
    "@       P     A         P  P P     P @", "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@",
};

enum Event { kApples, kShots, kHits, kNumEvents };
constexpr BeamRules kBeams = {.fire_action = kNumMoveActions,
                              .shots_event = kShots,
                              .hits_event = kHits,
                              .num_events = kNumEvents};

std::array<double, 4> probabilities(const Config& config) {
  const std::vector<double> given = config.numbers("apple_spawn_probabilities");
  if (given.size() != 4) {
    config.fail("apple_spawn_probabilities",
                "has " + std::to_string(given.size()) +
                    " entries; give four: with 0, 1, 2, and 3 or more apples near");
  }
  return {given[0], given[1], given[2], given[3]};
}

Neighbourhood neighbourhood(const Config& config) {
  return config.text("neighbourhood") == "paper" ? Neighbourhood::kPaper : Neighbourhood::kPublic;
}

}  // namespace

GameEntry harvest_game() {
  std::vector<Option> options = option::joined(
      {dilemma_options(
           {.map = kMap,
            .map_help = "one string a row of @ wall, A apple place, P where agents start, space"}),
       fine_options(),
       {option::number("apple_spawn_probabilities", Value::List{0.0, 0.005, 0.02, 0.05}, {0, 1},
                       "chance a step that an apple comes back with 0, 1, 2, 3 or more apples near")
            .list(),
        option::choice("neighbourhood", "public", {"public", "paper"},
                       "what is near: public: the 3x3 block; paper: dx^2 + dy^2 <= 4")}});
  return {"Harvest-v0", std::move(options), [](const Config& config) {
            using Harvest = AppleGame<AppleRegrowth>;
            return std::make_shared<const Harvest>(
                config,
                Harvest::Setup{.legend = {{'A', dilemma::kApple, {dilemma::kGround}}},
                               .more_actions = {"fire"},
                               .event_names = {"apples", "shots", "hits"}},
                kApples, kBeams, [](const Harvest& game, const Config& config) {
                  return AppleRegrowth(game.spec().shape.rows, game.spec().shape.cols,
                                       game.cells_marked("A"), probabilities(config),
                                       neighbourhood(config));
                });
          }};
}

}  // namespace socialgrid
