"""Advice: every formula against numbers worked out by hand, and groups that do not mix."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from socialgrid.models import AgentDraws, NonFiniteError
from socialgrid.social import (
    AdvisedStep,
    Given,
    Members,
    Panel,
    PeerAdviser,
    PeersOptions,
    advice_targets,
    by_largest,
    by_range,
    moved_values,
)


@dataclass
class Gamma:
    gamma: float = 0.5


class TableCritic:
    """Q_i(s, a) = table[i][a] + s, and pi_i(s) the best of it."""

    config, device = Gamma(), torch.device("cpu")

    def __init__(self, table: list[list[float]]) -> None:
        self.table = torch.tensor(table)

    def q_values(self, obs: Tensor, actions: Tensor) -> Tensor:
        agents = torch.arange(len(self.table)).view(-1, *(1,) * (actions.ndim - 1))
        return self.table[agents, actions] + obs[..., :1]

    def values(self, obs: Tensor) -> Tensor:
        return self.table.amax(1)[:, None] + obs[..., 0]


def adviser_of(
    members: Members, config: PeersOptions, table: list[list[float]] | None = None
) -> PeerAdviser:
    table = table or [[0.0, 1.0]] * members.num_agents
    return PeerAdviser(TableCritic(table), config, members, seed=0)


def step_of(members: Members, copies: int = 1, **changes: Any) -> AdvisedStep:
    lead = (members.num_agents, copies)
    step = AdvisedStep(
        obs=torch.zeros(*lead, 1),
        action=torch.zeros(lead, dtype=torch.int64),
        reward=torch.zeros(lead),
        next_obs=torch.zeros(*lead, 1),
        terminated=torch.zeros(lead, dtype=torch.bool),
        truncated=torch.zeros(lead, dtype=torch.bool),
        followed=torch.zeros(lead, dtype=torch.int64),
    )
    return replace(step, **changes)


PAIR = Members(1, 2, (0, 1))
QUIET = PeersOptions(advice=(), choice="boltzmann")


# -- pure formulas -----------------------------------------------------------------------------


def test_terms_are_brought_to_their_range_or_divided_by_the_largest_absolute_value() -> None:
    x = torch.tensor([[2.0, -4.0, 0.5], [0.0, 0.0, 0.0], [7.0, 7.0, 7.0], [-3.0, -1.5, -2.0]])
    # from -4 to 2: half of it is 3; from -3 to -1.5: half of it is 0.75
    ranges = [[1.0, -1.0, 0.5], [0.0] * 3, [0.0] * 3, [-1.0, 1.0, 1.0 / 3.0]]
    torch.testing.assert_close(by_range(x), torch.tensor(ranges))
    largest = [[0.5, -1.0, 0.125], [0.0] * 3, [1.0] * 3, [-1.0, -0.5, -2.0 / 3.0]]
    torch.testing.assert_close(by_largest(x), torch.tensor(largest))


def test_any_range_ends_at_minus_1_and_1() -> None:
    x = torch.tensor([[1.0, 1.0 + 2.0**-23, 1.0], [3e38, -3e38, 0.0]])
    assert by_range(x).tolist() == [[-1.0, 1.0, -1.0], [1.0, -1.0, 0.0]]


def test_targets_are_those_of_equations_5_and_8() -> None:
    reward, following = torch.tensor([1.0, 2.0]), torch.tensor([10.0, 10.0])
    ended = torch.tensor([False, True])
    # 1 + 0.9 * 10 = 10; nothing follows the second: 2
    assert advice_targets(reward, following, ended, 0.9).tolist() == [10.0, 2.0]
    own = torch.tensor([4.0, 5.0])
    assert advice_targets(reward, following, ended, 0.9, own).tolist() == [6.0, -3.0]


def test_values_move_towards_the_mean_target_of_each_member() -> None:
    values = torch.tensor([[10.0, 20.0, 30.0]])
    targets = torch.tensor([[[0.0, 4.0, 100.0]]])
    places = torch.tensor([[[0, 0, 2]]])
    # member 0: 10 + 0.25 (2 - 10) = 8; member 1 was not drawn; member 2: 30 + 0.25 (70) = 47.5
    assert moved_values(values, targets, places, 0.25).tolist() == [[8.0, 20.0, 47.5]]
    targets = torch.tensor([[[0.0, 4.0, 100.0], [4.0, 8.0, 40.0]]])
    places = torch.tensor([[[0, 0, 2], [1, 0, 1]]])
    # after that: 8 + 0.25 (8 - 8) = 8; 20 + 0.25 (22 - 20) = 20.5; not drawn
    assert moved_values(values, targets, places, 0.25).tolist() == [[8.0, 20.5, 47.5]]


# -- whom to follow ----------------------------------------------------------------------------


TRIO = Members(1, 3, (0, 1, 2))


@pytest.mark.parametrize(
    ("advice", "normalise", "wanted"),
    [
        # exp(20), exp(19.6), exp(19.2) over their sum: 1, exp(-0.4), exp(-0.8) over 2.1196
        (("critic",), "printed", [0.4718, 0.3162, 0.2120]),
        # (20, 19.6, 19.2) / 20 = (1, 0.98, 0.96): 1, exp(-0.02), exp(-0.04) over 2.9410
        (("critic",), "largest", [0.3400, 0.3333, 0.3267]),
        # (1, 0, -1) and trust that is the same for all: e, 1, 1 / e over 4.0862
        (("critic", "trust"), "printed", [0.6652, 0.2447, 0.0900]),
        # trust adds 1 for everybody, which changes nothing
        (("critic", "trust"), "largest", [0.3400, 0.3333, 0.3267]),
        # trust and agent values as they are where they stand alone
        (("trust",), "printed", [1 / 3, 1 / 3, 1 / 3]),
        ((), "printed", [1 / 3, 1 / 3, 1 / 3]),
    ],
)
def test_advice_of_the_critic_counts_as_the_paper_prints_it(
    advice: tuple[str, ...], normalise: Any, wanted: list[float]
) -> None:
    config = PeersOptions(advice=advice, normalise=normalise)
    adviser = adviser_of(TRIO, config, [[20.0, 19.6, 19.2]] * 3)
    proposals = torch.arange(3).view(1, 3, 1).expand(3, 3, 1)
    found = adviser.probabilities(Given(proposals), torch.zeros(3, 1, 1))
    torch.testing.assert_close(found, torch.tensor(wanted).expand(3, 1, 3), atol=1e-4, rtol=0)


@pytest.mark.parametrize("advice", [("critic",), ("critic", "trust")])
@pytest.mark.parametrize("normalise", ["printed", "largest"])
@pytest.mark.parametrize("odd", [math.nan, math.inf])
def test_values_that_are_no_numbers_choose_nobody(
    advice: tuple[str, ...], normalise: Any, odd: float
) -> None:
    config = PeersOptions(advice=advice, normalise=normalise)
    table = [[2.0, 4.0, 3.5], [1.0, odd, 1.0], [0.0, 0.0, 0.0]]
    adviser = adviser_of(TRIO, config, table)
    proposals = torch.arange(3).view(1, 3, 1).expand(3, 3, 1)
    with pytest.raises(NonFiniteError, match=r"non-finite value of advice .* agent 1"):
        adviser(Given(proposals), torch.zeros(3, 1, 1))


def test_the_choice_is_the_softmax_of_the_sum_of_terms_by_their_range() -> None:
    table = [[2.0, 4.0, 3.5], [1.0, -2.0, 1.0], [0.0, 0.0, 0.0]]
    adviser = adviser_of(TRIO, PeersOptions(temperature=0.5), table)
    adviser.trust.own = torch.tensor([[1.0, 2.0, 1.0], [4.0, 4.0, 4.0], [0.0, 1.0, 2.0]])
    adviser.trust.shared = torch.tensor([[5.0, -10.0, 0.0]])
    obs = torch.zeros(3, 1, 1)
    proposals = torch.arange(3).view(1, 3, 1).expand(3, 3, 1)  # member j says action j
    shared = [1.0, -1.0, 1.0 / 3.0]  # from -10 to 5: half of it is 7.5
    first = [-1.0 - 1.0 + shared[0], 1.0 + 1.0 + shared[1], 0.5 - 1.0 + shared[2]]
    second = [1.0 + 0.0 + shared[0], -1.0 + 0.0 + shared[1], 1.0 + 0.0 + shared[2]]
    found = adviser.values(Given(proposals), obs)
    torch.testing.assert_close(found[:2], torch.tensor([[first], [second]]))
    odds = [math.exp(2 * value) for value in first]
    chances = adviser.probabilities(Given(proposals), obs)
    torch.testing.assert_close(chances[0, 0], torch.tensor([x / sum(odds) for x in odds]))
    torch.testing.assert_close(chances.sum(-1), torch.ones(3, 1))


def test_by_the_largest_value_the_choice_is_the_softmax_of_the_sum_of_quotients() -> None:
    config = PeersOptions(temperature=0.5, normalise="largest")
    adviser = adviser_of(PAIR, config, [[2.0, 4.0], [1.0, -2.0]])
    adviser.trust.own = torch.tensor([[1.0, 2.0], [4.0, 4.0]])
    adviser.trust.shared = torch.tensor([[5.0, -10.0]])
    obs = torch.zeros(2, 1, 1)
    proposals = torch.tensor([[[0], [1]], [[0], [1]]])  # member 0 says action 0, member 1 action 1
    # agent 0: critic (2, 4)/4, trust (1, 2)/2, agent values (5, -10)/10
    first = [0.5 + 0.5 + 0.5, 1.0 + 1.0 - 1.0]
    # agent 1: critic (1, -2)/2, trust (4, 4)/4, agent values as before
    second = [0.5 + 1.0 + 0.5, -1.0 + 1.0 - 1.0]
    values = adviser.values(Given(proposals), obs)
    torch.testing.assert_close(values, torch.tensor([[first], [second]]))


@pytest.mark.parametrize("advice", [("critic",), ("trust",), ("agent-values",), ()])
@pytest.mark.parametrize("normalise", ["printed", "largest"])
def test_only_the_chosen_terms_count(advice: tuple[str, ...], normalise: Any) -> None:
    config = PeersOptions(advice=advice, normalise=normalise)
    adviser = adviser_of(PAIR, config, [[1.0, 2.0], [1.0, 2.0]])
    adviser.trust.own = torch.tensor([[4.0, 1.0], [4.0, 1.0]])
    adviser.trust.shared = torch.tensor([[-2.0, 1.0]])
    terms = {"critic": [1.0, 2.0], "trust": [4.0, 1.0], "agent-values": [-2.0, 1.0]}
    if normalise == "largest":
        terms = {"critic": [0.5, 1.0], "trust": [1.0, 0.25], "agent-values": [-1.0, 0.5]}
    wanted = torch.tensor([terms[name] for name in advice]).sum(0) if advice else torch.zeros(2)
    proposals = torch.tensor([[[0], [1]], [[0], [1]]])
    found = adviser.values(Given(proposals), torch.zeros(2, 1, 1))
    torch.testing.assert_close(found, wanted.expand(2, 1, 2))


def test_an_unknown_normalisation_is_refused() -> None:
    with pytest.raises(ValueError, match="normalise 'rank': must be one of printed, largest"):
        PeersOptions(normalise="rank")  # type: ignore[arg-type]


def test_the_temperature_falls_by_epochs() -> None:
    adviser = adviser_of(PAIR, replace(QUIET, temperature=2.0, temperature_decay=0.1))
    assert adviser.temperature == 2.0
    adviser.begin_epoch(5)
    assert adviser.temperature == pytest.approx(2.0 * math.exp(-0.5))
    adviser.begin_epoch(100_000)
    assert adviser.temperature > 0.0  # the coldest choice still is one
    adviser.config = replace(adviser.config, advice=("trust",))
    adviser.trust.own = torch.tensor([[1.0, 2.0], [2.0, 1.0]])
    found = adviser.probabilities(
        Given(torch.zeros(2, 2, 1, dtype=torch.int64)), torch.zeros(2, 1, 1)
    )
    assert found.squeeze(1).tolist() == [[0.0, 1.0], [1.0, 0.0]]


def test_a_greedy_choice_shares_ties_and_its_epsilon() -> None:
    trio = Members(1, 3, (0, 1, 2))
    config = PeersOptions(advice=("trust",), choice="greedy", epsilon=0.3)
    adviser = adviser_of(trio, config)
    adviser.trust.own = torch.tensor([[1.0, 2.0, 2.0], [3.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    found = adviser.probabilities(
        Given(torch.zeros(3, 3, 1, dtype=torch.int64)), torch.zeros(3, 1, 1)
    )
    wanted = [[0.1, 0.45, 0.45], [0.8, 0.1, 0.1], [1 / 3, 1 / 3, 1 / 3]]
    torch.testing.assert_close(found.squeeze(1), torch.tensor(wanted))


def test_early_advising_follows_others_only() -> None:
    trio = Members(1, 3, (0, 2))  # the one in the middle is scripted
    adviser = adviser_of(trio, PeersOptions(choice="others", follow_steps=1))
    proposals = torch.arange(3).view(1, 3, 1).expand(2, 3, 1).contiguous()
    counts = torch.zeros(2, 3)
    for _ in range(400):
        actions, followed = adviser(Given(proposals), torch.zeros(2, 1, 1))
        assert torch.equal(actions, followed)  # member j proposes j
        counts[[0, 1], followed[:, 0]] += 1
    assert counts[0, 0] == 0
    assert counts[1, 2] == 0
    # 400 fair draws: 5 standard deviations are 50
    assert (counts[0, 1:] - 200).abs().max() < 50
    with pytest.raises(ValueError, match="group of one"):
        adviser_of(Members(1, 1, (0,)), PeersOptions(choice="others"))


def test_draws_follow_the_probabilities() -> None:
    adviser = adviser_of(PAIR, PeersOptions(advice=("trust",), follow_steps=1))
    adviser.trust.own = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    proposals = torch.zeros(2, 2, 500, dtype=torch.int64)
    _, followed = adviser(Given(proposals), torch.zeros(2, 500, 1))
    share = 1 / (1 + math.exp(-1))  # of 500 draws: 5 standard deviations are 0.1
    assert (followed[0] == 0).float().mean().item() == pytest.approx(share, abs=0.1)
    assert (followed[1] == 1).float().mean().item() == pytest.approx(share, abs=0.1)


def test_a_choice_holds_for_follow_steps_while_the_advice_changes() -> None:
    adviser = adviser_of(Members(1, 4, (0, 1, 2, 3)), replace(QUIET, follow_steps=3))
    obs = torch.zeros(4, 1, 1)
    chosen = []
    for t in range(30):
        proposals = (torch.arange(4) + 4 * t).view(1, 4, 1).expand(4, 4, 1).contiguous()
        actions, followed = adviser(Given(proposals), obs)
        assert torch.equal(actions, followed + 4 * t)
        chosen.append(followed[:, 0])
    for t in range(0, 30, 3):
        assert torch.equal(chosen[t], chosen[t + 1])
        assert torch.equal(chosen[t], chosen[t + 2])
    assert len({tuple(c.tolist()) for c in chosen}) > 5


def test_continuous_actions_are_taken_whole() -> None:
    adviser = adviser_of(PAIR, replace(QUIET, follow_steps=1))
    proposals = torch.randn(2, 2, 3, 4, generator=torch.Generator().manual_seed(0))
    actions, followed = adviser(Given(proposals), torch.zeros(2, 3, 1))
    for agent in range(2):
        for copy in range(3):
            wanted = proposals[agent, followed[agent, copy], copy]
            assert torch.equal(actions[agent, copy], wanted)


# -- learning whom to trust --------------------------------------------------------------------


def feed(adviser: PeerAdviser, members: Members, rewards: list[float], steps: int) -> None:
    """Every agent follows the members in turn; member j's advice brings rewards[j]."""
    for t in range(steps):
        place = t % members.size
        lead = (members.num_agents, 1)
        adviser.observe(
            step_of(
                members,
                followed=torch.full(lead, place),
                reward=torch.full(lead, rewards[place]),
            )
        )


