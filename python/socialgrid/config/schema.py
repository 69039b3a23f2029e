"""The whole configuration of a training run: sections that go together.

Nothing here needs torch or the training extras.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from socialgrid.config.closing import ConditionConfig
from socialgrid.config.errors import UsageError
from socialgrid.config.maps import beside_map, with_game_options
from socialgrid.config.overrides import override
from socialgrid.config.phases import PhaseConfig
from socialgrid.config.regimes import Regime, regime_of
from socialgrid.config.roster import Roster, slots_of
from socialgrid.config.sections import Sections
from socialgrid.social.roles import MECHANISMS


@dataclass(frozen=True)
class TrainConfig(Sections):
    """Everything that defines a run."""

    def __post_init__(self) -> None:
        self.regime.check(self)
        self._read_phases()
        self._read_closing()

    @property
    def regime(self) -> Regime:
        """How the agents learn."""
        return regime_of(self.algorithm)

    @cached_property
    def roster(self) -> Roster:
        """Who plays.

        Raises:
            UsageError: an entry of ``players.kinds`` is wrong, or nobody learns.
        """
        return Roster.of(self, everybody=self.regime.everybody)

    @property
    def obs_mode(self) -> str | None:
        """What the simulator is asked to write; ``None``: the game's own default."""
        return self.regime.obs_mode if self.env.obs_mode == "auto" else self.env.obs_mode

    def check_members(self) -> None:
        """Whether the algorithm, or the advice chosen, can do with these players, and phases with
        them and with schedules.

        Apart from the other checks: all are chosen one by one.

        Raises:
            UsageError: it cannot.
        """
        self.regime.check_members(self)
        count = len(self.players.kinds)
        for name, phase in self.phases.items():
            named = phase.metric and phase.agent != "any"  # without a bound it is nobody's
            if named and not -count <= phase.agent < count:
                raise UsageError(
                    f"phases.{name}.agent: {phase.agent} is none of the {count} in players.kinds"
                )
            for option in sorted(phase.options.keys() & self.schedule.options.keys()):
                raise UsageError(
                    f"phases.{name}.options.{option}: schedule.options.{option} says what it is, "
                    "in all phases"
                )

    def in_phase(self, name: str) -> TrainConfig:
        """The configuration with the numbers of one of its phases.

        Raises:
            UsageError: a number is out of range, or is not one that can change in a run.
        """
        phase = self.phases[name]
        whole = dataclasses.replace(self, phases={})
        changes = {
            "algorithm": phase.algorithm,
            "social": phase.social,
            "aux": phase.aux,
            "env": {"options": phase.options},
        }
        for option in sorted(self.algorithm.fixed & set(phase.algorithm)):
            raise UsageError(f"phases.{name}.algorithm.{option}: cannot change in a run")
        for section, chosen in (("social", self.social), ("aux", self.aux)):
            for mechanism, table in changes[section].items():
                if mechanism not in chosen:
                    raise UsageError(
                        f"phases.{name}.{section}.{mechanism}: the run has no such mechanism; it "
                        f"has {', '.join(chosen.names) or 'none'}"
                    )
                fixed = MECHANISMS[mechanism].fixed
                for option in [one for one in fixed if isinstance(table, Mapping) and one in table]:
                    raise UsageError(
                        f"phases.{name}.{section}.{mechanism}.{option}: cannot change in a run"
                    )
        try:
            return override(whole, changes)
        except UsageError as error:
            raise UsageError(f"phases.{name}: {error}") from None

    def in_condition(self, condition: ConditionConfig) -> TrainConfig:
        """The configuration moved to one of the conditions in which trained agents play.

        Raises:
            UsageError: learners in other slots than in training.
        """
        kinds = condition.players or self.players.kinds
        players = dataclasses.replace(self.players, kinds=kinds)
        if slots_of(kinds) != self.roster.slots or len(kinds) != len(self.players.kinds):
            raise UsageError(
                f"learners must stay in their places: {', '.join(self.players.kinds)}, not "
                f"{', '.join(kinds)}"
            )
        if meaningless := beside_map(self.env.options, condition.options):
            raise UsageError(f"{', '.join(meaningless)}: the map of the run says what it is")
        schedule = dataclasses.replace(self.schedule, solo_fraction="0")
        if condition.options:
            kept = {k: v for k, v in self.schedule.options.items() if k not in condition.options}
            schedule = dataclasses.replace(schedule, options=kept)
        options = with_game_options(self.env.options, condition.options)
        env = dataclasses.replace(self.env, options=options, double_buffer=False)
        return dataclasses.replace(self, players=players, env=env, schedule=schedule)

    def check_maps(self) -> None:
        """Refuse a map beside phases that say of their world what a map does. A record of a run
        that began so is none to be refused: both say the same there.

        Raises:
            UsageError: some phases do.
        """
        laid_out = {
            f"--phases.{name}.options.map FILE": found
            for name, phase in self.phases.items()
            if (found := beside_map(self.env.options, phase.options))
        }
        if laid_out:
            options = dict.fromkeys(option for found in laid_out.values() for option in found)
            raise UsageError(
                f"env.options.map: some phases say {', '.join(options)} themselves, which means "
                f"nothing beside a map; give those maps, too: {' '.join(laid_out)}"
            )

    def _read_closing(self) -> None:
        conditions = {
            name: table
            if isinstance(table, ConditionConfig)
            else override(ConditionConfig(), table, f"closing.conditions.{name}", TrainConfig)
            for name, table in self.closing.conditions.items()
        }
        closing = dataclasses.replace(self.closing, conditions=conditions)
        object.__setattr__(self, "closing", closing)
        for name, table in closing.reference.items():
            if not isinstance(table, Mapping):
                raise UsageError(f"closing.reference.{name}: {table!r} is not a table of measures")

    def _read_phases(self) -> None:
        plan = {
            name: table if isinstance(table, PhaseConfig) else _phase(table, f"phases.{name}")
            for name, table in self.phases.items()
        }
        object.__setattr__(self, "phases", plan)
        if plan:
            self.regime.check_phases(self)
        for name, phase in plan.items():
            if not phase.steps and name != list(plan)[-1]:
                raise UsageError(f"phases.{name}.steps: only the last phase can do without")
            self.in_phase(name)


def _phase(table: Any, where: str) -> PhaseConfig:
    try:
        return override(PhaseConfig(), table, where, TrainConfig)
    except UsageError as error:
        text = str(error)
        raise UsageError(text if where in text else f"{where}: {text}") from None
