"""Commands where names of files and the terminal are ASCII, and files of text wherever they are."""

import ast
import os
import pty
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.python.train.runs import Silent, command, run, tiny

from socialgrid.config import UsageError, from_dict, load_preset, run_files
from socialgrid.train import create_run

ROOT = Path(__file__).parents[3]
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": ""}
SNOWMAN = "q \u2603"


def text_without_encoding(path):
    """Lines on which a file is opened, read or written as text in the locale's encoding."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or any(word.arg == "encoding" for word in node.keywords):
            continue
        name = ast.unparse(node.func).rpartition(".")[2]
        modes = [*node.args, *(word.value for word in node.keywords if word.arg == "mode")]
        words = [one.value for one in modes if isinstance(one, ast.Constant)]
        binary = any(isinstance(word, str) and "b" in word for word in words)
        of_numbers = ast.unparse(node.func) in ("os.open", "archive.open")
        if name in ("read_text", "write_text") or (
            name in ("open", "fdopen") and not binary and not of_numbers
        ):
            yield f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}"


@pytest.mark.parametrize("folder", ["python", "examples", "bench"])
def test_what_is_read_or_written_as_text_names_its_encoding(folder):
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    assert [line for path in files for line in text_without_encoding(path)] == []


def in_a_terminal(*words):
    """Run a command in an ASCII terminal: its exit code, and what was to be seen."""
    ours, theirs = pty.openpty()
    seen = []

    def look():
        try:
            while data := os.read(ours, 4096):
                seen.append(data)
        except OSError:
            return  # nobody holds the other end any more

    process = subprocess.Popen(
        command(*words), stdin=subprocess.PIPE, stdout=theirs, stderr=theirs,
        env=os.environ | ASCII | {"TERM": "xterm", "COLUMNS": "120", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    os.close(theirs)
    reader = threading.Thread(target=look)
    reader.start()
    process.communicate(b"dwq", timeout=120)
    reader.join(30)
    os.close(ours)
    return process.returncode, b"".join(seen)


def test_a_run_with_a_snowman_in_its_name_is_shown_in_an_ascii_terminal(tmp_path):
    preset, name = tiny(tmp_path), os.fsdecode(SNOWMAN.encode())
    config = from_dict({"run": {"total_steps": 128}}, load_preset(preset).config)
    create_run(config, tmp_path / name).train(Silent())
    players = f"checkpoint:{tmp_path / name},learner,learner"
    code, seen = in_a_terminal(
        "train", preset, "--run-dir", tmp_path / f"{name}!", "--players", players,
        "--total-steps", 256,
    )  # fmt: skip
    assert code == 0, seen.decode()
    assert (tmp_path / f"{name}!" / "metrics.jsonl").exists()
    assert seen.isascii()
    for part in (rb"q \udce2\udc98\udc83!", b"step 256 of 256", b"learner"):
        assert part in seen, part


def test_play_draws_spaces_where_there_are_no_half_blocks():
    code, seen = in_a_terminal("play", "Empty-v0")
    assert code == 0, seen.decode()
    assert seen.isascii()
    assert b"q quit" in seen
    assert b"m   " in seen, "no picture"
    assert b"\\u2580" not in seen


def test_what_no_name_of_a_file_can_be_is_told(tmp_path):
    with pytest.raises(UsageError, match=f"names of files are {sys.getfilesystemencoding()} here"):
        run_files.user_path("\ud800")
    preset = Path(tiny(tmp_path))
    text = preset.read_text(encoding="utf-8").replace("[run]", f'[run]\nrun_dir = "{SNOWMAN}"')
    preset.write_text(text, encoding="utf-8")
    done = run("train", preset, environment=ASCII)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert r"q \u2603: names of files are ascii here; PYTHONUTF8=1 makes them UTF-8" in done.stderr
