"""How agents learn, as far as words go: what each kind of learning allows. No torch.

``algorithm.regime`` names one. What a regime does stands in ``train/*/regime.py``.
"""

from __future__ import annotations

import contextlib
import warnings
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping

import socialgrid
from socialgrid.algos.options import (
    ALGORITHMS,
    AlgorithmConfig,
    OffPolicyConfig,
    OnPolicyConfig,
    algorithms_of,
)
from socialgrid.config.errors import UsageError, nearest
from socialgrid.config.overrides import field_types
from socialgrid.config.roster import parse_player, slots_of
from socialgrid.config.sections import EvaluationConfig, ScheduleConfig, Sections
from socialgrid.social.roles import ADVISER


class Regime(ABC):
    """A kind of learning.

    Attributes:
        name: as ``algorithm.regime`` has it.
        obs_mode: what the simulator writes unless a run says; ``None``: the game's own default.
        everybody: whether scripted players are among the agents that rows of metrics are of.
        closes: whether agents play closing trials when a run is over.
        grouped: whether curves of runs are drawn as arms, means over agents and groups, beside
            what evaluations say; otherwise each agent's by itself.
    """

    name: str
    obs_mode: str | None
    everybody: bool
    closes: bool
    grouped: bool

    def check(self, config: Sections) -> None:
        """Whether the sections of a configuration go together.

        Raises:
            UsageError: they do not.
        """
        for mechanism in (*config.social, *config.aux):
            having = [
                name
                for name, cls in ALGORITHMS.items()
                if cls.sociable and _REGIMES[cls.regime].has(mechanism.role)
            ]
            if config.algorithm.name not in having:
                raise UsageError(
                    f"social: {config.algorithm.name} has no {mechanism.name}; "
                    f"{', '.join(having)} have it"
                )
        self._check(config)

    @property
    def algorithms(self) -> tuple[str, ...]:
        """Algorithms that learn so."""
        return algorithms_of(self.name)

    @property
    def others(self) -> tuple[str, ...]:
        """Algorithms that learn in another way."""
        return tuple(
            name for regime in _REGIMES if regime != self.name for name in algorithms_of(regime)
        )

    @abstractmethod
    def has(self, role: str) -> bool:
        """Whether mechanisms of a role are for agents that learn so."""

    def unused(self, config: Sections) -> Mapping[str, str]:
        """Options that count for nothing in a configuration, ``section.field``, and why."""
        found = {}
        if len(config.network.channels) == 1:
            found["network.kernel"] = (
                "the only one of network.channels has the kernel network.first_kernel"
            )
        if not config.logging.video:
            found["logging.video_frames"] = "there is no film with logging.no-video"
        players = map(parse_player, config.players.kinds)
        if not any(player.learns and player.source is None for player in players):
            found["players.hide_from_learners"] = (
                "no fresh learner is in players.kinds: learner:RUN sees what it saw in that run"
            )
        return found

    def unused_there(self, config: Sections, given: Collection[str]) -> Mapping[str, str]:
        """Options that count for nothing in a task which has to be made in order to know, if any
        of those ``given`` might.
        """
        return {}

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

    name = "on-policy"
    obs_mode, everybody, closes, grouped = "rgb", True, True, False

    def has(self, role: str) -> bool:
        """See ``Regime``."""
        return role != ADVISER

    def unused(self, config: Sections) -> Mapping[str, str]:
        """See ``Regime``."""
        algorithm = config.algorithm
        assert isinstance(algorithm, OnPolicyConfig), "it names this regime"
        found = dict(super().unused(config))
        found |= {f"algorithm.{name}": why for name, why in algorithm.unused().items()}
        if not config.evaluation.interval:
            found |= dict.fromkeys(
                ("evaluation.episodes", "evaluation.worlds"),
                f"{algorithm.name} is evaluated when it is over; evaluation.interval says how "
                "often before",
            )
        if not config.closing.trials:
            reason = "nothing is played when the run is over; closing.trials says how often"
            found |= dict.fromkeys(("closing.measures", "closing.notes"), reason)
        return found

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
        if config.closing.trials and not config.closing.measures:
            raise UsageError("closing.measures: at least one is needed, as return:0")
        assert isinstance(algorithm, OnPolicyConfig), "it names this regime"
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
            ("players.groups", config.players.groups - 1),
            ("players.algorithms", config.players.algorithms),
        ):
            if value:
                raise UsageError(
                    f"{option}: {algorithm.name} has no use for it; {off_policy} have "
                    f"({_OFF[option]} turns it off)"
                )


