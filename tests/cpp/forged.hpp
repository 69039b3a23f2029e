// Snapshots that nobody wrote: their checksum is put right, so that what lies behind it is reached.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace socialgrid::testing {

// Nothing where there is no room for a checksum.
inline void sign(std::vector<std::byte>& snapshot) {
  std::uint64_t hash = 14695981039346656037ull;
  if (snapshot.size() < sizeof hash) return;
  const std::size_t end = snapshot.size() - sizeof hash;
  std::size_t i = 0;
  for (; i + 8 <= end; i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, &snapshot[i], 8);
    hash = (hash ^ word) * 1099511628211ull;
    hash ^= hash >> 32;
  }
  for (; i < end; ++i) {
    hash = (hash ^ std::to_integer<std::uint64_t>(snapshot[i])) * 1099511628211ull;
  }
  std::memcpy(&snapshot[end], &hash, sizeof hash);
}

}  // namespace socialgrid::testing
