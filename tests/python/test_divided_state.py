"""Snapshots of some environments of a batch, and of several batches as one."""

import pytest

import socialgrid
from socialgrid import SnapshotError, _core


def batch(first, count, game="GoalCycle-v0", seed=3):
    env = socialgrid.make_vec(game, num_envs=count, seed=seed, first_env_index=first, num_agents=2)
    env.reset()
    return env


@pytest.mark.parametrize("game", ["GoalCycle-v0", "Harvest-v0", "Switch-v0"])
def test_parts_are_what_smaller_batches_have(game):
    whole = batch(5, 6, game).get_state()
    for first, count in ((0, 6), (0, 1), (2, 3), (5, 1)):
        part = _core.take_from_state(whole, first, count)
        assert part == batch(5 + first, count, game).get_state()
        batch(0, count, game).set_state(part)


def test_parts_make_the_whole():
    whole = batch(5, 6).get_state()
    parts = [_core.take_from_state(whole, *cut) for cut in ((0, 2), (2, 1), (3, 3))]
    assert _core.join_states(parts) == whole
    assert _core.join_states(parts[1:]) == _core.take_from_state(whole, 2, 4)


def test_what_does_not_belong_together_is_refused():
    one, gap, other = batch(0, 2), batch(3, 2), batch(2, 2, seed=4)
    for parts in ([one, gap], [one, other], [one, batch(2, 2, "Maze-v0")], [one, one]):
        with pytest.raises(SnapshotError, match="follow each other"):
            _core.join_states([part.get_state() for part in parts])
    with pytest.raises(SnapshotError, match="no snapshots"):
        _core.join_states([])


@pytest.mark.parametrize(("first", "count"), [(0, 0), (0, 3), (2, 1), (2**63, 2**63)])
def test_environments_that_are_not_there_are_refused(first, count):
    with pytest.raises(SnapshotError, match="no environments"):
        _core.take_from_state(batch(0, 2).get_state(), first, count)


def test_damaged_snapshots_are_refused():
    state = batch(0, 2).get_state()
    for bad in (b"", state[:-1], state + b"x", state[:200] + b"\1" + state[201:]):
        with pytest.raises(SnapshotError):
            _core.take_from_state(bad, 0, 1)
        with pytest.raises(SnapshotError):
            _core.join_states([bad])
