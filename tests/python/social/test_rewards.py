"""Transformed rewards equal their definitions, across rollouts and ends of episodes."""

import doctest

import numpy as np
import pytest
import torch

from socialgrid.models import ViewSpec
from socialgrid.social import MECHANISMS as LISTED
from socialgrid.social import (
    BasicInfluenceOptions,
    CollectiveOptions,
    InequityAversion,
    InequityOptions,
    MoaOptions,
    OtherRegarding,
    ProsocialOptions,
    VisibleActionsOptions,
    inequity_averse_reward,
    make_mechanisms,
    prosocial_reward,
    rewards,
)


def make_reward_transform(config, num_envs, num_agents):
    """What the configuration puts in place of rewards; None: nothing."""
    spec = ViewSpec(2, 2, 1, (3,) * max(2, num_agents))
    found = [m for m in make_mechanisms(config, spec) if isinstance(m, OtherRegarding)]
    return found[0].transform(num_envs, num_agents) if found else None


def twin_smoothed(reward, done, decay):
    """e of every step, environment and agent, from the definition: a sum over the past."""
    smoothed = np.zeros_like(reward)
    for t, e, k in np.ndindex(reward.shape):
        weight = 1.0
        for past in range(t, -1, -1):
            if past < t and done[past, e]:
                break
            smoothed[t, e, k] += weight * reward[past, e, k]
            weight *= decay
    return smoothed


def twin_inequity(reward, compared, alpha, beta):
    result = reward.copy()
    n = reward.shape[-1]
    for at in np.ndindex(reward.shape):
        *lead, i = at
        for j in range(n):
            if j == i:
                continue
            mine, theirs = compared[at], compared[(*lead, j)]
            result[at] -= alpha / (n - 1) * max(theirs - mine, 0.0)
            result[at] -= beta / (n - 1) * max(mine - theirs, 0.0)
    return result


def twin_prosocial(reward, eta):
    result = reward.copy()
    for at in np.ndindex(reward.shape):
        *lead, k = at
        for i in range(reward.shape[-1]):
            if i != k:
                result[at] += eta * reward[(*lead, i)]
    return result


@pytest.fixture(params=range(3))
def case(request):
    rng = np.random.default_rng(request.param)
    reward = rng.choice([0.0, 0.0, 1.0, -1.0, -50.0], size=(12, 3, 4)).astype(np.float32)
    return reward, rng.random((12, 3)) < 0.2


def averse(num_envs=3, num_agents=4, alpha=5.0, beta=0.05, smoothing=0.9):
    return InequityAversion(num_envs, num_agents, alpha=alpha, beta=beta, smoothing=smoothing)


