"""Gradient steps of Q-networks that see views or have a memory by compiled kernels, and without."""

import _thread
import math
import threading

import numpy as np
import pytest
import torch
from tests.python.algos.compiled_twins import same, updated_alike
from tests.python.algos.off_policy_tasks import remember, seen

from socialgrid.algos import DQN, DQNConfig, RecurrentDQN, RecurrentDQNConfig
from socialgrid.models import ModelConfig, NonFiniteError, TaskSpec, ViewSpec, kernels

ATLAS = np.random.default_rng(3).integers(0, 256, (8, 2, 2, 3), dtype=np.uint8)
CONVS = {"channels": (5, 7, 9), "features": (11,)}
TWO = {"channels": (4, 6), "features": (9, 8)}
WINDOWS = {"channels": (6,), "first_kernel": 3, "features": (8,)}
SEEN = {
    "pixels": ((None, "uint8"), CONVS),
    "numbers": ((ATLAS, "uint8"), CONVS),
    "wide numbers": ((ATLAS, "uint16"), TWO),
    "windows": ((None, "uint8"), WINDOWS),
}
KINDS = {
    **{name: (DQN, DQNConfig, *given) for name, given in SEEN.items()},
    **{
        f"recurrent {name}": (RecurrentDQN, RecurrentDQNConfig, *given)
        for name, given in {**SEEN, "vectors": (None, {})}.items()
    },
}
# Sequences that overlap, and run over the end of the ring and over ends of episodes.
SEQUENCES = {"burn_in": 3, "sequence_length": 4, "batch_size": 9}
MEMORIES = [kind for kind in KINDS if kind.startswith("recurrent")]


def learner_of(kind, agents=2, ids=None, steps=50, **options):
    make, config, seen_as, model = KINDS[kind]
    task = TaskSpec(agents, (5,), num_actions=3)
    if seen_as is not None:
        task = TaskSpec.of_view(ViewSpec(6, 5, 2, (3,), seen_as[0]), agents, seen_as[1])
    given = {"hidden": (16, 12), "batch_size": 19, "buffer_size": 60, "learning_starts": 10}
    given |= {"gradient_steps": 3, "learning_rate": (1e-2, 3e-3)[:agents], "adam_eps": 1e-3}
    given |= SEQUENCES if kind in MEMORIES else {}
    made = {"num_envs": 2, "seed": 4, "agent_ids": ids, "model": ModelConfig(memory=7, **model)}
    learner = make(task, config(**given | options), **made)
    remember(learner, steps)
    return learner


@pytest.fixture
def calls(monkeypatch):
    """How often a compiled call has taken a step."""

    class Counted:
        taken = 0

        def __init__(self, own):
            self.own = own

        def __getattr__(self, name):
            return getattr(self.own, name)

        def learn_q(self, *given):
            found = self.own.learn_q(*given)
            Counted.taken += found is not None
            return found

        def learn_recurrent_q(self, *given):
            found = self.own.learn_recurrent_q(*given)
            Counted.taken += found is not None
            return found

    monkeypatch.setattr(kernels, "KERNELS", Counted(kernels.chosen(None)))
    return Counted


def check_twins(kind, monkeypatch, learning=(True, True), updates=3, **options):
    """Whole updates with and without kernels."""
    fast, slow = (learner_of(kind, len(learning), **options) for _ in range(2))
    updated_alike(fast, slow, monkeypatch, list(learning), updates)
    return fast, slow


OPTIONS = [
    {},
    {"max_grad_norm": 0.05, "double": False},
    {"tau": 1.0, "target_interval": 2, "hidden": (8,)},
]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_steps_are_those_without_kernels(compiled, monkeypatch, kind, options):
    check_twins(kind, monkeypatch, **options)


def test_a_step_is_one_call(calls):
    for kind in KINDS:
        learner_of(kind).update()
    assert calls.taken == 3 * len(KINDS)


RECURRENT = [
    {"burn_in": 0, "sequence_length": 6},
    {"priority_mix": 0.3, "prioritised": True, "double": False},
    {"sequence_length": 1, "burn_in": 1, "prioritised": True},
]


@pytest.mark.parametrize("options", RECURRENT)
@pytest.mark.parametrize("kind", MEMORIES)
def test_sequences_are_learnt_from_as_without_kernels(fastest, monkeypatch, kind, options):
    fast, slow = check_twins(kind, monkeypatch, updates=2, **options)
    memory = slow.memory()
    for name, x in fast.memory().items():
        torch.testing.assert_close(x, memory[name], rtol=2e-4, atol=5e-6, msg=name)


