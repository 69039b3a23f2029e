"""Learners that take their gradient steps in compiled calls, beside twins that do not."""

import torch

from socialgrid.models import kernels


def same(one, other, exact=False):
    for name, x in one.tensors().items():
        if exact or not x.is_floating_point():
            assert torch.equal(x, other.tensors()[name]), name
        else:
            near = {"rtol": 2e-4, "atol": 5e-6, "equal_nan": True}
            torch.testing.assert_close(x, other.tensors()[name], msg=name, **near)
    assert one.meta() == other.meta()


def updated_alike(fast, slow, monkeypatch, learning, updates):
    """Update one with kernels and one without, and compare what they tell and have."""
    used = kernels.KERNELS
    for each in (fast, slow):
        each.set_learning(learning)
    for _ in range(updates):
        monkeypatch.setattr(kernels, "KERNELS", used)
        numbers = fast.update()
        monkeypatch.setattr(kernels, "KERNELS", None)
        expected = slow.update()
        assert list(numbers) == list(expected)
        for name, x in expected.items():
            torch.testing.assert_close(numbers[name], x, rtol=2e-4, atol=5e-6, equal_nan=True)
            assert x.isfinite().tolist() == learning
        same(fast, slow)
