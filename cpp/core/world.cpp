#include "core/world.hpp"

#include <cstring>
#include <new>

namespace socialgrid {
namespace {

std::size_t rounded_up(std::size_t bytes, std::size_t to) { return (bytes + to - 1) / to * to; }

}  // namespace

WorldShape::WorldShape(int num_rows, int num_cols, int agents, bool with_cells)
    : rows(num_rows), cols(num_cols), num_agents(agents) {
  if (with_cells) cell_bytes_ = num_cells();
  arrange();
}

void WorldShape::add_field(std::size_t bytes_each) {
  field_bytes_.push_back(bytes_each);
  arrange();
}

void WorldShape::add_value() {
  ++num_values_;
  arrange();
}

void WorldShape::add_plane() {
  ++num_planes_;
  arrange();
}

void WorldShape::arrange() {
  const auto agents = static_cast<std::size_t>(num_agents);
  std::size_t end = sizeof(WorldHeader) + agents * sizeof(Agent);
  field_at_.clear();
  for (const std::size_t each : field_bytes_) {
    field_at_.push_back(rounded_up(end, each));
    end = field_at_.back() + agents * each;
  }
  values_at_ = rounded_up(end, sizeof(std::int32_t));
  cells_at_ = values_at_ + num_values_ * sizeof(std::int32_t);
  end = cells_at_ + cell_bytes_ + num_planes_ * num_cells();
  // Rows of cells may be read 16 bytes at a time.
  bytes_ = rounded_up(end + (has_cells() ? 16 : 0), 16);
}

void World::construct() {
  std::memset(block_, 0, shape_->bytes());
  new (block_) WorldHeader{};
  for (Agent& agent : agents()) new (&agent) Agent{};
}

}  // namespace socialgrid
