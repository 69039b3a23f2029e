"""The compiled extension by itself: what nobody reaches by the package's public face."""

import subprocess
import sys

import pytest

from socialgrid import _core


@pytest.mark.parametrize(
    ("membership", "files", "cores"),
    [
        ("0::/\n", {"cpu.max": "200000 100000"}, 2),
        ("0::/a/b\n", {"a/cpu.max": "150000 100000\n", "a/b/cpu.max": "max 100000\n"}, 1),
        ("0::/a/b\n", {"a/cpu.max": "800000 100000", "a/b/cpu.max": "300000 100000"}, 3),
        ("0::/elsewhere\n", {"cpu.max": "10000 100000"}, 1),
        (
            "2:cpu,cpuacct:/d\n1:memory:/d\n",
            {"cpu/d/cpu.cfs_quota_us": "400000", "cpu/d/cpu.cfs_period_us": "100000"},
            4,
        ),
        ("3:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 0),
        ("0::/\n", {"cpu.max": "rubbish"}, 0),
        ("rubbish", {}, 0),
    ],
)
def test_control_groups_bound_the_threads(tmp_path, membership, files, cores):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert _core.quota_cores(membership, str(tmp_path)) == cores


SUB_INTERPRETER = '''
try:
    import _xxsubinterpreters as interpreters
except ImportError:
    import _interpreters as interpreters
new = interpreters.create()
check = """
try:
    import socialgrid._core
except ImportError as error:
    print(error, flush=True)
"""
interpreters.run_string(new, check)
'''


def test_a_sub_interpreter_is_refused():
    command = [sys.executable, "-c", SUB_INTERPRETER]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "main interpreter only" in done.stdout
