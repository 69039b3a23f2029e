"""A batch of reference worlds behind the interface of `socialgrid.make_vec`."""

import numpy as np

from tests.reference import layout as layouts
from tests.reference.config import resolve
from tests.reference.generation import new_world
from tests.reference.render import view_image, world_image
from tests.reference.rng import Stream
from tests.reference.step import step
from tests.reference.view import visible_agents


class ReferenceEnv:
    """Takes and gives what `VecEnv` does, with plain numpy arrays and `obs_mode="rgb"` only.

    Shapes: obs uint8 [E, A, h, w, 3]; reward float32 [E, A]; terminated, truncated bool [E, A].
    """

    def __init__(self, game, num_envs=1, seed=0, first_env_index=0, obs_mode="rgb", **options):
        if obs_mode != "rgb":
            raise ValueError(f"the reference draws rgb views only, not {obs_mode!r}")
        self.config = resolve(game, options)
        self.num_envs = num_envs
        self.num_agents = self.config.num_agents
        self.num_actions = 7
        side = self.config.view_size * self.config.tile_size
        self.obs_shape = (side, side, 3)
        # Environment e draws from stream (seed, index, episode) = (*stream_names[e], episode).
        self.stream_names = [(seed, first_env_index + e) for e in range(num_envs)]
        self.episodes = [-1] * num_envs
        self.worlds_ = [None] * num_envs
        self.seed, self.first_env_index = seed, first_env_index

    def reset(self, seed=None):
        """Begin the next episode everywhere; with a seed (or one per environment), the first."""
        if seed is not None:
            if np.ndim(seed) == 0:
                first = self.first_env_index
                self.stream_names = [(int(seed), first + e) for e in range(self.num_envs)]
            else:
                self.stream_names = [(int(s), 0) for s in seed]
            self.episodes = [-1] * self.num_envs
        for e in range(self.num_envs):
            self._begin_episode(e)
        return self.observe(), self._info()

    def step(self, actions):
        """Advance every world; those whose episode ended begin the next one at once."""
        shape = (self.num_envs, self.num_agents)
        reward = np.zeros(shape, dtype=np.float32)
        terminated = np.zeros(shape, dtype=bool)
        truncated = np.zeros(shape, dtype=bool)
        done = np.zeros(self.num_envs, dtype=bool)
        final_obs = np.zeros((*shape, *self.obs_shape), dtype=np.uint8)
        for e, world in enumerate(self.worlds_):
            reward[e] = step(world, actions[e], self.config)
            terminated[e] = [agent.status == "ended" for agent in world.agents]
            out_of_time = world.step >= self.config.max_steps
            truncated[e] = out_of_time & ~terminated[e]
            done[e] = out_of_time or terminated[e].all()
            if done[e]:
                final_obs[e] = self._views(e)
                self._begin_episode(e)
        info = {**self._info(), "done": done, "final_obs": final_obs}
        return self.observe(), reward, terminated, truncated, info

    def observe(self):
        """The views [E, A, h, w, 3] of the present state."""
        return np.stack([self._views(e) for e in range(self.num_envs)])

    def render(self, i, tile_size=32):
        return world_image(self.worlds_[i], self.config, tile_size)

    def get_layout(self, i):
        return layouts.read(self.worlds_[i])

    def set_layout(self, i, layout):
        layouts.write(self.worlds_[i], layout, self.config)

    def worlds(self, names):
        """Readable state as arrays; positions and directions [E, A, ...], cells [E, rows, cols]."""
        readers = {
            "agent_pos": (np.int32, lambda agent: agent.pos),
            "agent_dir": (np.int32, lambda agent: agent.direction),
            "agent_active": (bool, lambda agent: agent.active),
            "agent_last_tile": (np.int32, lambda a: -1 if a.last_tile is None else a.last_tile),
            "agent_prestige": (np.float64, lambda agent: agent.prestige),
            "agent_carrying": (np.uint8, lambda a: ord(a.carrying.char) if a.carrying else 0),
        }
        arrays = {
            "step": np.array([world.step for world in self.worlds_], dtype=np.int32),
            "episode": np.array(self.episodes, dtype=np.int64),
            "cells": np.array(
                [[[ord(t.char) for t in line] for line in w.tiles] for w in self.worlds_],
                dtype=np.uint8,
            ),
        }
        for name, (dtype, read) in readers.items():
            arrays[name] = np.array(
                [[read(agent) for agent in world.agents] for world in self.worlds_], dtype=dtype
            )
        return {name: arrays[name] for name in names}

    def _begin_episode(self, e):
        self.episodes[e] += 1
        self.worlds_[e] = new_world(self.config, Stream(*self.stream_names[e], self.episodes[e]))

    def _views(self, e):
        return np.stack([view_image(self.worlds_[e], i, self.config) for i in self._agents()])

    def _info(self):
        return {
            "active": np.array([[a.active for a in w.agents] for w in self.worlds_]),
            "visible": np.array(
                [[visible_agents(w, i, self.config) for i in self._agents()] for w in self.worlds_]
            ),
            "last_actions": np.array(
                [[a.last_action for a in w.agents] for w in self.worlds_], dtype=np.int32
            ),
        }

    def _agents(self):
        return range(self.num_agents)
