"""Replay gives back what was stored, to whom it belongs, as often as it should."""

from dataclasses import fields

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from socialgrid import _core
from socialgrid.data import Priorities, Replay, SumTree, storage_device


def words(count, agents, seed=0):
    """Random numbers int64 ``[A, count]`` from 0 to 2^32 - 1."""
    each = [torch.Generator().manual_seed(seed + a) for a in range(agents)]
    return torch.stack([torch.randint(2**32, (count,), generator=g) for g in each])


def numbered(agents, envs, step, terminated=False, truncated=False):
    """A step whose numbers tell agent, copy and time apart."""
    at = step * 100 + torch.arange(envs) * 10 + torch.arange(agents)[:, None]
    obs = at[..., None].repeat(1, 1, 2).float()
    ends = torch.ones(agents, envs, dtype=torch.bool)
    return obs, at % 4, at.float(), obs + 0.5, ends & terminated, ends & truncated


def filled(agents, capacity, envs, steps, **options):
    replay = Replay(agents, capacity, (2,), torch.float32, num_envs=envs, **options)
    for step in range(steps):
        replay.add(*numbered(agents, envs, step))
    return replay


class Twin:
    """A list of transitions for every agent, priorities and all, with loops."""

    def __init__(self, agents, capacity):
        self.rows = [{} for _ in range(agents)]
        self.capacity, self.next = capacity, 0

    def add(self, step, envs):
        for e in range(envs):
            for a, rows in enumerate(self.rows):
                rows[self.next] = [x[a, e] for x in step]
            self.next = (self.next + 1) % self.capacity


@pytest.mark.parametrize("agents", [1, 3])
@pytest.mark.parametrize("envs", [1, 2])
@pytest.mark.parametrize("steps", [2, 5, 9])
def test_draws_are_what_each_agent_stored(agents, envs, steps):
    replay, twin = Replay(agents, 8, (2,), torch.float32, num_envs=envs), Twin(agents, 8)
    for step in range(steps):
        given_step = numbered(agents, envs, step, step % 3 == 1, step % 3 == 2)
        replay.add(*given_step)
        twin.add(given_step, envs)
    assert replay.size == min(8, steps * envs)
    batch = replay.sample(words(64, agents))
    for a in range(agents):
        assert set(batch.index[a].tolist()) == set(twin.rows[a])
        for b, place in enumerate(batch.index[a].tolist()):
            stored = twin.rows[a][place]
            names = ("obs", "action", "reward", "next_obs", "terminated", "truncated")
            for name, expected in zip(names, stored, strict=True):
                assert torch.equal(getattr(batch, name)[a, b], expected), name


def test_uniform_draws_are_uniform_and_each_agents_own():
    replay = filled(3, 10, 1, 10)
    batch = replay.sample(words(20_000, 3))
    for a in range(3):
        counts = np.bincount(batch.index[a], minlength=10)
        assert abs(counts - 2_000).max() < 5 * (2_000 * 0.9) ** 0.5
    assert not torch.equal(batch.index[0], batch.index[1])
    alone = filled(1, 10, 1, 10).sample(words(50, 1, seed=2))
    assert torch.equal(replay.sample(words(50, 3)).index[2], alone.index[0])


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.float32])
def test_observations_keep_their_type(dtype):
    replay = Replay(2, 4, (3, 3), dtype, (2,), torch.float32)
    obs = torch.arange(18).view(2, 1, 3, 3).to(dtype)
    ends = torch.zeros(2, 1, dtype=torch.bool)
    replay.add(obs, torch.ones(2, 1, 2), torch.ones(2, 1), obs + 1, ends, ends)
    batch = replay.sample(words(2, 2))
    assert batch.obs.dtype == batch.next_obs.dtype == dtype
    assert torch.equal(batch.obs[1, 0], obs[1, 0])
    assert torch.equal(batch.next_obs[1, 0], obs[1, 0] + 1)


def test_capacity_is_whole_steps_and_not_less_than_one():
    assert Replay(1, 10, (2,), torch.float32, num_envs=4).capacity == 8
    with pytest.raises(ValueError, match="less than one step"):
        Replay(1, 3, (2,), torch.float32, num_envs=4)


