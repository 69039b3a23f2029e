"""From the words of a command line to a configuration.

Options are those of ``TrainConfig``, ``--section.field``; the section may be left out wherever
only one section has such a field (``--seed``, ``--aux``; ``lectr`` does not count and is always
written out); ``--players``, ``--social``,
``--algorithm``, ``--env`` and ``--set`` are short for ``--players.kinds``,
``--social.mechanisms``, ``--algorithm.name``, ``--env.game`` and ``--env.options``, and
``--peers N`` for N learners in ``--players.kinds``. Lists may be written with commas; ``none`` is
a list of nothing.
"""

# ruff: noqa: PLC0415 (what only some commands need, or an extra brings, is imported on use)
from __future__ import annotations

import contextlib
import dataclasses
import io
import re
import tomllib
import typing
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeVar

from socialgrid.algos.options import ALGORITHMS
from socialgrid.config.errors import UsageError, closest
from socialgrid.config.overrides import field_types, option_paths, owners_of, to_dict
from socialgrid.config.presets import Preset
from socialgrid.config.reading import from_dict
from socialgrid.config.schema import TrainConfig

T = TypeVar("T")

_SHORT = {
    "players": "players.kinds",
    "social": "social.mechanisms",
    "algorithm": "algorithm.name",
    "env": "env.game",
    "set": "env.options",
}
_OF_FILES = ("phases", "closing.conditions", "closing.reference")
_OF_GROUPS = ("groups", "algorithms")  # of section peers, with or without advice
_OF_ASKING = ("explore_when_advised", "peers_explore", "epoch_steps")  # whatever advice it is
_OF_CHOICE = {"epsilon": "greedy", "temperature": "boltzmann", "temperature_decay": "boltzmann"}
_OF_TRUST = ("trust_rate", "initial_trust", "trust_buffer", "trust_samples")
_BOX = re.compile(r"[\u2500-\u257f]+")


def short_names() -> dict[str, str]:
    """What may be written for what: ``{"seed": "run.seed", ...}``."""
    names: dict[str, list[str]] = {}
    for path in option_paths(TrainConfig):
        section, _, leaf = path.rpartition(".")
        if section != "lectr":  # it repeats names of algorithms' options
            names.setdefault(leaf, []).append(path)
    unique = {leaf: paths[0] for leaf, paths in names.items() if len(paths) == 1}
    return {**unique, **_SHORT}


def parse_train(words: Sequence[str], preset: Preset, prog: str) -> TrainConfig:
    """Apply command line options to a preset.

    The algorithm and the social mechanisms are chosen first: they bring the preset's variants.
    All other options win over those. Options of the preset's game count for that game only.

    Raises:
        UsageError: an option that does not exist or a value that does not fit.
        SystemExit: code 0, after ``--help``.
    """
    words, tables = _expand(words)
    words, algorithm = _take(words, "--algorithm.name")
    words, social = _take(words, "--social.mechanisms")
    if algorithm is not None and len(algorithm) != 1:
        raise UsageError(f"--algorithm.name: exactly one of {', '.join(ALGORITHMS)} is needed")
    if social == []:
        raise UsageError("--social.mechanisms: none, or names with commas between them")
    config = preset.choose(
        None if algorithm is None else algorithm[0], [] if social == ["none"] else social
    )
    bare = dataclasses.replace(
        config,
        env=dataclasses.replace(config.env, options={}),
        schedule=dataclasses.replace(config.schedule, options={}),
        phases={},
        closing=dataclasses.replace(config.closing, conditions={}, reference={}),
    )
    parsed = to_dict(parse(TrainConfig, words, prog, default=bare))
    same = parsed["env"]["game"] == config.env.game
    parsed["env"]["options"] = {
        **(config.env.options if same else {}),
        **tables["env.options"],
    }
    for name in ("conditions", "reference"):
        parsed["closing"][name] = to_dict(config)["closing"][name]
    parsed["phases"] = _phases(config, tables["phases"])
    parsed["schedule"]["options"] = {
        **(config.schedule.options if same else {}),
        **{key: str(value) for key, value in tables["schedule.options"].items()},
    }
    config = from_dict(parsed)
    config.check_members()
    _check_use(words, config)
    return config


def combination(words: Sequence[str], preset: Preset, config: TrainConfig) -> str:
    """What ``Preset.combination`` says of the mechanisms that a command line names."""
    _, social = _take(_expand(words)[0], "--social.mechanisms")
    return preset.combination(social or [], config)


