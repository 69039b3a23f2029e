"""Gymnasium's rules hold for the vector environments and for the single ones."""

import subprocess
import sys
import time

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

import socialgrid
from socialgrid.adapters.gymnasium import SingleAgentEnv

GAMES = socialgrid.list_games()
ROOMS = [game for game in GAMES if game in ("Room-v0", "Hallway-v0")]
MODES = [(game, mode) for game in GAMES for mode in ("rgb", "tiles")]
MODES += [(game, "vector") for game in ROOMS]


def make_rows(game="GoalCycle-v0", num_envs=6, **config):
    return gymnasium.make_vec(f"socialgrid:socialgrid/{game}", num_envs=num_envs, **config)


@pytest.mark.parametrize("game", GAMES)
def test_every_game_is_registered(game):
    spec = gymnasium.spec(f"socialgrid/{game}")
    assert spec.vector_entry_point
    assert spec.kwargs == {"game": game}


@pytest.mark.parametrize(
    "script",
    [
        "import gymnasium; gymnasium.make_vec('socialgrid:socialgrid/Maze-v0', num_envs=2).reset()",
        "import gymnasium, socialgrid; gymnasium.make_vec('socialgrid/Maze-v0', 2).reset()",
        "import socialgrid, gymnasium; gymnasium.make('socialgrid/Maze-v0').reset()",
        "import socialgrid.adapters.gymnasium, gymnasium; gymnasium.make('socialgrid/Maze-v0')",
    ],
)
def test_the_names_are_known_in_a_fresh_process(script):
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], check=False)
    assert done.returncode == 0


@pytest.mark.parametrize(("game", "obs_mode"), MODES)
def test_single_environments_pass_the_checker(game, obs_mode):
    partners = ["random"] if game.startswith("BoxTrapped") else []  # its rules are for two
    env = gymnasium.make(
        f"socialgrid:socialgrid/{game}", obs_mode=obs_mode, max_steps=30, players=partners
    )
    check_env(env.unwrapped)


def test_single_environments_with_teachers_pass_the_checker():
    env = gymnasium.make(
        "socialgrid:socialgrid/GoalCycle-v0", players=["expert", "random"], max_steps=30
    )
    check_env(env.unwrapped)


def test_the_wrapped_environment_goes_through_whole_episodes():
    env = gymnasium.make("socialgrid:socialgrid/Empty-v0", max_steps=15, grid_size=5)
    env.action_space.seed(0)
    endings = set()
    for episode in range(30):
        obs, _ = env.reset(seed=episode)
        assert env.observation_space.contains(obs)
        for step in range(1, 16):
            obs, reward, terminated, truncated, _ = env.step(env.action_space.sample())
            assert env.observation_space.contains(obs)
            assert isinstance(reward, float)
            assert not (terminated and truncated)
            if terminated or truncated:
                endings.add(("terminated" if terminated else "truncated", step == 15))
                assert terminated == (reward > 0)
                break
        else:
            pytest.fail("the time limit was missed")
        with pytest.raises(RuntimeError, match="reset"):
            env.step(0)
    assert ("truncated", True) in endings
    assert ("terminated", False) in endings


def test_the_last_view_of_a_single_episode_is_its_own():
    short = gymnasium.make("socialgrid:socialgrid/Maze-v0", max_steps=9).unwrapped
    long = gymnasium.make("socialgrid:socialgrid/Maze-v0", max_steps=50).unwrapped
    for env in (short, long):
        env.reset(seed=3)
    for step in range(9):
        left, right = short.step(step % 3), long.step(step % 3)
        np.testing.assert_array_equal(left[0], right[0])
    assert left[3]
    assert not right[3]


