"""Phases of a run: when they end, what changes, and that a break inside one changes nothing."""

import json
import math
import os
import signal
from dataclasses import replace

import pytest
from tests.python.train import runs
from tests.python.train.runs import Silent, run, same_end

from socialgrid.commands import cli
from socialgrid.config import (
    Course,
    TrainConfig,
    UsageError,
    described,
    from_dict,
    load_config,
    load_preset,
    measured,
    parse_train,
    preset_names,
    to_dict,
    told_of_phase,
)
from socialgrid.config.evaluation import EvalOptions, RecordOptions, evaluation_config
from socialgrid.report import read_metrics
from socialgrid.train import create_run, record, regime_of, resume_run

TINY = runs.TINY.replace("total_steps = 1024", "total_steps = 2048")
PHASED = """
[phases.first]
steps = 384
[phases.first.algorithm]
learning_rate = [0.0, 0.01]
entropy_coef = 0.5
learning_rate_end = 0.0
learning_rate_steps = 512.0
[phases.first.options]
penalty = 0.25
[phases.second]
steps = 512
metric = "entropy"
agent = 1
below = 0.001
window = 2
[phases.third]
steps = 256
"""


class Terminated(Silent):
    """A console whose run gets a signal after so many steps."""

    def __init__(self, steps):
        self.steps, self.sent = steps, False

    def update(self, row, total_steps):
        if row["env_steps"] >= self.steps and not self.sent:
            self.sent = True
            os.kill(os.getpid(), signal.SIGTERM)


def phased(folder, extra="", line=""):
    path = folder / "phased.toml"
    path.write_text(TINY + PHASED + extra)
    return parse_train(line.split(), load_preset(str(path)), "x")


def course(**phase):
    return Course(from_dict({"phases": {"one": phase, "two": {}}, "run": {"total_steps": 1000}}))


def rows(values, steps=100):
    return [
        {"env_steps": (i + 1) * steps, "agents": {"x": [None, value], "return": [1.0, 2.0]}}
        for i, value in enumerate(values)
    ]


def follow(course, rows):
    """What the row says in which the first phase ends, and its number."""
    for number, row in enumerate(rows):
        course.follow(row)
        if "phase_ended" in row:
            return number, row["phase_ended"]
    return None


def test_a_phase_ends_when_the_mean_of_its_window_passes_the_bound():
    bound = {"steps": 900, "metric": "x", "agent": 1, "above": 2.0, "window": 2}
    assert follow(course(**bound), rows([1, 2, 3, 9])) == (
        2,
        {"name": "one", "steps": 300, "bound": "x above 2", "value": 2.5, "reached": True},
    )
    assert follow(course(**bound | {"least": 400}), rows([1, 2, 3, 9]))[0] == 3
    below = {k: v for k, v in bound.items() if k != "above"} | {"below": 1.0}
    assert follow(course(**below), rows([3, 1, 0.5, 0.5]))[0] == 2
    # One row is no window, and rows without the number do not count.
    assert follow(course(**bound), rows([9, None, None, 9]))[0] == 3


def test_a_phase_whose_time_is_over_says_that_it_did_not_reach_its_bound():
    found = follow(course(steps=300, metric="x", agent=1, above=2.0, window=2), rows([1, 1, 1, 1]))
    assert found[0] == 2
    assert found[1]["reached"] is False
    assert told_of_phase(found[1]) == (
        "phase one: 300 steps, did NOT reach its bound (x above 2): 1; its time was over"
    )
    found = follow(course(steps=200, metric="nothing", above=2.0), rows([1, 1]))
    assert "never measured" in told_of_phase(found[1])
    assert told_of_phase(follow(course(steps=200), rows([1, 1]))[1]) == "phase one: 200 steps"


def of_three(*values):
    return [
        {"env_steps": (i + 1) * 100, "agents": {"x": list(each)}, "groups": {"y": each[0]}}
        for i, each in enumerate(values)
    ]


def any_of_three(**bound):
    phase = {"steps": 900, "metric": "x", "agent": "any", "window": 2, **bound}
    players = {"kinds": ["expert", "learner", "learner"]}
    return Course(from_dict({"phases": {"one": phase, "two": {}}, "players": players}))


def heard():
    return of_three((9, 1, None), (9, 1, 3), (9, 1, 2), (9, 1, 3))


