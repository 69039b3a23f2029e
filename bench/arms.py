"""Small runs of everything that can be trained, in this checkout's own words.

``same.py`` and ``against.py`` compare checkouts arm by arm. Each checkout is asked for the words of
an arm by its name, so that an option may change its name where the arm keeps its own. This module
imports nothing: it is read by programs of other checkouts.
"""

QUIET = (
    "--run.threads 1 --env.num-threads 1 --run.device cpu --run.checkpoint-minutes 1000 "
    "--logging.no-curves --logging.no-video --logging.no-tensorboard"
)
_CLEANUP = "--env.num-envs 16 --run.total-steps 3200"
_CURRICULUM = "--curriculum 0.001"
_MECHANISMS = {
    "alone": "--social none",
    "visible": "--social visible-actions",
    "influence": f"--social influence {_CURRICULUM}",
    "comm": f"--social comm {_CURRICULUM}",
    "moa": f"--social moa {_CURRICULUM}",
    "moa-visible-inequity": f"--social visible-actions,moa,inequity {_CURRICULUM}",
    "comm-visible-prosocial": f"--social visible-actions,comm,prosocial {_CURRICULUM}",
    "influence-collective": f"--social visible-actions,influence,collective {_CURRICULUM}",
    "prediction": "--social none --aux prediction --prediction.coef 1 --first-kernel 1",
    "reconstruction": "--social none --aux reconstruction --reconstruction.coef 1 --first-kernel 1",
}
_GOALS = (
    "goal-cycle-mini --run.total-steps 1600 --env.num-envs 4 --env.rollout-steps 100 "
    "--sequence-length 16 --minibatch-sequences 16"
)
_ROOM = "room-mini --run.total-steps 400 --learning-starts 100"
_PENDULUM = "pendulum-mini --run.total-steps 400 --learning-starts 100"

# name: (words of the first run, words of the run that goes on or nothing)
ARMS: dict[str, tuple[str, str]] = {}
for _algorithm in ("a3c", "ppo"):
    for _name, _words in _MECHANISMS.items():
        ARMS[f"{_algorithm} {_name}"] = (
            f"cleanup-mini --algorithm {_algorithm} {_words} {_CLEANUP}",
            "--total-steps 4800",
        )
ARMS |= {
    "goals ppo": (_GOALS, "--total-steps 2400"),
    "goals ppo tiles": (f"{_GOALS} --env.obs-mode tiles", ""),
    "goals ppo three": (f"{_GOALS} --players trial-and-error,learner,learner", ""),
    "goals hidden": (f"{_GOALS} --players expert,learner --hide-from-learners goal", ""),
    "goals cloning": (
        f"{_GOALS} --algorithm behaviour-cloning --players expert,learner,learner",
        "--total-steps 2400",
    ),
    "goals cloning tiles": (f"{_GOALS} --algorithm behaviour-cloning --env.obs-mode tiles", ""),
    "room dqn": (f"{_ROOM} --social none", "--total-steps 600"),
    "room recurrent dqn": (
        f"{_ROOM} --algorithm recurrent-dqn --social none --batch-size 8 --sequence-length 8",
        "--total-steps 600",
    ),
    "room sac": (f"{_ROOM} --algorithm sac --social none", "--total-steps 600"),
    "room peers": (f"{_ROOM} --social peers", "--total-steps 600"),
    "room peers groups": (f"{_ROOM} --social peers --groups 3", ""),
    "room adversary": (f"{_ROOM} --social peers --players learner,learner,adversary", ""),
    "room random advice": (f"{_ROOM} --social random-advice", ""),
    "room early advising": (f"{_ROOM} --social early-advising", ""),
    "room lectr": (f"{_ROOM} --social lectr --peers 2", "--total-steps 600"),
    "room mixed": (f"{_ROOM} --social peers --peers 2 --players.algorithms dqn,sac", ""),
    "pendulum sac": (f"{_PENDULUM} --social none", "--total-steps 600"),
    "pendulum td3": (f"{_PENDULUM} --algorithm td3 --social none", ""),
    "pendulum peers": (f"{_PENDULUM} --social peers", ""),
}

# name: (words, environment steps of a short run, of a long one, agents that learn)
WORK: dict[str, tuple[str, int, int, int]] = {
    "mini, one learner": (
        "goal-cycle-mini --players learner --env.num-envs 128", 8_192, 57_344, 1
    ),
    "mini, three learners": (
        "goal-cycle-mini --players learner,learner,learner --env.num-envs 128", 8_192, 24_576, 3
    ),
    "full recipe, one learner": (
        "goal-cycle --players learner --env.num-envs 16 --minibatch-sequences 128", 4_000, 8_000, 1
    ),
    "full recipe, three learners": (
        "goal-cycle --players learner,learner,learner --env.num-envs 16 --minibatch-sequences 128",
        4_000, 8_000, 3,
    ),
    "Harvest, A3C in one process": ("harvest --workers 1", 3_200, 16_000, 5),
    "Harvest, PPO": ("harvest-ppo --env.num-envs 16", 16_000, 48_000, 5),
    "room-21, DQN, two peers": (
        "room-21 --social peers --peers 2 --evaluation.interval 0", 1_000, 4_000, 2
    ),
    "room-21, DQN alone": ("room-21 --social none --evaluation.interval 0", 1_000, 4_000, 1),
    "Pendulum, SAC alone": (
        "pendulum-mini --social none --hidden 150,200 --evaluation.interval 0", 600, 1_800, 1
    ),
    "Pendulum, TD3 alone": (
        "pendulum-mini --algorithm td3 --social none --hidden 150,200 --evaluation.interval 0",
        600, 1_800, 1,
    ),
}  # fmt: skip
