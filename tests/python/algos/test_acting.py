"""Acting in one compiled call against acting in plain PyTorch, for the networks of all presets."""

import copy
import dataclasses

import pytest
import torch

from socialgrid import _core
from socialgrid.algos import A3C, A3CConfig
from socialgrid.config import load_preset, parse_train, preset_names
from socialgrid.models import ModelConfig, ViewSpec, acting, kernels
from socialgrid.train import build_learner, build_worlds, phase_at

pytestmark = pytest.mark.usefixtures("compiled")
ENVS = 9
PLAINLY = acting.plainly
ARMS = ("none", "visible-actions", "influence", "comm", "visible-actions,comm", "moa")


def on_policy_presets():
    for name in preset_names():
        config = load_preset(name).config
        if config.regime.name == "on-policy":
            yield name, len(config.roster.slots)


def cases():
    """(preset, mechanism): mechanisms where several agents learn."""
    for name, learners in on_policy_presets():
        yield from ((name, arm) for arm in (ARMS if learners > 1 else ARMS[:2]))


@pytest.fixture(params=_core.kernel_sets()[:1])
def compiled(request, monkeypatch):
    """Kernels, whatever the environment says, and no other way."""

    def refuse(*_):
        raise AssertionError("this should have been compiled")

    monkeypatch.setattr(kernels, "KERNELS", kernels.chosen(request.param))
    monkeypatch.setattr(acting, "plainly", refuse)


@pytest.fixture
def plain(monkeypatch):
    """Does something without kernels."""

    def work(function):
        with monkeypatch.context() as patch:
            patch.setattr(kernels, "KERNELS", None)
            patch.setattr(acting, "plainly", PLAINLY)
            return function()

    return work


def arm(name, social, mode):
    words = f"--social {social} --env.num-envs {ENVS} --env.obs-mode {mode}"
    words += " --env.num-threads 1 --run.precision float32"
    config = parse_train(words.split(), load_preset(name), "test")
    worlds = build_worlds(config, phase_at(config, 0), 3)
    learner = build_learner(config, worlds.env, torch.device("cpu"), begun=True)
    sharpen(learner)
    return learner, worlds


def sharpen(learner):
    """Larger weights: policies and values that differ visibly from each other."""
    with torch.no_grad():
        for p in learner.model.parameters():
            p.mul_(2.0)


def close(found, expected):
    scale = max(1.0, float(expected.abs().max()))
    assert float((found - expected).abs().max()) < 3e-6 * scale


def agree(found, expected, decided=None):
    """Compare all that is recorded of a step. ``decided``: rows where nothing was at an edge."""
    same = torch.ones(len(found.state), dtype=torch.bool) if decided is None else decided
    assert same.sum() > len(same) / 2
    assert torch.equal(found.state_before, expected.state_before)
    close(found.state[same], expected.state[same])
    if expected.tokens is not None:
        assert torch.equal(found.tokens[same], expected.tokens[same])
    for name, made in found.decisions.items():
        other = expected.decisions[name]
        assert torch.equal(made.choice[same], other.choice[same])
        close(made.log_prob[same], other.log_prob[same])
        close(made.value[same], other.value[same])


def away_from_edges(learner, out, step):
    """Rows in which no draw is so near the edge of a choice that rounding could change it."""
    core = out.state[..., : learner.model.config.memory].transpose(0, 1)
    rows = torch.ones(len(out.state), dtype=torch.bool)
    for kind, heads in enumerate(learner.model.heads.values()):
        edges = heads.logits(core).softmax(-1).cumsum(-1)
        drawn = learner.draws.uniform(step, range(len(rows)), kind=kind)
        rows &= ((edges - drawn).abs() > 1e-5).all(-1).all(0)
    return rows