def test_nothing_is_learnt_before_more_steps_are_stored_than_are_drawn() -> None:
    adviser = adviser_of(PAIR, PeersOptions(trust_samples=10, initial_trust=7.0))
    feed(adviser, PAIR, [1.0, -1.0], 10)
    assert torch.equal(adviser.trust.own, torch.full((2, 2), 7.0))
    feed(adviser, PAIR, [1.0, -1.0], 1)
    assert not torch.equal(adviser.trust.own, torch.full((2, 2), 7.0))


@pytest.mark.parametrize("advantage", [False, True])
def test_trust_reaches_what_advice_is_worth(advantage: bool) -> None:
    config = PeersOptions(trust_rate=0.2, advantage=advantage, initial_trust=0.0)
    adviser = adviser_of(PAIR, config, [[0.0, 1.0], [0.0, 3.0]])
    feed(adviser, PAIR, [1.0, -1.0], 400)
    # V = max Q + s with s = 0: 1 and 3; omega_j = r_j + 0.5 V (- V)
    worth = torch.tensor([[1.5, -0.5], [2.5, 0.5]])
    worth -= torch.tensor([[1.0], [3.0]]) * advantage
    torch.testing.assert_close(adviser.trust.own, worth, atol=1e-4, rtol=0)
    numbers = adviser.numbers()
    assert {name: x.shape for name, x in numbers.items()} == {
        "trust": (2, 2),
        "agent_values": (1, 2),
    }


