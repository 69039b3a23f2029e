// Pictures of tiles: every sprite a game can show, numbered once, looked up while rendering.
//
// Where tiles are small all sprites are drawn at once. Larger ones are drawn when they are first
// shown: of the hundreds of colours that prestige has, a game shows a few at a time.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/canvas.hpp"
#include "grid/agent_palette.hpp"
#include "grid/egocentric_view.hpp"
#include "grid/grid_tile.hpp"

namespace socialgrid {

using SpriteId = std::uint32_t;

class TileAtlas {
 public:
  // Numbers all sprites of a game. Throws ConfigError if they take more than a gibibyte.
  TileAtlas(const std::string& game, const EgocentricView& view, const AgentPalette& palette);

  int size() const { return count_; }
  int side() const { return side_; }

  // Sprites as an agent facing `dir` sees them; kUnseen gives the shadow.
  const SpriteId* tiles(int dir) const { return &tile_ids_[static_cast<std::size_t>(dir) * 256]; }
  SpriteId agent(int dir, int slot, Tile under, int agent_dir) const {
    return figures(slot, under)[dir * 4 + agent_dir];
  }
  // Those of an agent on a tile, by the viewer's direction and its own: [4, 4].
  const SpriteId* figures(int slot, Tile under) const {
    return &agent_ids_[(static_cast<std::size_t>(slot) * num_walkable_ + walkable_[under]) * 16];
  }
  SpriteId shadow() const { return shadow_; }

  // Sprite rows lie `row_stride` bytes apart, with room to read 16 bytes past each row's start.
  const std::uint8_t* sprite(SpriteId id) const {
    if (!padded_.empty()) return &padded_[id * row_stride_ * static_cast<std::size_t>(side_)];
    const std::uint8_t* pixels = drawn_[id].load(std::memory_order_acquire);
    return pixels != nullptr ? pixels : draw(id);
  }
  std::size_t row_stride() const { return row_stride_; }
  // [size, side, side, 3]
  std::vector<std::uint8_t> pixels() const;

 private:
  // What a sprite shows: a tile, nothing but shadow, or an agent on a tile.
  struct Source {
    std::int16_t slot = -1;  // of an agent; -1: none
    Tile tile = kEmpty;
    std::uint8_t view_dir = 0;
    std::uint8_t agent_dir = 0;
  };

  Picture picture(const Source& source) const;
  Picture agent_alone(int slot, int dir) const;
  const std::uint8_t* draw(SpriteId id) const;
  void copy_rows(const Picture& picture, std::uint8_t* to) const;

  AgentPalette palette_;
  std::array<Picture, 4> masks_;  // a white agent, by its direction
  std::vector<Source> sources_;   // by id
  int side_;
  int count_ = 0;
  std::size_t row_stride_;
  std::size_t num_walkable_ = 0;
  std::array<std::uint8_t, 256> walkable_{};  // tile -> dense index of what an agent can stand on
  std::vector<SpriteId> tile_ids_;            // [4 view directions, 256]
  std::vector<SpriteId> agent_ids_;           // [slots, walkable, 4 view directions, 4 directions]
  SpriteId shadow_ = 0;
  std::vector<std::uint8_t> padded_;  // all sprites, where they are small
  // Otherwise each on its own, once it is drawn.
  std::unique_ptr<std::atomic<const std::uint8_t*>[]> drawn_;
  mutable std::mutex drawing_;
  mutable std::vector<std::unique_ptr<std::uint8_t[]>> blocks_;  // guarded by drawing_
};

}  // namespace socialgrid
