// Text in messages.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace socialgrid {

// What a message may quote: UTF-8 on one line. Control characters and bytes that are not UTF-8
// become escapes such as \n and \x80, and what goes beyond `limit` bytes becomes "...".
std::string printable(std::string_view text, std::size_t limit = 200);

// So that messages count and quote what users see: how many characters there are, and the whole
// character that begins at a byte. A byte that belongs to none is one by itself.
std::size_t num_characters(std::string_view text);
std::string character_at(std::string_view text, std::size_t byte);

}  // namespace socialgrid
