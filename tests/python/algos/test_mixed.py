"""Learners of several algorithms on one stack's interface do what each does alone."""

import math

import numpy as np
import pytest
import torch

from socialgrid.algos import (
    DQN,
    SAC,
    TD3,
    DiscreteSAC,
    DQNConfig,
    MixedLearner,
    RecurrentDQN,
    RecurrentDQNConfig,
    SACConfig,
    TD3Config,
)
from socialgrid.models import ModelConfig, NonFiniteError, TaskSpec, ViewSpec

SMALL = {
    **{"hidden": (8,), "batch_size": 6, "buffer_size": 40, "learning_starts": 6},
    **{"train_interval": 4, "gradient_steps": 2, "prioritised": True},
}
GROUPS = {
    "continuous": [(SAC, SACConfig, [2, 0]), (TD3, TD3Config, [1])],
    "discrete": [(DQN, DQNConfig, [1]), (DiscreteSAC, SACConfig, [0, 3]), (DQN, DQNConfig, [2])],
    "recurrent": [(DQN, DQNConfig, [1]), (RecurrentDQN, RecurrentDQNConfig, [0, 2])],
}
ENVS = 2


def task_of(group, agents):
    if group == "continuous":
        return TaskSpec(agents, (3,), action_low=(-1.0, 0.0), action_high=(1.0, 2.0))
    return TaskSpec(agents, (3,), num_actions=4)


def parts_of(group, **options):
    found = []
    for k, (make, config, agents) in enumerate(GROUPS[group]):
        extra = {"burn_in": 1, "sequence_length": 3} if make is RecurrentDQN else {}
        learner = make(
            task_of(group, len(agents)),
            config(**{**SMALL, **extra, "train_interval": 4 + k, **options}),
            num_envs=ENVS,
            seed=k,
            agent_ids=agents,
            model=ModelConfig(memory=5),
        )
        found.append((learner, agents))
    return found


def experience(group, agents, steps, seed=0):
    """Steps of everybody; actions are left to the learners."""
    gen, task = torch.Generator().manual_seed(seed), task_of(group, agents)
    lead = (agents, ENVS)
    for _ in range(steps):
        obs = torch.randn((*lead, *task.obs_shape), generator=gen)
        following = torch.randn((*lead, *task.obs_shape), generator=gen)
        end = torch.rand(lead, generator=gen)
        reward = torch.randn(lead, generator=gen)
        yield obs, (reward, following, end < 0.1, (end > 0.1) & (end < 0.3))


def live(learner, group, steps, seed=0):
    """Act, store and update; everything that was answered."""
    answers = []
    for obs, led_to in experience(group, learner.num_agents, steps, seed):
        action = learner.act(obs)
        learner.store(obs, action, *led_to)
        numbers = learner.update() if learner.due else {}
        answers.append((action, learner.values(obs), learner.q_values(obs, action[:, :, None])))
        answers[-1] += (numbers,)
    return answers


def live_alone(learner, agents, everyone, group, steps):
    """What a part answers that sees only its agents' share of the experience."""
    answers = []
    for obs, led_to in experience(group, everyone, steps):
        own = obs[agents]
        action = learner.act(own)
        learner.store(own, action, *(x[agents] for x in led_to))
        numbers = learner.update() if learner.due else {}
        answers.append((action, learner.values(own), learner.q_values(own, action[:, :, None])))
        answers[-1] += (numbers,)
    return answers


@pytest.mark.parametrize("group", list(GROUPS))
def test_every_part_does_what_it_does_alone(group):
    mixed = MixedLearner(parts_of(group))
    together = live(mixed, group, 24)
    everything, memory = mixed.tensors(), mixed.memory()
    for k, (part, agents) in enumerate(parts_of(group)):
        alone = live_alone(part, agents, mixed.num_agents, group, 24)
        assert part.updates > 4
        for (*found, numbers), (*expected, own_numbers) in zip(together, alone, strict=True):
            for x, own in zip(found, expected, strict=True):
                assert torch.equal(x[agents], own)
            for name, x in own_numbers.items():
                assert torch.equal(numbers[name][agents], x)
            for name in numbers.keys() - own_numbers.keys():
                assert numbers[name][agents].isnan().all()
        for kept, own in ((everything, part.tensors()), (memory, part.memory())):
            mine = {n: x for n, x in kept.items() if n.startswith(f"part{k}/")}
            assert mine.keys() == {f"part{k}/{name}" for name in own}
            for name, x in own.items():
                assert torch.equal(mine[f"part{k}/{name}"], x), name
    assert mixed.steps == 24 * ENVS


