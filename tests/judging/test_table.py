"""Verdicts and audit of tables of finished runs: what counts once, what is asked, what is said."""

import numpy as np
import pytest

from harness.claims import STANDARD_IDS
from harness.errors import UsageError
from harness.judging.table import judge_table
from harness.tables import read_runs
from harness.verdicts import Counts
from tests import published_broad
from tests.judging.tables import grid, judged, runs


def test_all_standard_questions_appear_and_none_is_pre_registered(table):
    report, verdicts = judged(table(runs(24)))
    assert set(STANDARD_IDS) <= set(verdicts)
    assert verdicts["success_above_half"].verdict == "supported"
    assert verdicts["mean_vs_baseline"].verdict == "unanswerable"
    assert verdicts["mean_vs_baseline"].p_holm is None
    assert any("--baseline" in str(need) for need in verdicts["mean_vs_baseline"].needs)
    assert "--curves" in str(verdicts["plateau"].needs[0])
    (finding,) = [f for f in report.findings if f.code == "post_hoc"]
    assert "not pre-registered" in finding.message


def test_parameters_that_act_together_alone_are_told(table):
    rng = np.random.default_rng(0)
    rows = [
        {"optimizer": one, "schedule": two, "dropout": three, "accuracy":
         0.7 + 0.1 * ((one == "adam") != (two == "cosine")) + 0.02 * rng.normal()}
        for one in ("adam", "sgd") for two in ("cosine", "linear") for three in (0.0, 0.1, 0.2)
        for _ in range(4)
    ]  # fmt: skip
    report, verdicts = judged(table(rows, metric="accuracy", direction="max"))
    assert verdicts["matters_optimizer"].verdict != "supported"
    (finding,) = [f for f in report.findings if f.code == "interaction"]
    assert finding.brief == "optimizer and schedule act together"
    assert set(finding.parameters) == {"optimizer", "schedule"}
    alone = [{**row, "accuracy": 0.7 + 0.02 * rng.normal()} for row in rows]
    report, _ = judged(table(alone, metric="accuracy", direction="max"))
    assert not [f for f in report.findings if f.code == "interaction"]


def test_runs_that_all_diverged_have_no_parameters_that_act_together(table):
    rows = [
        {"norm": "ab"[i % 2], "depth": i % 3, "accuracy": "nan", "status": "diverged"}
        for i in range(12)
    ]
    report, _ = judged(table(rows, metric="accuracy", direction="max"))
    assert not [f for f in report.findings if f.code == "interaction"]


def with_arm(arm, mean=0.0, main=0.06, pair=True, n=8):
    """Rows of 24 main runs, and of the first of them again in an arm."""
    rows = [{**row, "arm": "main", "pair": ""} for row in runs(24, 1, main)]
    again = []
    for row, gain in zip(rows, runs(n, 2, mean), strict=False):
        of = {"run": f"{row['run']}-{arm}", "arm": arm, "pair": row["run"] if pair else ""}
        again.append({**row, **of, "delta_perf": gain["delta_perf"]})
    return rows + again


@pytest.mark.parametrize("arm", ["null", "random"])
@pytest.mark.parametrize("pair", [True, False])
@pytest.mark.parametrize(("mean", "verdict"), [(0.0, "supported"), (0.1, "refuted")])
def test_useless_training_in_a_table_is_compared_with(table, arm, pair, mean, verdict):
    """A run that names no pair has the main run with its parameters."""
    report, verdicts = judged(table(with_arm(arm, mean, pair=pair)))
    found = verdicts[f"gain_over_{arm}"]
    assert (found.verdict, found.n) == (verdict, 8)
    assert found.answer.endswith(f"over useless training, the arm {arm} (8 pairs)")
    assert found.p_holm is not None
    codes = {finding.code for finding in report.findings}
    assert ("useless_succeeds" in codes) == (mean == 0.1)
    # The main runs alone are what the other questions are asked of.
    assert verdicts["success_above_half"].n == 24


def test_without_useless_training_nothing_is_asked_of_it(table):
    for rows in (runs(24, 1), with_arm("half")):
        _, verdicts = judged(table(rows))
        assert not {"gain_over_null", "gain_over_random"} & set(verdicts)


