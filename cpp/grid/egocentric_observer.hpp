// What agents of the MiniGrid-style games see: crop, occlusion, then pixels or tile numbers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/game.hpp"
#include "grid/atlas.hpp"
#include "grid/shuffled_tiles.hpp"
#include "grid/visibility.hpp"

namespace socialgrid {

inline constexpr std::size_t kLanes = 4;  // views flooded at once

// Working memory of one thread.
struct EgocentricScratch final : ObserverScratch {
  std::vector<Tile> plane;  // the grid with an empty margin, and 16 bytes of slack at both ends
  std::vector<int> slots;   // each agent's palette slot
  std::vector<std::uint8_t> drawn;  // each agent: its figure is the one drawn on its cell
  // Of each agent that is shown, if they are few: TileAtlas::figures.
  std::vector<const SpriteId*> figures;
  // Of crowds: 1 + the first agent on every cell of the plane, 0: nobody; and 1 + the next one.
  std::vector<std::uint8_t> first_there;
  std::vector<std::uint8_t> next_there;
  // Of up to kLanes agents: the tiles around them, turned, and what they see of them.
  std::array<std::array<std::uint64_t, 8>, kLanes> narrow_tiles;
  std::array<std::array<Tile, kMaxViewSize * kMaxViewSize>, kLanes> tiles;
  std::array<RowMasks<kLanes>, kMaxViewSize> transparent;
  std::array<RowMasks<kLanes>, kMaxViewSize> seen;
};

class EgocentricObserver final : public Observer {
 public:
  // The game and its view have to live as long.
  EgocentricObserver(const GameSpec& game, const EgocentricView& view, ObsMode mode);

  std::unique_ptr<ObserverScratch> make_scratch() const override;
  void observe(const World& world, ObserverScratch& scratch, std::byte* obs,
               std::uint8_t* visible) const override;
  std::vector<std::uint8_t> render(const World& world, int side) const override;
  TilePictures tile_pictures() const override;

 private:
  void fill_plane(const World& world, EgocentricScratch& scratch) const;
  // Where everybody is, and who is drawn.
  void find_agents(const World& world, EgocentricScratch& scratch) const;
  void forget_agents(const World& world, EgocentricScratch& scratch) const;
  std::size_t place_in_plane(const Agent& agent) const {
    return kSlack +
           static_cast<std::size_t>((agent.row + margin_) * plane_cols_ + agent.col + margin_);
  }
  bool is_crowd() const { return shape_of_world_.num_agents > kMostInPairs; }
  void write_views(const World& world, EgocentricScratch& scratch, std::byte* obs,
                   std::uint8_t* visible) const;
  // kSize is the view's size where it is known to the compiler, 0 elsewhere.
  template <int kSize>
  void observe_agents(const World& world, EgocentricScratch& scratch, std::byte* obs,
                      std::uint8_t* visible) const;
  template <int kSize, typename Sees, typename Lay>
  void lay_agents(const World& world, const EgocentricScratch& scratch, std::size_t viewer,
                  const Sees& sees, const Lay& lay, std::uint8_t* visible) const;
  // The same as observe_agents by shuffled_, agent by agent.
  void observe_shuffled(const World& world, const EgocentricScratch& scratch, std::byte* obs,
                        std::uint8_t* visible) const;
  template <int kSize>
  void crop(const Agent& agent, EgocentricScratch& scratch, std::size_t lane) const;
  template <int kSize>
  void compose(const World& world, const EgocentricScratch& scratch, std::size_t viewer,
               std::size_t lane, SpriteId* sprites, std::uint8_t* visible) const;
  template <int kSize>
  void write(const SpriteId* sprites, std::byte* obs) const;

  static constexpr std::size_t kSlack = 16;  // bytes at both ends of a plane, moved at once
  static constexpr int kMostInPairs = 12;    // agents; more are looked up where they stand

  const WorldShape& shape_of_world_;
  const EgocentricView& view_;
  AgentPalette palette_;
  TileAtlas atlas_;
  int margin_;
  int plane_cols_;
  std::unique_ptr<const ShuffledTiles> shuffled_;  // nothing where it does not apply
  // Where a view of at most eight cells a side lies in the grid, by the viewer's direction.
  struct Turned {
    Turned() = default;
    Turned(const EgocentricView& view, int dir);
    int top = 0, left = 0;  // of its square, from the viewer's cell
    // By row * 8 + col in that square: the same in the view.
    std::array<std::uint8_t, 64> cells{};
  };
  std::array<Turned, 4> turned_;  // with shuffled_
};

}  // namespace socialgrid
