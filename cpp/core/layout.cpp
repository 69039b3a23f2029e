#include "core/layout.hpp"

namespace socialgrid {

std::string place_text(int row, int col) {
  std::string text = "(";
  text += std::to_string(row) + ", " + std::to_string(col) + ")";
  return text;
}

}  // namespace socialgrid
