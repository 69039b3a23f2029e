"""The rules of the social dilemmas one at a time, on maps small enough to follow by eye.

The expectations are written by hand from the rules, so they check the reference as well as the
core: where both make the same mistake, these tests are what is left to find it.
"""

import numpy as np
import pytest
from tests.reference import Layout, ReferenceEnv

FACING_RIGHT, FACING_DOWN, FACING_LEFT, FACING_UP = range(4)
LEFT, RIGHT, AHEAD, BACK, STAY, TURN_CLOCKWISE, TURN_COUNTER_CLOCKWISE, SPECIAL, CLEAN = range(9)
FIRE = TOGGLE = OPEN_BOX = SPECIAL
YELLOW, CYAN, BLACK, WALL = (255, 255, 0), (100, 255, 255), (0, 0, 0), (180, 180, 180)
NO_GROWTH = {
    "Harvest-v0": {"apple_spawn_probabilities": [0.0, 0.0, 0.0, 0.0]},
    "Cleanup-v0": {"apple_spawn_probability": 0.0, "waste_spawn_probability": 0.0},
}
GROUND = str.maketrans("PTB", "   ")  # what is there at the start
ROOM = ["@@@@@@@", *["@     @"] * 5, "@@@@@@@"]
HALL = ["@" * 15, *["@" + " " * 13 + "@"] * 13, "@" * 15]


@pytest.fixture(params=["reference", "core"])
def build(request):
    """build(map, pos, directions, game=..., now=cells, **options) -> environment, nothing grows."""

    def build(base, pos, directions, game="Harvest-v0", now=None, seed=0, **options):
        options = {"map": base, "num_agents": len(pos), **NO_GROWTH.get(game, {}), **options}
        if request.param == "reference":
            env, layout_type = ReferenceEnv(game, num_envs=1, **options), Layout
        else:
            import socialgrid

            env = socialgrid.make_vec(game, num_envs=1, num_threads=1, **options)
            layout_type = socialgrid.Layout
        env.reset(seed=seed)
        cells = now or [line.translate(GROUND) for line in base]
        env.set_layout(0, layout_type(cells=cells, agent_pos=pos, agent_dir=directions))
        return env

    return build


def play(env, *actions):
    """Step a single environment; each action is one number for all agents or one for each."""
    for action in actions:
        result = env.step(np.broadcast_to(action, (1, env.num_agents)).astype(np.int32))
    return result


def rewards(env, *actions):
    return play(env, *actions)[1][0].tolist()


def events(env, *actions):
    """What happened in the last of these steps to anybody: {name: [per agent]}."""
    counts = play(env, *actions)[-1]["events"][0]
    return {
        name: counts[:, k].tolist() for k, name in enumerate(env.event_names) if counts[:, k].any()
    }


def positions(env):
    return [tuple(pos) for pos in env.worlds(["agent_pos"])["agent_pos"][0].tolist()]


def cells(env):
    return list(env.get_layout(0).cells)


def colored(env, color):
    """The cells of the whole grid that are drawn in a colour."""
    return {
        tuple(pos) for pos in np.argwhere((env.render(0, tile_size=1) == color).all(-1)).tolist()
    }


# --- moves ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("direction", "action", "expected"),
    [
        *((FACING_UP, AHEAD, (2, 3)), (FACING_UP, BACK, (4, 3))),
        *((FACING_UP, LEFT, (3, 2)), (FACING_UP, RIGHT, (3, 4))),
        *((FACING_RIGHT, AHEAD, (3, 4)), (FACING_RIGHT, LEFT, (2, 3))),
        *((FACING_DOWN, RIGHT, (3, 2)), (FACING_DOWN, BACK, (2, 3))),
        *((FACING_LEFT, LEFT, (4, 3)), (FACING_LEFT, AHEAD, (3, 2))),
    ],
)
def test_moves_are_relative_to_the_heading_and_keep_it(build, direction, action, expected):
    env = build(ROOM, [(3, 3)], [direction])
    play(env, action)
    assert positions(env) == [expected]
    assert env.get_layout(0).agent_dir == [direction]


