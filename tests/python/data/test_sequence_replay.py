"""Sequences come out as they went in, whole, and as often as they should."""

from dataclasses import fields

import numpy as np
import pytest
import torch

from socialgrid.data import Priorities, SequenceReplay

LENGTH, STRIDE = 3, 2


def words(count, agents, seed=0):
    """Random numbers int64 ``[A, count]`` from 0 to 2^32 - 1."""
    each = [torch.Generator().manual_seed(seed + a) for a in range(agents)]
    return torch.stack([torch.randint(2**32, (count,), generator=g) for g in each])


def step(agents, envs, t):
    """A step whose numbers tell agent, copy and time apart."""
    at = t * 100 + torch.arange(envs) * 10 + torch.arange(agents)[:, None]
    terminated, truncated = at % 7 == 0, at % 7 == 1
    reset = at % 5 == 0
    state = torch.stack((at, -at), -1).float()
    obs = at[..., None].float()
    return obs, reset, state, at % 4, at / 2, obs + 0.5, terminated, truncated


def filled(agents, envs, steps, *, slots=8, **options):
    memory = SequenceReplay(
        *(agents, slots * envs, (1,), torch.float32, 2),
        length=LENGTH,
        stride=STRIDE,
        num_envs=envs,
        **options,
    )
    for t in range(steps):
        memory.add(*step(agents, envs, t))
    return memory


def drawable(steps, slots=8):
    """First steps of all whole sequences that the last ``slots`` steps contain."""
    return [
        s
        for s in range(max(0, steps - slots), steps)
        if s % STRIDE == 0 and s + LENGTH + 1 <= steps
    ]


@pytest.mark.parametrize("agents", [1, 3])
@pytest.mark.parametrize("envs", [1, 2])
@pytest.mark.parametrize("steps", [4, 7, 8, 9, 13, 30])
def test_sequences_are_what_each_agent_stored(agents, envs, steps):
    memory = filled(agents, envs, steps)
    starts = drawable(steps)
    assert memory.size == len(starts) * envs
    batch = memory.sample(words(64, agents))
    for a in range(agents):
        seen = set()
        for b in range(64):
            t0, e = divmod(int(batch.obs[a, 0, b]) - a, 100)
            e //= 10
            seen.add((t0, e))
            known = [step(agents, envs, t0 + k) for k in range(LENGTH + 1)]
            assert torch.equal(batch.state[a, b], known[0][2][a, e])
            for k in range(LENGTH + 1):
                obs, reset, _, action, reward, final, terminated, truncated = known[k]
                assert torch.equal(batch.obs[a, k, b], obs[a, e])
                assert batch.reset[a, k, b] == reset[a, e]
                if k < LENGTH:
                    assert batch.action[a, k, b] == action[a, e]
                    assert batch.reward[a, k, b] == reward[a, e]
                    assert batch.terminated[a, k, b] == terminated[a, e]
                    assert batch.truncated[a, k, b] == truncated[a, e]
                    if truncated[a, e]:
                        assert torch.equal(batch.final_obs[a, k, b], final[a, e])
        assert seen == {(t0, e) for t0 in starts for e in range(envs)}


PLAYING = np.random.default_rng(0).random((70, 2, 2)) < [[0.9, 0.6], [0.2, 0.03]]


def uneven(steps, **options):
    """A memory whose agents' copies are in play in different steps, and in which they were."""
    memory, lived = filled(2, 2, 0, **options), {(a, e): [] for a in range(2) for e in range(2)}
    for t in range(steps):
        memory.add(*step(2, 2, t), torch.from_numpy(PLAYING[t]))
        for a, e in np.argwhere(PLAYING[t]).tolist():
            lived[a, e].append(t)
    return memory, lived


@pytest.mark.parametrize("steps", [5, 12, 30, 70])
@pytest.mark.parametrize("beta", [None, 0.5])
def test_sequences_join_the_steps_in_which_a_copy_is_in_play(steps, beta):
    memory, lived = uneven(steps, priorities=None if beta is None else Priorities())
    starts = {place: drawable(len(own)) for place, own in lived.items()}
    assert memory.sizes == tuple(len(starts[a, 0]) + len(starts[a, 1]) for a in range(2))
    batch = memory.sample(words(300, 2), beta)
    for a in range(2):
        if not memory.sizes[a]:
            continue
        seen = set()
        for b in range(300):
            t0, e = divmod(int(batch.obs[a, 0, b]) - a, 100)
            e //= 10
            own = lived[a, e]
            first = own.index(t0)
            seen.add((first, e))
            assert torch.equal(batch.state[a, b], step(2, 2, t0)[2][a, e])
            for k in range(LENGTH + 1):
                obs, reset, _, action, reward, final, terminated, truncated = step(
                    2, 2, own[first + k]
                )
                assert torch.equal(batch.obs[a, k, b], obs[a, e])
                assert batch.reset[a, k, b] == reset[a, e]
                if k < LENGTH:
                    assert batch.action[a, k, b] == action[a, e]
                    assert batch.reward[a, k, b] == reward[a, e]
                    assert batch.terminated[a, k, b] == terminated[a, e]
                    assert batch.truncated[a, k, b] == truncated[a, e]
                    if truncated[a, e]:
                        assert torch.equal(batch.final_obs[a, k, b], final[a, e])
        assert seen == {(s, e) for e in range(2) for s in starts[a, e]}
    if beta is not None:
        assert memory.tensors()["priority"].sum(1).tolist() == list(memory.sizes)


