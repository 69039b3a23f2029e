// Players of the games whose agents step in any direction without turning: apples, rivers, boxes
// and switches.
#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "core/map.hpp"
#include "players/kinds.hpp"
#include "players/scene.hpp"

namespace socialgrid::players {
namespace {

constexpr std::uint64_t kWay = 32, kWait = 33;  // what draws are for

class Strider : public Mind {
 public:
  using Mind::Mind;

  void check(const BatchEnv& batch) const override {
    Mind::check(batch);
    if (!batch.spec().shape.has_cells()) refuse("worlds with cells");
  }

 protected:
  // Calls for memory that is read soon.
  static void call_for(std::span<const Tile> cells) {
#if defined(__GNUC__)
    constexpr std::size_t kLine = 64;
    for (std::size_t at = 0; at < cells.size(); at += kLine) __builtin_prefetch(&cells[at]);
#else
    static_cast<void>(cells);
#endif
  }

  // What a thread works with: a scene, and as many sets of cells as `Sets`.
  template <std::size_t Sets>
  struct Desk {
    explicit Desk(const Board& board) : scene(board) {
      for (std::size_t i = 0; i < Sets; ++i) cells.emplace_back(board);
    }
    Scene scene;
    std::vector<Cells> cells;
  };

  // play() of a player that chooses choose(desk, seen); `solid`: characters that nobody can enter.
  template <std::size_t Sets, typename Choose>
  void stride(const Call& call, std::int32_t* actions, std::string_view solid,
              Choose choose) const {
    const GameSpec& spec = call.batch.spec();
    const Board board(spec.shape.rows, spec.shape.cols);
    std::vector<Desk<Sets>> desks;
    for (int thread = 0; thread < call.threads(); ++thread) desks.emplace_back(board);
    const std::vector<Tile> walls = tiles_of(spec, solid);
    const auto play_one = [&](const Seen& seen, int thread) {
      Desk<Sets>& desk = desks[static_cast<std::size_t>(thread)];
      desk.scene.look(seen.world, role().agent, walls);
      return choose(desk, seen);
    };
    play(call, actions, play_one, [](const Seen& soon) { call_for(soon.world.cells()); });
  }
};

// Walks to the nearest apple, whatever comes of it; stays where there is none.
class Gatherer final : public Strider {
 public:
  explicit Gatherer(Role role) : Strider(std::move(role), {}) {}

  void act(const Call& call, std::int32_t* actions) const override {
    const std::vector<Tile> apple = tiles_of(call.batch.spec(), "A");
    const Draws way = draws(call, kWay);
    stride<1>(call, actions, "@", [&](Desk<1>& desk, const Seen& seen) {
      desk.scene.find(seen.world, apple, desk.cells[0]);
      return desk.scene.walk(desk.cells[0], way.word(global(seen.env)));
    });
  }
};

// Leaves apples with fewer others around them than `neighbours`, and walks round them.
class SustainableGatherer final : public Strider {
 public:
  SustainableGatherer(Role role, int neighbours, int radius_squared)
      : Strider(std::move(role), {}), neighbours_(static_cast<unsigned>(neighbours)) {
    for (int row = -Board::kReach; row <= Board::kReach; ++row) {
      for (int col = -Board::kReach; col <= Board::kReach; ++col) {
        const int distance = row * row + col * col;
        if (distance > 0 && distance <= radius_squared) around_.push_back({row, col});
      }
    }
  }

  void act(const Call& call, std::int32_t* actions) const override {
    const std::vector<Tile> apple = tiles_of(call.batch.spec(), "A");
    const Draws way = draws(call, kWay);
    stride<3>(call, actions, "@", [&](Desk<3>& desk, const Seen& seen) {
      Cells &apples = desk.cells[0], &targets = desk.cells[1], &spared = desk.cells[2];
      desk.scene.find(seen.world, apple, apples);
      for (std::size_t i = 0; i < apples.size(); ++i) {
        targets[i] = apples[i] == 0 ? 0 : apples[i] & many_around(desk.scene.board(), apples, i);
        spared[i] = apples[i] & ~targets[i];
      }
      return desk.scene.walk(targets, way.word(global(seen.env)), &spared);
    });
  }

 private:
  // The cells of word i with enough apples around them: 64 counts of four bits, a bit a word.
  std::uint64_t many_around(const Board& board, const Cells& apples, std::size_t i) const {
    std::array<std::uint64_t, 4> count{};
    for (const Position& offset : around_) {
      const Shift shift(static_cast<std::ptrdiff_t>(offset.row) * board.cols() + offset.col);
      std::uint64_t carry = shift(apples.data(), i) & board.having(offset.col)[i];
      for (std::uint64_t& digit : count) {
        const std::uint64_t both = digit & carry;
        digit ^= carry;
        carry = both;
      }
    }
    std::uint64_t more = 0, equal = ~std::uint64_t{0};
    for (int digit = 3; digit >= 0; --digit) {
      const std::uint64_t has = count[static_cast<std::size_t>(digit)];
      const bool wanted = ((neighbours_ >> digit) & 1) != 0;
      if (!wanted) more |= equal & has;
      equal &= wanted ? has : ~has;
    }
    return more | equal;
  }

