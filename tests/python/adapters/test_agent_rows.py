"""Rows of Gymnasium's vector environment: ends, restarts, pictures, actions, copies."""

import copy
import gc
import pickle
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from gymnasium.wrappers import vector

import socialgrid
from socialgrid.adapters import gymnasium as adapter

GAMES = socialgrid.list_games()
WAITING = ["next_step", "disabled"]
MODES = ["same_step", *WAITING]
every_mode = pytest.mark.parametrize("autoreset", MODES)


def make_rows(game="GoalCycle-v0", num_envs=6, **config):
    return gymnasium.make_vec(f"socialgrid:socialgrid/{game}", num_envs=num_envs, **config)


def company(game):
    """A configuration with several agents where there can be, who end at different times."""
    agents = 2 if game.startswith("BoxTrapped") else 1 if game in ("Room-v0", "Hallway-v0") else 3
    config = {"num_agents": agents, "max_steps": 25}
    if "ghost_mode" in {option.name for option in socialgrid.game_options(game)}:
        config |= {"grid_size": 7, "spawn_delay": [0, 0, 3]}
    return config


def sample(envs, rng):
    """Actions of the single space, mostly forward."""
    n = int(envs.single_action_space.n)
    return np.where(
        rng.random(envs.num_envs) < 0.5, min(2, n - 1), rng.integers(n, size=envs.num_envs)
    )


def legal(envs, actions):
    """What the actions mean to the simulator."""
    counts = np.tile(envs.unwrapped.simulator.action_counts, envs.unwrapped.simulator.num_envs)
    return np.where(actions < counts, actions, 4).reshape(envs.unwrapped.simulator.num_envs, -1)


@pytest.mark.parametrize("game", GAMES)
@every_mode
def test_rows_end_when_their_agent_does(game, autoreset):
    envs = make_rows(game, num_envs=8, autoreset=autoreset, **company(game))
    direct = socialgrid.make_vec(game, num_envs=8, autoreset=autoreset, **company(game))
    agents = direct.num_agents
    obs, _ = envs.reset(seed=9)
    direct.reset(seed=9)
    over = np.zeros((8, agents), bool)  # in the episode under way, before the step
    rng = np.random.default_rng(1)
    ends = idle_steps = 0
    for _ in range(110):
        actions = sample(envs, rng)
        obs, reward, terminated, truncated, info = envs.step(actions)
        views, rewards, ended, cut, told = direct.step(legal(envs, actions))
        np.testing.assert_array_equal(obs, views.reshape(obs.shape))
        np.testing.assert_array_equal(reward, rewards.reshape(-1))
        np.testing.assert_array_equal(truncated, cut.reshape(-1))
        done = told["done"][:, None]
        now = (ended | cut) & ~over
        np.testing.assert_array_equal(info["ended"], now.reshape(-1))
        # Once more with the environment, for nothing else would begin the next episode.
        np.testing.assert_array_equal(terminated, (ended & (~over | done)).reshape(-1))
        assert not (terminated & truncated).any()
        assert not reward.reshape(8, agents)[over].any()
        np.testing.assert_array_equal(info["active"], told["active"].reshape(-1))
        if autoreset == "same_step" and (ends_now := terminated | truncated).any():
            np.testing.assert_array_equal(info["_final_obs"], ends_now)
            last = np.where(
                done.reshape(-1, *[1] * (views.ndim - 1)), told["final_obs"], views
            ).reshape(obs.shape)
            for row in range(8 * agents):
                if ends_now[row]:
                    np.testing.assert_array_equal(info["final_obs"][row], last[row])
                else:
                    assert info["final_obs"][row] is None
        else:
            assert "final_obs" not in info
        ends += now.sum()
        idle_steps += over.sum()
        over = (over | now) & ~(done & (autoreset == "same_step"))
        if autoreset == "next_step":
            over &= (ended | cut).any(axis=1, keepdims=True)
        if autoreset == "disabled" and done.any():
            envs.reset(options={"reset_mask": np.repeat(done[:, 0], agents)})
            direct.reset(mask=done[:, 0])
            over &= ~done
    assert ends >= 2 * 8 * agents
    assert idle_steps > 20 or agents == 1 or game != "Empty-v0"