@pytest.mark.parametrize("mode", ["rgb", "tiles"])
@pytest.mark.parametrize(("name", "social"), list(cases()))
def test_the_compiled_call_is_acting(plain, name, social, mode):
    learner, worlds = arm(name, social, mode)
    env = worlds.env
    columns = list(range(env.num_agents))
    own = [slot for slot in columns if slot in learner.model.own_slots]
    gen = torch.Generator().manual_seed(1)
    first = worlds.reset()
    obs, active = torch.from_numpy(first.obs), torch.from_numpy(first.active)
    state = torch.randn((ENVS, len(own), learner.state_size), generator=gen) * 0.5
    chosen = state[..., 2 * learner.model.config.memory :]
    chosen.copy_(torch.randint(0, 5, chosen.shape, generator=gen))
    counts = torch.tensor(list(env.action_counts))
    for step in range(3):
        absent = torch.rand(active.shape, generator=gen) < 0.2
        reset = ~active | absent
        acted = torch.randint(0, 100, (ENVS, env.num_agents), generator=gen) % counts
        last = {
            "actions": (acted - absent.int() * 100).clamp(min=-1).int(),
            "rewards": torch.randn(acted.shape, generator=gen),
        }
        given = (obs[:, own], state, reset[:, own])
        greedy = step == 2

        def act(given=given, last=last, greedy=greedy, step=step):
            return learner.act(*given, last=last, greedy=greedy, step=step)

        found, expected = act(), plain(act)
        with torch.no_grad():
            agree(found, expected, None if greedy else away_from_edges(learner, expected, step))
        state = found.state
        actions = acted.clone()
        actions[:, own] = found.action
        obs = torch.from_numpy(env.step(actions.int().numpy())[0]).clone()


def tiny(seed=2):
    spec = ViewSpec(4, 5, 2, (3,) * 3)
    model = ModelConfig(channels=(5, 9), kernel=2, features=(17,), memory=10, heads=(11,))
    return A3C(spec, model, A3CConfig(), seed=seed), spec


def views(spec, envs, seed=0, kinds=30):
    gen = torch.Generator().manual_seed(seed)
    palette = torch.randint(0, 256, (kinds, 2, 2, 3), generator=gen, dtype=torch.uint8)
    numbers = torch.randint(0, kinds, (envs, spec.num_agents, spec.rows, spec.cols), generator=gen)
    tiles = palette[numbers].transpose(3, 4)
    return tiles.reshape(envs, spec.num_agents, 2 * spec.rows, 2 * spec.cols, 3)


def given(learner, spec, envs, seed=0, **changes):
    gen = torch.Generator().manual_seed(seed)
    lead = (envs, spec.num_agents)
    state = torch.randn((*lead, learner.state_size), generator=gen)
    reset = torch.rand(lead, generator=gen) < 0.3
    return views(spec, envs, seed, **changes), state, reset


def everything(out):
    made = [x for d in out.decisions.values() for x in (d.choice, d.log_prob, d.value)]
    return [*made, out.state_before, out.state]


def equal(found, expected):
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("compiled", _core.kernel_sets(), indirect=True)
def test_a_row_depends_on_nothing_but_itself(compiled):
    # Else threads, halves and shards of a batch would change what agents do.
    learner, spec = tiny()
    envs = 333
    given_all = given(learner, spec, envs)
    whole = everything(learner.act(*given_all, step=5))
    for share in (1, 2, 13, 64, 200):
        parts = [
            everything(learner.act(*(x[i : i + share] for x in given_all), step=5, first_env=i))
            for i in range(0, envs, share)
        ]
        equal([torch.cat(x) for x in zip(*parts, strict=True)], whole)


def test_threads_change_nothing():
    learner, spec = tiny()
    given_all = given(learner, spec, 300)
    whole = everything(learner.act(*given_all, step=5))
    for threads in (2, 3):
        torch.set_num_threads(threads)
        equal(everything(learner.act(*given_all, step=5)), whole)


def test_views_may_lie_anywhere():
    # A rollout's rows have agents of others between the learner's.
    learner, spec = tiny()
    obs, state, reset = given(learner, spec, 20)
    wide = torch.zeros((20, 5, *obs.shape[2:]), dtype=torch.uint8)
    wide[:, 1:4] = obs
    turned = state.permute(1, 2, 0).contiguous().permute(2, 0, 1)
    for other in ((wide[:, 1:4], state, reset), (obs, turned, reset.t().contiguous().t())):
        equal(
            everything(learner.act(*other, step=0)),
            everything(learner.act(obs, state, reset, step=0)),
        )


