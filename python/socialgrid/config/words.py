"""From the words of a command line to a configuration.

Options are those of ``TrainConfig``, ``--section.field``, and those of the mechanisms chosen,
``--moa.coef``. The section may be left out wherever one section in use has such a field
(``--seed``, ``--curriculum``; where a mechanism and the rest have it, the rest is meant).
``--players``, ``--algorithm``, ``--env`` and ``--set`` are short for ``--players.kinds``,
``--algorithm.name``, ``--env.game`` and ``--env.options``, ``--social`` and ``--aux`` choose
mechanisms by name, and ``--peers N`` is short for N learners in ``--players.kinds``. Lists may be
written with commas; ``none`` is a list of nothing. An option of something that is not chosen, or
that counts for nothing beside the others, is refused.
"""

# ruff: noqa: PLC0415 (what only some commands need, or an extra brings, is imported on use)
from __future__ import annotations

import contextlib
import dataclasses
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from socialgrid.algos.options import ALGORITHMS
from socialgrid.config.errors import UsageError, closest
from socialgrid.config.help import choices, game_options, option_of_game
from socialgrid.config.maps import with_game_options
from socialgrid.config.overrides import field_types, merged, only, owners_of, to_dict
from socialgrid.config.overruled import (
    GAME,
    check_bounds,
    check_hidden,
    check_overruled,
    told_of_overruled,
)
from socialgrid.config.presets import Preset
from socialgrid.config.reading import from_dict
from socialgrid.config.renamed import ELSEWHERE, RENAMED
from socialgrid.config.schema import TrainConfig
from socialgrid.config.spelling import (
    is_option,
    read_pair,
    spelled_values,
    take,
    take_phases,
    with_whole_numbers,
)
from socialgrid.social.roles import Chosen

T = TypeVar("T")

_SHORT = {
    "players": "players.kinds",
    "algorithm": "algorithm.name",
    "env": "env.game",
    "set": "env.options",
}
_OPTION_OF_TABLE = {path: short for short, path in _SHORT.items()}
_CHOOSERS = ("social", "aux")
_OF_FILES = ("phases", "closing.conditions", "closing.reference")
_OF_TYRO = {  # what it says of values that do not fit, and what a user is told
    r"^Error parsing \w+: ": "",
    r"^Error parsing (\S+): invalid literal for int\(\) with base 10: (.*)": (
        r"\1: \2 is no whole number"
    ),
    r"^Error parsing (\S+): could not convert string to float: (.*)": r"\1: \2 is no number",
    r"^Error parsing (\S+): no type matching .* instantiated from \[(.*)\]\.?": (
        r"\1: \2 is nothing that it takes; --help says what that is"
    ),
    r"^invalid choice (.*) for argument '(\S+)'\. Expected one of \((.*)\)\.?": (
        r"\2: \1 is not one of \3"
    ),
    r"^Error parsing (\S+): Could not find valid parse for arguments: \[(.*)\]\.?": (
        r"\1: \2 is nothing that it takes; --help says what that is"
    ),
    r"^Missing value for argument '(\S+)'\..*": r"\1: its value is missing",
}
_BOX = re.compile(r"[\u2500-\u257f]+")


def paths_of(config: TrainConfig) -> dict[str, Any]:
    """Options that a configuration has, with their types: of its algorithm, of its mechanisms."""
    paths: dict[str, Any] = {}
    for section in (one.name for one in dataclasses.fields(config)):
        value = getattr(config, section)
        if dataclasses.is_dataclass(value) and not isinstance(value, Chosen):
            kinds = field_types(type(value))
            paths |= {f"{section}.{name}": kind for name, kind in kinds.items()}
    for mechanism in (*config.social, *config.aux):
        kinds = field_types(type(mechanism))
        paths |= {f"{mechanism.name}.{name}": kind for name, kind in kinds.items()}
    return paths


def short_names(config: TrainConfig | None = None) -> dict[str, str]:
    """What may be written for what: ``{"seed": "run.seed", ...}``.

    Args:
        config: whose options; those of the defaults if absent.
    """
    config = config or TrainConfig()
    chosen = {*config.social.names, *config.aux.names}
    found: dict[str, str] = {}
    for own in (False, True):  # of mechanisms last: they yield to all others
        names: dict[str, list[str]] = {}
        for path in paths_of(config):
            section, _, leaf = path.rpartition(".")
            if (section in chosen) == own:
                names.setdefault(leaf, []).append(path)
        unique = {leaf: paths[0] for leaf, paths in names.items() if len(paths) == 1}
        found = {**unique, **found} if own else unique
        if not own:
            taken = set(names)
        else:
            found = {k: v for k, v in found.items() if k not in taken or v not in unique.values()}
    return {**found, **_SHORT}


