// What the agent of the rooms sees: the whole room from above, or coordinates as numbers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/canvas.hpp"
#include "core/observer.hpp"

namespace socialgrid {

// With ObsMode::kVector the agent's and the goal's coordinates, as shares of the way from the first
// cell to the last: row, column, goal's row, goal's column; in one dimension the columns only.
class RoomObserver final : public Observer {
 public:
  RoomObserver(const WorldShape& room, int tile_size, ObsMode mode);

  std::unique_ptr<ObserverScratch> make_scratch() const override;
  void observe(const World& world, ObserverScratch& scratch, std::byte* obs,
               std::uint8_t* visible) const override;
  std::vector<std::uint8_t> render(const World& world, int side) const override;
  TilePictures tile_pictures() const override;

 private:
  // What a cell looks like; also the tile's number.
  enum Look : std::uint8_t { kGround, kGoalTile, kAgentTile, kAgentOnGoal, kNumLooks };
  using Pictures = std::array<Picture, kNumLooks>;

  static Pictures draw_pictures(int side);
  void write_numbers(const World& world, std::byte* obs) const;
  void write_tiles(const World& world, std::byte* obs) const;
  // Lays the pictures of goal and agent into a picture of the empty room.
  void paint(const World& world, const Pictures& pictures, std::uint8_t* image) const;
  std::vector<std::uint8_t> paint_ground(const Picture& ground) const;

  int rows_, cols_;
  std::vector<float> shares_;  // of each coordinate
  Pictures pictures_;
  std::vector<std::uint8_t> empty_room_;  // the rgb view without goal and agent
};

}  // namespace socialgrid