def test_turns_keep_the_place(build):
    env = build(ROOM, [(3, 3), (1, 1)], [FACING_UP, FACING_UP])
    play(env, [TURN_CLOCKWISE, TURN_COUNTER_CLOCKWISE])
    assert env.get_layout(0).agent_dir == [FACING_RIGHT, FACING_LEFT]
    assert positions(env) == [(3, 3), (1, 1)]


def test_walls_and_the_edge_of_the_map_block(build):
    env = build(["@    "], [(0, 1), (0, 4)], [FACING_LEFT, FACING_RIGHT])
    play(env, AHEAD)
    assert positions(env) == [(0, 1), (0, 4)]


@pytest.mark.parametrize("still", [STAY, TURN_CLOCKWISE, FIRE])
def test_cell_whose_occupant_stays_cannot_be_entered(build, still):
    env = build(ROOM, [(3, 2), (3, 3)], [FACING_RIGHT, FACING_UP])
    play(env, [AHEAD, still])
    assert positions(env) == [(3, 2), (3, 3)]


def test_two_agents_never_swap(build):
    env = build(ROOM, [(3, 2), (3, 3)], [FACING_RIGHT, FACING_LEFT])
    play(env, AHEAD)
    assert positions(env) == [(3, 2), (3, 3)]


def test_chain_moves_as_one(build):
    env = build(ROOM, [(3, 1), (3, 2), (3, 3)], [FACING_RIGHT] * 3)
    play(env, AHEAD)
    assert positions(env) == [(3, 2), (3, 3), (3, 4)]


def test_chain_whose_head_is_blocked_stays(build):
    env = build(ROOM, [(3, 3), (3, 4), (3, 5)], [FACING_RIGHT] * 3)
    play(env, AHEAD)
    assert positions(env) == [(3, 3), (3, 4), (3, 5)]


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [2, 0, 3, 1]])
def test_agents_in_a_circle_all_move(build, order):
    # On a square grid the smallest circle longer than a swap has four agents.
    circle = [(2, 2), (2, 3), (3, 3), (3, 2)]
    env = build(ROOM, [circle[k] for k in order], [[0, 1, 2, 3][k] for k in order])
    play(env, AHEAD)
    assert positions(env) == [circle[(k + 1) % 4] for k in order]


@pytest.mark.parametrize("seed", range(8))
def test_one_of_two_gets_a_contended_cell(build, seed):
    env = build(ROOM, [(3, 2), (3, 4)], [FACING_RIGHT, FACING_LEFT], seed=seed)
    play(env, AHEAD)
    assert positions(env) in ([(3, 3), (3, 4)], [(3, 2), (3, 3)])


def test_follower_of_a_loser_stays(build):
    outcomes = set()
    for seed in range(20):
        env = build(
            ROOM, [(3, 1), (3, 2), (3, 4)], [FACING_RIGHT, FACING_RIGHT, FACING_LEFT], seed=seed
        )
        play(env, AHEAD)
        outcomes.add(tuple(positions(env)))
    assert outcomes == {((3, 2), (3, 3), (3, 4)), ((3, 1), (3, 2), (3, 3))}


def test_vacated_cell_can_be_contended_for(build):
    outcomes = set()
    for seed in range(20):
        env = build(
            ROOM, [(3, 2), (3, 4), (3, 3)], [FACING_RIGHT, FACING_LEFT, FACING_UP], seed=seed
        )
        play(env, AHEAD)
        outcomes.add(tuple(positions(env)))
    assert outcomes == {((3, 3), (3, 4), (2, 3)), ((3, 2), (3, 3), (2, 3))}


@pytest.mark.parametrize("seed", range(8))
def test_nobody_slips_in_between_two_who_would_swap(build, seed):
    # Whoever wins the cell of agent 1, agent 1 cannot leave it: agent 0 stays where it wants to go.
    env = build(ROOM, [(3, 2), (3, 3), (2, 3)], [FACING_RIGHT, FACING_LEFT, FACING_DOWN], seed=seed)
    play(env, AHEAD)
    assert positions(env) == [(3, 2), (3, 3), (2, 3)]


# --- apples --------------------------------------------------------------------------------------


def test_entered_apple_is_eaten(build):
    env = build(["@@@@@", "@  A@", "@@@@@"], [(1, 2)], [FACING_RIGHT])
    assert rewards(env, AHEAD) == [1]
    assert cells(env)[1] == "@   @"
    assert rewards(env, STAY) == [0]