@pytest.mark.parametrize("pair", [True, False])
def test_runs_that_confirmed_leaders_are_no_main_runs_and_nothing_is_asked_of_them(table, pair):
    """A table does not say which of them was the leader, and which the reference."""
    rows = with_arm("confirm", mean=0.5, pair=pair)
    rows += [{**row, "run": f"{row['run']}-again"} for row in rows[24:]]
    report, verdicts = judged(table(rows))
    _, alone = judged(table(rows[:24]))
    assert set(verdicts) == set(alone)
    assert verdicts["success_above_half"].n == 24
    for id_, found in alone.items():
        assert (verdicts[id_].verdict, verdicts[id_].estimate) == (found.verdict, found.estimate)
    assert [arm.name for arm in report.arms] == ["confirm"]
    assert report.confirmed == ()


def test_few_useless_runs_are_asked_about_and_said_to_be_few(table):
    _, verdicts = judged(table(with_arm("null", n=4)))
    assert verdicts["gain_over_null"].verdict == "unanswerable"
    assert "4 pairs" in verdicts["gain_over_null"].answer
    need = "at least 6 rows of the arm null, each with its main run as its pair"
    assert [str(need) for need in verdicts["gain_over_null"].needs] == [need]


def test_useless_runs_of_no_main_run_s_parameters_are_compared_all_with_all(table):
    rows = with_arm("null", pair=False)
    for row in rows[24:]:
        row["lr"] = "3e-5"
    _, verdicts = judged(table(rows))
    found = verdicts["gain_over_null"]
    assert (found.verdict, found.n) == ("supported", 32)
    assert found.method.startswith("Welch")


def test_a_baseline_table_is_compared_with(table):
    ours, theirs = table(runs(24, 1, 0.08)), table(runs(48, 2, 0.03), name="before")
    _, verdicts = judged(ours, theirs)
    assert verdicts["mean_vs_baseline"].verdict == "supported"
    assert verdicts["success_vs_baseline"].verdict == "supported"
    _, verdicts = judged(theirs, ours)
    assert verdicts["mean_vs_baseline"].verdict == "refuted"


def test_a_baseline_of_counts_answers_the_success_rate_alone(table):
    rows = [{k: v for k, v in row.items() if k != "delta_perf_se"} for row in runs(24, 1, 0.08)]
    counts = Counts("6/19", 6, 19, "ΔPerf > 0", "given")
    _, verdicts = judged(table(rows), counts)
    assert verdicts["success_vs_baseline"].verdict == "supported"
    assert verdicts["mean_vs_baseline"].verdict == "unanswerable"


def test_repeats_count_once(table):
    """Four configurations in six seeds each are four, not 24: too few for more than half."""
    rows = [
        {"lr": lr, "wd": wd, "seed": seed, "delta_perf": 0.1 + wd + 0.001 * seed,
         "delta_perf_se": 0.01}
        for lr, wd in ((1e-7, 0.1), (2e-7, 0.0), (3e-7, 0.2), (4e-7, 0.3))
        for seed in range(6)
    ]  # fmt: skip
    report, verdicts = judged(table(rows))
    assert verdicts["success_above_half"].n == 4
    assert verdicts["success_above_half"].verdict == "inconclusive"
    assert len(report.main) == 4


def test_unequal_repeats_leave_spread_tail_and_counts_unanswered(table):
    many = [{**row, "seed": s} for row in runs(12, 3) for s in range(3)]
    for i, row in enumerate(many):
        row.update(run=f"m{i}", delta_perf=row["delta_perf"] + 0.001 * i)
    _, verdicts = judged(table(many), table([{**r, "seed": 0} for r in runs(12, 4)], name="before"))
    assert verdicts["variance_vs_baseline"].verdict == "unanswerable"
    assert "3 repeats a configuration against 1 run" in verdicts["variance_vs_baseline"].answer
    assert verdicts["lower_tail_vs_baseline"].verdict == "unanswerable"
    assert verdicts["success_vs_baseline"].verdict == "inconclusive"
    assert verdicts["mean_vs_baseline"].verdict == "inconclusive"


def test_in_a_grid_runs_are_compared_where_all_else_is_equal(table):
    _, verdicts = judged(table(grid()))
    matters, best = verdicts["matters_learning_rate"], verdicts["best_learning_rate"]
    assert (matters.verdict, matters.n) == ("supported", 45)
    assert "among runs that are otherwise alike" in matters.method
    assert (best.verdict, best.n, best.effect.shape) == ("supported", 45, "peak inside")


