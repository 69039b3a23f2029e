"""What recurrent learners learn from a minibatch, by one compiled lesson or layer by layer."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from socialgrid.algos.on_policy.judging import Judging
from socialgrid.algos.untouched import untouched
from socialgrid.data.sequences import Judged, Minibatch
from socialgrid.models import deciding, lessons
from socialgrid.models.actor_critic import ActorCritic
from socialgrid.models.shard_lessons import Lesson, Modelled, Predicted
from socialgrid.social.auxiliary import Prediction, Reconstruction, ViewLoss
from socialgrid.social.influence.moa import ModelledInfluence
from socialgrid.social.mechanism import Mechanism, Outputs


class Losses(Judging):
    """The losses of decisions, and those of mechanisms."""

    @abstractmethod
    def policy_loss(
        self, log_probs: Tensor, made: Judged, weight: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of a policy and numbers, each ``[A]``.

        Args:
            log_probs: ``[A, L * S, n]``.
            made: the decisions.
            weight: flat ``[A, L * S]``.
        """

    def outputs(self, network: ActorCritic, part: Minibatch) -> Outputs:
        """What a network makes of a minibatch."""
        agents, length, sequences = part.action.shape
        views = part.views[:, :-1].flatten(1, 2)
        features = network.encode(views)
        tokens = None if part.tokens is None else part.tokens.flatten(1, 2)
        heard = network.hear(features, tokens)
        h, _ = network.remember(heard.view(agents, length, sequences, -1), part.state, part.reset)
        return Outputs(network, views, h.flatten(1, 2))

    def loss(self, network: ActorCritic, part: Minibatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of each agent, [A], and its ingredients."""
        learnt = self._learnt(network, part)
        if learnt is not None:
            return learnt
        outputs, weight = self.outputs(network, part), part.weight.flatten(1)
        loss = torch.zeros_like(weight[:, 0])
        numbers: dict[str, Tensor] = {}
        kind = deciding.kind_of(self.policy_loss)
        for name, heads in network.heads.items():
            if kind is not None and deciding.usable(outputs.core, heads):
                whole, found = self._compiled_loss(kind, name, outputs, part, weight)
                loss = loss + whole
            else:
                loss, found = self._plain_loss(loss, name, outputs, part, weight)
            numbers |= found
        for mechanism in self.mechanisms:
            own, found = mechanism.loss(outputs, part)
            loss = loss + own
            numbers |= found
        return loss, {name: x.detach() for name, x in numbers.items()}

    def _learnt(
        self, network: ActorCritic, part: Minibatch
    ) -> tuple[Tensor, dict[str, Tensor]] | None:
        """The same in one compiled call, if there is one for everything that is learnt here."""
        kind = deciding.kind_of(self.policy_loss)
        views = self._views_only()
        own = getattr(self.outputs, "__func__", None) is Losses.outputs
        if kind is None or views is None or not own:
            return None
        terms = {name: self._terms(kind, name, network) for name in network.heads}
        found = lessons.learn(
            network,
            part,
            terms,
            [
                lessons.Comparison(one.decoder(network), one.options.coef, *one.compared(part))
                for one in views
            ],
        )
        return None if found is None else (found.loss, self._told_of(network, kind, found))

    def _views_only(self) -> list[ViewLoss] | None:
        """Mechanisms that learn, if all of them predict views."""
        learning = self._with_loss()
        views = [one for one in learning if isinstance(one, ViewLoss)]
        known = all(untouched(one, ViewLoss, "loss") for one in views)
        return views if known and len(views) == len(learning) else None

    def _with_loss(self) -> list[Mechanism]:
        """Mechanisms with a loss."""
        return [one for one in self.mechanisms if not untouched(one, Mechanism, "loss")]

    def lesson(self, network: ActorCritic) -> Lesson | None:
        """What is learnt, if ``loss`` is nothing but what compiled kernels know."""
        kind = deciding.kind_of(self.policy_loss)
        own = tuple(getattr(one, "__func__", None) for one in (self.loss, self.outputs))
        if kind is None or own != (Losses.loss, Losses.outputs):
            return None
        predictions, models = list[Predicted](), list[Modelled]()
        for one in self._with_loss():
            if isinstance(one, ModelledInfluence) and untouched(one, ModelledInfluence, "loss"):
                options = one.options
                models.append(Modelled(one.model(network), options.coef, options.visible_only))
                continue
            if not isinstance(one, ViewLoss) or not untouched(one, ViewLoss, "loss"):
                return None
            compared = getattr(one.compared, "__func__", None)
            if compared not in (Prediction.compared, Reconstruction.compared):
                return None
            following = compared is Prediction.compared
            predictions.append(Predicted(one.decoder(network), one.options.coef, following))
        terms = {name: self._terms(kind, name, network) for name in network.heads}
        return Lesson(terms, predictions, models) if len(models) < 2 else None

    def numbers_of(
        self, network: ActorCritic, lesson: Lesson, rows: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See ``GradientSteps``."""
        found = lessons.of_rows(rows, lesson.terms, len(lesson.models))
        kind = lesson.terms["action"].kind
        return found.loss, self._told_of(network, kind, found)

    def _told_of(
        self, network: ActorCritic, kind: deciding.Kind, found: lessons.Learnt
    ) -> dict[str, Tensor]:
        """What is logged of a lesson."""
        numbers: dict[str, Tensor] = {}
        for name, sums in found.decisions.items():
            numbers |= self._numbers(kind, name, network, *sums)
        errors, models = iter(found.errors), iter(found.models)
        for one in self._with_loss():
            if isinstance(one, ViewLoss):
                numbers[f"{one.name}_error"] = next(errors)
            else:
                names = "moa_loss", "moa_correct", "moa_predictions"
                numbers |= zip(names, next(models), strict=True)
        return numbers

    def _terms(self, kind: deciding.Kind, name: str, network: ActorCritic) -> deciding.Terms:
        """What a decision costs."""
        config, further = self.config, network.further.get(name)
        factor, entropy_coef = 1.0, config.entropy_coef
        if further is not None:
            factor, entropy_coef = further.weight, further.entropy_coef
        clip = float(getattr(config, "clip", 0.0))
        return deciding.Terms(kind, clip, factor, config.value_coef, entropy_coef)

    def _numbers(
        self,
        kind: deciding.Kind,
        name: str,
        network: ActorCritic,
        policy: Tensor,
        value: Tensor,
        entropy: Tensor,
        kl: Tensor,
        clip_fraction: Tensor,
    ) -> dict[str, Tensor]:
        """What is logged of a decision."""
        if name in network.further:
            whole = policy + self.config.value_coef * value
            return {f"{name}_loss": whole, f"{name}_entropy": entropy}
        numbers = {"policy_loss": policy, "value_loss": value, "entropy": entropy}
        if kind == "clipped":
            numbers |= {"kl": kl, "clip_fraction": clip_fraction}
        return numbers

    def _compiled_loss(
        self, kind: deciding.Kind, name: str, outputs: Outputs, part: Minibatch, weight: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of a decision, and its ingredients, by a kernel."""
        network = outputs.network
        terms, heads = self._terms(kind, name, network), network.heads[name]
        found = deciding.losses(outputs.core, heads, part.decisions[name], weight, terms)
        return found.whole, self._numbers(kind, name, network, *found.others)

    def _plain_loss(
        self, loss: Tensor, name: str, outputs: Outputs, part: Minibatch, weight: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The same in PyTorch, added to a loss."""
        config, further = self.config, outputs.network.further.get(name)
        (logits, value), made = outputs.decisions[name], part.decisions[name]
        log_probs = logits.log_softmax(-1)
        policy_loss, found = self.policy_loss(log_probs, made, weight)
        value_loss = ((value - made.target.flatten(1)).square() * weight).sum(1)
        entropy = -((log_probs.exp() * log_probs).sum(-1) * weight).sum(1)
        whole = policy_loss + config.value_coef * value_loss
        if further is not None:
            loss = loss + further.weight * whole - further.entropy_coef * entropy
            return loss, {f"{name}_loss": whole, f"{name}_entropy": entropy}
        numbers = {"policy_loss": policy_loss, "value_loss": value_loss, "entropy": entropy}
        return loss + whole - config.entropy_coef * entropy, numbers | found
