// Small worlds of social dilemmas, drawn as text.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "check.hpp"
#include "dilemma/beams.hpp"
#include "dilemma/dilemma_tile.hpp"
#include "dilemma/moves.hpp"

namespace socialgrid::testing {

using Picture = std::vector<std::string>;

inline constexpr std::int32_t kLeft = 0, kRight = 1, kUp = 2, kDown = 3, kStay = 4, kClockwise = 5;
inline constexpr std::int32_t kFire = 7, kClean = 8;

// A world drawn as text: tiles as in layouts, and agents as letters from 'a' on, all on ground.
// They face up until told otherwise.
class Stage {
 public:
  explicit Stage(const Picture& picture) {
    std::string letters;
    for (const std::string& line : picture) {
      for (const char c : line) {
        if (c >= 'a' && c <= 'r') letters += c;
      }
    }
    std::sort(letters.begin(), letters.end());
    GameSpec spec;
    spec.shape = WorldShape(static_cast<int>(picture.size()), static_cast<int>(picture[0].size()),
                            static_cast<int>(letters.size()));
    declare_beams(spec);
    shape_ = spec.shape;
    block_.resize(shape_.bytes());
    World world = this->world();
    world.construct();
    for (int row = 0; row < shape_.rows; ++row) {
      for (int col = 0; col < shape_.cols; ++col) {
        const char c = picture[static_cast<std::size_t>(row)][static_cast<std::size_t>(col)];
        if (const auto at = letters.find(c); at != std::string::npos) {
          Agent& agent = world.agents()[at];
          agent.row = static_cast<std::int16_t>(row);
          agent.col = static_cast<std::int16_t>(col);
          agent.dir = 3;
          agent.status = AgentStatus::kActive;
        } else {
          world.at({row, col}) = tile_of(c);
        }
      }
    }
  }

  World world() { return {shape_, block_.data()}; }
  Agent& agent(char letter) { return world().agents()[static_cast<std::size_t>(letter - 'a')]; }

  void move(const std::vector<std::int32_t>& actions) {
    World world = this->world();
    Crowd crowd(world);
    move_all(world, actions, crowd, rng_);
    for (std::size_t a = 0; a < world.agents().size(); ++a) {  // the crowd has followed
      CHECK(crowd.agent_at(world.index(world.agents()[a].position())) == static_cast<int>(a));
    }
  }

  // Events [A, (shots, hits, cleaned)].
  std::vector<std::uint8_t> shoot(const std::vector<std::int32_t>& actions) {
    constexpr BeamRules kRules = {.fire_action = kFire,
                                  .clean_action = kClean,
                                  .shots_event = 0,
                                  .hits_event = 1,
                                  .cleaned_event = 2,
                                  .num_events = 3};
    World world = this->world();
    std::vector<std::uint8_t> events(actions.size() * 3);
    clear_beams(world);
    socialgrid::shoot(world, actions, Crowd(world), kRules, events, rng_);
    return events;
  }

  Picture drawn() {
    World world = this->world();
    Picture picture;
    for (int row = 0; row < shape_.rows; ++row) {
      std::string line;
      for (int col = 0; col < shape_.cols; ++col) {
        line += dilemma::kTileTraits[world.at({row, col})].glyph;
      }
      picture.push_back(line);
    }
    for (std::size_t a = 0; a < world.agents().size(); ++a) {
      const Position p = world.agents()[a].position();
      picture[static_cast<std::size_t>(p.row)][static_cast<std::size_t>(p.col)] =
          static_cast<char>('a' + a);
    }
    return picture;
  }

  // '.' no beam, 'f' fire, 'c' clean.
  Picture beams() {
    World world = this->world();
    Picture picture;
    for (int row = 0; row < shape_.rows; ++row) {
      std::string line;
      for (int col = 0; col < shape_.cols; ++col) {
        line += ".fc"[world.plane(kBeamPlane)[world.index({row, col})]];
      }
      picture.push_back(line);
    }
    return picture;
  }

  std::uint64_t words_used() const { return stream_.used; }
  Rng& rng() { return rng_; }

 private:
  static Tile tile_of(char glyph) {
    for (Tile tile = 0; tile < dilemma::kNumTiles; ++tile) {
      if (dilemma::kTileTraits[tile].glyph == glyph) return tile;
    }
    std::fprintf(stderr, "no tile '%c'\n", glyph);
    return dilemma::kGround;
  }

  WorldShape shape_;
  std::vector<std::byte> block_;
  StreamState stream_{.seed = 3};
  Rng rng_{stream_};
};

}  // namespace socialgrid::testing
