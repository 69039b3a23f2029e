"""What a run says that it takes of an accelerator's memory, beside what it takes."""

import re

import pytest
import torch
from tests.python.pretend import DEVICE, Pretend

from socialgrid.config import UsageError, from_dict, load_preset
from socialgrid.train import (
    GIB,
    Need,
    fit,
    make_trainer,
    need_of_adviser,
    need_off_policy,
    need_on_policy,
)

THREE = {"players": {"kinds": ["learner"] * 3}}
FEW = {"algorithm": {"learning_starts": 64, "gradient_steps": 2, "buffer_size": 2000}}


def config_of(preset, envs, steps, *, by=None, mechanisms=None, sequences=0, length=12, **changes):
    base = load_preset(preset).choose(by, mechanisms)
    data = {
        "run": {"threads": 1, "device": "cpu", "precision": "float32"},
        "env": {"num_envs": envs, "rollout_steps": steps, "num_threads": 1},
        "logging": {"tensorboard": False, "curves": False, "video": False},
    }
    if base.algorithm.name == "a3c":
        data["algorithm"] = {"workers": 1}
    elif sequences:
        data["algorithm"] = {
            "num_minibatches": 2,
            "minibatch_sequences": sequences,
            "sequence_length": length,
            "kl_target": None,
            "kl_hard_limit": 1e9,
        }
    for section, table in changes.items():
        data[section] = {**data.get(section, {}), **table}
    return from_dict(data, base)


STACK = {"players": {"kinds": ["learner"] * 4}} | FEW
CASES = {
    "mini": config_of("goal-cycle-mini", 16, 32, sequences=16),
    "full": config_of("goal-cycle", 4, 24, sequences=4, **THREE),
    "full, larger": config_of("goal-cycle", 8, 48, sequences=16, **THREE),
    "harvest ppo": config_of("harvest-ppo", 4, 24, sequences=4),
    "harvest ppo moa": config_of("harvest-ppo", 4, 24, sequences=4, mechanisms=["moa"]),
    "pixels of many": config_of(
        *("goal-cycle-mini", 8, 400),
        sequences=2,
        env={"obs_mode": "rgb"},
        players={"kinds": ["learner", "random", "random", "random"]},
    ),
    "harvest a3c": config_of("harvest", 4, 24),
    "harvest a3c moa": config_of("harvest", 4, 24, mechanisms=["moa"]),
    "dqn": config_of("room-mini", 2, 100, by="dqn", **FEW),
    "dqn stack": config_of("room-mini", 2, 100, by="dqn", mechanisms=["peers"], **STACK),
    "dqn tiles": config_of("goal-cycle-mini", 2, 100, by="dqn", **FEW),
    "dqn lectr": config_of(
        *("room-mini", 2, 100),
        by="dqn",
        mechanisms=["lectr"],
        **STACK,
        social={"lectr": {"batch_size": 64, "buffer_size": 4000, "learning_starts": 64}},
    ),
    "sac stack": config_of("room-mini", 2, 100, by="sac", mechanisms=["peers"], **STACK),
    "sac": config_of("pendulum-mini", 2, 100, **FEW),
    "td3": config_of("pendulum-mini", 2, 100, by="td3", **FEW),
    "recurrent dqn": config_of("goal-cycle-mini", 2, 200, by="recurrent-dqn", **FEW),
}


@pytest.fixture
def pretended(monkeypatch):
    for wing in ("on_policy", "off_policy"):
        monkeypatch.setattr(f"socialgrid.train.{wing}.trainer.settle_on", lambda name: DEVICE)
    monkeypatch.setenv("SOCIALGRID_GRAPHS", "off")
    with Pretend() as device:
        yield device


def need_of(trainer):
    learner, env = trainer.learner, trainer.config.env
    if trainer.config.regime.name == "off-policy":
        own = need_off_policy(learner, learner.config.batch_size)
        return Need.added([own, need_of_adviser(trainer.adviser)])
    sizes = env.num_envs, env.rollout_steps
    return need_on_policy(learner, learner.config, trainer.worlds.env, *sizes)


@pytest.mark.parametrize("case", CASES)
def test_what_is_said_is_what_is_taken(case, pretended, tmp_path):
    trainer = make_trainer(CASES[case], tmp_path / "run")
    trainer.begin()
    trainer.step()
    said = need_of(trainer)
    trainer.close()
    assert 0.7 < pretended.memory.peak / said.total < 1.5, (pretended.memory.peak, said)


