"""Coordination of messages and actions: known distributions, twins, ends of episodes."""

import doctest
import itertools
import math
from collections import Counter

import numpy as np
import pytest

from socialgrid.measures import (
    coordination,
    correlation,
    entropy,
    influenced_reward_correlation,
    influential_moments,
    instantaneous_coordination,
    joint_counts,
    mutual_information,
    speaker_consistency,
    strongest_pair,
)


def twin_information(pairs):
    """Sum over the joint distribution of p log(p / (p p)), from a list of pairs."""
    if not pairs:
        return math.nan
    n = len(pairs)
    both = Counter(pairs)
    one, two = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    return sum(c / n * math.log(c * n / (one[a] * two[b])) for (a, b), c in both.items())


def twin_coordination(signals, actions, done, moments):
    steps, envs, agents = signals.shape
    result = np.full((agents, agents), math.nan)
    for k, j in itertools.permutations(range(agents), 2):
        pairs = [
            (int(signals[t, e, k]), int(actions[t + 1, e, j]))
            for t in range(steps - 1)
            for e in range(envs)
            if not done[t, e] and moments[t, e, k]
        ]
        result[k, j] = twin_information(pairs)
    return result


def twin_entropy(values):
    n = len(values)
    return -sum(c / n * math.log(c / n) for c in Counter(values).values())


def twin_consistency(messages, actions, num_symbols, num_actions, average):
    """Eq. 8 of one agent, from lists."""
    given_symbol = [
        1 - twin_entropy([a for m, a in zip(messages, actions, strict=True) if m == c])
        / math.log(num_actions)
        for c in sorted(set(messages))
    ]  # fmt: skip
    given_action = [
        1 - twin_entropy([m for m, a in zip(messages, actions, strict=True) if a == c])
        / math.log(num_symbols)
        for c in sorted(set(actions))
    ]  # fmt: skip
    if average:
        given_symbol = [np.mean(given_symbol)]
        given_action = [np.mean(given_action)]
    return 0.5 * (sum(given_symbol) + sum(given_action))


@pytest.fixture(params=range(3))
def case(request):
    """Actions depend a little on one's own messages and on the neighbour's earlier ones."""
    rng = np.random.default_rng(request.param)
    messages = rng.integers(4, size=(40, 3, 3))
    actions = rng.integers(5, size=(40, 3, 3))
    obeys = rng.random((39, 3, 3)) < 0.4
    actions[1:][obeys] = np.roll(messages[:-1], 1, -1)[obeys]
    own = rng.random((40, 3, 3)) < 0.2
    actions[own] = messages[own]
    return messages, actions, rng.random((40, 3)) < 0.1, rng.random((40, 3, 3)) < 0.3


def test_information_of_known_joints():
    independent = np.outer([1, 2, 3], [4, 1])
    identical = np.diag([2, 1, 1])
    assert mutual_information(independent) == pytest.approx(0.0, abs=1e-12)
    assert mutual_information(identical) == pytest.approx(1.5 * math.log(2))
    assert mutual_information([[1, 1], [1, 0]]) == pytest.approx(math.log(3) - 2 / 3 * math.log(4))
    stacked = mutual_information(np.stack([np.eye(2), np.ones((2, 2))]))
    np.testing.assert_allclose(stacked, [math.log(2), 0.0], atol=1e-12)
    assert math.isnan(mutual_information(np.zeros((2, 3))))


def test_one_part_of_a_parity_tells_nothing():
    """XOR: neither input alone informs on the output, both together determine it."""
    first, second = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    parity = first ^ second
    for one in (first, second):
        assert mutual_information(joint_counts(one, parity, 2, 2)) == pytest.approx(0, abs=1e-12)
    both = joint_counts(2 * first + second, parity, 4, 2)
    assert mutual_information(both) == pytest.approx(math.log(2))


def test_entropy_of_known_counts():
    np.testing.assert_allclose(
        entropy([[1, 1, 1, 1], [5, 0, 0, 0], [2, 1, 1, 0]]),
        [math.log(4), 0.0, 1.5 * math.log(2)],
    )
    assert math.isnan(entropy([0, 0]))


def test_counts():
    first, second = np.array([[0, 1], [1, 1]], np.uint8), np.array([[2, 0], [0, 1]], np.int32)
    assert joint_counts(first, second, 2, 3).tolist() == [[0, 0, 1], [2, 1, 0]]
    # Products of small types must not wrap round.
    large = np.full(3, 200, np.uint8)
    assert joint_counts(large, large, 201, 201)[200, 200] == 3


