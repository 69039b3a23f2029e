"""The DQN with a memory computes what its papers say, for every agent of a stack, and learns."""

import pytest
import torch
from tests.python.algos.off_policy_tasks import (
    check_alone,
    check_out_of_play,
    check_same,
    of_agent,
    perturbed,
    plain,
    priority_beta,
    remember,
    words_of,
)
from torch import nn

from socialgrid.algos import RecurrentDQN, RecurrentDQNConfig
from socialgrid.models import ModelConfig, TaskSpec

SMALL = {
    "hidden": (7,),
    "batch_size": 5,
    "buffer_size": 48,
    "learning_starts": 0,
    "burn_in": 2,
    "sequence_length": 4,
}
MODEL = ModelConfig(memory=6)


def small(agents=1, ids=None, num_envs=1, **options):
    task = TaskSpec(agents, (5,), num_actions=3)
    config = RecurrentDQNConfig(**{**SMALL, **options})
    return RecurrentDQN(task, config, seed=3, agent_ids=ids, num_envs=num_envs, model=MODEL)


class PlainRecurrentQ(nn.Module):
    """One agent's network of PyTorch's own layers."""

    def __init__(self, tensors, name, agent):
        super().__init__()
        self.cell = nn.LSTMCell(5, 6)
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        self.cell.load_state_dict({n: tensors[f"model/{name}/lstm.{n}"][agent] for n in names})
        self.head = plain(tensors, f"{name}/head", agent)

    def unroll(self, obs, state, reset):
        values, states, (h, c) = [], [state], state
        for x, fresh in zip(obs, reset, strict=True):
            if fresh:
                h, c = torch.zeros(6), torch.zeros(6)
            h, c = (y[0] for y in self.cell(x[None], (h[None], c[None])))
            values.append(self.head(h))
            states.append((h.detach(), c.detach()))
        return values, states


def plain_loss(network, target, part, config):
    total, steps, priorities = 0.0, 0, []
    for b in range(part["obs"].shape[1]):
        begin = part["state"][b, :6], part["state"][b, 6:]
        seen, fresh = part["obs"][:, b], part["reset"][:, b]
        burn, learnt = slice(0, config.burn_in), slice(config.burn_in, None)
        with torch.no_grad():
            state = network.unroll(seen[burn], begin, fresh[burn])[1][-1]
            target_state = target.unroll(seen[burn], begin, fresh[burn])[1][-1]
            following, target_states = target.unroll(seen[learnt], target_state, fresh[learnt])
        values, states = network.unroll(seen[learnt], state, fresh[learnt])
        errors = []
        for k in range(config.sequence_length):
            t = config.burn_in + k
            goal, ahead, ours = part["reward"][t, b], following[k + 1], values[k + 1]
            if part["truncated"][t, b]:
                last = part["final_obs"][t, b][None]
                with torch.no_grad():
                    ahead = target.unroll(last, target_states[k + 1], [False])[0][0]
                    ours = network.unroll(last, states[k + 1], [False])[0][0]
            if not part["terminated"][t, b]:
                judge = ours if config.double else ahead
                goal = goal + config.gamma * ahead[judge.argmax()]
            error = (goal - values[k][part["action"][t, b]]).abs()
            huber = 0.5 * error**2 if error < 1 else error - 0.5
            total = total + huber * (part["weight"][b] if "weight" in part else 1.0)
            errors.append(error.item())
            steps += 1
        mix = config.priority_mix
        priorities.append(mix * max(errors) + (1 - mix) * sum(errors) / len(errors))
    return total / steps, priorities


@pytest.mark.parametrize("agents", [1, 3])
@pytest.mark.parametrize("prioritised", [True, False])
@pytest.mark.parametrize("options", [{}, {"burn_in": 0, "double": False}])
def test_gradient_steps_are_those_of_plain_networks(agents, prioritised, options):
    options |= {"tau": 0.3, "learning_rate": 2e-3, "max_grad_norm": 0.5, "priority_beta_steps": 50}
    learner = small(agents, prioritised=prioritised, **options)
    config = learner.config
    remember(learner, 40)
    for name in ("q", "q-target"):  # other ones than those whose memories are stored
        perturbed(learner, name)
    begun = learner.tensors()
    networks = [PlainRecurrentQ(begun, "q", a) for a in range(agents)]
    targets = [PlainRecurrentQ(begun, "q-target", a) for a in range(agents)]
    optimisers = [torch.optim.Adam(n.parameters(), config.learning_rate) for n in networks]
    ends = {"terminated": False, "truncated": False, "reset": False}
    for _ in range(3):
        beta = priority_beta(config, 40) if prioritised else None
        batch = learner.replay.sample(words_of(learner, 5), beta)
        ends = {name: seen | bool(getattr(batch, name).any()) for name, seen in ends.items()}
        metrics = learner.update(1)
        learnt, memory = learner.tensors(), learner.memory()
        for a in range(agents):
            loss, priorities = plain_loss(networks[a], targets[a], of_agent(batch, a), config)
            assert metrics["loss"][a] == pytest.approx(loss.item(), rel=1e-4)
            optimisers[a].zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(networks[a].parameters(), 0.5)
            optimisers[a].step()
            check_same(learnt, "q/head", a, networks[a].head)
            for name, p in networks[a].cell.named_parameters():
                mine = learnt[f"model/q/lstm.{name}"][a]
                torch.testing.assert_close(mine, p.detach(), rtol=1e-4, atol=2e-6)
            with torch.no_grad():
                pairs = zip(targets[a].parameters(), networks[a].parameters(), strict=True)
                for p, q in pairs:
                    p.lerp_(q, 0.3)
            check_same(learnt, "q-target/head", a, targets[a].head)
            if prioritised:
                kept = memory["priority"][a][batch.index[a]]
                expected = (torch.tensor(priorities).double() + 1e-6) ** 0.6
                torch.testing.assert_close(kept, expected, rtol=1e-4, atol=1e-5)
    assert all(ends.values()), ends


