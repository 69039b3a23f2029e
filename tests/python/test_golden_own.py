"""Our own recorded trajectories, so that these tests stand without the public traces.

A failure means that some trajectory has changed: a new version of that game, or a mistake.
"""

import json

import numpy as np
import pytest
from tests.reference import ReferenceEnv
from tests.reference.record import FOLDER, SCENES, STATE, replay


def make_core(game, **options):
    import socialgrid

    return socialgrid.make_vec(game, num_threads=2, **options)


def test_every_scene_is_recorded():
    assert {path.stem for path in FOLDER.glob("*.npz")} == set(SCENES)


@pytest.mark.parametrize("make", [ReferenceEnv, make_core])
@pytest.mark.parametrize("name", SCENES)
def test_recording_is_reproduced(name, make):
    with np.load(FOLDER / f"{name}.npz") as arrays:
        recorded = dict(arrays)
    game, options = str(recorded.pop("game")), json.loads(str(recorded.pop("options")))
    actions = recorded.pop("actions")
    env = make(game, num_envs=actions.shape[1], **options)
    played = replay(env, actions)
    assert set(played) == set(recorded) >= set(STATE)
    for what, expected in recorded.items():
        if expected.dtype == np.float64:
            np.testing.assert_allclose(played[what], expected, rtol=0, atol=1e-9, err_msg=what)
        else:
            np.testing.assert_array_equal(played[what], expected, err_msg=what, strict=True)
