"""Gymnasium environments as tasks: the same numbers as from the environments themselves."""

import subprocess
import sys
from unittest import mock

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from socialgrid.algos import SAC, SACConfig
from socialgrid.config import UsageError, from_dict, load_preset, to_dict
from socialgrid.models import NonFiniteError
from socialgrid.train import GymnasiumTasks, create_run, derived_seed, load_newest, resume_run

CLASSIC = ("CartPole-v1", "Pendulum-v1", "MountainCar-v0", "MountainCarContinuous-v0", "Acrobot-v1")
MUJOCO = (
    "Ant", "HalfCheetah", "Hopper", "Humanoid", "HumanoidStandup", "InvertedDoublePendulum",
    "InvertedPendulum", "Pusher", "Reacher", "Swimmer", "Walker2d",
)  # fmt: skip
Box = spaces.Box(-1.0, 1.0, (2,), np.float32)


class Probe(gymnasium.Env):
    """Shows its own random number and what was done; ends after five steps."""

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012 (as Gymnasium has it)

    def __init__(self, observation=None, action=Box, render_mode=None, broken=False):
        shown = spaces.Box(-np.inf, np.inf, (3,), np.float64)
        self.observation_space = shown if observation is None else observation
        self.action_space, self.render_mode, self.broken = action, render_mode, broken
        self.age = 0

    def _obs(self, action=(0.0, 0.0)):
        return np.array([self.number, *np.ravel(action)[:2]], np.float64)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.age, self.number = 0, self.np_random.random()
        return self._obs(), {}

    def step(self, action):
        self.age += 1
        bad = np.nan if self.broken else 0.0
        return self._obs(action) + bad, float(self.age), self.age == 5, False, {"age": self.age}

    def render(self):
        if self.broken:
            raise OSError("no screen\nnone at all")
        return np.full((8, 6, 3), self.age, np.uint8)


class Economical(gymnasium.Env):
    """Shows the very array in which it keeps its state, as one that copies nothing does."""

    observation_space = spaces.Box(-100.0, 100.0, (2,), np.float32)
    action_space = spaces.Discrete(2)
    metadata = {"render_modes": []}  # noqa: RUF012 (as Gymnasium has it)

    def __init__(self, terminates=False):
        self.state, self.terminates = np.zeros(2, np.float32), terminates

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state[:] = 0.0, self.state[1] + 1  # time, number of the episode
        return self.state, {}

    def step(self, action):
        self.state[0] += 1
        over = bool(self.state[0] == 3)
        return self.state, 1.0, over and self.terminates, over and not self.terminates, {}


@pytest.fixture
def probe():
    gymnasium.register("Probe-v0", entry_point=Probe)
    yield "Probe-v0"
    del gymnasium.registry["Probe-v0"]


def tasks(env_id, agents=2, envs=2, *, seed=3, **options):
    keywords = {
        name: options.pop(name) for name in ("asynchronous", "first_agent") & options.keys()
    }
    return GymnasiumTasks(env_id, agents, envs, options, seed=seed, **keywords)


def actions_for(made, steps, seed=0):
    """Random actions ``[steps, A, E(, D)]`` within the bounds."""
    generator = torch.Generator().manual_seed(seed)
    spec, lead = made.spec, (steps, made.spec.num_agents, made.num_envs)
    if not spec.continuous:
        return torch.randint(spec.num_actions, lead, generator=generator)
    return spec.unscaled(2 * torch.rand((*lead, spec.action_size), generator=generator) - 1)


def played(made, actions):
    """Everything that some steps bring, in one list."""
    return [x for action in actions for x in vars(made.step(action)).values()]


def same(found, expected):
    return len(found) == len(expected) and all(map(torch.equal, found, expected))


