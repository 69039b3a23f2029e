"""Options that would count for nothing beside the others are refused on the command line."""

import pytest

from socialgrid.config import UsageError, combination, load_preset, parse_train


@pytest.mark.parametrize(
    ("preset", "line", "message"),
    [
        ("room-mini", "--priority-alpha 0.5", "priority-alpha: it counts with algorithm.priori"),
        ("room-mini", "--priority-beta-steps 10", "it counts with algorithm.prioritised"),
        ("room-mini", "--closing.trials 5 --closing.measures return:0", "dqn plays nothing when"),
        ("room-mini", "--evaluation.interval 0 --evaluation.episodes 5", "here never"),
        ("room-mini", "--no-video --video-frames 5", "video-frames: there is no film with"),
        ("room-mini", "--social peers --advice critic --no-advantage", "here it has critic"),
        ("room-mini", "--social peers --no-peers-explore", "nobody explores on top of advice"),
        ("room-mini", "--social lectr --peers-explore", "teachers choose what they advise"),
        ("room-mini", "--social lectr --progress lg --threshold 1", "progress is veg; here it is"),
        ("room-mini", "--social lectr --threshold 1 --threshold-rate 0.5", "lectr.threshold says"),
        ("room-mini", "--algorithm sac --noise-interval 4", "where actions are continuous"),
        ("room-mini", "--algorithm sac --no-state-dependent-noise", "where actions are continuous"),
        ("pendulum-mini", "--no-state-dependent-noise --log-std-init 0", "state_dependent_noise"),
        ("pendulum-mini", "--temperature 0.1 --target-entropy 1", "0.1 is not learnt"),
        ("pendulum-mini", "--algorithm td3 --target-noise 0 --target-noise-clip 1", "noise is 0"),
        ("goal-cycle-mini", "--learning-rate-steps 1e6", "learning_rate_end is a rate"),
        ("goal-cycle-mini", "--kl-target none --kl-stop-factor 1.5", "kl_target is a number"),
        ("goal-cycle-mini", "--closing.measures return:0", "closing.trials says how often"),
        ("cleanup-mini", "--synchronous", "algorithm.workers is 2 or more"),
        ("cleanup-mini", "--workers 2 --shards 4", "computes its own batch whole"),
        ("cleanup-mini", "--workers 2 --synchronous --max-staleness 4", "no gradient is stale"),
        ("cleanup-mini", "--kernel 5", "kernel: the only one of network.channels"),
        ("pendulum-mini", "--algorithm td3 --target-interval 2", "move with the policy, every"),
        (
            "pendulum-mini",
            "--peers 2 --players.algorithms td3,td3 --temperature 0.3",
            "temperature: nobody learns by sac; players.algorithms names td3, td3",
        ),
        (
            "goal-cycle-mini",
            "--players expert,learner:RUN --hide-from-learners goal",
            "no fresh learner is in players.kinds",
        ),
        ("pendulum-mini", "--target-entropy-ratio 0.5", "it counts where actions are discrete"),
        (
            "pendulum-mini",
            "--features 32",
            "of gymnasium:Pendulum-v1 are vectors; algorithm.hidden",
        ),
        (
            "pendulum-mini",
            "--env gymnasium:CartPole-v1 --noise-interval 4",
            "noise-interval: it counts where actions are continuous",
        ),
        ("pendulum-mini", "--hide-from-learners goal", "nothing can be hidden in gymnasium:Pend"),
        ("room-mini", "--closing.trials 5", "dqn plays nothing when"),
        ("room-mini", "--social peers --epoch-steps 50", "all epochs are alike without peers.temp"),
        ("room-mini", "--social lectr --epoch-steps 50", "advice is given in all epochs"),
        ("pendulum-mini", "--social peers --explore-when-advised", "sac draws from its distrib"),
    ],
)
def test_an_option_that_counts_for_nothing_is_refused(preset, line, message):
    with pytest.raises(UsageError, match=message):
        parse_train(line.split(), load_preset(preset), "x")


