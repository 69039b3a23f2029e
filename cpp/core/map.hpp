// Text maps: one string a row, one character a cell.
#pragma once

#include <string>
#include <vector>

namespace socialgrid {

inline constexpr int kMaxSide = 255;  // rows and columns of a grid

// Throws std::invalid_argument unless the lines are a rectangle of at most kMaxSide a side whose
// characters are all among `characters`; names line and column (from 1) of what is wrong.
void check_text(const std::vector<std::string>& lines, const std::string& characters);

}  // namespace socialgrid
