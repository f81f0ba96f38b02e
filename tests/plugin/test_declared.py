import re
import sys
import textwrap
import types

import pytest

from harness.errors import SweepError, UsageError
from harness.plugin.declared import Declared, declared, discover
from harness.sweeps.discovery import sweeps_in
from harness.sweeps.sweep import Sweep

SWEEP = "from harness import Sweep\n{0} = Sweep({0!r}, runs=2, steps=3, space=dict(x=1))\n"


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    return write


def test_sweeps_are_found_by_name_below_directories_and_in_files(write, tmp_path):
    write("experiments/test_a.py", SWEEP.format("a"))
    write("experiments/deep/b_test.py", SWEEP.format("b"))
    named = write("elsewhere/any_name.py", SWEEP.format("c"))
    found = discover([tmp_path / "experiments", named])
    assert list(found) == ["b", "a", "c"]
    assert all(isinstance(sweep, Sweep) for sweep in found.values())


def test_the_file_of_a_sweep_is_known(write, tmp_path):
    file = write("test_a.py", SWEEP.format("a"))
    assert declared([tmp_path]).files == {"a": file}


def test_files_that_pytest_does_not_collect_are_left_alone(write, tmp_path):
    write("helper.py", SWEEP.format("a"))
    write(".venv/test_a.py", SWEEP.format("a"))
    write("build/test_a.py", SWEEP.format("a"))
    assert declared([tmp_path]) == Declared(patterns=["test_*.py", "*_test.py"])


def test_a_file_named_twice_is_read_once(write, tmp_path):
    file = write("test_a.py", SWEEP.format("a"))
    assert list(discover([tmp_path, file, "test_a.py"])) == ["a"]


@pytest.mark.parametrize("how", ["from test_a import a", "from test_a import a as mine",
                                 "from test_a import *", "import test_a"])  # fmt: skip
def test_an_imported_sweep_belongs_to_the_file_that_declares_it(write, tmp_path, how):
    write("test_a.py", SWEEP.format("a"))
    write("test_b.py", f"{how}\n" + SWEEP.format("b"))
    assert list(discover([tmp_path])) == ["a", "b"]


def test_a_sweep_made_again_under_an_imported_name_counts(write, tmp_path):
    write("test_a.py", SWEEP.format("a"))
    write("test_b.py", "from test_a import a\n" + SWEEP.format("a").replace("'a'", "'b'"))
    assert list(discover([tmp_path])) == ["a", "b"]


def test_a_second_name_for_a_sweep_is_no_second_sweep(write, tmp_path):
    write("test_a.py", SWEEP.format("a") + "again = a\n")
    assert list(discover([tmp_path])) == ["a"]


def test_files_of_a_package_may_import_relatively(write, tmp_path):
    write("pack/__init__.py", "")
    write("pack/shared.py", "RUNS = 5")
    write(
        "pack/test_a.py",
        """
        from harness import Sweep
        from .shared import RUNS
        a = Sweep("a", runs=RUNS, steps=3, space=dict(x=1))
        """,
    )
    assert discover([tmp_path])["a"].runs == 5


def test_what_a_sweep_file_imports_can_still_be_imported_later(write, tmp_path):
    """Trainers import when they are called; pytest's own path ends with pytest."""
    write("pytest.ini", "[pytest]\npythonpath = src\n")
    write("src/in_src.py", "RUNS = 5")
    write("test_a.py", "from in_src import RUNS\n" + SWEEP.format("a").replace("2", "RUNS"))
    assert discover([tmp_path])["a"].runs == 5
    assert str(tmp_path / "src") in sys.path


def test_one_name_in_two_files_names_both(write, tmp_path):
    write("test_a.py", SWEEP.format("a"))
    write("test_b.py", SWEEP.format("a"))
    message = r"sweep 'a' is declared in test_a\.py and in test_b\.py; rename one"
    with pytest.raises(SweepError, match=message):
        discover([tmp_path])


def test_one_name_twice_in_a_file(write, tmp_path):
    write("test_a.py", SWEEP.format("a") + SWEEP.format("a").replace("a =", "b ="))
    with pytest.raises(SweepError, match=r"'a' is declared twice in test_a\.py"):
        discover([tmp_path])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# Sweep\nx = 1 +\n", r"test_a\.py:2: invalid syntax"),
        ("# Sweep\n\n1 / 0\n", r"test_a\.py:3: ZeroDivisionError: division by zero"),
        ("# Sweep\nimport no_such_module\n", r"test_a\.py:2: ModuleNotFoundError: No module"),
        ("from harness import Sweep\ns = Sweep('s', runs=0, steps=1, space=dict(x=1))\n",
         r"test_a\.py:2: sweep 's': runs is 0; expected a whole number of at least 1"),
        ("# Sweep\nraise SystemExit\n", r"test_a\.py:2: SystemExit"),
        ("# Sweep\ndef f():\n    raise ValueError('a\\nb')\nf()\n",
         r"test_a\.py:3: ValueError: a b"),
    ],
)  # fmt: skip
def test_an_error_in_a_file_is_one_line_with_its_place(write, tmp_path, text, message):
    write("test_a.py", text)
    write("test_b.py", SWEEP.format("b"))
    found = declared([tmp_path])
    assert list(found.sweeps) == ["b"]
    assert list(found.unread) == [tmp_path / "test_a.py"]
    assert re.fullmatch(f"{message}.*", found.unread[tmp_path / "test_a.py"])


def test_ctrl_c_in_a_file_is_ctrl_c(write, tmp_path):
    write("test_a.py", "# Sweep\nraise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        discover([tmp_path])


def test_a_path_that_is_not_there():
    with pytest.raises(UsageError, match="no/such/place does not exist"):
        discover(["no/such/place"])


def test_a_module_without_a_file_has_its_own_sweeps():
    module = types.ModuleType("made")
    module.a = Sweep("a", runs=2, steps=3, space={"x": 1})
    module.b = 3
    assert sweeps_in(module) == (module.a,)
    del module.a
    assert sweeps_in(module) == ()
