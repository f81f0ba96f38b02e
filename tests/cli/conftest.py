"""Projects that tests of several verbs begin with."""

import pytest

from tests.cli.helpers import ROWS
from tests.tables.tables import write_csv


@pytest.fixture
def declared(sweeps):
    """A project with two declared sweeps and nothing trained."""
    sweeps.write(
        body="""
        sweep = toy(baseline="wide")
        wide = toy("wide", runs=4, arms={}, questions={})
        """
    )
    return sweeps


@pytest.fixture
def trained(declared, monkeypatch):
    """The same project after a session with a diverged run."""
    monkeypatch.setenv("MODE_3", "diverges")
    declared.run("--sweep", "toy,wide", "--sweep-fail-on", "failed")
    return declared


@pytest.fixture
def both_installed(monkeypatch):
    monkeypatch.setattr("harness.training.backends._installed", lambda module: True)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty project with a table."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".git").mkdir()
    write_csv(tmp_path / "runs.csv", ROWS)
    return tmp_path
