"""LeCTR: rewards and targets worked out by hand, plain networks as twins, and advice that helps."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tests.python.algos.off_policy_tasks import check_same, plain, remember
from torch import Tensor, nn

from socialgrid.algos import DQN, DQNConfig, MixedLearner, RecurrentDQN, RecurrentDQNConfig
from socialgrid.models import AgentDraws, ModelConfig, NonFiniteError, TaskSpec, ViewSpec
from socialgrid.social import (
    AdvisedStep,
    Given,
    LeCTR,
    LeCTROptions,
    Members,
    outcomes,
    readable_values,
    td_error,
)

PAIR = Members(1, 2, (0, 1))
SMALL = LeCTROptions(
    hidden=(8, 6), batch_size=5, buffer_size=64, learning_starts=8, interval=4, gradient_steps=1
)

TENTH = SMALL.learning_rate / 10
"""Of what a step of Adam may move a parameter: a small gradient's direction hangs on rounding."""


def words_of(tensors: dict[str, Tensor], count: int) -> Tensor:
    """What an adviser's next gradient step draws by, of what it saved."""
    draws = AgentDraws(0, range(len(tensors["key"])))
    draws.keys = tensors["key"]
    updates = int(tensors["counters"][1])
    return draws.words(updates, range(1), kind=1, places=count)[:, 0]


class TableValues:
    """Q_i(o, a) = table[i][o][a], where o is a place, the only number seen."""

    algorithm = "table"

    def __init__(self, table: Any, copies: int = 1, gamma: float = 0.5) -> None:
        self.table = torch.tensor(table, dtype=torch.float32)
        agents, _, actions = self.table.shape
        self.task = TaskSpec(agents, (1,), num_actions=actions)
        self.config: Any = SimpleNamespace(gamma=gamma)
        self.num_envs, self.device = copies, torch.device("cpu")

    def q_values(self, obs: Tensor, actions: Tensor) -> Tensor:
        agents = torch.arange(len(self.table))[:, None]
        return self.table[agents, obs[..., 0].long()].gather(-1, actions)


def random_table(agents: int, places: int = 6, actions: int = 3) -> TableValues:
    """Agent a's values do not depend on how many there are."""
    rows = [np.random.default_rng([3, a]).normal(size=(places, actions)) for a in range(agents)]
    return TableValues(np.stack(rows), copies=2)


def step_of(obs: Any, action: Tensor, followed: Tensor, **changes: Any) -> AdvisedStep:
    obs = torch.as_tensor(obs, dtype=torch.float32)
    lead = obs.shape[:2]
    step = AdvisedStep(
        obs=obs,
        action=action,
        reward=torch.zeros(lead),
        next_obs=obs,
        terminated=torch.zeros(lead, dtype=torch.bool),
        truncated=torch.zeros(lead, dtype=torch.bool),
        followed=followed,
    )
    return replace(step, **changes)


def wander(adviser: LeCTR, steps: int, seed: int = 0) -> list[Tensor]:
    """Random places, proposals and rewards; agent a's do not depend on how many there are."""
    agents, copies = adviser.members.num_agents, adviser.replay.num_envs // adviser.config.interval
    rngs = [np.random.default_rng([seed, a]) for a in range(agents)]
    found = []
    for _ in range(steps):
        draws = torch.from_numpy(np.stack([rng.random((6, copies)) for rng in rngs])).float()
        obs, following = ((draws[:, k] * 6).floor()[..., None] for k in (0, 1))
        proposals = (draws[:, 2:3] * 3).long().expand(-1, adviser.members.size, -1)
        action, followed = adviser(Given(proposals), obs)
        found += [action, followed]
        adviser.observe(
            step_of(
                *(obs, action, followed),
                reward=draws[:, 3],
                next_obs=following,
                terminated=draws[:, 4] < 0.2,
                truncated=draws[:, 5] < 0.2,
            )
        )
    return found


def settle(adviser: LeCTR, ask: list[float], answer: list[list[float]]) -> None:
    """Let every agent's advising policies say the same everywhere: logits by agent."""
    tensors, last = adviser.tensors(), len(adviser.config.hidden)
    student, teacher = (f"model/policies/{who}.layers.{last}" for who in ("student", "teacher"))
    for part in (student, teacher):
        tensors[f"{part}.weight"].zero_()
    tensors[f"{student}.bias"] = torch.tensor([[0.0, one] for one in ask])
    tensors[f"{teacher}.bias"] = torch.tensor(answer)
    adviser.load_tensors(tensors)


# -- pure formulas -----------------------------------------------------------------------------


def test_readable_values_are_differences_to_the_best_and_what_that_loses() -> None:
    values = torch.tensor([[1.0, 3.0, 2.0], [-4.0, -4.0, -4.0]])
    found = readable_values(values, torch.tensor([[4.0], [4.0]]))
    assert found.tolist() == [[-1.0, 0.0, -0.5, 0.75, 0.5], [0.0, 0.0, 0.0, -1.0, 0.0]]


