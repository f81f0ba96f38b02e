"""The metric by its name: which of several, which way, and what is asked instead of guessed."""

import pytest

from harness.errors import UnclearTableError, UsageError
from harness.metrics import Metric
from tests.tables.tables import configs, deltas, read


@pytest.fixture
def csv(tmp_path):
    return tmp_path / "runs.csv"


def judged_by(path, columns, **asked):
    """Return the column that a table with these columns, numbers all, is judged by."""
    names = columns.split()
    numbers = [",".join(f"0.{row}{i + 1}" for i in range(len(names))) for row in range(3)]
    reading = read(
        path, "\n".join([f"lr,{','.join(names)}", *(f"1e-3,{n}" for n in numbers)]), **asked
    )
    return reading.judged_by.value, "min" if reading.metric.minimised else "max"


@pytest.mark.parametrize(
    ("columns", "taken"),
    [
        ("acc", ("acc", "max")),
        ("val_loss", ("val_loss", "min")),
        ("recon_loss val_loss_early MSE_train RMSPE val_loss", ("val_loss", "min")),
        ("train_loss loss", ("loss", "min")),
        ("train_acc test_acc", ("test_acc", "max")),
        ("test_acc val_acc", ("val_acc", "max")),
        ("acc best_acc", ("acc", "max")),
        ("best_acc final_acc", ("final_acc", "max")),
        ("val_acc_epoch_1 val_acc", ("val_acc", "max")),
        ("kl_loss recon_loss loss", ("loss", "min")),
        ("val_recon_loss val_loss", ("val_loss", "min")),
        ("acc acc_norm", ("acc", "max")),
        ("policy_loss ep_rew_mean", ("ep_rew_mean", "max")),
        ("return_mean return_std", ("return_mean", "max")),
        ("tokens_per_second memory_gb ppl", ("ppl", "min")),
        ("tokens_per_second memory_gb", ("tokens_per_second", "max")),
        ("latency_ms", ("latency_ms", "min")),
        ("train_loss", ("train_loss", "min")),
        ("mean_test_score mean_train_score split0_test_score rank_test_score",
         ("mean_test_score", "max")),
        ("cost time", ("cost", "min")),
        ("Average ARC MMLU GSM8K", ("Average", "max")),
    ],
)  # fmt: skip
def test_the_one_metric_that_is_plausible(csv, columns, taken):
    assert judged_by(csv, columns) == taken


def test_what_was_taken_is_said_and_how_to_take_another(csv):
    reading = read(csv, "lr,val_loss,test_loss\n1,0.5,0.4\n2,0.4,0.5\n")
    assert reading.judged_by.inferred
    assert reading.notes[1] == (
        "outcome: val_loss, less is better; taken by its name (another: --metric COL --direction "
        "max|min, here also 'test_loss')"
    )
    named = read(csv, "lr,val_loss\n1,0.5\n", metric="val_loss", direction="min")
    assert not named.judged_by.inferred


@pytest.mark.parametrize(
    ("columns", "choices"),
    [
        ("val_loss val_acc train_loss",
         ["--metric val_loss --direction min", "--metric val_acc --direction max",
          "--metric train_loss --direction min"]),
        ("f1 recall", ["--metric f1 --direction max", "--metric recall --direction max"]),
        ("objective", ["--metric objective --direction max", "--metric objective --direction min"]),
        ("ARC MMLU", ["--metric ARC --direction max", "--metric MMLU --direction max"]),
        ("width quux", ["--metric quux --direction max", "--metric quux --direction min",
                        "--metric width --direction max", "--metric width --direction min",
                        "--metric lr --direction max", "--metric lr --direction min"]),
    ],
)  # fmt: skip
def test_where_several_are_plausible_the_options_are_offered_best_first(csv, columns, choices):
    with pytest.raises(UnclearTableError) as caught:
        judged_by(csv, columns)
    assert [" ".join(choice) for choice in caught.value.choices] == choices


def test_a_column_with_another_use_is_not_the_metric(csv):
    assert judged_by(csv, "acc score", params=("score", "lr")) == ("acc", "max")
    assert judged_by(csv, "acc score", ignore=("score",)) == ("acc", "max")
    assert judged_by(csv, "acc score", by=("acc",)) == ("score", "max")


def test_a_column_before_training_makes_it_a_change(csv):
    reading = read(csv, "lr,acc_before,acc_after\n1,0.25,0.5\n2,0.5,0.5\n")
    assert reading.metric == Metric("Δacc_after")
    assert deltas(reading) == [0.25, 0.0]
    ours = read(csv, "lr,perf_before,perf_after\n1,0.25,0.5\n2,0.5,0.5\n")
    assert deltas(ours) == [0.25, 0.0]
    falls = read(csv, "lr,loss_pre,loss_post\n1,0.75,0.5\n")
    assert deltas(falls) == [0.25]


