"""Every algorithm with every mechanism, small: a few steps and one update of each."""

from __future__ import annotations

from typing import Any

from socialgrid.config import TrainConfig, from_dict, load_preset

MINI3 = {"players": {"kinds": ["trial-and-error", "learner", "learner"]}}
VIEWS = {"env": {"obs_mode": "rgb"}}  # pixels; the presets show numbers of tiles
PAIR = {"players": {"kinds": ["learner", "learner"]}}
BF16 = {"run": {"precision": "bf16"}}
# name: preset, algorithm (None: the preset's), mechanisms, changes
ARMS: dict[str, tuple[str, str | None, list[str], dict[str, Any]]] = {
    "ppo": ("goal-cycle-mini", None, [], MINI3 | VIEWS),
    "ppo reconstruction": (
        "goal-cycle-mini",
        None,
        [],
        MINI3 | VIEWS | {"aux": {"prediction": "none", "reconstruction": {"coef": 1.0}}},
    ),
    "ppo tiles": ("goal-cycle-mini", None, [], MINI3 | {"env": {"obs_mode": "tiles"}}),
    "ppo bf16": ("goal-cycle-mini", None, [], MINI3 | BF16),
    "full network": ("goal-cycle", None, [], MINI3 | VIEWS),
    "dqn": ("room-mini", None, [], {}),
    "dqn prioritised": ("room-mini", None, [], {"algorithm": {"prioritised": True}}),
    "dqn views": ("goal-cycle-mini", "dqn", [], {"env": {"obs_mode": "rgb"}}),
    "a3c tiles": ("goal-cycle-mini", "a3c", [], {"env": {"obs_mode": "tiles"}}),
    "behaviour cloning": ("goal-cycle-mini", "behaviour-cloning", [], VIEWS),
    "behaviour cloning tiles": (
        "goal-cycle-mini",
        "behaviour-cloning",
        [],
        {"env": {"obs_mode": "tiles"}},
    ),
    "dqn tiles": ("goal-cycle-mini", "dqn", [], {"env": {"obs_mode": "tiles"}}),
    "sac tiles": ("goal-cycle-mini", "sac", [], {"env": {"obs_mode": "tiles"}}),
    "recurrent dqn": ("room-mini", "recurrent-dqn", [], {}),
    "recurrent dqn tiles": ("goal-cycle-mini", "recurrent-dqn", [], {}),
    "discrete sac": ("room-mini", "sac", [], {}),
    "sac": ("pendulum-mini", "sac", [], {}),
    "sac gsde": ("pendulum-mini", "sac", [], {"algorithm": {"state_dependent_noise": True}}),
    "td3": ("pendulum-mini", "td3", [], {}),
    "mixed": (
        "room-mini",
        None,
        ["peers"],
        {"players": {**PAIR["players"], "algorithms": ["dqn", "sac"]}},
    ),
    "peers": ("room-mini", None, ["peers"], {}),
    "lectr": ("room-mini", None, ["lectr"], PAIR),
}
for _arm in ("full network", "behaviour cloning"):
    _preset, _named, _social, _changes = ARMS[_arm]
    ARMS[f"{_arm} bf16"] = (_preset, _named, _social, {**_changes, **BF16})
for _algorithm in ("ppo", "a3c"):
    for _mechanism in ("comm", "moa", "influence"):
        ARMS[f"{_algorithm} {_mechanism} bf16"] = ("cleanup-mini", _algorithm, [_mechanism], BF16)
    ARMS[f"{_algorithm} alone"] = ("cleanup-mini", _algorithm, [], {})
    for _mechanisms in (
        ["visible-actions"],
        ["influence"],
        ["comm"],
        ["moa"],
        ["inequity"],
        ["prosocial"],
        ["collective"],
        ["moa", "visible-actions"],
    ):
        _name = f"{_algorithm} {'+'.join(_mechanisms)}"
        ARMS[_name] = ("cleanup-mini", _algorithm, _mechanisms, {})


def merged(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    """``a`` with ``b``'s entries, table by table."""
    tables = {k: {**a[k], **b[k]} for k in a.keys() & b.keys() if isinstance(a[k], dict)}
    return {**a, **b, **tables}


def config_of(arm: str, device: str) -> TrainConfig:
    """A few steps of an arm on a device, with one gradient step in the update compared."""
    preset, algorithm, mechanisms, changes = ARMS[arm]
    base = load_preset(preset).choose(algorithm, mechanisms)
    small: dict[str, Any] = {
        "run": {"threads": 1, "device": device, "precision": "float32"},
        "logging": {"tensorboard": False, "curves": False, "video": False},
        "env": {"num_envs": 8, "rollout_steps": 12, "num_threads": 1},
    }
    if base.regime.name == "off-policy":
        small["env"] = {"num_envs": 2, "rollout_steps": 40, "num_threads": 1}
        small["algorithm"] = {
            "learning_starts": 24,
            "batch_size": 16,
            "buffer_size": 400,
            "train_interval": 8,
            "gradient_steps": 2,
        }
        if base.algorithm.name == "recurrent-dqn":
            small["algorithm"] |= {"burn_in": 2, "sequence_length": 6, "batch_size": 8}
        if "lectr" in mechanisms:
            small["social"] = {
                "lectr": {"batch_size": 8, "buffer_size": 200, "learning_starts": 8, "interval": 4}
            }
    elif base.algorithm.name == "behaviour-cloning":
        small["algorithm"] = {"num_minibatches": 2, "minibatch_sequences": 6, "sequence_length": 6}
    elif base.algorithm.name == "ppo":
        small["algorithm"] = {
            "num_minibatches": 1,
            "minibatch_sequences": 6,
            "sequence_length": 6,
            "kl_target": None,
            "kl_hard_limit": 1e9,
        }
    else:
        small["algorithm"] = {"workers": 1}
    whole = merged(small, changes)
    if device == "cpu":  # what the others are held against is exact
        whole["run"] |= {"precision": "float32"}
    return from_dict(whole, base)
