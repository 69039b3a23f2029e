"""DQN computes what its papers say, for every agent of a stack, and learns."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from tests.python.algos.off_policy_tasks import (
    Chain,
    batch_of,
    check_alone,
    check_out_of_play,
    check_same,
    of_agent,
    perturbed,
    plain,
    priority_beta,
    remember,
    score,
    train,
)

from socialgrid.algos import DQN, DQNConfig, OffPolicyConfig
from socialgrid.models import ModelConfig, NonFiniteError, TaskSpec, ViewSpec

SMALL = {"hidden": (16, 8), "batch_size": 12, "buffer_size": 64, "learning_starts": 0}


def small(agents=1, ids=None, task=None, **options):
    task = task or TaskSpec(agents, (5,), num_actions=3)
    return DQN(task, DQNConfig(**{**SMALL, **options}), seed=3, agent_ids=ids)


def plain_loss(network, target, part, config):
    """Loss of one agent, a sample at a time."""
    losses, errors = [], []
    for b in range(len(part["reward"])):
        value = network(part["obs"][b])[part["action"][b]]
        with torch.no_grad():
            following = target(part["next_obs"][b])
            judge = network(part["next_obs"][b]) if config.double else following
            goal = part["reward"][b]
            if not part["terminated"][b]:
                goal = goal + config.gamma * following[judge.argmax()]
        error = goal - value
        size = error.abs()
        huber = 0.5 * error**2 if size < 1 else size - 0.5
        losses.append(huber * part["weight"][b] if "weight" in part else huber)
        errors.append(error.item())
    return torch.stack(losses).mean(), errors


@pytest.mark.parametrize("agents", [1, 3])
@pytest.mark.parametrize("double", [True, False])
@pytest.mark.parametrize("prioritised", [True, False])
def test_gradient_steps_are_those_of_plain_networks(agents, double, prioritised):
    options = {"max_grad_norm": 0.5, "tau": 0.3, "gamma": 0.9, "priority_beta_steps": 50}
    learner = small(agents, double=double, prioritised=prioritised, **options)
    config = learner.config
    remember(learner, 30)
    perturbed(learner, "q-target")
    begun = learner.tensors()
    networks = [plain(begun, "q/heads.0", a) for a in range(agents)]
    targets = [plain(begun, "q-target/heads.0", a) for a in range(agents)]
    optimisers = [torch.optim.Adam(n.parameters(), config.learning_rate) for n in networks]
    for _ in range(3):
        beta = priority_beta(config, 30) if prioritised else None
        batch = batch_of(learner, beta)
        metrics = learner.update(1)
        learnt = learner.tensors()
        for a in range(agents):
            loss, errors = plain_loss(networks[a], targets[a], of_agent(batch, a), config)
            assert metrics["loss"][a] == pytest.approx(loss.item(), rel=1e-4)
            optimisers[a].zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(networks[a].parameters(), 0.5)
            optimisers[a].step()
            check_same(learnt, "q/heads.0", a, networks[a])
            with torch.no_grad():
                pairs = zip(targets[a].parameters(), networks[a].parameters(), strict=True)
                for p, q in pairs:
                    p.lerp_(q, 0.3)
            check_same(learnt, "q-target/heads.0", a, targets[a])
            if prioritised:
                expected = (torch.tensor(errors).double().abs() + 1e-6) ** 0.6
                kept = learner.replay.priority(batch.index)[a]
                torch.testing.assert_close(kept, expected, rtol=1e-4, atol=1e-5)


def test_what_one_agent_learns_does_not_depend_on_what_the_others_saw():
    first, second = small(3), small(3)
    remember(first, 30)
    memory = first.memory()
    memory["reward"][[0, 2]] += 1.0
    remember(second, 30)
    second.load_memory(memory)
    metrics = [learner.update(2)["loss"] for learner in (first, second)]
    assert metrics[0][1] == metrics[1][1]
    other = second.tensors()
    for name, x in first.tensors().items():
        assert torch.equal(x[1], other[name][1]), name
        if name.startswith("model/"):
            assert not torch.equal(x[0], other[name][0]), name
            assert not torch.equal(x[2], other[name][2]), name


@pytest.mark.parametrize("prioritised", [True, False])
def test_every_agent_of_a_stack_is_what_it_is_alone(prioritised):
    def make(agents, ids):
        return small(agents, ids, prioritised=prioritised)

    check_alone(make, 3, updates=4)


@pytest.mark.parametrize("prioritised", [True, False])
def test_what_happens_out_of_play_is_nobodys_experience(prioritised):
    options = {
        "learning_starts": 9,
        "train_interval": 4,
        "gradient_steps": 3,
        "prioritised": prioritised,
    }
    check_out_of_play(lambda agents, ids: small(agents, ids, **options))


def test_targets_can_be_copied_now_and_then():
    learner = small(2, tau=1.0, target_interval=3)
    remember(learner, 30)
    before = learner.tensors()
    learner.update(2)
    after = learner.tensors()
    moved = [k for k in before if k.startswith("model/") and not torch.equal(before[k], after[k])]
    assert moved
    assert not any(name.startswith("model/q-target/") for name in moved)
    learner.update(1)
    after = learner.tensors()
    for name, x in after.items():
        if name.startswith("model/q/"):
            assert torch.equal(x, after[name.replace("/q/", "/q-target/", 1)]), name


@pytest.mark.parametrize(("ends", "value"), [("terminated", 1.0), ("truncated", 2.0)])
def test_truncation_bootstraps_and_termination_does_not(ends, value):
    # Reward 1 a step, one step an episode, half of the value of what follows: 1 or 1 + 1/2 + ...
    task = TaskSpec(2, (1,), num_actions=1)
    learner = small(2, task=task, gamma=0.5, learning_rate=5e-3, tau=0.2)
    end = {name: torch.full((2, 1), name == ends) for name in ("terminated", "truncated")}
    for _ in range(16):
        one = torch.ones(2, 1)
        learner.store(one[..., None], torch.zeros(2, 1).long(), one, one[..., None], **end)
    learner.update(300)
    torch.testing.assert_close(
        learner.values(torch.ones(2, 1, 1)), torch.full((2, 1), value), rtol=0.05, atol=0.0
    )


@pytest.mark.parametrize("prioritised", [True, False])
def test_learns_to_walk_a_chain(learning_seed, prioritised):
    task = Chain(3, 2, learning_seed)
    config = DQNConfig(
        hidden=(32,),
        batch_size=32,
        gamma=0.9,
        buffer_size=2000,
        learning_rate=3e-3,
        epsilon_steps=500,
        train_interval=2,
        gradient_steps=1,
        prioritised=prioritised,
    )
    learner = DQN(task.task, config, num_envs=2, seed=learning_seed)
    train(learner, task, 800)
    # At best 3.5 steps an episode on average; walking at random takes twenty.
    assert score(learner, Chain(3, 8, 99), 70).min() > 0.24
    states = torch.eye(6).expand(3, 6, 6)
    expected = torch.tensor([0.9 ** (5 - place) for place in range(6)])
    torch.testing.assert_close(learner.values(states), expected.expand(3, 6), rtol=0.1, atol=0.1)


def test_learns_from_pixels():
    # Views of one colour: press the button of that colour.
    view = ViewSpec(2, 2, 1, (3,))
    task = TaskSpec.of_view(view, 2)
    config = DQNConfig(
        hidden=(16,), batch_size=32, buffer_size=1024, learning_rate=5e-3, epsilon_steps=1
    )
    model = ModelConfig(channels=(8,), features=(16,))
    learner = DQN(task, config, model=model, num_envs=4)
    assert learner.memory()["obs"].dtype == torch.uint8
    gen = torch.Generator().manual_seed(0)

    def look():
        cue = torch.randint(3, (2, 4), generator=gen)
        colour = F.one_hot(cue, 3).to(torch.uint8) * 255
        return cue, colour[:, :, None, None].expand(-1, -1, 2, 2, -1)

    yes = torch.ones(2, 4, dtype=torch.bool)
    for _ in range(120):
        cue, obs = look()
        action = learner.act(obs)
        learner.store(obs, action, (action == cue).float(), obs, yes, ~yes)
        if learner.due:
            learner.update()
    cue, obs = look()
    assert torch.equal(learner.propose(obs, explore=False), cue)


def test_exploration_is_as_frequent_as_scheduled():
    config = DQNConfig(hidden=(8,), learning_starts=0, epsilon_start=0.8, epsilon_steps=10)
    learner = DQN(TaskSpec(2, (1,), num_actions=4), config)
    assert config.epsilon(0) == 0.8
    assert config.epsilon(5) == pytest.approx(0.425)
    assert config.epsilon(50) == 0.05
    obs = torch.zeros(2, 4000, 1)
    greedy = learner.propose(obs, explore=False)
    share = (learner.propose(obs) != greedy).float().mean(1)
    assert (share - 0.8 * 0.75).abs().max() < 0.04
    assert not torch.equal(*(learner.propose(obs) - greedy))


def test_actions_are_random_before_learning_starts():
    learner = DQN(TaskSpec(1, (1,), num_actions=4), DQNConfig(hidden=(8,), epsilon_start=0.0))
    counts = torch.bincount(learner.propose(torch.zeros(1, 4000, 1))[0], minlength=4)
    assert (counts - 1000).abs().max() < 150
    assert not learner.due


@pytest.mark.parametrize("starts", [0, 100])
def test_who_does_not_learn_explores_nothing(starts):
    task = TaskSpec(2, (3,), num_actions=5)
    learner = DQN(task, DQNConfig(hidden=(8,), learning_starts=starts, epsilon_start=1.0))
    learner.set_learning([True, False])
    obs = torch.rand(2, 40, 3, generator=torch.Generator().manual_seed(0))
    greedy = learner.propose(obs, explore=False)
    exploring = learner.propose(obs)
    assert torch.equal(exploring[1], greedy[1])
    assert len(exploring[0].unique()) == 5


def test_critics_value_whatever_is_proposed():
    learner = small(2)
    obs = torch.randn(2, 7, 5)
    actions = torch.randint(3, (2, 7, 4))
    found = learner.q_values(obs, actions)
    for a in range(2):
        q = plain(learner.tensors(), "q/heads.0", a)(obs[a])
        torch.testing.assert_close(found[a], q.gather(1, actions[a]))
    torch.testing.assert_close(learner.values(obs), found.new_tensor(best(learner, obs)))


def best(learner, obs):
    tensors = learner.tensors()
    return [plain(tensors, "q/heads.0", a)(obs[a]).max(1).values.tolist() for a in range(len(obs))]


def test_saved_and_loaded_it_goes_on_bit_for_bit():
    first = small(2, prioritised=True)
    remember(first, 20)
    first.update(3)
    second = small(2, prioritised=True)
    second.load_tensors(first.tensors())
    second.load_meta(first.meta())
    second.load_memory(first.memory())
    for learner in (first, second):
        remember(learner, 4, seed=7)
        learner.update(3)
    obs = torch.randn(2, 1, 5)
    assert torch.equal(first.act(obs), second.act(obs))
    theirs = second.tensors()
    for name, x in first.tensors().items():
        assert torch.equal(x, theirs[name]), name
        assert len(x) == 2
    assert first.meta() == second.meta()
    with pytest.raises(ValueError, match="missing"):
        second.load_tensors({})
    with pytest.raises(ValueError, match="expected"):
        second.load_tensors({k: x[:1] for k, x in theirs.items()})
    with pytest.raises(ValueError, match="algorithm"):
        second.load_meta({**first.meta(), "algorithm": "sac"})


def test_who_does_not_learn_keeps_every_bit():
    learner = small(3)
    remember(learner, 20)
    learner.update(1)
    learner.set_learning([True, False, True])
    before = learner.tensors()
    metrics = learner.update(3)
    after = learner.tensors()
    for name, x in before.items():
        if name.startswith(("model/", "optimiser/")) and not name.endswith("rate"):
            assert torch.equal(x[1], after[name][1]), name
            assert not torch.equal(x[0], after[name][0]), name
    assert metrics["loss"].isnan().tolist() == [False, True, False]
    with pytest.raises(ValueError, match="learning mask"):
        learner.set_learning([True])


def test_what_is_not_finite_stops_the_run(tmp_path):
    config = DQNConfig(**SMALL)
    learner = DQN(TaskSpec(2, (5,), num_actions=3), config, dump_dir=tmp_path)
    remember(learner, 20)
    obs, ends = torch.zeros(2, 1, 5), torch.zeros(2, 1, dtype=torch.bool)
    wrong = torch.tensor([[0.0], [math.inf]])
    with pytest.raises(NonFiniteError, match="reward in update 0, agent 1"):
        learner.store(obs, ends.long(), wrong, obs, ends, ends)
    with pytest.raises(NonFiniteError, match="observation"):
        learner.store(obs, ends.long(), ends.float(), obs + math.nan, ends, ends)
    assert learner.replay.size == 20
    memory = learner.memory()
    memory["reward"][1] = math.nan
    learner.load_memory(memory)
    before = copy.deepcopy(learner.tensors())
    with pytest.raises(NonFiniteError, match="q loss in update 1, agent 1") as caught:
        learner.update(1)
    for name, x in learner.tensors().items():
        assert torch.equal(x, before[name]), name
    from safetensors.torch import load_file

    assert load_file(caught.value.dump)["reward"].shape == (2, 12)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"gamma": 1.5}, "gamma"),
        ({"tau": 0.0}, "tau"),
        ({"batch_size": 0}, "batch_size"),
        ({"learning_starts": -1}, "learning_starts"),
        ({"hidden": ()}, "hidden"),
        ({"max_grad_norm": 0.0}, "max_grad_norm"),
        ({"learning_rate": ()}, "learning_rate"),
        ({"epsilon_end": 2.0}, "epsilon_end"),
        ({"epsilon_steps": 0}, "epsilon_steps"),
    ],
)
def test_impossible_settings_are_refused(options, match):
    with pytest.raises(ValueError, match=match):
        DQNConfig(**options)


def test_learners_refuse_what_does_not_fit():
    steering = TaskSpec(1, (2,), action_low=(-1.0,), action_high=(1.0,))
    with pytest.raises(ValueError, match="discrete actions"):
        DQN(steering)
    with pytest.raises(ValueError, match="agent_ids"):
        small(2, ids=[0])
    with pytest.raises(ValueError, match="num_envs"):
        DQN(TaskSpec(1, (2,), num_actions=2), num_envs=0)
    with pytest.raises(ValueError, match="learning rates"):
        small(3, learning_rate=(1e-3, 1e-3))
    with pytest.raises(ValueError, match="2 agents"):
        small(2).act(torch.zeros(2, 3, 5))
    assert OffPolicyConfig().batch_size == 256


def test_task_specs_of_gymnasium_spaces():
    import numpy as np
    from gymnasium.spaces import Box, Dict, Discrete

    box = Box(-1.0, 2.0, (3,), np.float32)
    discrete = TaskSpec.of_spaces(box, Discrete(4), 2)
    assert (discrete.num_actions, discrete.action_shape, discrete.continuous) == (4, (), False)
    steered = TaskSpec.of_spaces(Box(-1.0, 1.0, (5,), np.float64), box, 2)
    assert (steered.obs_shape, steered.kept_dtype) == ((5,), torch.float32)
    x = torch.tensor([[-1.0, 0.5, 2.0]])
    torch.testing.assert_close(steered.scaled(x), torch.tensor([[-1.0, 0.0, 1.0]]))
    torch.testing.assert_close(steered.unscaled(steered.scaled(x)), x)
    with pytest.raises(ValueError, match="observation space"):
        TaskSpec.of_spaces(Discrete(3), Discrete(3), 1)
    with pytest.raises(ValueError, match="action space"):
        TaskSpec.of_spaces(box, Discrete(3, start=1), 1)
    with pytest.raises(ValueError, match="finite"):
        TaskSpec.of_spaces(box, Box(-np.inf, 1.0, (1,), np.float32), 1)
    with pytest.raises(ValueError, match="either"):
        TaskSpec(1, (2,))
    with pytest.raises(ValueError, match="action space"):
        TaskSpec.of_spaces(box, Dict(), 1)
