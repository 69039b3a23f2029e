"""Every algorithm with every mechanism on a pretended device: nothing is mixed, waits are few.

An accelerator computes while the host goes on, unless the host asks for a value. The counts are
those of the small runs in ``tests/python/arms.py``; they are held with some room and should fall.
"""

import pytest
import torch
from tests.python.arms import ARMS, config_of
from tests.python.pretend import DEVICE, Far, Pretend

from socialgrid.train import make_trainer

pytestmark = pytest.mark.usefixtures("one_thread")

ROOM = 1.25  # how far above what was measured a count may lie
MOST_WAITS = 1.0, 2  # in a step, and in a whole update: what is aimed at
# Kinds of runs that have not reached it.
BEHIND = ("off-policy",)
# By arm, as measured: launches and waits of a step (acting, simulating, remembering), launches and
# waits of a whole update (one or two gradient steps: ``arms.config_of``).
MEASURED = {
    "ppo": (54, 1.0, 1032, 1),
    "ppo reconstruction": (54, 1.0, 1032, 1),
    "ppo tiles": (58, 1.0, 1052, 1),
    "full network": (61, 1.0, 1139, 1),
    "dqn": (21, 1.0, 178, 4),
    "dqn prioritised": (21, 1.0, 186, 6),
    "dqn views": (31, 1.0, 300, 4),
    "a3c tiles": (55, 1.0, 814, 1),
    "behaviour cloning": (53, 1.0, 999, 1),
    "behaviour cloning tiles": (54, 1.0, 1010, 1),
    "dqn tiles": (32, 1.0, 310, 4),
    "sac tiles": (31, 1.0, 700, 11),
    "recurrent dqn": (64, 1.0, 1061, 8),
    "recurrent dqn tiles": (82, 1.0, 1220, 10),
    "discrete sac": (20, 1.0, 478, 11),
    "sac": (58, 2.0, 664, 11),
    "sac gsde": (58, 2.0, 664, 11),
    "td3": (37, 2.0, 307, 6),
    "mixed": (82, 2.1, 680, 15),
    "peers": (27, 2.1, 178, 4),
    "lectr": (131, 3.0, 178, 4),
    "ppo alone": (51, 1.0, 922, 1),
    "ppo visible-actions": (74, 1.0, 974, 1),
    "ppo influence": (101, 1.0, 1179, 1),
    "ppo comm": (92, 1.0, 1516, 1),
    "ppo moa": (51, 1.0, 1651, 1),
    "ppo inequity": (51, 1.0, 930, 1),
    "ppo prosocial": (51, 1.0, 930, 1),
    "ppo collective": (51, 1.0, 930, 1),
    "ppo moa+visible-actions": (74, 1.0, 1712, 1),
    "a3c alone": (51, 1.0, 798, 1),
    "a3c visible-actions": (74, 1.0, 841, 1),
    "a3c influence": (101, 1.0, 1047, 1),
    "a3c comm": (92, 1.0, 1310, 1),
    "a3c moa": (51, 1.0, 1691, 1),
    "a3c inequity": (51, 1.0, 806, 1),
    "a3c prosocial": (51, 1.0, 806, 1),
    "a3c collective": (51, 1.0, 806, 1),
    "a3c moa+visible-actions": (74, 1.0, 1743, 1),
}


@pytest.fixture
def pretended(monkeypatch):
    for wing in ("on_policy", "off_policy"):
        monkeypatch.setattr(f"socialgrid.train.{wing}.trainer.settle_on", lambda name: DEVICE)
    with Pretend() as device:
        yield device


def counts_of(arm, device, folder):
    """Launches and waits of a step, then of an update: means over the second row of a run."""
    trainer = make_trainer(config_of(arm, "cpu"), folder)
    update, spent = trainer.learner.update, []

    def counted(*args, **kwargs):
        before = device.launches, device.waits
        found = update(*args, **kwargs)
        spent.append((device.launches - before[0], device.waits - before[1]))
        return found

    trainer.learner.update = counted
    trainer.begin()
    trainer.step()
    device.reset()
    spent.clear()
    trainer.step()
    launches, waits = (sum(x) for x in zip(*spent, strict=True))
    steps = trainer.config.env.rollout_steps
    outside = (device.launches - launches) / steps, (device.waits - waits) / steps
    trainer.close()
    return (*outside, launches / len(spent), waits / len(spent))


@pytest.mark.parametrize("arm", [arm for arm in ARMS if "bf16" not in arm])
def test_nothing_is_mixed_and_waits_are_few(arm, pretended, tmp_path):
    found = counts_of(arm, pretended, tmp_path / "run")
    assert min(found) > 0, "it computed there, and was asked"
    room = [known * ROOM for known in MEASURED[arm]]
    assert all(count <= most for count, most in zip(found, room, strict=True)), (
        f"{found}, allowed {room}: {pretended.places.most_common(9)}"
    )
    if config_of(arm, "cpu").regime.name not in BEHIND:
        waits = found[1], found[3]
        assert all(n <= most for n, most in zip(waits, MOST_WAITS, strict=True)), waits


def test_the_device_counts_and_refuses():
    with Pretend() as device:
        x = torch.ones(4, device=DEVICE)
        near = torch.ones(4)
        assert isinstance(x + 1, Far)
        assert (device.launches, device.waits, device.copies) == (2, 0, 0)
        assert float((x * x).sum()) == 4
        assert (device.launches, device.waits) == (4, 1)
        assert (near.to(DEVICE) + x).cpu().tolist() == [2.0] * 4
        assert (device.waits, device.copies) == (2, 1)
        assert x[x > 0].shape == (4,)
        assert device.waits == 3, "how many there are, only the device knows"
        assert torch.equal((x + torch.tensor(1.0)).cpu(), near * 2), "single numbers go along"
        for mix in (lambda: x + near, lambda: torch.cat((x, near)), lambda: near[x.long()]):
            with pytest.raises(RuntimeError, match="device"):
                mix()
        weight = torch.ones(4, device=DEVICE, requires_grad=True)
        (weight * x).sum().backward()
        assert isinstance(weight.grad, Far)
        assert weight.grad.tolist() == [1.0] * 4
    assert torch.equal(torch.tensor([1]), torch.ones(1, dtype=torch.int64)), "and is gone"
