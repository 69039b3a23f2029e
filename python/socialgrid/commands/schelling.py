"""Schelling diagrams: what cooperating and defecting pay, by how many of the others cooperate.

Schelling 1973; Perolat et al. 2017; for these games Jaques et al. 2019, section 10.2 and figure 10.
Scripted players make the choice, so the diagram shows the game and not a learner.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

import socialgrid
from socialgrid.config.errors import UsageError, nearest
from socialgrid.config.outputs import guard_output
from socialgrid.config.run_files import user_path
from socialgrid.config.words import parse
from socialgrid.measures.intervals import Interval, confidence_interval
from socialgrid.players import Team, make_player
from socialgrid.report.evaluation import write_json
from socialgrid.report.figures import need_matplotlib, new_figure, save_figure

Returns = npt.NDArray[np.float64]

PLAYERS = {
    "Cleanup-v0": ("cleaner", "harvester"),
    "Harvest-v0": ("sustainable-harvester", "greedy-harvester"),
}
"""Who cooperates and who defects, by game."""


@dataclass(frozen=True)
class SchellingOptions:
    """Whose choice is drawn."""

    game: str = "Cleanup-v0"
    """Cleanup-v0 or Harvest-v0."""
    agents: int = 5
    """Agents in a game."""
    episodes: int = 20
    """Episodes of every mixture of cooperators and defectors."""
    max_steps: int = 1000
    """Steps of an episode."""
    neighbours: int = 5
    """Harvest: apples that must be around one for a cooperator to eat it, 0 to 8. Those who ask for
    3 do best among each other, so well that defecting pays less where all the others cooperate."""
    seed: int = 0
    """Of the games and the players; every mixture meets the same games."""
    out: str = "schelling.png"
    """The picture."""
    json: str = ""
    """The figures; the picture's name with .json by default."""


@dataclass(frozen=True)
class Point:
    """Payoffs of one agent and of the others, for one number of other cooperators.

    Payoffs are returns of an episode, means over episodes with 95 % confidence intervals.

    Attributes:
        others_cooperating: how many of the other agents cooperate, 0 to agents - 1.
        cooperate: payoff of an agent that cooperates.
        defect: payoff of an agent that defects.
        others_if_cooperate: mean payoff of the others where it cooperates.
        others_if_defect: mean payoff of the others where it defects.
    """

    others_cooperating: int
    cooperate: Interval
    defect: Interval
    others_if_cooperate: Interval
    others_if_defect: Interval


def play_mixture(
    options: SchellingOptions,
    cooperators: int,
    report: Callable[[int], None] = lambda step: None,
) -> Returns:
    """Returns of whole episodes in which the first agents cooperate and the rest defect.

    Args:
        options: game, agents, episodes, max_steps and seed.
        cooperators: how many agents cooperate.
        report: is told how many steps have been played.

    Returns:
        float64 [episodes, agents].
    """
    cooperate, defect = PLAYERS[options.game]
    env = socialgrid.make_vec(
        options.game,
        num_envs=options.episodes,
        seed=options.seed,
        obs_mode="tiles",
        num_agents=options.agents,
        max_steps=options.max_steps,
    )
    choices = {"neighbours": options.neighbours} if options.game == "Harvest-v0" else {}
    team = Team(
        [
            make_player(cooperate, env, agent, options.seed, **choices)
            if agent < cooperators
            else make_player(defect, env, agent, options.seed)
            for agent in range(options.agents)
        ]
    )
    obs, info = env.reset()
    team.reset(env)
    total = np.zeros((options.episodes, options.agents))
    for step in range(options.max_steps):
        obs, reward, _, _, info = env.step(team.act(env, obs, info))
        team.observe(env, reward, info)
        total += reward
        report(step + 1)
    env.close()
    return total


def diagram_of(returns: Sequence[Returns]) -> list[Point]:
    """The diagram from the returns [episodes, agents] of 0, 1, ..., agents cooperators.

    As agents are alike, those that cooperate with ``x`` others are the cooperators of the mixture
    of ``x + 1``, and those that defect beside ``x`` cooperators the defectors of the mixture of
    ``x``. Episodes are independent of each other, agents of one episode are not: a mixture's
    episode is one value.
    """
    agents = returns[0].shape[1]
    points = []
    for others in range(agents):
        joined, left = returns[others + 1], returns[others]
        cooperate, defect = joined[:, : others + 1].mean(axis=1), left[:, others:].mean(axis=1)
        points.append(
            Point(
                others,
                confidence_interval(cooperate),
                confidence_interval(defect),
                confidence_interval(_others(joined, cooperate)),
                confidence_interval(_others(left, defect)),
            )
        )
    return points


def _others(returns: Returns, own: Returns) -> Returns:
    """Mean return [episodes] of all but one agent, who got ``own``; nan if it is alone."""
    others = returns.shape[1] - 1
    if others == 0:
        return np.full(len(returns), np.nan)
    mean: Returns = (returns.sum(axis=1) - own) / others
    return mean


