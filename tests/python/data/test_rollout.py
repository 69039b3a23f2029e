"""Rollouts: where the simulator writes, what the learner reads."""

import pytest
import torch

from socialgrid.data import Decision, Recorded, Rollout


def rollout(**options):
    defaults = {"num_steps": 3, "num_envs": 4, "num_agents": 3, "obs_shape": (2, 2, 3)}
    return Rollout(**{**defaults, "state_size": 6, **options})


def write(part, t, *, done=(), inactive=()):
    """Stand in for the simulator."""
    slot = part.slot(t)
    for name in ("terminated", "truncated", "done", "final_obs"):
        slot[name].zero_()
    slot["obs"].fill_(t + 1)
    slot["reward"].fill_(float(t))
    slot["active"].fill_(True)
    for env in done:
        slot["done"][env] = True
        slot["truncated"][env] = True
        slot["final_obs"][env] = 100 + 10 * t + env
    for env, agent in inactive:
        slot["active"][env, agent] = False
    part.finish_step(t)


def test_slots_are_the_storage_itself():
    store = rollout()
    write(store, 1)
    assert store.obs[2].eq(2).all()
    assert store.reward[1].eq(1).all()
    for name, x in store.slot(0).items():
        assert x.is_contiguous(), name


def test_resets_follow_from_ends_and_from_absence():
    store = rollout()
    store.begin(torch.zeros(4, 3, 2, 2, 3), torch.ones(4, 3, dtype=torch.bool))
    assert store.reset[0].all()
    write(store, 0, done=[2], inactive=[(1, 0)])
    want = torch.zeros(4, 3, dtype=torch.bool)
    want[2], want[1, 0] = True, True
    assert torch.equal(store.reset[1], want)


def test_memory_is_empty_when_an_agents_play_begins():
    store = rollout()
    waiting = torch.ones(4, 3, dtype=torch.bool)
    waiting[1, 0] = waiting[3, 2] = False
    store.begin(torch.zeros(4, 3, 2, 2, 3), waiting)
    write(store, 0, inactive=[(1, 0)])
    write(store, 1)
    write(store, 2)
    # from its first view on: what it saw while it waited is forgotten
    assert store.reset[:, 3, 2].tolist() == [True, True, False, False]
    assert store.reset[:, 1, 0].tolist() == [True, True, True, False]
    assert store.reset[:, 0, 0].tolist() == [True, False, False, False]


def test_last_views_of_episodes_are_kept():
    store = rollout()
    store.begin(torch.zeros(4, 3, 2, 2, 3), torch.ones(4, 3, dtype=torch.bool))
    assert store.final_index.shape == (0, 2)
    assert store.final_obs.shape == (0, 3, 2, 2, 3)
    for t, done in enumerate(([1], [], [0, 3])):
        write(store, t, done=done)
    assert store.final_index.tolist() == [[0, 1], [2, 0], [2, 3]]
    assert store.final_obs[:, 0, 0, 0, 0].tolist() == [101, 120, 123]


def test_carrying_over_continues_where_the_batch_ended():
    store = rollout()
    store.begin(torch.zeros(4, 3, 2, 2, 3), torch.ones(4, 3, dtype=torch.bool))
    for t in range(3):
        write(store, t, done=[1] if t == 2 else [])
    store.carry_over()
    assert store.obs[0].eq(3).all()
    assert store.reset[0].any(1).tolist() == [False, True, False, False]
    assert not len(store.final_index)


def test_parts_share_memory_with_the_whole():
    store = rollout()
    store.begin(torch.zeros(4, 3, 2, 2, 3), torch.ones(4, 3, dtype=torch.bool))
    first, second = store.part(0, 2), store.part(2, 2)
    write(second, 0, done=[1])
    assert store.obs[1, 2:].eq(1).all()
    assert not store.obs[1, :2].any()
    assert store.final_index.tolist() == [[0, 3]]
    assert first.slot(0)["obs"].is_contiguous()
    decision = Decision(*(torch.full((2, 3), 5.0),) * 3)
    recorded = Recorded({"action": decision}, torch.full((2, 3, 6), 7.0))
    first.record(1, recorded)
    assert store.action[1, :2].eq(5).all()
    assert store.state[1, :2].eq(7).all()
    assert not store.action[1, 2:].any()
    with pytest.raises(IndexError, match="of 4"):
        store.part(3, 2)


@pytest.mark.parametrize(("agents", "view"), [((1, 2), True), ((2, 0), False)])
def test_learners_see_their_own_agents(agents, view):
    store = rollout(agents=agents)
    store.obs[0, :, :] = torch.arange(3, dtype=torch.uint8)[:, None, None, None]
    obs, reset = store.inputs(0)
    assert obs[0, :, 0, 0, 0].tolist() == list(agents)
    assert reset.shape == (4, 2)
    assert (obs.data_ptr() == store.obs[0, 0, agents[0]].data_ptr()) == view
    assert store.action.shape == (3, 4, 2)


def test_sixteen_bit_tiles():
    assert rollout(obs_dtype="uint16", obs_shape=(7, 7)).obs.dtype == torch.uint16


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_steps": 0}, "num_steps=0"),
        ({"num_envs": -1}, "num_envs=-1"),
        ({"agents": (0, 0)}, "distinct"),
        ({"agents": (3,)}, "distinct"),
        ({"agents": ()}, "distinct"),
        ({"obs_dtype": "float32"}, "uint16"),
    ],
)
def test_impossible_rollouts_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        rollout(**options)