@pytest.mark.parametrize("env_id", ["CartPole-v1", "Pendulum-v1"])
def test_a_copy_is_the_environment_itself(env_id):
    made = tasks(env_id, 2, 3, max_episode_steps=20)
    first = made.reset()
    actions = actions_for(made, 50)
    steps = [made.step(action) for action in actions]
    ended = set()
    for agent, copy in np.ndindex(2, 3):
        env = gymnasium.make(env_id, max_episode_steps=20)
        obs, _ = env.reset(seed=derived_seed(3, 7, agent, copy, 0) >> 32)
        assert torch.equal(first[agent, copy], torch.tensor(obs))
        for action, step in zip(actions, steps, strict=True):
            obs, reward, terminated, truncated, _ = env.step(action[agent, copy].numpy())
            assert torch.equal(step.next_obs[agent, copy], torch.tensor(obs))
            assert step.reward[agent, copy] == np.float32(reward)
            assert bool(step.terminated[agent, copy]) == terminated
            assert bool(step.truncated[agent, copy]) == truncated
            assert bool(step.done[agent, copy]) == (terminated or truncated)
            if terminated or truncated:
                ended.add("terminated" if terminated else "truncated")
                obs, _ = env.reset()
            assert torch.equal(step.obs[agent, copy], torch.tensor(obs))
    assert ended == {"truncated"} | ({"terminated"} if env_id == "CartPole-v1" else set())


def test_an_agents_task_does_not_depend_on_the_others(probe):
    three, last = tasks(probe, 3), tasks(probe, 1, first_agent=2)
    assert torch.equal(three.reset()[2:], last.reset())
    for action in actions_for(three, 12):
        everybody, alone = three.step(action), last.step(action[2:])
        assert torch.equal(everybody.obs[2:], alone.obs)
        assert torch.equal(everybody.next_obs[2:], alone.next_obs)


def test_all_copies_and_runs_have_seeds_of_their_own(probe):
    starts = torch.cat([tasks(probe, 3, 4, seed=seed).reset()[..., 0].flatten() for seed in (3, 4)])
    assert len(set(starts.tolist())) == 24
    assert torch.equal(tasks(probe, 3, 4).reset()[..., 0].flatten(), starts[:12])


def test_a_reset_goes_on_with_the_streams_unless_a_seed_begins_others(probe):
    made = tasks(probe)
    first, second = made.reset(), made.reset()
    assert not torch.equal(first, second)
    assert torch.equal(made.reset(4), tasks(probe, seed=4).reset())
    assert torch.equal(made.reset(3), first)
    assert torch.equal(made.reset(), second)


def test_numbers_are_float32_and_later_steps_leave_them(probe):
    made = tasks(probe)
    obs = made.reset()
    kept = obs.clone()
    step = made.step(actions_for(made, 1)[0])
    shown = [step.obs.clone(), step.reward.clone()]
    played(made, actions_for(made, 7, seed=1))
    assert {x.dtype for x in (obs, step.obs, step.next_obs, step.reward)} == {torch.float32}
    assert {x.dtype for x in (step.terminated, step.truncated, step.done)} == {torch.bool}
    assert obs.shape == (2, 2, 3)
    assert torch.equal(obs, kept)
    assert same([step.obs, step.reward], shown)


def test_actions_lie_within_bounds_that_float32_rounds(probe, monkeypatch):
    high = 0.1 - 2e-9  # float32 has only a larger number near it
    seen = []
    step = Probe.step
    monkeypatch.setattr(
        Probe, "step", lambda env, action: (seen.append(action), step(env, action))[1]
    )
    made = tasks(probe, action=spaces.Box(-1.0, high, (1, 2), np.float64))
    made.reset()
    assert made.spec.action_shape == (2,)
    made.step(torch.full((2, 2, 2), made.spec.action_high[0]))
    assert seen[0].shape == (1, 2)
    assert seen[0].dtype == np.float64
    assert (seen[0] <= high).all()


def check_resuming(env_id, **options):
    """A snapshot in the middle of episodes, from which other tasks go on bit for bit."""
    straight = tasks(env_id, **options)
    straight.reset()
    actions = actions_for(straight, 40)
    played(straight, actions[:17])
    state = straight.get_state()
    expected = played(straight, actions[17:])
    again = tasks(env_id, seed=99, **options)
    again.reset()
    played(again, actions[:5])
    obs = again.set_state(state)
    assert straight.exact
    assert again.exact
    assert torch.equal(obs, torch.from_numpy(state["obs"]))
    assert same(played(again, actions[17:]), expected)
    each = len(vars(straight.step(actions[0])))
    assert sum(x.sum() for x in expected[5::each]) > 0  # episodes ended, and others began
    straight.close()
    again.close()


@pytest.mark.parametrize("env_id", CLASSIC)
def test_classic_control_resumes_exactly(env_id):
    check_resuming(env_id, max_episode_steps=13)


