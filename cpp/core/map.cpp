#include "core/map.hpp"

#include <stdexcept>

#include "core/text.hpp"

namespace socialgrid {
void check_text(const std::vector<std::string>& lines, const std::string& characters) {
  if (lines.empty() || lines[0].empty()) {
    throw std::invalid_argument("the map is empty; give one string a row, one character a cell");
  }
  if (lines.size() > kMaxSide || lines[0].size() > kMaxSide) {
    throw std::invalid_argument("the map is " + std::to_string(lines.size()) + " x " +
                                std::to_string(lines[0].size()) + "; at most " +
                                std::to_string(kMaxSide) + " x " + std::to_string(kMaxSide));
  }
  for (std::size_t row = 0; row < lines.size(); ++row) {
    const std::string& line = lines[row];
    if (num_characters(line) != num_characters(lines[0])) {
      throw std::invalid_argument(
          "line " + std::to_string(row + 1) + " has " + std::to_string(num_characters(line)) +
          " characters, line 1 has " + std::to_string(num_characters(lines[0])) +
          "; all must be equally long");
    }
    const std::size_t col = line.find_first_not_of(characters);
    if (col == std::string::npos) continue;
    std::string allowed;
    for (const char character : characters) {
      allowed += character == ' ' ? " space" : std::string(" ") + character;
    }
    throw std::invalid_argument("line " + std::to_string(row + 1) + ", column " +
                                std::to_string(col + 1) + ": unknown character '" +
                                printable(character_at(line, col)) + "'; allowed:" + allowed);
  }
}

}  // namespace socialgrid
