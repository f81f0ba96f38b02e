"""``sweep init``: a first sweep that runs as it is, and one with a space from elsewhere."""

import json
import os
import shlex
import subprocess
import sys

import pytest

from harness.cli.init import MODELS, NEEDS, TEMPLATES
from tests.docs.pages import DOCS, ROOT, commands, example_files

SWEEPS = [path.stem.removeprefix("test_") for path in sorted(TEMPLATES.glob("*/test_*.py"))]

YAML = "{method: random, run_cap: 12, program: train.py, parameters: {lr: {min: 0.1, max: 1.0}}}"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder, which nothing says is a project, with a space from elsewhere beside it."""
    (tmp_path / "space.yaml").write_text(YAML)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.fixture
def typed(here):
    """Type a command that was printed, in a process of its own."""

    def run(line, **environment):
        module, *arguments = shlex.split(line)
        module = {"sweep": "harness.cli"}.get(module, module)
        return subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=here,
            env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "80"} | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_there_is_a_folder_of_examples_for_each_template():
    assert {path.name for path in TEMPLATES.iterdir() if path.is_dir()} - {"__pycache__"} == set(
        NEEDS
    )
    assert TEMPLATES.resolve() == ROOT / "experiments" / "examples"


@pytest.mark.parametrize("template", NEEDS)
def test_the_files_of_a_template_are_those_of_the_example(sweep, here, template):
    status, out, _ = sweep(f"init --template {template}")
    assert status == 0
    names = [path.name for path in (TEMPLATES / template).glob("*.py")]
    assert len(names) >= 2
    for name in names:
        written = (here / "experiments" / name).read_bytes()
        assert written == (ROOT / "experiments" / "examples" / template / name).read_bytes()
        assert f"written: experiments/{name}" in out
    (declared,) = json.loads(sweep("list --json")[1])["sweeps"]
    name = declared["sweep"]
    model = MODELS.get(template)
    plan, train = (f" --model={model}", f" --sweep-model={model}") if model else ("", "")
    assert out.endswith(
        f"next:\n  sweep plan {name}{plan}\n  pytest experiments/ --sweep {name}{train}\n"
    )


def test_the_page_shows_the_example_as_it_is():
    shown = example_files(DOCS / "first-sweep.md")
    for name in ("digits_trainer.py", "test_digits.py"):
        assert shown[name] == f"# {name}\n{(TEMPLATES / 'sklearn' / name).read_text()}"


def test_the_page_has_the_commands_that_are_printed(sweep, here):
    printed = json.loads(sweep("init --json")[1])["next"]
    shown = [command for command, _ in commands(DOCS / "first-sweep.md")]
    assert shown[:4] == ["pip install pytest-sweep", "sweep init", *printed]


def test_what_is_written_is_found_where_the_commands_look(sweep, here):
    status, out, _ = sweep("init --json")
    printed = json.loads(out)
    assert (status, printed["sweep"]) == (0, "first")
    assert printed["next"] == ["sweep plan first", "pytest experiments/ --sweep first"]
    assert printed["written"] == ["experiments/first_trainer.py", "experiments/test_first.py"]
    listed = json.loads(sweep("list --json")[1])
    assert [one["sweep"] for one in listed["sweeps"]] == ["first"]
    assert sweep("plan first")[0] == 0


def test_another_folder_is_named_in_the_commands(sweep, here):
    out = sweep("init --template numpy 'my sweeps'")[1]
    assert (
        "  sweep plan first --experiments 'my sweeps'\n  pytest 'my sweeps/' --sweep first\n" in out
    )
    assert sweep("plan first --experiments 'my sweeps'")[0] == 0


def test_nothing_is_overwritten_without_force(sweep, here):
    (here / "experiments").mkdir()
    (here / "experiments" / "test_first.py").write_text("mine")
    status, _, err = sweep("init")
    assert status == 2
    assert "experiments/test_first.py exists" in err
    assert "--force" in err
    assert [path.name for path in (here / "experiments").iterdir()] == ["test_first.py"]
    assert (here / "experiments" / "test_first.py").read_text() == "mine"
    assert sweep("init --force")[0] == 0
    assert "Sweep(" in (here / "experiments" / "test_first.py").read_text()


def test_a_library_that_is_not_here_is_said_with_what_installs_it(sweep, here, monkeypatch):
    monkeypatch.setattr("harness.cli.init.find_spec", lambda name: None)
    status, _, err = sweep("init --template torch")
    assert status == 0
    said = 'it trains with torch, which is not installed: pip install "pytest-sweep[torch]"'
    assert err == f"sweep: note: {said}\n"


@pytest.mark.parametrize("template", MODELS)
def test_a_template_with_a_model_says_where_its_folder_goes(sweep, here, template):
    _, _, err = sweep(f"init --template {template}")
    assert err.endswith(f"a language model: put its folder in the place of {MODELS[template]}\n")
    (here / MODELS[template]).mkdir(parents=True)
    assert "language model" not in sweep(f"init --force --template {template}")[2]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--template keras", "invalid choice: 'keras'"),
        ("--template torch --from ../space.yaml", "not allowed with argument"),
        ("--runs 3", "--runs needs --from"),
        ("--from none.yaml", "none.yaml: there is no such file"),
        ("--from ../space.yaml --name a/b", "--name 'a/b': use letters"),
        ("--from ../space.yaml space.yaml/x/../..", "cannot be written to"),
    ],
)
def test_a_mistake_is_said_and_writes_nothing(sweep, here, line, said):
    (here / "space.yaml").write_text("a file where a folder is asked for")
    status, out, err = sweep(f"init {line}")
    assert (status, out) == (2, "")
    assert said in " ".join(err.split())
    assert not (here / "experiments").exists()


def test_a_learning_rate_of_zero_names_the_file(sweep, here):
    (here / "w.yaml").write_text("{parameters: {learning_rate: {min: 0.0, max: 1.0}}}")
    status, _, err = sweep("init --from w.yaml")
    assert status == 2
    assert err.startswith("sweep: error: w.yaml: ")
    assert "learning_rate: 0.0 is not above zero" in err


def test_a_space_from_elsewhere_is_a_sweep_that_is_listed_and_planned(sweep, here):
    status, out, err = sweep("init --from ../space.yaml")
    assert status == 0
    assert out == (
        "written: experiments/test_space.py\n"
        "next:\n  sweep plan space\n  pytest experiments/ --sweep space\n"
    )
    assert err == "sweep: note: program train.py: train runs it, with run.command\n"
    text = (here / "experiments" / "test_space.py").read_text()
    assert "Made by `sweep init --from ../space.yaml`." in text
    assert "No counterpart: program train.py" in text
    (listed,) = json.loads(sweep("list --json")[1])["sweeps"]
    assert (listed["sweep"], listed["runs"]) == ("space", 12)
    assert listed["questions"] == ["matters_lr", "best_lr"]
    planned = json.loads(sweep("plan space --json")[1])
    assert all(0.1 <= run["config"]["lr"] <= 1.0 for run in planned["runs"])


def test_name_runs_and_steps_take_the_place_of_the_files(sweep, here):
    assert sweep("init --from ../space.yaml --name mine --runs 8 --steps 50")[0] == 0
    (listed,) = json.loads(sweep("list --json")[1])["sweeps"]
    assert [listed[key] for key in ("sweep", "runs", "steps")] == ["mine", 8, 50]


HEAVY = ("torch", "jax", "sklearn", "transformers", "trl", "datasets", "pandas")


def test_the_examples_are_found_without_what_they_train_with(tmp_path):
    examples = sorted(map(str, TEMPLATES.resolve().glob("*/test_*.py")))
    code = (
        "import sys, pytest\n"
        f"pytest.main(['--collect-only', '-q', '-p', 'no:cacheprovider', *{examples}, '--sweep', "
        f"{','.join(SWEEPS)!r}])\n"
        f"print('loaded:', [name for name in {HEAVY} if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    collected, _, loaded = done.stdout.partition("loaded:")
    assert loaded.strip() == "[]"
    assert " error" not in collected
    assert all(f"test_run[{name}-" in collected for name in SWEEPS)


def test_another_sweep_of_the_experiments_trains_no_example():
    line = [sys.executable, "-m", "pytest", "experiments/", "--sweep", "focused"]
    line += ["--collect-only", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "test_run[focused-" in done.stdout
    assert not any(f"[{name}-" in done.stdout for name in SWEEPS)


def lines_of_train(file):
    """Return the lines of code between ``def train`` and its end."""
    lines = file.read_text().splitlines()
    begins = next(at for at, line in enumerate(lines) if line.startswith("def train("))
    body = []
    for line in lines[begins + 1 :]:
        if line and not line.startswith(" "):
            break
        body.append(line)
    return [line for line in body if line.strip()]


OWN = [name for name in NEEDS if name not in MODELS]
"""The templates with a training function; the harness trains the others."""


@pytest.mark.parametrize("template", OWN)
def test_training_is_at_most_fifteen_lines_and_forty_with_trl(template):
    (trainer,) = (TEMPLATES / template).glob("*_trainer.py")
    assert 1 <= len(lines_of_train(trainer)) <= (40 if template == "trl" else 15)


MARKED = [
    pytest.param(name, marks=getattr(pytest.mark, name)) if name in ("torch", "jax") else name
    for name in OWN
    if name != "trl"  # tests/integrations/test_transformers.py trains that one to a report
]


@pytest.mark.slow
@pytest.mark.parametrize("template", MARKED)
def test_the_commands_that_are_printed_run_to_a_verdict(typed, here, template):
    printed = json.loads(typed(f"sweep init --template {template} --json").stdout)
    assert printed["notes"] == []
    plan, train = printed["next"]
    planned = typed(plan)
    assert planned.returncode == 0, planned.stderr
    assert "Cost" in planned.stdout
    few = "--sweep-runs 4 --sweep-arms none --sweep-fail-on failed"
    trained = typed(f"{train} {few} -q")
    assert trained.returncode == 0, trained.stdout
    name = printed["sweep"]
    report = json.loads((here / ".sweep/reports" / f"{name}-smoke" / "report.json").read_text())
    assert [run["status"] for run in report["runs"]] == ["completed"] * 4
    assert all(question["verdict"] for question in report["questions"])
