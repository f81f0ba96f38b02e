"""The names that `harness.statistics` offers, loaded when one is first used."""

import subprocess
import sys
import types

from harness import statistics


def test_every_name_is_offered_and_none_is_hidden_by_a_module_of_its_name():
    """A submodule becomes an attribute of its package as soon as anything of it is loaded."""
    assert not set(statistics._HOMES) & set(statistics._HOME)
    for name in statistics._HOME:
        assert not isinstance(getattr(statistics, name), types.ModuleType), name


def test_nothing_heavy_is_loaded_before_a_name_is_used():
    code = "import sys; import harness.statistics; sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
