// Random games, configurations and play for sanitizer runs: stress --seconds N --seed S [--only I]
//
// Scenario I depends on (seed, I) alone, so a failure is repeated with --only. Several scenarios
// run at once. Each plays one random game in two batches that differ only in their number of
// threads and demands equal bytes, while snapshots are taken, damaged and restored, layouts move
// between environments, rules throw inside workers, steps run in the background and batches come
// and go.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "core/batch.hpp"
#include "core/excursion.hpp"
#include "core/thread_pool.hpp"
#include "forged.hpp"
#include "grid/distances.hpp"
#include "scripted.hpp"

namespace {

using namespace socialgrid;

// What happened, summed over all scenarios.
struct Counts {
  std::atomic<std::uint64_t> scenarios{0}, refused{0}, steps{0}, faults{0}, snapshots{0};
  std::atomic<std::uint64_t> damaged{0}, forged{0}, choices{0}, layouts{0}, stopped{0};
};
Counts counts;

class CheckFailed : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

void check(bool holds, const char* what) {
  if (!holds) throw CheckFailed(what);
}

template <typename Error, typename Fn>
void check_throws(Fn fn, const char* what) {
  try {
    fn();
  } catch (const Error&) {
    return;
  }
  throw CheckFailed(what);
}

class Dice {
 public:
  Dice(std::uint64_t seed, std::uint64_t scenario) : state_{.seed = seed, .stream = scenario} {}

  int between(int low, int high) {
    return low + static_cast<int>(rng_.uniform_int(static_cast<std::uint32_t>(high - low + 1)));
  }
  std::size_t below(std::size_t n) { return rng_.uniform_int(static_cast<std::uint32_t>(n)); }
  bool chance(double p) { return rng_.bernoulli(p); }
  double real(double low, double high) { return low + (high - low) * rng_.uniform(); }
  template <typename Container>
  const auto& pick(const Container& items) {
    return items[below(std::size(items))];
  }

 private:
  StreamState state_;
  Rng rng_{state_};
};

// ---- configurations ----

// Upper bounds that keep one scenario small; other options use their own range.
double cap(const std::string& name) {
  if (name == "grid_size") return 21;
  if (name == "max_steps") return 60;
  if (name == "num_agents") return 6;
  if (name == "view_size") return 13;
  if (name == "tile_size") return 9;
  if (name == "num_clutter") return 30;
  if (name == "spawn_delay") return 20;
  if (name == "length") return 21;
  return 1e3;
}

Value random_scalar(const Option& option, Dice& dice) {
  const double high = std::min(option.high, cap(option.name));
  switch (option.type) {
    case OptionType::kBool:
      return dice.chance(0.5);
    case OptionType::kInt:
      return dice.between(static_cast<int>(option.low), static_cast<int>(high));
    case OptionType::kNumber:
      return dice.real(option.low, high);
    case OptionType::kText:
      return option.choices.empty() ? std::string("red") : dice.pick(option.choices);
  }
  return {};
}

Value random_map(const Option& option, Dice& dice) {
  std::string glyphs = "......###0123GLDKOBPP";
  // Social dilemmas have a map of their own, whose characters are right.
  if (const Value::List* lines = option.fallback.list()) {
    glyphs = "   PP";
    for (const Value& line : *lines) glyphs += std::get<std::string>(line.data);
  }
  const int rows = dice.between(3, 10), cols = dice.between(3, 10);
  Value::List lines;
  for (int row = 0; row < rows; ++row) {
    std::string line;
    for (int col = 0; col < cols; ++col) line += dice.pick(glyphs);
    lines.emplace_back(std::move(line));
  }
  return lines;
}

Value random_value(const Option& option, int num_agents, Dice& dice) {
  const auto list = [&](int count, auto item) {
    Value::List items;
    for (int i = 0; i < count; ++i) items.push_back(item());
    return Value(std::move(items));
  };
  const auto scalar = [&] { return random_scalar(option, dice); };
  const auto some = [&] { return list(dice.between(0, 3), scalar); };
  if (option.name == "map") return random_map(option, dice);
  if (option.name == "apple_spawn_probabilities") return list(4, scalar);
  switch (option.shape) {
    case OptionShape::kSingle:
      return scalar();
    case OptionShape::kPerAgent:
      return dice.chance(0.5) ? scalar() : list(num_agents, scalar);
    case OptionShape::kListPerAgent:
      return dice.chance(0.5) ? some() : list(num_agents, some);
    case OptionShape::kList:
      return some();
    case OptionShape::kSize:
      return dice.chance(0.5) ? scalar() : list(2, scalar);
  }
  return {};
}

Values random_config(const GameEntry& entry, Dice& dice) {
  Values values;
  const auto agents = std::find_if(entry.options.begin(), entry.options.end(),
                                   [](const Option& o) { return o.name == "num_agents"; });
  const int num_agents =
      dice.between(static_cast<int>(agents->low), std::min(static_cast<int>(agents->high), 6));
  const double share = dice.real(0.0, 0.5);
  for (const Option& option : entry.options) {
    if (option.name == "num_agents") {
      values[option.name] = num_agents;
    } else if (option.name == "max_steps" || dice.chance(option.name == "map" ? 0.1 : share)) {
      values[option.name] = random_value(option, num_agents, dice);
    }
  }
  return values;
}

// ---- rules that throw ----

// A game whose step throws when the fuse, counted in steps of single environments, burns down.
class FaultyGame final : public Game {
 public:
  explicit FaultyGame(std::shared_ptr<const Game> inner)
      : Game(inner->spec()), inner_(std::move(inner)) {}

