#include "socialgrid/observer.hpp"

#include <utility>

#include "socialgrid/egocentric_observer.hpp"
#include "socialgrid/square_observer.hpp"

namespace socialgrid {

void Observer::set_cells(const Game& game, ObsMode mode, int size, int tile_size,
                         int num_pictures) {
  mode_ = mode;
  const auto cells = static_cast<std::size_t>(size);
  if (mode == ObsMode::kRgb) {
    const std::size_t pixels = cells * static_cast<std::size_t>(tile_size);
    shape_ = {pixels, pixels, 3};
    bytes_ = pixels * pixels * 3;
    return;
  }
  if (num_pictures > 65536) {
    throw ConfigError(game.spec().name +
                      ": obs_mode 'tiles' can number 65536 tile pictures, here there are " +
                      std::to_string(num_pictures) +
                      "; use obs_mode 'rgb', or plain colours instead of prestige");
  }
  shape_ = {cells, cells};
  type_ = num_pictures <= 256 ? ObsType::kUint8 : ObsType::kUint16;
  bytes_ = cells * cells * (type_ == ObsType::kUint8 ? 1 : 2);
}

std::unique_ptr<const Observer> make_observer(std::shared_ptr<const Game> game, ObsMode mode) {
  if (std::holds_alternative<EgocentricView>(game->spec().view)) {
    return std::make_unique<const EgocentricObserver>(std::move(game), mode);
  }
  return std::make_unique<const SquareObserver>(std::move(game), mode);
}

}  // namespace socialgrid
