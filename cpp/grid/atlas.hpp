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
#include <optional>
#include <string>
#include <vector>

#include "core/canvas.hpp"
#include "core/game.hpp"

namespace socialgrid {

// A tile without agents, and an agent on nothing, as the world sees them (up is up).
Picture draw_tile(Tile tile, int side);
Picture draw_agent(Rgb color, bool prestige, int dir, int side);
// An agent's picture laid over a tile's.
Picture blend(const Picture& object, const Picture& agent);
// Adds grid lines if a corner is black (visible only above 10 pixels a tile).
Picture with_grid_lines(Picture picture);

// Colours an agent can have, as small numbers: the prestige colours first where a game has them.
class AgentPalette {
 public:
  explicit AgentPalette(const AgentLook& look);
  int size() const { return static_cast<int>(colors_.size()); }
  int slot(const Agent& agent, std::size_t index) const {
    return fixed_slot_[index] >= 0 ? fixed_slot_[index] : prestige_slot(agent.prestige);
  }
  // The colour of a slot; nothing for slots that never occur.
  std::optional<Rgb> color(int slot) const { return colors_[static_cast<std::size_t>(slot)]; }
  bool is_prestige(int slot) const { return slot < num_prestige_; }

 private:
  int prestige_slot(double prestige) const;

  AgentLook look_;
  int num_prestige_ = 0;
  std::vector<std::optional<Rgb>> colors_;
  std::vector<int> fixed_slot_;  // per agent; -1: prestige
};

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
    const auto at = (static_cast<std::size_t>(slot) * num_walkable_ + walkable_[under]) * 16;
    return agent_ids_[at + static_cast<std::size_t>(dir * 4 + agent_dir)];
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