@pytest.mark.parametrize("kind", ["recurrent pixels", "recurrent vectors"])
def test_episodes_that_nobody_ended_have_no_final_observations(fastest, monkeypatch, kind):
    fast, slow = learner_of(kind), learner_of(kind)
    for each in (fast, slow):
        memory = each.memory()
        each.load_memory(memory | {"truncated": torch.zeros_like(memory["truncated"])})
    fast.update()
    monkeypatch.setattr(kernels, "KERNELS", None)
    slow.update()
    same(fast, slow)


BOTH = ["pixels", "recurrent pixels"]


@pytest.mark.parametrize("learning", [(False, True), (True, False), (False, False)])
@pytest.mark.parametrize("kind", BOTH)
def test_only_learners_learn(fastest, monkeypatch, kind, learning):
    check_twins(kind, monkeypatch, learning, updates=2)


@pytest.mark.parametrize("learning", [(True, True), (True, False)])
@pytest.mark.parametrize("kind", ["numbers", "recurrent numbers"])
def test_priorities_are_learnt_from_and_changed(fastest, monkeypatch, kind, learning):
    options = {"prioritised": True, "priority_beta": 0.7}
    fast, slow = check_twins(kind, monkeypatch, learning, updates=2, **options)
    memory = slow.memory()
    for name, x in fast.memory().items():
        torch.testing.assert_close(x, memory[name], rtol=2e-4, atol=5e-6, msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_what_agents_learn_depends_neither_on_threads_nor_on_others(fastest, kind):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = learner_of(kind)
        alone.update()
        torch.set_num_threads(3)
        together = learner_of(kind)
        together.update()
        same(alone, together, exact=True)
    finally:
        torch.set_num_threads(before)
    single = learner_of(kind, 1, ids=[1], learning_rate=3e-3)
    single.load_memory({name: x[1:2] for name, x in alone.memory().items()})
    single.update()
    learnt = {name: x for name, x in single.tensors().items() if "/" in name}
    for name, x in learnt.items():
        assert torch.equal(x[0], alone.tensors()[name][1]), name
    assert learnt


@pytest.mark.parametrize("kind", [*BOTH, "recurrent vectors"])
def test_two_threads_of_one_agent_change_no_bit(fastest, kind):
    """Where a step is large enough: one looks at what follows, one at what is learnt from."""
    large = {"batch_size": 24 if kind in MEMORIES else 160, "hidden": (256, 256)}
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            learner = learner_of(kind, 1, **large)
            learner.update()
            found.append(learner)
    finally:
        torch.set_num_threads(before)
    same(*found, exact=True)


@pytest.mark.parametrize("kind", BOTH)
def test_whoever_interrupts_is_answered_after_a_step(fastest, kind):
    learner = learner_of(kind, 1)
    later = threading.Timer(0.2, _thread.interrupt_main)
    later.start()
    with pytest.raises(KeyboardInterrupt):
        learner.update(20_000)
    later.join()
    assert learner.updates < 20_000
    assert abs(learner.agent_updates[0] - learner.updates) <= 1


@pytest.mark.parametrize("kind", BOTH)
def test_learners_go_on_bit_for_bit(fastest, kind):
    whole, again = learner_of(kind), learner_of(kind, steps=1)
    whole.update()
    again.load_tensors(whole.tensors())
    again.load_memory(whole.memory())
    again.load_meta(whole.meta())
    for each in (whole, again):
        each.update()
    same(whole, again, exact=True)


@pytest.mark.parametrize("kind", [*BOTH, "recurrent vectors"])
def test_agents_act_by_what_they_have_just_learnt(fastest, kind):
    """Weights that acting keeps ready are packed anew after a compiled step."""
    learner, fresh = (learner_of(kind, learning_rate=0.05) for _ in range(2))
    obs = seen(learner.task, (2, 2), torch.Generator().manual_seed(3))
    actions = torch.arange(3).expand(2, 2, 3)
    before = learner.q_values(obs, actions)
    learner.update(5)
    fresh.load_tensors(learner.tensors())
    after = learner.q_values(obs, actions)
    assert torch.equal(after, fresh.q_values(obs, actions))
    assert not torch.allclose(after, before, atol=1e-3)


@pytest.mark.parametrize("kind", BOTH)
def test_too_many_tiles_are_seen_without_a_table(calls, monkeypatch, kind):
    """Noise has as many tiles as cells: a step on it is taken by operators, the next as ever."""
    fast, slow = learner_of(kind), learner_of(kind)
    for each in (fast, slow):
        memory = each.memory()
        gen = torch.Generator().manual_seed(1)
        noise = torch.randint(256, memory["obs"].shape, generator=gen, dtype=torch.uint8)
        each.load_memory(memory | {"obs": noise})
    fast.update(2)
    assert calls.taken == 0
    monkeypatch.setattr(kernels, "KERNELS", None)
    slow.update(2)
    same(fast, slow)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("kind", BOTH)
def test_nobody_goes_on_where_somebody_is_not_finite(fastest, kind, threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        learner, twin = learner_of(kind), learner_of(kind)
        learner.update(1)
        broken = learner.memory()
        broken["reward"][1] = math.nan
        learner.load_memory(broken)
        with pytest.raises(NonFiniteError, match="q loss in update 2, agent 1"):
            learner.update()
        twin.update(1)
        for name, x in twin.tensors().items():
            assert torch.equal(learner.tensors()[name], x), name
        assert learner.agent_updates == [2] * 2
    finally:
        torch.set_num_threads(before)


NO_TILES = [("numbers", "next_obs"), ("recurrent numbers", "final_obs")]


@pytest.mark.parametrize(
    ("kind", "name"), [("numbers", "obs"), ("recurrent numbers", "obs"), *NO_TILES]
)
def test_tiles_that_there_are_not_are_refused(fastest, kind, name):
    learner = learner_of(kind)
    memory, before = learner.memory(), learner.tensors()
    memory[name][1] = 8
    learner.load_memory(memory)
    with pytest.raises(IndexError, match="tile 8, but there are only 8"):
        learner.update(1)
    for key, x in learner.tensors().items():
        assert torch.equal(x, before[key]), key


@pytest.mark.parametrize("kind", [*BOTH, "recurrent vectors"])
def test_actions_that_there_are_not_are_refused(fastest, kind):
    learner = learner_of(kind)
    memory, before = learner.memory(), learner.tensors()
    memory["action"][:] = 3
    learner.load_memory(memory)
    with pytest.raises(ValueError, match=r"action 3 (at place|in the sequence)"):
        learner.update(1)
    for key, x in learner.tensors().items():
        assert torch.equal(x, before[key]), key


class Given:
    """What a learner hands to the kernels."""

    NAMES = ("arrays", "hidden", "numbers", "learners", "begun", "views", "threads")

    def __init__(self, kind, monkeypatch):
        self.own = kernels.KERNELS
        learner = learner_of(kind)
        monkeypatch.setattr(kernels, "KERNELS", self)
        with pytest.raises(StopIteration):
            learner.update()
        monkeypatch.setattr(kernels, "KERNELS", self.own)

    def learn_q(self, *given):
        self.given, self.work = dict(zip(self.NAMES, given, strict=True)), self.own.learn_q
        raise StopIteration

    def learn_recurrent_q(self, *given):
        self.given = dict(zip(self.NAMES, given, strict=True))
        self.work = self.own.learn_recurrent_q
        raise StopIteration

    def refused(self, **others):
        with pytest.raises(ValueError, match=r"must|missing|not in") as error:
            self.work(**self.given | others)
        return str(error.value)


@pytest.mark.parametrize("kind", KINDS)
def test_what_does_not_fit_is_refused_before_anything_changes(fastest, monkeypatch, kind):
    given = Given(kind, monkeypatch)
    arrays = given.given["arrays"]
    before = {name: x.copy() for name, x in arrays.items()}
    for name, x in before.items():
        for wrong in (x[..., :-1], np.zeros(x.shape, complex), x.tolist()):
            assert name in given.refused(arrays=arrays | {name: wrong})
    for wrong in (-1, 60):
        places = np.full_like(arrays["places"], wrong)
        assert f"place {wrong}" in given.refused(arrays=arrays | {"places": places})
    twice = np.concatenate([arrays["places"]] * 2, 1)
    if given.given["views"] is not None or kind in MEMORIES:
        assert "one step" in given.refused(arrays=arrays | {"places": twice})
    numbers = ("target_interval", "num_actions")
    if kind in MEMORIES:
        numbers += ("burn_in", "sequence_length", "stride", "memory")
    for name in numbers:
        for wrong in (-1, 1 << 40):
            assert given.refused(numbers=given.given["numbers"] | {name: wrong})
    for name, x in arrays.items():
        np.testing.assert_array_equal(x, before[name])


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "vectors" not in kind])
def test_what_cannot_see_views_is_refused(fastest, monkeypatch, kind):
    given = Given(kind, monkeypatch)
    sizes, of_cells, layers = given.given["views"]
    assert given.refused(views=((5, *sizes[1:]), of_cells, layers))
    for i in range(4):
        for wrong in (-1, 7, 1 << 40):
            other = (*sizes[:i], wrong, *sizes[i + 1 :])
            assert given.refused(views=(other, of_cells, layers))
    assert given.refused(views=(sizes, not of_cells, layers))
    assert given.refused(views=(sizes, of_cells, []))
    assert given.refused(views=(sizes, of_cells, layers[:-1]))
    for i, layer in enumerate(layers):
        for k in range(5):
            for wrong in (0, -1, layer[k] + 1, 1 << 40):
                other = [*layers[:i], (*layer[:k], wrong, *layer[k + 1 :]), *layers[i + 1 :]]
                assert given.refused(views=(sizes, of_cells, other))
    assert given.refused(views=None)


