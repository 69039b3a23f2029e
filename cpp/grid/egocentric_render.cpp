// The whole grid as a picture.
#include <cstring>
#include <map>
#include <utility>

#include "grid/egocentric_observer.hpp"
#include "grid/grid_state.hpp"
#include "grid/tile_pictures.hpp"

namespace socialgrid {

std::vector<std::uint8_t> EgocentricObserver::render(const World& world, int side) const {
  const auto row_bytes = static_cast<std::size_t>(world.cols() * side) * 3;
  std::vector<std::uint8_t> image(row_bytes * static_cast<std::size_t>(world.rows() * side));
  std::map<std::pair<Tile, std::pair<int, int>>, Picture> drawn;  // tile, (slot, direction)
  const std::span<const Agent> agents = world.agents();
  for (int row = 0; row < world.rows(); ++row) {
    for (int col = 0; col < world.cols(); ++col) {
      const Tile tile = world.at({row, col});
      const Agent* top = nullptr;
      std::uint32_t first = 0;  // its arrival
      int slot = -1;
      for (std::size_t i = 0; i < agents.size(); ++i) {
        if (agents[i].shown() && agents[i].position() == Position{row, col} &&
            (top == nullptr || world.field(kArrival)[i] < first)) {
          top = &agents[i];
          first = world.field(kArrival)[i];
          slot = palette_.slot(i, world.field(kPrestige)[i]);
        }
      }
      const std::pair key{tile, std::pair{slot, top != nullptr ? int{top->dir} : 0}};
      auto found = drawn.find(key);
      if (found == drawn.end()) {
        Picture picture = draw_tile(tile, side);
        if (top != nullptr) {
          const Picture agent =
              draw_agent(*palette_.color(slot), palette_.is_prestige(slot), top->dir, side);
          picture = tile == kEmpty ? agent : blend(picture, agent);
        }
        found = drawn.emplace(key, with_grid_lines(std::move(picture))).first;
      }
      for (int y = 0; y < side; ++y) {
        std::memcpy(&image[static_cast<std::size_t>(row * side + y) * row_bytes +
                           static_cast<std::size_t>(col * side) * 3],
                    &found->second.pixels[static_cast<std::size_t>(y * side) * 3],
                    static_cast<std::size_t>(side) * 3);
      }
    }
  }
  return image;
}

}  // namespace socialgrid
