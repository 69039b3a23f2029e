// Harvest (Hughes et al. 2018; Jaques et al. 2019): apples that come back only where apples are
// left, and a beam to fine others with.
#include "dilemma/dilemma_game.hpp"
#include "dilemma/growth.hpp"

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

class Harvest final : public DilemmaGame {
 public:
  explicit Harvest(const Config& config)
      : DilemmaGame(config, {.legend = {{'A', dilemma::kApple, {dilemma::kGround}}},
                             .more_actions = {"fire"},
                             .event_names = {"apples", "shots", "hits"}}),
        growth_(spec().shape.rows, spec().shape.cols, cells_marked("A"), probabilities(config),
                neighbourhood(config)),
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
  static std::array<double, 4> probabilities(const Config& config) {
    const std::vector<double> given = config.numbers("apple_spawn_probabilities");
    if (given.size() != 4) {
      config.fail("apple_spawn_probabilities",
                  "has " + std::to_string(given.size()) +
                      " entries; give four: with 0, 1, 2, and 3 or more apples near");
    }
    return {given[0], given[1], given[2], given[3]};
  }

  static Neighbourhood neighbourhood(const Config& config) {
    return config.text("neighbourhood") == "paper" ? Neighbourhood::kPaper : Neighbourhood::kPublic;
  }

  AppleRegrowth growth_;
  Fines fines_;
};

}  // namespace

GameEntry harvest_game() {
  using enum OptionType;
  using enum OptionShape;
  std::vector<Option> options = dilemma_options(
      {.map = kMap,
       .map_help = "one string a row of @ wall, A apple place, P where agents start, space"});
  for (Option& option : fine_options()) options.push_back(std::move(option));
  options.push_back({"apple_spawn_probabilities",
                     kNumber,
                     kList,
                     Value::List{0.0, 0.005, 0.02, 0.05},
                     0,
                     1,
                     {},
                     "chance a step that an apple comes back with 0, 1, 2, 3 or more apples near"});
  options.push_back({"neighbourhood",
                     kText,
                     kSingle,
                     "public",
                     0,
                     0,
                     {"public", "paper"},
                     "what is near: public: the 3x3 block; paper: dx^2 + dy^2 <= 4"});
  return {"Harvest-v0", std::move(options),
          [](const Config& config) { return std::make_shared<const Harvest>(config); }};
}

}  // namespace socialgrid
