"""What a training function is made of: local modules, files and packages it depends on."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.records import file_digest
from harness.sweeps import sources as found
from harness.sweeps.sources import changes, described, sources


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with a training function in ``experiments/`` and its modules in ``src/``."""
    monkeypatch.syspath_prepend(tmp_path / "src")
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "experiments").mkdir()
    (tmp_path / "src").mkdir()
    return tmp_path


def write(folder, **files):
    for name, text in files.items():
        path = folder / (name.replace("__", "/").replace("/init", "/__init__") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def files_of(project, *depends_on):
    found = sources(project / "experiments" / "train.py", depends_on)
    return {name.removeprefix("../") for name in found.files}


def test_a_file_alone_has_the_version_it_always_had(project):
    write(project, experiments__train="import json, numpy, harness\n")
    file = project / "experiments" / "train.py"
    assert sources(file).version(file_digest(file)) == file_digest(file)
    assert dict(sources(file).noted) == {"package numpy": numpy.__version__}


@pytest.mark.parametrize(
    "line",
    [
        "import zoo.net",
        "import zoo.net as other",
        "from zoo.net import Net",
        "from zoo import net",
        "def train():\n    from zoo import net",
        "try:\n    import zoo.net\nexcept ImportError:\n    pass",
    ],
)
def test_every_form_of_an_import_is_followed(project, line):
    write(project, experiments__train=line, src__zoo__init="", src__zoo__unused="")
    write(project, src__zoo__net="from . import layer\nfrom .deep.end import x\nimport absent\n")
    write(project, src__zoo__layer="from ..zoo import init\n", src__zoo__deep__end="x = 1")
    assert files_of(project) == {
        "train.py",
        "src/zoo/__init__.py",
        "src/zoo/net.py",
        "src/zoo/layer.py",
        "src/zoo/deep/end.py",
    }


def test_what_only_a_type_checker_imports_is_not_followed(project):
    write(project, src__types_only="", src__otherwise="", src__broken="def (")
    write(
        project,
        experiments__train="import typing, broken\n"
        "if typing.TYPE_CHECKING:\n    import types_only\nelse:\n    import otherwise\n",
    )
    assert files_of(project) == {"train.py", "src/otherwise.py", "src/broken.py"}


def test_a_module_beside_the_function_is_found_as_workers_find_it(project):
    write(project, experiments__train="import beside\nimport pack.inner", experiments__beside="")
    write(project, experiments__pack__inner="")
    assert files_of(project) == {"train.py", "beside.py", "pack/inner.py"}


def test_installed_packages_inside_the_project_are_not_local(project, monkeypatch):
    site = project / ".venv" / "site-packages"
    write(site, installed_thing="")
    monkeypatch.syspath_prepend(site)
    write(project, experiments__train="import installed_thing, hypothesis")
    assert files_of(project) == {"train.py"}


NAMES = [f"m{number}" for number in range(5)]


@settings(max_examples=20, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(NAMES),
            st.sampled_from(NAMES),
            st.sampled_from(["import {}", "from {} import x", "def f():\n    import {}"]),
        )
    )
)
def test_the_files_are_those_that_can_be_reached(tmp_path_factory, edges):
    folder = tmp_path_factory.mktemp("graph")
    for name in NAMES:
        lines = [form.format(imported) for of, imported, form in edges if of == name]
        (folder / f"{name}.py").write_text("\n".join(lines))
    reached = {"m0"}
    for _ in NAMES:
        reached |= {imported for of, imported, _ in edges if of in reached}
    found = sources(folder / "m0.py").files
    assert set(found) == {f"{name}.py" for name in reached}
    assert next(iter(found)) == "m0.py"


def version(project, *depends_on):
    file = project / "experiments" / "train.py"
    return sources(file, depends_on).version(file_digest(file))