def test_episodes_of_a_single_environment_are_those_of_the_stream():
    env = gymnasium.make("socialgrid:socialgrid/GoalCycle-v0", max_steps=5).unwrapped
    direct = socialgrid.make_vec("GoalCycle-v0", num_envs=1, num_agents=1, max_steps=5)
    direct.reset(seed=12)
    obs, _ = env.reset(seed=12)
    for _ in range(3):
        np.testing.assert_array_equal(obs, direct.observe()[0, 0])
        for _ in range(5):
            env.step(2)
            direct.step([[2]])
        obs, _ = env.reset()
    # Half an episode later, reset() goes on to the next one.
    env.step(2)
    direct.step([[2]])
    direct.reset()
    np.testing.assert_array_equal(env.reset()[0], direct.observe()[0, 0])


def test_unseeded_environments_differ():
    first, second = (gymnasium.make("socialgrid:socialgrid/GoalCycle-v0") for _ in range(2))
    states = []
    for env in (first, second):
        env.reset()
        states.append(env.unwrapped.simulator.get_layout(0).cells)
    assert states[0] != states[1]


@pytest.mark.parametrize("options", [{"num_agents": 3}, {"num_agents": 1, "players": ["expert"]}])
def test_an_agent_without_a_player_is_refused(options):
    with pytest.raises(ValueError, match="agent 0"):
        gymnasium.make("socialgrid:socialgrid/GoalCycle-v0", **options)


def test_a_game_for_two_asks_for_a_partner():
    with pytest.raises(ValueError, match=r"at least 2 agents.*players=\['random'\]"):
        gymnasium.make("socialgrid:socialgrid/BoxTrapped-v0")


def test_wrong_actions_and_modes_are_refused():
    with pytest.raises(ValueError, match=r"human.*'film'"):
        SingleAgentEnv("Empty-v0", render_mode="film")
    env = gymnasium.make("socialgrid:socialgrid/Empty-v0").unwrapped
    env.reset()
    for action in (7, -1, 0.5, None, "left"):
        with pytest.raises(ValueError, match="action"):
            env.step(action)


def test_pictures_and_text():
    env = gymnasium.make("socialgrid:socialgrid/Empty-v0", render_mode="rgb_array", max_steps=3)
    env.reset(seed=1)
    direct = socialgrid.make_vec("Empty-v0", max_steps=3, autoreset="disabled")
    direct.reset(seed=1)
    assert env.render().shape == (9 * 32, 9 * 32, 3)
    for _ in range(3):
        np.testing.assert_array_equal(env.render(), direct.render(0))
        truncated = env.step(2)[3]
        direct.step([[2]])
    assert truncated
    np.testing.assert_array_equal(env.render(), direct.render(0))  # the end, not what follows
    text = gymnasium.make("socialgrid:socialgrid/Empty-v0", render_mode="ansi")
    text.reset(seed=1)
    lines = text.render().splitlines()
    assert len(lines) == 9
    assert lines[0] == "#########"
    assert sum(lines[row].count(mark) for row in range(9) for mark in ">v<^") == 1


def test_a_person_sees_every_step_in_the_terminal(capsys):
    env = gymnasium.make("socialgrid:socialgrid/Empty-v0", render_mode="human", max_steps=4)
    begun = time.monotonic()
    env.reset(seed=1)
    frames = [capsys.readouterr().out]
    assert env.render() is None
    assert capsys.readouterr().out == ""  # it has been drawn
    for _ in range(4):
        env.step(2)
        frames.append(capsys.readouterr().out)
    assert time.monotonic() - begun > 0.35  # ten frames a second
    rows = [frame.count("\u2580") for frame in frames]
    assert len(set(rows)) == 1
    assert rows[0] >= 9 * 5
    assert len(set(frames)) > 2


@pytest.mark.parametrize(
    ("game", "players"),
    [
        ("Cleanup-v0", ["cleaner", "cleaner", "harvester", "random"]),
        ("Harvest-v0", ["sustainable-harvester", "greedy-harvester"]),
        ("Switch-v0", ["expert"]),
        ("BoxTrapped-v0", ["expert"]),
    ],
)
def test_single_dilemmas_with_partners_pass_the_checker(game, players):
    env = gymnasium.make(f"socialgrid:socialgrid/{game}", players=players, max_steps=30)
    check_env(env.unwrapped)


