"""The stacked network equals one plain PyTorch network for each agent."""

import numpy as np
import pytest
import torch
from bench.plain_agent import PlainAgent, copy_from_stack

from socialgrid.config import load_preset, parse_train
from socialgrid.models import ActorCritic as Plain
from socialgrid.models import (
    ModelConfig,
    ViewSpec,
    encoders,
    from_patches,
    kernels,
    layers,
    products,
    put_agent,
    recurrent,
    take_agent,
    to_patches,
)
from socialgrid.social import PredictionOptions, make_mechanisms

SMALL = ModelConfig(channels=(6, 8), features=(12,), memory=10, heads=(9,))


def ActorCritic(spec, config=None, **options):  # noqa: N802
    """A network with the branch that predicts views."""
    mechanism = make_mechanisms([PredictionOptions()], spec)[0]
    return Plain(spec, config, branches={"prediction": mechanism.branch}, **options)


def predict_view(model, core, action):
    return model.branches["prediction"].predict(core, action)


def view_error(model, core, action, views):
    return model.branches["prediction"](core, action, model.encoder.pixels(views))


@pytest.fixture(params=["by agent", "batched"])
def strategy(request, monkeypatch):
    """Both ways of convolving, the second being what accelerators run."""
    if request.param == "batched":
        monkeypatch.setattr(kernels, "KERNELS", None)
        monkeypatch.setattr(products, "ONEDNN_LINEAR", None)
        monkeypatch.setattr(layers, "agent_by_agent", lambda x: False)
        monkeypatch.setattr(recurrent, "steps_with_reset", lambda reset: [True] * reset.shape[1])
    return request.param


def inputs(agents, steps, count, size=21, seed=0):
    gen = torch.Generator().manual_seed(seed)
    obs = torch.randint(
        0, 256, (agents, steps, count, size, size, 3), dtype=torch.uint8, generator=gen
    )
    state = torch.randn(agents, count, 384, generator=gen) * 0.3
    reset = torch.rand(agents, steps, count, generator=gen) < 0.3
    action = torch.randint(0, 7, (agents, steps, count), generator=gen)
    return obs, state, reset, action


def run(model, obs, state, reset, action):
    agents, steps, count = reset.shape
    features = model.encode(model.prepare(obs).flatten(1, 2))
    h, c = model.remember(features.view(agents, steps, count, -1), state, reset)
    core = h.flatten(1, 2)
    return core, model.logits(core), model.value(core), c


def test_one_agent_has_the_papers_number_of_parameters():
    # 7.7: "Altogether there are 668555 parameters."
    model = ActorCritic(ViewSpec(7, 7, 3, (7,)))
    assert model.parameters_per_agent() == 668_555
    assert sum(p.numel() for p in PlainAgent().parameters()) == 668_555
    assert ActorCritic(ViewSpec(7, 7, 3, (7, 7, 7))).parameters_per_agent() == 668_555


def test_the_papers_smaller_network_is_a_matter_of_options():
    # 7.7: "We experimented with smaller (357291-parameter) networks"
    words = ["--channels", "16,32,64", "--features", "160", "--memory", "96", "--heads", "128,128"]
    config = parse_train(words, load_preset("goal-cycle"), "")
    assert ActorCritic(ViewSpec(7, 7, 3, (7,)), config.network).parameters_per_agent() == 357_291


