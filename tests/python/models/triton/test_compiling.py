"""What the interpreter runs can be compiled, too, for cards with compute capability 8.0 and 9.0."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[4]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_every_kernel_compiles_and_adds_in_a_fixed_order(dtype, tmp_path):
    env = {**os.environ, "TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    words = [sys.executable, "-m", "tests.python.models.triton.compile_kernels", dtype]
    done = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.startswith("compiled ")
