from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

class ConfigError(ValueError): ...
class UnknownOptionError(ConfigError, TypeError): ...
class ActionError(ValueError): ...
class LayoutError(ValueError): ...
class SnapshotError(ValueError): ...
class FinishedError(RuntimeError): ...
class EnvStepError(RuntimeError): ...

def list_games() -> list[str]: ...
def game_options(game: str) -> list[dict[str, Any]]: ...
def action_distances(
    passable: NDArray[np.bool_], targets: NDArray[np.int64]
) -> NDArray[np.int32]: ...
def occlusion(opaque: NDArray[np.bool_], view_offset: int) -> NDArray[np.bool_]: ...
def keyed_words(
    keys: NDArray[np.uint64],
    first: int,
    count: int,
    steps: NDArray[np.uint64],
    kind: int,
    places: int,
) -> NDArray[np.uint32]: ...
def take_from_state(state: bytes, first: int, count: int) -> bytes: ...
def join_states(states: Sequence[bytes]) -> bytes: ...
def usable_cores() -> int: ...
def quota_cores(membership: str, root: str) -> int: ...
def kernel_sets() -> list[str]: ...
def distinct(where: Sequence[int], count: int, bytes: int, limit: int, wide: bool) -> int: ...
def find_by_priority(
    levels: Sequence[NDArray[np.float64]], children: int, masses: NDArray[np.float64]
) -> NDArray[np.int64]: ...

