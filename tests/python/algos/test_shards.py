"""Shards: the same bits whoever computes them, and nearly the same numbers as without them."""

import os
import re
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from tests.python.algos.test_ppo import QUICK
from tests.python.algos.tiny import MODEL, Buttons, collect, experience, new_rollout

from socialgrid.algos import A3C, PPO, A3CConfig, BehaviourCloning, CloningConfig, Shards, tree_sum
from socialgrid.social import (
    BasicInfluenceOptions,
    CommOptions,
    InequityOptions,
    MoaOptions,
    PredictionOptions,
    VisibleActionsOptions,
)

ENVS, SHARDS = 12, 4
STEPS = {"kl_target": None, "kl_hard_limit": 5.0, "minibatch_sequences": 16, "num_minibatches": 4}
KINDS = {
    "ppo": (PPO, replace(QUICK, **STEPS, normalize_advantages=True, max_grad_norm=0.5)),
    "a3c": (A3C, A3CConfig(learning_rate=1e-2, normalize_advantages=True)),
    "cloning": (
        BehaviourCloning,
        CloningConfig(num_minibatches=4, minibatch_sequences=16, sequence_length=5),
    ),
}
SOCIAL = {
    "nothing": (),
    "prediction": (PredictionOptions(),),
    "influence": (BasicInfluenceOptions(), PredictionOptions()),
    "moa": (MoaOptions(memory=7), VisibleActionsOptions(), InequityOptions()),
    "comm": (CommOptions(vocabulary=4),),
}


def trained(kind, social="nothing", *, shards=SHARDS, threads=1, updates=2):
    """Everything that two updates come to, by name."""
    torch.manual_seed(0)
    make, config = KINDS[kind]
    env = Buttons(ENVS, 3, horizon=5, recall=True)
    learner = make(env.spec, MODEL, replace(config, shards=shards), seed=1, social=SOCIAL[social])
    learner.workers.threads = threads
    found = {}
    for update in range(updates):
        rollout = experience(learner, env)
        rollout.active[3:6, 2, 1] = False
        metrics = learner.update(rollout, update * ENVS * 12)
        found |= {f"{update}/{name}": x for name, x in metrics.items()}
        found |= {f"{update}/pairs/{name}": x for name, x in learner.pairs().items()}
        found |= {f"{update}/made/{name}": d.log_prob for name, d in rollout.decisions.items()}
    return found | learner.tensors() | learner.carried()


CASES = [
    *(("ppo", name) for name in SOCIAL),
    *(("a3c", name) for name in SOCIAL),
    ("cloning", "nothing"),
]


@pytest.mark.parametrize(("kind", "social"), CASES)
def test_any_number_of_threads_gives_the_same_bits(kind, social):
    one = trained(kind, social)
    for threads in (2, 3):
        other = trained(kind, social, threads=threads)
        assert one.keys() == other.keys()
        for name, x in one.items():
            assert torch.equal(x.nan_to_num(-7.0), other[name].nan_to_num(-7.0)), name


def test_any_number_of_threads_gives_the_same_bits_without_kernels():
    program = (
        "import torch; torch.set_num_threads(1)\n"
        "from tests.python.algos.test_shards import trained\n"
        "from socialgrid.models.kernels import KERNELS\n"
        "assert KERNELS is None\n"
        "for case in (('ppo', 'influence'), ('a3c', 'moa')):\n"
        "    one, other = trained(*case), trained(*case, threads=3)\n"
        "    assert all(torch.equal(x.nan_to_num(-7.0), other[n].nan_to_num(-7.0))\n"
        "               for n, x in one.items()), case\n"
    )
    env = {**os.environ, "SOCIALGRID_KERNELS": "off", "PYTHONPATH": os.getcwd()}
    subprocess.run([sys.executable, "-c", program], env=env, check=True)


@pytest.mark.parametrize(("kind", "social"), [("a3c", name) for name in SOCIAL])
def test_shards_change_nothing_but_rounding_where_nothing_is_drawn_of_a_batch(kind, social):
    # One update: whatever differs then has led to other actions.
    whole, shared = (trained(kind, social, shards=n, updates=1) for n in (1, SHARDS))
    for name, x in whole.items():
        if not name.startswith("optimiser/second"):
            torch.testing.assert_close(
                shared[name], x, rtol=1e-3, atol=1e-5, equal_nan=True, msg=name
            )


def test_shards_change_nothing_but_draws_and_rounding(monkeypatch):
    # Every sequence there is, once: the same minibatch however the batch is divided.
    def every(self, limit, step, envs, *, kind, places, agents):
        return torch.arange(places).expand(len(agents), len(envs), -1)

    monkeypatch.setattr("socialgrid.models.draws.AgentDraws.integers", every)
    make, config = KINDS["ppo"]
    found = []
    for shards in (1, SHARDS):
        env = Buttons(ENVS, 2, horizon=5, recall=True)
        options = replace(config, shards=shards, minibatch_sequences=ENVS * 8, sequence_length=5)
        learner = make(env.spec, MODEL, options, seed=1, social=SOCIAL["prediction"])
        rollout = experience(learner, env)
        found.append((learner.update(rollout), learner.tensors()))
    (metrics, tensors), (others, their) = found
    for name, x in metrics.items():
        torch.testing.assert_close(others[name], x, rtol=1e-3, atol=1e-5, msg=name)
    for name, x in tensors.items():
        if name.startswith("model/"):
            torch.testing.assert_close(their[name], x, rtol=1e-3, atol=1e-4, msg=name)


