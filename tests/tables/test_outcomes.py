"""What came of each run: statuses, missing and impossible numbers, arms and their pairs."""

import pytest

from harness.errors import UsageError
from harness.records import Gap
from tests.tables.tables import deltas, read, statuses


@pytest.fixture
def csv(tmp_path):
    return tmp_path / "runs.csv"


def refused(path, text, *parts, **asked):
    with pytest.raises(UsageError) as caught:
        read(path, text, **asked)
    for part in parts:
        assert part in str(caught.value), str(caught.value)


def runs(reading):
    return [result.run for result in reading.results]


# ---- statuses -----------------------------------------------------------------------------------


def test_statuses(csv):
    text = "status,delta_perf\ncompleted,0.1\ndiverged,\nfailed,0.3\ntimeout,\nOOM,\n"
    reading = read(csv, text)
    assert statuses(reading) == ["completed", "diverged", "failed", "timeout", "oom"]
    assert deltas(reading) == [0.1, None, None, None, None]
    assert reading.results[2].outcome.error == "status: failed"
    assert reading.results[0].outcome.error is None
    assert "timeout: 1 run" in reading.notes


def test_a_blank_status_means_completed_where_no_row_says_so(csv):
    reading = read(csv, "status,delta_perf\n,0.1\ndiverged,0.2\n,0.3\n")
    assert statuses(reading) == ["completed", "diverged", "completed"]
    assert deltas(reading) == [0.1, None, 0.3]
    assert not any(result.gaps for result in reading.results)


def test_a_blank_status_is_not_known_where_others_say_completed(csv):
    reading = read(csv, "run,status,delta_perf\na,finished,0.1\nb,,0.2\nc,failed,\n")
    assert deltas(reading) == [0.1, None, None]
    assert [result.gaps for result in reading.results] == [(), (Gap("result", "status"),), ()]
    assert any("b has no status" in line for line in reading.notes)


def test_pruned_runs_have_failed_and_it_is_said_what_that_does(csv):
    text = "number,state,value,params_lr\n0,COMPLETE,0.5,1\n1,PRUNED,0.4,2\n2,PRUNED,0.1,3\n"
    reading = read(csv, text, metric="value", direction="max")
    assert statuses(reading) == ["completed", "failed", "failed"]
    assert deltas(reading) == [0.5, None, None]
    assert "PRUNED: 2 runs, counted as failed" in reading.notes
    assert any("values that lost runs so look" in line for line in reading.notes)


def test_what_is_not_finished_is_left_out_and_said(csv):
    text = "run,status,lr,delta_perf\na,RUNNING,1,0.1\nb,FINISHED,1,0.2\nc,QUEUED,1,\n"
    reading = read(csv, text)
    assert [run.id for run in runs(reading)] == ["b"]
    assert runs(reading)[0].index == 0
    assert "not finished yet, left out: 2 rows" in reading.notes
    refused(csv, text.replace("FINISHED", "RUNNING"), "no finished run", "3 rows")


def test_a_status_that_is_misspelt_is_refused(csv):
    refused(csv, "status,delta_perf\ncompleted,1\ncompletd,2\n", "runs.csv, line 3", "'completd'",
            "did you mean 'completed'?")  # fmt: skip
    refused(csv, "status,delta_perf\ncompleted,1\nfaild,2\n", "did you mean 'failed'?")


def test_words_that_do_not_say_how_a_run_ended_count_as_completed_and_are_named(csv):
    text = "status,lr,acc\nkeep,1,0.5\ndiscard,2,0.4\ncrash,3,0\nkeep,4,0.6\n"
    reading = read(csv, text)
    assert statuses(reading) == ["completed", "completed", "failed", "completed"]
    assert deltas(reading) == [0.5, 0.4, None, 0.6]
    assert (
        "status 'keep', 'discard': no word for how a run ended, counted as completed"
        in reading.notes
    )
    wandb = '"Name","State","Created","lr","acc"\na,limbo,2025,1,0.5\nb,crashed,2025,2,0.5\n'
    assert statuses(read(csv, wandb)) == ["completed", "failed"]


@pytest.mark.parametrize("words", [("keep", "drop"), ("3", "4")])
def test_a_status_of_which_no_word_is_known_is_set_aside(csv, words):
    reading = read(csv, f"status,lr,acc\n{words[0]},1,0.5\n{words[1]},2,0.4\n")
    assert statuses(reading) == ["completed", "completed"]
    assert reading.parameters == ("learning_rate",)
    assert reading.set_aside == {"a status in words that do not say how a run ended": ("status",)}


