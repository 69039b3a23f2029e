"""Processes that train one run together, by ``torch.distributed``: gloo, and nccl between cards."""

from __future__ import annotations

import atexit
import contextlib
import datetime
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from socialgrid.algos.on_policy.shards import added
from socialgrid.algos.ranks import ALONE, LostRankError, Ranks
from socialgrid.config import TrainConfig, UsageError
from socialgrid.config.launch import Place
from socialgrid.models.captured import apart
from socialgrid.train.device import choose_device

T = TypeVar("T")

_BEAT = 0.4  # seconds between signs of life
_ROLL_CALL = 2.0  # seconds in which whoever lives has given one
_ANSWER = 10.0  # seconds after which the store is taken to hang, with the rank that keeps it
_WORD = "last word"


def open_ranks(config: TrainConfig, place: Place) -> Ranks:
    """Join the other processes of the run.

    Args:
        config: of the run.
        place: of this one.

    Raises:
        UsageError: there are not enough cards, or the others are not there in time.
    """
    if place.size == 1:
        return ALONE
    device = choose_device(config.run.device).type
    if device not in ("cpu", "cuda"):
        raise UsageError(
            f"{place.size} processes compute on cpu or cuda, not {device}: --device cpu"
        )
    card = device == "cuda"
    if card and place.neighbours > torch.cuda.device_count():
        raise UsageError(
            f"{place.neighbours} processes on a machine with {torch.cuda.device_count()} cards: "
            "each needs one of its own; --device cpu does without"
        )
    if card:
        torch.cuda.set_device(place.on_machine)
    return Group(place, card=card)


