#include "grid/atlas.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>

#include "core/portable_math.hpp"

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

// Where a pixel comes from in a picture as an agent facing `dir` sees it: turned so that `dir` is
// up.
std::size_t turned_from(int side, int dir, int row, int col) {
  const int last = side - 1;
  const int from[4][2] = {
      {col, last - row}, {last - row, last - col}, {last - col, row}, {row, col}};
  return static_cast<std::size_t>(from[dir][0] * side + from[dir][1]);
}

Picture turned(const Picture& picture, int dir) {
  Picture out{picture.side, std::vector<std::uint8_t>(picture.pixels.size())};
  for (int row = 0; row < picture.side; ++row) {
    for (int col = 0; col < picture.side; ++col) {
      std::copy_n(&picture.pixels[3 * turned_from(picture.side, dir, row, col)], 3,
                  &out.pixels[static_cast<std::size_t>((row * picture.side + col) * 3)]);
    }
  }
  return out;
}

// What grid lines add; visible only above 10 pixels a tile.
int grid_line_brightness(int side) { return std::max(0, std::min(20, side - 10)); }

Picture draw_shadow(int side) {
  Canvas canvas(side);
  canvas.fill_rect(0, 1, 0, 1, kShadow);
  return canvas.averaged();
}

// Pictures are told apart by two sums over their pixels, each of a random factor for the place
// times a random value for the colour: two different ones of 20,000 agree with a probability below
// 2^-90. Sums can be had from how many places have which colour, without drawing.
using Fingerprint = std::array<std::uint64_t, 2>;

struct FingerprintHash {
  std::size_t operator()(const Fingerprint& print) const {
    return static_cast<std::size_t>(print[0]);
  }
};

