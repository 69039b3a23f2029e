#include "grid/shuffled_tiles.hpp"

#include <algorithm>
#include <cstring>

#include "core/shuffles.hpp"
#include "grid/visibility.hpp"

namespace socialgrid {

#ifndef SOCIALGRID_AVX2

std::unique_ptr<const ShuffledTiles> ShuffledTiles::make(const EgocentricView&, const TileAtlas&,
                                                         int) {
  return nullptr;
}

#else

namespace {

constexpr Tile kLastPlain = kFirstKey - 1;
constexpr std::size_t kWallPlace = 14, kUnseenPlace = kUnseen & 15;

class Avx2Tiles final : public ShuffledTiles {
 public:
  // Whether the tiles that have a place in the tables are of one colour each.
  static bool suits(const EgocentricView& view, const TileAtlas& atlas) {
    if (view.size != kSize || atlas.side() != kSide || atlas.size() > 0xffff) return false;
    return std::all_of(view.tile_set.begin(), view.tile_set.end(), [&](Tile tile) {
      return (tile > kLastPlain && tile != kWall) || is_plain(atlas, tile);
    });
  }

  Avx2Tiles(const EgocentricView& view, const TileAtlas& atlas, int plane_cols)
      : sight_(view.agent_col()), agent_row_(static_cast<std::size_t>(view.agent_row())) {
    for (int dir = 0; dir < 4; ++dir) {
      crops_[static_cast<std::size_t>(dir)] = crop_of(view, dir, plane_cols);
    }
    for (std::uint32_t bits = 0; bits < spread_.size(); ++bits) {
      spread_[bits] = narrow_view::spread(bits);
    }
    for (const Tile tile : view.tile_set) {
      if (tile <= kLastPlain) set(tile, tile, atlas);
    }
    set(kWallPlace, kWall, atlas);
    set(kUnseenPlace, kUnseen, atlas);
    // Red comes from bytes 0..7 of a register, green from 8..15; blue from one of its own.
    constexpr int kRowBytes = kSize * kSide * 3;
    for (std::size_t start = 0; start < 3; ++start) {
      const int first = start < 2 ? static_cast<int>(start) * 32 : kRowBytes - 32;
      for (int i = 0; i < 32; ++i) {
        const int byte = first + i;
        const auto tile = static_cast<std::uint8_t>(byte / (kSide * 3));
        const auto at = static_cast<std::size_t>(i);
        red_green_[start][at] = blue_[start][at] = kNothing;
        if (byte >= kRowBytes) continue;
        if (byte % 3 == 2) {
          blue_[start][at] = tile;
        } else {
          red_green_[start][at] = static_cast<std::uint8_t>(byte % 3 * 8 + tile);
        }
      }
    }
  }

  SOCIALGRID_AVX2 void look(const Tile* viewer, int dir, bool see_through,
                            const std::array<Tile, 256>* shown, TileRows& rows,
                            std::array<std::uint32_t, 8>& seen) const override {
    __m128i pairs[4];
    turn(viewer, crops_[static_cast<std::size_t>(dir)], pairs);
    std::array<std::uint32_t, 8> transparent;
    for (std::size_t pair = 0; pair < 4; ++pair) {
      store(reinterpret_cast<std::uint8_t*>(&rows[2 * pair]), pairs[pair]);
      const std::uint32_t open = ~static_cast<std::uint32_t>(_mm_movemask_epi8(pairs[pair]));
      transparent[2 * pair] = open & kAll;
      transparent[2 * pair + 1] = open >> 8 & kAll;
    }
    if (see_through) {
      seen.fill(kAll);
    } else {
      sight_.flood(transparent, seen, agent_row_);
    }
    for (std::size_t row = 0; shown != nullptr && row < kSize; ++row) {
      std::uint64_t tiles = 0;
      for (int shift = 0; shift < 8 * kSize; shift += 8) {
        tiles |= std::uint64_t{(*shown)[static_cast<Tile>(rows[row] >> shift)]} << shift;
      }
      rows[row] = tiles;
    }
    for (std::size_t row = 0; row < kSize; ++row) {
      const std::uint64_t mask = spread_[seen[row]];
      rows[row] = (rows[row] & mask) | (0x0101010101010101ull * kUnseen & ~mask);
    }
  }

  SOCIALGRID_AVX2 std::uint32_t patterned(std::uint64_t row) const override {
    const __m128i tiles = _mm_cvtsi64_si128(static_cast<long long>(row));
    const __m128i wall = _mm_cmpeq_epi8(tiles, _mm_set1_epi8(static_cast<char>(kWall)));
    const __m128i unseen = _mm_cmpeq_epi8(tiles, _mm_set1_epi8(kUnseen));
    const __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(tiles, _mm_set1_epi8(kLastPlain)), tiles);
    const __m128i plain = _mm_or_si128(_mm_or_si128(wall, unseen), low);
    return ~static_cast<std::uint32_t>(_mm_movemask_epi8(plain)) & kAll;
  }

