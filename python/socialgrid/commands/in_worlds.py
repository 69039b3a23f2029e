"""socialgrid-plot worlds and bars: what agents come to in several worlds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from socialgrid.commands.named_runs import picture_of, take_runs
from socialgrid.commands.words import join_lists
from socialgrid.config.words import parse
from socialgrid.report.figures import need_matplotlib
from socialgrid.report.worlds import LEARNERS, bars_of, bars_table, draw_bars, draw_worlds


@dataclass(frozen=True)
class WorldsOptions:
    """Where to draw evaluations over training. Runs with the same LABEL are of one arm."""

    out: str = ""
    """The picture (.png, .pdf, .svg); worlds.png in the first run's directory by default."""


@dataclass(frozen=True)
class BarsOptions:
    """Which evaluations to draw. Runs with the same LABEL are of one arm."""

    worlds: tuple[str, ...] = ()
    """WORLD of files RUN/eval-WORLD.json, in this order; by default those that all runs have, but
    for checkpoints of single steps (WORLD-step-N)."""
    metric: str = LEARNERS
    """A number of these files' group: learners_return_alone, collective_return, ..."""
    out: str = ""
    """The picture (.png, .pdf, .svg); bars.png in the first run's directory by default."""


def worlds(prog: str, words: list[str]) -> int:
    """``socialgrid-plot worlds [LABEL=]RUN...``: evaluations while runs went on."""
    runs, rest = take_runs("worlds", words)
    options = parse(WorldsOptions, rest, f"{prog} worlds [LABEL=]RUN...")
    need_matplotlib()
    print(draw_worlds(runs, picture_of(runs, options.out, "worlds.png")))
    return 0


def bars(prog: str, words: list[str]) -> int:
    """``socialgrid-plot bars [LABEL=]RUN...``: arms beside each other in every world."""
    runs, rest = take_runs("bars", words)
    options = parse(BarsOptions, join_lists(rest, ("worlds",)), f"{prog} bars [LABEL=]RUN...")
    need_matplotlib()
    found = bars_of(runs, options.worlds, options.metric)
    print(bars_table(found, options.metric))
    print(draw_bars(found, picture_of(runs, options.out, "bars.png"), options.metric))
    return 0


COMMANDS: dict[str, Callable[[str, list[str]], int]] = {"worlds": worlds, "bars": bars}
"""By the word that names them."""
