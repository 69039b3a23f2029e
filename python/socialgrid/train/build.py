"""From a configuration to the things that run: players, environments, learners, device."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import socialgrid
from socialgrid._core import usable_cores
from socialgrid.algos.off_policy.dqn import DQN
from socialgrid.algos.off_policy.mixed import MixedLearner
from socialgrid.algos.off_policy.off_policy_learner import OffPolicyLearner
from socialgrid.algos.off_policy.recurrent_dqn import RecurrentDQN
from socialgrid.algos.off_policy.sac import SAC, DiscreteSAC
from socialgrid.algos.off_policy.td3 import TD3
from socialgrid.algos.off_policy_config import OffPolicyConfig
from socialgrid.algos.on_policy.a3c import A3C
from socialgrid.algos.on_policy.ppo import PPO
from socialgrid.algos.options import A3CConfig, PPOConfig
from socialgrid.config import ALGORITHMS, RunConfig, TrainConfig, load_config, run_files
from socialgrid.config.course import Course
from socialgrid.config.errors import UsageError, about
from socialgrid.config.run_files import user_path
from socialgrid.data.rollout import Rollout
from socialgrid.models import ViewSpec
from socialgrid.models.task_spec import TaskSpec
from socialgrid.train import checkpoint
from socialgrid.train.worlds import Phase, Worlds, num_solo_envs

AnyLearner = PPO | A3C
AnyOffPolicyLearner = OffPolicyLearner | MixedLearner

_OFF_POLICY: dict[str, type[OffPolicyLearner]] = {
    "dqn": DQN,
    "recurrent-dqn": RecurrentDQN,
    "sac": SAC,
    "td3": TD3,
}


@dataclass(frozen=True)
class PlayerSpec:
    """Who plays in one slot.

    Attributes:
        kind: "learner", "frozen", "novice" (frozen as it was born), or the name of a scripted
            player.
        source: run directory that its first weights come from, and the agent's slot there.
        begun: whether the run that it plays in has a checkpoint; then its weights are there, and
            the source is not looked at.
    """

    kind: str
    source: tuple[Path, int | None] | None = None
    begun: bool = False

    @property
    def scripted(self) -> str | None:
        """Name of the scripted player; ``None`` for agents of the learner."""
        return None if self.kind in ("learner", "frozen", "novice") else self.kind


def parse_player(text: str) -> PlayerSpec:
    """Read one entry of ``players.kinds``; runs that it names are not looked at.

    Raises:
        UsageError: its slot or error rate is not a number.
    """
    kind, colon, rest = text.partition(":")
    if kind in ("learner", "novice") and not colon:
        return PlayerSpec(kind)
    if kind not in ("learner", "checkpoint"):
        if colon:
            try:
                float(rest)
            except ValueError:
                raise UsageError(
                    f"player {text!r}: what follows the colon is an error rate"
                ) from None
        if kind == "frozen":
            raise UsageError(f"player {text!r}: frozen as which run has it? checkpoint:RUN#SLOT")
        return PlayerSpec(text)
    if rest.partition("#")[0] == "":
        raise UsageError(f"player {text!r}: of which run? {kind}:RUN or {kind}:RUN#SLOT")
    source = _source(rest)
    if source is None:
        slot = rest.rpartition("#")[2]
        raise UsageError(f"player {text!r}: {slot!r} after # is not the number of a slot")
    return PlayerSpec("learner" if kind == "learner" else "frozen", source)


def _source(text: str) -> tuple[Path, int | None] | None:
    """``RUN`` or ``RUN#SLOT``; a run whose own name has a # in it is one that is there."""
    run, hash_mark, slot = text.rpartition("#")
    if not hash_mark or user_path(text).is_dir():
        return user_path(text), None
    return (user_path(run), int(slot)) if slot.isdecimal() and len(slot) < 10 else None


