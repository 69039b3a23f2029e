"""Which of the processes this one is that a launcher such as torchrun has started for one run.

Nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from socialgrid.algos.options import CloningConfig, OnPolicyConfig
from socialgrid.config.errors import UsageError
from socialgrid.config.schema import TrainConfig

SILENCE = 600
"""Seconds that processes wait for each other before they take another one for lost."""
_SILENCE = "SOCIALGRID_SILENCE"
_LAUNCH = "torchrun --nproc-per-node {} --no-python socialgrid-train ..."


@dataclass(frozen=True)
class Place:
    """One of the processes of a run.

    Attributes:
        rank: its number; 0 leads.
        size: how many there are.
        on_machine: its number among those of its machine.
        neighbours: how many of them are on its machine.
        silence: seconds that the others are waited for.
    """

    rank: int = 0
    size: int = 1
    on_machine: int = 0
    neighbours: int = 1
    silence: int = SILENCE

    @property
    def speaks(self) -> bool:
        """Whether it tells what all processes of its machine find wrong alike."""
        return self.on_machine == 0


def place_in(environment: Mapping[str, str]) -> Place:
    """The place that a launcher's variables say.

    Args:
        environment: of the process; ``RANK`` and ``WORLD_SIZE``, and ``LOCAL_RANK`` and
            ``LOCAL_WORLD_SIZE`` where there are several machines; ``SOCIALGRID_SILENCE``.

    Raises:
        UsageError: a variable is no such number.
    """
    if "RANK" not in environment or "WORLD_SIZE" not in environment:
        return Place()
    size = _number(environment, "WORLD_SIZE", 1, None)
    rank = _number(environment, "RANK", 0, size)
    neighbours = _number(environment, "LOCAL_WORLD_SIZE", 1, size + 1, size)
    on_machine = _number(environment, "LOCAL_RANK", 0, neighbours, rank)
    silence = _number(environment, _SILENCE, 1, None, SILENCE)
    return Place(rank, size, on_machine, neighbours, silence)


def _number(
    environment: Mapping[str, str], name: str, low: int, end: int | None, otherwise: int = 0
) -> int:
    text = environment.get(name, str(otherwise))
    if not text.isdecimal() or int(text) < low or (end is not None and int(text) >= end):
        wanted = f"{low} or more" if end is None else f"from {low} to {end - 1}"
        raise UsageError(f"{name}={text} in the environment: must be {wanted}")
    return int(text)


def check_launch(config: TrainConfig, size: int) -> None:
    """Whether so many processes can train a run together.

    Raises:
        UsageError: they cannot; it says how many can.
    """
    if size == 1:
        return
    algorithm = config.algorithm
    if not isinstance(algorithm, OnPolicyConfig):
        raise UsageError(
            f"{size} processes: {algorithm.name} trains in one; ppo, a3c and behaviour-cloning "
            "can share a run"
        )
    if algorithm.workers > 1:
        raise UsageError(
            f"{size} processes: algorithm.workers {algorithm.workers} are processes already; "
            "--workers 1 lets the launcher's share the run, which wait for each other"
        )
    if isinstance(algorithm, CloningConfig) and algorithm.trajectories:
        raise UsageError(f"{size} processes: algorithm.trajectories are learnt from in one")
    shards = algorithm.shards_of(config.env.num_envs, config.env.rollout_steps)
    possible = [n for n in (1 << k for k in range(shards.bit_length())) if shards % n == 0]
    if size not in possible:
        listed = ", ".join(map(str, possible))
        raise UsageError(
            f"{size} processes cannot share {shards} shards (--algorithm.shards) by whole "
            f"branches; {listed} can: {_LAUNCH.format(possible[-1])}"
        )
    each = config.env.num_envs // size
    if config.env.double_buffer and each < 2:
        raise UsageError(
            f"{size} processes: each has one environment of env.num_envs {config.env.num_envs}, "
            "which env.double_buffer cannot halve"
        )
