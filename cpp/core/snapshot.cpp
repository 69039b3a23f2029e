// Snapshots of a batch: a header that says what it belongs to, the worlds, a checksum.
#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <string>

#include "core/batch.hpp"
#include "core/text.hpp"

namespace socialgrid {
namespace {

static_assert(std::endian::native == std::endian::little, "snapshots are little-endian");

constexpr char kMagic[8] = {'S', 'G', 'R', 'I', 'D', 'S', 'N', 'P'};
// Versions 1 and 2 had the values of all games in every world.
constexpr std::uint64_t kVersion = 3;

std::uint64_t fnv1a(std::span<const std::byte> bytes) {
  std::uint64_t hash = 14695981039346656037ull;
  // Eight bytes at a time; the tail byte by byte.
  std::size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, &bytes[i], 8);
    hash = (hash ^ word) * 1099511628211ull;
    hash ^= hash >> 32;
  }
  for (; i < bytes.size(); ++i) {
    hash = (hash ^ std::to_integer<std::uint64_t>(bytes[i])) * 1099511628211ull;
  }
  return hash;
}

// Everything two batches must share to exchange snapshots.
std::string identity(const GameSpec& spec, std::size_t num_envs) {
  std::string text = spec.name + " envs=" + std::to_string(num_envs);
  for (const auto& [name, value] : spec.config) text += " " + name + "=" + to_string(value);
  return text;
}

struct Header {
  char magic[8];
  std::uint64_t version;
  std::uint64_t identity_bytes;
  std::uint64_t world_bytes;
  std::uint64_t seed;
  std::uint64_t first_env_index;
  std::uint32_t is_reset;
  std::uint32_t autoreset;  // of the batch: whether its environments wait when they have finished
};

// A snapshot that is whole, taken apart.
struct Opened {
  Header header;
  std::string identity;
  std::span<const std::byte> worlds;
};

Opened take_apart(std::span<const std::byte> bytes) {
  Header header;
  if (bytes.size() < sizeof header + sizeof(std::uint64_t) ||
      std::memcmp(bytes.data(), kMagic, sizeof kMagic) != 0) {
    throw SnapshotError("not a socialgrid snapshot (" + std::to_string(bytes.size()) + " bytes)");
  }
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.version != kVersion) {
    throw SnapshotError("snapshot version " + std::to_string(header.version) +
                        "; this build reads version " + std::to_string(kVersion));
  }
  const std::size_t content = bytes.size() - sizeof header - sizeof(std::uint64_t);
  if (header.identity_bytes > content || header.world_bytes != content - header.identity_bytes) {
    throw SnapshotError("the snapshot is truncated or too long: " + std::to_string(bytes.size()) +
                        " bytes");
  }
  std::uint64_t checksum = 0;
  std::memcpy(&checksum, &bytes[bytes.size() - sizeof checksum], sizeof checksum);
  if (checksum != fnv1a(bytes.first(bytes.size() - sizeof checksum))) {
    throw SnapshotError("the snapshot is corrupted: its checksum does not match");
  }
  const std::string text(reinterpret_cast<const char*>(bytes.data() + sizeof header),
                         header.identity_bytes);
  return {header, text, bytes.subspan(sizeof header + header.identity_bytes, header.world_bytes)};
}

std::vector<std::byte> put_together(Header header, const std::string& identity,
                                    std::span<const std::byte> worlds) {
  header.identity_bytes = identity.size();
  header.world_bytes = worlds.size();
  std::vector<std::byte> bytes(sizeof header + identity.size() + worlds.size() +
                               sizeof(std::uint64_t));
  std::byte* out = bytes.data();
  const auto append = [&](const void* source, std::size_t count) {
    if (count > 0) std::memcpy(out, source, count);
    out += count;
  };
  append(&header, sizeof header);
  append(identity.data(), identity.size());
  append(worlds.data(), worlds.size());
  const std::uint64_t checksum =
      fnv1a(std::span<const std::byte>(bytes).first(bytes.size() - sizeof(std::uint64_t)));
  append(&checksum, sizeof checksum);
  return bytes;
}

// An identity's number of environments, and what stands before and behind it.
struct Sized {
  std::string before;
  std::size_t num_envs = 0;
  std::string behind;

  std::string of(std::size_t other) const { return before + std::to_string(other) + behind; }
};

Sized sized(const Opened& opened) {
  const std::string_view word = " envs=";
  const std::size_t found = opened.identity.find(word);
  if (found == std::string::npos) throw SnapshotError("the snapshot does not say how large it is");
  const std::size_t first = found + word.size();
  const std::size_t last = std::min(opened.identity.find(' ', first), opened.identity.size());
  Sized parts{.before = opened.identity.substr(0, first), .behind = opened.identity.substr(last)};
  const char* const begin = opened.identity.data() + first;
  const char* const end = opened.identity.data() + last;
  const auto [stop, error] = std::from_chars(begin, end, parts.num_envs);
  if (error != std::errc() || stop != end || parts.num_envs == 0 ||
      opened.worlds.size() % parts.num_envs != 0) {
    throw SnapshotError("the snapshot does not say how large it is");
  }
  return parts;
}

}  // namespace

