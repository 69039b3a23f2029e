// Counter-based random streams (Philox4x32-10, Salmon et al. 2011).
//
// A stream is named by (seed, stream, episode); its n-th word depends on nothing else, so
// trajectories do not depend on threads, batch splits or compilers. Streams never overlap: the seed
// is the cipher's key and (stream, episode, block) its counter.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace socialgrid {

// Position in one stream; plain data that is stored in every world.
struct StreamState {
  std::uint64_t seed = 0;
  std::uint64_t stream = 0;  // global environment index
  std::uint64_t used = 0;    // 32-bit words consumed so far
  std::uint32_t episode = 0;
  std::uint32_t reserved = 0;
};

// One block: four words from a 128-bit counter and a 64-bit key.
std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                        std::array<std::uint32_t, 2> key);

// Draws from a stream and advances its state, which must outlive the generator.
class Rng {
 public:
  explicit Rng(StreamState& state) : state_(&state) {}

  std::uint32_t next_u32() {
    const std::uint64_t block = state_->used / 4;
    if (block != block_) draw(block);
    return words_[state_->used++ % 4];
  }

  // Uniform in [0, n), n >= 1, without bias (Lemire 2019).
  std::uint32_t uniform_int(std::uint32_t n);

  // Uniform in [0, 1) with 53 bits.
  double uniform();

  bool bernoulli(double p) { return uniform() < p; }

  template <typename T>
  void shuffle(std::span<T> items) {
    for (std::size_t i = items.size(); i-- > 1;) {
      std::swap(items[i], items[uniform_int(static_cast<std::uint32_t>(i + 1))]);
    }
  }

 private:
  static constexpr std::uint64_t kNoBlock = ~std::uint64_t{0};

  void draw(std::uint64_t block);

  StreamState* state_;
  std::uint64_t block_ = kNoBlock;
  std::array<std::uint32_t, 4> words_{};
};

}  // namespace socialgrid
