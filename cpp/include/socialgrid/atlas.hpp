// Pictures of tiles: every sprite a game can show, drawn once, looked up while rendering.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "socialgrid/canvas.hpp"
#include "socialgrid/game.hpp"

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
  // Draws all sprites of a game. Throws ConfigError if they take more than a gibibyte.
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
    return &padded_[id * row_stride_ * static_cast<std::size_t>(side_)];
  }
  std::size_t row_stride() const { return row_stride_; }
  // [size, side, side, 3]
  std::vector<std::uint8_t> pixels() const;

 private:
  int side_;
  int count_ = 0;
  std::size_t row_stride_;
  std::size_t num_walkable_ = 0;
  std::array<std::uint8_t, 256> walkable_{};  // tile -> dense index of what an agent can stand on
  std::vector<SpriteId> tile_ids_;            // [4 view directions, 256]
  std::vector<SpriteId> agent_ids_;           // [slots, walkable, 4 view directions, 4 directions]
  SpriteId shadow_ = 0;
  std::vector<std::uint8_t> padded_;
};

}  // namespace socialgrid
