"""Workers that learn into the same parameters: what they learn, and what happens when one dies."""

import math
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.python.algos.tiny import copy_rollout
from tests.python.train.runs import TINY, Silent, command

from socialgrid.config import CheckpointError, UsageError, from_dict, load_preset, parse_train
from socialgrid.measures import fewer, mean_outcomes
from socialgrid.models import NonFiniteError
from socialgrid.report import mean_outcome, mean_return, read_metrics
from socialgrid.train import (
    ActorLearner,
    AsyncTrainer,
    Trainer,
    algorithm_of,
    checkpoint,
    create_run,
    merged,
    resume_run,
    run_worker,
    share_of,
)

# Apples grow back at once: whoever walks about and does not shoot collects most.
ORCHARD = """
[run]
total_steps = 8192
threads = 1
checkpoint_minutes = 100
device = "cpu"
[env]
game = "Harvest-v0"
num_envs = 16
rollout_steps = 16
num_threads = 1
[env.options]
map = ["@@@@@@@", "@AAAAP@", "@AAAAA@", "@AAAAA@", "@AAAAA@", "@PAAAA@", "@@@@@@@"]
apple_spawn_probabilities = [1.0, 1.0, 1.0, 1.0]
max_steps = 32
view_size = 5
[players]
kinds = ["learner", "learner"]
[network]
channels = [4]
features = [16]
memory = 16
heads = []
[algorithm]
name = "a3c"
workers = 2
gamma = 0.5
learning_rate = 1e-2
learning_rate_end = "none"
[logging]
console_seconds = 0
tensorboard = false
curves = false
video = false
"""


@pytest.fixture(autouse=True)
def nobody_stays_behind():
    yield
    assert not children(os.getpid())


