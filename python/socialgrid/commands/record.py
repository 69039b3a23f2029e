"""socialgrid-eval record: what an agent sees and does, in a file for others to imitate."""

# ruff: noqa: PLC0415 (what only some commands need, or an extra brings, is imported on use)
from __future__ import annotations

from socialgrid.commands.words import join_lists, split_words, take_imports, take_pairs
from socialgrid.config import check_imports, load_config, load_preset
from socialgrid.config.errors import UsageError
from socialgrid.config.evaluation import RecordOptions
from socialgrid.config.imports import import_modules
from socialgrid.config.outputs import write_output
from socialgrid.config.run_files import user_path
from socialgrid.config.words import parse


def main(prog: str, words: list[str]) -> int:
    """``socialgrid-eval record PRESET | RUN --out FILE [--options]``. Returns the exit code."""
    names, rest = split_words(words)
    rest, extra = take_pairs(rest)
    rest, imports = take_imports(rest)
    import_modules(imports)
    usage = f"{prog} record PRESET | RUN"
    options = parse(RecordOptions, join_lists(rest, ("players",)), usage)
    if len(names) != 1:
        raise UsageError(f"what to play? {usage} --out FILE [--options]")
    if not options.out:
        raise UsageError("out: where to? --out FILE.npz")
    from socialgrid.train import record

    run_dir = user_path(names[0])
    if run_dir.is_dir():
        config = load_config(run_dir)
        check_imports(config, run_dir, imports)
        found = record(config, run_dir, options, extra)
    else:
        found = record(load_preset(names[0]).config, None, options, extra)
    path = user_path(options.out)
    write_output(path, found.to_bytes())
    print(
        f"{found.about['player']}: {int(found.done.sum()):,} episodes, "
        f"{int(found.active.sum()):,} steps of agent {found.about['agent']} in "
        f"{found.about['game']} with {', '.join(found.about['players'])}\nwritten to {path}"
    )
    return 0