def parse_players(config: TrainConfig, run_dir: Path | None = None) -> tuple[PlayerSpec, ...]:
    """Read all of ``players.kinds``.

    Args:
        config: of the run.
        run_dir: of the run, which may have begun.

    Raises:
        UsageError: an entry is wrong, or nobody learns.
    """
    begun = run_dir is not None and bool(checkpoint.found(run_dir / "checkpoints"))
    players = tuple(
        dataclasses.replace(parse_player(text), begun=begun) for text in config.players.kinds
    )
    if not any(player.kind in ("learner", "frozen") for player in players):
        raise UsageError(f"players.kinds: nobody in {', '.join(config.players.kinds)} learns")
    return players


def learner_slots(players: Sequence[PlayerSpec]) -> tuple[int, ...]:
    """Slots whose agents have networks, frozen ones included."""
    return tuple(slot for slot, player in enumerate(players) if player.scripted is None)


def agent_names(config: TrainConfig) -> list[str]:
    """What each agent is called in tables and curves."""
    return [f"agent{slot} {kind}" for slot, kind in enumerate(config.players.kinds)]


def peer_names(config: TrainConfig) -> list[str]:
    """What each agent of an off-policy run is called, group after group."""
    word = "peer" if config.advised else "agent"
    kinds, groups = member_names(config), config.peers.groups
    return [
        (f"group{group} " if groups > 1 else "") + f"{word}{place} {kinds[place]}"
        for group in range(groups)
        for place in config.players.owners()
    ]


def member_names(config: TrainConfig) -> list[str]:
    """What the members of a group are; where they learn by several algorithms, by which."""
    names = list(config.players.kinds)
    if len(set(config.peers.algorithms)) > 1:
        for place, name in zip(config.players.owners(), config.peers.algorithms, strict=True):
            names[place] += f" ({name})"
    return names


def phase_at(config: TrainConfig, players: Sequence[PlayerSpec], episodes: int) -> Phase:
    """What the schedules say after some episodes."""
    options = dict(config.env.options)
    schedules = config.schedule.game_options()
    whole = _integer_options(config.env.game) if schedules else set()
    for name, schedule in schedules.items():
        value = schedule.at(episodes)
        options[name] = int(value) if name in whole and value.is_integer() else value
    if config.players.hide_from_learners:
        given = options.get("hide", [])
        everybody = given if any(isinstance(item, str) for item in given) else None
        options["hide"] = [
            list(everybody if everybody is not None else (given[slot] if given else []))
            + (list(config.players.hide_from_learners) if _is_novice(player) else [])
            for slot, player in enumerate(players)
        ]
    solo = num_solo_envs(config.schedule.solo().at(episodes), config.env.num_envs)
    return Phase(options, solo)


def _integer_options(game: str) -> set[str]:
    try:
        return {option.name for option in socialgrid.game_options(game) if option.type == "int"}
    except ValueError as error:
        raise UsageError(str(error)) from None


def _is_novice(player: PlayerSpec) -> bool:
    return player.kind == "learner" and player.source is None


def build_worlds(
    config: TrainConfig,
    players: Sequence[PlayerSpec],
    phase: Phase,
    seed: int,
    first_env: int = 0,
) -> Worlds:
    """Make the environments and scripted players of a run, or of a share of it.

    Raises:
        UsageError: the game or a player refuses its options.
    """
    try:
        return Worlds(
            config.env.game,
            config.env.num_envs,
            [player.scripted for player in players],
            phase,
            seed=seed,
            num_threads=config.env.num_threads,
            obs_mode=config.obs_mode,
            double_buffer=config.env.double_buffer,
            absent=[slot for slot, player in enumerate(players) if player.kind != "learner"],
            first_env=first_env,
        )
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(about(config.env.game, error)) from None


