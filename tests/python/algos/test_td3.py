"""TD3 computes what its paper says, for every agent of a stack, and learns."""

import pytest
import torch
from tests.python.algos.off_policy_tasks import (
    Steering,
    anything,
    batch_of,
    check_alone,
    check_out_of_play,
    check_same,
    noise_of,
    of_agent,
    plain,
    remember,
    score,
    train,
)
from torch import nn

from socialgrid.algos import TD3, TD3Config
from socialgrid.models import TaskSpec

SMALL = {"hidden": (16, 8), "batch_size": 12, "buffer_size": 64, "learning_starts": 0}


def task_of(agents):
    return TaskSpec(agents, (5,), action_low=(-2.0, 0.0), action_high=(2.0, 1.0))


def small(agents=1, ids=None, **options):
    return TD3(task_of(agents), TD3Config(**{**SMALL, **options}), seed=3, agent_ids=ids)


def heads_of(tensors, name, agent):
    return nn.ModuleList(plain(tensors, f"{name}/heads.{k}", agent) for k in range(2))


class PlainTD3(nn.Module):
    """One agent's networks, trained with loops over samples."""

    def __init__(self, learner, agent):
        super().__init__()
        self.config = learner.config
        tensors = learner.tensors()
        self.actor = plain(tensors, "actor/body", agent)
        self.actor_target = plain(tensors, "actor-target/body", agent)
        self.critics = heads_of(tensors, "critic", agent)
        self.critic_targets = heads_of(tensors, "critic-target", agent)
        rate = self.config.learning_rate
        self.actor_adam = torch.optim.Adam(self.actor.parameters(), rate)
        self.critic_adam = torch.optim.Adam(self.critics.parameters(), rate)

    def step(self, part, noise, with_actor):
        config, loss = self.config, 0.0
        for b in range(len(part["reward"])):
            with torch.no_grad():
                shift = (config.target_noise * noise[b]).clamp(
                    -config.target_noise_clip, config.target_noise_clip
                )
                following = part["next_obs"][b]
                action = (self.actor_target(following).tanh() + shift).clamp(-1, 1)
                seen = torch.cat((following, action))
                best = min(critic(seen)[0] for critic in self.critic_targets)
                goal = part["reward"][b]
                if not part["terminated"][b]:
                    goal = goal + config.gamma * best
            seen = torch.cat((part["obs"][b], part["action"][b]))
            loss = loss + sum((goal - critic(seen)[0]) ** 2 for critic in self.critics)
        loss = loss / len(part["reward"])
        self.critic_adam.zero_grad()
        loss.backward()
        self.critic_adam.step()
        if with_actor:
            actions = self.actor(part["obs"]).tanh()
            gain = self.critics[0](torch.cat((part["obs"], actions), 1)).mean()
            self.actor_adam.zero_grad()
            (-gain).backward()
            self.actor_adam.step()
            self.follow(self.actor_target, self.actor)
            self.follow(self.critic_targets, self.critics)
        return loss.item()

    @torch.no_grad()
    def follow(self, target, network):
        for p, q in zip(target.parameters(), network.parameters(), strict=True):
            p.lerp_(q, self.config.tau)


@pytest.mark.parametrize("agents", [1, 3])
def test_gradient_steps_are_those_of_plain_networks(agents):
    learner = small(agents, target_noise=0.4, tau=0.2, gamma=0.9)
    remember(learner, 30)
    twins = [PlainTD3(learner, a) for a in range(agents)]
    for update in range(1, 5):
        batch = batch_of(learner)
        noise = noise_of(learner, 12, 2)
        metrics = learner.update(1)
        learnt = learner.tensors()
        assert ("actor_loss" in metrics) == (update % 2 == 0)
        for a, twin in enumerate(twins):
            loss = twin.step(of_agent(batch, a), noise[a], with_actor=update % 2 == 0)
            assert metrics["critic_loss"][a] == pytest.approx(loss, rel=1e-3)
            check_same(learnt, "actor/body", a, twin.actor)
            check_same(learnt, "actor-target/body", a, twin.actor_target)
            for k in range(2):
                check_same(learnt, f"critic/heads.{k}", a, twin.critics[k])
                check_same(learnt, f"critic-target/heads.{k}", a, twin.critic_targets[k])