def test_a_bound_on_any_agent_is_passed_by_the_first_that_learns():
    number, ended = follow(any_of_three(above=2.25), heard())
    assert (number, ended["value"], ended["agent"], ended["reached"]) == (2, 2.5, 2, True)
    assert told_of_phase(ended) == (
        "phase one: 300 steps, reached its bound (any agent's x above 2.25): 2.5 of agent 2"
    )
    number, ended = follow(any_of_three(below=1.5), heard())
    assert (number, ended["value"], ended["agent"]) == (1, 1.0, 1)
    number, ended = follow(any_of_three(above=4.0, steps=300), heard())
    assert (number, ended["value"], ended["reached"], ended["agent"]) == (2, 2.5, False, 2)
    # A number of all together is nobody's.
    number, ended = follow(any_of_three(above=2.25, metric="y"), heard())
    assert (number, ended["value"], "agent" in ended) == (1, 9.0, False)
    assert "never measured" in told_of_phase(
        follow(any_of_three(above=1.0, metric="z", steps=100), heard())[1]
    )


def test_a_bound_on_what_is_not_measured_is_doubted_once():
    plan = course(steps=900, metric="retrun", above=1.0)
    quiet, *loud = [{**row, "episodes_finished": i} for i, row in enumerate(rows([1, 2, 3]))]
    said = []
    for row in (quiet, *loud):
        plan.follow(row)
        said.append(plan.doubt(row))
    assert said == [
        "",  # numbers of episodes may come yet
        "phase one: no retrun is measured (did you mean 'return'?); its bound cannot be reached",
        "",
    ]
    known = course(steps=900, metric="return", above=1.0)
    known.follow(loud[0])
    assert known.doubt(loud[0]) == ""


def test_returns_of_solo_play_may_come_when_it_begins():
    data = {"phases": {"one": {"steps": 900, "metric": "solo_return", "above": 1.0}, "two": {}}}
    (row,) = rows([1])
    row["episodes_finished"] = 9
    never, later = (
        Course(from_dict({**data, "schedule": {"solo_fraction": share}}))
        for share in ("0", "0:0, 1000:0.5")
    )
    for plan in (never, later):
        plan.follow(row)
    assert never.doubt(row).startswith("phase one: no solo_return is measured")
    assert later.doubt(row) == ""


def test_a_bound_on_any_agent_goes_on_from_a_checkpoint():
    rows = of_three((9, 1, 3), (9, 1, 2))
    for bound in ({"above": 2.25}, {"above": 2.25, "metric": "y"}, {"agent": 2, "above": 2.25}):
        before, after = any_of_three(**bound), any_of_three(**bound)
        before.follow(rows[0])
        after.set_state(json.loads(json.dumps(before.get_state())))
        assert after.get_state() == before.get_state()
        assert after.follow(rows[1])
    named = any_of_three(agent=2, above=2.25)
    named.follow(rows[0])
    assert named.get_state()["recent"] == [3.0]  # as checkpoints have had it
    with pytest.raises(ValueError, match="phases"):
        named.set_state({**named.get_state(), "recent": {"1": [math.inf]}})


@pytest.mark.parametrize("agent", ["any", 1])
def test_a_phase_with_a_bound_goes_on_from_before_its_first_number(agent):
    first, second = of_three((9, None, None), (9, 3, 2))
    before, after = (
        any_of_three(agent=agent, above=2.25, window=1),
        any_of_three(agent=agent, above=2.25, window=1),
    )
    after.set_state(json.loads(json.dumps(before.get_state())))
    assert not after.follow(first)
    assert after.get_state()["recent"] == []
    assert after.follow(second)


def test_goals_count_what_is_left():
    plan = course(steps=300)
    assert (plan.goal(), plan.over(999), plan.over(1000)) == (1000, False, True)
    both = Course(from_dict({"phases": {"a": {"steps": 300}, "b": {"steps": 400}}}))
    assert both.goal() == 700
    both.follow({"env_steps": 320})
    assert (both.goal(), both.index, both.start) == (720, 1, 320)
    last = {"env_steps": 720}
    assert not both.follow(last)
    assert last["phase_ended"]["steps"] == 400
    assert both.over(720)
    assert not Course(TrainConfig()).follow({"env_steps": 1})


