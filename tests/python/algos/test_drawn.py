"""What agents draw is theirs: whoever acts beside them, and however a batch is divided."""

from dataclasses import replace

import pytest
import torch
from tests.python.algos.test_ppo import QUICK
from tests.python.algos.tiny import MODEL, Buttons, experience

from socialgrid.algos import A3C, PPO, A3CConfig
from socialgrid.models import Recall, ViewSpec
from socialgrid.social import BasicInfluenceOptions, CommOptions

ENVS = 150  # more than one share of a thread
OPTIONS = {PPO: QUICK, A3C: A3CConfig()}


def make(kind=PPO, agents=3, ids=None, social=()):
    learner = kind(
        ViewSpec(2, 2, 1, (3,) * agents), MODEL, OPTIONS[kind], seed=4, agent_ids=ids, social=social
    )
    return learner


def seen(learner, agents=3):
    env = Buttons(ENVS, agents, seed=5)
    obs, reset = env.begin()
    return obs, learner.initial_state(ENVS), reset


def choices(learner, obs, state, reset, **where):
    out = learner.act(obs, state, reset, **where)
    return {name: made.choice for name, made in out.decisions.items()}


@pytest.mark.parametrize("kind", [PPO, A3C])
@pytest.mark.parametrize("options", [None, CommOptions, BasicInfluenceOptions])
def test_any_part_of_a_batch_does_what_it_does_in_the_whole(kind, options):
    learner = make(kind, social=[options()] if options else ())
    inputs = seen(learner)
    whole = choices(learner, *inputs, step=9)
    for first, last in ((100, ENVS), (30, 100), (0, 30), (7, 8)):  # in any order, and again
        rows = [x[first:last] for x in inputs]
        part = choices(learner, *rows, step=9, first_env=first)
        for name, x in part.items():
            assert torch.equal(x, whole[name][first:last]), name
    assert len(whole) == 1 + (options is CommOptions)


def test_others_beside_an_agent_change_nothing():
    three, alone = make(), make(agents=1, ids=[2])
    obs, state, reset = seen(three)
    own = choices(alone, obs[:, 2:], state[:, 2:], reset[:, 2:], step=3)
    assert torch.equal(
        own["action"][:, 0], choices(three, obs, state, reset, step=3)["action"][:, 2]
    )


def test_every_agent_environment_step_and_decision_has_numbers_of_its_own():
    learner = make(social=[CommOptions(vocabulary=3)])
    draws = learner.draws
    found = [
        draws.uniform(step, range(ENVS), kind=kind)[agent, :, 0]
        for agent in range(3)
        for step in (0, 1)
        for kind in (0, 1)
    ]
    assert len({float(x) for row in found for x in row}) > 0.999 * len(found) * ENVS
    # The same view and memory everywhere: what differs are the draws.
    obs, state, reset = seen(learner)
    obs = obs[:1].expand_as(obs)
    first = choices(learner, obs, state, reset, step=0)
    assert len(first["action"].unique()) > 1
    assert not torch.equal(first["action"], choices(learner, obs, state, reset, step=1)["action"])
    assert not torch.equal(first["action"], first["comm"])
    assert torch.equal(first["action"], choices(learner, obs, state, reset, step=0)["action"])


def test_calls_are_counted_where_no_step_is_given_and_go_on_from_what_was_saved():
    learner, other = make(), make()
    inputs = seen(learner)
    first, second = (choices(learner, *inputs)["action"] for _ in range(2))
    assert torch.equal(first, choices(learner, *inputs, step=0)["action"])
    assert torch.equal(second, choices(learner, *inputs, step=1)["action"])
    learner.act(*inputs, greedy=True)  # draws nothing
    other.load_tensors(learner.tensors())
    other.load_meta(learner.meta())
    third = choices(learner, *inputs)["action"]
    assert torch.equal(third, choices(other, *inputs)["action"])
    assert torch.equal(third, choices(learner, *inputs, step=2)["action"])


def test_an_agent_takes_its_key_along():
    learner, other = make(), PPO(ViewSpec(2, 2, 1, (3,)), MODEL, QUICK, seed=77)
    obs, state, reset = seen(learner)
    before = choices(other, obs[:, :1], state[:, :1], reset[:, :1], step=0)["action"]
    other.put_agent(0, learner.take_agent(1))
    now = choices(other, obs[:, 1:2], state[:, 1:2], reset[:, 1:2], step=0)["action"]
    assert torch.equal(now[:, 0], choices(learner, obs, state, reset, step=0)["action"][:, 1])
    assert not torch.equal(now, before)


def test_minibatches_of_an_agent_are_its_own(monkeypatch):
    drawn = {}

    def watched(self, index, *shard):
        drawn.setdefault(self.num_agents, []).append(index)
        return starts_of(self, index, *shard)

    starts_of = Recall.sequences
    monkeypatch.setattr(Recall, "sequences", watched)
    for agents, ids in ((3, None), (1, [2])):
        learner = make(agents=agents, ids=ids)
        learner.config = replace(QUICK, kl_target=None, kl_hard_limit=None)
        env = Buttons(6, agents, seed=5)
        learner.update(experience(learner, env))
        learner.update(experience(learner, env))
    three, alone = drawn[3], drawn[1]
    assert len(three) == len(alone) == 2  # updates
    for both, own in zip(three, alone, strict=True):
        assert torch.equal(both[2], own[0])
        assert not torch.equal(both[0], both[2])
    minibatches = [tuple(row.tolist()) for own in alone for row in own[0]]
    assert len(set(minibatches)) == len(minibatches) == 2 * QUICK.num_minibatches


def test_numbers_drawn_for_many_steps_are_those_of_each_step():
    learner = make(social=[CommOptions()])
    many = learner.draw(range(7, 12), range(30, 41))
    inputs = [x[30:41] for x in seen(learner)]
    assert {name: x.shape for name, x in many.items()} == dict.fromkeys(many, (5, 3, 11))
    assert len(many) == 2
    for step in range(5):
        given = choices(learner, *inputs, uniform={name: x[step] for name, x in many.items()})
        drawn = choices(learner, *inputs, step=7 + step, first_env=30)
        assert all(torch.equal(x, drawn[name]) for name, x in given.items()), step
