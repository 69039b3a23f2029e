"""What recurrent PPO owes: exact ratios, real restores, agents that do not touch each other."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.python.algos.tiny import MODEL, Buttons, collect, copy_simulated, experience, new_rollout

from socialgrid.algos import PPO, PPOConfig
from socialgrid.data import gae, next_values
from socialgrid.models import NonFiniteError, Recall, ViewSpec
from socialgrid.social import PredictionOptions

QUICK = PPOConfig(
    num_minibatches=4,
    minibatch_sequences=16,
    sequence_length=6,
    learning_rate=3e-3,
    kl_target=None,
    kl_hard_limit=None,
)


def make(config=QUICK, agents=2, seed=1, **options):
    env = Buttons(6, agents, horizon=5, recall=True)
    return PPO(env.spec, MODEL, config, seed=seed, **options), env


def state_of(learner):
    return {name: x.clone() for name, x in learner.tensors().items()}


def same(before, after, agent, prefix=("model/", "optimiser/")):
    return all(
        torch.equal(before[name][agent], after[name][agent])
        for name in before
        if name.startswith(prefix)
    )


def estimated(learner, rollout):
    """A batch with advantages and targets."""
    whole = learner.shards(rollout)
    learner.rewards(whole, 0.0)
    learner.estimate(whole, learner.model, list(range(learner.num_agents)))
    return whole.parts[0]


def first_minibatch(learner, rollout, length=6):
    batch = Recall(rollout, learner.model, learner.device)
    agents = list(range(learner.num_agents))
    starts, envs = batch.sequences(
        torch.randint(
            batch.places(length), (len(agents), 64), generator=torch.Generator().manual_seed(0)
        )
    )
    part = batch.minibatches(agents, starts, envs, length, 64)[0]()
    return batch, part


def test_ratio_is_one_before_the_first_step_across_episode_borders():
    learner, env = make()
    rollout = experience(learner, env, steps=17)
    _, part = first_minibatch(learner, rollout)
    assert part.reset[:, 1:].any(), "some subsequence must cross a border"
    _, numbers = learner.loss(learner.model, part)
    assert numbers["kl"].abs().max() < 1e-7
    assert not numbers["clip_fraction"].any()
    agents, length, sequences = part.action.shape
    features = learner.model.encode(part.views[:, :-1].flatten(1, 2))
    features = features.view(agents, length, sequences, -1)
    h, _ = learner.model.remember(features, part.state, part.reset)
    log_prob = learner.model.logits(h.flatten(1, 2)).log_softmax(-1)
    log_prob = log_prob.gather(-1, part.action.flatten(1).unsqueeze(-1)).squeeze(-1)
    ratio = (log_prob - part.decisions["action"].log_prob.flatten(1)).exp()
    torch.testing.assert_close(ratio, torch.ones_like(ratio), rtol=0, atol=2e-6)


def test_recorded_probabilities_are_those_of_the_sampled_actions():
    learner, env = make()
    rollout = experience(learner, env, steps=4)
    counts = torch.zeros(3)
    obs, reset = rollout.inputs(0)
    state = learner.initial_state(6)
    for _ in range(400):
        out = learner.act(obs, state, reset)
        counts += torch.bincount(out.action[:, 0], minlength=3)
    views = learner.model.prepare(obs.transpose(0, 1))
    core, _ = learner.model.step(views, state.transpose(0, 1), reset.t())
    probabilities = learner.model.logits(core).softmax(-1)[0].mean(0)
    torch.testing.assert_close(counts / counts.sum(), probabilities, rtol=0, atol=0.03)
    greedy = learner.act(obs, state, reset, greedy=True)
    assert torch.equal(greedy.action.t(), learner.model.logits(core).argmax(-1))


def test_losses_are_those_of_the_paper():
    # Clipped surrogate, mean squared value error, entropy, weights 0.1, 3 and 1e-5.
    config = QUICK
    learner, env = make(config, social=[PredictionOptions()])
    _, part = first_minibatch(learner, experience(learner, env, steps=17))
    gen = torch.Generator().manual_seed(3)
    part.decisions["action"].log_prob += 0.3 * torch.randn(
        part.decisions["action"].log_prob.shape, generator=gen
    )
    part.decisions["action"].advantage = torch.randn(
        part.decisions["action"].advantage.shape, generator=gen
    )
    part.decisions["action"].target = torch.randn(
        part.decisions["action"].target.shape, generator=gen
    )
    loss, numbers = learner.loss(learner.model, part)
    agents, length, sequences = part.action.shape
    features = learner.model.encode(part.views[:, :-1].flatten(1, 2))
    features = features.view(agents, length, sequences, -1)
    h, _ = learner.model.remember(features, part.state, part.reset)
    core = h.flatten(1, 2)
    for agent in range(agents):
        logits = learner.model.logits(core)[agent].detach().numpy().astype(np.float64)
        value = learner.model.value(core)[agent].detach().numpy()
        p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        action = part.action[agent].flatten().numpy()
        old = part.decisions["action"].log_prob[agent].flatten().numpy()
        log_prob = np.log(p[np.arange(len(p)), action])
        ratio, advantage = (
            np.exp(log_prob - old),
            part.decisions["action"].advantage[agent].flatten().numpy(),
        )
        gain = np.minimum(ratio * advantage, np.clip(ratio, 0.8, 1.2) * advantage)
        policy = -gain.mean()
        squares = ((value - part.decisions["action"].target[agent].flatten().numpy()) ** 2).mean()
        entropy = -(p * np.log(p)).sum(-1).mean()
        kl = (old - log_prob).mean()
        outside = ((ratio < 0.8) | (ratio > 1.2)).mean()
        aux = numbers["prediction_error"][agent].item()
        total = policy + 0.1 * squares + 3 * aux - 1e-5 * entropy
        for name, want in [
            ("policy_loss", policy),
            ("value_loss", squares),
            ("entropy", entropy),
            ("kl", kl),
            ("clip_fraction", outside),
        ]:
            assert numbers[name][agent].item() == pytest.approx(want, abs=1e-5), name
        assert loss[agent].item() == pytest.approx(total, abs=1e-5)


def test_defaults_are_the_papers():
    config = PPOConfig()
    assert (config.num_minibatches, config.minibatch_sequences) == (20, 512)
    assert (config.sequence_length, config.refresh_interval) == (16, 2)
    assert (config.gamma, config.gae_lambda, config.clip) == (0.993, 0.97, 0.2)
    assert (config.kl_target, config.kl_hard_limit) == (0.01, 0.03)
    assert (config.value_coef, config.entropy_coef) == (0.1, 1e-5)
    assert PredictionOptions().coef == 3.0
    assert config.learning_rate == 1e-4


def test_pieces_add_up_to_the_minibatch(monkeypatch):
    # Gradients accumulate over pieces that fit the cache; their size must not matter.
    results = []
    for size in (1, 5, 1000):
        learner, env = make(replace(QUICK, num_minibatches=1), social=[PredictionOptions()])
        rollout = experience(learner, env)
        monkeypatch.setattr(
            "socialgrid.algos.on_policy.gradient_steps.piece_length", lambda *a, n=size: n
        )
        metrics = learner.update(rollout)
        results.append((metrics["policy_loss"], learner.tensors()))
    for loss, tensors in results[1:]:
        torch.testing.assert_close(loss, results[0][0], rtol=1e-4, atol=1e-6)
        for name, x in tensors.items():
            if name.startswith("optimiser/first"):
                torch.testing.assert_close(x, results[0][1][name], rtol=1e-3, atol=1e-6)


def test_divergence_restores_parameters_and_optimiser():
    # The public code's restore keeps references, so nothing comes back; here everything does.
    learner, env = make(replace(QUICK, kl_hard_limit=1e-3, learning_rate=0.05))
    learner.update(experience(learner, env))
    rollout = experience(learner, env)
    before = state_of(learner)
    metrics = learner.update(rollout)
    assert metrics["restored"].tolist() == [1.0, 1.0]
    assert metrics["gradient_steps"].min() >= 1, "something must have been undone"
    after = state_of(learner)
    assert same(before, after, 0)
    assert same(before, after, 1)
    learner.config = replace(learner.config, kl_hard_limit=None)
    assert learner.update(rollout)["restored"].tolist() == [0.0, 0.0]
    assert not same(after, state_of(learner), 0)


def test_the_final_check_alone_restores_too():
    # One minibatch: its divergence is 0 before the step, so only the check afterwards can see it.
    config = replace(QUICK, num_minibatches=1, kl_hard_limit=1e-3, learning_rate=0.2)
    learner, env = make(config)
    rollout = experience(learner, env)
    before = state_of(learner)
    metrics = learner.update(rollout)
    assert metrics["kl"].abs().max() < 1e-6
    assert metrics["kl_final"].min() > 1e-3
    assert metrics["restored"].tolist() == [1.0, 1.0]
    assert same(before, state_of(learner), 0)
    assert same(before, state_of(learner), 1)


def test_a_stopped_agent_keeps_every_bit_while_others_go_on():
    config = replace(QUICK, num_minibatches=6, kl_target=0.01, learning_rate=(0.1, 1e-5))
    learner, env = make(config)
    rollout = experience(learner, env)
    metrics = learner.update(rollout)
    steps = metrics["gradient_steps"].tolist()
    assert 1 <= steps[0] < steps[1] == 6
    # The same run, ended when agent 0 stops, must leave agent 0 where the long one left it.
    short, env = make(replace(config, num_minibatches=int(steps[0])))
    rollout = experience(short, env)
    assert short.update(rollout)["gradient_steps"].tolist() == [steps[0]] * 2
    assert same(short.tensors(), learner.tensors(), 0)
    assert not same(short.tensors(), learner.tensors(), 1)
    assert learner.optimiser.steps.tolist() == steps


def test_the_stop_factor_of_the_public_code():
    def steps(target, factor):
        config = replace(QUICK, num_minibatches=8, learning_rate=3e-3, kl_target=target)
        learner, env = make(replace(config, kl_stop_factor=factor))
        return learner.update(experience(learner, env))["gradient_steps"].tolist()

    targets = [2.0**-k for k in range(4, 14)]
    wide = [steps(target, 1.5) for target in targets]
    assert wide == [steps(1.5 * target, 1.0) for target in targets]
    assert wide != [steps(target, 1.0) for target in targets]
    assert steps(None, 1.5) == [8.0, 8.0]


def test_changing_one_agents_data_does_not_change_anothers_update():
    results = []
    for change in (False, True):
        learner, env = make(social=[PredictionOptions()])
        rollout = experience(learner, env)
        if change:
            rollout.reward[..., 1] += torch.randn(rollout.reward[..., 1].shape)
            rollout.obs[:, :, 1] = 255 - rollout.obs[:, :, 1]
        learner.update(rollout)
        results.append(learner.tensors())
    assert same(results[0], results[1], 0)
    assert not same(results[0], results[1], 1)


def test_frozen_agents_stay_and_learning_ones_do_not_notice():
    results = []
    for mask in ([True, True], [True, False]):
        learner, env = make()
        learner.set_learning(mask)
        rollout = experience(learner, env)
        before = state_of(learner)
        metrics = learner.update(rollout)
        results.append(learner.tensors())
        assert same(before, learner.tensors(), 1) != mask[1]
        assert metrics["policy_loss"][1].isnan().item() != mask[1]
    for name, x in results[0].items():
        if name.startswith(("model/", "optimiser/first")):
            torch.testing.assert_close(x[0], results[1][name][0], rtol=1e-4, atol=1e-6)
    learner.set_learning([False, False])
    before = state_of(learner)
    metrics = learner.update(rollout)
    assert all(x.isnan().all() for x in metrics.values())
    assert same(before, learner.tensors(), 0)
    with pytest.raises(ValueError, match="learning mask"):
        learner.set_learning([True])


def test_an_agent_learns_the_same_whoever_else_there_is():
    # Same id: same weights, draws and data in a world of its own.
    many, env = make(agents=3)
    rollout = experience(many, env)
    alone = PPO(ViewSpec(2, 2, 1, (3,)), MODEL, QUICK, seed=1, agent_ids=[2])
    single = new_rollout(alone, env, 12, agents=(2,))
    copy_simulated(rollout, single)
    state = alone.initial_state(6)
    for t in range(12):
        out = alone.act(*_inputs(single, t, state))
        single.record(t, out)
        state = out.state
    assert torch.equal(single.action[..., 0], rollout.action[..., 2])
    many.update(rollout)
    alone.update(single)
    for name, x in alone.tensors().items():
        torch.testing.assert_close(x[0], many.tensors()[name][2], rtol=1e-3, atol=1e-5)


def _inputs(rollout, t, state):
    obs, reset = rollout.inputs(t)
    return obs, state, reset


def test_inactive_steps_have_no_influence():
    results = []
    for noise in (0.0, 5.0):
        learner, env = make(social=[PredictionOptions()])
        rollout = experience(learner, env)
        rollout.active[4:7, :, 0] = False
        rollout.reset[4:7, :, 0] = True
        rollout.terminated[3, :, 0] = True
        rollout.truncated[3, :, 0] = False
        rollout.truncated[4:6, :, 0] = False
        rollout.reward[4:7, :, 0] += noise
        rollout.action[4:7, :, 0] = 0 if noise else 1
        learner.update(rollout)
        results.append(learner.tensors())
    assert same(results[0], results[1], 0)


def test_time_limits_bootstrap_with_the_last_view_and_terminations_do_not():
    for by_termination in (False, True):
        learner, env = make(replace(QUICK, normalize_advantages=False))
        env.ends_by_termination = by_termination
        rollout = experience(learner, env)
        batch = estimated(learner, rollout)
        last, final = batch.bootstrap(learner.model, [0, 1])["action"]
        assert rollout.done.any()
        following = next_values(
            rollout.decisions["action"].value, last, rollout.terminated, rollout.truncated, final
        )
        ended = rollout.done
        want = torch.zeros_like(final[ended]) if by_termination else final[ended]
        assert want.any() != by_termination
        torch.testing.assert_close(following[ended], want)
        continues = ~(rollout.terminated | rollout.truncated)
        advantage = gae(
            rollout.reward,
            rollout.decisions["action"].value,
            following,
            continues,
            gamma=0.993,
            lam=0.97,
        )
        torch.testing.assert_close(batch.decisions["action"].advantage, advantage)
        torch.testing.assert_close(
            batch.decisions["action"].target, advantage + rollout.decisions["action"].value
        )


def test_advantages_are_normalised_over_steps_in_play():
    learner, env = make()
    rollout = experience(learner, env)
    rollout.active[2:5, 1, 0] = False
    rollout.reward += torch.rand(12, 6, 2)
    batch = estimated(learner, rollout)
    for agent in range(2):
        seen = batch.decisions["action"].advantage[..., agent][batch.mask[..., agent]]
        assert seen.mean().abs() < 1e-5
        assert seen.std(correction=0) == pytest.approx(1.0, abs=1e-4)


def test_options_of_the_public_code():
    learner, env = make(
        replace(QUICK, delta="public", value_target="discounted_return", normalize_advantages=False)
    )
    rollout = experience(learner, env)
    batch = estimated(learner, rollout)
    last, _final = batch.bootstrap(learner.model, [0, 1])["action"]
    # One step before the end of the batch both are sums of one term.
    t = -1
    inside = ~rollout.done[t]
    delta = rollout.reward[t] + 0.993 * (last - rollout.decisions["action"].value[t])
    target = rollout.reward[t] + 0.993 * last
    torch.testing.assert_close(batch.decisions["action"].advantage[t][inside], delta[inside])
    torch.testing.assert_close(batch.decisions["action"].target[t][inside], target[inside])


def test_refreshing_uses_current_parameters():
    used = []
    for interval in (0, 1):
        learner, env = make(replace(QUICK, refresh_interval=interval, learning_rate=0.02))
        rollout = experience(learner, env)
        calls = []
        original = Recall.refresh

        def counted(self, *args, original=original, calls=calls, **options):
            calls.append(1)
            return original(self, *args, **options)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Recall, "refresh", counted)
            metrics = learner.update(rollout)
        used.append((len(calls), metrics["value_mean"].clone()))
    assert [count for count, _ in used] == [0, 3]
    assert not torch.equal(used[0][1], used[1][1])


def test_recorded_experience_is_not_changed_by_learning():
    learner, env = make()
    rollout = experience(learner, env)
    before = (
        rollout.state.clone(),
        rollout.decisions["action"].value.clone(),
        rollout.decisions["action"].log_prob.clone(),
    )
    learner.update(rollout)
    assert torch.equal(rollout.state, before[0])
    assert torch.equal(rollout.decisions["action"].value, before[1])
    assert torch.equal(rollout.decisions["action"].log_prob, before[2])


def test_runs_repeat_bit_for_bit_and_continue_from_saved_tensors(tmp_path):
    def run(learner, env, rollout, state, updates):
        for _ in range(updates):
            state = collect(learner, env, rollout, state)
            learner.update(rollout)
            rollout.carry_over()
        return state

    results = []
    for _ in range(2):
        learner, env = make(social=[PredictionOptions()])
        rollout = new_rollout(learner, env, 9)
        rollout.begin(*env.begin())
        state = run(learner, env, rollout, learner.initial_state(6), 2)
        save_file(learner.tensors(), tmp_path / "learner.safetensors")
        meta = learner.meta()
        run(learner, env, rollout, state, 2)
        results.append(learner.tensors())
    for name, x in results[0].items():
        assert torch.equal(x, results[1][name]), name
    # Another learner takes over in the middle.
    learner, env = make(social=[PredictionOptions()])
    rollout = new_rollout(learner, env, 9)
    rollout.begin(*env.begin())
    state = run(learner, env, rollout, learner.initial_state(6), 2)
    other, _ = make(seed=77, social=[PredictionOptions()])
    other.load_tensors(load_file(tmp_path / "learner.safetensors"))
    other.load_meta(meta)
    run(other, env, rollout, state, 2)
    for name, x in other.tensors().items():
        assert torch.equal(x, results[0][name]), name
    assert other.updates == 4


def test_saved_tensors_are_complete_and_checked():
    learner, env = make()
    tensors = learner.tensors()
    assert all(len(x) == 2 for x in tensors.values())
    assert all(x.is_contiguous() for x in tensors.values())
    learner.update(experience(learner, env))
    before = state_of(learner)
    for name in ("key", "model/lstm.weight_hh", "optimiser/steps"):
        damaged = dict(tensors)
        del damaged[name]
        with pytest.raises(ValueError, match=name):
            learner.load_tensors(damaged)
        damaged[name] = tensors[name][:1]
        with pytest.raises(ValueError, match=name):
            learner.load_tensors(damaged)
    with pytest.raises(ValueError, match="unknown"):
        learner.load_tensors({**tensors, "model/other": torch.zeros(2)})
    for name, x in learner.tensors().items():
        assert torch.equal(x, before[name]), name
    with pytest.raises(ValueError, match="algorithm"):
        learner.load_meta({**learner.meta(), "algorithm": "dqn"})


def test_agents_move_between_learners():
    learner, env = make(agents=3)
    learner.update(experience(learner, env))
    single = PPO(ViewSpec(2, 2, 1, (3,)), MODEL, QUICK, seed=8)
    single.put_agent(0, learner.take_agent(2))
    for name, x in single.tensors().items():
        assert torch.equal(x[0], learner.tensors()[name][2]), name
    with pytest.raises(ValueError, match="missing"):
        single.put_agent(0, {})


@pytest.mark.parametrize("agent", [0, 1])
def test_non_finite_rewards_stop_the_run(tmp_path, agent):
    learner, env = make(dump_dir=tmp_path)
    rollout = experience(learner, env)
    rollout.reward[3, 2, agent] = float("nan")
    before = state_of(learner)
    with pytest.raises(NonFiniteError, match=f"reward in update 1, agent {agent}") as caught:
        learner.update(rollout)
    assert load_file(caught.value.dump)["values"].isnan().any()
    assert same(before, learner.tensors(), 0)
    assert same(before, learner.tensors(), 1)


def test_non_finite_losses_stop_the_run_and_undo_the_update(tmp_path):
    learner, env = make(replace(QUICK, num_minibatches=5, learning_rate=1e30), dump_dir=tmp_path)
    rollout = experience(learner, env)
    before = state_of(learner)
    with pytest.raises(NonFiniteError, match="in update 1, agent 0") as caught:
        learner.update(rollout)
    assert caught.value.agent == 0
    assert same(before, learner.tensors(), 0)
    assert same(before, learner.tensors(), 1)
    assert caught.value.dump is not None
    dumped = load_file(caught.value.dump)
    assert {"views", "action/choice", "action/advantage", "values"} <= dumped.keys()


def test_non_finite_parameters_are_never_left_behind():
    learner, env = make(replace(QUICK, num_minibatches=1, learning_rate=float("inf")))
    before = state_of(learner)
    with pytest.raises(NonFiniteError, match="dump_dir"):
        learner.update(experience(learner, env))
    assert same(before, learner.tensors(), 0)


@pytest.mark.parametrize("social", [(), (PredictionOptions(),)])
def test_bfloat16_agrees_with_float32(social):
    results = []
    config = replace(QUICK, num_minibatches=1)
    for precision in ("float32", "bf16"):
        learner, env = make(config, social=social, precision=precision)
        exact, _ = make(config, social=social)
        rollout = experience(exact, env)
        metrics = learner.update(rollout)
        results.append((metrics, learner.tensors()))
    for name in ("value_loss", "entropy", *(["prediction_error"] if social else [])):
        torch.testing.assert_close(results[1][0][name], results[0][0][name], rtol=0.05, atol=2e-3)
    for name, x in results[0][1].items():
        if name.startswith("optimiser/first"):
            a, b = x.flatten(), results[1][1][name].flatten()
            assert torch.cosine_similarity(a, b, dim=0) > 0.9, name


def test_gradients_can_be_clipped():
    learner, env = make(replace(QUICK, max_grad_norm=1e-9, num_minibatches=1))
    learner.update(experience(learner, env))
    for name, x in learner.optimiser.first.items():
        assert x.abs().max() <= 1.1e-10, name


def test_learning_rates_can_change():
    learner, env = make()
    learner.set_learning_rate([0.0, 1e-3])
    before = state_of(learner)
    learner.update(experience(learner, env))
    after = learner.tensors()
    assert same(before, after, 0, prefix="model/")
    assert not same(before, after, 1, prefix="model/")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gamma": 1.5}, "gamma"),
        ({"gae_lambda": -0.1}, "gae_lambda"),
        ({"num_minibatches": 0}, "num_minibatches"),
        ({"refresh_interval": -1}, "refresh_interval"),
        ({"clip": 0.0}, "clip"),
        ({"kl_target": -1.0}, "kl_target"),
        ({"learning_rate": (-1.0,)}, "learning_rate"),
        ({"learning_rate": (1e-4,) * 3}, "3 learning rates for 2 agents"),
    ],
)
def test_impossible_configurations_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make(replace(QUICK, **options))