@pytest.mark.parametrize("agents", [1, 3])
def test_forward_and_backward_equal_plain_modules(strategy, agents):
    model = ActorCritic(ViewSpec(7, 7, 3, (7,) * agents), seed=3)
    obs, state, reset, action = inputs(agents, 4, 3)
    core, logits, value, cells = run(model, obs, state, reset, action)
    predicted = predict_view(model, core, action.flatten(1))
    views = model.prepare(obs).flatten(1, 2)
    error = view_error(model, core, action.flatten(1), views)
    (logits.square().sum() + value.sum() + 30 * error.sum()).backward()
    for agent in range(agents):
        plain = PlainAgent()
        copy_from_stack(plain, model, agent)
        h, c = state[agent].chunk(2, -1)
        want, want_logits, want_value, want_c = plain(obs[agent], h, c, reset[agent])
        want_view = plain.predict(want.flatten(0, 1), action[agent].flatten())
        target = obs[agent].flatten(0, 1).float() / 255
        want_error = (want_view - target).abs().mean((1, 2, 3))
        (want_logits.square().sum() + want_value.sum() + 30 * want_error.sum()).backward()
        torch.testing.assert_close(core[agent], want.flatten(0, 1), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(logits[agent], want_logits.flatten(0, 1), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(value[agent], want_value.flatten(), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(cells[agent, -1], want_c, rtol=1e-5, atol=1e-6)
        own = from_patches(predicted[agent], model.spec)
        torch.testing.assert_close(own, want_view, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(error[agent], want_error, rtol=1e-5, atol=1e-6)
        grads = PlainAgent()
        copy_from_stack(grads, _Gradients(model), agent)
        for (name, mine), theirs in zip(grads.named_parameters(), plain.parameters(), strict=True):
            scale = theirs.grad.abs().max()
            assert (mine - theirs.grad).abs().max() <= 1e-4 * scale, name


class _Gradients:
    """Gradients under the names of the parameters."""

    def __init__(self, model):
        self.model = model

    def named_parameters(self):
        return [(name, p.grad) for name, p in self.model.named_parameters()]


def test_agents_receive_no_gradient_from_others(strategy):
    model = ActorCritic(ViewSpec(7, 7, 3, (7, 7)), SMALL)
    obs, state, reset, action = inputs(2, 3, 2)
    core, logits, value, _ = run(model, obs, state[..., :20], reset, action)
    views = model.prepare(obs).flatten(1, 2)
    error = view_error(model, core, action.flatten(1), views)
    (logits[1].sum() + value[1].sum() + error[1].sum()).backward()
    for name, p in model.named_parameters():
        assert not p.grad[0].any(), name
        assert p.grad[1].any(), name


@pytest.mark.parametrize(("tile", "cells"), [(1, 5), (3, 7), (4, 6)])
def test_tile_numbers_give_the_same_numbers_as_pixels(strategy, tile, cells):
    # The look-up table is the first convolution of the atlas, so nothing may change.
    atlas = np.random.default_rng(0).integers(0, 256, (11, tile, tile, 3), dtype=np.uint8)
    rgb = ActorCritic(ViewSpec(cells, cells, tile, (7, 7)), SMALL, seed=1)
    tiles = ActorCritic(ViewSpec(cells, cells, tile, (7, 7), atlas), SMALL, seed=1)
    numbers = torch.randint(0, 11, (2, 3, 4, cells, cells), dtype=torch.uint8)
    image = torch.tensor(atlas)[numbers.long()].transpose(-4, -3)
    image = image.reshape(2, 3, 4, cells * tile, cells * tile, 3)
    _, state, reset, action = inputs(2, 3, 4)
    results = []
    for model, obs in ((rgb, image), (tiles, numbers)):
        core, logits, value, _ = run(model, obs, state[..., :20], reset, action)
        error = view_error(model, core, action.flatten(1), model.prepare(obs).flatten(1, 2))
        (logits.square().sum() + value.sum() + error.sum()).backward()
        results.append((logits, error, [p.grad for p in model.parameters()]))
    torch.testing.assert_close(results[0][0], results[1][0], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(results[0][1], results[1][1], rtol=1e-5, atol=1e-6)
    for a, b in zip(results[0][2], results[1][2], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_sixteen_bit_tile_numbers():
    atlas = np.zeros((300, 1, 1, 3), np.uint8)
    atlas[299] = 255
    model = ActorCritic(ViewSpec(3, 3, 1, (2,), atlas), ModelConfig(channels=(4,), memory=5))
    obs = torch.full((1, 2, 3, 3), 299, dtype=torch.int32).to(torch.uint16)
    blank = torch.zeros_like(obs)
    assert not torch.equal(model.encode(model.prepare(obs)), model.encode(model.prepare(blank)))
    assert model.encoder.pixels(model.prepare(obs)).eq(255).all()


def test_initial_weights_do_not_depend_on_the_other_agents():
    many = ActorCritic(ViewSpec(7, 7, 3, (7,) * 3), SMALL, seed=5)
    alone = ActorCritic(ViewSpec(7, 7, 3, (7,)), SMALL, seed=5, agent_ids=[2])
    for (name, p), q in zip(many.named_parameters(), alone.parameters(), strict=True):
        assert torch.equal(p[2], q[0]), name
        assert not torch.equal(p[1], p[2]), name
    without = Plain(ViewSpec(7, 7, 3, (7,) * 3), SMALL, seed=5)
    for name, p in without.named_parameters():
        assert torch.equal(p, dict(many.named_parameters())[name]), name
    other = ActorCritic(ViewSpec(7, 7, 3, (7,) * 3), SMALL, seed=6)
    assert not torch.equal(other.encoder.first.weight, many.encoder.first.weight)


def test_initial_weights_are_distributed_like_pytorchs():
    model = ActorCritic(ViewSpec(7, 7, 3, (7,)), seed=0)
    plain, drawn = PlainAgent(), PlainAgent()
    copy_from_stack(drawn, model, 0)
    for (name, p), q in zip(drawn.named_parameters(), plain.parameters(), strict=True):
        if p.numel() < 1000:
            continue
        assert p.abs().max().item() == pytest.approx(q.abs().max().item(), rel=0.02), name
        assert p.std().item() == pytest.approx(q.std().item(), rel=0.05), name


def test_agents_can_be_taken_out_and_put_in():
    model = ActorCritic(ViewSpec(7, 7, 3, (7, 7, 7)), SMALL)
    obs, state, reset, action = inputs(3, 2, 2)
    whole = run(model, obs, state[..., :20], reset, action)[1]
    part = model.take_agents([2, 0])
    picked = [2, 0]
    own = run(part, obs[picked], state[picked][..., :20], reset[picked], action[picked])[1]
    torch.testing.assert_close(own, whole[picked], rtol=1e-5, atol=1e-6)
    with torch.no_grad():
        for p in part.parameters():
            p.zero_()
    assert model.encoder.first.weight[2].any(), "parts must not share memory with the whole"
    model.put_agents([2, 0], part)
    for p in model.parameters():
        assert not p[2].any()
        assert not p[0].any()
        assert p[1].any()
    donor = ActorCritic(ViewSpec(7, 7, 3, (7,)), SMALL, seed=9)
    put_agent(model, 0, take_agent(donor, 0))
    assert torch.equal(model.lstm.weight_hh[0], donor.lstm.weight_hh[0])
    with pytest.raises(ValueError, match="missing"):
        put_agent(model, 0, {})
    wrong = take_agent(donor, 0)
    wrong["lstm.weight_hh"] = wrong["lstm.weight_hh"][:1]
    with pytest.raises(ValueError, match=r"lstm\.weight_hh"):
        put_agent(model, 0, wrong)


def test_agents_never_choose_actions_they_lack():
    model = ActorCritic(ViewSpec(7, 7, 3, (3, 7)), SMALL)
    core = torch.randn(2, 5, 10)
    probabilities = model.logits(core).softmax(-1)
    assert not probabilities[0, :, 3:].any()
    assert probabilities[1].min() > 0
    part = model.take_agents([0])
    assert not part.logits(core[:1]).softmax(-1)[..., 3:].any()


def test_bfloat16_stays_close_to_float32(strategy):
    full = ActorCritic(ViewSpec(7, 7, 3, (7, 7)), seed=2)
    half = ActorCritic(ViewSpec(7, 7, 3, (7, 7)), seed=2, precision="bf16")
    obs, state, reset, action = inputs(2, 16, 8)
    grads = []
    for model in (full, half):
        core, logits, value, cells = run(model, obs, state, reset, action)
        error = view_error(model, core, action.flatten(1), model.prepare(obs).flatten(1, 2))
        assert logits.dtype == value.dtype == cells.dtype == error.dtype == torch.float32
        (logits.square().sum() + value.sum() + error.sum()).backward()
        grads.append((logits, error, [p.grad.flatten() for p in model.parameters()]))
    torch.testing.assert_close(grads[1][0], grads[0][0], rtol=0, atol=5e-3)
    torch.testing.assert_close(grads[1][1], grads[0][1], rtol=0.02, atol=0)
    for a, b in zip(grads[0][2], grads[1][2], strict=True):
        assert torch.cosine_similarity(a, b, dim=0) > 0.98


def test_patches_and_back():
    spec = ViewSpec(2, 3, 4, (7,))
    image = torch.arange(8 * 12 * 3).view(8, 12, 3)
    patches = to_patches(image, spec)
    assert torch.equal(patches[4], image[4:8, 4:8].flatten())
    assert torch.equal(from_patches(patches, spec), image)


def test_acting_notices_every_change_of_the_weights():
    # Acting keeps prepared weights of the LSTM; stale ones would go unnoticed.
    model = ActorCritic(ViewSpec(7, 7, 3, (7, 7)), SMALL)
    obs, state, reset, _ = inputs(2, 1, 3)

    def act(net):
        with torch.no_grad():
            return net.step(net.prepare(obs)[:, 0], state[..., :20], reset[:, 0])[0]

    before = act(model)
    assert torch.equal(act(model), before)
    part = model.take_agents([0, 1])
    with torch.no_grad():
        model.lstm.weight_ih[1].add_(0.5)
    after = act(model)
    assert torch.equal(after[0], before[0])
    assert not torch.equal(after[1], before[1])
    assert torch.equal(act(part), before)
    donor = take_agent(model, 1)
    put_agent(part, 1, donor)
    assert torch.equal(act(part), after)


def test_large_batches_without_gradient_are_computed_in_equal_pieces(monkeypatch):
    model = ActorCritic(ViewSpec(7, 7, 3, (7, 7)), SMALL)
    views = model.prepare(inputs(2, 1, 11)[0]).flatten(1, 2)
    with torch.no_grad():
        whole = model.encode(views)
        monkeypatch.setattr(encoders, "PIECE", 4)
        torch.testing.assert_close(model.encode(views), whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ActorCritic(ViewSpec(3, 3, 3, (7,))), "too small"),
        (lambda: ActorCritic(ViewSpec(7, 7, 3, (7,)), precision="fp16"), "precision"),
        (lambda: ActorCritic(ViewSpec(7, 7, 3, (7,)), agent_ids=[1, 2]), "agent_ids"),
        (lambda: ViewSpec(0, 7, 3, (7,)), "at least 1"),
        (lambda: ViewSpec(7, 7, 3, ()), "action_counts"),
        (lambda: ViewSpec(7, 7, 3, (7,), np.zeros((4, 2, 2, 3), np.uint8)), "atlas"),
        (lambda: ViewSpec(7, 7, 1, (7,), np.zeros((40_000, 1, 1, 3), np.uint8)), "32768"),
        (lambda: ModelConfig(channels=()), "channels"),
        (lambda: ModelConfig(memory=0), "memory"),
        (lambda: ModelConfig(heads=(0,)), "heads"),
    ],
)
def test_impossible_networks_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
