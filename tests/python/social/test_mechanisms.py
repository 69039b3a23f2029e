"""Influence, messages and models of others: against enumeration one step at a time, and at work."""

import math
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tests.python.algos.tiny import Buttons, collect, experience, new_rollout

from socialgrid.algos import A3C, PPO, A3CConfig, PPOConfig
from socialgrid.models import ModelConfig, Recall, ViewSpec, kernels
from socialgrid.social import (
    BasicInfluenceOptions,
    Chosen,
    CollectiveOptions,
    CommOptions,
    InequityOptions,
    Mechanism,
    MechanismOptions,
    MoaOptions,
    PredictionOptions,
    ProsocialOptions,
    VisibleActionsOptions,
    register_mechanism,
)

SMALL = ModelConfig(channels=(6,), features=(8,), memory=8, heads=())
SOCIAL = {
    "visible-actions": VisibleActionsOptions(),
    "influence": BasicInfluenceOptions(num_influencers=2, influencee_weight=0.5),
    "comm": CommOptions(vocabulary=4, embedding=6),
    "moa": MoaOptions(memory=7),
    "inequity": InequityOptions(),
    "prosocial": ProsocialOptions(),
    "collective": CollectiveOptions(),
}
MEASURED = ("influence", "comm", "moa")
LEARNERS = {
    "ppo": (
        PPO,
        PPOConfig(num_minibatches=2, minibatch_sequences=6, sequence_length=3),
    ),
    "a3c": (A3C, A3CConfig()),
}


def sharp(learner, factor=4.0):
    """Larger weights: policies that differ visibly from each other."""
    with torch.no_grad():
        for p in learner.model.parameters():
            p.mul_(factor)
    return learner


def make(kind, name, agents=3, **changes):
    env = Buttons(4, agents, horizon=5, seed=1)
    learner, config = LEARNERS[kind]
    social = replace(SOCIAL[name], **changes)
    return sharp(learner(env.spec, SMALL, config, seed=3, social=[social])), env


def numpy_divergence(kind, p, q, action):
    if kind == "kl":
        return float((p * np.log(p / q)).sum())
    if kind == "pmi":
        return math.log(p[action] / q[action])
    middle = 0.5 * (p + q)
    return float(0.5 * (p * np.log(p / middle)).sum() + 0.5 * (q * np.log(q / middle)).sum())


def numpy_listening(given):
    """Value of listening from policies [M, C, n] of a pair: a slow twin of ``Listening``."""
    given = np.asarray(given)
    alternatives = range(given.shape[1])
    means = []
    for c in alternatives:
        others = np.mean([given[:, o] for o in alternatives if o != c], 0)
        means.append((given[:, c] * np.log(given[:, c] / others)).sum(-1).mean())
    return max(means)


def check_listening(learner, given):
    """Compare ``pairs`` of a learner with policies by pair; there must be no other pairs."""
    got = learner.pairs()["value_of_listening"].numpy()
    want = np.full(got.shape, np.nan)
    for pair, policies in given.items():
        want[pair] = numpy_listening(policies)
    np.testing.assert_allclose(got, want, atol=2e-5)
    assert np.nanmax(got) > 1e-3


def credited(learner, rollout):
    """What agents are rewarded for as influence, [T, E, A], before it is clipped."""
    mechanism = learner.mechanisms[0]
    exerted = learner.influence(rollout)
    return mechanism.credited(exerted, learner.model)


def rewards_of(learner, rollout, progress=0.0):
    batch = learner.shards(rollout)
    numbers = learner.reported(learner.rewards(batch, progress))
    return SimpleNamespace(of=batch.parts[0].rewards, numbers=numbers)


def one_view(learner, batch, view, state, reset, tokens):
    """Policy [A, n] and memory output of all agents, for one environment at a time."""
    network = learner.model
    core, _ = network.step(
        view.unsqueeze(1), state.unsqueeze(1), reset.unsqueeze(1), tokens.unsqueeze(1)
    )
    return network.logits(core)[:, 0].softmax(-1).double().numpy(), core


