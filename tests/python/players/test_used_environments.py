"""Players in an environment that was used before play as in a fresh one."""

import copy
import dataclasses

import numpy as np
import pytest

import socialgrid
from socialgrid.players import list_players, make_team

ENVS, STEPS = 4, 40
ALONE = ("Room-v0", "Hallway-v0")
SEEDS = [11, 12, 13, 14]
CASES = [(game, name) for game in socialgrid.list_games() for name in list_players(game)]
every_player = pytest.mark.parametrize(("game", "name"), CASES)


def make(game, **options):
    agents = {"num_agents": 1 if game in ALONE else 2}
    return socialgrid.make_vec(game, num_envs=ENVS, num_threads=1, **agents, **options)


def team_of(env, name, like=None):
    """A team that is new but, where it draws random numbers, draws those of another one's next."""
    team = make_team([name] * env.num_agents, env, seed=5)
    if like is not None:
        calls = {key: value for key, value in like.get_state().items() if key.endswith("/calls")}
        team.set_state({**team.get_state(), **calls})
    return team


def play(env, team, steps=STEPS):
    """Actions and rewards, [T, E, A]; the players are told of nothing but steps."""
    told = []
    for _ in range(steps):
        actions = team.act(env, None, {})
        _, reward, _, _, info = env.step(actions)
        team.observe(env, reward, info)
        told.append((actions, reward))
    return [np.array(each) for each in zip(*told, strict=True)]


def used(game, name):
    env = make(game, seed=99)
    env.reset()
    team = team_of(env, name)
    play(env, team, 25)
    return env, team


@every_player
def test_after_a_seeded_reset(game, name):
    fresh = make(game)
    fresh.reset(seed=SEEDS)
    expected = play(fresh, team_of(fresh, name))
    env, old = used(game, name)
    env.reset(seed=SEEDS)
    found = play(env, team_of(env, name))
    np.testing.assert_array_equal(found, expected)
    # The same players go on, untold.
    env.reset(seed=SEEDS)
    fresh.reset(seed=SEEDS)
    newcomer = team_of(fresh, name, old)
    np.testing.assert_array_equal(play(env, old), play(fresh, newcomer))


@every_player
def test_after_a_restored_state(game, name):
    fresh = make(game)
    fresh.reset(seed=SEEDS)
    play(fresh, team_of(fresh, name), 7)
    state = fresh.get_state()
    env, old = used(game, name)
    for _ in range(2):  # back and forth
        env.set_state(state)
        fresh.set_state(state)
        newcomer = team_of(fresh, name, old)
        np.testing.assert_array_equal(play(env, old), play(fresh, newcomer))


@every_player
def test_after_a_layout(game, name):
    other, fresh = make(game), make(game)
    other.reset(seed=SEEDS)
    layouts = [dataclasses.replace(other.get_layout(e), step=0) for e in range(ENVS)]
    env, old = used(game, name)
    for batch in (env, fresh):
        batch.reset(seed=3)
    old.act(env, None, {})  # it knows the world that is replaced
    for batch in (env, fresh):
        for e, layout in enumerate(layouts):
            batch.set_layout(e, layout)
    newcomer = team_of(fresh, name, old)
    np.testing.assert_array_equal(play(env, old), play(fresh, newcomer))


@every_player
def test_a_copied_team_goes_on_in_a_copied_batch(game, name):
    env, team = used(game, name)
    other, copied = copy.deepcopy((env, team))
    np.testing.assert_array_equal(play(other, copied), play(env, team))


@every_player
def test_after_a_reset_of_some(game, name):
    mask = np.array([True, False, True, False])
    env, old = used(game, name)
    kept_env, kept_team = copy.deepcopy((env, old))
    fresh = make(game)
    fresh.reset(seed=SEEDS)
    newcomer = team_of(fresh, name, old)
    env.reset(seed=SEEDS, mask=mask)
    found = np.array(play(env, old))
    np.testing.assert_array_equal(found[:, :, mask], np.array(play(fresh, newcomer))[:, :, mask])
    others = np.array(play(kept_env, kept_team))
    np.testing.assert_array_equal(found[:, :, ~mask], others[:, :, ~mask])


