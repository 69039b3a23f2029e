"""torch.compile is an option: same numbers, to rounding."""

from dataclasses import replace

import pytest
import torch
from tests.python.algos.tiny import MODEL, Buttons, experience

from socialgrid.algos import PPO, PPOConfig
from socialgrid.social import PredictionOptions


# PyTorch's compiler trips over warnings of PyTorch itself when they are errors.
@pytest.mark.filterwarnings("ignore")
def test_compiled_networks_agree_with_plain_ones():
    torch.set_num_threads(1)
    config = PPOConfig(
        num_minibatches=2,
        minibatch_sequences=16,
        sequence_length=6,
        kl_target=None,
        kl_hard_limit=None,
    )
    results = []
    for compiled in (False, True):
        env = Buttons(6, 2, horizon=5, recall=True)
        learner = PPO(
            env.spec,
            MODEL,
            replace(config, compile=compiled),
            seed=1,
            social=[PredictionOptions()],
        )
        rollout = experience(learner, env)
        metrics = learner.update(rollout)
        results.append((rollout.decisions["action"].log_prob, metrics, learner.tensors()))
    torch.testing.assert_close(results[0][0], results[1][0], rtol=1e-4, atol=1e-5)
    for name in ("value_loss", "prediction_error"):
        torch.testing.assert_close(results[0][1][name], results[1][1][name], rtol=1e-3, atol=1e-5)
    for name, x in results[0][2].items():
        if name.startswith("optimiser/first"):
            torch.testing.assert_close(x, results[1][2][name], rtol=1e-2, atol=1e-5)