  void arm(int steps, bool standard_exception) {
    standard_exception_ = standard_exception;
    fuse_ = steps;
  }
  void disarm() { fuse_ = 0; }

  void reset(World& world, Rng& rng) const override { inner_->reset(world, rng); }
  void step(World& world, std::span<const std::int32_t> actions, const Outcome& outcome,
            Rng& rng) const override {
    inner_->step(world, actions, outcome, rng);
    if (fuse_.load() > 0 && fuse_.fetch_sub(1) == 1) {
      if (standard_exception_) throw std::runtime_error("the fuse burnt down");
      throw 17;
    }
  }
  std::vector<ObsMode> obs_modes() const override { return inner_->obs_modes(); }
  std::unique_ptr<const Observer> observer(ObsMode mode) const override {
    return inner_->observer(mode);
  }
  void write_glyphs(const World& world, std::uint8_t* out) const override {
    inner_->write_glyphs(world, out);
  }
  void write_details(const World& world, Layout& layout) const override {
    inner_->write_details(world, layout);
  }
  void read_cells(World& next, const Layout& layout) const override {
    inner_->read_cells(next, layout);
  }
  void read_agents(World& next, const Layout& layout) const override {
    inner_->read_agents(next, layout);
  }
  void check(const World& world, bool finished) const override { inner_->check(world, finished); }

 private:
  std::shared_ptr<const Game> inner_;
  mutable std::atomic<int> fuse_{0};
  std::atomic<bool> standard_exception_{true};
};

// ---- one batch and its results ----

class Player {
 public:
  Player(std::shared_ptr<const Game> game, std::size_t num_envs, int num_threads,
         std::uint64_t seed, std::uint64_t first, ObsMode mode, Autoreset autoreset)
      : batch(std::move(game), num_envs, num_threads, seed, first, mode, autoreset) {
    const std::size_t agents = num_envs * batch.num_agents();
    obs_.resize(agents * batch.observer().bytes_per_agent());
    final_obs_.resize(obs_.size());
    reward_.resize(agents);
    last_actions_.resize(agents);
    events_.resize(agents * batch.spec().event_names.size());
    for (auto* flags : {&terminated_, &truncated_, &active_}) flags->resize(agents);
    done_.resize(num_envs);
    visible_.resize(agents * batch.num_agents());
  }