  SOCIALGRID_AVX2 void paint(const TileRows& rows, std::uint8_t* out) const override {
    constexpr std::size_t kRowBytes = kSize * kSide * 3;
    const __m128i red = load(colors_[0]), green = load(colors_[1]), blue = load(colors_[2]);
    const __m256i left_rg = load_32(red_green_[0].data()), left_b = load_32(blue_[0].data());
    __m256i right_rg = load_32(red_green_[1].data()), right_b = load_32(blue_[1].data());
    std::size_t right_at = 32;  // spills a byte over, which what follows replaces
    for (std::size_t row = 0; row < kSize; ++row) {
      if (row == kSize - 1) {  // nothing follows
        right_rg = load_32(red_green_[2].data());
        right_b = load_32(blue_[2].data());
        right_at = kRowBytes - 32;
      }
      const __m128i place = places(rows[row]);
      const __m256i rg = _mm256_broadcastsi128_si256(
          _mm_unpacklo_epi64(_mm_shuffle_epi8(red, place), _mm_shuffle_epi8(green, place)));
      const __m256i b = _mm256_broadcastsi128_si256(_mm_shuffle_epi8(blue, place));
      const __m256i left =
          _mm256_or_si256(_mm256_shuffle_epi8(rg, left_rg), _mm256_shuffle_epi8(b, left_b));
      const __m256i right =
          _mm256_or_si256(_mm256_shuffle_epi8(rg, right_rg), _mm256_shuffle_epi8(b, right_b));
      for (int y = 0; y < kSide; ++y, out += kRowBytes) {
        store(out, left);
        store(out + right_at, right);
      }
    }
  }

  SOCIALGRID_AVX2 void number(const TileRows& rows, int dir, bool wide,
                              std::uint8_t* out) const override {
    const auto facing = static_cast<std::size_t>(dir);
    const __m128i low = load(low_[facing]), high = load(high_[facing]);
    for (std::size_t row = 0; row < kSize; ++row) {
      const __m128i place = places(rows[row]);
      const __m128i lows = _mm_shuffle_epi8(low, place);
      // A row spills over what the next one writes; the last one is written in two parts instead.
      if (wide) {
        const __m128i both = _mm_unpacklo_epi8(lows, _mm_shuffle_epi8(high, place));
        if (row < kSize - 1) {
          store(out, both);
        } else {
          _mm_storel_epi64(reinterpret_cast<__m128i*>(out), both);
          _mm_storel_epi64(reinterpret_cast<__m128i*>(out + 6), _mm_srli_si128(both, 6));
        }
        out += 2 * kSize;
      } else {
        const auto word = static_cast<std::uint64_t>(_mm_cvtsi128_si64(lows));
        if (row < kSize - 1) {
          std::memcpy(out, &word, 8);
        } else {
          const auto first = static_cast<std::uint32_t>(word);
          const auto last = static_cast<std::uint32_t>(word >> 24);
          std::memcpy(out, &first, 4);
          std::memcpy(out + 3, &last, 4);
        }
        out += kSize;
      }
    }
  }

 private:
  static constexpr std::uint32_t kAll = (1u << kSize) - 1;

  static bool is_plain(const TileAtlas& atlas, Tile tile) {
    const std::uint8_t* first = atlas.sprite(atlas.tiles(0)[tile]);
    for (int dir = 0; dir < 4; ++dir) {
      const std::uint8_t* sprite = atlas.sprite(atlas.tiles(dir)[tile]);
      for (std::size_t y = 0; y < kSide; ++y) {
        for (std::size_t x = 0; x < kSide * 3; ++x) {
          if (sprite[y * atlas.row_stride() + x] != first[x % 3]) return false;
        }
      }
    }
    return true;
  }

  void set(std::size_t place, Tile tile, const TileAtlas& atlas) {
    const std::uint8_t* color = atlas.sprite(atlas.tiles(0)[tile]);
    for (std::size_t channel = 0; channel < 3; ++channel) colors_[channel][place] = color[channel];
    for (std::size_t dir = 0; dir < 4; ++dir) {
      const SpriteId sprite = atlas.tiles(static_cast<int>(dir))[tile];
      low_[dir][place] = static_cast<std::uint8_t>(sprite);
      high_[dir][place] = static_cast<std::uint8_t>(sprite >> 8);
    }
  }

  // Places in the tables of the eight tiles of a row; those of patterned tiles mean nothing.
  SOCIALGRID_AVX2 static __m128i places(std::uint64_t row) {
    const __m128i tiles = _mm_cvtsi64_si128(static_cast<long long>(row));
    const __m128i wall = _mm_cmpeq_epi8(tiles, _mm_set1_epi8(static_cast<char>(kWall)));
    return _mm_blendv_epi8(tiles, _mm_set1_epi8(kWallPlace), wall);
  }

