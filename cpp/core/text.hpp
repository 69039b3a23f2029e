// Text in messages.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace socialgrid {

// What a message may quote: UTF-8 on one line. Control characters and bytes that are not UTF-8
// become escapes such as \n and \x80, and what goes beyond `limit` bytes becomes "...".
std::string printable(std::string_view text, std::size_t limit = 200);

}  // namespace socialgrid
