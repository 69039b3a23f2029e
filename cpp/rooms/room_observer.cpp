#include "rooms/room_observer.hpp"

#include <cstring>

#include "rooms/room_game.hpp"

namespace socialgrid {
namespace {

constexpr Rgb kJoint{28, 32, 40};  // between cells
constexpr Rgb kFloor{44, 49, 60};
constexpr Rgb kGoalColor{84, 206, 116};
constexpr Rgb kAgentRim{22, 26, 34};
constexpr Rgb kAgentColor{94, 170, 255};

Picture draw_cell(bool goal, bool agent, int side) {
  Canvas canvas(side);
  canvas.fill_rect(0, 1, 0, 1, kJoint);
  canvas.fill_rect(0.03, 0.97, 0.03, 0.97, goal ? kGoalColor : kFloor);
  if (agent) {
    canvas.fill_circle(0.5, 0.5, 0.46, kAgentRim);
    canvas.fill_circle(0.5, 0.5, 0.40, kAgentColor);
  }
  return canvas.averaged();
}

// Lays a cell's picture into an image whose rows of cells have `cols` of them.
void lay(const Picture& picture, Position cell, int cols, std::uint8_t* image) {
  const std::size_t row_bytes = static_cast<std::size_t>(picture.side) * 3;
  const std::size_t stride = row_bytes * static_cast<std::size_t>(cols);
  const std::uint8_t* from = picture.pixels.data();
  std::uint8_t* to = image + static_cast<std::size_t>(cell.row * picture.side) * stride +
                     static_cast<std::size_t>(cell.col) * row_bytes;
  for (int y = 0; y < picture.side; ++y, from += row_bytes, to += stride) {
    std::memcpy(to, from, row_bytes);
  }
}

}  // namespace

RoomObserver::RoomObserver(const WorldShape& room, int tile_size, ObsMode mode)
    : rows_(room.rows), cols_(room.cols), pictures_(draw_pictures(tile_size)) {
  if (mode == ObsMode::kVector) {
    set_numbers(rows_ > 1 ? 4 : 2);
    for (int i = 0; i < cols_; ++i) {
      shares_.push_back(static_cast<float>(i) / static_cast<float>(cols_ - 1));
    }
    return;
  }
  set_cells(mode, rows_, cols_, pictures_[kGround].side, kNumLooks);
  if (mode == ObsMode::kRgb) empty_room_ = paint_ground(pictures_[kGround]);
}

RoomObserver::Pictures RoomObserver::draw_pictures(int side) {
  return {draw_cell(false, false, side), draw_cell(true, false, side), draw_cell(false, true, side),
          draw_cell(true, true, side)};
}

std::unique_ptr<ObserverScratch> RoomObserver::make_scratch() const {
  return std::make_unique<ObserverScratch>();
}

void RoomObserver::observe(const World& world, ObserverScratch&, std::byte* obs,
                           std::uint8_t* visible) const {
  switch (mode()) {
    case ObsMode::kVector:
      write_numbers(world, obs);
      break;
    case ObsMode::kTiles:
      write_tiles(world, obs);
      break;
    case ObsMode::kRgb:
      std::memcpy(obs, empty_room_.data(), empty_room_.size());
      paint(world, pictures_, reinterpret_cast<std::uint8_t*>(obs));
  }
  *visible = 0;  // there is no other agent
}

void RoomObserver::write_numbers(const World& world, std::byte* obs) const {
  const auto share = [&](int coordinate) { return shares_[static_cast<std::size_t>(coordinate)]; };
  const Position agent = world.agents().front().position(), goal = goal_of(world);
  if (world.rows() > 1) {
    const float numbers[] = {share(agent.row), share(agent.col), share(goal.row), share(goal.col)};
    std::memcpy(obs, numbers, sizeof numbers);
  } else {
    const float numbers[] = {share(agent.col), share(goal.col)};
    std::memcpy(obs, numbers, sizeof numbers);
  }
}

void RoomObserver::write_tiles(const World& world, std::byte* obs) const {
  const Position agent = world.agents().front().position(), goal = goal_of(world);
  std::memset(obs, kGround, world.shape().num_cells());
  obs[world.index(goal)] = std::byte{kGoalTile};
  obs[world.index(agent)] = std::byte{agent == goal ? kAgentOnGoal : kAgentTile};
}

void RoomObserver::paint(const World& world, const Pictures& pictures, std::uint8_t* image) const {
  const Position agent = world.agents().front().position(), goal = goal_of(world);
  lay(pictures[kGoalTile], goal, world.cols(), image);
  lay(pictures[agent == goal ? kAgentOnGoal : kAgentTile], agent, world.cols(), image);
}

std::vector<std::uint8_t> RoomObserver::paint_ground(const Picture& ground) const {
  const auto cells = static_cast<std::size_t>(rows_) * static_cast<std::size_t>(cols_);
  std::vector<std::uint8_t> image(cells * ground.pixels.size());
  for (int row = 0; row < rows_; ++row) {
    for (int col = 0; col < cols_; ++col) lay(ground, {row, col}, cols_, image.data());
  }
  return image;
}

std::vector<std::uint8_t> RoomObserver::render(const World& world, int side) const {
  const Pictures pictures = draw_pictures(side);
  std::vector<std::uint8_t> image = paint_ground(pictures[kGround]);
  paint(world, pictures, image.data());
  return image;
}

TilePictures RoomObserver::tile_pictures() const {
  TilePictures all{kNumLooks, pictures_[kGround].side, {}};
  for (const Picture& picture : pictures_) {
    all.pixels.insert(all.pixels.end(), picture.pixels.begin(), picture.pixels.end());
  }
  return all;
}

}  // namespace socialgrid