def test_eaten_apple_is_counted(build):
    env = build(["@@@@@", "@  A@", "@@@@@"], [(1, 2), (1, 1)], [FACING_RIGHT] * 2)
    assert events(env, AHEAD) == {"apples": [1, 0]}


def test_apples_grow_on_their_places_only_and_not_under_agents(build):
    base = ["@@@@@", "@AA @", "@A  @", "@@@@@"]
    bare = ["@@@@@", "@   @", "@   @", "@@@@@"]
    env = build(base, [(1, 1)], [FACING_RIGHT], now=bare, apple_spawn_probabilities=[1.0] * 4)
    play(env, STAY)
    assert cells(env)[1:3] == ["@ A @", "@A  @"]
    assert rewards(env, AHEAD) == [1]
    assert cells(env)[1:3] == ["@A  @", "@A  @"]


@pytest.mark.parametrize(
    ("offset", "in_public", "in_paper"),
    [
        *(((0, 1), True, True), ((1, 1), True, True), ((-1, 1), True, True)),
        *(((0, 2), False, True), ((-2, 0), False, True)),
        *(((1, 2), False, False), ((2, 2), False, False), ((0, 3), False, False)),
    ],
)
@pytest.mark.parametrize("neighbourhood", ["public", "paper"])
def test_an_apple_helps_those_in_its_neighbourhood(
    build, neighbourhood, offset, in_public, in_paper
):
    grid = np.full((9, 9), " ")
    grid[4, 4] = grid[4 + offset[0], 4 + offset[1]] = "A"
    base = ["".join(line) for line in grid]
    grid[4, 4] = " "
    bare = ["".join(line) for line in grid]
    env = build(
        base,
        [(8, 8)],
        [0],
        now=bare,
        neighbourhood=neighbourhood,
        apple_spawn_probabilities=[0.0, 1.0, 1.0, 1.0],
    )
    play(env, STAY)
    grows = in_public if neighbourhood == "public" else in_paper
    assert cells(env) == (base if grows else bare)


def test_growth_is_judged_on_the_apples_before_it(build):
    """Along a row only the neighbour of the one apple grows, then the next: no avalanche."""
    env = build(
        ["AAAAA ", "      "],
        [(1, 5)],
        [0],
        now=["A     ", "      "],
        apple_spawn_probabilities=[0.0, 1.0, 1.0, 1.0],
    )
    rows = []
    for _ in range(3):
        play(env, STAY)
        rows.append(cells(env)[0])
    assert rows == ["AA    ", "AAA   ", "AAAA  "]


@pytest.mark.parametrize("near", range(5))
def test_harvest_probability_is_chosen_by_the_number_of_apples_near(build, near):
    base = ["AAA ", " A  ", " A  ", "   P"]
    ring = "".join("A" if k < near else " " for k in range(4))
    bare = [f"{ring[0]}{ring[1]}{ring[2]} ", "    ", f" {ring[3]}  ", "    "]
    for number in range(4):
        chances = [1.0 if number == n else 0.0 for n in range(4)]
        env = build(base, [(3, 3)], [0], now=bare, apple_spawn_probabilities=chances)
        play(env, STAY)
        assert (cells(env)[1] == " A  ") == (number == min(near, 3))


# --- beams ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", range(4))
@pytest.mark.parametrize(("action", "color"), [(FIRE, YELLOW), (CLEAN, CYAN)])
def test_three_rays_of_five_cells(build, direction, action, color):
    env = build(HALL, [(7, 7)], [direction], game="Cleanup-v0")
    play(env, action)
    ahead = np.array([(0, 1), (1, 0), (0, -1), (-1, 0)][direction])
    aside = ahead[::-1]
    expected = {tuple(np.array((7, 7)) + k * ahead) for k in range(1, 6)}
    for side in (-1, 1):
        expected |= {tuple(np.array((7, 7)) + side * aside + k * ahead) for k in range(5)}
    assert colored(env, color) == expected