@pytest.mark.parametrize("kind", ["kl", "pmi", "jsd"])
@pytest.mark.parametrize("name", MEASURED)
def test_kernels_measure_what_operators_do(monkeypatch, name, kind):
    learner, env = make("ppo", name, divergence=kind)
    rollout = experience(learner, env, steps=7)
    rollout.active[2:4, 1, 1] = False
    found, pairs = learner.influence(rollout), learner.pairs()
    monkeypatch.setattr(kernels, "KERNELS", None)
    torch.testing.assert_close(found, learner.influence(rollout), rtol=0.0, atol=1e-5)
    assert pairs.keys() == learner.pairs().keys()
    for key, x in pairs.items():
        near = {"rtol": 0.0, "atol": 1e-5, "equal_nan": True}
        torch.testing.assert_close(x, learner.pairs()[key], **near, msg=key)


def test_a_model_of_others_of_ones_own_is_asked_for_its_own_logits(monkeypatch):
    learner, env = make("ppo", "moa")
    rollout = experience(learner, env, steps=7)
    (mechanism,) = learner.mechanisms
    model, known = mechanism.model(learner.model), learner.influence(rollout)

    class Doubtful(type(model)):
        def logits(self, core):
            return 0.5 * super().logits(core)

    model.__class__ = Doubtful
    found = learner.influence(rollout)
    assert not torch.allclose(found, known, atol=1e-4)
    monkeypatch.setattr(kernels, "KERNELS", None)
    torch.testing.assert_close(found, learner.influence(rollout), rtol=0.0, atol=1e-5)


@pytest.mark.parametrize("kind", ["kl", "pmi", "jsd"])
def test_basic_influence_is_what_enumeration_gives(kind):
    learner, env = make("ppo", "influence", divergence=kind)
    rollout = experience(learner, env, steps=7)
    got = learner.influence(rollout).numpy()
    batch = Recall(rollout, learner.model, learner.device)
    want, given_to = np.zeros_like(got), {}
    with torch.no_grad():
        for t in range(7):
            for e in range(env.num_envs):
                given = (batch.views[t, e], batch.state[t, e], batch.reset[t, e])
                actual, _ = one_view(learner, batch, *given, batch.tokens[t, e])
                action = rollout.action[t, e].tolist()
                for leader in (0, 1):
                    conditional = []
                    for alternative in range(3):
                        tokens = batch.tokens[t, e].clone()
                        tokens[2, leader] = alternative
                        conditional.append(one_view(learner, batch, *given, tokens)[0][2])
                    given_to.setdefault((leader, 2), []).append(conditional)
                    marginal = sum(actual[leader][c] * conditional[c] for c in range(3))
                    p = conditional[action[leader]]
                    np.testing.assert_allclose(p, actual[2], atol=1e-6)
                    want[t, e, leader, 2] = numpy_divergence(kind, p, marginal, action[2])
    np.testing.assert_allclose(got, want, atol=2e-5)
    assert np.abs(got).max() > 1e-3
    check_listening(learner, given_to)
    c = credited(learner, rollout).numpy()
    np.testing.assert_allclose(c[..., :2], got[..., :2, 2])
    np.testing.assert_allclose(c[..., 2], 0.5 * got[..., 2].sum(-1), rtol=1e-6)


