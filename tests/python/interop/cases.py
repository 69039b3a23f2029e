"""Every game, small, and how other people's tools reach it."""

import gymnasium

import socialgrid

GAMES = socialgrid.list_games()
MODES = ["same_step", "next_step", "disabled"]


def company(game):
    """Agents to test a game with: three, or as near to that as it allows."""
    (option,) = (option for option in socialgrid.game_options(game) if option.name == "num_agents")
    return int(min(max(3, option.low), option.high))


def small(game, **config):
    """Options for that company and short episodes."""
    return {"num_agents": company(game), "max_steps": 12, **config}


def make_single(game, **config):
    (option,) = (option for option in socialgrid.game_options(game) if option.name == "num_agents")
    players = ["random"] * int(option.low - 1)  # of games that one agent cannot play
    return gymnasium.make(
        f"socialgrid:socialgrid/{game}", **{"players": players, "max_steps": 12, **config}
    )


def make_rows(game, num_envs=2, **config):
    return gymnasium.make_vec(
        f"socialgrid:socialgrid/{game}", num_envs=num_envs, **small(game, **config)
    )
