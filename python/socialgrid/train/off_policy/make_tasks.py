"""From a configuration to the tasks of an off-policy run's agents."""

from __future__ import annotations

from socialgrid.config import TrainConfig, UsageError
from socialgrid.train.off_policy.tasks import OwnGames, SharedWorlds, Tasks, has_several_agents
from socialgrid.train.worlds import build_worlds, phase_at


def shares_worlds(config: TrainConfig) -> bool:
    """Whether the players meet in one world instead of each having a task of its own."""
    alone = len(config.players.kinds) == 1 or config.env.gymnasium_id is not None
    return not config.advised and not alone and has_several_agents(config.env.game)


def make_tasks(
    config: TrainConfig, num_envs: int, seed: int, *, asynchronous: bool = False
) -> Tasks:
    """Make the tasks of all agents of a run.

    Args:
        config: of the run.
        num_envs: E, copies for each agent.
        seed: of the tasks.
        asynchronous: every copy of a Gymnasium environment in a process of its own.

    Raises:
        UsageError: the game or a player refuses its options.
    """
    env, roster = config.env, config.roster
    if shares_worlds(config):
        if roster.groups > 1:
            raise UsageError(
                f"players.groups: {roster.groups} groups need tasks of their own; "
                f"in {env.game} the players share a world"
            )
        worlds = build_worlds(config, phase_at(config, 0), seed, num_envs=num_envs)
        return SharedWorlds(worlds, roster.slots)
    count = len(roster.agents)
    if env.gymnasium_id is not None:
        from socialgrid.train.off_policy.gymnasium_tasks import GymnasiumTasks  # noqa: PLC0415 (an extra)

        return GymnasiumTasks(
            env.gymnasium_id,
            count,
            num_envs,
            env.options,
            seed=seed,
            asynchronous=asynchronous,
        )
    return OwnGames(
        env.game,
        count,
        num_envs,
        phase_at(config, 0).options,  # and what is hidden from learners
        seed=seed,
        num_threads=env.num_threads,
        obs_mode=config.obs_mode,
    )
