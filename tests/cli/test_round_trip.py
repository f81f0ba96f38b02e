"""What is exported can be imported, and is equal."""

import math
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.records import Evaluation
from harness.tables import ReadOptions, read_runs
from harness.tables.exporting import curve_columns, run_columns, write_tables
from harness.tables.importing import imported
from tests.cli.helpers import ROWS, keep, stored
from tests.factories import make_arm, make_result, make_results
from tests.tables.tables import write_csv

WORDS = st.text("abcxyz_ ,;\"'é", min_size=1, max_size=8).map(lambda text: f"w{text}w")
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
SCORES = st.floats(0, 1)
CLUSTERS = st.tuples(st.floats(1, 512), st.integers(0, 512))
TUPLES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | NUMBERS | WORDS,
    lambda inside: st.lists(inside, max_size=3).map(tuple),
    max_leaves=4,
).filter(lambda value: isinstance(value, tuple))
SETTINGS = st.one_of(
    st.lists(NUMBERS, min_size=9, max_size=9),
    st.lists(st.integers(-(2**52), 2**52), min_size=9, max_size=9),
    st.lists(WORDS, min_size=9, max_size=9),
    st.lists(st.booleans(), min_size=9, max_size=9),
    st.lists(st.none() | WORDS, min_size=9, max_size=9),
    st.lists(st.none() | TUPLES, min_size=9, max_size=9),
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
        before, after = draw(SCORES), draw(SCORES)
        clusters, changed = draw(st.just((None, None)) | CLUSTERS)
        curve = draw(st.lists(st.tuples(SCORES, NUMBERS.map(abs) | st.just(math.nan)), max_size=3))
        found.append(
            make_result(
                id=f"{name}-{index}",
                sweep=name,
                index=index,
                status=status,
                seed=draw(st.integers(0, 2**32 - 1)),
                steps=draw(st.integers(1, 10**6)),
                delta=after - before if done else None,
                se=draw(st.none() | SCORES),
                perf_before=before if done else draw(NUMBERS),
                perf_after=after if done else None,
                train_delta_perf=draw(st.none() | NUMBERS) if done else None,
                prompts=512 if done else None,
                samples=4 if done else None,
                prompts_changed=draw(st.none() | st.integers(0, 512)) if done else None,
                clusters=clusters if done else None,
                clusters_changed=changed if done else None,
                config={name: values[index] for name, values in columns.items()},
                seconds=draw(st.none() | NUMBERS),
                error=None if done else draw(WORDS | st.just('a\n"b"\t\r\n ,')),
                curve=tuple(Evaluation(s, p, se, p) for s, (p, se) in enumerate(curve)),
                finished_at=draw(st.none() | st.just("2025-01-01T00:00:00Z")),
            )
        )
    main = found[1]
    found.append(make_arm("null", [main], [draw(SCORES) / 2], curve=(), steps=main.run.steps)[0])
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
        *(outcome.error, result.finished_at, outcome.clusters, outcome.clusters_changed),
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
    assert "all.csv has runs of several sweeps, toy, wide: leave --sweep out" in err
    sweep("export toy --store a.db --to toy.csv")
    assert "imported 1 run of old" in sweep("import toy.csv --sweep old")[1]


def test_imported_runs_never_join_those_that_were_trained(here, sweep):
    keep(".sweep/store.db", *make_results([0.1], prefix="toy"))
    sweep("export toy --to toy.csv")
    status, _, err = sweep("import toy.csv")
    assert status == 2
    assert "sweep 'toy' has runs in the store that were trained: give the table's sweep" in err