@pytest.mark.parametrize("name", MUJOCO)
def test_mujoco_resumes_exactly(name):
    pytest.importorskip("mujoco")
    check_resuming(f"{name}-v5", max_episode_steps=13)


def test_what_mujoco_needs_is_all_in_the_snapshot():
    """The positions of bodies too: the reward measures a step from them."""
    pytest.importorskip("mujoco")
    made = tasks("Ant-v5", 1, 1)
    made.reset()
    actions = actions_for(made, 20)
    played(made, actions[:10])
    state = {name: array.copy() for name, array in made.get_state().items()}
    physics = state["0/physics"].copy()
    bodies = gymnasium.make("Ant-v5").unwrapped.data.xpos.size
    physics[-2 * bodies :] = 0.0
    expected = played(made, actions[10:])
    made.set_state(state)
    assert same(played(made, actions[10:]), expected)
    made.set_state({**state, "0/physics": physics})
    assert not same(played(made, actions[10:]), expected)


def test_workers_do_the_same_and_resume_exactly():
    here = tasks("Pendulum-v1", 1, max_episode_steps=7)
    there = tasks("Pendulum-v1", 1, max_episode_steps=7, asynchronous=True)
    try:
        assert torch.equal(here.reset(), there.reset())
        actions = actions_for(here, 30)
        assert same(played(there, actions[:10]), played(here, actions[:10]))
        state = there.get_state()
        assert {k: v.tolist() for k, v in state.items()} == {
            k: v.tolist() for k, v in here.get_state().items()
        }
        expected = played(there, actions[10:])
        there.set_state(state)
        assert same(played(there, actions[10:]), expected)
    finally:
        there.close()


@pytest.mark.parametrize(
    ("terminates", "asynchronous"), [(False, False), (True, False), (False, True)]
)
def test_steps_lead_to_what_was_seen_though_an_environment_reuses_its_array(
    terminates, asynchronous
):
    gymnasium.register("Economical-v0", entry_point=Economical)
    options = {"terminates": terminates, "disable_env_checker": True}  # which warns of it
    made = tasks("Economical-v0", 1, asynchronous=asynchronous, **options)
    try:
        seen = [made.reset()]
        steps = [made.step(torch.zeros((1, 2), dtype=torch.int64)) for _ in range(7)]
    finally:
        made.close()
        del gymnasium.registry["Economical-v0"]
    seen += [step.obs for step in steps]
    times = [(0, 1), (1, 1), (2, 1), (0, 2), (1, 2), (2, 2), (0, 3), (1, 3)]
    assert [tuple(x[0, 1].tolist()) for x in seen] == times  # all of them, looked at in the end
    led_to = [(1, 1), (2, 1), (3, 1), (1, 2), (2, 2), (3, 2), (1, 3)]
    assert [tuple(step.next_obs[0, 1].tolist()) for step in steps] == led_to
    ends = [(step.terminated if terminates else step.truncated) for step in steps]
    assert [bool(x.all()) for x in ends] == [False, False, True, False, False, True, False]


def test_other_environments_start_new_episodes_where_they_resume(probe):
    made = tasks(probe)
    first = made.reset()
    actions = actions_for(made, 13)
    played(made, actions)
    state = made.get_state()
    assert not made.exact
    assert state.keys() == {"steps"}
    resumed, twin = tasks(probe), tasks(probe)
    begun = resumed.set_state(state)
    assert torch.equal(begun, twin.set_state(state))
    assert not set(begun[..., 0].flatten().tolist()) & set(first[..., 0].flatten().tolist())
    assert resumed.step(actions[0]).reward.unique().tolist() == [1.0]


def test_wrapped_environments_are_not_taken_for_exact_ones():
    gymnasium.register(
        "Wrapped-v0",
        entry_point=lambda **options: gymnasium.wrappers.NormalizeObservation(
            gymnasium.make("CartPole-v1", **options)
        ),
    )
    try:
        assert not tasks("Wrapped-v0").exact
    finally:
        del gymnasium.registry["Wrapped-v0"]