def test_numbers_of_agents_and_of_the_group_are_found_by_name():
    row = {"agents": {"x": [1, None], "return": [3.0]}, "groups": {"box_opened": 0.5}}
    assert measured(row, "x", 0) == 1.0
    assert measured(row, "x", 1) is None
    assert measured(row, "return", 0) == measured(row, "return", -1) == 3.0
    assert measured(row, "x", -2) == 1.0
    assert measured(row, "x", -3) is measured(row, "x", 2) is None
    assert measured(row, "box_opened", 7) == 0.5
    assert measured({"agents": {}}, "box_opened", 0) is None


def test_every_phase_has_its_numbers_and_a_break_in_any_changes_nothing(tmp_path):
    trainer = create_run(phased(tmp_path), tmp_path / "straight")
    assert trainer.train(Silent()) == 0
    lines = read_metrics(tmp_path / "straight" / "metrics.jsonl")
    assert [row["phase"] for row in lines] == ["first"] * 3 + ["second"] * 4 + ["third"] * 2
    ended = [row["phase_ended"] for row in lines if "phase_ended" in row]
    assert [(one["name"], one["steps"]) for one in ended] == [
        ("first", 384), ("second", 512), ("third", 256),
    ]  # fmt: skip
    assert [one.get("reached") for one in ended] == [None, False, None]
    for stop in (256, 384, 640, 1024):
        part = tmp_path / f"part{stop}"
        assert create_run(phased(tmp_path), part).train(Terminated(stop)) == 143
        going, messages = resume_run(part)
        assert not messages
        going.train(Silent())
        same_end(tmp_path / "straight", part)


def test_a_run_ends_a_phase_when_any_of_its_learners_passes_the_bound(tmp_path):
    line = "--phases.second.agent any --phases.second.below 3 --phases.second.window 1"
    create_run(phased(tmp_path, line=line), tmp_path / "run").train(Silent())
    found = read_metrics(tmp_path / "run" / "metrics.jsonl")
    (ended,) = [row["phase_ended"] for row in found if row.get("phase_ended", {}).get("bound")]
    assert ended["reached"]
    assert (ended["steps"], ended["bound"]) == (128, "any agent's entropy below 3")
    assert ended["agent"] in (1, 2)


def test_options_of_phases_reach_learners_and_worlds(tmp_path):
    trainer = create_run(phased(tmp_path), tmp_path / "run")
    learner, seen = trainer.learner, []
    trainer.begin()
    while not trainer.over():
        before = learner.config.entropy_coef, learner.optimiser.rate.tolist()
        trainer.step()
        seen.append((*before, trainer.phase.options["penalty"]))
    assert [one[0] for one in seen] == [0.5] * 3 + [1e-5] * 6
    assert seen[0][1] == [0.0, 0.01]
    assert seen[3][1] == [0.01, 0.01]
    assert [one[2] for one in seen] == [0.25] * 3 + [0.5] * 6


def test_films_records_and_evaluations_are_of_the_last_phase(tmp_path):
    changed = (("max_steps", 5), ("see_through_walls", "true"))
    line = " ".join(f"--phases.third.options.{name} {value}" for name, value in changed)
    run_dir = tmp_path / "run"
    trainer = create_run(phased(tmp_path, line=line), run_dir)
    trainer.train(Silent())
    assert len(list(regime_of(trainer.config).frames(trainer))) == 5
    shown = record(load_config(run_dir), run_dir, RecordOptions(episodes=2, worlds=2), {})
    options = shown.about["options"]
    assert (shown.num_steps, options["max_steps"], options["see_through_walls"]) == (5, 5, True)
    shown = record(trainer.config, None, RecordOptions(episodes=2, worlds=2), {})  # as of a preset
    assert (shown.num_steps, shown.about["options"]["max_steps"]) == (5, 5)
    assert cli.evaluate([str(run_dir), "--episodes", "2", "--seeds", "0"]) == 0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--phases.third.options.max_steps 20.5", "max_steps must be an integer, not 20.5"),
        ("--phases.third.options.penalti 1", "did you mean 'penalty'"),
        ("--phases.third.options.view_size 5", "view_size 5: its agents would see or do other"),
        ("--phases.third.options.color red --env.obs-mode tiles", "color red: its agents would"),
        ("--schedule.options num_goals=0:2,500:300", "num_goals = 300 is out of range"),
        ("--schedule.options view_size=0:7,500:5", "view_size 5: its agents would see or do"),
    ],
)
def test_worlds_that_are_to_come_are_tried_before_a_run_begins(tmp_path, line, message):
    with pytest.raises(UsageError, match=message):
        create_run(phased(tmp_path, line=line), tmp_path / "run")
    assert not (tmp_path / "run" / "config.json").exists()