def test_the_standard_question_of_the_learning_rate_is_that_for_its_best_value(table):
    """It is answered under its own name, and takes no second part in the correction."""
    _, verdicts = judged(table(grid()))
    standard, best = verdicts["lr_sweet_spot"], verdicts["best_learning_rate"]
    assert (standard.verdict, standard.answer, standard.n) == (best.verdict, best.answer, best.n)
    assert (standard.claim, standard.p_value, standard.p_holm) == ("", None, None)


def test_a_grid_has_the_pairs_of_a_reference_value(table):
    """Five learning rates in three seeds are five pairs: repeats are no pairs of their own."""
    _, verdicts = judged(table(grid()), references={"batch_size": 8})
    assert verdicts["batch_size"].n == 10
    assert "too few pairs" in verdicts["batch_size"].answer
    wide = [row | {"lr": f"{float(row['lr']) * k:.4g}"} for k in (1, 1.1, 1.2) for row in grid()]
    _, verdicts = judged(table(wide), references={"batch_size": 8})
    assert (verdicts["batch_size"].n, verdicts["batch_size"].verdict) == (30, "supported")
    _, verdicts = judged(table(wide), references={"batch_size": 4})
    assert verdicts["batch_size"].verdict == "refuted"


def test_seeds_make_pairs_where_one_parameter_alone_varies(table):
    rows = [row for row in grid(seeds=14) if row["lr"] == "1e-06"]
    _, verdicts = judged(table(rows), references={"batch_size": 8})
    assert (verdicts["batch_size"].n, verdicts["batch_size"].verdict) == (28, "supported")


def test_an_arm_is_compared_with_its_main_runs(table):
    rng = np.random.default_rng(6)
    rows = []
    for i in range(14):
        level = rng.normal(0, 0.1)
        for arm, batch, gain in (("main", 8, 0.0), ("batch_size", 12, -0.1)):
            noise = rng.normal(0, 0.01)
            rows.append(
                {"run": f"{arm}{i}", "arm": arm, "lr": (i + 1) * 1e-7, "batch_size": batch,
                 "delta_perf": level + gain + noise}
            )  # fmt: skip
    _, verdicts = judged(table(rows))
    assert (verdicts["batch_size"].n, verdicts["batch_size"].verdict) == (14, "supported")


def test_every_parameter_that_varies_is_asked_about(table):
    rows = [row | {"beta": i / 30, "layers": i % 4, "width": 64} for i, row in enumerate(runs(24))]
    _, verdicts = judged(table(rows))
    for parameter in ("learning_rate", "beta", "layers"):
        assert f"matters_{parameter}" in verdicts
        assert f"best_{parameter}" in verdicts
    assert not {"matters_width", "best_width"} & verdicts.keys()


def test_another_threshold_is_another_question(table):
    _, verdicts = judged(table(runs(24)), success_above=0.7)
    assert verdicts["success_above_0.7"].verdict == "supported"
    assert verdicts["success_above_half"].claim == ""


def plain(n, seed, mean, **extra):
    rng = np.random.default_rng(seed)
    return [{"lr": (i + 1) * 1e-5, "loss": mean + 0.1 * rng.normal(), **extra} for i in range(n)]


def test_a_minimised_metric_is_better_where_it_is_less(table):
    asked = {"metric": "loss", "direction": "min"}
    ours = table(plain(24, 1, 1.0), **asked)
    theirs = table(plain(24, 2, 1.2), name="before", **asked)
    report, verdicts = judged(ours, theirs)
    assert verdicts["mean_vs_baseline"].verdict == "supported"
    assert "mean loss lower than" in verdicts["mean_vs_baseline"].question
    assert verdicts["mean_vs_baseline"].answer.startswith("yes: 1.012 against 1.203")
    assert verdicts["success_above_half"].verdict == "unanswerable"
    assert "target" in str(verdicts["success_above_half"].needs[0])
    assert report.own.improved == frozenset()


def test_a_target_makes_successes_that_no_half_of_useless_runs_has(table):
    asked = {"metric": "loss", "direction": "min", "target": 1.1}
    ours = table(plain(24, 1, 1.0), **asked)
    theirs = table(plain(24, 2, 1.2), name="before", **asked)
    report, verdicts = judged(ours, theirs)
    assert verdicts["success_above_half"].verdict == "supported"
    assert verdicts["success_vs_baseline"].verdict == "supported"
    assert "one half" not in verdicts["success_vs_baseline"].method
    assert not [f for f in report.findings if f.code == "null_success_rule"]