@every_player
@pytest.mark.parametrize("autoreset", ["same_step", "next_step"])
def test_in_the_next_episode(game, name, autoreset):
    steps = 12
    env, fresh = (make(game, max_steps=steps, autoreset=autoreset) for _ in range(2))
    env.reset(seed=SEEDS)
    team = team_of(env, name)
    # Where the last state is held, the step after the last is nobody's.
    play(env, team, steps + (autoreset == "next_step"))
    assert (env.worlds(["step"])["step"] < steps).all()
    fresh.set_state(env.get_state())
    newcomer = team_of(fresh, name, team)
    begun = env.worlds(["step"])["step"] == 0  # not where the goal ended an episode before
    found, expected = (np.array(play(*pair, steps)) for pair in ((env, team), (fresh, newcomer)))
    assert begun.any() or game == "Empty-v0"
    np.testing.assert_array_equal(found[:, :, begun], expected[:, :, begun])


def test_experts_see_all_targets_of_a_layout():
    env = socialgrid.make_vec("Empty-v0", num_agents=1, grid_size=9)
    env.reset()
    cells = ["#########", "#G......#", *["#.......#"] * 5, "#.....G.#", "#########"]
    for target in ((1, 1), (7, 6)):
        start = (target[0], target[1] + 1)
        env.set_layout(0, socialgrid.Layout(cells=cells, agent_pos=[start], agent_dir=[2], step=0))
        action = make_team(["expert"], env).act(env, None, {})
        assert action.tolist() == [[2]], "the goal lies ahead"


def test_marks_of_worlds_move_with_what_they_stand_for():
    env = socialgrid.make_vec("DoorKey-v0", num_envs=3, num_agents=1, seed=4)
    env.reset()
    seen = {"content": [], "restart": []}

    def moved():
        """Which numbers are new in each environment; none may be an old one again."""
        marks = env.worlds(list(seen))
        new = {}
        for name, past in seen.items():
            assert marks[name].dtype == np.int64
            new[name] = [not past or mark != past[-1][e] for e, mark in enumerate(marks[name])]
            for e, mark in enumerate(marks[name].tolist()):
                assert not new[name][e] or mark not in [old[e] for old in past]
            past.append(marks[name].tolist())
        return new

    yes, no = [True] * 3, [False] * 3
    moved()
    assert moved() == {"content": no, "restart": no}
    env.step(np.zeros((3, 1), int))
    assert moved() == {"content": no, "restart": no}, "nothing but the agent has turned"
    state = env.get_state()
    env.reset(seed=1)
    assert moved() == {"content": yes, "restart": yes}
    for _ in range(2):
        env.set_state(state)
        assert moved() == {"content": yes, "restart": yes}
        assert env.get_state() == state, "marks are no part of the state"
    with pytest.raises(socialgrid.SnapshotError):
        env.set_state(state[:-1])
    with pytest.raises(socialgrid.LayoutError):
        env.set_layout(1, dataclasses.replace(env.get_layout(1), agent_dir=[9]))
    assert moved() == {"content": no, "restart": no}, "what is refused changes nothing"
    env.set_layout(1, env.get_layout(1))
    assert moved() == {"content": [False, True, False], "restart": [False, True, False]}
    team = make_team(["expert"], env)
    opened = np.zeros(3, int)
    for _ in range(60):
        before = env.worlds(["cells"])["cells"]
        details = [env.get_layout(e).details for e in range(3)]
        _, reward, _, _, info = env.step(team.act(env, None, {}))
        team.observe(env, reward, info)
        cells = env.worlds(["cells"])["cells"] != before
        details = [env.get_layout(e).details != old for e, old in enumerate(details)]
        same = ~cells.any(axis=(1, 2)) & ~np.array(details)
        new = moved()
        np.testing.assert_array_equal(new["restart"], info["done"])
        np.testing.assert_array_equal(new["content"], info["done"] | ~same)
        opened += ~info["done"] & np.array(new["content"])
    assert (opened >= 2).all(), "a key was fetched and a door opened"
    other = socialgrid.make_vec("DoorKey-v0", num_envs=3, num_agents=1, seed=4)
    other.reset()
    assert other.worlds(["content"])["content"][0] not in [old[0] for old in seen["content"]]
