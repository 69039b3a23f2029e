"""How networks are put together, as compiled kernels are told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from torch import nn

from socialgrid.models.acting import known
from socialgrid.models.actor_critic import ActorCritic
from socialgrid.models.deciding import layers_of_head
from socialgrid.models.decoder import Decoder
from socialgrid.models.encoding import Layer, layers_of
from socialgrid.models.moa import ModelOfOthers
from socialgrid.models.recurrent import StackedLSTM
from socialgrid.models.seeing import seeing
from socialgrid.models.walks import heard, named_parameters


@dataclass(frozen=True)
class Plan:
    """How a network is put together.

    Attributes:
        of_cells: whether the first layer is of single cells.
        layers: those that see.
        heads: layers of policy and value, by decision.
        predictions: layers of every decoder.
        models: of every model of others, layers that see in the place of the network's affine
            ones, and of its head.
        parameters: of all, in the order in which the compiled call has them.
        sizes, offsets: numbers of an agent in each, and in all before it.
    """

    of_cells: bool
    layers: list[Layer]
    heads: dict[str, tuple[list[Layer], list[Layer]]]
    predictions: list[list[Layer]]
    models: list[tuple[list[Layer], list[Layer]]]
    parameters: list[nn.Parameter]
    sizes: list[int]
    offsets: list[int]


# By number of decoders and models, with the parameters and branches that each was made for.
_Made = tuple[list[nn.Module | nn.Parameter], Plan | None]
_PLANS: WeakKeyDictionary[ActorCritic, dict[tuple[int, int], _Made]] = WeakKeyDictionary()


def plan_of(
    network: ActorCritic,
    decoders: Sequence[Decoder] = (),
    models: Sequence[ModelOfOthers] = (),
) -> Plan | None:
    """How a network, decoders and models of its branches are put together; None: not as kernels
    know it, or somebody listens to what they would pass by.
    """
    if heard(network):
        return None
    now: list[nn.Module | nn.Parameter] = [p for _, p in named_parameters(network)]
    now += [*decoders, *models]
    kind, plans = (len(decoders), len(models)), _PLANS.setdefault(network, {})
    made_for, plan = plans.get(kind, ([], None))
    if len(now) != len(made_for) or any(x is not y for x, y in zip(now, made_for, strict=True)):
        plan = _make_plan(network, decoders, models)
        plans[kind] = now, plan
    return plan


def _make_plan(
    network: ActorCritic, decoders: Sequence[Decoder], models: Sequence[ModelOfOthers]
) -> Plan | None:
    sees = seeing(network.encoder) if known(network) else None
    if sees is None:
        return None
    own: list[Any] = [*sees.parameters, *_of_memory(network.lstm)]
    heads = {}
    for name, one in network.heads.items():
        both = one.policy_head, one.value_head
        heads[name] = layers_of_head(both[0]), layers_of_head(both[1])
        own += [x for head in both for layer in head.layers for x in (layer.weight, layer.bias)]
    predictions = []
    for decoder in decoders:
        predictions.append(list(decoder.shape().layers))
        own += decoder.in_order()
    modelled = []
    for model in models:
        modelled.append((layers_of(1, 1, (), model.project), layers_of_head(model.head)))
        own += [x for layer in model.project for x in (layer.weight, layer.bias)]
        own += _of_memory(model.lstm)
        own += [x for layer in model.head.layers for x in (layer.weight, layer.bias)]
    sizes = [p[0].numel() for p in own]
    offsets = [sum(sizes[:i]) for i in range(len(sizes))]
    return Plan(sees.of_cells, sees.layers, heads, predictions, modelled, own, sizes, offsets)


def _of_memory(lstm: StackedLSTM) -> list[nn.Parameter]:
    return [lstm.weight_ih, lstm.bias_ih, lstm.weight_hh, lstm.bias_hh]
