"""A person plays one agent in the terminal; scripted players have the others."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TextIO

import numpy as np

import socialgrid
from socialgrid.adapters.screen import CLEAR, CLEAR_BELOW, HOME, half_blocks, redraw
from socialgrid.commands.terminal import beside, keys
from socialgrid.commands.words import (
    join_lists,
    need_extras,
    split_words,
    take_imports,
    take_pairs,
)
from socialgrid.config.errors import UsageError, check_encodable
from socialgrid.config.imports import import_modules
from socialgrid.config.maps import check_map
from socialgrid.config.words import parse
from socialgrid.players import list_players, make_team
from socialgrid.report.pictures import enlarge, view_image

_KEYS = {
    "forward": ("w", "up"), "turn_left": ("a", "left"), "turn_right": ("d", "right"),
    "pick_up": ("e",), "drop": ("r",), "toggle": ("t",), "done": ("s", "down", " ", "."),
    "up": ("w", "up"), "left": ("a", "left"), "down": ("s", "down"), "right": ("d", "right"),
    "stay": (" ", "."), "turn_counterclockwise": ("j",), "turn_clockwise": ("l",),
    "fire": ("f",), "clean": ("c",), "open_box": ("o",),
}  # fmt: skip


def action_keys(env: Any, agent: int) -> tuple[dict[str, int], str]:
    """Which key is which action of an agent.

    Returns:
        actions by key, digits for actions without a letter of their own; and a line of help.
    """
    moves: dict[str, int] = {}
    words = []
    for action, name in enumerate(env.action_names[: env.action_counts[agent]]):
        keys_of = _KEYS.get(name, (str(action),))
        moves |= dict.fromkeys(keys_of, action)
        shown = "/".join("space" if key == " " else key for key in keys_of)
        words.append(f"{shown} {name.replace('_', ' ')}")
    return moves, "  ".join([*words, "q quit"])


@dataclass(frozen=True)
class PlayOptions:
    """How to play."""

    agent: int = 0
    """The agent that the person moves."""
    players: tuple[str, ...] = ()
    """Who plays the others, one entry per agent; the person's own entry is ignored."""
    seed: int = 0
    """Seed of the game."""
    view_only: bool = False
    """Show what the agent sees, not the whole grid."""
    episodes: int = 1
    """Episodes to play."""

    def __post_init__(self) -> None:
        if self.episodes < 1:
            raise UsageError(f"episodes: {self.episodes} is out of range, must be at least 1")


def make_game(
    game: str, options: PlayOptions, extra: Mapping[str, Any]
) -> tuple[Any, list[str | None]]:
    """Make the environment and name the players of the other agents.

    Raises:
        UsageError: the game, an option or a player does not exist.
    """
    check_encodable("game", game)
    check_map(extra, "map")
    settings = {"obs_mode": "rgb", **extra}
    if settings["obs_mode"] == "vector":
        raise UsageError("obs_mode: a person needs to see something: rgb or tiles")
    if options.players:
        settings["num_agents"] = len(options.players)
    try:
        env = socialgrid.make_vec(game, num_envs=1, num_threads=1, seed=options.seed, **settings)
    except (ValueError, TypeError) as error:
        raise UsageError(str(error)) from None
    if not 0 <= options.agent < env.num_agents:
        raise UsageError(f"agent: {options.agent} is out of range, 0 to {env.num_agents - 1}")
    known = list_players(game)
    default = "expert" if "expert" in known else known[0]
    names: list[str | None] = list(options.players) or [default] * env.num_agents
    names[options.agent] = None
    return env, names


def play(
    game: str, options: PlayOptions, extra: Mapping[str, Any], stdin: TextIO, stdout: TextIO
) -> list[float]:
    """Play until ``q``, the end of the input, or the last episode's end.

    Returns:
        the sum of the rewards of every agent.

    Raises:
        UsageError: the game, an option or a player does not exist.
    """
    env, names = make_game(game, options, extra)
    try:
        team = make_team(names, env, seed=options.seed)
    except ValueError as error:
        raise UsageError(str(error)) from None
    obs, info = env.reset()
    team.reset(env)
    returns = np.zeros(env.num_agents)
    total = np.zeros(env.num_agents)
    moves, legend = action_keys(env, options.agent)
    played, step = 0, 0
    stdout.write(CLEAR)
    with keys(stdin) as next_key:
        while played < options.episodes:
            head = f"{game}  step {step}/{env.max_steps}  reward: " + "  ".join(
                f"{'you' if a == options.agent else names[a]} {value:.1f}"
                for a, value in enumerate(returns)
            )
            redraw(stdout, [head, *_picture(env, obs, options), legend])
            key = next_key()
            while key is not None and key not in moves and key != "q":
                key = next_key()
            if key is None or key == "q":
                break
            actions = np.full((1, env.num_agents), moves[key], np.int32)
            if team.agents:
                actions[:, list(team.agents)] = team.act(env, obs, info)
            obs, reward, _, _, info = env.step(actions)
            team.observe(env, reward, info)
            returns += reward[0]
            step += 1
            if info["done"][0]:
                total += returns
                returns[:] = 0
                step, played = 0, played + 1
    total += returns
    env.close()
    stdout.write(HOME + CLEAR_BELOW)
    for agent, value in enumerate(total):
        who = "you" if agent == options.agent else names[agent]
        stdout.write(f"agent {agent} ({who}): {value:.1f}\n")
    stdout.flush()
    return [float(value) for value in total]


def _picture(env: Any, obs: Any, options: PlayOptions) -> list[str]:
    """The grid and the agent's view, as large as the terminal allows."""
    columns, rows = shutil.get_terminal_size((80, 40))
    view = view_image(env, obs[0, options.agent])
    if options.view_only:
        factor = max(1, min(columns // view.shape[1], 2 * (rows - 3) // view.shape[0]))
        return half_blocks(enlarge(view, factor))
    grid = np.asarray(env.render(0, tile_size=1))
    height, width = grid.shape[:2]
    if np.array_equal(view, env.render(0, tile_size=max(1, view.shape[0] // height))):
        tile = max(1, min(columns // width, 2 * (rows - 3) // height))  # it sees everything
        return half_blocks(np.asarray(env.render(0, tile_size=tile)))
    room = columns - view.shape[1] - 3
    side_by_side = room >= 3 * width
    tile = max(2, min((room if side_by_side else columns) // width, 2 * (rows - 3) // height, 8))
    left = half_blocks(np.asarray(env.render(0, tile_size=tile)))
    return beside(left, width * tile, half_blocks(view)) if side_by_side else left


def main(prog: str, words: list[str]) -> int:
    """``socialgrid-play GAME [--options]``. Returns the exit code."""
    need_extras()
    games, rest = split_words(words)
    rest, imports = take_imports(rest)
    import_modules(imports)
    rest, extra = take_pairs(rest)
    game = games[0] if len(games) == 1 else ""
    options = parse(PlayOptions, join_lists(rest, ("players",)), f"{prog} GAME", game=game)
    if len(games) != 1:
        raise UsageError(f"which game? One of {', '.join(socialgrid.list_games())}")
    play(games[0], options, extra, sys.stdin, sys.stdout)
    return 0