def test_pieces_bound_a_gradient_step(monkeypatch, pretended, tmp_path):
    """However large minibatches are: they are computed in pieces."""
    of_pieces = "socialgrid.{}.piece_length"
    for module in ("algos.on_policy.gradient_steps", "models.recall", "train.on_policy.memory"):
        monkeypatch.setattr(of_pieces.format(module), lambda model, agents, width: 4)
    trainer = make_trainer(config_of("goal-cycle-mini", 16, 32, sequences=32), tmp_path / "run")
    trainer.begin()
    trainer.step()
    said = need_of(trainer)
    trainer.close()
    assert 0.7 < pretended.memory.peak / said.total < 1.5, (pretended.memory.peak, said)


@pytest.mark.parametrize("case", ["mini", "pixels of many", "harvest a3c", "dqn stack", "sac"])
def test_phases_that_are_repeated_share_their_memory(case, pretended, monkeypatch, tmp_path):
    """What is said holds with them, too, once everything has been recorded and a batch arrives."""
    monkeypatch.setenv("SOCIALGRID_GRAPHS", "on")
    trainer = make_trainer(CASES[case], tmp_path / "run")
    trainer.begin()
    for _ in range(3):
        trainer.step()
    said, memory = need_of(trainer), pretended.memory
    trainer.close()
    assert 0.7 < memory.peak / said.total < 1.5, (memory.peak, memory.pool, said)
    assert 0 < memory.pool < memory.peak


def test_memory_counts_storages_once_while_they_live():
    with Pretend() as device:
        x = torch.zeros(1000, device=DEVICE)
        parts = [x[:500], x[500:]]
        assert device.memory.now == 4000
        y = x + 1
        assert device.memory.now == 8000
        del x, y
        assert device.memory.now == 4000, "its parts look into it"
        del parts
        assert (device.memory.now, device.memory.peak) == (0, 8000)


def test_a_run_says_what_it_takes(monkeypatch, tmp_path):
    monkeypatch.setattr("socialgrid.train.memory.free_memory", lambda device: 80 * GIB)
    trainer = make_trainer(CASES["mini"], tmp_path / "run")
    trainer.close()
    words = "memory on cpu: about .* \\(networks .*, optimiser .*, batch .*, an update .*\\)"
    assert re.fullmatch(f"{words} of 80.0 GiB free", trainer.memory)


@pytest.mark.parametrize(
    ("case", "room", "option"),
    [
        (config_of("goal-cycle-mini", 1024, 64, sequences=16), 60, "--env.num-envs"),
        (config_of("goal-cycle", 4, 24, sequences=256), 100, "--algorithm.minibatch-sequences"),
        (CASES["dqn tiles"], 6, "--algorithm.batch-size"),
    ],
)
def test_a_run_that_does_not_fit_is_refused(case, room, option, monkeypatch, tmp_path):
    monkeypatch.setattr("socialgrid.train.memory.free_memory", lambda device: room << 20)
    with pytest.raises(UsageError, match=r"needs about .* are free: .* fits$") as refused:
        make_trainer(case, tmp_path / "run")
    assert option in str(refused.value)
    assert not (tmp_path / "run").exists()


def test_where_nothing_helps_the_networks_are_too_large(monkeypatch, tmp_path):
    monkeypatch.setattr("socialgrid.train.memory.free_memory", lambda device: 1000)
    with pytest.raises(UsageError, match="0 MiB are free: fewer learners or smaller networks"):
        make_trainer(CASES["mini"], tmp_path / "run")


def test_the_option_that_is_lowered_least_is_named():
    def need(others):
        found = {"env.num_envs": 64, "algorithm.minibatch_sequences": 16} | others
        sizes = found["env.num_envs"], 10 * found["algorithm.minibatch_sequences"]
        return Need(0, 0, *(size * GIB for size in sizes))

    options = {"env.num_envs": 64, "algorithm.minibatch_sequences": 16}
    with pytest.raises(UsageError, match=r"--algorithm.minibatch-sequences 8 \(now 16\) fits"):
        fit(need, options, torch.device("cpu"), lambda device: 150 * GIB)
    with pytest.raises(UsageError, match=r"about 224\.0 GiB"):
        fit(need, options, torch.device("cpu"), lambda device: 10 * GIB)
