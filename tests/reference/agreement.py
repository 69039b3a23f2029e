"""Runs the core and the reference side by side and compares everything they tell."""

import numpy as np

from tests.reference.env import ReferenceEnv

STATE = (
    *("agent_pos", "agent_dir", "agent_active", "agent_last_tile", "agent_prestige"),
    *("agent_carrying", "step", "episode", "cells"),
)
INFO = ("active", "visible", "last_actions")
ABOUT = ("num_agents", "num_actions", "action_counts", "event_names", "obs_shape")


class Pair:
    """The same batch twice: `core` and `reference`."""

    def __init__(self, game, obs_mode="rgb", num_threads=1, **options):
        import socialgrid

        self.core = socialgrid.make_vec(game, obs_mode=obs_mode, num_threads=num_threads, **options)
        self.reference = ReferenceEnv(game, **options)
        self.layout_type = socialgrid.Layout
        self.obs_mode = obs_mode
        self.num_envs = self.core.num_envs
        self.where = f"{game} {options}"
        for name in ABOUT if obs_mode != "tiles" else ABOUT[:-1]:
            ours, theirs = getattr(self.core, name), getattr(self.reference, name)
            assert ours == theirs, f"{name}: {ours} is not {theirs}: {self.where}"

    def close(self):
        self.core.close()

    def reset(self, seed=None):
        ours, our_info = self.core.reset(seed=seed)
        theirs, their_info = self.reference.reset(seed=seed)
        self._same("obs after reset", self.as_rgb(ours), theirs)
        for name in INFO:
            self._same(f"info[{name!r}] after reset", our_info[name], their_info[name])
        self.compare_state("reset")

    def step(self, actions):
        ours, our_info = _split(self.core.step(actions))
        theirs, their_info = _split(self.reference.step(actions))
        for name in ("reward", "terminated", "truncated"):
            self._same(name, ours[name], theirs[name])
        events = ("events",) if self.reference.event_names else ()
        assert ("events" in our_info) == bool(events), f"info['events']: {self.where}"
        for name in ("done", *INFO, *events):
            self._same(f"info[{name!r}]", our_info[name], their_info[name])
        self._same("obs", self.as_rgb(ours["obs"]), theirs["obs"])
        done = their_info["done"]
        final, expected = our_info["final_obs"], their_info["final_obs"]
        if done.any():
            self._same("final_obs", self.as_rgb(final[done]), expected[done])
        assert not final[~done].any(), f"final_obs of unfinished episodes: {self.where}"
        self.compare_state("step")

    def compare_state(self, moment):
        ours, theirs = self.core.worlds(list(STATE)), self.reference.worlds(STATE)
        for name in STATE:
            self._same(f"{name} after {moment}", ours[name], theirs[name])

    def compare_layouts(self):
        for e in range(self.num_envs):
            ours, theirs = self.core.get_layout(e), self.reference.get_layout(e)
            detail = self.reference.family.default_detail
            same = as_dict(ours, detail) == as_dict(theirs, detail)
            assert same, f"layout {e}: {ours} is not {theirs}: {self.where}"

    def compare_renders(self, tile_size):
        for e in range(self.num_envs):
            ours = self.core.render(e, tile_size=tile_size)
            self._same("render", ours, self.reference.render(e, tile_size=tile_size))

    def set_layout(self, e, layout):
        """Put the same state into both and compare the views."""
        self.core.set_layout(e, self.layout_type(**vars(layout)))
        self.reference.set_layout(e, layout)
        self.compare_state("set_layout")
        self._same(
            "obs after set_layout", self.as_rgb(self.core.observe()), self.reference.observe()
        )

    def as_rgb(self, obs):
        """Views [..., V, V] of tile numbers as images [..., V * t, V * t, 3]; others as is."""
        if self.obs_mode != "tiles":
            return obs
        tiles = self.core.tile_atlas[obs]  # [..., V, V, t, t, 3]
        tiles = np.moveaxis(tiles, -3, -4)  # [..., V, t, V, t, 3]
        *batch, view, t, _, _, _ = tiles.shape
        return tiles.reshape(*batch, view * t, view * t, 3)

    def _same(self, what, ours, theirs):
        assert ours.dtype == theirs.dtype, f"{what}: {ours.dtype} is not {theirs.dtype}"
        np.testing.assert_array_equal(ours, theirs, err_msg=f"{what}: {self.where}", strict=True)


def _split(results):
    names = ("obs", "reward", "terminated", "truncated")
    return dict(zip(names, results[:4], strict=True)), results[4]


def as_dict(layout, default_detail):
    """A layout in plain Python values, with every default written out.

    default_detail: what a character means in words where the layout gives none.
    """
    count = len(layout.agent_pos)
    details = {tuple(map(int, pos)): words for pos, words in (layout.details or {}).items()}
    for row, line in enumerate(layout.cells):
        for col, char in enumerate(line):
            default = default_detail(char)
            if default:
                details.setdefault((row, col), default)

    def per_agent(values, default, convert):
        values = [default] * count if values is None else values
        return [None if value is None else convert(value) for value in values]

    return {
        "cells": list(layout.cells),
        "agent_pos": [tuple(map(int, pos)) for pos in layout.agent_pos],
        "agent_dir": per_agent(layout.agent_dir, 0, int),
        "agent_active": per_agent(layout.agent_active, True, bool),
        "agent_carrying": per_agent(layout.agent_carrying, None, str),
        "agent_prestige": per_agent(layout.agent_prestige, 0.0, float),
        "agent_last_tile": per_agent(layout.agent_last_tile, None, int),
        "step": int(layout.step),
        "details": details,
    }