def test_foreign_snapshots_are_refused():
    cart, pendulum = tasks("CartPole-v1", 1, 1), tasks("CartPole-v1", 1, 2)
    cart.reset()
    with pytest.raises(UsageError, match=r"the snapshot of CartPole-v1: '1/physics'"):
        pendulum.set_state(cart.get_state())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"observation": spaces.Discrete(4)}, "observations are Discrete"),
        ({"observation": spaces.Dict({"x": Box})}, "observations are Dict"),
        ({"observation": spaces.Box(0, 255, (8, 8, 3), np.uint8)}, "pictures"),
        ({"observation": spaces.Box(0, 9, (2,), np.int64)}, "obs_dtype 'int64'"),
        ({"action": spaces.MultiDiscrete([2, 3])}, "actions are MultiDiscrete"),
        ({"action": spaces.MultiBinary(2)}, "actions are MultiBinary"),
        ({"action": spaces.Discrete(3, start=1)}, "Discrete from 0 on"),
        ({"action": spaces.Box(0, 3, (2,), np.int64)}, "actions are Box"),
        ({"action": spaces.Box(-np.inf, 1, (2,), np.float32)}, "must be finite"),
        ({"colour": "red"}, "unexpected keyword argument 'colour'"),
    ],
)
def test_unfit_environments_are_refused(probe, options, message):
    with pytest.raises(UsageError, match=f"^gymnasium:Probe-v0: .*{message}"):
        tasks(probe, **options)


