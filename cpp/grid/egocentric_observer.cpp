#include "grid/egocentric_observer.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>

#include "core/copy_row.hpp"
#include "grid/grid_state.hpp"
#include "grid/lay_agents.hpp"
#include "grid/view.hpp"
#include "grid/visibility.hpp"

namespace socialgrid {
namespace {

constexpr int kMaxCells = kMaxViewSize * kMaxViewSize;
constexpr std::size_t kWide = 16;  // bytes moved at once where rows overlap
static_assert(kMaxAgents < 256, "1 + an agent fits a byte");

// Lays sprites out as pixels. Rows are written left to right and top to bottom; a write may spill
// over its end because what follows is written later, except at the very end. kSize is the view's
// size where it is known to the compiler, 0 elsewhere.
template <int kSide, int kSize>
void paint_narrow(const TileAtlas& atlas, const SpriteId* sprites, int runtime_size,
                  std::uint8_t* out) {
  constexpr std::size_t kRowBytes = kSide * 3;
  static_assert(kRowBytes <= kWide);
  const int size = kSize > 0 ? kSize : runtime_size;
  const auto paint_row = [&](int row, int y, int from, int to, std::size_t bytes) {
    const std::uint8_t* pixels = atlas.sprite(0) + static_cast<std::size_t>(y) * kWide;
    for (int col = from; col < to; ++col, out += kRowBytes) {
      std::memcpy(out, pixels + sprites[row * size + col] * (kWide * kSide), bytes);
    }
  };
  for (int row = 0; row < size - 1; ++row) {
    for (int y = 0; y < kSide; ++y) paint_row(row, y, 0, size, kWide);
  }
  for (int y = 0; y < kSide - 1; ++y) paint_row(size - 1, y, 0, size, kWide);
  const int wide = std::max(0, size - static_cast<int>(kWide / kRowBytes) - 1);
  paint_row(size - 1, kSide - 1, 0, wide, kWide);
  paint_row(size - 1, kSide - 1, wide, size, kRowBytes);
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

EgocentricObserver::EgocentricObserver(const GameSpec& game, const EgocentricView& view,
                                       ObsMode mode)
    : shape_of_world_(game.shape),
      view_(view),
      palette_(view_.look),
      atlas_(game.name, view_, palette_),
      margin_(std::max({view_.agent_row(), view_.offset, view_.agent_col()})),
      plane_cols_(game.shape.cols + 2 * margin_),
      shuffled_(ShuffledTiles::make(game.shape, view_, atlas_)) {
  if (mode == ObsMode::kTiles && atlas_.size() > kMaxTilePictures) {
    throw ConfigError(game.name + ": obs_mode 'tiles' can number " +
                      std::to_string(kMaxTilePictures) + " tile pictures, here there are " +
                      std::to_string(atlas_.size()) +
                      "; use obs_mode 'rgb', or plain colours instead of prestige");
  }
  set_cells(mode, view_.size, view_.size, view_.tile_size, atlas_.size());
  if (shuffled_ == nullptr) return;
  for (std::size_t dir = 0; dir < 4; ++dir) turned_[dir] = Turned(view_, static_cast<int>(dir));
}

std::unique_ptr<ObserverScratch> EgocentricObserver::make_scratch() const {
  const WorldShape& shape = shape_of_world_;
  const auto agents = static_cast<std::size_t>(shape.num_agents);
  const auto rows = static_cast<std::size_t>(shape.rows + 2 * margin_);
  auto scratch = std::make_unique<EgocentricScratch>();
  const std::size_t cells = kSlack + rows * static_cast<std::size_t>(plane_cols_) + kSlack;
  scratch->plane.assign(cells, kEmpty);
  scratch->slots.resize(agents);
  scratch->drawn.resize(agents);
  scratch->figures.resize(agents);
  scratch->first_there.resize(is_crowd() ? cells : 0);
  scratch->next_there.resize(is_crowd() ? agents : 0);
  return scratch;
}

TilePictures EgocentricObserver::tile_pictures() const {
  return {atlas_.size(), atlas_.side(), atlas_.pixels()};
}

void EgocentricObserver::fill_plane(const World& world, EgocentricScratch& scratch) const {
  const auto cols = static_cast<std::size_t>(world.cols());
  Tile* to = &scratch.plane[kSlack + static_cast<std::size_t>(margin_ * plane_cols_ + margin_)];
  const Tile* from = world.cells().data();
  if (cols > kWide) {
    for (int row = 0; row < world.rows(); ++row, to += plane_cols_, from += cols) {
      copy_row(to, from, cols);
    }
    return;
  }
  // Two words a row, cut to the row's length: what is written beyond it is empty, as the margin is,
  // or written again by the next row.
  const auto keep = [](std::size_t bytes) {
    return bytes >= 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << (8 * bytes)) - 1;
  };
  const std::uint64_t low_mask = keep(cols);
  const std::uint64_t high_mask = cols > 8 ? keep(cols - 8) : 0;
  for (int row = 0; row < world.rows(); ++row, to += plane_cols_, from += cols) {
    const std::uint64_t low = narrow_view::load_word(from) & low_mask;
    const std::uint64_t high = narrow_view::load_word(from + 8) & high_mask;
    std::memcpy(to, &low, sizeof low);
    std::memcpy(to + 8, &high, sizeof high);
  }
}

void EgocentricObserver::find_agents(const World& world, EgocentricScratch& scratch) const {
  const std::span<const Agent> agents = world.agents();
  const std::span<const double> prestige = world.field(kPrestige);
  const std::span<const std::uint32_t> arrival = world.field(kArrival);
  for (std::size_t i = 0; i < agents.size(); ++i) {
    scratch.slots[i] = palette_.slot(i, prestige[i]);
    scratch.drawn[i] = agents[i].shown() ? 1 : 0;
    if (agents[i].shown() && !is_crowd()) {
      scratch.figures[i] = atlas_.figures(scratch.slots[i], world.at(agents[i].position()));
    }
  }
  if (is_crowd()) {
    for (std::size_t i = agents.size(); i-- > 0;) {
      if (!agents[i].shown()) continue;
      std::uint8_t& first = scratch.first_there[place_in_plane(agents[i])];
      for (std::size_t j = first; j != 0; j = scratch.next_there[j - 1]) {
        if (arrival[j - 1] < arrival[i]) scratch.drawn[i] = 0;
        if (arrival[i] < arrival[j - 1]) scratch.drawn[j - 1] = 0;
      }
      scratch.next_there[i] = std::exchange(first, static_cast<std::uint8_t>(i + 1));
    }
    return;
  }
  for (std::size_t i = 1; i < agents.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (agents[j].position() != agents[i].position()) continue;
      if (!agents[i].shown() || !agents[j].shown()) continue;
      if (arrival[j] < arrival[i]) scratch.drawn[i] = 0;
      if (arrival[i] < arrival[j]) scratch.drawn[j] = 0;
    }
  }
}

void EgocentricObserver::forget_agents(const World& world, EgocentricScratch& scratch) const {
  if (!is_crowd()) return;
  for (const Agent& agent : world.agents()) {
    if (agent.shown()) scratch.first_there[place_in_plane(agent)] = 0;
  }
}

void EgocentricObserver::observe(const World& world, ObserverScratch& memory, std::byte* obs,
                                 std::uint8_t* visible) const {
  auto& scratch = static_cast<EgocentricScratch&>(memory);
  if (shuffled_ == nullptr) fill_plane(world, scratch);
  find_agents(world, scratch);
  write_views(world, scratch, obs, visible);
  forget_agents(world, scratch);
}

void EgocentricObserver::write_views(const World& world, EgocentricScratch& scratch, std::byte* obs,
                                     std::uint8_t* visible) const {
  if (shuffled_ != nullptr) {
    observe_shuffled(world, scratch, obs, visible);
    return;
  }
  switch (view_.size) {
    case 5:
      return observe_agents<5>(world, scratch, obs, visible);
    case 7:
      return observe_agents<7>(world, scratch, obs, visible);
    case 9:
      return observe_agents<9>(world, scratch, obs, visible);
    default:
      return observe_agents<0>(world, scratch, obs, visible);
  }
}

template <int kSize>
void EgocentricObserver::observe_agents(const World& world, EgocentricScratch& scratch,
                                        std::byte* obs, std::uint8_t* visible) const {
  const EgocentricView& view = view_;
  const int size = kSize > 0 ? kSize : view.size;
  const std::span<const Agent> agents = world.agents();
  std::array<SpriteId, kMaxCells> sprites;
  for (std::size_t first = 0; first < agents.size(); first += kLanes) {
    const std::size_t lanes = std::min(kLanes, agents.size() - first);
    for (std::size_t lane = 0; lane < lanes; ++lane) {
      if (agents[first + lane].active()) crop<kSize>(agents[first + lane], scratch, lane);
    }
    flood_visible(scratch.transparent.data(), scratch.seen.data(), size, view.agent_row(),
                  view.agent_col());
    for (std::size_t lane = 0; lane < lanes; ++lane) {
      const std::size_t viewer = first + lane;
      if (view.see_through_walls[viewer]) {
        for (int row = 0; row < size; ++row) {
          scratch.seen[static_cast<std::size_t>(row)][lane] = (std::uint32_t{1} << size) - 1;
        }
      }
      std::memset(visible, 0, agents.size());
      if (agents[viewer].active()) {
        compose<kSize>(world, scratch, viewer, lane, sprites.data(), visible);
      } else {
        std::fill_n(sprites.begin(), size * size, atlas_.shadow());
      }
      write<kSize>(sprites.data(), obs);
      obs += bytes_per_agent();
      visible += agents.size();
    }
  }
}

// Takes the agent's square out of the plane and notes where it is transparent.
template <int kSize>
void EgocentricObserver::crop(const Agent& agent, EgocentricScratch& scratch,
                              std::size_t lane) const {
  const EgocentricView& view = view_;
  const int size = kSize > 0 ? kSize : view.size;
  const std::uint32_t all = (std::uint32_t{1} << size) - 1;
  const ViewFrame frame(&scratch.plane[place_in_plane(agent)], plane_cols_, agent.dir,
                        view.agent_row(), view.agent_col());
  if constexpr (kSize > 0 && kSize <= 8) {
    scratch.narrow_tiles[lane] = narrow_view::crop(frame, agent.dir, size);
    for (std::size_t row = 0; row < kSize; ++row) {
      scratch.transparent[row][lane] =
          ~narrow_view::top_bits(scratch.narrow_tiles[lane][row]) & all;
    }
  } else {
    Tile* tile = scratch.tiles[lane].data();
    const Tile* row_start = frame.corner;
    for (int row = 0; row < size; ++row, row_start += frame.row_step) {
      std::uint32_t opaque = 0;
      const Tile* cell = row_start;
      for (int col = 0; col < size; ++col, cell += frame.col_step) {
        *tile++ = *cell;
        opaque |= static_cast<std::uint32_t>(*cell >> 7) << col;
      }
      scratch.transparent[static_cast<std::size_t>(row)][lane] = ~opaque & all;
    }
  }
}

// The sprites an active agent sees, figures included, and whom it sees.
template <int kSize>
void EgocentricObserver::compose(const World& world, const EgocentricScratch& scratch,
                                 std::size_t viewer, std::size_t lane, SpriteId* sprites,
                                 std::uint8_t* visible) const {
  const EgocentricView& view = view_;
  const int size = kSize > 0 ? kSize : view.size;
  const SpriteId* tile_sprites = atlas_.tiles(world.agents()[viewer].dir);
  const std::array<Tile, 256>& shown = view.shown_tile[viewer];
  const auto sees = [&](int row, int col) {
    return ((scratch.seen[static_cast<std::size_t>(row)][lane] >> col) & 1) != 0;
  };

  if constexpr (kSize > 0 && kSize <= 8) {
    const std::array<std::uint64_t, 8>& rows = scratch.narrow_tiles[lane];
    const bool hides = view.hides_kinds[viewer];
    SpriteId* sprite = sprites;
    for (std::size_t row = 0; row < kSize; ++row) {
      const std::uint64_t mask = narrow_view::spread(scratch.seen[row][lane]);
      std::uint64_t tiles = (rows[row] & mask) | (0x0101010101010101ull * kUnseen & ~mask);
      if (hides) {
        for (int col = 0; col < size; ++col, tiles >>= 8) {
          *sprite++ = tile_sprites[shown[static_cast<Tile>(tiles)]];
        }
      } else {
        for (int col = 0; col < size; ++col, tiles >>= 8) {
          *sprite++ = tile_sprites[static_cast<Tile>(tiles)];
        }
      }
    }
  } else {
    for (int row = 0, i = 0; row < size; ++row) {
      for (int col = 0; col < size; ++col, ++i) {
        const Tile tile = scratch.tiles[lane][static_cast<std::size_t>(i)];
        sprites[i] = tile_sprites[sees(row, col) ? shown[tile] : kUnseen];
      }
    }
  }

  const auto lay = [&](SpriteId sprite, int row, int col) { sprites[row * size + col] = sprite; };
  lay_agents<kSize>(world, scratch, viewer, sees, lay, visible);
}

template <int kSize>
void EgocentricObserver::write(const SpriteId* sprites, std::byte* obs) const {
  const int size = kSize > 0 ? kSize : view_.size;
  auto* out = reinterpret_cast<std::uint8_t*>(obs);
  if (mode() == ObsMode::kRgb) {
    // A wide write must not reach past the row that follows it.
    const bool narrow = static_cast<std::size_t>(size * atlas_.side()) * 3 >= kWide;
    switch (narrow ? atlas_.side() : 0) {
      case 1:
        paint_narrow<1, kSize>(atlas_, sprites, size, out);
        break;
      case 2:
        paint_narrow<2, kSize>(atlas_, sprites, size, out);
        break;
      case 3:
        paint_narrow<3, kSize>(atlas_, sprites, size, out);
        break;
      case 4:
        paint_narrow<4, kSize>(atlas_, sprites, size, out);
        break;
      case 5:
        paint_narrow<5, kSize>(atlas_, sprites, size, out);
        break;
      default:
        paint_any(atlas_, sprites, size, out);
    }
  } else if (type() == ObsType::kUint8) {
    for (int i = 0; i < size * size; ++i) out[i] = static_cast<std::uint8_t>(sprites[i]);
  } else {
    for (int i = 0; i < size * size; ++i, out += 2) {
      const auto number = static_cast<std::uint16_t>(sprites[i]);
      std::memcpy(out, &number, sizeof number);
    }
  }
}

}  // namespace socialgrid
