"""Whom a learner imitates, and how well. No heavy imports: the command line asks, too."""

from __future__ import annotations

from collections.abc import Sequence

from socialgrid.measures.names import Place, declare

declare("cross_entropy", "cross-entropy of the imitated actions", "nats", Place.TABLE)
declare("accuracy", "imitated actions that are the most probable", "share", Place.TABLE, digits=3)

_OF_LEARNERS = ("learner", "frozen", "novice")  # all other players are scripted


def whom_to_imitate(imitates: int | None, kinds: Sequence[str]) -> int:
    """Slot of whom the learners of a world imitate.

    Args:
        imitates: who is named; by default the first scripted player, or else the first that has
            learnt in another run.
        kinds: by place: learner, frozen, novice, or the name of a scripted player.

    Raises:
        ValueError: there is nobody, or whoever is named does not exist or learns itself.
    """
    if imitates is None:
        scripted = [place for place, kind in enumerate(kinds) if kind not in _OF_LEARNERS]
        found = scripted + [place for place, kind in enumerate(kinds) if kind == "frozen"]
        if not found:
            raise ValueError(
                f"imitates: nobody in {', '.join(kinds)} can be imitated: a scripted player or "
                "checkpoint:RUN among the players is needed, or a file of trajectories"
            )
        return found[0]
    if imitates >= len(kinds):
        raise ValueError(f"imitates: there is no slot {imitates}, only 0 to {len(kinds) - 1}")
    if kinds[imitates] == "learner":
        raise ValueError(f"imitates: the agent of slot {imitates} is a learner itself")
    return imitates
