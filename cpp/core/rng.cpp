#include "core/rng.hpp"

namespace socialgrid {

std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                        std::array<std::uint32_t, 2> key) {
  constexpr int kRounds = 10;
  for (int round = 0; round < kRounds; ++round) {
    const std::uint64_t product0 = std::uint64_t{0xD2511F53} * counter[0];
    const std::uint64_t product1 = std::uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<std::uint32_t>(product1 >> 32) ^ counter[1] ^ key[0],
               static_cast<std::uint32_t>(product1),
               static_cast<std::uint32_t>(product0 >> 32) ^ counter[3] ^ key[1],
               static_cast<std::uint32_t>(product0)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}

void Rng::draw(std::uint64_t block) {
  words_ = philox4x32(
      {static_cast<std::uint32_t>(block), state_->episode,
       static_cast<std::uint32_t>(state_->stream),
       static_cast<std::uint32_t>(state_->stream >> 32)},
      {static_cast<std::uint32_t>(state_->seed), static_cast<std::uint32_t>(state_->seed >> 32)});
  block_ = block;
}

std::uint32_t Rng::uniform_int(std::uint32_t n) {
  std::uint64_t product = std::uint64_t{next_u32()} * n;
  if (static_cast<std::uint32_t>(product) < n) {
    const std::uint32_t threshold = (0u - n) % n;
    while (static_cast<std::uint32_t>(product) < threshold) {
      product = std::uint64_t{next_u32()} * n;
    }
  }
  return static_cast<std::uint32_t>(product >> 32);
}

double Rng::uniform() {
  const std::uint32_t high = next_u32() >> 5;
  const std::uint32_t low = next_u32() >> 6;
  return (high * 67108864.0 + low) / 9007199254740992.0;
}

}  // namespace socialgrid
