"""The house keeps its plan: arrows between rooms go down, files stay small, words need no torch.

Rooms stand in ``ROOMS`` from the ground up; a file may import from its own room and from those
below. Files that are still too long stand in a list, which may only get shorter.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "python" / "socialgrid"

# From the ground up. Rooms of one line do not know each other.
ROOMS = (
    ("socialgrid",),  # the simulator's own: vec_env, layout, games, geometry
    ("data", "measures"),
    ("models",),
    ("social", "players"),
    ("algos", "adapters"),
    ("config",),
    ("report",),
    ("train",),
    ("commands",),
)
FLOOR = {room: floor for floor, rooms in enumerate(ROOMS) for room in rooms}
# Wings of a room that do not know each other.
WINGS = ("algos.on_policy", "algos.off_policy"), ("train.on_policy", "train.off_policy")

LONGEST = 450  # lines


def module_of(path: Path) -> str:
    """Dotted name of a file, without the package's."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports(path: Path) -> Iterator[str]:
    """Modules of the package that a file imports, wherever in it, for its types too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            here = ["socialgrid", *path.relative_to(PACKAGE).parts[: -node.level or None]]
            base = [*(here if node.level else ()), *((node.module or "").split("."))]
            names = [".".join(filter(None, [*base, alias.name])) for alias in node.names]
        else:
            continue
        for name in names:
            if name.partition(".")[0] != "socialgrid":
                continue
            inner = name.partition(".")[2]
            while inner not in MODULES:
                inner = inner.rpartition(".")[0]
            yield inner


def room_of(module: str) -> str:
    room = module.partition(".")[0]
    return room if room in FLOOR else "socialgrid"


EDGES = {module: sorted({*imports(path)} - {module}) for module, path in MODULES.items()}


def goes_up(module: str, other: str) -> bool:
    own, there = room_of(module), room_of(other)
    if own != there:
        return FLOOR[there] >= FLOOR[own]
    return any(
        module.startswith(one) and other.startswith(two)
        for pair in WINGS
        for one, two in (pair, pair[::-1])
    )


def test_imports_go_down():
    found = {(a, b) for a, others in EDGES.items() for b in others if a and goes_up(a, b)}
    assert found == set()


def circles() -> set[tuple[str, ...]]:
    """Modules that import each other, directly or through others (Tarjan's components)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: set[tuple[str, ...]] = set()

    def visit(module: str) -> None:
        index[module] = low[module] = len(index)
        stack.append(module)
        for other in filter(None, EDGES[module]):  # whoever plays imports the package itself
            if other not in index:
                visit(other)
            if other in stack:
                low[module] = min(low[module], low[other])
        if low[module] == index[module]:
            members = stack[stack.index(module) :]
            del stack[stack.index(module) :]
            if len(members) > 1:
                found.add(tuple(sorted(members)))

    for module in filter(None, EDGES):
        if module not in index:
            visit(module)
    return found


def test_no_modules_import_each_other():
    assert circles() == set()


def test_no_file_is_long():
    files = [*PACKAGE.rglob("*.py"), *(ROOT / "cpp").rglob("*.[ch]pp")]
    files += [*(ROOT / "tests/cpp").rglob("*.[ch]pp"), *(ROOT / "tests/fuzz").glob("*.[ch]pp")]
    files += [*(ROOT / "bench").glob("*.py"), *(ROOT / "examples").glob("*.py")]
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in files
    }
    assert {name for name, lines in lengths.items() if lines > LONGEST} == set()


@pytest.mark.parametrize("module", ["config", "report", "commands.cli", "train", "algos"])
def test_words_need_no_torch(module):
    code = f"import sys, socialgrid.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