def test_outcomes_of_a_pair_and_of_three() -> None:
    ask = torch.tensor([0.5])
    one = outcomes(ask, torch.tensor([[[0.2, 0.3, 0.5]]]))
    torch.testing.assert_close(one, torch.tensor([[0.1, 0.15, 0.75]]))
    # Two teachers, the first always says 0, the second 1 or nothing: 0 if the second is silent,
    # else either: 0.5 (0.5 + 0.25) and 0.5 * 0.25.
    two = outcomes(ask, torch.tensor([[[1.0, 0.0, 0.0], [0.0, 0.5, 0.5]]]))
    torch.testing.assert_close(two, torch.tensor([[0.375, 0.125, 0.5]]))


@pytest.mark.parametrize("teachers", [1, 2, 3, 4, 5])
def test_outcomes_are_those_of_every_combination_of_answers(teachers: int) -> None:
    generator = torch.Generator().manual_seed(teachers)
    ask = torch.rand(1, generator=generator, dtype=torch.float64)
    answers = torch.rand(1, teachers, 3, generator=generator, dtype=torch.float64)
    answers = answers / answers.sum(-1, keepdim=True)
    expected = torch.tensor([0.0, 0.0, 1.0 - ask.item()], dtype=torch.float64)
    for said in product(range(3), repeat=teachers):
        p = ask[0] * torch.stack([answers[0, j, x] for j, x in enumerate(said)]).prod()
        advice = [x for x in said if x < 2] or [2]
        for x in advice:
            expected[x] += p / len(advice)
    torch.testing.assert_close(outcomes(ask, answers)[0], expected)


def test_outcomes_and_their_way_back_read_no_value() -> None:
    """An accelerator that repeats them cannot be asked."""
    answers = torch.rand(5, 3, 4).softmax(-1).requires_grad_()
    outcomes(torch.rand(5), answers)  # what is made once is made
    with torch.autograd.profiler.profile() as profile:
        outcomes(torch.rand(5), answers)[..., 0].sum().backward()
    assert {event.name for event in profile.function_events or ()} >= {"aten::mul"}
    assert not [e for e in profile.function_events or () if e.name == "aten::item"]


def test_outcomes_of_thirty_two_teachers_are_a_distribution() -> None:
    answers = torch.zeros(1, 32, 3)
    answers[..., 0] = 1.0
    found = outcomes(torch.tensor([1.0]), answers)
    torch.testing.assert_close(found, torch.tensor([[1.0, 0.0, 0.0]]))


def test_nothing_is_expected_after_termination() -> None:
    reward, following = torch.tensor([1.0, 1.0]), torch.tensor([4.0, 4.0])
    found = td_error(reward, following, torch.tensor([False, True]), torch.tensor([1.0, 2.0]), 0.5)
    assert found.tolist() == [2.0, -1.0]


# -- advising rewards --------------------------------------------------------------------------


def rewards_of(config: LeCTROptions, outcome: int = 2) -> Tensor:
    """Advising rewards of two steps of a pair, between which and the measurement values change.

    Agent 0 goes from place 0 by action 1 to place 1, rewarded 1; then from place 1 by action 0 to
    place 2, rewarded 2 and terminated. Agent 1 stays at place 3 (values 8), unrewarded.
    """
    learner = TableValues(
        [[[1.0, 2.0], [3.0, 4.0], [6.0, 5.0], [0.0, 0.0]], [[8.0, 8.0]] * 4], gamma=0.5
    )
    adviser = LeCTR(learner, replace(config, interval=2, learning_starts=1000), PAIR, seed=0)
    told = [[50.0, 0.0, 0.0], [0.0, 0.0, 50.0]]  # agent 1 is told 0, agent 0 nothing
    settle(adviser, [50.0, 50.0], told if outcome == 0 else [[0.0, 0.0, 50.0]] * 2)
    adviser.config = replace(adviser.config, epsilon=0.0)
    proposals = torch.tensor([[[1], [1]], [[0], [0]]])
    no = torch.zeros(2, 1, dtype=torch.bool)
    for here, action, there, reward, end in ((0, 1, 1, 1.0, no), (1, 0, 2, 2.0, ~no)):
        obs = torch.tensor([[[here]], [[3]]])
        adviser(Given(proposals), obs)
        adviser.observe(
            step_of(
                *(obs, torch.tensor([[action], [0]]), torch.tensor([[0], [1]])),
                reward=torch.tensor([[reward], [0.0]]),
                next_obs=torch.tensor([[[there]], [[3]]], dtype=torch.float32),
                terminated=end & torch.tensor([[True], [False]]),
            )
        )
    assert adviser.replay.size == 0  # progress is not known yet
    learner.table[0] = torch.tensor([[1.0, 2.5], [3.5, 4.5], [9.0, 9.0], [0.0, 0.0]])
    adviser(Given(proposals), torch.zeros(2, 1, 1))
    kept = adviser.replay.tensors()
    # The temporal differences of agent 1 are 0 + 0.5 * 8 - 8, and stay so.
    return kept["reward"]


