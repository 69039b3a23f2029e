"""Dictionaries to configurations. Nothing here needs torch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from socialgrid.config import run_files
from socialgrid.config.errors import UsageError
from socialgrid.config.overrides import override, to_dict
from socialgrid.config.schema import TrainConfig


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
    return override(base or TrainConfig(), data)


_OF_ONE_RUN = (
    *("seed", "run_dir", "total_steps", "threads"),
    *("checkpoint_minutes", "keep_checkpoints"),
)


def group_key(config: TrainConfig) -> str:
    """What runs have in common that differ in nothing but the seed, their length, and what counts
    for no result: threads, and what they write.

    Independent groups are seeds as well: their number does not matter. On-policy learners draw
    the same numbers whether they are evaluated meanwhile or not.
    """
    data = to_dict(config)
    data.pop("logging")
    data["env"].pop("num_threads")
    data["players"].pop("groups")
    if not config.regime.grouped:
        data.pop("evaluation")
    data["mechanisms"] = [*config.social.names, *config.aux.names]
    data.pop("closing")
    for name in _OF_ONE_RUN:
        data["run"].pop(name)
    return json.dumps(data, sort_keys=True)


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


def load_config(run: Path) -> TrainConfig:
    """Read the configuration of a run directory.

    Raises:
        UsageError: it is no run directory, of an older format, or its configuration is damaged.
    """
    data, _ = run_files.read_config(run)
    try:
        return from_dict(data)
    except UsageError as error:
        raise UsageError(f"{run / run_files.CONFIG}: {error}") from None
