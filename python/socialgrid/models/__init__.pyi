"""Networks of independent agents, stacked on a leading agent axis."""

from socialgrid.models.actor_critic import ActorCritic as ActorCritic
from socialgrid.models.actor_critic import put_agent as put_agent
from socialgrid.models.actor_critic import take_agent as take_agent
from socialgrid.models.adam import StackedAdam as StackedAdam
from socialgrid.models.adam import clip_gradients as clip_gradients
from socialgrid.models.captured import ENGINES as ENGINES
from socialgrid.models.captured import Captured as Captured
from socialgrid.models.captured import pinned as pinned
from socialgrid.models.captured import wait_for as wait_for
from socialgrid.models.config import ModelConfig as ModelConfig
from socialgrid.models.config import Precision as Precision
from socialgrid.models.draws import AgentDraws as AgentDraws
from socialgrid.models.encoders import from_patches as from_patches
from socialgrid.models.encoders import to_patches as to_patches
from socialgrid.models.finite import NonFiniteError as NonFiniteError
from socialgrid.models.flat_parameters import FlatParameters as FlatParameters
from socialgrid.models.heads import chosen_log_prob as chosen_log_prob
from socialgrid.models.mlp import StackedMLP as StackedMLP
from socialgrid.models.policies import StateDependentPolicy as StateDependentPolicy
from socialgrid.models.policies import squashed_log_prob as squashed_log_prob
from socialgrid.models.recall import Recall as Recall
from socialgrid.models.recurrent import StackedLSTM as StackedLSTM
from socialgrid.models.spec import ViewSpec as ViewSpec
from socialgrid.models.streams import agent_generator as agent_generator
from socialgrid.models.task_spec import TaskSpec as TaskSpec
from socialgrid.models.trained import Trained as Trained
