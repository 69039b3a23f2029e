"""The learners on a GPU: do they agree with the CPU, how fast are they, what do they wait for?

    python bench/gpu.py --seconds 480 --out gpu     # on a machine with a GPU; no network is needed
    python bench/gpu.py --device cpu --tiny         # minutes: checks that the benchmark runs

Needs PyTorch, numpy and a compiler; where the package is not installed it is built first, from
this checkout, without fetching anything (scikit-build-core, pybind11, CMake and ninja have to be
there). Then come the tests of ``tests/python/accelerator`` (every algorithm and mechanism: one
update beside the CPU's, and the same run twice), then the rows of the tables in the order of their
importance. Every row is printed and written to ``OUT/gpu.jsonl`` as it is done; what finds no time
any more is named.

An agent-step is one learner acting once, with all the learning that follows from it; scripted
players do not count. A wait is a call in which the host waits for the device. Launches and waits
are counted by PyTorch's profiler in one act and in one update of two minibatches.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import gc
import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from checkouts import ROOT, build_and_restart

# The time that went into building the package counts.
BEGIN = time.monotonic() - float(os.environ.get("SOCIALGRID_BUILT", "0"))

parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
parser.add_argument("--seconds", type=float, default=480, help="when to end (default 480)")
parser.add_argument("--out", type=Path, default=Path("gpu"), help="folder of gpu.jsonl and logs")
parser.add_argument("--device", default="cuda", help="cuda or cpu (default cuda)")
parser.add_argument("--tiny", action="store_true", help="tiny sizes: checks that it runs")
parser.add_argument("--only", default="", help="rows whose names contain this")
parser.add_argument("--no-tests", action="store_true", help="tables only")


def left(args: argparse.Namespace) -> float:
    """Seconds until the program has to end."""
    return float(args.seconds) - (time.monotonic() - BEGIN)


def run_tests(args: argparse.Namespace, seconds: float) -> None:
    """The tests of the accelerator, in several processes where pytest-xdist is there."""
    words = ["-q", "-p", "no:cacheprovider", "-p", "no:benchmark", "--accelerator", args.device]
    if importlib.util.find_spec("xdist"):
        words += ["-n", str(min(8, os.cpu_count() or 1))]
    if args.tiny:
        words += ["-k", "ppo or dqn"]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
    command = [sys.executable, "-m", "pytest", *words, "tests/python/accelerator"]
    with (args.out / "tests.log").open("w") as log:
        try:
            subprocess.run(
                command, cwd=ROOT, env=env, stdout=log, stderr=log, timeout=seconds, check=False
            )
        except subprocess.TimeoutExpired:
            print(f"  tests: stopped after {seconds:.0f} s")
    lines = (args.out / "tests.log").read_text().strip().splitlines()
    for line in lines:
        if line.startswith(("FAILED", "ERROR")):
            print(f"  {line[:180]}")
    print(f"  tests: {lines[-1] if lines else 'said nothing'}", flush=True)


class Bench:
    """Rows of the tables."""

    def __init__(self, args: argparse.Namespace) -> None:
        import torch

        self.args, self.torch = args, torch
        self.cuda = args.device == "cuda"
        self.file = (args.out / "gpu.jsonl").open("a")

    def write(self, **row: Any) -> None:
        """Keep a row."""
        self.file.write(json.dumps(row) + "\n")
        self.file.flush()

    def wait(self) -> None:
        """Until the device has done everything."""
        if self.cuda:
            self.torch.cuda.synchronize()

    def config(
        self,
        preset: str,
        envs: int,
        steps: int,
        *,
        learners: int = 0,
        social: list[str] | None = None,
        by: str | None = None,
        **changes: dict[str, Any],
    ) -> Any:
        """A preset with another batch; minibatches grow and shrink with it, so that every step of
        an agent costs what the recipe says."""
        from socialgrid.config import from_dict, load_preset

        base = load_preset(preset).choose(by, social)
        if self.args.tiny:
            envs, steps = max(2, envs // 64), min(steps, 24)
        data: dict[str, dict[str, Any]] = {
            "run": {"device": self.args.device, "precision": "float32"},
            "env": {"num_envs": envs, "rollout_steps": steps},
            "logging": {"tensorboard": False, "curves": False, "video": False},
        }
        if learners:
            data["players"] = {"kinds": ["learner"] * learners}
        if base.algorithm.name == "ppo":
            recipe = base.env.num_envs * base.env.rollout_steps
            count = max(1, round(base.algorithm.minibatch_sequences * envs * steps / recipe))
            data["algorithm"] = {
                "minibatch_sequences": count,
                "kl_target": None,
                "kl_hard_limit": 1e9,
            }
        for section, table in changes.items():
            data[section] = {**data.get(section, {}), **table}
        return from_dict(data, base)

    def loop(self, name: str, config: Any, looks: bool = False) -> None:
        """Time the whole loop of a trainer: one update to warm up, then the best of two."""
        from socialgrid.train import make_trainer

        gc.collect()
        if self.cuda:
            self.torch.cuda.empty_cache()
            self.torch.cuda.reset_peak_memory_stats()
        with tempfile.TemporaryDirectory() as folder:
            trainer = make_trainer(config, Path(folder) / "run")
            trainer.begin()
            times = []
            for k in range(3):
                begin = time.perf_counter()
                row = trainer.step()
                self.wait()
                times.append((time.perf_counter() - begin, row["time"]))
                if k and left(self.args) < 2 * times[-1][0]:
                    break
            wall, clock = min(times[1:] or times, key=lambda x: x[0])
            env = config.env
            learners = len(trainer.learner.agent_ids)
            rate = env.num_envs * env.rollout_steps * learners / wall
            peak = self.torch.cuda.max_memory_allocated() / 2**30 if self.cuda else 0.0
            shares = {k: v / wall for k, v in clock.items() if v / wall >= 0.005}
            act = 1000 * clock.get("act", 0.0) / env.rollout_steps
            share = ", ".join(f"{k} {v:.0%}" for k, v in shares.items())
            print(
                f"  {name}: {rate:,.0f} agent-steps/s; {share}; act {act:.2f} ms a step; "
                f"peak {peak:.1f} GiB",
                flush=True,
            )
            self.write(
                row=name, agent_steps_per_second=rate, wall=wall, shares=shares, act_ms=act,
                peak_gib=peak, envs=env.num_envs, steps=env.rollout_steps, learners=learners,
            )  # fmt: skip
            if looks:
                self.look(name, trainer)
            if hasattr(trainer, "worlds"):
                trainer.worlds.close()

    def look(self, name: str, trainer: Any) -> None:
        """Launches and waits of one act and of a short update."""
        part = trainer._parts[0]

        def act() -> None:
            obs, reset = part.inputs(0)
            part.record(0, trainer.learner.act(obs, trainer._memory[0], reset, last=part.last(0)))

        self.count(f"{name}: an act", act)
        trainer.collect()
        learner, whole = trainer.learner, trainer.learner.config
        if hasattr(whole, "num_minibatches"):
            learner.config = dataclasses.replace(whole, num_minibatches=2)
        try:
            self.count(f"{name}: an update", lambda: learner.update(trainer.rollout, progress=0))
        finally:
            learner.config = whole

    def count(self, name: str, call: Callable[[], object]) -> None:
        """What a call asks of the device, and how long the device works for it."""
        if not self.cuda:
            call()
            return
        torch = self.torch
        call()
        self.wait()
        begin = time.perf_counter()
        call()
        self.wait()
        wall = time.perf_counter() - begin
        kinds = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
        with torch.profiler.profile(activities=kinds, acc_events=True) as profile:
            call()
            self.wait()
        busy, launches = 0.0, 0
        for event in profile.key_averages():
            if str(event.device_type).endswith("CUDA"):
                busy += event.self_device_time_total / 1e6
            elif "LaunchKernel" in event.key or "GraphLaunch" in event.key:
                launches += event.count
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                call()
            finally:
                torch.cuda.set_sync_debug_mode("default")
        places = collections.Counter(
            f"{Path(one.filename).name}:{one.lineno}"
            for one in caught
            if "synchronizing" in str(one.message)
        )
        waits = sum(places.values())
        print(
            f"    {name}: {1000 * wall:.2f} ms, device busy {busy / wall:.0%}, "
            f"{launches} launches, {waits} waits",
            flush=True,
        )
        self.write(row=name, wall=wall, busy=busy / wall, launches=launches, waits=places)

    def stack(self, name: str) -> None:
        """Gradient steps a second of all learners of a stack."""
        sys.path.insert(0, str(ROOT / "bench"))
        import off_policy

        for learners in (1, 16, 64):
            if left(self.args) < 8 or (self.args.tiny and learners > 16):
                break
            stack = off_policy.stack_of(off_policy.KINDS[name], learners, self.args.device)
            steps = 3 if self.args.tiny else 40
            stack.update(2)
            self.wait()
            begin = time.perf_counter()
            stack.update(steps)
            self.wait()
            rate = learners * steps / (time.perf_counter() - begin)
            print(f"  {name}, {learners} learners: {rate:,.0f} gradient steps/s", flush=True)
            self.write(row=f"{name} stack", learners=learners, gradient_steps_per_second=rate)

    def rows(self) -> Iterator[tuple[str, Callable[[], None]]]:
        """All rows, the most telling first."""
        config, loop = self.config, self.loop
        bf16 = {"run": {"precision": "bf16"}}
        tiles = {"env": {"obs_mode": "tiles"}}

        def full(learners: int, envs: int, steps: int, looks: bool = False, **changes: Any) -> Any:
            name = f"full recipe, {learners} learners, {envs} environments x {steps} steps"
            name += "".join(f", {k}={v}" for table in changes.values() for k, v in table.items())

            def call() -> None:
                chosen = config("goal-cycle", envs, steps, learners=learners)
                for section, table in changes.items():
                    part = dataclasses.replace(getattr(chosen, section), **table)
                    chosen = dataclasses.replace(chosen, **{section: part})
                loop(name, chosen, looks)

            return name, call

        def named(name: str, *words: Any, looks: bool = False, **options: Any) -> Any:
            return name, lambda: loop(name, config(*words, **options), looks)

        yield full(3, 128, 250, looks=True)
        yield full(3, 2048, 64)
        yield named("mini, 256 environments", "goal-cycle-mini", 256, 64)
        yield named("mini, 1024 environments", "goal-cycle-mini", 1024, 64, looks=True)
        yield named("Harvest, PPO, 5 learners", "harvest-ppo", 96, 200, looks=True)
        for name in ("DQN", "SAC", "TD3"):
            yield f"{name} stack", lambda name=name: self.stack(name)  # type: ignore[misc]
        one = {"algorithm": {"workers": 1}}
        yield named("Harvest, A3C in one process", "harvest", 64, 50, **one)
        yield full(1, 128, 250)
        yield full(3, 2048, 64, **bf16, **tiles)
        yield full(3, 128, 250, **bf16)
        yield named("Harvest, PPO, 5 learners, moa", "harvest-ppo", 96, 200, social=["moa"])
        yield named("Harvest, A3C, moa", "harvest", 64, 50, social=["moa"], **one)
        yield full(8, 128, 250)
        yield full(3, 512, 125)
        yield named("mini, 4096 environments", "goal-cycle-mini", 4096, 64)
        yield full(3, 128, 250, run={"precision": "tf32"})


def main() -> None:
    """Build, test, measure."""
    args = parser.parse_args()
    if importlib.util.find_spec("socialgrid") is None:
        build_and_restart()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    import torch

    import socialgrid
    from socialgrid.commands.allocation import keep_freed_memory

    keep_freed_memory()
    if args.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("PyTorch sees no CUDA device here; --device cpu --tiny tries the program")
    args.out.mkdir(parents=True, exist_ok=True)
    card = torch.cuda.get_device_name() if args.device == "cuda" else "no accelerator"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(
        f"{card}; {cores} cores; Python {platform.python_version()}, PyTorch {torch.__version__}, "
        f"socialgrid {socialgrid.__version__}",
        flush=True,
    )
    bench = Bench(args)
    bench.write(
        card=card, cores=cores, torch=torch.__version__, built_in=os.environ.get("SOCIALGRID_BUILT")
    )
    if not args.no_tests:
        run_tests(args, seconds=0.35 * left(args))
    missed = []
    for name, call in bench.rows():
        if args.only not in name:
            continue
        if left(args) < 12:
            missed.append(name)
            continue
        try:
            call()
        except Exception as error:  # the next row may do
            text = " ".join(str(error).split())
            print(f"  FAILED {name}: {type(error).__name__}: {text[:300]}", flush=True)
            bench.write(row=name, error=f"{type(error).__name__}: {text}")
    if missed:
        print(f"  no time was left for: {'; '.join(missed)}")
    print(f"done after {time.monotonic() - BEGIN:.0f} s")


if __name__ == "__main__":
    main()
