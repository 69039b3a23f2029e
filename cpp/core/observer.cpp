#include "core/observer.hpp"

#include <algorithm>
#include <utility>

#include "core/text.hpp"
#include "dilemma/square_observer.hpp"
#include "grid/egocentric_observer.hpp"
#include "rooms/room_observer.hpp"

namespace socialgrid {
namespace {

template <typename AnObserver>
std::unique_ptr<const Observer> make(std::shared_ptr<const Game> game, ObsMode mode) {
  return std::make_unique<const AnObserver>(std::move(game), mode);
}

}  // namespace

const char* name_of(ObsMode mode) {
  switch (mode) {
    case ObsMode::kRgb:
      return "rgb";
    case ObsMode::kTiles:
      return "tiles";
    case ObsMode::kVector:
      return "vector";
  }
  return "";
}

std::vector<ObsMode> obs_modes(const View& view) {
  if (std::holds_alternative<RoomView>(view)) {
    return {ObsMode::kVector, ObsMode::kRgb, ObsMode::kTiles};
  }
  return {ObsMode::kRgb, ObsMode::kTiles};
}

ObsMode obs_mode_of(const GameSpec& spec, const std::string& name) {
  std::string allowed;
  for (const ObsMode mode : obs_modes(spec.view)) {
    if (name == name_of(mode)) return mode;
    allowed += std::string(allowed.empty() ? "" : ", ") + "'" + name_of(mode) + "'";
  }
  throw ConfigError(spec.name + " has no obs_mode '" + printable(name) + "'; allowed: " + allowed);
}

void Observer::set_cells(const Game& game, ObsMode mode, int rows, int cols, int tile_size,
                         int num_pictures) {
  mode_ = mode;
  const auto height = static_cast<std::size_t>(rows), width = static_cast<std::size_t>(cols);
  if (mode == ObsMode::kRgb) {
    const auto side = static_cast<std::size_t>(tile_size);
    shape_ = {height * side, width * side, 3};
    bytes_ = height * side * width * side * 3;
    return;
  }
  if (num_pictures > 65536) {
    throw ConfigError(game.spec().name +
                      ": obs_mode 'tiles' can number 65536 tile pictures, here there are " +
                      std::to_string(num_pictures) +
                      "; use obs_mode 'rgb', or plain colours instead of prestige");
  }
  shape_ = {height, width};
  type_ = num_pictures <= 256 ? ObsType::kUint8 : ObsType::kUint16;
  bytes_ = height * width * (type_ == ObsType::kUint8 ? 1 : 2);
}

void Observer::set_numbers(std::size_t count) {
  mode_ = ObsMode::kVector;
  shape_ = {count};
  type_ = ObsType::kFloat32;
  bytes_ = count * sizeof(float);
}

std::unique_ptr<const Observer> make_observer(std::shared_ptr<const Game> game, ObsMode mode) {
  obs_mode_of(game->spec(), name_of(mode));
  const View& view = game->spec().view;
  if (std::holds_alternative<EgocentricView>(view)) {
    return make<EgocentricObserver>(std::move(game), mode);
  }
  if (std::holds_alternative<SquareView>(view)) {
    return make<SquareObserver>(std::move(game), mode);
  }
  return make<RoomObserver>(std::move(game), mode);
}

}  // namespace socialgrid
