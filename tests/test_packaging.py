"""What the package offers to install, what its distributions hold, and what CI runs."""

import ast
import io
import re
import runpy
import shlex
import tarfile
import tomllib
import zipfile
from collections import Counter
from configparser import ConfigParser
from itertools import product
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
OURS = {"test", "dev"}
"""Extras for people who work on the package."""

# ---- extras -------------------------------------------------------------------------------------


IMPORTED_AS = {"mlflow_skinny": "mlflow", "pyyaml": "yaml"}
NEEDED_BY_MLFLOW = {"alembic"}
"""What MLflow imports itself, and its light distribution does not install."""


def libraries(extra):
    """Return the names of what an extra installs by itself, apart from other extras."""
    names = {re.split(r"[<>=\[]", one)[0].replace("-", "_") for one in EXTRAS[extra]}
    return {IMPORTED_AS.get(name, name) for name in names} - {PROJECT["name"].replace("-", "_")}


def included(extra):
    """Return the other extras that an extra brings, and those that they bring."""
    lists = [m[1] for one in EXTRAS[extra] if (m := re.match(r"pytest-sweep\[(.+)\]", one))]
    direct = {name for names in lists for name in names.split(",")}
    return direct.union(*map(included, direct))


def imported():
    """Return the top-level names of every module that the package imports, wherever it does."""
    found = set()
    for path in (ROOT / "harness").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.split(".")[0])
    return found


def test_what_an_extra_of_a_user_installs_is_imported():
    wanted = {library for extra in EXTRAS.keys() - OURS for library in libraries(extra)}
    wanted -= {"trl"}  # by their training functions; the extra has the versions that are supported
    assert wanted >= {"torch", "jax", "ray", "psycopg", "pyarrow", "mlflow", "wandb"}
    assert wanted - NEEDED_BY_MLFLOW <= imported()


def test_the_former_name_of_an_extra_still_works():
    assert included("parquet") == {"tables"}
    assert not libraries("parquet")


def test_a_contributor_has_what_every_extra_has():
    assert included("dev") == EXTRAS.keys() - {"dev", "parquet"}
    assert included("trackers") == {"mlflow", "tensorboard", "wandb", "optuna"}


def test_messages_name_extras_that_there_are():
    named = {
        extra
        for path in (ROOT / "harness").rglob("*.py")
        for names in re.findall(r"pytest-sweep\[([a-z,]+)\]", path.read_text())
        for extra in names.split(",")
    }
    assert named
    assert named <= EXTRAS.keys() - OURS - {"parquet"}


# ---- distributions ------------------------------------------------------------------------------

CHECK = runpy.run_path(str(ROOT / "scripts" / "check_distributions.py"))["check"]
PACKAGE = {
    "harness/__init__.py": "one = 1",
    "harness/py.typed": "",
    "harness/report/page.j2": "{}",
    "pytest_sweep_plugin.py": "",
}
BESIDE = {"LICENSE": "MIT", "README.md": "# Read", "pyproject.toml": "[project]"}
GENERATED = {"PKG-INFO": "", "setup.cfg": "", "MANIFEST.in": "", "pytest_sweep.egg-info/x": ""}


@pytest.fixture
def distributions(tmp_path):
    """Check distributions of the files given, against a small tree."""
    for name, text in {**PACKAGE, **BESIDE, "harness/__pycache__/x.pyc": "compiled"}.items():
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    dist = tmp_path / "dist"
    dist.mkdir()

    def check(wheel, sdist):
        with zipfile.ZipFile(dist / "p-1-py3-none-any.whl", "w") as archive:
            for name, text in {**wheel, "p-1.dist-info/METADATA": "Name: p"}.items():
                archive.writestr(name, text)
        with tarfile.open(dist / "p-1.tar.gz", "w:gz") as archive:
            for name, text in {**sdist, **GENERATED}.items():
                member = tarfile.TarInfo(f"p-1/{name}")
                member.size = len(text.encode())
                archive.addfile(member, io.BytesIO(text.encode()))
        return CHECK(dist, tmp_path / "tree")

    return check


def test_distributions_of_the_tree_are_well(distributions):
    assert distributions(PACKAGE, PACKAGE | BESIDE) == []


@pytest.mark.parametrize("name", PACKAGE)
def test_a_file_of_the_package_is_in_both(distributions, name):
    less = {one: text for one, text in PACKAGE.items() if one != name}
    assert distributions(less, PACKAGE | BESIDE) == [f"the wheel lacks {name}"]
    assert distributions(PACKAGE, less | BESIDE) == [f"the sdist lacks {name}"]


@pytest.mark.parametrize("name", BESIDE)
def test_an_sdist_has_what_the_wheel_is_built_from(distributions, name):
    less = {one: text for one, text in BESIDE.items() if one != name}
    assert distributions(PACKAGE, PACKAGE | less) == [f"the sdist lacks {name}"]


@pytest.mark.parametrize("name", ["tests/test_a.py", "benchmarks/a.py", "harness/gone.py"])
def test_nothing_else_is_in_either(distributions, name):
    more = {name: "stale"}
    said = f"has {name}, which is not of the package"
    assert distributions(PACKAGE | more, PACKAGE | BESIDE) == [f"the wheel {said}"]
    assert distributions(PACKAGE, PACKAGE | BESIDE | more) == [f"the sdist {said}"]


