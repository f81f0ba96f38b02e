"""Numbers in another unit than the one they would be judged in are refused, or have no margin."""

import pytest

from harness.errors import UsageError
from harness.judging.table import judge_table
from harness.tables import ReadOptions, read_runs
from harness.tables.importing import imported
from harness.tables.units import is_score
from tests.tables.tables import read, write


def refused(path, text, *parts, curves=None, **asked):
    if curves is not None:
        asked["curves"] = write(path.with_name("curves.csv"), curves)
    with pytest.raises(UsageError) as caught:
        read(path, text, **asked)
    assert "\n" not in str(caught.value)
    for part in parts:
        assert part in str(caught.value), str(caught.value)


@pytest.fixture
def csv(tmp_path):
    return tmp_path / "runs.csv"


POINTS = "run,delta_perf\na,6.9\nb,-0.4\nc,2.1\n"
AS_ANY = {"metric": "delta_perf", "direction": "max"}


# ---- ΔPerf ---------------------------------------------------------------------------------------


def test_percentage_points_are_no_difference_of_scores(csv):
    refused(
        csv, POINTS, "runs.csv, line 2: delta_perf 6.9", "divide percentages by 100",
        "--metric delta_perf --direction max --margin X",
    )  # fmt: skip
    assert len(read(csv, "delta_perf\n1\n-1\n0\n").results) == 3


def test_points_that_are_named_as_a_metric_have_no_margin_of_their_own(csv):
    reading = read(csv, POINTS, **AS_ANY)
    judged = judge_table(reading)
    assert not judged.scores
    assert (judged.terms.margin, judged.terms.min_gain) == (None, 0.0)
    assert any("no margin: what would matter is not known" in line for line in judged.notes)
    scores = judge_table(read(csv, "delta_perf\n0.1\n0.2\n", **AS_ANY))
    assert (scores.scores, scores.terms.margin) == (True, 0.02)


@pytest.mark.parametrize("cell", ["6.9%", "6.9 %"])
def test_percentages_are_shares_where_the_whole_column_has_the_sign(csv, cell):
    reading = read(csv, f"delta_perf\n{cell}\n-2%\n0\n")
    assert [result.outcome.delta_perf for result in reading.results] == [0.069, -0.02, 0.0]
    assert "delta_perf: percentages, as shares: 10% is 0.1" in reading.notes
    refused(csv, f"delta_perf\n{cell}\n0.1\n0.2\n", "line 2", f"'{cell}'", "write it as a share")
    refused(csv, f"delta_perf\n0.1\n{cell}\n-2%\n", "line 2: '0.1'", "others are in %")


@pytest.mark.parametrize("column", ["perf_before", "perf_after"])
def test_perf_beside_a_difference_is_a_score(csv, column):
    text = f"run,{column},delta_perf\na,0.3,0.1\nb,45.6,0.1\n"
    refused(csv, text, f"line 3: {column} 45.6 is no score from 0 to 1")
    reading = read(csv, text, **AS_ANY)
    assert not is_score(reading.metric, reading.results)


def test_a_difference_is_that_of_its_ends(csv):
    text = "run,perf_before,perf_after,delta_perf\na,0.3,0.305,0.5\n"
    refused(
        csv, text, "line 2: delta_perf 0.5, but perf_after − perf_before is 0.005",
        "--before perf_before --after perf_after",
    )  # fmt: skip
    rounded = text.replace("0.5\n", "0.05\n")
    assert read(csv, rounded).results[0].outcome.delta_perf == 0.05


def test_a_standard_error_is_in_the_unit_of_its_difference(csv):
    text = "delta_perf,delta_perf_se\n0.1,0.01\n0.1,1.2\n"
    refused(csv, text, "line 3: delta_perf_se 1.2", "in the unit of delta_perf")
    assert read(csv, text, **AS_ANY).results[1].outcome.delta_perf_se == 1.2


