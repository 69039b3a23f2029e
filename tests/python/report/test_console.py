"""metrics.jsonl and the console."""

import io
import json

import numpy as np
import pytest
from rich.console import Console

from socialgrid.adapters.screen import half_blocks
from socialgrid.commands.terminal import beside, keys
from socialgrid.config import UsageError
from socialgrid.report import MetricsFile, PlainConsole, RichConsole, duration, number, read_metrics


def row(step, value):
    return {
        "env_steps": step, "env_steps_per_second": 10.0, "agent_steps_per_second": 10.0,
        "agents": {"return": [value]},
    }  # fmt: skip


def test_rows_after_the_checkpoint_are_cut_off(tmp_path):
    path = tmp_path / "metrics.jsonl"
    metrics = MetricsFile(path)
    metrics.write({"update": 1, "x": float("nan")})
    kept = metrics.num_bytes
    metrics.write({"update": 2})
    metrics.close()
    again = MetricsFile(path, kept)
    again.write({"update": 2, "again": True})
    again.close()
    assert read_metrics(path) == [{"update": 1, "x": None}, {"update": 2, "again": True}]
    with pytest.raises(UsageError, match="the checkpoint was written at 999"):
        MetricsFile(path, 999)


def test_a_line_cut_short_by_a_crash_is_left_out(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(json.dumps({"update": 1}) + '\n{"upda')
    assert read_metrics(path) == [{"update": 1}]
    path.write_text('{"upda\n' + json.dumps({"update": 1}) + "\n")
    with pytest.raises(UsageError, match="line 1"):
        read_metrics(path)


def test_plain_console_prints_at_intervals_and_at_the_end():
    stream = io.StringIO()
    console = PlainConsole(["agent0 learner"], every_seconds=1000, stream=stream)
    console.update(row(10, 1.0), 30)
    console.update(row(20, None), 30)
    console.update(row(30, -0.5), 30)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert "step 10/30" in lines[0]
    assert "agent0 learner 1.00" in lines[0]
    assert "-0.50" in lines[1]


def test_numbers_and_durations_for_people():
    assert [duration(s) for s in (0, 61, 3661, float("inf"))] == ["0:00", "1:01", "1:01:01", "-"]
    assert [number(v) for v in (None, 1.234, float("nan"))] == ["-", "1.23", "-"]


def test_half_blocks_carry_two_pixels_a_character():
    image = np.zeros((3, 2, 3), np.uint8)
    image[0, 0] = (1, 2, 3)
    lines = half_blocks(image)
    assert len(lines) == 2
    assert lines[0].startswith("\x1b[38;2;1;2;3;48;2;0;0;0m\u2580")
    assert lines[1].count("\u2580") == 2
    assert beside(["ab"], 2, ["x", "y"], gap=1) == ["ab x", "   y"]


def test_keys_and_arrows_are_read_from_a_pipe():
    with keys(io.StringIO("w\x1b[A\x1b[D\x1bOCq")) as read:
        assert [read() for _ in range(6)] == ["w", "up", "left", "right", "q", None]


def test_a_terminal_gets_a_live_table():
    stream = io.StringIO()
    console = RichConsole(
        ["agent0 expert", "agent1 learner"], Console(file=stream, force_terminal=True, width=140)
    )
    metrics = row(5000, 2.5) | {
        "episodes": 3, "seconds": 61.0,
        "agents": {
            "return": [2.5, None], "solo_return": [None, 1.25],
            "policy_loss": [None, 0.5], "critic_loss": [None, 0.125], "gradient_norm": [None, 7.0],
        },
        "groups": {"collective_return": 2.5, "length": 9.0},
    }  # fmt: skip
    console.update(metrics, 10_000)
    console.say("a line [of] its own")
    console.close()
    text = stream.getvalue()
    for part in ("agent1 learner", "2.50", "1.25", "0.1250", "ran 1:01", "a line [of] its own"):
        assert part in text
    assert "collective return 2.50" in text
    assert "gradient" not in text
    assert "length" not in text


@pytest.mark.parametrize(("width", "shown"), [(30, ["return"]), (45, ["return", "policy loss"])])
def test_a_narrow_terminal_gets_what_fits(width, shown):
    stream = io.StringIO()
    terminal = Console(file=stream, force_terminal=True, width=width)
    console = RichConsole(["agent0 learner"], terminal)
    numbers = {"policy_loss": [0.5], "value_loss": [0.25], "return": [2.5]}
    console.update(row(5000, 2.5) | {"episodes": 3, "seconds": 61.0, "agents": numbers}, 10_000)
    console.close()
    titles = ("return", "policy loss", "value loss")
    assert [title for title in titles if title in stream.getvalue()] == shown
