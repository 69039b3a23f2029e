"""Tests use what users use: no test reaches for a private name of the package.

What is private may move and change at any time, and no test may fail because it did. Where
something private is worth a test of its own, it deserves a public name in its module.
"""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = "socialgrid"
# Tests of what the compiled extension itself is: its stub, its symbols, what it does alone.
OF_THE_EXTENSION = {
    *("test_stubs.py", "test_packaging.py", "test_extension.py", "test_divided_state.py"),
    *("test_kernels.py", "test_kernel_images.py", "test_acting.py"),
    *("test_perceptrons.py", "test_compiled_steps.py", "test_compiled_views.py"),
    *("test_estimates.py", "test_replay.py"),
    *("test_deciding.py", "test_decoding.py", "test_compiled_recall.py", "test_lessons.py"),
    *("test_adam.py", "test_taught.py", "test_counterfactuals.py"),
}
ROOMS = ("algos", "data", "measures", "models", "social", "train")
PATCHED = {  # modules in which a test replaces something
    "test_a3c: socialgrid.algos.on_policy",
    "test_train: socialgrid.train.off_policy",
    "test_divergence: socialgrid.social.influence",  # its doctests
    "test_divergence: socialgrid.social.influence.divergence",  # a function named as a part is
    "test_counterfactuals: socialgrid.social.influence.divergence",  # likewise
    "test_listening: socialgrid.social.influence",  # its doctests
    *(  # where they run, whole files of kernels that are called and replaced
        f"{name}: socialgrid.models.triton_kernels"
        for name in (
            *("compile_kernels", "conftest", "test_absolute_errors", "test_activations"),
            *("test_descent", "test_kept_tables", "test_learning", "test_look_ups"),
            *("test_memory", "test_waiting"),
        )
    ),
}
BY_NAME = {"setattr", "delattr", "getattr", "hasattr"}


def is_private(name):
    return len(name) > 1 and name.startswith("_") and not name.startswith("__")


def defined(tree):
    """Private names that a file gives to functions, classes, variables and attributes."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return set(filter(is_private, names))


def own_names(tree):
    """What a test's own classes and functions are called."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif (
            isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Store)
            and isinstance(node.value, ast.Name)
            and node.value.id == "self"
        ):
            names.add(node.attr)
    return set(filter(is_private, names))


def in_program(text, private):
    """Private names in the text of a program for a process of its own."""
    names = [name for name in re.findall(r"\.(_\w+)", text) if name in private]
    for line in re.findall(rf"(?:from|import) +{PACKAGE}\b.*", text):
        names += re.findall(r"\b_\w+", line)
    return names


def reached_for(tree, private):
    """(line, name) of the package's private names in a file."""
    private = private - own_names(tree)
    found = []
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Attribute):
            names = [node.attr] if node.attr in private else []
        elif isinstance(node, ast.Import):
            paths = [alias.name for alias in node.names if alias.name.startswith(PACKAGE)]
            names = [part for path in paths for part in path.split(".")]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
            names = [*node.module.split("."), *(alias.name for alias in node.names)]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in BY_NAME:
            words = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
            words = [word for word in words if isinstance(word, str)]
            names = [part for word in words for part in word.split(".")]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names = in_program(node.value, private) if PACKAGE in node.value else []
        found += [(node.lineno, name) for name in names if is_private(name)]
    return found


def test_no_test_reaches_for_a_private_name():
    files = [*(ROOT / "python" / PACKAGE).rglob("*.py"), *(ROOT / "python" / PACKAGE).glob("*.pyi")]
    private = set().union(*(defined(ast.parse(path.read_text())) for path in files))
    assert len(private) > 100
    found = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        if path == Path(__file__):
            continue
        for line, name in reached_for(ast.parse(path.read_text()), private):
            if name != "_core" or path.name not in OF_THE_EXTENSION:
                found.append(f"{path.relative_to(ROOT)}:{line}: {name}")
    assert not found, "\n".join(["private names of the package:", *found])


def modules_below_rooms(tree):
    """(line, module) of imports that go deeper than a room's face."""
    return [
        (node.lineno, node.module)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and (parts := (node.module or "").split("."))[0] == PACKAGE
        and len(parts) > 2
        and parts[1] in ROOMS
    ]


def test_tests_import_from_the_faces_of_rooms():
    """Where code lies inside a room may change, too; whole modules are imported to be patched."""
    found = []
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for line, module in modules_below_rooms(ast.parse(path.read_text())):
            if f"{path.stem}: {module}" not in PATCHED:
                found.append(f"{path.relative_to(ROOT)}:{line}: {module}")
    assert not found, "\n".join(["not from a room's face:", *found])


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_shows_what_its_stub_says(room):
    module = importlib.import_module(f"{PACKAGE}.{room}")
    assert module.__all__
    for name in module.__all__:
        assert hasattr(module, name), name
    with pytest.raises(AttributeError, match="no attribute 'nothing_of_that_name'"):
        _ = module.nothing_of_that_name


def test_rooms_are_imported_without_torch():
    names = ", ".join(f"{PACKAGE}.{room}" for room in ROOMS)
    program = f"import sys, {names}\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_all_ways_to_reach_for_one_are_seen():
    program = """
import socialgrid._core
from socialgrid.x import _a, b
from socialgrid._b import c
thing._attr.more
self._own = thing._own
monkeypatch.setattr(module, "_name", 1)
run("import os\\nfrom socialgrid.x import _hidden\\ny._attr()\\nos._exit()", other="_strange")
setattr(module, "x", "_x")
_local = thing.__dict__
"""
    private = {"_attr", "_name", "_own", "_x"}
    found = [name for _, name in reached_for(ast.parse(program), private)]
    assert sorted(found) == ["_a", "_attr", "_attr", "_b", "_core", "_hidden", "_name", "_x"]