class OffPolicy(Regime):
    """From a memory of what has been."""

    name = "off-policy"
    obs_mode, everybody, closes, grouped = None, False, False, True

    def has(self, role: str) -> bool:
        """See ``Regime``."""
        return role == ADVISER

    def unused(self, config: Sections) -> Mapping[str, str]:
        """See ``Regime``; sizes of what there is no network for."""
        algorithm = config.algorithm
        assert isinstance(algorithm, OffPolicyConfig), "it names this regime"
        found = dict(super().unused(config))
        discrete = config.env.gymnasium_id is None
        options = algorithm.unused(discrete=discrete)
        found |= {f"algorithm.{name}": why for name, why in options.items()}
        if algorithm.name not in (config.players.algorithms or (algorithm.name,)):
            members = ", ".join(config.players.algorithms)
            reason = f"nobody learns by {algorithm.name}; players.algorithms names {members}"
            own = field_types(type(algorithm)).keys() - field_types(OffPolicyConfig).keys()
            found |= {f"algorithm.{name}": reason for name in own}
        found["network.heads"] = f"{algorithm.name} has no such layers; algorithm.hidden counts"
        if not algorithm.remembers:
            found["network.memory"] = f"{algorithm.name} has no memory"
        if _reads_vectors(config):
            found |= _without_views(config)
        if not config.evaluation.interval:
            found["evaluation.episodes"] = "evaluation.interval says how often, here never"
        reason = f"{algorithm.name} plays nothing when it is over; {', '.join(self.others)} do"
        found |= dict.fromkeys(("closing.trials", "closing.measures", "closing.notes"), reason)
        adviser = config.adviser
        names = config.players.algorithms or (algorithm.name,)
        if adviser is not None and all(map(_samples, names)):
            found[f"{adviser.name}.explore_when_advised"] = (
                f"{', '.join(dict.fromkeys(names))} draws from its distribution all the same"
            )
        if (
            adviser is not None
            and not adviser.explore_when_advised
            and not any(map(_samples, names))
        ):
            found[f"{adviser.name}.peers_explore"] = (
                f"nobody explores on top of advice; it counts with {adviser.name}."
                "explore_when_advised, or where somebody learns by sac"
            )
        return found

    def unused_there(self, config: Sections, given: Collection[str]) -> Mapping[str, str]:
        """See ``Regime``; of tasks of Gymnasium's own, whose code may be run."""
        name, found = config.env.gymnasium_id, dict[str, str]()
        asked = any(path.startswith("network.") or path in _OF_ACTIONS for path in given)
        if name is None or ":" in name or not asked:
            return found
        with contextlib.suppress(Exception), warnings.catch_warnings():  # others say what is wrong
            import gymnasium  # noqa: PLC0415 (only here is it needed)

            warnings.simplefilter("ignore")
            env = gymnasium.make(name, **config.env.options)
            if len(env.observation_space.shape or ()) < 2:
                found |= _without_views(config)
            if isinstance(env.action_space, gymnasium.spaces.Box):
                found["algorithm.target_entropy_ratio"] = "it counts where actions are discrete"
            elif isinstance(config.algorithm, OffPolicyConfig):
                options = config.algorithm.unused(discrete=True)
                found |= {f"algorithm.{option}": why for option, why in options.items()}
            env.close()
        return found

    def check_phases(self, config: Sections) -> None:
        """See ``Regime``."""
        raise UsageError(f"phases: {config.algorithm.name} has none; {', '.join(self.others)} have")

    def check_members(self, config: Sections) -> None:
        """See ``Regime``."""
        kinds = config.players.kinds
        if config.adviser is not None:
            try:
                config.adviser.check_members(len(kinds), len(slots_of(kinds)))
            except ValueError as error:
                raise UsageError(f"social.{config.adviser.name}: {error}") from None

    def _check(self, config: Sections) -> None:
        name, players = config.algorithm.name, config.players
        owners = len(slots_of(config.players.kinds))
        for algorithm in players.algorithms:
            if algorithm not in self.algorithms:
                raise UsageError(
                    f"players.algorithms: {algorithm!r} is not one of {', '.join(self.algorithms)}"
                    + nearest(algorithm, self.algorithms)
                )
        if players.algorithms and len(players.algorithms) != owners:
            raise UsageError(
                f"players.algorithms: {len(players.algorithms)} for {owners} members with networks "
                "in players.kinds; name one for each, or none"
            )
        for algorithm in players.algorithms or (name,):
            options = ALGORITHMS[algorithm]
            assert issubclass(options, OffPolicyConfig), "checked above"
            if config.advised and options.remembers:
                raise UsageError(
                    f"social: {', '.join(config.social.names)}: {algorithm} remembers its own task "
                    "only and cannot say what to do in another's"
                )
        if config.advised and config.players.hide_from_learners:
            raise UsageError("players.hide_from_learners: every peer has a task of its own")
        if config.env.gymnasium_id and config.players.hide_from_learners:
            raise UsageError(
                f"players.hide_from_learners: nothing can be hidden in {config.env.game}"
            )
        if config.env.double_buffer:
            raise UsageError(
                f"env.double_buffer: {name} has no use for it; {', '.join(self.others)} have "
                f"({_OFF['env.double_buffer']} turns it off)"
            )
        if config.evaluation.worlds != EvaluationConfig.worlds:
            raise UsageError(
                f"evaluation.worlds: {name} is evaluated where it learns; {', '.join(self.others)} "
                "in other worlds, too"
            )
        if config.schedule != ScheduleConfig():
            raise UsageError(f"schedule: {name} follows none; {', '.join(self.others)} do")


