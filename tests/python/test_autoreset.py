"""What becomes of finished environments: restart in the same step, in the next, or when told."""

import copy
import pickle

import numpy as np
import pytest
from tests.python.random_play import digest_of_play, flat, make, random_actions
from tests.python.test_games import assert_same, every_case, run_python
from tests.python.test_hostile_input import with_checksum

import socialgrid

WAITING = ["next_step", "disabled"]
MODES = ["same_step", *WAITING]
E = 7


def make_mode(game, config, autoreset, **options):
    return make(game, config, num_envs=E, autoreset=autoreset, **options)


def record(env, actions):
    """Results of play in the same step, by name: [T, E, ...]; and first views [E, ...]."""
    first = flat(env.reset())
    steps = [flat(env.step(chosen)) for chosen in actions]
    return first, {name: np.stack([step[name] for step in steps]) for name in steps[0]}


def restart(env, done):
    """Reset what has finished, where nothing else does."""
    if env.autoreset == "disabled" and done.any():
        env.reset(mask=done)


def spoiled(env, rng):
    """Actions that nobody has."""
    return rng.choice([-1, env.num_actions, 2**40, -(2**40)], (env.num_envs, env.num_agents))


@every_case
@pytest.mark.parametrize("autoreset", WAITING)
def test_the_same_episodes_with_pauses(game, config, autoreset):
    """Every environment plays what it plays with restarts in the same step, and waits between."""
    env = make_mode(game, config, autoreset, num_threads=2)
    actions = random_actions(env, 70)
    _, expected = record(make_mode(game, config, "same_step"), actions)
    env.reset()
    begun = env.observe()
    waits = np.zeros(E, bool)
    played = np.zeros(E, int)
    rng = np.random.default_rng(0)
    rows = np.arange(E)
    for _ in range(70):
        chosen = spoiled(env, rng)
        chosen[~waits] = actions[played[~waits], rows[~waits]]
        if autoreset == "disabled" and waits.any():
            obs, info = env.reset(mask=waits)
            np.testing.assert_array_equal(obs[waits], begun[waits])
            assert info["active"].any(axis=1).all()
            waits[:] = False
            chosen = actions[played, rows]
        was = waits.copy()
        got = flat(env.step(chosen))
        at = (played[~was], rows[~was])
        done = np.zeros(E, bool)
        done[~was] = expected["done"][at]
        np.testing.assert_array_equal(got["done"], done)
        for name in got.keys() & {"reward", "terminated", "truncated", "events", "final_obs"}:
            np.testing.assert_array_equal(got[name][~was], expected[name][at], err_msg=name)
            assert not got[name][was].any(), name
        goes_on = ~was & ~done
        for name in ("obs", "active", "visible", "last_actions"):
            np.testing.assert_array_equal(
                got[name][goes_on], expected[name][played[goes_on], rows[goes_on]], err_msg=name
            )
        np.testing.assert_array_equal(got["obs"][done], got["final_obs"][done])
        assert not got["active"][done].any()
        if was.any():
            np.testing.assert_array_equal(got["obs"][was], begun[was])
            np.testing.assert_array_equal(got["last_actions"][was], -1)
        begun = expected["obs"][np.minimum(played, 69), rows]  # where done: of the next episode
        waits = done
        played[~was] += 1
    assert played.min() >= 30
    assert expected["done"].any(axis=0).all()