def children(parent):
    """Workers of a process."""
    found = subprocess.run(
        ["ps", "-e", "-ww", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    )
    lines = [line.split(None, 2) for line in found.stdout.splitlines()]
    return [int(pid) for pid, ppid, args in lines if int(ppid) == parent and "spawn_main" in args]


class Watcher:
    """A console that keeps what it is told, and interrupts the run when told to."""

    def __init__(self, enough=lambda: False):
        self.rows, self.said, self.said_at = [], [], []
        self.enough, self.interrupted = enough, False

    def update(self, row, total_steps):
        self.rows.append(row)
        if not self.interrupted and self.enough():
            self.interrupted = True
            os.kill(os.getpid(), signal.SIGINT)

    def say(self, text):
        self.said.append(text)
        self.said_at.append(time.monotonic())

    def close(self):
        pass


def config_of(**changes):
    import tomllib

    return from_dict(changes, from_dict(tomllib.loads(ORCHARD)))


def collected(rows):
    """Mean return of the episodes that ended in some updates, all agents."""
    ended = [row for row in rows if row["episodes_finished"]]
    total = sum(sum(row["agents"]["return"]) * row["episodes_finished"] for row in ended)
    return total / sum(row["episodes_finished"] for row in ended) / 2


def test_two_workers_learn_and_the_run_is_one_like_any_other(tmp_path):
    watcher = Watcher()
    trainer = create_run(config_of(run={"total_steps": 20480}), tmp_path / "run")
    assert isinstance(trainer, AsyncTrainer)
    assert trainer.train(watcher) == 0
    rows = read_metrics(tmp_path / "run" / "metrics.jsonl")
    assert rows == watcher.rows
    assert collected(rows[-10:]) > collected(rows[:4]) + 10
    assert trainer.env_steps >= 20480
    assert trainer.env_steps == 16 * 8 * trainer.update
    last = rows[-1]
    assert last["env_steps"] == trainer.env_steps
    assert last["agent_steps"] == 2 * trainer.env_steps
    assert last["episodes"] == trainer.episodes == sum(row["episodes_finished"] for row in rows)
    assert all(row["staleness_max"] <= 50 for row in rows)
    assert sum(row["staleness_mean"] for row in rows) > 0, "nobody ever learnt beside the other"
    assert last["workers_restarted"] == 0
    assert last["updates_per_second"] > 0
    for name in ("policy_loss", "value_loss", "entropy", "gradient_norm", "learning_rate"):
        assert len(last["agents"][name]) == 2, name
    _, stored, _ = checkpoint.load_newest(tmp_path / "run" / "checkpoints")
    assert stored.state["update"] == stored.state["learner"]["updates"] == trainer.update
    assert stored.weights["optimiser/steps"].max() <= trainer.update
    # A resumed run goes on with the parameters and begins new episodes.
    resumed, _ = resume_run(tmp_path / "run", trainer.env_steps + 2048)
    for name, x in resumed.learner.tensors().items():
        assert torch.equal(x, stored.weights[name]), name
    watcher = Watcher()
    resumed.train(watcher)
    assert "workers begin new episodes" in watcher.said
    more = read_metrics(tmp_path / "run" / "metrics.jsonl")
    assert more[: len(rows)] == rows
    assert collected(more[len(rows) :]) > collected(rows[:4]) + 10
    assert more[-1]["update"] == resumed.update > trainer.update
    assert more[-1]["seconds"] > last["seconds"]


def test_a_checkpoint_ahead_of_its_row_is_not_written_again_for_the_next_row(tmp_path):
    config = config_of(run={"total_steps": 192, "checkpoint_minutes": 0, "keep_checkpoints": 9})
    trainer = create_run(config, tmp_path / "run")
    counted, told = iter([128, 192]), iter([64, 128, 192])
    capture = trainer.capture

    def step():
        trainer.shared.env_steps[0] = trainer.env_steps = next(told)
        return {"update": 1, "env_steps": trainer.env_steps, "agents": {}, "pairs": {}}

    def ahead(metrics_bytes):  # a worker counts its steps before the main process hears of them
        trainer.shared.env_steps[0] = next(counted)
        return capture(metrics_bytes)

    trainer.step, trainer.capture = step, ahead
    assert trainer.train(Silent()) == 0
    assert checkpoint.steps_of(trainer.run_dir) == [128, 192]


def test_workers_begin_with_the_shared_weights_alone(tmp_path):
    create_run(config_of(run={"total_steps": 256}), tmp_path / "first").train(Watcher())
    config = config_of(players={"kinds": [f"learner:{tmp_path / 'first'}", "learner"]})
    trainer = AsyncTrainer(config, tmp_path / "second")
    shutil.rmtree(tmp_path / "first")
    worker = ActorLearner(config, tmp_path / "second", 0, trainer.shared, 0)
    worker.start()
    worker.catch_up()
    for name, weight in trainer.learner.model.named_parameters():
        assert torch.equal(dict(worker.learner.model.named_parameters())[name], weight)


def test_a_synchronous_update_is_that_of_one_batch_of_all_environments(tmp_path):
    config = config_of(
        run={"total_steps": 240},
        env={"num_envs": 5, "rollout_steps": 48},
        algorithm={"synchronous": True, "max_grad_norm": 0.1},
    )
    trainer = AsyncTrainer(config, tmp_path / "run")
    # What the workers will do, done by hand: same shares, same random numbers.
    twin = AsyncTrainer(config, tmp_path / "twin")
    workers = [ActorLearner(config, tmp_path, i, twin.shared, 0) for i in (0, 1)]
    for worker in workers:
        worker.start()
        worker.catch_up()
        worker.collect()
    first, second = (worker.rollout for worker in workers)
    assert (first.num_envs, second.num_envs) == (3, 2)
    whole = Trainer(replace(config, algorithm=replace(config.algorithm, workers=1)), tmp_path)
    copy_rollout(first, whole.rollout.part(0, 3))
    copy_rollout(second, whole.rollout.part(3, 2))
    assert whole.rollout.done.any()
    assert len(whole.rollout.final_obs) == int(whole.rollout.done.sum())
    assert not torch.equal(first.obs[:, :2], second.obs)
    whole.learner.update(whole.rollout)
    (tmp_path / "run").mkdir()
    assert trainer.train(Watcher()) == 0
    assert trainer.update == 1
    for (name, p), q in zip(
        trainer.learner.model.named_parameters(), whole.learner.model.parameters(), strict=True
    ):
        moved = (q - twin.learner.model.get_parameter(name)).abs().max()
        assert moved > 1e-3, name
        torch.testing.assert_close(p, q, rtol=0, atol=5e-5, msg=name)  # a step is 200 times that


def stumbling_worker(config, run_dir, index, shared, life, connection):
    """Worker 1 fails in its first life and works in the next."""
    mark = run_dir / "stumbled"
    if index == 1 and not mark.exists():
        mark.touch()
        config = replace(config, players=replace(config.players, kinds=("random", "random")))
    run_worker(config, run_dir, index, shared, life, connection)


class Stumbling(AsyncTrainer):
    worker_body = staticmethod(stumbling_worker)


class Murderer(Watcher):
    """Kills worker 1 once it has done something, and waits for what the next one does."""

    def __init__(self, trainer):
        super().__init__(self.enough_seen)
        self.trainer, self.killed_at, self.steps = trainer, 0.0, 0

    def enough_seen(self):
        steps = int(self.trainer.shared.env_steps[1])
        if not self.killed_at and steps > 0:
            os.kill(self.trainer.workers[1].process.pid, signal.SIGKILL)
            self.killed_at, self.steps = time.monotonic(), steps
        return self.killed_at and steps >= self.steps + 5 * 8 * 16


def test_workers_that_fail_or_are_killed_are_replaced_and_the_run_goes_on(tmp_path):
    trainer = Stumbling(config_of(run={"total_steps": 10**9}), tmp_path)
    watcher = Murderer(trainer)
    assert trainer.train(watcher) == 128 + signal.SIGINT
    report, verdict, death, farewell = watcher.said
    assert report.startswith("worker 1 failed:\nTraceback")
    assert "nobody in random, random learns" in report
    assert verdict.startswith("worker 1 failed: ")
    assert verdict.endswith("another one takes its place")
    assert death == "worker 1 died of signal 9; another one takes its place"
    assert watcher.said_at[2] - watcher.killed_at < 20
    assert farewell.startswith("stopping after this update")
    assert trainer.restarted == 2
    assert watcher.rows[-1]["workers_restarted"] == 2
    _, stored, _ = checkpoint.load_newest(tmp_path / "checkpoints")
    assert stored.state["env_steps"] == trainer.env_steps >= watcher.rows[-1]["env_steps"]


def test_a_barrier_does_not_wait_for_the_dead(tmp_path):
    config = config_of(run={"total_steps": 10**9}, algorithm={"synchronous": True})
    trainer = create_run(config, tmp_path / "run")
    watcher = Murderer(trainer)
    assert trainer.train(watcher) == 128 + signal.SIGINT
    assert watcher.said[0] == "worker 1 died of signal 9; another one takes its place"
    assert trainer.restarted == 1
    # Every update had gradients of both.
    assert (trainer.shared.env_steps[:2] >= 8 * 16 * trainer.update).all()
    assert sum(row["staleness_max"] for row in watcher.rows) == 0


def failing_worker(config, run_dir, index, shared, life, connection):
    """Worker 0 is never any good."""
    kinds = ("random", "random") if index == 0 else config.players.kinds
    config = replace(config, players=replace(config.players, kinds=kinds))
    run_worker(config, run_dir, index, shared, life, connection)


class Failing(AsyncTrainer):
    worker_body = staticmethod(failing_worker)


def test_a_worker_that_always_fails_ends_the_run(tmp_path):
    config = config_of(run={"total_steps": 10**9}, algorithm={"synchronous": True})
    trainer = Failing(config, tmp_path)
    with pytest.raises(ChildProcessError, match=r"worker 0 failed: .* 3 times without an update"):
        trainer.train(Watcher())
    assert not trainer.workers


def poisoned_worker(config, run_dir, index, shared, life, connection):
    """Parameters are not finite from the first update on, whoever is first to make one."""
    shared.learner["model/lstm.weight_hh"][1] = float("nan")
    run_worker(config, run_dir, index, shared, life, connection)


class Poisoned(AsyncTrainer):
    worker_body = staticmethod(poisoned_worker)


def test_what_is_not_finite_ends_the_run_without_a_checkpoint(tmp_path):
    trainer = Poisoned(config_of(run={"total_steps": 10**9}), tmp_path)
    with pytest.raises(NonFiniteError, match=r"non-finite loss in update .*, agent 1") as error:
        trainer.train(Watcher())
    assert error.value.dump is not None
    assert error.value.dump.is_file()
    assert not checkpoint.found(tmp_path / "checkpoints")


def test_ctrl_c_does_not_reach_workers_that_are_being_started():
    code = """
import multiprocessing
from socialgrid.train.on_policy.asynchronous import without_interrupts
tell = "import signal; print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))"
process = multiprocessing.get_context("spawn").Process(target=exec, args=(tell,))
with without_interrupts():
    process.start()
process.join()
exec(tell)
"""
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]  # the first worker; this process afterwards


