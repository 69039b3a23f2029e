"""Social influence: reward for actions that change what others do (Jaques et al. 2019).

``Influence`` is what all kinds of it have in common. In the basic kind influencers act first; the
others see what they do in this very step. The influence of an influencer is how far the others'
policies are from what they would have been on average over its alternatives (section 3, eq. 1 and
2).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from socialgrid.data.exchange import sent
from socialgrid.data.sequences import agent_columns
from socialgrid.models.actor_critic import ActorCritic
from socialgrid.models.counterfactuals import Asked
from socialgrid.models.hearing import Before, Channel
from socialgrid.models.recall import Recall
from socialgrid.models.spec import ViewSpec
from socialgrid.social.influence.blocks import Block, Chosen, before_steps
from socialgrid.social.influence.divergence import influence
from socialgrid.social.influence.listening import Listening, value_of_listening
from socialgrid.social.mechanism import Mechanism, Rewards


class Influence(Mechanism):
    """Reward for influence: ``environment_weight * e + beta * c`` for one kind of decisions."""

    rewarded = "action"
    """Whose reward it is."""

    alternatives: int
    """How many different things an agent may do to be rewarded."""

    @abstractmethod
    def exerted(
        self, network: ActorCritic, batch: Recall, heard: Listening, memory: dict[str, Tensor]
    ) -> Tensor:
        """Influence float32 ``[T, E, A, N]``: exerted by agent ``a`` of the learner on agent ``n``
        of the world. ``heard`` takes in how what ``n`` does depends on what ``a`` may do;
        ``memory`` is that of ``Rewards``.
        """

    def credited(self, exerted: Tensor, network: ActorCritic) -> Tensor:
        """c, float32 ``[T, E, A]``: the influence that each agent is rewarded for."""
        return exerted.sum(-1)

    def measured(self, rewards: Rewards) -> Tensor:
        """Influence as ``exerted`` has it; its mean and what the value of listening is made of are
        logged.
        """
        network, batch = rewards.network, rewards.batch
        put, name = batch.standing.put, self.name
        there = sent(batch.device, *rewards.memory.values())
        before = {k: put(f"{name}/{k}", x) for k, x in zip(rewards.memory, there, strict=True)}

        def measure() -> tuple[tuple[Tensor, ...], tuple[dict[str, Tensor], ...]]:
            world, memory = batch.taken.shape[-1], dict(before)
            heard = Listening(network.num_agents, world, self.alternatives, batch.device)
            found = self.exerted(network, batch, heard, memory)
            return (found, heard.sums, heard.counts), (memory, batch.extras, batch.memories)

        (found, sums, counts), (memory, extras, memories) = rewards.phase(name, measure)
        rewards.memory = {k: x.clone() for k, x in memory.items()}
        batch.extras |= extras  # where the work was repeated, another batch has them
        batch.memories |= memories
        rewards.log_pairs("influence", found)
        rewards.add("listening", sums)
        rewards.add("listened", counts)
        return found

    def report(
        self, sums: Mapping[str, Tensor], numbers: dict[str, Tensor], pairs: dict[str, Tensor]
    ) -> None:
        """See ``Mechanism``: the value of listening of pairs, NaN where there is none, and of each
        agent's pair that has the largest.
        """
        value = value_of_listening(sums["listening"], sums["listened"])
        pairs["value_of_listening"] = value
        numbers["value_of_listening"] = value.nan_to_num(0.0).amax(1)

    def reward(self, rewards: Rewards) -> None:
        """See ``Mechanism``."""
        options = self.options
        exerted = self.measured(rewards)
        c = self.credited(exerted, rewards.network)
        if options.influence_clip is not None:
            c = c.clamp(max=options.influence_clip)
        beta = options.beta(rewards.progress)
        environment = rewards.of["action"]
        rewards.of[self.rewarded] = options.environment_weight * environment + beta * c
        rewards.log("influence", exerted.sum(-1))
        rewards.log("influence_reward", c)
        rewards.log("influence_weight", torch.full_like(c, beta))


class LeadersNow(Channel):
    """What each influencer does in this very step; silent for the influencers themselves."""

    compiled = "silence"

    def __init__(self, spec: ViewSpec, leaders: int) -> None:
        self.agents, self.leaders, self.columns = spec.num_agents, leaders, leaders
        self.symbols = max(spec.world_action_counts)

    def tokens(self, before: Before) -> Tensor:
        """See ``Channel``."""
        shape = (self.agents, before.num_envs, self.columns)
        return torch.full(shape, -1, dtype=torch.int16, device=before.device)


class BasicInfluence(Influence):
    """The mechanism ``influence``."""

    def __init__(self, options: Any, spec: ViewSpec) -> None:
        super().__init__(options, spec)
        if options.num_influencers >= spec.num_agents:
            raise ValueError(
                f"num_influencers {options.num_influencers}: the learner has {spec.num_agents} "
                "agents, and at least one must be left to be influenced"
            )
        self.channel = LeadersNow(spec, options.num_influencers)
        self.alternatives = spec.num_actions

    def channels(self) -> Sequence[Channel]:
        """See ``Mechanism``."""
        return (self.channel,)

    @torch.no_grad()
    def exerted(
        self, network: ActorCritic, batch: Recall, heard: Listening, memory: dict[str, Tensor]
    ) -> Tensor:
        """See ``Influence``; only influencers exert any, and only on the learner's others."""
        hearing, leaders = network.hearing, self.channel.leaders
        first = hearing.column(self.channel)
        action = batch.action.flatten(0, 1).t()
        playing = batch.mask.flatten(0, 1).t()
        found = action.new_zeros((*action.shape, batch.taken.shape[-1]), dtype=torch.float32)
        for block in before_steps(network, batch):
            rows = block.rows
            own = network.logits(block.core(network)).softmax(-1)
            if block.answers(network):
                self._compiled(network, block, (own, action, playing), found, heard)
                continue
            for leader in range(leaders):
                policies = block.alternatives(
                    network, first + leader, hearing.code(self.channel, leader)
                )
                count = min(self.channel.symbols, own.shape[-1])
                possible = network.spec.action_counts[leader]
                for other in range(leaders, network.num_agents):
                    exerted = influence(
                        policies[other, :, :count],
                        own[leader, :, :count],
                        action[leader, rows],
                        self.options.divergence,
                        action[other, rows],
                    )
                    counts = playing[leader, rows] & playing[other, rows]
                    slot = network.own_slots[other]
                    found[leader, rows, slot] = exerted * counts
                    heard.add(leader, slot, policies[other, :, :possible], counts)
        return found.transpose(0, 1).reshape(*batch.done.shape, *found.shape[::2])

    def _compiled(
        self,
        network: ActorCritic,
        block: Block,
        given: tuple[Tensor, Tensor, Tensor],
        found: Tensor,
        heard: Listening,
    ) -> None:
        """A block of samples by compiled kernels."""
        rows, leaders, asked = block.rows, self.channel.leaders, {}
        own, action, playing = given
        for leader in range(leaders):
            possible = network.spec.action_counts[leader]
            for other in range(leaders, network.num_agents):
                slot = network.own_slots[other]
                counts = playing[leader, rows] & playing[other, rows]
                asked[Chosen.of(network.hearing, self.channel, leader, other)] = Asked(
                    *(0, own.shape[-1], own[leader], action[leader, rows], action[other, rows]),
                    *(counts, counts, found[leader, rows, slot]),
                    heard.told(leader, slot, possible, counts),
                )
        block.exert(network, asked, self.options.divergence)

    def credited(self, exerted: Tensor, network: ActorCritic) -> Tensor:
        """See ``Influence``; the influenced may get a share of it."""
        received = exerted.sum(-2)[..., agent_columns(network.own_slots)]
        weight: float = self.options.influencee_weight
        return exerted.sum(-1) + weight * received
