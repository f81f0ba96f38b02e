import argparse
import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness import cli
from harness.cli.plan import estimate
from harness.store import Store
from harness.sweeps.discovery import discover
from harness.sweeps.plan import Selection, plan
from tests.factories import make_result
from tests.tables.tables import write_csv

ROOT = Path(__file__).parents[2]
pytest_plugins = ["pytester"]


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


def data(sweep, line):
    status, out, err = sweep(f"{line} --json")
    assert (status, err) == (0, ""), err
    return json.loads(out)


# ---- help and usage -----------------------------------------------------------------------------


def parsers():
    top = cli.parser()
    yield "", top
    (verbs,) = [a for a in top._actions if isinstance(a, argparse._SubParsersAction)]
    assert [choice.dest for choice in verbs._choices_actions] == list(cli.VERBS)
    assert all(choice.help for choice in verbs._choices_actions)
    yield from verbs.choices.items()


@pytest.mark.parametrize(("name", "parser"), list(parsers()))
def test_every_verb_and_every_option_has_help(name, parser):
    assert parser.description
    for action in parser._actions:
        if not isinstance(action, argparse._SubParsersAction):
            assert action.help, action
            assert action.help != argparse.SUPPRESS, action


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_takes_json_and_prints_its_help(sweep, verb):
    status, out, _ = sweep(f"{verb} --help")
    assert status == 0
    assert "--json" in out


def test_the_version(sweep):
    status, out, _ = sweep("--version")
    assert status == 0
    assert re.fullmatch(r"pytest-sweep \d+\.\d+\.\d+\n", out)


@pytest.mark.parametrize("line", ["", "no_such_verb", "plan", "report", "plan toy --runs 0",
                                  "plan toy --steps x", "plan toy --arms ,", "list --nonsense",
                                  "runs --status happy", "plan toy --jso"])  # fmt: skip
def test_bad_usage_is_status_2(sweep, declared, line):
    status, out, err = sweep(line)
    assert (status, out) == (2, "")
    assert "error:" in err
    assert "Traceback" not in err