@pytest.mark.parametrize("average", [True, False])
def test_speaker_consistency_is_eq_8(case, average):
    messages, actions, _, _ = case
    ours = speaker_consistency(messages, actions, num_symbols=4, num_actions=5, average=average)
    want = [
        twin_consistency(
            messages[..., k].ravel().tolist(), actions[..., k].ravel().tolist(), 4, 5, average
        )
        for k in range(3)
    ]
    np.testing.assert_allclose(ours, want, rtol=1e-10)


def test_speaker_consistency_by_hand():
    """Symbol 0 always with action 0; symbol 1 with actions 0 and 1 in turns; 2 never."""
    messages = np.array([0, 0, 1, 1]).reshape(4, 1, 1)
    actions = np.array([0, 0, 0, 1]).reshape(4, 1, 1)
    third = math.log(3) - 2 / 3 * math.log(2)  # entropy of symbols given action 0: 2 to 1
    symbols, acts = [1.0, 0.0], [1 - third / math.log(3), 1.0]
    mean = speaker_consistency(messages, actions, num_symbols=3, num_actions=2)
    assert mean[0] == pytest.approx(0.5 * (sum(symbols) / 2 + sum(acts) / 2))
    printed = speaker_consistency(messages, actions, num_symbols=3, num_actions=2, average=False)
    assert printed[0] == pytest.approx(0.5 * (sum(symbols) + sum(acts)))


def test_consistent_and_arbitrary_speakers():
    rng = np.random.default_rng(0)
    messages = rng.integers(6, size=(2000, 4, 3))
    meaning = rng.permutation(6)
    actions = np.stack(
        [
            meaning[messages[..., 0]],  # one action for each symbol
            rng.integers(6, size=(2000, 4)),  # nothing to do with the symbol
            meaning[messages[..., 2]] // 2,  # two symbols for each action
        ],
        -1,
    )
    one, arbitrary, half = speaker_consistency(messages, actions, num_symbols=6, num_actions=6)
    assert one == pytest.approx(1.0)
    assert 0.0 <= arbitrary < 0.01
    assert half == pytest.approx(0.5 * (1 + 1 - math.log(2) / math.log(6)), abs=1e-3)


def test_a_vocabulary_of_one_tells_nothing_by_itself():
    zeros = np.zeros((10, 1, 1), int)
    acts = np.arange(10).reshape(10, 1, 1) % 2
    assert speaker_consistency(zeros, acts, num_symbols=1, num_actions=2) == pytest.approx([0.0])
    nothing = np.zeros((0, 1, 2), int)
    assert np.isnan(speaker_consistency(nothing, nothing, num_symbols=2, num_actions=2)).all()


@pytest.mark.parametrize("all_steps", [True, False])
def test_coordination_is_its_definition(case, all_steps):
    messages, actions, done, moments = case
    chosen = None if all_steps else moments
    for signals, number in ((messages, 4), (actions, 5)):
        ours = instantaneous_coordination(
            signals, actions, done, num_signals=number, num_actions=5,
            moments=chosen,
        )  # fmt: skip
        mask = np.ones_like(moments) if all_steps else moments
        want = twin_coordination(signals, actions, done, mask)
        np.testing.assert_allclose(ours, want, rtol=1e-9, atol=1e-12)
        assert strongest_pair(ours) == pytest.approx(np.nanmax(want))


def test_the_response_comes_one_step_later():
    """Agent 1 does what agent 0 said the step before; at once, or after two steps, is not it."""
    rng = np.random.default_rng(0)
    messages = rng.integers(3, size=(3000, 1, 2))
    none = np.zeros((3000, 1), bool)
    for delay, heard in ((0, 0.0), (1, math.log(3)), (2, 0.0)):
        actions = rng.integers(3, size=(3000, 1, 2))
        actions[..., 1] = np.roll(messages[..., 0], delay, 0)
        ours = instantaneous_coordination(messages, actions, none, num_signals=3, num_actions=3)
        assert ours[0, 1] == pytest.approx(heard, abs=0.01)
        assert ours[1, 0] == pytest.approx(0.0, abs=0.01)
        assert np.isnan(np.diag(ours)).all()


def test_pairs_do_not_cross_the_ends_of_episodes():
    """Obedience only across ends: every second step ends an episode."""
    signals = np.array([0, 0, 1, 0, 0, 0, 1, 0, 0]).reshape(9, 1, 1).repeat(2, -1)
    actions = np.array([1, 0, 0, 1, 1, 0, 0, 1, 1]).reshape(9, 1, 1).repeat(2, -1)
    done = (np.arange(9) % 2 == 1)[:, None]
    within = instantaneous_coordination(signals, actions, done, num_signals=2, num_actions=2)
    everywhere = instantaneous_coordination(
        signals, actions, np.zeros_like(done), num_signals=2, num_actions=2
    )
    # Within episodes the signals 0, 1, 0, 1 are answered with 0, 1, 0, 1.
    assert within[0, 1] == pytest.approx(math.log(2))
    assert everywhere[0, 1] < 0.5


