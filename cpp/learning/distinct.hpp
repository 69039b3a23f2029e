// Which rows of bytes are the same.
#pragma once

#include <cstdint>

namespace socialgrid::learning {

// Numbers distinct rows in the order in which they come.
//   rows: `count` rows of `bytes` bytes each.
//   limit: of distinct rows; with more, the rest is left alone.
//   number: of every row, written.
//   first: the first row of every number, written; space for `limit`.
// Returns how many there are, or limit + 1 where there are more than that.
std::int64_t distinct(const std::uint8_t* rows, std::int64_t count, std::int64_t bytes,
                      std::int64_t limit, std::uint16_t* number, std::int64_t* first);
std::int64_t distinct(const std::uint8_t* rows, std::int64_t count, std::int64_t bytes,
                      std::int64_t limit, std::int64_t* number, std::int64_t* first);

}  // namespace socialgrid::learning