def test_teachers_earn_beside_the_caller():
    env = gymnasium.make("socialgrid:socialgrid/GoalCycle-v0", players=["expert"]).unwrapped
    direct = env.simulator
    env.reset(seed=0)
    for _ in range(100):
        env.step(6)
    assert direct.worlds(["agent_last_tile"])["agent_last_tile"][0, 1] >= 0


@pytest.mark.parametrize(
    ("game", "player"),
    [
        ("Maze-v0", "expert"),
        ("FourRooms-v0", "expert"),
        ("GoalCycle-v0", "expert"),
        ("GoalCycle-v0", "trial-and-error"),
        ("Empty-v0", "expert"),
        ("Cluttered-v0", "expert"),
        ("DoorKey-v0", "expert"),
        ("Cleanup-v0", "cleaner"),
        ("Harvest-v0", "greedy-harvester"),
    ],
)
def test_teachers_play_the_world_that_a_seed_began(game, player):
    def make():
        return gymnasium.make(f"socialgrid:socialgrid/{game}", players=[player], max_steps=60)

    def path(env, seed):
        """Where the teacher goes while the caller stands still."""
        env.reset(seed=seed)
        world = env.unwrapped.simulator
        idle = world.idle_actions[0]
        found = []
        for _ in range(25):
            env.step(idle)
            found.append(world.worlds(["agent_pos"])["agent_pos"][0, 1].tolist())
        return found

    reused = make()
    paths = [path(reused, seed) for seed in range(6)]
    assert paths == [path(make(), seed) for seed in range(6)]
    assert any(one[0] != one[-1] for one in paths)


def test_rows_are_agents():
    envs = make_rows(num_agents=3)
    assert envs.num_envs == 18
    assert envs.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert envs.single_observation_space.shape == (21, 21, 3)
    assert envs.observation_space.shape == (18, 21, 21, 3)
    direct = socialgrid.make_vec("GoalCycle-v0", num_envs=6, num_agents=3)
    expected, _ = direct.reset(seed=4)
    obs, info = envs.reset(seed=4)
    np.testing.assert_array_equal(obs, expected.reshape(obs.shape))
    assert envs.observation_space.contains(obs)
    assert info["active"].all()
    envs.action_space.seed(0)
    for _ in range(5):
        actions = envs.action_space.sample()
        obs, reward, terminated, truncated, info = envs.step(actions)
        expected = direct.step(actions.reshape(6, 3))
        np.testing.assert_array_equal(obs, expected[0].reshape(obs.shape))
        np.testing.assert_array_equal(reward, expected[1].reshape(-1))
        assert not terminated.any()
        assert not truncated.any()
        assert "final_obs" not in info
    envs.close()


@pytest.mark.parametrize("game", GAMES)
def test_rows_carry_what_else_the_game_tells(game):
    envs = make_rows(game, num_envs=4)
    agents = envs.simulator.num_agents
    direct = socialgrid.make_vec(game, num_envs=4)
    _, info = envs.reset(seed=2)
    _, expected = direct.reset(seed=2)
    for _ in range(12):
        for key in {"visible", "last_actions", "active", "events"} & expected.keys():
            np.testing.assert_array_equal(
                info[key], expected[key].reshape(4 * agents, *expected[key].shape[2:]), err_msg=key
            )
            assert info[f"_{key}"].all()
        actions = np.full(4 * agents, min(2, direct.num_actions - 1))
        *_, info = envs.step(actions)
        *_, expected = direct.step(actions.reshape(4, agents))
        assert ("events" in info) == bool(direct.event_names)


