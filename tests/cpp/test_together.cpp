// Checks of threads that work side by side, and of agents who take steps in them and throw.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "check.hpp"
#include "crew.hpp"
#include "meeting.hpp"
#include "together.hpp"

using namespace socialgrid::learning;  // NOLINT(google-build-using-namespace)

namespace {

void everybody_works_and_the_first_error_arrives() {
  for (int threads = 0; threads < 6; ++threads) {
    std::vector<int> done(6);
    side_by_side(threads, [&](int thread) { ++done[static_cast<std::size_t>(thread)]; });
    CHECK(std::count(done.begin(), done.end(), 1) == std::max(threads, 1));
  }
  for (int broken = 0; broken < 4; ++broken) {
    std::atomic<int> done{0};
    std::string said;
    try {
      side_by_side(4, [&](int thread) {
        if (thread >= broken) throw std::runtime_error(std::to_string(thread));
        ++done;
      });
    } catch (const std::runtime_error& error) {
      said = error.what();
    }
    CHECK(said == std::to_string(broken));
    CHECK(done == broken);
  }
}

// Threads stay from one piece of work to the next, however long that takes to come, and after
// errors.
void a_crew_works_again_and_again() {
  for (int threads = 0; threads < 5; ++threads) {
    Crew crew(threads);
    CHECK(crew.threads() == std::max(threads, 1));
    std::vector<int> done(static_cast<std::size_t>(crew.threads()));
    std::vector<std::thread::id> who(done.size());
    for (int piece = 0; piece < 300; ++piece) {
      const int broken = piece % 3 == 0 ? piece % crew.threads() : crew.threads();
      std::string said;
      if (piece % 100 == 50) std::this_thread::sleep_for(std::chrono::milliseconds(2));
      try {
        crew.work([&](int thread) {
          const auto own = static_cast<std::size_t>(thread);
          ++done[own];
          if (piece == 0) who[own] = std::this_thread::get_id();
          CHECK(who[own] == std::this_thread::get_id());
          if (thread >= broken) throw std::runtime_error(std::to_string(thread));
        });
      } catch (const std::runtime_error& error) {
        said = error.what();
      }
      CHECK(said == (broken < crew.threads() ? std::to_string(broken) : ""));
      CHECK(done == std::vector<int>(done.size(), 2 * piece + 1));
      said.clear();
      try {  // whoever does it
        crew.offer([&](int part) {
          ++done[static_cast<std::size_t>(part)];
          if (part >= broken) throw std::runtime_error(std::to_string(part));
        });
      } catch (const std::runtime_error& error) {
        said = error.what();
      }
      CHECK(said == (broken < crew.threads() ? std::to_string(broken) : ""));
      CHECK(done == std::vector<int>(done.size(), 2 * piece + 2));
    }
  }
}

enum class Where { nowhere, desk, learner, differentiate, descend };

// Where which agent's thread throws, and what every agent has done.
struct Plan {
  Where where;
  std::int64_t agent, round;
  std::vector<std::int64_t> moved;
  std::int64_t before = 0;  // rounds in earlier steps
};

struct Desk {};

class Learner {
 public:
  Learner(Plan& plan, std::int64_t agent) : plan_(plan), agent_(agent) {
    if (plan.where == Where::learner && agent == plan.agent) throw std::bad_alloc();
  }
  Outcome differentiate(std::int64_t step, std::int64_t part) {
    throw_at(Where::differentiate, 2 * step + part);
    return Outcome::fine;
  }
  void descend(std::int64_t step, std::int64_t part) {
    throw_at(Where::descend, 2 * step + part);
    ++plan_.moved[static_cast<std::size_t>(agent_)];
  }

 private:
  void throw_at(Where where, std::int64_t round) const {
    if (plan_.where == where && plan_.agent == agent_ && plan_.round == plan_.before + round) {
      throw std::bad_alloc();
    }
  }

  Plan& plan_;
  std::int64_t agent_;
};

// Five agents take a step and two more, of two parts each; whether that threw.
bool throws(Plan& plan, int threads) {
  plan.moved.assign(5, 0);
  plan.before = 0;
  std::atomic<std::int64_t> desks{0};
  const auto desk = [&] {
    if (plan.where == Where::desk && desks++ == plan.agent) throw std::bad_alloc();
    return std::make_unique<Desk>();
  };
  const auto learner = [&](std::int64_t agent, Desk&) {
    return std::make_unique<Learner>(plan, agent);
  };
  try {
    Crew crew(threads);
    Together<Desk, Learner> all(crew, 5, desk, learner);
    CHECK(all.step(1, 2).agent == -1);
    plan.before = 2;
    CHECK(all.step(2, 2).agent == -1);
  } catch (const std::bad_alloc&) {
    return true;
  }
  return false;
}

void an_error_ends_the_steps_of_all() {
  for (int threads = 1; threads <= 5; ++threads) {
    Plan plan{Where::nowhere, 0, 0, {}};
    CHECK(!throws(plan, threads));
    CHECK(plan.moved == std::vector<std::int64_t>(5, 6));
    for (std::int64_t agent = 0; agent < 5; ++agent) {
      plan = {Where::learner, agent, 0, {}};
      CHECK(throws(plan, threads));
      CHECK(plan.moved == std::vector<std::int64_t>(5, 0));
      for (std::int64_t round = 0; round < 6; ++round) {
        plan = {Where::differentiate, agent, round, {}};
        CHECK(throws(plan, threads));
        CHECK(plan.moved == std::vector<std::int64_t>(5, round));
        // Who moves when another throws has moved; nobody goes on.
        plan = {Where::descend, agent, round, {}};
        CHECK(throws(plan, threads));
        CHECK(plan.moved[static_cast<std::size_t>(agent)] == round);
        CHECK(*std::max_element(plan.moved.begin(), plan.moved.end()) <= round + 1);
      }
    }
    for (std::int64_t desk = 0; desk < threads; ++desk) {
      plan = {Where::desk, desk, 0, {}};
      CHECK(throws(plan, threads));
      CHECK(plan.moved == std::vector<std::int64_t>(5, 0));
    }
  }
}

void nobody_goes_on_before_all_have_met() {
  for (int threads = 1; threads <= 5; ++threads) {
    Meeting meeting(threads);
    std::vector<int> rounds(static_cast<std::size_t>(threads));
    int met = 0;  // which only the last one to come changes
    side_by_side(threads, [&](int thread) {
      for (int round = 0; round < 500; ++round) {
        ++rounds[static_cast<std::size_t>(thread)];
        if (round % 100 == thread) {  // longer than the others are patient
          std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        meeting.meet(
            [&] { met += std::count(rounds.begin(), rounds.end(), round + 1) == threads; });
        CHECK(met == round + 1);
        meeting.meet([] {});
      }
    });
    CHECK(met == 500);
  }
}

}  // namespace

int main() {
  everybody_works_and_the_first_error_arrives();
  a_crew_works_again_and_again();
  nobody_goes_on_before_all_have_met();
  an_error_ends_the_steps_of_all();
  return socialgrid::testing::outcome();
}
