"""A crash after any write, fsync, rename or removal leaves a run that goes on."""

import json
import shutil

from tests.python.train.crash_disk import Journal
from tests.python.train.runs import tiny

from socialgrid.config import from_dict, load_config, load_preset, run_files
from socialgrid.train import checkpoint, create_run


class Marking:
    """A console that notes how much had been done to the disk when a row was told."""

    def __init__(self, journal):
        self.journal, self.told = journal, []

    def update(self, row, total_steps):
        self.told.append((len(self.journal.operations), row["env_steps"]))

    def say(self, text):
        pass

    def close(self):
        pass


def test_whatever_a_crash_leaves_there_is_a_whole_checkpoint_with_its_metrics(
    tmp_path, monkeypatch
):
    config = from_dict({"run": {"total_steps": 384}}, load_preset(tiny(tmp_path)).config)
    disk, before, out = (tmp_path / name for name in ("disk", "before", "out"))
    disk.mkdir()
    shutil.copytree(disk, before)
    journal = Journal(disk)
    with journal.watching(monkeypatch):
        trainer = create_run(config, disk / "run")
        created = len(journal.operations)
        console = Marking(journal)
        assert trainer.train(console) == 0
    told = console.told
    assert [step for _, step in told] == [128, 256, 384]
    kinds = [operation[0] for operation in journal.operations]
    assert kinds.count("rename") >= 5
    assert "rmdir" in kinds
    states = whole = 0
    for count, mode in journal.crashes(before, out):
        states += 1
        where = f"after operation {count} ({journal.operations[count - 1][:2]}), {mode}"
        run = out / "run"
        if count < created and not (run / "config.json").exists():
            continue
        load_config(run)
        # When a row is told, the checkpoint of the row before it is complete.
        steps = [step for (at, _), (_, step) in zip(told[1:], told, strict=False) if at <= count]
        if not steps and not checkpoint.found(run / "checkpoints"):
            continue
        _, identity = run_files.read_config(run)
        _, stored, _ = checkpoint.load_newest(run / "checkpoints", identity)
        whole += 1
        assert stored.state["env_steps"] >= max(steps, default=0), where
        metrics = (run / "metrics.jsonl").read_bytes()[: stored.state["metrics_bytes"]]
        assert len(metrics) == stored.state["metrics_bytes"], where
        rows = [json.loads(line)["env_steps"] for line in metrics.splitlines()]
        assert rows[-1] == stored.state["env_steps"], where
    assert states == 3 * (len(journal.operations) + 1) >= 200
    assert whole > states / 2
