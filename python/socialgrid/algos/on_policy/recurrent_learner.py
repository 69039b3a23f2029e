"""What all learners with a recurrent actor-critic have in common: acting and being saved."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from socialgrid.algos.learner import ActOutput
from socialgrid.algos.options import A3CConfig, CloningConfig, PPOConfig
from socialgrid.algos.stacked_learner import StackedLearner
from socialgrid.algos.workers import Workers
from socialgrid.data.rollout import Rollout
from socialgrid.data.sequences import Minibatch, SequenceBatch, chosen_log_prob, piece_length
from socialgrid.models.actor_critic import ActorCritic, put_agent, take_agent
from socialgrid.models.adam import StackedAdam
from socialgrid.models.config import ModelConfig
from socialgrid.models.encoders import as_signed, from_patches
from socialgrid.models.hearing import Channels
from socialgrid.models.spec import ViewSpec
from socialgrid.social.influence.communication import message_influence
from socialgrid.social.influence.leaders import basic_influence
from socialgrid.social.influence.listening import Listening
from socialgrid.social.influence.moa import moa_loss, modelled_influence
from socialgrid.social.options import SocialConfig
from socialgrid.social.protocols import Outputs, RewardTerm
from socialgrid.social.registry import find_aux_loss, learning_reward
from socialgrid.social.rewards import RewardTransform, make_reward_transform

# Fewer environments than this are not worth a thread of their own.
_FEWEST_ENVS, _FEWEST_ENVS_ACTING = 16, 64
_FEWEST_SEQUENCES = 16
_Piece = tuple[tuple[Tensor | None, ...], dict[str, Tensor]]
Config = TypeVar("Config", bound=PPOConfig | A3CConfig | CloningConfig)
LossOf = Callable[[ActorCritic, Minibatch], tuple[Tensor, dict[str, Tensor]]]


class RecurrentLearner(StackedLearner, Generic[Config]):
    """Independent recurrent actor-critics with one Adam each; subclasses add ``update``."""

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
        social: SocialConfig | None = None,
        reward_terms: Sequence[RewardTerm] = (),
        dump_dir: Path | str | None = None,
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
            social: social mechanisms; none by default.
            reward_terms: added to the environment's reward.
            dump_dir: where to write the batch that made something non-finite.

        Raises:
            ValueError: an unknown auxiliary loss, numbers of rates or ids that do not fit, or too
                few agents for a mechanism.
        """
        config = config or self.default_config()
        aux = "none" if isinstance(config, CloningConfig) else config.aux
        self._aux_loss = find_aux_loss(aux)
        super().__init__(
            spec.num_agents, seed=seed, device=device, agent_ids=agent_ids, dump_dir=dump_dir
        )
        self.config = config
        self.social = social or SocialConfig()
        self.reward_terms = tuple(reward_terms)
        self.channels = Channels.of(self.social, spec)
        self.model = ActorCritic(
            spec,
            model or ModelConfig(),
            decoder=aux != "none",
            channels=self.channels,
            message_embedding=self.social.message_embedding,
            moa_memory=self.social.moa_memory if "moa" in self.social.mechanisms else 0,
            seed=seed,
            agent_ids=self.agent_ids,
            precision=config.precision,
        ).to(self.device)
        self.state_size = self.model.state_size
        self.optimiser = StackedAdam(
            self.model, self.num_agents, config.learning_rate, config.adam_betas, config.adam_eps
        )
        if config.compile:
            self.model.compile_parts()
        self._workers = Workers()
        self._transform: RewardTransform | None = None
        self._carried: dict[str, Tensor] = {}
        self._pairs: dict[str, Tensor] = {}

    def initial_state(self, num_envs: int) -> Tensor:
        """Zero memory, float32 ``[E, A, S]``."""
        return torch.zeros((num_envs, self.num_agents, self.state_size), device=self.device)

    @torch.no_grad()
    def act(
        self,
        obs: Tensor,
        state: Tensor,
        reset: Tensor,
        *,
        last_actions: Tensor | None = None,
        greedy: bool = False,
    ) -> ActOutput:
        """Choose actions, and messages where agents talk; see ``Learner.act``.

        Raises:
            ValueError: last_actions are needed and missing.
        """
        obs = as_signed(obs).to(self.device, non_blocking=True)
        state = state.to(self.device)
        reset = reset.to(self.device, non_blocking=True)
        before = state.masked_fill(reset.unsqueeze(-1), 0.0)
        uniform = None if greedy else self._uniform(len(obs))
        talking = self.model.messages is not None
        uniform_said = self._uniform(len(obs)) if talking and not greedy else None
        heard = self._heard(before, last_actions)
        share = max(_FEWEST_ENVS_ACTING, -(-len(obs) // self._workers.count(self.device)))

        @torch.no_grad()
        def act(first: int) -> tuple[Tensor, ...]:
            envs = slice(first, first + share)
            views, memory, zeroed = self._agents_first(obs[envs], state[envs], reset[envs])
            features = self.model.encode(views)
            tokens = None if heard is None else heard[:, envs]

            def look() -> tuple[Tensor, Tensor, Tensor, Tensor]:
                core, after = self.model.advance(features, memory, zeroed, tokens)
                logits = self.model.logits(core)
                return core, after, logits, _choose(logits, uniform, envs)

            core, after, logits, chosen = look()
            if self.channels.influencers and tokens is not None:
                led, leaders = chosen, self.channels.influencers
                tokens = self.channels.tell(tokens, led)
                core, after, logits, chosen = look()
                chosen[:leaders] = led[:leaders]
            found = [chosen.t(), chosen_log_prob(logits, chosen).t(), self.model.value(core).t()]
            if tokens is not None:
                found.append(tokens.transpose(0, 1))
            if self.model.messages is not None:
                logits = self.model.messages.logits(core)
                said = _choose(logits, uniform_said, envs)
                after[..., -1] = said + 1
                value = self.model.messages.value(core)
                found += [said.t(), chosen_log_prob(logits, said).t(), value.t()]
            return after.transpose(0, 1), *found

        parts = self._workers.map(act, range(0, len(obs), share), self.device)
        after, *found = (torch.cat(x) for x in zip(*parts, strict=True))
        action, log_prob, value, *rest = found
        return ActOutput(action, log_prob, value, before, *rest, state=after)

    def _heard(self, before: Tensor, last_actions: Tensor | None) -> Tensor | None:
        """Tokens ``[A, E, K]`` before a step; nothing without channels."""
        if not self.channels.columns:
            return None
        if last_actions is not None:
            last_actions = torch.as_tensor(last_actions).to(self.device)
        messages = before[..., -1].long() - 1 if self.channels.speakers else None
        if last_actions is None and messages is None:
            # Only influencers are heard: their columns are filled in when they have acted.
            last_actions = torch.full((len(before), 1), -1, device=self.device)
            if self.channels.world:
                raise ValueError("visible-actions: act() needs last_actions [E, N]")
        return self.channels.tokens(last_actions, messages)

    @torch.no_grad()
    def predict_views(self, obs: Tensor, state: Tensor, reset: Tensor) -> Tensor:
        """Predicted next view for every action (paper, fig. 2).

        Returns:
            float32 ``[E, A, num_actions, rows * t, cols * t, 3]``, 1 being white, not clipped.

        Raises:
            RuntimeError: the network has no auxiliary branch.
        """
        tokens = self._heard(state.to(self.device), None)
        core, _ = self.model.step(*self._agents_first(obs, state, reset), tokens)
        views = []
        for action in range(self.model.spec.num_actions):
            chosen = torch.full(core.shape[:2], action, device=self.device)
            patches = self.model.predict_view(core, chosen).float()
            views.append(from_patches(patches, self.model.spec).transpose(0, 1))
        return torch.stack(views, 2)

    def set_options(self, config: Config, social: SocialConfig) -> None:
        """Go on with other numbers: rates, weights, discounts. Optimisers keep their moments.

        Args:
            config: the same in everything that shapes networks and optimisers.
            social: the same mechanisms, heard in the same way.

        Raises:
            ValueError: the number of learning rates is not that of the agents. Nothing has changed
                then.
        """
        self.set_learning_rate(config.learning_rate)
        self.config, self.social = config, social

    def set_learning_rate(self, rates: float | Sequence[float]) -> None:
        """Change learning rates: one for all agents or one for each."""
        self.optimiser.set_rate(rates)

    def take_agent(self, agent: int) -> dict[str, Tensor]:
        """One agent's part of ``tensors()``, without the agent axis."""
        return {name: x[agent].clone() for name, x in self.tensors().items()}

    def put_agent(self, agent: int, tensors: Mapping[str, Tensor]) -> None:
        """Overwrite one agent with ``take_agent`` of this or another learner.

        Raises:
            ValueError: a name is missing or unknown, or a shape differs. Nothing has changed then.
        """
        everything = self.tensors()
        if everything.keys() != tensors.keys():
            raise ValueError(
                f"agent's tensors: missing {sorted(everything.keys() - tensors.keys())}, "
                f"unknown {sorted(tensors.keys() - everything.keys())}"
            )
        for name, x in everything.items():
            if x.shape[1:] != tensors[name].shape:
                raise ValueError(
                    f"agent's tensor {name}: shape {tuple(tensors[name].shape)}, "
                    f"expected {tuple(x.shape[1:])}"
                )
            x[agent] = tensors[name]
        self.load_tensors(everything)

    def carried(self) -> dict[str, Tensor]:
        """What mechanisms remember from one batch to the next, CPU tensors ``[E, ...]`` by name."""
        found = {name: x.cpu().clone() for name, x in self._carried.items()}
        if self._transform is not None:
            found |= {f"reward/{name}": x.cpu() for name, x in self._transform.tensors().items()}
        return found

    def load_carried(self, tensors: Mapping[str, Tensor]) -> None:
        """Inverse of ``carried``; an empty mapping forgets everything.

        Raises:
            ValueError: a shape does not fit the learner.
        """
        prefix = "reward/"
        own = {name: x for name, x in tensors.items() if not name.startswith(prefix)}
        for name, x in own.items():
            if name != "moa" or self.model.moa is None or x.dim() != 3:
                raise ValueError(f"carried tensor {name} {tuple(x.shape)}: not of this learner")
            if x.shape[1:] != (self.num_agents, self.model.moa.state_size):
                raise ValueError(f"carried tensor {name} {tuple(x.shape)}: other agents or sizes")
        rest = {k.removeprefix(prefix): x for k, x in tensors.items() if k.startswith(prefix)}
        self._transform = None
        if rest:
            envs = len(next(iter(rest.values())))
            self._reward_transform(envs, len(self.model.spec.world_action_counts))
            if self._transform is None:
                raise ValueError("carried rewards, but no mechanism that remembers them")
            self._transform.load_tensors(rest)
        self._carried = {name: x.to(self.device).clone() for name, x in own.items()}

    def influence(self, rollout: Rollout) -> Tensor | None:
        """Influence in every recorded step, float32 ``[T, E, A, N]`` on the CPU: exerted by agent
        ``a`` of the learner on agent ``n`` of the world.

        Memories of mechanisms start at zero, and nothing is carried on: meant for rollouts that
        begin with an episode. ``None`` without a mechanism that measures influence.
        """
        batch = SequenceBatch(rollout, self.model, self.device)
        carried, self._carried = self._carried, {}
        try:
            found = self._exerted(batch)
        finally:
            self._carried = carried
        return None if found is None else found.cpu()

    def pairs(self) -> dict[str, Tensor]:
        """Means of the batch learnt from last (or measured by ``influence``), by name, float32
        ``[A, N]`` of agent ``a`` of the learner for agent ``n`` of the world: influence, per step
        in play, and value_of_listening (``Listening``), NaN where there is none. Empty without a
        mechanism that measures influence.
        """
        return dict(self._pairs)

    def _reward_transform(self, num_envs: int, num_agents: int) -> RewardTransform | None:
        if self._transform is None:
            self._transform = make_reward_transform(self.social, num_envs, num_agents)
        return self._transform

    def _exerted(self, batch: SequenceBatch) -> Tensor | None:
        """Influence float32 ``[T, E, A, N]`` as the mechanism in force measures it."""
        social = self.social
        heard = Listening(self.num_agents, batch.taken.shape[-1])
        if "influence" in social.mechanisms:
            found = basic_influence(self.model, batch, social, heard)
        elif "comm" in social.mechanisms:
            found = message_influence(self.model, batch, social, heard)
        elif self.model.moa is not None:
            found = self._modelled_influence(batch, heard, self.model.moa.state_size)
        else:
            return None
        steps = batch.mask.sum((0, 1)).clamp(min=1)
        self._pairs = {
            "influence": (found.sum((0, 1)) / steps[:, None]).cpu(),
            "value_of_listening": heard.value(),
        }
        return found

    def _modelled_influence(self, batch: SequenceBatch, heard: Listening, size: int) -> Tensor:
        """Goes on from the memory of the batch before, and leaves the new one."""
        shape = (batch.num_envs, self.num_agents, size)
        state = self._carried.get("moa", batch.value.new_zeros(shape))
        found, self._carried["moa"] = modelled_influence(
            self.model, batch, self.social, state, heard
        )
        return found

    def _influence(self, batch: SequenceBatch) -> Tensor | None:
        """c, float32 ``[T, E, A]``: the influence that each agent is rewarded for."""
        exerted = self._exerted(batch)
        if exerted is None:
            return None
        c = exerted.sum(-1)
        if "influence" in self.social.mechanisms:
            received = exerted.sum(-2)[..., list(self.model.own_slots)]
            c = c + self.social.influencee_weight * received
        limit = self.social.influence_clip
        return c if limit is None else c.clamp(max=limit)

    def _rewards(
        self, rollout: Rollout, batch: SequenceBatch, progress: float
    ) -> tuple[Tensor, Tensor | None, dict[str, Tensor]]:
        """What actions and messages are rewarded with.

        Returns:
            reward of actions and of messages (``None`` where nobody talks), float32 ``[T, E, A]``,
            and metrics float32 ``[A]``: reward_mean, and influence, value_of_listening (to an
            agent, by who listens most) and influence_weight.

        Raises:
            NonFiniteError: a reward is not finite.
        """
        social = self.social
        reward = learning_reward(rollout, self.reward_terms)
        transform = self._reward_transform(rollout.num_envs, rollout.num_agents)
        if transform is not None:
            own = rollout.own(rollout.reward)
            reward += transform(rollout.reward, rollout.done, rollout.agents) - own
        reward = reward.to(self.device)
        self._check_finite("reward", reward.permute(2, 0, 1), range(self.num_agents))
        c = self._influence(batch)
        metrics: dict[str, Tensor] = {}
        message_reward = None
        if c is not None:
            self._check_finite("influence", c.permute(2, 0, 1), range(self.num_agents))
            beta = social.beta(progress)
            mixed = social.environment_weight * reward + beta * c
            if batch.message.shape[-1]:
                message_reward = mixed
            else:
                reward = mixed
            metrics["influence"] = _mean_in_play(c, batch.mask)
            listened = self._pairs["value_of_listening"]
            metrics["value_of_listening"] = listened.nan_to_num(0.0).amax(1)
            metrics["influence_weight"] = torch.full((self.num_agents,), beta)
        metrics["reward_mean"] = _mean_in_play(reward, batch.mask)
        return reward, message_reward, metrics

    def _outputs(self, network: ActorCritic, part: Minibatch) -> Outputs:
        """What a network makes of a minibatch."""
        agents, length, sequences = part.action.shape
        views = part.views[:, :-1].flatten(1, 2)
        if network.moa is None:
            convolved, features = None, network.encode(views)
        else:
            convolved = network.encoder.convolved(views, network.dtype)
            features = network.encoder.features(convolved)
        tokens = None if part.tokens is None else part.tokens.flatten(1, 2)
        heard = network.hear(features, tokens)
        h, _ = network.remember(heard.view(agents, length, sequences, -1), part.state, part.reset)
        core = h.flatten(1, 2)
        outputs = Outputs(network, core, network.logits(core), network.value(core), convolved)
        if network.messages is not None:
            outputs.message = network.messages.logits(core), network.messages.value(core)
        return outputs

    def _social_loss(
        self, outputs: Outputs, part: Minibatch
    ) -> tuple[Tensor | float, dict[str, Tensor]]:
        """Loss of each agent ``[A]`` of the mechanisms that learn something themselves, weighted,
        and numbers ``[A]`` that add up over pieces.
        """
        if outputs.model.moa is None:
            return 0.0, {}
        loss, numbers = moa_loss(outputs, part, self.social)
        return self.social.moa_coef * loss, dict(numbers)

    @staticmethod
    def _finished(numbers: dict[str, Tensor]) -> dict[str, Tensor]:
        """Numbers of a whole minibatch: shares computed from what added up over pieces."""
        if "moa_predictions" in numbers:
            predictions = numbers.pop("moa_predictions").clamp(min=1e-12)
            numbers["moa_accuracy"] = numbers.pop("moa_correct") / predictions
            numbers["moa_loss"] = numbers["moa_loss"] / predictions
        return numbers

    def meta(self) -> dict[str, Any]:
        """JSON-able description and counters."""
        return super().meta() | {"model": asdict(self.model.config)}

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

    def _network_of(self, agents: Sequence[int]) -> tuple[ActorCritic, list[int]]:
        """A network to compute gradients of these agents in, and the agents it holds.

        It is a copy if that saves work; ``_write_back`` brings its parameters home.
        """
        everyone = list(range(self.num_agents))
        if list(agents) == everyone or self.config.compile:
            return self.model, everyone
        return self.model.take_agents(agents), list(agents)

    def _write_back(self, network: ActorCritic, members: Sequence[int]) -> None:
        if network is not self.model:
            self.model.put_agents(members, network)

    def _refresh(
        self, batch: SequenceBatch, network: ActorCritic, members: Sequence[int], *, policy: bool
    ) -> Tensor | None:
        """Recompute memories and values of the network's agents, environments side by side."""
        share = max(_FEWEST_ENVS, -(-batch.num_envs // self._workers.count(self.device)))
        parts = [slice(e, e + share) for e in range(0, batch.num_envs, share)]

        def refresh(envs: slice) -> Tensor | None:
            return batch.refresh(network, members, envs=envs, policy=policy)

        found = [x for x in self._workers.map(refresh, parts, self.device) if x is not None]
        return torch.cat(found, 1) if policy else None

    def _sampled_gradients(
        self,
        batch: SequenceBatch,
        network: ActorCritic,
        members: Sequence[int],
        loss_of: LossOf,
        *,
        sequences: int,
        length: int,
    ) -> dict[str, Tensor]:
        """Gradients of one fresh minibatch into ``.grad`` of the network.

        Args:
            batch: where to draw from.
            network: holds exactly the agents ``members``.
            members: the agents to draw for.
            loss_of: see ``_gradients``.
            sequences: how many for each agent.
            length: steps in each.

        Returns:
            the numbers of the whole minibatch.
        """
        length = min(length, batch.num_steps)
        generators = [self._generators[agent] for agent in members]
        starts, envs = batch.sample(generators, sequences, length)
        share = -(-sequences // self._workers.count(self.device))
        largest = piece_length(network, len(members), length)
        piece = min(largest, max(_FEWEST_SEQUENCES, share))
        pieces = batch.minibatches(members, starts, envs, length, piece)
        return self._gradients(pieces, network, members, loss_of)

    def _gradients(
        self,
        pieces: Sequence[Callable[[], Minibatch]],
        network: ActorCritic,
        members: Sequence[int],
        loss_of: LossOf,
    ) -> dict[str, Tensor]:
        """Gradients of a minibatch, piece by piece, into ``.grad`` of the network.

        Args:
            pieces: what makes the parts of the minibatch.
            network: holds exactly the agents ``members``.
            members: whose gradients.
            loss_of: loss of each agent ``[A]`` and numbers ``[A]`` by name; both add up over
                pieces.

        Returns:
            the numbers of the whole minibatch.
        """
        parameters = list(network.parameters())

        def work(gather: Callable[[], Minibatch]) -> _Piece:
            part = gather()
            loss, numbers = loss_of(network, part)
            self._check_finite("loss", loss.detach(), members, part)
            return torch.autograd.grad(loss.sum(), parameters, allow_unused=True), numbers

        done = self._workers.map(work, pieces, self.device)
        # Added up in the order of the pieces, whoever was done first.
        for p, *grads in zip(parameters, *(grads for grads, _ in done), strict=True):
            known = [g for g in grads if g is not None]
            p.grad = torch.stack(known).sum(0) if len(known) > 1 else (known or [None])[0]
        names = done[0][1]
        sums = {name: torch.stack([n[name] for _, n in done]).sum(0) for name in names}
        return self._finished(sums)

    def _learners(self, batch: SequenceBatch) -> list[int]:
        """Agents that learn and were in play at all."""
        played = batch.mask.flatten(0, 1).any(0).tolist()
        return [a for a in range(self.num_agents) if bool(self._learning[a]) and played[a]]

    def _snapshot(self, agents: Sequence[int]) -> dict[int, dict[str, Tensor]]:
        return {
            agent: {
                **{f"model/{name}": x for name, x in take_agent(self.model, agent).items()},
                **{f"adam/{name}": x for name, x in self.optimiser.take_agent(agent).items()},
            }
            for agent in agents
        }

    def _restore(self, agent: int, snapshot: Mapping[str, Tensor]) -> None:
        """Put back parameters and optimiser of one agent: copies, so nothing is shared."""

        def part(prefix: str) -> dict[str, Tensor]:
            return {k.removeprefix(prefix): x for k, x in snapshot.items() if k.startswith(prefix)}

        put_agent(self.model, agent, part("model/"))
        self.optimiser.put_agent(agent, part("adam/"))

    def _check_parameters(self, agents: Sequence[int]) -> None:
        rows = [
            torch.stack(torch._foreach_norm([p[a] for p in self.model.parameters()])).sum()
            for a in agents
        ]
        if rows:
            self._check_finite("parameter", torch.stack(rows).detach(), agents)


def _mean_in_play(x: Tensor, mask: Tensor) -> Tensor:
    """Mean of ``x`` [T, E, A] over the steps in play, ``[A]`` on the CPU."""
    return ((x * mask).sum((0, 1)) / mask.sum((0, 1)).clamp(min=1)).cpu()


def _choose(logits: Tensor, uniform: Tensor | None, envs: slice) -> Tensor:
    """Actions ``[A, E]``: drawn by ``uniform`` [A, all], or the most probable ones."""
    return logits.argmax(-1) if uniform is None else _invert(logits, uniform[:, envs])


def _invert(logits: Tensor, uniform: Tensor) -> Tensor:
    """Sample actions ``[A, E]`` by inverting the cumulative distribution at ``uniform``."""
    cumulative = logits.softmax(-1).cumsum(-1)
    # Scaling by the last entry keeps rounding from choosing an action beyond the table.
    return (cumulative[..., :-1] <= uniform.unsqueeze(-1) * cumulative[..., -1:]).sum(-1)
