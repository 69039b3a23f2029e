"""On-policy runs: collect a batch, learn from it; in one process or in ranks, a part in each."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from socialgrid.algos.ranks import ALONE, Ranks, raise_first
from socialgrid.config import TrainConfig
from socialgrid.measures.episodes import EpisodeMetrics, fewer, mean_outcomes
from socialgrid.models.finite import NonFiniteError
from socialgrid.train.device import cores_of, settle_on, threads_of
from socialgrid.train.on_policy.collecting import Collector
from socialgrid.train.on_policy.division import Extent, joined, share
from socialgrid.train.on_policy.learner import (
    AnyLearner,
    build_learner,
    build_rollout,
    check_phases,
    set_options,
)
from socialgrid.train.on_policy.memory import fit_on_policy
from socialgrid.train.on_policy.rows import Ended, by_agent
from socialgrid.train.on_policy.visits import Visits
from socialgrid.train.rows import Numbers
from socialgrid.train.run import Array, Run, named, tensors_named
from socialgrid.train.seeds import REBUILT_WORLDS, derived_seed
from socialgrid.train.worlds import Phase, Worlds, build_worlds, phase_at

# What the first step of a rollout needs of the last one before.
_CARRIED = ("obs", "active", "reset", "last_actions", "last_rewards", "visible")


class Trainer(Run):
    """One on-policy training run.

    Attributes:
        num_envs: environments of this process.
        worlds: these.
        rollout: the batch collected last.
        collector: plays.
        phase: what the schedules say of the worlds.
        visits: evaluates.
        builds: how often the worlds were made anew.
    """

    learner: AnyLearner
    goes_back = True

    def __init__(
        self,
        config: TrainConfig,
        run_dir: Path,
        first_env: int = 0,
        *,
        begun: bool | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        """Make everything that training needs; nothing is written yet.

        Args:
            config: the resolved configuration.
            run_dir: where everything of the run goes.
            first_env: index of the first environment's random streams.
            begun, ranks: see ``Run``.

        Raises:
            UsageError: an option does not fit the game, the players or the machine.
        """
        super().__init__(config, run_dir, begun=begun, ranks=ranks)
        config = self.config
        self.num_envs = config.env.num_envs // ranks.size
        self.first_env = first_env + ranks.rank * self.num_envs
        self.device = settle_on(config.run.device)
        self.builds = 0
        self.phase = self._phase_now()
        self.worlds = self._build_worlds()
        dumps = run_dir / "dumps" / (f"rank-{ranks.rank}" if ranks.rank else "")
        self.learner = build_learner(config, self.worlds.env, self.device, dumps, begun=self.begun)
        check_phases(self.learner, self.course)
        self.learner.workers.threads = threads_of(config.run, ranks)
        self.learner.ranks = ranks
        self.memory = fit_on_policy(self.learner, self.worlds.env, config, self.num_envs)
        self.rollout = build_rollout(
            config.env.rollout_steps, self.slots, self.worlds, self.learner
        )
        self.collector = self._make_collector()
        self.visits = Visits(config, run_dir, self.device.type, self.learner)
        # Of the episodes that go on: returns, and whether the agent was in play in them.
        self._returns = np.zeros((self.num_envs, len(self.names)), np.float64)
        self._played = np.zeros(self._returns.shape, np.bool_)
        self._episodes = EpisodeMetrics(*self._returns.shape, self.worlds.env.event_names)

    # -- state ------------------------------------------------------------------------------

    def _env_seed(self) -> int:
        """Seed of the environments; every change of phase takes another one."""
        seed = self.config.run.seed
        return seed if self.builds == 0 else derived_seed(seed, REBUILT_WORLDS, self.builds)

    def _phase_now(self) -> Phase:
        """What the schedules say now."""
        return phase_at(self.course.config, self.episodes)

    def _build_worlds(self) -> Worlds:
        env = self.config.env
        return build_worlds(
            self.config,
            Phase(self.phase.options, self._num_solo(self.ranks.rank)),
            self._env_seed(),
            num_envs=self.num_envs,
            first_env=self.first_env,
            num_threads=env.num_threads or (cores_of(self.ranks) if self.ranks.size > 1 else 0),
        )

    def _num_solo(self, rank: int) -> int:
        """How many environments of a rank are solo: the last ones of the run are."""
        behind = (self.ranks.size - 1 - rank) * self.num_envs
        return min(max(self.phase.num_solo - behind, 0), self.num_envs)

    def _extents(self) -> tuple[Extent, list[Extent]]:
        """The environments of the run, as one process has them, and those of each rank."""
        size, halved = self.ranks.size, self.config.env.double_buffer
        whole = Extent.of(0, size * self.num_envs, self.phase.num_solo, double_buffer=halved)
        return whole, [
            Extent.of(
                *(rank * self.num_envs, self.num_envs, self._num_solo(rank)), double_buffer=halved
            )
            for rank in range(size)
        ]

    def _make_collector(self) -> Collector:
        return Collector(self.learner, self.worlds, self.rollout, self.first_env)

    def begin(self) -> None:
        """See ``Run``."""
        if not self.collector.memory:
            self.start()

    def start(self) -> None:
        """Begin new episodes in all environments."""
        self.collector.start()
        self.learner.load_carried({})
        self._returns[:] = 0
        self._played[:] = False
        self._episodes = EpisodeMetrics(*self._returns.shape, self.worlds.env.event_names)

    def follow_schedule(self) -> bool:
        """Rebuild the environments when the schedules ask for other ones."""
        phase = self._phase_now()
        if phase == self.phase:
            return False
        self.phase = phase
        self.builds += 1
        self.worlds.close()
        self.worlds = self._build_worlds()
        self.collector = self._make_collector()
        self.start()
        return True

    def enter_phase(self) -> None:
        """See ``Run``."""
        set_options(self.learner, self.course.config)

    def arrays(self) -> dict[str, Array]:
        """See ``Run``."""
        rollout = self.rollout
        arrays = {f"worlds/{name}": array for name, array in self.worlds.get_state().items()}
        arrays |= {f"rollout/{name}": getattr(rollout, name)[0].numpy() for name in _CARRIED}
        arrays |= {f"episodes/{name}": sums for name, sums in self._episodes.get_state().items()}
        arrays |= {f"carried/{name}": x.numpy() for name, x in self.learner.carried().items()}
        arrays["returns"], arrays["played"] = self._returns, self._played
        for half, memory in enumerate(self.collector.memory):
            arrays[f"memory/{half}"] = memory.cpu().numpy()
        if self.ranks.size == 1:
            return arrays
        whole, own = self._extents()
        everybody = self.ranks.collect(arrays)
        return joined(everybody, own, whole) if everybody else {}

    def counters(self) -> dict[str, Any]:
        """See ``Run``."""
        return {
            "builds": self.builds,
            "num_solo": self.phase.num_solo,
            "options": dict(self.phase.options),
        }

    def load_arrays(self, arrays: Mapping[str, Array], state: Mapping[str, Any]) -> None:
        """See ``Run``."""
        self.builds = int(state["builds"])
        phase = Phase(dict(state["options"]), int(state["num_solo"]))
        if phase != self.phase or self.builds:
            self.worlds.close()
            self.phase = phase
            self.worlds = self._build_worlds()
            self.collector = self._make_collector()
        if self.ranks.size > 1:
            whole, own = self._extents()
            arrays = share(arrays, whole, own[self.ranks.rank])
        self.worlds.set_state(named(arrays, "worlds/"))
        rollout = self.rollout
        carried = {
            name: _tensor_like(arrays[f"rollout/{name}"], getattr(rollout, name)[0])
            for name in _CARRIED
        }
        reset = carried.pop("reset")
        rollout.begin(**carried)
        rollout.reset[0].copy_(reset)
        self.collector.memory = [
            _tensor_like(arrays[f"memory/{half}"], memory)
            for half, memory in enumerate(self.collector.new_memory())
        ]
        self._returns[:], self._played[:] = arrays["returns"], arrays["played"]
        self._episodes.set_state(named(arrays, "episodes/"))
        self.learner.load_carried(tensors_named(arrays, "carried/"))

    # -- one update -------------------------------------------------------------------------

    def collect(self) -> Ended:
        """Play one batch; returns the episodes that ended in it."""
        self.collector.play(self.played_before())
        self._clock |= self.collector.seconds
        return self._count()

    def played_before(self) -> int:
        """Steps of every environment before this batch; actions are drawn by them."""
        return self.env_steps // (self.ranks.size * self.num_envs)

    def _count(self) -> Ended:
        """Go on with the returns of episodes; returns those that ended in the batch."""
        rollout = self.rollout
        reward, done = rollout.reward.numpy(), rollout.done.numpy()
        active = rollout.active[:-1].numpy()
        outcomes = self._episodes.update(reward, done, rollout.events.numpy(), active)
        when = np.argwhere(done)
        returns = np.empty((len(when), len(self.names)))
        count = start = 0
        for stop in (*(np.flatnonzero(done.any(1)) + 1).tolist(), len(done)):
            for now in reward[start:stop]:
                self._returns += now
            self._played |= active[start:stop].any(0)
            over = np.flatnonzero(done[start:stop].any(0))
            own = np.where(self._played[over], self._returns[over], np.nan)
            returns[count : count + len(over)] = own
            self._returns[over], self._played[over] = 0, False
            count, start = count + len(over), stop
        alone = self.worlds.solo[when[:, 1]]
        when[:, 1] += self.first_env
        return Ended(when, alone, returns, outcomes)

    def step(self) -> dict[str, Any]:
        """Collect one batch, in the worlds the schedules ask for, and learn from it.

        See ``Run``.
        """
        self.follow_schedule()
        start = time.perf_counter()
        self._clock = {}
        ended = self.collect()
        raise_first(self.ranks, self._fault())
        everywhere = self.ranks.gather((int(self.rollout.active[:-1].sum()), ended))
        played = sum(steps for steps, _ in everywhere)
        episodes = Ended.joined([some for _, some in everywhere])
        company = episodes.some(~episodes.alone)
        together, solo = company.returns, episodes.returns[episodes.alone]
        with self._timed("update"):
            learnt = self.learn()
        self.rollout.carry_over()
        self.update += 1
        self.agent_steps += played
        steps = self.rollout.num_steps * self.num_envs * self.ranks.size
        self.env_steps += steps
        self.episodes += len(together) + len(solo)
        visited: dict[str, Any] = {}
        if self.visits.due(self, self.env_steps - steps):
            with self._timed("evaluate"):
                visited = self.visits.follow(self)
        seconds = time.perf_counter() - start
        self.seconds += seconds
        self._clock_total = seconds
        numbers = self._numbers(learnt, together, solo)
        outcomes: Mapping[str, Array] = {}
        # Elsewhere returns say it all.
        if len(together) and (len(self.names) > 1 or self.worlds.env.event_names):
            outcomes = company.outcomes
            numbers.log_groups(mean_outcomes(outcomes))
        row: dict[str, Any] = {
            "update": self.update,
            "env_steps": self.env_steps,
            "agent_steps": self.agent_steps,
            "episodes": self.episodes,
            "episodes_finished": len(together),
            "solo_episodes_finished": len(solo),
            "seconds": self.seconds,
            "env_steps_per_second": steps / seconds,
            "agent_steps_per_second": played / seconds,
            "time": {**self._clock, "other": seconds - sum(self._clock.values())},
            "options": {name: self.phase.options[name] for name in self.config.schedule.options},
            **numbers.by_kind(),
            **visited,
        }
        if few := self._fewer(outcomes, together, solo):
            row["episodes_with"] = few
        self.follow_phases(row)
        return row

    def _numbers(self, learnt: Mapping[str, Tensor], together: Array, solo: Array) -> Numbers:
        """What was measured of agents and pairs of them."""
        numbers = Numbers(len(self.names), self.slots)
        returns = by_agent(together)
        numbers.put_returns("return", returns)
        numbers.put_spreads("return_std", returns)
        if self.phase.num_solo:
            absent = self.worlds.absent
            alone = enumerate(by_agent(solo))
            there = [own[:0] if slot in absent else own for slot, own in alone]
            numbers.put_returns("solo_return", there)
        for name, values in learnt.items():
            numbers.log(name, values)
        for name, table in self.learner.pairs().items():
            numbers.log_pairs(name, table)
        return numbers

    def _fewer(self, outcomes: Mapping[str, Array], together: Array, solo: Array) -> dict[str, Any]:
        """See ``fewer``; agents that were never in play in an episode had none."""
        found: dict[str, Any] = {**fewer(outcomes)}
        for name, returns in (("return", together), ("solo_return", solo)):
            counts = [len(own) for own in by_agent(returns)]
            if min(counts) < len(returns):
                found[name] = counts
        return found

    def follow_phases(self, row: dict[str, Any]) -> None:
        """Note in a row which phase it belongs to, and enter the next one when that is over."""
        if self.course.follow(row):
            self.enter_phase()

    def learn(self) -> dict[str, Tensor]:
        """Learn from the batch collected last; returns the learner's metrics."""
        return self.learner.update(self.rollout, progress=self.env_steps - self.course.start)

    def _fault(self) -> NonFiniteError | None:
        """What is wrong where a reward is not finite, with the batch on the disk."""
        finite = torch.isfinite(self.rollout.reward)
        if bool(finite.all()):
            return None
        agent = int((~finite).nonzero()[0, -1])
        rank = f"rank-{self.ranks.rank}-" if self.ranks.rank else ""
        name = f"{rank}update-{self.update + 1}-rewards.safetensors"
        dump = self.run_dir / "dumps" / name
        dump.parent.mkdir(parents=True, exist_ok=True)
        save_file({"obs": self.rollout.obs, "reward": self.rollout.reward}, dump)
        return NonFiniteError("reward", self.update + 1, agent, dump)

    def close(self) -> None:
        """See ``Run``."""
        self.learner.ranks = ALONE  # who plays with it now does so alone


def _tensor_like(array: Array, like: Tensor) -> Tensor:
    tensor = torch.from_numpy(array.copy())
    if tensor.shape != like.shape or tensor.dtype != like.dtype:
        raise ValueError(
            f"{tuple(tensor.shape)} {tensor.dtype} where {tuple(like.shape)} {like.dtype} belongs"
        )
    return tensor.to(like.device)
