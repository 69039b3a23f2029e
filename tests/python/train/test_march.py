"""Steps that are taken in one compiled call are those that are taken one by one, bit for bit."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from socialgrid.config import from_dict, load_preset
from socialgrid.models import NonFiniteError, kernels
from socialgrid.social import PeerAdviser
from socialgrid.train import March, OffPolicyTrainer, make_trainer

ARMS: dict[str, tuple[str, dict[str, Any]]] = {
    "alone": ("none", {}),
    "alone, three copies": ("none", {"env": {"num_envs": 3}}),
    "peers": ("peers", {}),
    "peers, three copies": ("peers", {"env": {"num_envs": 3}}),
    "three groups": ("peers", {"players": {"groups": 3}}),
    "trust, of what came": (
        "peers",
        {"social": {"peers": {"advice": ["trust"], "advantage": False, "trust_rate": 0.1}}},
    ),
    "agent values, of three": (
        "peers",
        {
            "players": {"kinds": ["learner"] * 3},
            "social": {"peers": {"advice": ["agent-values"], "trust_rate": 0.5}},
        },
    ),
    "critic": ("peers", {"social": {"peers": {"advice": ["critic"]}}}),
    "greedy, by the largest": (
        "peers",
        {"social": {"peers": {"choice": "greedy", "normalise": "largest", "follow_steps": 3}}},
    ),
    "in some epochs, from a small buffer": (
        "peers",
        {
            "env": {"num_envs": 2},
            "social": {
                "peers": {
                    "epoch_steps": 70,
                    "solo_ratio": 1.0,
                    "trust_buffer": 33,
                    "trust_samples": 4,
                    "follow_steps": 5,
                }
            },
        },
    ),
    "a small memory, by priority": (
        "peers",
        {"algorithm": {"buffer_size": 150, "prioritised": True, "train_interval": 4}},
    ),
    "a memory of less than a march": (
        "none",
        {"env": {"num_envs": 3}, "algorithm": {"buffer_size": 32, "learning_starts": 200}},
    ),
}


def begun(folder: Path, arm: str) -> OffPolicyTrainer:
    """A short run."""
    social, changes = ARMS[arm]
    common: dict[str, Any] = {
        "run": {"threads": 1, "device": "cpu", "total_steps": 10_000},
        "env": {"num_threads": 1, "rollout_steps": 75},
        "algorithm": {"hidden": [16, 16], "batch_size": 16, "learning_starts": 50},
        "evaluation": {"interval": 100, "episodes": 2},
    }
    for name, table in changes.items():
        common[name] = common.get(name, {}) | table
    preset = load_preset("room-mini").choose("dqn", () if social == "none" else (social,))
    trainer = make_trainer(from_dict(common, preset), folder)
    assert isinstance(trainer, OffPolicyTrainer)
    trainer.begin()
    return trainer


def trained(folder: Path, arm: str, rows: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows of a short run, and everything that a continuation would need."""
    trainer = begun(folder, arm)
    found = []
    for _ in range(rows):
        row = trainer.step()
        kept = {name: x for name, x in row.items() if "second" not in name and name != "time"}
        found.append(kept)
    state = {**trainer.arrays(), **trainer.counters(), **trainer.learner.meta()}
    state |= {name: x.numpy() for name, x in trainer.learner.tensors().items()}
    return found, state