def build_learner(
    config: TrainConfig,
    players: Sequence[PlayerSpec],
    env: Any,
    device: torch.device,
    dump_dir: Path | None = None,
) -> AnyLearner:
    """Make the learner of all agents that have networks, with the weights they begin with.

    Raises:
        UsageError: the network does not fit the views, the social mechanisms do not fit the
            agents, or weights do not fit the network.
    """
    slots = learner_slots(players)
    try:
        spec = ViewSpec.of(env, slots)
    except ValueError as error:
        raise UsageError(str(error)) from None
    learner = learner_of(config, spec, slots, device, dump_dir)
    for position, slot in enumerate(slots):
        source = players[slot].source
        if source is not None and not players[slot].begun:
            _adopt(learner, position, *source)
    learner.set_learning([players[slot].kind == "learner" for slot in slots])
    return learner


def learner_of(
    config: TrainConfig,
    spec: ViewSpec,
    agent_ids: Sequence[int],
    device: torch.device,
    dump_dir: Path | None = None,
) -> AnyLearner:
    """Make the on-policy learner of the agents of ``spec``, newly born.

    Raises:
        UsageError: the network or the social mechanisms do not fit.
    """
    common: dict[str, Any] = {
        "seed": config.run.seed,
        "device": device,
        "agent_ids": agent_ids,
        "social": config.social,
        "dump_dir": dump_dir,
    }
    try:
        if isinstance(config.algorithm, A3CConfig):
            return A3C(spec, config.network, config.algorithm, **common)
        assert isinstance(config.algorithm, PPOConfig), "off-policy learners are built below"
        return PPO(spec, config.network, config.algorithm, **common)
    except ValueError as error:
        raise UsageError(str(error)) from None


def set_options(learner: AnyLearner, config: TrainConfig) -> None:
    """Let a learner go on with the numbers of a phase.

    Raises:
        ValueError: the number of learning rates is not that of its agents.
    """
    if isinstance(learner, A3C):
        assert isinstance(config.algorithm, A3CConfig), "phases keep the algorithm"
        learner.set_options(config.algorithm, config.social)
    else:
        assert isinstance(config.algorithm, PPOConfig), "phases keep the algorithm"
        learner.set_options(config.algorithm, config.social)


def check_phases(learner: AnyLearner, course: Course, players: Sequence[PlayerSpec]) -> None:
    """Try the numbers of all phases of a run on, those of the first one last.

    Raises:
        UsageError: some do not fit the agents or the game.
    """
    if len(course.configs) < 2 and course.name is None:
        return
    for config in course.configs[::-1]:
        try:
            set_options(learner, config)
        except ValueError as error:
            raise UsageError(str(error)) from None
        phase_at(config, players, 0)


def build_off_policy_learner(
    config: TrainConfig,
    players: Sequence[PlayerSpec],
    spec: TaskSpec,
    device: torch.device,
    dump_dir: Path | None = None,
) -> AnyOffPolicyLearner:
    """Make the learner of all agents of all groups, with the weights they begin with.

    Args:
        config: of the run.
        players: members of a group, or players of a world.
        spec: of the agents' tasks; its ``num_agents`` are a whole number of groups.
        device: where networks live and updates happen.
        dump_dir: where to write a batch that made something non-finite.

    Raises:
        UsageError: an algorithm does not fit the task, rates do not fit the agents, or weights do
            not fit the networks.
    """
    slots = learner_slots(players)
    algorithms = _algorithms(config)
    parts: list[tuple[OffPolicyLearner, list[int]]] = []
    for name in dict.fromkeys(algorithms):
        agents = [a for a in range(spec.num_agents) if algorithms[a % len(slots)] == name]
        try:
            learner = _learner_class(name, spec)(
                dataclasses.replace(spec, num_agents=len(agents)),
                _settings(config, name, [a % len(slots) for a in agents], len(slots)),
                num_envs=config.env.num_envs,
                model=config.network,
                seed=config.run.seed,
                device=device,
                agent_ids=agents,
                dump_dir=dump_dir,
            )
        except ValueError as error:
            raise UsageError(about(name, error)) from None
        for position, agent in enumerate(agents):
            player = players[slots[agent % len(slots)]]
            if player.source is not None and not player.begun:
                adopt_off_policy(learner, position, *player.source)
        parts.append((learner, agents))
    whole = parts[0][0] if len(parts) == 1 else MixedLearner(parts)
    whole.set_learning(
        [players[slots[a % len(slots)]].kind == "learner" for a in range(spec.num_agents)]
    )
    return whole


