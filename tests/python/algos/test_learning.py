"""Every algorithm learns something trivial in seconds, with every seed tried."""

import pytest
import torch
from tests.python.algos.tiny import MODEL, Buttons, collect, new_rollout

from socialgrid.algos import PPO, BehaviourCloning, CloningConfig, PPOConfig
from socialgrid.social import MECHANISMS

FAST = PPOConfig(
    gamma=0.9,
    num_minibatches=8,
    minibatch_sequences=64,
    sequence_length=8,
    refresh_interval=4,
    learning_rate=5e-3,
    kl_target=0.05,
    kl_hard_limit=0.3,
    value_coef=0.5,
    entropy_coef=1e-3,
)


def train(learner, env, steps, updates):
    """Share of right presses among those that counted, in the last batch, per agent."""
    rollout = new_rollout(learner, env, steps)
    rollout.begin(*env.begin())
    state = learner.initial_state(env.num_envs)
    for _ in range(updates):
        state = collect(learner, env, rollout, state)
        metrics = learner.update(rollout)
        rollout.carry_over()
    return rollout.reward.mean((0, 1)), metrics


@pytest.mark.parametrize("ends", ["time limit", "termination"])
def test_ppo_learns_to_press_the_button_shown(learning_seed, ends):
    env = Buttons(32, 2, horizon=4, seed=learning_seed)
    env.ends_by_termination = ends == "termination"
    learner = PPO(env.spec, MODEL, FAST, seed=learning_seed)
    reward, _ = train(learner, env, 16, 30)
    assert reward.min() > 0.9, "chance is 0.33"


def test_ppo_learns_to_remember_a_cue(learning_seed):
    # Only memory tells which button was shown two steps before.
    env = Buttons(32, 2, horizon=3, recall=True, seed=learning_seed)
    # With less entropy one seed in four settles on two of the three buttons.
    learner = PPO(env.spec, MODEL, _with(entropy_coef=0.01), seed=learning_seed)
    reward, _ = train(learner, env, 24, 40)
    assert (reward * env.horizon).min() > 0.6, "chance is 0.33"


def test_ppo_learns_in_bfloat16(learning_seed):
    env = Buttons(32, 2, horizon=4, seed=learning_seed)
    learner = PPO(env.spec, MODEL, FAST, seed=learning_seed, precision="bf16")
    reward, _ = train(learner, env, 16, 30)
    assert reward.min() > 0.9


@pytest.mark.parametrize("aux", ["prediction", "reconstruction"])
def test_auxiliary_losses_fall(aux):
    # The next colour is this one plus the button pressed: without the action (or the colour) the
    # best prediction is black, 0.33 off.
    env = Buttons(32, 2, horizon=8, drift=True, seed=0)
    config = _with(entropy_coef=0.1, kl_target=None, kl_hard_limit=None)
    learner = PPO(env.spec, MODEL, config, seed=0, social=[MECHANISMS[aux]()])
    rollout = new_rollout(learner, env, 16)
    rollout.begin(*env.begin())
    state = learner.initial_state(32)
    errors = []
    for _ in range(30):
        state = collect(learner, env, rollout, state)
        errors.append(learner.update(rollout)[f"{aux}_error"])
        rollout.carry_over()
    assert errors[0].min() > 0.25
    assert errors[-1].max() < 0.25


def _with(**options):
    from dataclasses import replace

    return replace(FAST, **options)


def test_cloning_learns_what_an_expert_remembers(learning_seed):
    env = Buttons(32, 2, horizon=3, recall=True, seed=learning_seed)
    config = CloningConfig(
        num_minibatches=8, minibatch_sequences=64, sequence_length=8, learning_rate=5e-3
    )
    learner = BehaviourCloning(env.spec, MODEL, config, seed=learning_seed)
    before = learner.tensors()
    learner.set_learning([True, False])
    rollout = new_rollout(learner, env, 24)
    rollout.begin(*env.begin())
    for _ in range(10):
        for t in range(24):
            rollout.action[t] = env.cue
            env.step(env.cue, rollout.slot(t))
            rollout.finish_step(t)
        metrics = learner.update(rollout)
        rollout.carry_over()
    assert metrics["accuracy"][0] > 0.95
    assert metrics["cross_entropy"][0] < 0.2
    assert metrics["accuracy"][1].isnan()
    for name, x in learner.tensors().items():
        assert not name.startswith("model/") or torch.equal(x[1], before[name][1]), name
    state = learner.initial_state(32)
    state = collect(learner, env, rollout, state)
    assert rollout.reward[3:, :, 0].mean() * 3 > 0.85


def test_cloning_repeats_and_continues():
    def run(learner, updates):
        env = Buttons(8, 1, horizon=3, seed=0)
        rollout = new_rollout(learner, env, 9)
        rollout.begin(*env.begin())
        for _ in range(updates):
            for t in range(9):
                rollout.action[t] = env.cue
                env.step(env.cue, rollout.slot(t))
                rollout.finish_step(t)
            learner.update(rollout)
        return learner

    config = CloningConfig(num_minibatches=2, minibatch_sequences=8, max_grad_norm=1.0)
    spec = Buttons(1, 1).spec
    first = run(BehaviourCloning(spec, MODEL, config, seed=4), 2)
    second = run(BehaviourCloning(spec, MODEL, config, seed=4), 2)
    for name, x in first.tensors().items():
        assert torch.equal(x, second.tensors()[name]), name
    other = BehaviourCloning(spec, MODEL, config, seed=5)
    other.load_tensors(first.tensors())
    other.load_meta(first.meta())
    assert other.updates == 2
    with pytest.raises(ValueError, match="num_minibatches"):
        CloningConfig(num_minibatches=0)