def test_a_metric_without_a_margin_neither_supports_nor_refutes_what_needs_one(table):
    asked = {"metric": "loss", "direction": "min"}
    rows = plain(24, 1, 5.0)
    _, verdicts = judged(table(rows, **asked))
    assert "no margin" in verdicts["lr_sweet_spot"].reason
    _, verdicts = judged(table(rows, **asked), margin=0.5)
    assert "no margin" not in verdicts["lr_sweet_spot"].reason
    assert verdicts["lr_sweet_spot"].verdict == "refuted"


def test_a_constant_metric_answers_nothing(table):
    rows = [row | {"delta_perf": 0.2025} for row in runs(24)]
    report, verdicts = judged(table(rows), Counts("6/19", 6, 19, "ΔPerf > 0", "given"))
    assert {verdict.verdict for verdict in verdicts.values()} == {"unanswerable"}
    assert "degenerate_metric" in {finding.code for finding in report.findings}


def test_a_training_metric_that_all_runs_share_is_found_out(table):
    """The log of the sweep that was declared a success: 24 times +0.2025; held out −1.6."""
    rng = np.random.default_rng(7)
    rows = [
        row | {"train_delta_perf": 0.2025, "delta_perf": -0.016 + 0.03 * rng.normal()}
        for row in runs(24)
    ]
    report, verdicts = judged(table(rows))
    assert "train_eval_divergence" in {finding.code for finding in report.findings}
    assert verdicts["success_above_half"].verdict != "supported"


def test_the_published_sweep_raises_what_is_implied(tmp_path):
    report, _ = judged(read_runs(published_broad.write(tmp_path / "broad.csv")))
    confounded = {f.parameters for f in report.findings if f.code == "confounded"}
    assert ("generations", "batch_size") in confounded
    assert "null_success_rule" in {finding.code for finding in report.findings}
    assert (report.own.successes, report.own.runs) == (16, 48)
    assert [(r.successes, r.runs) for r in report.ranges] == [(6, 19), (5, 19), (5, 10)]


def two_models(small, large, few, many, seed):
    rng = np.random.default_rng(seed)
    return [
        {"model": model, "lr": float(rng.uniform(1e-5, 1e-3)), "score": base + 0.03 * rng.normal()}
        for model, base, n in (("small", small, many), ("large", large, few))
        for _ in range(n)
    ]


def test_groups_are_judged_apart_and_pooling_that_misleads_is_told(table):
    asked = {"metric": "score", "direction": "max"}
    ours = table(two_models(0.20, 0.70, 12, 40, 1), by=("model",), **asked)
    theirs = table(two_models(0.15, 0.65, 40, 12, 2), name="before", **asked)
    found = judge_table(ours, theirs)
    assert [group.by for group in found.groups] == [{"model": "small"}, {"model": "large"}]
    means = [
        {v.id: v for v in group.judgement.verdicts}["mean_vs_baseline"] for group in found.groups
    ]
    assert [verdict.verdict for verdict in means] == ["supported", "supported"]
    assert means[0].n == 52
    (finding,) = [f for f in found.pooling if "mean_vs_baseline" in f.message]
    assert finding.code == "mixed_conditions"
    assert "would be refuted" in finding.message


def test_holm_corrects_over_questions_and_groups(table):
    asked = {"metric": "score", "direction": "max", "target": 0.4}
    ours = table(two_models(0.41, 0.70, 12, 12, 1), by=("model",), **asked)
    found = judge_table(ours)
    verdicts = [
        v for group in found.groups for v in group.judgement.verdicts if v.p_value is not None
    ]
    assert len(verdicts) == 6
    smallest = min(verdicts, key=lambda verdict: verdict.p_value)
    assert smallest.p_holm == pytest.approx(min(1.0, 6 * smallest.p_value))


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ({"references": {"batch_sise": 8}}, "no parameter 'batch_sise' in the table"),
        ({"references": {"batch_size": 5}}, "no run has that value; the table has 12, 4, 8"),
        ({"references": {"layers": 1}}, "nothing to compare it with"),
    ],
)
def test_what_the_table_does_not_have_is_one_line(table, terms, said):
    with pytest.raises(UsageError, match=said) as caught:
        judged(table(runs(12, batch_size=(4, 8, 12), layers=(1,))), **terms)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "rows",
    [
        runs(1),
        [row | {"status": "failed"} for row in runs(8)],
        [row | {"status": "diverged"} for row in runs(8)],
        [row | {"lr": 1e-7} for row in runs(8)],
        [{"delta_perf": row["delta_perf"]} for row in runs(8)],
        runs(3),
    ],
    ids=["one run", "all failed", "all diverged", "one value", "no parameter", "three runs"],
)
def test_however_little_there_is_each_question_has_an_answer_and_no_figure_is_nan(table, rows):
    theirs = table(runs(2, 9), name="before")
    _, verdicts = judged(table(rows), theirs)
    for verdict in verdicts.values():
        assert verdict.verdict != "not judged"
        assert verdict.answer
        for value in (verdict.estimate, verdict.low, verdict.high, verdict.p_value):
            assert value is None or np.isfinite(value)


