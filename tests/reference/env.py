"""A batch of reference worlds behind the interface of `socialgrid.make_vec`."""

import numpy as np

from tests.reference import dilemmas, grids, rooms
from tests.reference.rng import Stream

FAMILY_OF_GAME = {game: family for family in (grids, dilemmas, rooms) for game in family.GAMES}


class ReferenceEnv:
    """Takes and gives what `VecEnv` does, with plain numpy arrays.

    It has one kind of observation for each family: `obs_mode` "rgb", or "vector" for rooms.
    Shapes: obs uint8 [E, A, h, w, 3] or float32 [E, A, n]; reward float32 [E, A]; terminated,
    truncated bool [E, A]. `family` is the module with the rules and views of the game at hand.
    """

    def __init__(self, game, num_envs=1, seed=0, first_env_index=0, **options):
        self.family = FAMILY_OF_GAME[game]
        self.config = self.family.resolve(game, options)
        self.num_envs = num_envs
        self.num_agents = self.config.num_agents
        self.action_counts = self.config.action_counts
        self.num_actions = max(self.action_counts)
        self.event_names = self.config.event_names
        self.obs_shape = self.config.obs_shape
        self.obs_mode = self.config.obs_mode
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
        final_obs = np.zeros((*shape, *self.obs_shape), dtype=self.config.obs_dtype)
        events = np.zeros((*shape, len(self.event_names)), dtype=np.uint8)
        for e, world in enumerate(self.worlds_):
            reward[e] = self.family.step(world, actions[e], self.config)
            terminated[e] = self.family.ended(world)
            out_of_time = world.step >= self.config.max_steps
            truncated[e] = out_of_time & ~terminated[e]
            if self.event_names:
                events[e] = world.events
            done[e] = out_of_time or terminated[e].all()
            if done[e]:
                final_obs[e] = self._views(e)
                self._begin_episode(e)
        info = {**self._info(), "done": done, "final_obs": final_obs}
        if self.event_names:
            info["events"] = events
        return self.observe(), reward, terminated, truncated, info

    def observe(self):
        """The views [E, A, ...] of the present state."""
        return np.stack([self._views(e) for e in range(self.num_envs)])

    def render(self, i, tile_size=32):
        return self.family.world_image(self.worlds_[i], self.config, tile_size)

    def get_layout(self, i):
        return self.family.read_layout(self.worlds_[i])

    def set_layout(self, i, layout):
        self.family.write_layout(self.worlds_[i], layout, self.config)

    def worlds(self, names):
        """Readable state as arrays; positions and directions [E, A, ...], cells [E, rows, cols]."""
        arrays = {
            "step": np.array([world.step for world in self.worlds_], dtype=np.int32),
            "episode": np.array(self.episodes, dtype=np.int64),
            "cells": np.array(
                [self.family.cell_codes(world) for world in self.worlds_], dtype=np.uint8
            ),
        }
        for name, (dtype, read) in self.family.AGENT_STATE.items():
            arrays[name] = np.array(
                [[read(agent) for agent in world.agents] for world in self.worlds_], dtype=dtype
            )
        return {name: arrays[name] for name in names}

    def _begin_episode(self, e):
        self.episodes[e] += 1
        stream = Stream(*self.stream_names[e], self.episodes[e])
        self.worlds_[e] = self.family.new_world(self.config, stream)

    def _views(self, e):
        return np.stack([self._view(e, i) for i in self._agents()])

    def _view(self, e, i):
        return self.family.observation(self.worlds_[e], i, self.config)

    def _info(self):
        return {
            "active": np.array([[a.active for a in w.agents] for w in self.worlds_]),
            "visible": np.array(
                [
                    [self.family.visible_agents(world, i, self.config) for i in self._agents()]
                    for world in self.worlds_
                ]
            ),
            "last_actions": np.array(
                [[a.last_action for a in w.agents] for w in self.worlds_], dtype=np.int32
            ),
        }

    def _agents(self):
        return range(self.num_agents)
