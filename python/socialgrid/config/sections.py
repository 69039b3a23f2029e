"""The sections of a run's configuration, each checked by itself. Nothing here needs torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, Literal

import socialgrid.social.options  # noqa: F401 (it fills the list of mechanisms)
from socialgrid.algos.options import AlgorithmConfig, PPOConfig
from socialgrid.config.closing import ClosingConfig
from socialgrid.config.errors import UsageError, check_encodable
from socialgrid.config.imports import check_imported
from socialgrid.config.maps import check_map
from socialgrid.config.overrides import TABLES
from socialgrid.config.schedule import Schedule
from socialgrid.models.config import ModelConfig
from socialgrid.social.advice.options import AdviserOptions
from socialgrid.social.roles import ADVISER, Auxiliary, Social

TRAINING = "training"  # the world of a run, among those that it is evaluated in
_MOST_THREADS = 1024  # as in the simulator; hundreds of thousands are torch's end


def _at_least(name: str, value: float, low: float) -> None:
    if not math.isfinite(value) or value < low:
        raise UsageError(f"{name}: {value} is out of range, must be at least {low}")


def _at_most(name: str, value: float, high: float) -> None:
    if value > high:
        raise UsageError(f"{name}: {value} is out of range, must be at most {high}")


@dataclass(frozen=True)
class RunConfig:
    """How long, where and on what to run."""

    seed: int = 0
    """Seed of everything: weights, action sampling, environments, scripted players."""
    total_steps: int = 375_000_000
    """Environment steps, added up over all environments; each moves every agent once.
    Off-policy: steps in play of each agent, added up over its copies of the task; their mean where
    agents in a shared world are in play for different times."""
    run_dir: str = ""
    """Directory of the run; runs/PRESET-seedN-TIME by default."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where the learners compute; auto: cuda, else mps, else cpu."""
    threads: int = 0
    """Threads of the learners on the CPU; on-policy each computes a shard at a time
    (--algorithm.shards), and plays a range of the environments where Python has a part in no step.
    0: as many as the process may use cores. Results do not depend on it."""
    precision: Literal["auto", "float32", "tf32", "bf16"] = "auto"
    """What networks compute in: float32; tf32, products of float32 rounded to ten bits, on NVIDIA
    cards; bf16, products and activations in bfloat16, where the device has it; auto: bf16 or tf32
    on a card that has them, else float32. Settled when a run begins."""
    checkpoint_minutes: float = 5.0
    """Minutes between checkpoints; 0: after every update."""
    keep_checkpoints: int = 2
    """How many of the newest checkpoints stay."""
    imports: tuple[str, ...] = ()
    """Modules from outside the package that take part, as --import MODULE names them."""

    def __post_init__(self) -> None:
        check_imported(self.imports)
        _at_least("run.seed", self.seed, 0)
        _at_least("run.total_steps", self.total_steps, 1)
        _at_least("run.threads", self.threads, 0)
        _at_most("run.threads", self.threads, _MOST_THREADS)
        _at_least("run.checkpoint_minutes", self.checkpoint_minutes, 0)
        _at_least("run.keep_checkpoints", self.keep_checkpoints, 2)


@dataclass(frozen=True)
class EnvConfig:
    """The game and the shape of a batch of experience."""

    game: str = "GoalCycle-v0"
    """Name of the game, or gymnasium:ID for an environment of Gymnasium."""
    num_envs: int = 128
    """Environments played at once; off-policy: copies of the task that each agent has."""
    rollout_steps: int = 250
    """Steps of every environment between two updates; off-policy: steps of each agent between
    two rows of metrics."""
    num_threads: int = 0
    """Threads of the simulator where it is stepped from Python (see run.threads); 0: all cores that
    the process may use. Above 1, every copy of a Gymnasium environment runs in a process of its
    own, which pays for slow ones only."""
    obs_mode: Literal["auto", "rgb", "tiles", "vector"] = "auto"
    """What the simulator writes: pixels, tile numbers that the learner's device draws, or numbers
    in a vector; auto: vectors for off-policy algorithms in games that have them, else pixels."""
    double_buffer: bool = False
    """Simulate one half of the environments while the players choose for the other."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the game, as in --set penalty=0.5 grid_size=9; or of gymnasium.make."""

    def __post_init__(self) -> None:
        _at_least("env.num_envs", self.num_envs, 2 if self.double_buffer else 1)
        _at_least("env.rollout_steps", self.rollout_steps, 1)
        _at_least("env.num_threads", self.num_threads, 0)
        _at_most("env.num_threads", self.num_threads, _MOST_THREADS)
        if "num_agents" in self.options:
            raise UsageError("env.options.num_agents: give one entry per agent in players.kinds")
        if self.gymnasium_id is None:
            check_map(self.options, "env.options.map")
        check_encodable("env.game", self.game)
        if self.gymnasium_id == "":
            raise UsageError("env.game: gymnasium:ID needs an ID, as in gymnasium:Walker2d-v5")
        if self.gymnasium_id and self.obs_mode != "auto":
            raise UsageError(
                f"env.obs_mode: {self.obs_mode}: {self.game} has observations of its own: "
                "--obs-mode auto takes those"
            )

    @property
    def gymnasium_id(self) -> str | None:
        """Name that Gymnasium knows the environment by; ``None`` for games of this package."""
        prefix, colon, name = self.game.partition(":")
        return name if colon and prefix == "gymnasium" else None


