"""Who plays in a run: read once, where its configuration is. Nothing here needs torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from socialgrid.config.errors import UsageError, nearest
from socialgrid.config.run_files import user_path
from socialgrid.config.sections import Sections


@dataclass(frozen=True)
class Player:
    """Who plays in one place.

    Attributes:
        kind: "learner", "frozen", "novice" (frozen as it was born), or the name of a scripted
            player.
        source: run directory that its first weights come from, and the agent's slot there.
    """

    kind: str
    source: tuple[Path, int | None] | None = None

    @property
    def scripted(self) -> str | None:
        """Name of the scripted player; ``None`` for agents of the learner."""
        return None if self.kind in ("learner", "frozen", "novice") else self.kind

    @property
    def learns(self) -> bool:
        """Whether it learns in this run."""
        return self.kind == "learner"


def parse_player(text: str) -> Player:
    """Read one entry of ``players.kinds``; runs that it names are not looked at.

    Raises:
        UsageError: its slot or error rate is not a number.
    """
    kind, colon, rest = text.partition(":")
    if kind in ("learner", "novice") and not colon:
        return Player(kind)
    if kind not in ("learner", "checkpoint"):
        if colon:
            try:
                float(rest)
            except ValueError:
                raise UsageError(
                    f"player {text!r}: what follows the colon is an error rate"
                ) from None
        if kind == "frozen":
            raise UsageError(f"player {text!r}: frozen as which run has it? checkpoint:RUN#SLOT")
        return Player(text)
    if rest.partition("#")[0] == "":
        raise UsageError(f"player {text!r}: of which run? {kind}:RUN or {kind}:RUN#SLOT")
    source = _source(rest)
    if source is None:
        slot = rest.rpartition("#")[2]
        raise UsageError(f"player {text!r}: {slot!r} after # is not the number of a slot")
    return Player("learner" if kind == "learner" else "frozen", source)


def _source(text: str) -> tuple[Path, int | None] | None:
    """``RUN`` or ``RUN#SLOT``; a run whose own name has a # in it is one that is there."""
    run, hash_mark, slot = text.rpartition("#")
    if not hash_mark or user_path(text).is_dir():
        return user_path(text), None
    return (user_path(run), int(slot)) if slot.isdecimal() and len(slot) < 10 else None


def slots_of(kinds: Sequence[str]) -> tuple[int, ...]:
    """Places of those with networks, whether they learn or not.

    Raises:
        UsageError: an entry is wrong.
    """
    return tuple(place for place, kind in enumerate(kinds) if parse_player(kind).scripted is None)


@dataclass(frozen=True)
class Roster:
    """Everybody in a run; ``TrainConfig.roster`` has it.

    *Places* are those of ``players.kinds``: of a world's players, or of the members of each group
    of peers. *Agents* are what lists in rows of metrics are of, in their order: all players of a
    world, but of off-policy runs only those with networks, group after group.

    Attributes:
        players: by place.
        kinds: what the user calls them, by place.
        slots: places of those with networks, whether they learn or not.
        algorithms: by which each of those with networks learns, in the order of ``slots``.
        groups: how many independent groups there are.
        agents: group and place of each.
        word: what an agent is called.
    """

    players: tuple[Player, ...]
    kinds: tuple[str, ...]
    slots: tuple[int, ...]
    algorithms: tuple[str, ...]
    groups: int
    agents: tuple[tuple[int, int], ...]
    word: str

    @classmethod
    def of(cls, config: Sections, *, everybody: bool) -> Roster:
        """Read who plays.

        Args:
            config: sections of a run.
            everybody: scripted players are agents, too.

        Raises:
            UsageError: an entry is wrong, or there are no networks that have learnt or learn.
        """
        kinds, groups = config.players.kinds, config.players.groups
        players, slots = tuple(map(parse_player, kinds)), slots_of(kinds)
        if not any(player.kind in ("learner", "frozen") for player in players):
            hint = next((found for kind in kinds if (found := nearest(kind, ("learner",)))), "")
            raise UsageError(f"players.kinds: nobody in {', '.join(kinds)} learns{hint}")
        places = range(len(players)) if everybody else slots
        return cls(
            players,
            kinds,
            slots,
            config.players.algorithms or (config.algorithm.name,) * len(slots),
            groups,
            tuple((group, place) for group in range(groups) for place in places),
            "peer" if config.advised else "agent",
        )

    def names(self) -> list[str]:
        """What every agent is called in tables and curves."""
        members = self.members()
        return [
            (f"group{group} " if self.groups > 1 else "") + f"{self.word}{place} {members[place]}"
            for group, place in self.agents
        ]

    def members(self) -> list[str]:
        """What they are, by place; where they learn by several algorithms, by which."""
        names = list(self.kinds)
        if len(set(self.algorithms)) > 1:
            for place, algorithm in zip(self.slots, self.algorithms, strict=True):
                names[place] += f" ({algorithm})"
        return names

    def group_of(self, agent: int) -> int:
        """Number of an agent's group."""
        return self.agents[agent][0]

    def place_of(self, agent: int) -> int:
        """Place of an agent in its world or group."""
        return self.agents[agent][1]

    def learning(self) -> list[bool]:
        """Whether each agent learns."""
        return [self.players[place].learns for _, place in self.agents]

    def learners(self) -> list[list[int]]:
        """Agents that learn, group by group; all players of a world are one group."""
        found: list[list[int]] = [[] for _ in range(self.groups)]
        for agent, (group, place) in enumerate(self.agents):
            if self.players[place].learns:
                found[group].append(agent)
        return found

    @property
    def learning_slots(self) -> tuple[int, ...]:
        """Places of those that learn."""
        return tuple(slot for slot in self.slots if self.players[slot].learns)

    @property
    def trained(self) -> list[bool]:
        """Whether each of those with networks learns, group after group."""
        return [self.players[slot].learns for slot in self.slots] * self.groups

    @property
    def scripted(self) -> list[str | None]:
        """Names of the scripted players, by place; ``None`` where there are networks."""
        return [player.scripted for player in self.players]

    @property
    def silent(self) -> list[int]:
        """Places of those that do not learn: they keep out of worlds where learners are alone."""
        return [place for place, player in enumerate(self.players) if not player.learns]

    def network(self, run: Path, slot: int | None) -> int:
        """Which agent RUN#K or RUN means: K, or the first that learnt there.

        Where nobody learnt, the first that has a network.

        Args:
            run: whose roster this is, for the message.
            slot: K; ``None`` where none was named.

        Raises:
            UsageError: the agent has no network.
        """
        if slot is None:
            return next(iter(self.learning_slots or self.slots))
        if slot not in self.slots:
            raise UsageError(
                f"{run}: agent {slot} has no network; those of {list(self.slots)} have"
            )
        return slot
