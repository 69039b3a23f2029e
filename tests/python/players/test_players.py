"""The scripted players play well, honestly, reproducibly and fast."""

import time
from dataclasses import replace

import numpy as np
import pytest

import socialgrid
from socialgrid.players import Player, list_players, make_player, make_team, register_player

GOAL_GAMES = ["Empty-v0", "Cluttered-v0", "DoorKey-v0", "FourRooms-v0", "Maze-v0"]


def play(env, team, steps, reset=True, actions_log=None):
    """Rewards float [steps, E, A] of a team that plays all slots it has; others do nothing."""
    obs, info = env.reset() if reset else (None, {})
    if reset:
        team.reset(env)
    rewards = []
    for _ in range(steps):
        actions = np.full((env.num_envs, env.num_agents), env.num_actions - 1, dtype=np.int32)
        actions[:, team.agents] = team.act(env, obs, info)
        if actions_log is not None:
            actions_log.append(actions)
        obs, reward, _, _, info = env.step(actions)
        team.observe(env, reward, info)
        rewards.append(reward)
    return np.array(rewards)


def players_of(game):
    """Those of the package: tests in the same process register others."""
    return [name for name in list_players(game) if not name.startswith("test-")]


def test_the_registry_knows_who_plays_what():
    assert players_of("GoalCycle-v0") == ["expert", "trial-and-error", "imperfect", "random"]
    for game in [*GOAL_GAMES, "Switch-v0", "BoxTrapped-v0"]:
        assert players_of(game) == ["expert", "random"]
    assert players_of("Cleanup-v0") == ["cleaner", "harvester", "random"]
    assert players_of("Harvest-v0") == ["greedy-harvester", "sustainable-harvester", "random"]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda e: make_player("exprt", e), ["exprt", "expert"]),
        (lambda e: make_player("expert", e, agent=3), ["3", "0 to 2"]),
        (lambda e: make_player("expert", e, agent=-1), ["-1"]),
        (lambda e: make_player("expert", e, error_rate=1.5), ["error_rate", "1.5"]),
        (lambda e: make_player("expert", e, error_rate=float("nan")), ["error_rate", "nan"]),
        (lambda e: make_team(["expert"], e), ["1", "3"]),
        (lambda e: make_player("expert", e).reset(e, np.ones(3, bool)), ["env_mask", "[4]", "[3]"]),
        (lambda e: make_player("expert", e).reset(e, np.ones(4)), ["env_mask", "float64"]),
        (lambda e: make_player("expert", e).set_state({}), ["state"]),
    ],
)
def test_wrong_requests_are_refused(make, words):
    env = socialgrid.make_vec("GoalCycle-v0", num_envs=4)
    with pytest.raises(ValueError) as error:  # noqa: PT011  (the words are checked below)
        make(env)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize("name", ["expert", "trial-and-error", "imperfect"])
def test_a_map_without_a_cycle_has_nowhere_to_go(name):
    env = socialgrid.make_vec("GoalCycle-v0", num_envs=4, map=["P.G", "..."])
    with pytest.raises(ValueError, match="the map has no tiles of the cycle"):
        make_player(name, env)


def test_a_player_refuses_another_batch_size():
    env = socialgrid.make_vec("GoalCycle-v0", num_envs=4)
    player = make_player("expert", env)
    other = socialgrid.make_vec("GoalCycle-v0", num_envs=5)
    other.reset()
    with pytest.raises(ValueError, match="4 environments, not 5"):
        player.act(other, None, {})


@pytest.mark.parametrize("num_goals", [2, 3, 5])
def test_the_cycle_expert_makes_no_mistake(num_goals):
    # Open ground, so that a way round every wrong tile exists.
    env = socialgrid.make_vec(
        "GoalCycle-v0", num_envs=20, num_agents=2, num_goals=num_goals, num_clutter=0, seed=4
    )
    team = make_team(["expert", "expert"], env)
    rewards = play(env, team, 250)
    assert (rewards >= 0).all()
    assert (rewards.sum(axis=0) > 10).all()


def test_trial_and_error_pays_for_what_it_learns():
    env = socialgrid.make_vec(
        "GoalCycle-v0", num_envs=200, num_agents=2, num_clutter=0, seed=4, max_steps=250
    )
    team = make_team(["expert", "trial-and-error"], env)
    rewards = play(env, team, 250)
    mistakes = (rewards[..., 1] < 0).sum(axis=0)
    # With three tiles there is one question: which of the other two is next? Half the guesses
    # are wrong, and whoever reads the hidden indices would always guess right.
    assert set(mistakes) <= {0, 1}
    assert 0.3 < mistakes.mean() < 0.7
    # After the answer it plays like the expert.
    assert (rewards[100:, :, 1] >= 0).all()
    assert rewards[100:, :, 1].sum() > 0.95 * rewards[100:, :, 0].sum()