def truths(envs, steps, autoreset):
    """(row, length, return) of every agent's play in an episode, by the simulator's own word."""
    simulator = envs.unwrapped.simulator
    agents = simulator.num_agents
    begun = np.zeros(envs.num_envs, int)
    earned = np.zeros(envs.num_envs)
    found, reported = [], []
    rng = np.random.default_rng(2)
    envs.reset(seed=4)
    began = np.zeros(envs.num_envs, bool)
    for _ in range(steps):
        _, reward, terminated, truncated, info = envs.step(sample(envs, rng))
        begun += 1
        begun[began] = 0
        earned += reward
        for row in np.flatnonzero(info["ended"]):
            found.append((row, begun[row], round(float(earned[row]), 4)))
        if "episode" in info:
            for row in np.flatnonzero(info["_episode"]):
                length, total = info["episode"]["l"][row], float(info["episode"]["r"][row])
                if info["ended"][row]:
                    reported.append((row, length, round(total, 4)))
                else:
                    assert total == 0
        done = (terminated | truncated).reshape(-1, agents).all(axis=1).repeat(agents)
        if autoreset == "same_step":
            done = (simulator.worlds(["step"])["step"] == 0).repeat(agents)
        if autoreset == "disabled" and done.any():
            envs.reset(options={"reset_mask": done})
        begun[done], earned[done] = 0, 0.0
        began = done & (autoreset == "next_step")
    return found, reported


@pytest.mark.parametrize("agents", [1, 3])
@every_mode
def test_gymnasiums_statistics_are_those_of_the_agents(agents, autoreset):
    envs = vector.RecordEpisodeStatistics(
        make_rows("Empty-v0", 5, autoreset=autoreset, num_agents=agents, grid_size=5, max_steps=20)
    )
    found, reported = truths(envs, 150, autoreset)
    assert len(found) > 20 * agents
    assert len({length for _, length, _ in found}) > 5
    assert reported == found


def test_the_mode_is_told_under_every_name():
    for mode, name in zip(AutoresetMode, ["next_step", "same_step", "disabled"], strict=True):
        for given in (mode, name, mode.value):
            for key in ("autoreset", "autoreset_mode"):
                envs = make_rows("Empty-v0", 2, **{key: given})
                assert envs.autoreset_mode is envs.metadata["autoreset_mode"] is mode
                assert envs.unwrapped.simulator.autoreset == name
    assert make_rows("Empty-v0", 2).autoreset_mode is AutoresetMode.SAME_STEP
    with pytest.raises(ValueError, match=r"'next_step', 'same_step', 'disabled'.*'never'"):
        make_rows("Empty-v0", 2, autoreset="never")
    with pytest.raises(ValueError, match="two names"):
        make_rows("Empty-v0", 2, autoreset="next_step", autoreset_mode="disabled")


def test_old_versions_of_gymnasium_are_told_of(monkeypatch):
    monkeypatch.setattr(gymnasium, "__version__", "1.3.0")
    with pytest.warns(UserWarning, match=r"Gymnasium 1\.3\.0 .*next_step"):
        adapter.AgentRowsEnv(2, "Empty-v0")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        adapter.AgentRowsEnv(2, "Empty-v0", autoreset="next_step")
        monkeypatch.setattr(gymnasium, "__version__", "1.10.0a1")
        adapter.AgentRowsEnv(2, "Empty-v0")


def test_what_could_not_be_made_is_closed_quietly(recwarn):
    for wrong in ({"frameskip": 4}, {"autoreset": "never"}, {"render_mode": "human"}):
        with pytest.raises((ValueError, TypeError)):
            make_rows(**wrong)
        gc.collect()
    assert not [w for w in recwarn if "ignored" in str(w.message)]
    half_made = adapter.AgentRowsEnv.__new__(adapter.AgentRowsEnv)
    half_made.close()


@every_mode
def test_some_environments_restart(autoreset):
    envs = make_rows(num_envs=3, num_agents=2, autoreset=autoreset)
    before, _ = envs.reset(seed=1)
    options = {"reset_mask": np.array([True, True, False, True, False, False])}
    obs, info = envs.reset(options=options)
    assert "reset_mask" in options  # wrappers look at it after us
    np.testing.assert_array_equal(obs[2:], before[2:])  # an agent of environment 1 plays on
    assert not np.array_equal(obs[:2], before[:2])
    assert info["_active"].all()
    again, _ = envs.reset(seed=[1, None, None], options={"reset_mask": np.ones(6, bool)})
    np.testing.assert_array_equal(again[:2], make_rows(num_envs=1, num_agents=2).reset(seed=1)[0])
    np.testing.assert_array_equal(
        envs.unwrapped.simulator.worlds(["episode"])["episode"], [0, 1, 1]
    )
    for mask, error in [
        (np.zeros(6, bool), ValueError),
        (np.ones(3, bool), ValueError),
        (np.ones(6, int), TypeError),
    ]:
        state = envs.unwrapped.simulator.get_state()
        with pytest.raises(error, match="reset_mask"):
            envs.reset(options={"reset_mask": mask})
        assert envs.unwrapped.simulator.get_state() == state


