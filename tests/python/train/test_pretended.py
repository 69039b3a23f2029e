"""Every algorithm with every mechanism on a pretended device: nothing is mixed, waits are few.

An accelerator computes while the host goes on, unless the host asks for a value. The counts are
those of the small runs in ``tests/python/arms.py``; they are held with some room and should fall.
Aims: one wait in a step, two in a whole update; today the worst are 3 (lectr) and 32 (ppo with moa
and visible actions).
"""

import pytest
import torch
from tests.python.arms import ARMS, config_of
from tests.python.pretend import DEVICE, Far, Pretend

from socialgrid.train import make_trainer

pytestmark = pytest.mark.usefixtures("one_thread")

ROOM = 1.25  # how far above what was measured a count may lie
# By arm, as measured: launches and waits of a step (acting, simulating, remembering), launches and
# waits of a whole update (one or two gradient steps: ``arms.config_of``).
MEASURED = {
    "ppo": (53, 2.0, 990, 10),
    "ppo reconstruction": (53, 2.0, 990, 10),
    "ppo tiles": (57, 2.0, 1010, 10),
    "full network": (60, 2.0, 1097, 10),
    "dqn": (21, 1.0, 178, 4),
    "dqn prioritised": (21, 1.0, 186, 6),
    "dqn views": (31, 1.0, 300, 4),
    "a3c tiles": (55, 2.0, 799, 10),
    "behaviour cloning": (53, 2.0, 983, 9),
    "behaviour cloning tiles": (54, 2.0, 994, 9),
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
    "ppo alone": (50, 2.0, 882, 9),
    "ppo visible-actions": (73, 2.0, 934, 10),
    "ppo influence": (100, 2.0, 1151, 15),
    "ppo comm": (91, 2.0, 1500, 16),
    "ppo moa": (50, 2.0, 1617, 16),
    "ppo inequity": (50, 2.0, 890, 10),
    "ppo prosocial": (50, 2.0, 890, 10),
    "ppo collective": (50, 2.0, 890, 10),
    "ppo moa+visible-actions": (73, 2.0, 1678, 17),
    "a3c alone": (51, 2.0, 789, 10),
    "a3c visible-actions": (74, 2.0, 832, 11),
    "a3c influence": (101, 2.0, 1050, 16),
    "a3c comm": (92, 2.0, 1321, 19),
    "a3c moa": (51, 2.0, 1684, 19),
    "a3c inequity": (51, 2.0, 797, 11),
    "a3c prosocial": (51, 2.0, 797, 11),
    "a3c collective": (51, 2.0, 797, 11),
    "a3c moa+visible-actions": (74, 2.0, 1736, 20),
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
