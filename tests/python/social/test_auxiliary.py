"""Auxiliary losses."""

import numpy as np
import pytest
import torch
from tests.python.algos.tiny import MODEL, Buttons, experience

from socialgrid.algos import PPO, PPOConfig
from socialgrid.models import Recall, from_patches
from socialgrid.social import PredictionOptions, ReconstructionOptions, make_mechanisms


@pytest.fixture
def case():
    env = Buttons(4, 2, horizon=5, recall=True)
    learner = PPO(env.spec, MODEL, PPOConfig(), seed=0, social=[PredictionOptions()])
    rollout = experience(learner, env, steps=11)
    rollout.active[6:, 1, 0] = False
    batch = Recall(rollout, learner.model, learner.device)
    places = torch.randint(batch.places(5), (2, 9), generator=torch.Generator().manual_seed(0))
    starts, envs = batch.sequences(places)
    part = batch.minibatches([0, 1], starts, envs, 5, 9)[0]()
    outputs = learner.outputs(learner.model, part)
    return rollout, part, outputs, starts, envs


@pytest.mark.parametrize("name", ["prediction", "reconstruction"])
def test_error_is_the_mean_over_comparable_steps(case, name):
    # One view and one pixel at a time; steps at the end of an episode or of an agent's play have
    # no next view of their own.
    rollout, part, outputs, starts, envs = case
    options = {"prediction": PredictionOptions, "reconstruction": ReconstructionOptions}[name]
    mechanism = make_mechanisms([options(coef=2.0)], outputs.network.spec)[0]
    # Both read the same branch; the learner's is called after its own.
    outputs.network.branches[name] = outputs.network.branches["prediction"]
    weighted, metrics = mechanism.loss(outputs, part)
    loss = weighted / 2.0
    predicted = mechanism.predict(outputs.network, outputs.core, part.action.flatten(1))
    predicted = from_patches(predicted, outputs.network.spec).view(2, 5, 9, 2, 2, 3)
    ahead = 1 if name == "prediction" else 0
    for agent in range(2):
        errors = []
        for s in range(9):
            e = int(envs[agent, s])
            for i in range(5):
                t = int(starts[agent, s]) + i
                in_play = bool(rollout.active[t, e, agent])
                over = bool(rollout.done[t, e]) or not bool(rollout.active[t + 1, e, agent])
                if not in_play or (ahead and over):
                    continue
                target = rollout.obs[t + ahead, e, agent].numpy() / 255.0
                errors.append(np.abs(predicted[agent, i, s].detach().numpy() - target).mean())
        assert loss[agent].item() == pytest.approx(np.mean(errors), abs=1e-6)
    assert torch.equal(metrics[f"{name}_error"], loss)
    loss.sum().backward()
    reached = {n for n, p in outputs.network.named_parameters() if p.grad is not None}
    assert {"branches.prediction.weight", "lstm.weight_hh", "encoder.first.weight"} <= reached
    assert not any(n.startswith(("value_head", "policy_head")) for n in reached)