@pytest.mark.parametrize("kind", ["kl", "pmi", "jsd"])
def test_influence_of_messages_is_what_enumeration_gives(kind):
    learner, env = make("ppo", "comm", divergence=kind)
    rollout = experience(learner, env, steps=7)
    got = learner.influence(rollout).numpy()
    batch = Recall(rollout, learner.model, learner.device)
    last = batch.last_state(learner.model)
    want, given_to = np.zeros_like(got), {}
    with torch.no_grad():
        for t in range(7):
            for e in range(env.num_envs):
                if rollout.done[t, e]:
                    continue
                now = (batch.views[t, e], batch.state[t, e], batch.reset[t, e])
                _, core = one_view(learner, batch, *now, batch.tokens[t, e])
                intention = (
                    learner.model.heads["comm"].logits(core)[:, 0].softmax(-1).double().numpy()
                )
                state = batch.state[t + 1, e] if t < 6 else last[e]
                heard = batch.tokens[t + 1, e] if t < 6 else batch.last_tokens[e]
                then = (batch.views[t + 1, e], state, torch.zeros(3, dtype=torch.bool))
                # At the end of the batch nothing has been done yet; only "pmi" would need it.
                action = rollout.action[t + 1, e].tolist() if t < 6 else [0] * 3
                for speaker in range(3):
                    conditional = []
                    for symbol in range(4):
                        tokens = heard.clone()
                        tokens[:, speaker] = symbol
                        conditional.append(one_view(learner, batch, *then, tokens)[0])
                    marginal = sum(intention[speaker][c] * conditional[c] for c in range(4))
                    p = conditional[rollout.decisions["comm"].choice[t, e, speaker]]
                    for other in {0, 1, 2} - {speaker}:
                        given_to.setdefault((speaker, other), []).append(
                            [p[other] for p in conditional]
                        )
                        if other != speaker and (kind != "pmi" or t < 6):
                            want[t, e, speaker, other] = numpy_divergence(
                                kind, p[other], marginal[other], action[other]
                            )
    np.testing.assert_allclose(got, want, atol=2e-5)
    assert np.abs(got).max() > 1e-3
    check_listening(learner, given_to)


@pytest.mark.parametrize("kind", ["kl", "pmi", "jsd"])
def test_modelled_influence_is_what_enumeration_gives(kind):
    learner, env = make("a3c", "moa", divergence=kind)
    rollout = experience(learner, env, steps=7)
    rollout.visible[:, 1, 0, 2] = 0
    got = learner.influence(rollout).numpy()
    batch = Recall(rollout, learner.model, learner.device)
    moa = learner.model.branches["moa"]
    want, given_to = np.zeros_like(got), {}
    memory = torch.zeros((3, env.num_envs, moa.state_size))
    none = torch.zeros((3, 1, 1), dtype=torch.bool)
    with torch.no_grad():
        for t in range(7):
            memory = memory.masked_fill(rollout.reset[t].t().unsqueeze(-1), 0.0)
            following = torch.zeros_like(memory)
            for e in range(env.num_envs):
                given = (batch.views[t, e], batch.state[t, e], batch.reset[t, e])
                own, _ = one_view(learner, batch, *given, batch.tokens[t, e])
                views = batch.views[t, e].unsqueeze(1)
                convolved = learner.model.encoder.convolved(views, torch.float32)
                action = rollout.action[t, e]

                def after(actions, e=e, convolved=convolved, memory=memory):
                    x = moa.inputs(convolved, actions.unsqueeze(1), (0, 1, 2))
                    h, c = moa.remember(x[:, None], memory[:, e : e + 1], none)
                    said = moa.logits(h)[:, 0, 0].softmax(-1).double().numpy()
                    return said, torch.cat((h[:, 0, 0], c[:, 0, 0]), -1)

                predicted = []
                for alternative in range(3):
                    actions = action.expand(3, -1).clone()
                    actions[range(3), range(3)] = alternative
                    predicted.append(after(actions)[0])
                following[:, e] = after(action.expand(3, -1))[1]
                for agent in range(3):
                    for other in range(3):
                        unseen = not rollout.visible[t, e, agent, other]
                        over, unknown = bool(rollout.done[t, e]), t == 6
                        if other == agent or unseen or over:
                            continue
                        conditional = [predicted[c][agent, other] for c in range(3)]
                        given_to.setdefault((agent, other), []).append(conditional)
                        if kind == "pmi" and unknown:
                            continue
                        then = 0 if unknown else int(rollout.action[t + 1, e, other])
                        marginal = sum(own[agent][c] * conditional[c] for c in range(3))
                        p = conditional[action[agent]]
                        want[t, e, agent, other] = numpy_divergence(kind, p, marginal, then)
            memory = following
    np.testing.assert_allclose(got, want, atol=2e-5)
    assert np.abs(got).max() > 1e-3
    check_listening(learner, given_to)