def test_help_loads_nothing_heavy():
    code = (
        "import sys\nfrom harness import cli\n"
        "try: cli.main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'numpy', 'scipy', 'sqlalchemy', 'torch', 'jax', 'ray', 'tabulate', 'jinja2', "
        "'pytest', 'rich'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stderr == "[]\n"


# ---- list ---------------------------------------------------------------------------------------


def test_list(sweep, declared):
    status, out, _ = sweep("list")
    assert status == 0
    assert re.search(r"^toy +8 +20 +placebo 1, batch_size 2 +wide +1$", out, re.MULTILINE)
    assert re.search(r"^wide +4 +20 +none +none +0$", out, re.MULTILINE)


def test_list_as_json(sweep, declared):
    toy, wide = data(sweep, "list")["sweeps"]
    assert toy == {
        "sweep": "toy",
        "runs": 8,
        "steps": 20,
        "arms": {"placebo": 1, "batch_size": 2},
        "baseline": "wide",
        "questions": ["success_above_half"],
        "file": "experiments/test_toy.py",
    }
    assert wide["baseline"] is None


def test_list_of_nothing(sweep, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiments").mkdir()
    assert sweep("list") == (0, "no sweep is declared\n", "")


def test_experiments_are_where_they_are_said_to_be(sweep, declared):
    Path("experiments").rename("elsewhere")
    status, _out, err = sweep("list")
    assert status == 2
    assert re.fullmatch(r"sweep: error: .*/experiments does not exist; .*\n", err)
    assert len(data(sweep, "list --experiments elsewhere")["sweeps"]) == 2
    (declared.path / "more").mkdir()
    (declared.path / "more" / "test_c.py").write_text(
        "from harness import Sweep\nc = Sweep('c', runs=1, steps=1, space=dict(x=1))"
    )
    line = "list --experiments elsewhere --experiments more/test_c.py"
    assert [row["sweep"] for row in data(sweep, line)["sweeps"]] == ["toy", "wide", "c"]


def test_the_root_is_found_from_below(sweep, declared, monkeypatch):
    monkeypatch.chdir(declared.path / "experiments")
    assert len(data(sweep, "list")["sweeps"]) == 2


# ---- plan ---------------------------------------------------------------------------------------


def test_plan_as_json_is_the_plan_of_the_sweep(sweep, declared):
    plan = data(sweep, "plan toy")
    assert list(plan) == ["sweep", "runs", "coverage", "duplicates", "cost", "power", "audit"]
    arms = [run["arm"] for run in plan["runs"]]
    assert arms == ["main"] * 8 + ["placebo"] + ["batch_size"] * 2
    first = plan["runs"][0]
    assert list(first) == ["id", "arm", "pair", "seed", "steps", "config"]
    assert first["config"]["batch_size"] == 8
    assert plan["runs"][-1]["config"]["batch_size"] == 4
    assert plan["cost"] == {
        "runs": 11,
        "steps": 220,
        "completions": None,
        "seconds": None,
        "stored_runs": 0,
    }


def test_plan_in_words(sweep, declared):
    status, out, _ = sweep("plan toy")
    assert status == 0
    assert out.startswith("toy: 8 runs of 20 steps, random sample, seed 3\n")
    assert "log-uniform 1e-07 to 1e-06 (1.0 orders of magnitude)" in out
    assert len(re.findall(r"^0\d +\d", out, re.MULTILINE)) == 8
    assert re.search(r"^placebo +1 +20 +the first 1 run.* learning rate of 0", out, re.MULTILINE)
    assert re.search(r"^batch_size +2 +20 +the first 2 runs with batch size 4", out, re.MULTILINE)
    assert "Cost: 11 runs, 220 steps." in out
    assert "Time is not known yet: no run is stored." in out


@pytest.fixture
def both_installed(monkeypatch):
    monkeypatch.setattr("harness.training.backends._installed", lambda module: True)


@pytest.mark.usefixtures("priced_once")
def test_plan_says_which_backend_it_is_about(sweep, monkeypatch, tmp_path, both_installed):
    monkeypatch.chdir(tmp_path)
    line = f"plan focused --experiments {ROOT / 'experiments'}"
    said = "\ntrained with backend torch (auto; jax is installed too), float32\n"
    assert said in sweep(line)[1]
    assert (
        "\ntrained with backend jax, bfloat16\n"
        in sweep(f"{line} --backend jax --precision bfloat16")[1]
    )


def test_a_sweep_with_its_own_function_names_no_backend(sweep, trained, both_installed):
    assert "trained with" not in sweep("plan toy")[1]
    assert "runs looked up" not in sweep("report toy")[1]


def test_plan_of_less(sweep, declared):
    plan = data(sweep, "plan toy --runs 2 --steps 10 --arms none")
    assert [(run["arm"], run["steps"]) for run in plan["runs"]] == [("main", 10)] * 2
    out = sweep("plan toy --runs 2 --steps 10 --arms none")[1]
    assert out.startswith("toy: 2 runs of 10 steps (declared: 8 of 20 steps)")
    arms = {run["arm"] for run in data(sweep, "plan toy --arms placebo")["runs"]}
    assert arms == {"main", "placebo"}
    assert len(data(sweep, "plan toy --arms all")["runs"]) == 11


def test_plan_knows_the_time_from_runs_like_these(sweep, trained):
    cost = data(sweep, "plan toy")["cost"]
    assert cost["stored_runs"] == 13
    assert cost["seconds"] == pytest.approx(0.01 / 20 * 220)
    assert "About 0.1 s with one worker, judging by 13 stored runs." in sweep("plan toy")[1]
    assert data(sweep, "plan toy --precision bfloat16")["cost"]["seconds"] is None


@pytest.mark.usefixtures("priced_once")
def test_plan_without_stored_runs_knows_no_time(sweep, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    plan = data(sweep, f"plan focused --experiments {ROOT / 'experiments'}")
    assert plan["cost"]["completions"] > 0
    assert plan["cost"]["steps"] == 6_400
    assert plan["cost"]["seconds"] is None


@pytest.mark.parametrize("option", ["--backend tensorflow", "--precision float8"])
def test_plan_refuses_what_cannot_be_trained(sweep, monkeypatch, option):
    monkeypatch.chdir(ROOT)
    status, out, err = sweep(f"plan focused {option}")
    assert (status, out) == (2, "")
    assert option.split()[1] in err


def test_plan_with_a_store_that_is_not_there_says_so(sweep, declared):
    status, _, err = sweep("plan toy --store none.db")
    assert status == 2
    assert re.fullmatch(r"sweep: error: there is no store at .*none\.db.*\n", err)


def test_a_name_that_is_nearly_right(sweep, declared):
    for line in ("plan tyo", "report tyo"):
        status, _, err = sweep(line)
        assert status == 2
        assert err == "sweep: error: no sweep 'tyo'; there are toy, wide; did you mean 'toy'?\n"


def test_an_arm_that_the_sweep_has_not(sweep, declared):
    status, _, err = sweep("plan toy --arms placebos")
    assert status == 2
    assert "did you mean 'placebo'?" in err


def test_time_is_estimated_by_completions_where_configs_have_them():
    settings = {"batch_size": 4, "generations": 10}
    done = [make_result(config=settings, steps=10, seconds=s) for s in (4.0, 8.0, 400.0)]
    planned = [make_result(config={**settings, "generations": 20}, steps=10).run]
    cost = estimate(planned, done, "")
    assert (cost.completions, cost.seconds, cost.stored) == (800, pytest.approx(16.0), 3)
    none = estimate(planned, [], "nothing is stored")
    assert (none.seconds, none.why) == (None, "nothing is stored")


# ---- runs ---------------------------------------------------------------------------------------


def test_runs(sweep, trained):
    status, out, _ = sweep("runs")
    assert status == 0
    assert out.endswith("15 runs\n")
    assert re.search(r"^toy-00.* main +completed +\+0\.\d+ ± 0\.005 ", out, re.MULTILINE)
    assert re.search(r"^toy-03.* main +diverged +– ", out, re.MULTILINE)


def test_runs_can_be_narrowed(sweep, trained):
    def ids(line):
        return [run["id"][:6] for run in data(sweep, line)["runs"]]

    assert len(ids("runs toy")) == 11
    assert len(ids("runs wide")) == 4
    assert len(ids("runs toy --arm main")) == 8
    assert ids("runs toy --status diverged") == ["toy-03"]
    assert ids("runs toy --arm placebo --status diverged") == []
    assert sweep("runs toy --arm placebo --status diverged") == (0, "no runs\n", "")


def test_runs_of_a_sweep_that_is_not_stored(sweep, trained):
    status, _, err = sweep("runs toyy")
    assert status == 2
    assert "no sweep 'toyy' and no run of that id or key in the store, which has toy, wide" in err
    assert "did you mean 'toy'?" in err


def test_runs_of_another_store(sweep, trained):
    Path(".sweep/store.db").rename("other.db")
    assert len(data(sweep, "runs --store other.db")["runs"]) == 15
    assert len(data(sweep, f"runs --store sqlite:///{trained.path}/other.db")["runs"]) == 15
    status, _, err = sweep("runs")
    assert status == 2
    assert err.startswith("sweep: error: there is no store at ")


# ---- report -------------------------------------------------------------------------------------


def test_report(sweep, trained):
    status, out, err = sweep("report toy")
    assert (status, err) == (0, "")
    assert out.startswith("toy: ")
    assert "report: " in out.splitlines()[-1]
    folder = trained.path / ".sweep" / "reports" / "toy"
    written = json.loads((folder / "report.json").read_text("utf-8"))
    assert written == data(sweep, "report toy")
    assert len(written["runs"]) == 11


def test_report_agrees_with_that_of_the_session(sweep, trained):
    path = trained.path / ".sweep" / "reports" / "toy" / "report.json"
    assert json.loads(path.read_text("utf-8")) == data(sweep, "report toy")


def test_report_goes_where_it_is_sent(sweep, trained):
    assert sweep("report toy --report out")[0] == 0
    assert sorted(path.name for path in Path("out/toy").iterdir()) == [
        "report.html",
        "report.json",
        "report.md",
    ]
    Path("file").write_text("")
    status, _, err = sweep("report toy --report file")
    assert status == 2
    assert err.startswith("sweep: error: cannot write the report to file")


def test_a_report_on_less_is_marked_and_kept_apart(sweep, trained):
    status, out, _ = sweep("report toy --runs 2 --arms none")
    assert status == 0
    assert out.startswith("SCALED DOWN: 2 of 8 runs, 20 of 20 steps; ")
    assert (trained.path / ".sweep" / "reports" / "toy-smoke").is_dir()
    report = data(sweep, "report toy --steps 10")
    assert (report["scaled_down"], report["complete"]) == (True, False)


def test_strict_is_for_claims_that_are_refuted(sweep, declared, monkeypatch):
    monkeypatch.setenv("GAIN", "-0.05")
    declared.run("--sweep", "toy", "--sweep-fail-on", "failed")
    assert sweep("report toy")[0] == 0
    status, out, _ = sweep("report toy --strict")
    assert status == 1
    assert "refuted" in out


def test_strict_has_nothing_against_what_is_supported(sweep, trained):
    assert sweep("report toy --strict")[0] == 0


def test_report_beside_another_baseline(sweep, trained):
    assert data(sweep, "report toy")["baseline"] == "wide"
    assert data(sweep, "report toy --baseline published")["baseline"] == "published"
    status, _, err = sweep("report toy --baseline none_such")
    assert status == 2
    assert "baseline 'none_such' is not in the store, which has toy, wide" in err


def test_report_beside_a_table_or_counts(sweep, trained, monkeypatch):
    rows = [{"run": f"r{i}", "lr": 1e-7, "steps": 50, "delta_perf": 0.01 * i} for i in range(9)]
    (trained.path / "data").mkdir()
    write_csv(trained.path / "data" / "old runs.csv", rows)
    monkeypatch.chdir(trained.path / "data")
    status, out, err = sweep("report toy --baseline '../data/old runs.csv'")
    assert (status, err) == (0, "")
    folder = trained.path / ".sweep" / "reports" / "toy-vs-old_runs"
    for text in (out, *(folder.joinpath(f"report.{form}").read_text() for form in ("md", "html"))):
        told = " ".join(text.split())
        assert "toy and its baseline old runs" in told
        assert "The baseline is a table. old runs.csv: 9 rows of 4 columns, CSV; outcome" in told
    found = data(sweep, "report toy --baseline 'old runs.csv'")
    assert found["baseline"] == "old runs"
    assert "parameters: learning_rate (lr)" in found["baseline_read"]
    (mixed,) = [
        finding["message"]
        for finding in found["audit"]
        if finding["code"] == "mixed_conditions" and "not like for like" in finding["message"]
    ]
    assert "not like for like: 20 steps against 50; a difference" in mixed
    assert data(sweep, "report toy --baseline 6/19")["baseline"] == "6/19"
    assert (trained.path / ".sweep" / "reports" / "toy-vs-6_19" / "report.md").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("old.csv", "there is no file old.csv; did you mean 'odd.csv'?"),
        ("odd.csv", "odd.csv has no column delta_perf"),
        ("./odd.txt", "there is no file odd.txt"),
        ("20/19", "at most as many successes as runs"),
    ],
)
def test_report_beside_no_table_is_one_line(sweep, trained, given, said):
    (trained.path / "odd.csv").write_text("run,lr,acc\na,1e-7,0.2\n")
    status, out, err = sweep(f"report toy --baseline {given}")
    assert (status, out) == (2, "")
    assert err.startswith("sweep: error: ")
    assert said in err
    assert err.count("\n") == 1


def test_report_says_whose_runs_it_looked_up(sweep, monkeypatch, tmp_path, both_installed):
    monkeypatch.chdir(tmp_path)
    focused = discover([ROOT / "experiments"])["focused"]
    planned = plan(focused, Selection(backend="jax"), trains=False)
    with Store.open("s.db") as store:
        for key, run in list(planned.runs.items())[:2]:
            store.save(replace(make_result(key=key), run=run, conditions=planned.conditions))
    line = f"report focused --experiments {ROOT / 'experiments'} --store s.db --report out"
    out = sweep(line)[1].split("\n\n")[-1]
    said = "backend torch (auto; jax is installed too), float32 (2 more by jax, not counted)"
    assert " ".join(out.split()).startswith(f"runs looked up: {said} report: ")
    assert "\nruns looked up: backend jax, float32\n" in sweep(f"{line} --backend jax")[1]
    assert json.loads(sweep(f"{line} --json")[1])["sweep"] == "focused"


# ---- terminals and pipes ------------------------------------------------------------------------


def terminal(monkeypatch, **environment):
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)


