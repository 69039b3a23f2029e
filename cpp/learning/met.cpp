#include "met.hpp"

#include <algorithm>
#include <cstring>

namespace socialgrid::learning {
namespace {

std::uint64_t hash_of(const std::uint16_t* view, std::size_t bytes) {
  const auto* at = reinterpret_cast<const unsigned char*>(view);
  std::uint64_t h = 0x9e3779b97f4a7c15u;
  for (std::size_t i = 0; i < bytes; i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, at + i, std::min<std::size_t>(8, bytes - i));
    h = (h ^ word) * 0xff51afd7ed558ccdu;
    h ^= h >> 32;
  }
  return h;
}

}  // namespace

Met::Met(std::int64_t cells, std::int64_t features, std::int64_t least, std::int64_t bytes)
    : cells_(cells),
      features_(features),
      most_(std::max(least, bytes / (2 * cells + 4 * features))),
      views_(static_cast<std::size_t>(most_ * cells)),
      made_(Numbers::unset(most_ * features)) {
  std::size_t places = 16;
  while (places < 2 * static_cast<std::size_t>(most_)) places *= 2;
  table_.resize(places);
}

void Met::clear() {
  if (count_ > 0) std::fill(table_.begin(), table_.end(), Place{});
  count_ = 0;
}

std::int64_t Met::number(const std::uint16_t* view) {
  const auto bytes = 2 * static_cast<std::size_t>(cells_);
  const std::uint64_t hash = hash_of(view, bytes);
  const auto tag = static_cast<std::uint32_t>(hash >> 32);
  std::size_t at = hash & (table_.size() - 1);
  for (;; at = (at + 1) & (table_.size() - 1)) {
    const Place place = table_[at];
    if (place.number == kFree) break;
    if (place.hash != tag) continue;
    if (std::memcmp(this->view(place.number), view, bytes) == 0) return place.number;
  }
  table_[at] = {static_cast<std::uint32_t>(count_), tag};
  std::memcpy(views_.data() + count_ * cells_, view, bytes);
  return count_++;
}

}  // namespace socialgrid::learning