@pytest.mark.parametrize("name", list(SOCIAL))
@pytest.mark.parametrize("kind", list(LEARNERS))
def test_every_mechanism_goes_with_every_algorithm(kind, name):
    learner, env = make(kind, name, **({"curriculum": 1e-5} if name in MEASURED else {}))
    rollout = new_rollout(learner, env, 7)
    rollout.begin(*env.begin(), visible=env.everybody())
    state, done = learner.initial_state(env.num_envs), 0
    weights = {n: p.detach().clone() for n, p in learner.model.named_parameters()}
    for _ in range(3):
        state = collect(learner, env, rollout, state)
        metrics = learner.update(rollout, done)
        rollout.carry_over()
        done += 7 * env.num_envs
    assert all(bool(x.isfinite().all()) for n, x in metrics.items() if n != "kl_final")
    moved = {n for n, p in learner.model.named_parameters() if not torch.equal(p, weights[n])}
    assert moved == set(weights), "a branch is not trained"
    if name in MEASURED:
        assert metrics["influence_weight"].tolist() == pytest.approx([0.1] * 3)
        assert (metrics["influence"] > 0).any()
    if name == "moa":
        assert metrics["moa_accuracy"].min() > 0


@pytest.mark.parametrize("name", list(SOCIAL))
def test_recomputed_probabilities_are_those_acted_with(name):
    # Across the ends of episodes too, before the first gradient step.
    learner, env = make("ppo", name)
    rollout = experience(learner, env, steps=11)
    whole = learner.shards(rollout)
    learner.rewards(whole, 0.0)  # mechanisms leave in the batch what they learn from
    (batch,) = whole.parts
    starts = torch.zeros((3, 4), dtype=torch.int64)
    part = batch.minibatches([0, 1, 2], starts, torch.arange(4).expand(3, -1), 11, 4)[0]()
    outputs = learner.outputs(learner.model, part)

    def log_prob(logits, action):
        return logits.log_softmax(-1).gather(-1, action.flatten(1).unsqueeze(-1)).squeeze(-1)

    assert list(outputs.decisions) == (["action", "comm"] if name == "comm" else ["action"])
    for kind, (logits, value) in outputs.decisions.items():
        made = part.decisions[kind]
        torch.testing.assert_close(
            log_prob(logits, made.choice), made.log_prob.flatten(1), rtol=0, atol=1e-5
        )
        stored = rollout.decisions[kind].value.permute(2, 0, 1).flatten(1)
        torch.testing.assert_close(value, stored, rtol=0, atol=1e-5)


def test_messages_reach_everybody_one_step_later_and_only_then():
    learner, env = make("ppo", "comm")
    rollout = experience(learner, env, steps=9)
    starts = rollout.reset[:-1, :, 0]
    assert starts.any()
    for t in range(1, 9):
        for e in range(env.num_envs):
            want = [-1] * 3 if starts[t, e] else rollout.decisions["comm"].choice[t - 1, e].tolist()
            for agent in range(3):
                assert rollout.tokens[t, e, agent].tolist() == want
    # What is said now changes nothing now: another draw of messages, the same policies.
    obs, reset = rollout.inputs(4)
    first = learner.act(obs, rollout.state[4], reset)
    second = learner.act(obs, rollout.state[4], reset)  # draws further numbers
    said, then_said = first.decisions["comm"], second.decisions["comm"]
    assert not torch.equal(said.choice, then_said.choice)
    assert torch.equal(first.decisions["action"].value, second.decisions["action"].value)
    torch.testing.assert_close(first.state[..., :-1], second.state[..., :-1], rtol=0, atol=0)
    # What was said before does.
    other = rollout.state[4].clone()
    other[..., -1] = (other[..., -1] + 1) % 5
    changed = learner.act(obs, other, torch.zeros_like(reset))
    same = learner.act(obs, rollout.state[4], reset & False)
    assert not torch.equal(changed.decisions["action"].value, same.decisions["action"].value)


