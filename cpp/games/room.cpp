// Room (Derstroff et al. 2024): a goal at a wall, sought from the middle and held.
#include "rooms/room_game.hpp"

namespace socialgrid {

GameEntry room_game() {
  return {"Room-v0", room_options(3), [](const Config& config) {
            return std::make_shared<const RoomGame>(config, RoomGame::Setup{});
          }};
}

}  // namespace socialgrid
