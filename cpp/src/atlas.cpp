#include "socialgrid/atlas.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <unordered_map>

#include "portable_math.hpp"

namespace socialgrid {
namespace {

constexpr std::size_t kMaxAtlasBytes = std::size_t{1} << 30;
constexpr Rgb kBlack{0, 0, 0};

// Inside the triangle (0.12, 0.19) (0.87, 0.50) (0.12, 0.81), by barycentric coordinates.
bool in_agent_triangle(double x, double y) {
  constexpr double ax = 0.12, ay = 0.19, bx = 0.87, by = 0.50, cx = 0.12, cy = 0.81;
  constexpr double v0x = cx - ax, v0y = cy - ay, v1x = bx - ax, v1y = by - ay;
  const double v2x = x - ax, v2y = y - ay;
  const double dot00 = v0x * v0x + v0y * v0y, dot01 = v0x * v1x + v0y * v1y;
  const double dot11 = v1x * v1x + v1y * v1y;
  const double dot02 = v0x * v2x + v0y * v2y, dot12 = v1x * v2x + v1y * v2y;
  const double scale = 1.0 / (dot00 * dot11 - dot01 * dot01);
  const double u = (dot11 * dot02 - dot01 * dot12) * scale;
  const double v = (dot00 * dot12 - dot01 * dot02) * scale;
  return u >= 0 && v >= 0 && u + v < 1;
}

Rgb dimmed(Rgb color) {
  const auto dim = [](std::uint8_t channel) { return static_cast<std::uint8_t>(0.45 * channel); };
  return {dim(color.r), dim(color.g), dim(color.b)};
}

void paint_door(Canvas& canvas, DoorState state, Rgb color) {
  switch (state) {
    case DoorState::kOpen:
      canvas.fill_rect(0.88, 1.00, 0.00, 1.00, color);
      canvas.fill_rect(0.92, 0.96, 0.04, 0.96, kBlack);
      return;
    case DoorState::kClosed:
      canvas.fill_rect(0.00, 1.00, 0.00, 1.00, color);
      canvas.fill_rect(0.04, 0.96, 0.04, 0.96, kBlack);
      canvas.fill_rect(0.08, 0.92, 0.08, 0.92, color);
      canvas.fill_rect(0.12, 0.88, 0.12, 0.88, kBlack);
      canvas.fill_circle(0.75, 0.50, 0.08, color);
      return;
    case DoorState::kLocked:
      canvas.fill_rect(0.00, 1.00, 0.00, 1.00, color);
      canvas.fill_rect(0.06, 0.94, 0.06, 0.94, dimmed(color));
      canvas.fill_rect(0.52, 0.75, 0.50, 0.56, color);
      return;
  }
}

void paint_key(Canvas& canvas, Rgb color) {
  canvas.fill_rect(0.50, 0.63, 0.31, 0.88, color);
  canvas.fill_rect(0.38, 0.50, 0.59, 0.66, color);
  canvas.fill_rect(0.38, 0.50, 0.81, 0.88, color);
  canvas.fill_circle(0.56, 0.28, 0.190, color);
  canvas.fill_circle(0.56, 0.28, 0.064, kBlack);
}

void paint_box(Canvas& canvas, Rgb color) {
  canvas.fill_rect(0.12, 0.88, 0.12, 0.88, color);
  canvas.fill_rect(0.18, 0.82, 0.18, 0.82, kBlack);
  canvas.fill_rect(0.16, 0.84, 0.47, 0.53, color);
}

// The picture as an agent facing `dir` sees it: turned so that `dir` is up.
Picture turned(const Picture& picture, int dir) {
  const int last = picture.side - 1;
  Picture out{picture.side, std::vector<std::uint8_t>(picture.pixels.size())};
  for (int row = 0; row < picture.side; ++row) {
    for (int col = 0; col < picture.side; ++col) {
      const int from[4][2] = {
          {col, last - row}, {last - row, last - col}, {last - col, row}, {row, col}};
      const int at = (from[dir][0] * picture.side + from[dir][1]) * 3;
      std::copy_n(&picture.pixels[static_cast<std::size_t>(at)], 3,
                  &out.pixels[static_cast<std::size_t>((row * picture.side + col) * 3)]);
    }
  }
  return out;
}

struct PictureHash {
  std::size_t operator()(const Picture& picture) const {
    std::uint64_t hash = 14695981039346656037ull;  // FNV-1a
    for (const std::uint8_t byte : picture.pixels) hash = (hash ^ byte) * 1099511628211ull;
    return static_cast<std::size_t>(hash);
  }
};

}  // namespace

Picture draw_tile(Tile tile, int side) {
  const TileTraits& traits = kTiles[tile];
  const Rgb color = kColorValues[traits.color];
  Canvas canvas(side);
  const auto fill_all = [&](Rgb fill) { canvas.fill_rect(0, 1, 0, 1, fill); };
  switch (traits.kind) {
    case TileKind::kEmpty:
      break;
    case TileKind::kWall:
      fill_all(kWallColor);
      break;
    case TileKind::kGoal:
      fill_all({0, 255, 0});
      break;
    case TileKind::kCycle:
      fill_all({255, 255, 0});
      break;
    case TileKind::kLava:
      fill_all({255, 128, 0});
      break;
    case TileKind::kDoor:
      paint_door(canvas, traits.door, color);
      break;
    case TileKind::kKey:
      paint_key(canvas, color);
      break;
    case TileKind::kBall:
      canvas.fill_circle(0.5, 0.5, 0.31, color);
      break;
    case TileKind::kBox:
      paint_box(canvas, color);
      break;
  }
  return canvas.averaged();
}

Picture draw_agent(Rgb color, bool prestige, int dir, int side) {
  Canvas canvas(side);
  canvas.fill(
      [dir](double x, double y) {
        // Turn the sample back by dir quarter turns about the centre.
        for (int i = 0; i < dir; ++i) {
          const double turned_x = y;
          y = 1.0 - x;
          x = turned_x;
        }
        return in_agent_triangle(x, y);
      },
      prestige ? Rgb{255, 255, 255} : color);
  Picture picture = canvas.averaged();
  if (prestige) {
    const std::uint8_t channels[3] = {color.r, color.g, color.b};
    for (std::size_t i = 0; i < picture.pixels.size(); ++i) {
      picture.pixels[i] = static_cast<std::uint8_t>((picture.pixels[i] * channels[i % 3]) >> 8);
    }
  }
  return picture;
}

Picture blend(const Picture& object, const Picture& agent) {
  const std::size_t count = object.pixels.size() / 3;
  const auto weight = [&](std::size_t pixel) {
    return agent.pixels[3 * pixel] + agent.pixels[3 * pixel + 1] + agent.pixels[3 * pixel + 2];
  };
  int largest = 0;
  for (std::size_t pixel = 0; pixel < count; ++pixel) largest = std::max(largest, weight(pixel));
  if (largest == 0) return object;
  Picture out = object;
  for (std::size_t i = 0; i < out.pixels.size(); ++i) {
    const int a = weight(i / 3);
    out.pixels[i] = static_cast<std::uint8_t>(
        (object.pixels[i] * (largest - a) + agent.pixels[i] * a) / largest);
  }
  return out;
}

Picture with_grid_lines(Picture picture) {
  const int side = picture.side;
  const int brightness = std::max(0, std::min(20, side - 10));
  const auto pixel = [&](int row, int col) {
    return &picture.pixels[static_cast<std::size_t>((row * side + col) * 3)];
  };
  const auto is_black = [&](const std::uint8_t* p) { return p[0] == 0 && p[1] == 0 && p[2] == 0; };
  if (!is_black(pixel(0, 0)) && !is_black(pixel(0, side - 1)) && !is_black(pixel(side - 1, 0)) &&
      !is_black(pixel(side - 1, side - 1))) {
    return picture;
  }
  for (int row = 0; row < side; ++row) {
    for (int col = 0; col < side; ++col) {
      if (row != 0 && col != side - 1) continue;
      for (int channel = 0; channel < 3; ++channel) {
        std::uint8_t& value = pixel(row, col)[channel];
        value = static_cast<std::uint8_t>(std::min(255, value + brightness));
      }
    }
  }
  return picture;
}

AgentPalette::AgentPalette(const AgentLook& look) : look_(look) {
  if (std::find(look.colors.begin(), look.colors.end(), kPrestigeColor) != look.colors.end()) {
    // int(255 (1 - s)) and int(255 s) add up to 254 or 255.
    num_prestige_ = 512;
    for (int slot = 0; slot < num_prestige_; ++slot) {
      const int blue = slot / 2;
      const int red = (slot % 2 == 1 ? 255 : 254) - blue;
      colors_.push_back(red < 0 ? std::nullopt
                                : std::optional(Rgb{static_cast<std::uint8_t>(red), 0,
                                                    static_cast<std::uint8_t>(blue)}));
    }
  }
  std::array<int, kNumColors> slots{};
  slots.fill(-1);
  for (const int color : look.colors) {
    if (color == kPrestigeColor) {
      fixed_slot_.push_back(-1);
      continue;
    }
    int& slot = slots[static_cast<std::size_t>(color)];
    if (slot < 0) {
      slot = size();
      colors_.emplace_back(kColorValues[static_cast<std::size_t>(color)]);
    }
    fixed_slot_.push_back(slot);
  }
}

int AgentPalette::prestige_slot(double prestige) const {
  const double scaled = prestige / look_.scale;
  const double share =
      look_.mapping == PrestigeMapping::kTanh ? portable_tanh(scaled) : portable_sigmoid(scaled);
  const int blue = static_cast<int>(255.0 * share);
  const int red = static_cast<int>(255.0 * (1.0 - share));
  return 2 * blue + (red + blue == 255 ? 1 : 0);
}

TileAtlas::TileAtlas(const std::string& game, const EgocentricView& view,
                     const AgentPalette& palette)
    : side_(view.tile_size),
      // 16-byte reads at a row's last pixels stay inside the padding.
      row_stride_((static_cast<std::size_t>(side_) * 3 + 15) / 16 * 16) {
  std::unordered_map<Picture, SpriteId, PictureHash> known;
  std::vector<const Picture*> pictures;
  const auto add = [&](Picture picture) {
    const auto [entry, inserted] = known.emplace(std::move(picture), SpriteId{0});
    if (inserted) {
      if (pictures.size() * entry->first.pixels.size() > kMaxAtlasBytes) {
        throw ConfigError(game +
                          ": the pictures of all tiles would take more than a gibibyte "
                          "at tile_size " +
                          std::to_string(side_) +
                          "; use a smaller tile_size, or plain colours instead of prestige");
      }
      entry->second = static_cast<SpriteId>(pictures.size());
      pictures.push_back(&entry->first);
    }
    return entry->second;
  };

  tile_ids_.assign(4 * 256, 0);
  std::vector<Tile> walkable;
  std::vector<Picture> walkable_pictures;
  for (const Tile tile : view.tile_set) {
    const Picture picture = draw_tile(tile, side_);
    const Picture lined = with_grid_lines(picture);
    for (int dir = 0; dir < 4; ++dir) {
      tile_ids_[static_cast<std::size_t>(dir * 256 + tile)] = add(turned(lined, dir));
    }
    if (!kTiles[tile].walkable) continue;
    // Tiles that look alike (the cycle tiles) share their pictures with agents on them. Empty
    // ground, always the first, shares with none: on it alone an agent is not blended.
    const auto after_empty = walkable_pictures.begin() + (walkable.empty() ? 0 : 1);
    const auto same = std::find(after_empty, walkable_pictures.end(), picture);
    walkable_[tile] = static_cast<std::uint8_t>(same - walkable_pictures.begin());
    if (same == walkable_pictures.end()) {
      walkable_pictures.push_back(picture);
      walkable.push_back(tile);
    }
  }
  Canvas shadow(side_);
  shadow.fill_rect(0, 1, 0, 1, kShadow);
  shadow_ = add(shadow.averaged());
  for (int dir = 0; dir < 4; ++dir)
    tile_ids_[static_cast<std::size_t>(dir * 256 + kUnseen)] = shadow_;

  num_walkable_ = walkable.size();
  agent_ids_.assign(static_cast<std::size_t>(palette.size()) * num_walkable_ * 16, 0);
  std::size_t at = 0;
  for (int slot = 0; slot < palette.size(); ++slot) {
    const std::optional<Rgb> color = palette.color(slot);
    if (!color) {
      at += num_walkable_ * 16;
      continue;
    }
    std::array<Picture, 4> agents;
    for (int dir = 0; dir < 4; ++dir) {
      agents[static_cast<std::size_t>(dir)] =
          draw_agent(*color, palette.is_prestige(slot), dir, side_);
    }
    for (std::size_t w = 0; w < num_walkable_; ++w) {
      std::array<Picture, 4> finished;
      for (std::size_t dir = 0; dir < 4; ++dir) {
        finished[dir] = with_grid_lines(
            walkable[w] == kEmpty ? agents[dir] : blend(walkable_pictures[w], agents[dir]));
      }
      for (int view_dir = 0; view_dir < 4; ++view_dir) {
        for (const Picture& picture : finished) agent_ids_[at++] = add(turned(picture, view_dir));
      }
    }
  }

  count_ = static_cast<int>(pictures.size());
  const std::size_t row_bytes = static_cast<std::size_t>(side_) * 3;
  const auto side = static_cast<std::size_t>(side_);
  padded_.assign(pictures.size() * side * row_stride_ + 16, 0);
  for (std::size_t id = 0; id < pictures.size(); ++id) {
    for (std::size_t row = 0; row < side; ++row) {
      std::memcpy(&padded_[(id * side + row) * row_stride_], &pictures[id]->pixels[row * row_bytes],
                  row_bytes);
    }
  }
}

std::vector<std::uint8_t> TileAtlas::pixels() const {
  const std::size_t row_bytes = static_cast<std::size_t>(side_) * 3;
  const std::size_t rows = static_cast<std::size_t>(count_) * static_cast<std::size_t>(side_);
  std::vector<std::uint8_t> out(rows * row_bytes);
  for (std::size_t row = 0; row < rows; ++row) {
    std::memcpy(&out[row * row_bytes], &padded_[row * row_stride_], row_bytes);
  }
  return out;
}

}  // namespace socialgrid