def test_rows_of_nothing_are_no_runs(csv):
    text = "run,status,lr,acc\nparent,FINISHED,,\na,FINISHED,1,0.5\nb,FAILED,,\n"
    reading = read(csv, text, metric="acc", direction="max")
    assert [run.id for run in runs(reading)] == ["a", "b"]
    assert "neither parameters nor an outcome, left out: 1 row" in reading.notes


# ---- numbers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["", "NA", " ", "null"])
def test_a_completed_run_without_a_number_stays_and_is_named(csv, cell):
    reading = read(csv, f"run,lr,delta_perf\na,1,0.1\nb,2,{cell}\nc,3,0.2\n")
    assert statuses(reading) == ["completed", "completed", "completed"]
    assert deltas(reading) == [0.1, None, 0.2]
    assert [result.gaps for result in reading.results] == [(), (Gap("result", "delta_perf"),), ()]
    assert (
        "b has no delta_perf, which others have: counted as no success, and nothing is supported "
        "that its result could change"
    ) in reading.notes


@pytest.mark.parametrize("cell", ["nan", "NaN", "inf", "-inf", "1e999"])
def test_a_number_that_is_none_is_a_run_that_diverged(csv, cell):
    reading = read(csv, f"lr,delta_perf\n1,0.1\n2,{cell}\n")
    assert statuses(reading) == ["completed", "diverged"]
    assert deltas(reading)[1] is None
    assert any("counted as diverged" in line for line in reading.notes)


@pytest.mark.parametrize(
    ("before", "after", "status"),
    [("0.1", "0.2", "completed"), ("", "0.2", "blank"), ("0.1", "", "blank"),
     ("nan", "0.2", "diverged"), ("0.1", "inf", "diverged"), ("", "nan", "blank"),
     ("-1e308", "1e308", "diverged")],
)  # fmt: skip
def test_both_ends_of_a_change_must_be_numbers(csv, before, after, status):
    reading = read(csv, f"lr,b,a\n1,{before},{after}\n", before="b", after="a")
    (result,) = reading.results
    assert ("blank" if result.gaps else result.outcome.status) == status
    assert (deltas(reading)[0] is None) == (status != "completed")


@pytest.mark.parametrize(
    ("cell", "hint"),
    [("good", "leave the cell blank where a run has none"), ('"0,5"', "decimal point"),
     ("31%", "write it as a share"), ("True", "is no number")],
)  # fmt: skip
def test_an_outcome_that_is_no_number(csv, cell, hint):
    text = f"lr,delta_perf\n1,0.1\n2,{cell}\n"
    refused(csv, text, "runs.csv, line 3", cell.strip('"'), "column 'delta_perf'", hint)


def test_the_outcome_of_a_run_that_failed_may_be_anything(csv):
    assert statuses(read(csv, "status,delta_perf\nfailed,boom\ncompleted,1\n"))[0] == "failed"


@pytest.mark.parametrize("cell", ["-0.1", "inf", "-inf", "much"])
def test_a_standard_error_that_is_none(csv, cell):
    text = f"delta_perf,delta_perf_se\n0.1,0.01\n0.2,{cell}\n"
    refused(csv, text, "runs.csv, line 3", "column 'delta_perf_se'")


@pytest.mark.parametrize("cell", ["", "nan", "NA"])
def test_a_blank_standard_error_is_unknown(csv, cell):
    reading = read(csv, f"delta_perf,delta_perf_se\n0.1,0\n0.2,{cell}\n")
    assert [result.outcome.delta_perf_se for result in reading.results] == [0.0, None]


@pytest.mark.parametrize(
    ("column", "cell"),
    [("seed", "first"), ("seed", "1.5"), ("seed", "True"), ("steps", "-1"), ("steps", "some"),
     ("prompts", "0"), ("samples", "2.5"), ("prompts_changed", "-1")],
)  # fmt: skip
def test_counts_must_be_whole(csv, column, cell):
    text = f"delta_perf,delta_perf_se,{column}\n0.1,0.01,1\n0.2,0.01,{cell}\n"
    refused(csv, text, "runs.csv, line 3", f"column '{column}'", cell)