def test_the_influenced_see_what_influencers_do_now():
    learner, env = make("ppo", "influence")
    rollout = experience(learner, env, steps=6)
    assert torch.equal(rollout.tokens[:, :, 2].long(), rollout.action[:, :, :2])
    assert (rollout.tokens[:, :, :2] == -1).all()


def test_visible_actions_are_those_of_the_others_a_step_before():
    learner, env = make("ppo", "visible-actions")
    rollout = experience(learner, env, steps=6)
    want = rollout.last_actions[:-1].unsqueeze(2).expand(-1, -1, 3, -1).clone()
    want[:, :, range(3), range(3)] = -1
    assert torch.equal(rollout.tokens, want.to(torch.int16))
    assert torch.equal(want[1:, :, 0, 1][want[1:, :, 0, 1] >= 0],
                       rollout.action[:-1, :, 1][want[1:, :, 0, 1] >= 0].int())  # fmt: skip
    with pytest.raises(ValueError, match="last actions"):
        learner.act(rollout.obs[0], rollout.state[0], rollout.reset[0])


@pytest.mark.parametrize("name", MEASURED)
def test_no_gradient_flows_through_the_influence_reward(name):
    # The gradient with influence is the one with the same numbers given from outside.
    gradients = []
    for given in (False, True):
        learner, env = make("a3c", name, influence_weight=3.0)
        rollout = experience(learner, env, steps=6)
        if given:
            mechanism = learner.mechanisms[0]
            numbers = learner.influence(rollout)
            assert not numbers.requires_grad
            measure = mechanism.exerted

            def constant(network, batch, heard, memory, measure=measure, numbers=numbers):
                measure(network, batch, heard, memory)  # leaves in the batch what is learnt from
                return numbers

            mechanism.exerted = constant
        learner.compute_gradients(rollout)
        gradients.append([p.grad.clone() for p in learner.model.parameters()])
    for first, second in zip(*gradients, strict=True):
        assert torch.equal(first, second)


def test_actions_learn_from_the_environment_alone_where_agents_talk():
    learner, env = make("a3c", "comm", influence_weight=3.0, environment_weight=0.5)
    rollout = experience(learner, env, steps=6)
    c = credited(learner, rollout)
    rewards = rewards_of(learner, rollout)
    assert torch.equal(rewards.of["action"], rollout.reward)
    torch.testing.assert_close(rewards.of["comm"], 0.5 * rollout.reward + 3.0 * c)
    torch.testing.assert_close(rewards.numbers["influence"], c.mean((0, 1)))


@pytest.mark.parametrize("name", ["influence", "moa"])
def test_the_reward_mixes_environment_and_influence(name):
    learner, env = make("a3c", name, influence_weight=3.0, environment_weight=0.5, curriculum=2.0)
    rollout = experience(learner, env, steps=6)
    c = credited(learner, rollout)
    rewards = rewards_of(learner, rollout, 1e6)
    assert list(rewards.of) == ["action"]
    torch.testing.assert_close(rewards.of["action"], 0.5 * rollout.reward + 1.5 * c)


def test_influence_is_clipped_where_asked():
    learner, env = make("a3c", "influence", influence_clip=0.01, environment_weight=0.0)
    rollout = experience(learner, env, steps=6)
    assert credited(learner, rollout).max() > 0.01
    assert rewards_of(learner, rollout).of["action"].max() == pytest.approx(0.001)


def test_influence_is_told_as_it_is_exerted_whoever_is_rewarded_for_it():
    learner, env = make("a3c", "influence", influence_clip=0.01, influencee_weight=1.0)
    rollout = experience(learner, env, steps=6)
    exerted, numbers = learner.influence(rollout), rewards_of(learner, rollout).numbers
    torch.testing.assert_close(numbers["influence"], exerted.sum(-1).mean((0, 1)))
    assert numbers["influence"][0] > 0.0
    assert numbers["influence"][2] == 0.0  # the last agent is influenced only
    paid = credited(learner, rollout).clamp(max=0.01).mean((0, 1))
    torch.testing.assert_close(numbers["influence_reward"], paid)
    assert paid[2] > 0.0


