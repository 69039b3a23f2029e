"""socialgrid-plot: curves of runs, arms and tables of experiments, and Schelling diagrams."""

# ruff: noqa: PLC0415 (what only some commands need, or an extra brings, is imported on use)
from __future__ import annotations

from dataclasses import dataclass

from socialgrid.commands import comparing, in_worlds
from socialgrid.commands.named_runs import picture_of
from socialgrid.commands.words import need_extras, split_words, take_imports
from socialgrid.config.errors import UsageError
from socialgrid.config.imports import import_modules
from socialgrid.config.run_files import user_path
from socialgrid.config.words import parse
from socialgrid.report.advice import draw_peers
from socialgrid.report.curves import draw_curves
from socialgrid.report.figures import need_matplotlib, read_references
from socialgrid.report.runs import RunCurves


@dataclass(frozen=True)
class PlotOptions:
    """What to draw. Over many runs: socialgrid-plot arms, table, correlation or groups; in several
    worlds: worlds or bars; what a game pays: schelling; numbers: csv (each with --help)."""

    out: str = ""
    """The picture (.png, .pdf, .svg); curves.png in the (first) run's directory by default."""
    reference: str = ""
    """Collective returns, or those of evaluations, to draw beside: a CSV file (steps, then one
    column a curve) or a JSON file ({"label": level} or {"label":
    [[steps, value], ...]})."""
    predictions: bool = False
    """Also draw predictions.png: views, and the views the network expects after each action."""
    peers: bool = False
    """Also draw peers.png of each run: who followed whom, trust, agent values. A run by itself
    always gets it where there was advice."""
    seed: int = 0
    """Seed of the episode whose views are drawn."""

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise UsageError(f"seed: {self.seed} is out of range, must be at least 0")


def main(prog: str, words: list[str]) -> int:
    """``socialgrid-plot [LABEL=]RUN... | arms | table | worlds | bars | ...``.

    Returns the exit code.
    """
    need_extras()
    words, imports = take_imports(words)
    import_modules(imports)
    if words[:1] == ["schelling"]:
        from socialgrid.commands import schelling

        return schelling.main(words[1:])
    commands = {**comparing.COMMANDS, **in_worlds.COMMANDS}
    if words and words[0] in commands:
        return commands[words[0]](prog, words[1:])
    names, rest = split_words(words)
    options = parse(PlotOptions, rest, f"{prog} [LABEL=]RUN...")
    if not names:
        raise UsageError("which run? socialgrid-plot [LABEL=]RUN... [--options]")
    need_matplotlib()
    runs = RunCurves.all_named(names)
    references = read_references(user_path(options.reference)) if options.reference else []
    print(draw_curves(runs, picture_of(runs, options.out, "curves.png"), references))
    if options.predictions:
        from socialgrid.commands.predictions import draw_predictions

        for run in runs:
            print(draw_predictions(run.run_dir, options.seed))
    for run in runs:
        if options.peers or (len(runs) == 1 and run.advised()):
            print(draw_peers(run, run.run_dir / "peers.png"))
    return 0
