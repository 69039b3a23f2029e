// Configurations of games, drawn.
#pragma once

#include "core/game.hpp"
#include "stress/dice.hpp"

namespace socialgrid::stress {

Values random_config(const GameEntry& entry, Dice& dice);

}  // namespace socialgrid::stress
