"""Peers in training: who is asked, who is trusted, and what a resumed run does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from socialgrid.config import TrainConfig, UsageError, from_dict
from socialgrid.report import MetricsFile, PlainConsole
from socialgrid.train import OffPolicyTrainer, TaskStep, checkpoint, greedy_returns, make_tasks

TINY: dict[str, Any] = {
    "run": {"total_steps": 400},
    "env": {"game": "Room-v0", "num_envs": 1, "rollout_steps": 50, "options": {"length": 5}},
    "algorithm": {
        "name": "dqn",
        "hidden": [16],
        "batch_size": 16,
        "buffer_size": 1000,
        "learning_starts": 20,
        "epsilon_steps": 200,
    },
    "logging": {"tensorboard": False},
}


def merged(*tables: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for table in tables:
        for section, options in table.items():
            result[section] = {**result.get(section, {}), **options}
    return result


def config_of(*tables: dict[str, Any]) -> TrainConfig:
    return from_dict(merged(TINY, *tables))


def peers(kinds: list[str], **options: Any) -> dict[str, Any]:
    players = {name: options.pop(name) for name in ("groups", "algorithms") if name in options}
    return {"players": {"kinds": kinds, **players}, "social": {"peers": options}}


def trainer_of(config: TrainConfig, folder: Path) -> OffPolicyTrainer:
    trainer = OffPolicyTrainer(config, folder)
    trainer.begin()
    return trainer


def timeless(row: dict[str, Any]) -> dict[str, Any]:
    slow = {"seconds", "time", "env_steps_per_second", "agent_steps_per_second"}
    return {name: value for name, value in row.items() if name not in slow}


def test_a_row_counts_what_happened(tmp_path: Path) -> None:
    config = config_of(
        peers(["learner", "expert", "learner"], groups=2),
        {"evaluation": {"interval": 100, "episodes": 3}, "env": {"num_envs": 2}},
    )
    trainer = trainer_of(config, tmp_path)
    assert trainer.names == [
        "group0 peer0 learner", "group0 peer2 learner",
        "group1 peer0 learner", "group1 peer2 learner",
    ]  # fmt: skip
    row = trainer.step()
    assert row["env_steps"] == 100  # 50 steps of two copies
    assert row["agent_steps"] == 400
    assert np.shape(row["members"]["followed"]) == (4, 3)
    np.testing.assert_allclose(np.sum(row["members"]["followed"], 1), 1.0)
    assert np.shape(row["members"]["trust"]) == (4, 3)
    assert np.shape(row["members"]["agent_values"]) == (4, 3)
    assert row["members"]["agent_values"][0] == row["members"]["agent_values"][1]  # their group's
    assert len(row["agents"]["evaluated_return"]) == 4
    assert row["update"] == 10  # after every 8 steps of each agent, from the 21st on
    assert set(row["agents"]) >= {"loss", "td_error"}
    assert "evaluated_return" in trainer.step()["agents"]
    # nobody is asked before learning starts: 20 steps of the first 100 are one's own
    own = row["members"]["followed"]
    assert own[0][0] >= 0.2
    assert own[1][2] >= 0.2
    assert max(own[0][2], own[1][0]) > 0
    assert row["agents"]["followed_others"][0] == pytest.approx(1 - own[0][0])
    assert row["agents"]["followed_others"][1] == pytest.approx(1 - own[1][2])


@pytest.mark.parametrize("kinds", [["learner"], ["learner", "learner"]])
def test_without_advice_everybody_acts_alone(tmp_path: Path, kinds: list[str]) -> None:
    config = config_of({"players": {"kinds": kinds, "groups": 2}})
    trainer = trainer_of(config, tmp_path)
    row = trainer.step()
    assert "members" not in row
    assert len(row["agents"]["return"]) == 2 * len(kinds)


@pytest.mark.parametrize("size", [1, 32])
def test_groups_may_be_of_one_or_of_many(tmp_path: Path, size: int) -> None:
    row = trainer_of(config_of(peers(["learner"] * size)), tmp_path).step()
    followed = np.array(row["members"]["followed"])
    assert followed.shape == (size, size)
    np.testing.assert_allclose(followed.sum(1), 1.0)
    assert (followed.sum(0) > 0).all()
    assert np.isfinite(row["members"]["agent_values"]).all()
    assert len(row["agents"]["loss"]) == size


def test_a_group_learns_the_same_whatever_other_groups_there_are(tmp_path: Path) -> None:
    one = trainer_of(config_of(peers(["learner", "adversary", "learner"])), tmp_path)
    three = trainer_of(config_of(peers(["learner", "adversary", "learner"], groups=3)), tmp_path)
    for _ in range(4):
        a, b = one.step(), three.step()
        assert a["agents"]["return"] == b["agents"]["return"][:2]
        assert a["members"]["followed"] == b["members"]["followed"][:2]
    for name, tensor in one.learner.tensors().items():
        torch.testing.assert_close(tensor, three.learner.tensors()[name][:2], msg=name)


MEETING: dict[str, Any] = {
    "env": {
        "game": "Empty-v0",
        "num_envs": 2,
        "options": {"grid_size": 5, "max_steps": 12, "spawn_delay": [0, 4]},
    },
    "players": {"kinds": ["learner", "learner"]},
    "network": {"channels": [4], "features": [8], "memory": 8, "heads": [8]},
    "algorithm": TINY["algorithm"],
}
"""Whoever is at the goal waits for the other; the second enters later."""


VARIANTS: dict[str, dict[str, Any]] = {
    "alone": {"players": {"kinds": ["learner"]}},
    "advised": peers(["learner", "expert", "learner"], groups=2),
    "mixed": merged(
        {"algorithm": {"name": "dqn"}},
        peers(["learner", "learner"], algorithms=["dqn", "sac"], explore_when_advised=True),
    ),
    "by turns": merged(
        peers(["learner", "learner"], epoch_steps=70, solo_ratio=1.0, follow_steps=7),
        {"env": {"num_envs": 2}},
    ),
    "continuous": merged(
        {
            "env": {"game": "gymnasium:Pendulum-v1", "options": {}},
            "algorithm": {
                "name": "sac",
                "hidden": [8],
                "batch_size": 8,
                "buffer_size": 1000,
                "learning_starts": 20,
                "log_std_init": -2.0,
            },
        },
        peers(["learner", "learner", "random"], algorithms=["sac", "td3"]),
    ),
    "lectr": {
        "players": {"kinds": ["learner", "learner"]},
        "social": {"lectr": {}},
    },
    "meeting": MEETING,
    "meeting, recurrent": merged(
        MEETING,
        {
            "algorithm": {
                "name": "recurrent-dqn",
                "hidden": [8],
                "batch_size": 4,
                "burn_in": 2,
                "sequence_length": 4,
                "buffer_size": 60,
                "learning_starts": 20,
                "epsilon_steps": 200,
                "prioritised": True,
            },
        },
    ),
    "recurrent": {
        "env": {
            "game": "GoalCycle-v0",
            "num_envs": 2,
            "options": {"grid_size": 7, "num_clutter": 0, "max_steps": 20},
        },
        "players": {"kinds": ["expert", "learner"]},
        "network": {"channels": [4], "features": [8], "memory": 8, "heads": [8]},
        "algorithm": {
            "name": "recurrent-dqn",
            "hidden": [8],
            "batch_size": 4,
            "burn_in": 2,
            "sequence_length": 4,
            "buffer_size": 400,
            "learning_starts": 20,
            "epsilon_steps": 200,
        },
    },
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_resumed_run_is_the_same_run(tmp_path: Path, variant: str) -> None:
    table = dict(VARIANTS[variant])
    base = {key: value for key, value in TINY.items() if key != "algorithm"}
    if variant in ("recurrent", "continuous", "meeting, recurrent", "meeting"):
        table.setdefault("env", {})
        config = from_dict(merged(base, table, {"evaluation": {"interval": 100, "episodes": 2}}))
    else:
        config = config_of(table, {"evaluation": {"interval": 100, "episodes": 2}})
    whole = trainer_of(config, tmp_path / "whole")
    first = trainer_of(config, tmp_path / "first")
    for _ in range(3):
        whole.step()
        first.step()
    metrics = MetricsFile(tmp_path / "metrics.jsonl")
    path = first.save(metrics)
    metrics.close()
    second = OffPolicyTrainer(config, tmp_path / "second")
    second.restore(checkpoint.load(path))
    second.begin()
    for _ in range(3):
        assert timeless(whole.step()) == timeless(second.step())
    for name, tensor in whole.learner.tensors().items():
        assert torch.equal(tensor, second.learner.tensors()[name]), name
    for name, tensor in whole.learner.memory().items():
        assert torch.equal(tensor, second.learner.memory()[name]), name
    if whole.adviser is not None and second.adviser is not None:
        for name, tensor in whole.adviser.tensors().items():
            assert torch.equal(tensor, second.adviser.tensors()[name]), name


@pytest.mark.parametrize("variant", ["meeting", "meeting, recurrent"])
def test_only_steps_in_play_are_stored_counted_and_paid_for(tmp_path: Path, variant: str) -> None:
    table = merged(VARIANTS[variant], {"algorithm": {"buffer_size": 10_000}})
    base = {key: value for key, value in TINY.items() if key not in ("env", "algorithm")}
    trainer = trainer_of(from_dict(merged(base, {"env": {"rollout_steps": 50}}, table)), tmp_path)
    steps: list[TaskStep] = []
    plain = trainer.tasks.step

    def watched(actions: Tensor) -> TaskStep:
        steps.append(plain(actions))
        return steps[-1]

    trainer.tasks.step = watched  # type: ignore[method-assign]
    finished: list[list[float]] = [[], []]
    totals = torch.zeros(2, 2)
    played = torch.zeros(2, 2, dtype=torch.bool)
    for update in range(1, 5):
        begun = len(steps)
        row = trainer.step()
        mine: list[list[float]] = [[], []]
        for step in steps[begun:]:
            totals += torch.where(step.in_play, step.reward, 0.0)
            played |= step.in_play
            for agent, copy in (step.done & played).nonzero().tolist():
                mine[agent].append(float(totals[agent, copy]))
            totals[step.done], played[step.done] = 0.0, False
        counts = torch.stack([step.in_play for step in steps]).sum((0, 2)).tolist()
        assert row["env_steps"] == 2 * 50 * update
        assert row["agent_steps"] == sum(counts) < 2 * row["env_steps"]
        assert row["progress"] == trainer.progress == sum(counts) // 2
        assert trainer.learner.agent_steps == counts
        assert counts[1] < counts[0]
        assert row["episodes_finished"] == sum(map(len, mine))
        each = row.get("episodes_with", {"return": [0, 0]})
        assert each == {"return": [len(own) for own in mine]}
        for agent in range(2):
            mean = float(np.mean(mine[agent])) if mine[agent] else None
            assert row["agents"]["return"][agent] == pytest.approx(mean)
            finished[agent] += mine[agent]
    assert trainer.episodes == sum(map(len, finished))
    memory = trainer.learner.memory()
    if variant == "meeting":
        assert memory["stored"].tolist() == counts
        # a copy's transitions, one agent's: no step leads out of play but a terminated one
        assert int(memory["terminated"][0].sum()) == sum(
            int(step.terminated[0].sum()) for step in steps
        )
    else:
        assert memory["steps"].sum(1).tolist() == counts


def test_a_run_is_as_long_as_agents_are_in_play(tmp_path: Path) -> None:
    base = {key: value for key, value in TINY.items() if key != "env"}
    config = from_dict(
        merged(base, {"env": {"rollout_steps": 50}, "run": {"total_steps": 300}}, MEETING)
    )
    trainer = trainer_of(config, tmp_path)
    assert trainer.train(PlainConsole(trainer.names, 60.0)) == 0
    assert trainer.progress >= 300 > trainer.progress - 100
    assert trainer.agent_steps // 2 == trainer.progress < trainer.env_steps


def test_late_learners_begin_with_an_empty_memory(tmp_path: Path) -> None:
    table = VARIANTS["meeting, recurrent"]
    base = {key: value for key, value in TINY.items() if key not in ("env", "algorithm")}
    trainer = trainer_of(from_dict(merged(base, {"env": {"rollout_steps": 1}}, table)), tmp_path)
    entered = 0
    active = torch.tensor(trainer.tasks.worlds.parts[0].info["active"]).T  # type: ignore[attr-defined]
    for _ in range(60):
        trainer.step()
        before, active = active, torch.tensor(trainer.tasks.worlds.parts[0].info["active"]).T  # type: ignore[attr-defined]
        reset = trainer.learner.tensors()["reset"]
        assert bool(reset[~before & active].all())
        entered += int((~before & active)[1].sum())
    assert entered > 4


def test_without_a_budget_peers_are_agents_that_train_alone(tmp_path: Path) -> None:
    alone = trainer_of(config_of({"players": {"kinds": ["learner", "learner"]}}), tmp_path)
    spent = trainer_of(config_of(peers(["learner", "learner"], budget_epochs=0)), tmp_path)
    for _ in range(4):
        a, b = alone.step(), spent.step()
        np.testing.assert_array_equal(b.pop("members")["followed"], np.eye(2))
        assert b.pop("epoch") >= 0
        assert b["agents"].pop("followed_others") == [0.0, 0.0]
        assert timeless(a) == timeless(b)  # exploration included


def test_evaluation_changes_nothing_of_training(tmp_path: Path) -> None:
    table = peers(["learner", "learner"])
    plain = trainer_of(config_of(table), tmp_path)
    judged = trainer_of(config_of(table, {"evaluation": {"interval": 50}}), tmp_path)
    for _ in range(4):
        a, b = plain.step(), judged.step()
        assert b["agents"].pop("evaluated_return")
        assert b["agents"].pop("evaluated_return_std")
        assert timeless(a) == timeless(b)


def test_greedy_returns_are_those_of_whole_episodes(tmp_path: Path) -> None:
    config = config_of({"players": {"kinds": ["learner"]}})
    trainer = trainer_of(config, tmp_path)
    trainer.step()
    tasks = make_tasks(config, 20, 5)
    found = greedy_returns(tasks, trainer.learner, 5)
    assert found.shape == (1, 20)
    # a step costs 0.001 or brings 1, and there are 100 of them
    for value in found[0].tolist():
        on_goal = round((value + 0.1) / 1.001)
        assert value == pytest.approx(on_goal - 0.001 * (100 - on_goal), abs=1e-4)
    assert torch.equal(found, greedy_returns(tasks, trainer.learner, 5))


def test_frozen_members_and_novices_do_not_learn(tmp_path: Path) -> None:
    trainer = trainer_of(config_of(peers(["learner", "novice"])), tmp_path)
    before = trainer.learner.tensors()
    trainer.step()
    after = trainer.learner.tensors()
    weights = [name for name in before if name.startswith("model/")]
    assert any(not torch.equal(before[name][0], after[name][0]) for name in weights)
    assert all(torch.equal(before[name][1], after[name][1]) for name in weights)


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        (peers(["learner", "cleaner"]), "cleaner"),
        (
            {
                "env": {"game": "GoalCycle-v0", "options": {}},
                "players": {"kinds": ["learner", "expert"], "groups": 2},
            },
            "groups",
        ),
        ({"env": {"options": {"length": 2}}}, "length"),
        ({"env": {"game": "Rom-v0"}}, "Room-v0"),
    ],
)
def test_what_does_not_fit_is_refused_at_once(
    tmp_path: Path, table: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(UsageError, match=complaint):
        OffPolicyTrainer(config_of(table), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("advice", ["trust", "agent-values"])
def test_trust_finds_the_expert_and_shuns_the_adversary(tmp_path: Path, advice: str) -> None:
    config = config_of(
        peers(
            ["learner", "expert", "adversary"],
            groups=3,
            advice=[advice],
            trust_rate=0.02,
            initial_trust=0.0,
            temperature=0.2,
        ),
        {
            "env": {"rollout_steps": 500, "options": {"length": 7, "max_steps": 30}},
            "algorithm": {"hidden": [32], "batch_size": 32, "buffer_size": 4000},
            "evaluation": {"interval": 3000},
        },
    )
    trainer = trainer_of(config, tmp_path)
    rows = [trainer.step() for _ in range(6)]
    shares = np.array(rows[-1]["members"]["followed"])
    assert (shares[:, 1] > shares[:, 0]).all()
    assert (shares[:, 1] > 0.5).all(), shares
    assert (shares[:, 2] < 0.15).all(), shares
    values = np.array(rows[-1]["members"]["trust" if advice == "trust" else "agent_values"])
    assert (values.argmax(1) == 1).all()


def test_lectr_measures_progress_across_what_the_learner_learnt(tmp_path: Path) -> None:
    table = {
        "players": {"kinds": ["learner", "learner"]},
        "social": {"lectr": {"progress": "jvg"}},
        "env": {"rollout_steps": 100},
    }
    trainer = trainer_of(config_of(table), tmp_path)
    trainer.step()
    adviser = trainer.adviser
    assert adviser is not None
    gains = adviser.tensors()["replay/reward"]
    assert gains.shape[1] >= 64
    # the value gain is zero exactly where the learner did not learn in between
    assert (gains != 0).float().mean() > 0.9