def test_each_change_gives_another_version_and_another_place_does_not(project, tmp_path_factory):
    write(project, experiments__train="import zoo", src__zoo__init="from . import net")
    write(project, src__zoo__net="x = 1")
    (project / "weights" / "deep").mkdir(parents=True)
    (project / "weights" / "deep" / "a.bin").write_bytes(b"1")
    (project / "run.sh").write_text("echo")
    outside = tmp_path_factory.mktemp("outside") / "data.bin"
    outside.touch()
    asked = ("weights", Path("run.sh"), "numpy", outside)
    seen = [version(project), version(project, *asked)]
    for name in ("src/zoo/net.py", "src/zoo/__init__.py", "run.sh", "weights/deep/a.bin"):
        with (project / name).open("a") as file:
            file.write("#")
        seen.append(version(project, *asked))
    (project / "weights" / "deep" / "a.bin").rename(project / "weights" / "deep" / "b.bin")
    seen.append(version(project, *asked))
    (project / "weights" / "new").touch()
    seen.append(version(project, *asked))
    assert len(set(seen)) == len(seen)
    (project / "weights" / "__pycache__").mkdir()
    (project / "weights" / "__pycache__" / "a.pyc").touch()
    assert version(project, *asked) == seen[-1]
    moved = tmp_path_factory.mktemp("moved") / "further" / "down"
    shutil.copytree(project, moved)
    sys.path.insert(0, str(moved / "src"))  # syspath_prepend takes it away
    try:
        assert version(moved, *asked) == seen[-1]
    finally:
        sys.path.remove(str(moved / "src"))


def test_what_is_not_there_is_named(project):
    write(project, experiments__train="")
    with pytest.raises(UsageError, match=r"'wieghts', and there is no such file, folder or pack"):
        sources(project / "experiments" / "train.py", ["wieghts"])
    with pytest.raises(UsageError, match=r"'numpy', and there is no such file or folder; paths"):
        sources(project / "experiments" / "train.py", [Path("numpy")])
    (project.parent / "outside").mkdir(exist_ok=True)
    with pytest.raises(UsageError, match="'outside'"):
        sources(project / "experiments" / "train.py", ["outside"])


def test_files_that_the_code_names_are_noted(project):
    (project / "run.sh").write_text("1")
    (project / "base.yaml").write_text("1")
    write(
        project, experiments__train='x = ["run.sh", "base.yaml", "absent.sh", "/etc/hosts", ".."]'
    )
    file = project / "experiments" / "train.py"
    before = sources(file, ["base.yaml"])
    assert list(before.noted) == ["../run.sh"]
    (project / "run.sh").write_text("12")
    assert changes(sources(file).noted, before.noted) == ("../base.yaml", "../run.sh")


@pytest.mark.parametrize(
    ("call", "counted"),
    [
        ('run.command(["python", "go.py", "--n=2"])', {"go.py", "beside.py"}),
        ('run.command([sys.executable, Path("go.py"), *run.arguments()])', {"go.py", "beside.py"}),
        ('run.command(["bash", "../run.sh", "--data=../rows.csv"])', {"run.sh", "rows.csv"}),
        ('run.command(["python", "-m", "zoo.tool"])', {"src/zoo/__init__.py", "src/zoo/tool.py"}),
        ('run.command(["/bin/ls", "no.py", "..", "x" * 999 + "\\0"])', set()),
        ('subprocess.run(["python", "go.py"])', set()),
    ],
)
def test_a_script_that_is_run_as_a_program_counts_with_what_it_imports(project, call, counted):
    write(project, experiments__train=f"def train(run):\n    {call}\n")
    write(project, experiments__go="import beside", experiments__beside="")
    write(project, src__zoo__init="", src__zoo__tool="")
    (project / "run.sh").touch()
    (project / "rows.csv").touch()
    assert files_of(project) == {"train.py"} | counted


def test_changes_are_said_with_the_versions_of_packages():
    then = {"train.py": "a", "package numpy": "2.1.0", "gone.py": "b", "same": "c"}
    now = {"train.py": "b", "package numpy": "2.2.0", "package new": "1", "same": "c"}
    assert changes(now, then) == ("gone.py", "new absent → 1", "numpy 2.1.0 → 2.2.0", "train.py")
    assert described(then) == ("train.py", "numpy 2.1.0", "gone.py", "same")


def test_the_version_of_a_package_is_known_without_reading_all_packages(monkeypatch):
    """That takes a fifth of a second, and every plan asks for the versions of its backend."""

    def every():
        raise AssertionError("all packages are read")

    found._installed.cache_clear()
    monkeypatch.setattr(found, "_distributions", every)
    assert list(found.packages(["numpy"]).values()) == [numpy.__version__]