  unsigned neighbours_;
  std::vector<Position> around_;
};

// Agent 0 first lets agent 1 out, then both go from apple to apple. A box that must be held open it
// opens for as long as agent 1 is on its start cell.
class BoxOpener final : public Strider {
 public:
  BoxOpener(Role role, Position trap, bool held)
      : Strider(std::move(role), {}), trap_(trap), held_(held) {}

  void check(const BatchEnv& batch) const override {
    Strider::check(batch);
    if (batch.num_agents() < 2) refuse("at least 2 agents");
  }

  void act(const Call& call, std::int32_t* actions) const override {
    const std::vector<Tile> apple = tiles_of(call.batch.spec(), "A");
    const std::vector<Tile> box = tiles_of(call.batch.spec(), "#");
    const Draws way = draws(call, kWay);
    stride<1>(call, actions, "@#", [&](Desk<1>& desk, const Seen& seen) {
      Cells& cells = desk.cells[0];
      if (role().num_actions > kUse) {
        if (held_) {
          if (seen.world.agents()[1].position() == trap_) return kUse;
        } else {
          desk.scene.find(seen.world, box, cells);
          if (!cells.empty()) return kUse;
        }
      }
      desk.scene.find(seen.world, apple, cells);
      return desk.scene.walk(cells, way.word(global(seen.env)));
    });
  }

 private:
  Position trap_;
  bool held_;
};

// Goes to the nearest switch that is off and toggles it; once the door is open, to the door.
class ExitFinder final : public Strider {
 public:
  explicit ExitFinder(Role role) : Strider(std::move(role), {}) {}

  void act(const Call& call, std::int32_t* actions) const override {
    const std::vector<Tile> off = tiles_of(call.batch.spec(), "s");
    const std::vector<Tile> door = tiles_of(call.batch.spec(), "O");
    const Draws way = draws(call, kWay), wait = draws(call, kWait);
    stride<2>(call, actions, "@DsS", [&](Desk<2>& desk, const Seen& seen) {
      Scene& scene = desk.scene;
      Cells &exits = desk.cells[0], &switches = desk.cells[1];
      const std::uint64_t at = global(seen.env);
      scene.find(seen.world, door, exits);
      if (!exits.empty()) return scene.walk(exits, way.word(at));
      scene.find(seen.world, off, switches);
      // Beside a switch: face it, then toggle. The switch it faces already comes first.
      for (int quarter = 0; quarter < 4; ++quarter) {
        const Position place = beside(scene.own(), (scene.direction() + quarter) & 3);
        if (!contains(scene.board(), switches, place)) continue;
        // Two that toggle one switch in the same step leave it off, so each sometimes waits.
        bool rivals = false;
        for (int side = 0; side < 4; ++side) {
          rivals = rivals || contains(scene.board(), scene.occupied(), beside(place, side));
        }
        if (rivals && as_unit(wait.word(at)) < 0.5) return kStay;
        return quarter == 0 ? kUse : kTurnTowards[quarter];
      }
      return scene.walk(switches, way.word(at));
    });
  }

 private:
  static Position beside(Position place, int direction) {
    return {place.row + kRowStep[direction], place.col + kColStep[direction]};
  }
  static bool contains(const Board& board, const Cells& cells, Position place) {
    return board.contains(place) && cells.contains(board.number(place));
  }
};

// Cleans when the river holds much waste, until it holds little; otherwise gathers apples.
class Cleaner final : public Strider {
 public:
  Cleaner(Role role, double begin, double until)
      : Strider(std::move(role), {{"on_duty", ColumnType::kBool, 0, 0}}),
        begin_(begin),
        until_(until) {}

  void act(const Call& call, std::int32_t* actions) const override {
    const GameSpec& spec = call.batch.spec();
    const std::vector<Tile> waste_tiles = tiles_of(spec, "H");
    const std::vector<Tile> river_tiles = tiles_of(spec, "R"), apple = tiles_of(spec, "A");
    const Draws way = draws(call, kWay);
    stride<kSets>(call, actions, "@", [&](Desk<kSets>& desk, const Seen& seen) {
      Scene& scene = desk.scene;
      Cells &waste = desk.cells[kWaste], &targets = desk.cells[kTargets];
      const std::size_t river = Scene::count(seen.world, river_tiles);
      scene.find(seen.world, waste_tiles, waste);
      const std::size_t dirt = waste.count();
      const double share =
          static_cast<double>(dirt) / static_cast<double>(std::max<std::size_t>(dirt + river, 1));
      std::uint8_t& on_duty = call.memory.flags(0)[seen.env];
      on_duty = share > (on_duty != 0 ? until_ : begin_) ? 1 : 0;
      const std::uint64_t word = way.word(global(seen.env));
      if (on_duty == 0) {
        scene.find(seen.world, apple, targets);
        return scene.walk(targets, word);
      }
      const Shot shot = best_shot(desk);
      if (shot.waste == 0) return kStay;
      if (shot.cell == scene.board().number(scene.own())) {
        const int quarter = (shot.towards - scene.direction()) & 3;
        return quarter == 0 ? kClean : kTurnTowards[quarter];
      }
      targets.clear();
      targets.insert(shot.cell);
      return scene.walk(targets, word);
    });
  }

