"""Steps that are taken in one compiled call are those that are taken one by one, bit for bit."""

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.python.alarms import RungError, alarm, raise_rung

from socialgrid.config import from_dict, load_preset
from socialgrid.models import NonFiniteError, kernels
from socialgrid.social import PeerAdviser
from socialgrid.train import March, OffPolicyTrainer, OwnGames, make_trainer

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
    "one of three": (
        "peers",
        {
            "players": {"kinds": ["learner"] * 3},
            "social": {"peers": {"choice": "others", "follow_steps": 2}},
        },
    ),
    "all the same, often": ("peers", {"social": {"peers": {"advice": [], "follow_steps": 1}}}),
    "drawn trust, cold": (
        "peers",
        {"social": {"peers": {"initial_trust": None, "temperature": 0.1, "follow_steps": 2}}},
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


def begun(folder: Path, arm: str, rollout_steps: int = 75, *, threads: int = 1) -> OffPolicyTrainer:
    """A short run."""
    social, changes = ARMS[arm]
    common: dict[str, Any] = {
        "run": {"threads": threads, "device": "cpu", "total_steps": 10_000},
        "env": {"num_threads": 1, "rollout_steps": rollout_steps},
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


def trained(
    folder: Path, arm: str, rows: int, *, threads: int = 1
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows of a short run, and everything that a continuation would need."""
    trainer = begun(folder, arm, threads=threads)
    found = []
    for _ in range(rows):
        row = trainer.step()
        kept = {name: x for name, x in row.items() if "second" not in name and name != "time"}
        found.append(kept)
    return found, state_of(trainer)


def state_of(trainer: OffPolicyTrainer) -> dict[str, Any]:
    """Everything that a continuation would need."""
    state = {**trainer.arrays(), **trainer.counters(), **trainer.learner.meta()}
    return state | {name: x.numpy() for name, x in trainer.learner.tensors().items()}


@pytest.mark.parametrize("arm", ARMS)
def test_no_bit_tells_how_steps_were_taken(
    arm: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(kernels, "KERNELS", kernels.chosen(None))
    taken = []
    march = March.__call__

    def counted(self: March, steps: int, *rest: Any) -> Any:
        found = march(self, steps, *rest)
        taken.append(found.steps)
        return found

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


class Listening:
    """Kernels that tell what they are given to march with, and what came of it."""

    def __init__(self, own: Any, **others: float) -> None:
        """``others``: numbers that are changed."""
        self._own, self._others = own, others
        self.given: list[Any] = []
        self.told: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)

    def march(self, *words: Any) -> None:
        *most, tell = words
        if "unsure" in most[3]:
            most[3] |= self._others
        self.given.append(most)

        def listening(found: Any) -> None:
            self.told.append(found)
            tell(found)

        self._own.march(*most, listening)


def test_what_does_not_fit_is_refused_before_anything_changes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = kernels.chosen(None)
    assert own is not None
    listening = Listening(own)
    monkeypatch.setattr(kernels, "KERNELS", listening)
    trained(tmp_path / "run", "peers", 2)
    batch, arrays, hidden, numbers, learners, threads, stop = listening.given[-1]
    assert {"followed", "first"} & arrays.keys() == {"followed"}

    def refused(match: str, **other: Any) -> None:
        given = {"arrays": arrays, "numbers": numbers, "learners": learners} | other
        told: list[Any] = []
        with pytest.raises(ValueError, match=match):
            own.march(
                *(batch, given["arrays"], hidden, given["numbers"], given["learners"]),
                *(threads, stop, told.append),
            )
        assert not told

    before = {name: x.copy() for name, x in arrays.items()}
    weights = {name: x.copy() for name, x in learners["arrays"].items()}
    wrong: list[tuple[str, Any, str]] = [
        ("followed", arrays["followed"] + 9, "member (9|10)"),
        ("left", arrays["left"] + 70, "settled"),
        ("left", arrays["left"] - 70, "settled"),
        ("counts", arrays["counts"][:, :1].copy(), "counts"),
        ("next", arrays["next"] + 10**9, "place in the memory"),
        ("obs", arrays["obs"][:, :, :3].copy(), "values"),
        ("trust", arrays["trust"][:, :1].copy(), "counts"),
        ("agent_values", arrays["agent_values"][:, :1].copy(), "agent_values"),
    ]
    for name, x, match in wrong:
        refused(match, arrays={**arrays, name: x})
    more: list[tuple[str, float, str]] = [
        ("steps", 0, "1 to"),
        ("num_actions", 3, "values"),
        ("stored", 10**6, "steps in the buffer"),
    ]
    for name, number, match in more:
        refused(match, numbers={**numbers, name: number})
    learning: list[tuple[str, dict[str, Any], str]] = [
        ("arrays", {"keys": learners["arrays"]["keys"][:1].copy()}, "keys"),
        ("arrays", {"q/values": learners["arrays"]["q/values"][:, 1:].copy()}, "values"),
        ("numbers", {"interval": 0}, "1 to"),
        ("numbers", {"stored": 10**9}, "stored"),
    ]
    for name, change, match in learning:
        refused(match, learners={**learners, name: learners[name] | change})
    for name, x in before.items():
        assert arrays[name].tobytes() == x.tobytes(), name
    for name, x in weights.items():
        assert learners["arrays"][name].tobytes() == x.tobytes(), name


@pytest.mark.parametrize("arm", ["peers, three copies", "greedy, by the largest", "one of three"])
@pytest.mark.parametrize("others", [{"unsure": 2.0}, {"unsure": 0.02}, {"most": 1}])
def test_doubtful_choices_are_left_to_others_and_much_is_learnt_in_parts(
    others: dict[str, float], arm: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    usual = Listening(kernels.chosen(None))
    monkeypatch.setattr(kernels, "KERNELS", usual)
    rows, state = trained(tmp_path / "usual", arm, 3)
    doubtful = Listening(kernels.chosen(None), **others)
    monkeypatch.setattr(kernels, "KERNELS", doubtful)
    other_rows, other_state = trained(tmp_path / "other", arm, 3)
    ended = [sum(found[1] for found in x.told) for x in (usual, doubtful)]
    assert ended[0] == 0
    assert (ended[1] > 0) == ("unsure" in others)
    assert str(rows) == str(other_rows)
    for name, x in state.items():
        assert np.array_equal(x, other_state[name]), name


OWNERS = {
    **dict.fromkeys(("step",), "tasks"),
    **dict.fromkeys(("observe", "probabilities", "_scaled"), "adviser"),
    **dict.fromkeys(("_move", "_store"), "adviser.trust"),
    **dict.fromkeys(("add", "places"), "learner.replay"),
    "ask": "_panel",
    "step_block": "learner.trained.q.optimiser",
}


@pytest.mark.parametrize("arm", ["peers, three copies", "three groups", "one of three"])
def test_threads_that_share_a_march_change_no_bit(
    arm: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(kernels, "KERNELS", kernels.chosen(None))
    rows, state = trained(tmp_path / "alone", arm, 4)
    for threads in (2, 5):
        shared_rows, shared = trained(tmp_path / str(threads), arm, 4, threads=threads)
        assert str(shared_rows) == str(rows)
        for name, x in state.items():
            assert np.array_equal(x, shared[name]), name


WHAT = ("act", "store", "_choose", "_q_values", "check_step", "update", "loss", "adviser", *OWNERS)


@pytest.mark.parametrize("what", WHAT)
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
        owner: Any = trainer
        for name in OWNERS.get(what, "learner").split("."):
            owner = owner[name] if isinstance(owner, dict) else getattr(owner, name)
        own = getattr(owner, what)

        def asked(*given: Any) -> Any:
            calls.append(1)
            return own(*given)

        monkeypatch.setattr(owner, what, asked)
    trainer.step()
    few = dict.fromkeys(("probabilities", "_scaled", "_q_values", "update", "places"), 2)
    assert len(calls) > few.get(what, 10)


@pytest.mark.parametrize("arm", ["alone, three copies", "peers"])
def test_who_listens_to_a_network_hears_what_is_done_step_by_step(
    arm: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def contrary(network: Any, given: Any, values: Any) -> Any:
        calls.append(network)
        return -values

    monkeypatch.setattr(kernels, "KERNELS", kernels.chosen(None))
    found, possible = [], March.possible
    for asked in (possible, lambda march, adviser: False):
        monkeypatch.setattr(March, "possible", asked)
        trainer, calls = begun(tmp_path, arm), []
        trainer.learner.trained["q"].network.register_forward_hook(contrary)
        trainer.step()
        stored = trainer.learner.replay.arrays["action"][:, :75]
        found.append((len(calls), stored.tolist()))
    assert found[0] == found[1]
    assert found[0][0] > 50


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


@pytest.mark.parametrize("raises", [False, True])
def test_a_signal_ends_a_march_after_a_whole_step(raises: bool, tmp_path: Path) -> None:
    trainer = begun(tmp_path / "rung", "peers", rollout_steps=10**6)

    def ask(number: int, frame: Any) -> None:
        trainer.interrupt.signal = number

    ended = pytest.raises(RungError) if raises else contextlib.nullcontext()
    with ended, alarm(0.4, raise_rung if raises else ask):
        trainer.step()
    steps = trainer.env_steps
    assert steps < 10**6, "it went on to its end"
    assert trainer.update > 10
    assert trainer.learner.steps == steps
    whole = begun(tmp_path / "whole", "peers", rollout_steps=steps)
    whole.step()
    state, wanted = state_of(trainer), state_of(whole)
    del wanted["evaluations"]  # which come after steps
    for name, x in wanted.items():
        assert np.array_equal(x, state[name]), name


def test_a_step_that_fails_moves_nothing(tmp_path: Path) -> None:
    failing, whole = begun(tmp_path / "failing", "peers"), begun(tmp_path / "whole", "peers")
    for trainer in (failing, whole):
        trainer.step()
    assert isinstance(failing.tasks, OwnGames)
    failing.tasks.env.inject_failure(1)
    before = failing.env_steps
    with pytest.raises(RuntimeError, match="injected failure"):
        failing.step()
    assert failing.env_steps == before
    for trainer in (failing, whole):
        trainer.step()
    state, wanted = state_of(failing), state_of(whole)
    for name, x in wanted.items():
        assert np.array_equal(x, state[name]), name


def test_an_update_that_is_not_finite_is_told_as_by_itself(tmp_path: Path) -> None:
    trainer = begun(tmp_path, "alone")
    trainer.step()
    learner = trainer.learner
    next(iter(learner.trained["q"].network.parameters())).data[0] = np.nan
    done = learner.updates
    with pytest.raises(NonFiniteError, match=f"q loss in update {done + 1}, agent 0"):
        trainer.step()
    assert learner.agent_updates == [done + 1]


def test_a_row_leaves_the_number_of_kernels_threads(tmp_path: Path) -> None:
    trainer, before = begun(tmp_path, "alone"), kernels.use_threads(3)
    try:
        trainer.step()
        assert kernels.threads() == 3
    finally:
        kernels.use_threads(before)