class Kernels:
    def __init__(self, name: str) -> None: ...
    @property
    def name(self) -> str: ...
    def packed(self, inputs: int, hidden: int) -> int: ...
    def pack(self, where: Sequence[int], agents: int, inputs: int, hidden: int) -> None: ...
    def unroll(self, where: Sequence[int], sizes: Sequence[int], threads: int) -> None: ...
    def unroll_back(
        self,
        where: Sequence[int],
        sizes: Sequence[int],
        grads: Sequence[int],
        threads: int,
    ) -> None: ...
    def alternatives(self, where: Sequence[int], sizes: Sequence[int], threads: int) -> None: ...
    def exert(self, given: Sequence[tuple[Any, ...]], divergence: int, threads: int) -> None: ...
    def packed_taps(self, sizes: Sequence[int], spread: bool) -> int: ...
    def pack_taps(self, where: Sequence[int], sizes: Sequence[int], spread: bool) -> None: ...
    def convolve(
        self,
        where: Sequence[int],
        sizes: Sequence[int],
        spread: bool,
        slope: float,
        tanh: bool,
        threads: int,
    ) -> None: ...
    def tanh(self, x: int, count: int) -> None: ...
    def rectified(self, where: Sequence[int], sizes: Sequence[int], slope: float) -> None: ...
    def tap_gradients(self, where: Sequence[int], sizes: Sequence[int], threads: int) -> None: ...
    def look_up(
        self, where: Sequence[int], sizes: Sequence[int], slope: float, threads: int
    ) -> None: ...
    def look_up_back(
        self, where: Sequence[int], sizes: Sequence[int], slope: float, threads: int
    ) -> None: ...
    def encode(
        self,
        where: Sequence[int],
        sizes: Sequence[int],
        slope: float,
        layers: Sequence[tuple[int, int, int, int, int, float, bool]],
        weights: Sequence[int],
        features: int,
        threads: int,
    ) -> None: ...
    def encode_back(
        self,
        where: Sequence[int],
        sizes: Sequence[int],
        slope: float,
        layers: Sequence[tuple[int, int, int, int, int, float, bool]],
        weights: Sequence[int],
        back: Sequence[int],
        grads: Sequence[int],
    ) -> None: ...
    def learn(
        self,
        where: Sequence[int],
        sizes: Sequence[int],
        of_cells: bool,
        layers: Sequence[tuple[int, int, int, int, int, float, bool]],
        heard: Sequence[tuple[int, int]],
        decisions: Sequence[tuple[Any, ...]],
        predictions: Sequence[tuple[Any, ...]],
        parameters: Sequence[int],
        apart: Sequence[int],
        grads: Sequence[int],
        grads_apart: Sequence[int],
        threads: int,
    ) -> bool: ...
    def decide(
        self,
        where: Sequence[int],
        sizes: Sequence[int],
        constants: Sequence[float],
        policy: Sequence[tuple[int, int, int, int, int, float, bool]],
        value: Sequence[tuple[int, int, int, int, int, float, bool]],
        weights: Sequence[int],
        apart: Sequence[int],
        grad_core: int,
        grads: Sequence[int],
        grads_apart: Sequence[int],
        threads: int,
    ) -> None: ...
    def decode(
        self,
        where: Sequence[int],
        sizes: Sequence[int],
        layers: Sequence[tuple[int, int, int, int, int, float, bool]],
        slope: float,
        weights: Sequence[int],
        apart: Sequence[int],
        grad_core: int,
        grads: Sequence[int],
        grads_apart: Sequence[int],
        threads: int,
    ) -> None: ...
    def add_rows(self, where: Sequence[int], count: int, columns: int) -> None: ...
    def perceptron_room(self, sizes: Sequence[int], kept: bool) -> int: ...
    def perceptron(
        self,
        parameters: Sequence[int],
        apart: Sequence[int],
        where: Sequence[int],
        sizes: Sequence[int],
        kept: bool,
        threads: int,
    ) -> None: ...
    def perceptron_back(
        self,
        parameters: Sequence[int],
        apart: Sequence[int],
        grads: Sequence[int],
        grads_apart: Sequence[int],
        where: Sequence[int],
        sizes: Sequence[int],
        threads: int,
    ) -> None: ...
    def learn_shards(
        self,
        network: tuple[Any, ...],
        minibatches: tuple[Any, ...],
        found: int,
        grads: Sequence[int],
        threads: int,
    ) -> bool: ...
    def learn_minibatches(
        self,
        network: tuple[Any, ...],
        minibatches: tuple[Any, ...],
        which: tuple[int, int],
        found: int,
        adam: tuple[
            Sequence[tuple[int, ...]],
            Sequence[tuple[float, float, float]],
            tuple[float, float, float, float],
        ],
        limit: tuple[int, float],
        threads: int,
    ) -> int: ...
    def norms(self, grads: Sequence[int], apart: Sequence[int], agents: int) -> list[float]: ...
    def descend_parts(
        self,
        parts: Sequence[Sequence[int]],
        apart: Sequence[int],
        agents: Sequence[tuple[float, float, float, float, float]],
        constants: tuple[float, float, float],
        threads: int,
    ) -> None: ...
    def refresh(
        self,
        network: tuple[Any, ...],
        batch: Sequence[int],
        where: Sequence[int],
        columns: Sequence[int],
        block: int,
        values: Sequence[int],
        log_probs: int,
        threads: int,
    ) -> bool: ...
    def estimate(
        self,
        network: tuple[Any, ...],
        batch: Sequence[int],
        shards: Sequence[tuple[Any, ...]],
        columns: Sequence[int],
        block: int,
        discounting: tuple[tuple[float, float], bool, bool],
        threads: int,
    ) -> bool: ...
    def foresee(
        self,
        network: tuple[Any, ...],
        batch: Sequence[int],
        where: Sequence[int],
        columns: Sequence[int],
        ends_at: Sequence[int],
        ends: int,
        threads: int,
    ) -> bool: ...
    def learn_q(
        self,
        arrays: dict[str, NDArray[Any]],
        hidden: Sequence[int],
        numbers: dict[str, float],
        learners: Sequence[int],
        begun: Sequence[int],
        views: tuple[Sequence[int], bool, Sequence[tuple[int, int, int, int, int, float, bool]]]
        | None,
        threads: int,
    ) -> tuple[int, int, bool, list[list[float]]] | None: ...
    def learn_recurrent_q(
        self,
        arrays: dict[str, NDArray[Any]],
        hidden: Sequence[int],
        numbers: dict[str, float],
        learners: Sequence[int],
        begun: Sequence[int],
        views: tuple[Sequence[int], bool, Sequence[tuple[int, int, int, int, int, float, bool]]]
        | None,
        threads: int,
    ) -> tuple[int, int, bool, list[list[float]]] | None: ...
    def march(
        self,
        batch: BatchEnv,
        arrays: dict[str, NDArray[Any]],
        hidden: Sequence[int],
        numbers: dict[str, Any],
        learners: dict[str, Any] | None,
        threads: int,
        stop: Callable[[], bool],
        tell: Callable[[Any], None],
    ) -> None: ...
    def learn_actor_critic(
        self,
        policy: str,
        arrays: dict[str, NDArray[Any]],
        hidden: Sequence[int],
        numbers: dict[str, float],
        learners: Sequence[int],
        begun: Sequence[int],
        threads: int,
    ) -> tuple[int, int, int, bool, list[list[float]]]: ...
    def finite(self, all: Sequence[tuple[int, int]]) -> bool: ...
    def descend(
        self,
        where: Sequence[int],
        count: int,
        agents: Sequence[tuple[float, ...]],
        constants: Sequence[float],
    ) -> None: ...

