// Steps of agents in tasks of their own, on the memory of others' tensors.
#include <pybind11/stl.h>

#include <algorithm>
#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <vector>

#include "bindings/batch.hpp"
#include "bindings/keyed.hpp"
#include "given_arrays.hpp"
#include "given_learners.hpp"
#include "given_updates.hpp"
#include "kernels.hpp"
#include "learning.hpp"
#include "march.hpp"
#include "network.hpp"
#include "trusting.hpp"

namespace py = pybind11;

namespace socialgrid::bindings {
namespace {

using learning::Draw;
using learning::Following;
using learning::FollowTask;
using learning::Happened;
using learning::Kernels;
using learning::Marched;
using learning::Marching;
using learning::Trusting;
using learning::TrustTask;

// Of agents whose moments begin with these, or with 0.
Draw drawing(const std::uint64_t* keys, std::int64_t agents, const Keyed& keyed,
             const std::int64_t* begun = nullptr) {
  return [=](std::int64_t moment, std::uint32_t* to) {
    for (std::int64_t a = 0; a < agents; ++a) {
      const std::int64_t from = begun == nullptr ? 0 : begun[a];
      to = draw_words(keys[a], static_cast<std::uint64_t>(from + moment), keyed, to);
    }
  };
}

void check_below(const std::int64_t* numbers, std::int64_t count, std::int64_t end,
                 const std::string& name) {
  for (std::int64_t i = 0; i < count; ++i) {
    if (numbers[i] < 0 || numbers[i] >= end) {
      throw py::value_error(name + " " + std::to_string(numbers[i]) + ": must be less than " +
                            std::to_string(end));
    }
  }
}

// What a march is given.
struct Given {
  const GivenArrays arrays;
  const py::dict numbers;
  Marching task;
  std::optional<FollowTask> follow;
  std::optional<TrustTask> trust;

  Given(const py::dict& given, const py::dict& with, const std::vector<std::int64_t>& hidden)
      : arrays(given), numbers(with) {
    const auto shape = arrays.shape("obs", 3);
    task.agents = shape[0];
    task.copies = shape[1];
    task.steps = integer("steps");
    task.actions = integer("num_actions");
    task.networks.sizes = {shape[2]};
    task.networks.sizes.insert(task.networks.sizes.end(), hidden.begin(), hidden.end());
    task.networks.sizes.push_back(task.actions);
    check_positive(task.networks.sizes);
    check_positive({task.agents, task.copies, task.steps});
    task.networks.parameters = learning::parameters_of(task.networks.sizes);
    const std::vector<std::int64_t> each = {task.agents, task.copies};
    const auto* values = arrays.readable<float>("values", {task.agents, task.networks.parameters});
    task.networks.values = values;
    task.obs = arrays.writable<float>("obs", shape);
    task.returns = arrays.writable<double>("returns", each);
    task.played = reinterpret_cast<std::uint8_t*>(arrays.writable<bool>("played", each));
    if (arrays.has("first")) {
      task.first = arrays.readable<std::int64_t>("first", each);
      check_below(task.first, task.agents * task.copies, task.actions, "action");
    }
    remembers(shape[2]);
    if (arrays.has("followed")) {
      follows(each);
      if (arrays.has("advice/seen")) trusts(shape[2]);
    } else {
      explores();
    }
  }

  std::int64_t integer(const char* name) const { return numbers[name].cast<std::int64_t>(); }
  double number(const char* name) const { return numbers[name].cast<double>(); }

 private:
  void remembers(std::int64_t inputs) {
    task.capacity = arrays.shape("memory/obs", 3)[1];
    if (task.steps * task.copies > task.capacity) {
      throw py::value_error("so many steps do not fit the memory");
    }
    const std::vector<std::int64_t> each = {task.agents, task.capacity};
    const std::vector<std::int64_t> wide = {task.agents, task.capacity, inputs};
    task.next = arrays.readable<std::int64_t>("next", {task.agents});
    check_below(task.next, task.agents, task.capacity, "place in the memory");
    task.kept_obs = arrays.writable<float>("memory/obs", wide);
    task.kept_next_obs = arrays.writable<float>("memory/next_obs", wide);
    task.kept_action = arrays.writable<std::int64_t>("memory/action", each);
    task.kept_reward = arrays.writable<float>("memory/reward", each);
    task.kept_terminated =
        reinterpret_cast<std::uint8_t*>(arrays.writable<bool>("memory/terminated", each));
    task.kept_truncated =
        reinterpret_cast<std::uint8_t*>(arrays.writable<bool>("memory/truncated", each));
  }

