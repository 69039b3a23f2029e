"""What the oldest PyTorch that is allowed lacks, is not used: it hardly computes with uint16."""

import re
from pathlib import Path

import pytest
import torch
from packaging.requirements import Requirement
from tests.python.arms import config_of
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from socialgrid.config import from_dict
from socialgrid.train import make_trainer

ROOT = Path(__file__).parents[3]
TILES = ["ppo tiles", "a3c tiles", "behaviour cloning tiles", "dqn tiles", "sac tiles",
         "recurrent dqn tiles"]  # fmt: skip

# Bits are moved in every PyTorch; of these 2.10 was asked.
MOVES = """
    view slice select transpose permute expand unsqueeze squeeze alias detach as_strided split
    _unsafe_view unbind clone copy_ _to_copy lift_fresh empty empty_like zeros zeros_like full
    new_empty new_zeros fill_ zero_ index index_select cat stack equal eq ne
"""


class OldTorch(TorchDispatchMode):
    """Refuses what PyTorch 2.10 and 2.11 cannot do with uint16."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func._schema.name.partition("::")[2]
        if name not in MOVES.split():
            for x in tree_leaves((args, kwargs)):
                if isinstance(x, torch.Tensor) and x.dtype == torch.uint16:
                    raise NotImplementedError(f"{name} of uint16")
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("arm", TILES)
def test_learning_from_tiles_needs_no_more_than_the_oldest_torch_has(arm, tmp_path):
    short = {"env": {"options": {"max_steps": 9}}}  # episodes end
    trainer = make_trainer(from_dict(short, config_of(arm, "cpu")), tmp_path)
    assert trainer.config.obs_mode == "tiles"
    before = {name: x.clone() for name, x in trainer.learner.tensors().items()}
    with OldTorch():
        trainer.begin()
        trainer.step()
    trainer.close()
    after = trainer.learner.tensors()
    learnt = [name for name, x in before.items() if not torch.equal(x, after[name])]
    assert any(name.startswith("model/") or "/q" in name or "actor" in name for name in learnt)


def test_the_mode_refuses_what_is_missing():
    x = torch.zeros(3, dtype=torch.uint16)
    with OldTorch():
        assert x[:2].clone().dtype == torch.uint16
        with pytest.raises(NotImplementedError, match="where of uint16"):
            torch.where(torch.ones(3, dtype=torch.bool), x, x)


def floors():
    """The lowest version of every direct dependency, by name, as pyproject states it."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"]
    tested = ("train", "pettingzoo", "video", "plot", "sb3", "torchrl", "interop", "test")
    lines = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    for line in [*lines, *(x for extra in tested for x in extras[extra])]:
        asked = Requirement(line)
        if asked.name != "socialgrid":
            (floor,) = (one.version for one in asked.specifier if one.operator == ">=")
            yield asked.name, floor


def test_the_floors_are_pinned_as_they_are_stated():
    pinned = dict(
        re.fullmatch(r"([\w.-]+)==(\S+?)(?:; .*)?", line).groups()
        for line in (ROOT / "constraints-min.txt").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    )
    stated = {name: tuple(map(int, floor.split("."))) for name, floor in floors()}
    exact = {name: tuple(map(int, version.split("."))) for name, version in pinned.items()}
    assert exact.keys() == stated.keys()
    for name, floor in stated.items():  # ">=4.9" is 4.9.0.80 where that is the first one
        assert exact[name][: len(floor)] == floor, name
        assert len(exact[name]) == 4 or not any(exact[name][len(floor) :]), name