def test_rays_stop_before_a_wall_each_for_itself(build):
    walled = [*HALL[:5], "@      @      @", *HALL[6:]]  # wall at (5, 7)
    env = build(walled, [(7, 7)], [FACING_UP])
    play(env, FIRE)
    assert colored(env, YELLOW) == {
        (6, 7),
        *((row, col) for row in range(3, 8) for col in (6, 8)),
    }


def test_the_first_agent_stops_a_ray_and_is_covered(build):
    env = build(HALL, [(7, 7), (5, 7), (4, 7), (7, 1)], [FACING_UP] * 4)
    assert rewards(env, [FIRE, STAY, STAY, STAY]) == [-1, -50, 0, 0]
    assert colored(env, YELLOW) & {(6, 7), (5, 7), (4, 7)} == {(6, 7), (5, 7)}


@pytest.mark.parametrize(
    ("target", "is_hit"),
    [
        *(((6, 7), True), ((2, 7), True), ((1, 7), False)),  # ahead: 1 to 5 cells away
        *(((7, 6), True), ((3, 6), True), ((2, 6), False)),  # left: from beside the agent on
        *(((7, 8), True), ((3, 8), True), ((2, 8), False)),  # right
        *(((8, 7), False), ((8, 6), False), ((6, 5), False)),  # behind and further aside
    ],
)
def test_who_is_hit(build, target, is_hit):
    env = build(HALL, [(7, 7), target], [FACING_UP, FACING_UP])
    counts = events(env, [FIRE, STAY])
    assert counts == {"shots": [1, 0], **({"hits": [0, 1]} if is_hit else {})}


def test_fines_add_up(build):
    """Two shoot each other and both hit a third one; it eats in the same step."""
    base = ["       ", " P PAP ", "       "]
    env = build(base, [(1, 2), (1, 5), (2, 4)], [FACING_RIGHT, FACING_LEFT, FACING_UP])
    _, reward, *_, info = play(env, [FIRE, FIRE, AHEAD])
    # The third now stands between the two, so that they do not hit each other.
    assert reward[0].tolist() == [-1, -1, 1 - 2 * 50]
    by_name = dict(zip(env.event_names, info["events"][0].T.tolist(), strict=True))
    assert by_name == {"apples": [0, 0, 1], "shots": [1, 1, 0], "hits": [0, 0, 2]}


def test_beams_are_drawn_over_everything_for_one_step(build):
    base = ["@@@@@@@@", "@   AP @", "@@@@@@@@"]
    env = build(base, [(1, 1), (1, 6)], [FACING_RIGHT, FACING_RIGHT], show_beams=True)
    obs = play(env, [FIRE, STAY])[0]
    shown = {(1, 2), (1, 3), (1, 4), (1, 5), (1, 6)}  # the apple and the other agent included
    assert colored(env, YELLOW) == shown
    middle = env.obs_shape[0] // 2
    in_view = np.argwhere((obs[0, 0] == YELLOW).all(-1)).tolist()
    assert in_view == [[middle - k, middle] for k in (5, 4, 3, 2, 1)]
    play(env, STAY)
    assert colored(env, YELLOW) == set()


def test_hidden_beams_are_drawn_in_the_full_picture_only(build):
    env = build(HALL, [(7, 7)], [FACING_UP], show_beams=False)
    obs = play(env, FIRE)[0]
    assert not (obs[0, 0] == YELLOW).all(-1).any()
    assert len(colored(env, YELLOW)) == 15


def test_cleaning_rays_turn_the_first_waste_into_river(build):
    base = ["@@@@@@@", "@HHRHH@", "@HRRHH@", "@RRHRH@", "@@@@@@@", "   P   "]
    env = build(base, [(2, 2)], [FACING_RIGHT], game="Cleanup-v0", seed=1)
    assert events(env, CLEAN) == {"cleaned": [3]}
    assert cells(env)[1:4] == ["@HRRHH@", "@HRRRH@", "@RRRRH@"]
    assert colored(env, CYAN) == {(1, 2), (2, 3), (2, 4), (3, 2), (3, 3)}
    assert rewards(env, CLEAN) == [0]
    assert cells(env)[1:4] == ["@HRRRH@", "@HRRRR@", "@RRRRR@"]


