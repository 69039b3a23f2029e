"""Two halves take turns; an accelerator always has the other half to act for."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from socialgrid.train import Collector

STEPS, ENVS = 3, 2  # of a half


class Rows:
    """One half of a rollout."""

    def __init__(self, name, told):
        self.name, self.told, self.num_envs = name, told, ENVS

    def slot(self, t):
        return t

    def inputs(self, t):
        return torch.zeros(ENVS, 1), torch.zeros(ENVS, 1)

    def last(self, t):
        return {}

    def record(self, t, out):
        actions = out.arriving() if out.arriving is not None else out.chosen
        self.told.append(f"actions {self.name}{t}")
        return actions

    def take(self, t, actions):
        pass

    def finish_step(self, t):
        pass


@pytest.mark.parametrize("halves", [1, 2])
@pytest.mark.parametrize("later", [True, False])
def test_who_waits_for_what(halves, later):
    """On a device that computes while the host goes on (later), and on a CPU."""
    told, names = [], "AB"[:halves]
    parts = [Rows(name, told) for name in names]

    def act(obs, state, reset, *, last, first_env, uniform):
        name = names[first_env // ENVS - 5]
        told.append(f"act {name}{int(uniform['action'][0, 0])}")
        chosen = torch.zeros(ENVS, 1, dtype=torch.int32)
        return SimpleNamespace(
            state=state, chosen=chosen, arriving=(lambda: chosen) if later else None
        )

    drawn = torch.arange(float(STEPS)).view(-1, 1, 1).expand(-1, 1, ENVS)
    learner = SimpleNamespace(
        act=act,
        initial_state=lambda envs: torch.zeros(envs, 1, 4),
        draw=lambda *_: {"action": drawn},
    )
    worlds = SimpleNamespace(
        halves=[[SimpleNamespace(rows=slice(ENVS * k, ENVS * (k + 1)))] for k in range(halves)],
        actions=np.zeros((ENVS * halves, 1), np.int32),
        bind=lambda half, slot: slot,
        send=lambda half, actions, slot: told.append(f"send {names[half]}{slot}"),
        recv=lambda half: told.append(f"recv {names[half]}"),
    )
    rollout = SimpleNamespace(
        num_steps=STEPS, agents=[0], part=lambda first, count: parts[first // ENVS]
    )
    collector = Collector(learner, worlds, rollout, 5 * ENVS)
    for _ in range(2):
        told.clear()
        collector.memory = collector.new_memory()
        collector.play_by_steps(range(STEPS))
        assert len(told) == 4 * STEPS * halves
        for name in names:
            own = [one.split() for one in told if one.split()[1][0] == name]
            assert [one[0] for one in own] == ["act", "actions", "send", "recv"] * STEPS
    if later and halves == 2:
        assert told[: len("ABABABABAB")] == [
            *("act A0", "act B0", "actions A0", "send A0", "recv A"),
            *("act A1", "actions B0", "send B0", "recv B", "act B1"),
        ]
    else:
        for i, one in enumerate(told):
            if one.startswith("act "):
                assert told[i + 1].startswith("actions"), "nobody waits for these"