def test_value_estimation_gain_is_being_above_the_threshold() -> None:
    # Estimates with the new values: 1 + 0.5 * 4.5 = 3.25, and 2 as nothing follows; agent 1: 4.
    assert rewards_of(LeCTROptions(threshold=3.0)).tolist() == [[1.0, 0.0], [1.0, 1.0]]
    assert rewards_of(LeCTROptions(threshold=3.5)).tolist() == [[0.0, 0.0], [1.0, 1.0]]
    # By default the first threshold is the mean, 2.625 and 4.
    assert rewards_of(LeCTROptions()).tolist() == [[1.0, 0.0], [0.0, 0.0]]


def test_td_gain_is_how_far_the_temporal_difference_shrank() -> None:
    # Step 1: |1 + 0.5 * 4 - 2| = 1, then |1 + 0.5 * 4.5 - 2.5| = 0.75. Step 2: |2 - 3| and
    # |2 - 3.5|.
    assert rewards_of(LeCTROptions(progress="tdg")).tolist() == [[0.25, -0.5], [0.0, 0.0]]


def test_loss_gain_is_how_far_half_its_square_shrank() -> None:
    expected = [[0.5 * (1 - 0.5625), 0.5 * (1 - 2.25)], [0.0, 0.0]]
    assert rewards_of(LeCTROptions(progress="lg")).tolist() == expected


def test_value_gain_is_how_far_the_best_value_rose() -> None:
    assert rewards_of(LeCTROptions(progress="jvg")).tolist() == [[0.5, 0.5], [0.0, 0.0]]


def test_following_advice_costs() -> None:
    config = LeCTROptions(threshold=3.0, cost=0.25)
    assert rewards_of(config).tolist() == [[1.0, 0.0], [1.0, 1.0]]
    assert rewards_of(config, outcome=0).tolist() == [[1.0, 0.0], [0.75, 0.75]]


def test_the_threshold_follows_the_mean_estimate() -> None:
    config = replace(SMALL, threshold_rate=0.25, interval=1, learning_starts=1000)
    adviser = LeCTR(random_table(2), config, PAIR, seed=0)
    proposals, obs = torch.zeros(2, 2, 2, dtype=torch.int64), torch.zeros(2, 2, 1)
    # Nothing follows: an estimate is the reward.
    for estimates in ([[0.0, 4.0], [1.0, 1.0]], [[2.5, 9.5], [1.0, 1.0]], [[2.5, 3.5], [1.5, 0.5]]):
        decided, ends = adviser(Given(proposals), obs), torch.ones(2, 2, dtype=torch.bool)
        adviser.observe(step_of(obs, *decided, reward=torch.tensor(estimates), terminated=ends))
    adviser(Given(proposals), obs)
    first, second, third = adviser.replay.tensors()["reward"].split(2, 1)
    assert first.tolist() == [[0.0, 1.0], [0.0, 0.0]]
    # Now 2 and 1; then 2 + 0.25 (6 - 2) = 3 and 1.
    assert second.tolist() == [[1.0, 1.0], [0.0, 0.0]]
    assert third.tolist() == [[0.0, 1.0], [1.0, 0.0]]


# -- who does what -----------------------------------------------------------------------------


def test_an_unasked_answer_changes_nothing_and_an_asked_one_is_followed() -> None:
    adviser = LeCTR(random_table(2), replace(SMALL, epsilon=0.0), PAIR, seed=0)
    settle(adviser, [50.0, -50.0], [[50.0, 0.0, 0.0, 0.0], [0.0, 50.0, 0.0, 0.0]])
    proposals = torch.full((2, 2, 2), 2)
    action, followed = adviser(Given(proposals), torch.zeros(2, 2, 1))
    assert action.tolist() == [[1, 1], [2, 2]]
    assert followed.tolist() == [[1, 1], [1, 1]]
    settle(adviser, [50.0, 50.0], [[50.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 50.0]])
    action, followed = adviser(Given(proposals), torch.zeros(2, 2, 1))
    assert action.tolist() == [[2, 2], [0, 0]]  # agent 1 has nothing to say
    assert followed.tolist() == [[0, 0], [0, 0]]


def test_shares_are_counted_and_begin_anew_when_read() -> None:
    adviser = LeCTR(random_table(2), replace(SMALL, epsilon=0.0), PAIR, seed=0)
    settle(adviser, [50.0, -50.0], [[50.0, 0.0, 0.0, 0.0], [0.0, 50.0, 0.0, 0.0]])
    proposals = torch.tensor([[[0, 1], [0, 0]], [[0, 0], [2, 2]]])
    adviser(Given(proposals), torch.zeros(2, 2, 1))
    found = adviser.numbers()
    assert found["asked"].tolist() == [1.0, 0.0]
    assert found["advised"].tolist() == [1.0, 0.0]
    assert found["changed"].tolist() == [0.5, 0.0]  # one copy intended what it was told
    assert found["answered"][1] == 1.0
    assert found["answered"][0].isnan()  # nobody asked agent 0
    assert adviser.numbers()["asked"].isnan().all()


