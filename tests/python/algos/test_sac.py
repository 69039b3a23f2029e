"""SAC computes what its papers say, for every agent of a stack, and learns."""

import math

import pytest
import torch
from tests.python.algos.off_policy_tasks import (
    Chain,
    Steering,
    anything,
    batch_of,
    check_alone,
    check_out_of_play,
    check_same,
    noise_of,
    of_agent,
    plain,
    plain_layer,
    remember,
    score,
    train,
)
from torch import nn
from torch.distributions import Normal, TransformedDistribution
from torch.distributions.transforms import TanhTransform

from socialgrid.algos import SAC, DiscreteSAC, SACConfig
from socialgrid.models import ModelConfig, StateDependentPolicy, TaskSpec, squashed_log_prob

SMALL = {"hidden": (16, 8), "batch_size": 12, "buffer_size": 64, "learning_starts": 0}


def small(agents=1, ids=None, num_envs=1, **options):
    task = TaskSpec(agents, (5,), action_low=(-2.0, 0.0), action_high=(2.0, 1.0))
    config = SACConfig(**{**SMALL, **options})
    return SAC(task, config, seed=3, agent_ids=ids, num_envs=num_envs)


def discrete(agents=1, ids=None, **options):
    task = TaskSpec(agents, (5,), num_actions=3)
    return DiscreteSAC(task, SACConfig(**{**SMALL, **options}), seed=3, agent_ids=ids)


def heads_of(tensors, name, agent):
    return nn.ModuleList(plain(tensors, f"{name}/heads.{k}", agent) for k in range(2))


class PlainSAC(nn.Module):
    """One agent's networks, trained with loops over samples."""

    def __init__(self, learner, agent):
        super().__init__()
        self.config, self.learner = learner.config, learner
        self.gsde = self.config.state_dependent_noise
        tensors = learner.tensors()
        self.body = plain(tensors, "actor/body", agent, open_ended=False)
        self.mean = plain_layer(tensors, "actor/mean", agent)
        if self.gsde:
            self.log_std = nn.Parameter(tensors["model/actor/log_std"][agent].clone())
            spread = [self.log_std]
        else:
            self.log_std = plain_layer(tensors, "actor/log_std", agent)
            spread = list(self.log_std.parameters())
        self.critics = heads_of(tensors, "critic", agent)
        self.critic_targets = heads_of(tensors, "critic-target", agent)
        self.log_alpha = nn.Parameter(tensors["model/temperature/log"][agent, 0].clone())
        rate = self.config.learning_rate
        self.actor_adam = torch.optim.Adam(
            [*self.body.parameters(), *self.mean.parameters(), *spread], rate
        )
        self.critic_adam = torch.optim.Adam(self.critics.parameters(), rate)
        self.alpha_adam = torch.optim.Adam([self.log_alpha], rate)

    def act(self, obs, noise):
        latent = self.body(obs)
        mean = self.mean(latent)
        if self.gsde:
            mean = mean.clamp(-2, 2)
            sigma = self.log_std.exp()
            std = torch.stack(
                [
                    (sum((latent[k] * sigma[k, d]) ** 2 for k in range(len(latent))) + 1e-6).sqrt()
                    for d in range(2)
                ]
            )
            x = mean + latent @ (sigma * noise)
        else:
            std = self.log_std(latent).exp()
            x = mean + std * noise
        squashed = TransformedDistribution(Normal(mean, std), [TanhTransform(cache_size=1)])
        action = squashed.transforms[0](x)
        return action, squashed.log_prob(action).sum()

    def step(self, part, noise):
        config, count = self.config, len(part["reward"])

        def noise_of(which, b):
            return noise if self.gsde else noise[which, b]

        alpha = self.log_alpha.exp().detach()
        loss = 0.0
        for b in range(count):
            goal = part["reward"][b]
            with torch.no_grad():
                following = part["next_obs"][b]
                action, log_prob = self.act(following, noise_of(0, b))
                seen = torch.cat((following, action))
                best = min(critic(seen)[0] for critic in self.critic_targets)
                if not part["terminated"][b]:
                    goal = goal + config.gamma * (best - alpha * log_prob)
            seen = torch.cat((part["obs"][b], part["action"][b]))
            loss = loss + 0.5 * sum((goal - critic(seen)[0]) ** 2 for critic in self.critics)
        critic_loss = loss / count
        self.critic_adam.zero_grad()
        critic_loss.backward()
        self.critic_adam.step()
        loss, entropy = 0.0, 0.0
        for b in range(count):
            action, log_prob = self.act(part["obs"][b], noise_of(1, b))
            seen = torch.cat((part["obs"][b], action))
            loss = loss + alpha * log_prob - min(critic(seen)[0] for critic in self.critics)
            entropy -= log_prob.item() / count
        actor_loss = loss / count
        self.actor_adam.zero_grad()
        actor_loss.backward()
        self.actor_adam.step()
        self.alpha_adam.zero_grad()
        (self.log_alpha * (entropy - self.learner.target_entropy)).backward()
        self.alpha_adam.step()
        with torch.no_grad():
            pairs = zip(self.critic_targets.parameters(), self.critics.parameters(), strict=True)
            for p, q in pairs:
                p.lerp_(q, config.tau)
        return critic_loss.item(), actor_loss.item(), entropy, alpha.item()


