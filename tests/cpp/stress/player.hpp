// One batch with its results, and whoever plays there.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "core/batch.hpp"
#include "scripted.hpp"
#include "stress/dice.hpp"

namespace socialgrid::stress {

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

inline std::vector<std::int32_t> random_actions(const BatchEnv& batch, Dice& dice) {
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
inline std::optional<Scripted> random_guest(const BatchEnv& batch, Dice& dice) {
  const std::string kind = dice.pick(Scripted::kKinds);
  const std::size_t agent = dice.below(batch.num_agents());
  const double error_rate = dice.chance(0.5) ? 0.0 : 0.2;
  try {
    return std::optional<Scripted>(std::in_place, batch, kind, agent, error_rate);
  } catch (const std::invalid_argument&) {
    return std::nullopt;
  }
}

}  // namespace socialgrid::stress
