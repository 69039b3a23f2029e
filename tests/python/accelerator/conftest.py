"""Which accelerator the tests of this folder use."""

import pytest


@pytest.fixture
def accelerator(request):
    return request.config.getoption("--accelerator")
