"""``sweep refine``: of a table, of a stored sweep, and into a file that pytest and sweep take."""

import json
import re
from pathlib import Path

import pytest

from harness import Pairs
from harness.plugin.declared import discover
from harness.store import Store
from tests import published_broad
from tests.factories import make_results

pytest_plugins = ["pytester"]
PAGE = Path(__file__).parents[2] / "docs" / "refine.md"


@pytest.fixture
def table(pytester):
    """A project with a table and no sweeps."""
    pytester.makeini("[pytest]\n")
    (pytester.path / "experiments").mkdir()
    published_broad.write(pytester.path / "runs.csv")
    return "runs.csv --steps 50"


@pytest.fixture
def trained(sweeps):
    """A project with a sweep of 12 runs, and arms of it, in its store."""
    body = "sweep = toy(runs=12, arms=dict(null=2, batch_size=Pairs(12, values=(4,))))"
    sweeps.write(body=body)
    sweeps.run("--sweep", "toy", "--sweep-fail-on", "failed")
    return sweeps


def data(sweep, line):
    status, out, err = sweep(f"{line} --json")
    assert (status, err) == (0, ""), err
    return json.loads(out)


# ---- a table ------------------------------------------------------------------------------------


def test_the_python_is_the_output_and_the_reasons_are_beside_it(sweep, table):
    status, out, err = sweep(f"refine {table}")
    assert status == 0
    compile(out, "out", "exec")
    assert out.endswith("    question.judge()\n")
    assert "runs.csv → runs_refined: 48 runs of 50 steps, 1 parameter changed" in err
    assert "outcome: ΔPerf, from delta_perf" in err
    titles = ("Parameters", "What it gives up", "Arms", "Size and cost", "Power")
    for title in (*titles, "What to do with the next 48 runs"):
        assert re.search(rf"^{title}\n═+$", err, re.M), title
    assert max(map(len, err.splitlines())) <= 80


def test_a_sweep_without_arms_has_no_table_of_them(sweep, pytester):
    rows = "".join(f"{'ab'[i % 2]},{0.5 + 0.01 * (i % 7)}\n" for i in range(24))
    (pytester.path / "runs.csv").write_text(f"norm,accuracy\n{rows}")
    status, _, err = sweep("refine runs.csv")
    assert status == 0
    assert "What it gives up" in err
    assert not re.search("^Arms$", err, re.M)


def test_a_file_is_written_that_pytest_and_sweep_take(sweep, table, pytester):
    file = Path("experiments/test_runs_refined.py").resolve()
    status, out, err = sweep(f"refine {table} --output {file}")
    assert (status, err) == (0, "")
    assert out.endswith(f"\nwritten: {file}\n")
    assert max(len(line) for line in out.splitlines() if "written" not in line) <= 80
    (declared,) = discover([file]).values()
    assert declared.arms["batch_size"] == Pairs(12, values=(4, 12))
    planned = data(sweep, "plan runs_refined")
    assert len(planned["runs"]) == 48 + 2 + 8 + 12 + 24
    assert {run["config"]["batch_size"] for run in planned["runs"]} == {4, 8, 12}
    assert [one["power"] for one in planned["power"] if one["question"] == "batch_size"] != [0.0]
    collected = pytester.runpytest_inprocess(
        "-p", "harness.plugin", file, "--collect-only", "-q", "--sweep", "runs_refined"
    )
    assert collected.ret == 0
    items = ["*::test_run?runs_refined-*", "*test_question?*-batch_size?"]
    collected.stdout.fnmatch_lines_random(items)