def parse_train(words: Sequence[str], preset: Preset, prog: str) -> TrainConfig:
    """Apply command line options to a preset.

    The algorithm and the mechanisms are chosen first: they bring the preset's variants. All other
    options win over those. Options of the preset's game count for that game only.

    Raises:
        UsageError: an option that does not exist or that nothing uses, or a value that does not
            fit.
        SystemExit: code 0, after ``--help``.
    """
    words, chosen = _choose(words)
    config = preset.choose(*(chosen[name] for name in ("algorithm", *_CHOOSERS)))
    words, tables = _expand(words, config)
    bare = dataclasses.replace(
        config,
        env=dataclasses.replace(config.env, options={}),
        schedule=dataclasses.replace(config.schedule, options={}),
        phases={},
        closing=dataclasses.replace(config.closing, conditions={}, reference={}),
    )
    if {"-h", "--help"} & set(words):
        print(choices(config))
    try:
        parsed = _parse_sections(words, prog, bare)
    except SystemExit:  # after help
        print(game_options(config.env))
        raise
    same = parsed["env"]["game"] == config.env.game
    if same and "hide" not in tables["env.options"]:
        check_hidden(config, parsed["players"]["kinds"])
    parsed["env"]["options"] = with_game_options(
        config.env.options if same else {}, tables["env.options"]
    )
    for name in ("conditions", "reference"):
        parsed["closing"][name] = to_dict(config)["closing"][name]
    parsed["phases"] = _phases(config, tables["phases"])
    parsed["schedule"]["options"] = {
        **(config.schedule.options if same else {}),
        **{key: str(value) for key, value in tables["schedule.options"].items()},
    }
    config = from_dict(parsed, TrainConfig(algorithm=type(config.algorithm)()))
    config.check_members()
    config.check_maps()
    _check_use(words, config)
    check_overruled(_given(words, tables), config)
    return config


def combination(words: Sequence[str], preset: Preset, config: TrainConfig) -> str:
    """What there is to say of a command line and what came of it: what ``Preset.combination`` says
    of the mechanisms that it names, and which of its options do not count all the time.
    """
    rest, chosen = _choose(words)
    said = (
        preset.combination(chosen["social"] or [], config),
        told_of_overruled(_given(*_expand(rest, config)), config),
    )
    return "\n".join(filter(None, said))