def _check_use(words: Sequence[str], config: TrainConfig) -> None:
    """Refuse options of advice that nobody would give.

    Presets may hold them for when advice is chosen; whoever writes them means them.
    """
    lectr = "lectr" in config.social.mechanisms
    for word in filter(_is_option, words):
        section, _, leaf = word[2:].replace("-", "_").partition(".")
        leaf = leaf.removeprefix("no_")
        if section == "lectr" and not lectr:
            raise UsageError(f"{word}: it needs --social lectr")
        if section != "peers" or leaf in _OF_GROUPS:
            continue
        if not config.advised:
            raise UsageError(f"{word}: nobody is advised; it needs --social peers")
        if lectr and leaf not in _OF_ASKING:
            raise UsageError(f"{word}: LeCTR has no use for it; --social peers has")
        choice, advice = config.peers.choice, config.peers.advice
        if leaf in _OF_CHOICE and choice != _OF_CHOICE[leaf]:
            raise UsageError(
                f"{word}: it counts where peers.choice is {_OF_CHOICE[leaf]}; here it is {choice}"
            )
        if leaf in _OF_TRUST and not {"trust", "agent-values"} & set(advice):
            raise UsageError(
                f"{word}: it counts where peers.advice has trust or agent-values; here it has "
                f"{', '.join(advice) or 'none of them'}"
            )
        if leaf == "normalise" and (choice == "others" or not advice):
            raise UsageError(
                f"{word}: it counts where peers.advice names terms; here nobody is weighed"
            )


def _take(words: Sequence[str], option: str) -> tuple[list[str], list[str] | None]:
    """Take an option and its values out of a command line; the last one counts."""
    rest: list[str] = []
    values: list[str] | None = None
    taking = False
    for word in words:
        if _is_option(word):
            taking = word == option
            if taking:
                values = []
                continue
        if taking and values is not None:
            values.append(word)
        else:
            rest.append(word)
    return rest, values


_POWER = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d{1,3}")
_MOST_DIGITS = 30  # of a whole number written as a power of ten


def whole_number(text: str) -> str:
    """``1e6`` as ``1000000``; anything else as it is."""
    if not _POWER.fullmatch(text):
        return text
    number = Decimal(text)
    if number.adjusted() > _MOST_DIGITS or number != number.to_integral_value():
        return text
    return str(int(number))


def _with_whole_numbers(words: Sequence[str], kinds: Mapping[str, Any]) -> list[str]:
    """Write powers of ten out behind options that take whole numbers."""
    wanted = {f"--{n.replace('_', '-')}" for n, kind in kinds.items() if _takes_whole(kind)}
    out: list[str] = []
    current = ""
    for word in words:
        if _is_option(word):
            current, equals, value = word.partition("=")
            whole = current.replace("_", "-") in wanted and equals
            out.append(f"{current}={whole_number(value)}" if whole else word)
        else:
            out.append(whole_number(word) if current.replace("_", "-") in wanted else word)
    return out


def _takes_whole(kind: Any) -> bool:
    parts = typing.get_args(kind)
    return kind is int or (bool(parts) and float not in parts and any(map(_takes_whole, parts)))


def parse(kind: type[T], words: Sequence[str], prog: str, default: T | None = None) -> T:
    """Parse with tyro, errors as one line.

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
                args=_with_whole_numbers(words, _kinds(kind)),
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
        option = unknown[0].removeprefix("--algorithm.").partition("=")[0].replace("-", "_")
        if kind is TrainConfig and (owners := owners_of(option)):
            raise UsageError(f"{unknown[0]}: only {', '.join(owners)} has it")
        known = [f"--{name}" for name in _fields(kind)]
        if kind is TrainConfig:
            known += [f"--{name}" for name in short_names()]
        alike = [path for path in _fields(kind) if path.rpartition(".")[2] == option.lstrip("_")]
        if len(alike) > 1:
            raise UsageError(f"{unknown[0]}: which one? " + ", ".join(f"--{p}" for p in alike))
        match = closest(unknown[0].replace("_", "-"), [name.replace("_", "-") for name in known])
        hint = f" (did you mean {match}?)" if match else f"; {prog} --help shows all"
        what = "unknown option" if unknown[0].startswith("-") else "unexpected word"
        raise UsageError(f"{what} {unknown[0]!r}{hint}")
    return result


def _fields(kind: type) -> list[str]:
    return list(_kinds(kind))


def _kinds(kind: type) -> dict[str, Any]:
    """Names of options, and their types."""
    return option_paths(TrainConfig) if kind is TrainConfig else field_types(kind)


def _one_line(box: str) -> str:
    """The message inside tyro's box, without the advice below it."""
    lines = [_BOX.sub(" ", line).strip().strip("|").strip() for line in box.splitlines()]
    text: list[str] = []
    for line in lines[1:]:
        if (not line or set(line) == {"-"} or line.startswith("Argument helptext")) and text:
            break
        text += [line] if line and set(line) != {"-"} else []
    message = " ".join(text) or "bad command line"
    return re.sub(r"^Error parsing \w+: ", "", message)


