#include "core/text.hpp"

#include <algorithm>
#include <cstdint>

namespace socialgrid {
namespace {

// Bytes of the well-formed UTF-8 character at the start of `text`; 0 if there is none.
std::size_t character_bytes(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  const std::size_t count = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < count) return 0;
  for (std::size_t i = 1; i < count; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  // Too long a form, surrogates, beyond the last character.
  if ((lead == 0xe0 && byte(1) < 0xa0) || (lead == 0xed && byte(1) > 0x9f) ||
      (lead == 0xf0 && byte(1) < 0x90) || (lead == 0xf4 && byte(1) > 0x8f)) {
    return 0;
  }
  return count;
}

bool is_control(std::string_view character) {
  const auto first = static_cast<std::uint8_t>(character[0]);
  return character.size() == 1 ? first < 0x20 || first == 0x7f
                               : first == 0xc2 && static_cast<std::uint8_t>(character[1]) < 0xa0;
}

// Bytes of whatever is taken for the first character.
std::size_t step_bytes(std::string_view text) {
  return std::max<std::size_t>(1, character_bytes(text));
}

}  // namespace

std::string printable(std::string_view text, std::size_t limit) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  while (!text.empty()) {
    if (out.size() >= limit) return out + "...";
    const std::size_t count = character_bytes(text);
    if (count > 0 && !is_control(text.substr(0, count))) {
      out += text.substr(0, count);
    } else if (text[0] == '\n' || text[0] == '\t' || text[0] == '\r') {
      out += text[0] == '\n' ? "\\n" : text[0] == '\t' ? "\\t" : "\\r";
    } else {
      for (const char c : text.substr(0, count > 0 ? count : 1)) {
        const auto byte = static_cast<std::uint8_t>(c);
        out += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
      }
    }
    text.remove_prefix(count > 0 ? count : 1);
  }
  return out;
}

std::size_t num_characters(std::string_view text) {
  std::size_t count = 0;
  for (; !text.empty(); ++count) text.remove_prefix(step_bytes(text));
  return count;
}

std::string character_at(std::string_view text, std::size_t byte) {
  text.remove_prefix(byte);
  return std::string(text.substr(0, step_bytes(text)));
}

}  // namespace socialgrid
