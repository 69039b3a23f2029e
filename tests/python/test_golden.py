"""Recorded traces of the public games, replayed through the reference and through the core.

If one of these fails, published results can no longer be reproduced with this simulator.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.reference import Layout, ReferenceEnv
from tests.reference.visibility import visible_cells

GOLDEN = Path(__file__).parents[3] / "shared" / "golden"
TRACES = (
    "cluttered_goal_ends_agent",
    "empty_4agents_crowd",
    "goalcycle3_hidden_goals_for_agent1",
    "goalcycle3_no_initial_reward_decay",
    "goalcycle3_prestige",
    "goalcycle3_prestige_beta99_scale1",
    "goalcycle3_reset_on_mistake",
    "goalcycle3_see_through",
    "goalcycle3_small_dense_cycle",
    "goalcycle3_tile11_border",
    "goalcycle3_view5_tile8",
    "goalcycle3_view9_offset3",
    "goalcycle4_penalty0",
)
OCCLUSIONS = (
    "occlusion_view5_offset1",
    "occlusion_view7_offset1",
    "occlusion_view7_offset2",
    "occlusion_view7_offset3",
    "occlusion_view9_offset1",
)
DILEMMAS = (
    "cleanup_2_nogrowth",
    "cleanup_5_nogrowth",
    "cleanup_9_nogrowth",
    "harvest_5_crowd_conflicts_nogrowth",
    "harvest_5_nogrowth",
    "harvest_9_nogrowth",
)
GAME_OF_CLASS = {
    "EmptyMultiGrid": "Empty-v0",
    "ClutteredMultiGrid": "Cluttered-v0",
    "ClutteredGoalCycleEnv": "GoalCycle-v0",
}

needs_golden = pytest.mark.skipif(
    not GOLDEN.is_dir(), reason="the recorded traces (../shared/golden) are not there"
)


def read_golden(name):
    with np.load(GOLDEN / f"{name}.npz") as arrays:
        recorded = dict(arrays)
    return recorded, json.loads(str(recorded["meta"]))


def options_of(meta, size):
    """The trace's configuration in this project's words."""
    env, agents = meta["env_kw"], meta["agents"]
    shared = agents[0]
    hidden_kinds = {"BonusTile": "cycle"}
    options = {
        "grid_size": list(size),
        "num_agents": len(agents),
        "max_steps": env["max_steps"],
        "respawn": env["respawn"],
        "ghost_mode": env.get("ghost_mode", True),
        "reward_decay": env.get("reward_decay", True),
        "view_size": shared["view_size"],
        "view_offset": shared["view_offset"],
        "tile_size": shared["view_tile_size"],
        "color": [agent["color"] for agent in agents],
        "see_through_walls": [agent.get("see_through_walls", False) for agent in agents],
        "hide": [
            [hidden_kinds[kind] for kind in agent.get("hide_item_types", [])] for agent in agents
        ],
        "prestige_decay": shared.get("prestige_beta", 0.95),
        "prestige_scale": float(shared.get("prestige_scale", 2)),
    }
    same_name = ("clutter_density", "randomize_goal", "initial_reward", "reset_on_mistake")
    options |= {key: env[key] for key in same_name if key in env}
    if "n_bonus_tiles" in env:
        options |= {"num_goals": env["n_bonus_tiles"], "penalty": abs(env["penalty"])}
    return options


def cells_of(trace):
    """Rows of layout characters; the trace keeps the cycle's indices apart."""
    return [
        "".join(str(index) if char == "o" else char for char, index in zip(*line, strict=True))
        for line in zip(trace["cells"], trace["bonus_id"], strict=True)
    ]


def make_reference(game, **options):
    return ReferenceEnv(game, num_envs=1, **options), Layout


def make_core(game, **options):
    import socialgrid

    return socialgrid.make_vec(game, num_envs=1, num_threads=1, **options), socialgrid.Layout


@needs_golden
def test_no_trace_is_forgotten():
    present = {path.stem for path in GOLDEN.glob("*.npz")}
    assert present == {*TRACES, *OCCLUSIONS, *DILEMMAS, "growth_statistics"}


