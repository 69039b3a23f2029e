"""Behaviour cloning (Bain and Sammut 1995; Ndousse et al. 2021, appendix 7.4): do as somebody did.

The imitated agent plays in the same world, or has played and left a file. The paper's network is
that of PPO, whose layers for values and for predicted views are unused here, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from socialgrid.algos.imitation import whom_to_imitate
from socialgrid.algos.on_policy.going import Going
from socialgrid.algos.on_policy.gradient_steps import Drawn
from socialgrid.algos.on_policy.recurrent_learner import RecurrentLearner
from socialgrid.algos.on_policy.shards import Shards
from socialgrid.algos.options import CloningConfig
from socialgrid.data.rollout import Rollout
from socialgrid.data.sequences import Judged, Minibatch
from socialgrid.data.trajectories import Trajectories, read_trajectories
from socialgrid.models.actor_critic import ActorCritic
from socialgrid.models.heads import chosen_log_prob
from socialgrid.models.spec import EYES, hidden_from

_OWN = "imitation/"  # in front of the names of what is carried on
_NUMBERS = ("cross_entropy", "accuracy")


class BehaviourCloning(RecurrentLearner[CloningConfig]):
    """Cross-entropy on what somebody else does; implements ``Learner``.

    Every learning agent learns, in its own network, from the views and actions of the one that
    ``meet`` chooses; memories are those of the learner's network along that agent's episodes, and
    go on from batch to batch. Without ``meet`` the rollout's own agents are imitated: fill it with
    the views and actions of experts (``rollout.action``).
    """

    algorithm = "behaviour_cloning"
    default_config = CloningConfig
    _imitated: int | None = None
    _file: Trajectories | None = None
    _memory: Tensor | None = None  # [E, A, S] along the imitated agent's episodes
    _memory_after: Tensor | None = None  # the batch at hand
    _stretch = 0  # of the file, that comes next

    def meet(self, world: Any, kinds: Sequence[str]) -> None:
        """Find out whom to imitate, or read what was recorded; see ``RecurrentLearner``.

        Raises:
            ValueError: there is nobody to imitate, what was recorded cannot be read, or the
                imitated agent sees or does other things than the learners.
        """
        path = self.config.trajectories
        learners = [slot for slot in self.model.own_slots if kinds[slot] == "learner"]
        if path:
            try:
                self._file = read_trajectories(Path(path).expanduser())
                _check_file(self._file, world, learners)
                shards, count = self.config.shards, self._file.num_worlds
                if shards and count % shards:
                    raise ValueError(f"{path}: {shards} shards cannot share its {count} worlds")
            except ValueError as error:
                raise ValueError(f"trajectories: {error}") from None
        else:
            slot = self._imitated = whom_to_imitate(self.config.imitates, kinds)
            names = world.action_names[: world.action_counts[slot]]
            who = f"imitates: agent {slot}"
            _check_agent(names, hidden_from(world, slot), world, learners, who)

    def carried(self) -> dict[str, Tensor]:
        """See ``RecurrentLearner``; the memory along the imitated agent's episodes."""
        carried = super().carried()
        if self._memory is not None:
            carried[_OWN + "memory"] = self._memory.cpu()
        if self._file is not None:
            carried[_OWN + "stretch"] = torch.tensor([self._stretch])
            carried[_OWN + "file"] = torch.tensor(list(self._file.digest), dtype=torch.uint8)
        return carried

    def load_carried(self, tensors: Mapping[str, Tensor]) -> None:
        """See ``RecurrentLearner``."""
        own = {name.removeprefix(_OWN): x for name, x in tensors.items() if name.startswith(_OWN)}
        memory, stretch, digest = (own.pop(name, None) for name in ("memory", "stretch", "file"))
        for name in own:
            raise ValueError(f"carried tensor {_OWN}{name}: not of this learner")
        sizes = (self.num_agents, self.state_size)
        if memory is not None and (memory.dim() != 3 or memory.shape[1:] != sizes):
            raise ValueError(
                f"carried memory {tuple(memory.shape)} is not [environments, *{sizes}]"
            )
        if digest is not None and (
            self._file is None or bytes(digest.flatten().tolist()) != self._file.digest
        ):
            raise ValueError(
                f"{self.config.trajectories}: not the file that the run has learnt from so far"
            )
        super().load_carried({k: x for k, x in tensors.items() if not k.startswith(_OWN)})
        self._memory = memory
        self._stretch = 0 if stretch is None else int(stretch)

    def update(self, rollout: Rollout, progress: float = 0.0) -> dict[str, Tensor]:
        """Learn from what the imitated agent did in one batch.

        Args:
            rollout: the batch; of a file, a stretch of as many steps is learnt from instead.
            progress: environment steps done before it, for annealing.

        Returns:
            float32 ``[A]`` each, NaN for agents that do not learn: cross_entropy (nats) and
            accuracy (share of steps whose most probable action is the imitated agent's), means
            over the gradient steps.

        Raises:
            NonFiniteError: parameters and optimisers are as before the call.
        """
        self.updates += 1
        config = self.config
        if config.learning_rate_end is not None:
            self.optimiser.set_rate(config.rates(progress))
        found = self.settled(lambda: self._learn(rollout))
        self._memory = self._memory_after
        if self._file is not None:
            self._stretch = (self._stretch + 1) % self._file.stretches(rollout.num_steps)
        means = found["sums"] / config.num_minibatches
        means = means.masked_fill(~found["learners"], float("nan"))
        return dict(zip(_NUMBERS, means, strict=True))

    def _learn(self, rollout: Rollout) -> dict[str, Tensor]:
        """Learn, and tell what ``update`` makes metrics of."""
        batch = self.shards(self._shown(rollout))
        going = self._learners(batch)
        learners = torch.zeros(self.num_agents, dtype=torch.bool, device=self.device)
        sums = torch.zeros((len(_NUMBERS), self.num_agents), device=self.device)
        sums = self.standing.put("sums", sums)
        if going is not None:
            learners = going.of_all(going.flags, self.num_agents, False)
            learners = self.standing.put("learners", learners)
            self.snapshot.keep()
            try:
                self._optimise(batch, going, sums)
                self._phase("finish", partial(self._settle_parameters, learners))
            except BaseException:
                self.snapshot.restore(learners)
                raise
        self._memory_after = batch.last_state(self.model)
        return {"learners": learners, "sums": sums}

    def _shown(self, rollout: Rollout) -> Rollout:
        """What is imitated, as if the learner's agents had done it."""
        agent = self._imitated
        if self._file is not None:
            rollout, agent = self._file.stretch(self._stretch, rollout.num_steps), 0
        if agent is None:
            return rollout
        memory = self._memory
        if memory is None:
            memory = torch.zeros((rollout.num_envs, self.num_agents, self.state_size))
        return rollout.of_another(agent, memory)

    def _optimise(self, batch: Shards, going: Going, sums: Tensor) -> None:
        config = self.config
        drawn = self.draw_minibatches(
            *(batch, going.members),
            minibatches=config.num_minibatches,
            sequences=config.minibatch_sequences,
            length=config.sequence_length,
        )
        for i in range(config.num_minibatches):
            if i == 0 or (config.refresh_interval and i % config.refresh_interval == 0):
                self._phase("refresh", partial(self._refresh, batch, going))
            one = drawn.minibatch(i, self.standing)
            self._phase("minibatch", partial(self._minibatch, batch, one, going, sums))
        self._write_back(going)
        self.model.zero_grad(set_to_none=True)

    def _refresh(self, batch: Shards, going: Going) -> None:
        batch.map(lambda k: batch.parts[k].refresh(going.network, going.members))

    def _minibatch(self, batch: Shards, drawn: Drawn, going: Going, sums: Tensor) -> None:
        numbers = self.sampled_gradients(batch, drawn, going, self.loss)
        sums[:, going.columns] += torch.stack([numbers[name] for name in _NUMBERS])
        self._step(going, going.flags)

    def loss(self, network: ActorCritic, part: Minibatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy of each agent, [A], and its accuracy."""
        logits, _ = self.outputs(network, part).decisions["action"]
        made, weight = part.decisions["action"], part.weight.flatten(1)
        loss, numbers = self.policy_loss(logits.log_softmax(-1), made, weight)
        return loss, {"cross_entropy": loss.detach(), **numbers}

    def policy_loss(
        self, log_probs: Tensor, made: Judged, weight: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy of the imitated actions, in nats."""
        action = made.choice.flatten(1)
        loss = -(chosen_log_prob(log_probs, action) * weight).sum(1)
        right = log_probs.detach().argmax(-1) == action
        return loss, {"accuracy": (right * weight).sum(1)}

    def advantages(
        self, reward: Tensor, value: Tensor, following: Tensor, continues: Tensor
    ) -> tuple[Tensor, Tensor]:
        """None: rewards are not looked at."""
        return torch.zeros_like(value), torch.zeros_like(value)


def _check_file(shown: Trajectories, world: Any, learners: Sequence[int]) -> None:
    """Refuse trajectories of another game, or of one who saw otherwise.

    Raises:
        ValueError: they do not fit the learners.
    """
    about, path, options = shown.about, shown.path, shown.about["options"]
    for name, theirs, ours in (
        ("game", about["game"], world.game),
        ("obs_mode", about["obs_mode"], world.obs_mode),
        ("views", shown.obs.shape[2:], tuple(world.obs_shape)),
        ("views", shown.obs.dtype.name, world.obs_dtype.name),
        *((name, options.get(name), world.config.get(name)) for name in EYES),
    ):
        if theirs != ours:
            raise ValueError(f"{path}: recorded with {name} {theirs}; here it is {ours}")
    if world.obs_mode == "tiles" and not np.array_equal(shown.atlas, world.tile_atlas):
        raise ValueError(f"{path}: recorded with other tiles; obs_mode rgb has no numbers for them")
    _check_agent(tuple(about["actions"]), about["hidden"], world, learners, path)


def _check_agent(
    actions: Sequence[str], hidden: Sequence[str], world: Any, learners: Sequence[int], what: str
) -> None:
    """Refuse to imitate one who sees or does other things.

    Raises:
        ValueError: a learner cannot imitate it.
    """
    for slot in learners:
        own = world.action_names[: world.action_counts[slot]]
        if tuple(actions) != tuple(own):
            raise ValueError(
                f"{what}: it chooses among {', '.join(actions)}; the learner of slot {slot} among "
                f"{', '.join(own)}"
            )
        if one_sided := set(hidden) ^ set(hidden_from(world, slot)):
            raise ValueError(
                f"{what}: it sees other things than the learner of slot {slot}: "
                f"{', '.join(sorted(one_sided))} hidden from one of them"
            )