def check(options: SchellingOptions) -> None:
    """Refuse what cannot be drawn.

    Raises:
        UsageError: a game without two kinds of players, or a number out of range.
    """
    if options.game not in PLAYERS:
        games = ", ".join(PLAYERS)
        hint = nearest(options.game, PLAYERS)
        raise UsageError(f"game: {options.game!r} has no diagram: one of {games}{hint}")
    for name in ("agents", "episodes", "max_steps"):
        if getattr(options, name) < 1:
            raise UsageError(f"{name.replace('_', '-')}: {getattr(options, name)} is out of range")
    if not 0 <= options.neighbours <= 8:
        raise UsageError(f"neighbours: {options.neighbours} is out of range")
    if not 0 <= options.seed < 2**64:
        raise UsageError(f"seed: {options.seed} is out of range, must be 0 to 2**64 - 1")


def main(words: Sequence[str]) -> int:
    """``socialgrid-plot schelling [--options]``: draw, write the figures, print them.

    Raises:
        UsageError: a bad option, matplotlib is missing, or a file cannot be written.
    """
    options = parse(SchellingOptions, words, "socialgrid-plot schelling")
    check(options)
    need_matplotlib()
    out = user_path(options.out)
    figures = user_path(options.json) if options.json else out.with_suffix(".json")
    for path in (out, figures):
        guard_output(path)
        if not path.parent.is_dir():
            raise UsageError(f"{path}: there is no directory {path.parent}")
    try:
        returns = [
            play_mixture(options, cooperators, _progress(options, cooperators))
            for cooperators in range(options.agents + 1)
        ]
    except socialgrid.ConfigError as error:
        raise UsageError(str(error)) from None
    points = diagram_of(returns)
    print(table(points))
    draw(points, options, out)
    write(points, options, figures)
    print(out)
    print(figures)
    return 0


def _progress(options: SchellingOptions, cooperators: int) -> Callable[[int], None]:
    """Tells how far a mixture's episodes are: live in a terminal, once done elsewhere."""
    name = f"{cooperators} of {options.agents} cooperate, {options.episodes} episodes"
    live = sys.stderr.isatty()

    def report(step: int) -> None:
        last = step == options.max_steps
        if last or (live and step % 20 == 0):
            start, end = ("\r", "\n" if last else "") if live else ("", "\n")
            line = f"{start}{name}: step {step} of {options.max_steps}"
            print(line, end=end, file=sys.stderr, flush=True)

    return report


def table(points: Sequence[Point]) -> str:
    """The diagram as lines of text."""
    lines = ["other cooperators      cooperating        defecting  the others if defecting"]
    for point in points:
        cells = [_text(value) for value in (point.cooperate, point.defect, point.others_if_defect)]
        lines.append(
            f"{point.others_cooperating:>17}  {cells[0]:>15}  {cells[1]:>15}  {cells[2]:>23}"
        )
    return "\n".join(lines)


def _text(value: Interval) -> str:
    return f"{value.mean:.1f} +- {value.high - value.mean:.1f}"


def write(points: Sequence[Point], options: SchellingOptions, path: Path) -> None:
    """Write the diagram as JSON; what is not known is null.

    Raises:
        UsageError: the file cannot be written.
    """
    cooperate, defect = PLAYERS[options.game]
    write_json(
        path,
        {
            "options": asdict(options),
            "cooperator": cooperate,
            "defector": defect,
            "points": [
                {
                    name: value._asdict() if isinstance(value, Interval) else value
                    for name, value in vars(point).items()
                }
                for point in points
            ],
        },
    )


def draw(points: Sequence[Point], options: SchellingOptions, path: Path) -> None:
    """Draw the diagram: payoffs over the number of other cooperators.

    Raises:
        UsageError: the file cannot be written.
    """
    cooperate, defect = PLAYERS[options.game]
    figure = new_figure(5.5, 4.2)
    axes = figure.add_subplot()
    others = [point.others_cooperating for point in points]
    lines: list[tuple[str, str, str, list[Interval]]] = [
        (f"cooperates ({cooperate})", "C2", "-", [point.cooperate for point in points]),
        (f"defects ({defect})", "C3", "-", [point.defect for point in points]),
        ("the others, if it defects", "0.5", ":", [point.others_if_defect for point in points]),
    ]
    for label, colour, style, values in lines:
        mean, low, high = np.array(values, np.float64).T
        axes.plot(others, mean, style, color=colour, marker="o", markersize=4, label=label)
        axes.fill_between(others, low, high, color=colour, alpha=0.2, linewidth=0)
    episodes = f"mean of {options.episodes} episodes, 95% interval"
    axes.set_title(f"{options.game}, {options.agents} agents: {episodes}", fontsize=9)
    axes.set_xlabel("number of other cooperators")
    axes.set_ylabel(f"return in {options.max_steps} steps")
    axes.set_xticks(others)
    axes.grid(alpha=0.2)
    axes.legend(fontsize=8)
    save_figure(figure, path)
