#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "core/batch.hpp"
#include "core/thread_pool.hpp"
#include "forged.hpp"
#include "stress/faulty_game.hpp"
#include "stress/player.hpp"
#include "stress/random_config.hpp"
#include "stress/scenarios.hpp"

namespace socialgrid::stress {
namespace {

// ---- what can happen between steps ----

void refuse_wrong_actions(const Player& player, std::vector<std::int32_t> actions, Dice& dice) {
  // Where an environment waits, any action will do, or none.
  const std::size_t wrong = dice.below(actions.size());
  for (std::size_t e = 0; e < player.batch.num_envs(); ++e) {
    if (player.batch.is_finished(e)) return;
  }
  actions[wrong] = dice.chance(0.5) ? -1 : 1 << dice.between(8, 30);
  check_throws<ActionError>([&] { player.batch.check_actions(actions); },
                            "an action out of range was accepted");
}

void refuse_damaged_snapshots(Player& player, Dice& dice) {
  const std::vector<std::byte> sound = player.batch.snapshot();
  std::vector<std::byte> damaged = sound;
  if (dice.chance(0.5)) {
    damaged.resize(dice.below(sound.size()));
  } else {
    damaged[dice.below(damaged.size())] ^= std::byte(1 << dice.between(0, 7));
  }
  check_throws<SnapshotError>([&] { player.batch.restore(damaged); },
                              "a damaged snapshot was accepted");
  check(player.batch.snapshot() == sound, "a refused snapshot changed the batch");
  ++counts.damaged;
}

// A forged snapshot is refused, or describes worlds that can be played without harm.
void survive_forged_snapshot(Player& player, Dice& dice) {
  const std::vector<std::byte> sound = player.batch.snapshot();
  std::vector<std::byte> forged = sound;
  const std::size_t worlds = player.batch.num_envs() * player.batch.state_bytes_per_env();
  for (int flips = dice.between(1, 4); flips > 0; --flips) {
    forged[forged.size() - 8 - 1 - dice.below(worlds)] ^= std::byte(1 << dice.between(0, 7));
  }
  testing::sign(forged);
  try {
    player.batch.restore(forged);
    std::optional<Scripted> guest = random_guest(player.batch, dice);
    for (int i = 0; i < 4; ++i) {
      if (guest) guest->act(player.batch);
      player.step(random_actions(player.batch, dice));
      if (guest) player.tell(*guest);
    }
  } catch (const SnapshotError&) {
    check(player.batch.snapshot() == sound, "a refused snapshot changed the batch");
  } catch (const EnvStepError&) {
    ++counts.stopped;
  }
  player.batch.restore(sound);
  ++counts.forged;
}

void move_layout(Player& a, Player& b, Dice& dice) {
  const std::size_t from = dice.below(a.batch.num_envs()), to = dice.below(a.batch.num_envs());
  Layout layout = a.batch.layout(from);
  if (dice.chance(0.2)) {
    auto& line = layout.cells[dice.below(layout.cells.size())];
    line[dice.below(line.size())] = ".#GL0DK? AHRSsO"[dice.below(15)];
  }
  if (dice.chance(0.2)) {
    layout.agent_pos[dice.below(layout.agent_pos.size())] = {dice.between(-2, 25),
                                                             dice.between(-2, 25)};
  }
  const std::vector<std::byte> before = a.batch.snapshot();
  bool fits = true;
  try {
    a.batch.set_layout(to, layout);
  } catch (const LayoutError&) {
    fits = false;
    check(a.batch.snapshot() == before, "a refused layout changed the batch");
  }
  if (fits) {
    b.batch.set_layout(to, layout);
  } else {
    check_throws<LayoutError>([&] { b.batch.set_layout(to, layout); },
                              "a layout was refused by one batch only");
  }
  ++counts.layouts;
}

void throw_in_workers(FaultyGame& game, Player& player, Dice& dice) {
  const std::vector<std::byte> before = player.batch.snapshot();
  int playing = 0;  // rules do not act where an environment waits
  for (std::size_t e = 0; e < player.batch.num_envs(); ++e) {
    playing += player.batch.is_finished(e) ? 0 : 1;
  }
  if (playing == 0) return;
  game.arm(dice.between(1, playing), dice.chance(0.7));
  bool thrown = false;
  try {
    player.step(random_actions(player.batch, dice));
  } catch (const EnvStepError&) {
    thrown = true;
  } catch (int) {
    thrown = true;
  }
  game.disarm();
  check(thrown, "an exception of a rule was lost");
  check(player.batch.snapshot() == before, "a failed step changed the batch");
  ++counts.faults;
}

}  // namespace

void play(Dice& dice) {
  const GameEntry& entry = dice.pick(games());
  std::shared_ptr<FaultyGame> game;
  ObsMode mode{};
  const auto autoreset = static_cast<Autoreset>(dice.between(0, 2));
  std::optional<Player> a, b;
  // Small batches are stepped by one thread, whatever their number of threads.
  const bool large = dice.chance(0.5);
  auto num_envs = static_cast<std::size_t>(dice.between(1, 40));
  const std::uint64_t seed = dice.below(1u << 31), first = dice.below(1u << 31);
  constexpr int kThreads[] = {1, 2, 3, 8};
  try {
    game = std::make_shared<FaultyGame>(make_game(entry.name, random_config(entry, dice)));
    mode = dice.pick(game->obs_modes());
    // So many agents are worth waking a second thread for, and more.
    const int agents = mode == ObsMode::kVector ? 5200 : 1300;
    if (large) num_envs += static_cast<std::size_t>(agents / game->spec().shape.num_agents);
    a.emplace(game, num_envs, dice.pick(kThreads), seed, first, mode, autoreset);
    b.emplace(game, num_envs, dice.pick(kThreads), seed, first, mode, autoreset);
  } catch (const ConfigError&) {
    ++counts.refused;
    return;
  }

  // A rule may refuse an episode it cannot place; then both batches must stop, unchanged.
  const auto both = [&](auto act) {
    const std::vector<std::byte> before = a->batch.snapshot();
    bool stopped = false;
    try {
      act(*a);
    } catch (const EnvStepError&) {
      stopped = true;
    }
    if (stopped) {
      check_throws<EnvStepError>([&] { act(*b); }, "only one of two equal batches failed");
      check(a->batch.snapshot() == before, "a failed call changed the batch");
      ++counts.stopped;
    } else {
      act(*b);
    }
    check(a->batch.snapshot() == b->batch.snapshot(), "states depend on the number of threads");
    return !stopped;
  };
  const auto reset = [&](const std::vector<std::uint8_t>& mask) {
    std::vector<std::uint64_t> seeds;
    for (std::size_t e = 0; e < num_envs; ++e) seeds.push_back(dice.below(1u << 20));
    const int kind = dice.between(0, 2);
    return both([&](Player& player) {
      const ObserveBuffers out = player.observe_buffers();
      if (kind == 0) player.batch.reset(out, mask);
      if (kind == 1) player.batch.reset(seed + 1, out, mask);
      if (kind == 2) player.batch.reset(seeds, out, mask);
    });
  };

  // Those that have finished, and some more.
  const auto restart = [&] {
    std::vector<std::uint8_t> mask;
    for (std::size_t e = 0; e < num_envs; ++e) {
      mask.push_back(a->batch.is_finished(e) || dice.chance(0.02) ? 1 : 0);
    }
    return reset(mask);
  };

  if (!reset({})) return;
  std::optional<Scripted> guest = random_guest(a->batch, dice), twin;
  if (guest) {
    twin = guest->newcomer(b->batch);
  }
  const int num_steps = dice.between(1, large ? 20 : 120);
  for (int i = 0; i < num_steps; ++i) {
    if ((autoreset == Autoreset::kDisabled || dice.chance(0.02)) && !restart()) return;
    auto actions = random_actions(a->batch, dice);
    if (guest) {
      const std::vector<std::int32_t> chosen = guest->act(a->batch);
      check(chosen == twin->act(b->batch), "choices depend on the number of threads");
      for (std::size_t e = 0; e < num_envs; ++e) {
        actions[e * a->batch.num_agents() + guest->agent()] = chosen[e];
      }
      counts.choices += num_envs;
    }
    a->batch.check_actions(actions);
    const bool in_background = dice.chance(0.1);
    const bool stepped = both([&](Player& player) {
      if (!in_background) return player.step(actions);
      BackgroundTask task;
      task.start([&] { player.step(actions); });
      while (!task.wait(1)) continue;
      task.collect();
    });
    if (!stepped) return;
    counts.steps += 2 * num_envs;
    check(a->same_results(*b), "results depend on the number of threads");
    a->check_endings();
    if (guest) {
      a->tell(*guest);
      b->tell(*twin);
    }

    if (dice.chance(0.02)) refuse_wrong_actions(*a, actions, dice);
    if (dice.chance(0.02)) refuse_damaged_snapshots(*a, dice);
    if (dice.chance(0.02)) {
      survive_forged_snapshot(*a, dice);
      if (guest) {  // its worlds are others now, though they look the same
        guest->begin();
        twin->begin();
      }
    }
    if (dice.chance(0.02)) move_layout(*a, *b, dice);
    if (dice.chance(0.04)) throw_in_workers(*game, *a, dice);
    if (dice.chance(0.01)) a->batch.render(dice.below(num_envs), dice.between(1, 12));
    if (dice.chance(0.02)) {
      b.emplace(game, num_envs, dice.pick(kThreads), seed, first, mode, autoreset);
      b->batch.restore(a->batch.snapshot());
      if (guest) {
        twin = guest->newcomer(b->batch);
        twin->remember(*guest);
      }
      ++counts.snapshots;
    }
    if (dice.chance(0.01) && !reset({})) return;
    both([](Player& player) { player.batch.observe(player.observe_buffers()); });
  }
}

}  // namespace socialgrid::stress
