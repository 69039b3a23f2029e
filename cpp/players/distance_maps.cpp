#include "players/distance_maps.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <stdexcept>
#include <utility>

namespace socialgrid::players {
namespace {

// Added to a distance that crosses cells of the fallback: no detour is as bad as that.
constexpr std::int32_t kFar = 1 << 14;

// Headings in the order in which ties are broken (ahead, left, right, back), seen from the present
// direction; the actions it takes to enter the cell there; and the first of these.
constexpr int kRelative[] = {0, 3, 1, 2};
constexpr std::int32_t kToEnter[] = {1, 2, 2, 3};
constexpr std::int32_t kFirst[] = {kForward, kLeft, kRight, kRight};

// A mark that no world has.
constexpr std::uint64_t kNever = ~std::uint64_t{0};

constexpr std::int32_t kNoWay = -2, kUnknown = -1;

bool has(const std::string& characters, char glyph) {
  return glyph != '\0' && characters.find(glyph) != std::string::npos;
}

}  // namespace

// A search in one grid, with a frame around it that nobody enters.
struct DistanceMaps::Scratch {
  explicit Scratch(int rows, int cols)
      : width(static_cast<std::size_t>(cols) + 2),
        plane(width * (static_cast<std::size_t>(rows) + 2)),
        distance(4 * plane),
        queue(4 * plane) {}

  struct Pose {
    std::uint32_t cell;
    std::uint32_t dir;
  };
  std::size_t width, plane;
  std::vector<std::int32_t> distance;  // [4, plane]
  std::vector<Pose> queue;

  // Fewest actions into a target, as socialgrid.action_distances has them: breadth first, backwards
  // from the entries into it.
  void search(const World& world, const std::array<bool, 256>& passable, Position target) {
    std::fill(distance.begin(), distance.end(), kNoWay);
    const std::span<const Tile> cells = world.cells();
    const auto cols = static_cast<std::size_t>(world.cols());
    for (std::size_t row = 0; row < static_cast<std::size_t>(world.rows()); ++row) {
      std::int32_t* line = &distance[(row + 1) * width + 1];
      for (std::size_t col = 0; col < cols; ++col) {
        if (passable[cells[row * cols + col]]) line[col] = kUnknown;
      }
    }
    const auto goal = static_cast<std::uint32_t>(static_cast<std::size_t>(target.row + 1) * width +
                                                 static_cast<std::size_t>(target.col + 1));
    distance[goal] = kUnknown;
    for (std::size_t dir = 1; dir < 4; ++dir) {
      std::copy_n(distance.begin(), plane,
                  distance.begin() + static_cast<std::ptrdiff_t>(dir * plane));
    }
    const auto stride = static_cast<std::uint32_t>(width);
    const std::uint32_t step[] = {1, stride, 0u - 1, 0u - stride};
    std::size_t head = 0, tail = 0;
    const auto reach = [&](std::uint32_t cell, std::uint32_t dir, std::int32_t actions) {
      std::int32_t& known = distance[dir * plane + cell];
      if (known != kUnknown) return;
      known = actions;
      queue[tail++] = {cell, dir};
    };
    for (std::uint32_t dir = 0; dir < 4; ++dir) reach(goal - step[dir], dir, 1);
    while (head < tail) {
      const Pose pose = queue[head++];
      const std::int32_t next = distance[pose.dir * plane + pose.cell] + 1;
      reach(pose.cell, (pose.dir + 1) & 3, next);
      reach(pose.cell, (pose.dir + 3) & 3, next);
      // Walking on over the target would have entered it.
      if (pose.cell != goal) reach(pose.cell - step[pose.dir], pose.dir, next);
    }
  }

