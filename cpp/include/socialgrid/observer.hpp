// What agents see: crop, occlusion and pixels (or tile numbers), written into the caller's memory.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "socialgrid/atlas.hpp"
#include "socialgrid/game.hpp"
#include "socialgrid/visibility.hpp"

namespace socialgrid {

enum class ObsMode { kRgb, kTiles };
enum class ObsType { kUint8, kUint16 };

inline constexpr std::size_t kLanes = 4;  // views flooded at once

// Working memory of one thread.
struct ObserverScratch {
  std::vector<Tile> plane;  // the grid with an empty margin, and 16 bytes of slack at both ends
  std::vector<int> slots;   // each agent's palette slot
  std::vector<std::uint8_t> drawn;  // each agent: its figure is the one drawn on its cell
  // Of up to kLanes agents: the tiles around them, turned, and what they see of them.
  std::array<std::array<std::uint64_t, 8>, kLanes> narrow_tiles;
  std::array<std::array<Tile, kMaxViewSize * kMaxViewSize>, kLanes> tiles;
  std::array<RowMasks<kLanes>, kMaxViewSize> transparent;
  std::array<RowMasks<kLanes>, kMaxViewSize> seen;
};

class Observer {
 public:
  Observer(std::shared_ptr<const Game> game, ObsMode mode);

  // Shape and type of one agent's observation.
  const std::vector<std::size_t>& shape() const { return shape_; }
  ObsType type() const { return type_; }
  std::size_t bytes_per_agent() const { return bytes_; }
  const TileAtlas& atlas() const { return atlas_; }

  ObserverScratch make_scratch() const;

  // Views of all agents: obs [A, ...], and visible [A, A]: visible[i, j] = 1 if agent i sees the
  // cell of agent j.
  void observe(const World& world, ObserverScratch& scratch, std::byte* obs,
               std::uint8_t* visible) const;

  // The whole grid with its agents, unshadowed: [rows * side, cols * side, 3].
  std::vector<std::uint8_t> render(const World& world, int side) const;

 private:
  void fill_plane(const World& world, ObserverScratch& scratch) const;
  // kSize is the view's size where it is known to the compiler, 0 elsewhere.
  template <int kSize>
  void observe_agents(const World& world, ObserverScratch& scratch, std::byte* obs,
                      std::uint8_t* visible) const;
  template <int kSize>
  void crop(const Agent& agent, ObserverScratch& scratch, std::size_t lane) const;
  template <int kSize>
  void compose(const World& world, const ObserverScratch& scratch, std::size_t viewer,
               std::size_t lane, SpriteId* sprites, std::uint8_t* visible) const;
  template <int kSize>
  void write(const SpriteId* sprites, std::byte* obs) const;

  std::shared_ptr<const Game> game_;
  const GameSpec& spec_;
  ObsMode mode_;
  AgentPalette palette_;
  TileAtlas atlas_;
  int margin_;
  int plane_cols_;
  std::vector<std::size_t> shape_;
  ObsType type_ = ObsType::kUint8;
  std::size_t bytes_ = 0;
};

}  // namespace socialgrid