  ObserveBuffers observe_buffers() {
    return {obs_.data(), active_.data(), visible_.data(), last_actions_.data()};
  }
  void step(const std::vector<std::int32_t>& actions) {
    std::fill(final_obs_.begin(), final_obs_.end(), std::byte{0});
    batch.step(actions, {obs_.data(), reward_.data(), terminated_.data(), truncated_.data(),
                         done_.data(), final_obs_.data(), active_.data(), visible_.data(),
                         last_actions_.data(), events_.data()});
  }
  StepBuffers buffers() {
    return {obs_.data(),          reward_.data(),    terminated_.data(), truncated_.data(),
            done_.data(),         final_obs_.data(), active_.data(),     visible_.data(),
            last_actions_.data(), events_.data()};
  }
  void clear_last_views() { std::fill(final_obs_.begin(), final_obs_.end(), std::byte{0}); }
  void tell(Scripted& scripted) { scripted.observe(batch, reward_.data(), done_.data()); }
  void tell(Scripted& scripted, players::Envs envs, std::uint64_t further) {
    scripted.observe(batch, envs, further, reward_.data(), done_.data());
  }
  bool same_results(const Player& other) const {
    return obs_ == other.obs_ && final_obs_ == other.final_obs_ && reward_ == other.reward_ &&
           terminated_ == other.terminated_ && truncated_ == other.truncated_ &&
           done_ == other.done_ && active_ == other.active_ && visible_ == other.visible_ &&
           last_actions_ == other.last_actions_ && events_ == other.events_;
  }
  void check_endings() const {
    for (std::size_t i = 0; i < terminated_.size(); ++i) {
      check(!(terminated_[i] && truncated_[i]), "terminated and truncated at once");
    }
  }

  BatchEnv batch;

 private:
  std::vector<std::byte> obs_, final_obs_;
  std::vector<float> reward_;
  std::vector<std::uint8_t> terminated_, truncated_, done_, active_, visible_;
  std::vector<std::int32_t> last_actions_;
  std::vector<std::uint8_t> events_;
};

std::vector<std::int32_t> random_actions(const BatchEnv& batch, Dice& dice) {
  const std::vector<int>& allowed = batch.spec().action_counts;
  std::vector<std::int32_t> actions;
  for (std::size_t i = 0; i < batch.num_envs() * allowed.size(); ++i) {
    // Mostly forward, so that agents get somewhere.
    const int count = allowed[i % allowed.size()];
    actions.push_back(dice.chance(0.4) ? std::min(2, count - 1) : dice.between(0, count - 1));
  }
  return actions;
}

// Somebody scripted, whether made for the game or not, if such a one can play there at all.
std::optional<Scripted> random_guest(const BatchEnv& batch, Dice& dice) {
  const std::string kind = dice.pick(Scripted::kKinds);
  const std::size_t agent = dice.below(batch.num_agents());
  const double error_rate = dice.chance(0.5) ? 0.0 : 0.2;
  try {
    return std::optional<Scripted>(std::in_place, batch, kind, agent, error_rate);
  } catch (const std::invalid_argument&) {
    return std::nullopt;
  }
}

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

// ---- scenarios ----

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

// Ranges of environments that go their ways, and somebody scripted in them, come to where they come
// step by step, or nowhere.
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

void share_out_work(Dice& dice) {
  ThreadPool pool(dice.between(1, 8));
  for (int round = dice.between(0, 30); round > 0; --round) {
    std::vector<std::atomic<int>> visits(dice.below(300));
    const auto share = static_cast<std::size_t>(dice.between(1, 40));
    const std::size_t culprit =
        dice.chance(0.3) && !visits.empty() ? dice.below(visits.size()) : visits.size();
    const auto visit = [&](std::size_t begin, std::size_t end, int) {
      for (std::size_t i = begin; i < end; ++i) {
        if (i == culprit) throw std::runtime_error("culprit");
        ++visits[i];
      }
    };
    if (culprit < visits.size()) {
      check_throws<std::runtime_error>([&] { pool.parallel_for(visits.size(), share, visit); },
                                       "an exception of a worker was lost");
      ++counts.faults;
    } else {
      pool.parallel_for(visits.size(), share, visit);
      for (const auto& count : visits) check(count == 1, "an index was not visited exactly once");
    }
  }
}

void leave_a_task_running(Dice& dice) {
  std::atomic<bool> finished{false};
  const bool throws = dice.chance(0.3);
  {
    BackgroundTask task;
    task.start([&] {
      std::this_thread::sleep_for(std::chrono::microseconds(200));
      finished = true;
      if (throws) throw std::runtime_error("nobody listens");
    });
    if (dice.chance(0.5)) task.wait(0);
  }
  check(finished, "a task was destroyed while it ran");
}

void measure_distances(Dice& dice) {
  const int rows = dice.between(1, 20), cols = dice.between(1, 20);
  std::vector<std::uint8_t> passable(static_cast<std::size_t>(rows * cols));
  for (auto& cell : passable) cell = dice.chance(0.7) ? 1 : 0;
  std::vector<std::int32_t> distances(4 * passable.size());
  const Position target{dice.between(0, rows - 1), dice.between(0, cols - 1)};
  action_distances(passable, rows, cols, target, distances);
  for (const std::int32_t d : distances) check(d == -1 || d >= 1, "a distance below 1");
}

void run_scenario(std::uint64_t seed, std::uint64_t scenario) {
  Dice dice(seed, scenario);
  const int kind = dice.between(0, 9);
  if (kind == 0) return share_out_work(dice);
  if (kind == 1) return leave_a_task_running(dice);
  if (kind == 2) return measure_distances(dice);
  if (kind == 3) return go_on_an_excursion(dice);
  play(dice);
}

}  // namespace