 private:
  enum { kWaste, kTargets, kFree, kDirty, kRay, kNextRay, kOne, kTwo, kThree, kSets };
  static constexpr int kBeamLength = 5;

  // Where to shoot the cleaning beam from, and which way.
  struct Shot {
    int waste = 0;    // cells that it cleans
    int actions = 1;  // of walking there, turning and shooting
    std::size_t cell = 0;
    int towards = 0;

    // More waste for an action; of equals the first by direction, then by cell.
    bool comes_before(const Shot& other) const {
      const int more = waste * other.actions - other.waste * actions;
      if (more != 0) return more > 0;
      return towards != other.towards ? towards < other.towards : cell < other.cell;
    }
    // How many actions another one may take that cleans so much and is as good.
    int most_actions(int other_waste) const {
      return waste == 0 ? 4 * kMaxSide : other_waste * actions / waste;
    }
  };

  // The shot that comes before all others.
  static Shot best_shot(Desk<kSets>& desk) {
    const Scene& scene = desk.scene;
    const Board& board = scene.board();
    const std::size_t words = board.num_words();
    Cells &free = desk.cells[kFree], &dirty = desk.cells[kDirty];
    for (std::size_t i = 0; i < words; ++i) {
      free[i] = board.all()[i] & ~(scene.solid()[i] | scene.occupied()[i]);
      dirty[i] = desk.cells[kWaste][i] & free[i];
    }
    Shot best;
    const std::size_t own = board.number(scene.own());
    for (int quarter = 0; quarter < 4; ++quarter) {
      constexpr int kTurns[] = {0, 1, 2, 1};  // actions that it takes, by quarter turns clockwise
      const int turns = kTurns[quarter], towards = (scene.direction() + quarter) & 3;
      if (!Shot{3, turns + 1, 0, towards}.comes_before(best)) continue;
      // Whether a ray that starts in a cell meets waste, with nothing in between.
      Cells *ray = &desk.cells[kRay], *next = &desk.cells[kNextRay];
      scene.draw_back(dirty, towards, free, *ray);
      for (int length = 2; length < kBeamLength; ++length) {
        scene.draw_back(*ray, towards, free, *next);
        std::swap(ray, next);
      }
      Cells* const at_least = &desk.cells[kOne];
      scene.count_beside(*ray, towards, free, at_least);
      const auto consider = [&](int waste, int steps, std::size_t cell) {
        const Shot shot{waste, steps + turns + 1, cell, towards};
        if (shot.comes_before(best)) best = shot;
      };
      // From where it stands: that leaves less to look for elsewhere.
      for (int waste = 1; waste <= 3; ++waste) {
        if (at_least[waste - 1].contains(own)) consider(waste, 0, own);
      }
      // A cell that does for more than `waste` is found for that, too, and comes before this shot.
      for (const int waste : {1, 3, 2}) {
        // Where nothing is so near that three rays would do, there is nothing for any number.
        const int most = best.most_actions(waste == 2 ? 2 : 3) - turns - 1;
        const Near found = board.nearest(at_least[waste - 1], scene.own(), most);
        if (found.steps <= most) {
          consider(waste, found.steps, found.cell);
        } else if (waste == 1) {
          break;
        }
      }
    }
    return best;
  }

  double begin_, until_;
};

}  // namespace

std::unique_ptr<const Mind> gatherer(Role role, const Numbers&) {
  return std::make_unique<Gatherer>(std::move(role));
}
std::unique_ptr<const Mind> sustainable_gatherer(Role role, const Numbers& numbers) {
  return std::make_unique<SustainableGatherer>(
      std::move(role), numbers.integer("neighbours", 0, 15),
      numbers.integer("radius_squared", 1, Board::kReach * Board::kReach));
}
std::unique_ptr<const Mind> box_opener(Role role, const Numbers& numbers) {
  const int row = numbers.integer("trap_row", 0, kMaxSide);
  const int col = numbers.integer("trap_col", 0, kMaxSide);
  return std::make_unique<BoxOpener>(std::move(role), Position{row, col}, numbers.of("held") != 0);
}
std::unique_ptr<const Mind> exit_finder(Role role, const Numbers&) {
  return std::make_unique<ExitFinder>(std::move(role));
}
std::unique_ptr<const Mind> cleaner(Role role, const Numbers& numbers) {
  return std::make_unique<Cleaner>(std::move(role), numbers.of("begin"), numbers.of("until"));
}

}  // namespace socialgrid::players
