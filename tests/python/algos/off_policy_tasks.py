"""Tiny tasks for off-policy learners, and plain networks to compare theirs with."""

import math

import pytest
import torch
from torch import nn

from socialgrid.data import Transitions
from socialgrid.models import TaskSpec


class Chain:
    """Six places in a row; walking right from the last is worth 1 and ends the episode.

    Walking costs nothing, a time limit of 30 steps cuts the episode. Start: anywhere.
    """

    def __init__(self, num_agents, num_envs=1, seed=0):
        self.lead, self.length = (num_agents, num_envs), 6
        self.generator = torch.Generator().manual_seed(seed)
        self.task = TaskSpec(num_agents, (6,), num_actions=2)
        self.place, self.time = self.start(), torch.zeros(self.lead, dtype=torch.int64)

    def start(self):
        return torch.randint(self.length, self.lead, generator=self.generator)

    def obs(self):
        return nn.functional.one_hot(self.place, self.length).float()

    def step(self, action):
        self.time += 1
        beyond = self.place + 2 * action - 1
        terminated = beyond == self.length
        self.place = beyond.clamp(0, self.length - 1)
        return self.finish(terminated.float(), terminated)

    def finish(self, reward, terminated):
        truncated = (self.time == 30) & ~terminated
        final, over = self.obs(), terminated | truncated
        self.place = torch.where(over, self.start(), self.place)
        self.time[over] = 0
        return reward, final, terminated, truncated


class Steering:
    """A point on a line from -2 to 2, pushed by up to 1 (in units from -3 to 1); it should be at 0.

    The reward of a step is minus the distance after it. Time limit 10, no termination.
    """

    def __init__(self, num_agents, num_envs=1, seed=0):
        self.lead = (num_agents, num_envs)
        self.generator = torch.Generator().manual_seed(seed)
        self.task = TaskSpec(num_agents, (1,), action_low=(-3.0,), action_high=(1.0,))
        self.place, self.time = self.start(), torch.zeros(self.lead, dtype=torch.int64)

    def start(self):
        return torch.rand(self.lead, generator=self.generator) * 4 - 2

    def obs(self):
        return self.place[..., None].clone()

    def step(self, action):
        self.time += 1
        assert (action >= -3).all()
        assert (action <= 1).all()
        self.place = (self.place + (action[..., 0] + 1) / 2).clamp(-2, 2)
        reward, over = -self.place.abs(), self.time == 10
        final = self.obs()
        self.place = torch.where(over, self.start(), self.place)
        self.time[over] = 0
        return reward, final, over & False, over


def train(learner, task, steps):
    """Act, remember and learn for so many steps."""
    for _ in range(steps):
        obs = task.obs()
        action = learner.act(obs)
        reward, final, terminated, truncated = task.step(action)
        learner.store(obs, action, reward, final, terminated, truncated)
        if learner.due:
            learner.update()


def score(learner, task, steps):
    """Mean reward of each agent without exploration."""
    total = torch.zeros(task.lead[0])
    for _ in range(steps):
        reward, *_ = task.step(learner.propose(task.obs(), explore=False))
        total += reward.mean(1)
    return total / steps


def seen(task, lead, gen):
    """Random vectors, or random views of eight tiles."""
    view = task.view
    if view is None:
        return torch.randn((*lead, *task.obs_shape), generator=gen)
    numbers = torch.randint(8, (*lead, view.rows, view.cols), generator=gen)
    if view.atlas is not None:
        return numbers.to(torch.uint8 if task.obs_dtype == "uint8" else torch.int16)
    t, own = view.tile_size, torch.Generator().manual_seed(9)
    tiles = torch.randint(256, (8, t, t, 3), generator=own, dtype=torch.uint8)
    return tiles[numbers].transpose(-4, -3).reshape(*lead, *task.obs_shape)


