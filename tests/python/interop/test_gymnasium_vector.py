"""Gymnasium's vector wrappers, over every game and every way to begin the next episode."""

import cv2
import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from gymnasium.wrappers import TransformObservation
from gymnasium.wrappers import vector as wrappers
from tests.python.interop.cases import GAMES, MODES, make_rows, make_single, small
from tests.python.interop.play import play

import socialgrid

every_mode = pytest.mark.parametrize("mode", MODES)
every_game = pytest.mark.parametrize("game", GAMES)


def grey(view):
    return np.sum(view * np.array([0.2125, 0.7154, 0.0721]), axis=-1).astype(np.uint8)


def in_two(envs):
    """The views twice, so that there is something to filter."""
    space = envs.single_observation_space
    return wrappers.VectorizeTransformObservation(
        envs,
        TransformObservation,
        func=lambda view: {"kept": view, "dropped": view},
        observation_space=spaces.Dict({"kept": space, "dropped": space}),
    )


# Of each wrapper: what makes it, and what it should make of one view.
OBSERVATION_WRAPPERS = {
    "TransformObservation": (
        lambda envs: wrappers.TransformObservation(envs, lambda views: views[..., ::-1]),
        lambda view: view[..., ::-1],
    ),
    # Its space stays the same, so the result is written into the views that it is given.
    "VectorizeTransformObservation": (
        lambda envs: wrappers.VectorizeTransformObservation(
            envs,
            TransformObservation,
            func=lambda view: 255 - view,
            observation_space=envs.single_observation_space,
        ),
        lambda view: 255 - view,
    ),
    "FilterObservation": (
        lambda envs: wrappers.FilterObservation(in_two(envs), ["kept"]),
        lambda view: {"kept": view},
    ),
    "FlattenObservation": (wrappers.FlattenObservation, lambda view: view.reshape(-1)),
    "GrayscaleObservation": (wrappers.GrayscaleObservation, grey),
    "ResizeObservation": (
        lambda envs: wrappers.ResizeObservation(envs, (6, 4)),
        lambda view: cv2.resize(view, (4, 6), interpolation=cv2.INTER_AREA),
    ),
    "ReshapeObservation": (
        lambda envs: wrappers.ReshapeObservation(
            envs, (3, int(np.prod(envs.single_observation_space.shape[:2])))
        ),
        lambda view: view.reshape(3, -1),
    ),
    "RescaleObservation": (
        lambda envs: wrappers.RescaleObservation(
            wrappers.DtypeObservation(envs, np.float64), np.float64(-1), np.float64(1)
        ),
        lambda view: view / 127.5 - 1,
    ),
    "DtypeObservation": (
        lambda envs: wrappers.DtypeObservation(envs, np.float64),
        lambda view: view.astype(np.float64),
    ),
}


def test_no_observation_wrapper_is_left_out():
    left = {name for name in wrappers.__all__ if name.endswith("Observation")}
    assert left - OBSERVATION_WRAPPERS.keys() == {"NormalizeObservation"}  # below


