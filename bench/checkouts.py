"""Other commits of this repository, built beside the one at hand."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# An editable install of another checkout would be found before any path.
_GUARD = """
import importlib.util, sys
for finder in list(sys.meta_path):
    found = finder.find_spec("socialgrid", None)
    if found is not None and not str(found.origin).startswith({site!r}):
        sys.meta_path.remove(finder)
origin = importlib.util.find_spec("socialgrid").origin
assert origin.startswith({site!r}), f"socialgrid comes from {{origin}}, not from {site}"
"""
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "socialgrid-checkouts"


@dataclass(frozen=True)
class Checkout:
    """A commit whose package can be imported.

    Attributes:
        name: short hash, or "here" for the working tree.
        source: its files.
        site: folder to import the package from.
    """

    name: str
    source: Path
    site: Path

    def start(self, program: str, *words: str) -> subprocess.Popen[str]:
        """Start a Python program that imports this package, with one thread."""
        env = {**os.environ, "PYTHONPATH": str(self.site), "OMP_NUM_THREADS": "1"}
        env |= {"OMP_WAIT_POLICY": "PASSIVE", "PYTHONSAFEPATH": "1"}
        guard = _GUARD.format(site=str(self.site))
        command = [sys.executable, "-c", guard + program, *words]
        return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)


def build(commit: str | None) -> Checkout:
    """Build a commit with the interpreter and the packages at hand; kept for the next time.

    Args:
        commit: any name that git knows, or None for the working tree (built anew every time).

    Raises:
        SystemExit: there is no such commit, or it does not build.
    """
    if commit is None:
        name = "here"
    else:
        found = _git("rev-parse", "--short=12", f"{commit}^{{commit}}")
        if found is None:
            raise SystemExit(f"{commit}: no such commit in {ROOT}")
        name = found
    folder = CACHE / name
    if commit is not None and (folder / "site").is_dir():
        return Checkout(name, folder / "source", folder / "site")
    CACHE.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=CACHE))
    source = ROOT if commit is None else draft / "source"
    if commit is not None:
        source.mkdir()
        archive = subprocess.Popen(["git", "archive", name], cwd=ROOT, stdout=subprocess.PIPE)
        subprocess.run(["tar", "-x", "-C", str(source)], stdin=archive.stdout, check=True)
    words = ["--no-build-isolation", "--no-deps", "--target", str(draft / "site"), str(source)]
    command = [sys.executable, "-m", "pip", "install", "-q", *words]
    print(f"building {name}", file=sys.stderr, flush=True)
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode:
        shutil.rmtree(draft)
        raise SystemExit(f"{name} does not build:\n{built.stderr[-2000:]}")
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)
    return Checkout(name, ROOT if commit is None else folder / "source", folder / "site")


def build_and_restart() -> None:
    """Install this checkout into a folder of its own, without fetching anything, and start the
    running program again with it; ``SOCIALGRID_BUILT`` then holds the seconds that it took."""
    if "SOCIALGRID_BUILT" in os.environ:
        raise SystemExit("the package was built but cannot be imported")
    begin = time.monotonic()
    target = tempfile.mkdtemp(prefix="socialgrid-")
    words = ["--no-build-isolation", "--no-deps", "--no-index", "--target", target, str(ROOT)]
    print(f"building the package into {target}", flush=True)
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", *words], check=True)
    taken = f"{time.monotonic() - begin:.0f}"
    print(f"built in {taken} s", flush=True)
    path = os.pathsep.join(filter(None, [target, os.environ.get("PYTHONPATH", "")]))
    os.environ |= {"PYTHONPATH": path, "SOCIALGRID_BUILT": taken}
    os.execv(sys.executable, [sys.executable, *sys.argv])


def _git(*words: str) -> str | None:
    found = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return found.stdout.strip() if found.returncode == 0 else None
