// What the fuzz targets share: values out of bytes, and a batch that plays what was accepted.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/batch.hpp"

namespace socialgrid::fuzz {

inline void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

// Reads values off the input; zeros follow its end.
class Bytes {
 public:
  Bytes(const std::uint8_t* data, std::size_t size) : left_(data, size) {}

  bool empty() const { return left_.empty(); }
  template <typename T>
  T take() {
    T value{};
    const std::size_t count = std::min(sizeof value, left_.size());
    if (count > 0) std::memcpy(&value, left_.data(), count);
    left_ = left_.subspan(count);
    return value;
  }
  std::size_t below(std::size_t n) { return n == 0 ? 0 : take<std::uint8_t>() % n; }
  std::string text(std::size_t most) {
    const std::size_t count = std::min(below(most + 1), left_.size());
    std::string out(reinterpret_cast<const char*>(left_.data()), count);
    left_ = left_.subspan(count);
    return out;
  }
  // What is left, as lines.
  std::vector<std::string> lines() {
    std::vector<std::string> out = {""};
    for (const std::uint8_t byte : left_) {
      if (byte == '\n') {
        out.emplace_back();
      } else {
        out.back() += static_cast<char>(byte);
      }
    }
    left_ = {};
    return out;
  }

 private:
  std::span<const std::uint8_t> left_;
};

// A batch of two environments with memory for its results.
class Table {
 public:
  explicit Table(std::shared_ptr<const Game> game, ObsMode mode)
      : batch(std::move(game), 2, 1, 1, 0, mode) {
    const std::size_t agents = 2 * batch.num_agents();
    obs_.resize(agents * batch.observer().bytes_per_agent());
    final_obs_.resize(obs_.size());
    reward_.resize(agents);
    last_actions_.resize(agents);
    flags_.resize(3 * agents + 2 + agents * batch.num_agents() +
                  agents * batch.spec().event_names.size());
    std::uint8_t* next = flags_.data();
    const auto part = [&](std::size_t count) { return std::exchange(next, next + count); };
    step_ = {.obs = obs_.data(),
             .reward = reward_.data(),
             .terminated = part(agents),
             .truncated = part(agents),
             .done = part(2),
             .final_obs = final_obs_.data(),
             .active = part(agents),
             .visible = part(agents * batch.num_agents()),
             .last_actions = last_actions_.data(),
             .events = part(agents * batch.spec().event_names.size())};
    reset();
  }

  void reset() { batch.reset({step_.obs, step_.active, step_.visible, step_.last_actions}); }

  // Steps with actions off the input; an environment may refuse what a forged snapshot holds.
  void play(Bytes& bytes, int steps) {
    const std::vector<int>& counts = batch.spec().action_counts;
    std::vector<std::int32_t> actions(2 * counts.size());
    for (int i = 0; i < steps; ++i) {
      for (std::size_t a = 0; a < actions.size(); ++a) {
        actions[a] = static_cast<std::int32_t>(
            bytes.below(static_cast<std::size_t>(counts[a % counts.size()])));
      }
      batch.check_actions(actions);
      try {
        batch.step(actions, step_);
      } catch (const EnvStepError&) {
        return;
      }
    }
  }

  // A snapshot restores, and a layout is put back where it came from.
  void check_round_trips() {
    const std::vector<std::byte> state = batch.snapshot();
    batch.restore(state);
    check(batch.snapshot() == state, "a snapshot came back otherwise");
    for (const std::size_t env : {0, 1}) {
      const Layout layout = batch.layout(env);
      batch.set_layout(env, layout);
      check(batch.layout(env).cells == layout.cells, "a layout came back otherwise");
      check(batch.layout(env).agent_pos == layout.agent_pos, "agents came back elsewhere");
    }
    batch.restore(state);
    batch.render(0, 3);
  }

  BatchEnv batch;

 private:
  std::vector<std::byte> obs_, final_obs_;
  std::vector<float> reward_;
  std::vector<std::int32_t> last_actions_;
  std::vector<std::uint8_t> flags_;
  StepBuffers step_;
};

// Makes a game and plays it, unless its pictures or its grid would take long to make.
inline void make_and_play(const std::string& name, const Values& values, Bytes& bytes) {
  std::shared_ptr<const Game> game;
  try {
    game = make_game(name, values);
  } catch (const ConfigError& error) {
    check(std::string_view(error.what()).size() < 4000, "an endless message");
    return;
  }
  const auto small = [&](const char* option, std::int64_t most) {
    const auto found = game->spec().config.find(option);
    if (found == game->spec().config.end()) return true;
    const auto* number = std::get_if<std::int64_t>(&found->second.data);
    return number == nullptr || *number <= most;
  };
  const WorldShape& shape = game->spec().shape;
  if (shape.num_cells() > 2500 || shape.num_agents > 12) return;
  if (!small("tile_size", 8) || !small("view_size", 15)) return;
  const std::vector<ObsMode> modes = game->obs_modes();
  std::unique_ptr<Table> table;
  try {
    table = std::make_unique<Table>(game, modes[bytes.below(modes.size())]);
  } catch (const ConfigError&) {
    return;  // too many pictures to number
  } catch (const EnvStepError&) {
    return;  // no room for everything: known at reset only
  }
  table->play(bytes, 4);
  table->check_round_trips();
}

}  // namespace socialgrid::fuzz