def close(ours, want):
    np.testing.assert_allclose(ours.numpy(), want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("smoothing", [0.975, 0.5, 0.0])
def test_smoothed_inequity_aversion(case, smoothing):
    reward, done = case
    ours = averse(smoothing=smoothing)(torch.tensor(reward), torch.tensor(done), range(4))
    assert ours.dtype == torch.float32
    close(ours, twin_inequity(reward, twin_smoothed(reward, done, smoothing), 5.0, 0.05))


def test_raw_inequity_aversion(case):
    reward, done = case
    ours = averse(smoothing=None, alpha=0.7, beta=0.4)
    want = twin_inequity(reward, reward, 0.7, 0.4)
    close(ours(torch.tensor(reward), torch.tensor(done), range(4)), want)
    # Nothing is carried over: the same again.
    close(ours(torch.tensor(reward), torch.tensor(done), range(4)), want)


def test_both_kinds_of_inequity_cost():
    """Worked out by hand. Having more costs as well: it is subtracted, not added."""
    reward = torch.tensor([3.0, 0.0, 1.0])
    ours = inequity_averse_reward(reward, reward, range(3), alpha=5.0, beta=0.05)
    want = [3 - 0.05 / 2 * (3 + 2), 0 - 5 / 2 * (3 + 1), 1 - 5 / 2 * 2 - 0.05 / 2 * 1]
    np.testing.assert_allclose(ours.numpy(), want, rtol=1e-6)


def test_memory_goes_on_from_rollout_to_rollout(case):
    reward, done = (torch.tensor(x) for x in case)
    whole = averse()(reward, done, range(4))
    pieces = averse()
    parts = [pieces(reward[i:j], done[i:j], range(4)) for i, j in [(0, 1), (1, 5), (5, 12)]]
    assert torch.equal(torch.cat(parts), whole)


def test_a_new_episode_starts_with_nothing_earned():
    reward = torch.tensor([[[1.0, 0.0]], [[0.0, 0.0]]])
    ended = averse(1, 2)(reward, torch.tensor([[True], [False]]), [0, 1])
    goes_on = averse(1, 2)(reward, torch.tensor([[False], [False]]), [0, 1])
    assert ended[1].tolist() == [[0.0, 0.0]]
    assert goes_on[1, 0, 1].item() == pytest.approx(-5.0 * 0.9)


def test_memory_is_checkpointed(case):
    reward, done = (torch.tensor(x) for x in case)
    first = averse()
    first(reward[:7], done[:7], range(4))
    saved = first.tensors()
    assert set(saved) == {"smoothed"}
    second = averse()
    second.load_tensors(saved)
    want = first(reward[7:], done[7:], range(4))
    assert torch.equal(second(reward[7:], done[7:], range(4)), want)
    # What was saved is a copy: it did not follow.
    third = averse()
    third.load_tensors(saved)
    assert torch.equal(third(reward[7:], done[7:], range(4)), want)


@pytest.mark.parametrize("eta", [0.0, 0.85, 2.0])
def test_prosocial(case, eta):
    reward, _ = case
    close(prosocial_reward(torch.tensor(reward), eta), twin_prosocial(reward, eta))


def test_collective_is_the_sum_for_everybody(case):
    reward, _ = case
    want = np.repeat(reward.sum(-1, keepdims=True), 4, -1)
    close(prosocial_reward(torch.tensor(reward), 1.0), want)


MECHANISMS = ["inequity", "prosocial", "collective"]


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_owned_agents_are_compared_with_everybody(case, mechanism):
    """Also with agents that the learner does not own, in the order asked for."""
    reward, done = (torch.tensor(x) for x in case)
    config = [LISTED[mechanism]()]
    everybody = make_reward_transform(config, 3, 4)(reward, done, range(4))
    some = make_reward_transform(config, 3, 4)(reward, done, [3, 1])
    assert torch.equal(some, everybody[..., [3, 1]])
    assert not torch.equal(some, reward[..., [3, 1]])


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_an_agent_alone_keeps_its_reward(case, mechanism):
    reward, done = (torch.tensor(x) for x in case)
    alone = reward[..., :1].clone()
    transform = make_reward_transform([LISTED[mechanism]()], 3, 1)
    ours = transform(alone, done, [0])
    assert torch.equal(ours, alone)
    ours += 1.0  # a new tensor: the rollout's rewards stay as they were
    assert torch.equal(alone, reward[..., :1])


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_weights_of_zero_change_nothing(case, mechanism):
    reward, done = (torch.tensor(x) for x in case)
    config = {
        "inequity": [InequityOptions(alpha=0.0, beta=0.0)],
        "prosocial": [ProsocialOptions(eta=0.0)],
        "collective": [CollectiveOptions()],
    }[mechanism]
    ours = make_reward_transform(config, 3, 4)(reward, done, range(4))
    assert torch.equal(ours, reward) == (mechanism != "collective")


def test_configuration_reaches_the_transform(case):
    reward, done = (torch.tensor(x) for x in case)

    def made(*options):
        return make_reward_transform(options, 3, 4)(reward, done, range(4))

    inequity = made(InequityOptions(alpha=2.0, beta=0.3, smoothing=0.6))
    assert torch.equal(inequity, averse(alpha=2.0, beta=0.3, smoothing=0.6)(reward, done, range(4)))
    raw = made(InequityOptions(smoothing=None))
    assert torch.equal(raw, averse(smoothing=None)(reward, done, range(4)))
    prosocial = made(VisibleActionsOptions(), ProsocialOptions(eta=0.25))
    assert torch.equal(prosocial, prosocial_reward(reward, 0.25))
    collective = made(CollectiveOptions())
    everybodys = reward.sum(-1, keepdim=True).expand_as(reward)
    torch.testing.assert_close(collective, everybodys)
    for options in ((), (BasicInfluenceOptions(),), (VisibleActionsOptions(), MoaOptions())):
        assert make_reward_transform(options, 3, 4) is None


def test_mistakes_are_named(case):
    reward, done = (torch.tensor(x) for x in case)
    with pytest.raises(ValueError, match=r"reward \(12, 3, 4\).*\(3, 5\)"):
        averse(3, 5)(reward, done, [0])
    with pytest.raises(ValueError, match=r"done \(12, 4\)"):
        averse()(reward, torch.zeros(12, 4, dtype=torch.bool), [0])
    with pytest.raises(ValueError, match=r"smoothed \(3, 5\): expected \(3, 4\)"):
        averse().load_tensors({"smoothed": torch.zeros(3, 5)})
    with pytest.raises(ValueError, match=r"remembered \[\]: expected \['smoothed'\]"):
        averse().load_tensors({})
    with pytest.raises(ValueError, match=r"remembered \['smoothed'\]: expected \[\]"):
        averse(smoothing=None).load_tensors({"smoothed": torch.zeros(3, 4)})
    transform = make_reward_transform([ProsocialOptions()], 3, 4)
    assert transform.tensors() == {}
    transform.load_tensors({})
    with pytest.raises(ValueError, match="expected"):
        transform.load_tensors({"smoothed": torch.zeros(3, 4)})


def test_the_example_holds():
    failed, attempted = doctest.testmod(rewards)
    assert failed == 0 < attempted