@pytest.mark.parametrize("group", list(GROUPS))
def test_saved_and_loaded_it_goes_on_bit_for_bit(group):
    first, second = MixedLearner(parts_of(group)), MixedLearner(parts_of(group))
    live(first, group, 15)
    second.load_tensors(first.tensors())
    second.load_memory(first.memory())
    second.load_meta(first.meta())
    assert second.meta() == first.meta()
    answers = [live(learner, group, 12, seed=1) for learner in (first, second)]
    for one, other in zip(*answers, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(one[:3], other[:3], strict=True))
        assert one[3].keys() == other[3].keys()
    saved = second.tensors()
    for name, x in first.tensors().items():
        assert torch.equal(x, saved[name]), name


def test_who_does_not_learn_keeps_every_bit():
    mixed = MixedLearner(parts_of("discrete"))
    live(mixed, "discrete", 12)
    mixed.set_learning([True, True, False, False])
    before = mixed.tensors()
    numbers = mixed.update(2)
    after = mixed.tensors()
    changed = {n for n, x in before.items() if "/model/" in n and not torch.equal(x, after[n])}
    assert any(n.startswith("part0/") for n in changed)  # of agent 1
    assert not any(n.startswith("part2/") for n in changed)  # of agent 2
    for name in changed:
        if name.startswith("part1/"):  # of agents 0 and 3
            assert torch.equal(before[name][1], after[name][1])
    assert numbers["td_error"].isnan().tolist() == [False, False, True, True]


def test_learning_rates_find_their_agents():
    mixed = MixedLearner(parts_of("continuous"))
    mixed.set_learning_rate([0.1, 0.2, 0.3])
    found = mixed.tensors()
    assert found["part0/optimiser/actor/rate"].tolist() == [0.3, 0.1]
    assert found["part1/optimiser/actor/rate"].tolist() == [0.2]
    mixed.set_learning_rate(0.5)
    assert mixed.tensors()["part0/optimiser/critic/rate"].tolist() == [0.5, 0.5]
    with pytest.raises(ValueError, match="2 learning rates for 3 agents"):
        mixed.set_learning_rate([0.1, 0.2])


def test_policies_are_drawn_from_without_further_exploration():
    mixed = MixedLearner(parts_of("discrete"))
    assert mixed.samples
    obs = torch.randn(4, 200, 3, generator=torch.Generator().manual_seed(0))
    drawn, best = mixed.propose(obs, explore=None), mixed.propose(obs, explore=False)
    same = (drawn == best).all(1).tolist()
    assert same == [False, True, True, False], "soft actor-critics draw, Q-networks do not"
    assert not (mixed.propose(obs) == best).all(1).any()
    assert not MixedLearner(parts_of("recurrent")).samples


def test_whoever_asks_gets_noise_of_its_copy():
    mixed = MixedLearner(parts_of("continuous", learning_starts=0))
    obs = torch.randn(3, ENVS, 3, generator=torch.Generator().manual_seed(0))
    asked = mixed.propose(obs.repeat(1, 3, 1))
    assert torch.equal(asked[0, :ENVS], asked[0, ENVS : 2 * ENVS])
    with pytest.raises(ValueError, match="multiple of its 2 copies"):
        mixed.propose(obs[:, :1])


def test_evaluation_changes_nothing_that_learning_does():
    group = "recurrent"
    first, second = MixedLearner(parts_of(group)), MixedLearner(parts_of(group))
    live(first, group, 8)
    live(second, group, 8)
    actor, again = second.actor(), second.actor()
    gen = torch.Generator().manual_seed(5)
    begins = torch.ones(3, 7, dtype=torch.bool)
    episode = torch.randn(4, 3, 7, 3, generator=gen)
    actions = [actor(obs, begins if t == 0 else ~begins) for t, obs in enumerate(episode)]
    assert torch.equal(actor(episode[0], begins), actions[0]), "a new episode is begun anew"
    assert torch.equal(again(episode[0], begins), actions[0])
    for one, other in zip(live(first, group, 6), live(second, group, 6), strict=True):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])


def test_views_of_numbered_tiles_are_one_task():
    def part():
        view = ViewSpec(3, 3, 1, (2,), np.zeros((4, 1, 1, 3), np.uint8))
        model = ModelConfig(channels=(4,), features=(8,))
        return DQN(TaskSpec.of_view(view, 1, "uint16"), DQNConfig(**SMALL), model=model)

    assert MixedLearner([(part(), [0]), (part(), [1])]).task.view.atlas is not None


