"""What is built from the sources: an sdist, a wheel from it, an extension with one's own game."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GAME = "tests/cpp/forage.cpp"  # which CONTRIBUTING shows

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


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sdist")
    program = f"from scikit_build_core.build import build_sdist as b; print(b({str(folder)!r}))"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True)
    (archive,) = folder.glob("socialgrid-*.tar.gz")
    return archive


def test_the_sdist_holds_the_sources_and_nothing_built(sdist):
    with tarfile.open(sdist) as archive:
        paths = {name.partition("/")[2] for name in archive.getnames()}
    for path in (
        "CMakeLists.txt",
        "CITATION.cff",
        "LICENSE",
        "README.md",
        "CHANGELOG.md",
        "constraints.txt",
        "cpp/bindings/module.cpp",
        "cpp/core/batch.hpp",
        "python/socialgrid/_core.pyi",
        "python/socialgrid/py.typed",
        "tests/python/test_builds.py",
    ):
        assert path in paths
    built = re.compile(r"(^|/)(build|\.venv|__pycache__)/|\.(so|pyd|o|a)$")
    assert [path for path in paths if built.search(path)] == []


def test_the_sdist_compiles_to_what_is_tested(sdist):
    """Everything that the installed extension was compiled from is in it, as it is here."""
    names = [
        path.relative_to(ROOT).as_posix() for path in (ROOT / "cpp").rglob("*") if path.is_file()
    ]
    with tarfile.open(sdist) as archive:
        folder = archive.getnames()[0].partition("/")[0]
        for name in (*names, "CMakeLists.txt", "pyproject.toml"):
            packed = archive.extractfile(f"{folder}/{name}")
            assert packed.read() == (ROOT / name).read_bytes(), name


@pytest.fixture(scope="module")
def built(sdist, tmp_path_factory):
    """A folder with a wheel built from the sdist, and what it was built from and in.

    Nothing is optimised, and learners' kernels are left out: what was installed to be tested is
    compiled from the same files with both.
    """
    folder = tmp_path_factory.mktemp("built")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (source,) = folder.glob("socialgrid-*")
    source.rename(folder / "source")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    offline = ["--no-build-isolation", "--no-deps", "--no-index"]
    settings = {
        "build-dir": folder / "objects",
        "cmake.build-type": "Debug",
        "cmake.define.CMAKE_CXX_FLAGS_DEBUG": "-O0",
        "cmake.define.CMAKE_UNITY_BUILD": "ON",
        "cmake.define.SOCIALGRID_KERNELS": "OFF",
        "cmake.define.CMAKE_CXX_COMPILER_LAUNCHER": shutil.which("ccache") or "",
    }
    given = [part for name, value in settings.items() for part in ("-C", f"{name}={value}")]
    subprocess.run(
        [*pip, "wheel", "-q", *offline, *given, "-w", str(folder), str(folder / "source")],
        check=True,
    )
    return folder


@pytest.mark.slow
def test_a_wheel_builds_from_the_sdist_and_steps(built, tmp_path):
    (wheel,) = built.glob("socialgrid-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    package_files = {
        path.relative_to(ROOT / "python").as_posix()
        for path in (ROOT / "python" / "socialgrid").rglob("*")
        if path.is_file() and path.suffix not in {".pyc", ".so", ".pyd"}
    }
    assert package_files - set(names) == set()
    assert sum(name.startswith("socialgrid/_core.") for name in names) == 2  # extension and stub

    # The wheel's files, then this environment's packages; -S keeps editable installs out.
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    program = f"""
import runpy, sys
sys.path[:0] = [{str(tmp_path)!r}]
sys.path += {[path for path in sys.path if path.endswith("site-packages")]!r}
import socialgrid
assert socialgrid.__file__.startswith({str(tmp_path)!r}), socialgrid.__file__
runpy.run_path({str(ROOT / "tests" / "wheel_smoke.py")!r})
"""
    subprocess.run([sys.executable, "-S", "-c", program], cwd=tmp_path, check=True)


@pytest.mark.slow
def test_the_example_is_a_game_like_any_other(built, tmp_path):
    # Of the wheel's objects all but the list of games are what this needs, too.
    for command in (
        ["cmake", "-B", str(built / "objects"), "-DSOCIALGRID_TESTS=ON"],
        ["cmake", "--build", str(built / "objects"), "--target", "_core", "--parallel", "2"],
    ):
        done = subprocess.run(
            command, cwd=built / "source", capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    package = tmp_path / "site" / "socialgrid"
    shutil.copytree(
        ROOT / "python" / "socialgrid", package, ignore=shutil.ignore_patterns("*.so", "*.pyd")
    )
    (extension,) = (
        path for path in (built / "objects").glob("_core*") if path.suffix in {".so", ".pyd"}
    )
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
