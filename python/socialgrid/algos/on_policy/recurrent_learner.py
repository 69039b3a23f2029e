"""What all learners with a recurrent actor-critic have in common: acting and being saved."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from socialgrid import _core
from socialgrid.algos.learner import ActOutput
from socialgrid.algos.on_policy.going import Snapshot
from socialgrid.algos.on_policy.losses import Losses
from socialgrid.algos.on_policy.resident import Resident
from socialgrid.algos.options import OnPolicyConfig
from socialgrid.algos.workers import Workers
from socialgrid.data.rollout import Rollout, as_signed
from socialgrid.data.standing import Standing
from socialgrid.models.acting import Acting
from socialgrid.models.actor_critic import ActorCritic
from socialgrid.models.adam import StackedAdam
from socialgrid.models.config import ModelConfig, Precision
from socialgrid.models.encoders import from_patches
from socialgrid.models.flat_parameters import FlatParameters
from socialgrid.models.hearing import Before, Hearing
from socialgrid.models.phases import Phases
from socialgrid.models.spec import ViewSpec
from socialgrid.social.auxiliary import ViewLoss
from socialgrid.social.mechanism import make_mechanisms
from socialgrid.social.roles import Chosen, MechanismOptions

# Fewer environments than this are not worth a call of their own.
_FEWEST_ENVS_COMPILED, _FEWEST_ENVS_PLAIN, _MOST_PARTS_PLAIN = 16, 64, 16
Config = TypeVar("Config", bound=OnPolicyConfig)


class RecurrentLearner(Losses, Generic[Config]):
    """Independent recurrent actor-critics with one Adam each; subclasses add ``update``.

    Attributes:
        workers: threads that compute shards, one each at a time.
    """

    config: Config
    default_config: type[Config]

    def __init__(
        self,
        spec: ViewSpec,
        model: ModelConfig | None = None,
        config: Config | None = None,
        *,
        seed: int = 0,
        device: torch.device | str = "cpu",
        agent_ids: Sequence[int] | None = None,
        social: Iterable[MechanismOptions] = (),
        dump_dir: Path | str | None = None,
        precision: Precision = "float32",
    ) -> None:
        """Initialise networks, optimisers and random streams.

        Args:
            spec: views and actions of the agents to learn for.
            model: sizes of the network; the paper's by default.
            config: hyper-parameters; the paper's by default.
            seed: of the run.
            device: where networks live and updates happen.
            agent_ids: integers that tell the agents' random streams apart, by default 0 to A - 1.
                An agent's initial weights and draws depend on (seed, id) alone.
            social: options of the mechanisms in force, auxiliary losses included.
            dump_dir: where to write the batch that made something non-finite.
            precision: what the networks compute in, see ``ActorCritic``; parameters, moments and
                losses are float32 whatever it is.

        Raises:
            ValueError: numbers of rates or ids that do not fit, mechanisms that exclude each other,
                or too few agents for one.
        """
        config = config or self.default_config()
        super().__init__(
            spec.num_agents, seed=seed, device=device, agent_ids=agent_ids, dump_dir=dump_dir
        )
        self.config = config
        self.social = Chosen(tuple(social))
        self.mechanisms = make_mechanisms(self.social, spec)
        self.hearing = Hearing(
            [channel for mechanism in self.mechanisms for channel in mechanism.channels()],
            spec.slots,
        )
        self.model = ActorCritic(
            spec,
            model or ModelConfig(),
            hearing=self.hearing,
            branches={mechanism.name: mechanism.branch for mechanism in self.mechanisms},
            seed=seed,
            agent_ids=self.agent_ids,
            precision=precision,
        ).to(self.device)
        self.state_size = self.model.state_size
        self.asks = self.device.type in ("cpu", "mps")
        self.flat = None if self.asks else FlatParameters(self.model, aligned=True)
        self.optimiser = StackedAdam(
            *(self.model, self.num_agents, config.learning_rate),
            *(config.adam_betas, config.adam_eps, self.flat),
        )
        self.snapshot = Snapshot(self.flat or self.model, self.optimiser)
        self.standing, self.phases = Standing(stays=not self.asks), Phases(self.device)
        self._unsound = torch.zeros((), dtype=torch.bool, device=self.device)
        self.workers = Workers()
        self._acting = Acting(self.model)
        self._residents: dict[object, Resident] = {}
        self._memories, self._pairs = {}, {}
        self._calls = 0  # of ``act`` without the number of a step

    def meet(self, world: Any, kinds: Sequence[str]) -> None:
        """Look at the world to learn in, before the first batch.

        Args:
            world: the ``VecEnv``.
            kinds: who plays in it, by place: learner, frozen, novice, or the name of a scripted
                player.

        Raises:
            ValueError: it cannot be learnt in it, or in this company.
        """

    def initial_state(self, num_envs: int) -> Tensor:
        """Zero memory, float32 ``[E, A, S]``."""
        shape = num_envs, self.num_agents, self.state_size
        return torch.zeros(shape, dtype=torch.float32, device=self.device)

    @torch.no_grad()
    def act(
        self,
        obs: Tensor,
        state: Tensor,
        reset: Tensor,
        *,
        last: Mapping[str, Tensor] | None = None,
        greedy: bool = False,
        step: int | None = None,
        first_env: int = 0,
        uniform: Mapping[str, Tensor] | None = None,
    ) -> ActOutput:
        """Decide; see ``Learner.act``.

        Raises:
            ValueError: something that is heard of the last step is missing.
        """
        if uniform is None:
            uniform = {} if greedy else self._drawn(step, range(first_env, first_env + len(obs)))
        if not self.asks:
            return self._act_there(obs, state, reset, last or {}, uniform, first_env)
        obs, state, reset = (x.to(self.device) for x in (obs, state, reset))
        uniform = {name: x.to(self.device) for name, x in uniform.items()}
        heard = self._heard(state, reset, last)
        made = self._acting.begin(obs, state, reset, heard, uniform)
        share = self._share(len(obs), compiled=made.compiled)
        parts = [slice(first, first + share) for first in range(0, len(obs), share)]
        self.workers.map(made.run, parts, self.device)
        return ActOutput(made.decisions, made.before, made.tokens, state=made.after)

    def acts_alone(self, obs: Tensor) -> _core.Acting | None:
        """What acts in step after step on views like these, all by itself; nothing where Python has
        a part in each step: on accelerators, without kernels, and where something is heard that
        only Python knows.
        """
        whole = getattr(self.act, "__func__", None) is RecurrentLearner.act
        if not whole or self.device.type != "cpu" or self.heard_alone() is None:
            return None
        return self._acting.ready(obs)

    def heard_alone(self) -> list[tuple[int, int, int]] | None:
        """What is heard in such steps, see ``Hearing.compiled``."""
        if self.hearing is not self.model.hearing:
            return None
        return self.hearing.compiled(tuple(self.model.further))

    def _act_there(
        self,
        obs: Tensor,
        state: Tensor,
        reset: Tensor,
        last: Mapping[str, Tensor],
        uniform: Mapping[str, Tensor],
        first_env: int,
    ) -> ActOutput:
        """``act`` on an accelerator, in memory that the next call for these environments uses;
        actions of others need not have arrived.
        """
        last = {n: torch.as_tensor(x) for n, x in last.items() if self.hearing.columns}
        shapes = tuple((name, x.shape) for name, x in last.items())
        kind = (first_env, obs.shape, obs.dtype, bool(uniform), shapes)
        if kind not in self._residents:
            self._residents[kind] = Resident(self._acting, self._heard, self.device)
        resident = self._residents[kind]
        made = resident.begin(obs, state, reset, last, uniform)
        return ActOutput(
            *(made.decisions, made.before, made.tokens, resident.actions),
            state=made.after.clone(),
        )

    def _share(self, envs: int, *, compiled: bool) -> int:
        """How many environments are acted in at a time."""
        if self.device.type != "cpu":
            return envs
        if compiled:
            return max(_FEWEST_ENVS_COMPILED, -(-envs // self.workers.count(self.device)))
        # In plain PyTorch what a row comes to may depend on how many rows are computed together;
        # that must not be a matter of threads.
        return max(_FEWEST_ENVS_PLAIN, -(-envs // _MOST_PARTS_PLAIN))

    def draw(self, steps: range, envs: range) -> dict[str, Tensor]:
        """See ``Learner``."""
        agents, count = range(self.num_agents), len(steps)
        numbers = [step for step in steps for _ in agents]
        return {
            name: self.draws.uniform(numbers, envs, kind=kind, agents=[*agents] * count).view(
                count, self.num_agents, len(envs)
            )
            for kind, name in enumerate(self.model.heads)
        }

    def _drawn(self, step: int | None, envs: range) -> dict[str, Tensor]:
        """Numbers for one step, ``[A, E]`` each; by default the calls are counted here."""
        if step is None:
            step, self._calls = self._calls, self._calls + 1
        return {name: x[0] for name, x in self.draw(range(step, step + 1), envs).items()}

    def _heard(
        self, state: Tensor, reset: Tensor, last: Mapping[str, Tensor] | None
    ) -> Tensor | None:
        """Tokens ``[A, E, K]`` before a step; nothing without channels."""
        if not self.hearing.columns:
            return None
        known = {name: torch.as_tensor(x).to(self.device) for name, x in (last or {}).items()}
        choices = state[..., 2 * self.model.config.memory :]
        choices = choices.masked_fill(reset.unsqueeze(-1), 0.0).long() - 1
        return self.hearing.tokens(
            Before(
                len(state),
                self.device,
                known.get("actions"),
                known.get("rewards"),
                dict(zip(self.model.further, choices.unbind(-1), strict=True)),
            )
        )

    @torch.no_grad()
    def predict_views(
        self, obs: Tensor, state: Tensor, reset: Tensor, tokens: Tensor | None = None
    ) -> Tensor:
        """Predicted next view for every action (paper, fig. 2).

        Args:
            obs, state, reset: as of ``act``.
            tokens: int16 ``[E, A, K]``, what was heard in the step, as ``act`` returns it and a
                rollout has it; where agents hear anything.

        Returns:
            float32 ``[E, A, num_actions, rows * t, cols * t, 3]``, 1 being white, not clipped.

        Raises:
            RuntimeError: no mechanism predicts views.
            ValueError: what was heard is missing.
        """
        found = [one for one in self.mechanisms if isinstance(one, ViewLoss)]
        if not found:
            raise RuntimeError("no mechanism of this learner predicts views (aux prediction does)")
        if self.hearing.columns:
            if tokens is None:
                raise ValueError("predict_views() needs what was heard: tokens [E, A, K]")
            tokens = tokens.to(self.device).transpose(0, 1)
        core, _ = self.model.step(*self._agents_first(obs, state, reset), tokens)
        views = []
        for action in range(self.model.spec.num_actions):
            chosen = torch.full(core.shape[:2], action, device=self.device)
            patches = found[0].predict(self.model, core, chosen).float()
            views.append(from_patches(patches, self.model.spec).transpose(0, 1))
        return torch.stack(views, 2)

    def set_options(self, config: Config, social: Iterable[MechanismOptions]) -> None:
        """Go on with other numbers: rates, weights, discounts. Optimisers keep their moments.

        Args:
            config: the same in everything that shapes networks and optimisers.
            social: the same mechanisms, heard in the same way.

        Raises:
            ValueError: the number of learning rates is not that of the agents. Nothing has changed
                then.
        """
        self.set_learning_rate(config.learning_rate)
        self.config, self.social = config, Chosen(tuple(social))
        for mechanism, options in zip(self.mechanisms, self.social, strict=True):
            mechanism.set_options(options, self.model)

    def set_learning_rate(self, rates: float | Sequence[float]) -> None:
        """Change learning rates: one for all agents or one for each."""
        self.optimiser.set_rate(rates)

    @abstractmethod
    def update(self, rollout: Rollout, progress: float = 0.0) -> dict[str, Tensor]:
        """See ``Learner``."""

    def meta(self) -> dict[str, Any]:
        """JSON-able description and counters."""
        return super().meta() | {"model": asdict(self.model.config), "calls": self._calls}

    def load_meta(self, meta: Mapping[str, Any]) -> None:
        """See ``StackedLearner``."""
        super().load_meta(meta)
        self._calls = int(meta["calls"])

    def _live_tensors(self) -> dict[str, Tensor]:
        model = {f"model/{name}": p.detach() for name, p in self.model.named_parameters()}
        moments = {f"optimiser/{name}": x for name, x in self.optimiser.tensors().items()}
        return {**model, **moments, "learning": self._learning}

    def _agents_first(
        self, obs: Tensor, state: Tensor, reset: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        moved = as_signed(obs).to(self.device, non_blocking=True).transpose(0, 1)
        state = state.to(self.device).transpose(0, 1)
        reset = reset.to(self.device, non_blocking=True).transpose(0, 1)
        return self.model.prepare(moved), state, reset
