"""Configuration of a training run: frozen dataclasses, presets as overrides, strict reading.

Nothing here needs torch or the training extras.
"""

from __future__ import annotations

import dataclasses
import importlib.resources
import json
import math
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from socialgrid.algos.off_policy_config import (
    DQNConfig,
    OffPolicyConfig,
    RecurrentDQNConfig,
    SACConfig,
    TD3Config,
)
from socialgrid.algos.options import A3CConfig, PPOConfig
from socialgrid.config.closing import ClosingConfig, ConditionConfig
from socialgrid.config.errors import UsageError, check_encodable, closest, nearest, told
from socialgrid.config.phases import PhaseConfig
from socialgrid.config.run_files import read_preset, user_path, without_integrity
from socialgrid.config.schedule import Schedule
from socialgrid.models.config import ModelConfig
from socialgrid.social.advice.lectr_options import LeCTRConfig
from socialgrid.social.advice.options import PeersConfig
from socialgrid.social.options import MECHANISMS, OFF_POLICY_MECHANISMS, SocialConfig

_MOST_THREADS = 1024  # as in the simulator; hundreds of thousands are torch's end


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
    """Threads of torch on the CPU; 0: torch's own choice, at most as many as the process may use
    cores."""
    matmul_precision: Literal["highest", "high", "medium"] = "highest"
    """Matrix products in float32, or in what is faster and less exact (TF32, bfloat16) where the
    device has it."""
    checkpoint_minutes: float = 5.0
    """Minutes between checkpoints; 0: after every update."""
    keep_checkpoints: int = 2
    """How many of the newest checkpoints stay."""

    def __post_init__(self) -> None:
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
    """Threads of the simulator; 0: all cores that the process may use. Above 1, every copy of a
    Gymnasium environment runs in a process of its own, which pays for slow ones only."""
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
        check_encodable("env.game", self.game)
        if self.gymnasium_id == "":
            raise UsageError("env.game: gymnasium:ID needs an ID, as in gymnasium:Walker2d-v5")
        if self.gymnasium_id and self.obs_mode != "auto":
            raise UsageError(f"env.obs_mode: {self.game} has observations of its own; leave it out")

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
    in RUN#K."""
    hide_from_learners: tuple[str, ...] = ()
    """Kinds of objects that fresh learners cannot see (goal: novices)."""

    def __post_init__(self) -> None:
        if not self.kinds:
            raise UsageError("players.kinds: at least one agent is needed")

    def owners(self) -> tuple[int, ...]:
        """Places of those that have networks, whether they learn or not."""
        return tuple(
            place
            for place, kind in enumerate(self.kinds)
            if kind.partition(":")[0] in ("learner", "checkpoint", "novice")
        )


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
    """Playing without exploration while an off-policy run goes on."""

    interval: int = 0
    """Steps of each agent between evaluations; 0: never. A row of metrics, of ``env.rollout_steps``
    steps of every copy, has one at most."""
    episodes: int = 10
    """Episodes of each agent in an evaluation."""

    def __post_init__(self) -> None:
        _at_least("evaluation.interval", self.interval, 0)
        _at_least("evaluation.episodes", self.episodes, 1)


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


AlgorithmConfig = PPOConfig | A3CConfig | DQNConfig | RecurrentDQNConfig | SACConfig | TD3Config