def lone_learner(
    config: TrainConfig, slot: int, spec: TaskSpec, device: torch.device
) -> OffPolicyLearner:
    """Make the learner of one agent of an off-policy run by itself, newly born.

    Args:
        config: of the run.
        slot: the agent's place in its group or world; it has a network.
        spec: of its task, for one agent.
        device: where its networks live.

    Raises:
        UsageError: the algorithm does not fit the task.
    """
    slots = learner_slots(parse_players(config))
    member = slots.index(slot)
    name = _algorithms(config)[member]
    settings = _settings(config, name, [member], len(slots))
    try:
        return _learner_class(name, spec)(
            spec, settings, model=config.network, seed=config.run.seed, device=device,
            agent_ids=[slot],
        )  # fmt: skip
    except ValueError as error:
        raise UsageError(f"{name}: {error}") from None


def network_of(config: TrainConfig, run: Path, slot: int | None) -> int:
    """Which agent of a run RUN#K or RUN means: K, or the first that learnt there.

    Where nobody learnt, the first that has a network.

    Raises:
        UsageError: the agent has no network.
    """
    players = parse_players(config)
    slots = learner_slots(players)
    if slot is None:
        return next((s for s in slots if players[s].kind == "learner"), slots[0])
    if slot not in slots:
        raise UsageError(f"{run}: agent {slot} has no network; those of {list(slots)} have")
    return slot


def _learner_class(name: str, spec: TaskSpec) -> type[OffPolicyLearner]:
    """The learner of an algorithm; soft actor-critic has one for each kind of actions."""
    if name == "sac" and not spec.continuous:
        return DiscreteSAC
    return _OFF_POLICY[name]


def _algorithms(config: TrainConfig) -> tuple[str, ...]:
    """Algorithm of each member that has networks."""
    return config.peers.algorithms or (config.algorithm.name,) * len(config.players.owners())


def _settings(
    config: TrainConfig, name: str, members: Sequence[int], num_members: int
) -> OffPolicyConfig:
    """Hyper-parameters of those agents of all groups that learn by one algorithm.

    Args:
        config: of the run.
        name: of the algorithm.
        members: which of a group's members with networks each agent is.
        num_members: how many a group has.

    Raises:
        UsageError: the number of learning rates is not that of the members.
    """
    own = config.algorithm
    assert isinstance(own, OffPolicyConfig), "the configuration has checked that"
    rates = own.learning_rate
    if isinstance(rates, tuple):
        if len(rates) not in (1, num_members):
            raise UsageError(
                f"algorithm.learning_rate: {len(rates)} rates for {num_members} players with "
                "networks; give one for all or one for each"
            )
        rates = tuple(rates[member % len(rates)] for member in members)
    if name == own.name:
        return dataclasses.replace(own, learning_rate=rates)
    common = {field.name: getattr(own, field.name) for field in dataclasses.fields(OffPolicyConfig)}
    fresh = ALGORITHMS[name](**{**common, "learning_rate": rates})
    assert isinstance(fresh, OffPolicyConfig), "off-policy by its name"
    return fresh


def adopt_off_policy(learner: OffPolicyLearner, position: int, run: Path, slot: int | None) -> None:
    """Give one agent of a learner the networks of an agent of another run's first group."""
    config = load_config(run)
    slots = learner_slots(parse_players(config))
    slot = network_of(config, run, slot)
    algorithms, member = _algorithms(config), slots.index(slot)
    name = algorithms[member]
    if name != learner.algorithm:
        raise UsageError(f"{run}: its player {slot} learnt by {name}, not {learner.algorithm}")
    kinds = list(dict.fromkeys(algorithms))
    prefix = f"part{kinds.index(name)}/" if len(kinds) > 1 else ""
    stored, _ = load_weights(run)
    weights = {
        key.removeprefix(prefix): x for key, x in stored.weights.items() if key.startswith(prefix)
    }
    index = algorithms[:member].count(name)
    learner.load_tensors(adopted(learner.tensors(), position, weights, index, run))