  void explores() {
    learning::Exploring& e = task.exploring;
    e.from = number("epsilon_start");
    e.to = number("epsilon_end");
    e.until = integer("epsilon_steps");
    e.random_before = integer("learning_starts");
    e.taken = arrays.readable<std::int64_t>("taken", {task.agents});
    e.explores =
        reinterpret_cast<const std::uint8_t*>(arrays.readable<bool>("explores", {task.agents}));
    const auto* keys = arrays.readable<std::uint64_t>("keys", {task.agents});
    const auto* moments = arrays.readable<std::int64_t>("moments", {task.agents});
    const auto drawn = [&](const char* kind) {
      const Keyed keyed{0, task.copies, static_cast<std::uint32_t>(integer(kind)), 1};
      return drawing(keys, task.agents, keyed, moments);
    };
    e.whether = drawn("whether");
    e.which = drawn("which");
  }

  void follows(const std::vector<std::int64_t>& each) {
    FollowTask& f = follow.emplace();
    f.agents = task.agents;
    f.copies = task.copies;
    f.members = arrays.shape("trust", 2)[1];
    check_positive({f.members});
    if (f.agents % f.members != 0) throw py::value_error("the groups: whole ones are needed");
    const std::int64_t all = f.agents * f.copies;
    f.followed = arrays.writable<std::int64_t>("followed", each);
    f.left = arrays.writable<std::int64_t>("left", each);
    f.counts = arrays.writable<std::int64_t>("counts", {f.agents, f.members});
    check_below(f.followed, all, f.members, "member");
    f.hold = integer("follow_steps");
    check_below(f.left, all, f.hold + 1, "steps for which it is settled whom to follow,");
    const auto choice = numbers["choice"].cast<std::string>();
    f.choice = choice == "greedy"   ? learning::ChoosesBy::greedy
               : choice == "others" ? learning::ChoosesBy::others
                                    : learning::ChoosesBy::boltzmann;
    f.critic = numbers["critic"].cast<bool>();
    f.trust = numbers["trust"].cast<bool>();
    f.shared = numbers["agent-values"].cast<bool>();
    f.by_largest = numbers["by_largest"].cast<bool>();
    f.temperature = number("temperature");
    f.epsilon = number("epsilon");
    f.unsure = number("unsure");
    f.own = arrays.readable<float>("trust", {f.agents, f.members});
    f.agent_values = arrays.readable<float>("agent_values", {f.agents / f.members, f.members});
    f.decisions = integer("decisions");
    const auto* keys = arrays.readable<std::uint64_t>("advice/keys", {f.agents});
    f.draw =
        drawing(keys, f.agents, {0, f.copies, static_cast<std::uint32_t>(integer("drawn")), 1});
  }