@pytest.mark.parametrize("arm", ARMS)
def test_no_bit_tells_how_steps_were_taken(
    arm: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(kernels, "KERNELS", kernels.chosen(None))
    taken = []
    march = March.__call__

    def counted(self: March, steps: int, *rest: Any, **more: Any) -> Any:
        taken.append(steps)
        return march(self, steps, *rest, **more)

    monkeypatch.setattr(March, "__call__", counted)
    rows, state = trained(tmp_path / "march", arm, 5)
    assert len(taken) < sum(taken) == 5 * 75
    monkeypatch.setattr(March, "possible", lambda self, adviser: False)
    rows_before, state_before = trained(tmp_path / "walk", arm, 5)
    assert sum(taken) == 5 * 75
    assert str(rows) == str(rows_before)
    assert state.keys() == state_before.keys()
    for name, x in state.items():
        assert np.array_equal(x, state_before[name]), name


def test_what_does_not_fit_is_refused_before_anything_changes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given: list[Any] = []

    class Listening:
        """Kernels that tell what they are given to march with."""

        def __init__(self, own: Any) -> None:
            self._own = own

        def __getattr__(self, name: str) -> Any:
            if name == "march":
                return self.march
            return getattr(self._own, name)

        def march(self, *words: Any) -> Any:
            given.append(words)
            return self._own.march(*words)

    own = kernels.chosen(None)
    assert own is not None
    monkeypatch.setattr(kernels, "KERNELS", Listening(own))
    trained(tmp_path / "run", "peers", 2)
    batch, arrays, hidden, numbers, threads = given[-1]
    assert "advisers" in arrays
    before = {name: x.copy() for name, x in arrays.items()}
    wrong: list[tuple[str, Any, str]] = [
        ("followed", arrays["followed"] + 9, "member (9|10)"),
        ("advisers", arrays["advisers"] + 7, "adviser (7|8)"),
        ("next", arrays["next"] + 10**9, "place in the memory"),
        ("obs", arrays["obs"][:, :, :3].copy(), "values"),
        ("trust", arrays["trust"][:, :1].copy(), "trust|agent_values"),
    ]
    for name, x, match in wrong:
        with pytest.raises(ValueError, match=match):
            own.march(batch, {**arrays, name: x}, hidden, numbers, threads)
    more: list[tuple[str, float, str]] = [
        ("steps", 0, "1 to"),
        ("num_actions", 3, "values"),
        ("stored", 10**6, "steps in the buffer"),
        ("owners", 3, "whole ones"),
    ]
    for name, number, match in more:
        with pytest.raises(ValueError, match=match):
            own.march(batch, arrays, hidden, {**numbers, name: number}, threads)
    for name, x in before.items():
        assert arrays[name].tobytes() == x.tobytes(), name


def test_marches_end_where_too_much_would_be_drawn(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(kernels, "KERNELS", kernels.chosen(None))
    taken = []
    march = March.__call__

    def counted(self: March, steps: int, *rest: Any) -> Any:
        taken.append((steps, rest[-1] is not None))
        return march(self, steps, *rest)

    monkeypatch.setattr(March, "__call__", counted)
    monkeypatch.setattr(PeerAdviser, "bytes_drawn", lambda self, obs: 1 << 24)
    trainer = begun(tmp_path, "greedy, by the largest")
    for _ in range(2):
        trainer.step()
    assert max(steps for steps, advised in taken if not advised) > 2
    assert max(steps for steps, advised in taken if advised) <= 2


@pytest.mark.parametrize("what", ["act", "store", "step", "observe", "adviser"])
def test_what_is_replaced_is_asked(
    what: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(kernels, "KERNELS", kernels.chosen(None))
    trainer, calls = begun(tmp_path, "peers"), []
    adviser = trainer.adviser
    assert isinstance(adviser, PeerAdviser)
    if what == "adviser":

        class Other(PeerAdviser):
            def observe(self, step: Any) -> None:
                calls.append(1)
                super().observe(step)

        other = object.__new__(Other)
        vars(other).update(vars(adviser))
        trainer.adviser = other
    else:
        owner = {"step": trainer.tasks, "observe": adviser}.get(what, trainer.learner)
        own = getattr(owner, what)

        def asked(*given: Any) -> Any:
            calls.append(1)
            return own(*given)

        monkeypatch.setattr(owner, what, asked)
    trainer.step()
    assert len(calls) > 20


def test_what_is_not_finite_is_refused_as_step_by_step(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(kernels, "KERNELS", kernels.chosen(None))
    march = March.__call__

    def spoilt(self: March, steps: int, obs: Any, *rest: Any) -> Any:
        obs[1, 0, 2] = np.nan
        return march(self, steps, obs, *rest)

    monkeypatch.setattr(March, "__call__", spoilt)
    trainer = begun(tmp_path, "peers")
    with pytest.raises(NonFiniteError, match="non-finite observation in update 0, agent 1"):
        trainer.step()
    assert trainer.learner.steps == 0


def test_a_row_leaves_the_number_of_kernels_threads(tmp_path: Path) -> None:
    trainer, before = begun(tmp_path, "alone"), kernels.use_threads(3)
    try:
        trainer.step()
        assert kernels.threads() == 3
    finally:
        kernels.use_threads(before)
