// The kinds of minds there are.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "players/mind.hpp"

namespace socialgrid::players {

// What a kind wants to know besides its role, by name.
class Numbers {
 public:
  explicit Numbers(std::map<std::string, double> values) : values_(std::move(values)) {}
  // Throws std::invalid_argument where there is no such number.
  double of(const std::string& name) const;
  // A whole number in [low, high].
  int integer(const std::string& name, int low, int high) const;
  // How many there are of something.
  std::size_t count(const std::string& name) const {
    return static_cast<std::size_t>(integer(name, 1, 65535));
  }

 private:
  std::map<std::string, double> values_;
};

std::unique_ptr<const Mind> cycle_expert(Role role, const Numbers& numbers);
std::unique_ptr<const Mind> trial_and_error(Role role, const Numbers& numbers);
std::unique_ptr<const Mind> goal_expert(Role role, const Numbers& numbers);
std::unique_ptr<const Mind> door_key_expert(Role role, const Numbers& numbers);
std::unique_ptr<const Mind> gatherer(Role role, const Numbers& numbers);
std::unique_ptr<const Mind> sustainable_gatherer(Role role, const Numbers& numbers);
std::unique_ptr<const Mind> box_opener(Role role, const Numbers& numbers);
std::unique_ptr<const Mind> exit_finder(Role role, const Numbers& numbers);
std::unique_ptr<const Mind> cleaner(Role role, const Numbers& numbers);
std::unique_ptr<const Mind> room_expert(Role role, const Numbers& numbers);
std::unique_ptr<const Mind> room_adversary(Role role, const Numbers& numbers);
std::unique_ptr<const Mind> random_mind(Role role, const Numbers& numbers);

// Throws std::invalid_argument for a kind that there is not.
std::unique_ptr<const Mind> make_mind(const std::string& kind, Role role, const Numbers& numbers);

}  // namespace socialgrid::players
