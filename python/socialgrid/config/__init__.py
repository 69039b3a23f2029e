"""What a run is, in words. Nothing in this room imports torch."""

from socialgrid.algos.options import ALGORITHMS, AlgorithmConfig, algorithms_of
from socialgrid.config.closing import ClosingConfig, ConditionConfig
from socialgrid.config.course import Course
from socialgrid.config.errors import CheckpointError, UsageError, about, closest, plain_line
from socialgrid.config.launch import Place, check_launch, place_in
from socialgrid.config.overrides import option_paths, to_dict
from socialgrid.config.phases import PhaseConfig, described, measured, told_of_phase
from socialgrid.config.precision import Hardware, choose_precision
from socialgrid.config.presets import Preset, load_preset, preset_names
from socialgrid.config.reading import check_imports, from_dict, group_key, load_config
from socialgrid.config.roster import Player, Roster, parse_player
from socialgrid.config.schedule import Schedule
from socialgrid.config.schema import TrainConfig
from socialgrid.config.sections import (
    EnvConfig,
    EvaluationConfig,
    LoggingConfig,
    PlayersConfig,
    RunConfig,
    ScheduleConfig,
)
from socialgrid.config.spelling import read_value, whole_number
from socialgrid.config.words import combination, parse_train, paths_of, short_names

__all__ = [
    "ALGORITHMS",
    "AlgorithmConfig",
    "CheckpointError",
    "ClosingConfig",
    "ConditionConfig",
    "Course",
    "EnvConfig",
    "EvaluationConfig",
    "Hardware",
    "LoggingConfig",
    "PhaseConfig",
    "Place",
    "Player",
    "PlayersConfig",
    "Preset",
    "Roster",
    "RunConfig",
    "Schedule",
    "ScheduleConfig",
    "TrainConfig",
    "UsageError",
    "about",
    "algorithms_of",
    "check_imports",
    "check_launch",
    "choose_precision",
    "closest",
    "combination",
    "described",
    "from_dict",
    "group_key",
    "load_config",
    "load_preset",
    "measured",
    "option_paths",
    "parse_player",
    "parse_train",
    "paths_of",
    "place_in",
    "plain_line",
    "preset_names",
    "read_value",
    "short_names",
    "to_dict",
    "told_of_phase",
    "whole_number",
]
