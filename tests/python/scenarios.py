"""Random scenarios for core and reference: what those of all games have in common."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

BIG = st.integers(0, 2**64 - 1)


def of_the_batch(draw, most_envs):
    """Keywords of a ``Scenario``, whatever its game."""
    num_envs = draw(st.integers(1, most_envs))
    return {
        "num_envs": num_envs,
        "num_threads": draw(st.integers(1, 3)),
        "seeds": draw(st.none() | BIG | st.lists(BIG, min_size=num_envs, max_size=num_envs)),
        "play_seed": draw(st.integers(0, 2**32 - 1)),
        "layout_every": draw(st.sampled_from([2, 5, 1000])),
    }


def of_the_streams(draw):
    """Options that say which random numbers environments have."""
    return {"seed": draw(BIG), "first_env_index": draw(st.integers(0, 2**40))}


def compare(scenarios, play, steps, each):
    """Play scenarios, of ``each`` environment steps or so, until ``steps`` have been compared."""
    compared = 0

    @settings(
        max_examples=-(-steps // each),
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(scenario=scenarios)
    def agree(scenario):
        nonlocal compared
        compared += play(scenario)

    agree()
    assert compared >= steps
