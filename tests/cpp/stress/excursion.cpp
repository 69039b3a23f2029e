#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "core/batch.hpp"
#include "core/excursion.hpp"
#include "core/thread_pool.hpp"
#include "stress/player.hpp"
#include "stress/random_config.hpp"
#include "stress/scenarios.hpp"

namespace socialgrid::stress {

void go_on_an_excursion(Dice& dice) {
  const GameEntry& entry = dice.pick(games());
  const auto num_envs = static_cast<std::size_t>(dice.between(1, 60));
  const std::uint64_t seed = dice.below(1u << 31);
  std::optional<Player> a, b;
  try {
    const std::shared_ptr<const Game> game = make_game(entry.name, random_config(entry, dice));
    const ObsMode mode = dice.pick(game->obs_modes());
    a.emplace(game, num_envs, 1, seed, 0, mode, Autoreset::kSameStep);
    b.emplace(game, num_envs, 1, seed, 0, mode, Autoreset::kSameStep);
    for (Player* one : {&*a, &*b}) one->batch.reset(one->observe_buffers(), {});
  } catch (const ConfigError&) {
    ++counts.refused;
    return;
  } catch (const EnvStepError&) {
    ++counts.stopped;
    return;
  }
  std::optional<Scripted> guest = random_guest(a->batch, dice), twin;
  if (guest) twin = guest->newcomer(b->batch);
  ThreadPool pool(dice.between(1, 4));
  for (int trip = 0; trip < 4; ++trip) {
    const std::vector<std::byte> before = a->batch.snapshot();
    std::optional<Scripted> kept;
    if (guest) {
      kept = guest->newcomer(a->batch);
      kept->remember(*guest);
    }
    std::vector<std::vector<std::int32_t>> actions;
    for (int t = dice.between(1, 20); t > 0; --t) actions.push_back(random_actions(a->batch, dice));
    const bool fails = dice.chance(0.3);
    if (fails) a->batch.inject_failure(dice.below(num_envs));
    bool failed = false;
    try {
      Excursion excursion(a->batch);
      const auto share = static_cast<std::size_t>(dice.between(1, 20));
      std::vector<std::int32_t> chosen;
      if (guest) chosen = guest->act(a->batch);
      pool.parallel_for(num_envs, share, [&](std::size_t begin, std::size_t end, int) {
        Excursion::Range range(excursion, begin, end);
        for (std::size_t t = 0; t < actions.size(); ++t) {
          if (guest && t > 0) guest->act(a->batch, {begin, end}, t, chosen.data());
          for (std::size_t e = begin; guest && e < end; ++e) {
            actions[t][e * a->batch.num_agents() + guest->agent()] = chosen[e];
          }
          range.step(actions[t].data(), a->buffers());
          if (guest) a->tell(*guest, {begin, end}, t);
        }
      });
      if (guest) guest->play_on(actions.size() - 1);
      excursion.stay();
    } catch (const EnvStepError&) {
      failed = true;
    }
    if (failed) {
      check(a->batch.snapshot() == before, "a failed excursion changed the batch");
      ++counts.faults;
      if (guest) {  // whose worlds have been put back, and whose memory has to be
        b->batch.restore(before);
        guest->remember(*kept);
        twin->remember(*kept);
      }
      continue;
    }
    check(!fails, "an injected failure was lost");
    for (const auto& chosen : actions) {
      const std::vector<std::int32_t> apart = guest ? twin->act(b->batch) : chosen;
      for (std::size_t e = 0; guest && e < num_envs; ++e) {
        check(apart[e] == chosen[e * b->batch.num_agents() + guest->agent()],
              "an excursion has other choices");
      }
      b->step(chosen);
      if (guest) b->tell(*twin);
    }
    if (guest) counts.choices += num_envs * actions.size();
    counts.steps += 2 * num_envs * actions.size();
    check(a->batch.snapshot() == b->batch.snapshot(), "an excursion came to other worlds");
    a->clear_last_views();
    b->clear_last_views();
    check(a->same_results(*b), "an excursion had other results");
  }
}

}  // namespace socialgrid::stress
