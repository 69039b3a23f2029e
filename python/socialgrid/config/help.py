"""What help shows beside options: what can be chosen, and the game's own."""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import indent

import socialgrid
from socialgrid.algos.options import ALGORITHMS
from socialgrid.config.schema import TrainConfig
from socialgrid.config.sections import EnvConfig


def choices(config: TrainConfig) -> str:
    """What ``--algorithm``, ``--social`` and ``--aux`` choose, each with options of its own."""
    regime = config.regime
    social = {n: o for n, o in type(config.social).all().items() if regime.has(o.role)}
    aux = {n: o for n, o in type(config.aux).all().items() if regime.has(o.role)}
    return "\n".join(
        [
            "chosen by name; below are the options of what is chosen here:",
            f"  --algorithm {_named([config.algorithm.name], ALGORITHMS)}",
            f"  --social {_named(config.social.names, social)}",
            *([f"  --aux {_named(config.aux.names, aux)}"] if aux else []),
            "  --peers N: N learners in --players.kinds",
            "",
        ]
    )


def _named(chosen: Iterable[str], known: Iterable[str]) -> str:
    return f"{','.join(chosen) or 'none'}  (of {', '.join(known)})"


def game_options(env: EnvConfig) -> str:
    """The options of a game, with what is in force, and what is allowed; empty for Gymnasium's."""
    if env.gymnasium_id is not None:
        return ""
    lines = [f"options of {env.game}, as in --set NAME=VALUE NAME=VALUE:"]
    for option in socialgrid.game_options(env.game):
        if option.name == "num_agents":
            continue  # players.kinds says how many
        value = env.options.get(option.name, option.default)
        lines.append(indent(option.described(value), "  "))
    return "\n".join(lines)


def option_of_game(word: str, game: str, of_run: bool) -> str:
    """What to say of an option that is one of the game; empty if it is none."""
    option, _, value = word.partition("=")
    name = option.removeprefix("--").replace("-", "_")
    if game not in socialgrid.list_games() or not word.startswith("--"):
        return ""
    if name not in (one.name for one in socialgrid.game_options(game)):
        return ""
    if of_run and name == "num_agents":
        return f"{option}: --players names everybody, as in --players expert,learner,learner"
    return f"{option} is an option of {game}: --set {name}={value or 'VALUE'}"
