#include "bindings/keyed.hpp"

#include <array>

#include "core/rng.hpp"

namespace socialgrid::bindings {

std::uint32_t* draw_words(std::uint64_t key, std::uint64_t step, const Keyed& keyed,
                          std::uint32_t* out) {
  const std::array<std::uint32_t, 2> halves = {static_cast<std::uint32_t>(key),
                                               static_cast<std::uint32_t>(key >> 32)};
  for (std::int64_t e = 0; e < keyed.count; ++e) {
    for (std::int64_t place = 0; place < keyed.places; place += 4) {
      const auto block =
          philox4x32({keyed.first + static_cast<std::uint32_t>(e), static_cast<std::uint32_t>(step),
                      static_cast<std::uint32_t>(step >> 32),
                      keyed.kind << 16 | static_cast<std::uint32_t>(place / 4)},
                     halves);
      for (std::size_t i = 0; i < 4 && place + static_cast<std::int64_t>(i) < keyed.places; ++i) {
        *out++ = block[i];
      }
    }
  }
  return out;
}

}  // namespace socialgrid::bindings
