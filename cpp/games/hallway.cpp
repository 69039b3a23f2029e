// Hallway (public code of Derstroff et al. 2024): the room in one dimension, with a goal at an end.
#include "rooms/room_game.hpp"

namespace socialgrid {

GameEntry hallway_game() {
  return {"Hallway-v0", room_options(5), [](const Config& config) {
            return std::make_shared<const RoomGame>(
                config, RoomGame::Setup{.dimensions = 1, .start_offset = 2});
          }};
}

}  // namespace socialgrid
