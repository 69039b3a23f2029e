"""A command in one of the processes that a launcher has started for it."""

# ruff: noqa: PLC0415 (what only some commands need is imported on use)
from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from socialgrid.commands.ending import complain
from socialgrid.config import TrainConfig
from socialgrid.config.errors import UsageError, lacking, told
from socialgrid.config.launch import Place

if TYPE_CHECKING:
    from socialgrid.algos.ranks import Ranks


def in_ranks(prog: str, config: TrainConfig, place: Place, work: Callable[[Ranks], int]) -> int:
    """Do something together with the other processes; if one fails, all end, and one of them says
    why.

    Args:
        prog: the command.
        config: of the run.
        place: of this process.
        work: what to do; it returns the exit code.

    Raises:
        UsageError: the processes cannot join.
    """
    from socialgrid.algos.ranks import ALONE, LostRankError

    if place.size == 1:
        return work(ALONE)
    from socialgrid.train.ranks import open_ranks

    ranks = open_ranks(config, place)
    try:
        return work(ranks)
    except LostRankError as lost:
        if lost.tells:
            complain(prog, f"{lost}: stopped before the run began")
        return 1
    except (UsageError, OSError, MemoryError, UnicodeError, RecursionError) as error:
        text = told(error) if isinstance(error, OSError) else str(error) or type(error).__name__
        if ranks.tell(text):
            complain(prog, f"rank {place.rank}: {text}" if place.rank else text)
        return 2
    except BaseException as error:
        short = lacking(error) if isinstance(error, RuntimeError) else None
        first = ranks.tell(short or f"{type(error).__name__}: {error}")
        if short is None:
            raise
        if first:
            complain(prog, f"rank {place.rank}: {short}")
        return 2
