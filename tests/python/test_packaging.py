"""What an installed socialgrid consists of: files, symbols, dependencies."""

import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import socialgrid
from socialgrid import _core

ROOT = Path(__file__).parents[2]
EXTRA_MODULES = (
    "torch",
    "tyro",
    "rich",
    "tensorboard",
    "safetensors",
    "pettingzoo",
    "imageio",
    "matplotlib",
    "socialgrid.train",
)


def pyproject():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def read_constraints(name="constraints.txt"):
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(pin.name): pin for pin in pins}


def test_the_core_depends_on_numpy_and_gymnasium_only():
    requirements = [Requirement(text) for text in metadata.requires("socialgrid")]
    core = {r.name for r in requirements if r.marker is None or "extra" not in str(r.marker)}
    assert core == {"numpy", "gymnasium"}


def test_importing_and_stepping_load_no_training_module():
    program = f"""
import sys
import numpy as np
import socialgrid
env = socialgrid.make_vec("GoalCycle-v0", num_envs=2, num_threads=1, seed=0)
env.reset()
env.step(np.zeros((2, env.num_agents), dtype=np.int32))
loaded = [name for name in {EXTRA_MODULES!r} if name in sys.modules]
assert not loaded, loaded
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)


def test_the_version_is_written_once():
    assert socialgrid.__version__ == metadata.version("socialgrid")
    assert socialgrid.__version__ == pyproject()["project"]["version"]


def test_the_citation_is_of_this_version_and_names_the_papers():
    lines = (ROOT / "CITATION.cff").read_text(encoding="utf-8").splitlines()
    project = pyproject()["project"]
    assert f"version: {project['version']}" in lines
    assert f"license: {project['license']}" in lines
    assert f"keywords: [{', '.join(project['keywords'])}]" in lines
    years = [line.split()[-1] for line in lines if line.startswith("    year:")]
    assert years == ["2021", "2019", "2024"]


@pytest.mark.parametrize(
    ("wanted", "package", "extra"),
    [
        ("socialgrid.adapters.pettingzoo", "pettingzoo", "pettingzoo"),
        ("socialgrid.adapters.stable_baselines3", "stable_baselines3", "sb3"),
        ("from socialgrid.algos import PPO", "torch", "train"),
    ],
)
def test_what_lacks_a_package_names_the_extra_that_brings_it(wanted, package, extra):
    assert extra in pyproject()["project"]["optional-dependencies"]
    line = wanted if " " in wanted else f"import {wanted}"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.modules[{package!r}] = None; {line}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last == f'pip install "socialgrid[{extra}]" brings {package}'
    assert done.stderr.count(last) == 1


def test_types_are_shipped():
    package = Path(socialgrid.__file__).parent
    assert (package / "py.typed").is_file()
    assert (package / "_core.pyi").is_file()


@pytest.mark.parametrize("script", ["train", "eval", "play", "plot"])
def test_every_command_loads(script):
    (entry,) = metadata.entry_points(group="console_scripts", name=f"socialgrid-{script}")
    assert callable(entry.load())


if sys.platform == "linux":

    def test_the_extension_exports_nothing_but_its_entry_point():
        # An exported name such as `step` can be bound to another library's function of that name.
        from elftools.elf.elffile import ELFFile

        with open(_core.__file__, "rb") as file:
            symbols = ELFFile(file).get_section_by_name(".dynsym").iter_symbols()
            exported = {s.name for s in symbols if s.name and s["st_shndx"] != "SHN_UNDEF"}
        assert exported == {"PyInit__core"}


@pytest.mark.parametrize(
    ("name", "pinned_extras"),
    [
        (
            "constraints.txt",
            ("train", "pettingzoo", "video", "plot", "mujoco", "interop", "test", "lint"),
        ),
        ("constraints-ray.txt", ("ray", "pettingzoo", "train")),
    ],
)
def test_constraints_pin_every_requirement_within_its_range(name, pinned_extras):
    project = pyproject()["project"]
    extras = project["optional-dependencies"]
    requirements = [
        Requirement(text)
        for text in (
            *pyproject()["build-system"]["requires"],
            *project["dependencies"],
            *(text for extra in pinned_extras for text in extras[extra]),
        )
    ]
    pins = read_constraints(name)
    for requirement in requirements:
        if requirement.name == "socialgrid":
            continue
        (pin,) = pins[canonicalize_name(requirement.name)].specifier
        assert pin.operator == "=="
        assert requirement.specifier.contains(pin.version), f"{requirement} excludes {pin}"


def test_constraints_cover_what_the_requirements_pull_in():
    pins = read_constraints()
    known = {canonicalize_name(d.name) for d in metadata.distributions()}
    seen = set()

    def visit(name, extras):
        for requirement in map(Requirement, metadata.requires(name) or []):
            wanted = requirement.marker is None or any(
                requirement.marker.evaluate({"extra": extra}) for extra in ("", *extras)
            )
            dependency = canonicalize_name(requirement.name)
            if not wanted or dependency in seen or dependency not in known:
                continue
            if re.match(r"nvidia-|cuda-|triton|pytorch-triton", dependency):
                continue  # torch pins its own accelerator libraries
            if dependency != "socialgrid":
                seen.add(dependency)
            visit(dependency, requirement.extras)

    visit("socialgrid", ("test",))
    assert {"torch", "pytest"} <= seen
    assert seen - set(pins) == set()
