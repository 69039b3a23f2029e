"""Do those who are influenced more earn more (Jaques et al. 2019, 5.1), over many runs?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from socialgrid.config.errors import UsageError
from socialgrid.measures.coordination import correlation
from socialgrid.report.console import number
from socialgrid.report.figures import Values, colour_of, new_figure, save_figure
from socialgrid.report.runs import RunCurves, group_titles, refuse_twice
from socialgrid.report.squares import late_mean

_DRAWS = 9999


@dataclass(frozen=True)
class Influenced:
    """How much each learner of a run was influenced, and what it earned, at the end of it.

    Attributes:
        group: what the run shares with runs that are alike.
        influence: by all the others together, nats a step, mean of the last tenth of the updates,
            ``[A]``.
        reward: return per episode, likewise, ``[A]``.
    """

    group: str
    influence: Values
    reward: Values

    def normalised(self) -> tuple[Values, Values]:
        """Both with mean 0 and deviation 1 over the agents; empty where one does not vary."""
        pairs = []
        for values in (self.influence, self.reward):
            spread = float(values.std()) if len(values) else 0.0
            if spread == 0.0:
                return np.empty(0), np.empty(0)
            pairs.append((values - values.mean()) / spread)
        return pairs[0], pairs[1]


def influenced_in(run: RunCurves) -> Influenced:
    """See ``Influenced``; agents on whom nobody ever had any influence are left out.

    Raises:
        UsageError: no influence was measured.
    """
    table = run.table("pairs", "influence")
    if table is None:
        raise UsageError(
            f"{run.run_dir}: no influence was measured (--social influence, moa, comm)"
        )
    found = late_mean(table)
    slots = list(run.config.roster.learning_slots)
    heard = (np.nan_to_num(found[:, slots]) != 0.0).any(0)  # those who lead are never influenced
    reward = np.array([late_mean(run.values("return", slot)[:, None])[0] for slot in slots])
    there = heard & np.isfinite(reward)
    return Influenced(run.group, np.nansum(found, 0)[slots][there], reward[there])


def correlated(found: Sequence[Influenced]) -> tuple[float, float, int]:
    """Pearson's correlation of influence and reward, each normalised within its run.

    Returns:
        the correlation; the share of 9,999 random orders of the agents of every run, and of the
        order found, in which it is as far from 0 (a permutation test: runs with few agents leave
        few orders); and how many agents it is over. nan, nan where nothing varies.
    """
    pairs = [pair for pair in (one.normalised() for one in found) if len(pair[0])]
    if not pairs:
        return float("nan"), float("nan"), 0
    x, y = (np.concatenate([pair[i] for pair in pairs]) for i in (0, 1))
    rho = correlation(x, y)
    draws = np.random.default_rng(0)
    sums = np.zeros(_DRAWS)
    for first, second in pairs:
        orders = draws.permuted(np.tile(second, (_DRAWS, 1)), axis=1)
        sums += orders @ first
    # every run's numbers have mean 0 and deviation 1: a sum of products is len(x) correlations
    as_far = np.count_nonzero(np.abs(sums) >= abs(rho) * len(x) - 1e-9)
    return rho, (1 + as_far) / (1 + _DRAWS), len(x)


def report_correlation(runs: Sequence[RunCurves], path: Path) -> str:
    """Draw agents of all runs, normalised, and say how influence and reward go together.

    Raises:
        UsageError: runs of several games, the same training twice, no influence was measured,
            nothing to correlate, or the file cannot be written.
    """
    games = sorted({run.config.env.game for run in runs})
    if len(games) > 1:
        raise UsageError(f"correlation: runs of {' and '.join(games)}: one game at a time")
    refuse_twice([("", run) for run in runs])  # whatever it is called: all count together
    found = [influenced_in(run) for run in runs]
    rho, p, agents = correlated(found)
    if not agents:
        raise UsageError(
            f"{runs[0].run_dir}: correlation: of no run two agents were influenced, differently "
            "much, and had different returns at its end"
        )
    title = f"within {len(runs)} runs, {agents} agents: rho {number(rho)}, p {number(p, 4)}"
    lines = [title]
    means = [(one.influence.mean(), one.reward.mean()) for one in found if len(one.influence)]
    if len(means) > 2:
        between = number(correlation(*np.transpose(means)))
        lines.append(f"between runs, mean influence received and mean return: rho {between}")
    titles = group_titles(runs)
    figure = new_figure(6, 4.6)
    axes = figure.add_subplot()
    for index, group in enumerate(dict.fromkeys(one.group for one in found)):
        own = [one.normalised() for one in found if one.group == group]
        x, y = (np.concatenate([pair[i] for pair in own]) for i in (0, 1))
        axes.plot(x, y, "o", color=colour_of(index), alpha=0.6, markersize=4, label=titles[group])
    axes.set_title(f"{games[0]}: {title}", fontsize=10)
    axes.set_xlabel("influence received, normalised within each run")
    axes.set_ylabel("return, normalised within each run")
    axes.grid(alpha=0.2)
    axes.legend(fontsize=7)
    return "\n".join([*lines, str(save_figure(figure, path))])
