"""The game that CONTRIBUTING shows, built into an extension of its own, as users would see it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GAME = "tests/cpp/forage.cpp"

PROGRAM = """
import copy
import numpy as np
import socialgrid

(option,) = [o for o in socialgrid.game_options("Forage-v0") if o.name == "energy"]
assert (option.type, option.default, option.low, option.high) == ("int", 8, 1, 1000), option
assert option.help

env = socialgrid.make_vec("Forage-v0", 3, energy=4)
assert env.agent_fields == ("energy",)
env.reset()
layout = env.get_layout(0)
assert layout.agent_fields == {"energy": [4, 4]}
assert layout.agent_prestige == [0.0, 0.0]  # as in every game

rng = np.random.default_rng(0)
least = 4
for _ in range(200):
    before = env.worlds(["agent_energy"])["agent_energy"]
    info = env.step(rng.integers(0, env.num_actions, (3, 2)))[4]
    energy = env.worlds(["agent_energy"])["agent_energy"]
    assert energy.dtype == np.int32 and energy.shape == (3, 2)
    goes_on = ~info["done"]
    assert (energy[goes_on] >= before[goes_on] - 1).all()
    least = min(least, energy.min())
assert least == 0, "nobody ever had no energy left"

again = copy.copy(env)
assert (again.worlds(["agent_energy"])["agent_energy"] == energy).all()

env.reset()
env.set_layout(1, socialgrid.Layout(**{**vars(layout), "agent_fields": {"energy": [0, 2]}}))
assert env.worlds(["agent_energy"])["agent_energy"][1].tolist() == [0, 2]
start = env.worlds(["agent_pos"])["agent_pos"][1, 0].tolist()
for action in range(4):
    env.step(np.full((3, 2), action))
assert env.worlds(["agent_pos"])["agent_pos"][1, 0].tolist() == start
for wrong, said in ((5, "allowed: 0 to 4"), ("much", "'much'"), (True, "must be an integer")):
    layout.agent_fields = {"energy": [wrong, 0]}
    try:
        env.set_layout(0, layout)
    except socialgrid.LayoutError as error:
        assert said in str(error), error
    else:
        raise AssertionError(f"{wrong} was accepted")
print("played")
"""


def test_contributing_shows_the_game_that_is_tested():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert f"[{GAME}]({GAME})" in text
    source = (ROOT / GAME).read_text(encoding="utf-8")
    shown = [part.partition("```")[0] for part in text.split("<!-- forage -->\n```cpp\n")[1:]]
    assert len(shown) == 2
    for part in shown:
        assert part in source


@pytest.mark.slow
def test_the_example_is_a_game_like_any_other(tmp_path):
    build = tmp_path / "build"
    ninja = ["-G", "Ninja"] if shutil.which("ninja") else []
    pybind11 = subprocess.run(
        [sys.executable, "-m", "pybind11", "--cmakedir"], check=True, capture_output=True, text=True
    ).stdout.strip()
    settings = {
        "CMAKE_BUILD_TYPE": "Debug",
        "CMAKE_CXX_FLAGS_DEBUG": "-O0",
        "SOCIALGRID_TESTS": "ON",
        "Python_EXECUTABLE": sys.executable,
        "pybind11_DIR": pybind11,
        "CMAKE_CXX_COMPILER_LAUNCHER": shutil.which("ccache") or "",
    }
    define = [f"-D{name}={value}" for name, value in settings.items()]
    for command in (
        ["cmake", "-S", str(ROOT), "-B", str(build), *ninja, *define],
        ["cmake", "--build", str(build), "--target", "_core", "--parallel", "2"],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    package = tmp_path / "site" / "socialgrid"
    shutil.copytree(
        ROOT / "python" / "socialgrid", package, ignore=shutil.ignore_patterns("*.so", "*.pyd")
    )
    (extension,) = (path for path in build.glob("_core*") if path.suffix in {".so", ".pyd"})
    shutil.copy(extension, package)
    # -S keeps this environment's own socialgrid out.
    program = f"import sys; sys.path[:0] = [{str(package.parent)!r}, *{sys.path!r}]\n{PROGRAM}"
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    played = subprocess.run(
        [sys.executable, "-S", "-c", program],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert played.stdout == "played\n", played.stderr