def remember(learner, steps, seed=0):
    """Store random experience, some of it at the ends of episodes."""
    gen, task = torch.Generator().manual_seed(seed), learner.task
    lead = (learner.num_agents, learner.num_envs)
    for _ in range(steps):
        obs, following = (seen(task, lead, gen) for _ in range(2))
        u = torch.rand((*lead, *task.action_shape), generator=gen)
        numbers = (u * task.num_actions).long()
        action = task.unscaled(2 * u - 1) if task.continuous else numbers
        reward = torch.randn(lead, generator=gen)
        end = torch.rand(lead, generator=gen)
        learner.store(obs, action, reward, following, end < 0.2, (end > 0.2) & (end < 0.4))


def lives(learner, worlds=12, length=6, seed=0):
    """Worlds of ``length`` steps, one after the other, in which each agent and copy plays for a
    while of its own: yields the arguments of ``store``.
    """
    gen, task = torch.Generator().manual_seed(seed), learner.task
    lead = (learner.num_agents, learner.num_envs)
    for _ in range(worlds):
        first = torch.randint(3, lead, generator=gen)
        last = first + torch.randint(length, lead, generator=gen)
        for t in range(length):
            obs, following = torch.randn((2, *lead, *task.obs_shape), generator=gen)
            u = torch.rand((*lead, *task.action_shape), generator=gen)
            numbers = (u * task.num_actions).long()
            action = task.unscaled(2 * u - 1) if task.continuous else numbers
            reward = torch.randn(lead, generator=gen)
            in_play = (first <= t) & (t <= last)
            truncated = in_play & (last >= length) & torch.tensor(t == length - 1)
            yield obs, action, reward, following, in_play & (t == last), truncated, in_play


def check_out_of_play(make, num_agents=3):
    """What happens out of play changes nothing: every agent of a stack becomes what it becomes
    alone from the steps in which it was in play, though those of others come in between.
    """
    stack = make(num_agents, list(range(num_agents)))
    assert stack.num_envs == 1
    played = list(lives(stack))
    stepped = 0
    for given in played:
        stack.store(*given)
        if stack.due:
            due = stack.due_agents
            stepped += not all(due)
            metrics = stack.update()
            for x in metrics.values():
                assert not x[~torch.tensor(due)].isfinite().any()
    assert stepped > 3, "some updates were not everybody's"
    together, memory = stack.tensors(), stack.memory()
    for a in range(num_agents):
        alone = make(1, [a])
        for given in played:
            *step, in_play = (x[a : a + 1] for x in given)
            if bool(in_play):
                alone.store(*step)
                if alone.due:
                    alone.update()
        count = sum(int(given[-1][a]) for given in played)
        assert alone.agent_steps == [count] == [stack.agent_steps[a]]
        assert alone.agent_updates == [stack.agent_updates[a]] != [0]
        if hasattr(stack, "epsilon"):
            assert stack.epsilon[a] == alone.epsilon[0]
            assert stack.epsilon[a].item() == pytest.approx(stack.config.epsilon(count))
        for name, x in alone.tensors().items():
            if name not in ("memory", "reset"):  # of the episode that goes on
                torch.testing.assert_close(together[name][a], x[0], rtol=1e-4, atol=1e-5, msg=name)
        for name, x in alone.memory().items():
            stored = memory[name][a]
            stored = stored[: len(x[0])] if x[0].dim() else stored
            torch.testing.assert_close(stored, x[0], rtol=1e-4, atol=1e-5, msg=name)


# What random numbers are drawn for; saved runs go on by these numbers.
BATCH, UPDATE_NOISE = 4, 5


def words_of(learner, size=None):
    """What the learner's next gradient step will draw its batch by."""
    size = learner.config.batch_size if size is None else size
    return learner.draws.words(learner.agent_updates, range(1), kind=BATCH, places=size)[:, 0]


def batch_of(learner, beta=None):
    """The transitions that the learner's next gradient step will draw."""
    if beta is None:
        return learner.replay.sample(words_of(learner))
    return learner.replay.sample_by_priority(words_of(learner), beta)


