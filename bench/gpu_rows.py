"""The rows of ``bench/gpu.py``, which starts this program: run that one.

    python bench/gpu_rows.py --at 3 ...     # rows from the fourth on, until one fails or time is up

A row that fails is written down whole, and ends the program: what CUDA has left behind after an
error is not to be measured with. ``gpu.py`` starts it again with the row that follows.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import faulthandler
import gc
import json
import math
import os
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
parser.add_argument("--until", type=float, required=True, help="when to end, by time.time()")
parser.add_argument("--out", type=Path, required=True, help="folder of gpu.jsonl")
parser.add_argument("--device", required=True, help="cuda or cpu")
parser.add_argument("--tiny", action="store_true", help="tiny sizes: checks that it runs")
parser.add_argument("--only", default="", help="rows whose names contain this")
parser.add_argument("--graphs", default="on", choices=("on", "off"), help="whether phases repeat")
parser.add_argument("--at", type=int, default=0, help="number of the first row")

Row = tuple[str, Callable[[], None]]
FAILED = 3
"""Exit status after a row that failed."""


def left(args: argparse.Namespace) -> float:
    """Seconds until the program has to end."""
    return float(args.until) - time.time()


class Bench:
    """Rows of the tables."""

    def __init__(self, args: argparse.Namespace) -> None:
        import torch

        self.args, self.torch = args, torch
        self.cuda = args.device == "cuda"
        self.file = (args.out / "gpu.jsonl").open("a", encoding="utf-8")

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

    def peak(self) -> tuple[float, float]:
        """The most memory since then, GiB: in tensors, and taken from the device for them."""
        if not self.cuda:
            return 0.0, 0.0
        cuda = self.torch.cuda
        return cuda.max_memory_allocated() / 2**30, cuda.max_memory_reserved() / 2**30

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

    def loop(self, name: str, config: Any) -> None:
        """Time the whole loop of a trainer: two updates to run and record, then the best of two."""
        from socialgrid.train import make_trainer

        self.forget()
        name = own_name(name)
        with tempfile.TemporaryDirectory() as folder:
            trainer = make_trainer(config, Path(folder) / "run")
            trainer.begin()
            times = []
            for _ in range(4):
                begin = time.perf_counter()
                row = trainer.step()
                self.wait()
                times.append((time.perf_counter() - begin, row["time"]))
                if left(self.args) < 1.5 * times[-1][0] + 5:
                    break
            wall, clock = min(times[2:] or times[1:] or times, key=lambda x: x[0])
            env = config.env
            learners = len(trainer.learner.agent_ids)
            rate = env.num_envs * env.rollout_steps * learners / wall
            peak, held = self.peak()
            losses = {name: _mean(row["agents"].get(name, ())) for name in _LOSSES}
            shares = {k: v / wall for k, v in clock.items() if v / wall >= 0.005}
            act = 1000 * clock.get("act", 0.0) / env.rollout_steps
            share = ", ".join(f"{k} {v:.0%}" for k, v in shares.items())
            print(
                f"  {name}: {rate:,.0f} agent-steps/s; {share}; act {act:.2f} ms a step; "
                f"peak {peak:.2f} GiB, held {held:.2f}; {times[0][0]:.1f} s for the first update",
                flush=True,
            )
            print(
                "    learnt: " + ", ".join(f"{k} {v:.6g}" for k, v in losses.items()),
                flush=True,
            )
            if trainer.memory:
                print(f"    said before: {trainer.memory}", flush=True)
            self.write(
                row=name, agent_steps_per_second=rate, wall=wall, shares=shares, act_ms=act,
                peak_gib=peak, held_gib=held, said=trainer.memory, envs=env.num_envs,
                steps=env.rollout_steps, learners=learners, precision=config.run.precision,
                losses=losses, updates=[one for one, _ in times],
            )  # fmt: skip
            trainer.close()

    def look(self, name: str, config: Any) -> None:
        """Launches and waits of an act, in a short batch, and of an update from it."""
        from socialgrid.train import make_trainer

        algorithm, steps = config.algorithm, min(16, config.env.rollout_steps)
        if hasattr(algorithm, "num_minibatches"):
            algorithm = dataclasses.replace(algorithm, num_minibatches=2)
            steps = max(steps, min(algorithm.sequence_length, config.env.rollout_steps))
        self.forget()
        env = dataclasses.replace(config.env, rollout_steps=steps)
        config = dataclasses.replace(config, algorithm=algorithm, env=env)
        with tempfile.TemporaryDirectory() as folder:
            trainer = make_trainer(config, Path(folder) / "run")
            trainer.begin()
            name = own_name(name)
            trainer.step()
            trainer.step()  # what is recorded is recorded
            self.count(f"{name}: an act", trainer.collect, steps)
            self.count(f"{name}: an update", trainer.learn)
            trainer.close()

    def count(self, name: str, call: Callable[[], object], times: int = 1) -> None:
        """What a call asks of the device, over so many times that it does something."""
        for _ in range(2):  # run, and recorded
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
        mark = engine.mark

        def counted(device: Any) -> Callable[[], None]:
            arrive = mark(device)

            def wait() -> None:
                asked["mark"] += 1
                arrive()

            return wait

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            setattr(engine, "mark", counted)  # noqa: B010 (PyTorch does not tell of these)
            try:
                call()
            finally:
                torch.cuda.set_sync_debug_mode("default")
                setattr(engine, "mark", mark)  # noqa: B010
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

        title = own_name(name)
        for learners in (64, 16, 4, 1):
            if left(self.args) < 8:
                break
            if self.args.tiny and learners > 16:
                continue
            self.forget()
            stack = off_policy.stack_of(off_policy.KINDS[name], learners, self.args.device)
            steps = 3 if self.args.tiny else 40
            for _ in range(2):  # of another number of steps everything is recorded anew
                stack.update(steps)
            self.wait()
            begin = time.perf_counter()
            stack.update(steps)
            self.wait()
            rate = learners * steps / (time.perf_counter() - begin)
            peak, held = self.peak()
            print(
                f"  {title}, {learners} learners: {rate:,.0f} gradient steps/s; "
                f"peak {peak:.2f} GiB, held {held:.2f}",
                flush=True,
            )
            self.write(
                row=f"{title} stack", learners=learners, gradient_steps_per_second=rate,
                peak_gib=peak, held_gib=held,
            )  # fmt: skip
            if learners in (64, 16 if self.args.tiny else 64):
                of_steps = f"{title}, {learners} learners: a gradient step"
                self.count(of_steps, lambda stack=stack: stack.update(10), 10)  # type: ignore[misc]

    def rows(self) -> Iterator[Row]:
        """All rows, the most telling first."""
        one = {"algorithm": {"workers": 1}}

        def named(name: str, *words: Any, precision: str, looks: bool = False, **rest: Any) -> Row:
            rest["run"] = {"precision": precision if self.cuda else "float32"}
            name = f"{name}, {precision}"
            if looks:
                return f"{name}, counted", lambda: self.look(name, self.config(*words, **rest))
            return name, lambda: self.loop(name, self.config(*words, **rest))

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

        # What is to blame, should the recipe be wrong or slow: it with and without graphs and
        # Triton, in short batches; what is learnt has to be nearly the same.
        short = full(3, 128, 50, "bf16")
        yield short
        yield without("graphs", short)
        yield without("Triton", short)
        yield without("graphs", without("Triton", short))
        yield full(3, 128, 250, "bf16")
        yield full(3, 128, 250, "bf16", looks=True)
        yield full(3, 2048, 64, "bf16")
        yield harvest("PPO", "bf16")
        yield mini(1, 4096, "bf16")
        yield "DQN stack", lambda: self.stack("DQN")
        yield full(3, 128, 250, "float32")
        yield full(3, 128, 250, "tf32")
        yield without("graphs", full(3, 128, 250, "bf16"))
        yield without("Triton", full(3, 128, 250, "bf16"))
        yield without("graphs", full(3, 128, 250, "bf16", looks=True))
        yield "SAC stack", lambda: self.stack("SAC")
        yield "TD3 stack", lambda: self.stack("TD3")
        yield harvest("PPO", "bf16", looks=True)
        yield mini(1, 4096, "bf16", looks=True)
        yield harvest("A3C in one process", "bf16")
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
        yield without("graphs", ("DQN stack", lambda: self.stack("DQN")))
        yield without("graphs", harvest("PPO", "bf16"))
        yield mini(8, 1024, "bf16")
        yield mini(1, 256, "bf16")
        yield mini(1, 128, "bf16")


_LOSSES = ("policy_loss", "value_loss", "entropy", "kl_final")
_SWITCHES = {"graphs": "SOCIALGRID_GRAPHS", "Triton": "SOCIALGRID_KERNELS"}


def _mean(values: Any) -> float:
    """Of those of agents that have one; NaN of nothing."""
    known = [x for x in values if x is not None and math.isfinite(x)]
    return sum(known) / len(known) if known else float("nan")


def own_name(name: str) -> str:
    """A row's name, and what it does without."""
    off = [what for what, switch in _SWITCHES.items() if os.environ.get(switch) == "off"]
    return f"{name}, without {' and '.join(off)}" if off else name


