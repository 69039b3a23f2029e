// Cleanup (Hughes et al. 2018; Jaques et al. 2019): apples grow only while somebody cleans the
// river.
#include "dilemma/dilemma_game.hpp"
#include "dilemma/growth.hpp"

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

class Cleanup final : public DilemmaGame {
 public:
  explicit Cleanup(const Config& config)
      : DilemmaGame(config, {.legend = {{'B', kGround, {kApple}},
                                        {'H', kWaste, {kRiver}},
                                        {'R', kRiver, {kWaste}},
                                        {'S', kStream, {}}},
                             .more_actions = {"fire", "clean"},
                             .event_names = {"apples", "cleaned", "shots", "hits"}}),
        growth_(spec().shape.num_cells(), cells_marked("B"), cells_marked("HR"), rules(config)),
        fines_(read_fines(config)) {
    check_room();
  }

  void reset(World& world, Rng& rng) const override {
    place_all(world, rng);
    growth_.grow(world, rng);
  }

  void step(World& world, std::span<const std::int32_t> actions, const Outcome& outcome,
            Rng& rng) const override {
    Crowd crowd(world);
    begin_step(world, actions, outcome);
    move_all(world, actions, crowd, rng);
    eat_apples(world, kApples, outcome);
    shoot(world, actions, crowd, kBeams, outcome.events, rng);
    pay(kApples, kBeams, fines_, outcome);
    growth_.grow(world, rng);
  }

 private:
  static RiverGrowth::Rules rules(const Config& config) {
    const RiverGrowth::Rules rules = {
        .apple_probability = config.number("apple_spawn_probability"),
        .waste_probability = config.number("waste_spawn_probability"),
        .depletion_threshold = config.number("depletion_threshold"),
        .restoration_threshold = config.number("restoration_threshold")};
    if (rules.restoration_threshold >= rules.depletion_threshold) {
      config.fail("restoration_threshold", "= " + to_string(rules.restoration_threshold) +
                                               " must be below depletion_threshold = " +
                                               to_string(rules.depletion_threshold));
    }
    return rules;
  }

  RiverGrowth growth_;
  Fines fines_;
};

}  // namespace

GameEntry cleanup_game() {
  using enum OptionType;
  using enum OptionShape;
  std::vector<Option> options =
      dilemma_options({.map = kMap,
                       .map_help = "one string a row of @ wall, B apple place, H waste, R river, "
                                   "S stream, P where agents start, space"});
  for (Option& option : fine_options()) options.push_back(std::move(option));
  options.push_back({"apple_spawn_probability",
                     kNumber,
                     kSingle,
                     0.05,
                     0,
                     1,
                     {},
                     "chance a step that an apple grows, while the river is clean"});
  options.push_back({"waste_spawn_probability",
                     kNumber,
                     kSingle,
                     0.5,
                     0,
                     1,
                     {},
                     "chance of each clean cell, tried in random order until one succeeds"});
  options.push_back({"depletion_threshold",
                     kNumber,
                     kSingle,
                     0.4,
                     0,
                     1,
                     {},
                     "share of waste from which nothing grows"});
  options.push_back({"restoration_threshold",
                     kNumber,
                     kSingle,
                     0.0,
                     0,
                     1,
                     {},
                     "share of waste up to which apples grow at full rate"});
  return {"Cleanup-v0", std::move(options),
          [](const Config& config) { return std::make_shared<const Cleanup>(config); }};
}

}  // namespace socialgrid