def test_a_finished_row_that_is_stepped_is_an_error_where_nothing_restarts():
    envs = make_rows("Empty-v0", 2, autoreset="disabled", max_steps=3)
    envs.reset()
    for _ in range(3):
        envs.step([6, 6])
    with pytest.raises(socialgrid.FinishedError, match="environment 0"):
        envs.step([6, 6])


@every_mode
@pytest.mark.parametrize("agents", [1, 2, 3])
def test_a_picture_a_row_shows_the_end_where_it_waits(agents, autoreset):
    envs = make_rows(
        "Empty-v0", 2, autoreset=autoreset, num_agents=agents, render_mode="rgb_array",
        render_tile_size=4, max_steps=4,
    )  # fmt: skip
    longer = make_rows("Empty-v0", 2, num_agents=agents, render_mode="rgb_array",
                       render_tile_size=4)  # fmt: skip
    envs.reset(seed=0)
    longer.reset(seed=0)
    for action in (0, 1, 1, 0):
        assert len(envs.render()) == envs.num_envs == 2 * agents
        actions = np.full(envs.num_envs, action)
        _, _, _, truncated, _ = envs.step(actions)
        longer.step(actions)
    assert truncated.all()
    same = [
        np.array_equal(left, right)
        for left, right in zip(envs.render(), longer.render(), strict=True)
    ]
    assert same == [autoreset != "same_step"] * (2 * agents)
    assert make_rows("Empty-v0", 2).render() is None


def test_nothing_is_drawn_until_render_is_called(monkeypatch):
    drawn = []
    original = socialgrid.VecEnv.render
    monkeypatch.setattr(
        socialgrid.VecEnv, "render", lambda *args: drawn.append(1) or original(*args)
    )
    envs = make_rows("Empty-v0", 2, render_mode="rgb_array", max_steps=3)
    envs.reset()
    for _ in range(7):
        envs.step([0, 0])
    assert not drawn
    envs.render()
    assert len(drawn) == 2


@pytest.mark.parametrize("game", GAMES)
def test_the_batchs_space_is_the_single_one_batched(game):
    envs = make_rows(game, 3)
    assert batch_space(envs.single_action_space, envs.num_envs) == envs.action_space
    assert batch_space(envs.single_observation_space, envs.num_envs) == envs.observation_space
    for _, info in (envs.reset(seed=0), envs.step(envs.action_space.sample())[::4]):
        assert ("action_mask" in info) == game.startswith("BoxTrapped")
        assert envs.single_observation_space.contains(envs.reset()[0][0])


@pytest.mark.parametrize("game", ["BoxTrapped-v0", "BoxTrapped-v1"])
def test_actions_an_agent_does_not_have_are_its_idle_action(game):
    envs, twin = (make_rows(game, 4) for _ in range(2))
    _, info = envs.reset(seed=3)
    twin.reset(seed=3)
    counts = envs.unwrapped.simulator.action_counts
    assert counts == (8, 7)
    assert info["action_mask"].dtype == np.int8
    np.testing.assert_array_equal(info["action_mask"].sum(axis=1), np.tile(counts, 4))
    np.testing.assert_array_equal(info["action_mask"][1], [1] * 7 + [0])
    rng = np.random.default_rng(0)
    stay = envs.unwrapped.simulator.action_names.index("stay")
    assert envs.unwrapped.simulator.idle_actions == (stay, stay)
    for _ in range(40):
        actions = rng.integers(8, size=8)
        replaced = np.where((np.arange(8) % 2 == 1) & (actions == 7), stay, actions)
        left, right = envs.step(actions), twin.step(replaced)
        np.testing.assert_array_equal(left[0], right[0])
        np.testing.assert_array_equal(left[1], right[1])
        np.testing.assert_array_equal(left[4]["last_actions"], replaced)
        masked = envs.single_action_space.sample(mask=left[4]["action_mask"][1])
        assert masked < 7
    for wrong in (8, -1):
        with pytest.raises(socialgrid.ActionError, match="agent 1"):
            envs.step(np.where(np.arange(8) == 3, wrong, 0))