def test_a_run_that_is_over_can_go_on_in_its_last_phase(tmp_path):
    create_run(phased(tmp_path), tmp_path / "run").train(Silent())
    going, _ = resume_run(tmp_path / "run", 1400)
    assert not going.over()
    going.train(Silent())
    found = read_metrics(tmp_path / "run" / "metrics.jsonl")
    assert found[-1]["env_steps"] >= 1400
    assert found[-1]["phase"] == "third"


def test_the_command_line_changes_phases(tmp_path):
    found = phased(tmp_path, line=(
        "--phases.second.below 0.5 --phases.second.steps=600 "
        "--phases.first.algorithm.entropy-coef 0.25 --phases.first.algorithm.learning_rate 0.1,0.2 "
        "--entropy-coef 0.125"
    ))  # fmt: skip
    assert (found.phases["second"].below, found.phases["second"].steps) == (0.5, 600)
    assert found.in_phase("first").algorithm.entropy_coef == 0.25
    assert found.in_phase("first").algorithm.learning_rate == (0.1, 0.2)
    assert found.in_phase("third").algorithm.entropy_coef == 0.125
    assert from_dict(to_dict(found)) == found


def test_whose_number_a_bound_would_be_on_is_asked_where_there_is_one(tmp_path):
    preset = "\n[phases.third]\nsteps = 256\nagent = 7\n"
    found = phased(tmp_path, line="--phases.third.agent 2 --phases.third.metric entropy "
                   "--phases.third.below 1.0")  # fmt: skip
    assert found.phases["third"].agent == 2
    path = tmp_path / "own.toml"
    path.write_text(TINY + preset)
    config = parse_train([], load_preset(str(path)), "x")
    assert config.phases["third"].agent == 7
    words = ["--phases.third.metric", "entropy", "--phases.third.below", "1"]
    with pytest.raises(UsageError, match="agent: 7 is none of the 3"):
        parse_train(words, load_preset(str(path)), "x")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--phases.fourth.steps 3", "its phases are first, second, third"),
        ("--phases.first.stepz 3", "did you mean 'phases.first.steps'"),
        ("--phases.first.steps", "value is missing"),
        ("--phases.first.steps no", "phases.first.steps"),
        ("--phases.first.steps 0", "only the last phase can do without"),
        ("--phases.first.algorithm.gamma 3", "phases.first: algorithm: gamma 3"),
        ("--phases.first.algorithm.adam_eps 1", "first.algorithm.adam_eps: cannot change in a run"),
        (
            "--phases.first.social.moa.coef 3",
            "phases.first.social.moa: the run has no such mechanism",
        ),
        ("--social moa --phases.first.social.moa.memory 3", "moa.memory: cannot change in a run"),
        ("--phases.first.social.coef 3", "is not --phases.NAME.OPTION"),
        ("--phases.first.metric entropy", "a bound is a metric and one of above and below"),
        ("--phases.second.above 1", "a bound is a metric and one of above and below"),
        ("--phases.second.least 1000", "least: 1000 is more than steps 512"),
        ("--phases.first.least 10", "there is no bound"),
        ("--phases.first.options.penalty.x 1", "is not --phases.NAME.OPTION"),
        ("--phases.first.extra.x 1", "'extra' is not one of"),
        ("--phases.second.below nan", "nan"),
        ("--phases.second.window 0", "phases.second: window: 0"),
        ("--phases.second.agent 3", "phases.second.agent: 3 is none of the 3 in players.kinds"),
        ("--phases.second.agent -4", "phases.second.agent: -4 is none of the 3"),
        ("--phases.first.agent 7", "phases.first.agent: the phase has no bound"),
        ("--phases.first.window 7", "phases.first.window: the phase has no bound"),
        (
            "--schedule.options penalty=0:0.1",
            "phases.first.options.penalty: schedule.options.penalty says what it is, in all phases",
        ),
        ("--phases.second.agent all", "phases.second.agent: 'all' is not of type"),
        ("--phases.first 3", "is not --phases.NAME.OPTION"),
        ("--phases first=3", "--phases: tables are written in a preset's file"),
        ("--conditions here", "--closing.conditions: tables are written in a preset's file"),
    ],
)
def test_what_does_not_fit_is_one_line(tmp_path, line, words):
    with pytest.raises(UsageError) as error:
        phased(tmp_path, line=line)
    assert words in str(error.value)