def test_values_do_not_bootstrap_from_the_end() -> None:
    adviser = adviser_of(PAIR, PeersOptions(trust_rate=1.0, advantage=False), [[9.0], [9.0]])
    ended = step_of(PAIR, terminated=torch.ones(2, 1, dtype=torch.bool))
    for _ in range(20):
        adviser.observe(ended)
    assert adviser.trust.own[:, 0].tolist() == [0.0, 0.0]
    cut = step_of(PAIR, truncated=torch.ones(2, 1, dtype=torch.bool))
    other = adviser_of(PAIR, PeersOptions(trust_rate=1.0, advantage=False), [[9.0], [9.0]])
    for _ in range(20):
        other.observe(cut)
    assert other.trust.own[:, 0].tolist() == [4.5, 4.5]


def test_every_step_of_an_agent_moves_its_groups_values_once() -> None:
    config = PeersOptions(advice=("agent-values",), trust_rate=0.1, initial_trust=0.0)
    adviser = adviser_of(PAIR, replace(config, advantage=False), [[0.0, 0.0], [0.0, 0.0]])
    lead = (2, 1)
    for _ in range(11):  # at the eleventh there is enough to draw ten
        adviser.observe(step_of(PAIR, reward=torch.ones(lead)))
    # two agents: two moves of 0.1 towards 1
    assert adviser.trust.shared[0, 0].item() == pytest.approx(1 - 0.9**2)
    assert adviser.trust.shared[0, 1].item() == 0.0