  // Calls fn(index in [4, rows, cols], actions) for every state.
  template <typename Fn>
  void for_each(int rows, int cols, Fn fn) const {
    std::size_t index = 0;
    for (std::size_t dir = 0; dir < 4; ++dir) {
      for (int row = 0; row < rows; ++row) {
        const std::int32_t* line =
            &distance[dir * plane + (static_cast<std::size_t>(row) + 1) * width + 1];
        for (int col = 0; col < cols; ++col) fn(index++, line[col]);
      }
    }
  }
};

DistanceMaps::DistanceMaps(const BatchEnv& batch, Terrain terrain, std::size_t slots)
    : terrain_(std::move(terrain)),
      rows_(batch.spec().shape.rows),
      cols_(batch.spec().shape.cols),
      envs_(batch.num_envs()),
      cells_(batch.spec().shape.num_cells()),
      slots_(0),
      small_(4 * cells_ < kFar),
      glyphs_(batch.spec().glyphs),
      content_(envs_, kNever),
      counts_(envs_, 0) {
  for (std::size_t tile = 0; tile < 256; ++tile) {
    const char glyph = glyphs_[tile];
    is_target_[tile] = has(terrain_.targets, glyph);
    walkable_[tile] = has(terrain_.walkable, glyph);
    crossable_[tile] = has(terrain_.fallback, glyph);
  }
  crosses_targets_ = std::all_of(terrain_.targets.begin(), terrain_.targets.end(),
                                 [&](char glyph) { return has(terrain_.fallback, glyph); });
  make_room(slots);
}

void DistanceMaps::make_room(std::size_t slots) {
  if (slots <= slots_) return;
  // Worlds are measured anew, which is less to get wrong than moving their maps.
  std::fill(content_.begin(), content_.end(), kNever);
  const std::size_t states = envs_ * slots * 4 * cells_;
  targets_.assign(envs_ * slots, {});
  if (small_) {
    near_.assign(states, kUnknown);
  } else {
    far_.assign(states, kUnknown);
  }
  slots_ = slots;
}

std::size_t DistanceMaps::count_targets(const World& world) const {
  std::size_t found = 0;
  for (const Tile tile : world.cells()) found += is_target_[tile] ? 1 : 0;
  return found;
}

void DistanceMaps::refresh(BatchEnv& batch) {
  const BatchEnv& worlds = batch;
  std::size_t most = 0;
  for (int round = 0; round < 2; ++round) {  // twice where more room had to be made
    stale_.clear();
    for (std::size_t env = 0; env < envs_; ++env) {
      if (worlds.marks(env).content != content_[env]) stale_.push_back(env);
    }
    if (stale_.empty()) return;
    for (const std::size_t env : stale_) most = std::max(most, count_targets(worlds.world(env)));
    if (most <= slots_) break;
    make_room(most);
  }
  std::vector<Scratch> scratch;
  for (int thread = 0; thread < batch.num_threads(); ++thread) scratch.emplace_back(rows_, cols_);
  constexpr std::size_t kShare = 4;  // searches are work enough for a thread
  batch.pool().parallel_for(
      stale_.size(), kShare, [&](std::size_t begin, std::size_t end, int thread) {
        for (std::size_t i = begin; i < end; ++i) {
          const std::size_t env = stale_[i];
          measure(worlds.world(env), env, scratch[static_cast<std::size_t>(thread)]);
          content_[env] = worlds.marks(env).content;
        }
      });
}

void DistanceMaps::refresh(const BatchEnv& batch, Envs only) {
  std::optional<Scratch> scratch;
  for (std::size_t env = only.begin; env < only.end; ++env) {
    const std::uint64_t content = batch.marks(env).content;
    if (content == content_[env]) continue;
    const World world = batch.world(env);
    if (count_targets(world) > slots_) throw std::logic_error("more targets than ever before");
    if (!scratch) scratch.emplace(rows_, cols_);
    measure(world, env, *scratch);
    content_[env] = content;
  }
}

void DistanceMaps::measure(const World& world, std::size_t env, Scratch& scratch) {
  const std::span<const Tile> cells = world.cells();
  std::size_t count = 0, spare = 0;
  for (std::size_t cell = 0; cell < cells_; ++cell) {
    const Tile tile = cells[cell];
    spare += crossable_[tile] && !walkable_[tile] ? 1 : 0;
    if (!is_target_[tile]) continue;
    Target& target = targets_[env * slots_ + count++];
    target.position = {static_cast<int>(cell) / cols_, static_cast<int>(cell) % cols_};
    target.character = glyphs_[tile];
  }
  counts_[env] = count;
  // A target is entered in any case, so the fallback needs another cell that only it crosses.
  const bool wider = spare > (crosses_targets_ ? 1u : 0u);
  for (std::size_t slot = 0; slot < count; ++slot) {
    Target& target = targets_[env * slots_ + slot];
    target.wider = !wider;
    scratch.search(world, walkable_, target.position);
    const std::size_t first = map_at(env, slot);
    scratch.for_each(rows_, cols_, [&](std::size_t index, std::int32_t actions) {
      actions = std::max(actions, kUnknown);
      if (small_) {
        near_[first + index] = static_cast<std::int16_t>(actions);
      } else {
        far_[first + index] = actions;
      }
    });
    if (wider && !small_) widen(world, env, slot, scratch);
  }
}

void DistanceMaps::widen(const World& world, std::size_t env, std::size_t slot, Scratch& scratch) {
  Target& target = targets_[env * slots_ + slot];
  scratch.search(world, crossable_, target.position);
  const std::size_t first = map_at(env, slot);
  scratch.for_each(rows_, cols_, [&](std::size_t index, std::int32_t actions) {
    if (actions < 0 || onward(first + index) >= 0) return;
    if (small_) {
      near_[first + index] = static_cast<std::int16_t>(actions + kFar);
    } else {
      far_[first + index] = actions + kFar;
    }
  });
  target.wider = true;
}

Lead DistanceMaps::best_heading(std::size_t env, std::size_t slot, Position from, int dir) const {
  // Turn to face a heading, step, then follow the map. Looking one step ahead instead of reading
  // the walker's own state keeps the answer right on cells that the map does not walk over, such as
  // a wrong goal that it stands on.
  const Position target = position(env, slot);
  const std::size_t first = map_at(env, slot);
  Lead best;
  for (int i = 0; i < 4; ++i) {
    const int heading = (dir + kRelative[i]) & 3;
    const Position next{from.row + kRowStep[heading], from.col + kColStep[heading]};
    if (next.row < 0 || next.col < 0 || next.row >= rows_ || next.col >= cols_) continue;
    const auto state = static_cast<std::size_t>((heading * rows_ + next.row) * cols_ + next.col);
    const std::int32_t rest = next == target ? 0 : onward(first + state);
    if (rest < 0) continue;
    const std::int32_t cost = rest + kToEnter[i];
    if (cost < best.cost) best = {cost, kFirst[i]};
  }
  return best;
}

Lead DistanceMaps::lead(const World& world, std::size_t env, std::size_t slot, Position from,
                        int dir) {
  if (slot >= count(env)) return {};
  const Lead way = best_heading(env, slot, from, dir);
  if (way.cost < kUnreachable || targets_[env * slots_ + slot].wider) return way;
  // Ways over the fallback are measured only where somebody needs one. Where distances are small
  // they are all longer than those over walkable cells.
  Scratch scratch(rows_, cols_);
  widen(world, env, slot, scratch);
  return best_heading(env, slot, from, dir);
}

void DistanceMaps::expect(std::size_t env, std::size_t slot, Position from) const {
#if defined(__GNUC__)
  if (slot >= count(env)) return;
  const std::size_t first = map_at(env, slot);
  for (int heading = 0; heading < 4; ++heading) {
    const Position next{from.row + kRowStep[heading], from.col + kColStep[heading]};
    if (next.row < 0 || next.col < 0 || next.row >= rows_ || next.col >= cols_) continue;
    const auto state = static_cast<std::size_t>((heading * rows_ + next.row) * cols_ + next.col);
    if (small_) {
      __builtin_prefetch(&near_[first + state]);
    } else {
      __builtin_prefetch(&far_[first + state]);
    }
  }
#else
  static_cast<void>(env), static_cast<void>(slot), static_cast<void>(from);
#endif
}

DistanceMaps* MapStore::find(const Terrain& terrain) const {
  const auto found = std::find_if(maps_.begin(), maps_.end(),
                                  [&](const auto& maps) { return maps->terrain() == terrain; });
  return found != maps_.end() ? found->get() : nullptr;
}

DistanceMaps& MapStore::of(BatchEnv& batch, const Terrain& terrain, std::size_t slots) {
  DistanceMaps* maps = find(terrain);
  if (maps == nullptr) {
    maps = maps_.emplace_back(std::make_unique<DistanceMaps>(batch, terrain, slots)).get();
  }
  maps->make_room(slots);
  maps->refresh(batch);
  return *maps;
}

DistanceMaps& MapStore::of(const BatchEnv& batch, const Terrain& terrain, std::size_t slots,
                           Envs only) {
  DistanceMaps* maps = find(terrain);
  if (maps == nullptr || maps->slots() < slots) throw std::logic_error("maps that nobody made");
  maps->refresh(batch, only);
  return *maps;
}

}  // namespace socialgrid::players