def test_ctrl_c_stops_all_workers_and_leaves_a_checkpoint(tmp_path):
    preset = tmp_path / "orchard.toml"
    preset.write_text(ORCHARD)
    process = subprocess.Popen(
        command("train", preset, "--run-dir", tmp_path / "run", "--total-steps", 10**9),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    try:
        while "step" not in process.stdout.readline():
            assert process.poll() is None, process.stderr.read()
        workers = children(process.pid)
        assert len(workers) == 2
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers too
        output, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130, errors
    assert "stopping after this update" in output
    assert not errors
    _, stored, _ = checkpoint.load_newest(tmp_path / "run" / "checkpoints")
    rows = read_metrics(tmp_path / "run" / "metrics.jsonl")
    assert stored.state["env_steps"] == rows[-1]["env_steps"] > 0
    assert not any(os.path.exists(f"/proc/{pid}") for pid in workers)


def test_workers_do_not_outlive_a_killed_main_process(tmp_path):
    preset = tmp_path / "orchard.toml"
    preset.write_text(ORCHARD)
    process = subprocess.Popen(
        command("train", preset, "--run-dir", tmp_path / "run", "--total-steps", 10**9),
        stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    while "step" not in process.stdout.readline():
        assert process.poll() is None
    workers = children(process.pid)
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 10
    while any(running(pid) for pid in workers):
        assert time.monotonic() < deadline, "orphans"
        time.sleep(0.05)


def running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_gradients_that_are_too_old_are_dropped_and_counted(tmp_path):
    config = config_of(algorithm={"max_staleness": 3})
    trainer = AsyncTrainer(config, tmp_path)
    worker = ActorLearner(config, tmp_path, 0, trainer.shared, 0)
    worker.start()
    before = {name: x.clone() for name, x in trainer.learner.tensors().items()}
    collect = worker.collect

    def slowly(others=4):
        trainer.shared.versions[1] += others
        return collect()

    worker.collect = slowly
    row = worker.step()
    assert (row["staleness"], row["dropped"]) == (4, True)
    for name, x in trainer.learner.tensors().items():
        assert torch.equal(x, before[name]), name
    worker.collect = lambda: slowly(3)
    row = worker.step()
    assert (row["staleness"], row["dropped"]) == (3, False)
    assert trainer.shared.versions.tolist() == [1, 7, 0]
    assert not torch.equal(
        trainer.learner.tensors()["model/lstm.weight_hh"], before["model/lstm.weight_hh"]
    )
    assert trainer.shared.env_steps.tolist() == [256, 0, 0]


def test_workers_share_the_environments_and_play_different_ones(tmp_path):
    config = config_of(env={"num_envs": 7}, algorithm={"workers": 3})
    shares = [share_of(config, index) for index in range(3)]
    assert [(share.env.num_envs, first) for share, first in shares] == [(3, 0), (2, 3), (2, 5)]
    trainer = AsyncTrainer(config, tmp_path)
    rollouts = []
    for index, life in [(0, 0), (1, 0), (1, 512)]:
        worker = ActorLearner(config, tmp_path, index, trainer.shared, life)
        worker.start()
        worker.collect()
        rollouts.append(worker.rollout)
        parts = worker.worlds.parts
        assert parts[0].env.first_env_index == shares[index][1]
    zero, one, reborn = rollouts
    assert not torch.equal(zero.action[:, :2], one.action)
    assert not torch.equal(one.action, reborn.action)
    assert not torch.equal(one.obs[0], reborn.obs[0])


def test_the_curriculum_and_the_annealing_follow_the_steps_of_all_workers(tmp_path):
    config = config_of(algorithm={"learning_rate_end": 0.0, "learning_rate_steps": 1000.0})
    trainer = AsyncTrainer(config, tmp_path)
    worker = ActorLearner(config, tmp_path, 0, trainer.shared, 0)
    worker.start()
    trainer.shared.env_steps[1] = 250
    row = worker.step()
    assert row["agents"]["learning_rate"] == pytest.approx([0.0075] * 2)
    row = worker.step()
    assert row["agents"]["learning_rate"] == pytest.approx([0.01 * (1 - 0.378)] * 2)


def test_gradients_are_handed_in_by_the_numbers_of_the_first_phase(tmp_path):
    config = config_of(
        algorithm={"learning_rate_end": 0.0, "learning_rate_steps": 1000.0},
        phases={
            "first": {"steps": 256, "algorithm": {"learning_rate": 0.5, "max_grad_norm": 1e-9}},
            "second": {},
        },
    )
    trainer = AsyncTrainer(config, tmp_path)
    worker = ActorLearner(config, tmp_path, 0, trainer.shared, 0)
    assert trainer.learner.optimiser.rate.tolist() == [0.5, 0.5]
    worker.start()
    before = {name: p.detach().clone() for name, p in trainer.learner.model.named_parameters()}
    steps = []
    for done in (0, 128):
        assert worker.step()["agents"]["learning_rate"] == pytest.approx(
            [0.5 * (1 - done / 1000)] * 2
        )
        moved = [p.detach() - before[n] for n, p in trainer.learner.model.named_parameters()]
        steps.append(max(float(x.abs().max()) for x in moved))
    # Gradients cut down so far that Adam's denominator is all that is left to divide them by.
    assert max(steps) < 0.25
    trainer.course.go_to(1, 256)
    trainer.enter_phase()
    assert worker.step()["agents"]["learning_rate"] == pytest.approx([0.01] * 2)


def test_workers_that_wait_go_by_the_steps_before_their_round(tmp_path):
    """However far others are in it: otherwise no two runs were the same."""
    config = config_of(
        run={"total_steps": 1024},
        algorithm={"synchronous": True, "learning_rate_end": 0.0, "learning_rate_steps": 1024.0},
        social={"moa": {"curriculum": 0.001024, "influence_weight": 1.0, "memory": 4}},
    )
    twin = AsyncTrainer(config, tmp_path / "twin")
    workers = [ActorLearner(config, tmp_path, i, twin.shared, 0) for i in (0, 1)]
    for worker in workers:
        worker.start()
        assert worker.step()["agents"]["influence_weight"] == [0.0, 0.0]
    assert int(twin.shared.env_steps.sum()) == 256
    (tmp_path / "run").mkdir()
    watcher = Watcher()
    assert AsyncTrainer(config, tmp_path / "run").train(watcher) == 0
    for row in watcher.rows:
        done = row["env_steps"] - 256
        assert row["agents"]["influence_weight"] == pytest.approx([done / 1024] * 2)
        assert row["agents"]["learning_rate"] == pytest.approx([0.01 * (1 - done / 1024)] * 2)
    assert len(watcher.rows) == 4


def test_rows_of_workers_are_merged_by_their_weight():
    one = {
        "episodes_finished": 1, "solo_episodes_finished": 0,
        "agents": {"return": [2.0, None], "entropy": [1.0, None]}, "time": {"act": 1.0},
        "groups": {"equality": 0.5},
        "options": {"penalty": 1.5}, "worker": 0, "steps": 96, "staleness": 3,
    }  # fmt: skip
    other = {
        "episodes_finished": 3, "solo_episodes_finished": 0,
        "agents": {"return": [6.0, 1.0], "entropy": [3.0, None]}, "time": {"act": 3.0},
        "options": {"penalty": 1.5}, "worker": 1, "steps": 32, "staleness": 0,
    }  # fmt: skip
    assert merged([one, other]) == {
        "episodes_finished": 4, "solo_episodes_finished": 0,
        "agents": {"return": [5.0, 1.0], "entropy": [1.5, None]}, "time": {"act": 1.5},
        "groups": {"equality": 0.5},
        "options": {"penalty": 1.5},
    }  # fmt: skip


def test_returns_of_workers_are_those_of_all_their_episodes():
    alone, beside = np.array([1.0, 3.0]), np.array([11.0, 13.0, 18.0])  # learners of two workers
    rows = [
        {
            "episodes_finished": len(own), "solo_episodes_finished": len(solo), "steps": 64,
            "agents": {
                "return": [own.mean(), None], "return_std": [own.std(), None],
                "solo_return": [solo.mean() if len(solo) else None, None], "kl": [kl, None],
            },
            "groups": {"collective_return": own.mean()},
        }
        for own, solo, kl in (
            (alone, np.array([5.0, 6.0, 7.0, 8.0, 9.0, 10.0]), 1.0), (beside, np.array([]), 2.0)
        )
    ]  # fmt: skip
    row, whole = merged(rows), np.concatenate((alone, beside))
    assert (row["episodes_finished"], row["solo_episodes_finished"]) == (5, 6)
    assert row["agents"]["return"] == [pytest.approx(whole.mean()), None]
    assert row["agents"]["return_std"] == [pytest.approx(whole.std()), None]
    assert row["agents"]["solo_return"] == [7.5, None]
    assert row["agents"]["kl"] == [1.5, None]
    assert row["groups"] == {"collective_return": pytest.approx(whole.mean())}


def test_what_some_episodes_have_no_number_for_counts_by_those_that_have():
    episodes = {"box_step": [3.0, math.nan, math.nan, 9.0], "equality": [1.0] * 4}
    parts = [{name: x[some] for name, x in episodes.items()} for some in (slice(3), slice(3, 4))]
    rows = [
        {
            "episodes_finished": len(own["equality"]), "solo_episodes_finished": 0,
            "agents": {}, "steps": 64,
            "groups": mean_outcomes(own), "episodes_with": fewer(own),
        }
        for own in parts
    ]  # fmt: skip
    assert rows[0]["episodes_with"] == {"box_step": 1}
    assert rows[1]["episodes_with"] == {}
    row = merged(rows)
    assert row["groups"] == mean_outcomes(episodes) == {"box_step": 6.0, "equality": 1.0}
    assert row["episodes_with"] == fewer(episodes) == {"box_step": 2}
    # So in the mean over the rows of a run.
    assert mean_outcome(rows, "box_step") == 6.0
    assert mean_outcome(rows, "equality") == 1.0


def test_returns_count_by_the_episodes_that_each_agent_was_in_play_in():
    first, second = [[1.0, 3.0], [8.0]], [[5.0], [2.0, 4.0, 6.0]]  # of two agents, in two rows
    rows = [
        {
            "episodes_finished": 3, "solo_episodes_finished": 0, "steps": 64,
            "agents": {"return": [np.mean(own) for own in each],
                       "return_std": [np.std(own) for own in each]},
            "episodes_with": {"return": [len(own) for own in each]},
        }
        for each in (first, second)
    ]  # fmt: skip
    whole = [np.array(one + other) for one, other in zip(first, second, strict=True)]
    row = merged(rows)
    assert row["episodes_with"] == {"return": [3, 4]}
    assert row["agents"]["return"] == pytest.approx([own.mean() for own in whole])
    assert row["agents"]["return_std"] == pytest.approx([own.std() for own in whole])
    for agent, own in enumerate(whole):
        assert mean_return(rows, agent, False) == pytest.approx(own.mean())
    # A worker whose agents were all in play in all of its episodes says nothing of them.
    del rows[1]["episodes_with"]
    assert merged(rows)["episodes_with"] == {"return": [5, 4]}


def test_solo_environments_of_workers_are_the_share_of_the_whole_run(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    words = "--algorithm a3c --workers 4 --solo-fraction 0:0.2,5:0.75"
    config = parse_train(words.split(), load_preset(str(path)), "x")
    trainer = AsyncTrainer(config, tmp_path / "run")
    workers = [ActorLearner(config, tmp_path, i, trainer.shared, 0) for i in range(4)]
    assert [int(worker.worlds.solo.sum()) for worker in workers] == [0, 1, 0, 1]  # 1.6 of 8
    for worker in workers:
        worker.episodes = 5
        worker.follow_schedule()
    assert [int(worker.worlds.solo.sum()) for worker in workers] == [2, 1, 2, 1]


def test_what_does_not_fit_several_workers_is_refused(tmp_path):
    with pytest.raises(UsageError, match="ppo has no workers"):
        AsyncTrainer(config_of(algorithm={"name": "ppo"}), tmp_path)
    with pytest.raises(UsageError, match="cuda is for one learner"):
        AsyncTrainer(config_of(run={"device": "cuda"}), tmp_path)
    with pytest.raises(UsageError, match="num_envs"):
        AsyncTrainer(config_of(env={"num_envs": 3, "double_buffer": True}), tmp_path)
    trainer = AsyncTrainer(config_of(), tmp_path)
    weights = dict(trainer.learner.tensors())
    weights.pop("model/lstm.weight_hh")
    with pytest.raises(CheckpointError, match="does not fit"):
        trainer.restore(checkpoint.Checkpoint(weights, {}, {}))
    assert algorithm_of(config_of()).workers == 2