@every_case
def test_finished_environments_show_their_end(game, config):
    if "reward_decay" in make(game, config).config:
        config = {**config, "reward_decay": False}
    limit = config.get("max_steps", 20)
    envs = [make_mode(game, {**config, "max_steps": limit}, mode) for mode in WAITING]
    longer = make_mode(game, {**config, "max_steps": 3 * limit}, "same_step")
    for env in (*envs, longer):
        env.reset()
    ended = np.zeros(E, bool)  # before the time limit
    for chosen in random_actions(longer, limit):
        ended |= longer.step(chosen)[4]["done"]
        for env in envs:
            waits = flat(env.reset(mask=np.zeros(E, bool)))["active"].sum(axis=1) == 0
            restart(env, waits)
            *_, info = env.step(chosen)
    assert not ended.all()
    for env in envs:
        np.testing.assert_array_equal(info["done"][~ended], True)
        np.testing.assert_array_equal(env.observe()[~ended], longer.observe()[~ended])
        for name, held in env.worlds(["agent_pos", "agent_active", "cells", "step"]).items():
            np.testing.assert_array_equal(held[~ended], longer.worlds([name])[name][~ended])
        for e in np.flatnonzero(~ended):
            assert env.get_layout(e) == longer.get_layout(e)
            np.testing.assert_array_equal(env.render(e, 3), longer.render(e, 3))


@every_case
@pytest.mark.parametrize("autoreset", MODES)
def test_a_masked_reset_leaves_the_others_as_they_are(game, config, autoreset):
    env, twin = (make_mode(game, config, autoreset) for _ in range(2))
    mask = np.arange(E) % 3 == 1
    actions = random_actions(env, 12)
    for each in (env, twin):
        each.reset()
        for chosen in actions[:7]:
            restart(each, each.step(chosen)[4]["done"])
    before, episodes = env.observe(), env.worlds(["episode"])["episode"]
    obs, info = env.reset(mask=mask)
    np.testing.assert_array_equal(obs[~mask], before[~mask])
    assert (info["last_actions"][mask] == -1).all()
    np.testing.assert_array_equal(env.worlds(["episode"])["episode"], episodes + mask)
    for chosen in actions[7:]:
        got, expected = flat(env.step(chosen)), flat(twin.step(chosen))
        for name, array in got.items():
            np.testing.assert_array_equal(array[~mask], expected[name][~mask], err_msg=name)
        restart(env, got["done"])
        restart(twin, expected["done"])
    # The restarted ones play what their streams give.
    if not episodes.any():
        whole = make_mode(game, config, autoreset)
        whole.reset()
        np.testing.assert_array_equal(obs[mask], whole.reset()[0][mask])


def test_seeds_of_a_masked_reset():
    env, twin = (make_mode("GoalCycle-v0", {}, "disabled") for _ in range(2))
    env.reset()
    mask = np.array([True, False, True, True, False, False, True])
    seeds = [3, "junk", 4, 5, -1, None, 3]
    obs, _ = env.reset(mask=mask, seed=seeds)
    twin.reset()
    untouched = twin.observe()
    by_seed, _ = twin.reset(seed=[3, 0, 4, 5, 0, 0, 3])
    np.testing.assert_array_equal(obs[~mask], untouched[~mask])
    np.testing.assert_array_equal(obs[mask], by_seed[mask])
    # One number is a range of streams, in which each environment keeps its place.
    obs, _ = env.reset(mask=mask, seed=8)
    np.testing.assert_array_equal(obs[mask], twin.reset(seed=8)[0][mask])


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"mask": np.ones(E - 1, bool)}, ValueError, r"mask must have shape \(7,\).*\(6,\)"),
        ({"mask": np.ones((E, 2), bool)}, ValueError, r"mask must have shape"),
        ({"mask": True}, ValueError, r"mask must have shape \(7,\).*\(\)"),
        ({"mask": np.ones(E, int)}, TypeError, "mask must be boolean, not int64"),
        ({"mask": "all"}, TypeError, "mask must be boolean"),
        ({"seed": [1, 2]}, ValueError, "2 entries for 7"),
        ({"mask": np.arange(E) == 2, "seed": [0] * 6}, ValueError, "6 entries for 7"),
        (
            {"mask": np.arange(E) == 2, "seed": [0, 0, -1, 0, 0, 0, 0]},
            ValueError,
            r"seed\[2\] = -1",
        ),
        ({"mask": np.arange(E) == 2, "seed": [0, 0, 0.5, 0, 0, 0, 0]}, TypeError, r"seed\[2\]"),
    ],
)
def test_what_no_reset_understands_changes_nothing(arguments, error, words):
    env = make_mode("Empty-v0", {"max_steps": 3}, "next_step")
    env.reset()
    env.step(np.zeros((E, 1), int))
    before = env.get_state()
    with pytest.raises(error, match=words):
        env.reset(**arguments)
    assert env.get_state() == before