def test_the_buffer_forgets_the_oldest_steps() -> None:
    config = PeersOptions(
        advice=("trust",), trust_rate=1.0, trust_buffer=12, initial_trust=0.0, advantage=False
    )
    adviser = adviser_of(PAIR, config, [[0.0], [0.0]])
    feed(adviser, PAIR, [5.0, 5.0], 12)
    feed(adviser, PAIR, [-1.0, -1.0], 12)
    feed(adviser, PAIR, [-1.0, -1.0], 1)
    assert adviser.trust.own.max().item() == -1.0


def test_random_beginnings_differ_by_agent_and_come_from_the_seed() -> None:
    config = PeersOptions(initial_trust=None)
    one = adviser_of(PAIR, config)
    two = PeerAdviser(TableCritic([[0.0], [0.0]]), config, PAIR, seed=1)
    again = adviser_of(PAIR, config)
    assert torch.equal(one.trust.own, again.trust.own)
    assert not torch.equal(one.trust.own, two.trust.own)
    assert not torch.equal(one.trust.own[0], one.trust.own[1])
    assert ((one.trust.own >= 0) & (one.trust.own < 1)).all()


def test_the_budget_ends_advice_and_forgets_who_was_followed() -> None:
    adviser = adviser_of(PAIR, PeersOptions(budget_epochs=1, follow_steps=5, advice=()))
    proposals = torch.arange(2).view(1, 2, 1).expand(2, 2, 1).contiguous()
    adviser(Given(proposals), torch.zeros(2, 1, 1))
    assert not adviser.solo
    assert adviser.tensors()["left"].tolist() == [[4], [4]]
    adviser.begin_epoch(1)
    assert adviser.solo
    assert adviser.tensors()["left"].tolist() == [[0], [0]]


