"""Minibatches show what was recorded; refreshed memories are those of acting again."""

import pytest
import torch
from tests.python.algos.tiny import MODEL, Buttons, experience

from socialgrid.algos import PPO, PPOConfig
from socialgrid.models import Recall


@pytest.fixture
def case():
    env = Buttons(5, 3, horizon=4, recall=True)
    learner = PPO(env.spec, MODEL, PPOConfig(), seed=1)
    rollout = experience(learner, env, steps=11)
    rollout.active[3:6, 2, 1] = False
    return learner, rollout, Recall(rollout, learner.model, learner.device)


def test_pieces_hold_the_right_rows_and_weights(case):
    learner, rollout, batch = case
    judged = batch.decisions["action"]
    judged.advantage.copy_(torch.rand(judged.advantage.shape))
    agents, length = [2, 1], 4
    places = torch.randint(batch.places(length), (2, 7), generator=torch.Generator().manual_seed(0))
    starts, envs = batch.sequences(places)
    assert starts.max() <= 11 - length
    pieces = [gather() for gather in batch.minibatches(agents, starts, envs, length, 3)]
    assert [p.action.shape[2] for p in pieces] == [3, 3, 1]
    weights = sum(p.weight.sum((1, 2)) for p in pieces)
    torch.testing.assert_close(weights, torch.ones(2))
    for row, agent in enumerate(agents):
        in_play, comparable = [], []
        for s in range(7):
            t, e = int(starts[row, s]), int(envs[row, s])
            part, i = pieces[s // 3], s % 3
            own = slice(t, t + length)
            views = learner.model.prepare(rollout.obs[t : t + length + 1, e, agent])
            assert torch.equal(part.views[row, :, i], views)
            assert torch.equal(part.action[row, :, i], rollout.action[own, e, agent])
            seen, done = part.decisions["action"], rollout.decisions["action"]
            assert torch.equal(seen.log_prob[row, :, i], done.log_prob[own, e, agent])
            assert torch.equal(part.reset[row, :, i], rollout.reset[own, e, agent])
            assert torch.equal(part.state[row, i], rollout.state[t, e, agent])
            assert torch.equal(seen.advantage[row, :, i], judged.advantage[own, e, agent])
            in_play.append(rollout.active[own, e, agent])
            after = rollout.active[t + 1 : t + length + 1, e, agent] & ~rollout.done[own, e]
            comparable.append(in_play[-1] & after)
            assert torch.equal(part.weight[row, :, i] > 0, in_play[-1])
            assert torch.equal(part.next_weight[row, :, i] > 0, comparable[-1])
        weight = 1 / torch.stack(in_play).sum()
        assert pieces[0].weight[row].max() == pytest.approx(weight.item())


def test_every_place_has_a_number(case):
    _, _, batch = case
    starts, envs = batch.sequences(torch.arange(batch.places(4)))
    found = set(zip(starts.tolist(), envs.tolist(), strict=True))
    assert found == {(t, e) for t in range(8) for e in range(5)}


def test_refreshing_with_unchanged_parameters_changes_nothing(case):
    # Hidden states are recomputed along whole episodes, across their borders.
    learner, rollout, batch = case
    rollout.active.fill_(True)
    log_prob = batch.refresh(learner.model, [0, 1, 2], policy=True)
    torch.testing.assert_close(batch.state, rollout.state, rtol=1e-5, atol=1e-6)
    made = rollout.decisions["action"]
    torch.testing.assert_close(batch.values["action"], made.value, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(log_prob, made.log_prob, rtol=1e-5, atol=1e-6)


def test_refreshing_some_agents_leaves_the_others(case):
    learner, rollout, batch = case
    with torch.no_grad():
        for p in learner.model.parameters():
            p.add_(0.1)
    batch.refresh(learner.model.take_agents([2]), [2])
    assert torch.equal(batch.state[:, :, :2], rollout.state[:, :, :2])
    assert not torch.allclose(batch.state[1:, :, 2], rollout.state[1:, :, 2])
    before = rollout.decisions["action"].value
    assert torch.equal(batch.values["action"][:, :, :2], before[:, :, :2])


@pytest.mark.parametrize("shards", [1, 3])
def test_an_update_leaves_what_was_recorded(shards):
    # Shards read memories where they were recorded, until they are computed anew.
    env = Buttons(6, 3, horizon=4, recall=True)
    config = PPOConfig(
        shards=shards,
        refresh_interval=1,
        num_minibatches=3,
        minibatch_sequences=6,
        sequence_length=4,
        learning_rate=0.01,
    )
    learner = PPO(env.spec, MODEL, config, seed=1)
    rollout = experience(learner, env, steps=11)
    tensors = {name: x for name, x in vars(rollout).items() if isinstance(x, torch.Tensor)}
    tensors |= {name: one.value for name, one in rollout.decisions.items()}
    before = {name: x.clone() for name, x in tensors.items()}
    batch = learner.shards(rollout)
    learner.update(rollout)
    assert "state" in before
    assert all(torch.equal(x, tensors[name]) for name, x in before.items())
    for part in batch.parts:
        part.refresh(learner.model, [0, 1, 2])
    refreshed = torch.cat([part.state for part in batch.parts], 1)
    assert not torch.allclose(refreshed[1:], rollout.state[1:])
    whole = Recall(rollout, learner.model, learner.device)
    whole.refresh(learner.model, [0, 1, 2])
    torch.testing.assert_close(refreshed, whole.state, rtol=1e-5, atol=1e-6)
    assert torch.equal(before["state"], rollout.state)


def test_bootstrap_values_are_those_of_acting_on(case):
    learner, rollout, batch = case

    def values(obs, state):
        going_on = torch.zeros(state.shape[:2], dtype=torch.bool)
        return learner.act(obs, state, going_on, greedy=True).decisions["action"].value

    last, final = batch.bootstrap(learner.model, [0, 1, 2])["action"]
    state = learner.initial_state(5)
    seen = torch.zeros_like(final)
    for t in range(rollout.num_steps):
        obs, reset = rollout.inputs(t)
        state = learner.act(obs, state, reset).state
        for (step, env), views in zip(rollout.final_index.tolist(), rollout.final_obs, strict=True):
            if step == t:
                seen[t, env] = values(views[None], state[env][None])[0]
    assert seen.any()
    torch.testing.assert_close(final, seen, rtol=1e-5, atol=1e-6)
    want = values(rollout.obs[-1], state)
    torch.testing.assert_close(last, want, rtol=1e-5, atol=1e-6)
