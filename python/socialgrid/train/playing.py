"""Trained agents in a loop of one's own."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import socialgrid
from socialgrid.config import Course, load_config
from socialgrid.config.errors import UsageError, about
from socialgrid.config.run_files import user_path
from socialgrid.players import Team
from socialgrid.train.cast import companies, options_seen, seats_of
from socialgrid.train.company import Company
from socialgrid.train.device import choose_device
from socialgrid.train.seeds import EVALUATED_DRAWS, EVALUATED_WORLDS, derived_seed
from socialgrid.train.worlds import scripted_team


class Ensemble:
    """Everybody who plays in a batch: networks of runs and scripted players, each in its seat.

    Attributes:
        env: the batch.
        greedy: networks take the most probable action instead of a sample.
    """

    def __init__(
        self,
        env: socialgrid.VecEnv,
        company: Sequence[Company],
        team: Team,
        *,
        seed: int = 0,
        greedy: bool = False,
    ) -> None:
        """Give everybody their seats.

        Args:
            env: the batch.
            company: the networks.
            team: the scripted players of all other seats.
            seed: of what is sampled.
            greedy: no samples.
        """
        self.env, self.greedy = env, greedy
        self._company, self._team = tuple(company), team
        self._draws = derived_seed(seed, EVALUATED_DRAWS) >> 1
        self.begin()

    def begin(self) -> None:
        """Forget everything; to be called after a ``reset`` of one's own."""
        shape = self.env.num_envs, self.env.num_agents
        self._reset, self._rewards = torch.ones(shape, dtype=torch.bool), torch.zeros(shape)
        self._active = torch.zeros(shape, dtype=torch.bool)
        self._team.reset(self.env)
        for others in self._company:
            others.begin(self.env.num_envs, self._draws)

    def act(self, obs: NDArray[Any], info: Mapping[str, Any]) -> NDArray[np.int32]:
        """What everybody does, int32 ``[E, A]``; once a step, and ``observe`` after the step.

        Args:
            obs, info: what ``reset`` or ``step`` of the batch returned last.
        """
        actions = np.zeros(self._active.shape, np.int32)
        if self._team.agents:
            actions[:, list(self._team.agents)] = self._team.act(self.env, obs, info)
        last = {"actions": torch.from_numpy(info["last_actions"]), "rewards": self._rewards}
        views = torch.from_numpy(obs)
        for others in self._company:
            chosen = others.act(views, self._reset, last, self.greedy)
            actions[:, list(others.seats)] = chosen.cpu().numpy()
        self._active = torch.from_numpy(info["active"].copy())
        return actions

    def observe(self, reward: NDArray[np.float32], info: Mapping[str, Any]) -> None:
        """Take in what came of it: rewards ``[E, A]`` and the info of the step."""
        done = torch.from_numpy(info["done"].copy())[:, None]
        goes_on = self._active & torch.from_numpy(info["active"].copy())
        self._reset = done | ~goes_on
        self._rewards = torch.from_numpy(reward.copy()) * ~done
        self._team.observe(self.env, reward, info)


def open_run(
    run_dir: Path | str,
    num_envs: int = 1,
    *,
    seed: int = 0,
    players: Sequence[str] = (),
    greedy: bool = False,
    device: str = "cpu",
    **options: Any,
) -> tuple[socialgrid.VecEnv, Ensemble]:
    """A run's world, as it was in its last phase, and everybody who played there.

    ::

        env, everybody = open_run("runs/goal-cycle-mini-seed0", num_envs=16)
        obs, info = env.reset()
        for _ in range(1000):
            obs, reward, terminated, truncated, info = env.step(everybody.act(obs, info))
            everybody.observe(reward, info)

    Args:
        run_dir: the run; its newest checkpoint is played.
        num_envs: E.
        seed: of the worlds, the scripted players and what is sampled. ``socialgrid-eval record``
            with this seed and as many worlds plays the same.
        players: who has which seat instead, as of ``socialgrid-eval --players``.
        greedy: networks take the most probable action instead of a sample.
        device: where networks live.
        **options: of the game, instead of the run's.

    Raises:
        UsageError: no run, or one of agents with tasks of their own; a bad world or player,
            networks that do not fit, or no checkpoint.
    """
    run = user_path(str(run_dir))
    config = load_config(run)
    if config.advised or config.env.gymnasium_id is not None:
        raise UsageError(
            f"{run}: its agents have tasks of their own, in no world that they share: "
            "socialgrid-eval plays them"
        )
    seats = seats_of(run, config, players or config.players.kinds)
    game = config.env.game
    world_seed = derived_seed(seed, EVALUATED_WORLDS)
    with contextlib.ExitStack() as made:
        try:
            env = socialgrid.make_vec(
                game, num_envs, seed=world_seed, num_agents=len(seats), obs_mode=config.obs_mode,
                **options_seen(seats, Course(config).configs[-1].env.options, options),
            )  # fmt: skip
            made.callback(env.close)
            team = scripted_team([seat.scripted for seat in seats], env, world_seed)
        except (ValueError, TypeError, KeyError) as error:
            raise UsageError(about(game, error)) from None
        company = companies(seats, env, choose_device(device))
        everybody = Ensemble(env, company, team, seed=seed, greedy=greedy)
        made.pop_all()  # it is the caller's
    return env, everybody
