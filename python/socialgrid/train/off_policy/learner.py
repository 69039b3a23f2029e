"""From a configuration to the learner of an off-policy run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from socialgrid.algos.off_policy.mixed import MixedLearner
from socialgrid.algos.off_policy.off_policy_learner import OffPolicyLearner
from socialgrid.algos.options import OffPolicyConfig
from socialgrid.config import ALGORITHMS, TrainConfig, UsageError, about, load_config
from socialgrid.lookup import find_code
from socialgrid.models.task_spec import TaskSpec
from socialgrid.train import checkpoint

AnyOffPolicyLearner = OffPolicyLearner | MixedLearner


def build_off_policy_learner(
    config: TrainConfig,
    spec: TaskSpec,
    device: torch.device,
    dump_dir: Path | None = None,
    *,
    begun: bool = False,
) -> AnyOffPolicyLearner:
    """Make the learner of all agents of all groups, with the weights they begin with.

    Args:
        config: of the run.
        spec: of the agents' tasks; its ``num_agents`` are a whole number of groups.
        device: where networks live and updates happen.
        dump_dir: where to write a batch that made something non-finite.
        begun: the run has weights of its own; those of other runs are not looked at.

    Raises:
        UsageError: an algorithm does not fit the task, rates do not fit the agents, or weights do
            not fit the networks.
    """
    roster, slots, algorithms = config.roster, config.roster.slots, config.roster.algorithms
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
            source = roster.players[slots[agent % len(slots)]].source
            if source is not None and not begun:
                adopt_off_policy(learner, position, *source)
        parts.append((learner, agents))
    whole = parts[0][0] if len(parts) == 1 else MixedLearner(parts)
    whole.set_learning(roster.trained)
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
    slots = config.roster.slots
    member = slots.index(slot)
    name = config.roster.algorithms[member]
    settings = _settings(config, name, [member], len(slots))
    try:
        return _learner_class(name, spec)(
            spec, settings, model=config.network, seed=config.run.seed, device=device,
            agent_ids=[slot],
        )  # fmt: skip
    except ValueError as error:
        raise UsageError(f"{name}: {error}") from None


def _learner_class(name: str, spec: TaskSpec) -> type[OffPolicyLearner]:
    """The learner of an algorithm; some have one for each kind of actions."""
    config = ALGORITHMS[name]
    assert issubclass(config, OffPolicyConfig), "off-policy by its name"
    discrete = "" if spec.continuous else config.discrete_learner
    learner: type[OffPolicyLearner] = find_code(discrete or config.learner)
    return learner


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


def adopt_off_policy(
    learner: OffPolicyLearner,
    position: int,
    run: Path,
    slot: int | None,
    weights: Mapping[str, Tensor] | None = None,
) -> None:
    """Give one agent of a learner the networks of an agent of another run's first group.

    Tensors of the run's learner are those of its newest checkpoint, unless given.
    """
    config = load_config(run)
    slot = config.roster.network(run, slot)
    algorithms, member = config.roster.algorithms, config.roster.slots.index(slot)
    name = algorithms[member]
    if name != learner.algorithm:
        raise UsageError(f"{run}: its player {slot} learnt by {name}, not {learner.algorithm}")
    kinds = list(dict.fromkeys(algorithms))
    prefix = f"part{kinds.index(name)}/" if len(kinds) > 1 else ""
    stored = checkpoint.load_weights(run)[0].weights if weights is None else weights
    own = {key.removeprefix(prefix): x for key, x in stored.items() if key.startswith(prefix)}
    index = algorithms[:member].count(name)
    tensors = checkpoint.adopted(learner.tensors(), position, own, index, run)
    learner.load_tensors(tensors)
