// A readable description of one environment's state.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace socialgrid {

// A layout that cannot be; the message says where and why.
class LayoutError : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

struct Layout {
  std::vector<std::string> cells;              // one character a cell, one string a row
  std::vector<std::pair<int, int>> agent_pos;  // (row, col); (-1, -1) while waiting to enter
  std::vector<int> agent_dir;                  // 0 right, 1 down, 2 left, 3 up
  std::vector<bool> agent_active;              // empty: all active
  std::vector<std::optional<std::string>> agent_carrying;  // empty: nobody carries anything
  std::vector<double> agent_prestige;                      // empty: 0
  std::vector<std::optional<int>> agent_last_tile;         // empty: none
  int step = 0;                                            // steps since the episode began
  std::map<std::pair<int, int>, std::string> details;      // "red locked door" at (row, col)
};

// Throws LayoutError unless every field has one entry for each agent, or none where it may be
// empty.
void check_one_entry_per_agent(const Layout& layout, std::size_t num_agents);
// Throws LayoutError if a layout gives what only the MiniGrid-style games have: things carried,
// prestige, last tiles, details.
void refuse_grid_details(const Layout& layout, const std::string& game);

// "(row, col)", for messages.
std::string place_text(int row, int col);

}  // namespace socialgrid