def room_advice(
    obs: NDArray[Any], opposite: bool, seed: int, agent: int, call: int
) -> NDArray[np.int64]: ...

class Mind:
    def __init__(self, kind: str, role: dict[str, Any], numbers: dict[str, float]) -> None: ...
    def columns(self) -> list[tuple[str, np.dtype[Any], int, int]]: ...
    def slots(self) -> int: ...
    def slots_in(self, batch: BatchEnv) -> int: ...
    def bind(self, memory: dict[str, NDArray[Any]]) -> None: ...
    def act(self, batch: BatchEnv, calls: int) -> NDArray[np.int32] | None: ...
    def observe(
        self,
        batch: BatchEnv,
        calls: int,
        rewards: NDArray[np.float32],
        done: NDArray[np.bool_],
    ) -> bool: ...

class Acting:
    def __init__(
        self,
        kernels: Kernels,
        agents: int,
        views: Sequence[int],
        atlas: bytes,
        encoder: Sequence[tuple[int, int, int, int, int, float, bool]],
        of_cells: bool,
        memory: int,
        heard: Sequence[tuple[int, int, int]],
        deciders: Sequence[tuple[Sequence[Any], Sequence[Any]]],
        mask: Sequence[float],
    ) -> None: ...
    def load(self, parameters: Sequence[int]) -> None: ...
    def act(self, tables: Sequence[tuple[int, int, int]], begin: int, end: int) -> None: ...

def collect(
    acting: Acting,
    batch: BatchEnv,
    learners: Sequence[int],
    scripted: Sequence[tuple[Mind, int]],
    heard: Sequence[tuple[int, int, int]],
    steps: int,
    written: Sequence[tuple[int, int]],
    decided: Sequence[Sequence[tuple[int, int]]],
    memory: int,
    state_size: int,
    final_obs: int,
    threads: int,
) -> tuple[NDArray[np.int64], NDArray[np.uint8], float, float] | None: ...

class BatchEnv:
    def __init__(
        self,
        game: str,
        config: dict[str, Any],
        num_envs: int,
        num_threads: int,
        seed: object,
        first_env_index: object,
        obs_mode: str | None,
        autoreset: str,
    ) -> None: ...
    def facts(self) -> dict[str, Any]: ...
    def reset(self, seed: object, mask: object) -> tuple[NDArray[Any], dict[str, NDArray[Any]]]: ...
    def step(
        self, actions: object, out: Mapping[str, object] | BoundOut | None
    ) -> tuple[
        NDArray[Any],
        NDArray[np.float32],
        NDArray[np.bool_],
        NDArray[np.bool_],
        dict[str, NDArray[Any]],
    ]: ...
    def send(self, actions: object, out: Mapping[str, object] | BoundOut | None) -> None: ...
    def recv(
        self,
    ) -> tuple[
        NDArray[Any],
        NDArray[np.float32],
        NDArray[np.bool_],
        NDArray[np.bool_],
        dict[str, NDArray[Any]],
    ]: ...
    def inject_failure(self, env: int, later: int) -> None: ...
    def observe(self) -> NDArray[Any]: ...
    def get_state(self) -> bytes: ...
    def set_state(self, state: bytes) -> None: ...
    def get_layout(self, env: int) -> dict[str, Any]: ...
    def set_layout(
        self,
        env: int,
        cells: list[str],
        agent_pos: list[tuple[int, int]],
        agent_dir: list[int],
        agent_active: list[bool],
        agent_fields: dict[str, list[Any]],
        step: int,
        details: dict[tuple[int, int], str],
    ) -> None: ...
    def worlds(self, fields: list[str]) -> dict[str, NDArray[Any]]: ...
    def render(self, env: int, tile_size: int) -> NDArray[np.uint8]: ...
    def tile_atlas(self) -> NDArray[np.uint8]: ...
    def close(self) -> None: ...
    @property
    def closed(self) -> bool: ...

def clear_rest(final_obs: NDArray[Any]) -> None: ...

class BoundOut:
    def __init__(self, batch: BatchEnv, out: Mapping[str, object]) -> None: ...