class Group(Ranks):
    """One of several ranks."""

    def __init__(self, place: Place, *, card: bool = False) -> None:
        """Join the others.

        Args:
            place: of this process.
            card: whether learners compute on CUDA devices, one each.

        Raises:
            UsageError: they are not there in time.
        """
        self.rank, self.size, self.neighbours = place.rank, place.size, place.neighbours
        self._silence = place.silence
        self._deaf = False  # whether the store, which rank 0 keeps, no longer answers
        patience = datetime.timedelta(seconds=place.silence)
        try:
            store, *_ = next(iter(rendezvous("env://", place.rank, place.size, timeout=patience)))
            # Words go by a way of their own: it stands when messages do not come through.
            self._store = PrefixStore("words", store)
            dist.init_process_group(
                "gloo",
                store=PrefixStore("group", store),
                timeout=patience,
                rank=place.rank,
                world_size=place.size,
            )
            self._cards = dist.new_group(backend="nccl", timeout=patience) if card else None
            self._ending = threading.Event()
            self._alive = threading.Thread(target=self._live, name="sign of life", daemon=True)
            self._alive.start()
            atexit.register(self._rest)  # Python aborts where it ends a thread inside the store
            self.gather(None)
        except (RuntimeError, ValueError, LostRankError) as error:
            raise UsageError(
                f"rank {place.rank} of {place.size}: not joined: {str(error).partition(chr(10))[0]}"
            ) from None

    def total(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """See ``Ranks``: one message of all bytes, added up here along the tree."""
        # The widest numbers first, so that all lie where numbers of their type may.
        types = sorted({x.dtype for x in tensors}, key=lambda one: (-one.itemsize, str(one)))
        order = [[i for i, x in enumerate(tensors) if x.dtype == one] for one in types]
        flats = [torch.cat([tensors[i].detach().reshape(-1) for i in group]) for group in order]
        own = torch.cat([flat.view(torch.uint8) for flat in flats])
        others = self.everybody(own)
        sums: list[Tensor] = list(tensors)
        start = 0
        for flat, members in zip(flats, order, strict=True):
            stop = start + flat.numel() * flat.element_size()
            whole = added([one[start:stop].view(flat.dtype) for one in others])
            start = stop
            sizes = [tensors[i].numel() for i in members]
            for i, part in zip(members, torch.split(whole, sizes), strict=True):
                sums[i] = part.view(tensors[i].shape)
        return sums

    def everybody(self, own: Tensor) -> list[Tensor]:
        """The same tensor of each rank, in their order: gloo's of the CPU, nccl's of a card.

        Raises:
            LostRankError: another one is gone.
        """
        others = [torch.empty_like(own) for _ in range(self.size)]
        apart(lambda: self._exchange(others, own))
        return others

    def _exchange(self, others: list[Tensor], own: Tensor) -> None:
        with self._hearing():
            if own.is_cuda:
                dist.barrier()  # by gloo, which notices who is gone; cards wait for a long time
            dist.all_gather(others, own, group=self._cards if own.is_cuda else None)

    def gather(self, item: T) -> list[T]:
        """See ``Ranks``."""
        found: list[T] = [item] * self.size
        with self._hearing():
            dist.all_gather_object(found, item)
        return found

    def collect(self, item: T) -> list[T]:
        """See ``Ranks``."""
        found: list[T] | None = [item] * self.size if self.rank == 0 else None
        with self._hearing():
            dist.gather_object(item, found)
        return found or []

    def hear(self, item: T) -> T:
        """See ``Ranks``."""
        box = [item]
        with self._hearing():
            dist.broadcast_object_list(box)
        return box[0]

    def tell(self, words: str, signal: int | None = None) -> bool:
        """See ``Ranks``."""
        own = f"{self.rank} {signal or 0} {words}"
        first = self._ask(lambda: self._store.compare_set(_WORD, "", own), b"")
        if self._deaf:
            return self.rank == 0
        return first.decode(errors="replace") == own

    def close(self) -> None:
        """See ``Ranks``: who asks the store must have done so before rank 0 takes it along."""
        self._ask(lambda: self._store.set(_left(self.rank), "1"), None)
        self._rest()
        with contextlib.suppress(RuntimeError, LostRankError):
            self.gather(None)
        with contextlib.suppress(RuntimeError):
            dist.destroy_process_group()

    @contextlib.contextmanager
    def _hearing(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            raise self._lost(str(error)) from None

    def missing(self) -> LostRankError | None:
        """See ``Ranks``."""
        absent = self._absent()
        if not absent:
            return None
        names = ", ".join(map(str, absent))
        who = f"rank {names}" if len(absent) == 1 else f"ranks {names}"
        tells = self.rank == min({*range(self.size)} - {*absent} | {self.rank})
        return LostRankError(f"{who} of {self.size}: gone, or no longer answering", tells=tells)

    def _lost(self, found: str) -> LostRankError:
        """Find out who is gone, and why."""
        word = self._word()
        if word is None:
            missing = self.missing()
            word = self._word()  # of one that was about to leave it
            if missing is not None and word is None:
                return missing
        self._ask(lambda: self._store.set(_left(self.rank), "1"), None)
        if word is not None:
            who, signal, words = word.split(" ", 2)
            error = LostRankError(f"rank {who}: {words}", tells=False)
            error.signal = int(signal) or None
            return error
        line = found.partition("\n")[0]
        silent = f"no message came through for up to {self._silence} seconds"
        return LostRankError(f"{silent}: {line}", tells=self.rank == 0)

    def _word(self) -> str | None:
        """What the first rank to fail has left."""
        if not self._ask(lambda: self._store.check([_WORD]), False):
            return None
        return self._ask(lambda: self._store.get(_WORD), b"").decode(errors="replace") or None

    def _absent(self) -> list[int]:
        """Ranks that neither live nor have taken their leave."""
        self._ask(lambda: self._store.set(_left(self.rank), "1"), None)
        if self._deaf:
            return [0] if self.rank else []
        beats = {rank: self._beat(rank) for rank in range(self.size) if rank != self.rank}
        deadline = time.monotonic() + _ROLL_CALL
        absent = [rank for rank, beat in beats.items() if beat >= 0]
        while absent and time.monotonic() < deadline:
            time.sleep(_BEAT / 4)
            absent = [rank for rank in absent if self._beat(rank) == beats[rank]]
        return [0] if self._deaf and self.rank else absent

    def _beat(self, rank: int) -> int:
        """A number that grows while a rank lives; below 0: it has taken its leave."""
        if self._ask(lambda: self._store.check([_left(rank)]), False):
            return -1
        return self._ask(lambda: self._store.add(f"beat {rank}", 0), 0)

    def _live(self) -> None:
        """Let the others see that this process lives, whatever it is busy with."""
        while not self._ending.is_set():
            try:
                self._store.add(f"beat {self.rank}", 1)
            except RuntimeError:  # whoever kept the numbers is gone
                return
            self._ending.wait(_BEAT)

    def _rest(self) -> None:
        self._ending.set()
        self._alive.join(_ROLL_CALL)

    def _ask(self, question: Callable[[], T], otherwise: T) -> T:
        """An answer of the store; of one that is gone or hangs, another answer."""
        found: list[T] = []

        def ask() -> None:
            with contextlib.suppress(RuntimeError):
                found.append(question())

        if not self._deaf:
            asking = threading.Thread(target=ask, name="question", daemon=True)
            asking.start()
            asking.join(_ANSWER)
            self._deaf = not found
        return found[0] if found else otherwise


def _left(rank: int) -> str:
    return f"left {rank}"
