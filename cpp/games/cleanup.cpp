// Cleanup (Hughes et al. 2018; Jaques et al. 2019): apples grow only while somebody cleans the
// river.
#include "games/apple_game.hpp"

namespace socialgrid {
namespace {

using dilemma::kApple;
using dilemma::kGround;
using dilemma::kRiver;
using dilemma::kStream;
using dilemma::kWaste;

const std::vector<std::string> kMap = {
    "@@@@@@@@@@@@@@@@@@", "@RRRRRR     BBBBB@", "@HHHHHH      BBBB@", "@RRRRRR     BBBBB@",
    "@RRRRR  P    BBBB@", "@RRRRR    P BBBBB@", "@HHHHH       BBBB@", "@RRRRR      BBBBB@",
    "@HHHHHHSSSSSSBBBB@", "@HHHHHHSSSSSSBBBB@", "@RRRRR   P P BBBB@", "@HHHHH   P  BBBBB@",
    "@RRRRRR    P BBBB@", "@HHHHHH P   BBBBB@", "@RRRRR       BBBB@", "@HHHH    P  BBBBB@",
    "@RRRRR       BBBB@", "@HHHHH  P P BBBBB@", "@RRRRR       BBBB@", "@HHHH       BBBBB@",
    "@RRRRR       BBBB@", "@HHHHH      BBBBB@", "@RRRRR       BBBB@", "@HHHH       BBBBB@",
    "@@@@@@@@@@@@@@@@@@",
};

enum Event { kApples, kCleaned, kShots, kHits, kNumEvents };
constexpr BeamRules kBeams = {.fire_action = kNumMoveActions,
                              .clean_action = kNumMoveActions + 1,
                              .shots_event = kShots,
                              .hits_event = kHits,
                              .cleaned_event = kCleaned,
                              .num_events = kNumEvents};

RiverGrowth::Rules growth_rules(const Config& config) {
  const RiverGrowth::Rules rules = {
      .apple_probability = config.number("apple_spawn_probability"),
      .waste_probability = config.number("waste_spawn_probability"),
      .depletion_threshold = config.number("depletion_threshold"),
      .restoration_threshold = config.number("restoration_threshold")};
  if (rules.restoration_threshold >= rules.depletion_threshold) {
    config.fail("restoration_threshold",
                "= " + to_string(rules.restoration_threshold) +
                    " must be below depletion_threshold = " + to_string(rules.depletion_threshold));
  }
  return rules;
}

}  // namespace

GameEntry cleanup_game() {
  std::vector<Option> options = option::joined(
      {dilemma_options({.map = kMap,
                        .map_help = "one string a row of @ wall, B apple place, H waste, R river, "
                                    "S stream, P where agents start, space"}),
       fine_options(),
       {option::number("apple_spawn_probability", 0.05, {0, 1},
                       "chance a step that an apple grows, while the river is clean"),
        option::number("waste_spawn_probability", 0.5, {0, 1},
                       "chance of each clean cell, tried in random order until one succeeds"),
        option::number("depletion_threshold", 0.4, {0, 1},
                       "share of waste from which nothing grows"),
        option::number("restoration_threshold", 0.0, {0, 1},
                       "share of waste up to which apples grow at full rate")}});
  return {"Cleanup-v0", std::move(options), [](const Config& config) {
            using Cleanup = AppleGame<RiverGrowth>;
            return std::make_shared<const Cleanup>(
                config,
                Cleanup::Setup{.legend = {{'B', kGround, {kApple}},
                                          {'H', kWaste, {kRiver}},
                                          {'R', kRiver, {kWaste}},
                                          {'S', kStream, {}}},
                               .more_actions = {"fire", "clean"},
                               .event_names = {"apples", "cleaned", "shots", "hits"}},
                kApples, kBeams, [](const Cleanup& game, const Config& config) {
                  return RiverGrowth(game.spec().shape.num_cells(), game.cells_marked("B"),
                                     game.cells_marked("HR"), growth_rules(config));
                });
          }};
}

}  // namespace socialgrid