@pytest.mark.parametrize("reset_on_mistake", [False, True])
@pytest.mark.parametrize("num_goals", [4, 6])
def test_trial_and_error_never_repeats_a_mistake(num_goals, reset_on_mistake):
    env = socialgrid.make_vec(
        "GoalCycle-v0",
        num_envs=60,
        num_agents=1,
        num_goals=num_goals,
        num_clutter=0,
        reset_on_mistake=reset_on_mistake,
        max_steps=600,
    )
    rewards = play(env, make_team(["trial-and-error"], env), 599)[..., 0]
    mistakes = (rewards < 0).sum(axis=0)
    assert (mistakes <= (num_goals - 1) * (num_goals - 2)).all()
    assert mistakes.max() > 1
    assert (rewards[300:] >= 0).all()
    assert (rewards[300:].sum(axis=0) > 15).all()


def test_without_an_initial_reward_the_first_tile_still_counts():
    env = socialgrid.make_vec(
        "GoalCycle-v0", num_envs=50, num_agents=1, num_clutter=0, initial_reward=False
    )
    rewards = play(env, make_team(["trial-and-error"], env), 250)[..., 0]
    assert ((rewards < 0).sum(axis=0) <= 1).all()
    assert (rewards.sum(axis=0) > 10).all()


def test_imperfect_is_worse_and_random_is_worst():
    env = socialgrid.make_vec("GoalCycle-v0", num_envs=100, num_agents=3, seed=2)
    team = make_team(["trial-and-error", "imperfect", "random"], env)
    good, imperfect, random = play(env, team, 250).sum(axis=0).mean(axis=0)
    assert good > imperfect + 1
    assert imperfect > random + 5


def test_a_tile_in_the_only_way_is_crossed():
    # Tile 2 lies in the corridor between 0 and 1: no way round it.
    corridor = ["#######", "#0.2.1#", "#######"]
    env = socialgrid.make_vec("GoalCycle-v0", num_envs=8, num_agents=1, map=corridor)
    rewards = play(env, make_team(["expert"], env), 240)[..., 0]
    assert (rewards[100:].sum(axis=0) != 0).all()
    assert (rewards > 0).sum() > 8 * 20


@pytest.mark.parametrize("game", GOAL_GAMES)
def test_goal_experts_arrive_by_the_shortest_path(game):
    env = socialgrid.make_vec(game, num_envs=30, seed=1, reward_decay=False, respawn=False)
    env.reset()
    world = env.worlds(["cells", "agent_pos", "agent_dir"])
    team = make_team(["expert"], env)
    team.reset(env)
    arrived = np.zeros(30, dtype=np.int64)
    for step in range(1, env.max_steps + 1):
        _, reward, _, _, info = env.step(team.act(env, None, {}))
        team.observe(env, reward, info)
        arrived = np.where((arrived == 0) & (reward[:, 0] > 0), step, arrived)
    assert (arrived > 0).all() or game == "Cluttered-v0"
    if game == "DoorKey-v0":
        return
    goals = np.argwhere(world["cells"] == ord("G"))[:, 1:].astype(np.int32)
    assert len(goals) == 30
    distances = socialgrid.action_distances(world["cells"] == ord("."), goals)
    row, col = world["agent_pos"][:, 0].T
    shortest = distances[np.arange(30), world["agent_dir"][:, 0], row, col]
    reachable = shortest > 0
    np.testing.assert_array_equal(arrived[reachable], shortest[reachable])
    assert reachable.sum() > 15


def test_doorkey_expert_fetches_and_opens():
    env = socialgrid.make_vec("DoorKey-v0", num_envs=40, grid_size=[6, 12], num_agents=1)
    rewards = play(env, make_team(["expert"], env), 100)
    assert (rewards.sum(axis=0) > 0.5).all()


def test_several_doorkey_experts_do_not_lock_each_other_out():
    env = socialgrid.make_vec("DoorKey-v0", num_envs=40, num_agents=3, max_steps=150)
    rewards = play(env, make_team(["expert"] * 3, env), 150)
    assert (rewards.sum(axis=0) > 0).mean() > 0.95


def test_players_that_block_each_other_get_past():
    corridor = ["########", "#0....1#", "#......#", "########"]
    env = socialgrid.make_vec(
        "GoalCycle-v0", num_envs=20, num_agents=2, map=corridor, ghost_mode=False
    )
    rewards = play(env, make_team(["expert", "expert"], env), 250)
    assert (rewards[150:] > 0).any(axis=0).all()


