"""One run in several processes: the bits of one, and an end for all when one of them ends."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from tests.python.arms import config_of
from tests.python.pretend import DEVICE, Pretend
from tests.python.train.runs import Silent, command, run, same_end, tiny

from socialgrid.config import (
    UsageError,
    check_launch,
    from_dict,
    load_preset,
    parse_train,
    place_in,
)
from socialgrid.report import read_metrics
from socialgrid.train import (
    Extent,
    Group,
    checkpoint,
    create_run,
    joined,
    make_trainer,
    resume_run,
    share,
)

PPO = (
    *("--shards", 4, "--env.double-buffer", "--schedule.solo-fraction", "0:0.5,20:0.25"),
    *("--kl-target", 0.01, "--kl-hard-limit", 0.03, "--max-grad-norm", 0.5),
)
SMALL = (
    *("--num-envs", 8, "--rollout-steps", 16, "--total-steps", 512, "--shards", 2),
    *("--device", "cpu", "--logging.no-tensorboard", "--logging.no-curves", "--logging.no-video"),
)


PARTING = """
import os, time
import torch.distributed as dist
from socialgrid.config import place_in
from socialgrid.train import Group
group = Group(place_in(os.environ))
if group.rank == 1:
    end = dist.destroy_process_group
    dist.destroy_process_group = lambda: (time.sleep(3), end())
group.close()
"""


@contextlib.contextmanager
def ranks(size, *words, folder, started_by=None, **environment):
    """The processes of a run, as a launcher starts them; none is left behind."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {
        **os.environ,
        **{"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", "GLOO_SOCKET_IFNAME": "lo"},
        **{"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(size)},
        **environment,
    }
    started = []
    try:
        for rank in range(size):
            with (folder / f"out-{rank}").open("w") as out:
                started.append(
                    subprocess.Popen(
                        started_by or command("train", *words), cwd=folder,
                        stdout=out, stderr=subprocess.STDOUT, env=common | {"RANK": str(rank)},
                    )
                )  # fmt: skip
        yield started
    finally:
        for process in started:
            process.kill()
            process.wait()


def alone(preset, *words, run_dir):
    """A run in this process, to its end."""
    given = [str(word) for word in words]
    config = parse_train(given, load_preset(str(preset)), "test")
    assert create_run(config, run_dir).train(Silent()) == 0


def together(size, *words, folder, **options):
    """A run in ranks, to its end; returns what rank 0 printed."""
    with ranks(size, *words, folder=folder, **options) as started:
        codes = [process.wait(timeout=120) for process in started]
    told = [(folder / f"out-{rank}").read_text() for rank in range(size)]
    assert codes == [0] * size, told
    assert told[1:] == [""] * (size - 1), "only rank 0 speaks"
    return told[0]


def until_rows(path, count):
    """Wait for rows of metrics."""
    deadline = time.monotonic() + 90
    while not path.exists() or len(path.read_text().splitlines()) < count:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_ppo_in_two_ranks_gives_the_bits_of_one_process(tmp_path):
    """Two solo environments, halves, clipping and stops; and one process goes on with the run."""
    preset = tiny(tmp_path)
    alone(preset, *PPO, run_dir=tmp_path / "one")
    words = (preset, *PPO, "--run_dir", tmp_path / "two", "--total-steps", 512)
    together(2, *words, folder=tmp_path)
    more, messages = resume_run(tmp_path / "two", 1024)
    assert (more.update, messages) == (4, [])
    assert more.train(Silent()) == 0
    same_end(tmp_path / "one", tmp_path / "two")
    sessions = json.loads((tmp_path / "two" / "resolved.json").read_text())["sessions"]
    assert [one["processes"] for one in sessions] == [2, 1]
    rows = read_metrics(tmp_path / "two" / "metrics.jsonl")
    assert {row["solo_episodes_finished"] > 0 for row in rows} == {True, False}