def test_numbers_that_do_not_fit_the_agents_are_refused_before_training(tmp_path):
    for line, words in (
        ("--phases.first.algorithm.learning_rate 0.1,0.2,0.3", "3 learning rates for 2 agents"),
        ("--phases.first.options.penalti 1", "penalti"),
    ):
        with pytest.raises(UsageError, match=words):
            create_run(phased(tmp_path, line=line), tmp_path / "run")
        assert not (tmp_path / "run" / "config.json").exists()
    with pytest.raises(UsageError, match="dqn has none"):
        phased(tmp_path, line="--algorithm recurrent-dqn --env.rollout-steps 16")


@pytest.mark.parametrize("mode", ["--no-synchronous", "--synchronous"])
def test_several_actor_learners_go_through_the_phases_together(tmp_path, mode):
    # Workers that do not wait run ahead of rows on a busy machine: the last phase is long.
    line = f"--algorithm a3c --workers 2 {mode} --phases.second.below 1e-9 --total-steps 30000"
    trainer = create_run(phased(tmp_path, line=line), tmp_path / "run")
    assert trainer.train(Terminated(700)) == 143
    going, _ = resume_run(tmp_path / "run")
    assert going.train(Silent()) == 0
    lines = read_metrics(tmp_path / "run" / "metrics.jsonl")
    names = [row["phase"] for row in lines]
    assert list(dict.fromkeys(names)) == ["first", "second", "third"]
    assert names == sorted(names, key=["first", "second", "third"].index)
    ended = [row["phase_ended"]["name"] for row in lines if "phase_ended" in row]
    assert ended == ["first", "second", "third"]
    rates = [row["agents"]["learning_rate"][1] for row in lines]
    assert rates[-1] == pytest.approx(0.00126, rel=1e-3)  # its own again
    first = [row["agents"]["learning_rate"] for row in lines if row["phase"] == "first"]
    assert all(0 <= rate[2] <= 0.01 for rate in first)


LATER = """
[phases.first.social.moa]
influence_weight = 0.25
[phases.first.aux.reconstruction]
coef = 7.0
"""


def test_a_phase_speaks_of_mechanisms_that_the_command_line_chooses(tmp_path):
    found = phased(tmp_path, LATER, "--social moa --aux reconstruction").in_phase("first")
    assert [one.influence_weight for one in found.social] == [0.25]
    assert [one.coef for one in found.aux] == [7.0]
    without = phased(tmp_path, LATER)
    assert (without.phases["first"].social, without.in_phase("first").social.names) == ({}, ())


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("[phases.first.social.mao]\ncoef = 1.0\n", "phases.first.social: .*mao.* moa"),
        ("[phases.first.aux.moa]\ncoef = 1.0\n", "phases.first.aux: .*moa"),
        ("[phases]\nfourth = 3\n", "phases.fourth: 3"),
        ("[phases.fourth]\nsocial = 3\n", "phases.fourth.*social.*3"),
    ],
)
def test_a_phase_that_speaks_of_nothing_there_is_is_refused(tmp_path, extra, message):
    path = tmp_path / "own.toml"
    path.write_text(runs.TINY + extra)
    with pytest.raises(UsageError, match=message):
        load_preset(str(path))


def test_help_tells_the_phases(capsys):
    with pytest.raises(SystemExit):
        cli.train(["box-trapped-influence", "--help"])
    assert "  listen: steps=400000 least=100000" in capsys.readouterr().out
    text = described(load_preset("box-trapped-influence").config.phases["listen"])
    for word in ("metric=value_of_listening", "above=0.25", "algorithm.learning_rate=0.0,0.004"):
        assert word in text
    assert "below" not in text


CLOSING = """
[closing]
trials = 6
measures = ["return:1", "rewarded:2", "equality", "return:5"]
notes = ["what a reader must know"]
[closing.conditions.here]
[closing.conditions.alone]
alone = true
[closing.conditions."the most probable actions"]
greedy = true
[closing.conditions."another teacher, a higher penalty"]
players = ["expert", "learner", "learner"]
options = { penalty = 1.5 }
[closing.conditions.nonsense]
players = ["learner", "expert", "learner"]
[closing.conditions.red]
options = { color = "red" }
[closing.conditions.near]
options = { view_size = 5 }
[closing.reference.earlier]
"return:1" = 1.25
source = "five seeds"
"""


