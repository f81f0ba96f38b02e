"""``sweep import``: runs that were trained elsewhere, into the store."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness import cli
from harness.records import Evaluation
from harness.store import Store
from harness.store.merging import add_imported, merge
from harness.tables import ReadOptions, read_runs
from harness.tables.exporting import curve_columns, run_columns, write_tables
from harness.tables.importing import imported
from tests.factories import make_arm, make_result, make_results
from tests.tables.tables import write_csv

pytest_plugins = ["pytester"]

ROWS = [
    {"run": "a", "lr": 1e-7, "bs": 8, "status": "finished", "delta_perf": 0.1, "steps": 50},
    {"run": "b", "lr": 2e-7, "bs": 8, "status": "finished", "delta_perf": 0.3, "steps": 50},
    {"run": "c", "lr": 3e-7, "bs": 4, "status": "crashed", "delta_perf": None, "steps": None},
]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty project with a table."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".git").mkdir()
    write_csv(tmp_path / "runs.csv", ROWS)
    return tmp_path


def stored(sweep=None, url=".sweep/store.db"):
    with Store.open(url, create=False, read_only=True) as store:
        return store.results(sweep)


def keep(url, *results):
    with Store.open(url) as store:
        for result in results:
            store.save(result)


# ---- a table ------------------------------------------------------------------------------------


def test_the_runs_of_a_table_become_a_sweep(here, sweep):
    status, out, err = sweep("import runs.csv --sweep old")
    assert (status, err) == (0, "")
    assert out.startswith("runs.csv: 3 rows of 6 columns, CSV\noutcome: ΔPerf, from delta_perf")
    assert out.endswith("\nimported 3 runs of old: 2 completed, 1 failed\n")
    a, b, c = stored("old")
    assert dict(a.run.config) == {"learning_rate": 1e-7, "batch_size": 8}
    assert (a.run.id, b.outcome.delta_perf, c.outcome.status) == ("a", 0.3, "failed")
    assert a.conditions.backend == "imported"
    assert a.environment == {"imported_from": "runs.csv"}


def test_json(here, sweep):
    _, out, _ = sweep("import runs.csv --sweep old --json")
    said = json.loads(out)
    assert said.pop("read")[0] == "runs.csv: 3 rows of 6 columns, CSV"
    counts = {"imported": 3, "present": 0, "replaced": 0, "differing": []}
    assert said == {"from": "runs.csv", "sweeps": ["old"], **counts}


def test_importing_it_again_changes_nothing(here, sweep):
    sweep("import runs.csv --sweep old")
    before = stored()
    _, out, _ = sweep("import runs.csv --sweep old")
    assert out.endswith("\n3 runs were in the store already\n")
    write_csv(here / "runs.csv", ROWS[::-1])
    assert sweep("import runs.csv --sweep old")[0] == 0
    assert stored() == before


def test_more_runs_can_be_added(here, sweep):
    sweep("import runs.csv --sweep old")
    write_csv(here / "runs.csv", [*ROWS, ROWS[0] | {"run": "d"}])
    assert "imported 1 run of old" in sweep("import runs.csv --sweep old")[1]
    assert [result.run.id for result in stored("old")] == ["a", "b", "c", "d"]


def test_one_table_can_be_two_sweeps(here, sweep):
    sweep("import runs.csv --sweep old")
    assert "imported 3 runs of older" in sweep("import runs.csv --sweep older")[1]
    write_csv(here / "runs.csv", [ROWS[0] | {"delta_perf": 0.2}, *ROWS[1:]])
    sweep("import runs.csv --sweep older --replace")
    assert [result.outcome.delta_perf for result in stored("old")][:2] == [0.1, 0.3]
    assert sorted(r.outcome.delta_perf or 0 for r in stored("older")) == [0, 0.2, 0.3]


def test_other_figures_are_refused_unless_they_are_to_replace(here, sweep):
    sweep("import runs.csv --sweep old")
    before = stored()
    changed = [ROWS[0], ROWS[1] | {"delta_perf": 0.2}, ROWS[2], ROWS[0] | {"run": "d"}]
    write_csv(here / "runs.csv", changed)
    status, out, err = sweep("import runs.csv --sweep old")
    assert (status, out) == (2, "")
    assert err == (
        "sweep: error: run 'b' of sweep 'old' is stored with other figures: nothing was imported; "
        "--replace takes what the table has\n"
    )
    assert stored() == before
    status, out, _ = sweep("import runs.csv --sweep old --replace")
    assert "imported 1 run of old: 1 completed\nreplaced 1 run of old: 1 completed\n2 runs" in out
    found = {result.run.id: result.outcome.delta_perf for result in stored("old")}
    assert found == {"a": 0.1, "b": 0.2, "c": None, "d": 0.1}


def test_nothing_is_imported_where_a_row_is_wrong(here, sweep):
    write_csv(here / "runs.csv", [*ROWS, ROWS[0] | {"run": "d", "delta_perf": "much"}])
    status, _, err = sweep("import runs.csv --sweep old")
    assert status == 2
    assert "runs.csv, line 5: 'much' in column 'delta_perf' is no number" in err
    assert not Path(".sweep").exists()


def test_nothing_is_kept_where_one_run_cannot_be(tmp_path):
    results = imported(read_runs(write_csv(tmp_path / "runs.csv", ROWS)), "old")
    bad = replace(results[2], environment={"x": math.inf})
    with Store.open(str(tmp_path / "a.db")) as store:
        with pytest.raises(cli.HarnessError, match="run c cannot be stored"):
            add_imported(store, [*results[:2], bad])
        assert store.results() == ()


def test_columns_are_asked_for_and_given_as_judge_has_it(here, sweep):
    write_csv(here / "t.csv", [{"run": "a", "lr": 1e-7, "acc_0": 0.25, "acc_1": 0.5, "x": 3}])
    status, _, err = sweep("import t.csv --sweep old")
    assert (status, sweep("judge t.csv")[2]) == (2, err)
    sweep("import t.csv --sweep old --before acc_0 --after acc_1 --params lr")
    (result,) = stored("old")
    assert (result.outcome.perf_before, result.outcome.delta_perf) == (0.25, 0.25)
    assert dict(result.run.config) == {"learning_rate": 1e-7}


def test_learning_curves_without_standard_errors(here, sweep):
    write_csv(here / "c.csv", [{"run": "a", "step": 0, "perf": 0.1}])
    sweep("import runs.csv --sweep old --curves c.csv")
    ((point,), *_) = [result.outcome.curve for result in stored("old")]
    assert (point.step, point.perf) == (0, 0.1)
    assert math.isnan(point.se)
    assert "3 runs were" in sweep("import runs.csv --sweep old --curves c.csv")[1]


def test_a_tracker_s_export(here, sweep):
    rows = [
        {"run_id": "r1", "experiment_id": 0, "artifact_uri": "s3://a", "params.lr": 1e-7,
         "metrics.delta_perf": 0.1, "status": "FINISHED"},
        {"run_id": "r2", "experiment_id": 0, "artifact_uri": "s3://b", "params.lr": 2e-7,
         "metrics.delta_perf": None, "status": "RUNNING"},
    ]  # fmt: skip
    write_csv(here / "mlflow.csv", rows)
    out = sweep("import mlflow.csv --sweep old")[1]
    assert "an export of MLflow" in out
    assert "not finished yet, left out: 1 row" in out
    assert [result.run.id for result in stored("old")] == ["r1"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("runs.csv", "say of which sweep the runs of runs.csv are, by --sweep NAME"),
        ("runs.csv --sweep o/ld", "sweep name 'o/ld': use letters, digits"),
        ("runs.csv --sweep published", "sweep name 'published'"),
        ("runs.csv --sweep old.csv", "sweep name 'old.csv'"),
        ("run.csv --sweep old", "there is no file run.csv; did you mean 'runs.csv'?"),
        ("runs.csv --sweep old --metric bs --direction max", "judged by batch_size, and stored"),
        ("runs.csv --sweep old --direction min", "judged by −ΔPerf, and stored runs by ΔPerf"),
        ("runs.csv --sweep old --target 0.1 --metric delta_perf", "is judged by ΔPerf − 0.1"),
        ("notes.txt --sweep old", "notes.txt is neither a table, whose name ends in .csv"),
        ("no.db", "there is no store at"),
        ("no.db --replace", "--replace is for a table, and no.db is none"),
        ("no.db --metric x", "--metric says how a table is read, and no.db is none"),
    ],
)
def test_a_mistake_is_one_line(here, sweep, line, said):
    (here / "notes.txt").write_text("hello")
    status, out, err = sweep(f"import {line}")
    assert (status, out) == (2, "")
    assert said in err.replace("bs, and", "batch_size, and")
    assert err.count("\n") == 1
    assert not Path(".sweep").exists()


# ---- what is exported can be imported -----------------------------------------------------------


WORDS = st.text("abcxyz_ ,;\"'é", min_size=1, max_size=8).map(lambda text: f"w{text}w")
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
SETTINGS = st.one_of(
    st.lists(NUMBERS, min_size=9, max_size=9),
    st.lists(st.integers(-(2**52), 2**52), min_size=9, max_size=9),
    st.lists(WORDS, min_size=9, max_size=9),
    st.lists(st.booleans(), min_size=9, max_size=9),
    st.lists(st.none() | WORDS, min_size=9, max_size=9),
)


@st.composite
def samples(draw):
    """Results of two sweeps, two arms, and all statuses, with numbers of every size."""
    columns = draw(st.dictionaries(st.sampled_from(["alpha", "b.c", "seed", "x_1"]), SETTINGS,
                                   min_size=1))  # fmt: skip
    found = []
    for index, status in enumerate(
        ["completed"] * 4 + ["diverged", "failed", "oom", "crashed", "interrupted"]
    ):
        done = status == "completed"
        name = "s" if index % 3 else "other"
        curve = draw(st.lists(st.tuples(NUMBERS, NUMBERS.map(abs) | st.just(math.nan)), max_size=3))
        found.append(
            make_result(
                id=f"{name}-{index}",
                sweep=name,
                index=index,
                status=status,
                seed=draw(st.integers(0, 2**32 - 1)),
                steps=draw(st.integers(1, 10**6)),
                delta=draw(NUMBERS) if done else None,
                se=draw(st.none() | NUMBERS.map(abs)),
                perf_before=draw(NUMBERS),
                perf_after=draw(NUMBERS) if done else None,
                train_delta_perf=draw(st.none() | NUMBERS) if done else None,
                prompts=512 if done else None,
                samples=4 if done else None,
                prompts_changed=draw(st.none() | st.integers(0, 512)) if done else None,
                config={name: values[index] for name, values in columns.items()},
                seconds=draw(st.none() | NUMBERS),
                error=None if done else draw(WORDS | st.just('a\n"b"\t\r\n ,')),
                curve=tuple(Evaluation(s, p, se, p) for s, (p, se) in enumerate(curve)),
                finished_at=draw(st.none() | st.just("2025-01-01T00:00:00Z")),
            )
        )
    main = found[1]
    found.append(make_arm("null", [main], [draw(NUMBERS)], curve=(), steps=main.run.steps)[0])
    return found


def plain(result):
    """Return what a table holds of a run, whoever trained it; NaN made equal to itself."""
    run, outcome = result.run, result.outcome
    se = () if outcome.status != "completed" or outcome.delta_perf_se is None else (
        outcome.prompts, outcome.samples, outcome.prompts_changed)  # fmt: skip
    return (
        *(run.sweep, run.id, run.arm, run.pair, run.seed, run.steps, dict(run.config)),
        *(outcome.status, outcome.delta_perf, outcome.delta_perf_se, se),
        *(outcome.perf_before, outcome.perf_after, outcome.train_delta_perf, outcome.seconds),
        *(outcome.error, result.finished_at),
        [(p.step, p.perf, repr(p.se)) for p in outcome.curve],
    )


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "json", "parquet"])
@settings(deadline=None, max_examples=10, suppress_health_check=[*HealthCheck])
@given(results=samples())
def test_a_store_that_is_exported_and_imported_is_equal(tmp_path, ending, results):
    runs, curves = tmp_path / f"runs.{ending}", tmp_path / f"curves.{ending}"
    write_tables({runs: run_columns(results)})
    points = curve_columns(results)
    if points["run"]:
        write_tables({curves: points})
    back = imported(read_runs(runs, ReadOptions(curves=curves if points["run"] else None)), None)
    assert list(map(plain, back)) == list(map(plain, results))


def test_all_of_a_store_goes_through_a_table(here, sweep):
    main = make_results([0.1, 1 / 3], prefix="toy", perf_after=None)
    lost = make_results([None], prefix="lost", prompts=None, samples=None)
    theirs = make_results([0.1, 0.2], prefix="toy", backend="jax")
    keep("a.db", *main, *lost, *make_arm("half", main, [0.1], steps=50), *theirs)
    keep("a.db", *make_results([0.2], prefix="wide", steps=7))
    sweep("import runs.csv --sweep old --store a.db")
    write_csv(here / "runs.csv", ROWS[:1])
    sweep("import runs.csv --sweep older --store a.db")
    sweep("export --store a.db --to all.csv --curves curves.csv")
    assert sweep("import all.csv --curves curves.csv --store b.db")[0] == 0
    sweep("export --store b.db --to again.csv --curves again_curves.csv")
    ids = re.compile(r"@[0-9a-f]{8}")  # made from keys: imported runs have others

    def lines(name):
        rows = [ids.sub("@", line) for line in Path(name).read_text().splitlines()]
        return [re.sub(r",(torch|jax|imported),", ",", row) for row in rows]

    assert sorted(lines("again.csv")) == sorted(lines("all.csv"))
    assert sorted(lines("again_curves.csv")) == sorted(lines("curves.csv"))
    assert {result.run.id for result in stored("old", "b.db")} == {"a", "b", "c"}
    trained = {result.environment.get("backend") for result in stored("toy", "b.db")}
    assert trained == {"torch", "jax"}


def test_a_table_of_several_sweeps_is_not_one(here, sweep):
    keep("a.db", *make_results([0.1], prefix="toy"), *make_results([0.1], prefix="wide", steps=7))
    sweep("export --store a.db --to all.csv")
    status, _, err = sweep("import all.csv --sweep old")
    assert status == 2
    assert "all.csv has runs of the sweeps toy, wide, which are not one" in err
    sweep("export toy --store a.db --to toy.csv")
    assert "imported 1 run of old" in sweep("import toy.csv --sweep old")[1]


def test_imported_runs_never_join_those_that_were_trained(here, sweep):
    keep(".sweep/store.db", *make_results([0.1], prefix="toy"))
    sweep("export toy --to toy.csv")
    status, _, err = sweep("import toy.csv")
    assert status == 2
    assert "sweep 'toy' has runs in the store that were trained: give those of the table" in err


# ---- another store ------------------------------------------------------------------------------


def test_the_runs_of_another_store(here, sweep):
    ours, shared, theirs = make_results([0.1, 0.2, 0.3], prefix="toy")
    keep(".sweep/store.db", ours, shared)
    keep("other.db", shared, theirs, *make_results([0.5], prefix="wide", steps=7))
    status, out, _ = sweep("import other.db")
    assert (status, out) == (
        0,
        "imported 2 runs of toy, wide: 2 completed\n1 run was in the store already\n",
    )
    assert stored("toy") == (ours, shared, theirs)
    assert sweep("import other.db")[1] == "3 runs were in the store already\n"
    assert len(stored()) == 4


def test_one_sweep_of_another_store(here, sweep):
    keep(
        "other.db", *make_results([0.1], prefix="toy"), *make_results([0.5], prefix="wide", steps=7)
    )
    sweep("import other.db --sweep wide")
    assert [result.run.sweep for result in stored()] == ["wide"]
    status, _, err = sweep("import other.db --sweep wid")
    assert (status, "no sweep 'wid' in other.db, which has toy, wide" in err) == (2, True)


def test_of_two_final_results_the_store_s_own_is_kept(here, sweep):
    ours, failed = make_results([0.1, 0.2], prefix="toy")
    lost = replace(failed.outcome, status="failed", delta_perf=None)
    keep(".sweep/store.db", ours, replace(failed, outcome=lost))
    theirs = replace(ours, outcome=replace(ours.outcome, delta_perf=0.4))
    slower = replace(failed, outcome=replace(failed.outcome, seconds=99.0))
    keep("other.db", theirs, failed)
    _, out, _ = sweep("import other.db")
    assert "replaced 1 run of toy: 1 completed" in out
    assert "toy-00 of toy ended otherwise in other.db: kept as it is here" in out
    assert stored("toy") == (ours, failed)
    keep("third.db", slower)
    assert sweep("import third.db")[1] == "1 run was in the store already\n"


def test_a_store_is_not_imported_into_itself(here, sweep):
    keep(".sweep/store.db", *make_results([0.1]))
    status, _, err = sweep("import .sweep/../.sweep/store.db")
    assert status == 2
    assert "is the store itself" in err


def test_what_was_imported_there_and_trained_here_is_not_mixed(here, sweep):
    keep(".sweep/store.db", *make_results([0.1], prefix="old"))
    sweep("import runs.csv --sweep old --store other.db")
    status, _, err = sweep("import other.db")
    assert status == 2
    assert "sweep 'old' was imported into one of the stores and trained in the other" in err
    assert len(stored()) == 1


@pytest.mark.parametrize(
    ("here_data", "there_data", "kept"),
    [
        (False, False, {"q": "1", "r": "1"}),
        (True, False, {"q": "1", "r": "1"}),
        (False, True, {"q": "1", "r": "2"}),
        (True, True, {"q": "1"}),
    ],
)
def test_a_question_is_registered_where_it_came_before_all_data(
    tmp_path, here_data, there_data, kept
):
    ours, theirs = make_results([0.1, 0.2], prefix="toy")
    with Store.open(str(tmp_path / "a.db")) as store, Store.open(str(tmp_path / "b.db")) as other:
        store.register("toy", "d", {"q": "1", "r": "1"})
        other.register("toy", "d", {"q": "1", "r": "2"})
        for data, where, result in ((here_data, store, ours), (there_data, other, theirs)):
            failed = replace(result.outcome, status="failed", delta_perf=None, curve=())
            where.save(result if data else replace(result, outcome=failed))
        merge(store, other)
        found = {id_: asked.hash for id_, asked in store.registered("toy", "d").items()}
    assert found == kept


# ---- what is made of imported runs --------------------------------------------------------------


@pytest.fixture
def compared(sweeps, sweep):
    """A trained sweep with an imported baseline, whose runs have all numbers of steps."""
    rows = [ROWS[0] | {"run": f"r{i}", "delta_perf": i / 100, "steps": 50 + i} for i in range(8)]
    rows = [row | {"lr": (1 + i) * 1e-7, "backend": "tpu"} for i, row in enumerate(rows)]
    write_csv(sweeps.path / "runs.csv", rows)
    sweeps.write(body='sweep = toy(baseline="old")')
    sweep("import runs.csv --sweep old --params lr,bs")
    sweeps.run("--sweep", "toy", "--sweep-fail-on", "failed")
    return sweeps


def test_imported_runs_are_a_baseline_and_the_audit_says_whose(compared, sweep):
    found = json.loads(sweep("report toy --json")[1])
    assert found["baseline"] == "old"
    assert found["baseline_read"] == ["old was imported from runs.csv"]
    said = [note["message"] for note in found["audit"] if note["code"] == "mixed_conditions"]
    assert "the baseline old was imported from runs.csv, not trained here" in said
    assert any("backend own against imported" in message for message in said)
    assert any("50, 51, 52, 53, 54, 55, 56, 57" in message for message in said)


def test_repeats_of_an_imported_configuration_count_once(compared, sweep):
    rows = [ROWS[i % 2] | {"run": f"r{i}", "delta_perf": i / 100} for i in range(6)]
    write_csv(compared.path / "more.csv", rows)
    sweep("import more.csv --sweep repeated")
    found = json.loads(sweep("report toy --baseline repeated --json")[1])
    assert "its runs: 2 configurations with 3 repeats each" in found["baseline_read"][1]
    of_table = json.loads(sweep("report toy --baseline more.csv --json")[1])
    for one, other in zip(found["questions"], of_table["questions"], strict=True):
        assert one["estimate"] == other["estimate"]


def test_imported_runs_are_analysed_and_refined(compared, sweep):
    status, out, _ = sweep("analyze old")
    assert status == 0
    assert "old was imported from runs.csv: it was trained elsewhere" in " ".join(out.split())
    assert "left out" not in out
    status, out, err = sweep("refine old --steps 50")
    assert (status, "Sweep(" in out) == (0, True), err


def test_imported_runs_are_not_reported_but_exported_and_judged(compared, sweep):
    status, _, err = sweep("report old")
    assert status == 2
    assert "no sweep file declares it" in err
    first, second = re.findall(r"sweep (?:export|judge) [^,;]+(?:csv)", err)
    assert sweep(first.removeprefix("sweep "))[0] == 0
    assert sweep(second.removeprefix("sweep "))[0] == 0
    assert "no sweep 'older'" in sweep("report older")[2]


# ---- PostgreSQL ---------------------------------------------------------------------------------


@pytest.mark.postgres
def test_between_a_file_and_a_server(here, sweep, postgres):
    url = postgres.database()
    assert "imported 3 runs of old" in sweep(f"import runs.csv --sweep old --store {url}")[1]
    assert "3 runs were in the store" in sweep(f"import runs.csv --sweep old --store {url}")[1]
    keep("other.db", *make_results([0.1, 0.2], prefix="toy"))
    assert "imported 2 runs of toy" in sweep(f"import other.db --store {url}")[1]
    assert "imported 5 runs of old, toy" in sweep(f"import {url} --store third.db")[1]
    assert stored(url="third.db") == stored(url=url)
    write_csv(here / "runs.csv", [ROWS[0] | {"delta_perf": 0.2}])
    assert sweep(f"import runs.csv --sweep old --store {url}")[0] == 2
    assert "replaced 1 run" in sweep(f"import runs.csv --sweep old --store {url} --replace")[1]
    found = json.loads(sweep(f"doctor --store {url} --json")[1])["checks"]
    said = {check["name"]: check["found"] for check in found}
    assert "5 runs (4 completed, 1 failed)" in said["store"]
    assert said["integrity"] == "left to the server"
    assert len(json.loads(sweep(f"runs --store {url} --json")[1])["runs"]) == 5