def test_a_file_of_an_older_build_is_seen(distributions):
    older = PACKAGE | {"harness/__init__.py": "one = 0"}
    said = "the wheel has another harness/__init__.py"
    assert distributions(older, PACKAGE | BESIDE) == [said]


def test_a_second_wheel_is_seen(distributions, tmp_path):
    (tmp_path / "dist" / "q-1-py3-none-any.whl").touch()
    (said,) = distributions(PACKAGE, PACKAGE | BESIDE)
    assert said.endswith("has 2 wheels and 1 sdists, not one of each")


# ---- what CI runs -------------------------------------------------------------------------------

TOX = ConfigParser(interpolation=None)
TOX.read(ROOT / "tox.ini")
RUN_BY_DEFAULT = re.split(r",\s*", TOX["tox"]["env_list"])
PROMISED = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
PYTHONS = [f"py{version.replace('.', '')}" for version in PROMISED]
KNOWN = {*RUN_BY_DEFAULT, *PYTHONS} | {name.removeprefix("testenv:") for name in TOX.sections()}


def version(env):
    """Return the version of Python that an environment of tox names: 3.11 of py311."""
    return f"3.{env.removeprefix('py3')}"


def combinations(matrix):
    """Yield what each job of a matrix is filled in with, as GitHub expands it."""
    axes = {name: values for name, values in matrix.items() if name != "include"}
    for values in product(*axes.values()):
        filled = dict(zip(axes, values, strict=True))
        for more in matrix.get("include", []):
            if all(filled[name] == value for name, value in more.items() if name in axes):
                filled |= more
        yield filled


def fill_in(value, filled):
    """Return part of a workflow with the values of a matrix in their places."""
    if isinstance(value, dict):
        return {name: fill_in(one, filled) for name, one in value.items()}
    if isinstance(value, list):
        return [fill_in(one, filled) for one in value]
    if isinstance(value, str):
        return re.sub(r"\$\{\{ matrix\.(\w+) \}\}", lambda found: filled[found[1]], value)
    return value


def jobs(name):
    """Return the jobs of a workflow, those of a matrix one by one."""
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text())
    return [
        fill_in({key: value for key, value in job.items() if key != "strategy"}, filled)
        for job in workflow["jobs"].values()
        for filled in combinations(job.get("strategy", {}).get("matrix", {}))
    ]


def environments(job):
    """Return the environments of tox that a job runs, of commands that can be typed."""
    found = []
    for step in job["steps"]:
        if "uses" in step:
            assert re.fullmatch(r"actions/[a-z-]+@v\d+", step["uses"])
            continue
        program, *rest = shlex.split(step["run"])
        if program == "sudo":
            assert rest[0] == "apt-get"
            continue
        assert (ROOT / program).stat().st_mode & 0o111, f"{program} cannot be run"
        assert rest[0] == "-e"
        found += rest[1].split(",")
    assert set(found) <= KNOWN
    return found


WORKFLOWS = sorted(path.stem for path in (ROOT / ".github" / "workflows").iterdir())


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_s_commands_can_be_run(name):
    assert jobs(name)
    for job in jobs(name):
        assert environments(job)
        assert "${{" not in str(job)
        assert job["timeout-minutes"] <= 60


def test_a_push_runs_each_environment_once_on_linux_and_each_python_on_macos():
    ran = {"ubuntu-latest": Counter(), "macos-latest": Counter()}
    for job in jobs("push"):
        ran[job["runs-on"]].update(environments(job))
    assert ran["ubuntu-latest"] == Counter({*RUN_BY_DEFAULT, *PYTHONS})
    assert ran["macos-latest"] == Counter(PYTHONS)


def test_a_job_has_the_python_that_it_tests():
    for job in jobs("push"):
        (python,) = [
            step["with"]["python-version"]
            for step in job["steps"]
            if step.get("uses", "").startswith("actions/setup-python@")
        ]
        tested = {
            PROMISED[0] if env == "slow" else version(env)
            for env in environments(job)
            if env in [*PYTHONS, "slow"]
        }
        assert tested <= {python}


def test_the_pythons_that_are_promised_are_tested():
    assert PROJECT["requires-python"] == f">={PROMISED[0]}"
    assert re.split(r",\s*", TOX["testenv:slow"]["base_python"]) == PYTHONS
    assert [env for env in RUN_BY_DEFAULT if env in [*PYTHONS, "slow"]] == ["slow", PYTHONS[-1]]


def test_no_test_is_left_out_and_none_runs_twice():
    """What the quick environments deselect is what `slow` selects."""
    quick, slow = (
        re.search(r'-m "([^"]+)"', TOX[name]["commands"])[1] for name in ("testenv", "testenv:slow")
    )
    assert {f"not {mark}" for mark in slow.split(" or ")} == set(quick.split(" and "))


def test_the_night_s_artifacts_are_where_tox_puts_them():
    (job,) = jobs("nightly")
    assert environments(job) == ["nightly"]
    (path,) = [step["with"]["path"] for step in job["steps"] if "upload" in step.get("uses", "")]
    assert f"{{tox_root}}{{/}}{path.rstrip('/')}{{/}}" in TOX["testenv:nightly"]["commands"]
