"""Options of a command line that count for less than they say, because phases or schedules of the
run have values of their own, or that belong to what the run has not. Nothing here needs torch.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from socialgrid.config.errors import UsageError
from socialgrid.config.phases import PhaseConfig
from socialgrid.config.schema import TrainConfig

GAME = "env.options"
_OF_BOUNDS = ("agent", "window")


def check_overruled(given: Iterable[str], config: TrainConfig) -> None:
    """Refuse options that no phase goes by.

    Args:
        given: on the command line, ``section.field``, ``MECHANISM.field`` or
            ``env.options.NAME``.
        config: what came of it.

    Raises:
        UsageError: all phases have values of their own.
    """
    for path in given:
        own = _of_phases(path, config)
        if own and len(own) == len(config.phases):
            raise UsageError(f"{_spelt(path)}: all phases have their own: {_listed(own)}")


def told_of_overruled(given: Iterable[str], config: TrainConfig) -> str:
    """What there is to say of options that only some phases go by, or that schedules change; a
    line each. Arguments as of ``check_overruled``.
    """
    lines = []
    for path in dict.fromkeys(given):
        if own := _of_phases(path, config):
            lines.append(f"{_spelt(path)}: these phases keep their own: {_listed(own)}")
        schedule = config.schedule.options.get(path.removeprefix(f"{GAME}."))
        if path.startswith(f"{GAME}.") and schedule is not None:
            name = path.removeprefix(f"{GAME}.")
            lines.append(
                f"{_spelt(path)}: for evaluations only; in training a schedule says what it is: "
                f"--schedule.options {name}={schedule}"
            )
    return "\n".join(lines)


def _of_phases(path: str, config: TrainConfig) -> dict[str, Any]:
    """What phases have to say of an option themselves, by what changes it."""
    section, _, leaf = path.rpartition(".")
    found = {}
    for name, phase in config.phases.items():
        where, table = _table(section, phase, config)
        if leaf in table:
            found[f"--phases.{name}.{where}.{leaf}"] = table[leaf]
    return found


def _table(section: str, phase: PhaseConfig, config: TrainConfig) -> tuple[str, Mapping[str, Any]]:
    """Where in a phase options of a section are, and which are there."""
    if section == GAME:
        return "options", phase.options
    if section == "algorithm":
        return section, phase.algorithm
    for where, chosen, tables in (
        ("social", config.social, phase.social),
        ("aux", config.aux, phase.aux),
    ):
        for name in chosen.names:
            if name.replace("-", "_") == section.replace("-", "_"):
                return f"{where}.{name}", tables.get(name, {})
    return section, {}


def _spelt(path: str) -> str:
    if path.startswith(f"{GAME}."):
        return f"--set {path.removeprefix(f'{GAME}.')}"
    return f"--{path.replace('_', '-')}"


def _listed(own: Mapping[str, Any]) -> str:
    def plain(value: Any) -> str:
        return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)

    return ", ".join(f"{option} {plain(value)}" for option, value in own.items())


def check_hidden(preset: TrainConfig, kinds: Sequence[str]) -> None:
    """Refuse other players where a preset, as the record of a run is one, says slot by slot what
    its own do not see.

    Raises:
        UsageError: it does, and they are others.
    """
    hide = preset.env.options.get("hide") or []
    by_slot = any(hide) and not any(isinstance(item, str) for item in hide)
    if by_slot and tuple(kinds) != preset.players.kinds:
        raise UsageError(
            f"players.kinds: env.options.hide {json.dumps(hide)} is of "
            f"{', '.join(preset.players.kinds)}; say what these do not see, as in --set "
            f"'hide={json.dumps([[] for _ in kinds])}'"
        )


def check_bounds(plan: Mapping[str, Any], over: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse numbers of a phase's bound where it has none.

    Args:
        plan: all phases.
        over: what the command line says of some.

    Raises:
        UsageError: there is such a number.
    """
    for name, table in over.items():
        for option in _OF_BOUNDS:
            if option in table and not plan[name]["metric"]:
                raise UsageError(
                    f"--phases.{name}.{option}: the phase has no bound that it could be of: "
                    "metric, and above or below"
                )
