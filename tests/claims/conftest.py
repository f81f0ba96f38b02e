"""What the tests of several claims share."""

from __future__ import annotations

import pytest

from harness.claims.power import sweep_power
from tests.claims.powers import make_sweep
from tests.judging.nights import kept, reference

__all__ = ["kept", "reference"]


@pytest.fixture(scope="session")
def everything():
    """Return the power of every question of the sweep."""
    return sweep_power(make_sweep(), baseline_runs=48)
