"""Modules that a session imported are forgotten, and nothing else is."""

import importlib
import sys

import pytest

from harness.executors.load import forget_project


@pytest.mark.parametrize("below", ["", "site-packages"])
def test_a_project_s_modules_are_forgotten_and_nobody_else_s(tmp_path, monkeypatch, below):
    (tmp_path / below).mkdir(exist_ok=True)
    (tmp_path / below / "of_the_project.py").write_text("X = 1")
    monkeypatch.syspath_prepend(tmp_path / below)
    importlib.import_module("of_the_project")
    importlib.import_module("colorsys")
    before = sys.modules.keys() - {"of_the_project", "colorsys"}
    # Python itself may lie below the root, where that is somebody's home.
    forget_project(tmp_path.parents[-1], before, [one for one in sys.path if one != str(tmp_path)])
    assert "colorsys" in sys.modules
    assert ("of_the_project" in sys.modules) == bool(below)
    assert str(tmp_path) not in sys.path
    sys.modules.pop("of_the_project", None)
