#include "grid/shuffled_tiles.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/shuffles.hpp"
#include "grid/visibility.hpp"

namespace socialgrid {

#ifndef SOCIALGRID_AVX2

std::unique_ptr<const ShuffledTiles> ShuffledTiles::make(const WorldShape&, const EgocentricView&,
                                                         const TileAtlas&) {
  return nullptr;
}

#else

namespace {

constexpr Tile kLastPlain = kFirstKey - 1;
constexpr std::size_t kUnseenPlace = kUnseen & 15;  // of the tables

class Avx2Tiles final : public ShuffledTiles {
 public:
  // Whether the tiles that have a place in the tables are of one colour each.
  static bool suits(const EgocentricView& view, const TileAtlas& atlas) {
    if (view.size != kSize || view.agent_row() == 0) return false;
    if (atlas.side() != kSide || atlas.size() > 0xffff) return false;
    return std::all_of(view.tile_set.begin(), view.tile_set.end(), [&](Tile tile) {
      return (tile > kLastPlain && tile != kWall) || is_plain(atlas, tile);
    });
  }

  Avx2Tiles(const WorldShape& grid, const EgocentricView& view, const TileAtlas& atlas)
      : inside_(static_cast<std::size_t>(grid.cols) + 2 * kBeyond),
        lines_(static_cast<std::size_t>(grid.rows) + 2 * kBeyond),
        agent_row_(view.agent_row()),
        has_patterns_(std::any_of(view.tile_set.begin(), view.tile_set.end(), [](Tile tile) {
          return tile > kLastPlain && tile != kWall && tile != kUnseen;
        })) {
    for (int dir = 0; dir < 4; ++dir) {
      crops_[static_cast<std::size_t>(dir)] = crop_of(view, dir);
    }
    for (int row = 0; row < grid.rows; ++row) {
      lines_[static_cast<std::size_t>(row + kBeyond)] = {row * grid.cols, -1};
    }
    std::fill_n(inside_.begin() + kBeyond, grid.cols, std::uint8_t{0xff});
    for (const Tile tile : view.tile_set) {
      if (tile <= kLastPlain) set(tile, tile, atlas);
    }
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

  SOCIALGRID_AVX2 void look(const World& world, const Agent& viewer, bool see_through,
                            const std::array<Tile, 256>* shown, Sight& sight) const override {
    if (!viewer.active()) {
      sight.rows.fill(0x0101010101010101ull * kUnseen);
      sight.seen = sight.patterned = 0;
      return;
    }
    const std::uint64_t transparent = turn(world, viewer, sight);
    if (see_through) {
      sight.seen = kWhole;
    } else {  // the usual row is known to the compiler
      sight.seen = agent_row_ == kUsualRow ? sight_.flood(transparent, kUsualRow)
                                           : sight_.flood(transparent, agent_row_);
    }
    if (shown != nullptr) translate(*shown, sight);
    hide(sight);
  }

  SOCIALGRID_AVX2 void paint(const Sight& sight, std::uint8_t* out) const override {
    constexpr std::size_t kRowBytes = kSize * kSide * 3;
    const __m256i left_rg = load_32(red_green_[0].data()), left_b = load_32(blue_[0].data());
    __m256i right_rg = load_32(red_green_[1].data()), right_b = load_32(blue_[1].data());
    std::size_t right_at = 32;  // spills a byte over, which what follows replaces
    const auto paint_row = [&](__m128i reds_greens, __m128i blues) SOCIALGRID_AVX2 {
      const __m256i rg = _mm256_broadcastsi128_si256(reds_greens);
      const __m256i b = _mm256_broadcastsi128_si256(blues);
      const __m256i left =
          _mm256_or_si256(_mm256_shuffle_epi8(rg, left_rg), _mm256_shuffle_epi8(b, left_b));
      const __m256i right =
          _mm256_or_si256(_mm256_shuffle_epi8(rg, right_rg), _mm256_shuffle_epi8(b, right_b));
      for (int y = 0; y < kSide; ++y, out += kRowBytes) {
        store(out, left);
        store(out + right_at, right);
      }
    };
    for (std::size_t row = 0; row < kSize; row += 2) {
      const __m128i tiles = load_rows(sight, row);
      const __m128i reds = look_up(colors_[0], wall_colors_[0], tiles);
      const __m128i greens = look_up(colors_[1], wall_colors_[1], tiles);
      const __m128i blues = look_up(colors_[2], wall_colors_[2], tiles);
      if (row == kSize - 1) {  // nothing follows
        right_rg = load_32(red_green_[2].data());
        right_b = load_32(blue_[2].data());
        right_at = kRowBytes - 32;
      }
      paint_row(_mm_unpacklo_epi64(reds, greens), blues);
      if (row == kSize - 1) return;
      paint_row(_mm_unpackhi_epi64(reds, greens), _mm_unpackhi_epi64(blues, blues));
    }
  }

  SOCIALGRID_AVX2 void number(const Sight& sight, int dir, bool wide,
                              std::uint8_t* out) const override {
    const auto facing = static_cast<std::size_t>(dir);
    for (std::size_t row = 0; row < kSize; row += 2) {
      const __m128i tiles = load_rows(sight, row);
      const __m128i lows = look_up(low_[facing], wall_low_[facing], tiles);
      // A row spills over what the next one writes; the last one is written in two parts instead.
      if (wide) {
        const __m128i highs = look_up(high_[facing], wall_high_[facing], tiles);
        const __m128i first = _mm_unpacklo_epi8(lows, highs);
        if (row == kSize - 1) {
          _mm_storel_epi64(reinterpret_cast<__m128i*>(out), first);
          _mm_storel_epi64(reinterpret_cast<__m128i*>(out + 6), _mm_srli_si128(first, 6));
          return;
        }
        store(out, first);
        store(out + 2 * kSize, _mm_unpackhi_epi8(lows, highs));
        out += 4 * kSize;
      } else {
        const auto first = static_cast<std::uint64_t>(_mm_cvtsi128_si64(lows));
        if (row == kSize - 1) {
          const auto begin = static_cast<std::uint32_t>(first);
          const auto end = static_cast<std::uint32_t>(first >> 24);
          std::memcpy(out, &begin, 4);
          std::memcpy(out + 3, &end, 4);
          return;
        }
        std::memcpy(out, &first, 8);
        _mm_storel_epi64(reinterpret_cast<__m128i*>(out + kSize), _mm_srli_si128(lows, 8));
        out += 2 * kSize;
      }
    }
  }

 private:
  static constexpr int kUsualRow = 5;  // of the viewer in its view
  static constexpr std::uint64_t kWhole = 0x007f7f7f7f7f7f7full;

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

  // A shuffle gives 0 for walls, which have their top bit set. So tables hold what differs from a
  // wall, which is then the difference between what the shuffle gives and the cell.
  void set(std::size_t place, Tile tile, const TileAtlas& atlas) {
    const std::uint8_t* color = atlas.sprite(atlas.tiles(0)[tile]);
    const std::uint8_t* wall = atlas.sprite(atlas.tiles(0)[kWall]);
    for (std::size_t channel = 0; channel < 3; ++channel) {
      colors_[channel][place] = color[channel] ^ wall[channel];
      wall_colors_[channel].fill(wall[channel]);
    }
    for (std::size_t dir = 0; dir < 4; ++dir) {
      const SpriteId sprite = atlas.tiles(static_cast<int>(dir))[tile];
      const SpriteId of_wall = atlas.tiles(static_cast<int>(dir))[kWall];
      low_[dir][place] = static_cast<std::uint8_t>(sprite ^ of_wall);
      high_[dir][place] = static_cast<std::uint8_t>((sprite ^ of_wall) >> 8);
      wall_low_[dir].fill(static_cast<std::uint8_t>(of_wall));
      wall_high_[dir].fill(static_cast<std::uint8_t>(of_wall >> 8));
    }
  }

  // What a table that set() filled has for tiles.
  SOCIALGRID_AVX2 static __m128i look_up(const Bytes16& table, const Bytes16& wall, __m128i tiles) {
    return _mm_xor_si128(_mm_shuffle_epi8(load(table), tiles), load(wall));
  }

  static __m128i load_rows(const Sight& sight, std::size_t row) {
    return _mm_load_si128(reinterpret_cast<const __m128i*>(&sight.rows[row]));
  }
  static void translate(const std::array<Tile, 256>& shown, Sight& sight) {
    for (std::size_t row = 0; row < kSize; ++row) {
      std::uint64_t tiles = 0;
      for (int shift = 0; shift < 8 * kSize; shift += 8) {
        tiles |= std::uint64_t{shown[static_cast<Tile>(sight.rows[row] >> shift)]} << shift;
      }
      sight.rows[row] = tiles;
    }
  }

  // Hides what is not seen, and finds patterns.
  SOCIALGRID_AVX2 void hide(Sight& sight) const {
    const __m256i seen = _mm256_set1_epi64x(static_cast<long long>(sight.seen));
    const __m256i column = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201ull));
    const __m256i unseen = _mm256_set1_epi8(kUnseen);
    std::uint64_t plain = 0;
    for (std::size_t half = 0; half < 2; ++half) {
      // Every row's byte of `seen` eight times, of which each cell looks at its bit.
      const __m256i row = _mm256_add_epi8(
          _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303),
          _mm256_set1_epi8(static_cast<char>(4 * half)));
      const __m256i bits = _mm256_and_si256(_mm256_shuffle_epi8(seen, row), column);
      auto* const rows = reinterpret_cast<__m256i*>(&sight.rows[4 * half]);
      const __m256i tiles =
          _mm256_blendv_epi8(unseen, _mm256_load_si256(rows), _mm256_cmpeq_epi8(bits, column));
      _mm256_store_si256(rows, tiles);
      if (!has_patterns_) continue;
      const __m256i wall = _mm256_cmpeq_epi8(tiles, _mm256_set1_epi8(static_cast<char>(kWall)));
      const __m256i low =
          _mm256_cmpeq_epi8(_mm256_min_epu8(tiles, _mm256_set1_epi8(kLastPlain)), tiles);
      const __m256i plains =
          _mm256_or_si256(_mm256_or_si256(wall, low), _mm256_cmpeq_epi8(tiles, unseen));
      plain |= std::uint64_t{static_cast<std::uint32_t>(_mm256_movemask_epi8(plains))}
               << (32 * half);
    }
    sight.patterned = has_patterns_ ? ~plain & kWhole : 0;
  }