@pytest.mark.parametrize("agents", [1, 3])
@pytest.mark.parametrize("gsde", [True, False])
def test_gradient_steps_are_those_of_plain_networks(agents, gsde):
    options = {"log_std_init": -0.5, "tau": 0.2, "gamma": 0.9, "initial_temperature": 0.3}
    learner = small(agents, state_dependent_noise=gsde, **options)
    remember(learner, 30)
    twins = [PlainSAC(learner, a) for a in range(agents)]
    for _ in range(3):
        batch = batch_of(learner)
        shape = (8, 2) if gsde else (2, 12, 2)
        noise = noise_of(learner, *shape)
        metrics = learner.update(1)
        learnt = learner.tensors()
        for a, twin in enumerate(twins):
            numbers = twin.step(of_agent(batch, a), noise[a])
            names = ("critic_loss", "actor_loss", "entropy", "temperature")
            for name, expected in zip(names, numbers, strict=True):
                assert metrics[name][a] == pytest.approx(expected, rel=1e-3, abs=1e-4), name
            check_same(learnt, "actor/body", a, twin.body)
            check_same(learnt, "actor/mean", a, twin.mean)
            if gsde:
                spread = learnt["model/actor/log_std"][a]
                torch.testing.assert_close(spread, twin.log_std.detach(), rtol=1e-4, atol=2e-6)
            else:
                check_same(learnt, "actor/log_std", a, twin.log_std)
            for k in range(2):
                check_same(learnt, f"critic/heads.{k}", a, twin.critics[k])
                check_same(learnt, f"critic-target/heads.{k}", a, twin.critic_targets[k])
            log = learnt["model/temperature/log"][a, 0]
            torch.testing.assert_close(log, twin.log_alpha.detach())


