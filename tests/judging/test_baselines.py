"""What an option can name as the baseline: a table, counts, a sweep of the store."""

import pytest

from harness.errors import UsageError
from harness.judging.baselines import name_of, named, of_imported, of_table
from harness.observations.repeats import averaged, unlike
from harness.store import Store
from harness.sweeps.baseline import ENDINGS, PUBLISHED
from harness.tables import ReadOptions, read_runs
from harness.tables.files import FORMATS
from harness.verdicts import Counts
from tests.factories import make_result
from tests.tables.tables import write, write_csv

ROWS = [{"run": f"r{i}", "lr": f"{i + 1}e-7", "delta_perf": 0.01 * i} for i in range(6)]


@pytest.fixture
def table(tmp_path):
    return write_csv(tmp_path / "runs.csv", ROWS)


@pytest.fixture
def store(tmp_path):
    with Store.open(f"sqlite:///{tmp_path / 's.db'}") as opened:
        yield opened


def refused(path, *parts):
    with pytest.raises(UsageError) as caught:
        of_table(path, {})
    message = str(caught.value)
    assert "\n" not in message
    assert path.name in message
    for part in parts:
        assert part in message, message


def test_points_are_no_scores_to_compare_with(tmp_path):
    rows = [row | {"delta_perf": 100 * row["delta_perf"]} for row in ROWS]
    refused(write_csv(tmp_path / "runs.csv", rows), "delta_perf 2 is no difference of scores")
    points = read_runs(tmp_path / "runs.csv", ReadOptions(metric="delta_perf", direction="max"))
    with pytest.raises(UsageError, match="the runs of old were imported in another unit"):
        of_imported("old", points.results)


def test_a_table_s_runs_are_called_by_its_stem(table):
    found = of_table(table, {})
    assert name_of(found) == found.name == "runs"
    assert [result.outcome.delta_perf for result in found.results] == [
        row["delta_perf"] for row in ROWS
    ]
    assert averaged(found.results) == 1
    assert "runs.csv: 6 rows of 3 columns, CSV" in found.notes
    assert "parameters: learning_rate (lr)" in found.notes


def test_a_table_is_not_taken_for_a_sweep_of_its_name(table):
    assert of_table(table, {"runs": object()}).name == "runs.csv"


def test_a_configuration_of_a_table_counts_once(tmp_path):
    rows = [row | {"run": f"{row['run']}-{seed}", "seed": seed} for row in ROWS for seed in (1, 2)]
    found = of_table(write_csv(tmp_path / "runs.csv", rows), {})
    assert len(found.results) == 6
    single = [make_result()]
    assert unlike(single, found.results) == "1 run a configuration against 2 repeats"
    assert found.notes[-1].startswith("its runs: 6 configurations with 2 repeats each")


def test_the_arms_of_a_table_are_no_baseline(tmp_path):
    rows = [row | {"arm": "main"} for row in ROWS]
    rows.append({"run": "p", "lr": "0", "delta_perf": 0.0, "arm": "placebo"})
    assert len(of_table(write_csv(tmp_path / "runs.csv", rows), {}).results) == 6


def test_what_cannot_be_known_of_a_table_is_asked_of_the_file_not_by_a_flag(tmp_path):
    refused(
        write(tmp_path / "a.csv", "run,lr,acc\na,1e-7,0.2\n"),
        "has no column delta_perf",
        "would be judged by acc",
        "Here a baseline is read without flags: rename the columns of a.csv, or judge a table of "
        "your runs with the flags: sweep judge RUNS --baseline a.csv",
    )
    twice = "run,metrics.delta_perf,summary.delta_perf\na,0.1,0.2\n"
    refused(write(tmp_path / "b.csv", twice), "may be ΔPerf", "rename the columns of b.csv")
    alike = "run,lr,learning_rate,delta_perf\na,1e-7,2e-7,0.1\n"
    refused(write(tmp_path / "c.csv", alike), "and they differ", "rename the columns of c.csv")
    steps = "run,lr,steps,delta_perf\na,1e-7,ten,0.1\n"
    refused(write(tmp_path / "d.csv", steps), "is not a whole number", "rename the columns")


def test_a_table_without_a_finished_run_is_no_baseline(tmp_path):
    text = "run,lr,delta_perf,status\na,1e-7,,failed\n"
    refused(write(tmp_path / "a.csv", text), "has no main run that finished with ΔPerf")


def test_what_is_wrong_with_the_file_is_all_that_is_said(tmp_path):
    with pytest.raises(UsageError, match=r"has a header and no rows: there is no run to read$"):
        of_table(write(tmp_path / "a.csv", "run,delta_perf\n"), {})


def test_counts_and_names(store, table):
    assert named("published", {}, (), store) is PUBLISHED
    counts = named("6/19", {}, (), store)
    assert isinstance(counts, Counts)
    assert (name_of(counts), counts.successes, counts.runs) == ("6/19", 6, 19)
    assert named("beside", {}, ["beside"], store) == name_of("beside") == "beside"
    assert named(str(table), {}, (), store, ["runs"]).name == "runs"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("20/19", "baseline 20/19: expected SUCCESSES/RUNS, at most as many successes as runs"),
        ("self", "baseline 'self' is the sweep itself"),
        ("there", "not in the store, which has no sweeps yet; run it first or beside: --sweep th"),
        ("publishd", "did you mean 'published'?"),
        ("runs.txt", "a table's name ends in .csv, .tsv, .jsonl"),
        ("no/where.csv", "there is no file no/where.csv"),
    ],
)
def test_what_is_no_baseline_is_named_with_what_would_be(store, given, said):
    with pytest.raises(UsageError) as caught:
        named(given, {"there": object()}, (), store, ["self"])
    assert said in str(caught.value)


def test_a_table_is_known_by_the_endings_that_can_be_read():
    assert tuple(FORMATS) == ENDINGS