PLAYING = np.random.default_rng(0).random((40, 3, 2)) < [[0.9], [0.3], [0.05]]


def uneven(steps, *, agents=(0, 1, 2), priorities=None):
    """A memory of agents that are in play in different steps, and what each has lived through."""
    replay = Replay(len(agents), 8, (2,), torch.float32, num_envs=2, priorities=priorities)
    lived = [[] for _ in agents]
    for step in range(steps):
        everything = numbered(3, 2, step, step % 3 == 1, step % 3 == 2)
        playing = torch.from_numpy(PLAYING[step])[list(agents)]
        replay.add(*(x[list(agents)] for x in everything), playing)
        for row, agent in enumerate(agents):
            lived[row] += [[x[agent, e] for x in everything] for e in range(2) if playing[row, e]]
    return replay, lived


@pytest.mark.parametrize("steps", [1, 3, 12, 40])
def test_only_what_happens_in_play_is_stored_and_forgotten(steps):
    replay, lived = uneven(steps)
    assert replay.sizes == tuple(min(8, len(own)) for own in lived)
    assert replay.size == min(replay.sizes)
    batch = replay.sample(words(200, 3))
    for a, own in enumerate(lived):
        if not own:
            continue
        kept = {float(one[2]): one for one in own[-8:]}
        assert set(batch.reward[a].tolist()) == set(kept)
        for b, reward in enumerate(batch.reward[a].tolist()):
            names = ("obs", "action", "reward", "next_obs", "terminated", "truncated")
            for name, expected in zip(names, kept[reward], strict=True):
                assert torch.equal(getattr(batch, name)[a, b], expected), name


@pytest.mark.parametrize("priorities", [None, Priorities()])
def test_an_agent_draws_what_it_draws_alone_whenever_others_are_in_play(priorities):
    together, _ = uneven(40, priorities=priorities)
    for agent in (0, 1, 2):
        alone, _ = uneven(40, agents=(agent,), priorities=priorities)

        def draw(memory, seeds):
            if priorities is None:
                return memory.sample(seeds)
            return memory.sample_by_priority(seeds, 0.4)

        found, expected = draw(together, words(30, 3)), draw(alone, words(30, 1, agent))
        for name, x in expected.tensors().items():
            assert torch.equal(getattr(found, name)[agent], x[0]), name


def test_who_has_nothing_draws_nothing():
    for priorities in (None, Priorities()):
        replay = Replay(2, 8, (2,), torch.float32, priorities=priorities)
        replay.add(*numbered(2, 1, 5), torch.tensor([[True], [False]]))
        assert replay.sizes == (1, 0)
        if priorities is None:
            batch = replay.sample(words(4, 2))
        else:
            batch = replay.sample_by_priority(words(4, 2), 0.5)
            assert batch.weight.tolist() == [[1.0] * 4] * 2
        assert batch.reward.tolist() == [[500.0] * 4, [0.0] * 4]
        assert all(bool(x.isfinite().all()) for x in batch.tensors().values())


def test_errors_of_some_leave_the_priorities_of_others():
    replay, _ = uneven(40, priorities=Priorities(1.0, 0.0))
    index = torch.tensor([[0, 1]] * 3)
    replay.set_priorities(index, torch.full((3, 2), 7.0), [True, False, True])
    assert replay.priority(index).tolist() == [[7.0, 7.0], [1.0, 1.0], [7.0, 7.0]]
    replay.add(*numbered(3, 2, 99))
    total = replay.tensors()["priority"].sum(1)
    # two of the others, and two new ones of all, which get the largest of their agent
    rest = [replay.sizes[a] - 4 for a in (0, 2)]
    assert total.tolist() == [28.0 + rest[0], float(replay.sizes[1]), 28.0 + rest[1]]