class Partners(Buttons):
    """Two agents learn; a third one, of which nothing is seen, repeats 0, 1, 2, 0, ..."""

    def __init__(self, num_envs):
        super().__init__(num_envs, 3, horizon=12, seed=5)
        self.spec = ViewSpec(2, 2, 1, (3, 3), slots=(0, 1), world_action_counts=(3, 3, 3))


def test_the_model_of_others_learns_a_scripted_partner():
    env = Partners(16)
    social = [MoaOptions(memory=16, influence_weight=0.0, coef=1.0)]
    config = A3CConfig(learning_rate=0.02, learning_rate_end=None)
    learner = A3C(env.spec, SMALL, config, seed=0, social=social)
    rollout = new_rollout(learner, env, 12, agents=(0, 1))
    rollout.begin(*env.begin(), visible=env.everybody())
    state = learner.initial_state(env.num_envs)
    script = torch.zeros(env.num_envs, dtype=torch.int64)
    accuracy = []
    for _ in range(60):
        for t in range(12):
            obs, reset = rollout.inputs(t)
            out = learner.act(obs, state, reset, last=rollout.last(t))
            rollout.record(t, out)
            actions = torch.cat((out.action, script[:, None]), 1)
            rollout.take(t, actions)
            env.step(actions, rollout.slot(t))
            rollout.finish_step(t)
            script = (script + 1) % 3
            state = out.state
        accuracy.append(learner.update(rollout)["moa_accuracy"])
        rollout.carry_over()
    # Half of what is predicted is the script, half the other learner, whose actions are a
    # guess at best: chance is a third, knowing the script alone two thirds.
    assert accuracy[0].max() < 0.5
    assert torch.stack(accuracy[-5:]).mean(0).min() > 0.6


def test_the_model_of_others_is_told_whom_to_leave_out():
    learner, env = make("a3c", "moa", visible_only=True)
    rollout = experience(learner, env, steps=6)
    rollout.visible.zero_()
    metrics = learner.update(rollout)
    assert metrics["moa_loss"].tolist() == [0.0] * 3
    assert metrics["influence"].tolist() == [0.0] * 3


def test_the_reported_error_of_predictions_is_a_mean_over_those_that_count():
    learner, env = make("a3c", "moa", visible_only=True)
    rollout = experience(learner, env, steps=12)
    rollout.visible.zero_()
    rollout.visible[:, :, :, 2] = 1  # one of an agent's two others, and it alone
    metrics = learner.update(rollout)
    # Untrained: not far from log 3, however few predictions count.
    assert ((metrics["moa_loss"][:2] - math.log(3)).abs() < 0.4).all()


@pytest.mark.parametrize("name", ["moa", "inequity", "comm"])
@pytest.mark.parametrize("kind", list(LEARNERS))
def test_training_goes_on_bit_for_bit(kind, name):
    def run(stop):
        learner, env = make(kind, name)
        rollout = new_rollout(learner, env, 7)
        rollout.begin(*env.begin(), visible=env.everybody())
        state = learner.initial_state(env.num_envs)
        for update in range(4):
            if update == stop:
                stored, meta = learner.tensors(), learner.meta()
                carried = learner.carried()
                learner, _ = make(kind, name)
                learner.load_tensors(stored)
                learner.load_meta(meta)
                learner.load_carried(carried)
            state = collect(learner, env, rollout, state)
            learner.update(rollout, update * 28)
            rollout.carry_over()
        return learner.tensors()

    first, second = run(None), run(2)
    for tensor in first:
        assert torch.equal(first[tensor], second[tensor]), tensor


