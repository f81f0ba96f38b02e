"""What is said of the machine, the versions and the commit."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from harness.session.environment import environment

ROOT = Path(__file__).parents[2]


@pytest.fixture
def repository(tmp_path):
    def git(*command):
        identity = ["-c", "user.name=n", "-c", "user.email=e@x", "-c", "commit.gpgsign=false"]
        subprocess.run(
            ["git", "-C", str(tmp_path), *identity, *command], check=True, capture_output=True
        )

    git("init")
    (tmp_path / "sub").mkdir()
    (tmp_path / "file").write_text("1\n")
    git("add", ".")
    return tmp_path, git


def test_versions_are_those_installed(tmp_path):
    found = environment(tmp_path)
    assert found["numpy"] == metadata.version("numpy")
    assert found["scipy"] == metadata.version("scipy")
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert isinstance(found["harness"], str)
    assert 1 <= found["cpus"] <= os.cpu_count()
    assert {"platform", "machine", "torch", "jax", "jaxlib", "optax"} <= set(found)


def test_outside_of_a_repository_there_is_no_commit(tmp_path):
    found = environment(tmp_path)
    assert (found["commit"], found["clean"]) == (None, None)


def test_before_the_first_commit_there_is_none(repository):
    folder, _ = repository
    found = environment(folder)
    assert (found["commit"], found["clean"]) == (None, None)


def test_a_commit_is_clean_until_something_differs(repository, monkeypatch):
    folder, git = repository
    git("commit", "-m", "one")
    found = environment(folder)
    assert len(found["commit"]) == 40
    assert found["clean"] is True
    for home in (folder / ".sweep", folder / "sub" / ".sweep"):
        home.mkdir(parents=True)
        (home / "store.db").touch()
    assert environment(folder)["clean"] is True
    assert environment(folder / "sub")["clean"] is True
    (folder / "new").touch()
    assert environment(folder / "sub")["clean"] is False
    (folder / "new").unlink()
    (folder / "file").write_text("2\n")
    assert environment(folder)["clean"] is False
    git("commit", "-am", "two")
    assert environment(folder)["clean"] is True
    assert environment(folder)["commit"] != found["commit"]


def test_what_a_session_writes_elsewhere_in_the_repository_leaves_it_clean(repository):
    folder, git = repository
    git("commit", "-m", "one")
    written = folder / "sub" / "out[1]"
    written.mkdir()
    (written / "store.db").touch()
    assert environment(folder, written)["clean"] is True
    assert environment(folder / "sub", written)["clean"] is True
    assert environment(folder)["clean"] is False
    assert environment(folder, folder.parent / "elsewhere")["clean"] is False


def test_inside_a_hook_it_is_still_this_repository(repository, monkeypatch, tmp_path):
    folder, git = repository
    git("commit", "-m", "one")
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    assert environment(folder)["clean"] is True


def test_without_git_there_is_no_commit(repository, monkeypatch):
    folder, git = repository
    git("commit", "-m", "one")
    monkeypatch.setenv("PATH", "/nowhere")
    found = environment(folder)
    assert (found["commit"], found["clean"]) == (None, None)


def test_nothing_is_imported_to_find_out():
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from pathlib import Path\n"
        "from harness.session.environment import environment\n"
        "environment(Path())\n"
        "print(sorted({'numpy', 'scipy', 'torch', 'jax'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