class PlainDiscreteSAC(nn.Module):
    """One agent's networks for discrete actions, trained with loops over samples."""

    def __init__(self, learner, agent):
        super().__init__()
        self.config = learner.config
        tensors = learner.tensors()
        self.actor = plain(tensors, "actor/body", agent)
        self.critics = heads_of(tensors, "critic", agent)
        self.targets = heads_of(tensors, "critic-target", agent)
        self.log_alpha = tensors["model/temperature/log"][agent, 0].clone().requires_grad_()
        rate = self.config.learning_rate
        self.adams = [
            torch.optim.Adam(self.critics.parameters(), rate),
            torch.optim.Adam(self.actor.parameters(), rate),
            torch.optim.Adam([self.log_alpha], rate),
        ]

    def descend(self, which, loss):
        self.adams[which].zero_grad()
        loss.backward()
        self.adams[which].step()

    def step(self, part):
        config, count, alpha = self.config, len(part["reward"]), self.log_alpha.exp().item()
        critic_loss = 0.0
        for b in range(count):
            goal = part["reward"][b]
            with torch.no_grad():
                following = part["next_obs"][b]
                p = self.actor(following).softmax(0)
                q = torch.minimum(*(target(following) for target in self.targets))
                if not part["terminated"][b]:
                    soft = sum(p[u] * (q[u] - alpha * p[u].log()) for u in range(3))
                    goal = goal + config.gamma * soft
            for critic in self.critics:
                taken = critic(part["obs"][b])[part["action"][b]]
                critic_loss = critic_loss + 0.5 * (goal - taken) ** 2 / count
        self.descend(0, critic_loss)
        actor_loss, entropy = 0.0, 0.0
        for b in range(count):
            p = self.actor(part["obs"][b]).softmax(0)
            q = torch.minimum(*(critic(part["obs"][b]) for critic in self.critics)).detach()
            actor_loss = (
                actor_loss + sum(p[u] * (alpha * p[u].log() - q[u]) for u in range(3)) / count
            )
            entropy -= sum((p[u] * p[u].log()).item() for u in range(3)) / count
        self.descend(1, actor_loss)
        self.descend(2, self.log_alpha * (entropy - 0.98 * math.log(3)))
        with torch.no_grad():
            for p, q in zip(self.targets.parameters(), self.critics.parameters(), strict=True):
                p.lerp_(q, config.tau)
        return critic_loss.item(), actor_loss.item(), entropy, alpha


@pytest.mark.parametrize("agents", [1, 3])
def test_discrete_gradient_steps_are_those_of_plain_networks(agents):
    learner = discrete(agents, tau=0.2, gamma=0.9, initial_temperature=0.3)
    remember(learner, 30)
    twins = [PlainDiscreteSAC(learner, a) for a in range(agents)]
    for _ in range(3):
        batch = batch_of(learner)
        metrics = learner.update(1)
        learnt = learner.tensors()
        for a, twin in enumerate(twins):
            numbers = twin.step(of_agent(batch, a))
            names = ("critic_loss", "actor_loss", "entropy", "temperature")
            for name, expected in zip(names, numbers, strict=True):
                assert metrics[name][a] == pytest.approx(expected, rel=1e-3, abs=1e-4), name
            check_same(learnt, "actor/body", a, twin.actor)
            for k in range(2):
                check_same(learnt, f"critic/heads.{k}", a, twin.critics[k])
                check_same(learnt, f"critic-target/heads.{k}", a, twin.targets[k])
            log = learnt["model/temperature/log"][a, 0]
            torch.testing.assert_close(log, twin.log_alpha.detach())


@pytest.mark.parametrize("make", [small, discrete])
def test_every_agent_of_a_stack_is_what_it_is_alone(make):
    check_alone(make, 3, updates=4)


@pytest.mark.parametrize("make", [small, discrete])
def test_what_happens_out_of_play_is_nobodys_experience(make):
    options = {"learning_starts": 9, "train_interval": 4, "gradient_steps": 3, "noise_interval": 5}
    check_out_of_play(lambda agents, ids: make(agents, ids, **options))


def test_log_probability_far_out_is_finite_and_right():
    x = torch.tensor([[-30.0, -3.0], [0.3, 2.0], [30.0, 0.0]], dtype=torch.float64)
    mean, std = torch.full_like(x, 0.2), torch.full_like(x, 0.7)
    squash = TanhTransform()
    expected = Normal(mean, std).log_prob(x) - squash.log_abs_det_jacobian(x, x.tanh())
    torch.testing.assert_close(squashed_log_prob(x, mean, std), expected.sum(-1))


