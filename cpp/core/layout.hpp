// A readable description of one environment's state.
#pragma once

#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "core/config.hpp"

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
  // What the game's agents have besides (GameSpec::agent_fields), by name, a value for each agent;
  // absent or empty: what it is when an episode begins.
  std::map<std::string, Value::List> agent_fields;
  int step = 0;                                        // steps since the episode began
  std::map<std::pair<int, int>, std::string> details;  // "red locked door" at (row, col)
};

// "(row, col)", for messages.
std::string place_text(int row, int col);

}  // namespace socialgrid