def test_agents_stop_cleaning_rays_unharmed(build):
    base = ["@@@@@@@", "@ RRHH@", "@@@@@@@", "       "]
    env = build(base, [(1, 1), (1, 3)], [FACING_RIGHT, FACING_UP], game="Cleanup-v0")
    assert rewards(env, [CLEAN, STAY]) == [0, 0]
    assert cells(env) == base
    assert colored(env, CYAN) == {(1, 2), (1, 3)}


def test_waste_does_not_stop_fire(build):
    base = ["@@@@@@@", "@ HHHP@", "@@@@@@@"]
    env = build(base, [(1, 1), (1, 5)], [FACING_RIGHT, FACING_UP], game="Cleanup-v0")
    assert rewards(env, [FIRE, STAY]) == [-1, -50]
    assert cells(env) == ["@@@@@@@", "@ HHH @", "@@@@@@@"]


def test_waste_under_an_agent_can_be_cleaned(build):
    base = ["@@@@@@@", "@ RHHR@", "@@@@@@@", "       "]
    env = build(base, [(1, 1), (1, 3)], [FACING_RIGHT, FACING_UP], game="Cleanup-v0")
    assert events(env, [CLEAN, STAY]) == {"cleaned": [1, 0]}
    assert cells(env)[1] == "@ RRHR@"


# --- growth in Cleanup ---------------------------------------------------------------------------

RIVER = ["PPRRRRRRRRRR", " BBBB       "]
POLLUTED = ["  HHHHRRRRRR", "            "]  # 4 of 10


def test_nothing_grows_in_polluted_water(build):
    env = build(
        RIVER,
        [(0, 0)],
        [0],
        game="Cleanup-v0",
        now=POLLUTED,
        apple_spawn_probability=1.0,
        waste_spawn_probability=1.0,
    )
    play(env, *[STAY] * 20)
    assert cells(env) == POLLUTED


def test_one_cell_of_waste_a_step_until_the_water_is_polluted(build):
    env = build(RIVER, [(0, 0)], [0], game="Cleanup-v0", waste_spawn_probability=1.0)
    shares = []
    for _ in range(6):
        play(env, STAY)
        shares.append("".join(cells(env)).count("H"))
    assert shares == [1, 2, 3, 4, 4, 4]


def test_clean_water_lets_apples_grow_but_not_under_agents(build):
    env = build(RIVER, [(1, 2)], [0], game="Cleanup-v0", apple_spawn_probability=1.0)
    play(env, STAY)
    assert cells(env)[1] == " A AA       "
    assert rewards(env, AHEAD) == [1]
    assert cells(env)[1] == " AA A       "


@pytest.mark.parametrize("seed", range(5))
def test_waste_does_not_grow_under_agents(build, seed):
    env = build(
        ["PRRRP"],
        [(0, 1), (0, 3)],
        [0, 0],
        game="Cleanup-v0",
        waste_spawn_probability=1.0,
        seed=seed,
    )
    play(env, STAY)
    assert cells(env) == [" RHR "]


def test_pollution_threshold_is_an_option(build):
    options = {"game": "Cleanup-v0", "waste_spawn_probability": 1.0, "depletion_threshold": 0.75}
    env = build(RIVER, [(0, 0)], [0], **options)
    play(env, *[STAY] * 20)
    assert "".join(cells(env)).count("H") == 8  # the first share not below 0.75


def test_below_the_restoration_threshold_apples_grow_at_full_speed(build):
    options = {"game": "Cleanup-v0", "apple_spawn_probability": 1.0}
    some_waste = ["  HHHRRRRRRR", "            "]
    env = build(RIVER, [(0, 0)], [0], now=some_waste, restoration_threshold=0.3, **options)
    play(env, STAY)
    assert cells(env)[1] == " AAAA       "


def test_growth_runs_once_before_the_first_view(build):
    env = build(RIVER, [(0, 0)], [0], game="Cleanup-v0", waste_spawn_probability=1.0)
    obs, _ = env.reset(seed=4)
    assert "".join(cells(env)).count("H") == 1
    np.testing.assert_array_equal(obs, env.observe())


# --- episodes and views --------------------------------------------------------------------------


