#include "socialgrid/observer.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <utility>

#include "socialgrid/visibility.hpp"

namespace socialgrid {
namespace {

constexpr int kMaxCells = kMaxViewSize * kMaxViewSize;
constexpr std::size_t kWide = 16;  // bytes moved at once where rows overlap

// Lays sprites out as pixels. Rows are written left to right and top to bottom; a write may spill
// over its end because what follows is written later, except at the very end.
template <std::size_t kRowBytes>
void paint_narrow(const TileAtlas& atlas, const SpriteId* sprites, int size, std::uint8_t* out) {
  static_assert(kRowBytes <= kWide);
  const std::size_t stride = atlas.row_stride();
  std::array<const std::uint8_t*, kMaxViewSize> sources;
  for (int row = 0; row < size; ++row) {
    for (int col = 0; col < size; ++col) {
      sources[static_cast<std::size_t>(col)] = atlas.sprite(sprites[row * size + col]);
    }
    const bool last_row = row == size - 1;
    for (int y = 0; y < atlas.side(); ++y) {
      const bool last = last_row && y == atlas.side() - 1;
      const int wide = last ? std::max(0, size - static_cast<int>(kWide / kRowBytes) - 1) : size;
      const std::size_t offset = static_cast<std::size_t>(y) * stride;
      int col = 0;
      for (; col < wide; ++col, out += kRowBytes) {
        std::memcpy(out, sources[static_cast<std::size_t>(col)] + offset, kWide);
      }
      for (; col < size; ++col, out += kRowBytes) {
        std::memcpy(out, sources[static_cast<std::size_t>(col)] + offset, kRowBytes);
      }
    }
  }
}

void paint_any(const TileAtlas& atlas, const SpriteId* sprites, int size, std::uint8_t* out) {
  const std::size_t row_bytes = static_cast<std::size_t>(atlas.side()) * 3;
  for (int row = 0; row < size; ++row) {
    for (int y = 0; y < atlas.side(); ++y) {
      const std::size_t offset = static_cast<std::size_t>(y) * atlas.row_stride();
      for (int col = 0; col < size; ++col, out += row_bytes) {
        std::memcpy(out, atlas.sprite(sprites[row * size + col]) + offset, row_bytes);
      }
    }
  }
}

}  // namespace

Observer::Observer(std::shared_ptr<const Game> game, ObsMode mode)
    : game_(std::move(game)),
      spec_(game_->spec()),
      mode_(mode),
      palette_(spec_.look),
      atlas_(spec_, palette_),
      margin_(std::max({spec_.view.agent_row(), spec_.view.offset, spec_.view.agent_col()})),
      plane_cols_(spec_.shape.cols + 2 * margin_) {
  const auto size = static_cast<std::size_t>(spec_.view.size);
  if (mode == ObsMode::kRgb) {
    const std::size_t pixels = size * static_cast<std::size_t>(spec_.view.tile_size);
    shape_ = {pixels, pixels, 3};
    bytes_ = pixels * pixels * 3;
  } else {
    shape_ = {size, size};
    type_ = atlas_.size() <= 256 ? ObsType::kUint8 : ObsType::kUint16;
    bytes_ = size * size * (type_ == ObsType::kUint8 ? 1 : 2);
  }
}

ObserverScratch Observer::make_scratch() const {
  const auto agents = static_cast<std::size_t>(spec_.shape.num_agents);
  const auto rows = static_cast<std::size_t>(spec_.shape.rows + 2 * margin_);
  return {std::vector<Tile>(rows * static_cast<std::size_t>(plane_cols_), kEmpty),
          std::vector<int>(agents), std::vector<std::uint8_t>(agents)};
}

void Observer::observe(const World& world, ObserverScratch& scratch, std::byte* obs,
                       std::uint8_t* visible) const {
  const auto cols = static_cast<std::size_t>(world.cols());
  Tile* plane = &scratch.plane[static_cast<std::size_t>(margin_ * plane_cols_ + margin_)];
  const Tile* cells = world.cells().data();
  for (int row = 0; row < world.rows(); ++row, plane += plane_cols_, cells += cols) {
    std::memcpy(plane, cells, cols);
  }
  const std::span<const Agent> agents = world.agents();
  for (std::size_t i = 0; i < agents.size(); ++i) {
    scratch.slots[i] = palette_.slot(agents[i], i);
    scratch.drawn[i] = agents[i].shown() ? 1 : 0;
    for (std::size_t j = 0; j < agents.size() && scratch.drawn[i] != 0; ++j) {
      if (agents[j].shown() && agents[j].position() == agents[i].position() &&
          agents[j].arrival < agents[i].arrival) {
        scratch.drawn[i] = 0;
      }
    }
  }
  for (std::size_t i = 0; i < agents.size(); ++i) {
    observe_agent(world, scratch, i, obs, visible);
    obs += bytes_;
    visible += agents.size();
  }
}

void Observer::observe_agent(const World& world, const ObserverScratch& scratch,
                             std::size_t viewer, std::byte* obs, std::uint8_t* visible) const {
  const ViewSpec& view = spec_.view;
  const int size = view.size;
  const std::span<const Agent> agents = world.agents();
  const Agent& self = agents[viewer];
  std::memset(visible, 0, agents.size());

  std::array<SpriteId, kMaxCells> sprites;
  if (!self.active()) {
    std::fill_n(sprites.begin(), size * size, atlas_.shadow());
    write(sprites.data(), obs);
    return;
  }

  // Steps in the plane for one view row towards the viewer and one view column to its right.
  const int back = self.dir ^ 2;
  const int right = (self.dir + 1) % 4;
  const int row_step = kRowStep[back] * plane_cols_ + kColStep[back];
  const int col_step = kRowStep[right] * plane_cols_ + kColStep[right];
  const Tile* corner = &scratch.plane[static_cast<std::size_t>(
      (self.row + margin_) * plane_cols_ + self.col + margin_)];
  corner -= view.agent_row() * row_step + view.agent_col() * col_step;

  std::array<std::uint32_t, kMaxViewSize> seen;
  if (view.see_through_walls[viewer]) {
    seen.fill((std::uint32_t{1} << size) - 1);
  } else {
    std::array<std::uint32_t, kMaxViewSize> transparent;
    const Tile* row_start = corner;
    for (int row = 0; row < size; ++row, row_start += row_step) {
      std::uint32_t open = 0;
      const Tile* cell = row_start;
      for (int col = 0; col < size; ++col, cell += col_step) {
        open |= static_cast<std::uint32_t>((*cell >> 7) ^ 1) << col;
      }
      transparent[static_cast<std::size_t>(row)] = open;
    }
    flood_visible(transparent.data(), seen.data(), size, view.agent_row(), view.agent_col());
  }

  const std::array<Tile, 256>& shown = view.shown_tile[viewer];
  const SpriteId* tile_sprites = atlas_.tiles(self.dir);
  const Tile* row_start = corner;
  SpriteId* sprite = sprites.data();
  for (int row = 0; row < size; ++row, row_start += row_step) {
    const std::uint32_t mask = seen[static_cast<std::size_t>(row)];
    const Tile* cell = row_start;
    for (int col = 0; col < size; ++col, cell += col_step) {
      *sprite++ = ((mask >> col) & 1) != 0 ? tile_sprites[shown[*cell]] : atlas_.shadow();
    }
  }

  const auto lay_agent = [&](std::size_t index, int at) {
    const Tile under = shown[world.at(agents[index].position())];
    sprites[static_cast<std::size_t>(at)] =
        atlas_.agent(self.dir, scratch.slots[index], under, agents[index].dir);
  };
  for (std::size_t j = 0; j < agents.size(); ++j) {
    const Agent& other = agents[j];
    if (j == viewer || !other.shown()) continue;
    const int down = other.row - self.row;
    const int across = other.col - self.col;
    const int row = view.agent_row() + down * kRowStep[back] + across * kColStep[back];
    const int col = view.agent_col() + down * kRowStep[right] + across * kColStep[right];
    if (row < 0 || col < 0 || row >= size || col >= size) continue;
    if (((seen[static_cast<std::size_t>(row)] >> col) & 1) == 0) continue;
    visible[j] = other.active() ? 1 : 0;
    if (scratch.drawn[j] != 0) lay_agent(j, row * size + col);
  }
  lay_agent(viewer, view.agent_row() * size + view.agent_col());
  write(sprites.data(), obs);
}

void Observer::write(const SpriteId* sprites, std::byte* obs) const {
  const int size = spec_.view.size;
  auto* out = reinterpret_cast<std::uint8_t*>(obs);
  if (mode_ == ObsMode::kRgb) {
    // A wide write must not reach past the row that follows it.
    const bool narrow = static_cast<std::size_t>(size * atlas_.side()) * 3 >= kWide;
    switch (narrow ? atlas_.side() : 0) {
      case 1: paint_narrow<3>(atlas_, sprites, size, out); break;
      case 2: paint_narrow<6>(atlas_, sprites, size, out); break;
      case 3: paint_narrow<9>(atlas_, sprites, size, out); break;
      case 4: paint_narrow<12>(atlas_, sprites, size, out); break;
      case 5: paint_narrow<15>(atlas_, sprites, size, out); break;
      default: paint_any(atlas_, sprites, size, out);
    }
  } else if (type_ == ObsType::kUint8) {
    for (int i = 0; i < size * size; ++i) out[i] = static_cast<std::uint8_t>(sprites[i]);
  } else {
    std::memcpy(out, sprites, bytes_);
  }
}

std::vector<std::uint8_t> Observer::render(const World& world, int side) const {
  const auto row_bytes = static_cast<std::size_t>(world.cols() * side) * 3;
  std::vector<std::uint8_t> image(row_bytes * static_cast<std::size_t>(world.rows() * side));
  std::map<std::pair<Tile, std::pair<int, int>>, Picture> drawn;  // tile, (slot, direction)
  const std::span<const Agent> agents = world.agents();
  for (int row = 0; row < world.rows(); ++row) {
    for (int col = 0; col < world.cols(); ++col) {
      const Tile tile = world.at({row, col});
      const Agent* top = nullptr;
      int slot = -1;
      for (std::size_t i = 0; i < agents.size(); ++i) {
        if (agents[i].shown() && agents[i].position() == Position{row, col} &&
            (top == nullptr || agents[i].arrival < top->arrival)) {
          top = &agents[i];
          slot = palette_.slot(agents[i], i);
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