def test_the_last_lines_say_what_agents_do_in_other_conditions(tmp_path):
    path = tmp_path / "closing.toml"
    path.write_text(TINY + PHASED + CLOSING)
    words = ("--total-steps", 512, "--env.obs-mode", "tiles")
    done = run("train", path, "--run-dir", tmp_path / "run", *words)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "phase first: 384 steps" in lines
    start = next(i for i, line in enumerate(lines) if line.startswith("mean over 6 episodes"))
    table = lines[start:]
    assert [line.split("  ")[0] for line in table[1:7]] == [
        "in training, its last tenth", "here", "alone", "the most probable actions",
        "another teacher, a higher penalty",
        "reference: earlier",
    ]  # fmt: skip
    assert table[0].endswith("agent1 learner  agent2 rewarded  equality")
    assert table[6].split()[-3:] == ["1.25", "-", "-"]
    assert table[7] == "earlier: five seeds"
    assert table[8].startswith("not played: nonsense: learners must stay in their places")
    unlike = "its agents would see or do other things there"
    assert table[9:11] == [f"not played: red: {unlike}", f"not played: near: {unlike}"]
    assert table[-1] == "what a reader must know"
    found = json.loads((tmp_path / "run" / "closing.json").read_text())
    assert found["conditions"]["alone"]["return:1"] is not None
    assert found["phases"][0]["name"] == "first"
    assert 0 <= found["conditions"]["here"]["rewarded:2"] <= 1


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ("trials = -1", "closing.trials: -1"),
        ("trials = 3", "closing.measures: at least one"),
        ('trials = 3\nmeasures = ["return"]', "is not return:SLOT"),
        ('trials = 3\nmeasures = ["equality:1"]', "is not return:SLOT"),
        ("conditions = {a = {playerz = []}}", "did you mean 'closing.conditions.a.players'"),
        ("reference = {a = 3}", "closing.reference.a"),
    ],
)
def test_an_ending_that_makes_no_sense_is_refused(tmp_path, extra, words):
    path = tmp_path / "x.toml"
    path.write_text(f"[closing]\n{extra}\n")
    with pytest.raises(UsageError) as error:
        load_preset(str(path))
    assert words in str(error.value)


def test_shipped_conditions_fit_their_presets(tmp_path):
    for name in preset_names():
        config = load_preset(name).config
        for condition in config.closing.conditions.values():
            config.in_condition(condition)
        assert config.closing.fitting(len(config.players.kinds)) == config.closing.measures


def test_worlds_of_presets_are_those_of_their_last_phases():
    run = load_preset("goal-cycle").config
    moved = evaluation_config(run, EvalOptions(world="follow-full-size"), {})
    last = Course(load_preset("follow-full-size").config).configs[-1]
    assert moved.env.options["grid_size"] == last.env.options["grid_size"] == 13
    assert moved.env.options["penalty"] == last.env.options["penalty"]


def test_the_last_phase_at_full_size_is_the_published_world():
    config, published = load_preset("follow-full-size").config, load_preset("goal-cycle").config
    *small, large = (config.in_phase(name) for name in config.phases)
    assert large.env.options == published.env.options
    assert (large.env.game, large.players) == (published.env.game, published.players)
    assert large.schedule == published.schedule
    assert [phase.env.options["grid_size"] for phase in small] == [7] * 3
    assert [phase.env.options["clutter_density"] for phase in small] == [0.0] * 3
    assert [phase.env.options["penalty"] for phase in small] == [0.2, 0.2, 1.5]
    assert [phase.env.options.get("hide", []) for phase in small] == [["goal"], ["goal"], []]


def test_listeners_of_harvest_are_paid_more_at_first_and_then_as_published():
    config, published = load_preset("harvest-listening").config, load_preset("harvest")
    first, then = (config.in_phase(name) for name in config.phases)
    (paid,), (paper,) = then.social.options, published.choose(None, ["influence"]).social.options
    assert first.social.options == (replace(paid, influence_weight=10.0),)
    assert replace(paper, influencee_weight=1.0, curriculum=0.0) == paid
    assert then.env.options == published.config.env.options
    table = published.choose(None, ["influence"]).algorithm
    names = ("entropy_coef", "learning_rate", "learning_rate_end", "gamma", "value_coef")
    assert {getattr(then.algorithm, name) == getattr(table, name) for name in names} == {True}
