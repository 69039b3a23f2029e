#include "distinct.hpp"

#include <cstddef>
#include <cstring>
#include <vector>

namespace socialgrid::learning {
namespace {

std::uint64_t word(const std::uint8_t* from, std::size_t bytes) {
  std::uint64_t found = 0;
  std::memcpy(&found, from, bytes);
  return found;
}

// Rows of a width that the compiler knows, or of any.
template <std::size_t Width>
struct Row {
  std::size_t any;
  std::size_t width() const { return Width == 0 ? any : Width; }

  bool same(const std::uint8_t* a, const std::uint8_t* b) const {
    return std::memcmp(a, b, width()) == 0;
  }

  // All bytes count; equal rows, and seldom others, have equal hashes.
  std::uint64_t hash(const std::uint8_t* row) const {
    const std::size_t bytes = width();
    std::uint64_t h = 0x9e3779b97f4a7c15u;
    const auto mix = [&h](std::uint64_t next) {
      h = (h ^ next) * 0xff51afd7ed558ccdu;
      h ^= h >> 32;
    };
    std::size_t i = 0;
    for (; i + 8 <= bytes; i += 8) mix(word(row + i, 8));
    if (i < bytes && bytes >= 8) mix(word(row + bytes - 8, 8));
    if (bytes < 8) mix(word(row, bytes));
    return h;
  }
};

template <std::size_t Width, typename Number>
std::int64_t number_rows(const std::uint8_t* rows, std::int64_t count, Row<Width> kind,
                         std::int64_t limit, Number* number, std::int64_t* first) {
  const auto bytes = static_cast<std::int64_t>(kind.width());
  const std::int64_t most = count < limit ? count : limit;
  std::size_t slots = 16;
  while (slots < 2 * static_cast<std::size_t>(most)) slots *= 2;
  std::vector<std::int64_t> table(slots, -1);  // numbers
  std::int64_t found = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint8_t* row = rows + i * bytes;
    if (i > 0 && kind.same(row, row - bytes)) {
      number[i] = number[i - 1];
      continue;
    }
    std::size_t slot = kind.hash(row) & (slots - 1);
    while (table[slot] >= 0 && !kind.same(row, rows + first[table[slot]] * bytes)) {
      slot = (slot + 1) & (slots - 1);
    }
    if (table[slot] < 0) {
      if (found == most) return limit + 1;
      first[found] = i;
      table[slot] = found++;
    }
    number[i] = static_cast<Number>(table[slot]);
  }
  return found;
}

constexpr std::uint32_t kFree = 0xffffffff;
struct Place {
  std::uint32_t word = kFree, number = 0;
};

// Rows of fewer than four bytes, which are numbers themselves.
template <std::size_t Width, typename Number>
std::int64_t number_words(const std::uint8_t* rows, std::int64_t count, std::int64_t limit,
                          Number* number, std::int64_t* first) {
  static_assert(Width < 4);
  const std::int64_t most = count < limit ? count : limit;
  std::size_t places = 16;
  while (places < 4 * static_cast<std::size_t>(most)) places *= 2;
  std::vector<Place> table(places);
  std::int64_t found = 0;
  for (std::int64_t i = 0; i < count; ++i, rows += Width) {
    std::uint32_t row = 0;
    for (std::size_t j = 0; j < Width; ++j) row |= std::uint32_t{rows[j]} << (8 * j);
    std::size_t at = (row * std::uint64_t{0x9e3779b97f4a7c15u} >> 32) & (places - 1);
    while (table[at].word != row) {
      if (table[at].word == kFree) {
        if (found == most) return limit + 1;
        first[found] = i;
        table[at] = {row, static_cast<std::uint32_t>(found++)};
        break;
      }
      at = (at + 1) & (places - 1);
    }
    number[i] = static_cast<Number>(table[at].number);
  }
  return found;
}

// Tile numbers, and tiles of one and of three pixels along the side, are what views are made of.
template <typename Number>
std::int64_t number_any(const std::uint8_t* rows, std::int64_t count, std::int64_t bytes,
                        std::int64_t limit, Number* number, std::int64_t* first) {
  switch (bytes) {
    case 1:
      return number_words<1>(rows, count, limit, number, first);
    case 2:
      return number_words<2>(rows, count, limit, number, first);
    case 3:
      return number_words<3>(rows, count, limit, number, first);
    case 27:
      return number_rows(rows, count, Row<27>{27}, limit, number, first);
    default:
      return number_rows(rows, count, Row<0>{static_cast<std::size_t>(bytes)}, limit, number,
                         first);
  }
}

}  // namespace

std::int64_t distinct(const std::uint8_t* rows, std::int64_t count, std::int64_t bytes,
                      std::int64_t limit, std::uint16_t* number, std::int64_t* first) {
  return number_any(rows, count, bytes, limit, number, first);
}

std::int64_t distinct(const std::uint8_t* rows, std::int64_t count, std::int64_t bytes,
                      std::int64_t limit, std::int64_t* number, std::int64_t* first) {
  return number_any(rows, count, bytes, limit, number, first);
}

}  // namespace socialgrid::learning