def test_a_share_of_the_run_is_a_number_of_its_epochs() -> None:
    config = PeersOptions(budget_share=0.74, epoch_steps=10_000)
    with pytest.raises(ValueError, match="of_run"):
        config.solo(0)
    of_run = config.of_run(1_000_000)
    assert (of_run.budget_epochs, of_run.budget_share) == (74, None)
    assert [of_run.solo(epoch) for epoch in (0, 73, 74, 99)] == [False, False, True, True]
    assert PeersOptions(budget_epochs=3).of_run(100) == PeersOptions(budget_epochs=3)


class Twin:
    """Trust and agent values of all groups, one transition after the other, from the same draws."""

    def __init__(self, members: Members, config: PeersOptions, critic: TableCritic) -> None:
        self.members, self.config, self.critic = members, config, critic
        agents = members.num_agents
        self.draws, self.observed = AgentDraws(0, range(agents), purpose=7), 0
        self.trust = np.full((agents, members.size), config.initial_trust)
        self.shared = np.full((members.groups, members.size), config.initial_trust)
        self.steps: list[list[tuple[float, float, float, bool, int]]] = [[] for _ in range(agents)]

    def omega(self, agent: int, step: tuple[float, float, float, bool, int]) -> float:
        seen, following, reward, terminated, _ = step
        best = max(self.critic.table[agent].tolist())
        value = reward + (0.0 if terminated else 0.5 * (best + following))
        return value - (best + seen) if self.config.advantage else value

    def moved(self, values: np.ndarray[Any, Any], found: list[tuple[int, float]]) -> None:
        for place in range(self.members.size):
            own = [omega for j, omega in found if j == place]
            if own:
                rate = self.config.trust_rate
                values[place] = (1 - rate) * values[place] + rate * sum(own) / len(own)

    def observe(self, step: AdvisedStep) -> None:
        config, owners = self.config, len(self.members.owners)
        for agent, kept in enumerate(self.steps):
            for copy in range(step.reward.shape[1]):
                kept.append((
                    step.obs[agent, copy, 0].item(),
                    step.next_obs[agent, copy, 0].item(),
                    step.reward[agent, copy].item(),
                    bool(step.terminated[agent, copy]),
                    int(step.followed[agent, copy]),
                ))  # fmt: skip
        self.observed += 1
        stored = len(self.steps[0])
        if stored <= config.trust_samples:
            return
        share = max(config.trust_samples // self.members.size, 1)
        count, copies = config.trust_samples + owners * share, step.reward.shape[1]
        index = self.draws.integers(
            stored, self.observed - 1, range(copies), kind=2, places=count
        ).tolist()
        for copy in range(copies):
            drawn = []
            for agent, kept in enumerate(self.steps):
                own = [kept[i] for i in index[agent][copy]]
                drawn.append([(one[4], self.omega(agent, one)) for one in own])
                self.moved(self.trust[agent], drawn[agent][: config.trust_samples])
            for group in range(self.members.groups):
                for turn in range(owners):
                    first = config.trust_samples + turn * share
                    pooled = [
                        one
                        for agent in range(group * owners, (group + 1) * owners)
                        for one in drawn[agent][first : first + share]
                    ]
                    self.moved(self.shared[group], pooled)


@pytest.mark.parametrize("copies", [1, 2])
@pytest.mark.parametrize("advantage", [False, True])
def test_trust_and_agent_values_are_those_of_a_slow_twin(advantage: bool, copies: int) -> None:
    members = Members(2, 4, (0, 2, 3))
    config = PeersOptions(trust_rate=0.3, initial_trust=5.0, advantage=advantage, trust_samples=9)
    table = np.random.default_rng(0).normal(size=(6, 3)).tolist()
    adviser = adviser_of(members, config, table)
    twin = Twin(members, config, TableCritic(table))
    rng = np.random.default_rng(1)
    lead = (6, copies)
    for _ in range(40):
        step = step_of(
            members,
            copies,
            obs=torch.from_numpy(rng.normal(size=(*lead, 1))).float(),
            next_obs=torch.from_numpy(rng.normal(size=(*lead, 1))).float(),
            reward=torch.from_numpy(rng.normal(size=lead)).float(),
            terminated=torch.from_numpy(rng.random(lead) < 0.2),
            followed=torch.from_numpy(rng.integers(0, 4, lead)),
        )
        adviser.observe(step)
        twin.observe(step)
    np.testing.assert_allclose(adviser.trust.own, twin.trust, atol=1e-4)
    np.testing.assert_allclose(adviser.trust.shared, twin.shared, atol=1e-4)
    assert np.abs(twin.shared - 5.0).min() > 1.0


def played(adviser: PeerAdviser, members: Members, steps: int, seed: int) -> Iterator[Tensor]:
    """Follow an adviser for a while in made-up tasks, the same for the same group and seed."""
    for t in range(steps):
        groups = [np.random.default_rng([seed, t, g]) for g in range(members.groups)]
        agents, size = len(members.owners), members.size
        drawn = [
            (g.standard_normal((agents, 2, 1)), g.integers(0, 2, (agents, size, 2)),
             g.standard_normal((agents, 2)))
            for g in groups
        ]  # fmt: skip
        obs, proposals, reward = (
            torch.from_numpy(np.concatenate([one[k] for one in drawn])) for k in range(3)
        )
        action, followed = adviser(Given(proposals), obs.float())
        adviser.observe(
            step_of(
                members,
                2,
                obs=obs.float(),
                action=action,
                followed=followed,
                reward=reward.float(),
            )
        )
        yield followed


def test_a_group_does_not_depend_on_other_groups() -> None:
    config = PeersOptions(trust_rate=0.1, follow_steps=2)
    one, three = Members(1, 3, (0, 1)), Members(3, 3, (0, 1))
    table = [[0.0, 1.0], [2.0, 1.0]]
    alone, among = adviser_of(one, config, table), adviser_of(three, config, table * 3)
    for a, b in zip(played(alone, one, 60, 3), played(among, three, 60, 3), strict=True):
        assert torch.equal(a, b[:2])
    assert torch.equal(alone.trust.own, among.trust.own[:2])
    assert torch.equal(alone.trust.shared[0], among.trust.shared[0])
    assert not torch.equal(among.trust.shared[0], among.trust.shared[1])


def test_a_restored_adviser_goes_on_bit_for_bit() -> None:
    members = Members(2, 3, (0, 2))
    config = PeersOptions(trust_rate=0.1, trust_buffer=31)
    table = [[0.0, 1.0], [2.0, 1.0]] * 2
    whole, first = adviser_of(members, config, table), adviser_of(members, config, table)
    expected = list(played(whole, members, 50, 1))
    list(played(first, members, 50, 1))
    later = [x.clone() for x in played(whole, members, 30, 2)]
    second = PeerAdviser(TableCritic(table), config, members, seed=99)
    second.load_tensors(first.tensors())
    assert len(expected) == 50
    for a, b in zip(later, played(second, members, 30, 2), strict=True):
        assert torch.equal(a, b)
    for name, x in whole.tensors().items():
        assert torch.equal(x, second.tensors()[name]), name


def test_foreign_tensors_are_refused_and_change_nothing() -> None:
    adviser = adviser_of(PAIR, PeersOptions())
    before = adviser.tensors()
    for broken in (
        {name: x for name, x in before.items() if name != "trust"},
        {**before, "more": torch.zeros(1)},
        {**before, "trust": torch.zeros(3, 2)},
        {**before, "buffer/obs": torch.zeros(2, 5, 1)},
        {**before, "left": torch.zeros(3, 1, dtype=torch.int64)},
        {**before, "counters": torch.zeros(2, dtype=torch.int64)},
        {**before, "key": before["key"][:1]},
    ):
        with pytest.raises(ValueError, match="adviser's"):
            adviser.load_tensors(broken)
    for name, x in adviser.tensors().items():
        assert torch.equal(x, before[name])


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        *(("left", n) for n in (-1, 4)),
        *(("followed", n) for n in (-1, 3)),
        *(("buffer/followed", n) for n in (-1, 77)),
        *(("following", n) for n in (-3, 1, 33, 10**9)),
        *((name, -1) for name in ("epoch", "decisions", "observed")),
    ],
)
def test_numbers_that_cannot_be_are_refused_and_change_nothing(name: str, wrong: int) -> None:
    members, table = Members(2, 3, (0, 2)), [[0.0, 1.0], [2.0, 1.0]] * 2
    config = PeersOptions(trust_buffer=31, follow_steps=3)
    adviser = adviser_of(members, config, table)
    list(played(adviser, members, 20, 1))
    before, broken = adviser.tensors(), adviser.tensors()
    counters = ("stored", "following", "epoch", "decisions", "observed")
    if name in counters:
        broken["counters"][counters.index(name)] = wrong
    else:
        broken[name][1] = wrong
    with pytest.raises(ValueError, match=f"adviser's {'counters' if name in counters else name}"):
        adviser.load_tensors(broken)
    for key, x in adviser.tensors().items():
        assert torch.equal(x, before[key])
    adviser.load_tensors(before)


