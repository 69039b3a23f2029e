"""Tasks: the agent axis comes first, endings are told apart, and agents do not share fate."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import socialgrid
from socialgrid.config import UsageError, from_dict
from socialgrid.train import OwnGames, Phase, SharedWorlds, Worlds, make_tasks


def rooms(agents: int = 3, copies: int = 2, first: int = 0, **options: object) -> OwnGames:
    return OwnGames(
        "Room-v0",
        agents,
        copies,
        {"length": 5, "max_steps": 4, **options},
        seed=1,
        num_threads=1,
        first_agent=first,
    )


def random_actions(t: int, agents: int, copies: int) -> torch.Tensor:
    rng = np.random.default_rng(t)
    return torch.from_numpy(rng.integers(0, 4, (agents, copies)))


def test_own_games_are_the_simulators_environments_by_agent() -> None:
    tasks = rooms()
    env = socialgrid.make_vec("Room-v0", 6, 1, seed=1, length=5, max_steps=4)
    assert tasks.spec.obs_shape == (4,)
    assert tasks.spec.num_actions == 4
    obs, _ = env.reset()
    assert np.array_equal(tasks.reset().numpy(), obs.reshape(3, 2, 4))
    ended = 0
    for t in range(9):
        actions = random_actions(t, 3, 2)
        step = tasks.step(actions)
        obs, reward, _, truncated, info = env.step(actions.numpy().reshape(6, 1).astype(np.int32))
        assert np.array_equal(step.obs.numpy(), obs.reshape(3, 2, 4))
        assert np.array_equal(step.reward.numpy(), reward.reshape(3, 2))
        assert np.array_equal(step.truncated.numpy(), truncated.reshape(3, 2))
        assert not step.terminated.any()
        wanted = np.where(info["done"][:, None, None], info["final_obs"], obs)
        assert np.array_equal(step.next_obs.numpy(), wanted.reshape(3, 2, 4))
        ended += int(step.done.sum())
    assert ended == 12  # six environments, twice four steps


def test_own_games_hide_from_a_single_learner_what_shared_worlds_hide() -> None:
    """What nobody but a lone learner was there to see was never hidden from it."""
    table = {
        "algorithm": {"name": "dqn"},
        "env": {"num_envs": 4, "options": {"grid_size": 6, "num_clutter": 0}},
        "players": {"kinds": ["learner"], "hide_from_learners": ["goal"]},
    }
    hidden = make_tasks(from_dict(table), 4, seed=1).reset()
    table["players"] = {"kinds": ["learner"]}
    seen = make_tasks(from_dict(table), 4, seed=1).reset()
    assert hidden.shape == seen.shape
    assert not torch.equal(hidden, seen)
    shown = {"hide": [["goal"]], "grid_size": 6, "num_clutter": 0}
    table["env"] = {"num_envs": 4, "options": shown}
    assert torch.equal(make_tasks(from_dict(table), 4, seed=1).reset(), hidden)


def test_an_agents_games_do_not_depend_on_the_others() -> None:
    everybody, last = rooms(), rooms(agents=1, first=2)
    assert torch.equal(everybody.reset()[2:], last.reset())
    for t in range(9):
        actions = random_actions(t, 3, 2)
        a, b = everybody.step(actions), last.step(actions[2:])
        assert torch.equal(a.obs[2:], b.obs)
        assert torch.equal(a.next_obs[2:], b.next_obs)


def test_own_games_end_as_the_game_says() -> None:
    tasks = rooms(terminate_on_goal=True, max_steps=50)
    tasks.reset()
    seen = False
    for t in range(200):
        step = tasks.step(random_actions(t, 3, 2))
        assert torch.equal(step.terminated, step.reward == 1.0)
        assert torch.equal(step.done, step.terminated | step.truncated)
        seen |= bool(step.terminated.any())
    assert seen


def test_own_games_go_on_from_a_snapshot() -> None:
    tasks, other = rooms(), rooms()
    tasks.reset()
    other.reset(7)
    for t in range(6):
        obs = tasks.step(random_actions(t, 3, 2)).obs
    assert torch.equal(other.set_state(tasks.get_state()), obs)
    for t in range(6, 12):
        actions = random_actions(t, 3, 2)
        assert torch.equal(tasks.step(actions).obs, other.step(actions).obs)
    with pytest.raises(UsageError, match="snapshot"):
        other.set_state({"env": np.zeros(3, np.uint8)})


def test_games_for_several_are_refused_as_tasks_of_ones_own() -> None:
    with pytest.raises(UsageError, match="BoxTrapped-v0"):
        OwnGames("BoxTrapped-v0", 2, 1, {}, seed=0)
    with pytest.raises(UsageError, match="lenght"):
        OwnGames("Room-v0", 2, 1, {"lenght": 5}, seed=0)


def shared(seed: int = 3) -> SharedWorlds:
    kinds = [None, "random", None]
    options = {"grid_size": 7, "max_steps": 5, "num_clutter": 0}
    worlds = Worlds("GoalCycle-v0", 2, kinds, Phase(options, 0), seed=seed, num_threads=1)
    return SharedWorlds(worlds, [0, 2])


def test_shared_worlds_give_each_seat_its_view() -> None:
    tasks = shared()
    obs = tasks.reset()
    assert obs.shape[:2] == (2, 2)
    assert tasks.spec.num_agents == 2
    done = 0
    for t in range(11):
        step = tasks.step(random_actions(t, 2, 2).clamp(max=2))
        assert step.obs.shape == obs.shape
        assert torch.equal(step.done[0], step.done[1])  # a world ends for all
        changed = (step.obs != step.next_obs).flatten(2).any(2)
        assert not (changed & ~step.done).any()
        done += int(step.done.sum())
        assert torch.equal(step.truncated, step.done)
    assert done == 8  # two worlds, two seats, twice five steps


def empty_rooms(*kinds: str | None, **options: object) -> SharedWorlds:
    options = {"grid_size": 5, "max_steps": 9, **options}
    worlds = Worlds("Empty-v0", 3, kinds, Phase(options, 0), seed=2, num_threads=1)
    return SharedWorlds(worlds, [a for a, kind in enumerate(kinds) if kind is None])


@pytest.mark.parametrize("restored", [False, True])
def test_an_agents_play_ends_once_and_what_follows_is_nobodys(restored: bool) -> None:
    tasks = empty_rooms(None, "random", None)
    tasks.reset()
    playing = torch.ones(2, 3, dtype=torch.bool)
    waited = ended = 0
    for t in range(200):
        if restored and t % 5 == 3:
            tasks.set_state(tasks.get_state())
        step = tasks.step(random_actions(t, 2, 3).clamp(max=2))
        assert torch.equal(step.in_play, playing)
        assert not ((step.terminated | step.truncated | (step.reward != 0)) & ~playing).any()
        assert not (step.terminated & step.truncated).any()
        assert torch.equal(step.terminated, step.reward > 0)  # the goal ends one's play
        over = step.terminated | step.truncated
        assert (over | ~playing)[step.done].all()  # a world's end leaves nobody's play open
        playing = step.done | (playing & ~over)
        waited, ended = waited + int((~step.in_play).sum()), ended + int(step.terminated.sum())
    assert waited > 50
    assert ended > 20


def test_late_agents_are_out_of_play_until_they_enter() -> None:
    tasks = empty_rooms(None, None, max_steps=6, spawn_delay=[0, 2], grid_size=9)
    tasks.reset()
    turning = torch.zeros((2, 3), dtype=torch.int64)  # nobody reaches the goal
    for _ in range(3):
        for t in range(6):
            step = tasks.step(turning)
            assert bool(step.in_play[0].all())
            assert (
                step.in_play[1].tolist() == [t >= 3] * 3
            )  # it enters at the end of the step after the delay
            assert step.truncated.tolist() == [[t == 5] * 3] * 2
            assert not step.terminated.any()


def test_worlds_in_which_nobody_ever_comes_into_play_are_refused() -> None:
    tasks = empty_rooms(None, "random", max_steps=6, spawn_delay=[7, 0], grid_size=9)
    tasks.reset()
    turning = torch.zeros((1, 3), dtype=torch.int64)
    for _ in range(12):
        assert not tasks.step(turning).in_play.any()
    with pytest.raises(UsageError, match="spawn_delay must be less than max_steps 6"):
        tasks.step(turning)


def test_shared_worlds_go_on_from_a_snapshot_scripted_players_included() -> None:
    tasks, other = shared(), shared()
    tasks.reset()
    other.reset()
    for t in range(7):
        obs = tasks.step(random_actions(t, 2, 2).clamp(max=2)).obs
    assert torch.equal(other.set_state(tasks.get_state()), obs)
    for t in range(7, 14):
        actions = random_actions(t, 2, 2).clamp(max=2)
        a, b = tasks.step(actions), other.step(actions)
        assert torch.equal(a.obs, b.obs)
        assert torch.equal(a.reward, b.reward)
    with pytest.raises(ValueError, match="seed"):
        tasks.reset(5)
