"""Storage of experience, and the estimators computed from it."""

from socialgrid.data.exchange import Board as Board
from socialgrid.data.exchange import fetched as fetched
from socialgrid.data.exchange import sent as sent
from socialgrid.data.priorities import Priorities as Priorities
from socialgrid.data.replay import Replay as Replay
from socialgrid.data.replay import Transitions as Transitions
from socialgrid.data.replay import storage_device as storage_device
from socialgrid.data.returns import gae as gae
from socialgrid.data.returns import next_values as next_values
from socialgrid.data.rollout import Decision as Decision
from socialgrid.data.rollout import Recorded as Recorded
from socialgrid.data.rollout import Rollout as Rollout
from socialgrid.data.sequence_replay import SequenceReplay as SequenceReplay
from socialgrid.data.sequences import Judged as Judged
from socialgrid.data.sequences import Minibatch as Minibatch
from socialgrid.data.sum_tree import SumTree as SumTree
from socialgrid.data.trajectories import Play as Play
from socialgrid.data.trajectories import Trajectories as Trajectories
from socialgrid.data.trajectories import read_trajectories as read_trajectories