@pytest.mark.parametrize("of", ["replay.sample", "replay.at", "optimiser.step_block", "_batch"])
@pytest.mark.parametrize("kind", [*BOTH, "recurrent vectors"])
def test_what_is_replaced_is_asked(calls, kind, of):
    learner, asked, name = learner_of(kind), [], of.split(".")[-1]
    owners = {"replay": learner.replay, "optimiser": learner.trained["q"].optimiser}
    owner = owners.get(of.split(".")[0], learner)
    own = getattr(owner, name)
    setattr(owner, name, lambda *given: (asked.append(name), own(*given))[1])
    learner.update()
    assert len(asked) == 3
    assert calls.taken == 0


@pytest.mark.parametrize("kind", [*BOTH, "recurrent vectors"])
def test_who_listens_to_networks_hears_everything(calls, kind):
    learner, heard = learner_of(kind), []
    head = learner.trained["q"].network
    head = head.head if kind in MEMORIES else head.heads[0]
    hook = head.register_forward_hook(lambda *given: heard.append(given))
    learner.update()
    assert len(heard) >= 3
    assert calls.taken == 0
    hook.remove()
    learner.update()
    assert calls.taken == 3


@pytest.mark.parametrize("kind", [*BOTH, "recurrent vectors"])
def test_what_is_kept_from_learning_does_not_move(calls, kind):
    learner = learner_of(kind)
    before = learner.tensors()
    next(learner.trained["q"].network.parameters()).requires_grad_(False)
    with pytest.raises(RuntimeError, match="does not require grad"):
        learner.update()
    for name, x in before.items():
        assert torch.equal(learner.tensors()[name], x), name
    assert calls.taken == 0


