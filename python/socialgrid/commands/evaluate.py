"""socialgrid-eval: a run's agents without learning: with experts, alone, in other worlds.

``matrix`` lets agents of several runs meet, ``record`` keeps what an agent sees and does.
"""

# ruff: noqa: PLC0415 (what only some commands need, or an extra brings, is imported on use)
from __future__ import annotations

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
from socialgrid.config.run_files import user_path
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
    found = []
    for name in map(user_path, runs):
        results = evaluate(name, options, extra, imports)
        found.append((name, results))
        print(f"{name}\n{reports.report(results)}")
        if not (options.json and len(runs) > 1):
            default = reports.results_path(name, options, extra)
            path = user_path(options.json) if options.json else default
            reports.write_json(path, reports.results(name, options, extra, results))
            print(f"written to {path}")
    together = reports.report_runs(found)
    if together:
        print(together)
    if options.json and len(runs) > 1:
        each = [reports.results(name, options, extra, one) for name, one in found]
        across = reports.results_of_runs(found)
        reports.write_json(user_path(options.json), {"runs": each, "over_runs": across})
        print(f"written to {options.json}")
    return 0


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
    """Evaluate the newest checkpoint of a run.

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
