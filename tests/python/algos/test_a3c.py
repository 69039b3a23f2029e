"""What A3C owes: exact ratios, and the gradients of a plain actor-critic, agent by agent."""

from dataclasses import replace

import pytest
import torch
from bench.plain_agent import PlainAgent, copy_from_stack
from safetensors.torch import load_file
from tests.python.algos.test_ppo import estimated
from tests.python.algos.tiny import MODEL, Buttons, collect, copy_rollout, new_rollout

from socialgrid.algos import A3C, A3CConfig
from socialgrid.models import NonFiniteError, Recall, chosen_log_prob
from socialgrid.social import PredictionOptions

QUICK = A3CConfig(gamma=0.9, learning_rate=1e-2, learning_rate_end=None)


def make(config=QUICK, agents=2, seed=1, envs=6, **options):
    env = Buttons(envs, agents, horizon=5, recall=True)
    return A3C(env.spec, MODEL, config, seed=seed, **options), env


def second_rollout(learner, env, steps):
    """A rollout that begins in the middle of episodes, with memories of the one before."""
    rollout = new_rollout(learner, env, steps)
    rollout.begin(*env.begin())
    state = collect(learner, env, rollout, learner.initial_state(env.num_envs))
    rollout.carry_over()
    collect(learner, env, rollout, state)
    return rollout


def state_of(learner):
    return {name: x.clone() for name, x in learner.tensors().items()}


def plain_gradients(learner, rollout, agent):
    """A loop over environments, episodes and steps with one agent's plain network."""
    config = learner.config
    plain = PlainAgent(2, 1, (8,), 16, 16, (16,), actions=3, decoder=False)
    copy_from_stack(plain, learner.model, agent)
    ends = {(int(t), int(e)): i for i, (t, e) in enumerate(rollout.final_index)}
    policy_loss = value_loss = entropy = torch.zeros(())
    count = rollout.num_steps * rollout.num_envs
    for e in range(rollout.num_envs):
        h, c = rollout.state[0, e, agent][None].chunk(2, -1)
        log_probs, values, entropies, after = [], [], [], []
        for t in range(rollout.num_steps):
            fresh = rollout.reset[t, e, agent].view(1, 1)
            obs = rollout.obs[t, e, agent][None, None]
            core, logits, value, c = plain(obs, h, c, fresh)
            h = core[0]
            probabilities = logits[0, 0].softmax(-1)
            log_probs.append(probabilities[rollout.action[t, e, agent]].log())
            entropies.append(-(probabilities * probabilities.log()).sum())
            values.append(value[0, 0])
            after.append((h.detach(), c.detach()))

        def follow(t, obs, after=after):
            with torch.no_grad():
                return plain(obs[None, None], *after[t], torch.zeros(1, 1, dtype=torch.bool))[2]

        following = follow(rollout.num_steps - 1, rollout.obs[-1, e, agent]).item()
        for t in range(rollout.num_steps - 1, -1, -1):
            if rollout.truncated[t, e, agent]:
                following = follow(t, rollout.final_obs[ends[t, e], agent]).item()
            if rollout.terminated[t, e, agent]:
                following = 0.0
            following = rollout.reward[t, e, agent].item() + config.gamma * following
            advantage = following - values[t].item()
            policy_loss = policy_loss - log_probs[t] * advantage / count
            value_loss = value_loss + (values[t] - following) ** 2 / count
            entropy = entropy + entropies[t] / count
    loss = policy_loss + config.value_coef * value_loss - config.entropy_coef * entropy
    loss.backward()
    return plain, {"policy_loss": policy_loss, "value_loss": value_loss, "entropy": entropy}


class Gradients:
    """The gradients of a stack under the names of its parameters."""

    def __init__(self, model):
        self.model = model

    def named_parameters(self):
        return [(name, p.grad) for name, p in self.model.named_parameters()]


@pytest.mark.parametrize("agents", [1, 3])
@pytest.mark.parametrize("ends", ["time limit", "termination"])
def test_gradients_are_those_of_a_plain_actor_critic_for_each_agent(agents, ends):
    # 12 steps of episodes of 5: every environment crosses episode borders and is cut off by the
    # end of the rollout.
    config = replace(QUICK, entropy_coef=0.1)
    learner, env = make(config, agents)
    env.ends_by_termination = ends == "termination"
    rollout = second_rollout(learner, env, 12)
    assert rollout.state[0].abs().max() > 0
    assert rollout.reset[1:].any(0).all()
    metrics = learner.compute_gradients(rollout)
    for agent in range(agents):
        plain, numbers = plain_gradients(learner, rollout, agent)
        ours = PlainAgent(2, 1, (8,), 16, 16, (16,), actions=3, decoder=False)
        copy_from_stack(ours, Gradients(learner.model), agent)
        for (name, p), q in zip(plain.named_parameters(), ours.parameters(), strict=True):
            assert p.grad.abs().max() > 1e-7, name
            torch.testing.assert_close(q, p.grad, rtol=1e-4, atol=1e-6, msg=name)
        for name, x in numbers.items():
            assert metrics[name][agent].item() == pytest.approx(x.item(), abs=1e-5), name