def test_uneven_draws_are_uniform():
    memory, _ = uneven(70)
    assert len(set(memory.sizes)) == 2
    batch = memory.sample(words(20_000, 2))
    for a, size in enumerate(memory.sizes):
        counts = np.unique(batch.index[a], return_counts=True)[1]
        assert len(counts) == size
        assert abs(counts - 20_000 / size).max() < 5 * (20_000 / size) ** 0.5


@pytest.mark.parametrize("priorities", [None, Priorities()])
def test_uneven_memories_go_on_alike_when_loaded_and_interrupted(priorities):
    memory, lived = uneven(21, priorities=priorities)
    other = filled(2, 2, 0, priorities=priorities)
    other.load_tensors(memory.tensors())
    for each in (memory, other):
        each.interrupt()
    for (a, e), own in lived.items():
        if own:
            slot = (len(own) - 1) % 8
            *_, final, terminated, _ = step(2, 2, own[-1])
            kept = memory.tensors()
            assert bool(kept["truncated"][a, slot, e]) != bool(terminated[a, e])
            if not terminated[a, e]:
                assert torch.equal(kept["final_obs"][a, slot, e], final[a, e])
    for t in range(21, 30):
        for each in (memory, other):
            each.add(*step(2, 2, t), torch.from_numpy(PLAYING[t]))
    theirs = other.tensors()
    for name, x in memory.tensors().items():
        assert torch.equal(x, theirs[name]), name
    assert memory.steps.tolist() == PLAYING[:30].sum(0).tolist()


def test_nothing_can_be_drawn_before_a_sequence_is_whole():
    with pytest.raises(ValueError, match="no sequence of 3 steps"):
        filled(1, 1, 3).sample(words(2, 1))
    with pytest.raises(ValueError, match="sequences need 4"):
        filled(1, 1, 0, slots=3)
    with pytest.raises(RuntimeError, match="draws uniformly"):
        filled(1, 1, 5).sample(words(2, 1), 0.4)


@pytest.mark.parametrize("pause", [1, 2, 5, 40])
def test_priorities_belong_to_sequences_that_can_be_drawn(pause):
    memory = filled(2, 2, 0, priorities=Priorities(1.0, 0.0))
    known = [{}, {}]  # priority of (first step, copy)
    largest = np.ones(2)
    for t in range(60):
        memory.add(*step(2, 2, t))
        starts = drawable(t + 1)
        if not starts or t % pause:
            continue
        for a in range(2):
            known[a] = {(s, e): known[a].get((s, e), largest[a]) for s in starts for e in range(2)}
        batch = memory.sample(words(4, 2, t), 0.5)
        total = memory.tensors()["priority"].sum(1)
        np.testing.assert_allclose(total, [sum(k.values()) for k in known])
        for a in range(2):
            drawn = [divmod(int(x) - a, 100) for x in batch.obs[a, 0, :, 0]]
            p = np.array([known[a][s, e // 10] for s, e in drawn])
            w = (len(known[a]) * p / sum(known[a].values())) ** -0.5
            np.testing.assert_allclose(batch.weight[a], w / w.max(), rtol=1e-5)
        error = 1.0 + (batch.index % 5) + torch.tensor([[0.0], [0.5]])
        memory.set_priorities(batch.index, error)
        for a in range(2):
            for b in range(4):
                s, e = divmod(int(batch.obs[a, 0, b, 0]) - a, 100)
                known[a][s, e // 10] = float(error[a, b])
                largest[a] = max(largest[a], float(error[a, b]))


@pytest.mark.parametrize("priorities", [None, Priorities()])
@pytest.mark.parametrize("steps", [6, 21])
def test_saved_and_loaded_it_goes_on_alike(priorities, steps):
    memory = filled(2, 2, steps, priorities=priorities)
    beta = 0.4 if priorities else None
    if priorities:
        drawn = memory.sample(words(3, 2), beta)
        memory.set_priorities(drawn.index, torch.arange(1.0, 3.0)[:, None].expand(2, 3))
    other = filled(2, 2, 0, priorities=priorities)
    other.load_tensors(memory.tensors())
    for each in (memory, other):
        for t in range(3):
            each.add(*step(2, 2, steps + t))
    first, second = (each.sample(words(16, 2), beta) for each in (memory, other))
    for field in fields(first):
        x, y = getattr(first, field.name), getattr(second, field.name)
        if field.name == "final_obs" and x is not None:
            x, y = x[first.truncated], y[second.truncated]
        assert (x is None and y is None) or torch.equal(x, y), field.name
    tensors = memory.tensors()
    assert all(len(x) == 2 for x in tensors.values())
    with pytest.raises(ValueError, match="missing"):
        other.load_tensors({})
    with pytest.raises(ValueError, match="expected"):
        other.load_tensors({**tensors, "obs": tensors["obs"].double()})


@pytest.mark.parametrize("steps", [4, 9])
def test_what_was_open_when_interrupted_ends_where_it_had_come(steps):
    memory, other = filled(2, 2, steps), filled(2, 2, 0)
    other.load_tensors(memory.tensors())  # a resumed run: the last observation is not forgotten
    for each in (memory, other):
        each.interrupt()
        each.add(*step(2, 2, steps))
        batch = each.sample(words(64, 2))
        for a in range(2):
            for b in range(64):
                t0, e = divmod(int(batch.obs[a, 0, b]) - a, 100)
                for k in range(LENGTH):
                    *_, final, terminated, truncated = step(2, 2, t0 + k)
                    last = t0 + k == steps - 1
                    cut = truncated[a, e // 10] | (last & ~terminated[a, e // 10])
                    assert batch.truncated[a, k, b] == cut
                    assert batch.terminated[a, k, b] == terminated[a, e // 10]
                    if cut:
                        assert torch.equal(batch.final_obs[a, k, b], final[a, e // 10])
    filled(1, 1, 0).interrupt()