@pytest.mark.parametrize("kind", [*BOTH, "recurrent vectors"])
def test_steps_are_those_of_the_optimiser(fastest, monkeypatch, kind):
    fast, slow = learner_of(kind), learner_of(kind)
    for each in (fast, slow):
        each.trained["q"].optimiser.betas = 0.5, 0.6
        each.trained["q"].optimiser.eps = 0.01
    fast.update()
    monkeypatch.setattr(kernels, "KERNELS", None)
    slow.update()
    same(fast, slow)


@pytest.mark.parametrize("name", ["_learn", "loss"])
@pytest.mark.parametrize("kind", BOTH)
def test_who_learns_otherwise_is_asked(calls, kind, name):
    learner, asked = learner_of(kind), []
    make = type(learner)

    def mine(self, *given):
        asked.append(name)
        return getattr(make, name)(self, *given)

    learner.__class__ = type("Mine", (make,), {name: mine})
    learner.update()
    assert asked
    single = learner_of(kind)
    setattr(single, name, lambda *given: mine(single, *given))
    asked.clear()
    single.update()
    assert asked
    assert calls.taken == 0


@pytest.mark.parametrize("kind", BOTH)
def test_networks_that_are_put_together_otherwise_are_asked(calls, kind):
    learner = learner_of(kind)
    torso, asked = learner.trained["q"].network.torso, []

    class Mine(type(torso)):
        def forward(self, obs):
            asked.append(obs)
            return super().forward(obs)

    torso.__class__ = Mine
    learner.update()
    assert asked
    assert calls.taken == 0


def test_views_of_the_tests_have_few_tiles():
    task = TaskSpec.of_view(ViewSpec(6, 5, 2, (3,)), 1)
    views = seen(task, (1, 40), torch.Generator())
    tiles = views.view(40, 6, 2, 5, 2, 3).transpose(2, 3).reshape(-1, 12)
    assert len(tiles.unique(dim=0)) == 8