@pytest.mark.parametrize("game", ["Cleanup-v0", "Harvest-v0", "BoxTrapped-v0"])
def test_time_limit_truncates_and_nothing_terminates(build, game):
    base = (
        ["@@@@@@", "@PP#T@", "@@@@@@"]
        if game == "BoxTrapped-v0"
        else ["@@@@@@", "@PP  @", "@@@@@@"]
    )
    env = build(base, [(1, 1), (1, 4)], [0, 0], game=game, max_steps=3)
    for step in range(1, 4):
        _, _, terminated, truncated, info = play(env, STAY)
        assert not terminated.any()
        assert truncated.all() == truncated.any() == info["done"][0] == (step == 3)
    assert info["last_actions"].tolist() == [[-1, -1]]  # the next episode has begun


@pytest.mark.parametrize(
    ("direction", "egocentric", "public"),
    [
        # Where in the view a wall two cells above the agent on the map is seen.
        (FACING_UP, (0, 2), (0, 2)),
        (FACING_DOWN, (4, 2), (4, 2)),
        (FACING_RIGHT, (2, 0), (2, 4)),
        (FACING_LEFT, (2, 4), (2, 0)),
    ],
)
@pytest.mark.parametrize("view_rotation", ["egocentric", "public"])
def test_view_looks_up(build, view_rotation, direction, egocentric, public):
    base = ["       ", "   @   ", *["       "] * 5]
    env = build(base, [(3, 3)], [direction], view_size=5, view_rotation=view_rotation)
    view = env.observe()[0, 0]
    expected = egocentric if view_rotation == "egocentric" else public
    assert np.argwhere((view == WALL).all(-1)).tolist() == [list(expected)]
    assert view[2, 2].tolist() == [0, 0, 255]  # the agent itself


def test_view_beyond_the_map_is_black_and_a_tile_is_a_square(build):
    env = build(["@@@", "@ @", "@@@"], [(1, 1)], [0], view_size=5, tile_size=3)
    view = env.observe()[0, 0]
    expected = np.zeros((5, 5, 3), dtype=np.uint8)
    expected[1:4, 1:4] = WALL
    expected[2, 2] = (0, 0, 255)
    np.testing.assert_array_equal(view, np.kron(expected, np.ones((3, 3, 1), dtype=np.uint8)))


def test_visible_are_those_inside_the_view(build):
    env = build(HALL, [(7, 7), (5, 9), (4, 7), (7, 10)], [0, 1, 2, 3], view_size=5)
    visible = play(env, STAY)[-1]["visible"][0]
    assert visible.tolist() == [[0, 1, 0, 0], [1, 0, 1, 1], [0, 1, 0, 0], [0, 1, 0, 0]]


def test_an_agent_hides_its_cell(build):
    base = ["@@@@@", "@ HR@", "@@@@@"]
    env = build(base, [(1, 2)], [FACING_UP], game="Cleanup-v0")
    assert env.render(0, tile_size=1)[1].tolist() == [
        list(WALL),
        *([0, 0, 0], [0, 0, 255], [113, 75, 24]),
        list(WALL),
    ]


