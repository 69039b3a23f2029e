// Copying short rows, of which a call of the library's costs more than the bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace socialgrid {

// As std::memcpy(to, from, bytes).
inline void copy_row(std::uint8_t* to, const std::uint8_t* from, std::size_t bytes) {
  constexpr std::size_t kBlock = 16;
  if (bytes < kBlock) {
    std::memcpy(to, from, bytes);
    return;
  }
  const std::size_t last = bytes - kBlock;  // overlaps the block before it
  for (std::size_t at = 0; at < last; at += kBlock) std::memcpy(to + at, from + at, kBlock);
  std::memcpy(to + last, from + last, kBlock);
}

}  // namespace socialgrid