def test_more_tiles_than_can_be_remembered(plain):
    # Noise instead of tiles: what is known of tiles is given up and found anew on the way.
    learner, spec = tiny()
    obs, state, reset = given(learner, spec, 200)
    obs = torch.randint(0, 256, obs.shape, dtype=torch.uint8)

    def act():
        return learner.act(obs, state, reset, greedy=True)

    agree(act(), plain(act))
    equal(everything(act()), everything(act()))


@pytest.mark.parametrize(
    "change",
    [
        lambda learner: [p.detach().mul_(0.5) for p in learner.model.parameters()],
        lambda learner: learner.load_tensors(tiny(seed=9)[0].tensors()),
        lambda learner: learner.put_agent(1, learner.take_agent(0)),
        lambda learner: [
            setattr(p, "data", p.detach().clone() * 2) for p in learner.model.parameters()
        ],
    ],
    ids=["in place", "loaded", "an agent put in", "other memory"],
)
def test_changed_parameters_count_at_once(plain, change):
    learner, spec = tiny()
    given_all = given(learner, spec, 8)

    def act():
        return learner.act(*given_all, greedy=True)

    before = act()
    change(learner)
    after = act()
    agree(after, plain(act))
    assert not torch.equal(before.decisions["action"].value, after.decisions["action"].value)


def test_optimisers_steps_count_at_once(plain):
    learner, spec = tiny()
    given_all = given(learner, spec, 8)

    def act():
        return learner.act(*given_all, greedy=True)

    act()
    for p in learner.model.parameters():
        p.grad = torch.ones_like(p)
    learner.stepping = [0, 2]
    learner.apply_gradients()
    agree(act(), plain(act))


def _halve(parameters):
    for p in parameters.values():
        if p.dtype == torch.float32:
            p.mul_(0.5)


def test_what_another_process_changes_counts_at_once(plain):
    # No counter of this process tells of it.
    learner, spec = tiny()
    given_all = given(learner, spec, 8)
    shared = learner.share_memory()
    acting, _ = tiny()
    acting.join(shared)

    def act():
        return acting.act(*given_all, greedy=True)

    before = act()
    own = {name: x for name, x in shared.items() if name.startswith("model/")}
    process = torch.multiprocessing.get_context("fork").Process(target=_halve, args=(own,))
    process.start()
    process.join()
    assert process.exitcode == 0
    after = act()
    agree(after, plain(act))
    assert not torch.equal(before.decisions["action"].value, after.decisions["action"].value)


def test_a_copy_of_a_network_acts_by_its_own_weights():
    learner, spec = tiny()
    given_all = given(learner, spec, 8)
    before = everything(learner.act(*given_all, step=1))
    other = copy.deepcopy(learner)
    sharpen(other)
    equal(everything(learner.act(*given_all, step=1)), before)
    assert not torch.equal(other.act(*given_all, step=1).state, before[-1])


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda o, s, r: (o[:, :, :-1], s, r), r"acting: obs torch.uint8 \(8, 3, 7, 10, 3\), exp"),
        (lambda o, s, r: (o, s[:-1], r), r"acting: state torch.float32 \(7, 3, 20\), expected"),
        (lambda o, s, r: (o, s.double(), r), "acting: state torch.float64"),
        (lambda o, s, r: (o, s, r.int()), "acting: reset torch.int32"),
        (lambda o, s, r: (o, s, r[:, :2]), r"acting: reset torch.bool \(8, 2\)"),
    ],
)
def test_what_does_not_fit_is_refused(wrong, says):
    learner, spec = tiny()
    with pytest.raises(ValueError, match=says):
        learner.act(*wrong(*given(learner, spec, 8)))


def test_tiles_that_there_are_not_are_refused():
    _, spec = tiny()
    atlas = torch.randint(0, 256, (6, 2, 2, 3), dtype=torch.uint8).numpy()
    learner = A3C(dataclasses.replace(spec, atlas=atlas), ModelConfig(channels=(4,)), seed=1)
    state, reset = learner.initial_state(4), torch.zeros((4, 3), dtype=torch.bool)
    for number, dtype in ((6, torch.uint8), (6, torch.uint16), (-1, torch.int16)):
        obs = torch.full((4, 3, 4, 5), number, dtype=torch.int32).to(dtype)
        with pytest.raises(IndexError, match="there are only 6"):
            learner.act(obs, state, reset)
    assert learner.act(torch.full((4, 3, 4, 5), 5).to(torch.uint8), state, reset)
