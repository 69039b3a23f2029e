#include "dilemma/moves.hpp"

#include <array>

#include "core/game.hpp"
#include "dilemma/dilemma_tile.hpp"

namespace socialgrid {
namespace {

// An agent's wish to go to another cell. Without initialisers, so that an array of many costs
// nothing.
struct Move {
  std::uint16_t agent;
  std::uint16_t from;
  std::uint16_t to;
  bool stays;
};

}  // namespace

void move_all(World& world, std::span<const std::int32_t> actions, Crowd& crowd, Rng& rng) {
  constexpr int kQuarterTurns[4] = {3, 1, 0, 2};  // of left, right, up, down from the heading
  constexpr std::uint16_t kNoMove = 0xffff;
  const std::span<Agent> agents = world.agents();
  std::array<Move, kMaxAgents> moves;
  std::array<std::uint16_t, kMaxAgents> move_of;  // each agent's place in `moves`
  std::size_t count = 0;
  for (std::size_t i = 0; i < agents.size(); ++i) {
    Agent& agent = agents[i];
    move_of[i] = kNoMove;
    if (!agent.active()) continue;
    switch (static_cast<MoveAction>(actions[i])) {
      case MoveAction::kTurnClockwise:
        agent.dir = (agent.dir + 1) % 4;
        continue;
      case MoveAction::kTurnCounterclockwise:
        agent.dir = (agent.dir + 3) % 4;
        continue;
      case MoveAction::kLeft:
      case MoveAction::kRight:
      case MoveAction::kUp:
      case MoveAction::kDown:
        break;
      default:
        continue;
    }
    const int dir = (agent.dir + kQuarterTurns[actions[i]]) % 4;
    const Position target{agent.row + kRowStep[dir], agent.col + kColStep[dir]};
    if (!world.contains(target) || dilemma::is_solid(world.at(target))) continue;
    move_of[i] = static_cast<std::uint16_t>(count);
    moves[count++] = {.agent = static_cast<std::uint16_t>(i),
                      .from = static_cast<std::uint16_t>(world.index(agent.position())),
                      .to = static_cast<std::uint16_t>(world.index(target)),
                      .stays = false};
  }

  // One cell, several agents: one of them may go.
  for (std::size_t i = 0; i < count; ++i) {
    if (moves[i].stays) continue;
    std::array<std::uint16_t, kMaxAgents> contenders;
    std::uint32_t wanting = 0;
    for (std::size_t j = i; j < count; ++j) {
      if (!moves[j].stays && moves[j].to == moves[i].to) {
        contenders[wanting++] = static_cast<std::uint16_t>(j);
      }
    }
    if (wanting < 2) continue;
    const std::uint16_t winner = contenders[rng.uniform_int(wanting)];
    for (std::uint32_t k = 0; k < wanting; ++k)
      moves[contenders[k]].stays = contenders[k] != winner;
    // The winner's turn may come again as a later i; it then contends alone.
  }

  for (bool changed = true; changed;) {
    changed = false;
    for (std::size_t i = 0; i < count; ++i) {
      Move& move = moves[i];
      if (move.stays) continue;
      const int other = crowd.agent_at(move.to);
      if (other == Crowd::kNobody) continue;
      const std::uint16_t its_move = move_of[static_cast<std::size_t>(other)];
      if (its_move == kNoMove || moves[its_move].stays || moves[its_move].to == move.from) {
        move.stays = true;
        changed = true;
      }
    }
  }

  for (std::size_t i = 0; i < count; ++i) {
    if (!moves[i].stays) crowd.leave(moves[i].from);
  }
  for (std::size_t i = 0; i < count; ++i) {
    if (moves[i].stays) continue;
    crowd.enter(moves[i].to, moves[i].agent);
    Agent& agent = agents[moves[i].agent];
    agent.row = static_cast<std::int16_t>(moves[i].to / world.cols());
    agent.col = static_cast<std::int16_t>(moves[i].to % world.cols());
  }
}

}  // namespace socialgrid
