"""What a pytest run loads of the plugin: next to nothing where there are no sweeps."""

import pytest

from tests.conftest import IN_ORDER, ROOT

pytest_plugins = ["pytester"]

LIGHT = {
    "harness",
    "harness.errors",
    "harness.plugin",
    "harness.plugin.hooks",
    "harness.session",
    "harness.session.arguments",
    "harness.session.options",
}

PROJECT = """
import sys
import pytest

@pytest.fixture
def run():
    return 1

def test_plain(run):
    pass

def test_modules():
    heavy = ("harness", "numpy", "scipy", "sqlalchemy", "rich", "jinja2", "torch", "jax", "ray")
    print("loaded:", *(name for name in sys.modules if name.partition(".")[0] in heavy))
"""

SWEEP = """
from harness import LogUniform, Sweep

small = Sweep("small", runs=2, steps=5, space=dict(learning_rate=LogUniform(1e-7, 1e-6)))

def test_run(run):
    run.train()
"""


@pytest.fixture
def loaded(pytester, monkeypatch):
    """Return what a project's last test finds in ``sys.modules``."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTEST_ADDOPTS", IN_ORDER)

    def names(project, *options):
        pytester.makepyfile(project)
        result = pytester.runpytest_subprocess("-p", "harness.plugin", "-s", *options)
        assert result.ret == 0
        (line,) = (line for line in result.outlines if "loaded:" in line)
        return set(line.partition("loaded:")[2].split())

    return names


def test_a_project_without_sweeps_loads_the_options_alone(loaded):
    assert loaded(PROJECT) == LIGHT


def test_an_option_loads_the_hooks_of_a_session(loaded):
    found = loaded(PROJECT, "--sweep-offline")
    assert {"harness.plugin.collection", "harness.records", "harness.session.session"} <= found


def test_a_module_with_a_sweep_loads_the_hooks_of_a_session(loaded):
    assert {"harness.plugin.collection", "numpy"} <= loaded(SWEEP + PROJECT)


@pytest.mark.parametrize("options", [["--help"], ["--collect-only", "--sweep", "toy"]])
def test_help_and_collection_import_nothing_heavy(sweeps, options):
    sweeps.write()
    (sweeps.path / "conftest.py").write_text(
        "import atexit, sys\n"
        "heavy = {'torch', 'jax', 'ray', 'scipy', 'sqlalchemy', 'tabulate', 'jinja2', 'rich'}\n"
        "atexit.register(lambda: print('HEAVY', sorted(heavy & set(sys.modules))))\n"
    )
    result = sweeps.run_apart("-s", *options)
    assert result.ret == 0
    assert "HEAVY []" in result.stdout.str()