@pytest.mark.parametrize(
    ("env_id", "message"),
    [
        ("Walker2-v5", "did you mean 'Walker2d-v5'?"),
        ("CartPole", "did you mean 'CartPole-v"),
        ("Cart Pole?", "is not registered with Gymnasium"),
        ("no_such_module:Maze-v0", "No module named 'no_such_module'; no_such_module must be"),
    ],
)
def test_unknown_environments_are_refused(env_id, message):
    with pytest.raises(UsageError) as caught:
        tasks(env_id)
    assert str(caught.value).startswith(f"gymnasium:{env_id}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_module_of_the_users_own_is_imported(tmp_path, monkeypatch):
    (tmp_path / "my_pendulums.py").write_text(
        "import gymnasium\n"
        "gymnasium.register('Mine-v0', max_episode_steps=3, entry_point="
        "'gymnasium.envs.classic_control.pendulum:PendulumEnv')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    try:
        made = tasks("my_pendulums:Mine-v0")
        made.reset()
        dones = [bool(made.step(action).done.all()) for action in actions_for(made, 4)]
        assert dones == [False, False, True, False]
    finally:
        del gymnasium.registry["Mine-v0"], sys.modules["my_pendulums"]


def test_without_mujoco_the_extra_is_named():
    program = (
        "import sys\n"
        "sys.modules['mujoco'] = None\n"
        "from socialgrid.train.off_policy.gymnasium_tasks import GymnasiumTasks\n"
        "try:\n"
        "    GymnasiumTasks('Walker2d-v5', 1, 1, {}, seed=0)\n"
        "except ValueError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120
    )
    assert 'pip install "socialgrid[mujoco]"' in done.stdout
    assert len(done.stdout.splitlines()) == 1


def test_what_is_not_finite_stops_the_learner(probe):
    made = tasks(probe, broken=True, disable_env_checker=True)
    learner = SAC(made.spec, SACConfig(buffer_size=100), num_envs=made.num_envs)
    obs = made.reset()
    action = learner.act(obs)
    step = made.step(action)
    with pytest.raises(NonFiniteError, match="observation"):
        learner.store(
            obs, action, step.reward, step.next_obs, step.terminated, step.truncated
        )  # fmt: skip


def test_a_film_is_one_episode(probe):
    made = tasks(probe)
    asked = []

    def policy(obs):
        asked.append(obs)
        return torch.zeros(2, 1, 2)

    pictures = list(made.frames(policy, agent=1))
    assert [picture[0, 0, 0] for picture in pictures] == [0, 1, 2, 3, 4, 5]
    assert all(picture.shape == (8, 6, 3) and picture.dtype == np.uint8 for picture in pictures)
    assert {obs.shape for obs in asked} == {(2, 1, 3)}
    assert len(list(made.frames(policy, max_frames=2))) == 2


def test_what_cannot_be_drawn_is_told_in_one_line(probe):
    made = tasks(probe, broken=True)
    with pytest.raises(UsageError, match=r"^Probe-v0 cannot be drawn: no screen$"):
        next(made.frames(lambda obs: obs))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_walker_is_drawn_or_a_reason_given(monkeypatch):
    pytest.importorskip("mujoco")
    monkeypatch.setenv("MUJOCO_GL", "")
    monkeypatch.delenv("MUJOCO_GL")
    made = tasks("Walker2d-v5", 1, 1)
    pictures, reason = [], ""
    try:
        pictures += made.frames(lambda obs: torch.ones(1, 1, 6), max_frames=2)
    except UsageError as error:  # this machine has no graphics
        reason = str(error)
    drawn = len(pictures) == 2 and bool((pictures[0] != pictures[1]).any())
    assert drawn != ("MUJOCO_GL" in reason)
    assert "\n" not in reason


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_walker_without_graphics_names_the_setting(monkeypatch):
    pytest.importorskip("mujoco")
    monkeypatch.setenv("MUJOCO_GL", "crayons")
    with pytest.raises(UsageError, match=r"^Walker2d-v5 cannot be drawn: .*MUJOCO_GL=egl"):
        next(tasks("Walker2d-v5", 1, 1).frames(lambda obs: obs))


def test_triton_can_be_loaded_after_a_walker_was_drawn():
    pytest.importorskip("mujoco")
    pytest.importorskip("triton")
    program = (
        "import torch\n"
        "from socialgrid.config import UsageError\n"
        "from socialgrid.train import GymnasiumTasks\n"
        "made = GymnasiumTasks('Walker2d-v5', 1, 1, {}, seed=0)\n"
        "try:\n"
        "    next(made.frames(lambda obs: torch.ones(1, 1, 6)))\n"
        "except UsageError:\n"  # this machine has no graphics
        "    pass\n"
        "import os, triton.language\n"
        "os._exit(7)\n"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 7, done.stderr


@pytest.mark.parametrize("name", ["halfcheetah", "walker2d", "hopper", "ant"])
def test_mujoco_presets_are_as_published(name):
    preset = load_preset(name)
    config = preset.config
    assert config.run.total_steps == 1_000_000
    assert config.env.game.lower() == f"gymnasium:{name}-v5"
    assert config.env.num_envs == 1
    assert config.env.options.get("terminate_when_unhealthy") == (
        None if name == "halfcheetah" else False
    )
    cheetah = name == "halfcheetah"
    assert config.algorithm == SACConfig(
        learning_rate=7.3e-4 if cheetah else 3e-4,
        learning_starts=10_000 if cheetah else 100,
        hidden=(150, 200),
        batch_size=256,
        buffer_size=1_000_000,
        train_interval=8,
        gradient_steps=8,
        tau=0.02,
        gamma=0.99,
        log_std_init=-3.0,
    )
    assert (config.evaluation.interval, config.evaluation.episodes) == (10_000, 10)
    assert config.players.kinds == ("learner",)
    for variant in set(preset.variants()) - {"group-sizes"}:
        assert preset.choose(social=[variant]).players.kinds == ("learner",) * 4


@pytest.mark.parametrize("name", ["halfcheetah", "walker2d", "hopper", "ant"])
def test_mujoco_presets_fit_their_environments(name):
    pytest.importorskip("mujoco")
    env = load_preset(name).config.env
    made = tasks(env.gymnasium_id, 1, 1, **env.options)
    obs = made.reset()
    step = made.step(actions_for(made, 1)[0])
    assert obs.shape[2:] == {"halfcheetah": (17,), "walker2d": (17,), "hopper": (11,)}.get(
        name, (27,)
    )
    assert bool(step.next_obs.isfinite().all())


def test_a_resumed_run_says_where_new_episodes_begin(probe, tmp_path):
    base = to_dict(load_preset("pendulum-mini").config)
    base["run"] |= {"total_steps": 20, "threads": 1}
    base["env"] |= {"rollout_steps": 10}
    base["logging"] |= {"tensorboard": False}
    for game, told in (("Pendulum-v1", []), (probe, ["new episodes begin here"])):
        base["env"]["game"] = f"gymnasium:{game}"
        run_dir = tmp_path / game
        create_run(from_dict(base), run_dir).train()
        resumed, messages = resume_run(run_dir, 40)
        with mock.patch.object(resumed.learner, "interrupt") as interrupt:
            resumed.restore(load_newest(run_dir / "checkpoints")[1])
        assert interrupt.call_count == len(told), "whether memories have to know"
        assert len(messages) == len(told)
        assert all(words in message for words, message in zip(told, messages, strict=True))