@pytest.mark.parametrize("names", [(), ("visible-actions", "influence"), ("comm",)])
def test_views_are_predicted_from_what_was_heard(names):
    """What is shown is what is learnt: its errors are those of the loss."""
    env = Buttons(4, 3, horizon=5, seed=1)
    social = [PredictionOptions(), *(SOCIAL[name] for name in names)]
    learner = sharp(A3C(env.spec, SMALL, seed=3, social=social), 2.0)
    rollout = experience(learner, env, steps=7)
    errors = []
    for t in range(7):
        obs, reset = rollout.inputs(t)
        heard = (rollout.tokens[t],) if names else ()
        predicted = learner.predict_views(obs, rollout.state[t], reset, *heard)
        shape = (-1, -1, 1, *predicted.shape[3:])
        chosen = rollout.action[t][..., None, None, None, None].expand(shape)
        came = rollout.obs[t + 1].float() / 255
        error = (predicted.gather(2, chosen)[:, :, 0] - came).abs().mean((-1, -2, -3))
        errors.append(error[~rollout.done[t]])
    told = learner.update(rollout)["prediction_error"]
    torch.testing.assert_close(torch.cat(errors).mean(0), told, rtol=1e-4, atol=1e-5)
    if names:
        with pytest.raises(ValueError, match="needs what was heard"):
            learner.predict_views(obs, rollout.state[6], reset)


@dataclass(frozen=True)
class TripledOptions(MechanismOptions):
    name = "tripled"
    made_by = f"{__name__}:Tripled"


class Tripled(Mechanism):
    def reward(self, rewards):
        rewards.of["action"] = 3 * rewards.of["action"]


@pytest.mark.parametrize("name", MEASURED)
def test_influence_is_added_to_what_mechanisms_of_ones_own_made_of_rewards(name):
    options = replace(SOCIAL[name], environment_weight=0.5, influence_weight=2.0)
    env = Buttons(4, 3, horizon=5, seed=1)
    learner = A3C(env.spec, SMALL, seed=3, social=[options, TripledOptions()])
    rollout = experience(learner, env, steps=7)
    found = rewards_of(sharp(learner), rollout)
    influence, decision = found.numbers["influence_reward"], "comm" if name == "comm" else "action"
    assert rollout.reward.mean() > 0
    expected = 0.5 * 3 * rollout.reward.mean((0, 1)) + 2 * influence
    torch.testing.assert_close(found.of[decision].mean((0, 1)), expected, rtol=1e-4, atol=1e-5)


def test_what_is_heard_for_mechanisms_of_ones_own_stands_behind_messages():
    """Whatever order rewards change in: weights of earlier checkpoints are of these columns."""

    @dataclass(frozen=True)
    class SeenOptions(VisibleActionsOptions):
        name = "seen"

    env = Buttons(4, 3, horizon=5, seed=1)
    learner = A3C(env.spec, SMALL, social=[SeenOptions(), SOCIAL["comm"]])
    assert learner.social.names == ("comm", "seen")
    assert [one.compiled for one in learner.hearing.channels] == ["choices", "actions"]


def test_what_does_not_fit_is_refused():
    learner, env = make("ppo", "moa")
    with pytest.raises(ValueError, match="moa's memory"):
        learner.load_carried({"moa/memory": torch.zeros((4, 2, 14))})
    with pytest.raises(ValueError, match="not of this learner"):
        learner.load_carried({"inequity/smoothed": torch.zeros((4, 3))})
    with pytest.raises(ValueError, match="influencers 3"):
        PPO(env.spec, SMALL, social=[BasicInfluenceOptions(num_influencers=3)])
    alone = Buttons(4, 1).spec
    for name, message in (("moa", "no other agent"), ("comm", "at least two")):
        with pytest.raises(ValueError, match=message):
            PPO(alone, SMALL, social=[SOCIAL[name]])
    with pytest.raises(ValueError, match="one influence mechanism at most"):
        Chosen((BasicInfluenceOptions(), MoaOptions()))
    with pytest.raises(ValueError, match="each at most once"):
        Chosen((VisibleActionsOptions(), VisibleActionsOptions()))


def test_a_mechanism_without_a_known_role_is_not_put_on_the_list():
    @dataclass(frozen=True)
    class Odd(MechanismOptions):
        name = "odd"
        made_by = "somewhere:Odd"
        role = "heering"

    with pytest.raises(ValueError, match="Odd: its role is 'heering', not one of hearing, reward"):
        register_mechanism(Odd)
    assert "odd" not in Chosen.all()