def test_the_first_reset_is_of_all():
    env = make_mode("Empty-v0", {}, "disabled")
    with pytest.raises(RuntimeError, match="first reset"):
        env.reset(mask=np.arange(E) > 0)
    env.reset(mask=np.ones(E, bool))


def test_there_are_three_ways_to_restart():
    with pytest.raises(
        ValueError, match="autoreset must be 'same_step', 'next_step' or 'disabled'"
    ):
        socialgrid.make_vec("Empty-v0", autoreset="NEXT_STEP")
    with pytest.raises(TypeError):
        socialgrid.make_vec("Empty-v0", autoreset=None)
    assert socialgrid.make_vec("Empty-v0").autoreset == "same_step"


def test_stepping_what_has_finished_is_an_error_where_nothing_restarts():
    env = make_mode("Empty-v0", {"max_steps": 4}, "disabled")
    env.reset()
    noop = np.full((E, 1), 6)
    env.step(noop)
    env.reset(mask=np.arange(E) != 5)
    for _ in range(3):
        *_, info = env.step(noop)
    np.testing.assert_array_equal(info["done"], np.arange(E) == 5)
    before = env.get_state()
    for act in (env.step, env.send):
        with pytest.raises(socialgrid.FinishedError, match=r"environment 5 .*reset it"):
            act(noop)
    assert env.get_state() == before
    env.reset(mask=info["done"])
    env.step(noop)


@pytest.mark.parametrize("autoreset", WAITING)
def test_wrong_actions_of_who_plays_are_still_refused(autoreset):
    env = make_mode("Empty-v0", {"max_steps": 4}, autoreset)
    env.reset()
    env.reset(mask=np.arange(E) != 5) if autoreset == "disabled" else None
    for value in (-1, 7, 2**40):
        with pytest.raises(socialgrid.ActionError, match=r"environment 2, agent 0"):
            env.step(np.where(np.arange(E) == 2, value, 6)[:, None])


def play_to_the_middle(env, actions):
    """Some environments wait, some have just begun, others are in the middle."""
    env.reset()
    for step, chosen in enumerate(actions):
        if step in (3, 8):
            env.reset(mask=np.arange(E) % 4 == step % 4)
        *_, info = env.step(chosen)
        if info["done"].any() and step > 10:
            return info["done"]
        restart(env, info["done"])
    raise AssertionError("no environment has finished")


def assert_goes_on_like(env, twin, waits, actions):
    assert env.get_state() == twin.get_state()
    np.testing.assert_array_equal(env.observe(), twin.observe())
    for each in (env, twin):
        restart(each, waits)
    for chosen in actions:
        left, right = env.step(chosen), twin.step(chosen)
        assert_same(left, right)
        for each in (env, twin):
            restart(each, left[4]["done"])
    assert env.get_state() == twin.get_state()


@every_case
@pytest.mark.parametrize("autoreset", WAITING)
def test_snapshots_hold_who_waits(game, config, autoreset):
    env = make_mode(game, config, autoreset, num_threads=2)
    actions = random_actions(env, 110)
    waits = play_to_the_middle(env, actions[:60])
    twin = make_mode(game, config, autoreset, seed=99)
    twin.set_state(env.get_state())
    assert_goes_on_like(env, twin, waits, actions[60:])