def test_seeds_and_steps(csv):
    reading = read(csv, "seed,steps,delta_perf\n-3,100.0,0.1\n,,0.2\n")
    assert [(run.seed, run.steps, run.declared_steps) for run in runs(reading)] == [
        (-3, 100, 100), (0, 0, 0)
    ]  # fmt: skip
    assert reading.has_seed
    assert not read(csv, "seed,delta_perf\n,0.1\n,0.2\n").has_seed


# ---- ids ----------------------------------------------------------------------------------------


def test_ids_that_repeat_or_are_missing(csv):
    refused(csv, "run,delta_perf\na,1\nb,2\na,3\n", "lines 2 and 4", "run id 'a'", "name it seed")
    refused(csv, "run,delta_perf\na,1\n,2\n", "line 3: no run id in column 'run'")


def test_ids_are_text(csv):
    reading = read(csv, "run,delta_perf\n007,0.1\n1e5,0.2\n100000,0.3\n")
    assert [run.id for run in runs(reading)] == ["007", "1e5", "100000"]


def test_runs_without_ids_get_the_file_s_name_and_a_number(tmp_path):
    rows = "".join(f"0.{i}\n" for i in range(10))
    reading = read(tmp_path / "mine.csv", f"delta_perf\n{rows}")
    assert [run.id for run in runs(reading)][::9] == ["mine-01", "mine-10"]
    assert len({result.key for result in reading.results}) == 10


# ---- arms ---------------------------------------------------------------------------------------

ARMS = """run,arm,pair,seed,lr,bs,delta_perf
m0,main,,1,1e-7,8,0.10
m1,,,2,2e-7,8,0.20
m2,Main,,3,1e-7,8,0.30
b0,bs,,1,1e-7,4,0.05
b1,bs,m2,9,9e-7,4,0.06
b2,bs,,7,1e-7,4,0.07
p0,placebo,,2,0,8,0
n0,null,,3,1e-7,8,0.01
"""


def test_an_arm_s_run_is_matched_with_the_main_run_that_differs_in_its_parameter_alone(csv):
    reading = read(csv, ARMS)
    assert [(run.arm, run.pair) for run in runs(reading)] == [
        ("main", None), ("main", None), ("main", None), ("batch_size", "m0"),
        ("batch_size", "m2"), ("batch_size", None), ("placebo", "m1"), ("null", "m2"),
    ]  # fmt: skip
    assert "arms: main (3), batch_size (3), placebo (1), null (1)" in reading.notes
    assert (
        "arm batch_size: 1 of its runs is matched with no main run, or with several"
        in reading.notes
    )


def test_without_seeds_repeats_of_a_config_leave_no_single_match(csv):
    text = (
        "arm,lr,bs,delta_perf\nmain,1,8,0.1\nmain,1,8,0.2\nmain,2,8,0.3\nbs,1,4,0.4\nbs,2,4,0.5\n"
    )
    assert [run.pair for run in runs(read(csv, text))] == [None, None, None, None, "runs-3"]


def test_matches_stay_within_their_group(csv):
    text = "model,arm,lr,bs,delta_perf\na,main,1,8,0.1\nb,main,1,8,0.2\nb,bs,1,4,0.3\n"
    assert runs(read(csv, text, by=("model",)))[2].pair == "runs-2"
    assert runs(read(csv, text, params=("lr", "bs")))[2].pair is None


def test_a_run_of_an_arm_with_the_main_value_is_no_match(csv):
    text = "arm,bs,delta_perf\nmain,8,0.1\nmain,4,0.2\nbs,4,0.3\n"
    assert runs(read(csv, text))[2].pair == "runs-1"


def test_a_pair_that_is_no_main_run(csv):
    refused(csv, ARMS.replace("bs,m2", "bs,b0"), "'b1'", "'b0', which is no main run")
    refused(csv, ARMS.replace("bs,m2", "bs,m22"), "'m22'", "did you mean 'm2'?")


def test_main_runs_have_no_pair(csv):
    text = "run,arm,pair,delta_perf\na,main,a,0.1\nb,null,a,0.2\n"
    assert [run.pair for run in runs(read(csv, text))] == [None, "a"]


def test_runs_keep_the_order_of_the_rows(csv):
    assert [run.index for run in runs(read(csv, ARMS))] == list(range(8))