std::vector<std::byte> take_from_snapshot(std::span<const std::byte> bytes, std::size_t first,
                                          std::size_t count) {
  Opened opened = take_apart(bytes);
  const Sized size = sized(opened);
  if (count == 0 || first > size.num_envs || count > size.num_envs - first) {
    throw SnapshotError("no environments " + std::to_string(first) + " to " +
                        std::to_string(first + count) + " in a snapshot of " +
                        std::to_string(size.num_envs));
  }
  const std::size_t each = opened.worlds.size() / size.num_envs;
  opened.header.first_env_index += first;
  return put_together(opened.header, size.of(count),
                      opened.worlds.subspan(first * each, count * each));
}

std::vector<std::byte> join_snapshots(std::span<const std::span<const std::byte>> parts) {
  if (parts.empty()) throw SnapshotError("no snapshots to join");
  const Opened head = take_apart(parts.front());
  const Sized size = sized(head);
  std::vector<std::byte> worlds;
  std::size_t num_envs = 0;
  for (const std::span<const std::byte> part : parts) {
    const Opened opened = take_apart(part);
    const Sized own = sized(opened);
    const Header& header = opened.header;
    if (own.of(0) != size.of(0) || header.seed != head.header.seed ||
        header.is_reset != head.header.is_reset || header.autoreset != head.header.autoreset ||
        header.first_env_index != head.header.first_env_index + num_envs) {
      throw SnapshotError("the snapshots are not of environments that follow each other: [" +
                          printable(head.identity, 2000) + "], [" +
                          printable(opened.identity, 2000) + "]");
    }
    worlds.insert(worlds.end(), opened.worlds.begin(), opened.worlds.end());
    num_envs += own.num_envs;
  }
  return put_together(head.header, size.of(num_envs), worlds);
}

std::vector<std::byte> BatchEnv::snapshot() const {
  Header header{.magic = {},
                .version = kVersion,
                .identity_bytes = 0,
                .world_bytes = 0,
                .seed = seed_,
                .first_env_index = first_env_index_,
                .is_reset = is_reset_ ? 1u : 0u,
                .autoreset = static_cast<std::uint32_t>(autoreset_)};
  std::copy(std::begin(kMagic), std::end(kMagic), header.magic);
  return put_together(header, identity(spec(), num_envs_), worlds_[current_.front()]);
}

void BatchEnv::restore(std::span<const std::byte> bytes) {
  const Opened opened = take_apart(bytes);
  const Header& header = opened.header;
  if (opened.identity != identity(spec(), num_envs_)) {
    throw SnapshotError("the snapshot belongs to another configuration: it is of [" +
                        printable(opened.identity, 2000) + "], this batch is [" +
                        printable(identity(spec(), num_envs_), 2000) + "]");
  }
  if (header.world_bytes != worlds_[current_.front()].size()) {
    throw SnapshotError("the snapshot's worlds have the wrong size");
  }
  std::vector<std::byte> worlds(opened.worlds.begin(), opened.worlds.end());
  if (header.autoreset > static_cast<std::uint32_t>(Autoreset::kDisabled)) {
    throw SnapshotError("the snapshot's way to restart is unknown: " +
                        std::to_string(header.autoreset));
  }
  const bool may_wait = header.autoreset != static_cast<std::uint32_t>(Autoreset::kSameStep);
  for (std::size_t env = 0; env < num_envs_ && header.is_reset != 0; ++env) {
    const World world(spec().shape, worlds.data() + env * spec().shape.bytes());
    const bool waits = may_wait && is_over(world);
    if (waits && autoreset_ == Autoreset::kSameStep) {
      throw SnapshotError("the snapshot's environment " + std::to_string(env) +
                          " has finished its episode, which this batch cannot hold: it restarts in "
                          "the same step; restore it with autoreset next_step or disabled");
    }
    try {
      game_->validate(world, waits);
    } catch (const std::invalid_argument& error) {
      throw SnapshotError("the snapshot's environment " + std::to_string(env) +
                          " is impossible: " + error.what());
    }
  }
  worlds_[current_.front()] = std::move(worlds);
  for (WorldMarks& marks : marks_[current_.front()]) marks.replaced();
  seed_ = header.seed;
  first_env_index_ = header.first_env_index;
  is_reset_ = header.is_reset != 0;
}

}  // namespace socialgrid