def has_several_agents(game: str) -> bool:
    """Whether several agents can meet in a world of a game.

    Raises:
        UsageError: there is no such game.
    """
    try:
        options = {option.name: option for option in socialgrid.game_options(game)}
    except ValueError as error:
        raise UsageError(str(error)) from None
    highest = options["num_agents"].high
    return highest is None or highest > 1


def with_num_envs(config: TrainConfig, num_envs: int) -> TrainConfig:
    """The same run with another number of environments."""
    return dataclasses.replace(config, env=dataclasses.replace(config.env, num_envs=num_envs))


def build_rollout(
    num_steps: int, slots: Sequence[int], worlds: Worlds, learner: AnyLearner
) -> Rollout:
    """Allocate the storage of one batch of ``num_steps`` steps of all environments."""
    env = worlds.env
    return Rollout(
        num_steps,
        worlds.num_envs,
        env.num_agents,
        env.obs_shape,
        state_size=learner.state_size,
        agents=slots,
        obs_dtype=env.obs_dtype.name,
        events=len(env.event_names),
        channels=learner.channels,
        pin=learner.device.type == "cuda",
        device=learner.device,
    )


def _adopt(learner: AnyLearner, position: int, run: Path, slot: int | None) -> None:
    """Give one agent of a learner the networks of an agent of another run."""
    config = load_config(run)
    slots = learner_slots(parse_players(config))
    slot = network_of(config, run, slot)
    place = learner.channels.slots[position]
    if place != slot and {"visible-actions", "influence", "comm", "moa"} & {
        *config.social.mechanisms,
        *learner.social.mechanisms,
    }:
        raise UsageError(
            f"{run}: its agent {slot} cannot play as agent {place}: whom it hears, leads or models "
            f"goes by place; give it place {slot}"
        )
    stored, _ = load_weights(run)
    tensors = adopted(learner.tensors(), position, stored.weights, slots.index(slot), run)
    learner.load_tensors(tensors)


def adopted(
    own: dict[str, Tensor], position: int, other: Mapping[str, Tensor], index: int, run: Path
) -> dict[str, Tensor]:
    """Replace the networks of agent ``position`` by those of agent ``index`` of ``other``.

    Raises:
        UsageError: the networks differ.
    """
    for name, tensor in own.items():
        if name.startswith("model/"):
            there = other.get(name)
            if (
                there is None
                or there.shape[1:] != tensor.shape[1:]
                or there.dtype != tensor.dtype
                or len(there) <= index
            ):
                raise UsageError(
                    f"{run}: its network differs from this run's in {name.removeprefix('model/')}; "
                    "sizes, view and actions must agree"
                )
            tensor[position] = there[index]
    return own


def load_weights(run: Path) -> tuple[checkpoint.Checkpoint, list[str]]:
    """The newest whole checkpoint of a run.

    Returns:
        it, and a complaint for each newer one that was refused.

    Raises:
        UsageError: there is none, or none is whole and of the run's configuration.
    """
    _, identity = run_files.read_config(run)
    _, stored, complaints = checkpoint.load_newest(run / "checkpoints", identity)
    return stored, complaints


def prepare_torch(run: RunConfig) -> None:
    """Set what a run says of how torch computes."""
    threads = run.threads or min(torch.get_num_threads(), usable_cores())
    if threads != torch.get_num_threads():
        torch.set_num_threads(threads)
    torch.set_float32_matmul_precision(run.matmul_precision)


def choose_device(name: str) -> torch.device:
    """Device by name; "auto" takes cuda, then mps, then cpu.

    Raises:
        UsageError: this machine does not have it.
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(kind for kind, here in available.items() if here))
    if not available[name]:
        here = ", ".join(kind for kind, yes in available.items() if yes)
        raise UsageError(f"run.device: {name} is not available on this machine ({here})")
    return torch.device(name)