def test_state_dependent_noise_has_the_distribution_its_log_probability_says():
    task = TaskSpec(2, (3,), action_low=(-1.0,) * 2, action_high=(1.0,) * 2)
    generators = [torch.Generator().manual_seed(a) for a in range(2)]
    policy = StateDependentPolicy(generators, task, ModelConfig(), (6,), -1.0)
    obs = torch.randn(2, 1, 3, generator=generators[0])
    noise = torch.randn(2, 20_000, 6, 2, generator=generators[0])
    with torch.no_grad():
        action, log_prob = policy(obs.expand(2, 20_000, 3), noise)
        calm, _ = policy(obs, None)
    x = action.atanh()
    latent = policy.body(obs)[:, 0].detach()
    variance = torch.einsum("ak,akd->ad", latent**2, policy.log_std.detach().exp() ** 2) + 1e-6
    torch.testing.assert_close(x.mean(1), calm[:, 0].atanh(), rtol=0.0, atol=0.01)
    torch.testing.assert_close(x.var(1), variance, rtol=0.05, atol=0.0)
    expected = Normal(calm.atanh(), variance[:, None].sqrt()).log_prob(x)
    expected = (expected - (1 - action**2).log()).sum(-1)
    torch.testing.assert_close(log_prob, expected, rtol=1e-3, atol=1e-3)
    # One matrix for all samples of an agent is the same as that matrix for each of them.
    shared = policy(obs.expand(2, 4, 3), noise[:, 0])[0]
    repeated = policy(obs.expand(2, 4, 3), noise[:, :1].expand(-1, 4, -1, -1))[0]
    torch.testing.assert_close(shared, repeated)


def test_noise_is_a_function_of_the_state_until_it_is_drawn_anew():
    learner = small(2, num_envs=2, noise_interval=8, log_std_init=0.0)
    obs = torch.randn(2, 1, 5, generator=torch.Generator().manual_seed(0)).expand(2, 2, 5)
    first = learner.propose(obs)
    assert torch.equal(learner.propose(obs), first)
    assert not torch.equal(first[:, 0], first[:, 1]), "every copy of the task has its own"
    asked = learner.propose(torch.cat((obs, obs, obs), 1))
    torch.testing.assert_close(asked[:, 2:4], first)
    remember(learner, 3)
    assert torch.equal(learner.propose(obs), first), "6 of 8 steps"
    remember(learner, 1)
    assert not torch.equal(learner.propose(obs), first)
    with pytest.raises(ValueError, match="multiple"):
        learner.propose(torch.randn(2, 3, 5))


@pytest.mark.parametrize("make", [small, discrete])
def test_who_does_not_learn_takes_no_draws_of_who_does(make):
    options = {"state_dependent_noise": False, "learning_starts": 100}
    obs = torch.randn(2, 1, 5, generator=torch.Generator().manual_seed(0))
    everybody, one = make(2, **options), make(2, **options)
    one.set_learning([True, False])
    for _ in range(3):
        a, b = everybody.propose(obs), one.propose(obs)
        assert torch.equal(a[0], b[0])
    assert not torch.equal(a[1], b[1]), "it acts by its policy, not at random"


@pytest.mark.parametrize("make", [small, discrete])
@pytest.mark.parametrize(("ends", "value"), [("terminated", 1.0), ("truncated", 2.0)])
def test_truncation_bootstraps_and_termination_does_not(make, ends, value):
    learner = make(2, gamma=0.5, learning_rate=5e-3, tau=0.2, temperature=0.0)
    end = {name: torch.full((2, 1), name == ends) for name in ("terminated", "truncated")}
    obs = torch.ones(2, 1, 5)
    for _ in range(64):
        learner.store(obs, anything(learner), torch.ones(2, 1), obs, **end)
    learner.update(300)
    torch.testing.assert_close(learner.values(obs), torch.full((2, 1), value), rtol=0.06, atol=0.0)
    assert learner.temperature.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("gsde", [True, False])
def test_learns_to_steer(learning_seed, gsde):
    task = Steering(2, 2, learning_seed)
    config = SACConfig(
        hidden=(32, 32),
        batch_size=64,
        gamma=0.9,
        learning_rate=3e-3,
        log_std_init=-1.0,
        state_dependent_noise=gsde,
        target_entropy=-2.0,
    )
    learner = SAC(task.task, config, num_envs=2, seed=learning_seed)
    train(learner, task, 400)
    assert score(learner, Steering(2, 16, 99), 40).min() > -0.15, "doing nothing: -1"


