"""What networks make of a batch in one compiled call, against PyTorch layer by layer."""

from dataclasses import replace

import pytest
import torch
from tests.python.algos.test_shards import ENVS, KINDS
from tests.python.algos.test_taught import MODEL, SOCIAL
from tests.python.algos.tiny import Buttons, experience

from socialgrid.models import NonFiniteError, compiled_recall, kernels


def experienced(social, *, envs=3 * ENVS):
    torch.manual_seed(0)
    make, config = KINDS["ppo"]
    env = Buttons(envs, 3, horizon=5, recall=True)
    learner = make(env.spec, MODEL, config, seed=1, social=SOCIAL[social])
    rollout = experience(learner, env)
    learner.rewards(learner.shards(rollout), 0.0)
    for p in learner.model.parameters():  # other parameters than those that acted
        p.data *= 1.25
    return learner, learner.shards(rollout).parts[0]


def recalled(learner, part, members, *, refreshed=True):
    """Everything that a batch holds afterwards, and what is foreseen."""
    network = learner.model
    if members != [0, 1, 2]:
        network = network.take_agents(members)
    found = {}
    if refreshed:
        found["log_probs"] = part.refresh(network, members, policy=True)
        found |= {"state": part.state.clone()}
        found |= {f"values/{name}": x.clone() for name, x in part.values.items()}
    for name, both in part.bootstrap(network, members).items():
        found |= dict(zip((f"{name}/last", f"{name}/final"), both, strict=True))
    return found


def calls(monkeypatch, name):
    found, compute = [], getattr(compiled_recall, name)

    def told(*words):
        found.append(compute(*words))
        return found[-1]

    monkeypatch.setattr(compiled_recall, name, told)
    return found


@pytest.mark.parametrize("block", [1, 5, 100])
@pytest.mark.parametrize("members", [[0, 1, 2], [2, 0]])
@pytest.mark.parametrize("social", SOCIAL)
def test_a_batch_is_recalled_as_pytorch_does(compiled, monkeypatch, social, members, block):
    monkeypatch.setattr("socialgrid.models.recall.piece_length", lambda *_: block)
    refreshes, foreseen = calls(monkeypatch, "refresh"), calls(monkeypatch, "foresee")
    found = recalled(*experienced(social), members)
    assert refreshes == [True]
    assert foreseen[0] is not None
    with monkeypatch.context() as without:
        learner, part = experienced(social)
        without.setattr(kernels, "KERNELS", None)
        expected = recalled(learner, part, members)
    assert found.keys() == expected.keys()
    assert part.final_index.numel() > 0
    for name, x in found.items():
        torch.testing.assert_close(x, expected[name], rtol=1e-5, atol=2e-6, msg=name)


def test_who_acted_is_recalled_to_the_bit():
    learner, part = experienced("nothing")
    for p in learner.model.parameters():
        p.data /= 1.25
    before = part.state.clone()
    part.refresh(learner.model, [0, 1, 2])
    torch.testing.assert_close(part.state, before, rtol=1e-5, atol=1e-6)


def test_a_last_step_of_many_tiles_gives_nothing_up(compiled, monkeypatch):
    gen, found = torch.Generator(), []
    for block in (11, 100):  # of twelve steps
        monkeypatch.setattr("socialgrid.models.recall.piece_length", lambda *_, n=block: n)
        learner, part = experienced("nothing", envs=36)
        shape = (*part.views.shape[:-1], 1)
        part.views.copy_(torch.randint(0, 16, shape, generator=gen.manual_seed(0)))
        refreshes = calls(monkeypatch, "refresh")
        found.append(recalled(learner, part, [0, 1, 2]))
        assert refreshes == [True]
    for name, x in found[0].items():
        assert torch.equal(x, found[1][name]), name


def test_too_many_tiles_are_recalled_layer_by_layer(monkeypatch):
    gen = torch.Generator().manual_seed(0)
    found = []
    for on in (True, False):
        learner, part = experienced("prediction")
        part.views.copy_(torch.randint(0, 256, part.views.shape, generator=gen.manual_seed(0)))
        refreshes = calls(monkeypatch, "refresh")
        with monkeypatch.context() as without:
            if not on:
                without.setattr(kernels, "KERNELS", None)
            found.append(recalled(learner, part, [0, 1, 2]))
        assert refreshes == [False]
    for name, x in found[0].items():
        torch.testing.assert_close(x, found[1][name], rtol=1e-5, atol=2e-6, msg=name)


@pytest.mark.parametrize("what", ["view", "ends"])
def test_threads_change_no_bit(what):
    found = []
    for threads in (1, 3):
        learner, part = experienced("comm")
        kernels.use_threads(threads)
        try:
            found.append(recalled(learner, part, [0, 1, 2], refreshed=what == "view"))
        finally:
            kernels.use_threads(0)
    assert all(torch.equal(x, found[1][name]) for name, x in found[0].items())


@pytest.mark.parametrize("advantage", [-1.0, 0.0, 1.0])
@pytest.mark.parametrize("on", [True, False])
def test_ratios_beyond_all_numbers_end_an_update(monkeypatch, advantage, on):
    if not on:
        monkeypatch.setattr(kernels, "KERNELS", None)
    make, config = KINDS["ppo"]
    env = Buttons(ENVS, 2, horizon=5, recall=True)
    config = replace(config, kl_hard_limit=None, normalize_advantages=False, shards=2)
    learner = make(env.spec, MODEL, config, seed=1)
    rollout = experience(learner, env)
    rollout.decisions["action"].log_prob[:, :, 1] = -100.0
    monkeypatch.setattr(
        learner, "advantages", lambda reward, *_: (torch.full_like(reward, advantage), reward)
    )
    before = learner.tensors()
    with pytest.raises(NonFiniteError) as told:
        learner.update(rollout)
    assert told.value.agent == 1
    assert all(torch.equal(x, learner.tensors()[name]) for name, x in before.items())