@pytest.mark.parametrize("way", [None, "max"])
def test_an_optuna_table_does_not_say_which_way_is_better(csv, way):
    text = (
        "number,state,value,params_lr,user_attrs_acc\n0,COMPLETE,0.5,1,0.1\n1,COMPLETE,0.6,2,0.2\n"
    )
    if way is None:
        with pytest.raises(UnclearTableError, match="'value' may be"):
            read(csv, text)
    else:
        assert deltas(read(csv, text, direction=way)) == [0.5, 0.6]


def test_the_direction_of_a_named_metric_is_told_by_its_name(csv):
    text = "lr,acc,wer,zeta\n1,0.5,0.4,3\n"
    assert read(csv, text, metric="wer").metric.minimised
    assert not read(csv, text, metric="acc").metric.minimised
    with pytest.raises(UnclearTableError) as caught:
        read(csv, text, metric="zeta")
    assert caught.value.choices == (("--direction", "max"), ("--direction", "min"))


@pytest.mark.parametrize(
    ("asked", "against"),
    [({"direction": "max"}, True), ({"metric": "total_loss", "direction": "max"}, True),
     ({"metric": "total_loss", "direction": "min"}, False), ({}, False),
     ({"metric": "kl", "direction": "max"}, False)],
)  # fmt: skip
def test_a_direction_against_the_name_is_warned_of(csv, asked, against):
    reading = read(csv, "lr,kl,total_loss\n1,0.1,0.5\n2,0.3,0.25\n", **asked)
    assert [finding.code for finding in reading.findings] == ["against_the_name"] * against
    assert any("by its name less is better" in line for line in reading.notes) is against


def test_a_metric_in_words_is_pointed_out(csv):
    with pytest.raises(UsageError, match=r"'acc' has, but '0.81 ± 0.02' is no number.*acc_se"):
        read(csv, "lr,acc\n1,0.81 ± 0.02\n2,0.79 ± 0.02\n")


def test_errors_of_a_mean_over_folds_come_from_their_spread(csv):
    text = "param_C,split0_test_score,split1_test_score,mean_test_score,std_test_score\n"
    text += "1,0.5,0.7,0.6,0.1\n10,0.6,0.8,0.7,0.1\n"
    reading = read(csv, text)
    assert [r.outcome.delta_perf_se for r in reading.results] == [0.1, 0.1]  # 0.1 / √(2 − 1)
    alone = read(csv, text.replace("split0_test_score,split1_test_score", "a,b"))
    assert [r.outcome.delta_perf_se for r in alone.results] == [None, None]
    four = "param_C,split0_test_score,split1_test_score,split2_test_score,split3_test_score,"
    four += "split4_test_score,mean_test_score,std_test_score\n1,1,1,1,1,1,1,0.1\n"
    assert read(csv, four).results[0].outcome.delta_perf_se == pytest.approx(0.05)


@pytest.mark.parametrize("error", ["acc_se", "acc_stderr", "acc_stderr,none"])
def test_a_standard_error_is_known_by_the_metric_s_name(csv, error):
    metric = "acc,none" if "," in error else "acc"
    text = f'lr,"{metric}","{error}"\n1,0.5,0.01\n2,0.6,0.02\n'
    assert [r.outcome.delta_perf_se for r in read(csv, text).results] == [0.01, 0.02]


def test_what_scikit_learn_says_twice_counts_once(csv):
    text = ",mean_fit_time,param_C,param_class_weight,params,mean_test_score,std_test_score,"
    text += """rank_test_score
0,0.1,1,balanced,"{'C': 1, 'class_weight': 'balanced'}",0.81,0.01,2
1,0.1,1,"{0: 1, 1: 5}","{'C': 1, 'class_weight': {0: 1, 1: 5}}",0.82,0.01,1
2,0.1,10,,"{'C': 10, 'class_weight': None}",0.79,0.01,3
"""
    reading = read(csv, text)
    assert reading.parameters == ("c", "class_weight")
    assert [config["class_weight"] for config in configs(reading)][::2] == ["balanced", None]
    assert not any(result.gaps for result in reading.results)  # a blank is None, a value of its own
    assert reading.set_aside["its keys are columns already"] == ("params",)
    assert reading.set_aside["looks measured"] == (
        "mean_fit_time", "std_test_score", "rank_test_score"
    )  # fmt: skip