@pytest.mark.parametrize(
    ("preset", "line"),
    [
        ("room-mini", "--prioritised --priority-alpha 0.5"),
        ("room-mini", "--evaluation.episodes 5"),
        ("room-mini", "--social peers --no-peers-explore --explore-when-advised"),
        ("room-mini", "--social peers --advice trust --no-advantage"),
        ("pendulum-mini", "--social peers --no-peers-explore"),
        ("pendulum-mini", "--social peers --players.algorithms sac,td3 --no-peers-explore"),
        ("pendulum-mini", "--noise-interval 4 --target-entropy -3"),
        ("pendulum-mini", "--env gymnasium:CartPole-v1 --target-entropy-ratio 0.5"),
        ("pendulum-mini", "--env gymnasium:nobodys:Task-v0 --features 32"),  # its code is not run
        ("goal-cycle-mini", "--learning-rate-end 1e-5 --learning-rate-steps 1e6"),
        ("goal-cycle-mini", "--closing.trials 5 --closing.measures return:0 --kernel 2"),
        ("cleanup-mini", "--workers 2 --synchronous"),
        ("cleanup-mini", "--workers 2 --max-staleness 4"),
        ("cleanup-mini", "--shards 4"),
        ("pendulum-mini", "--algorithm td3 --target-interval 3"),
        ("pendulum-mini", "--peers 2 --players.algorithms td3,sac --temperature 0.3"),
        ("cleanup-mini", "--social influence --influence-weight 0 --curriculum 1"),  # an arm
        ("goal-cycle-mini", "--hide-from-learners goal"),
        ("room-mini", "--social early-advising --epoch-steps 50"),
        ("room-mini", "--social peers --temperature-decay 0.1 --epoch-steps 50"),
        ("pendulum-mini", "--social peers --players.algorithms sac,td3 --explore-when-advised"),
    ],
)
def test_an_option_that_counts_is_taken(preset, line):
    parse_train(line.split(), load_preset(preset), "x")


def test_what_counts_in_one_phase_counts(tmp_path):
    path = tmp_path / "phases.toml"
    path.write_text(
        'base = "goal-cycle-mini"\n[phases.first]\nsteps = 1000\n'
        "[phases.then.algorithm]\nlearning_rate_end = 1e-5\n"
    )
    config = parse_train(["--learning-rate-steps", "1e6"], load_preset(str(path)), "x")
    assert config.in_phase("then").algorithm.learning_rate_steps == 1e6


PHASED = """
base = "goal-cycle-mini"
[schedule.options]
num_clutter = "0:0,100:5"
[phases.first]
steps = 1000
[phases.first.algorithm]
gamma = 0.5
[phases.first.options]
penalty = 0.1
grid_size = 7
[phases.first.social.moa]
coef = 2.0
[phases.then.algorithm]
gamma = 0.6
entropy_coef = 0.5
[phases.then.options]
grid_size = 9
"""


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--entropy-coef 0.1", "--algorithm.entropy-coef: these phases keep their own: "
         "--phases.then.algorithm.entropy_coef 0.5"),
        ("--set penalty=0.7", "--set penalty: these phases keep their own: "
         "--phases.first.options.penalty 0.1"),
        ("--set num_clutter=3", "--set num_clutter: for evaluations only; in training a schedule "
         "says what it is: --schedule.options num_clutter=0:0,100:5"),
        ("--social moa --moa.coef=3", "--moa.coef: these phases keep their own: "
         "--phases.first.social.moa.coef 2.0"),
        ("--learning-rate 0.1 --set num_goals=2", ""),
    ],
)  # fmt: skip
def test_an_option_that_phases_or_schedules_overrule_is_told(tmp_path, line, said):
    (tmp_path / "phased.toml").write_text(PHASED)
    preset = load_preset(str(tmp_path / "phased.toml"))
    assert combination(line.split(), preset, parse_train(line.split(), preset, "x")) == said


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--gamma 0.9", "--algorithm.gamma: all phases have their own: --phases.first.algorithm"),
        ("--set grid_size=8", "--set grid_size: all phases .*first.options.grid_size 7, --phases"),
    ],
)
def test_an_option_that_all_phases_overrule_is_refused(tmp_path, line, message):
    (tmp_path / "phased.toml").write_text(PHASED)
    with pytest.raises(UsageError, match=message):
        parse_train(line.split(), load_preset(str(tmp_path / "phased.toml")), "x")
