"""The reference's random stream against published vectors and its own definition."""

from collections import Counter

import pytest
from tests.reference.rng import Stream, philox4x32

# Random123's kat_vectors for philox4x32, 10 rounds: counter, key, result.
KNOWN_ANSWERS = [
    ((0,) * 4, (0,) * 2, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        "d16cfe09 94fdcceb 5001e420 24126ea1",
    ),
]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS)
def test_philox_gives_the_published_words(counter, key, expected):
    words = philox4x32(counter, key)
    assert " ".join(f"{word:08x}" for word in words) == expected


def test_stream_reads_the_words_of_each_block_in_order():
    stream = Stream(seed=(7 << 32) + 5, env=(3 << 32) + 2, episode=9)
    words = [stream.next_word() for _ in range(8)]
    blocks = [philox4x32((block, 9, 2, 3), (5, 7)) for block in (0, 1)]
    assert words == [*blocks[0], *blocks[1]]


def test_neighbouring_streams_differ():
    names = [(seed, env, episode) for seed in range(4) for env in range(4) for episode in range(4)]
    first = {Stream(*name).next_word() for name in names}
    assert len(first) == len(names)


def test_uniform_int_covers_its_range_evenly():
    stream = Stream(seed=1, env=0, episode=0)
    counts = Counter(stream.uniform_int(6) for _ in range(6000))
    assert sorted(counts) == list(range(6))
    assert all(850 < count < 1150 for count in counts.values())


def test_uniform_int_of_one_still_draws():
    stream = Stream(seed=1, env=0, episode=0)
    other = Stream(seed=1, env=0, episode=0)
    assert stream.uniform_int(1) == 0
    other.next_word()
    assert stream.next_word() == other.next_word()


def test_uniform_int_rejects_what_would_bias_it():
    # Of 2^32 words a quarter cannot be shared evenly among 3 * 2^30 values.
    n, draws = 3 << 30, 3000
    stream = Stream(seed=4, env=0, episode=0)
    thirds = Counter(stream.uniform_int(n) >> 30 for _ in range(draws))
    words = 4 * stream.block - len(stream.words)
    assert 3800 < words < 4200
    assert all(900 < count < 1100 for count in thirds.values())


def test_uniform_is_inside_the_unit_interval():
    stream = Stream(seed=2, env=0, episode=0)
    draws = [stream.uniform() for _ in range(2000)]
    assert all(0 <= draw < 1 for draw in draws)
    assert 0.48 < sum(draws) / len(draws) < 0.52


def test_shuffle_reaches_every_order():
    stream = Stream(seed=3, env=0, episode=0)
    orders = Counter()
    for _ in range(1200):
        items = [0, 1, 2]
        stream.shuffle(items)
        orders[tuple(items)] += 1
    assert len(orders) == 6
    assert all(150 < count < 250 for count in orders.values())
