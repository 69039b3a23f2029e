"""Options that would count for nothing beside the others are refused on the command line."""

import pytest

from socialgrid.config import UsageError, load_preset, parse_train


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
        ("pendulum-mini", "--noise-interval 4 --target-entropy-ratio 0.5"),
        ("goal-cycle-mini", "--learning-rate-end 1e-5 --learning-rate-steps 1e6"),
        ("goal-cycle-mini", "--closing.trials 5 --closing.measures return:0 --kernel 2"),
        ("cleanup-mini", "--workers 2 --synchronous"),
        ("cleanup-mini", "--workers 2 --max-staleness 4"),
        ("cleanup-mini", "--shards 4"),
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
