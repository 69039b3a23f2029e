"""Where a run's agents are evaluated, in words. Nothing here needs torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from socialgrid.config.course import Course
from socialgrid.config.errors import UsageError
from socialgrid.config.maps import with_game_options
from socialgrid.config.presets import load_preset
from socialgrid.config.schema import TrainConfig

_VIEW_OPTIONS = (  # how agents see; others' prestige is a colour to them
    *("view_size", "view_offset", "tile_size", "see_through_walls"),
    *("prestige_mapping", "prestige_decay", "prestige_scale"),
)


@dataclass(frozen=True)
class EvalOptions:
    """What to evaluate in."""

    episodes: int = 20
    """Episodes for each seed and condition."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of the environments; never those of training."""
    world: str = ""
    """Another world: the env section and the players of this preset (four-goals, maze, ...), as in
    its last phase."""
    game: str = ""
    """Another game; scripted players that it does not have must be replaced by ``players``."""
    players: tuple[str, ...] = ()
    """Who plays instead: learner is an agent that learnt in the run, in their order; novice an
    untrained network; checkpoint:OTHER the first agent that learnt in another run,
    checkpoint:OTHER#K its agent K; anything else is a scripted player."""
    greedy: bool = False
    """The most probable action instead of a sample; off-policy agents always play so."""
    device: str = "cpu"
    """Where the networks compute."""
    checkpoint: str = "newest"
    """Whose weights: of the newest checkpoint, of that of a step, of several (1000,2000), or of all
    that a run has kept (``run.keep_checkpoints``)."""
    json: str = ""
    """Where the results go; RUN/eval-WORLD-....json by default."""

    def __post_init__(self) -> None:
        if self.episodes < 1:
            raise UsageError(f"episodes: {self.episodes} is out of range, must be at least 1")
        if not self.seeds:
            raise UsageError("seeds: at least one is needed")
        for place, seed in enumerate(self.seeds):
            if seed < 0:
                raise UsageError(f"seeds: {seed} is out of range, must be at least 0")
            if seed in self.seeds[:place]:
                raise UsageError(
                    f"seeds: {seed} is named twice; the same episodes would count as further ones"
                )
        if self.world and self.game:
            raise UsageError("world and game: give one of them")
        if self.checkpoint not in ("newest", "all"):
            self.steps()

    def steps(self) -> tuple[int, ...]:
        """Steps of the checkpoints that are named; none for the newest one, or for all."""
        if self.checkpoint in ("newest", "all"):
            return ()
        words = [word.strip().replace("_", "") for word in self.checkpoint.split(",")]
        if not all(word.isdecimal() for word in words):
            raise UsageError(
                f"checkpoint: {self.checkpoint!r} is not newest, all, or steps of some"
            )
        return tuple(map(int, words))


@dataclass(frozen=True)
class MatrixOptions:
    """Where agents of different runs meet."""

    episodes: int = 20
    """Episodes for each seed, pair of runs and seating."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of the environments; never those of training."""
    world: str = ""
    """Another world: the env section of this preset, as in its last phase."""
    players: tuple[str, ...] = ()
    """Who has which seat: row, column, or somebody else as of socialgrid-eval. By default the
    row's agent has the seat it learnt in, the column's agents have those of the other learners,
    and everybody else is as in training; each learner's seat in turn."""
    greedy: bool = False
    """The most probable action instead of a sample."""
    device: str = "cpu"
    """Where the networks compute."""
    out: str = ""
    """The picture; matrix.png in the first run's directory by default."""
    json: str = ""
    """The figures; matrix.json in the first run's directory by default."""


@dataclass(frozen=True)
class RecordOptions:
    """Whom to record, and for how long."""

    out: str = ""
    """The file."""
    agent: int | None = None
    """Slot of whom to record; by default the first scripted player, or else the first network."""
    players: tuple[str, ...] = ()
    """Who plays; of a preset by default those who are not learners, of a run everybody in it.
    Scripted players, checkpoint:RUN, or learner for the run's own."""
    episodes: int = 512
    """Episodes, if each lasts as long as one can; shorter ones are more."""
    worlds: int = 64
    """Worlds played at once."""
    seed: int = 0
    """Seed of the environments and of the scripted players."""
    obs_mode: Literal["auto", "rgb", "tiles"] = "auto"
    """What the agent sees: rgb or tiles, as in the run that is to learn from it; auto: as in what
    is recorded."""
    greedy: bool = False
    """Networks take the most probable action instead of a sample."""
    device: str = "cpu"
    """Where the networks compute."""

    def __post_init__(self) -> None:
        for name in ("episodes", "worlds"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name}: {getattr(self, name)} is out of range, at least 1")
        if self.seed < 0:
            raise UsageError(f"seed: {self.seed} is out of range, must be at least 0")


def evaluation_config(
    run: TrainConfig, options: EvalOptions, extra: Mapping[str, Any]
) -> TrainConfig:
    """The configuration of a run in its last phase, moved to the world that ``options`` name.

    Args:
        run: configuration of the training run.
        options: world, game and players.
        extra: game options given on the command line.

    Raises:
        UsageError: the players do not match the run's networks.
    """
    run = Course(run).configs[-1]
    env, kinds = run.env, list(run.players.kinds)
    own = {name: env.options[name] for name in _VIEW_OPTIONS if name in env.options}
    if options.world:
        world = Course(load_preset(options.world).config).configs[-1]
        env = dataclasses.replace(env, game=world.env.game, options={**own, **world.env.options})
        kinds = kinds if run.advised else list(world.players.kinds)
    elif options.game and options.game != env.game:
        env = dataclasses.replace(env, game=options.game, options=own)
    options_there = with_game_options(env.options, extra)
    env = dataclasses.replace(env, options=options_there, double_buffer=False)
    if options.players:
        if run.advised:
            raise UsageError("players: peers are evaluated by themselves, each in its own task")
        kinds = list(options.players)
    schedule = dataclasses.replace(run.schedule, solo_fraction="0", options={})
    players = dataclasses.replace(run.players, kinds=tuple(kinds))
    return dataclasses.replace(run, env=env, players=players, schedule=schedule)