  // How seven rows of the grid, the eight bytes from where the view begins, become its rows: taken
  // downward or upward, perhaps turned back to front, perhaps transposed.
  struct Crop {
    int row = 0, col = 0;           // of the first, from the viewer's cell
    int step = 0;                   // to the next row
    alignas(16) Bytes16 rows{};     // of two rows, one after the other
    alignas(16) Bytes16 columns{};  // the same, their bytes in turns
    alignas(16) Bytes16 upright{};  // all ones where nothing is transposed
  };

  static Crop crop_of(const EgocentricView& view, int dir) {
    const int back = dir ^ 2, right = (dir + 1) % 4, last = kSize - 1;
    int top = 0, left = 0;  // of the grid's square that is seen, from the viewer's cell
    for (const int row : {0, last}) {
      for (const int col : {0, last}) {
        const int ahead = row - view.agent_row(), beside = col - view.agent_col();
        top = std::min(top, ahead * kRowStep[back] + beside * kRowStep[right]);
        left = std::min(left, ahead * kColStep[back] + beside * kColStep[right]);
      }
    }
    const bool upward = dir == 1 || dir == 2, backward = dir == 0 || dir == 1;
    Crop crop;
    crop.row = upward ? top + last : top;
    crop.col = left;
    crop.step = upward ? -1 : 1;
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

  // Rows of the view, two in each register. Without branches: agents face anywhere. What lies
  // beyond the grid is empty.
  // Says which cells are transparent, as SightTable has it.
  SOCIALGRID_AVX2 std::uint64_t turn(const World& world, const Agent& viewer, Sight& sight) const {
    static_assert(kEmpty == 0);
    const Crop& crop = crops_[static_cast<std::size_t>(viewer.dir)];
    const int left = viewer.col + crop.col;
    // The world's block begins with other things and ends with bytes to spare.
    const Tile* const cells = world.cells().data() + left;
    const __m128i inside = _mm_set1_epi64x(static_cast<long long>(
        narrow_view::load_word(&inside_[static_cast<std::size_t>(left + kBeyond)])));
    const Line* line = &lines_[static_cast<std::size_t>(viewer.row + crop.row + kBeyond)];
    __m128i rows[4], columns[4];
    for (std::size_t pair = 0; pair < 4; ++pair, line += 2 * crop.step) {
      const Line& first = *line;
      const Line& second = pair < 3 ? line[crop.step] : first;
      const __m128i exists = _mm_set_epi64x(second.exists, first.exists);
      const __m128i tiles =
          _mm_unpacklo_epi64(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(cells + first.at)),
                             _mm_loadl_epi64(reinterpret_cast<const __m128i*>(cells + second.at)));
      const __m128i both = _mm_and_si128(_mm_and_si128(tiles, exists), inside);
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
    std::uint64_t opaque = 0;
    for (std::size_t half = 0; half < 2; ++half) {
      const __m256i four =
          _mm256_setr_m128i(_mm_blendv_epi8(columns[2 * half], rows[2 * half], upright),
                            _mm_blendv_epi8(columns[2 * half + 1], rows[2 * half + 1], upright));
      _mm256_store_si256(reinterpret_cast<__m256i*>(&sight.rows[4 * half]), four);
      const auto bits = static_cast<std::uint32_t>(_mm256_movemask_epi8(four));
      opaque |= std::uint64_t{bits} << (32 * half);
    }
    return ~opaque;
  }

  // Columns beyond the grid that a view may have on either side, and a byte more.
  static constexpr int kBeyond = kSize + 1;

  SightTable sight_;
  std::vector<std::uint8_t> inside_;  // ones where a column is the grid's
  // Rows of the grid, and those beyond it.
  struct Line {
    std::ptrdiff_t at = 0;  // of its first cell
    long long exists = 0;   // ones
  };
  std::vector<Line> lines_;
  int agent_row_;
  bool has_patterns_;  // some tiles of this game are not of one colour
  std::array<Crop, 4> crops_;
  // By tile, the rest see set(): red, green, blue; sprite numbers by the viewer's direction.
  alignas(16) std::array<Bytes16, 3> colors_{}, wall_colors_{};
  alignas(16) std::array<Bytes16, 4> low_{}, wall_low_{};
  alignas(16) std::array<Bytes16, 4> high_{}, wall_high_{};
  // Where the bytes of a row of pixels come from: of those at 0, at 32, and of the last 32.
  std::array<std::array<std::uint8_t, 32>, 3> red_green_{};
  std::array<std::array<std::uint8_t, 32>, 3> blue_{};
};

}  // namespace

std::unique_ptr<const ShuffledTiles> ShuffledTiles::make(const WorldShape& grid,
                                                         const EgocentricView& view,
                                                         const TileAtlas& atlas) {
  if (!can_shuffle() || !Avx2Tiles::suits(view, atlas)) return nullptr;
  return std::make_unique<const Avx2Tiles>(grid, view, atlas);
}

#endif

}  // namespace socialgrid