@pytest.mark.parametrize("priorities", [None, Priorities()])
def test_uneven_memories_go_on_alike_when_loaded(priorities):
    replay, lived = uneven(9, priorities=priorities)
    assert len({len(own) for own in lived}) == 3
    other = Replay(3, 8, (2,), torch.float32, num_envs=2, priorities=priorities)
    other.load_tensors(replay.tensors())
    for step in range(9, 14):
        for memory in (replay, other):
            memory.add(*numbered(3, 2, step), torch.from_numpy(PLAYING[step]))
    mine, theirs = replay.tensors(), other.tensors()
    assert all(torch.equal(x, theirs[name]) for name, x in mine.items())
    assert mine["stored"].tolist() == list(replay.sizes)
    with pytest.raises(ValueError, match="stored"):
        other.load_tensors({**mine, "stored": mine["stored"] + 1})
    with pytest.raises(ValueError, match="next_place"):
        other.load_tensors({**mine, "next_place": mine["next_place"] - 9})


def test_nothing_can_be_drawn_from_an_empty_memory_or_by_priorities_it_lacks():
    replay = Replay(1, 4, (2,), torch.float32)
    with pytest.raises(ValueError, match="nothing is stored"):
        replay.sample(words(2, 1))
    replay.add(*numbered(1, 1, 0))
    with pytest.raises(RuntimeError, match="draws uniformly"):
        replay.sample_by_priority(words(2, 1), 0.5)


@given(st.data())
def test_sum_tree_finds_what_a_cumulative_sum_finds(data):
    agents = data.draw(st.integers(1, 3))
    capacity = data.draw(st.sampled_from([1, 5, 16, 17, 256, 300]))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    tree, plain = SumTree(agents, capacity), np.zeros((agents, capacity))
    for _ in range(3):
        index = np.stack([rng.permutation(capacity)[:8] for _ in range(agents)])
        priority = rng.integers(0, 4, index.shape) / 4  # sums are exact
        np.put_along_axis(plain, index, priority, 1)
        tree.set(torch.from_numpy(index), torch.from_numpy(priority))
    np.testing.assert_array_equal(tree.total, plain.sum(1))
    mass = rng.random((agents, 50)) * plain.sum(1, keepdims=True)
    found = tree.find(torch.from_numpy(mass)).numpy()
    for a in range(agents):
        if plain[a].any():
            expected = (plain[a].cumsum() <= mass[a][:, None]).sum(1)
            np.testing.assert_array_equal(found[a], expected)


@pytest.mark.parametrize("capacity", [1, 16, 17, 300, 5000])
def test_compiled_search_finds_what_operators_find(capacity):
    gen = torch.Generator().manual_seed(capacity)
    tree, other = SumTree(2, capacity), SumTree(2, capacity)
    index = torch.stack([torch.randperm(capacity, generator=gen) for _ in range(2)])
    priority = torch.rand(index.shape, generator=gen, dtype=torch.float64) ** 4
    priority[priority < 0.01] = 0.0
    priority[1] *= capacity != 16  # nothing at all
    for each in (tree, other):
        each.set(index, priority)
    edges = tree.get(torch.arange(capacity).expand(2, -1)).cumsum(1)
    inside = torch.rand((2, 500), generator=gen, dtype=torch.float64) * tree.total[:, None]
    mass = torch.cat((inside, edges, edges.nextafter(torch.zeros(())), edges * 2.0), 1)
    other.device = torch.device("meta")  # elsewhere, operators search
    assert torch.equal(tree.find(mass), other.find(mass))


def test_what_is_no_tree_is_not_searched():
    level, masses = np.ones((2, 32)), np.ones((2, 3))
    wrong = [
        ([], 16, masses),
        ([level], 0, masses),
        ([level], 33, masses),
        ([level[:, :31].copy()], 16, masses),
        ([level[:1]], 16, masses),
        ([level], 16, masses[0]),
    ]
    for levels, children, sought in wrong:
        with pytest.raises(ValueError, match="must be"):
            _core.find_by_priority(levels, children, sought)
    # Whatever the sums are, what is found is an item.
    inner = np.full((2, 16), np.nan)
    for top in (np.full((2, 16), 1e9), inner, -level[:, :16]):
        found = _core.find_by_priority([level, top], 16, masses * np.array([1e9, np.nan, -1.0]))
        assert ((found >= 0) & (found < 32)).all()


