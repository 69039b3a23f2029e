#include "dilemma/shuffled_cells.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "core/shuffles.hpp"

namespace socialgrid {

#ifndef SOCIALGRID_AVX2

std::unique_ptr<const ShuffledCells> ShuffledCells::make(const SquareView&, ObsMode,
                                                         const std::vector<std::uint32_t>&) {
  return nullptr;
}

#else

namespace {

SOCIALGRID_AVX2 inline void interleave(const __m128i (&from)[16], __m128i (&to)[16]) {
  for (int i = 0; i < 8; ++i) {
    to[2 * i] = _mm_unpacklo_epi8(from[i], from[i + 8]);
    to[2 * i + 1] = _mm_unpackhi_epi8(from[i], from[i + 8]);
  }
}

// Transposes 16 x 16 bytes.
SOCIALGRID_AVX2 inline void transpose(__m128i (&rows)[16]) {
  __m128i other[16];
  interleave(rows, other);
  interleave(other, rows);
  interleave(rows, other);
  interleave(other, rows);
}

class Avx2Cells final : public ShuffledCells {
 public:
  static constexpr std::size_t kMaxColors = 32;

  Avx2Cells(bool pixels, const std::vector<std::uint32_t>& colors)
      : pixels_(pixels), few_(colors.size() <= 16) {
    for (std::size_t i = 0; pixels && i < colors.size(); ++i) {
      for (std::size_t channel = 0; channel < 3; ++channel) {
        colors_[channel][i / 16][i % 16] = static_cast<std::uint8_t>(colors[i] >> (8 * channel));
      }
    }
    for (std::size_t chunk = 0; chunk < 4; ++chunk) {
      for (std::size_t i = 0; i < 16; ++i) {
        const std::size_t byte = kChunkStart[chunk] + i;
        for (std::size_t channel = 0; channel < 3; ++channel) {
          const bool here = byte < kRowBytes && byte % 3 == channel;
          from_[chunk][channel][i] = here ? static_cast<std::uint8_t>(byte / 3) : kNothing;
        }
      }
    }
  }

  SOCIALGRID_AVX2 void write(const std::uint8_t* corner, std::ptrdiff_t cols, int up,
                             std::uint8_t* out) const override {
    __m128i rows[16];
    crop(corner, cols, up, rows);
    if (pixels_) {
      paint(rows, out);
      return;
    }
    for (std::size_t row = 0; row < kSize - 1; ++row) store(out + row * kSize, rows[row]);
    alignas(16) std::uint8_t last[16];
    store(last, rows[kSize - 1]);
    std::memcpy(out + (kSize - 1) * kSize, last, kSize);
  }

 private:
  static constexpr std::size_t kRowBytes = kSize * 3;
  static constexpr std::array<std::size_t, 4> kChunkStart = {0, 16, 32, kRowBytes - 16};

  SOCIALGRID_AVX2 static void crop(const std::uint8_t* corner, std::ptrdiff_t cols, int up,
                                   __m128i (&rows)[16]) {
    const auto at = [](const std::uint8_t* p) { return reinterpret_cast<const __m128i*>(p); };
    const __m128i reversed = _mm_setr_epi8(14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 15);
    constexpr std::ptrdiff_t kBack = kSize - 1;
    rows[15] = _mm_setzero_si128();
    switch (up) {
      case 3:
        for (int r = 0; r < kSize; ++r) rows[r] = _mm_loadu_si128(at(corner + r * cols));
        return;
      case 1:
        for (int r = 0; r < kSize; ++r) {
          rows[r] = _mm_shuffle_epi8(_mm_loadu_si128(at(corner - r * cols - kBack)), reversed);
        }
        return;
      case 0:  // the view's columns lie along rows of the plane, from the far end
        for (int c = 0; c < kSize; ++c) rows[c] = _mm_loadu_si128(at(corner + c * cols - kBack));
        transpose(rows);
        std::reverse(rows, rows + kSize);
        return;
      default:
        for (int c = 0; c < kSize; ++c) rows[c] = _mm_loadu_si128(at(corner - c * cols));
        transpose(rows);
    }
  }

  // One channel's values of the cells of two rows.
  SOCIALGRID_AVX2 __m256i channel(std::size_t which, __m256i cells) const {
    const __m256i first = load_twice(colors_[which][0]);
    if (few_) return _mm256_shuffle_epi8(first, cells);
    // Numbers of the other half of the table get their top bit set, which gives 0.
    const __m256i low = _mm256_add_epi8(cells, _mm256_set1_epi8(0x70));
    const __m256i high = _mm256_sub_epi8(cells, _mm256_set1_epi8(16));
    return _mm256_or_si256(_mm256_shuffle_epi8(first, low),
                           _mm256_shuffle_epi8(load_twice(colors_[which][1]), high));
  }

  SOCIALGRID_AVX2 __m256i chunk(std::size_t which, const __m256i (&channels)[3]) const {
    const auto& from = from_[which];
    const __m256i red = _mm256_shuffle_epi8(channels[0], load_twice(from[0]));
    const __m256i green = _mm256_shuffle_epi8(channels[1], load_twice(from[1]));
    const __m256i blue = _mm256_shuffle_epi8(channels[2], load_twice(from[2]));
    return _mm256_or_si256(_mm256_or_si256(red, green), blue);
  }

  SOCIALGRID_AVX2 void paint(const __m128i (&rows)[16], std::uint8_t* out) const {
    for (std::size_t row = 0; row < kSize; row += 2, out += 2 * kRowBytes) {
      const __m256i cells = _mm256_setr_m128i(rows[row], rows[row + 1]);
      const __m256i channels[3] = {channel(0, cells), channel(1, cells), channel(2, cells)};
      const __m256i first = chunk(0, channels), second = chunk(1, channels);
      store(out, _mm256_castsi256_si128(first));
      store(out + kChunkStart[1], _mm256_castsi256_si128(second));
      if (row == kSize - 1) {  // nothing follows: the last bytes once more, without spilling over
        store(out + kChunkStart[3], _mm256_castsi256_si128(chunk(3, channels)));
        return;
      }
      const __m256i third = chunk(2, channels);
      store(out + kChunkStart[2], _mm256_castsi256_si128(third));
      store(out + kRowBytes, _mm256_extracti128_si256(first, 1));
      store(out + kRowBytes + kChunkStart[1], _mm256_extracti128_si256(second, 1));
      store(out + kRowBytes + kChunkStart[2], _mm256_extracti128_si256(third, 1));
    }
  }

  bool pixels_;
  bool few_;                                                    // one half of the table will do
  alignas(16) std::array<std::array<Bytes16, 2>, 3> colors_{};  // by channel and code
  // Where the bytes of a row of pixels come from: of the chunks at kChunkStart, by channel.
  alignas(16) std::array<std::array<Bytes16, 3>, 4> from_{};
};

}  // namespace

std::unique_ptr<const ShuffledCells> ShuffledCells::make(const SquareView& view, ObsMode mode,
                                                         const std::vector<std::uint32_t>& colors) {
  const bool pixels = mode == ObsMode::kRgb;
  const std::size_t most = pixels ? Avx2Cells::kMaxColors : 256;
  if (!can_shuffle() || view.size != kSize || colors.size() > most) return nullptr;
  if (pixels && view.tile_size != 1) return nullptr;
  return std::make_unique<const Avx2Cells>(pixels, colors);
}

#endif

}  // namespace socialgrid
