"""How agents learn, as far as words go: what each kind of learning allows. No torch.

``algorithm.regime`` names one. What a regime does stands in ``train/*/regime.py``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from socialgrid.algos.options import (
    ALGORITHMS,
    OFF_POLICY,
    ON_POLICY,
    AlgorithmConfig,
    OnPolicyConfig,
    RecurrentDQNConfig,
)
from socialgrid.config.errors import UsageError, nearest
from socialgrid.config.roster import parse_player, slots_of
from socialgrid.config.sections import ScheduleConfig, Sections
from socialgrid.social.options import OFF_POLICY_MECHANISMS

_AUX_LOSSES = ("none", "reconstruction", "prediction")


class Regime(ABC):
    """A kind of learning.

    Attributes:
        name: as ``algorithm.regime`` has it.
        algorithms: that learn so.
        others: algorithms that learn in another way.
        obs_mode: what the simulator writes unless a run says; ``None``: the game's own default.
        everybody: whether scripted players are among the agents that rows of metrics are of.
        closes: whether agents play closing trials when a run is over.
        grouped: whether curves of runs are drawn as arms, means over agents and groups, beside
            what evaluations say; otherwise each agent's by itself.
    """

    name: str
    algorithms: tuple[str, ...]
    others: tuple[str, ...]
    obs_mode: str | None
    everybody: bool
    closes: bool
    grouped: bool

    def check(self, config: Sections) -> None:
        """Whether the sections of a configuration go together.

        Raises:
            UsageError: they do not.
        """
        for mechanism in config.social.mechanisms:
            having = [
                name
                for name, cls in ALGORITHMS.items()
                if cls.sociable and _REGIMES[cls.regime].has(mechanism)
            ]
            if config.algorithm.name not in having:
                raise UsageError(
                    f"social.mechanisms: {config.algorithm.name} has no {mechanism}; "
                    f"{', '.join(having)} have it"
                )
        self._check(config)

    @abstractmethod
    def has(self, mechanism: str) -> bool:
        """Whether a social mechanism is for agents that learn so."""

    @abstractmethod
    def _check(self, config: Sections) -> None:
        """What ``check`` has to look at besides."""

    @abstractmethod
    def check_members(self, config: Sections) -> None:
        """Whether the algorithm, or the advice chosen, can do with these players.

        Raises:
            UsageError: it cannot.
        """

    @abstractmethod
    def check_phases(self, config: Sections) -> None:
        """Whether a run may have phases.

        Raises:
            UsageError: it may not.
        """


class OnPolicy(Regime):
    """From fresh batches."""

    name, algorithms, others = "on-policy", ON_POLICY, OFF_POLICY
    obs_mode, everybody, closes, grouped = "rgb", True, True, False

    def has(self, mechanism: str) -> bool:
        """See ``Regime``."""
        return mechanism not in OFF_POLICY_MECHANISMS

    def check_members(self, config: Sections) -> None:
        """See ``Regime``; nobody is advised."""
        assert isinstance(config.algorithm, OnPolicyConfig), "it names this regime"
        try:
            config.algorithm.check_players([parse_player(x).kind for x in config.players.kinds])
        except ValueError as error:
            raise UsageError(f"algorithm.{error}") from None

    def check_phases(self, config: Sections) -> None:
        """See ``Regime``."""

    def _check(self, config: Sections) -> None:
        env, off_policy, algorithm = config.env, ", ".join(self.others), config.algorithm
        assert isinstance(algorithm, OnPolicyConfig), "it names this regime"
        if algorithm.aux not in _AUX_LOSSES:
            raise UsageError(
                f"algorithm.aux: {algorithm.aux!r} is not one of {', '.join(_AUX_LOSSES)}"
                + nearest(algorithm.aux, _AUX_LOSSES)
            )
        try:
            algorithm.check_batch(env.num_envs, env.rollout_steps)
        except ValueError as error:
            raise UsageError(f"algorithm.{error}") from None
        if env.gymnasium_id:
            raise UsageError(
                f"env.game: {algorithm.name} plays grid games only; {off_policy} play {env.game}"
            )
        if env.obs_mode == "vector":
            raise UsageError(
                f"env.obs_mode: {algorithm.name} reads rgb or tiles; {off_policy} read vectors"
            )
        for option, value in (
            ("evaluation.interval", config.evaluation.interval),
            ("peers.groups", config.peers.groups - 1),
            ("peers.algorithms", config.peers.algorithms),
        ):
            if value:
                raise UsageError(
                    f"{option}: {algorithm.name} has no use for it; {off_policy} have "
                    f"({_OFF[option]} turns it off)"
                )


class OffPolicy(Regime):
    """From a memory of what has been."""

    name, algorithms, others = "off-policy", OFF_POLICY, ON_POLICY
    obs_mode, everybody, closes, grouped = None, False, False, True

    def has(self, mechanism: str) -> bool:
        """See ``Regime``."""
        return mechanism in OFF_POLICY_MECHANISMS

    def check_phases(self, config: Sections) -> None:
        """See ``Regime``."""
        raise UsageError(f"phases: {config.algorithm.name} has none; {', '.join(ON_POLICY)} have")

    def check_members(self, config: Sections) -> None:
        """See ``Regime``."""
        owners = len(slots_of(config.players.kinds))
        if config.advised and config.peers.choice == "others" and len(config.players.kinds) < 2:
            raise UsageError("peers.choice: others, but players.kinds names one member only")
        if "lectr" in config.social.mechanisms and owners < 2:
            raise UsageError(
                "social.mechanisms: lectr needs two or more members with networks, players.kinds "
                f"names {owners} (--peers 2)"
            )

    def _check(self, config: Sections) -> None:
        name, peers = config.algorithm.name, config.peers
        owners = len(slots_of(config.players.kinds))
        for algorithm in peers.algorithms:
            if algorithm not in self.algorithms:
                raise UsageError(
                    f"peers.algorithms: {algorithm!r} is not one of {', '.join(self.algorithms)}"
                    + nearest(algorithm, self.algorithms)
                )
        if peers.algorithms and len(peers.algorithms) != owners:
            raise UsageError(
                f"peers.algorithms: {len(peers.algorithms)} for {owners} members with networks in "
                "players.kinds; name one for each, or none"
            )
        if config.advised and RecurrentDQNConfig.name in (peers.algorithms or (name,)):
            raise UsageError(
                f"social.mechanisms: {', '.join(config.social.mechanisms)}: recurrent-dqn "
                "remembers its own task only and cannot say what to do in another's"
            )
        if config.advised and config.players.hide_from_learners:
            raise UsageError("players.hide_from_learners: every peer has a task of its own")
        if config.env.double_buffer:
            raise UsageError(
                f"env.double_buffer: {name} has no use for it; {', '.join(self.others)} have "
                f"({_OFF['env.double_buffer']} turns it off)"
            )
        if config.schedule != ScheduleConfig():
            raise UsageError(f"schedule: {name} follows none; ppo, a3c do")


_OFF = {  # options that only some algorithms know, as if they did not exist
    "evaluation.interval": "--evaluation.interval 0",
    "peers.groups": "--peers.groups 1",
    "peers.algorithms": "--peers.algorithms none",
    "env.double_buffer": "--env.no-double-buffer",
}
_REGIMES: dict[str, Regime] = {one.name: one for one in (OnPolicy(), OffPolicy())}


def regime_of(algorithm: AlgorithmConfig) -> Regime:
    """How agents learn by an algorithm."""
    return _REGIMES[algorithm.regime]