def test_no_file_is_overwritten(sweep, table):
    file = Path("experiments/test_mine.py")
    file.write_text("# mine\n")
    status, out, err = sweep(f"refine {table} --output {file}")
    assert (status, out) == (2, "")
    assert "--output experiments/test_mine.py exists" in err
    assert file.read_text() == "# mine\n"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("runs.csv", "runs.csv does not say how many steps its runs have"),
        ("runs.csv --steps 50 --output nowhere/test_a.py", "there is no folder nowhere"),
        (
            "runs.csv --steps 50 --output experiments/next.py",
            "like test_*.py or *_test.py",
        ),
        ("runs.csv --steps 50 --runs 8", "--runs 8 is fewer than the 12 pairs"),
        ("runs.csv --steps 50 --name 'no name'", "use letters, digits"),
        ("runs.csv --steps 50 --margin 0", "is not a number above 0"),
        ("runs.csv --steps 0", "is not a whole number of at least 1"),
        ("runs.csv --steps 50 --next-runs 0", "is not a whole number of at least 1"),
        ("none.csv", "there is no file none.csv"),
        ("nothing", "'nothing' is no table"),
        ("nothing --metric x", "--metric says how a table is read"),
    ],
)
def test_bad_usage_is_one_line_and_writes_nothing(sweep, table, line, said):
    status, out, err = sweep(f"refine {line}")
    assert (status, out) == (2, "")
    assert said in err
    assert "Traceback" not in err
    assert list(Path("experiments").iterdir()) == []


def test_the_file_says_by_which_command_it_was_made(sweep, table):
    out = sweep(f"refine {table} --runs 24 --margin 0.05 --name next")[1]
    first = " ".join(out.split('"""')[1].split())
    assert "Made by `sweep refine runs.csv --runs 24 --steps 50 --margin 0.05 --name next`" in first
    assert '"next",\n' in out
    assert "margin=0.05" in out


def test_json_has_it_all(sweep, table):
    found = data(sweep, f"refine {table}")
    assert (found["schema"], found["source"], found["runs"], found["tests"]) == (
        1,
        "runs.csv",
        48,
        12,
    )
    batch = next(one for one in found["parameters"] if one["parameter"] == "batch_size")
    assert (batch["action"], batch["before"], batch["after"]) == ("fix", "4, 8, 12", "8")
    assert batch["pairs"] == [4, 12]
    assert batch["figure"]["p_value"] < batch["figure"]["needed"]
    assert {one["arm"]: one["size"] for one in found["arms"]} == {
        "placebo": 2,
        "null": 8,
        "half": 12,
        "batch_size": 12,
    }
    assert found["cost"]["runs"] == 94
    assert found["cost"]["seconds"] is None
    assert {one["question"] for one in found["power"]} == set(found["questions"])
    compile(found["python"], "out", "exec")


@pytest.mark.parametrize(
    ("options", "has_margin"),
    [
        ("--before before --after after", True),  # a change of a score, here up and there down
        ("--metric after --direction max", True),
        ("--metric after --direction max --target 0.5", True),
        ("--metric after --direction min", False),
        ("--before few --after many --params kind", False),
        ("--metric many --direction max --params kind", False),
    ],
)
def test_refine_takes_the_margin_that_judge_takes(sweep, table, options, has_margin):
    lines = ["kind,before,after,few,many"]
    lines += [
        f"{'ab'[n % 2]},0.4,{0.2 + 0.02 * n},{7 * n % 24},{9 * (7 * n % 24) + n % 3}"
        for n in range(24)
    ]
    Path("scores.csv").write_text("\n".join(lines))
    judged = " ".join(data(sweep, f"judge scores.csv {options}")["read"])
    refined = " ".join(data(sweep, f"refine scores.csv --steps 50 {options}")["beside"])
    assert ("margin 0.02" in judged) == has_margin
    assert ("no margin" in judged) != has_margin
    assert ("no margin is stated" in refined) != has_margin


def test_a_table_says_first_what_to_do_next_and_cannot_train_its_runs_again(sweep, table):
    first, *_ = sweep(f"refine {table}")[2].splitlines()
    assert first.startswith("Next: ")
    found = data(sweep, f"refine {table} --next-runs 9")
    assert found["next"]["runs"] == 9
    typed = {one["kind"]: one["commands"] for one in found["next"]["options"]}
    assert typed.pop("confirm") == []
    (written, trained), *rest = typed.values()
    assert rest == []
    assert written == f"sweep refine {table} --output experiments/test_runs_refined.py"
    assert trained == "pytest experiments/test_runs_refined.py --sweep runs_refined"
    assert sweep(written.removeprefix("sweep "))[0] == 0
    assert Path("experiments/test_runs_refined.py").exists()


