#include "players/kinds.hpp"

#include <cmath>
#include <stdexcept>

namespace socialgrid::players {
namespace {

class Random final : public Mind {
 public:
  explicit Random(Role role) : Mind(std::move(role), {}) {}

  void act(const Call& call, std::int32_t* actions) const override {
    constexpr std::uint64_t kPurpose = 16;
    const Draws drawn = draws(call, kPurpose);
    const auto count = static_cast<std::uint64_t>(role().num_actions);
    play(call, actions,
         [&](const Seen& seen, int) { return as_choice(drawn.word(global(seen.env)), count); });
  }
};

struct Kind {
  const char* name;
  std::unique_ptr<const Mind> (*make)(Role, const Numbers&);
};
constexpr Kind kKinds[] = {
    {"cycle-expert", cycle_expert},
    {"trial-and-error", trial_and_error},
    {"goal-expert", goal_expert},
    {"door-key-expert", door_key_expert},
    {"gatherer", gatherer},
    {"sustainable-gatherer", sustainable_gatherer},
    {"box-opener", box_opener},
    {"exit-finder", exit_finder},
    {"cleaner", cleaner},
    {"room-expert", room_expert},
    {"room-adversary", room_adversary},
    {"random", random_mind},
};

}  // namespace

double Numbers::of(const std::string& name) const {
  const auto found = values_.find(name);
  if (found == values_.end()) throw std::invalid_argument("a player's '" + name + "' is missing");
  return found->second;
}

int Numbers::integer(const std::string& name, int low, int high) const {
  const double value = of(name);
  if (!(value >= low && value <= high) || value != std::floor(value)) {
    throw std::invalid_argument("a player's '" + name + "' must be a whole number in [" +
                                std::to_string(low) + ", " + std::to_string(high) + "]");
  }
  return static_cast<int>(value);
}

std::unique_ptr<const Mind> random_mind(Role role, const Numbers&) {
  return std::make_unique<Random>(std::move(role));
}

std::unique_ptr<const Mind> make_mind(const std::string& kind, Role role, const Numbers& numbers) {
  for (const Kind& one : kKinds) {
    if (kind == one.name) return one.make(std::move(role), numbers);
  }
  throw std::invalid_argument("there is no kind of player '" + kind + "'");
}

}  // namespace socialgrid::players