def without(what: str, row: Row) -> Row:
    """A row that is measured without graphs or kernels."""
    switch, (name, call) = _SWITCHES[what], row

    def run() -> None:
        before = os.environ.get(switch)
        os.environ[switch] = "off"
        try:
            call()
        finally:
            del os.environ[switch]
            if before is not None:
                os.environ[switch] = before

    return f"{name}, without {what}", run


def main() -> None:
    """Measure."""
    args = parser.parse_args()
    os.environ["SOCIALGRID_GRAPHS"] = args.graphs
    faulthandler.enable()
    from socialgrid.commands.allocation import keep_freed_memory

    keep_freed_memory()
    bench = Bench(args)
    for number, (name, call) in enumerate(bench.rows()):
        if number < args.at or args.only not in name:
            continue
        if left(args) < 12:
            bench.write(row=name, missed=True)
            continue
        (args.out / "at.json").write_text(json.dumps([number, name, time.time()]), encoding="utf-8")
        try:
            call()
        except Exception as error:
            told = traceback.format_exc()
            text = " ".join(str(error).split())
            print(f"  FAILED {name}: {type(error).__name__}: {text[:300]}", flush=True)
            bench.write(row=name, error=f"{type(error).__name__}: {text}", traceback=told)
            with (args.out / "failures.log").open("a", encoding="utf-8") as log:
                log.write(f"=== {name}\n{told}\n")
            raise SystemExit(FAILED) from None


if __name__ == "__main__":
    main()