def test_influential_moments_show_what_the_average_hides():
    """The listener obeys rarely, exactly when influence is high."""
    rng = np.random.default_rng(0)
    messages = rng.integers(2, size=(4000, 1, 2))
    actions = rng.integers(2, size=(4000, 1, 2))
    influence = np.zeros((4000, 1, 2), np.float32)
    obeys = np.flatnonzero(rng.random(3999) < 0.08)
    actions[obeys + 1, 0, 1] = messages[obeys, 0, 0]
    influence[obeys, 0, 0] = 1.0
    none = np.zeros((4000, 1), bool)
    moments = influential_moments(influence)
    assert moments[..., 0].sum() == len(obeys)
    assert not moments[..., 1].any(), "it never has any influence"
    assert influential_moments(influence + 1.0)[..., 1].all(), "constant: always at its mean"
    sizes = {"num_signals": 2, "num_actions": 2}
    usual = instantaneous_coordination(messages, actions, none, **sizes)
    rare = instantaneous_coordination(
        messages,
        actions,
        none,
        **sizes,
        moments=moments,
    )
    assert usual[0, 1] < 0.02
    assert rare[0, 1] == pytest.approx(math.log(2), abs=0.02)


def test_an_agent_alone_coordinates_with_nobody():
    alone = np.zeros((5, 1, 1), int)
    ours = instantaneous_coordination(
        alone, alone, np.zeros((5, 1), bool), num_signals=1, num_actions=1
    )
    assert math.isnan(strongest_pair(ours))


def test_correlation():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 30))
    assert correlation(x, y) == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert correlation(x, 3 - 2 * x) == -1.0
    assert math.isnan(correlation(x, np.ones(30)))
    assert math.isnan(correlation([1.0], [2.0]))


def test_influenced_agents_and_their_rewards():
    """The points are means of episodes, however long they are."""
    rng = np.random.default_rng(1)
    influenced, reward = rng.random((2, 20, 3, 2))
    done = rng.random((20, 3)) < 0.2
    done[-1] = False  # the last episodes are cut off
    points = []
    for e, k in np.ndindex(3, 2):
        first = 0
        for stop in [*(np.flatnonzero(done[:, e]) + 1), 20]:
            rows = slice(first, stop)
            points.append((influenced[rows, e, k].mean(), reward[rows, e, k].mean()))
            first = stop
    assert len(points) > 10
    x, y = zip(*points, strict=True)
    ours = influenced_reward_correlation(influenced, reward, done)
    assert ours == pytest.approx(np.corrcoef(x, y)[0, 1])
    leads = np.zeros((20, 3, 1))  # nobody ever has any influence on whoever leads
    beside = np.concatenate([leads, influenced], -1), np.concatenate([leads + 9.0, reward], -1)
    assert influenced_reward_correlation(*beside, done) == pytest.approx(ours)
    assert math.isnan(influenced_reward_correlation(leads, leads, done))


def test_mistakes_are_named():
    two, three = np.zeros((4, 1, 2), int), np.zeros((4, 1, 3), int)
    done = np.zeros((4, 1), bool)
    sizes = {"num_signals": 2, "num_actions": 2}
    with pytest.raises(ValueError, match=r"signals .* and actions .*must be equal"):
        instantaneous_coordination(two, three, done, **sizes)
    with pytest.raises(ValueError, match=r"and moments"):
        instantaneous_coordination(two, two, done, **sizes, moments=three > 0)
    with pytest.raises(ValueError, match=r"done \(4, 2\): expected \(4, 1\)"):
        instantaneous_coordination(two, two, np.zeros((4, 2), bool), **sizes)
    with pytest.raises(ValueError, match="messages"):
        speaker_consistency(two, three, num_symbols=2, num_actions=2)
    with pytest.raises(ValueError, match=r"from -1 to -1: must be in \[0, 2\)"):
        speaker_consistency(two - 1, two, num_symbols=2, num_actions=2)
    with pytest.raises(ValueError, match=r"from 2 to 2: must be in \[0, 2\)"):
        speaker_consistency(two, two + 2, num_symbols=2, num_actions=2)
    with pytest.raises(ValueError, match="differ"):
        joint_counts(np.zeros(3, int), np.zeros(2, int), 1, 1)
    with pytest.raises(ValueError, match=r"x .* and y"):
        correlation([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="influenced"):
        influenced_reward_correlation(two, three, done)
    with pytest.raises(ValueError, match="done"):
        influenced_reward_correlation(two, two, done[:3])


def test_the_example_holds():
    failed, attempted = doctest.testmod(coordination)
    assert failed == 0 < attempted