def test_a3c_in_two_ranks_gives_the_bits_of_one_process(tmp_path):
    """What agents model of each other is remembered environment by environment."""
    words = ("cleanup-mini", "--algorithm", "a3c", "--social", "moa", *SMALL)
    alone(*words, "--total-steps", 256, run_dir=tmp_path / "one")
    alone(*words, "--total-steps", 128, run_dir=tmp_path / "two")
    words = ("--resume", tmp_path / "two", "--total-steps", 256)
    assert "going on from step 128" in together(2, *words, folder=tmp_path)
    same_end(tmp_path / "one", tmp_path / "two")


def test_plain_pytorch_in_two_ranks_gives_what_one_process_gives(tmp_path):
    """Without the compiled kernels."""
    words = (tiny(tmp_path), *PPO, "--total-steps", 512)
    for size, name in ((1, "one"), (2, "two")):
        given = (*words, "--run_dir", name)
        together(size, *given, folder=tmp_path, SOCIALGRID_KERNELS="off")
    same_end(tmp_path / "one", tmp_path / "two")


def test_who_leaves_last_misses_nothing_that_the_first_took_along(tmp_path):
    """Rank 0 keeps the store; one that asked it for anything later would complain."""
    assert together(2, folder=tmp_path, started_by=[sys.executable, "-c", PARTING]) == ""


class Echo(Group):
    """The first of two ranks on a pretended card, whose other one has the same."""

    def __init__(self):
        self.rank, self.size, self.neighbours = 0, 2, 2

    def _exchange(self, others, own):
        assert own.device == DEVICE, "numbers of a card are added up there"
        for other in others:
            other.copy_(own)

    def gather(self, item):
        return [item, item]

    def hear(self, item):
        return item


@pytest.mark.parametrize("arm", ["ppo", "ppo comm", "a3c moa", "behaviour cloning"])
def test_ranks_on_cards_add_up_what_lies_on_cards(arm, monkeypatch, tmp_path):
    """Nothing of the CPU gets into their messages."""
    monkeypatch.setattr("socialgrid.train.on_policy.trainer.settle_on", lambda name: DEVICE)
    with Pretend():
        config = config_of(arm, "cpu")
        changes = {"algorithm": {"shards": 2}, "env": {"num_envs": 16}}
        config = from_dict(changes, config)
        trainer = make_trainer(config, tmp_path / "run")
        trainer.ranks = trainer.learner.ranks = Echo()
        trainer.begin()
        row = trainer.step()
        trainer.close()
        learnt = trainer.learner.tensors()
    assert row["update"] == 1
    assert all(torch.isfinite(x).all() for x in learnt.values())


STUMBLING = """
import os
from dataclasses import dataclass
from typing import ClassVar, Literal
from socialgrid.algos.on_policy.ppo import PPO
from socialgrid.algos.options import PPOConfig, register_algorithm

@register_algorithm
@dataclass(frozen=True)
class Options(PPOConfig):
    learner: ClassVar[str] = "stumbling:Stumbling"
    name: Literal["stumbling"] = "stumbling"

class Stumbling(PPO):
    algorithm = "stumbling"
    default_config = Options

    def loss(self, network, part):
        loss, numbers = super().loss(network, part)
        stumbles = os.environ["RANK"] == "1" and self.updates == 3
        return loss * float("nan") if stumbles else loss, numbers
"""


def test_a_loss_that_is_not_finite_in_one_rank_ends_all_with_the_same_words(tmp_path):
    """Rank 1 has the environments that cause it; one of the two says so."""
    (tmp_path / "stumbling.py").write_text(STUMBLING)
    words = (tiny(tmp_path), "--import", "stumbling", "--algorithm", "stumbling", "--shards", 2)
    with ranks(2, *words, "--run_dir", "run", folder=tmp_path) as started:
        codes = [process.wait(timeout=120) for process in started]
    told = "".join((tmp_path / f"out-{rank}").read_text() for rank in (0, 1))
    assert codes == [1, 1], told
    assert told.count("non-finite loss in update 3, agent 0") == 1, told
    assert "Traceback" not in told
    assert "stopped, no checkpoint written" in told
    assert len(list((tmp_path / "run" / "dumps" / "rank-1").glob("*.safetensors"))) == 1
    assert checkpoint.load_newest(tmp_path / "run" / "checkpoints")[1].state["update"] == 2