def _choose(words: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """Take ``--algorithm``, ``--social`` and ``--aux`` out of a command line.

    Returns:
        the other words, and names by option; ``None`` where an option is absent.
    """
    found: dict[str, Any] = {}
    words, long = take(words, "--algorithm.name")
    words, algorithm = take(words, "--algorithm")
    algorithm = long if algorithm is None else algorithm
    if algorithm is not None and len(algorithm) != 1:
        raise UsageError(f"--algorithm: exactly one of {', '.join(ALGORITHMS)} is needed")
    found["algorithm"] = None if algorithm is None else algorithm[0]
    for option in _CHOOSERS:
        words, names = take(words, f"--{option}")
        if names is not None:
            names = [part for name in names for part in name.split(",") if part]
            if not names:
                raise UsageError(f"--{option}: none, or names with commas between them")
        found[option] = [] if names == ["none"] else names
    return words, found


def _parse_sections(words: Sequence[str], prog: str, bare: TrainConfig) -> dict[str, Any]:
    """Parse options into nested tables; those of mechanisms are sections of their own here."""
    fields: list[Any] = []
    for one in dataclasses.fields(bare):
        value = getattr(bare, one.name)
        if not isinstance(value, Chosen) and dataclasses.is_dataclass(value):
            fields.append((one.name, type(value), dataclasses.field(default=value)))
    places = {}
    for section in _CHOOSERS:
        for mechanism in getattr(bare, section):
            name = mechanism.name.replace("-", "_")
            places[name] = (section, mechanism.name)
            fields.append((name, type(mechanism), dataclasses.field(default=mechanism)))
    kind = dataclasses.make_dataclass("Options", fields, frozen=True)
    kind.__doc__ = "What can be set for what is chosen."
    known = to_dict(parse(kind, words, prog, config=bare))
    parsed = {name: table for name, table in known.items() if name not in places}
    for section in _CHOOSERS:
        parsed[section] = {
            mechanism: known[name] for name, (own, mechanism) in places.items() if own == section
        }
    return parsed


def _given(words: Sequence[str], tables: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Paths of options among words that are written out, and of options of the game."""
    found = [f"{GAME}.{name}" for name in tables[GAME]]
    for word in filter(is_option, words):
        section, _, leaf = word[2:].partition("=")[0].replace("-", "_").rpartition(".")
        found.append(f"{section}.{leaf.removeprefix('no_')}")
    return found


def _check_use(words: Sequence[str], config: TrainConfig) -> None:
    """Refuse options that count for nothing beside the others.

    Presets may hold them for when they count; whoever writes them means them.
    """
    unused = _unused(config)
    for phase in config.phases:  # what counts in any of them counts
        there = _unused(config.in_phase(phase))
        unused = {option: why for option, why in unused.items() if option in there}
    given = {}
    for word in filter(is_option, words):
        section, _, leaf = word[2:].partition("=")[0].replace("-", "_").partition(".")
        given[f"{section}.{leaf.removeprefix('no_')}"] = word.partition("=")[0]
    unused |= config.regime.unused_there(config, given)
    for option, why in unused.items():
        if named := given.get(option.replace("-", "_")):
            raise UsageError(f"{named}: {why}")


def _unused(config: TrainConfig) -> dict[str, str]:
    """Options that count for nothing beside the others, and why."""
    found = dict(config.regime.unused(config))
    for mechanism in (*config.social, *config.aux):
        found |= {f"{mechanism.name}.{name}": why for name, why in mechanism.unused().items()}
    return found


def parse(
    kind: type[T],
    words: Sequence[str],
    prog: str,
    default: T | None = None,
    config: TrainConfig | None = None,
    game: str = "",
) -> T:
    """Parse with tyro, errors as one line.

    Args:
        kind: a dataclass.
        words: of the command line.
        prog: name of the command.
        default: values of options that are not given.
        config: whose options they are, if they are those of a run.
        game: whose options are taken for ``--set`` besides.

    Raises:
        UsageError: an option that does not exist or a value that does not fit.
        SystemExit: code 0, after ``--help``.
    """
    import tyro

    messages = io.StringIO()
    try:
        with contextlib.redirect_stderr(messages):
            result, unknown = tyro.cli(
                kind,
                prog=prog,
                args=with_whole_numbers(words, _kinds(kind, config)),
                default=kind() if default is None else default,
                return_unknown_args=True,
                config=(tyro.conf.AvoidSubcommands,),
            )
    except UsageError:
        raise
    except ValueError as error:
        raise UsageError(str(error)) from None
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        raise UsageError(_one_line(messages.getvalue())) from None
    if unknown:
        said = option_of_game(unknown[0], config.env.game if config else game, config is not None)
        raise UsageError(said or _unknown(unknown[0], kind, prog, config))
    return result


def _unknown(word: str, kind: type, prog: str, config: TrainConfig | None) -> str:
    """What to say of a word that nothing knows."""
    option = word.partition("=")[0]
    path = option.removeprefix("--").replace("-", "_")
    option_of_run = config is not None and word.startswith("--")
    if option_of_run and config is not None and (said := _elsewhere(option, path, config)):
        return said
    kinds = _kinds(kind, config)
    known = [f"--{name}" for name in kinds]
    if config is not None:
        known += [f"--{name}" for name in (*short_names(config), *_CHOOSERS, "peers")]
    alike = [one for one in kinds if one.rpartition(".")[2] == path]
    if len(alike) > 1:
        return f"{option}: which one? " + ", ".join(f"--{one}" for one in alike)
    names = [name.replace("_", "-") for name in known]
    meant = f"--{ELSEWHERE.get(path, '').replace('_', '-')}"
    match = meant if meant in names else closest(option.replace("_", "-"), names)
    hint = f" (did you mean {match}?)" if match else f"; {prog} --help shows all"
    what = "unknown option" if word.startswith("-") else "unexpected word"
    return f"{what} {word!r}{hint}"


def _elsewhere(option: str, path: str, config: TrainConfig) -> str:
    """Where an option is that this configuration does not have; empty if nowhere."""
    leaf = path.removeprefix("algorithm.").removeprefix("no_")
    if path == "resume":
        return "--resume comes first, without a preset: socialgrid-train --resume RUN"
    if owners := owners_of(leaf):
        return f"{option}: only {only(owners)} it"
    for old, new in RENAMED.items():
        if path in (old, old.rpartition(".")[2]):
            return f"{option} has another name now: --{new.replace('_', '-')}"
    section, _, leaf = path.rpartition(".")
    leaf = leaf.removeprefix("no_")
    for chooser, kind in (("social", type(config.social)), ("aux", type(config.aux))):
        having = []
        for name, options in kind.all().items():
            if leaf in field_types(options) and section in ("", name.replace("-", "_")):
                having.append(name)
        if having and not set(having) & {*config.social.names, *config.aux.names}:
            return (
                f"{option}: only {only(having)} it, which is not chosen here "
                f"(--{chooser} {having[0]})"
            )
    return ""


def _kinds(kind: type, config: TrainConfig | None = None) -> dict[str, Any]:
    """Names of options, and their types."""
    return field_types(kind) if config is None else paths_of(config)


def _one_line(box: str) -> str:
    """The message inside tyro's box, without the advice below it."""
    lines = [_BOX.sub(" ", line).strip().strip("|").strip() for line in box.splitlines()]
    text: list[str] = []
    for line in lines[1:]:
        if (not line or set(line) == {"-"} or line.startswith("Argument helptext")) and text:
            break
        text += [line] if line and set(line) != {"-"} else []
    message = " ".join(text) or "bad command line"
    for found, told in _OF_TYRO.items():
        message = re.sub(found, told, message)
    return message


def _expand(
    words: Sequence[str], config: TrainConfig
) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """Write short names out, split lists at commas, and take out the ``key=value`` tables."""
    short = short_names(config)
    paths = {path.replace("-", "_"): kind for path, kind in paths_of(config).items()}
    out: list[str] = []
    tables: dict[str, dict[str, Any]] = {"env.options": {}, "schedule.options": {}, "phases": {}}
    words, tables["phases"] = take_phases(words)
    current: str | None = None
    peers: list[str] | None = None  # what stands behind --peers
    for word in words:
        value = word
        if is_option(word):
            name, equals, value = word[2:].partition("=")
            name = name.replace("-", "_").removeprefix("social.").removeprefix("aux.")
            negated = name.startswith("no_") and name[3:] in short
            current = short.get(name[3:] if negated else name, name).replace("-", "_")
            if current in _OF_FILES:
                raise UsageError(f"--{current}: tables are written in a preset's file")
            section, _, leaf = current.rpartition(".")
            if current == "peers":
                peers = []
            elif current not in tables:
                spelled = f"{section}.{'no_' if negated else ''}{leaf}".lstrip(".")
                out.append(f"--{spelled.replace('_', '-')}" if current in paths else word)
            if not equals or current not in (*tables, *paths, "peers"):
                continue
        if current in tables:
            tables[current].update([read_pair(value, _OPTION_OF_TABLE.get(current, current))])
        elif current == "peers" and peers is not None:
            peers.append(value)
        else:
            out += spelled_values(value, current, paths.get(current or ""))
    if peers is not None:
        if len(peers) != 1 or not peers[0].isdecimal() or int(peers[0]) < 1:
            raise UsageError(f"--peers: {' '.join(peers)!r} is not a number of learners")
        out += ["--players.kinds", *["learner"] * int(peers[0])]
    return out, tables


def _phases(config: TrainConfig, given: Mapping[str, Any]) -> dict[str, Any]:
    """The phases of a configuration with what a command line says of them.

    Raises:
        UsageError: there is no such phase, or a path is not one of an option.
    """
    plan: dict[str, Any] = to_dict(config)["phases"]
    over: dict[str, Any] = {}
    names = {name.replace("-", "_"): name for name in plan}
    for path, value in given.items():
        name, *keys = path.split(".")
        if name.replace("-", "_") not in names:
            known = f"its phases are {', '.join(plan)}" if plan else "this run has no phases"
            raise UsageError(f"--phases.{path}: {known}")
        name = names[name.replace("-", "_")]
        table = over.setdefault(name, {})
        *sections, option = keys or [""]
        if sections and not isinstance({**plan[name], **table}.get(sections[0]), dict):
            raise UsageError(
                f"--phases.{path}: {sections[0]!r} is not one of algorithm, social, aux, options"
            )
        depth = 2 if sections[:1] in (["social"], ["aux"]) else 1
        if not option or (sections and len(sections) != depth):
            raise UsageError(
                f"--phases.{path}: is not --phases.NAME.OPTION, --phases.NAME.algorithm.OPTION or "
                "--phases.NAME.social.MECHANISM.OPTION"
            )
        for section in sections:
            table = table.setdefault(section, {})
        table[option] = value
    plan = merged(plan, over)
    check_bounds(plan, over)
    return plan