def test_a_single_environment_tells_its_events():
    env = gymnasium.make("socialgrid:socialgrid/Cleanup-v0", players=["cleaner"]).unwrapped
    names = env.simulator.event_names
    _, info = env.reset(seed=0)
    assert info["events"].tolist() == [0, 0, 0, 0]
    *_, info = env.step(7)
    assert dict(zip(names, info["events"].tolist(), strict=True)) == {
        "apples": 0, "cleaned": 0, "shots": 1, "hits": 0
    }  # fmt: skip


def test_lists_of_seeds_are_per_environment_or_per_row():
    envs = make_rows(num_envs=3, num_agents=2)
    by_env, _ = envs.reset(seed=[5, 6, 5])
    by_row, _ = envs.reset(seed=[5, 5, 6, 6, 5, 5])
    np.testing.assert_array_equal(by_env, by_row)
    np.testing.assert_array_equal(by_env[:2], by_env[4:])
    assert not np.array_equal(by_env[:2], by_env[2:4])
    with pytest.raises(ValueError, match="4 seeds"):
        envs.reset(seed=[1, 2, 3, 4])


def test_wrong_rows_of_actions_are_refused():
    envs = make_rows(num_envs=3, num_agents=2)
    envs.reset()
    for shape in [(3, 2), (5,), ()]:
        with pytest.raises(ValueError, match=r"\[6\]"):
            envs.step(np.zeros(shape, int))


def test_unseeded_rows_differ_between_batches_and_a_given_seed_repeats():
    fresh = [make_rows(num_envs=1).reset()[0] for _ in range(2)]
    assert not np.array_equal(*fresh)
    seeded = [make_rows(num_envs=1, seed=3).reset()[0] for _ in range(2)]
    np.testing.assert_array_equal(*seeded)


@pytest.mark.parametrize(("game", "size"), [("Room-v0", 4), ("Hallway-v0", 2)])
def test_rooms_are_numbers_unless_told_otherwise(game, size):
    single = gymnasium.make(f"socialgrid:socialgrid/{game}").unwrapped
    space = gymnasium.spaces.Box(0, 1, (size,), np.float32)
    assert single.observation_space == space
    assert single.action_space == gymnasium.spaces.Discrete(size)
    rows = make_rows(game, num_envs=3)
    assert rows.single_observation_space == space
    obs, _ = rows.reset(seed=1)
    assert obs.dtype == np.float32
    assert rows.observation_space.contains(obs)
    pixels = make_rows(game, num_envs=3, obs_mode="rgb", length=5, tile_size=4)
    assert pixels.single_observation_space.shape == (20 if size == 4 else 4, 20, 3)


def test_a_room_ends_for_gymnasium_where_it_does():
    env = gymnasium.make(
        "socialgrid:socialgrid/Room-v0", length=5, terminate_on_goal=True, max_steps=7
    )
    env.action_space.seed(0)
    endings = {"terminated": 0, "truncated": 0}
    for episode in range(60):
        obs, _ = env.reset(seed=episode)
        np.testing.assert_array_equal(obs[:2], 0.5)
        terminated = truncated = False
        while not (terminated or truncated):
            obs, reward, terminated, truncated, _ = env.step(env.action_space.sample())
            assert terminated == (reward == 1) == np.array_equal(obs[:2], obs[2:])
        endings["terminated" if terminated else "truncated"] += 1
    assert min(endings.values()) >= 5


def test_a_room_has_no_place_for_company():
    with pytest.raises(ValueError, match="num_agents"):
        gymnasium.make("socialgrid:socialgrid/Room-v0", players=["expert"])


def test_gymnasium_can_vectorise_the_single_environments_too():
    envs = gymnasium.make_vec(
        "socialgrid:socialgrid/Empty-v0", num_envs=3, vectorization_mode="sync", max_steps=4
    )
    envs.reset(seed=2)
    for _ in range(10):
        obs, *_ = envs.step(envs.action_space.sample())
    assert obs.shape == (3, 21, 21, 3)