COPIES = {
    "pickle": lambda env: pickle.loads(pickle.dumps(env)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES.keys())
@every_mode
def test_copies_of_rows_go_on_from_the_same_state(copied, autoreset):
    envs = make_rows(num_envs=3, num_agents=2, autoreset=autoreset, max_steps=15)
    envs.action_space.seed(5)
    envs.reset()
    rng = np.random.default_rng(0)
    for _ in range(7):
        envs.step(sample(envs, rng))
    twin = copied(envs)
    assert twin.autoreset_mode is envs.autoreset_mode
    np.testing.assert_array_equal(twin.action_space.sample(), envs.action_space.sample())
    for _ in range(8):
        actions = sample(envs, rng)
        left, right = envs.step(actions), twin.step(actions)
        for a, b in zip(left[:4], right[:4], strict=True):
            np.testing.assert_array_equal(a, b)
    before = twin.unwrapped.simulator.get_state()
    assert before == envs.unwrapped.simulator.get_state()
    np.testing.assert_array_equal(envs.reset()[0], twin.reset()[0])
    envs.close()
    assert copied(envs).unwrapped.simulator.closed
    twin.step(actions)


def test_the_contract_that_rllib_trusts():
    """Its runner takes views as they come: the one that ends an episode, then the next one's."""
    envs = gymnasium.make_vec(
        "socialgrid:socialgrid/Maze-v0", num_envs=5, vectorization_mode="vector_entry_point",
        autoreset="next_step", max_steps=8,
    )  # fmt: skip
    longer = socialgrid.make_vec("Maze-v0", num_envs=5, max_steps=99)
    envs.reset(seed=6)
    longer.reset(seed=6)
    finished = 0
    for _ in range(3):
        for step in range(8):
            obs, _, terminated, truncated, _ = envs.step(np.full(5, step % 3))
            expected, *_ = longer.step(np.full((5, 1), step % 3))
            np.testing.assert_array_equal(obs, expected[:, 0])
            assert not terminated.any()
            assert truncated.all() == (step == 7)
        finished += truncated.sum()
        obs, reward, terminated, truncated, _ = envs.step(np.full(5, 2))
        assert not (terminated | truncated).any()
        assert not reward.any()
        np.testing.assert_array_equal(obs, longer.reset()[0][:, 0])
    assert finished == 15


@pytest.mark.parametrize("game", ["Empty-v0", "Room-v0"])
@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_rows_of_lone_agents_are_gymnasiums_own_vector_environment(game, mode):
    config = {"max_steps": 9} | ({"grid_size": 5} if game == "Empty-v0" else {"length": 5})
    ours = make_rows(game, 4, autoreset=mode, **config)
    theirs = gymnasium.make_vec(
        f"socialgrid:socialgrid/{game}", num_envs=4, vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": mode}, **config,
    )  # fmt: skip
    assert ours.single_observation_space == theirs.single_observation_space
    assert ours.action_space == theirs.action_space
    seeds = [5, 6, 7, 8]
    np.testing.assert_array_equal(ours.reset(seed=seeds)[0], theirs.reset(seed=seeds)[0])
    rng = np.random.default_rng(0)
    ends = 0
    for _ in range(40):
        actions = sample(ours, rng)
        left, right = ours.step(actions), theirs.step(actions)
        for mine, other in zip(left[:4], right[:4], strict=True):
            np.testing.assert_array_equal(mine, other)
        done = left[2] | left[3]
        ends += done.sum()
        assert ("final_obs" in left[4]) == ("final_obs" in right[4])
        if "final_obs" in left[4]:
            np.testing.assert_array_equal(left[4]["_final_obs"], right[4]["_final_obs"])
            for row in np.flatnonzero(done):
                np.testing.assert_array_equal(left[4]["final_obs"][row], right[4]["final_obs"][row])
        if mode is AutoresetMode.DISABLED and done.any():
            mine, other = (
                envs.reset(options={"reset_mask": done.copy()})[0] for envs in (ours, theirs)
            )
            np.testing.assert_array_equal(mine, other)
    assert ends >= 12