std::uint64_t scrambled(std::uint64_t x) {  // SplitMix64
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

Fingerprint factors_of_place(std::size_t place) {
  return {scrambled(2 * place) | 1, scrambled(2 * place + 1) | 1};
}

Fingerprint values_of_color(const std::uint8_t* rgb) {
  const std::uint64_t color = rgb[0] | (std::uint64_t{rgb[1]} << 8) | (std::uint64_t{rgb[2]} << 16);
  return {scrambled(color + (1ull << 32)), scrambled(color + (2ull << 32))};
}

void add_product(Fingerprint& print, const Fingerprint& one, const Fingerprint& other) {
  for (std::size_t i = 0; i < print.size(); ++i) print[i] += one[i] * other[i];
}

Fingerprint fingerprint(const Picture& picture) {
  Fingerprint print{};
  for (std::size_t place = 0; place < picture.pixels.size() / 3; ++place) {
    add_product(print, factors_of_place(place), values_of_color(&picture.pixels[3 * place]));
  }
  return print;
}

Picture tinted(Picture mask, Rgb color) {
  const std::uint8_t channels[3] = {color.r, color.g, color.b};
  for (std::size_t i = 0; i < mask.pixels.size(); ++i) {
    mask.pixels[i] = static_cast<std::uint8_t>((mask.pixels[i] * channels[i % 3]) >> 8);
  }
  return mask;
}

// Where a white agent on a tile, as `with_grid_lines` finishes it, shows the same in whatever
// colour the agent has: pixels fall into few classes that look alike in all colours.
class AgentPattern {
 public:
  // `object` is the tile's picture, or nothing where the agent stands on empty ground.
  AgentPattern(const Picture& mask, const Picture* object) {
    const int side = mask.side;
    std::map<std::array<int, 5>, std::size_t> known;
    std::vector<std::uint16_t> class_at;
    for (std::size_t place = 0; place < mask.pixels.size() / 3; ++place) {
      const int row = static_cast<int>(place) / side, col = static_cast<int>(place) % side;
      std::array<int, 5> key = {mask.pixels[3 * place], 0, 0, 0, row == 0 || col == side - 1};
      for (std::size_t c = 0; object != nullptr && c < 3; ++c) {
        key[c + 1] = object->pixels[3 * place + c];
      }
      const auto [entry, inserted] = known.emplace(key, known.size());
      if (inserted) {
        for (int c = 0; c < 3; ++c) mask_.pixels.push_back(static_cast<std::uint8_t>(key[0]));
        for (std::size_t c = 1; c < 4; ++c) {
          object_.pixels.push_back(static_cast<std::uint8_t>(key[c]));
        }
        on_line_.push_back(key[4] != 0);
      }
      class_at.push_back(static_cast<std::uint16_t>(entry->second));
    }
    has_object_ = object != nullptr;
    brightness_ = grid_line_brightness(side);
    for (const int place : {0, side - 1, side * (side - 1), side * side - 1}) {
      corners_.push_back(class_at[static_cast<std::size_t>(place)]);
    }
    for (std::size_t view_dir = 0; view_dir < 4; ++view_dir) {
      factors_[view_dir].assign(known.size(), Fingerprint{});
      for (int row = 0; row < side; ++row) {
        for (int col = 0; col < side; ++col) {
          const auto from = turned_from(side, static_cast<int>(view_dir), row, col);
          const Fingerprint place = factors_of_place(static_cast<std::size_t>(row * side + col));
          Fingerprint& sum = factors_[view_dir][class_at[from]];
          for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += place[i];
        }
      }
    }
  }

  // Fingerprints of the four ways to see it, in a colour.
  std::array<Fingerprint, 4> in_color(Rgb color) const {
    Picture look = tinted(mask_, color);
    if (has_object_) look = blend(object_, look);
    const bool lined = std::any_of(corners_.begin(), corners_.end(), [&](std::size_t at) {
      return look.pixels[3 * at] == 0 && look.pixels[3 * at + 1] == 0 &&
             look.pixels[3 * at + 2] == 0;
    });
    std::array<Fingerprint, 4> prints{};
    for (std::size_t i = 0; i < on_line_.size(); ++i) {
      std::uint8_t* rgb = &look.pixels[3 * i];
      for (int c = 0; c < 3 && lined && on_line_[i]; ++c) {
        rgb[c] = static_cast<std::uint8_t>(std::min(255, rgb[c] + brightness_));
      }
      const Fingerprint values = values_of_color(rgb);
      for (std::size_t dir = 0; dir < 4; ++dir) add_product(prints[dir], factors_[dir][i], values);
    }
    return prints;
  }

 private:
  Picture mask_, object_;  // one pixel a class, in a row
  std::vector<bool> on_line_;
  std::vector<std::size_t> corners_;
  bool has_object_ = false;
  int brightness_ = 0;
  std::array<std::vector<Fingerprint>, 4> factors_;
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
  return prestige ? tinted(canvas.averaged(), color) : canvas.averaged();
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
  const int brightness = grid_line_brightness(side);
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
    : palette_(palette),
      side_(view.tile_size),
      // 16-byte reads at a row's last pixels stay inside the padding.
      row_stride_((static_cast<std::size_t>(side_) * 3 + 15) / 16 * 16) {
  const auto side = static_cast<std::size_t>(side_);
  const std::size_t bytes = side * side * 3;
  std::unordered_map<Fingerprint, SpriteId, FingerprintHash> known;
  const auto add = [&](const Fingerprint& print, const Source& source) {
    const auto [entry, inserted] = known.emplace(print, static_cast<SpriteId>(sources_.size()));
    if (inserted) {
      if (sources_.size() * bytes > kMaxAtlasBytes) {
        throw ConfigError(game +
                          ": the pictures of all tiles would take more than a gibibyte "
                          "at tile_size " +
                          std::to_string(side_) +
                          "; use a smaller tile_size, or plain colours instead of prestige");
      }
      sources_.push_back(source);
    }
    return entry->second;
  };
  for (int dir = 0; dir < 4; ++dir) {
    masks_[static_cast<std::size_t>(dir)] = draw_agent({255, 255, 255}, false, dir, side_);
  }

  tile_ids_.assign(4 * 256, 0);
  std::vector<Tile> walkable;
  std::vector<Picture> walkable_pictures;
  for (const Tile tile : view.tile_set) {
    const Picture plain = draw_tile(tile, side_);
    const Picture lined = with_grid_lines(plain);
    for (int dir = 0; dir < 4; ++dir) {
      tile_ids_[static_cast<std::size_t>(dir * 256 + tile)] =
          add(fingerprint(turned(lined, dir)),
              {.tile = tile, .view_dir = static_cast<std::uint8_t>(dir)});
    }
    if (!kTiles[tile].walkable) continue;
    // Tiles that look alike (the cycle tiles) share their pictures with agents on them. Empty
    // ground, always the first, shares with none: on it alone an agent is not blended.
    const auto after_empty = walkable_pictures.begin() + (walkable.empty() ? 0 : 1);
    const auto same = std::find(after_empty, walkable_pictures.end(), plain);
    walkable_[tile] = static_cast<std::uint8_t>(same - walkable_pictures.begin());
    if (same == walkable_pictures.end()) {
      walkable_pictures.push_back(plain);
      walkable.push_back(tile);
    }
  }
  shadow_ = add(fingerprint(draw_shadow(side_)), {.tile = kUnseen});
  for (int dir = 0; dir < 4; ++dir)
    tile_ids_[static_cast<std::size_t>(dir * 256 + kUnseen)] = shadow_;

  num_walkable_ = walkable.size();
  std::vector<AgentPattern> patterns;  // [walkable, direction], where agents have prestige
  if (palette.size() > 0 && palette.is_prestige(0)) {
    for (std::size_t w = 0; w < num_walkable_; ++w) {
      for (const Picture& mask : masks_) {
        patterns.emplace_back(mask, walkable[w] == kEmpty ? nullptr : &walkable_pictures[w]);
      }
    }
  }
  agent_ids_.assign(static_cast<std::size_t>(palette.size()) * num_walkable_ * 16, 0);
  std::size_t at = 0;
  for (int slot = 0; slot < palette.size(); ++slot) {
    const std::optional<Rgb> color = palette.color(slot);
    if (!color) {
      at += num_walkable_ * 16;
      continue;
    }
    for (std::size_t w = 0; w < num_walkable_; ++w) {
      std::array<std::array<Fingerprint, 4>, 4> prints;  // by the agent's direction, the viewer's
      for (std::size_t dir = 0; dir < 4; ++dir) {
        if (palette.is_prestige(slot)) {
          prints[dir] = patterns[4 * w + dir].in_color(*color);
          continue;
        }
        Picture agent = agent_alone(slot, static_cast<int>(dir));
        if (walkable[w] != kEmpty) agent = blend(walkable_pictures[w], agent);
        const Picture finished = with_grid_lines(std::move(agent));
        for (std::size_t view_dir = 0; view_dir < 4; ++view_dir) {
          prints[dir][view_dir] = fingerprint(turned(finished, static_cast<int>(view_dir)));
        }
      }
      for (std::size_t view_dir = 0; view_dir < 4; ++view_dir) {
        for (std::size_t dir = 0; dir < 4; ++dir) {
          agent_ids_[at++] =
              add(prints[dir][view_dir], {.slot = static_cast<std::int16_t>(slot),
                                          .tile = walkable[w],
                                          .view_dir = static_cast<std::uint8_t>(view_dir),
                                          .agent_dir = static_cast<std::uint8_t>(dir)});
        }
      }
    }
  }

  count_ = static_cast<int>(sources_.size());
  if (row_stride_ > 16) {
    drawn_ = std::make_unique<std::atomic<const std::uint8_t*>[]>(sources_.size());
    return;
  }
  padded_.assign(sources_.size() * side * row_stride_ + 16, 0);
  for (std::size_t id = 0; id < sources_.size(); ++id) {
    copy_rows(picture(sources_[id]), &padded_[id * side * row_stride_]);
  }
}

Picture TileAtlas::agent_alone(int slot, int dir) const {
  const Rgb color = *palette_.color(slot);
  return palette_.is_prestige(slot) ? tinted(masks_[static_cast<std::size_t>(dir)], color)
                                    : draw_agent(color, false, dir, side_);
}

Picture TileAtlas::picture(const Source& source) const {
  if (source.slot < 0) {
    if (source.tile == kUnseen) return draw_shadow(side_);
    return turned(with_grid_lines(draw_tile(source.tile, side_)), source.view_dir);
  }
  Picture agent = agent_alone(source.slot, source.agent_dir);
  if (source.tile != kEmpty) agent = blend(draw_tile(source.tile, side_), agent);
  return turned(with_grid_lines(std::move(agent)), source.view_dir);
}

void TileAtlas::copy_rows(const Picture& picture, std::uint8_t* to) const {
  const std::size_t row_bytes = static_cast<std::size_t>(side_) * 3;
  for (std::size_t row = 0; row < static_cast<std::size_t>(side_); ++row) {
    std::memcpy(to + row * row_stride_, &picture.pixels[row * row_bytes], row_bytes);
  }
}

const std::uint8_t* TileAtlas::draw(SpriteId id) const {
  auto block = std::make_unique<std::uint8_t[]>(static_cast<std::size_t>(side_) * row_stride_ + 16);
  copy_rows(picture(sources_[id]), block.get());
  const std::lock_guard lock(drawing_);
  const std::uint8_t* there = drawn_[id].load(std::memory_order_relaxed);
  if (there != nullptr) return there;  // another thread was faster
  blocks_.push_back(std::move(block));
  drawn_[id].store(blocks_.back().get(), std::memory_order_release);
  return blocks_.back().get();
}

std::vector<std::uint8_t> TileAtlas::pixels() const {
  std::vector<std::uint8_t> out;
  out.reserve(static_cast<std::size_t>(count_) * static_cast<std::size_t>(side_ * side_ * 3));
  for (const Source& source : sources_) {
    const Picture drawn = picture(source);
    out.insert(out.end(), drawn.pixels.begin(), drawn.pixels.end());
  }
  return out;
}

}  // namespace socialgrid
