"""The learners on a GPU: do they agree with the CPU, how fast are they, what do they wait for?

    python bench/gpu.py --seconds 480 --out gpu     # on a machine with a GPU; no network is needed
    python bench/gpu.py --device cpu --tiny         # minutes: checks that the benchmark runs

Needs PyTorch, numpy and a compiler; where the package is not installed it is built first, from
this checkout, without fetching anything (scikit-build-core, pybind11, CMake and ninja have to be
there). Then come the tests that are marked for accelerators (every algorithm and mechanism: one
update beside the CPU's, the same run twice, graphs beside their eager twins, Triton's kernels
beside PyTorch), and how far CPU and accelerator were apart in each; then the rows of the tables in
the order of their importance. Every row is printed and written to ``OUT/gpu.jsonl`` as it is done;
what finds no time any more is named.

An agent-step is one learner acting once, with all the learning that follows from it; scripted
players do not count. A wait is a call in which the host waits for the device. Launches and waits
are counted by PyTorch's profiler in an act (a mean over a short batch) and in an update of two
minibatches. ``--graphs off`` starts operations one by one instead of repeating recorded graphs;
some rows do both.
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
from xml.etree import ElementTree

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
parser.add_argument("--graphs", default="on", choices=("on", "off"), help="whether phases repeat")

Row = tuple[str, Callable[[], None]]
TESTS = ("tests/python/accelerator", "tests/python/models/triton")


def left(args: argparse.Namespace) -> float:
    """Seconds until the program has to end."""
    return float(args.seconds) - (time.monotonic() - BEGIN)


def run_tests(bench: Bench, args: argparse.Namespace, seconds: float) -> None:
    """The tests of the accelerator, in several processes where pytest-xdist is there."""
    words = ["-q", "-p", "no:cacheprovider", "-p", "no:benchmark", "--accelerator", args.device]
    if importlib.util.find_spec("xdist"):
        words += ["-n", str(min(8, os.cpu_count() or 1))]
    if args.tiny:
        words += ["-k", "ppo or dqn"]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
    report = args.out.resolve() / "tests.xml"
    folders = [folder for folder in TESTS if (ROOT / folder).is_dir()]
    command = [sys.executable, "-m", "pytest", *words, "--junitxml", str(report), *folders]
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
    bench.write(row="tests", said=lines[-1] if lines else "")
    if report.exists():
        tell_agreement(bench, report)


def tell_agreement(bench: Bench, report: Path) -> None:
    """How far accelerator and CPU were apart in the tests, arm by arm, the worst first."""
    found = []
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        for one in case.iter("property"):
            if one.get("name") == "difference":
                size, of = (one.get("value") or "0 ").split(" ", 1)
                arm = (case.get("name") or "").partition("[")[2].rstrip("]")
                found.append((float(size), arm, of))
    for size, arm, of in sorted(found, reverse=True):
        bench.write(row="agreement", arm=arm, difference=size, of=of)
    worst = "; ".join(f"{arm} {size:.1e} of {of}" for size, arm, of in sorted(found)[:-5:-1])
    print(f"  one update beside the CPU's, {len(found)} arms; furthest apart: {worst}", flush=True)


def named_by_graphs(name: str) -> str:
    """A row's name, and whether its phases are started one by one."""
    return name if os.environ["SOCIALGRID_GRAPHS"] == "on" else f"{name}, without graphs"


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

    def forget(self) -> None:
        """Give memory back, and measure its peak from here."""
        gc.collect()
        if self.cuda:
            self.torch.cuda.empty_cache()
            self.torch.cuda.reset_peak_memory_stats()

    def peak(self) -> float:
        """The most memory since then, GiB."""
        return self.torch.cuda.max_memory_allocated() / 2**30 if self.cuda else 0.0

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

        self.forget()
        name = named_by_graphs(name)
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
            peak = self.peak()
            shares = {k: v / wall for k, v in clock.items() if v / wall >= 0.005}
            act = 1000 * clock.get("act", 0.0) / env.rollout_steps
            share = ", ".join(f"{k} {v:.0%}" for k, v in shares.items())
            print(
                f"  {name}: {rate:,.0f} agent-steps/s; {share}; act {act:.2f} ms a step; "
                f"peak {peak:.2f} GiB",
                flush=True,
            )
            if trainer.memory:
                print(f"    said before: {trainer.memory}", flush=True)
            self.write(
                row=name, agent_steps_per_second=rate, wall=wall, shares=shares, act_ms=act,
                peak_gib=peak, said=trainer.memory, envs=env.num_envs, steps=env.rollout_steps,
                learners=learners, precision=config.run.precision,
                graphs=os.environ["SOCIALGRID_GRAPHS"],
            )  # fmt: skip
            trainer.close()
        if looks and left(self.args) > 20:
            self.look(name, config)

    def look(self, name: str, config: Any) -> None:
        """Launches and waits of an act, in a short batch, and of an update from it."""
        from socialgrid.train import make_trainer

        algorithm, steps = config.algorithm, min(16, config.env.rollout_steps)
        if hasattr(algorithm, "num_minibatches"):
            algorithm = dataclasses.replace(algorithm, num_minibatches=2)
            steps = max(steps, min(algorithm.sequence_length, config.env.rollout_steps))
        env = dataclasses.replace(config.env, rollout_steps=steps)
        config = dataclasses.replace(config, algorithm=algorithm, env=env)
        with tempfile.TemporaryDirectory() as folder:
            trainer = make_trainer(config, Path(folder) / "run")
            trainer.begin()
            trainer.step()
            trainer.step()  # what is recorded is recorded
            self.count(f"{name}: an act", trainer.collect, steps)
            self.count(f"{name}: an update", trainer.learn)
            trainer.close()

    def count(self, name: str, call: Callable[[], object], times: int = 1) -> None:
        """What a call asks of the device, over so many times that it does something."""
        call()
        self.wait()
        begin = time.perf_counter()
        call()
        self.wait()
        wall = (time.perf_counter() - begin) / times
        if not self.cuda:
            print(f"    {name}: {1000 * wall:.2f} ms", flush=True)
            self.write(row=name, wall=wall)
            return
        torch = self.torch
        kinds = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
        with torch.profiler.profile(activities=kinds, acc_events=True) as profile:
            call()
            self.wait()
        busy, launches = 0.0, 0.0
        for event in profile.key_averages():
            if str(event.device_type).endswith("CUDA"):
                busy += event.self_device_time_total / 1e6 / times
            elif "LaunchKernel" in event.key or "GraphLaunch" in event.key:
                launches += event.count / times
        from socialgrid.models import ENGINES

        engine, asked = ENGINES["cuda"], collections.Counter[str]()
        wait = engine.wait

        def counted(device: Any) -> None:
            asked["wait_for"] += 1
            wait(device)

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            setattr(engine, "wait", counted)  # noqa: B010 (PyTorch does not tell of these)
            try:
                call()
            finally:
                torch.cuda.set_sync_debug_mode("default")
                setattr(engine, "wait", wait)  # noqa: B010
        places = collections.Counter(
            f"{Path(one.filename).name}:{one.lineno}"
            for one in caught
            if "synchronizing" in str(one.message)
        )
        places += asked
        waits = sum(places.values()) / times
        print(
            f"    {name}: {1000 * wall:.2f} ms, device busy {busy / wall:.0%}, "
            f"{launches:.1f} launches, {waits:.1f} waits",
            flush=True,
        )
        self.write(
            row=name, wall=wall, busy=busy / wall, launches=launches, waits=waits, places=places
        )

    def stack(self, name: str) -> None:
        """Gradient steps a second of all learners of a stack."""
        sys.path.insert(0, str(ROOT / "bench"))
        import off_policy

        title = named_by_graphs(name)
        for learners in (64, 16, 4, 1):
            if left(self.args) < 8:
                break
            if self.args.tiny and learners > 16:
                continue
            self.forget()
            stack = off_policy.stack_of(off_policy.KINDS[name], learners, self.args.device)
            steps = 3 if self.args.tiny else 40
            stack.update(4)
            self.wait()
            begin = time.perf_counter()
            stack.update(steps)
            self.wait()
            rate = learners * steps / (time.perf_counter() - begin)
            peak = self.peak()
            print(
                f"  {title}, {learners} learners: {rate:,.0f} gradient steps/s; "
                f"peak {peak:.2f} GiB",
                flush=True,
            )
            self.write(
                row=f"{title} stack", learners=learners, gradient_steps_per_second=rate,
                peak_gib=peak, graphs=os.environ["SOCIALGRID_GRAPHS"],
            )  # fmt: skip
            if learners in (64, 16 if self.args.tiny else 64):
                of_steps = f"{title}, {learners} learners: a gradient step"
                self.count(of_steps, lambda stack=stack: stack.update(10), 10)  # type: ignore[misc]

    def rows(self) -> Iterator[Row]:
        """All rows, the most telling first."""
        one = {"algorithm": {"workers": 1}}

        def named(
            name: str, *words: Any, precision: str, looks: bool = False, **options: Any
        ) -> Row:
            options["run"] = {"precision": precision if self.cuda else "float32"}
            name = f"{name}, {precision}"
            return name, lambda: self.loop(name, self.config(*words, **options), looks)

        def full(
            learners: int, envs: int, steps: int, precision: str, *, looks: bool = False
        ) -> Row:
            name = f"full recipe, {learners} learners, {envs} environments x {steps} steps"
            words = "goal-cycle", envs, steps
            return named(name, *words, precision=precision, looks=looks, learners=learners)

        def mini(learners: int, envs: int, precision: str, *, looks: bool = False) -> Row:
            name = f"mini, {learners} learners, {envs} environments"
            words = "goal-cycle-mini", envs, 64
            players = {} if learners == 1 else {"learners": learners}  # with its scripted player
            return named(name, *words, precision=precision, looks=looks, **players)

        def harvest(by: str, precision: str, *, looks: bool = False, **options: Any) -> Row:
            words = ("harvest-ppo", 96, 200) if by == "PPO" else ("harvest", 64, 50)
            name = ", ".join([f"Harvest, {by}, 5 learners", *options.get("social", [])])
            more = {} if by == "PPO" else one
            return named(name, *words, precision=precision, looks=looks, **options, **more)

        def eagerly(row: Row) -> Row:
            name, call = f"{row[0]}, without graphs", row[1]

            def run() -> None:
                before = os.environ["SOCIALGRID_GRAPHS"]
                os.environ["SOCIALGRID_GRAPHS"] = "off"
                try:
                    call()
                finally:
                    os.environ["SOCIALGRID_GRAPHS"] = before

            return name, run

        yield full(3, 128, 250, "bf16", looks=True)
        yield full(3, 2048, 64, "bf16")
        yield harvest("PPO", "bf16", looks=True)
        yield mini(1, 4096, "bf16", looks=True)
        yield "DQN stack", lambda: self.stack("DQN")
        yield full(3, 128, 250, "float32")
        yield full(3, 128, 250, "tf32")
        yield eagerly(full(3, 128, 250, "bf16", looks=True))
        yield "SAC stack", lambda: self.stack("SAC")
        yield "TD3 stack", lambda: self.stack("TD3")
        yield harvest("A3C in one process", "bf16", looks=True)
        yield harvest("PPO", "bf16", social=["moa"])
        yield harvest("A3C in one process", "bf16", social=["moa"])
        yield full(1, 128, 250, "bf16")
        yield full(8, 128, 250, "bf16")
        yield mini(1, 1024, "bf16")
        yield mini(3, 1024, "bf16")
        yield full(3, 512, 125, "bf16")
        yield full(3, 4096, 32, "bf16")
        yield harvest("PPO", "float32")
        yield mini(1, 4096, "float32")
        yield full(3, 2048, 64, "tf32")
        yield full(3, 2048, 64, "float32")
        yield eagerly(("DQN stack", lambda: self.stack("DQN")))
        yield eagerly(harvest("PPO", "bf16"))
        yield mini(8, 1024, "bf16")
        yield mini(1, 256, "bf16")
        yield mini(1, 128, "bf16")


def main() -> None:
    """Build, test, measure."""
    args = parser.parse_args()
    if importlib.util.find_spec("socialgrid") is None:
        build_and_restart()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    os.environ["SOCIALGRID_GRAPHS"] = args.graphs
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
        run_tests(bench, args, seconds=0.35 * left(args))
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
