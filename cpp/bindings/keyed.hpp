// Random numbers that nothing can disturb: see AgentDraws in models/draws.py.
#pragma once

#include <cstdint>

namespace socialgrid::bindings {

// Numbers for environments `first` to `first + count`, `places` for each.
struct Keyed {
  std::uint32_t first = 0;
  std::int64_t count = 1;
  std::uint32_t kind = 0;
  std::int64_t places = 1;
};

// Writes an agent's numbers [count, places] of a step; returns where they end.
std::uint32_t* draw_words(std::uint64_t key, std::uint64_t step, const Keyed& keyed,
                          std::uint32_t* out);

}  // namespace socialgrid::bindings