def test_learns_to_walk_a_chain(learning_seed):
    task = Chain(2, 2, learning_seed)
    config = SACConfig(
        hidden=(32,),
        batch_size=32,
        gamma=0.9,
        learning_rate=3e-3,
        train_interval=2,
        gradient_steps=1,
        target_entropy_ratio=0.3,
        initial_temperature=0.1,
    )
    learner = DiscreteSAC(task.task, config, num_envs=2, seed=learning_seed)
    train(learner, task, 600)
    # At best 3.5 steps an episode on average; walking at random takes twenty.
    assert score(learner, Chain(2, 8, 99), 70).min() > 0.24


def test_temperature_goes_where_the_entropy_should_be():
    for wanted, rises in ((5.0, True), (-50.0, False)):
        learner = small(2, target_entropy=wanted, learning_rate=1e-2)
        remember(learner, 20)
        learner.update(10)
        assert ((learner.temperature > 1) == rises).all()
    assert small(1).target_entropy == -2.0
    assert discrete(1).target_entropy == pytest.approx(0.98 * math.log(3))


def test_discrete_actions_follow_their_probabilities():
    learner = discrete(2)
    obs = torch.randn(2, 1, 5).expand(2, 20_000, 5)
    drawn = learner.propose(obs)
    for a in range(2):
        p = plain(learner.tensors(), "actor/body", a)(obs[a, 0]).softmax(0).detach()
        share = torch.bincount(drawn[a], minlength=3) / 20_000
        torch.testing.assert_close(share, p, rtol=0.0, atol=0.02)
        assert (learner.propose(obs, explore=False)[a] == p.argmax()).all()


def test_critics_value_whatever_is_proposed():
    learner, other = small(2), discrete(2)
    obs, u = torch.randn(2, 3, 5), torch.rand(2, 3, 4, 2)
    numbers = torch.randint(3, (2, 3, 4))
    found = learner.q_values(obs, learner.task.unscaled(2 * u - 1))
    chosen = other.q_values(obs, numbers)
    for a in range(2):
        critics = heads_of(learner.tensors(), "critic", a)
        tables = heads_of(other.tensors(), "critic", a)
        for m in range(3):
            for k in range(4):
                seen = torch.cat((obs[a, m], 2 * u[a, m, k] - 1))
                expected = min(critic(seen).item() for critic in critics)
                assert found[a, m, k] == pytest.approx(expected, abs=1e-5)
                expected = min(table(obs[a, m])[numbers[a, m, k]].item() for table in tables)
                assert chosen[a, m, k] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("make", [small, discrete])
def test_saved_and_loaded_it_goes_on_bit_for_bit(make):
    first, second = make(2), make(2)
    remember(first, 20)
    first.update(3)
    second.load_tensors(first.tensors())
    second.load_meta(first.meta())
    second.load_memory(first.memory())
    obs = torch.randn(2, 1, 5)
    assert torch.equal(first.act(obs), second.act(obs))
    for learner in (first, second):
        remember(learner, 14, seed=7)
        learner.update(3)
    theirs = second.tensors()
    for name, x in first.tensors().items():
        assert torch.equal(x, theirs[name]), name
        assert len(x) == 2


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="critics"):
        SACConfig(critics=0)
    with pytest.raises(ValueError, match="temperature"):
        SACConfig(temperature=-1.0)
    with pytest.raises(ValueError, match="initial_temperature"):
        SACConfig(initial_temperature=0.0)
    with pytest.raises(ValueError, match="continuous"):
        SAC(TaskSpec(1, (2,), num_actions=2))
    with pytest.raises(ValueError, match="discrete"):
        DiscreteSAC(TaskSpec(1, (2,), action_low=(0.0,), action_high=(1.0,)))