@dataclass(frozen=True)
class PlayersConfig:
    """Who plays."""

    kinds: tuple[str, ...] = ("learner",)
    """One an agent, or one a member of a group of peers: learner, learner:RUN (goes on learning
    from that run's weights), checkpoint:RUN (the same, frozen), novice (never learns anything), or
    a scripted player: random, expert, ...; the first learner of RUN is meant, or the one of slot K
    in RUN#K. What was hidden from it there stays so, unless ``env.options.hide`` is given."""
    hide_from_learners: tuple[str, ...] = ()
    """Kinds of objects that fresh learners cannot see (goal: novices)."""
    groups: int = 1
    """Off-policy: groups that train side by side and know nothing of each other, as seeds of an
    experiment."""
    algorithms: tuple[str, ...] = ()
    """Off-policy: algorithm of each member with networks, in order; empty: that of the run for all.
    Others than the run's take their own defaults for what the run's does not have."""

    def __post_init__(self) -> None:
        if not self.kinds:
            raise UsageError("players.kinds: at least one agent is needed")
        _at_least("players.groups", self.groups, 1)


@dataclass(frozen=True)
class ScheduleConfig:
    """What changes while training goes on; written episode:value, episode:value, ..."""

    solo_fraction: str = "0"
    """Share of the environments in which only learners play, as in 0:0,500000:0.75."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Game options that change, as in penalty=0:0.5,81920:1.0."""

    def __post_init__(self) -> None:
        for share in self.solo().values:
            if not 0 <= share <= 1:
                raise UsageError(f"schedule.solo_fraction: {share} is not in [0, 1]")
        self.game_options()

    def solo(self) -> Schedule:
        """Share of solo environments."""
        return Schedule.parse(self.solo_fraction, "schedule.solo_fraction")

    def game_options(self) -> dict[str, Schedule]:
        """Game options by name."""
        return {
            name: Schedule.parse(text, f"schedule.options.{name}")
            for name, text in self.options.items()
        }


@dataclass(frozen=True)
class EvaluationConfig:
    """Playing without learning while a run goes on: off-policy agents without exploration in their
    own tasks, on-policy ones as they act in training, in any worlds."""

    interval: int = 0
    """Steps of each agent (on-policy: environment steps) between evaluations; 0: never. A row of
    metrics has one at most."""
    episodes: int = 10
    """Episodes of each agent in an evaluation; on-policy in each world, with everybody there and,
    where others can be absent, of each learner alone."""
    worlds: tuple[str, ...] = (TRAINING,)
    """On-policy: where. Presets by name or file, as of ``socialgrid-eval --world``; training: where
    the run learns in its last phase, whatever schedules of game options say."""

    def __post_init__(self) -> None:
        _at_least("evaluation.interval", self.interval, 0)
        _at_least("evaluation.episodes", self.episodes, 1)
        if not self.worlds:
            raise UsageError(f"evaluation.worlds: at least one is needed, as {TRAINING}")
        if len(set(map(world_name, self.worlds))) < len(self.worlds):
            raise UsageError("evaluation.worlds: two of them have the same name")


def world_name(world: str) -> str:
    """What a world of ``evaluation.worlds`` is called in rows: a file by its stem."""
    return PurePath(world).stem if world.endswith((".toml", ".json")) else world


@dataclass(frozen=True)
class LoggingConfig:
    """What a run shows and leaves behind."""

    console_seconds: float = 5.0
    """Seconds between lines where the output is not a terminal."""
    tensorboard: bool = True
    """Write TensorBoard events."""
    curves: bool = True
    """Draw curves.png at the end."""
    video: bool = True
    """Film an episode at the end."""
    video_frames: int = 300
    """Pictures of a film at most; of a longer episode only every second, third, ... step."""

    def __post_init__(self) -> None:
        _at_least("logging.console_seconds", self.console_seconds, 0)
        _at_least("logging.video_frames", self.video_frames, 1)


@dataclass(frozen=True)
class Sections:
    """All that defines a run, section by section; whether they go together is another matter."""

    run: RunConfig = field(default_factory=RunConfig)
    env: EnvConfig = field(default_factory=EnvConfig)
    players: PlayersConfig = field(default_factory=PlayersConfig)
    algorithm: AlgorithmConfig = field(default_factory=PPOConfig)
    social: Social = field(default_factory=Social)
    """Social mechanisms by name, each with its options."""
    aux: Auxiliary = field(default_factory=Auxiliary)
    """Auxiliary losses by name, likewise."""
    network: ModelConfig = field(default_factory=ModelConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    logging: LoggingConfig = field(default_factory=LoggingConfig)
    closing: ClosingConfig = field(default_factory=ClosingConfig)
    phases: Mapping[str, Any] = field(default_factory=dict, metadata=TABLES)
    """Stretches of the run by name, in order, each a ``PhaseConfig``."""

    @property
    def advised(self) -> bool:
        """Whether the agents are groups of peers that advise each other."""
        return self.adviser is not None

    @property
    def adviser(self) -> AdviserOptions | None:
        """How peers advise each other, if they do."""
        found = self.social.of_role(ADVISER)
        assert found is None or isinstance(found, AdviserOptions), "the role's options"
        return found
