"""All gradient steps of an update in one call, against the steps one by one without it."""

import math

import numpy as np
import pytest
import torch
from tests.python.algos.compiled_twins import same, updated_alike
from tests.python.algos.off_policy_tasks import remember

from socialgrid.algos import DQN, SAC, TD3, DiscreteSAC, DQNConfig, SACConfig, TD3Config
from socialgrid.models import NonFiniteError, TaskSpec, kernels

CONTINUOUS = {"action_low": (-2.0, 0.0, -1.0), "action_high": (2.0, 1.0, 1.0)}
GAUSSIAN = {"state_dependent_noise": False}
KINDS = {
    "dqn": (DQN, DQNConfig, {"num_actions": 3}, {}),
    "td3": (TD3, TD3Config, CONTINUOUS, {}),
    "sac": (SAC, SACConfig, CONTINUOUS, GAUSSIAN),
    "sac of the state": (SAC, SACConfig, CONTINUOUS, {"log_std_init": -1.0}),
    "discrete": (DiscreteSAC, SACConfig, {"num_actions": 3}, {}),
}


def learner_of(kind, agents=3, ids=None, **options):
    make, config, actions, own = KINDS[kind]
    options = {k: x for k, x in options.items() if kind != "dqn" or k != "critics"}
    given = {"hidden": (24, 17), "batch_size": 19, "buffer_size": 60, "learning_starts": 10}
    given |= {"gradient_steps": 5, "learning_rate": (1e-2, 3e-3, 1e-3)[:agents]}
    given |= {"adam_eps": 1e-3}  # steps along gradients that are only rounding stay small
    task = TaskSpec(agents, (5,), **actions)
    learner = make(task, config(**given | own | options), num_envs=2, seed=4, agent_ids=ids)
    remember(learner, 20)
    return learner


def check_twins(kind, monkeypatch, learning, updates=3, agents=3, **options):
    """Whole updates with and without kernels."""
    fast, slow = (learner_of(kind, agents, **options) for _ in range(2))
    updated_alike(fast, slow, monkeypatch, learning, updates)
    return fast, slow


EVERYBODY = [True] * 3
OPTIONS = [
    {},
    {"max_grad_norm": 0.05, "critics": 3},
    {"tau": 1.0, "target_interval": 3, "hidden": (16,), "critics": 1},
    {"batch_size": 64, "hidden": (33, 16, 9)},
]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_steps_are_those_that_are_taken_one_by_one(compiled, monkeypatch, kind, options):
    check_twins(kind, monkeypatch, EVERYBODY, **options)


@pytest.mark.parametrize("double", [True, False])
def test_targets_choose_or_are_chosen_for(compiled, monkeypatch, double):
    check_twins("dqn", monkeypatch, EVERYBODY, updates=2, double=double, max_grad_norm=None)


