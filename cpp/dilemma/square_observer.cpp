#include "dilemma/square_observer.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>
#include <utility>

#include "core/copy_row.hpp"
#include "dilemma/beams.hpp"
#include "dilemma/cell_bits.hpp"
#include "dilemma/dilemma_tile.hpp"

namespace socialgrid {
namespace {

static_assert(std::endian::native == std::endian::little, "red is the lowest byte of a colour");

constexpr int kBeamCode = dilemma::kNumTiles - 1;                    // plus the beam, from 1
constexpr int kAgentCode = dilemma::kNumTiles + dilemma::kNumBeams;  // plus the agent

// The grid with a margin of empty ground. Codes are bytes where they fit.
struct SquareScratch final : ObserverScratch {
  std::vector<std::uint8_t> narrow;
  std::vector<std::uint16_t> wide;

  template <typename Code>
  Code* plane() {
    if constexpr (sizeof(Code) == 1) {
      return narrow.data();
    } else {
      return wide.data();
    }
  }
};

std::uint32_t packed(Rgb color) {
  return color.r | static_cast<std::uint32_t>(color.g) << 8 |
         static_cast<std::uint32_t>(color.b) << 16;
}

// Calls fn.operator()<n>(), where n is the size if it is a common one, so that the compiler knows
// it, and 0 elsewhere.
template <typename Fn>
void with_known_size(int size, Fn fn) {
  switch (size) {
    case 7:
      return fn.template operator()<7>();
    case 15:
      return fn.template operator()<15>();
    default:
      return fn.template operator()<0>();
  }
}

// A view's cells in a plane: its upper left corner and the steps to the next row and column.
template <typename Code>
struct Crop {
  const Code* corner;
  std::ptrdiff_t row_step;
  std::ptrdiff_t col_step;
  int size;
};

template <int kSize, typename Code>
void copy_cells(Crop<Code> crop, std::uint8_t* out) {
  const int size = kSize > 0 ? kSize : crop.size;
  for (int row = 0; row < size; ++row, crop.corner += crop.row_step) {
    const Code* code = crop.corner;
    for (int col = 0; col < size; ++col, code += crop.col_step, out += sizeof(Code)) {
      std::memcpy(out, code, sizeof(Code));
    }
  }
}

// One pixel a cell. A write spills one byte over, which the next one replaces, but for the last.
template <int kSize, typename Code>
void paint_cells(Crop<Code> crop, const std::uint32_t* colors, std::uint8_t* out) {
  const int size = kSize > 0 ? kSize : crop.size;
  for (int row = 0; row < size; ++row, crop.corner += crop.row_step) {
    const Code* code = crop.corner;
    const int last = row == size - 1 ? size - 1 : size;
    for (int col = 0; col < last; ++col, code += crop.col_step, out += 3) {
      std::memcpy(out, &colors[*code], 4);
    }
    if (last < size) std::memcpy(out, &colors[*code], 3);
  }
}

// side x side pixels a cell, side > 1.
template <typename Code>
void paint_large_cells(Crop<Code> crop, std::size_t side, const std::uint32_t* colors,
                       std::uint8_t* out) {
  const std::size_t row_bytes = side * static_cast<std::size_t>(crop.size) * 3;
  for (int row = 0; row < crop.size; ++row, crop.corner += crop.row_step) {
    const Code* code = crop.corner;
    const std::uint8_t* const first = out;
    for (int col = 0; col < crop.size; ++col, code += crop.col_step) {
      // Spills one byte over; further rows of pixels follow in any case.
      for (std::size_t x = 0; x < side; ++x, out += 3) std::memcpy(out, &colors[*code], 4);
    }
    for (std::size_t y = 1; y < side; ++y, out += row_bytes) std::memcpy(out, first, row_bytes);
  }
}

// In pictures of the whole grid a dark notch in the middle of an agent's front shows its heading.
bool is_nose(int dir, int x, int y, int side) {
  const int behind_front[4] = {side - 1 - x, side - 1 - y, x, y};
  const int along_front = dir % 2 == 0 ? y : x;
  const int quarter = side / 4;
  return behind_front[dir] < quarter && along_front >= quarter && along_front < side - quarter;
}

// Codes of agents where numbers have a meaning: after tiles and beams.
std::vector<std::uint16_t> canonical_codes(int num_agents) {
  std::vector<std::uint16_t> codes(static_cast<std::size_t>(num_agents));
  std::iota(codes.begin(), codes.end(), static_cast<std::uint16_t>(kAgentCode));
  return codes;
}

}  // namespace

SquareObserver::SquareObserver(const WorldShape& world, const SquareView& view, ObsMode mode)
    : view_(view),
      margin_(view_.size / 2),
      plane_rows_(static_cast<std::size_t>(world.rows + 2 * margin_)),
      plane_cols_(static_cast<std::size_t>(world.cols + 2 * margin_)) {
  for (int row = 0; row < world.rows; ++row) {
    rows_.insert(rows_.end(), static_cast<std::size_t>(world.cols), static_cast<std::uint8_t>(row));
  }
  for (const dilemma::TileTraits& tile : dilemma::kTileTraits) {
    colors_.push_back(packed(tile.color));
  }
  for (const Rgb color : dilemma::kBeamColors) colors_.push_back(packed(color));
  for (const Rgb color : dilemma::agent_colors(world.num_agents)) {
    colors_.push_back(packed(color));
  }
  set_cells(mode, view_.size, view_.size, view_.tile_size, static_cast<int>(colors_.size()));
  agent_codes_ = canonical_codes(world.num_agents);
  if (mode != ObsMode::kRgb) {
    shuffled_ = ShuffledCells::make(view_, mode, colors_);
    return;
  }
  // Codes are seen by nobody then, and few of them are faster to paint.
  shuffled_ = ShuffledCells::make(view_, mode, use_free_codes());
  if (shuffled_ == nullptr) agent_codes_ = canonical_codes(world.num_agents);
}

std::vector<std::uint32_t> SquareObserver::use_free_codes() {
  constexpr std::uint16_t kFew = 16;
  std::vector<std::uint16_t> free;
  for (std::uint16_t code = 0; code < kFew; ++code) {
    const bool tile = code < dilemma::kNumTiles && (view_.tiles >> code & 1) != 0;
    const bool beam = code >= dilemma::kNumTiles && code < kAgentCode;
    if (!tile && !beam) free.push_back(code);
  }
  if (free.size() < agent_codes_.size()) return colors_;
  std::vector<std::uint32_t> colors(colors_.begin(), colors_.begin() + kAgentCode);
  colors.resize(kFew);
  for (std::size_t i = 0; i < agent_codes_.size(); ++i) {
    colors[free[i]] = colors_[agent_codes_[i]];
    agent_codes_[i] = free[i];
  }
  return colors;
}

std::unique_ptr<ObserverScratch> SquareObserver::make_scratch() const {
  auto scratch = std::make_unique<SquareScratch>();
  if (colors_.size() <= 256) {
    constexpr std::size_t kSlack = 2;  // what ShuffledCells reads beyond the last cell
    scratch->narrow.assign(plane_rows_ * plane_cols_ + kSlack, dilemma::kGround);
  } else {
    scratch->wide.assign(plane_rows_ * plane_cols_, dilemma::kGround);
  }
  return scratch;
}

TilePictures SquareObserver::tile_pictures() const {
  TilePictures pictures{static_cast<int>(colors_.size()), view_.tile_size, {}};
  for (const std::uint32_t color : colors_) {
    for (int pixel = 0; pixel < view_.tile_size * view_.tile_size; ++pixel) {
      for (int shift = 0; shift < 24; shift += 8) {
        pictures.pixels.push_back(static_cast<std::uint8_t>(color >> shift));
      }
    }
  }
  return pictures;
}

template <typename Code>
void SquareObserver::fill_plane(const World& world, bool show_beams,
                                const std::vector<std::uint16_t>& agents, Code* plane,
                                std::size_t stride) const {
  const auto cols = static_cast<std::size_t>(world.cols());
  const Tile* from = world.cells().data();
  Code* to = plane;
  for (int row = 0; row < world.rows(); ++row, from += cols, to += stride) {
    if constexpr (sizeof(Code) == 1) {
      copy_row(to, from, cols);
    } else {
      std::copy_n(from, cols, to);
    }
  }
  for (std::size_t i = 0; i < world.agents().size(); ++i) {
    const Agent& agent = world.agents()[i];
    if (!agent.active()) continue;
    plane[static_cast<std::size_t>(agent.row) * stride + static_cast<std::size_t>(agent.col)] =
        static_cast<Code>(agents[i]);
  }
  if (!show_beams || !has_beams(world)) return;
  const std::span<const std::uint8_t> beams = world.plane(kBeamPlane);
  CellBits::other_than(beams, 0).for_each([&](std::size_t cell) {
    const std::size_t row = rows_[cell];
    plane[cell + row * (stride - cols)] = static_cast<Code>(kBeamCode + beams[cell]);
  });
}

template <typename Code>
void SquareObserver::write(const Code* corner, std::ptrdiff_t row_step, std::ptrdiff_t col_step,
                           std::byte* obs) const {
  auto* out = reinterpret_cast<std::uint8_t*>(obs);
  const Crop<Code> crop{corner, row_step, col_step, view_.size};
  if (mode() == ObsMode::kTiles) {
    with_known_size(view_.size, [&]<int kSize>() { copy_cells<kSize>(crop, out); });
  } else if (view_.tile_size == 1) {
    with_known_size(view_.size,
                    [&]<int kSize>() { paint_cells<kSize>(crop, colors_.data(), out); });
  } else {
    paint_large_cells(crop, static_cast<std::size_t>(view_.tile_size), colors_.data(), out);
  }
}

void SquareObserver::see_agents(const World& world, std::uint8_t* visible) const {
  const std::span<const Agent> agents = world.agents();
  const std::size_t count = agents.size();
  const auto reach = static_cast<unsigned>(2 * margin_);
  for (std::size_t i = 0; i < count; ++i) {
    const Agent& self = agents[i];
    visible[i * count + i] = 0;
    for (std::size_t j = 0; j < i; ++j) {  // who is near is near to both
      const Agent& other = agents[j];
      // All four are computed: a branch for each would be guessed wrong too often.
      const int rows_near = static_cast<unsigned>(other.row - self.row + margin_) <= reach;
      const int cols_near = static_cast<unsigned>(other.col - self.col + margin_) <= reach;
      const int near = rows_near & cols_near & int{self.active()} & int{other.active()};
      visible[i * count + j] = visible[j * count + i] = static_cast<std::uint8_t>(near);
    }
  }
}

template <typename Code>
void SquareObserver::observe_as(const World& world, ObserverScratch& scratch, std::byte* obs,
                                std::uint8_t* visible) const {
  Code* plane = static_cast<SquareScratch&>(scratch).plane<Code>();
  const auto margin = static_cast<std::size_t>(margin_);
  fill_plane(world, view_.show_beams, agent_codes_, plane + margin * plane_cols_ + margin,
             plane_cols_);
  const auto cols = static_cast<std::ptrdiff_t>(plane_cols_);
  for (const Agent& agent : world.agents()) {
    if (agent.active()) {
      // The direction that is up in the view.
      const int up = view_.heading_up || agent.dir % 2 == 1 ? agent.dir : agent.dir ^ 2;
      const int right = (up + 1) % 4;
      const std::ptrdiff_t row_step = -(kRowStep[up] * cols + kColStep[up]);
      const std::ptrdiff_t col_step = kRowStep[right] * cols + kColStep[right];
      const Code* self = plane + (agent.row + margin_) * cols + agent.col + margin_;
      const Code* corner = self - margin_ * (row_step + col_step);
      if constexpr (sizeof(Code) == 1) {
        if (shuffled_ != nullptr) {
          shuffled_->write(corner, cols, up, reinterpret_cast<std::uint8_t*>(obs));
          obs += bytes_per_agent();
          continue;
        }
      }
      write(corner, row_step, col_step, obs);
    } else {
      std::memset(obs, 0, bytes_per_agent());
    }
    obs += bytes_per_agent();
  }
  see_agents(world, visible);
}

void SquareObserver::observe(const World& world, ObserverScratch& scratch, std::byte* obs,
                             std::uint8_t* visible) const {
  if (colors_.size() <= 256) {
    observe_as<std::uint8_t>(world, scratch, obs, visible);
  } else {
    observe_as<std::uint16_t>(world, scratch, obs, visible);
  }
}

std::vector<std::uint8_t> SquareObserver::render(const World& world, int side) const {
  const auto cols = static_cast<std::size_t>(world.cols());
  std::vector<std::uint16_t> plane(world.shape().num_cells());
  fill_plane(world, true, canonical_codes(world.shape().num_agents), plane.data(), cols);
  std::vector<std::uint8_t> image;
  image.reserve(plane.size() * static_cast<std::size_t>(side * side) * 3);
  for (std::size_t row = 0; row < plane.size(); row += cols) {
    for (int y = 0; y < side; ++y) {
      for (std::size_t col = 0; col < cols; ++col) {
        const int code = plane[row + col];
        for (int x = 0; x < side; ++x) {
          const bool nose =
              code >= kAgentCode &&
              is_nose(world.agents()[static_cast<std::size_t>(code - kAgentCode)].dir, x, y, side);
          const std::uint32_t color = nose ? 0 : colors_[static_cast<std::size_t>(code)];
          for (int shift = 0; shift < 24; shift += 8) {
            image.push_back(static_cast<std::uint8_t>(color >> shift));
          }
        }
      }
    }
  }
  return image;
}

}  // namespace socialgrid