@pytest.mark.parametrize("hangs", [0, 1])
def test_a_rank_that_hangs_is_waited_for_and_no_longer(tmp_path, hangs):
    words = (tiny(tmp_path), "--shards", 2, "--total-steps", 10_000_000, "--run_dir", "run")
    with ranks(2, *words, folder=tmp_path, SOCIALGRID_SILENCE="4") as started:
        until_rows(tmp_path / "run" / "metrics.jsonl", 2)
        started[hangs].send_signal(signal.SIGSTOP)
        assert started[1 - hangs].wait(timeout=90) == 1
    told = (tmp_path / f"out-{1 - hangs}").read_text()
    assert f"rank {hangs} of 2: gone, or no longer answering" in told
    assert "Traceback" not in told


def test_torchrun_starts_ranks(tmp_path):
    """The command that the README names; cloning shares a run, too."""
    words = ("goal-cycle-mini", "--algorithm", "behaviour-cloning", *SMALL, "--total-steps", 256)
    words += ("--minibatch-sequences", 8, "--num-minibatches", 2, "--sequence-length", 8)
    alone(*words, run_dir=tmp_path / "one")
    script = tmp_path / "socialgrid-train"
    script.write_text("#!/bin/sh\nexec " + " ".join(map(repr, command("train"))) + ' "$@"\n')
    script.chmod(0o755)
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", 2)
    python = command()[0]
    words = (*launcher, "--no-python", script, *words, "--run_dir", tmp_path / "two")
    done = subprocess.run(
        [python, *map(str, words)], capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stderr
    same_end(tmp_path / "one", tmp_path / "two")


def test_a_killed_rank_ends_the_run(tmp_path):
    """The other one says who is gone and what to do, and there is something to go on from."""
    words = (tiny(tmp_path), "--shards", 2, "--total-steps", 10_000_000, "--run_dir", "run")
    with ranks(2, *words, folder=tmp_path) as (first, second):
        until_rows(tmp_path / "run" / "metrics.jsonl", 2)
        second.kill()
        assert first.wait(timeout=60) == 1
    told = (tmp_path / "out-0").read_text()
    assert "rank 1 of 2: gone" in told
    assert "socialgrid-train --resume run" in told
    assert "Traceback" not in told
    path, *_ = checkpoint.load_newest(tmp_path / "run" / "checkpoints")
    step = json.loads((path / "state.json").read_text())["env_steps"]
    more, _ = resume_run(tmp_path / "run", step + 128)
    assert more.train(Silent()) == 0


def test_a_signal_to_one_rank_stops_all_with_a_checkpoint(tmp_path):
    words = (tiny(tmp_path), "--shards", 2, "--total-steps", 10_000_000, "--run_dir", "run")
    with ranks(2, *words, folder=tmp_path) as (first, second):
        until_rows(tmp_path / "run" / "metrics.jsonl", 2)
        second.send_signal(signal.SIGTERM)
        assert [one.wait(timeout=60) for one in (first, second)] == [143, 143]
    _, stored, complaints = checkpoint.load_newest(tmp_path / "run" / "checkpoints")
    rows = read_metrics(tmp_path / "run" / "metrics.jsonl")
    assert not complaints
    assert stored.state["env_steps"] == rows[-1]["env_steps"]


def test_a_failing_rank_ends_the_run(tmp_path):
    """Where rank 0 may not have the folder, the other one does not wait for it."""
    preset = tiny(tmp_path)
    (tmp_path / "taken").write_text("")
    with ranks(2, preset, "--shards", 2, "--run_dir", "taken", folder=tmp_path) as started:
        codes = [process.wait(timeout=120) for process in started]
    assert codes == [2, 1]
    lines = (tmp_path / "out-0").read_text().splitlines()
    assert len(lines) == 1
    assert "not a directory" in lines[0]
    assert "Traceback" not in (tmp_path / "out-1").read_text()


def test_three_ranks_are_refused_in_one_line(tmp_path):
    environment = {"RANK": "0", "WORLD_SIZE": "3"}
    done = run("train", tiny(tmp_path), "--shards", 4, environment=environment)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "3 processes cannot share 4 shards" in done.stderr
    assert "1, 2, 4 can" in done.stderr


@pytest.mark.parametrize(
    ("algorithm", "size", "words"),
    [
        ({"name": "ppo", "shards": 4}, 8, "1, 2, 4 can"),
        ({"name": "ppo", "shards": 6}, 4, "1, 2 can"),
        ({"name": "ppo", "shards": 1}, 2, "1 can"),
        ({"name": "a3c", "workers": 2}, 2, "algorithm.workers 2 are processes already"),
        ({"name": "behaviour-cloning", "trajectories": "x"}, 2, "trajectories"),
        ({"name": "dqn"}, 2, "dqn trains in one"),
    ],
)
def test_who_cannot_share_a_run(algorithm, size, words):
    base = from_dict({"players": {"kinds": ["learner"]}})
    sizes = {"num_envs": 96, "rollout_steps": 64}
    sequences = {"minibatch_sequences": 96} if algorithm["name"] == "ppo" else {}
    config = from_dict({"env": sizes, "algorithm": algorithm | sequences}, base)
    with pytest.raises(UsageError, match=words) as refused:
        check_launch(config, size)
    assert "\n" not in str(refused.value)
    check_launch(config, 1)


def test_places_in_the_environment():
    assert place_in({}).size == 1
    assert place_in({"WORLD_SIZE": "4"}).size == 1
    there = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}
    place = place_in(there)
    assert (place.rank, place.size, place.on_machine, place.neighbours) == (5, 8, 1, 4)
    assert (place.silence, place_in(there | {"SOCIALGRID_SILENCE": "7"}).silence) == (600, 7)
    bad = {"RANK": "8", "WORLD_SIZE": "x", "LOCAL_RANK": "4", "SOCIALGRID_SILENCE": "0"}
    for name, value in (*bad.items(), ("RANK", "-1")):
        with pytest.raises(UsageError, match=f"{name}={value}"):
            place_in(there | {name: value})


