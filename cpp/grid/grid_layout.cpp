// What the MiniGrid-style games know of layouts.
#include <algorithm>
#include <stdexcept>

#include "core/text.hpp"
#include "grid/grid_game.hpp"

namespace socialgrid {

bool GridGame::in_tile_set(Tile tile) const {
  return std::find(view_.tile_set.begin(), view_.tile_set.end(), tile) != view_.tile_set.end();
}

void GridGame::write_details(const World& world, Layout& layout) const {
  for (int row = 0; row < world.rows(); ++row) {
    for (int col = 0; col < world.cols(); ++col) {
      const Tile tile = world.at({row, col});
      if (is_object(tile)) layout.details[{row, col}] = describe_tile(tile);
    }
  }
}

Tile GridGame::tile_for_layout(const Layout& layout, int row, int col) const {
  const char glyph = layout.cells[static_cast<std::size_t>(row)][static_cast<std::size_t>(col)];
  Tile tile = *tile_of_glyph(glyph);
  const std::string where = place_text(row, col);
  if (const auto detail = layout.details.find({row, col}); detail != layout.details.end()) {
    const std::optional<Tile> described = parse_tile_description(detail->second);
    if (!described || kTiles[*described].glyph != glyph) {
      throw LayoutError("details at " + where + ": '" + printable(detail->second) +
                        "' does not describe '" + std::string(1, glyph) +
                        "'; write for example 'red locked door' (D), 'blue key' (K)");
    }
    tile = *described;
  }
  if (!in_tile_set(tile)) {
    const bool cycle = kTiles[tile].kind == TileKind::kCycle;
    throw LayoutError("cells at " + where + ": '" + std::string(1, glyph) + "' cannot occur in " +
                      spec_.name +
                      (cycle ? " with " + std::to_string(setup_.num_cycle_tiles) + " cycle tiles"
                             : "; use a game or a map that has such objects"));
  }
  return tile;
}

void GridGame::read_cells(World& next, const Layout& layout) const {
  TextMap map;
  try {
    map = parse_map(layout.cells, false);
  } catch (const std::invalid_argument& error) {
    throw LayoutError(std::string("cells: ") + error.what());
  }
  if (map.rows != next.rows() || map.cols != next.cols()) {
    throw LayoutError("cells: the layout is " + std::to_string(map.rows) + " x " +
                      std::to_string(map.cols) + ", this environment " +
                      std::to_string(next.rows()) + " x " + std::to_string(next.cols()));
  }
  bool door_seen = false;
  for (int row = 0; row < map.rows; ++row) {
    for (int col = 0; col < map.cols; ++col) {
      const Tile tile = tile_for_layout(layout, row, col);
      next.at({row, col}) = tile;
      if (kTiles[tile].kind == TileKind::kDoor && !door_seen && map_.rows == 0) {
        door_seen = true;
        next.value(kSpawnCols) = col;
      }
    }
  }
  for (const auto& [where, text] : layout.details) {
    if (!next.contains({where.first, where.second})) {
      throw LayoutError("details at " + place_text(where.first, where.second) + " ('" +
                        printable(text) + "') is outside the grid");
    }
  }
}

void GridGame::read_agents(World& next, const Layout& layout) const {
  for (std::size_t a = 0; a < next.agents().size(); ++a) {
    Agent& agent = next.agents()[a];
    const bool delayed = spawn_delay_[a] > 0 && spawn_delay_[a] >= layout.step;
    if (!agent.active() && delayed) agent.status = AgentStatus::kWaiting;
    if (agent.shown()) next.field(kArrival)[a] = next.value(kArrivals)++;
  }
}

void GridGame::check(const World& world, bool) const {
  for (const Tile tile : world.cells()) {
    if (!in_tile_set(tile)) throw std::invalid_argument("a cell holds an unknown tile");
  }
  for (std::size_t a = 0; a < world.agents().size(); ++a) {
    const Agent& agent = world.agents()[a];
    if (!agent.active()) continue;
    const std::string who =
        "agent " + std::to_string(a) + " at " + place_text(agent.row, agent.col);
    const Tile tile = world.at(agent.position());
    if (!kTiles[tile].walkable) {
      throw std::invalid_argument(who + " stands in a " + describe_tile(tile));
    }
    const bool shared = std::any_of(
        world.agents().begin(), world.agents().begin() + static_cast<std::ptrdiff_t>(a),
        [&](const Agent& other) { return other.active() && other.position() == agent.position(); });
    if (shared && !ghost_mode_) {
      throw std::invalid_argument(who + " stands where another agent is, and ghost_mode is False");
    }
  }
}

}  // namespace socialgrid