def test_a_batch_that_restarts_at_once_cannot_take_over_who_waits():
    env = make_mode("Empty-v0", {"max_steps": 4}, "next_step")
    env.reset()
    at_once = make_mode("Empty-v0", {"max_steps": 4}, "same_step")
    for _ in range(3):
        env.step(np.full((E, 1), 6))
    at_once.set_state(env.get_state())  # nobody waits: all modes understand each other
    np.testing.assert_array_equal(
        env.step(np.full((E, 1), 6))[3], at_once.step(np.full((E, 1), 6))[3]
    )
    before = at_once.get_state()
    with pytest.raises(socialgrid.SnapshotError, match="environment 0 has finished"):
        at_once.set_state(env.get_state())
    assert at_once.get_state() == before
    disabled = make_mode("Empty-v0", {"max_steps": 4}, "disabled")
    disabled.set_state(env.get_state())
    with pytest.raises(socialgrid.FinishedError, match="environment 0"):
        disabled.step(np.zeros((E, 1), int))


def test_snapshots_of_other_versions_are_refused():
    env = make_mode("GoalCycle-v0", {}, "same_step")
    env.reset()
    state = env.get_state()
    assert state[8:16] == (3).to_bytes(8, "little")
    for version in (0, 1, 2, 4):
        with pytest.raises(
            socialgrid.SnapshotError, match=f"version {version}; this build reads version 3"
        ):
            env.set_state(with_checksum(state[:8] + version.to_bytes(8, "little") + state[16:-8]))
    assert env.get_state() == state


COPIES = {
    "pickle": lambda env: pickle.loads(pickle.dumps(env)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}
every_copy = pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES.keys())


@every_copy
@pytest.mark.parametrize("autoreset", MODES)
def test_copies_go_on_from_the_same_state(copied, autoreset):
    config = {"num_agents": 3, "hide": [["goal"], [], []], "max_steps": 12, "obs_mode": "tiles"}
    env = make_mode("GoalCycle-v0", config, autoreset, num_threads=2, first_env_index=40)
    actions = random_actions(env, 60)
    waits = play_to_the_middle(env, actions[:40])
    env.reset(seed=3, mask=np.arange(E) == 6)
    atlas = env.tile_atlas
    twin = copied(env)
    assert_goes_on_like(env, twin, waits, actions[40:])
    assert repr(twin) == repr(env)
    assert (twin.config, twin.seed, twin.autoreset) == (env.config, env.seed, env.autoreset)
    np.testing.assert_array_equal(twin.tile_atlas, atlas)
    assert not twin.tile_atlas.flags.writeable
    # Each goes its own way.
    before = twin.get_state()
    env.reset(seed=0)
    assert twin.get_state() == before


@every_copy
def test_copies_of_what_was_never_reset_or_is_closed(copied):
    env = make_mode("Empty-v0", {}, "next_step", seed=4)
    twin = copied(env)
    with pytest.raises(RuntimeError, match="reset"):
        twin.observe()
    assert_same(env.reset(), twin.reset())
    env.close()
    assert copied(env).closed
    assert not twin.closed
    twin.step(np.zeros((E, 1), int))


@every_copy
def test_no_copy_is_made_while_a_step_is_under_way(copied):
    env = make_mode("Empty-v0", {}, "next_step")
    env.reset()
    env.send(np.zeros((E, 1), int))
    with pytest.raises(RuntimeError, match=r"under way; call recv\(\)"):
        copied(env)
    env.recv()
    assert copied(env).get_state() == env.get_state()


def test_options_given_as_lists_are_the_copys_own():
    hidden = [["goal"], []]
    env = socialgrid.make_vec("GoalCycle-v0", num_agents=2, hide=hidden)
    env.reset()
    hidden[1].append("wall")
    assert copy.deepcopy(env).get_state() == env.get_state()