def test_every_minibatch_has_as_many_sequences_of_every_shard(monkeypatch):
    make, config = KINDS["ppo"]
    env = Buttons(ENVS, 2, horizon=5, recall=True)
    learner = make(env.spec, MODEL, replace(config, shards=SHARDS), seed=1)
    whole = learner.shards(experience(learner, env))
    drawn = learner.draw_minibatches(whole, [0, 1], minibatches=3, sequences=16, length=5)
    assert len(drawn.starts) == SHARDS
    assert all(x.shape == (2, 3, 4) for x in (*drawn.starts, *drawn.envs))
    assert drawn.counts.tolist() == [[[80] * 3] * 2, drawn.counts[1].tolist()]
    # On an accelerator one part holds all shards, and the same sequences are drawn.
    one = Shards(experience(learner, env), learner.model, learner.device)
    one.count = one.within = SHARDS
    together = learner.draw_minibatches(one, [0, 1], minibatches=3, sequences=16, length=5)
    assert torch.equal(together.starts[0], torch.cat(drawn.starts, -1))
    own = [x + k * (ENVS // SHARDS) for k, x in enumerate(drawn.envs)]
    assert torch.equal(together.envs[0], torch.cat(own, -1))


def test_a_part_of_a_rollout_is_what_its_environments_would_have_recorded():
    learner = PPO(Buttons(6, 2).spec, MODEL, QUICK, seed=1)
    rollout = experience(learner, Buttons(6, 2, horizon=4))
    index, views = rollout.final_index, rollout.final_obs
    assert len(index) > 6
    for first, count in ((0, 6), (0, 2), (2, 3), (5, 1)):
        part = rollout.part(first, count)
        inside = (index[:, 1] >= first) & (index[:, 1] < first + count)
        assert torch.equal(part.final_index, index[inside] - torch.tensor([0, first]))
        assert torch.equal(part.final_obs, views[inside])
    halves = rollout.part(2, 4).part(1, 2)
    inside = (index[:, 1] >= 3) & (index[:, 1] < 5)
    assert torch.equal(halves.final_index, index[inside] - torch.tensor([0, 3]))


@pytest.mark.parametrize("kind", ["ppo", "a3c"])
def test_a_run_goes_on_with_other_threads_bit_for_bit(kind):
    make, config = KINDS[kind]

    def run(threads):
        env = Buttons(ENVS, 3, horizon=5, recall=True)
        options = {"seed": 1, "social": SOCIAL["moa"]}
        learner = make(env.spec, MODEL, replace(config, shards=SHARDS), **options)
        rollout = new_rollout(learner, env, 9)
        rollout.begin(*env.begin(), visible=env.everybody())
        for update, count in enumerate(threads):
            if update:
                kept = learner.tensors(), learner.meta(), learner.carried()
                learner = make(env.spec, MODEL, replace(config, shards=SHARDS), **options)
                learner.load_tensors(kept[0])
                learner.load_meta(kept[1])
                learner.load_carried(kept[2])
            learner.workers.threads = count
            collect(learner, env, rollout, learner.initial_state(ENVS))
            learner.update(rollout)
            rollout.carry_over()
        return learner.tensors()

    one, other = run((1, 1, 1)), run((3, 1, 2))
    for name, x in one.items():
        assert torch.equal(x, other[name]), name


def test_sums_follow_a_balanced_tree():
    def order(count):
        return tree_sum([str(i) for i in range(count)], "({}{})".format)

    assert [order(n) for n in (1, 2, 3, 4)] == ["0", "(01)", "(0(12))", "((01)(23))"]
    assert order(6) == "((0(12))(3(45)))"
    # A half adds up by itself.
    halves = [tree_sum([str(i) for i in part], "({}{})".format) for part in (range(4), range(4, 8))]
    assert order(8) == "({}{})".format(*halves)


def test_how_many_shards_there_are_is_a_matter_of_the_configuration_alone():
    ppo = replace(KINDS["ppo"][1], shards=0, sequence_length=16)
    found = {
        (envs, sequences): replace(ppo, minibatch_sequences=sequences).shards_of(envs, 64)
        for envs in (1, 96, 100, 128)
        for sequences in (16, 100, 4096)
    }
    assert found[1, 4096] == 1
    assert [found[envs, 4096] for envs in (96, 100, 128)] == [16, 4, 16]
    assert found[128, 16] == 1, "so little is not worth sharing"
    assert replace(ppo, minibatch_sequences=128).shards_of(256, 64) == 2
    assert replace(ppo, minibatch_sequences=512).shards_of(128, 250) == 16
    assert A3CConfig().shards_of(16, 8) == 1
    assert A3CConfig().shards_of(16, 1000) == 4
    assert A3CConfig().shards_of(1, 9000) == 1
    assert A3CConfig().shards_of(128, 1000) == 16
    assert A3CConfig(shards=5).shards_of(10, 1) == 5


def test_what_shards_cannot_share_is_refused_with_what_they_can():
    config = replace(KINDS["ppo"][1], shards=8)
    message = (
        "shards: 8 cannot share env.num_envs 12 and algorithm.minibatch_sequences 16 evenly; "
        "1, 2, 4 can"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        config.check_batch(12, 20)
    with pytest.raises(ValueError, match=r"shards: 5 cannot share env\.num_envs 12 evenly"):
        A3CConfig(shards=5).check_batch(12, 20)
    A3CConfig(shards=5, workers=3).check_batch(12, 20)  # shares are of workers then
    with pytest.raises(ValueError, match="shards -1: must be 0 or more"):
        A3CConfig(shards=-1)
    learner = PPO(Buttons(6, 2).spec, MODEL, config)
    with pytest.raises(ValueError, match="shards: 8 cannot share"):
        learner.update(experience(learner, Buttons(6, 2)))
