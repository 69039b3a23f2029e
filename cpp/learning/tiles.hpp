// The tiles that views are made of, numbered as they come.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace socialgrid::learning {

// How views are written: `rows` x `cols` cells, each a number of `number` bytes (1 or 2) among
// `tiles`, or, where `number` is 0, side * side pixels of an image of all cells, 3 bytes a pixel.
struct Views {
  std::int64_t rows = 0, cols = 0, side = 1, number = 0, tiles = 0;

  std::int64_t cells() const { return rows * cols; }
  std::int64_t pixels() const { return 3 * side * side; }  // bytes of a tile's
  std::int64_t bytes() const { return cells() * (number > 0 ? number : pixels()); }
};

// Remembers tiles that it has seen. Not for several threads at once.
class Tiles {
 public:
  explicit Tiles(const Views& views);

  // Numbers the cells of views, `distance` bytes one from the next, until there is no more room.
  //   numbers: [count, cells], written.
  // Returns how many views were numbered; one at least when nothing was known before. Throws
  // std::out_of_range where a view has a number of no tile.
  std::int64_t number(const std::uint8_t* views, std::int64_t distance, std::int64_t count,
                      std::uint16_t* numbers);
  std::int64_t size() const { return size_; }
  // What is known of a tile: its number in the views (`number` bytes wide there), or its pixels.
  std::int64_t number_of(std::int64_t tile) const { return known_[static_cast<std::size_t>(tile)]; }
  const std::uint8_t* pixels_of(std::int64_t tile) const {
    return pixels_.data() + tile * views_.pixels();
  }
  void clear();

 private:
  template <typename Number>
  bool number_numbers(const std::uint8_t* view, std::uint16_t* numbers);
  bool number_pixels(const std::uint8_t* view, std::uint16_t* numbers);
  template <std::size_t Side>
  bool number_tiles(const std::uint8_t* view, std::uint16_t* numbers);

  Views views_;
  std::int64_t capacity_, size_ = 0;
  std::size_t last_place_ = 0;
  std::vector<std::uint16_t> places_;  // numbers by their place: of the views, or of a hash
  std::vector<std::uint32_t> keys_;    // tiles of one pixel, by their place
  std::vector<std::uint16_t> known_;   // numbers in the views
  std::vector<std::uint8_t> pixels_;   // [capacity, pixels]
};

}  // namespace socialgrid::learning