def assert_views(seen, views, turned, space):
    assert seen in space
    for row in range(len(views)):
        expected = turned(views[row])
        if isinstance(expected, dict):
            np.testing.assert_equal({key: part[row] for key, part in seen.items()}, expected)
        else:
            np.testing.assert_allclose(seen[row], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("mode", ["next_step", "disabled"])
@every_game
def test_observation_wrappers_show_what_the_rows_show(game, mode):
    for wrap, turned in OBSERVATION_WRAPPERS.values():
        envs = wrap(make_rows(game, obs_mode="rgb", autoreset=mode))
        plain = make_rows(game, obs_mode="rgb", autoreset=mode)
        assert batch_space(envs.single_observation_space, envs.num_envs) == envs.observation_space
        ends = 0
        for wrapped, bare in zip(play(envs, 15), play(plain, 15), strict=True):
            assert_views(wrapped[0], bare[0], turned, envs.observation_space)
            np.testing.assert_equal(wrapped[1:], bare[1:])
            ends += len(bare) == 5 and bool((bare[2] | bare[3]).any())
        assert ends > 0
        envs.close()
        plain.close()


@pytest.mark.parametrize("name", OBSERVATION_WRAPPERS)
def test_observation_wrappers_refuse_the_same_step(name):
    """Gymnasium's own rule: views of two episodes in one step are not theirs to transform."""
    wrap, _ = OBSERVATION_WRAPPERS[name]
    with pytest.raises(ValueError, match="NEXT_STEP or DISABLED"):
        wrap(make_rows("GoalCycle-v0"))


@every_game
def test_normalised_views(game):
    envs = wrappers.NormalizeObservation(make_rows(game, autoreset="next_step"))
    views = np.stack([result[0] for result in play(envs, 60)][-30:])
    assert np.isfinite(views).all()
    assert abs(views.mean()) < 0.5
    for mode in ("same_step", "disabled"):  # Gymnasium's own rule
        with pytest.raises(ValueError, match="NEXT_STEP"):
            wrappers.NormalizeObservation(make_rows(game, autoreset=mode))


@every_mode
@pytest.mark.parametrize(
    ("game", "config"),
    [*((game, {}) for game in GAMES), ("Empty-v0", {"grid_size": 5, "max_steps": 30})],
)
def test_statistics_are_those_of_the_agents(game, config, mode):
    """What is recorded where an agent's play ends has its own length and return."""
    envs = wrappers.RecordEpisodeStatistics(
        make_rows(game, num_envs=4, autoreset=mode, **config), buffer_length=10_000
    )
    direct = socialgrid.make_vec(game, num_envs=4, autoreset=mode, **small(game, **config))
    agents = direct.num_agents
    rng = np.random.default_rng(2)
    envs.reset(seed=1)
    direct.reset(seed=1)
    in_play = np.ones((4, agents), bool)
    waits = np.zeros(4, bool)
    lengths, returns = np.zeros((4, agents), int), np.zeros((4, agents))
    recorded, expected, early = [], [], 0
    for _ in range(60):
        actions = rng.integers(direct.action_counts, size=(4, agents))
        _, reward, terminated, truncated, told = direct.step(actions)
        *_, info = envs.step(actions.reshape(-1))
        acts = in_play & ~waits[:, None]
        lengths += acts
        returns += np.where(acts, reward, 0)
        ended = acts & (terminated | truncated)
        np.testing.assert_array_equal(info["ended"], ended.reshape(-1))
        expected += zip(np.flatnonzero(ended), lengths[ended], returns[ended], strict=True)
        if ended.any():
            rows = info["ended"]
            assert info["_episode"][rows].all()
            statistics = info["episode"]
            recorded += zip(
                np.flatnonzero(rows), statistics["l"][rows], statistics["r"][rows], strict=True
            )
        in_play &= ~ended
        early += (in_play.any(axis=1) & ended.any(axis=1)).sum()
        done = told["done"]
        for numbers in (lengths, returns):
            numbers[done] = 0
        in_play[done] = True
        waits = done if mode == "next_step" else np.zeros(4, bool)
        if mode == "disabled" and done.any():
            envs.reset(options={"reset_mask": np.repeat(done, agents)})
            direct.reset(mask=done)
    assert len(expected) >= 3 * agents
    assert early > 0 or not config
    np.testing.assert_allclose(recorded, expected, atol=1e-5)
    # Whatever else is recorded of an agent that waits for the others, it earns nothing.
    assert sum(envs.return_queue) == pytest.approx(sum(returned for *_, returned in expected))


@every_mode
def test_reward_and_info_wrappers(mode):
    envs = wrappers.DictInfoToList(
        wrappers.NormalizeReward(
            wrappers.ClipReward(make_rows("Cleanup-v0", autoreset=mode), -1, 1)
        )
    )
    for *_, infos in play(envs, 30):
        assert len(infos) == envs.num_envs
        assert all(info["active"] in (True, False) for info in infos)


@every_mode
def test_views_as_tensors(mode):
    envs = wrappers.NumpyToTorch(make_rows("GoalCycle-v0", autoreset=mode))
    plain = make_rows("GoalCycle-v0", autoreset=mode)
    envs.reset(seed=1)
    plain.reset(seed=1)
    for step in range(10):
        actions = np.full(envs.num_envs, step % 7)
        views, reward, terminated, _, _ = envs.step(torch.as_tensor(actions))
        assert isinstance(views, torch.Tensor)
        expected = plain.step(actions)
        np.testing.assert_array_equal(views.numpy(), expected[0])
        np.testing.assert_array_equal(reward.numpy(), expected[1])
        assert terminated.dtype == torch.bool


@every_mode
@every_game
def test_rows_are_the_simulators_in_every_mode(game, mode):
    envs = make_rows(game, num_envs=3, autoreset=mode)
    assert envs.autoreset_mode is envs.metadata["autoreset_mode"]
    assert envs.autoreset_mode.name == mode.upper()
    assert batch_space(envs.single_action_space, envs.num_envs) == envs.action_space
    assert batch_space(envs.single_observation_space, envs.num_envs) == envs.observation_space
    direct = socialgrid.make_vec(game, num_envs=3, autoreset=mode, **small(game))
    agents = direct.num_agents
    counts = np.tile(direct.action_counts, 3)
    rng = np.random.default_rng(0)
    views, info = envs.reset(seed=3)
    expected, _ = direct.reset(seed=3)
    ends = 0
    for _ in range(40):
        np.testing.assert_array_equal(views, expected.reshape(views.shape))
        if "action_mask" in info:  # agents differ in their actions
            own = np.arange(direct.num_actions) < counts[:, None]
            np.testing.assert_array_equal(info["action_mask"], own)
        actions = rng.integers(counts)
        views, reward, terminated, truncated, info = envs.step(actions)
        expected, paid, *_, told = direct.step(actions.reshape(3, agents))
        np.testing.assert_array_equal(reward, paid.reshape(-1))
        assert not (terminated & truncated).any()
        done = told["done"]
        ends += done.sum()
        if mode == "same_step" and done.any():
            ended = np.repeat(done, agents)
            np.testing.assert_array_equal(info["_final_obs"], ended)
            last = told["final_obs"].reshape(views.shape)
            for row in np.flatnonzero(ended):
                np.testing.assert_array_equal(info["final_obs"][row], last[row])
        elif mode == "disabled" and done.any():
            np.testing.assert_array_equal(views, expected.reshape(views.shape))
            views, info = envs.reset(options={"reset_mask": np.repeat(done, agents)})
            expected, _ = direct.reset(mask=done)
    assert ends >= 6


@every_game
def test_gymnasium_vectorises_single_environments_in_every_mode(game):
    players = make_single(game).spec.kwargs["players"]
    for mode in AutoresetMode:
        envs = gymnasium.make_vec(
            f"socialgrid/{game}", num_envs=2, vectorization_mode="sync", max_steps=4,
            vector_kwargs={"autoreset_mode": mode}, players=players,
        )  # fmt: skip
        envs.reset(seed=1)
        for _ in range(9):
            views, _, terminated, truncated, _ = envs.step(envs.action_space.sample())
            assert views in envs.observation_space
            over = terminated | truncated
            if mode is AutoresetMode.DISABLED and over.any():
                envs.reset(options={"reset_mask": over})
        envs.close()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # it forks beside threads
def test_gymnasium_plays_single_environments_in_processes():
    envs = gymnasium.make_vec(
        "socialgrid:socialgrid/Maze-v0", num_envs=2, vectorization_mode="async", max_steps=4
    )
    views, _ = envs.reset(seed=1)
    assert not np.array_equal(*views)
    lengths = [envs.step([2, 2])[3].tolist() for _ in range(9)]
    assert lengths == [[step % 5 == 3] * 2 for step in range(9)]
    envs.close()
