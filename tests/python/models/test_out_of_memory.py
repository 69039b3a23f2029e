"""Compiled steps that find no thread or no memory raise, and have changed nothing."""

import subprocess
import sys

import pytest

from socialgrid.models import kernels

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's"),
    pytest.mark.skipif(kernels.KERNELS is None, reason="there are no kernels"),
]

BEGIN = """
import resource, sys
import torch
from tests.python.algos.off_policy_tasks import remember
from socialgrid.algos import DQN, DQNConfig
from socialgrid.models import StackedMLP, TaskSpec, kernels

def limit(mib):
    pages = int(open("/proc/self/statm").read().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * 4096 + (mib << 20), -1))

def learner(agents, **options):
    config = DQNConfig(buffer_size=60, learning_starts=10, gradient_steps=2, **options)
    found = DQN(TaskSpec(agents, (5,), num_actions=3), config, num_envs=2, seed=4)
    remember(found, 20)
    return found
"""
LAYERS = """
model = StackedMLP([torch.Generator().manual_seed(a) for a in range(64)], 64, (256, 256), 4)
x = torch.rand(64, 256, 64)
kernels.use_threads(64)
limit(60)
with torch.no_grad():
    model(x)
"""
STEPS = """
learner = learner(int(sys.argv[1]), hidden=(int(sys.argv[2]),), batch_size=4096)
before = {name: x.clone() for name, x in learner.tensors().items()}
kernels.use_threads(int(sys.argv[1]))
limit(int(sys.argv[3]))
try:
    learner.update()
finally:
    resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
    same = [name for name, x in learner.tensors().items() if torch.equal(x, before[name])]
    print("unchanged" if len(same) == len(before) else "changed")
"""
SHARDS = """
from dataclasses import replace
from tests.python.algos.test_shards import ENVS, KINDS, SHARDS
from tests.python.algos.tiny import Buttons, experience
from socialgrid.models import ModelConfig
MODEL = ModelConfig(channels=(6, 5), kernel=2, features=(12,), memory=16, heads=(8,))
make, config = KINDS[sys.argv[1]]
env = Buttons(ENVS, 3, horizon=5, recall=True)
learner = make(env.spec, MODEL, replace(config, shards=SHARDS), seed=1)
learner.update(experience(learner, env))
rollout = experience(learner, env)
before = {name: x.clone() for name, x in learner.tensors().items()}

class Greedy:
    def __getattr__(self, name):
        return getattr(KERNELS, name)

    def learn_shards(self, *given):
        return self.limited(KERNELS.learn_shards, *given)

    def learn_minibatches(self, *given):
        return self.limited(KERNELS.learn_minibatches, *given)

    def limited(self, call, *given):
        limit(20)
        try:
            return call(*given[:-1], 64)
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (-1, -1))

KERNELS, kernels.KERNELS = kernels.KERNELS, Greedy()
try:
    learner.update(rollout)
finally:
    same = [name for name, x in learner.tensors().items() if torch.equal(x, before[name])]
    print("unchanged" if len(same) == len(before) else "changed")
"""
TILES = """
from socialgrid.algos import A3C
from socialgrid.models import ModelConfig, ViewSpec
MODEL = ModelConfig(channels=(8192,), kernel=2, features=(4,), memory=4, heads=())
gen = torch.Generator().manual_seed(0)
views = torch.randint(256, (3, 32, 1, 4, 4, 3), generator=gen, dtype=torch.uint8)

def acted(learner, number):
    state, begins = learner.initial_state(32), torch.ones((32, 1), dtype=torch.bool)
    return learner.act(views[number], state, begins).state

one, other = (A3C(ViewSpec(4, 4, 1, (3,)), MODEL, seed=1) for _ in range(2))
for learner in (one, other):
    acted(learner, 0)  # 512 tiles are known then
limit(8)
try:
    acted(one, 1)
except MemoryError as error:
    failure = error
resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
same = [torch.equal(acted(one, number), acted(other, number)) for number in (1, 2, 0)]
print("as ever" if all(same) else "otherwise")
raise failure
"""


def run(program, *arguments):
    command = [sys.executable, "-c", BEGIN + program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1, done
    return done.stdout, done.stderr.splitlines()[-1]


def test_a_table_of_tiles_that_cannot_grow_is_used_on():
    said, error = run(TILES)
    assert said == "as ever\n"
    assert error.startswith("MemoryError: there is not enough memory for what is computed")


def test_layers_whose_threads_cannot_be_started():
    _, error = run(LAYERS)
    assert error.startswith("RuntimeError: only ")
    assert "of 64 threads could be started" in error


def test_agents_whose_threads_cannot_be_started_take_no_step():
    said, error = run(STEPS, 40, 8, 60)
    assert said == "unchanged\n"
    assert error.startswith("RuntimeError: only ")
    assert "of 40 threads could be started" in error


def test_agents_whose_threads_find_no_memory_take_no_step():
    # Two threads fit, what they would work at does not.
    said, error = run(STEPS, 2, 8192, 60)
    assert said == "unchanged\n"
    assert error.startswith("MemoryError: there is not enough memory for what is computed")


@pytest.mark.parametrize("kind", ["a3c", "ppo"])
def test_shards_whose_threads_cannot_be_started_teach_nothing(kind):
    said, error = run(SHARDS, kind)
    assert said == "unchanged\n"
    assert error.startswith("RuntimeError: only ")
    assert "threads could be started" in error
