"""Options shared by the Python tests."""

import pytest
from hypothesis import settings

settings.register_profile("socialgrid", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("socialgrid")


def pytest_addoption(parser):
    parser.addoption(
        "--reference-steps",
        type=int,
        default=6_000,
        metavar="N",
        help="environment steps for which the core is compared with the reference (default 6000)",
    )


@pytest.fixture
def reference_steps(request):
    return request.config.getoption("--reference-steps")