# -- asking ------------------------------------------------------------------------------------


class NumberedPolicies:
    """Agent a answers state s with 1000 a + s, plus 0.25 with noise and plus 0.5 as the policy;
    chance adds the number of the row in thousandths.
    """

    def __init__(self, agents: int) -> None:
        self.agents, self.shown = agents, 0

    def propose(
        self, obs: Tensor, *, explore: bool | None = True, rows: Tensor | None = None
    ) -> Tensor:
        self.shown += obs.shape[1]
        rows = torch.arange(obs.shape[1]).expand(self.agents, -1) if rows is None else rows
        extra = {True: 0.25, None: 0.5, False: 0.0}[explore] + 0.001 * rows[..., None]
        return 1000.0 * torch.arange(self.agents).view(-1, 1, 1) + obs + extra


@pytest.mark.parametrize("copies", [2, 20])
@pytest.mark.parametrize("peers_explore", [True, False])
@pytest.mark.parametrize("explore", [True, False])
def test_everybody_is_asked_about_the_askers_state(
    explore: bool, peers_explore: bool, copies: int
) -> None:
    members, calls = Members(2, 3, (0, 2)), []

    def scripted(obs: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        calls.append(len(obs))
        return -obs

    policies = NumberedPolicies(4)
    panel = Panel(
        policies,
        members,
        {(0, 1): scripted, (1, 1): scripted},
        explore=explore,
        peers_explore=peers_explore,
    )
    obs = 100.0 * torch.arange(4).view(4, 1, 1) + torch.arange(copies).view(1, -1, 1)
    asked = panel.ask(obs)
    found = asked.everybody()
    assert found.shape == (4, 3, copies, 1)
    own_extra = 0.25 if explore else 0.5
    for agent in range(4):
        group, asker = divmod(agent, 2)
        for place in range(3):
            for copy in range(copies):
                state = 100.0 * agent + copy
                if place == 1:
                    wanted = -state
                else:
                    other = group * 2 + (place == 2)
                    extra = own_extra if peers_explore or other == agent else 0.0
                    wanted = 1000.0 * other + state + extra + 0.001 * (asker * copies + copy)
                assert found[agent, place, copy, 0].item() == pytest.approx(wanted)
    gen = torch.Generator().manual_seed(copies)
    places = torch.randint(3, (4, copies), generator=gen)
    places[0] = 1
    wanted = found.gather(1, places[:, None, :, None]).squeeze(1)
    assert torch.equal(asked.of(places), wanted)
    everything, policies.shown = policies.shown, 0
    assert torch.equal(panel.ask(obs).of(places), wanted)
    assert policies.shown < everything or copies == 2, "no more than who is followed most"
    assert torch.equal(panel.ask(obs).of(torch.ones_like(places)), -obs)
    assert calls == [2 * copies] * 6, "scripted members are asked once in every step"


def test_members_are_refused_where_they_make_no_sense() -> None:
    for wrong in ((0, 2, (0,)), (1, 0, (0,)), (1, 2, ()), (1, 2, (1, 0)), (1, 2, (0, 2))):
        with pytest.raises(ValueError, match=r"owners|groups"):
            Members(*wrong)
    members = Members(2, 3, (0, 2))
    assert members.num_agents == 4
    assert members.own_places.tolist() == [0, 2, 0, 2]