def test_agents_that_are_not_in_play_do_nothing():
    env = socialgrid.make_vec("GoalCycle-v0", num_envs=6, num_agents=2, spawn_delay=[0, 30])
    log = []
    play(env, make_team(["trial-and-error"] * 2, env), 60, actions_log=log)
    assert (np.array(log)[:30, :, 1] == 6).all()
    assert (np.array(log)[31:, :, 1] != 6).any()


TEAMS = {
    "GoalCycle-v0": ["trial-and-error", "imperfect", "random", "expert"],
    **{game: ["expert", "random"] for game in GOAL_GAMES},
    "Cleanup-v0": ["cleaner", "harvester", "random", "cleaner", "harvester"],
    "Harvest-v0": ["sustainable-harvester", "greedy-harvester", "random", "greedy-harvester"],
    "Switch-v0": ["expert", "expert", "random"],
    "BoxTrapped-v0": ["expert", "expert"],
    "BoxTrapped-v1": ["expert", "expert"],
}
DILEMMAS = ["Cleanup-v0", "Harvest-v0", "Switch-v0", "BoxTrapped-v0", "BoxTrapped-v1"]


@pytest.mark.parametrize("game", TEAMS)
def test_a_restored_team_continues_as_if_nothing_had_happened(game):
    names = TEAMS[game]
    options = {"num_envs": 9, "num_agents": len(names), "max_steps": 60}
    if game not in DILEMMAS:
        options["ghost_mode"] = False
    env = socialgrid.make_vec(game, **options)
    team = make_team(names, env, seed=8, error_rate=0.05)
    play(env, team, 47)
    state, team_state = env.get_state(), team.get_state()
    for value in team_state.values():
        assert value.dtype != object
    expected = play(env, team, 80, reset=False)
    other = socialgrid.make_vec(game, **options, seed=12)
    other_team = make_team(names, other, seed=8, error_rate=0.05)
    play(other, other_team, 13)
    other.set_state(state)
    other_team.set_state(team_state)
    np.testing.assert_array_equal(play(other, other_team, 80, reset=False), expected)
    end = other_team.get_state()
    for key, value in team.get_state().items():
        np.testing.assert_array_equal(end[key], value, err_msg=key)


def test_states_that_do_not_fit_are_refused():
    env = socialgrid.make_vec("GoalCycle-v0", num_envs=4, num_agents=2)
    player = make_player("trial-and-error", env, seed=1)
    state = player.get_state()
    for wrong, word in [
        ({**state, "last": state["last"][:2]}, "last"),
        ({**state, "last": state["last"].astype(np.int8)}, "int8"),
        ({key: value for key, value in state.items() if key != "goal"}, "goal"),
        ({**state, "extra": state["last"]}, "extra"),
        (make_player("trial-and-error", env, seed=2).get_state(), "seed"),
        (make_player("expert", env, seed=1).get_state(), "last"),
    ]:
        with pytest.raises(ValueError, match=word):
            player.set_state(wrong)
    for key, value in player.get_state().items():
        np.testing.assert_array_equal(value, state[key])
    team = make_team(["expert", None], env)
    with pytest.raises(ValueError, match="agent1"):
        team.set_state(make_team(["expert", "random"], env).get_state())


@pytest.mark.parametrize("game", TEAMS)
def test_players_act_alike_in_any_split_of_the_batch(game):
    names = TEAMS[game]
    options = {"num_agents": len(names), "max_steps": 50, "seed": 3}
    whole = socialgrid.make_vec(game, num_envs=10, **options)
    rewards = play(whole, make_team(names, whole, seed=6, error_rate=0.1), 120)
    for first, count in [(0, 3), (3, 6), (9, 1)]:
        part = socialgrid.make_vec(game, num_envs=count, first_env_index=first, **options)
        got = play(part, make_team(names, part, seed=6, error_rate=0.1), 120)
        np.testing.assert_array_equal(got, rewards[:, first : first + count])


def test_seeds_and_slots_draw_different_numbers():
    env = socialgrid.make_vec("GoalCycle-v0", num_envs=64, num_agents=2)
    env.reset()
    first, same_seed, other_seed = (
        [player.act(env, None, {}) for _ in range(10)]
        for player in (
            make_player("random", env, agent=0, seed=1),
            make_player("random", env, agent=1, seed=1),
            make_player("random", env, agent=0, seed=2),
        )
    )
    assert 0.05 < (np.array(first) == same_seed).mean() < 0.25
    assert 0.05 < (np.array(first) == other_seed).mean() < 0.25
    counts = np.bincount(np.concatenate(first), minlength=7)
    assert (counts > 50).all(), counts