@dataclass(frozen=True)
class TrainConfig:
    """Everything that defines a run."""

    run: RunConfig = field(default_factory=RunConfig)
    env: EnvConfig = field(default_factory=EnvConfig)
    players: PlayersConfig = field(default_factory=PlayersConfig)
    algorithm: AlgorithmConfig = field(default_factory=PPOConfig)
    social: SocialConfig = field(default_factory=SocialConfig)
    peers: PeersConfig = field(default_factory=PeersConfig)
    lectr: LeCTRConfig = field(default_factory=LeCTRConfig)
    network: ModelConfig = field(default_factory=ModelConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    logging: LoggingConfig = field(default_factory=LoggingConfig)
    closing: ClosingConfig = field(default_factory=ClosingConfig)
    phases: Mapping[str, Any] = field(default_factory=dict)
    """Stretches of the run by name, in order, each a ``PhaseConfig``."""

    def __post_init__(self) -> None:
        name, off_policy = self.algorithm.name, self.off_policy
        for mechanism in self.social.mechanisms:
            if (mechanism in OFF_POLICY_MECHANISMS) != off_policy:
                fitting = ", ".join(ON_POLICY if off_policy else OFF_POLICY)
                raise UsageError(f"social.mechanisms: {name} has no {mechanism}; {fitting} have it")
        if isinstance(self.algorithm, OffPolicyConfig):
            self._check_off_policy()
        else:
            self._check_on_policy(self.algorithm)
        self._read_phases()
        self._read_closing()

    def in_phase(self, name: str) -> TrainConfig:
        """The configuration with the numbers of one of its phases.

        Raises:
            UsageError: a number is out of range, or is not one that can change in a run.
        """
        phase = self.phases[name]
        whole = dataclasses.replace(self, phases={})
        changes = {
            "algorithm": phase.algorithm,
            "social": phase.social,
            "env": {"options": phase.options},
        }
        for section, fixed in _FIXED.items():
            for option in fixed & set(changes[section]):
                raise UsageError(f"phases.{name}.{section}.{option}: cannot change in a run")
        try:
            return from_dict(changes, whole)
        except UsageError as error:
            raise UsageError(f"phases.{name}: {error}") from None

    def _read_closing(self) -> None:
        closing, conditions = self.closing, {}
        for name, table in closing.conditions.items():
            where = f"closing.conditions.{name}"
            found = table
            if not isinstance(table, ConditionConfig):
                found = _override(ConditionConfig(), table, where)
            conditions[name] = found
        object.__setattr__(self, "closing", dataclasses.replace(closing, conditions=conditions))
        for name, table in closing.reference.items():
            if not isinstance(table, Mapping):
                raise UsageError(f"closing.reference.{name}: {table!r} is not a table of measures")

    def _read_phases(self) -> None:
        plan: dict[str, PhaseConfig] = {}
        for name, table in self.phases.items():
            if isinstance(table, PhaseConfig):
                plan[name] = table
            else:
                plan[name] = _phase(table, f"phases.{name}")
        object.__setattr__(self, "phases", plan)
        if not plan:
            return
        if self.off_policy:
            raise UsageError(f"phases: {self.algorithm.name} has none; {', '.join(ON_POLICY)} have")
        for name, phase in plan.items():
            if not phase.steps and name != list(plan)[-1]:
                raise UsageError(f"phases.{name}.steps: only the last phase can do without")
            self.in_phase(name)

    @property
    def off_policy(self) -> bool:
        """Whether the learners have replay memories."""
        return isinstance(self.algorithm, OffPolicyConfig)

    @property
    def advised(self) -> bool:
        """Whether the agents are groups of peers that advise each other."""
        return bool(set(OFF_POLICY_MECHANISMS) & set(self.social.mechanisms))

    @property
    def obs_mode(self) -> str | None:
        """What the simulator is asked to write; ``None``: the game's own default."""
        if self.env.obs_mode != "auto":
            return self.env.obs_mode
        return None if self.off_policy else "rgb"

    def check_members(self) -> None:
        """Whether there are enough members for the advice chosen.

        Apart from the other checks: mechanisms are chosen before the members are known.

        Raises:
            UsageError: there are not.
        """
        owners = len(self.players.owners())
        if self.advised and self.peers.choice == "others" and len(self.players.kinds) < 2:
            raise UsageError("peers.choice: others, but players.kinds names one member only")
        if "lectr" in self.social.mechanisms and owners < 2:
            raise UsageError(
                "social.mechanisms: lectr needs two or more members with networks, players.kinds "
                f"names {owners} (--peers 2)"
            )

    def _check_on_policy(self, algorithm: PPOConfig | A3CConfig) -> None:
        env, off_policy = self.env, ", ".join(OFF_POLICY)
        if algorithm.aux not in AUX_LOSSES:
            raise UsageError(
                f"algorithm.aux: {algorithm.aux!r} is not one of {', '.join(AUX_LOSSES)}"
                + nearest(algorithm.aux, AUX_LOSSES)
            )
        if isinstance(algorithm, PPOConfig) and algorithm.sequence_length > env.rollout_steps:
            raise UsageError(
                f"algorithm.sequence_length: {algorithm.sequence_length} is longer than "
                f"env.rollout_steps {env.rollout_steps}"
            )
        if isinstance(algorithm, A3CConfig) and algorithm.workers > env.num_envs:
            raise UsageError(
                f"algorithm.workers: {algorithm.workers} cannot share env.num_envs {env.num_envs}"
            )
        if env.gymnasium_id:
            raise UsageError(
                f"env.game: {algorithm.name} plays grid games only; {off_policy} play {env.game}"
            )
        if env.obs_mode == "vector":
            raise UsageError(
                f"env.obs_mode: {algorithm.name} reads rgb or tiles; {off_policy} read vectors"
            )
        for option, value in (
            ("evaluation.interval", self.evaluation.interval),
            ("peers.groups", self.peers.groups - 1),
            ("peers.algorithms", self.peers.algorithms),
        ):
            if value:
                raise UsageError(
                    f"{option}: {algorithm.name} has no use for it; {off_policy} have "
                    f"({_OFF[option]} turns it off)"
                )

    def _check_off_policy(self) -> None:
        name, peers, owners = self.algorithm.name, self.peers, len(self.players.owners())
        for algorithm in peers.algorithms:
            if algorithm not in OFF_POLICY:
                raise UsageError(
                    f"peers.algorithms: {algorithm!r} is not one of {', '.join(OFF_POLICY)}"
                    + nearest(algorithm, OFF_POLICY)
                )
        if peers.algorithms and len(peers.algorithms) != owners:
            raise UsageError(
                f"peers.algorithms: {len(peers.algorithms)} for {owners} members with networks in "
                "players.kinds; name one for each, or none"
            )
        if self.advised and RecurrentDQNConfig.name in (peers.algorithms or (name,)):
            raise UsageError(
                f"social.mechanisms: {', '.join(self.social.mechanisms)}: recurrent-dqn remembers "
                "its own task only and cannot say what to do in another's"
            )
        if self.advised and self.players.hide_from_learners:
            raise UsageError("players.hide_from_learners: every peer has a task of its own")
        if self.env.double_buffer:
            raise UsageError(
                f"env.double_buffer: {name} has no use for it; {', '.join(ON_POLICY)} have "
                f"({_OFF['env.double_buffer']} turns it off)"
            )
        if self.schedule != ScheduleConfig():
            raise UsageError(f"schedule: {name} follows none; ppo, a3c do")


def _phase(table: Any, where: str) -> PhaseConfig:
    try:
        found = _override(PhaseConfig(), table, where)
    except UsageError as error:
        text = str(error)
        raise UsageError(text if where in text else f"{where}: {text}") from None
    assert isinstance(found, PhaseConfig)
    return found


# Options that shape networks, optimisers or what agents hear: the same in all phases of a run.
_FIXED: dict[str, set[str]] = {
    "algorithm": {
        *("name", "aux", "workers", "synchronous", "max_staleness"),
        *("adam_betas", "adam_eps", "precision", "compile"),
    },
    "social": {
        *("mechanisms", "num_influencers", "vocabulary", "message_embedding", "moa_memory"),
        *("inequity_alpha", "inequity_beta", "inequity_smoothing", "prosocial_eta"),
    },
    "env": set(),
}


def check_imports(config: TrainConfig, record: object, allowed: Sequence[str]) -> None:
    """Refuse to import a module because a record names it.

    Args:
        config: as the record says.
        record: the run or file that it comes from.
        allowed: what was named on the command line: modules, or ``gymnasium:MODULE:ID``.

    Raises:
        UsageError: tasks need a module that nobody allowed.
    """
    module, colon, _ = (config.env.gymnasium_id or "").rpartition(":")
    named = {name.removeprefix("gymnasium:").rpartition(":")[0] or name for name in allowed}
    if colon and module not in named:
        raise UsageError(
            f"{record}: its game {config.env.game} runs the code of module {module}, which a "
            f"record must not choose; if it is yours, add --import {module}"
        )


_OFF = {  # options that only some algorithms know, as if they did not exist
    "evaluation.interval": "--evaluation.interval 0",
    "peers.groups": "--peers.groups 1",
    "peers.algorithms": "--peers.algorithms none",
    "env.double_buffer": "--env.no-double-buffer",
}
AUX_LOSSES = ("none", "reconstruction", "prediction")
ALGORITHMS: dict[str, type[AlgorithmConfig]] = {
    "ppo": PPOConfig,
    "a3c": A3CConfig,
    "dqn": DQNConfig,
    "recurrent-dqn": RecurrentDQNConfig,
    "sac": SACConfig,
    "td3": TD3Config,
}
OFF_POLICY = tuple(name for name, cls in ALGORITHMS.items() if issubclass(cls, OffPolicyConfig))
ON_POLICY = tuple(name for name in ALGORITHMS if name not in OFF_POLICY)


def _at_least(name: str, value: float, low: float) -> None:
    if not math.isfinite(value) or value < low:
        raise UsageError(f"{name}: {value} is out of range, must be at least {low}")


def _at_most(name: str, value: float, high: float) -> None:
    if value > high:
        raise UsageError(f"{name}: {value} is out of range, must be at most {high}")


def to_dict(config: Any) -> dict[str, Any]:
    """Nested plain dictionary of a configuration; tuples become lists."""

    def plain(value: Any) -> Any:
        if dataclasses.is_dataclass(value):
            return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        if isinstance(value, Mapping):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [plain(item) for item in value]
        return value

    result = plain(config)
    assert isinstance(result, dict)
    return result


def group_key(config: TrainConfig) -> str:
    """What runs have in common that differ in nothing but the seed and their length.

    Independent groups are seeds as well: their number does not matter.
    """
    data = to_dict(config)
    data["peers"].pop("groups")
    data.pop("closing")
    for name in ("seed", "run_dir", "total_steps"):
        data["run"].pop(name)
    return json.dumps(data, sort_keys=True)


def from_dict(data: Mapping[str, Any], base: TrainConfig | None = None) -> TrainConfig:
    """Apply nested overrides to a configuration.

    Args:
        data: sections by name, each a table of fields. Game options are merged key by key. An
            ``algorithm.name`` other than the base's starts from the defaults of that algorithm.
        base: what is overridden; the defaults when absent.

    Raises:
        UsageError: an unknown section or field (its nearest name is given), a wrong type, or a
            value out of range.
    """
    base = base or TrainConfig()
    fresh = _override(base, data, "")
    assert isinstance(fresh, TrainConfig)
    return fresh


def _override(base: Any, data: Any, where: str) -> Any:
    if not isinstance(data, Mapping):
        raise UsageError(f"{where}: {data!r} is not a table")
    hints = typing.get_type_hints(type(base))
    changes: dict[str, Any] = {}
    for key, value in data.items():
        name = f"{where}.{key}" if where else str(key)
        if key not in hints:
            raise UsageError(f"unknown option {name!r}{_nearest_option(str(key), where, hints)}")
        current = getattr(base, key)
        if name == "algorithm" and isinstance(value, Mapping):
            current = _algorithm(current, value)
        if name in ("phases", "closing.conditions") and isinstance(value, Mapping):
            changes[key] = _merged(to_dict(base)[key], value)
        elif dataclasses.is_dataclass(current):
            changes[key] = _override(current, value, name)
        elif isinstance(current, Mapping) and isinstance(value, Mapping):
            changes[key] = {**current, **value}
        else:
            changes[key] = _coerce(value, hints[key], name)
    try:
        return dataclasses.replace(base, **changes)
    except UsageError:
        raise
    except ValueError as error:
        raise UsageError(f"{where}: {error}" if where else str(error)) from None


def _algorithm(current: AlgorithmConfig, data: Mapping[str, Any]) -> AlgorithmConfig:
    """What the options of the algorithm named in ``data`` are applied to."""
    name = data.get("name", current.name)
    return current if name == current.name else ALGORITHMS[algorithm_name(name)]()


def algorithm_name(name: object) -> str:
    """Check the name of an algorithm.

    Raises:
        UsageError: there is none of that name.
    """
    if not isinstance(name, str) or name not in ALGORITHMS:
        raise UsageError(
            f"algorithm.name: {name!r} is not one of {', '.join(ALGORITHMS)}"
            + nearest(str(name), ALGORITHMS)
        )
    return name


def owners_of(option: str) -> list[str]:
    """Names of the algorithms that have an option."""
    return [name for name, cls in ALGORITHMS.items() if option in typing.get_type_hints(cls)]


def _nearest_option(key: str, where: str, hints: Mapping[str, Any]) -> str:
    if where == "algorithm" and (owners := owners_of(key)):
        return f": only {', '.join(owners)} has it"
    here = closest(key, hints)
    if here:
        return f" (did you mean {f'{where}.{here}'.lstrip('.')!r}?)"
    elsewhere = {path.rsplit(".", 1)[-1]: path for path in option_paths()}
    match = closest(key, elsewhere)
    return f" (did you mean {elsewhere[match]!r}?)" if match else ""


def _coerce(value: Any, kind: Any, name: str) -> Any:
    """Check ``value`` against a type of the dataclasses above; lists become tuples."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _coerce_union(value, args, kind, name)
    if origin is Literal:
        if value not in args:
            raise UsageError(
                f"{name}: {value!r} is not one of {', '.join(map(str, args))}"
                + nearest(str(value), map(str, args))
            )
        return value
    if origin is tuple:
        if args[-1] is Ellipsis and isinstance(value, int | float):
            value = (value,)  # a list of one
        if not isinstance(value, list | tuple):
            raise UsageError(f"{name}: {value!r} is not a list")
        if args[-1] is not Ellipsis and len(value) != len(args):
            raise UsageError(f"{name}: {len(value)} values, {len(args)} are needed")
        kinds = [args[0]] * len(value) if args[-1] is Ellipsis else list(args)
        return tuple(
            _coerce(item, item_kind, f"{name}[{i}]")
            for i, (item, item_kind) in enumerate(zip(value, kinds, strict=True))
        )
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is int and isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)  # 1e6
    if isinstance(value, float) and math.isnan(value):
        raise UsageError(f"{name}: nan is not a number")
    if not isinstance(kind, type):
        if isinstance(value, Mapping):
            return dict(value)
        raise UsageError(f"{name}: {value!r} is not a table")
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise UsageError(f"{name}: {value!r} is not of type {kind.__name__}")
    return value


def _coerce_union(value: Any, args: tuple[Any, ...], kind: Any, name: str) -> Any:
    if type(None) in args and (value is None or value == "none"):
        return None
    for choice in args:
        try:
            return _coerce(value, choice, name)
        except UsageError:
            continue
    raise UsageError(f"{name}: {value!r} is not of type {kind}")


def option_paths() -> dict[str, Any]:
    """Every option as ``section.field`` with its type, those of all algorithms together."""
    paths: dict[str, Any] = {}
    for section in dataclasses.fields(TrainConfig):
        if section.name == "phases":
            continue  # their names are the preset's: options.py reads them
        kind = typing.get_type_hints(TrainConfig)[section.name]
        for cls in typing.get_args(kind) or (kind,):
            for name, field_kind in typing.get_type_hints(cls).items():
                paths[f"{section.name}.{name}"] = field_kind
    paths["algorithm.name"] = str
    return paths


@dataclass(frozen=True)
class Layer:
    """What one preset says by itself.

    Attributes:
        options: overrides, as ``from_dict`` takes them.
        variants: further overrides by the name of what has to be chosen for them to count: a
            social mechanism, an algorithm, or a name of the preset's own.
        reproduces: the publication whose experiment it is; empty if none.
        deviations: where it is not as published, and why: by option (``section.field``, with
            ``variant: `` before it where it is one of a variant) or by what differs otherwise.
    """

    options: Mapping[str, Any]
    variants: Mapping[str, Mapping[str, Any]]
    reproduces: str = ""
    deviations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Preset:
    """A named configuration.

    Attributes:
        name: what it is called on the command line and in the name of the run directory.
        description: one line.
        config: the resolved configuration.
        layers: the presets that it is made of, the most basic one first.
    """

    name: str
    description: str
    config: TrainConfig
    layers: tuple[Layer, ...] = ()

    def variants(self) -> list[str]:
        """Names of all variants."""
        return sorted({name for layer in self.layers for name in layer.variants})

    @property
    def reproduces(self) -> str:
        """The publication whose experiment it is; empty if it is nobody's."""
        return self.layers[-1].reproduces if self.layers else ""

    def deviations(self) -> dict[str, str]:
        """Where it is not as published, and why; those of its bases count, unless set to ""."""
        if not self.reproduces:
            return {}
        found: dict[str, str] = {}
        for layer in self.layers:
            found |= layer.deviations
        return {name: reason for name, reason in found.items() if reason}

    def combination(self, names: Sequence[str], config: TrainConfig) -> str:
        """Which values count where several mechanisms are combined; empty for fewer than two.

        Args:
            names: of mechanisms or variants, as given to ``choose``.
            config: the configuration in force, with further options or without.
        """
        if len(names) < 2:
            return ""
        algorithm = config.algorithm.name
        owners: dict[str, str] = {}  # who has the last word, as in ``choose``; "": none of them
        declared = PPOConfig.name
        for layer in self.layers:
            declared = _entry(layer.options, "algorithm", "name", declared)
            own = layer.variants.get(algorithm, {})
            several = [(name, layer.variants.get(name, {})) for name in names]
            for name, table in [("", layer.options), ("", own), *several]:
                for option in _leaves(table):
                    counts = declared == algorithm or table is own
                    if counts or not option.startswith("algorithm."):
                        owners[option] = name
        chosen, in_force = to_dict(self.choose(algorithm, names)), to_dict(config)
        by_owner: dict[str, list[str]] = {}
        for option, name in sorted(owners.items()):
            value = _at(in_force, option)
            if name and option != "social.mechanisms" and value == _at(chosen, option):
                by_owner.setdefault(name, []).append(f"{option} {value}")
        mechanisms = {one for name in names for one in _mechanisms(name, self.layers)}
        tuned = [
            variant
            for variant in self.variants()
            if variant not in names and variant not in (*MECHANISMS, *ALGORITHMS)
            and set(_mechanisms(variant, self.layers)) == mechanisms
        ]  # fmt: skip
        text = "; ".join(f"{', '.join(values)} from {who}" for who, values in by_owner.items())
        hint = f"; tuned together: --social {' or '.join(tuned)}" if tuned else ""
        return (
            f"social {','.join(names)}: values tuned for single mechanisms, not for this "
            f"combination: {text or 'none; the defaults count'}{hint}"
        )

    def choose(
        self, algorithm: str | None = None, social: Sequence[str] | None = None
    ) -> TrainConfig:
        """The configuration with another algorithm or other social mechanisms.

        Layer by layer, the options count first and then those variants that have been chosen.
        Options of an algorithm count only where that algorithm is the one chosen.

        Args:
            algorithm: one of ``ALGORITHMS``; the preset's own by default.
            social: mechanisms, or variants that stand for some (``moa-baseline``); the preset's
                own by default.

        Raises:
            UsageError: there is no such algorithm or mechanism, or some exclude each other.
        """
        layers = self.layers or (Layer(to_dict(self.config), {}),)
        chosen = algorithm_name(
            _last(layers, "algorithm", "name", PPOConfig.name) if algorithm is None else algorithm
        )
        wanted = _last(layers, "social", "mechanisms", ()) if social is None else social
        if not isinstance(wanted, list | tuple):
            raise UsageError(f"social.mechanisms: {wanted!r} is not a list")
        names = [str(name) for name in wanted]
        data: dict[str, Any] = {}
        declared = PPOConfig.name
        for layer in layers:
            declared = _entry(layer.options, "algorithm", "name", declared)
            tables = [layer.options, *(layer.variants[n] for n in names if n in layer.variants)]
            if declared != chosen:
                tables = [{k: v for k, v in table.items() if k != "algorithm"} for table in tables]
            if chosen in layer.variants:
                tables.insert(1, layer.variants[chosen])
            for table in tables:
                data = _merged(data, table)
        mechanisms = [one for name in names for one in _mechanisms(name, layers)]
        data = _merged(data, {
            "algorithm": {"name": chosen},
            "social": {"mechanisms": list(dict.fromkeys(mechanisms))},
        })  # fmt: skip
        return from_dict(data, TrainConfig(algorithm=ALGORITHMS[chosen]()))


def _mechanisms(name: str, layers: Sequence[Layer]) -> list[str]:
    """What a name given as a social mechanism stands for: itself, or what its variant says."""
    stands_for = {one: [one] for one in MECHANISMS}
    for layer in layers:
        for variant, table in layer.variants.items():
            own = _entry(table, "social", "mechanisms", None)
            if own is not None:
                stands_for[variant] = list(own)
    if name not in stands_for:
        raise UsageError(
            f"social.mechanisms: {name!r} is not one of {', '.join(stands_for)}"
            + nearest(name, stands_for)
        )
    return stands_for[name]


def _leaves(table: Mapping[str, Any], prefix: str = "") -> list[str]:
    """``section.field`` of everything in a table of overrides."""
    found = []
    for key, value in table.items():
        inner = _leaves(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [prefix + key]
        found += inner
    return found


def _at(table: Mapping[str, Any], path: str) -> Any:
    """What nested tables hold at ``section.field``."""
    found: Any = table
    for key in path.split("."):
        found = found[key]
    return found


def _last(layers: Sequence[Layer], section: str, name: str, default: Any) -> Any:
    """What the last layer that says anything of an option says."""
    for layer in layers:
        default = _entry(layer.options, section, name, default)
    return default


def _entry(options: Mapping[str, Any], section: str, name: str, default: Any) -> Any:
    table = options.get(section)
    return table.get(name, default) if isinstance(table, Mapping) else default


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Tables merged at every depth; anything else is replaced."""
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            value = _merged(old, value)  # noqa: PLW2901
        result[key] = value
    return result


def preset_names() -> list[str]:
    """Names of the presets that come with the package."""
    folder = importlib.resources.files("socialgrid") / "experiments"
    return sorted(
        entry.name.removesuffix(".toml")
        for entry in folder.iterdir()
        if entry.name.endswith(".toml")
    )


def load_preset(name: str, _seen: tuple[str, ...] = ()) -> Preset:
    """Read a preset of the package, or a file of one's own (``.toml``, or a run's ``.json``).

    A preset holds overrides only: of another preset named by ``base``, or of the defaults. Its
    ``variants`` are tables of further overrides, ``[variants.influence.social]`` and so on: see
    ``Preset.choose``. ``reproduces`` names a publication, ``deviations`` what differs from it.

    Raises:
        UsageError: no such preset, a file that cannot be read, or a bad option in it.
    """
    if name in _seen:
        raise UsageError(f"preset {name}: its chain of bases returns to itself")
    if name.endswith((".toml", ".json")):
        path = user_path(name)
        try:
            if not path.is_file():
                raise UsageError(f"{name}: no such file")
            text = read_preset(path)
        except OSError as error:
            raise UsageError(told(error, name)) from None
        except UnicodeDecodeError as error:
            raise UsageError(f"{name}: {error}") from None
        title = path.parent.name if path.name == "config.json" else path.stem
    elif name in preset_names():
        entry = importlib.resources.files("socialgrid") / "experiments" / f"{name}.toml"
        text, title = entry.read_text(encoding="utf-8"), name
    else:
        raise UsageError(
            f"unknown preset {name!r}{nearest(name, preset_names())}; "
            "socialgrid-train --list shows all"
        )
    try:
        data = json.loads(text) if name.endswith(".json") else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name}: {error}") from None
    if not isinstance(data, dict):
        raise UsageError(f"{name}: not a table of options")
    data = without_integrity(data)
    base_name, description = data.pop("base", None), data.pop("description", "")
    if not isinstance(description, str) or not isinstance(base_name, str | None):
        raise UsageError(f"{name}: base and description must be text")
    base = load_preset(base_name, (*_seen, name)).layers if base_name else ()
    try:
        layers = (*base, _layer(data))
        bare = Preset(title, description, TrainConfig(), layers)
        for variant in layers[-1].variants:
            if variant in ALGORITHMS:
                bare.choose(algorithm=variant)
            else:
                bare.choose(social=[variant])
        return dataclasses.replace(bare, config=bare.choose())
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from None


def _layer(data: dict[str, Any]) -> Layer:
    variants = data.pop("variants", {})
    reproduces, deviations = data.pop("reproduces", ""), data.pop("deviations", {})
    if not isinstance(reproduces, str):
        raise UsageError(f"reproduces: {reproduces!r} is not text")
    if not isinstance(deviations, dict) or not all(isinstance(v, str) for v in deviations.values()):
        raise UsageError('deviations: must be a table of reasons, as in "algorithm.gamma" = "..."')
    if not isinstance(variants, dict) or not all(isinstance(v, dict) for v in variants.values()):
        raise UsageError("variants: must hold tables of options, as in [variants.moa.social]")
    for section, table in data.items():
        if not isinstance(table, Mapping):
            raise UsageError(f"{section}: {table!r} is not a table")
    return Layer(data, variants, reproduces, deviations)