def test_each_rank_of_a_machine_has_a_card_of_its_own(monkeypatch):
    from socialgrid.train import ranks

    chosen, config = [], load_preset("goal-cycle-mini").choose(None, None)
    monkeypatch.setattr(ranks, "choose_device", lambda name: torch.device("cuda"))
    monkeypatch.setattr(ranks, "Group", lambda place, card: (place, card))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    there = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
    place, crowded = place_in(there), place_in(there | {"LOCAL_WORLD_SIZE": "4"})
    assert ranks.open_ranks(config, place) == (place, True)
    assert chosen == [1]
    with pytest.raises(UsageError, match="4 processes on a machine with 2 cards: each needs one"):
        ranks.open_ranks(config, crowded)
    assert chosen == [1]


@pytest.mark.parametrize("halved", [False, True])
@pytest.mark.parametrize("solo", [0, 3, 4, 7])
def test_checkpoints_are_dealt_out_and_put_together(tmp_path, halved, solo):
    """What a run goes on from is the same by any number of ranks."""
    extra = '[schedule]\nsolo_fraction = "' + str(solo / 8) + '"\n'
    preset = load_preset(tiny(tmp_path, extra=extra))
    config = from_dict({"env": {"double_buffer": halved}}, preset.config)
    trainer = make_trainer(config, tmp_path / "run")
    trainer.begin()
    trainer.step()
    arrays = trainer.arrays()
    whole = Extent.of(0, 8, solo, double_buffer=halved)
    for size in (2, 4):
        each = 8 // size
        own = [
            Extent.of(
                rank * each, each, min(max(solo - (size - 1 - rank) * each, 0), each),
                double_buffer=halved,
            )
            for rank in range(size)
        ]  # fmt: skip
        dealt = [share(arrays, whole, one) for one in own]
        assert all(len(one["returns"]) == each for one in dealt)
        again = joined(dealt, own, whole)
        assert again.keys() == arrays.keys()
        for name, array in arrays.items():
            np.testing.assert_array_equal(again[name], array, err_msg=name)
