// What agents see: crop, occlusion and pixels (or tile numbers), written into the caller's memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "socialgrid/atlas.hpp"
#include "socialgrid/game.hpp"

namespace socialgrid {

enum class ObsMode { kRgb, kTiles };
enum class ObsType { kUint8, kUint16 };

// Working memory of one thread.
class ObserverScratch {
 public:
  std::vector<Tile> plane;                // the grid with a margin
  std::vector<int> slots;                 // each agent's palette slot
  std::vector<std::uint8_t> drawn;        // each agent: first on its cell
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
  void observe_agent(const World& world, const ObserverScratch& scratch, std::size_t viewer,
                     std::byte* obs, std::uint8_t* visible) const;
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