def test_groups_that_disagree_are_told(table):
    asked = {"metric": "score", "direction": "max"}
    ours = table(two_models(0.30, 0.60, 20, 20, 1), by=("model",), **asked)
    theirs = table(two_models(0.20, 0.70, 20, 20, 2), name="before", **asked)
    found = judge_table(ours, theirs).pooling
    assert any("mean_vs_baseline differs between groups of model" in f.message for f in found)


@pytest.mark.parametrize(
    ("asked", "usual"),
    [
        ({"metric": "acc", "direction": "max"}, True),
        ({"metric": "acc", "direction": "max", "target": 0.7}, True),
        ({"metric": "acc", "direction": "min"}, False),
        ({"before": "start", "after": "acc"}, True),
        ({"before": "start", "after": "acc", "direction": "min"}, False),
        ({"metric": "points", "direction": "max"}, False),
        ({"before": "start", "after": "points"}, False),
    ],
)
def test_only_scores_from_0_to_1_have_a_usual_margin(table, asked, usual):
    rows = [
        {"lr": (i + 1) * 1e-5, "start": 0.5, "acc": 0.3 + 0.05 * i, "points": 20 + 7 * i % 12}
        for i in range(12)
    ]
    said = judge_table(table(rows, **asked)).notes[0]
    assert ("margin 0.02" in said) == usual
    assert ("no margin" in said) != usual


def test_of_repeats_every_lost_run_is_counted_and_once(table):
    """Four configurations in three seeds, of which one seed or all of one diverged."""
    rows = [
        {"lr": lr, "wd": lr * 1e6, "seed": seed, "delta_perf": 0.1 + 1e5 * lr + 0.01 * seed,
         "status": "diverged" if (lr, seed) == (4e-7, 2) else "completed"}
        for lr in (1e-7, 2e-7, 3e-7, 4e-7)
        for seed in range(3)
    ]  # fmt: skip
    report, _ = judged(table(rows))
    (finding,) = [f for f in report.findings if f.code == "survivorship"]
    assert "1 diverged of 12 runs" in finding.message
    rows = [row | {"status": "diverged" if row["lr"] == 4e-7 else "completed"} for row in rows]
    report, _ = judged(table(rows))
    (finding,) = [f for f in report.findings if f.code == "survivorship"]
    assert "3 diverged of 12 runs" in finding.message


def test_the_best_of_the_runs_that_went_further_has_what_selection_leaves_of_it(table, tmp_path):
    ends = (8, 8, 6, 6, 6, 6, 6, 8, 6, 6)
    curves = tmp_path / "curves.csv"
    points = [
        f"r{i},{step},{0.01 * i + 0.1 * step}"
        for i, end in enumerate(ends) for step in range(1, end + 1)
    ]  # fmt: skip
    curves.write_text("\n".join(["run,step,acc", *points]))

    def said(**error):
        rows = [
            {"run": f"r{i}", "status": "finished" if end == 8 else "pruned", "lr": i + 1,
             "acc": 0.01 * i + 0.1 * end, **error}
            for i, end in enumerate(ends)
        ]  # fmt: skip
        reading = table(rows, curves=curves)
        assert "beside it, at the full 8: 3 runs" in reading.notes
        return next(line for line in judge_table(reading).notes if line.startswith("at the full"))

    assert said() == (
        "at the full 8: r7 with acc 0.870 is the best of 3 runs; how much of it is luck cannot be "
        "said"
    )
    found = said(acc_se=0.02)
    assert found.startswith("at the full 8: r7 with acc 0.870 is the best of 3 runs; 0.8")
    assert found.endswith(" after selection")
    assert "; 0.870 after" not in found
