"""Options shared by the Python tests."""

import contextlib
import os
import signal

import pytest
from hypothesis import Phase, settings

settings.register_profile(
    "socialgrid",
    derandomize=True,  # a failure repeats
    deadline=None,
    print_blob=True,
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
    report_multiple_bugs=False,
)
settings.load_profile("socialgrid")

# Torch shares the smallest operation among threads, which wait for each other; tests, and the
# programs that they start, have other cores to run on, and say themselves where threads matter.
os.environ["OMP_NUM_THREADS"] = "1"

# A program started in the background, or by nohup, inherits that Ctrl-C or a hang-up is ignored,
# and so would every program that the tests interrupt.
for name, handler in (("SIGINT", signal.default_int_handler), ("SIGHUP", signal.SIG_DFL)):
    number = getattr(signal, name, None)
    if number is not None and signal.getsignal(number) is signal.SIG_IGN:
        with contextlib.suppress(ValueError):  # not in the main thread
            signal.signal(number, handler)


def pytest_addoption(parser):
    parser.addoption(
        "--reference-steps",
        type=int,
        default=6_000,
        metavar="N",
        help="environment steps for which the core is compared with the reference (default 6000)",
    )
    parser.addoption(
        "--property-examples",
        type=int,
        default=60,
        metavar="N",
        help="random sessions that the property test of the batch plays (default 60)",
    )
    parser.addoption(
        "--learning-seeds",
        type=int,
        default=1,
        metavar="N",
        help="seeds with each of which learners have to learn what they are shown (default 1)",
    )
    parser.addoption(
        "--accelerator",
        metavar="DEVICE",
        help="run the tests of an accelerator, too, on this one: cuda or mps",
    )


def pytest_configure(config):
    """Have Triton interpret its kernels: it looks when it is loaded, which PyTorch may do."""
    if not config.getoption("--accelerator"):
        os.environ["TRITON_INTERPRET"] = "1"


def pytest_collection_modifyitems(config, items):
    """Leave out what needs an accelerator unless one is named."""
    if config.getoption("--accelerator"):
        return
    left_out = [item for item in items if item.get_closest_marker("accelerator")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if not item.get_closest_marker("accelerator")]


@pytest.fixture
def reference_steps(request):
    return request.config.getoption("--reference-steps")


def pytest_generate_tests(metafunc):
    if "learning_seed" in metafunc.fixturenames:
        metafunc.parametrize("learning_seed", range(metafunc.config.getoption("--learning-seeds")))
