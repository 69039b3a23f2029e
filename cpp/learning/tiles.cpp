#include "tiles.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>

namespace socialgrid::learning {
namespace {

constexpr std::int64_t kLeast = 4096;  // tiles that there is room for
constexpr std::uint16_t kNone = 0xffff;
constexpr std::uint32_t kNoKey = 0xffffffff;

std::size_t mixed(std::uint64_t key) {
  key *= 0x9e3779b97f4a7c15u;
  return key >> 32;
}

std::size_t hash(const std::uint8_t* bytes, std::size_t count) {
  std::uint64_t h = 0, word = 0;
  std::size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    std::memcpy(&word, bytes + i, 8);
    h = (h ^ word) * 0xff51afd7ed558ccdu;
    h ^= h >> 32;
  }
  word = 0;
  std::memcpy(&word, bytes + i, count - i);
  return mixed(h ^ word);
}

}  // namespace

Tiles::Tiles(const Views& views) : views_(views), capacity_(std::max(kLeast, views.cells())) {
  if (capacity_ >= kNone) {
    throw std::invalid_argument("views of " + std::to_string(views.cells()) +
                                " cells: at most 65534 can be numbered");
  }
  const auto room = static_cast<std::size_t>(capacity_);
  std::size_t places = views.number == 1 ? 0x100 : 0x10000;
  if (views.number == 0) {
    while (places < 4 * room) places *= 2;
  }
  last_place_ = places - 1;
  places_.assign(places, kNone);
  if (views.number > 0) {
    known_.resize(room);
  } else {
    pixels_.resize(room * static_cast<std::size_t>(views.pixels()));
    if (views.side == 1) keys_.assign(places, kNoKey);
  }
}

void Tiles::clear() {
  std::fill(places_.begin(), places_.end(), kNone);
  std::fill(keys_.begin(), keys_.end(), kNoKey);
  size_ = 0;
}

std::int64_t Tiles::number(const std::uint8_t* views, std::int64_t distance, std::int64_t count,
                           std::uint16_t* numbers) {
  for (std::int64_t i = 0; i < count; ++i, views += distance, numbers += views_.cells()) {
    const bool done = views_.number == 1   ? number_numbers<std::uint8_t>(views, numbers)
                      : views_.number == 2 ? number_numbers<std::uint16_t>(views, numbers)
                      : views_.side == 1   ? number_pixels(views, numbers)
                      : views_.side == 3   ? number_tiles<3>(views, numbers)
                                           : number_tiles<0>(views, numbers);
    if (!done) return i;
  }
  return count;
}

template <typename Number>
bool Tiles::number_numbers(const std::uint8_t* view, std::uint16_t* numbers) {
  for (std::int64_t i = 0; i < views_.cells(); ++i, view += sizeof(Number)) {
    Number cell;
    std::memcpy(&cell, view, sizeof(Number));
    std::uint16_t& place = places_[cell];
    if (place == kNone) {
      if (cell >= views_.tiles) {
        throw std::out_of_range("a view shows tile " + std::to_string(cell) +
                                ", but there are only " + std::to_string(views_.tiles));
      }
      if (size_ == capacity_) return false;
      known_[static_cast<std::size_t>(size_)] = cell;
      place = static_cast<std::uint16_t>(size_++);
    }
    numbers[i] = place;
  }
  return true;
}

bool Tiles::number_pixels(const std::uint8_t* view, std::uint16_t* numbers) {
  for (std::int64_t i = 0; i < views_.cells(); ++i, view += 3) {
    const std::uint32_t key = view[0] | view[1] << 8 | view[2] << 16;
    std::size_t at = mixed(key) & last_place_;
    while (keys_[at] != key) {
      if (keys_[at] == kNoKey) {
        if (size_ == capacity_) return false;
        keys_[at] = key;
        std::memcpy(pixels_.data() + size_ * 3, view, 3);
        places_[at] = static_cast<std::uint16_t>(size_++);
        break;
      }
      at = (at + 1) & last_place_;
    }
    numbers[i] = places_[at];
  }
  return true;
}

template <std::size_t Side>
bool Tiles::number_tiles(const std::uint8_t* view, std::uint16_t* numbers) {
  const std::size_t side = Side > 0 ? Side : static_cast<std::size_t>(views_.side);
  const std::size_t line = 3 * side, bytes = side * line;
  const std::size_t below =
      line * static_cast<std::size_t>(views_.cols);  // the next line of pixels
  std::uint8_t* next = nullptr;
  for (std::int64_t row = 0; row < views_.rows; ++row, view += side * below) {
    for (std::int64_t col = 0; col < views_.cols; ++col) {
      if (size_ == capacity_) return false;
      // A tile that is new stays where it is put.
      next = pixels_.data() + static_cast<std::size_t>(size_) * bytes;
      const std::uint8_t* from = view + static_cast<std::size_t>(col) * line;
      for (std::size_t i = 0; i < side; ++i) std::memcpy(next + i * line, from + i * below, line);
      std::size_t at = hash(next, bytes) & last_place_;
      while (places_[at] != kNone && std::memcmp(pixels_of(places_[at]), next, bytes) != 0) {
        at = (at + 1) & last_place_;
      }
      if (places_[at] == kNone) places_[at] = static_cast<std::uint16_t>(size_++);
      *numbers++ = places_[at];
    }
  }
  return true;
}

}  // namespace socialgrid::learning