_OF_ACTIONS = tuple(  # options that count for some kinds of actions only
    f"algorithm.{name}"
    for name in ("target_entropy_ratio", "state_dependent_noise", "log_std_init", "noise_interval")
)
_OFF = {  # options that only some algorithms know, as if they did not exist
    "players.groups": "--players.groups 1",
    "players.algorithms": "--players.algorithms none",
    "env.double_buffer": "--env.no-double-buffer",
}


def _samples(algorithm: str) -> bool:
    """Whether policies of an off-policy algorithm are distributions."""
    options = ALGORITHMS[algorithm]
    return issubclass(options, OffPolicyConfig) and options.samples


def _without_views(config: Sections) -> dict[str, str]:
    """Options of networks that look at views."""
    reason = f"observations of {config.env.game} are vectors; algorithm.hidden counts"
    names = ("channels", "kernel", "first_kernel", "features", "negative_slope")
    return {f"network.{name}": reason for name in names}


def _reads_vectors(config: Sections) -> bool:
    """Whether observations are surely no views."""
    if config.env.gymnasium_id is not None:
        return False  # who knows
    if config.env.obs_mode != "auto":
        return config.env.obs_mode == "vector"
    with contextlib.suppress(ValueError, TypeError):
        env = socialgrid.make_vec(config.env.game, num_envs=1, num_threads=1)
        mode = env.obs_mode
        env.close()
        return bool(mode == "vector")
    return False  # what is wrong with the game is said elsewhere


_REGIMES: dict[str, Regime] = {one.name: one for one in (OnPolicy(), OffPolicy())}


def regime_of(algorithm: AlgorithmConfig) -> Regime:
    """How agents learn by an algorithm."""
    return _REGIMES[algorithm.regime]
