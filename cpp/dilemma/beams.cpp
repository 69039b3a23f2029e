#include "dilemma/beams.hpp"

#include <algorithm>
#include <array>

#include "dilemma/dilemma_tile.hpp"

namespace socialgrid {
namespace {

class Shooter {
 public:
  Shooter(World& world, const Crowd& crowd, const BeamRules& rules, std::span<std::uint8_t> events)
      : world_(world),
        cells_(world.cells()),
        beams_(world.plane(kBeamPlane)),
        crowd_(crowd),
        rules_(rules),
        events_(events) {}

  void shoot(std::size_t agent, std::uint8_t beam) {
    const Agent& self = world_.agents()[agent];
    const int right = (self.dir + 1) % 4;
    const Position ahead{self.row + kRowStep[self.dir], self.col + kColStep[self.dir]};
    if (beam == dilemma::kFireBeam) count(agent, rules_.shots_event);
    ray(agent, ahead, beam);
    ray(agent, {self.row + kRowStep[right], self.col + kColStep[right]}, beam);
    ray(agent, {self.row - kRowStep[right], self.col - kColStep[right]}, beam);
  }

 private:
  void ray(std::size_t shooter, Position at, std::uint8_t beam) {
    if (!world_.contains(at)) return;
    const int dir = world_.agents()[shooter].dir;
    const int to_edge[4] = {world_.cols() - at.col, world_.rows() - at.row, at.col + 1, at.row + 1};
    const int step = kRowStep[dir] * world_.cols() + kColStep[dir];
    int cell = static_cast<int>(world_.index(at));
    for (int left = std::min(kBeamLength, to_edge[dir]); left > 0; --left, cell += step) {
      const auto here = static_cast<std::size_t>(cell);
      Tile& tile = cells_[here];
      if (dilemma::is_solid(tile)) return;
      beams_[here] = beam;
      world_.value(kBeamsShown) = 1;
      bool ends = false;
      if (beam == dilemma::kCleanBeam && tile == dilemma::kWaste) {
        tile = dilemma::kRiver;
        count(shooter, rules_.cleaned_event);
        ends = true;
      }
      if (const int other = crowd_.agent_at(here); other != Crowd::kNobody) {
        if (beam == dilemma::kFireBeam) count(static_cast<std::size_t>(other), rules_.hits_event);
        ends = true;
      }
      if (ends) return;
    }
  }

  void count(std::size_t agent, int event) {
    ++events_[agent * static_cast<std::size_t>(rules_.num_events) +
              static_cast<std::size_t>(event)];
  }

  World& world_;
  std::span<Tile> cells_;
  std::span<std::uint8_t> beams_;
  const Crowd& crowd_;
  const BeamRules& rules_;
  std::span<std::uint8_t> events_;
};

}  // namespace

void declare_beams(GameSpec& spec) {
  spec.add_value({.name = "beams", .high = 1});
  spec.shape.add_plane();
}

void clear_beams(World& world) {
  if (!has_beams(world)) return;
  const std::span<std::uint8_t> beams = world.plane(kBeamPlane);
  std::fill(beams.begin(), beams.end(), std::uint8_t{0});
  world.value(kBeamsShown) = 0;
}

void shoot(World& world, std::span<const std::int32_t> actions, const Crowd& crowd,
           const BeamRules& rules, std::span<std::uint8_t> events, Rng& rng) {
  std::array<std::uint8_t, kMaxAgents> order;
  std::size_t count = 0;
  for (std::size_t i = 0; i < actions.size(); ++i) {
    const bool shoots = actions[i] == rules.fire_action || actions[i] == rules.clean_action;
    if (shoots && world.agents()[i].active()) order[count++] = static_cast<std::uint8_t>(i);
  }
  if (count == 0) return;
  if (count > 1) rng.shuffle(std::span(order.data(), count));
  Shooter shooter(world, crowd, rules, events);
  for (std::size_t k = 0; k < count; ++k) {
    const bool fires = actions[order[k]] == rules.fire_action;
    shooter.shoot(order[k], fires ? dilemma::kFireBeam : dilemma::kCleanBeam);
  }
}

}  // namespace socialgrid