  void trusts(std::int64_t inputs) {
    TrustTask& trust = this->trust.emplace();
    trust.agents = task.agents;
    trust.copies = task.copies;
    trust.inputs = inputs;
    trust.members = arrays.shape("trust", 2)[1];
    trust.owners = trust.members;
    trust.capacity = arrays.shape("advice/seen", 4)[1];
    trust.stored = integer("stored");
    trust.next = integer("next");
    trust.samples = integer("samples");
    trust.own = integer("own");
    trust.share = integer("share");
    trust.advantage = numbers["advantage"].cast<bool>();
    trust.gamma = static_cast<float>(number("gamma"));
    trust.rate = static_cast<float>(number("rate"));
    check_positive({trust.members, trust.owners, trust.capacity, trust.samples});
    if (trust.capacity % trust.copies != 0 || trust.next % trust.copies != 0 ||
        std::min(trust.own, trust.share) < 0) {
      throw py::value_error("the buffer: whole steps of all copies are needed");
    }
    check_below(&trust.next, 1, trust.capacity, "place in the buffer");
    check_below(&trust.stored, 1, trust.capacity + 1, "steps in the buffer");
    const std::int64_t a = trust.agents, groups = a / trust.owners;
    trust.seen = arrays.writable<float>("advice/seen", {a, trust.capacity, 2, inputs});
    trust.number = arrays.writable<float>("advice/number", {a, trust.capacity, 2});
    trust.followed = arrays.writable<std::int64_t>("advice/followed", {a, trust.capacity});
    trust.places = follow->followed;
    trust.trust = arrays.writable<float>("trust", {a, trust.members});
    trust.agent_values = arrays.writable<float>("agent_values", {groups, trust.members});
    for (std::int64_t agent = 0; agent < a; ++agent) {
      check_below(trust.followed + agent * trust.capacity, trust.stored, trust.members, "member");
    }
    trust.observed = integer("observed");
    trust.most = integer("most");
    const auto* keys = arrays.readable<std::uint64_t>("advice/keys", {a});
    trust.draw = drawing(keys, a,
                         {0, trust.copies, static_cast<std::uint32_t>(integer("transitions")),
                          std::max<std::int64_t>(trust.own + trust.share * trust.owners, 1)});
  }
};

StepBuffers buffers_of(Happened& happened, std::vector<std::uint8_t>& bytes,
                       std::vector<std::int32_t>& last) {
  StepBuffers out;
  out.obs = reinterpret_cast<std::byte*>(happened.obs.data());
  out.final_obs = reinterpret_cast<std::byte*>(happened.final_obs.data());
  out.reward = happened.reward.data();
  out.terminated = happened.terminated.data();
  out.truncated = happened.truncated.data();
  out.done = happened.done.data();
  out.active = bytes.data();
  out.visible = out.active + happened.done.size();
  out.events = out.visible + happened.done.size();
  out.last_actions = last.data();
  return out;
}

// A batch of games for one, each agent's copies of it one behind the other, takes steps: see
// march.hpp, and train/off_policy/march.py for the arrays and numbers. Of learners and updates see
// GivenUpdates; nobody updates without. `stop` is asked now and then whether to end. What was done
// is told before anything is raised that ended the march: how many steps; whether a choice of whom
// to follow is to be made; who finished which episode with which return; the seconds of acting,
// simulating, remembering, learning whom to trust and updating; what the buffer of advice holds and
// where it goes on; what was refused; what every update came to, how many gradient steps of one
// more were taken that cannot be ended, and how many steps ago the last one was.
void march(const Kernels& kernels, const py::handle& batch, const py::dict& given,
           const std::vector<std::int64_t>& hidden, const py::dict& numbers,
           const py::object& learners, int threads, const py::function& stop,
           const py::function& tell) {
  Given all(given, numbers, hidden);
  Marching& task = all.task;
  learning::Crew crew(learning::threads_for(task.agents, threads));
  std::optional<GivenUpdates> updates;
  if (!learners.is_none()) {
    updates.emplace(learners.cast<py::dict>(), hidden, task.actions);
    task.schedule = updates->schedule();
  }
  std::optional<Following> following;
  if (all.follow) following.emplace(kernels, task.networks, *all.follow);
  task.following = following ? &*following : nullptr;
  std::optional<Trusting> trusting;
  if (all.trust) trusting.emplace(kernels, task.networks, *all.trust);
  task.trusting = trusting ? &*trusting : nullptr;
  Marched found;
  between_steps(batch, [&](BatchEnv& env, players::MapStore&, Unlocked& unlocked) {
    const auto envs = static_cast<std::size_t>(task.agents * task.copies);
    const auto inputs = static_cast<std::size_t>(task.networks.sizes.front());
    const Observer& observer = env.observer();
    if (env.num_envs() != envs || env.num_agents() != 1 || observer.mode() != ObsMode::kVector ||
        observer.bytes_per_agent() != inputs * sizeof(float) ||
        env.autoreset() != Autoreset::kSameStep ||
        env.spec().action_counts.front() != static_cast<int>(task.actions)) {
      throw std::invalid_argument("the environments are not those of these agents");
    }
    std::vector<std::uint8_t> bytes(envs * (2 + env.spec().event_names.size()));
    std::vector<std::int32_t> last(envs);
    Signals signals(unlocked, [&] { return stop().cast<bool>(); });
    learning::Hands hands;
    hands.step = [&](const std::vector<std::int32_t>& actions, Happened& happened) {
      env.step(actions, buffers_of(happened, bytes, last));
    };
    if (updates) {
      updates->begin(kernels, crew);
      hands.update = [&](std::int64_t steps) { return updates->take(steps); };
    }
    hands.stop = [&] { return signals.given_up(); };
    found = learning::march(kernels, task, hands, crew);
    try {
      signals.rethrow();
    } catch (...) {
      if (!found.error) found.error = std::current_exception();
    }
  });
  const auto seconds = py::make_tuple(found.acting, found.stepping, found.remembering,
                                      found.trusting, found.updating);
  const auto buffer =
      py::make_tuple(trusting ? trusting->stored() : 0, trusting ? trusting->next() : 0);
  const auto learnt = py::make_tuple(updates ? updates->sums() : GivenUpdates::Sums(),
                                     updates ? updates->partly() : 0, found.waited);
  tell(py::make_tuple(found.steps, found.undecided, found.finished, seconds, buffer, found.refused,
                      learnt));
  if (found.error) std::rethrow_exception(found.error);
}

}  // namespace

void add_march(py::class_<Kernels>& kernels) {
  kernels.def("march", &march, py::arg("batch"), py::arg("arrays"), py::arg("hidden"),
              py::arg("numbers"), py::arg("learners"), py::arg("threads"), py::arg("stop"),
              py::arg("tell"));
}

}  // namespace socialgrid::bindings
