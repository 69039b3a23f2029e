"""Influential communication: reward for messages that change what listeners do next.

Every agent sends a symbol in every step; everybody hears all symbols one step later (Jaques et al.
2019, section 4). The influence of a message is how far the listeners' policies are from what they
would have been on average over the symbols that the speaker might have sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from socialgrid.data.sequences import agent_columns
from socialgrid.models.actor_critic import ActorCritic
from socialgrid.models.counterfactuals import Asked
from socialgrid.models.decision import DecisionHeads
from socialgrid.models.hearing import Before, Channel
from socialgrid.models.recall import Recall
from socialgrid.models.spec import ViewSpec
from socialgrid.social.influence.blocks import Block, Chosen, after_steps, before_steps
from socialgrid.social.influence.divergence import influence
from socialgrid.social.influence.leaders import Influence
from socialgrid.social.influence.listening import Listening


class LastMessages(Channel):
    """The last message of every agent of the learner, the own included."""

    compiled = "choices"

    def __init__(self, name: str, agents: int, vocabulary: int) -> None:
        self.name, self.columns, self.symbols = name, agents, vocabulary

    def tokens(self, before: Before) -> Tensor:
        """See ``Channel``."""
        return before.choices[self.name].to(torch.int16).expand(self.columns, -1, -1)


class Communication(Influence):
    """The mechanism ``comm``: messages are further decisions, rewarded for influence."""

    def __init__(self, options: Any, spec: ViewSpec) -> None:
        super().__init__(options, spec)
        if spec.num_agents < 2:
            raise ValueError("comm: messages need at least two learning agents")
        self.rewarded = self.name
        self.channel = LastMessages(self.name, spec.num_agents, options.vocabulary)
        self.alternatives = options.vocabulary

    def channels(self) -> Sequence[Channel]:
        """See ``Mechanism``."""
        return (self.channel,)

    def branch(self, generators: Sequence[torch.Generator], network: ActorCritic) -> DecisionHeads:
        """See ``Mechanism``."""
        options = self.options
        return DecisionHeads(
            generators,
            network.config.memory,
            options.embedding,
            options.vocabulary,
            weight=options.coef,
            entropy_coef=options.entropy_coef,
        )

    def set_options(self, options: Any, network: ActorCritic) -> None:
        """See ``Mechanism``."""
        super().set_options(options, network)
        heads = network.further[self.name]
        heads.weight, heads.entropy_coef = options.coef, options.entropy_coef

    @torch.no_grad()
    def exerted(
        self, network: ActorCritic, batch: Recall, heard: Listening, memory: dict[str, Tensor]
    ) -> Tensor:
        """Influence of the message sent in every step, on what the others do in the next.

        It is credited to the step that sent the message, so that it belongs to the same batch; the
        paper adds it to the next step's reward. A message at the end of an episode has no
        listeners.
        """
        hearing, heads, agents = network.hearing, network.further[self.name], network.num_agents
        first = hearing.column(self.channel)
        said = batch.decisions[self.name].choice.flatten(0, 1).t()
        following = batch.next_taken[..., agent_columns(network.own_slots)].flatten(0, 1).t()
        listening = batch.next_mask.flatten(0, 1).t()
        intentions = [
            heads.logits(block.core(network)).softmax(-1) for block in before_steps(network, batch)
        ]
        found = said.new_zeros((*said.shape, batch.taken.shape[-1]), dtype=torch.float32)
        for block, weights in zip(after_steps(network, batch), intentions, strict=True):
            rows = block.rows
            if block.answers(network):
                self._compiled(network, block, (weights, said, following, listening), found, heard)
                continue
            for speaker in range(agents):
                others = block.alternatives(
                    network, first + speaker, hearing.code(self.channel, speaker)
                )
                for other in range(agents):
                    if other == speaker:
                        continue
                    exerted = influence(
                        others[other],
                        weights[speaker],
                        said[speaker, rows],
                        self.options.divergence,
                        following[other, rows].clamp(min=0),
                    )
                    counts = listening[speaker, rows] & listening[other, rows]
                    heard.add(speaker, network.own_slots[other], others[other], counts)
                    if self.options.divergence == "pmi":  # of a response that is known
                        counts = counts & (following[other, rows] >= 0)
                    found[speaker, rows, network.own_slots[other]] = exerted * counts
        return found.transpose(0, 1).reshape(*batch.done.shape, *found.shape[::2])

    def _compiled(
        self,
        network: ActorCritic,
        block: Block,
        given: tuple[Tensor, Tensor, Tensor, Tensor],
        found: Tensor,
        heard: Listening,
    ) -> None:
        """A block of samples by compiled kernels."""
        rows, asked, agents = block.rows, {}, range(network.num_agents)
        weights, said, following, listening = given
        for speaker in agents:
            for other in set(agents) - {speaker}:
                slot = network.own_slots[other]
                counts = listening[speaker, rows] & listening[other, rows]
                then = following[other, rows]
                known = counts & (then >= 0) if self.options.divergence == "pmi" else counts
                asked[Chosen.of(network.hearing, self.channel, speaker, other)] = Asked(
                    *(0, network.spec.num_actions, weights[speaker], said[speaker, rows]),
                    *(then.clamp(min=0), counts, known, found[speaker, rows, slot]),
                    heard.told(speaker, slot, self.alternatives, counts),
                )
        block.exert(network, asked, self.options.divergence)
