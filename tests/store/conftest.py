"""What tests of stores share."""

from __future__ import annotations

import pytest

from harness.store import Store
from tests.factories import make_result, make_trace


@pytest.fixture
def path(tmp_path):
    """The file of a store with one result in it."""
    path = tmp_path / "store.db"
    with Store.open(str(path)) as store:
        store.save(make_result(trace=make_trace([0.1] * 50)))
    return path