def _expand(words: Sequence[str]) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """Write short names out, split lists at commas, and take out the ``key=value`` tables."""
    short, paths = short_names(), option_paths(TrainConfig)
    out: list[str] = []
    tables: dict[str, dict[str, Any]] = {"env.options": {}, "schedule.options": {}, "phases": {}}
    words, tables["phases"] = _take_phases(words)
    current: str | None = None
    peers: list[str] | None = None  # what stands behind --peers
    for word in words:
        value = word
        if _is_option(word):
            name, equals, value = word[2:].partition("=")
            name = name.replace("-", "_")
            negated = name.startswith("no_") and name[3:] in short
            current = short.get(name[3:] if negated else name, name)
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
            tables[current].update([_pair(value, current)])
        elif current == "peers" and peers is not None:
            peers.append(value)
        else:
            out += _values(value, current, paths.get(current or ""))
    if peers is not None:
        if len(peers) != 1 or not peers[0].isdecimal() or int(peers[0]) < 1:
            raise UsageError(f"--peers: {' '.join(peers)!r} is not a number of learners")
        out += ["--players.kinds", *["learner"] * int(peers[0])]
    return out, tables


def _take_phases(words: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """Take ``--phases.NAME.FIELD VALUE`` and ``--phases.NAME.SECTION.OPTION VALUE`` out.

    Returns:
        the other words, and the values by path.
    """
    rest: list[str] = []
    found: dict[str, Any] = {}
    waiting = ""
    for word in words:
        if waiting:
            found[waiting], waiting = _phase_value(word), ""
        elif word.startswith("--phases."):
            path, equals, value = word.removeprefix("--phases.").partition("=")
            path = path.replace("-", "_") if path.count(".") else path
            if equals:
                found[path] = _phase_value(value)
            else:
                waiting = path
        else:
            rest.append(word)
    if waiting:
        raise UsageError(f"--phases.{waiting}: its value is missing")
    return rest, found


def _phase_value(word: str) -> Any:
    parts = [read_value(part) for part in word.split(",")] if word[:1] not in "[{" else []
    return read_value(word) if len(parts) < 2 else parts


def _phases(config: TrainConfig, given: Mapping[str, Any]) -> dict[str, Any]:
    """The phases of a configuration with what a command line says of them.

    Raises:
        UsageError: there is no such phase, or a path is not one of an option.
    """
    plan: dict[str, Any] = to_dict(config)["phases"]
    names = {name.replace("-", "_"): name for name in plan}
    for path, value in given.items():
        name, *keys = path.split(".")
        if name.replace("-", "_") not in names:
            known = f"its phases are {', '.join(plan)}" if plan else "this run has no phases"
            raise UsageError(f"--phases.{path}: {known}")
        if len(keys) not in (1, 2):
            raise UsageError(f"--phases.{path}: is not --phases.NAME.OPTION")
        table = plan[names[name.replace("-", "_")]]
        if len(keys) == 2:
            if not isinstance(table.get(keys[0]), dict):
                raise UsageError(
                    f"--phases.{path}: {keys[0]!r} is not one of algorithm, social, options"
                )
            table = table[keys[0]]
        table[keys[-1]] = value
    return plan


def _values(word: str, option: str | None, kind: Any) -> list[str]:
    """What tyro is given for a word behind an option of that type."""
    if word == "none" and typing.get_origin(kind) is tuple and option != "social.mechanisms":
        return []
    if _is_list(kind):
        return [part for part in word.split(",") if part]
    return ["None" if word == "none" and _may_be_none(kind) else word]


def _is_option(word: str) -> bool:
    return word.startswith("--") and len(word) > 2


def _is_list(kind: Any) -> bool:
    kinds = (kind, *typing.get_args(kind))
    return any(typing.get_origin(one) is tuple for one in kinds)


def _may_be_none(kind: Any) -> bool:
    return type(None) in typing.get_args(kind)


def _pair(word: str, where: str) -> tuple[str, Any]:
    key, equals, text = word.partition("=")
    if not equals or not key:
        raise UsageError(f"--{where}: {word!r} is not key=value")
    return key, read_value(text)


def read_value(text: str) -> Any:
    """A number, true/false, list or quoted text as TOML writes them; anything else is text."""
    try:
        return tomllib.loads(f"value = {whole_number(text)}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError, ValueError):  # int has a limit of digits
        return text


def read_pairs(words: Sequence[str], where: str) -> Mapping[str, Any]:
    """``["penalty=0.5", ...]`` as a dictionary.

    Raises:
        UsageError: a word without ``=``.
    """
    return dict(_pair(word, where) for word in words)