@every_case
@pytest.mark.parametrize("autoreset", WAITING)
def test_sent_steps_and_given_memory_are_the_same(game, config, autoreset):
    plain, sent = (make_mode(game, config, autoreset) for _ in range(2))
    plain.reset()
    out = {name: np.empty_like(array) for name, array in flat(sent.reset()).items()}
    shape = plain.observe().shape
    out |= {"final_obs": np.zeros(shape, plain.obs_dtype), "done": np.zeros(E, bool)}
    for chosen in random_actions(plain, 30):
        expected = plain.step(chosen)
        sent.send(chosen, out=out)
        got = sent.recv()
        assert got[0] is out["obs"]
        for name, array in flat(got).items():
            # Of given final_obs, only what ended is written.
            rows = expected[4]["done"] if name == "final_obs" else slice(None)
            np.testing.assert_array_equal(array[rows], flat(expected)[name][rows], err_msg=name)
        for each in (plain, sent):
            restart(each, expected[4]["done"])


def test_a_failing_environment_changes_nothing_where_others_wait():
    env = make_mode("Empty-v0", {"max_steps": 4}, "next_step")
    env.reset()
    for _ in range(4):
        env.step(np.full((E, 1), 6))
    before = env.get_state()
    env.inject_failure(3)
    with pytest.raises(socialgrid.EnvStepError, match="environment 3"):
        env.step(np.full((E, 1), 6))
    assert env.get_state() == before
    env.step(np.full((E, 1), 6))
    assert (env.worlds(["step"])["step"] == 0).all()


@every_case
@pytest.mark.parametrize("autoreset", WAITING)
def test_the_layout_of_an_end_is_an_end(game, config, autoreset):
    env = make_mode(game, {**config, "max_steps": 5}, autoreset)
    env.reset()
    for chosen in random_actions(env, 5):
        *_, info = env.step(chosen)
        if info["done"].any():
            break
    assert info["done"].any()
    for e in np.flatnonzero(info["done"]):
        end = env.get_layout(e)
        twin = make_mode(game, {**config, "max_steps": 5}, autoreset)
        twin.reset()
        twin.set_layout(e, end)
        assert twin.get_layout(e) == end
        np.testing.assert_array_equal(
            twin.reset(mask=np.zeros(E, bool))[1]["active"].any(axis=1), np.arange(E) != e
        )
        at_once = make_mode(game, {**config, "max_steps": 5}, "same_step")
        at_once.reset()
        if end.step == 5:
            with pytest.raises(socialgrid.LayoutError, match="step = 5"):
                at_once.set_layout(e, end)


def test_a_layout_in_which_all_have_ended_waits():
    env = make_mode("Empty-v0", {"num_agents": 2}, "next_step")
    env.reset()
    layout = env.get_layout(2)
    layout.agent_active = [False, False]
    env.set_layout(2, layout)
    episodes = env.worlds(["episode"])["episode"]
    _, reward, terminated, _, info = env.step(np.full((E, 2), 6))
    assert not reward.any()
    assert not terminated.any()
    assert not info["done"].any()
    np.testing.assert_array_equal(env.worlds(["episode"])["episode"] - episodes, np.arange(E) == 2)


def test_a_pickle_goes_on_in_another_process(tmp_path):
    env = make_mode("Cleanup-v0", {"max_steps": 9}, "next_step", num_threads=2)
    env.reset()
    actions = random_actions(env, 30)
    for chosen in actions[:9]:
        env.step(chosen)  # everybody waits
    (tmp_path / "env").write_bytes(pickle.dumps(env))
    np.save(tmp_path / "actions.npy", actions[9:])
    script = """
        import pickle, sys
        from pathlib import Path
        import numpy as np
        from tests.python.random_play import digest_of_play
        folder = Path(sys.argv[1])
        env = pickle.loads((folder / "env").read_bytes())
        print(digest_of_play(env, np.load(folder / "actions.npy")))
    """
    assert run_python(script, tmp_path).strip() == digest_of_play(env, actions[9:])