@pytest.mark.parametrize("learning", [EVERYBODY, [False, True, True]])
@pytest.mark.parametrize("kind", KINDS)
def test_priorities_are_learnt_from_and_changed(fastest, monkeypatch, kind, learning):
    options = {"prioritised": True, "priority_beta": 0.7}
    fast, slow = check_twins(kind, monkeypatch, learning, updates=2, **options)
    memory = slow.memory()
    assert len(memory["priority"].unique()) > 100
    for name, x in fast.memory().items():
        torch.testing.assert_close(x, memory[name], rtol=2e-4, atol=5e-6, msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_updates_by_priority_are_for_those_whose_turn_it_is(fastest, monkeypatch, kind):
    fast, slow = (learner_of(kind, prioritised=True) for _ in range(2))
    used = kernels.KERNELS
    for each, own in ((fast, used), (slow, None)):
        monkeypatch.setattr(kernels, "KERNELS", own)
        each.load_meta(each.meta() | {"since_update": [9, 0, 9]})
        numbers = each.update(2)
        assert next(iter(numbers.values())).isfinite().tolist() == [True, False, True]
    same(fast, slow)
    for name, x in fast.memory().items():
        torch.testing.assert_close(x, slow.memory()[name], rtol=2e-4, atol=5e-6, msg=name)


@pytest.mark.parametrize("learning", [[False, True, True], [True, False, False], [False] * 3])
@pytest.mark.parametrize("kind", KINDS)
def test_only_learners_learn(fastest, monkeypatch, kind, learning):
    check_twins(kind, monkeypatch, learning, updates=2)


@pytest.mark.parametrize("kind", KINDS)
def test_one_agent_is_a_stack_too(fastest, monkeypatch, kind):
    check_twins(kind, monkeypatch, [True], agents=1)


@pytest.mark.parametrize(
    "options", [{"policy_delay": 3}, {"policy_delay": 2, "target_interval": 3}]
)
def test_actors_wait_for_their_turn(fastest, monkeypatch, options):
    check_twins("td3", monkeypatch, EVERYBODY, updates=4, gradient_steps=2, **options)
    before = learner_of("td3", policy_delay=9)
    actors = {k: x for k, x in before.tensors().items() if "actor" in k or "-target" in k}
    assert "actor_loss" not in before.update()
    for name, x in actors.items():
        assert torch.equal(before.tensors()[name], x), name


def test_agents_take_their_own_turns(fastest, monkeypatch):
    fast, slow = learner_of("td3"), learner_of("td3")
    for each in (fast, slow):
        each.agent_updates = [0, 1, 4]
    fast.update(3)
    monkeypatch.setattr(kernels, "KERNELS", None)
    slow.update(3)
    same(fast, slow)


@pytest.mark.parametrize("kind", KINDS)
def test_ends_are_told_from_time_limits(compiled, monkeypatch, kind):
    fast, slow = learner_of(kind, tau=1.0), learner_of(kind, tau=1.0)
    for each in (fast, slow):
        memory = each.memory()
        memory["terminated"] = ~memory["terminated"]
        each.load_memory(memory)
    fast.update()
    monkeypatch.setattr(kernels, "KERNELS", None)
    slow.update()
    same(fast, slow)


@pytest.mark.parametrize("kind", KINDS)
def test_what_agents_learn_depends_neither_on_threads_nor_on_others(fastest, kind):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = learner_of(kind)
        for _ in range(2):
            alone.update()
        for threads in (2, 5):
            torch.set_num_threads(threads)
            together = learner_of(kind)
            for _ in range(2):
                together.update()
            same(alone, together, exact=True)
    finally:
        torch.set_num_threads(before)
    single = learner_of(kind, 1, ids=[1], learning_rate=3e-3)
    single.load_memory({name: x[1:2] for name, x in alone.memory().items()})
    for _ in range(2):
        single.update()
    for name, x in single.tensors().items():
        assert torch.equal(x[0], alone.tensors()[name][1]), name


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("where", ["reward", "next_obs"])
@pytest.mark.parametrize("kind", KINDS)
def test_nobody_goes_on_where_somebody_is_not_finite(fastest, kind, where, threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        learner, twin = learner_of(kind), learner_of(kind)
        broken = learner.memory()
        drawn = [learner.draws.words([k] * 3, range(1), kind=4, places=19) for k in range(4)]
        places = [set((words[1, 0] * learner.replay.sizes[1] >> 32).tolist()) for words in drawn]
        late = next(iter(places[3] - places[0] - places[1] - places[2]))
        broken[where][1, late] = math.nan
        learner.load_memory(broken)
        part = "q" if kind == "dqn" else "critic"
        with pytest.raises(NonFiniteError, match=f"{part} loss in update 4, agent 1"):
            learner.update()
        twin.update(3)
        after, wanted = learner.tensors(), twin.tensors()
        for name, x in wanted.items():
            assert torch.equal(after[name], x), name
        assert learner.agent_updates == [4] * 3
    finally:
        torch.set_num_threads(before)


SOFT = ("sac", "sac of the state", "discrete")
TEMPERATURES = [
    {"temperature": 0.3},
    {"target_entropy": 0.7, "initial_temperature": 0.2},
    {"target_entropy_ratio": 0.5},
]


@pytest.mark.parametrize("options", TEMPERATURES)
@pytest.mark.parametrize("kind", SOFT)
def test_temperatures_are_given_or_learnt(compiled, monkeypatch, kind, options):
    check_twins(kind, monkeypatch, EVERYBODY, updates=2, **options)


@pytest.mark.parametrize("value", [-25.0, -20.0, -1.0, 2.0, 2.5])
def test_deviations_stay_within_limits(compiled, monkeypatch, value):
    """Where they are beyond, no gradient moves them."""
    fast, slow = (learner_of("sac", 1) for _ in range(2))
    for each in (fast, slow):
        tensors = each.tensors()
        tensors["model/actor/log_std.weight"][:] = 0.0
        tensors["model/actor/log_std.bias"][:] = value
        each.load_tensors(tensors)
    fast.update(1)
    moved = fast.tensors()["model/actor/log_std.bias"] != value
    assert moved.all() if -20.0 <= value <= 2.0 else not moved.any()
    monkeypatch.setattr(kernels, "KERNELS", None)
    slow.update(1)
    if value > -10.0:  # below, actions without kernels are rounded to means
        same(fast, slow)


@pytest.mark.parametrize("kind", ["td3", "sac", "sac of the state"])
def test_actors_stop_where_critics_went_on(fastest, monkeypatch, kind):
    """As without kernels: critics have moved, actors and targets have not."""
    fast, slow = learner_of(kind, 2), learner_of(kind, 2)
    for each in (fast, slow):
        each.agent_updates = [5, 5]
        tensors, memory = each.tensors(), each.memory()
        if kind == "td3":  # whose target acts after what follows
            tensors["model/actor/body.layers.2.bias"][1] = math.nan
        else:  # critics see nothing, actors infinities
            memory["obs"][1] = 1e30
            for name, x in tensors.items():
                if name.startswith("model/critic/") and name.endswith("weight"):
                    x[1] = 0.0
        each.load_tensors(tensors)
        each.load_memory(memory)
    errors = []
    for each, used in ((fast, kernels.KERNELS), (slow, None)):
        monkeypatch.setattr(kernels, "KERNELS", used)
        with pytest.raises(NonFiniteError) as caught:
            each.update(1)
        # ReLU without kernels takes what is no number for 0: the loss may be finite there.
        what = caught.value.what.removesuffix(" loss").removesuffix(" gradient")
        errors.append((what, caught.value.agent, caught.value.step))
    assert errors == [("actor", 1, 1)] * 2
    same(fast, slow)


def test_infinite_gradients_are_told_from_losses(fastest):
    learner = learner_of("dqn", 1)
    tensors = learner.tensors()
    tensors["model/q/heads.0.layers.2.weight"][:] = 1e30
    tensors["model/q/heads.0.layers.1.weight"][:] = 1e20
    tensors["model/q/heads.0.layers.0.weight"][:] *= 1e-30
    tensors["model/q/heads.0.layers.0.bias"][:] = 1e-25
    tensors["model/q/heads.0.layers.1.bias"][:] = 0.0
    learner.load_tensors(tensors)
    with pytest.raises(NonFiniteError, match="q gradient in update 1, agent 0"):
        learner.update()
    for name, x in learner.tensors().items():
        assert torch.equal(x, tensors[name]), name


GIVEN = ("arrays", "hidden", "numbers", "learners", "begun", "threads")
GIVEN_Q = (*GIVEN[:-1], "views", "threads")


class Given:
    """What a learner hands to the kernels."""

    def __init__(self, kind, monkeypatch):
        self.own = kernels.KERNELS
        learner = learner_of(kind)
        monkeypatch.setattr(kernels, "KERNELS", self)
        with pytest.raises(StopIteration):
            learner.update()
        monkeypatch.setattr(kernels, "KERNELS", self.own)

    def learn_actor_critic(self, policy, *given):
        self.given = {"policy": policy} | dict(zip(GIVEN, given, strict=True))
        raise StopIteration

    def learn_q(self, *given):
        self.given = dict(zip(GIVEN_Q, given, strict=True))
        raise StopIteration

    def refused(self, **others):
        work = self.own.learn_actor_critic if "policy" in self.given else self.own.learn_q
        with pytest.raises(ValueError, match=r"must|missing|not in") as error:
            work(**self.given | others)
        return str(error.value)

    def array_refused(self, name, change):
        arrays = self.given["arrays"]
        return self.refused(arrays=arrays | {name: change(arrays[name])})

    def number_refused(self, name, value):
        return self.refused(numbers=self.given["numbers"] | {name: value})


def changed(index, value):
    def change(x):
        x = x.copy()
        x[index] = value
        return x

    return change


@pytest.mark.parametrize("kind", KINDS)
def test_what_does_not_fit_is_refused_before_anything_changes(fastest, monkeypatch, kind):
    given = Given(kind, monkeypatch)
    arrays = given.given["arrays"]
    before = {name: x.copy() for name, x in arrays.items()}
    for name, x in before.items():
        assert name in given.array_refused(name, lambda x: x[..., :-1])
        assert name in given.array_refused(name, lambda x: np.zeros(x.shape, complex))
        assert name in given.array_refused(name, lambda x: x.tolist())
        if x.size > 1:
            assert name in given.array_refused(name, lambda x: np.repeat(x, 2, -1)[..., ::2])
    assert "place 60" in given.array_refused("places", changed((2, 4, 18), 60))
    assert "place -1" in given.array_refused("places", changed((0, 0, 0), -1))
    if "num_actions" in KINDS[kind][2]:
        assert "action 3" in given.array_refused("action", lambda x: np.full_like(x, 3))
        assert "action -1" in given.array_refused("action", lambda x: np.full_like(x, -1))
    for learners in ([0, 1, 3], [0, 1, -1], [0, 1, 1]):
        assert f"learner {learners[-1]}" in given.refused(learners=learners)
    counts = ("target_interval", *(() if kind == "dqn" else ("critics", "policy_delay")))
    for name in counts:
        for wrong in (0, 1 << 40):
            assert "must be 1 to" in given.number_refused(name, wrong)
    assert "must be 1 to" in given.refused(hidden=(24, 0))
    assert given.refused(hidden=())
    assert given.refused(hidden=(24, 16))
    assert given.refused(begun=[0])
    if kind != "dqn":
        assert "policy" in given.refused(policy="good")
    for name, x in arrays.items():
        np.testing.assert_array_equal(x, before[name])


OVERRIDDEN = {
    "dqn": ["_learn", "loss"],
    "td3": ["_learn", "critic_loss", "actor_loss"],
    "sac": ["_learn", "critic_loss", "actor_loss"],
    "discrete": ["_learn", "critic_loss", "actor_loss"],
}


@pytest.mark.parametrize(("kind", "name"), [(k, x) for k, many in OVERRIDDEN.items() for x in many])
def test_a_subclass_that_learns_otherwise_is_asked(fastest, kind, name):
    learner, asked = learner_of(kind), []
    make = type(learner)

    def mine(self, *given, **more):
        asked.append(name)
        return getattr(make, name)(self, *given, **more)

    learner.update()
    assert not asked
    learner.__class__ = type("Mine", (make,), {name: mine})
    learner.update()
    assert asked
