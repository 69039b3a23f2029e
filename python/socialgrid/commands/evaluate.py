"""socialgrid-eval: a run's agents without learning: with experts, alone, in other worlds.

``matrix`` lets agents of several runs meet, ``record`` keeps what an agent sees and does.
"""

# ruff: noqa: PLC0415 (what only some commands need, or an extra brings, is imported on use)
from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from socialgrid.commands.words import (
    join_lists,
    need_extras,
    split_words,
    take_imports,
    take_pairs,
)
from socialgrid.config import check_imports, load_config
from socialgrid.config.errors import UsageError
from socialgrid.config.evaluation import EvalOptions, MatrixOptions, evaluation_config
from socialgrid.config.imports import import_modules
from socialgrid.config.run_files import runs_in, user_path
from socialgrid.config.words import parse
from socialgrid.report import evaluation as reports
from socialgrid.report.evaluation import Evaluation
from socialgrid.report.matrix import leave_matrix, matrix_table


def main(prog: str, words: list[str]) -> int:
    """``socialgrid-eval RUN... | matrix RUN... | record PRESET | RUN``. Returns the exit code."""
    need_extras()
    if words[:1] == ["matrix"]:
        return _evaluate_matrix(prog, words[1:])
    if words[:1] == ["record"]:
        from socialgrid.commands import record

        return record.main(prog, words[1:])
    runs, rest = split_words(words)
    rest, extra = take_pairs(rest)
    rest, imports = take_imports(rest)
    import_modules(imports)
    options = parse(EvalOptions, join_lists(rest, ("seeds", "players")), f"{prog} RUN...")
    if not runs:
        raise UsageError(
            "which run? socialgrid-eval RUN... | matrix RUN... | record RUN [--options]"
        )
    each: list[Mapping[str, Any]] = []
    found: list[tuple[Path, Evaluation]] = []
    paths = [run for name in runs for run in runs_in(user_path(name))]
    asked = [(run, one) for run in paths for one in _of_checkpoints(run, options)]
    for run, one in asked:
        results = evaluate(run, one, extra, imports)
        results = dataclasses.replace(results, step=_step(run, one))
        found.append((run, results))
        each.append(reports.results(run, one, extra, results))
        of = "".join(f", checkpoint of step {step:,}" for step in one.steps())
        print(f"{run}{of}\n{reports.report(results)}")
        if not (options.json and len(asked) > 1):
            default = reports.results_path(run, one, extra)
            path = user_path(options.json) if options.json else default
            reports.write_json(path, each[-1])
            print(f"written to {path}")
    across: list[dict[str, Any]] = []
    if len(asked) == len(paths):  # of each run one checkpoint: they can be put together
        together = reports.report_runs(found)
        print(together, end="\n" if together else "")
        across = reports.results_of_runs(found)
    if options.json and len(asked) > 1:
        reports.write_json(user_path(options.json), {"runs": each, "over_runs": across})
        print(f"written to {options.json}")
    return 0


def _step(run: Path, options: EvalOptions) -> int | None:
    """Of the checkpoint that is evaluated."""
    from socialgrid.train.checkpoint import steps_of

    steps = options.steps() or steps_of(run)
    return steps[-1] if steps else None


def _of_checkpoints(run: Path, options: EvalOptions) -> list[EvalOptions]:
    """The same for each checkpoint that is asked for."""
    if options.checkpoint == "newest":
        return [options]
    from socialgrid.train.checkpoint import steps_of

    steps = options.steps() or steps_of(run)
    if not steps:
        raise UsageError(f"{run}: no checkpoint there")
    return [dataclasses.replace(options, checkpoint=str(step)) for step in steps]


def _evaluate_matrix(prog: str, words: list[str]) -> int:
    runs, rest = split_words(words)
    rest, extra = take_pairs(rest)
    rest, imports = take_imports(rest)
    import_modules(imports)
    options = parse(MatrixOptions, join_lists(rest, ("seeds", "players")), f"{prog} matrix RUN...")
    if len(runs) < 2:
        raise UsageError("which runs? socialgrid-eval matrix RUN RUN... [--options]")
    from socialgrid.commands.matrix import play_matrix

    found = play_matrix([user_path(name) for name in runs], options, extra)
    print(matrix_table(found))
    for path in leave_matrix(found, options, extra):
        print(f"written to {path}")
    return 0


def evaluate(
    run_dir: Path, options: EvalOptions, extra: Mapping[str, Any], imports: Sequence[str] = ()
) -> Evaluation:
    """Evaluate a checkpoint of a run: the newest one, or that of a step.

    Args:
        run_dir: of the run.
        options: what to evaluate in.
        extra: game options given on the command line.
        imports: modules that the run's record may name.

    Raises:
        UsageError: not a run, a bad world or player, agents that do not fit, no whole checkpoint,
            or tasks whose code nobody allowed.
    """
    run = load_config(run_dir)
    config = evaluation_config(run, options, extra)
    check_imports(config, run_dir, [*imports, options.game])
    from socialgrid.train.regime import regime_of

    return regime_of(config).evaluate(run_dir, run, config, options, extra)