@needs_golden
@pytest.mark.parametrize("make", [make_reference, make_core])
@pytest.mark.parametrize("name", TRACES)
def test_trace_is_reproduced(name, make):
    trace, meta = read_golden(name)
    env, layout_type = make(GAME_OF_CLASS[meta["env"]], **options_of(meta, trace["cells"].shape))
    env.reset(seed=0)
    layout = layout_type(
        cells=cells_of(trace),
        agent_pos=[tuple(pos) for pos in trace["agent_pos"].tolist()],
        agent_dir=trace["agent_dir"].tolist(),
    )
    env.set_layout(0, layout)
    np.testing.assert_array_equal(env.observe()[0], trace["obs0"])

    for t, actions in enumerate(trace["actions"]):
        obs, reward, terminated, truncated, info = env.step(actions[None])
        where = f"{name}, step {t}"
        np.testing.assert_array_equal(reward[0], trace["rewards"][t].astype(np.float32), where)
        assert info["done"][0] == trace["done"][t], where
        assert (terminated | truncated).all() == trace["done"][t], where
        seen = info["final_obs"] if trace["done"][t] else obs
        np.testing.assert_array_equal(seen[0], trace["obs"][t], where)
        if trace["done"][t]:
            break  # the state is the next episode's already
        state = env.worlds(["agent_pos", "agent_dir", "agent_prestige"])
        np.testing.assert_array_equal(state["agent_pos"][0], trace["next_pos"][t], where)
        np.testing.assert_array_equal(state["agent_dir"][0], trace["next_dir"][t], where)
        np.testing.assert_allclose(
            state["agent_prestige"][0], trace["prestige"][t], rtol=0, atol=1e-9, err_msg=where
        )
    assert t == len(trace["actions"]) - 1


def occlusion_by_reference(opaque, view_offset):
    return np.stack([visible_cells(case, view_offset) for case in opaque])


def occlusion_by_core(opaque, view_offset):
    import socialgrid

    return socialgrid.occlusion(opaque, view_offset)


@needs_golden
@pytest.mark.parametrize("occlusion", [occlusion_by_reference, occlusion_by_core])
@pytest.mark.parametrize("name", OCCLUSIONS)
def test_occlusion_is_reproduced(name, occlusion):
    recorded, _ = read_golden(name)
    offset = int(name[-1])
    opaque, visible = (recorded[key].transpose(0, 2, 1) for key in ("opaque", "visible"))
    np.testing.assert_array_equal(occlusion(np.ascontiguousarray(opaque), offset), visible)


CROWD_MAP = ["@@@@@@@", "@PAPAP@", "@APAPA@", "@PAPAP@", "@@@@@@@"]
DIRECTION_OF_ORIENTATION = np.array([3, 0, 1, 2])  # recorded: 0 up, 1 right, 2 down, 3 left
NO_GROWTH = {
    "cleanup": {"apple_spawn_probability": 0.0, "waste_spawn_probability": 0.0},
    "harvest": {"apple_spawn_probabilities": [0.0, 0.0, 0.0, 0.0]},
}
GAME_OF_NAME = {"cleanup": "Cleanup-v0", "harvest": "Harvest-v0"}


@needs_golden
@pytest.mark.parametrize("make", [make_reference, make_core])
@pytest.mark.parametrize("name", DILEMMAS)
def test_dilemma_trace_is_reproduced(name, make):
    trace, _ = read_golden(name)
    kind = name.split("_")[0]
    options = {"map": CROWD_MAP} if "crowd" in name else {}
    env, layout_type = make(
        GAME_OF_NAME[kind],
        num_agents=trace["actions"].shape[1],
        show_beams=False,
        view_rotation="public",
        **options,
        **NO_GROWTH[kind],
    )
    env.reset(seed=0)
    layout = layout_type(
        cells=["".join(line) for line in trace["cells"]],
        agent_pos=[tuple(pos) for pos in trace["agent_pos"].tolist()],
        agent_dir=DIRECTION_OF_ORIENTATION[trace["agent_orientation"]].tolist(),
    )
    env.set_layout(0, layout)
    np.testing.assert_array_equal(env.observe()[0], trace["obs0"])

    others = ~np.eye(env.num_agents, dtype=bool)
    for t, actions in enumerate(trace["actions"]):
        obs, reward, terminated, truncated, info = env.step(actions[None])
        where = f"{name}, step {t}"
        state = env.worlds(["agent_pos", "agent_dir", "cells"])
        np.testing.assert_array_equal(state["agent_pos"][0], trace["next_pos"][t], where)
        directions = DIRECTION_OF_ORIENTATION[trace["next_orientation"][t]]
        np.testing.assert_array_equal(state["agent_dir"][0], directions, where)
        cells = [[chr(code) for code in line] for line in state["cells"][0]]
        np.testing.assert_array_equal(cells, trace["next_cells"][t], where)
        np.testing.assert_array_equal(reward[0], trace["rewards"][t].astype(np.float32), where)
        np.testing.assert_array_equal(obs[0], trace["obs"][t], where)
        visible = info["visible"][0][others].reshape(trace["visible"][t].shape)
        np.testing.assert_array_equal(visible, trace["visible"][t], where)
        assert not (terminated | truncated).any(), where