def noise_of(learner, *shape):
    """Standard normal numbers ``[A, *shape]`` that its next gradient step will draw."""
    steps = [count + 1 for count in learner.agent_updates]
    drawn = learner.draws.normal(steps, range(1), kind=UPDATE_NOISE, places=math.prod(shape))
    return drawn.reshape(-1, *shape)


def priority_beta(config, steps):
    """The exponent of importance weights after so many steps."""
    share = min(1.0, steps / config.priority_beta_steps)
    return config.priority_beta + (1.0 - config.priority_beta) * share


def perturbed(learner, name):
    """Change a network's weights a little, at random."""
    gen, tensors = torch.Generator().manual_seed(5), learner.tensors()
    own = [k for k in tensors if k.startswith(f"model/{name}/")]
    assert own
    for k in own:
        tensors[k] += 0.1 * torch.randn(tensors[k].shape, generator=gen)
    learner.load_tensors(tensors)


def anything(learner):
    """Random actions of all agents, in the task's units."""
    task, lead = learner.task, (learner.num_agents, learner.num_envs)
    if task.continuous:
        return task.unscaled(2 * torch.rand((*lead, *task.action_shape)) - 1)
    return torch.randint(task.num_actions, lead)


def of_agent(batch: Transitions, agent: int):
    """One agent's transitions, without the agent axis, by name."""
    return {name: x[agent] for name, x in batch.tensors().items()}


def plain_layer(tensors, name, agent):
    """One agent's layer as PyTorch's own, by its name in a learner's tensors."""
    weight, bias = (tensors[f"model/{name}.{part}"][agent] for part in ("weight", "bias"))
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.load_state_dict({"weight": weight, "bias": bias})
    return layer


def layers_of(tensors, name):
    """Names of a perceptron's layers, its own within a network after a dot or a slash."""
    wanted = (f"model/{name}.layers.", f"model/{name}/layers.")
    names = [k for k in tensors if k.startswith(wanted) and k.endswith(".weight")]
    return [k.removeprefix("model/").removesuffix(".weight") for k in names]


def plain(tensors, name, agent, *, open_ended=True):
    """One agent's perceptron as PyTorch's own layers; nothing is shared.

    Rectified after every layer, but for the last one where it is ``open_ended``.
    """
    layers = []
    for layer in layers_of(tensors, name):
        layers += [plain_layer(tensors, layer, agent), nn.ReLU()]
    return nn.Sequential(*layers[:-1] if open_ended else layers)


def check_same(tensors, name, agent, network, rtol=1e-4, atol=2e-6):
    """One agent's layers, by their name in a learner's tensors, equal a plain network."""
    layers = [network] if isinstance(network, nn.Linear) else list(network)
    layers = [layer for layer in layers if isinstance(layer, nn.Linear)]
    names = layers_of(tensors, name) or [name]
    for ours, theirs in zip(names, layers, strict=True):
        for part, q in theirs.named_parameters():
            p = tensors[f"model/{ours}.{part}"][agent]
            torch.testing.assert_close(p, q.detach(), rtol=rtol, atol=atol)


def check_alone(make, num_agents, updates, steps=40):
    """A stack does for every agent what the agent does alone."""
    stack = make(num_agents, list(range(num_agents)))
    remember(stack, steps)
    begun, memory = stack.tensors(), stack.memory()
    stack.update(updates)
    together = stack.tensors()
    for a in range(num_agents):
        alone = make(1, [a])
        weights = {k: x for k, x in alone.tensors().items() if k.startswith("model/")}
        for name, x in weights.items():
            assert torch.equal(x[0], begun[name][a]), name
        alone.load_tensors({name: x[a : a + 1] for name, x in begun.items()})
        alone.load_memory({name: x[a : a + 1] for name, x in memory.items()})
        alone.agent_steps = [stack.agent_steps[a]]
        alone.update(updates)
        for name, x in alone.tensors().items():
            # On most machines bit for bit; some multiply a batch of matrices in another order.
            torch.testing.assert_close(together[name][a], x[0], rtol=1e-4, atol=1e-5, msg=name)