def test_colour_only_on_a_terminal_that_wants_it(sweep, trained, monkeypatch):
    assert "\033" not in sweep("report toy")[1]
    terminal(monkeypatch)
    assert "\033[" in sweep("report toy")[1]
    terminal(monkeypatch, NO_COLOR="1")
    assert "\033" not in sweep("report toy")[1]
    terminal(monkeypatch, TERM="dumb")
    assert "\033" not in sweep("report toy")[1]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_everything_fits_the_terminal(sweep, trained, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    for line in ("list", "plan toy", "runs", "report toy"):
        out = sweep(line)[1].split("\nreport: ")[0]
        assert max(map(len, out.splitlines())) <= width, line


def test_a_reader_that_leaves_is_no_error(trained):
    command = f"{shlex.quote(sys.executable)} -m harness.cli runs --json | true"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, shell=True, capture_output=True, text=True, env=environment, check=False
    )
    assert done.stderr == ""


def test_an_error_in_a_sweep_file_is_one_line(sweep, declared):
    (declared.path / "experiments" / "test_bad.py").write_text("# Sweep\n1 / 0\n")
    status, out, err = sweep("list")
    assert (status, out) == (2, "")
    assert err == "sweep: error: experiments/test_bad.py:2: ZeroDivisionError: division by zero\n"