def test_ratio_is_one_before_the_first_step_over_a_whole_unroll():
    learner, env = make()
    rollout = second_rollout(learner, env, 17)
    batch = Recall(rollout, learner.model, learner.device)
    every = torch.arange(env.num_envs).expand(2, -1)
    part = batch.minibatches([0, 1], torch.zeros_like(every), every, 17, 6)[0]()
    assert part.reset[:, 1:].any()
    features = learner.model.encode(part.views[:, :-1].flatten(1, 2)).view(2, 17, 6, -1)
    h, _ = learner.model.remember(features, part.state, part.reset)
    log_prob = chosen_log_prob(learner.model.logits(h.flatten(1, 2)), part.action.flatten(1))
    torch.testing.assert_close(
        log_prob, part.decisions["action"].log_prob.flatten(1), rtol=0, atol=2e-6
    )
    value = learner.model.value(h.flatten(1, 2)).view(2, 17, 6).permute(1, 2, 0)
    torch.testing.assert_close(value, rollout.decisions["action"].value, rtol=0, atol=2e-6)


def test_a_time_limit_bootstraps_and_a_termination_does_not():
    for ends_by_termination in (False, True):
        learner, env = make()
        env.ends_by_termination = ends_by_termination
        rollout = second_rollout(learner, env, 7)
        batch, reward = estimated(learner, rollout), rollout.own(rollout.reward)
        target = batch.decisions["action"].target
        _, final = batch.bootstrap(learner.model, [0, 1])["action"]
        t, e = rollout.final_index[0]
        expected = reward[t, e] + (0.0 if ends_by_termination else 0.9) * final[t, e]
        assert final[t, e].abs().min() > 1e-4
        torch.testing.assert_close(target[t, e], expected)


def train(env, seed, updates, **changes):
    """Share of right presses in the last batch, of all presses, per agent."""
    learner = A3C(env.spec, MODEL, replace(QUICK, **changes), seed=seed)
    rollout = new_rollout(learner, env, 12)
    rollout.begin(*env.begin())
    state = learner.initial_state(env.num_envs)
    for _ in range(updates):
        state = collect(learner, env, rollout, state)
        learner.update(rollout)
        rollout.carry_over()
    return rollout.reward.mean((0, 1))


@pytest.mark.parametrize("ends", ["time limit", "termination"])
def test_learns_to_press_the_button_shown(learning_seed, ends):
    env = Buttons(32, 2, horizon=4, seed=learning_seed)
    env.ends_by_termination = ends == "termination"
    assert train(env, learning_seed, 120, normalize_advantages=True).min() > 0.9, "chance is 0.33"


def test_learns_to_remember_a_cue():
    env = Buttons(32, 2, horizon=2, recall=True)
    reward = train(env, 0, 200, entropy_coef=1e-2, normalize_advantages=True)
    assert reward.min() * env.horizon > 0.8, "chance is 0.33"


def test_pieces_do_not_change_the_gradient(monkeypatch):
    learner, env = make(envs=7)
    rollout = second_rollout(learner, env, 9)
    numbers = learner.compute_gradients(rollout)
    whole = [p.grad for p in learner.model.parameters()]
    monkeypatch.setattr("socialgrid.algos.on_policy.a3c.piece_length", lambda *_: 2)
    in_pieces = learner.compute_gradients(rollout)
    for p, grad in zip(learner.model.parameters(), whole, strict=True):
        torch.testing.assert_close(p.grad, grad, rtol=1e-4, atol=1e-7)
    for name, x in numbers.items():
        torch.testing.assert_close(in_pieces[name], x, rtol=1e-5, atol=1e-6)


def test_gradients_of_shares_average_to_the_gradient_of_the_whole_batch():
    learner, env = make(envs=6)
    rollout = second_rollout(learner, env, 12)
    learner.compute_gradients(rollout)
    whole = [p.grad for p in learner.model.parameters()]
    mean = [torch.zeros_like(g) for g in whole]
    for first, count in [(0, 2), (2, 4)]:
        part = new_rollout(learner, Buttons(count, 2), 12)
        copy_rollout(rollout, part, first)
        learner.compute_gradients(part)
        for total, p in zip(mean, learner.model.parameters(), strict=True):
            total.add_(p.grad, alpha=count / 6)
    for total, grad in zip(mean, whole, strict=True):
        torch.testing.assert_close(total, grad, rtol=1e-4, atol=1e-7)