def test_every_agent_of_a_stack_is_what_it_is_alone():
    check_alone(small, 3, updates=4)


def test_what_happens_out_of_play_is_nobodys_experience():
    options = {"learning_starts": 9, "train_interval": 4, "gradient_steps": 3, "target_interval": 2}
    check_out_of_play(lambda agents, ids: small(agents, ids, **options))


@pytest.mark.parametrize(("ends", "value"), [("terminated", 1.0), ("truncated", 2.0)])
def test_truncation_bootstraps_and_termination_does_not(ends, value):
    learner = small(2, gamma=0.5, learning_rate=5e-3, tau=0.2)
    end = {name: torch.full((2, 1), name == ends) for name in ("terminated", "truncated")}
    obs = torch.ones(2, 1, 5)
    for _ in range(64):
        learner.store(obs, anything(learner), torch.ones(2, 1), obs, **end)
    learner.update(300)
    torch.testing.assert_close(learner.values(obs), torch.full((2, 1), value), rtol=0.05, atol=0.0)


def test_learns_to_steer(learning_seed):
    task = Steering(2, 2, learning_seed)
    config = TD3Config(
        hidden=(32, 32), batch_size=64, gamma=0.9, learning_rate=3e-3, exploration_noise=0.3
    )
    learner = TD3(task.task, config, num_envs=2, seed=learning_seed)
    train(learner, task, 300)
    assert score(learner, Steering(2, 16, 99), 40).min() > -0.15, "doing nothing: -1"


def test_exploration_noise_and_bounds():
    learner = small(2, exploration_noise=0.1)
    obs = torch.zeros(2, 5000, 5)
    calm, noisy = learner.propose(obs, explore=False), learner.propose(obs)
    assert (noisy[..., 0].abs() <= 2).all()
    assert ((noisy[..., 1] >= 0) & (noisy[..., 1] <= 1)).all()
    deviation = (noisy - calm).std(1)
    torch.testing.assert_close(deviation, torch.tensor([[0.2, 0.05]] * 2), rtol=0.1, atol=0.0)
    spread = small(2, learning_starts=1).propose(obs)
    torch.testing.assert_close(
        spread.std(1), torch.tensor([[4, 1]] * 2) / 12**0.5, rtol=0.1, atol=0
    )


def test_critics_value_whatever_is_proposed():
    learner = small(2)
    obs, u = torch.randn(2, 7, 5), torch.rand(2, 7, 4, 2)
    found = learner.q_values(obs, learner.task.unscaled(2 * u - 1))
    for a in range(2):
        critics = heads_of(learner.tensors(), "critic", a)
        for m in range(7):
            for k in range(4):
                seen = torch.cat((obs[a, m], 2 * u[a, m, k] - 1))
                expected = min(critic(seen).item() for critic in critics)
                assert found[a, m, k] == pytest.approx(expected, abs=1e-5)


def test_saved_and_loaded_it_goes_on_bit_for_bit():
    first, second = small(2), small(2)
    remember(first, 20)
    first.update(3)
    second.load_tensors(first.tensors())
    second.load_meta(first.meta())
    second.load_memory(first.memory())
    for learner in (first, second):
        remember(learner, 4, seed=7)
        learner.update(3)
    theirs = second.tensors()
    for name, x in first.tensors().items():
        assert torch.equal(x, theirs[name]), name


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="policy_delay"):
        TD3Config(policy_delay=0)
    with pytest.raises(ValueError, match="target_noise"):
        TD3Config(target_noise=-1.0)
    with pytest.raises(ValueError, match="continuous actions"):
        TD3(TaskSpec(1, (2,), num_actions=2))
