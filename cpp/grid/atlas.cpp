#include "grid/atlas.hpp"

#include <algorithm>
#include <cstring>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>

#include "core/config.hpp"
#include "grid/tile_pictures.hpp"

namespace socialgrid {
namespace {

constexpr std::size_t kMaxAtlasBytes = std::size_t{1} << 30;

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