int main(int argc, char** argv) {
  double seconds = 10.0;
  std::uint64_t seed = 1;
  std::optional<std::uint64_t> only;
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i];
    char* end = nullptr;
    const char* text = i + 1 < argc ? argv[i + 1] : "";
    if (name == "--seconds") seconds = std::strtod(text, &end);
    if (name == "--seed") seed = std::strtoull(text, &end, 10);
    if (name == "--only") only = std::strtoull(text, &end, 10);
    if (end == nullptr || end == text || *end != '\0') {
      std::fprintf(stderr, "usage: stress [--seconds N] [--seed S] [--only SCENARIO]\n");
      return 2;
    }
  }

  const auto deadline = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  std::atomic<std::uint64_t> next{only.value_or(0)};
  std::atomic<bool> failed{false};
  const auto drive = [&] {
    while (!failed) {
      const std::uint64_t scenario = next++;
      if (only ? scenario > *only : std::chrono::steady_clock::now() > deadline) return;
      try {
        run_scenario(seed, scenario);
      } catch (const std::exception& error) {
        std::fprintf(stderr, "scenario %llu: %s\nrepeat: stress --seed %llu --only %llu\n",
                     static_cast<unsigned long long>(scenario), error.what(),
                     static_cast<unsigned long long>(seed),
                     static_cast<unsigned long long>(scenario));
        failed = true;
      }
      ++counts.scenarios;
    }
  };
  std::vector<std::thread> drivers;
  for (int i = 0; i < (only ? 1 : 3); ++i) drivers.emplace_back(drive);
  for (std::thread& driver : drivers) driver.join();

  const auto print = [](const char* name, const std::atomic<std::uint64_t>& count) {
    std::printf("%12llu %s\n", static_cast<unsigned long long>(count.load()), name);
  };
  print("scenarios", counts.scenarios);
  print("configurations refused", counts.refused);
  print("environment steps", counts.steps);
  print("exceptions in workers", counts.faults);
  print("snapshots restored", counts.snapshots);
  print("choices of scripted players", counts.choices);
  print("damaged snapshots", counts.damaged);
  print("forged snapshots", counts.forged);
  print("layouts moved", counts.layouts);
  print("episodes that could not be placed", counts.stopped);
  return failed ? 1 : 0;
}
