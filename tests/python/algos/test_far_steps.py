"""Learners on a (pretended) accelerator: what they become on the CPU, and what is not finite."""

import math

import pytest
import torch
from tests.python.algos.off_policy_tasks import lives, perturbed, remember
from tests.python.pretend import DEVICE, Pretend

from socialgrid.algos import (
    DQN,
    SAC,
    TD3,
    DiscreteSAC,
    DQNConfig,
    RecurrentDQN,
    RecurrentDQNConfig,
    SACConfig,
    TD3Config,
)
from socialgrid.models import ModelConfig, NonFiniteError, TaskSpec, kernels

COMMON = {
    "hidden": (12, 8),
    "batch_size": 10,
    "buffer_size": 60,
    "learning_starts": 9,
    "train_interval": 4,
    "gradient_steps": 3,
    "max_grad_norm": 0.5,
    "tau": 0.1,
}
RATES = {"learning_rate": (1e-2, 3e-3, 1e-3)}
BOX = {"action_low": (-3.0, -1.0), "action_high": (1.0, 1.0)}
PRIORITISED = {"prioritised": True, "priority_beta_steps": 40}
SEQUENCES = {"burn_in": 2, "sequence_length": 4, "batch_size": 6, "buffer_size": 200}
# name: learner, configuration, whether actions are continuous, options
KINDS = {
    "dqn": (DQN, DQNConfig, False, {**RATES, "target_interval": 2}),
    "dqn prioritised": (DQN, DQNConfig, False, {**PRIORITISED, "double": False}),
    "recurrent dqn": (RecurrentDQN, RecurrentDQNConfig, False, {**SEQUENCES, "prioritised": False}),
    "recurrent dqn prioritised": (
        *(RecurrentDQN, RecurrentDQNConfig, False),
        {**SEQUENCES, **PRIORITISED},
    ),
    "discrete sac": (DiscreteSAC, SACConfig, False, {}),
    "sac": (SAC, SACConfig, True, RATES),
    "sac fixed": (SAC, SACConfig, True, {"temperature": 0.2, "max_grad_norm": None}),
    "sac gsde": (SAC, SACConfig, True, {"state_dependent_noise": True, **PRIORITISED}),
    "td3": (TD3, TD3Config, True, {"policy_delay": 2}),
}


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    monkeypatch.setattr(kernels, "KERNELS", None)


@pytest.fixture
def device(plain):
    with Pretend() as there:
        yield there


def made(kind, device, agents=3, **changes):
    learner, config, continuous, options = KINDS[kind]
    task = TaskSpec(agents, (5,), **(BOX if continuous else {"num_actions": 3}))
    given = {"num_envs": 1, "seed": 3, "device": device, "model": ModelConfig(memory=6)}
    return learner(task, config(**{**COMMON, **options, **changes}), **given)


def alike(there, here):
    assert there.meta() == here.meta()
    for mine, theirs in ((there.tensors(), here.tensors()), (there.memory(), here.memory())):
        assert mine.keys() == theirs.keys()
        for name, x in theirs.items():
            assert mine[name].device.type == "cpu"
            if x.is_floating_point():
                torch.testing.assert_close(mine[name], x, rtol=2e-3, atol=2e-5)
            else:
                assert torch.equal(mine[name], x), name


def life(kind, device, learning, count):
    """A learner that has lived through some worlds, what its updates came to, and what it does.

    Agents are in play in different steps, so that updates are not everybody's.
    """
    learner = made(kind, device)
    learner.set_learning(learning)
    said, waits = [], []
    for given in lives(learner, 6):
        learner.store(*given)
        if learner.due:
            due, before = learner.due_agents, count()
            said.append((due, learner.update()))
            waits.append(count() - before)
    gen = torch.Generator().manual_seed(1)
    obs = torch.randn((3, 1 if "recurrent" in kind else 4, 5), generator=gen)
    acted = [learner.propose(obs, explore=explore).cpu() for explore in (True, None, False)]
    return learner, said, waits, acted


