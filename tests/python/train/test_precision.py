"""In which numbers a run computes: asked for, found, recorded, kept."""

import json

import pytest
import torch
from tests.python.train.runs import Silent, tiny

from socialgrid.config import (
    Hardware,
    RunConfig,
    UsageError,
    choose_precision,
    from_dict,
    load_config,
    load_preset,
    preset_names,
)
from socialgrid.models import ActorCritic, ViewSpec
from socialgrid.train import (
    create_run,
    flags_in,
    hardware,
    load_newest,
    make_trainer,
    prepare_torch,
    resume_run,
)

PLAIN = Hardware("cpu", flags=frozenset({"avx2", "avx512f"}))
HALVES = Hardware("cpu", flags=frozenset({"avx512_bf16", "avx2"}))
ARM = Hardware("cpu", flags=frozenset({"neon", "bf16"}))
MAC = Hardware("cpu", flags=frozenset({"FEAT_BF16"}))
TURING = Hardware("cuda", capability=(7, 5))
AMPERE = Hardware("cuda", capability=(8, 0))
HOPPER = Hardware("cuda", capability=(9, 0))
OTHER = Hardware("cuda", capability=None)
METAL = Hardware("mps")
ALL, EXACT = ("float32", "tf32", "bf16"), ("float32", "tf32")


@pytest.mark.parametrize(
    ("machine", "on_policy", "off_policy"),
    [
        (PLAIN, "float32", "float32"),
        (HALVES, "float32", "float32"),
        (ARM, "float32", "float32"),
        (TURING, "float32", "float32"),
        (AMPERE, "bf16", "tf32"),
        (HOPPER, "bf16", "tf32"),
        (OTHER, "float32", "float32"),
        (METAL, "float32", "float32"),
    ],
)
def test_auto_takes_what_is_fast_there(machine, on_policy, off_policy):
    assert choose_precision("auto", machine, "ppo", ALL) == on_policy
    assert choose_precision("auto", machine, "dqn", EXACT) == off_policy


@pytest.mark.parametrize(
    ("asked", "having"),
    [
        ("float32", [PLAIN, HALVES, ARM, MAC, TURING, AMPERE, HOPPER, OTHER, METAL]),
        ("tf32", [AMPERE, HOPPER]),
        ("bf16", [HALVES, ARM, MAC, AMPERE, HOPPER]),
    ],
)
def test_what_is_asked_for_is_had_or_refused_in_one_line(asked, having):
    for machine in (PLAIN, HALVES, ARM, MAC, TURING, AMPERE, HOPPER, OTHER, METAL):
        if machine in having:
            assert choose_precision(asked, machine, "ppo", ALL) == asked
            continue
        with pytest.raises(UsageError) as error:
            choose_precision(asked, machine, "ppo", ALL)
        assert f"run.precision: this {machine.device} has no {asked} of its own" in str(error.value)
        assert "\n" not in str(error.value)
    with pytest.raises(UsageError, match="dqn computes in float32 or tf32, not bf16"):
        choose_precision("bf16", HOPPER, "dqn", EXACT)


def test_flags_of_a_processor_are_read():
    x86 = ["processor\t: 0", "flags\t\t: fpu avx512f avx512_bf16", "processor\t: 1", "flags\t: x"]
    assert flags_in(x86) == {"fpu", "avx512f", "avx512_bf16"}
    assert flags_in(["Features\t: fp asimd bf16"]) == {"fp", "asimd", "bf16"}
    assert flags_in(["model name : nothing else"]) == frozenset()
    here = hardware("cpu")
    assert (here.device, here.capability) == ("cpu", None)
    avx512 = torch.backends.cpu.get_cpu_capability() == "AVX512"
    assert avx512 <= ("avx512f" in here.flags), "torch found what the flags do not name"


def test_reproductions_are_exact_and_others_are_fast():
    for name in preset_names():
        preset = load_preset(name)
        wanted = "float32" if preset.reproduces else "auto"
        assert preset.config.run.precision == wanted, name


def having(monkeypatch, machine):
    monkeypatch.setattr("socialgrid.train.precision.hardware", lambda device: machine)


def config_of(tmp_path, precision):
    changes = {"run": {"precision": precision, "total_steps": 256}}
    return from_dict(changes, load_preset(tiny(tmp_path)).config)


def test_what_is_missing_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    having(monkeypatch, PLAIN)
    for asked in ("tf32", "bf16"):
        with pytest.raises(UsageError, match=f"this cpu has no {asked} of its own"):
            create_run(config_of(tmp_path, asked), tmp_path / "run")
        assert not (tmp_path / "run").exists()


def test_auto_is_settled_when_a_run_begins_and_kept(tmp_path, monkeypatch):
    having(monkeypatch, HALVES)
    run = create_run(config_of(tmp_path, "bf16"), tmp_path / "half")
    assert run.learner.model.dtype == torch.bfloat16
    run.train(Silent())
    (session,) = json.loads((tmp_path / "half" / "resolved.json").read_text())["sessions"]
    assert session["precision"] == "bf16"
    resumed, told = resume_run(tmp_path / "half", 384)
    assert (told, resumed.learner.model.dtype) == ([], torch.bfloat16)
    resumed.train(Silent())
    having(monkeypatch, PLAIN)
    resumed, told = resume_run(tmp_path / "half", 512)
    assert told == ["run.precision: this cpu has no bf16 of its own: the run goes on in it, slowly"]
    assert resumed.learner.model.dtype == torch.bfloat16
    resumed.train(Silent())
    assert load_newest(tmp_path / "half" / "checkpoints")[1].state["env_steps"] == 512

    create_run(config_of(tmp_path, "auto"), tmp_path / "auto").train(Silent())
    assert load_config(tmp_path / "auto").run.precision == "float32"
    having(monkeypatch, AMPERE)
    resumed, told = resume_run(tmp_path / "auto", 384)
    assert (told, resumed.config.run.precision) == ([], "float32")
    resumed.lock.release()
    # Workers compute on the CPU, whatever there is beside it.
    changes = {"algorithm": {"name": "a3c", "workers": 2}, "aux": {"prediction": "none"}}
    monkeypatch.undo()
    trainer = make_trainer(from_dict(changes, config_of(tmp_path, "auto")), tmp_path / "workers")
    assert {share.run.precision for share, _ in trainer.shares} == {"float32"}


def test_a_run_says_how_products_are_rounded():
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    try:
        for precision, products in (("tf32", "high"), ("bf16", "high"), ("float32", "highest")):
            prepare_torch(RunConfig(precision=precision, threads=torch.get_num_threads()))
            assert torch.get_float32_matmul_precision() == products
            assert torch.backends.cudnn.allow_tf32 == (precision != "float32")
            assert not torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def test_networks_take_what_has_been_settled():
    for precision in ("auto", "fp32"):
        with pytest.raises(ValueError, match="must be one of"):
            ActorCritic(ViewSpec(7, 7, 3, (7,)), precision=precision)
    assert ActorCritic(ViewSpec(7, 7, 3, (7,)), precision="tf32").dtype == torch.float32