def test_an_explicit_reset_is_noticed_by_reset():
    env = socialgrid.make_vec("GoalCycle-v0", num_envs=16, num_agents=1, num_clutter=0)
    player = make_team(["expert"], env)
    for seed in (1, 2, 1):
        env.reset(seed=seed)
        player.reset(env)
        rewards = play(env, player, 100, reset=False)
        assert (rewards >= 0).all()
        assert rewards.sum() > 50


def test_a_layout_put_in_by_hand_is_noticed_by_reset():
    env = socialgrid.make_vec("GoalCycle-v0", num_envs=2, num_agents=1, num_clutter=0)
    team = make_team(["expert"], env)
    play(env, team, 20)
    layout = env.get_layout(0)
    upside_down = replace(
        layout,
        cells=layout.cells[::-1],
        agent_pos=[(12 - row, col) for row, col in layout.agent_pos],
    )
    env.set_layout(0, upside_down)
    team.reset(env, np.array([True, False]))
    assert (play(env, team, 100, reset=False) >= 0).all()


def test_a_player_of_ones_own_can_be_registered():
    class Still(Player):
        def choose(self, env, pos, direction, episode):
            return np.full(self.num_envs, 6, dtype=np.int32)

    register_player("test-still", Still, ["Maze-v0"])
    assert "test-still" in list_players("Maze-v0")
    assert "test-still" not in list_players("Empty-v0")
    env = socialgrid.make_vec("Maze-v0", num_envs=2)
    env.reset()
    assert make_player("test-still", env).act(env, None, {}).tolist() == [6, 6]


def test_no_player_takes_the_place_of_another_one():
    class Mine(Player):
        def choose(self, env, pos, direction, episode):
            return np.zeros(self.num_envs, np.int32)

    for name, games in (("expert", ["Empty-v0", "Maze-v0"]), ("random", ["Maze-v0"])):
        with pytest.raises(ValueError, match=f"there is a player '{name}' for .* already"):
            register_player(name, Mine, games)
    env = socialgrid.make_vec("Maze-v0", num_envs=2)
    assert not isinstance(make_player("expert", env), Mine)
    for _ in range(2):  # a module that is imported again
        register_player("test-mine", Mine, ["Maze-v0"])


@pytest.mark.parametrize("made", [np.zeros(3, np.int32), np.zeros(2), 1])
def test_a_player_that_says_something_else_than_actions_is_told_what_is_needed(made):
    class Odd(Player):
        def choose(self, env, pos, direction, episode):
            return made

    env = socialgrid.make_vec("Maze-v0", num_envs=2)
    env.reset()
    with pytest.raises(ValueError, match=r"Odd\.choose: an integer for each environment .* \(2,\)"):
        Odd(env).act(env, None, {})


def test_players_of_a_game_take_no_longer_than_a_few_of_its_steps():
    env = socialgrid.make_vec("GoalCycle-v0", num_envs=256, num_agents=3, num_threads=1)
    for names in (["expert", "expert", None], ["trial-and-error", "trial-and-error", None]):
        team = make_team(names, env)
        obs, info = env.reset()
        team.reset(env)
        spent, steps = [], []
        actions = np.zeros((256, 3), dtype=np.int32)
        for _ in range(260):
            begin = time.thread_time()
            actions[:, team.agents] = team.act(env, obs, info)
            middle = time.thread_time()
            obs, reward, _, _, info = env.step(actions)
            resumed = time.thread_time()
            team.observe(env, reward, info)
            spent.append(time.thread_time() - resumed + middle - begin)
            steps.append(resumed - middle)
        # The better ones, as other programs share the processor's caches; resets are in the mean.
        assert np.quantile(spent, 0.25) < 4 * np.quantile(steps, 0.25)
        assert np.mean(spent) < 10 * np.mean(steps)


@pytest.mark.parametrize("hook", ["choose", "learn"])
def test_nobody_asks_in_python_what_the_core_does(hook):
    env = socialgrid.make_vec("GoalCycle-v0", num_agents=1)
    known = type(make_player("expert", env))
    with pytest.raises(TypeError, match=f"Own.{hook}: the core .* CycleExpert; a player of one"):
        type("Own", (known,), {hook: lambda self, *given: None})
    own = type("Own", (known,), {"numbers": lambda self, env: {"targets": 3.0}})  # it is asked this
    assert issubclass(own, Player)
    acting = type("Acting", (known,), {"act": lambda self, *given: self.choose(*given)})
    assert type("Further", (acting,), {hook: lambda self, *given: None})  # whose act asks for it