def test_agents_beyond_the_ninth_have_colors_of_their_own(build):
    base = [" " * 8] * 8
    pos = [(k // 8, k % 8) for k in range(40)]
    env = build(base, pos, [0] * 40)
    picture = env.render(0, tile_size=1).reshape(-1, 3)[:40].tolist()
    assert len({tuple(color) for color in picture}) == 40
    assert [0, 0, 0] not in picture


# --- Switch --------------------------------------------------------------------------------------

SWITCHES = ["@@@D@@@", "@s   s@", "@  PP @", "@@@@@@@"]


def test_door_opens_while_all_switches_are_on(build):
    env = build(SWITCHES, [(1, 2), (1, 4)], [FACING_LEFT, FACING_RIGHT], game="Switch-v0")
    assert events(env, [TOGGLE, STAY]) == {"toggles": [1, 0]}
    assert cells(env)[:2] == ["@@@D@@@", "@S   s@"]
    assert rewards(env, [STAY, TOGGLE]) == [0, 0]
    assert cells(env)[:2] == ["@@@O@@@", "@S   S@"]
    play(env, [TOGGLE, STAY])
    assert cells(env)[:2] == ["@@@D@@@", "@s   S@"]


def test_only_the_switch_straight_ahead_is_toggled(build):
    env = build(SWITCHES, [(1, 3), (1, 2)], [FACING_LEFT, FACING_UP], game="Switch-v0")
    assert events(env, TOGGLE) == {}
    assert cells(env)[1] == "@s   s@"


def test_switches_and_the_closed_door_block(build):
    env = build(
        SWITCHES, [(1, 2), (1, 3), (1, 4)], [FACING_LEFT, FACING_UP, FACING_RIGHT], game="Switch-v0"
    )
    assert rewards(env, AHEAD) == [0, 0, 0]
    assert positions(env) == [(1, 2), (1, 3), (1, 4)]


def test_open_door_pays_and_ends_the_episode_of_those_who_walk_in(build):
    opened = ["@@@O@@@", "@S   S@", "@     @", "@@@@@@@"]
    env = build(SWITCHES, [(1, 3), (2, 3)], [FACING_UP, FACING_UP], game="Switch-v0", now=opened)
    _, reward, terminated, truncated, info = play(env, AHEAD)
    assert reward.tolist() == [[1, 0]]
    assert terminated.tolist() == [[True, False]]
    assert info["active"].tolist() == [[False, True]]
    assert info["visible"].tolist() == [[[0, 0], [0, 0]]]
    assert not truncated.any()
    assert not info["done"][0]
    # The first has left: it is not in the way, and when all have left the episode is over.
    _, reward, terminated, truncated, info = play(env, AHEAD)
    assert reward.tolist() == [[0, 1]]
    assert terminated.all()
    assert not truncated.any()
    assert info["done"][0]


def test_those_who_left_are_out_of_sight_and_see_nothing(build):
    opened = ["@@@O@@@", "@S   S@", "@     @", "@@@@@@@"]
    env = build(SWITCHES, [(1, 3), (2, 2)], [FACING_UP, FACING_UP], game="Switch-v0", now=opened)
    obs, *_ = play(env, [AHEAD, STAY])
    assert (obs[0, 0] == BLACK).all()
    assert env.render(0, tile_size=1)[0, 3].tolist() == [255, 255, 255]


# --- Box Trapped ---------------------------------------------------------------------------------

TRAP = ["@@@@@@@", "@A    @", "@PP ###", "@   #T#", "@   ###", "@@@@@@@"]
FREED = ["@@@@@@@", "@A    @", "@      ", "@      ", "@      ", "@@@@@@@"]


def trapped(build, **options):
    return build(TRAP, [(1, 2), (3, 5)], [FACING_LEFT, FACING_UP], game="BoxTrapped-v0", **options)


def test_one_starts_in_the_box_and_one_outside(build):
    env = trapped(build)
    starts = set()
    for seed in range(10):
        env.reset(seed=seed)
        outside, inside = positions(env)
        assert inside == (3, 5)
        starts.add(outside)
    assert starts == {(2, 1), (2, 2)}


def test_the_box_holds(build):
    env = trapped(build)
    for action in (LEFT, RIGHT, AHEAD, BACK):
        play(env, [STAY, action])
        assert positions(env)[1] == (3, 5)
    assert [line[4:] for line in cells(env)[2:5]] == ["###", "# #", "###"]


def test_open_box_works_from_anywhere_and_once(build):
    env = trapped(build)
    assert events(env, [OPEN_BOX, AHEAD]) == {"opened": [1, 0]}
    assert cells(env) == FREED
    assert positions(env)[1] == (3, 5)  # the box was still there when it tried to move
    assert events(env, [OPEN_BOX, AHEAD]) == {}
    assert positions(env)[1] == (2, 5)


def test_opening_pays_nothing(build):
    assert rewards(trapped(build), [OPEN_BOX, STAY]) == [0, 0]


def test_each_entry_of_an_apple_pays_and_the_apple_stays(build):
    env = trapped(build)
    told = [rewards(env, [action, STAY])[0] for action in (AHEAD, STAY, BACK, AHEAD, AHEAD)]
    assert told == [1, 0, 0, 1, 0]  # the last one runs against the wall and stays
    assert cells(env)[1] == "@A    @"


def test_only_the_first_agent_can_open(build):
    env = trapped(build)
    assert tuple(env.action_counts) == (8, 7)
