"""All of acting in one compiled call: from views and tokens to choices, values and memories.

It computes what ``ActorCritic``'s ``encode``, ``advance`` and heads compute, in the memory of its
arguments and without the interpreter's lock. What it computes for a row depends neither on the
other rows nor on which of them a call computes, so that threads may share a step in any way.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from socialgrid import _core
from socialgrid.data.rollout import Decision
from socialgrid.models import kernels
from socialgrid.models.actor_critic import ActorCritic
from socialgrid.models.decision import DecisionHeads
from socialgrid.models.encoders import CellConv, Encoder, TileConv
from socialgrid.models.encoding import Layer, layers_of
from socialgrid.models.heads import Head
from socialgrid.models.hearing import Hearing
from socialgrid.models.kept_tables import KeptTables
from socialgrid.models.plain_acting import plainly
from socialgrid.models.walks import heard

_MOST_CELLS = 65_534
_Table = tuple[int, int, int]


@dataclass(frozen=True)
class Step:
    """One step of acting, to be computed by ``run``.

    Attributes:
        decisions: by name, ``[E, A]``.
        before, after: float32 ``[E, A, S]``, memory before the step, resets applied, and after it.
        tokens: int16 ``[E, A, K]``, what is heard, leaders included, where there are channels.
        work: computes some environments.
        compiled: whether that is compiled; then it may be done in any parts.
    """

    decisions: dict[str, Decision]
    before: Tensor
    after: Tensor
    tokens: Tensor | None
    work: Callable[[Step, slice], None]
    compiled: bool = False

    def run(self, envs: slice) -> None:
        """Compute some environments; different ones may be computed by several threads at once.

        Raises:
            IndexError: a view shows a tile that there is not, or a token is none.
        """
        self.work(self, envs)


class Acting:
    """The compiled acting of a network, with its weights in the order in which kernels read them.

    They are packed anew when a parameter has changed. Parameters in memory that other processes
    share change without telling, so those are packed whenever a
    step, or a batch of steps in one call, begins.

    Attributes:
        model: the network.
        tables: what it looks up on cards, where nothing of this is compiled.
    """

    def __init__(self, model: ActorCritic) -> None:
        """Nothing is compiled before the first step."""
        self.model = model
        self._kernels: _core.Kernels | None = None
        self._compiled: dict[int, _core.Acting | None] = {}
        self._loaded: dict[int, object] = {}
        self._own: list[tuple[dict[str, Tensor], str]] = []
        self._places: tuple[int, ...] = ()
        self._held: list[Tensor] = []
        self._dense = self._shared = False
        self.tables = KeptTables(model.encoder, model.dtype)

    def __deepcopy__(self, memo: dict[int, Any]) -> Acting:
        return Acting(copy.deepcopy(self.model, memo))

    def begin(
        self,
        obs: Tensor,
        state: Tensor,
        reset: Tensor,
        tokens: Tensor | None,
        uniform: Mapping[str, Tensor],
    ) -> Step:
        """Begin a step; where there is no compiled way, ``run`` goes another.

        There is none without kernels, in other types than float32, on other devices than a CPU,
        and for networks that are put together otherwise.

        Args:
            obs: ``[E, A, *obs_shape]`` as the simulator writes it.
            state: float32 ``[E, A, S]`` of the step before.
            reset: bool ``[E, A]``: memory is zeroed before the step where True.
            tokens: int16 ``[A, E, K]`` where there are channels, leaders still silent.
            uniform: by decision, float32 ``[A, E]`` in [0, 1) to draw by; the most probable choice
                where there is none.

        Raises:
            ValueError: a shape or a dtype is wrong.
        """
        model = self.model
        lead = (len(obs), model.num_agents)
        columns = model.hearing.columns
        _check("obs", obs, (*lead, *model.spec.obs_shape), obs.dtype)
        _check("state", state, (*lead, model.state_size), torch.float32)
        _check("reset", reset, lead, torch.bool)
        for name, drawn in uniform.items():
            _check(f"uniform numbers of {name}", drawn, lead[::-1], torch.float32)
        if columns and tokens is None:
            raise ValueError(f"acting: no tokens, expected {(*lead[::-1], columns)}")
        if columns and tokens is not None:
            _check("tokens", tokens, (*lead[::-1], columns), torch.int16)
        given = [obs, state, reset, *uniform.values()] + ([] if tokens is None else [tokens])
        alone = all(x.device.type == "cpu" for x in given)
        compiled = self.ready(obs) if alone else None
        new = state.new_empty
        step = Step(
            {
                name: Decision(new(lead, dtype=torch.int64), new(lead), new(lead))
                for name in model.heads
            },
            new(state.shape),
            new(state.shape),
            new((*lead, columns), dtype=torch.int16) if columns else None,
            partial(plainly, model, obs, state, reset, tokens, uniform),
        )
        if compiled is None:
            return step
        obs, state = _dense(obs), _dense(state)
        heard = _dense(tokens.transpose(0, 1)) if columns and tokens is not None else None
        tables = [_bytes(obs), _table(state), _table(reset), _table(heard)]
        tables += [_table(step.before), _table(step.after), _table(step.tokens)]
        for name, made in step.decisions.items():
            tables.append(_table(uniform[name].t() if name in uniform else None))
            tables += [_table(made.choice), _table(made.log_prob), _table(made.value)]
        # What the addresses are of is kept as long as they are.
        work = partial(_act, compiled, tables, (obs, state, reset, heard, uniform))
        return dataclasses.replace(step, work=work, compiled=True)

    def ready(self, obs: Tensor) -> _core.Acting | None:
        """What acts on such views, on the CPU, with the present weights; or nothing."""
        if obs.dtype not in (torch.uint8, torch.uint16, torch.int16) or heard(self.model):
            return None
        width = 0 if self.model.spec.atlas is None else obs.element_size()
        if kernels.KERNELS is None or (width == 0 and obs.dtype != torch.uint8):
            return None
        if self._kernels is not kernels.KERNELS:
            self._compiled, self._kernels = {}, kernels.KERNELS
            self._own = [] if not known(self.model) else list(_parameters(self.model))
        if width not in self._compiled:
            self._compiled[width] = self._make(width) if self._own else None
            self._loaded.pop(width, None)
        compiled = self._compiled[width]
        if compiled is None:
            return None
        own = [parameters[name] for parameters, name in self._own]
        places = tuple(p.data_ptr() for p in own)
        if places != self._places:
            self._places = places
            self._dense = kernels.usable(*own) and all(p.is_contiguous() for p in own)
            self._shared = any(p.is_shared() for p in own)  # type: ignore[no-untyped-call]
            self._held = [p.detach() for p in own]  # so that nobody else gets these addresses
        if not self._dense:
            return None
        key = (places, tuple(p._version for p in own))
        if self._shared or self._loaded.get(width) != key:
            compiled.load(places)
            self._loaded[width] = key
        return compiled

    def _make(self, width: int) -> _core.Acting | None:
        model, spec, encoder = self.model, self.model.spec, self.model.encoder
        if spec.rows * spec.cols > _MOST_CELLS:
            return None
        assert kernels.KERNELS is not None
        atlas = encoder.first.atlas
        mask = model.action_mask.flatten().tolist() if model.has_masked_actions else []
        return _core.Acting(
            kernels.KERNELS,
            model.num_agents,
            (spec.rows, spec.cols, spec.tile_size, width, len(atlas)),
            atlas.numpy().tobytes(),
            list(_encoder_layers(encoder)),
            isinstance(encoder.first, TileConv) and len(encoder.convs) > 0,
            model.config.memory,
            [(one.columns, one.symbols, one.leaders) for one in model.hearing.channels],
            [
                (
                    layers_of(1, 1, (), heads.policy_head.layers),
                    layers_of(1, 1, (), heads.value_head.layers),
                )
                for heads in model.heads.values()
            ],
            mask,
        )


def known(model: ActorCritic) -> bool:
    """Whether a network is put together as the compiled call takes it to be."""
    heads = [*model.heads.values()]
    return (
        type(model) is ActorCritic
        and type(model.encoder) is Encoder
        and type(model.hearing) is Hearing
        and model.dtype == torch.float32
        and all(type(one) in (ActorCritic, DecisionHeads) for one in heads)
        and all(type(x) is Head for one in heads for x in (one.policy_head, one.value_head))
    )


def _modules(model: ActorCritic) -> Iterator[nn.Module]:
    """All that have parameters, in the order in which the compiled call has them."""
    first = model.encoder.first
    yield first.conv if isinstance(first, CellConv) else first
    yield from model.encoder.convs
    yield from model.encoder.project
    yield model.lstm
    for heads in model.heads.values():
        yield from heads.policy_head.layers
        yield from heads.value_head.layers


def _parameters(model: ActorCritic) -> Iterator[tuple[dict[str, Tensor], str]]:
    """Where every parameter is found, whichever is there by then."""
    for module in _modules(model):
        names = ("weight", "bias")
        if module is model.lstm:
            names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")  # type: ignore[assignment]
        for name in names:
            yield cast(dict[str, Tensor], module._parameters), name


def _encoder_layers(encoder: Encoder) -> Iterator[Layer]:
    first, shape = encoder.first, (encoder.spec.rows, encoder.spec.cols)
    convs = list(encoder.convs)
    if isinstance(first, TileConv):
        outputs, inputs = first.weight.shape[1:]
        cells = (1, 1) if convs else shape
        yield *cells, inputs, outputs, 1, first.negative_slope, False
    else:
        convs = [first.conv, *convs]
    yield from layers_of(*shape, convs, encoder.project)


def _act(
    compiled: _core.Acting,
    tables: list[_Table],
    given: tuple[object, ...],
    step: Step,
    envs: slice,
) -> None:
    begin, end, _ = envs.indices(len(step.before))
    compiled.act(tables, begin, end)


def _check(what: str, x: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    if tuple(x.shape) != shape or x.dtype != dtype:
        raise ValueError(f"acting: {what} {x.dtype} {tuple(x.shape)}, expected {dtype} {shape}")


def _dense(x: Tensor) -> Tensor:
    """With what follows environments and agents side by side."""
    distance = 1
    for size, stride in zip(x.shape[:1:-1], x.stride()[:1:-1], strict=True):
        if size > 1 and stride != distance:
            return x.contiguous()
        distance *= size
    return x


def _table(x: Tensor | None) -> _Table:
    return (0, 0, 0) if x is None else (x.data_ptr(), x.stride(0), x.stride(1))


def _bytes(x: Tensor) -> _Table:
    size = x.element_size()
    return x.data_ptr(), x.stride(0) * size, x.stride(1) * size