def test_gradients_are_clipped_agent_by_agent():
    learner, env = make()
    rollout = second_rollout(learner, env, 12)
    rollout.reward[..., 0] *= 100.0
    learner.compute_gradients(rollout)
    norms = [
        torch.stack([p.grad[a].norm() for p in learner.model.parameters()]).norm() for a in (0, 1)
    ]
    limit = (norms[0] * norms[1]).sqrt().item()
    assert norms[0] > 2 * limit > 4 * norms[1]
    learner.config = replace(QUICK, max_grad_norm=limit)
    metrics = learner.apply_gradients()
    torch.testing.assert_close(metrics["gradient_norm"], torch.stack(norms))
    # Adam's first moment after one step is a tenth of the gradient.
    moments = learner.optimiser.first.values()
    for agent, expected in ((0, limit), (1, norms[1].item())):
        norm = torch.stack([m[agent].norm() for m in moments]).norm().item()
        assert 10 * norm == pytest.approx(expected, rel=1e-4)


def test_frozen_agents_stay_and_the_others_learn_as_if_alone():
    learner, env = make(agents=3)
    other, _ = make(agents=3)
    learner.set_learning([True, False, True])
    before = state_of(learner)
    rollout = second_rollout(learner, env, 12)
    metrics = learner.update(rollout)
    other.update(rollout)
    after, everyone = state_of(learner), state_of(other)
    assert learner.stepping == [0, 2]
    for name, x in after.items():
        if name.startswith(("model/", "optimiser/")):
            assert torch.equal(x[1], before[name][1]), name
            if x.dtype == torch.float32:
                torch.testing.assert_close(x[0], everyone[name][0], rtol=1e-4, atol=1e-6)
        if name.startswith("model/"):
            assert not torch.equal(x[0], before[name][0]), name
    for name, x in metrics.items():
        assert x.isnan().tolist() == [False, True, False], name
    learner.set_learning([False] * 3)
    learner.update(rollout)
    for name, x in learner.tensors().items():
        if name.startswith(("model/", "optimiser/")):
            assert torch.equal(x, after[name]), name


def test_the_learning_rate_falls_in_a_straight_line():
    config = A3CConfig(learning_rate=(1e-3, 2e-3), learning_rate_end=0.0, learning_rate_steps=100)
    learner, env = make(config)
    rollout = second_rollout(learner, env, 6)
    for progress, expected in [(0, (1e-3, 2e-3)), (25, (7.5e-4, 1.5e-3)), (500, (0.0, 0.0))]:
        rates = learner.update(rollout, progress)["learning_rate"]
        torch.testing.assert_close(rates, torch.tensor(expected))
    before = state_of(learner)
    learner.update(rollout, 1000)
    for name, x in learner.tensors().items():
        assert not name.startswith("model/") or torch.equal(x, before[name]), name


@pytest.mark.parametrize("what", ["reward", "loss"])
def test_nothing_is_learnt_from_what_is_not_finite(what, tmp_path):
    learner, env = make(dump_dir=tmp_path)
    rollout = second_rollout(learner, env, 6)
    learner.update(rollout)
    if what == "reward":
        rollout.reward[3, 2, 1] = float("nan")
    else:
        rollout.decisions["action"].value[3, 2, 1] = float("inf")
    before = state_of(learner)
    with pytest.raises(NonFiniteError, match=f"non-finite {what} in update 2, agent 1") as error:
        learner.update(rollout)
    assert load_file(error.value.dump)["values"].isfinite().logical_not().any()
    for name, x in learner.tensors().items():
        assert torch.equal(x, before[name]), name


def test_a_gradient_that_is_not_finite_changes_nothing():
    learner, env = make()
    learner.compute_gradients(second_rollout(learner, env, 6))
    learner.model.lstm.weight_hh.grad[1, 3, 2] = float("inf")
    before = state_of(learner)
    with pytest.raises(NonFiniteError, match="non-finite gradient in update 0, agent 1"):
        learner.apply_gradients()
    for name, x in learner.tensors().items():
        assert torch.equal(x, before[name]), name


def test_normalised_advantages_have_mean_0_and_deviation_1():
    learner, env = make(replace(QUICK, normalize_advantages=True))
    rollout = second_rollout(learner, env, 12)
    batch = estimated(learner, rollout)
    advantage, target = batch.decisions["action"].advantage, batch.decisions["action"].target
    assert advantage.mean((0, 1)).abs().max() < 1e-6
    torch.testing.assert_close(advantage.std((0, 1), False), torch.ones(2))
    values = target - batch.values["action"]
    assert values.std((0, 1)).sub(1).abs().min() > 0.1


def test_auxiliary_losses_count_with_their_weight():
    options = PredictionOptions(coef=0.0)
    learner, env = make(social=[options])
    rollout = second_rollout(learner, env, 12)
    metrics = learner.compute_gradients(rollout)
    decoder = learner.model.branches["prediction"]
    assert not decoder.weight.grad.any()
    learner.set_options(learner.config, [replace(options, coef=2.0)])
    learner.compute_gradients(rollout)
    assert decoder.weight.grad.any()
    assert (metrics["prediction_error"] > 0).all()
    assert learner.meta()["algorithm"] == "a3c"