def test_of_several_answers_each_is_followed_as_often() -> None:
    members, copies = Members(1, 4, (0, 1, 2, 3)), 3000
    learner = TableValues(np.zeros((4, 1, 3)), copies)
    adviser = LeCTR(learner, replace(SMALL, epsilon=0.0, buffer_size=12_000), members, seed=0)
    said = [[0.0, 0.0, 0.0, 50.0], *([50.0 * (k == x) for x in range(4)] for k in (0, 1, 3))]
    settle(adviser, [50.0] * 4, said)
    action, followed = adviser(Given(torch.full((4, 4, copies), 2)), torch.zeros(4, copies, 1))
    # Agent 0 hears 0 from 1, 1 from 2, and nothing from 3.
    assert set(followed[0].tolist()) == {1, 2}
    assert (followed[0] == 1).float().mean() == pytest.approx(0.5, abs=0.04)
    assert torch.equal(action[0], followed[0] - 1)
    # Agent 1 hears agent 2 only; the own answer does not count.
    assert set(followed[1].tolist()) == {2}
    assert set(action[1].tolist()) == {1}


def test_scripted_members_are_never_asked_and_places_are_those_in_the_group() -> None:
    members = Members(2, 4, (1, 3))
    learner = TableValues(np.zeros((4, 1, 3)), copies=2)
    adviser = LeCTR(learner, replace(SMALL, epsilon=0.0), members, seed=0)
    settle(adviser, [50.0, -50.0] * 2, [[50.0, 0.0, 0.0, 0.0]] * 4)
    proposals = torch.tensor([2, 1, 2, 2])[None, :, None].repeat(4, 1, 2)
    action, followed = adviser(Given(proposals), torch.zeros(4, 2, 1))
    assert followed.tolist() == [[3, 3]] * 4
    assert action.tolist() == [[0, 0], [2, 2]] * 2


def test_networks_scale_values_by_the_largest_that_their_owner_ever_gave() -> None:
    table = np.zeros((4, 3, 2))
    table[0, 1, 1], table[0, 2, 0], table[1, 1, 0], table[3, 0, 1] = -5.0, 9.0, 2.0, 7.0
    adviser = LeCTR(TableValues(table), SMALL, Members(2, 2, (0, 1)), seed=0)
    proposals = torch.zeros(4, 2, 1, dtype=torch.int64)
    # Agents 0 and 1 are at places 0 and 1, agents 2 and 3 at place 0.
    adviser(Given(proposals), torch.tensor([0.0, 1.0, 0.0, 0.0])[:, None, None])
    assert adviser.tensors()["scale"].tolist() == pytest.approx([5.0, 2.0, 0.0, 7.0], abs=1e-6)
    adviser(Given(proposals), torch.zeros(4, 1, 1))
    assert adviser.tensors()["scale"].tolist() == pytest.approx([5.0, 2.0, 0.0, 7.0], abs=1e-6)


def test_policies_explore() -> None:
    copies = 4000
    learner = TableValues(np.zeros((2, 1, 3)), copies)
    config = replace(SMALL, epsilon=0.4, interval=1, buffer_size=copies)
    adviser = LeCTR(learner, config, PAIR, seed=0)
    settle(adviser, [-50.0, 50.0], [[0.0, 0.0, 0.0, 50.0]] * 2)
    adviser(Given(torch.zeros(2, 2, copies, dtype=torch.int64)), torch.zeros(2, copies, 1))
    found = adviser.numbers()
    assert found["asked"].tolist() == pytest.approx([0.2, 0.8], abs=0.03)
    assert found["answered"].tolist() == pytest.approx([0.3, 0.3], abs=0.04)


# -- networks ----------------------------------------------------------------------------------


def readable(q: Tensor, scale: Tensor) -> Tensor:
    """One agent's values of one observation."""
    best, worst = q.max(), q.min()
    return torch.cat(((q - best) / (best - worst), torch.stack((best, best - worst)) / scale))