def test_errors_name_the_agent_among_all():
    mixed = MixedLearner(parts_of("discrete"))
    obs, (reward, *rest) = next(experience("discrete", 4, 1))
    reward[3, 1] = math.nan
    with pytest.raises(NonFiniteError, match="reward in update 0, agent 3") as caught:
        mixed.store(obs, torch.zeros(4, ENVS).long(), reward, *rest)
    assert caught.value.agent == 3


def test_nothing_is_loaded_if_any_part_cannot_be():
    first, second = MixedLearner(parts_of("continuous")), MixedLearner(parts_of("continuous"))
    live(first, "continuous", 8)
    before, wrong = second.tensors(), first.tensors()
    wrong["part1/model/actor/body.layers.0.bias"] = torch.zeros(1, 3)
    with pytest.raises(ValueError, match=r"part 1: .*bias.*expected"):
        second.load_tensors(wrong)
    for name, x in second.tensors().items():
        assert torch.equal(x, before[name]), name


def test_parts_that_do_not_fit_are_refused():
    (sac, owned), (td3, others) = parts_of("continuous")
    for parts, match in (
        ([], "no parts"),
        ([(sac, [0, 1]), (td3, [1])], "each once"),
        ([(sac, [0, 2])], "each once"),
        ([(sac, [0]), (td3, [1])], "part 0 of 2 agents"),
        ([(sac, owned), (parts_of("continuous", gamma=0.5)[1][0], others)], "gamma 0.5"),
        ([(sac, owned), (DQN(TaskSpec(1, (3,), num_actions=2)), others)], "task"),
        ([(sac, owned), (TD3(td3.task), others)], "num_envs 1, but part 0 has 2"),
    ):
        with pytest.raises(ValueError, match=match):
            MixedLearner(parts)
    mixed = MixedLearner([(sac, owned), (td3, others)])
    with pytest.raises(ValueError, match="2 agents"):
        mixed.propose(torch.zeros(2, ENVS, 3))
    with pytest.raises(ValueError, match="mask of 1"):
        mixed.set_learning([True])
    with pytest.raises(ValueError, match=r"part 0: .*missing"):
        mixed.load_tensors({})
    with pytest.raises(ValueError, match=r"part 0: .*missing"):
        mixed.load_memory({})
    with pytest.raises(ValueError, match="part2/x: its part"):
        mixed.load_tensors({"part2/x": torch.zeros(1)})
    with pytest.raises(ValueError, match="agents"):
        mixed.load_meta({**mixed.meta(), "agents": [[0], [1, 2]]})
    with pytest.raises(ValueError, match=r"part 1: .*algorithm"):
        mixed.load_meta({**mixed.meta(), "parts": [sac.meta(), sac.meta()]})


@pytest.mark.parametrize("explore", [True, None, False])
@pytest.mark.parametrize("begun", [True, False])
@pytest.mark.parametrize("group", ["continuous", "discrete"])
def test_what_is_answered_does_not_depend_on_what_else_is_asked(group, begun, explore):
    learner = MixedLearner(parts_of(group))
    live(learner, group, 10 if begun else 0)
    agents = learner.num_agents
    gen = torch.Generator().manual_seed(1)
    obs = torch.randn((agents, 6 * ENVS, 3), generator=gen)
    whole = learner.propose(obs, explore=explore)
    assert torch.equal(learner.propose(obs, explore=explore), whole), "nothing has happened since"
    for count in (1, 5):
        rows = torch.stack([torch.randperm(6 * ENVS, generator=gen)[:count] for _ in obs])
        each = torch.arange(agents)[:, None]
        some = learner.propose(obs[each, rows], explore=explore, rows=rows)
        assert torch.equal(some, whole[each, rows])
    part = learner.propose(obs[:, : 2 * ENVS], explore=explore)
    assert torch.equal(part, whole[:, : 2 * ENVS])


@pytest.mark.parametrize("group", ["continuous", "discrete"])
def test_chance_is_another_one_at_every_step(group):
    learner = MixedLearner(parts_of(group, learning_starts=100))
    answers = [action for action, *_ in live(learner, group, 20)]
    for agent in range(learner.num_agents):
        rows = torch.stack([action[agent] for action in answers]).flatten(1)
        assert len(rows.unique(dim=0)) >= 10