@pytest.mark.parametrize("kind", KINDS)
def test_it_becomes_what_it_becomes_on_the_cpu(kind):
    learning = [False, True, True] if "prioritised" in kind or kind == "td3" else [True] * 3
    here, wanted, _, acted = life(kind, "cpu", learning, lambda: 0)
    with Pretend() as device:
        there, found, waits, acted_there = life(kind, DEVICE, learning, lambda: device.waits)
        alike(there, here)
    assert max(waits) <= 2
    assert len(wanted) > 4
    assert not all(all(due) for due, _ in wanted)
    for (due, mine), (whose, theirs) in zip(found, wanted, strict=True):
        assert due == whose
        assert mine.keys() == theirs.keys()
        for name, x in theirs.items():
            torch.testing.assert_close(mine[name], x, rtol=1e-3, atol=1e-5, equal_nan=True)
    for mine, theirs in zip(acted_there, acted, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("prioritised", [True, False])
def test_a_memory_that_does_not_fit_there_stays_on_the_cpu(device, monkeypatch, prioritised):
    for module in ("replay", "sequence_replay"):
        monkeypatch.setattr(
            f"socialgrid.data.{module}.storage_device", lambda *_: torch.device("cpu")
        )
    for kind in ("dqn", "recurrent dqn"):
        there, here = (made(kind, x, prioritised=prioritised) for x in (DEVICE, "cpu"))
        assert there.replay.kept_on.type == "cpu"
        for learner in (there, here):
            remember(learner, 50)
            for _ in range(3):
                device.reset()
                learner.update()
                assert prioritised or device.waits <= 2, device.places
        alike(there, here)


def broken(learner, where="reward", odd=math.nan):
    """Something of agent 1 that its fourth gradient step sees first."""
    memory = learner.memory()
    size = learner.replay.sizes[1]
    drawn = [learner.draws.words([k] * 3, range(1), kind=4, places=10)[1, 0] for k in range(4)]
    places = [set((words * size >> 32).tolist()) for words in drawn]
    late = next(iter(places[3] - places[0] - places[1] - places[2]))
    memory[where][1, late] = odd
    learner.load_memory(memory)


@pytest.mark.parametrize("kind", ["dqn", "discrete sac", "td3"])
def test_nobody_goes_on_where_somebody_is_not_finite(device, tmp_path, kind):
    options = {"gradient_steps": 6, "learning_starts": 0}
    there, twin, here = (made(kind, x, **options) for x in (DEVICE, DEVICE, "cpu"))
    for learner in (there, twin, here):
        remember(learner, 40)
        if learner is not twin:
            broken(learner)
    there.dump_dir, here.dump_dir = tmp_path / "there", tmp_path / "here"
    said = []
    for learner in (there, here):
        with pytest.raises(NonFiniteError) as error:
            learner.update()
        said.append((error.value.what, error.value.step, error.value.agent, error.value.dump.name))
    assert said[0] == said[1]
    assert said[0][1:3] == (4, 1)
    dumps = [torch_load(folder / said[0][3]) for folder in (there.dump_dir, here.dump_dir)]
    assert dumps[0].keys() == dumps[1].keys()
    assert torch.equal(dumps[0]["index"], dumps[1]["index"])
    twin.update(3)
    assert there.meta()["updates"] == here.meta()["updates"] == 4
    assert there.agent_updates == here.agent_updates == [4, 4, 4]
    wanted = twin.tensors()
    for name, x in there.tensors().items():
        assert torch.equal(x, wanted[name]), name
    alike_counts = [x.tensors()["optimiser/" + ("q" if kind == "dqn" else "critic") + "/steps"]
                    for x in (there, here)]  # fmt: skip
    assert torch.equal(*alike_counts)


def torch_load(path):
    from safetensors.torch import load_file

    return load_file(path)


def test_a_prioritised_batch_that_is_not_finite_is_written_down(device, tmp_path):
    there, here = (made("dqn prioritised", x, learning_starts=0) for x in (DEVICE, "cpu"))
    for learner, folder in ((there, tmp_path / "there"), (here, tmp_path / "here")):
        remember(learner, 40)
        learner.update(2)
        memory = learner.memory()
        memory["reward"][2, ::7] = math.inf
        learner.load_memory(memory)
        learner.dump_dir = folder
        with pytest.raises(NonFiniteError, match=r"q loss in update \d+, agent 2"):
            learner.update(5)
    first, second = (torch_load(next(x.iterdir())) for x in (there.dump_dir, here.dump_dir))
    assert torch.equal(first["index"], second["index"])
    torch.testing.assert_close(first["weight"], second["weight"])
    alike(there, here)


def test_infinite_gradients_are_told_from_losses(device):
    learner = made("dqn", DEVICE, agents=1, learning_rate=1e-3)
    remember(learner, 40)
    tensors = learner.tensors()
    tensors["model/q/heads.0.layers.2.weight"][:] = 1e30
    tensors["model/q/heads.0.layers.1.weight"][:] = 1e20
    tensors["model/q/heads.0.layers.0.weight"][:] *= 1e-30
    tensors["model/q/heads.0.layers.0.bias"][:] = 1e-25
    tensors["model/q/heads.0.layers.1.bias"][:] = 0.0
    learner.load_tensors(tensors)
    with pytest.raises(NonFiniteError, match="q gradient in update 1, agent 0"):
        learner.update()
    for name, x in learner.tensors().items():
        assert torch.equal(x, tensors[name]), name


def test_what_one_agent_learns_does_not_depend_on_what_the_others_saw(device):
    first, second = made("dqn prioritised", DEVICE), made("dqn prioritised", DEVICE)
    for learner in (first, second):
        remember(learner, 30)
    memory = second.memory()
    memory["reward"][[0, 2]] += 1.0
    second.load_memory(memory)
    for learner in (first, second):
        perturbed(learner, "q-target")
        learner.update(4)
    other = second.tensors()
    for name, x in first.tensors().items():
        assert torch.equal(x[1], other[name][1]), name
        if name.startswith("model/"):
            assert not torch.equal(x[0], other[name][0]), name


# Operations of a gradient step that a graph is made of, as counted without it.
OPERATIONS = {
    "dqn": 105,
    "dqn prioritised": 139,
    "recurrent dqn": 520,
    "discrete sac": 279,
    "sac": 376,
    "sac gsde": 415,
    "td3": 203,
}


@pytest.mark.parametrize("kind", OPERATIONS)
def test_repeated_steps_are_those_that_are_started_one_by_one(monkeypatch, kind):
    """Updates that are a graph's repetitions leave what the same operations leave without it."""
    found = []
    for graphs in ("off", "on"):
        monkeypatch.setenv("SOCIALGRID_GRAPHS", graphs)
        with Pretend() as device:
            learner, said, _, acted = life(kind, DEVICE, [True, False, True], lambda: 0)
            learner.update(4)
            device.reset()
            learner.update(4)
            most = 20 if graphs == "on" else 4 * 1.1 * OPERATIONS[kind] + 20
            assert device.launches <= most
            found.append((learner.tensors(), learner.memory(), said, acted))
    one, other = found
    for k in (0, 1):
        for name, x in one[k].items():
            assert torch.equal(x, other[k][name]), name
    for (_, mine), (_, theirs) in zip(one[2], other[2], strict=True):
        for name, x in mine.items():
            assert torch.equal(x.nan_to_num(-7.0), theirs[name].nan_to_num(-7.0)), name
    for mine, theirs in zip(one[3], other[3], strict=True):
        assert torch.equal(mine, theirs)