def test_sum_tree_never_finds_what_has_no_priority():
    tree = SumTree(1, 40)
    tree.set(torch.tensor([[3, 17, 30]]), torch.tensor([[0.1, 0.2, 0.3]]))
    mass = torch.tensor([[0.0, 0.1, 0.3, 0.6, 0.7, tree.total.item()]], dtype=torch.float64)
    assert set(tree.find(mass)[0].tolist()) <= {3, 17, 30}
    assert tree.find(mass)[0, 0] == 3
    assert tree.find(mass)[0, -1] == 30


def test_priorities_decide_how_often_and_weights_correct_for_it():
    alpha, beta, eps = 0.7, 0.5, 1e-3
    replay = filled(2, 8, 1, 6, priorities=Priorities(alpha, eps))
    errors = torch.tensor([[0.5, -2.0, 0.0, 1.0, 4.0, 0.1], [1.0, 1.0, 1.0, 1.0, 1.0, 3.0]])
    replay.set_priorities(torch.arange(6).repeat(2, 1), errors)
    batch = replay.sample_by_priority(words(30_000, 2), beta)
    for a in range(2):
        p = (np.abs(errors[a].double().numpy()) + eps) ** alpha
        p /= p.sum()
        counts = np.bincount(batch.index[a], minlength=6)
        # One draw from each of 30,000 equal shares: off by less than one share at either end.
        assert abs(counts - 30_000 * p).max() <= 2
        drawn = batch.index[a].numpy()
        w = (6 * p) ** -beta
        expected = w[drawn] / w[drawn].max()
        np.testing.assert_allclose(batch.weight[a], expected, rtol=1e-5)


def test_what_is_new_has_the_largest_priority_so_far():
    replay = filled(2, 6, 2, 2, priorities=Priorities(1.0, 0.0))
    replay.sample_by_priority(words(4, 2), 1.0)
    everything = torch.arange(6).repeat(2, 1)
    np.testing.assert_array_equal(replay.priority(everything), [[1, 1, 1, 1, 0, 0]] * 2)
    replay.set_priorities(torch.tensor([[0, 1], [0, 1]]), torch.tensor([[5.0, 0.1], [0.2, 0.1]]))
    replay.add(*numbered(2, 2, 2))
    replay.add(*numbered(2, 2, 3))
    np.testing.assert_allclose(replay.priority(everything), [[5, 5, 1, 1, 5, 5], [1] * 6])


@pytest.mark.parametrize("steps", [3, 7])
@pytest.mark.parametrize("priorities", [None, Priorities()])
def test_saved_and_loaded_it_goes_on_alike(steps, priorities):
    replay = filled(2, 10, 2, steps, priorities=priorities)
    if priorities:
        replay.set_priorities(torch.tensor([[0, 3], [1, 2]]), torch.tensor([[2.0, 1.0]] * 2))
    other = Replay(2, 10, (2,), torch.float32, num_envs=2, priorities=priorities)
    other.load_tensors(replay.tensors())
    for memory in (replay, other):
        memory.add(*numbered(2, 2, steps))

    def draw(memory):
        if priorities:
            return memory.sample_by_priority(words(32, 2), 0.4)
        return memory.sample(words(32, 2))

    first, second = draw(replay), draw(other)
    for field in fields(first):
        x, y = getattr(first, field.name), getattr(second, field.name)
        assert (x is None and y is None) or torch.equal(x, y), field.name
    tensors = replay.tensors()
    assert all(len(x) == 2 for x in tensors.values())
    with pytest.raises(ValueError, match="missing"):
        other.load_tensors({k: x for k, x in tensors.items() if k != "reward"})
    with pytest.raises(ValueError, match="do not fit"):
        Replay(2, 4, (2,), torch.float32, num_envs=2, priorities=priorities).load_tensors(tensors)
    with pytest.raises(ValueError, match="obs"):
        other.load_tensors({**tensors, "obs": tensors["obs"].double()})


def test_a_memory_for_the_cpu_lies_there():
    assert storage_device(torch.device("cpu"), 10**15) == torch.device("cpu")
    assert filled(1, 4, 1, 1).kept_on == torch.device("cpu")
