"""Learning algorithms: losses and updates of independent, stacked agents."""

from socialgrid.algos.off_policy.dqn import DQN as DQN
from socialgrid.algos.off_policy.mixed import MixedLearner as MixedLearner
from socialgrid.algos.off_policy.recurrent_dqn import RecurrentDQN as RecurrentDQN
from socialgrid.algos.off_policy.sac import SAC as SAC
from socialgrid.algos.off_policy.sac import DiscreteSAC as DiscreteSAC
from socialgrid.algos.off_policy.td3 import TD3 as TD3
from socialgrid.algos.on_policy.a3c import A3C as A3C
from socialgrid.algos.on_policy.behaviour_cloning import BehaviourCloning as BehaviourCloning
from socialgrid.algos.on_policy.ppo import PPO as PPO
from socialgrid.algos.on_policy.shards import Shards as Shards
from socialgrid.algos.on_policy.shards import tree_sum as tree_sum
from socialgrid.algos.options import A3CConfig as A3CConfig
from socialgrid.algos.options import CloningConfig as CloningConfig
from socialgrid.algos.options import DQNConfig as DQNConfig
from socialgrid.algos.options import OffPolicyConfig as OffPolicyConfig
from socialgrid.algos.options import PPOConfig as PPOConfig
from socialgrid.algos.options import RecurrentDQNConfig as RecurrentDQNConfig
from socialgrid.algos.options import SACConfig as SACConfig
from socialgrid.algos.options import TD3Config as TD3Config
from socialgrid.algos.options import register_algorithm as register_algorithm
from socialgrid.algos.ranks import ALONE as ALONE
from socialgrid.algos.ranks import Ranks as Ranks
from socialgrid.algos.workers import Workers as Workers