# ---- a stored sweep -----------------------------------------------------------------------------


def test_a_stored_sweep_is_the_baseline_of_the_next(sweep, trained):
    status, out, err = sweep("refine toy --output experiments/test_next.py")
    assert (status, err) == (0, "")
    new = discover(["experiments"])["toy_refined"]
    old = discover(["experiments"])["toy"]
    assert new.baseline == "toy"
    assert new.trainer is old.trainer
    assert (new.runs, new.steps, new.evaluate_every) == (12, 20, 5)
    assert {"mean_vs_baseline", "plateau", "lr_sweet_spot"} <= set(new.questions)
    assert "About" in out  # the runs of the store say how long one takes
    result = trained.run("--sweep", "toy,toy_refined", "--sweep-fail-on", "failed")
    assert result.ret == 0
    assert any(run.startswith("toy_refined-") for run in trained.trained)


def test_a_stored_sweep_has_the_commands_that_train_it_again(sweep, trained):
    found = data(sweep, "refine toy --output experiments/test_next.py")
    assert found["next"]["runs"] == 12
    typed = {one["kind"]: one for one in found["next"]["options"]}
    confirm = typed["confirm"]
    size = f"--top {len(confirm['leaders'])} --seeds {confirm['seeds']}"
    assert confirm["commands"] == [f"sweep confirm toy {size}"]
    assert typed["seeds"]["commands"] == ["pytest experiments/ --sweep toy --sweep-seeds 2"]
    assert typed["seeds"]["with_arms"] == 12 + 2 + 12
    last = typed.get("narrower") or typed["wider"]
    assert last["commands"] == ["pytest experiments/test_next.py --sweep toy_refined"]
    assert found["selection"]["best"] in confirm["leaders"]


def test_pairs_that_a_sweep_has_had_are_looked_at(sweep, trained):
    found = data(sweep, "refine toy")
    batch = next(one for one in found["parameters"] if one["parameter"] == "batch_size")
    assert "against 4" in batch["why"]
    assert "(12 pairs)" in batch["why"]


def test_a_name_that_is_taken_is_refused(sweep, trained):
    trained.write(file="test_other", body='other = toy("other")')
    status, out, err = sweep("refine toy --name other")
    assert (status, out) == (2, "")
    assert "a sweep 'other' is declared already" in err


def test_a_stored_sweep_that_is_not_declared_is_refined_too(sweep, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    deltas = [0.01 * (index % 5) for index in range(24)]
    with Store.open("sqlite:///runs.db") as store:
        for result in make_results(deltas, prefix="old", parameters={"generations": [16] * 24}):
            store.save(result)
    found = data(sweep, "refine old --store runs.db")
    assert 'baseline="old"' in found["python"]
    assert "NotImplementedError" not in found["python"]
    assert any("inferred from its runs" in line for line in found["beside"])


def test_nothing_finished_is_one_line(sweep, sweeps):
    sweeps.write()
    (sweeps.path / ".sweep").mkdir()
    with Store.open(f"sqlite:///{sweeps.path}/.sweep/store.db"):
        pass
    status, out, err = sweep("refine toy")
    assert (status, out) == (2, "")
    assert "no run of sweep 'toy' has finished" in err


def test_every_field_of_its_json_is_documented(sweep, table):
    def fields(value):
        if isinstance(value, dict):
            yield from value
        for inside in value.values() if isinstance(value, dict) else value:
            if isinstance(inside, dict | list):
                yield from fields(inside)

    options = PAGE.with_name("options.md").read_text()
    plan = [line for line in options.splitlines() if line.startswith("| `plan` |")]
    named = set(re.findall(r"`(\w+)`", "\n".join([PAGE.read_text(), *plan])))
    assert set(fields(data(sweep, f"refine {table}"))) <= named
