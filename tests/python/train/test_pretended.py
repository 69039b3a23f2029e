"""Every algorithm with every mechanism on a pretended device: nothing is mixed, waits are few.

An accelerator computes while the host goes on, unless the host asks for a value. The counts are
those of the small runs in ``tests/python/arms.py``; they are held with some room and should fall.
"""

import pytest
import torch
from tests.python.arms import ARMS, config_of
from tests.python.pretend import DEVICE, Far, Pretend

from socialgrid.train import make_trainer

ROOM = 1.25  # how far above what was measured a count may lie
MOST_WAITS = 1.0, 2  # in a step, and in a whole update: what is aimed at
# By arm, as measured: launches and waits of a step (acting, simulating, remembering), launches and
# waits of a whole update (one or two gradient steps: ``arms.config_of``).
MEASURED = {
    "ppo": (10, 1.0, 115, 1),
    "ppo reconstruction": (10, 1.0, 115, 1),
    "ppo tiles": (10, 1.0, 114, 1),
    "full network": (10, 1.0, 115, 1),
    "dqn": (11, 1.0, 6, 1),
    "dqn prioritised": (11, 1.0, 10, 1),
    "dqn views": (11, 1.0, 6, 1),
    "a3c tiles": (10, 1.0, 82, 1),
    "behaviour cloning": (10, 1.0, 139, 1),
    "behaviour cloning tiles": (10, 1.0, 138, 1),
    "dqn tiles": (11, 1.0, 6, 1),
    "sac tiles": (11, 1.0, 6, 1),
    "recurrent dqn": (17, 1.0, 6, 1),
    "recurrent dqn tiles": (17, 1.0, 80, 1),
    "discrete sac": (11, 1.0, 6, 1),
    "sac": (12, 1.0, 6, 1),
    "sac gsde": (12, 1.0, 6, 1),
    "td3": (11, 1.0, 6, 1),
    "mixed": (38, 1.0, 12, 2),
    "peers": (16, 1.0, 6, 1),
    "lectr": (40, 1.0, 6, 1),
    "ppo alone": (10, 1.0, 110, 1),
    "ppo visible-actions": (13, 1.0, 131, 1),
    "ppo influence": (13, 1.0, 326, 1),
    "ppo comm": (16, 1.0, 149, 1),
    "ppo moa": (10, 1.0, 136, 1),
    "ppo inequity": (10, 1.0, 117, 1),
    "ppo prosocial": (10, 1.0, 117, 1),
    "ppo collective": (10, 1.0, 117, 1),
    "ppo moa+visible-actions": (13, 1.0, 157, 1),
    "a3c alone": (10, 1.0, 79, 1),
    "a3c visible-actions": (13, 1.0, 100, 1),
    "a3c influence": (13, 1.0, 295, 1),
    "a3c comm": (16, 1.0, 118, 1),
    "a3c moa": (10, 1.0, 105, 1),
    "a3c inequity": (10, 1.0, 86, 1),
    "a3c prosocial": (10, 1.0, 86, 1),
    "a3c collective": (10, 1.0, 86, 1),
    "a3c moa+visible-actions": (13, 1.0, 126, 1),
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
    if trainer.config.adviser is not None:  # what a row says of advice is read once
        outside = outside[0], outside[1] - 1 / steps
    return (*outside, launches / len(spent), waits / len(spent))


@pytest.mark.parametrize("arm", [arm for arm in ARMS if "bf16" not in arm])
def test_nothing_is_mixed_and_waits_are_few(arm, pretended, tmp_path):
    found = counts_of(arm, pretended, tmp_path / "run")
    assert min(found) > 0, "it computed there, and was asked"
    room = [known * ROOM for known in MEASURED[arm]]
    assert all(count <= most for count, most in zip(found, room, strict=True)), (
        f"{found}, allowed {room}: {pretended.places.most_common(9)}"
    )
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
        assert (device.waits, device.copies) == (3, 1), "memory that is not pinned is waited for"
        pinned = torch.zeros(4, pin_memory=True)
        assert (pinned.to(DEVICE, non_blocking=True) + x).tolist() == [1.0] * 4
        assert (device.waits, device.copies) == (4, 2), "the list is waited for, the copy is not"
        assert x[x > 0].shape == (4,)
        assert device.waits == 5, "how many there are, only the device knows"
        assert torch.equal((x + torch.tensor(1.0)).cpu(), near * 2), "single numbers go along"
        for mix in (lambda: x + near, lambda: torch.cat((x, near)), lambda: near[x.long()]):
            with pytest.raises(RuntimeError, match="device"):
                mix()
        whole = torch.zeros(2, 4, device=DEVICE)
        own = torch.nn.Parameter(torch.ones(4, device=DEVICE))
        own.data = whole[1]
        whole += 5
        assert own.tolist() == [5.0] * 4, "parameters may lie in a block"
        weight = torch.ones(4, device=DEVICE, requires_grad=True)
        (weight * x).sum().backward()
        assert isinstance(weight.grad, Far)
        assert weight.grad.tolist() == [1.0] * 4
    assert torch.equal(torch.tensor([1]), torch.ones(1, dtype=torch.int64)), "and is gone"