class Twin:
    """The advising networks of one group, a sample and an agent at a time."""

    NETWORKS = ("policies/student", "policies/teacher", "critic")
    TARGETS = ("policies-target/student", "policies-target/teacher", "critic-target")

    def __init__(self, adviser: LeCTR, actions: int) -> None:
        self.config, self.count = adviser.config, len(adviser.members.owners)
        self.actions, tensors = actions, adviser.tensors()
        self.scale = tensors["scale"]
        now, self.old = (
            tuple([plain(tensors, name, a) for a in range(self.count)] for name in names)
            for names in (self.NETWORKS, self.TARGETS)
        )
        self.students, self.teachers, self.critics = now
        rate = self.config.learning_rate
        self.policies = [
            torch.optim.Adam([*s.parameters(), *t.parameters()], rate)
            for s, t in zip(self.students, self.teachers, strict=True)
        ]
        self.judges = [torch.optim.Adam(c.parameters(), rate) for c in self.critics]

    def look(self, seen: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Observation, and readable values of every member."""
        values = seen[1:].view(self.count, self.actions)
        return seen[:1], [readable(q, s) for q, s in zip(values, self.scale, strict=True)]

    def chances(
        self, a: int, seen: Tensor, students: list[Any], teachers: list[Any]
    ) -> tuple[Tensor, Tensor]:
        """P(outcome) by going through all combinations, and the entropy."""
        obs, values = self.look(seen)
        ask = students[a](torch.cat((obs, values[a]))).softmax(-1)
        others = [j for j in range(self.count) if j != a]
        answers = [teachers[j](torch.cat((obs, values[a], values[j]))).softmax(-1) for j in others]
        found = [torch.zeros(()) for _ in range(self.actions)] + [ask[0]]
        for said in product(range(self.actions + 1), repeat=len(others)):
            p = ask[1]
            for answer, x in zip(answers, said, strict=True):
                p = p * answer[x]
            advice = [x for x in said if x < self.actions] or [self.actions]
            for x in advice:
                found[x] = found[x] + p / len(advice)
        entropies = torch.stack([-(p * p.log()).sum() for p in answers])
        return torch.stack(found), entropies.mean() - (ask * ask.log()).sum()

    def judge(self, critic: Any, seen: Tensor) -> Tensor:
        obs, values = self.look(seen)
        found: Tensor = critic(torch.cat((obs, *values)))
        return found

    def learn(self, batch: dict[str, Tensor]) -> None:
        config, size = self.config, batch["reward"].shape[1]
        students, teachers, critics = self.old
        for a in range(self.count):
            losses = []
            for b in range(size):
                target = batch["reward"][a, b]
                if not batch["terminated"][a, b]:
                    with torch.no_grad():
                        p, _ = self.chances(a, batch["next_obs"][a, b], students, teachers)
                        after = self.judge(critics[a], batch["next_obs"][a, b])
                        target = target + config.gamma * (p * after).sum()
                value = self.judge(self.critics[a], batch["obs"][a, b])[batch["action"][a, b]]
                losses.append(F.smooth_l1_loss(value, target))
            self.descend(self.judges[a], torch.stack(losses).mean())
        for optimiser in self.policies:
            optimiser.zero_grad()
        total = torch.zeros(())
        for a in range(self.count):
            seen = batch["obs"][a]
            with torch.no_grad():
                values = torch.stack([self.judge(self.critics[a], x) for x in seen])
            values = values - values.mean(1, keepdim=True)
            values = values / values.abs().mean()
            for b in range(size):
                p, entropy = self.chances(a, seen[b], self.students, self.teachers)
                total = total - ((p * values[b]).sum() + config.entropy_coef * entropy) / size
        total.backward()  # type: ignore[no-untyped-call]
        for optimiser in self.policies:
            nn.utils.clip_grad_norm_(optimiser.param_groups[0]["params"], config.max_grad_norm)
            optimiser.step()
        with torch.no_grad():
            now = (self.students, self.teachers, self.critics)
            for olds, news in zip(self.old, now, strict=True):
                for old, new in zip(olds, news, strict=True):
                    for p, q in zip(old.parameters(), new.parameters(), strict=True):
                        p.lerp_(q, config.tau)

    def descend(self, optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(optimiser.param_groups[0]["params"], self.config.max_grad_norm)
        optimiser.step()

    def check(self, adviser: LeCTR) -> None:
        tensors = adviser.tensors()
        everything = (self.students, self.teachers, self.critics, *self.old)
        for name, alone in zip((*self.NETWORKS, *self.TARGETS), everything, strict=True):
            for a, network in enumerate(alone):
                check_same(tensors, name, a, network, rtol=1e-3, atol=TENTH)


@pytest.mark.parametrize("count", [2, 3])
def test_gradient_steps_are_those_of_plain_networks(count: int) -> None:
    members = Members(1, count, tuple(range(count)))
    changes = {"tau": 0.3, "max_grad_norm": 0.5, "cost": 0.3, "entropy_coef": 0.5}
    config = replace(SMALL, learning_starts=1, **changes)
    adviser = LeCTR(random_table(count), config, members, seed=1)
    # What remembers the same, but does not learn.
    still = LeCTR(random_table(count), replace(config, learning_starts=1000), members, seed=1)
    wander(still, 20)
    begun = still.tensors()
    for name in begun:
        if "-target/" in name:
            begun[name] *= 3.0  # so that targets differ from the networks
    adviser.load_tensors(begun)
    twin = Twin(adviser, actions=3)
    for interval in range(3):
        begun = adviser.tensors()
        still.load_tensors(begun)
        for each in (adviser, still):
            wander(each, 1, seed=interval)  # it looks back and learns before anything else
        batch = still.replay.sample(words_of(begun, config.batch_size))
        twin.scale = begun["scale"]
        twin.learn(batch.tensors())
        twin.check(adviser)
        wander(adviser, config.interval - 1, seed=interval + 10)
    assert adviser.updates == 3


def test_a_loss_reaches_only_those_who_took_part() -> None:
    members = Members(2, 3, (0, 1, 2))
    adviser = LeCTR(random_table(6), SMALL, members, seed=1)
    wander(adviser, 13)
    batch = adviser.replay.sample(words_of(adviser.tensors(), 5))
    policies = adviser.policies
    for loss, reached in (
        (adviser.policy_loss(batch)[1], {"student": [1], "teacher": [0, 2]}),
        (adviser.policy_loss(batch)[3], {"student": [3], "teacher": [4, 5]}),
    ):
        for name, agents in reached.items():
            parameters = list(getattr(policies, name).parameters())
            grads = torch.autograd.grad(loss, parameters, retain_graph=True)
            for a in range(6):
                assert any(g[a].any() for g in grads) == (a in agents), (name, a)
        critics = list(adviser.critic.parameters())
        assert torch.autograd.grad(loss, critics, allow_unused=True) == (None,) * len(critics)
    grads = torch.autograd.grad(
        adviser.critic_loss(batch)[1],
        [*adviser.critic.parameters(), *policies.parameters()],
        allow_unused=True,
    )
    known = [g for g in grads if g is not None]
    assert len(known) == len(list(adviser.critic.parameters()))
    assert all(g[1].any() and not g[[0, 2, 3, 4, 5]].any() for g in known)


def test_the_learner_of_the_task_is_left_alone() -> None:
    task = TaskSpec(2, (1,), num_actions=3)
    config = DQNConfig(hidden=(8,), buffer_size=16, batch_size=4, learning_starts=0)
    learner, unasked = (DQN(task, config, num_envs=2) for _ in range(2))
    before = learner.tensors()
    adviser = LeCTR(learner, SMALL, PAIR, seed=0)
    weights = adviser.tensors()
    wander(adviser, 20)
    assert adviser.updates == 4
    after = learner.tensors()
    assert all(torch.equal(x, after[name]) for name, x in before.items())
    for each in (learner, unasked):
        remember(each, 5)
        each.update(2)
    after = unasked.tensors()
    assert all(torch.equal(x, after[name]) for name, x in learner.tensors().items())
    now = adviser.tensors()
    for name, x in weights.items():
        if name.startswith("model/") and "-target" not in name and name.endswith("weight"):
            assert not torch.equal(x, now[name]), name


def test_learners_of_several_algorithms_are_asked_alike() -> None:
    parts = [
        (DQN(TaskSpec(1, (1,), num_actions=3), DQNConfig(hidden=(k,)), num_envs=2), [k - 8])
        for k in (8, 9)
    ]
    adviser = LeCTR(MixedLearner(parts), SMALL, PAIR, seed=0)
    wander(adviser, 20)
    assert adviser.updates == 4


# -- groups, resuming, errors ------------------------------------------------------------------


@pytest.mark.parametrize("progress", ["veg", "tdg", "lg", "jvg"])
def test_a_group_is_what_it_is_alone(progress: Any) -> None:
    config = replace(SMALL, progress=progress)
    alone = LeCTR(random_table(3), config, Members(1, 3, (0, 1, 2)), seed=4)
    among = LeCTR(random_table(9), config, Members(3, 3, (0, 1, 2)), seed=4)
    for mine, all_of_them in zip(wander(alone, 40), wander(among, 40), strict=True):
        assert torch.equal(mine, all_of_them[:3])
    assert alone.updates > 5
    theirs = among.tensors()
    for name, x in alone.tensors().items():
        part = theirs[name][:, :3] if name.startswith("recent/") else theirs[name]
        part = part if name in {"counters"} or name.startswith("recent/") else part[:3]
        torch.testing.assert_close(x, part, rtol=1e-4, atol=1e-5, equal_nan=True, msg=name)


@pytest.mark.parametrize("progress", ["veg", "tdg"])
def test_a_continuation_is_exact(progress: Any) -> None:
    config = replace(SMALL, progress=progress)
    members = Members(2, 2, (0, 1))
    first = LeCTR(random_table(4), config, members, seed=4)
    wander(first, 42)  # in the middle of an interval
    saved = first.tensors()
    second = LeCTR(random_table(4), config, members, seed=5)
    wander(second, 3, seed=9)
    second.load_tensors(saved)
    for mine, theirs in zip(wander(first, 60, 1), wander(second, 60, 1), strict=True):
        assert torch.equal(mine, theirs)
    after = second.tensors()
    for name, x in first.tensors().items():
        assert torch.equal(x.nan_to_num(), after[name].nan_to_num()), name
    assert second.updates == first.updates > saved["counters"][1]
    for name, x in first.numbers().items():
        assert torch.equal(x.nan_to_num(), second.numbers()[name].nan_to_num()) or name != "asked"


def test_tensors_that_do_not_fit_change_nothing() -> None:
    adviser = LeCTR(random_table(2), SMALL, PAIR, seed=4)
    wander(adviser, 20)
    before = adviser.tensors()
    other = LeCTR(random_table(2), SMALL, PAIR, seed=5)
    wander(other, 30, seed=5)
    good = other.tensors()
    for bad, words in (
        ({**good, "more": torch.zeros(1)}, r"unknown \['more'\]"),
        ({k: x for k, x in good.items() if k != "scale"}, r"missing \['scale'\]"),
        ({**good, "scale": torch.zeros(3)}, r"scale: torch.float32 \(3,\)"),
        ({**good, "replay/reward": torch.zeros(2, 3)}, "3 stored transitions"),
    ):
        with pytest.raises(ValueError, match=words):
            adviser.load_tensors(bad)
    after = adviser.tensors()
    assert all(torch.equal(x.nan_to_num(), after[k].nan_to_num()) for k, x in before.items())
    adviser.load_tensors(good)


def test_a_step_without_a_decision_is_not_remembered() -> None:
    adviser = LeCTR(random_table(2), SMALL, PAIR, seed=4)
    zeros = torch.zeros(2, 2, dtype=torch.int64)
    adviser.observe(step_of(torch.zeros(2, 2, 1), zeros, zeros))
    assert adviser.tensors()["counters"].tolist() == [0, 0, 0]


def test_what_it_cannot_do_is_said() -> None:
    config = LeCTROptions()
    table = random_table(2)
    table.task = TaskSpec(2, (1,), action_low=(-1.0,), action_high=(1.0,))
    with pytest.raises(ValueError, match="discrete actions"):
        LeCTR(table, config, PAIR, 0)
    table.task = TaskSpec.of_view(ViewSpec(7, 7, 1, (3,)), 2)
    with pytest.raises(ValueError, match="views"):
        LeCTR(table, config, PAIR, 0)
    with pytest.raises(ValueError, match=r"lectr.buffer_size 3: .* lectr.interval 4 at a time"):
        LeCTR(random_table(2), replace(SMALL, buffer_size=3), PAIR, 0)
    with pytest.raises(ValueError, match="two or more members with networks"):
        LeCTR(random_table(1), config, Members(1, 2, (1,)), 0)
    task = TaskSpec(2, (1,), num_actions=3)
    recurrent = RecurrentDQN(task, RecurrentDQNConfig(buffer_size=64), model=ModelConfig(memory=8))
    with pytest.raises(ValueError, match="memory"):
        LeCTR(recurrent, config, PAIR, 0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("progress", "grades"), ("gamma", 1.5), ("tau", 0.0), ("interval", 0), ("cost", -1.0)),
        *(("hidden", ()), ("max_grad_norm", 0.0), ("threshold_rate", 0.0), ("epsilon", -0.1)),
    ],
)
def test_numbers_that_make_no_sense_are_refused(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field):
        LeCTROptions(**{field: value})


def test_numbers_that_are_not_finite_stop_it() -> None:
    learner = random_table(4)
    learner.table[2, :, 0] = torch.inf
    adviser = LeCTR(learner, SMALL, Members(2, 2, (0, 1)), seed=0)
    with pytest.raises(NonFiniteError, match="advising critic in update 1, agent 2"):
        wander(adviser, 20)


# -- learning ----------------------------------------------------------------------------------

LENGTH, TIME = 5, 20
MOVES = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])


def numbers_of(obs: Any) -> Any:
    """Number of each state of a room: agent's and goal's place."""
    digits = np.rint(np.asarray(obs) * (LENGTH - 1)).astype(int)
    return digits @ LENGTH ** np.arange(4)


class Rooms:
    """Empty rooms with a goal at the wall, worth 1 a step; episodes of 20 steps, out of phase."""

    def __init__(self, agents: int, copies: int, seed: int) -> None:
        self.rngs = [np.random.default_rng([seed, a]) for a in range(agents)]
        self.place, self.goal = (np.zeros((agents, copies, 2), int) for _ in range(2))
        self.time = np.zeros((agents, copies), int)
        for a, e in np.ndindex(agents, copies):
            self.begin(a, e)
            self.time[a, e] = self.rngs[a].integers(TIME)

    def begin(self, a: int, e: int) -> None:
        rng = self.rngs[a]
        goal = rng.integers(LENGTH, size=2)
        goal[rng.integers(2)] = rng.choice([0, LENGTH - 1])
        self.goal[a, e], self.place[a, e], self.time[a, e] = goal, LENGTH // 2, 0

    def obs(self) -> Any:
        return (np.concatenate((self.place, self.goal), -1) / (LENGTH - 1)).astype(np.float32)

    def step(self, action: Any) -> tuple[Any, Any, Any]:
        self.place = np.clip(self.place + MOVES[action], 0, LENGTH - 1)
        self.time += 1
        reward = np.where((self.place == self.goal).all(-1), 1.0, -0.001).astype(np.float32)
        final, over = self.obs(), self.time == TIME
        for a, e in np.argwhere(over):
            self.begin(a, e)
        return reward, final, over


class QTables:
    """Q-learning by tables, epsilon-greedy; some agents are done, and know the best actions."""

    algorithm = "table"

    def __init__(self, agents: int, copies: int, done: Any, seed: int) -> None:
        self.task = TaskSpec(agents, (4,), num_actions=4)
        self.num_envs, self.device = copies, torch.device("cpu")
        self.config: Any = SimpleNamespace(gamma=0.9)
        self.done, self.rngs = done, [np.random.default_rng([seed, a, 1]) for a in range(agents)]
        self.q = np.zeros((agents, LENGTH**4, 4))
        self.q[done] = self.solved()
        self.memory: list[tuple[Any, ...]] = []

    @staticmethod
    def solved() -> Any:
        states = np.stack(np.unravel_index(np.arange(LENGTH**4), (LENGTH,) * 4, order="F"), -1)
        after = np.clip(states[:, None, :2] + MOVES, 0, LENGTH - 1)
        goal = np.broadcast_to(states[:, None, 2:], after.shape)
        reward = np.where((after == goal).all(-1), 1.0, -0.001)
        following = numbers_of(np.concatenate((after, goal), -1) / (LENGTH - 1))
        q = np.zeros((LENGTH**4, 4))
        for _ in range(100):
            q = reward + 0.9 * q.max(-1)[following]
        return q

    def q_values(self, obs: Tensor, actions: Tensor) -> Tensor:
        values = self.q[np.arange(len(self.q))[:, None], numbers_of(obs)]
        return torch.from_numpy(values).float().gather(-1, actions)

    def act(self, obs: Any, epsilon: float) -> Any:
        states, found = numbers_of(obs), []
        for a, rng in enumerate(self.rngs):
            q = self.q[a, states[a]]
            best = (q + 1e-9 * rng.random(q.shape)).argmax(-1)
            random = rng.random(best.shape) < (0.0 if self.done[a] else epsilon)
            found.append(np.where(random, rng.integers(4, size=best.shape), best))
        return np.stack(found)

    def learn(self, obs: Any, action: Any, reward: Any, following: Any) -> None:
        self.memory.append((numbers_of(obs), action, reward, numbers_of(following)))
        for a in np.flatnonzero(~self.done):
            for k in (-1, *self.rngs[a].integers(len(self.memory), size=4)):
                s, act, r, after = (x[a] for x in self.memory[k])
                self.q[a, s, act] += 0.5 * (r + 0.9 * self.q[a, after].max(-1) - self.q[a, s, act])


def rewards_in_rooms(
    config: LeCTROptions | None, groups: int, steps: int
) -> tuple[Any, dict[str, Tensor]]:
    """Mean rewards ``[A]`` and numbers over the last quarter; member 0 learns, 1 is done."""
    agents, copies = 2 * groups, 4
    done = np.arange(agents) % 2 == 1
    rooms, learner = Rooms(agents, copies, seed=0), QTables(agents, copies, done, seed=0)
    adviser = None if config is None else LeCTR(learner, config, Members(groups, 2, (0, 1)), 0)
    collected = []
    never = torch.zeros(agents, copies, dtype=torch.bool)
    for step in range(steps):
        if adviser is not None and step == 3 * steps // 4:
            adviser.numbers()
        obs = rooms.obs()
        action = learner.act(obs, epsilon=1.0)
        if adviser is not None:
            proposals = torch.from_numpy(action)[:, None].expand(-1, 2, -1)
            chosen, followed = adviser(Given(proposals), torch.from_numpy(obs))
            action = chosen.numpy()
        reward, following, over = rooms.step(action)
        learner.learn(obs, action, reward, following)
        if adviser is not None:
            given = (torch.from_numpy(x) for x in (reward, following))
            step_seen = (torch.from_numpy(obs), chosen, *given, never, torch.from_numpy(over))
            adviser.observe(AdvisedStep(*step_seen, followed))
        collected.append(reward.mean(1))
    last = np.stack(collected[-steps // 4 :]).mean(0)
    return last, {} if adviser is None else adviser.numbers()


def test_a_learner_asks_a_frozen_expert_and_profits() -> None:
    alone, _ = rewards_in_rooms(None, groups=2, steps=1200)
    config = LeCTROptions(gradient_steps=8)
    together, numbers = rewards_in_rooms(config, groups=2, steps=1200)
    novices, experts = slice(0, None, 2), slice(1, None, 2)
    assert (alone[novices] < 0.06).all()  # it explores all the time
    assert (together[novices] > 0.3).all(), together
    assert (numbers["advised"][novices] > 0.6).all(), numbers
    assert (numbers["answered"][experts] > 0.6).all(), numbers
    # The expert learns not to ask, and loses nothing.
    assert (numbers["asked"][experts] < 0.2).all(), numbers
    assert (together[experts] > alone[experts] - 0.1).all(), together
