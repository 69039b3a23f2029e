"""What became of a group, in plain numbers."""

from socialgrid.measures.coordination import correlation as correlation
from socialgrid.measures.coordination import entropy as entropy
from socialgrid.measures.coordination import (
    influenced_reward_correlation as influenced_reward_correlation,
)
from socialgrid.measures.coordination import influential_moments as influential_moments
from socialgrid.measures.coordination import (
    instantaneous_coordination as instantaneous_coordination,
)
from socialgrid.measures.coordination import joint_counts as joint_counts
from socialgrid.measures.coordination import mutual_information as mutual_information
from socialgrid.measures.coordination import speaker_consistency as speaker_consistency
from socialgrid.measures.coordination import strongest_pair as strongest_pair
from socialgrid.measures.episodes import EpisodeMetrics as EpisodeMetrics
from socialgrid.measures.episodes import bounds_of as bounds_of
from socialgrid.measures.episodes import episodes_with as episodes_with
from socialgrid.measures.episodes import equality as equality
from socialgrid.measures.episodes import fewer as fewer
from socialgrid.measures.episodes import gini as gini
from socialgrid.measures.episodes import mean_outcomes as mean_outcomes
from socialgrid.measures.intervals import FEW_RUNS as FEW_RUNS
from socialgrid.measures.intervals import Bounds as Bounds
from socialgrid.measures.intervals import confidence_interval as confidence_interval
from socialgrid.measures.intervals import interval_over_runs as interval_over_runs
from socialgrid.measures.intervals import method as method
from socialgrid.measures.names import KINDS as KINDS
from socialgrid.measures.names import Place as Place
from socialgrid.measures.names import Values as Values
from socialgrid.measures.names import declare as declare
from socialgrid.measures.names import measure as measure