@pytest.mark.parametrize("prioritised", [True, False])
def test_every_agent_of_a_stack_is_what_it_is_alone(prioritised):
    def make(agents, ids):
        return small(agents, ids, prioritised=prioritised)

    check_alone(make, 3, updates=3)


@pytest.mark.parametrize("prioritised", [True, False])
def test_what_happens_out_of_play_is_nobodys_experience(prioritised):
    options = {
        "learning_starts": 9,
        "train_interval": 4,
        "gradient_steps": 3,
        "prioritised": prioritised,
    }
    check_out_of_play(lambda agents, ids: small(agents, ids, **options))


def test_memory_moves_on_with_every_step_and_ends_with_the_episode():
    learner = small(2, num_envs=2)
    gen = torch.Generator().manual_seed(0)
    twins = [[PlainRecurrentQ(learner.tensors(), "q", a) for _ in range(2)] for a in range(2)]
    states = {(a, e): (torch.zeros(6), torch.zeros(6)) for a in range(2) for e in range(2)}
    fresh = torch.ones(2, 2, dtype=torch.bool)
    for t in range(9):
        obs = torch.randn(2, 2, 5, generator=gen)
        found = learner.q_values(obs, torch.arange(3).expand(2, 2, 3))
        for (a, e), state in states.items():
            network = twins[a][e]
            values, known = network.unroll(obs[a, e][None], state, [fresh[a, e]])
            states[a, e] = known[-1]
            torch.testing.assert_close(found[a, e], values[0].detach(), rtol=1e-4, atol=1e-5)
        assert torch.equal(learner.propose(obs, explore=False), found.argmax(-1))
        terminated = torch.tensor([[t == 3, False], [False, t == 5]])
        truncated = torch.tensor([[False, t == 4], [False, False]])
        learner.store(obs, learner.act(obs), torch.zeros(2, 2), obs, terminated, truncated)
        fresh = terminated | truncated
    with pytest.raises(ValueError, match="2 copies of the task"):
        learner.propose(torch.zeros(2, 3, 5), explore=False)


def test_other_episodes_begin_with_an_empty_memory():
    learner, fresh = small(2), small(2)
    remember(learner, 5)
    learner.interrupt()
    obs = torch.randn(2, 1, 5)
    actions = torch.arange(3).expand(2, 1, 3)
    torch.testing.assert_close(learner.q_values(obs, actions), fresh.q_values(obs, actions))
    assert bool(learner.replay.tensors()["truncated"][:, 4].all())


def test_what_was_learnt_is_acted_upon_at_once():
    learner = small(2, learning_rate=0.05)
    remember(learner, 20)
    obs, everything = torch.randn(2, 1, 5), torch.arange(3).expand(2, 1, 3)
    before = learner.q_values(obs, everything)
    learner.update(1)
    after = learner.q_values(obs, everything)
    assert not torch.equal(before, after)
    other = small(2, learning_rate=0.05)
    other.load_tensors(learner.tensors())
    assert torch.equal(other.q_values(obs, everything), after)


@pytest.mark.parametrize("ends", ["terminated", "truncated"])
def test_learns_to_remember_a_cue(learning_seed, ends):
    # One of three cues is shown at the first of three steps; at the last it has to be named.
    gen = torch.Generator().manual_seed(learning_seed)
    task = TaskSpec(2, (4,), num_actions=3)
    config = RecurrentDQNConfig(
        hidden=(16,),
        batch_size=16,
        gamma=0.8,
        learning_rate=1e-2,
        buffer_size=4096,
        epsilon_steps=1200,
        train_interval=8,
        gradient_steps=2,
        burn_in=3,
        sequence_length=6,
    )
    learner = RecurrentDQN(
        task, config, num_envs=4, seed=learning_seed, model=ModelConfig(memory=16)
    )
    never = torch.zeros(2, 4, dtype=torch.bool)
    right = []
    for episode in range(120):
        cue = torch.randint(3, (2, 4), generator=gen)
        for t in range(3):
            obs = torch.zeros(2, 4, 4)
            obs[..., 3] = t == 2
            if t == 0:
                obs.scatter_(2, cue[..., None], 1.0)
            action = learner.act(obs, explore=episode < 110)
            reward = ((action == cue) & (t == 2)).float()
            end = {"terminated": never, "truncated": never, ends: ~never if t == 2 else never}
            learner.store(obs, action, reward, obs, **end)
            if learner.due:
                learner.update()
        right.append(reward)
    assert torch.stack(right[110:]).mean((0, 2)).min() > 0.9, "chance is 0.33"


def test_saved_and_loaded_it_goes_on_bit_for_bit():
    first, second = small(2, prioritised=True), small(2, prioritised=True)
    remember(first, 20)
    first.update(3)
    second.load_tensors(first.tensors())
    second.load_meta(first.meta())
    second.load_memory(first.memory())
    for learner in (first, second):
        remember(learner, 7, seed=7)
        learner.update(3)
    theirs = second.tensors()
    for name, x in first.tensors().items():
        assert torch.equal(x, theirs[name]), name
        assert len(x) == 2


def test_impossible_settings_are_refused():
    for options in ({"burn_in": -1}, {"sequence_length": 0}, {"priority_mix": 2.0}):
        with pytest.raises(ValueError, match=next(iter(options))):
            RecurrentDQNConfig(**options)
    with pytest.raises(ValueError, match="discrete"):
        RecurrentDQN(TaskSpec(1, (2,), action_low=(0.0,), action_high=(1.0,)))