  // How seven rows of the plane, the eight bytes from where the view begins, become its rows:
  // taken downward or upward, perhaps turned back to front, perhaps transposed.
  struct Crop {
    std::ptrdiff_t first = 0, step = 0;  // in the plane: from the viewer's cell, and between rows
    alignas(16) Bytes16 rows{};          // of two rows, one after the other
    alignas(16) Bytes16 columns{};       // the same, their bytes in turns
    alignas(16) Bytes16 upright{};       // all ones where nothing is transposed
  };

  static Crop crop_of(const EgocentricView& view, int dir, int plane_cols) {
    const int back = dir ^ 2, right = (dir + 1) % 4, last = kSize - 1;
    int top = 0, left = 0;  // of the plane's square that is seen, from the viewer's cell
    for (const int row : {0, last}) {
      for (const int col : {0, last}) {
        const int ahead = row - view.agent_row(), beside = col - view.agent_col();
        top = std::min(top, ahead * kRowStep[back] + beside * kRowStep[right]);
        left = std::min(left, ahead * kColStep[back] + beside * kColStep[right]);
      }
    }
    const bool upward = dir == 1 || dir == 2, backward = dir == 0 || dir == 1;
    Crop crop;
    crop.first = (upward ? top + last : top) * plane_cols + left;
    crop.step = upward ? -plane_cols : plane_cols;
    for (std::size_t col = 0; col < 8; ++col) {
      for (std::size_t half = 0; half < 2; ++half) {
        const std::size_t from = 8 * half + (backward ? kSize - 1 - col : col);
        const auto byte = col < kSize ? static_cast<std::uint8_t>(from) : kNothing;
        crop.rows[8 * half + col] = byte;
        crop.columns[2 * col + half] = byte;
      }
    }
    crop.upright.fill(dir % 2 == 1 ? 0xff : 0);
    return crop;
  }

  SOCIALGRID_AVX2 static __m128i load_pair(const Tile* first, const Tile* second) {
    return _mm_unpacklo_epi64(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(first)),
                              _mm_loadl_epi64(reinterpret_cast<const __m128i*>(second)));
  }

  // Rows of the view, two in each register. Without branches: agents face anywhere.
  SOCIALGRID_AVX2 static void turn(const Tile* viewer, const Crop& crop, __m128i (&rows)[4]) {
    const Tile* from = viewer + crop.first;
    __m128i columns[4];
    for (std::size_t pair = 0; pair < 4; ++pair, from += 2 * crop.step) {
      const __m128i both = load_pair(from, pair < 3 ? from + crop.step : from);
      rows[pair] = _mm_shuffle_epi8(both, load(crop.rows));
      columns[pair] = _mm_shuffle_epi8(both, load(crop.columns));
    }
    const __m128i left_top = _mm_unpacklo_epi16(columns[0], columns[1]);
    const __m128i right_top = _mm_unpackhi_epi16(columns[0], columns[1]);
    const __m128i left_bottom = _mm_unpacklo_epi16(columns[2], columns[3]);
    const __m128i right_bottom = _mm_unpackhi_epi16(columns[2], columns[3]);
    columns[0] = _mm_unpacklo_epi32(left_top, left_bottom);
    columns[1] = _mm_unpackhi_epi32(left_top, left_bottom);
    columns[2] = _mm_unpacklo_epi32(right_top, right_bottom);
    columns[3] = _mm_unpackhi_epi32(right_top, right_bottom);
    const __m128i upright = load(crop.upright);
    for (std::size_t pair = 0; pair < 4; ++pair) {
      rows[pair] = _mm_blendv_epi8(columns[pair], rows[pair], upright);
    }
  }

  SightTable sight_;
  std::size_t agent_row_;
  std::array<Crop, 4> crops_;
  std::array<std::uint64_t, kAll + 1> spread_;   // a byte of ones for every bit
  alignas(16) std::array<Bytes16, 3> colors_{};  // red, green, blue by place
  alignas(16) std::array<Bytes16, 4> low_{};     // sprite numbers by the viewer's direction
  alignas(16) std::array<Bytes16, 4> high_{};
  // Where the bytes of a row of pixels come from: of those at 0, at 32, and of the last 32.
  std::array<std::array<std::uint8_t, 32>, 3> red_green_{};
  std::array<std::array<std::uint8_t, 32>, 3> blue_{};
};

}  // namespace

std::unique_ptr<const ShuffledTiles> ShuffledTiles::make(const EgocentricView& view,
                                                         const TileAtlas& atlas, int plane_cols) {
  if (!can_shuffle() || !Avx2Tiles::suits(view, atlas)) return nullptr;
  return std::make_unique<const Avx2Tiles>(view, atlas, plane_cols);
}

#endif

}  // namespace socialgrid
