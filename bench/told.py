"""A plugin of pytest: writes down every test as it is done, for ``gpu.py``."""

from __future__ import annotations

import json
import os

import pytest


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Append a line to the file that ``SOCIALGRID_TOLD`` names."""
    if "PYTEST_XDIST_WORKER" in os.environ or (report.passed and report.when != "call"):
        return
    line = {
        "test": report.nodeid,
        "outcome": report.outcome,
        "seconds": report.duration,
        "difference": dict(report.user_properties).get("difference"),
        "said": report.longreprtext.splitlines() if report.failed else [],
    }
    with open(os.environ["SOCIALGRID_TOLD"], "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