def test_a_reward_may_have_any_unit(csv):
    reading = read(csv, "delta_perf,train_delta_perf\n0.1,6.9\n0.2,-3\n")
    assert is_score(reading.metric, reading.results)


# ---- other metrics -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "score"),
    [("0.123,0.456", True), ("12.3,45.6", False), ("0.3,1.2", False), ("0.9,45.6", False)],
)
def test_a_change_has_the_usual_margin_between_scores_alone(csv, rows, score):
    judged = judge_table(read(csv, f"b,a\n{rows}\n0.1,0.2\n", before="b", after="a"))
    assert judged.scores == score
    assert (judged.terms.margin is None) == (not score)


@pytest.mark.parametrize(("perf", "score"), [("0.5", True), ("1.5", False)])
def test_curves_beyond_scores_take_the_margin_away(csv, perf, score):
    curves = write(csv.with_name("curves.csv"), f"run,step,acc\na,1,0.2\na,2,{perf}\n")
    reading = read(csv, "run,acc\na,0.5\n", metric="acc", direction="max", curves=curves)
    assert judge_table(reading).scores == score


# ---- two tables ----------------------------------------------------------------------------------


def test_curves_of_a_difference_of_scores_are_scores(csv):
    refused(
        csv, "run,delta_perf\na,0.1\n", "curves.csv: perf 45.6 of run 'a' at step 9",
        curves="run,step,perf\na,5,0.4\na,9,45.6\n",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("acc", "end"), [("0.456", "45.6"), ("45.6", "0.456")], ids=["curves", "table"]
)
@pytest.mark.parametrize("change", [False, True])
def test_curves_end_where_the_table_does(csv, acc, end, change):
    asked = {"before": "b", "after": "acc"} if change else {"metric": "acc", "direction": "max"}
    curves = f"run,step,acc\na,0,0.1\na,9,{end}\nb,9,{end}\n"
    text = f"run,b,acc\na,0.1,{acc}\nb,0.1,{acc}\n"
    refused(csv, text, "the curves end near", "in one unit", curves=curves, **asked)


def test_a_loss_that_falls_far_is_in_one_unit(csv):
    curves = write(csv.with_name("curves.csv"), "run,step,loss\na,0,9.3\na,9,0.01\n")
    asked = {"metric": "loss", "direction": "min", "curves": curves}
    assert read(csv, "run,loss\na,0.005\n", **asked).results[0].outcome.curve


@pytest.mark.parametrize(
    ("ours", "theirs"), [((0.3, 0.4), (30, 35)), ((33, 41), (0.29, 0.35))], ids=["share", "percent"]
)
def test_a_baseline_in_another_unit_is_refused(tmp_path, ours, theirs):
    asked = {"metric": "acc", "direction": "max"}
    one, two = (
        read(tmp_path / f"{name}.csv", "acc\n" + "".join(f"{x}\n" for x in values), **asked)
        for name, values in (("ours", ours), ("theirs", theirs))
    )
    with pytest.raises(UsageError, match=r"the baseline theirs is near .*in one unit"):
        judge_table(one, two)


def test_a_baseline_beyond_scores_takes_the_margin_away(tmp_path):
    asked = {"metric": "reward", "direction": "max"}
    one = read(tmp_path / "ours.csv", "reward\n0.3\n0.9\n", **asked)
    two = read(tmp_path / "theirs.csv", "reward\n0.2\n1.4\n", **asked)
    assert judge_table(one).scores
    assert not judge_table(one, two).scores


# ---- import --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "asked"),
    [(POINTS, AS_ANY), ("b,a\n12.3,45.6\n", {"before": "b", "after": "a"}),
     ("delta_perf,perf_before\n0.1,45\n", AS_ANY)],
    ids=["points", "percentages", "perf"],
)  # fmt: skip
def test_stored_runs_have_scores(csv, text, asked):
    with pytest.raises(UsageError, match="no scores from 0 to 1, as stored runs have"):
        imported(read_runs(write(csv, text), ReadOptions(**asked)), "mine")
