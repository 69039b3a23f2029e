"""Tiny vectorised tasks in numpy-free PyTorch, writing where the simulator would write."""

import torch

from socialgrid.data import Rollout
from socialgrid.models import ModelConfig, ViewSpec

MODEL = ModelConfig(channels=(8,), features=(16,), memory=16, heads=(16,))


class Buttons:
    """Press the button whose colour is shown; with ``recall``, it was shown some steps ago.

    With ``drift`` the next colour follows from this one and the button pressed. Views are 2x2
    pixels (tiles of one pixel). Every agent has its own cue. A right press is worth 1. Episodes
    last ``horizon`` steps and end by the time limit, or by termination.
    """

    def __init__(self, num_envs, num_agents, *, horizon=4, recall=False, drift=False, seed=0):
        self.num_envs, self.num_agents, self.horizon = num_envs, num_agents, horizon
        self.recall, self.drift = recall, drift
        self.buttons = buttons = 3
        self.generator = torch.Generator().manual_seed(seed)
        self.ends_by_termination = False
        self.spec = ViewSpec(2, 2, 1, (buttons,) * num_agents)
        self.obs_shape = (2, 2, 3)
        self.begin()

    def begin(self):
        lead = (self.num_envs, self.num_agents)
        self.time = torch.randint(self.horizon, (self.num_envs,), generator=self.generator)
        self.cue = torch.randint(self.buttons, lead, generator=self.generator)
        return self.view(), torch.ones(lead, dtype=torch.bool)

    def view(self):
        shown = torch.nn.functional.one_hot(self.cue, 3).to(torch.uint8) * 255
        if self.recall:
            shown = shown * (self.time == 0).to(torch.uint8)[:, None, None]
        return shown[:, :, None, None].expand(-1, -1, 2, 2, -1)

    def step(self, action, out):
        due = self.time == self.horizon - 1 if self.recall else self.time >= 0
        out["reward"].copy_((action == self.cue) & due[:, None])
        self.time += 1
        done = self.time == self.horizon
        out["done"].copy_(done)
        out["final_obs"].copy_(self.view() * done.to(torch.uint8)[:, None, None, None, None])
        ended = done[:, None].expand(-1, self.num_agents)
        out["terminated"].copy_(ended if self.ends_by_termination else ended & False)
        out["truncated"].copy_(ended & False if self.ends_by_termination else ended)
        self.time[done] = 0
        fresh = torch.randint(self.buttons, self.cue.shape, generator=self.generator)
        if self.drift:
            self.cue = (self.cue + action) % self.buttons
        fresh_now = ended if self.recall or self.drift else torch.ones_like(ended)
        self.cue = torch.where(fresh_now, fresh, self.cue)
        out["obs"].copy_(self.view())
        out["active"].fill_(True)
        out["last_actions"].copy_(action.masked_fill(ended, -1))
        out["visible"].copy_(self.everybody())

    def everybody(self):
        """Everybody sees everybody else."""
        others = 1 - torch.eye(self.num_agents, dtype=torch.uint8)
        return others.expand(self.num_envs, -1, -1)


def new_rollout(learner, env, steps, agents=None):
    return Rollout(
        steps,
        env.num_envs,
        env.num_agents,
        env.obs_shape,
        state_size=learner.state_size,
        agents=agents,
        columns=learner.hearing.columns,
        further=tuple(learner.model.further),
    )


def collect(learner, env, rollout, state):
    """Fill a rollout that has been begun; returns the memory after it."""
    for t in range(rollout.num_steps):
        obs, reset = rollout.inputs(t)
        out = learner.act(obs, state, reset, last=rollout.last(t))
        rollout.record(t, out)
        env.step(out.action, rollout.slot(t))
        rollout.finish_step(t)
        state = out.state
    return state


def experience(learner, env, steps=12):
    """A fresh rollout of the learner in the environment."""
    rollout = new_rollout(learner, env, steps)
    rollout.begin(*env.begin(), visible=env.everybody())
    collect(learner, env, rollout, learner.initial_state(env.num_envs))
    return rollout


SIMULATED = (
    *("obs", "reward", "terminated", "truncated", "done", "active", "reset"),
    *("last_actions", "last_rewards", "visible", "events", "taken"),
)


def copy_simulated(source, target, first=0):
    """Let a rollout hold what some environments of another one did, from ``first`` on."""
    for name in SIMULATED:
        to = getattr(target, name)
        to.copy_(getattr(source, name).narrow(1, first, target.num_envs))
    rows = zip(source.final_index.tolist(), source.final_obs, strict=True)
    views = {(t, env): view for (t, env), view in rows}
    for t in range(target.num_steps):
        for env in range(target.num_envs):
            if (t, first + env) in views:
                target.slot(t)["final_obs"][env].copy_(views[t, first + env])
        target.finish_step(t)


def copy_rollout(source, target, first=0):
    """The same with what the learner recorded."""
    copy_simulated(source, target, first)
    part = source.part(first, target.num_envs)
    target.state.copy_(part.state)
    target.tokens.copy_(part.tokens)
    for name, decision in part.decisions.items():
        for what, x in vars(decision).items():
            getattr(target.decisions[name], what).copy_(x)
