"""What an open question is said to need: of a stored sweep, of a table and of two backends."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from harness import LogUniform, Pairs, Sweep
from harness.claims import mean_gain, no_worse, still_improves, success_rate
from harness.judging.evidence import gathered
from harness.judging.stored import judge_sweep
from harness.judging.table import NEEDS, TRAINED, Terms, judge_table
from harness.store import Store
from harness.sweeps.plan import Selection, plan
from harness.verdicts import Counts, NeedKind
from tests.factories import make_result
from tests.judging.parity_runs import FAR, NEAR, WIDE, compared, differing
from tests.judging.tables import grid, judged, runs


def kinds(verdict):
    return [need.kind for need in verdict.needs]


# ---- a stored sweep -----------------------------------------------------------------------------

SPACE = {"learning_rate": LogUniform(1e-7, 1e-6), "batch_size": 8, "generations": 16}
BASE = Sweep("base", runs=4, steps=100, space=SPACE)
SWEEP = Sweep(
    "s",
    runs=4,
    steps=100,
    space=SPACE,
    baseline="base",
    arms={"batch_size": Pairs(2, values=(4,))},
    questions={
        "half": success_rate.above(0.5),
        "mean": mean_gain.above_baseline(),
        "plateau": still_improves(margin=0.02),
        "batch_size": no_worse("batch_size", 8, than=(4,), margin=0.02),
    },
)


@pytest.fixture
def verdicts(tmp_path, monkeypatch):
    """Judge the sweep on the first runs of its plan that are in, and on nothing of its baseline."""
    monkeypatch.setattr("harness.training.backends._installed", lambda module: True)

    def verdicts(finished, curve=None, **selection):
        asked = Selection(**{"backend": "torch"} | selection)
        planned = plan(SWEEP, asked, trains=False)
        made = {
            key: replace(
                make_result(key=key, delta=0.1 + 0.001 * number**2, curve=curve),
                run=run,
                conditions=planned.conditions,
            )
            for number, (key, run) in enumerate([*planned.runs.items()][:finished])
        }
        with Store.open(str(tmp_path / "store.db")) as store:
            found = gathered(
                planned,
                {"s": SWEEP, "base": BASE},
                store,
                lookup=lambda keys: {key: made[key] for key in keys if key in made},
            )
            judgement = judge_sweep(found)
        return {verdict.id: verdict for verdict in judgement.verdicts}

    return verdicts


def test_what_is_not_judged_yet_needs_the_training_of_its_sweep(verdicts):
    found = verdicts(2)
    for id_ in ("half", "plateau", "batch_size"):
        assert found[id_].verdict == "not judged"
        (need,) = found[id_].needs
        assert (need.kind, need.sweeps) == ("training", ("s",))
        assert str(need) == "pytest experiments/ --sweep s --sweep-backend torch"


def test_what_has_no_baseline_needs_the_training_of_both(verdicts):
    (need,) = verdicts(6)["mean"].needs
    assert (need.kind, need.sweeps) == ("training", ("base", "s"))
    assert str(need) == "pytest experiments/ --sweep base,s --sweep-backend torch"


def test_only_a_command_that_trains_is_given_the_options_of_this_time(verdicts):
    found = verdicts(6, curve=(), precision="bfloat16")
    assert str(found["mean"].needs[0]).endswith(" --sweep-backend torch --sweep-precision bfloat16")
    others = {id_: need for id_ in ("half", "plateau", "batch_size") for need in found[id_].needs}
    assert {id_: need.kind for id_, need in others.items()} == {
        "half": "runs",
        "plateau": "curve",
        "batch_size": "arm",
    }
    assert not [need for need in others.values() if "--sweep-backend" in str(need)]


# ---- a table ------------------------------------------------------------------------------------

BEFORE = runs(24, 9, mean=0.0)
ALONE = [{"run": f"r{i}", "lr": 1e-7 * (i + 1), "delta_perf": 0.01 * i} for i in range(8)]
LITTLE = {
    "runs": runs(24),
    "one run": runs(1),
    "three runs": runs(3),
    "all failed": [row | {"status": "failed"} for row in runs(8)],
    "all diverged": [row | {"status": "diverged"} for row in runs(8)],
    "one value": [row | {"lr": 1e-7} for row in runs(8)],
    "a constant": [row | {"delta_perf": 0.2} for row in runs(8)],
    "no parameter": [{"delta_perf": row["delta_perf"]} for row in runs(8)],
    "a grid": grid(),
}
AGAINST = {
    "nothing": None,
    "runs": BEFORE,
    "two runs": runs(2, 9),
    "a constant": [row | {"delta_perf": 0.1} for row in BEFORE],
    "failures": [row | {"status": "failed"} for row in BEFORE],
    "counts": Counts("counts", 6, 19, "ΔPerf > 0", "given"),
}


def needs_of(table, rows, against, terms=None, **asked):
    theirs = table(against, name="before") if isinstance(against, list) else against
    groups = judge_table(table(rows, **asked), theirs, terms).groups
    return [
        (verdict.id, need)
        for group in groups
        for verdict in group.judgement.verdicts
        for need in verdict.needs
    ]


def assert_of_a_table(needs):
    """Assert that a table or an option meets each need, and that no command that trains does."""
    own = {str(need) for need in NEEDS.values()}
    for id_, need in needs:
        assert need.kind != "training", (id_, need)
        assert not need.sweeps
        assert "pytest" not in str(need), (id_, need)
        assert "--sweep" not in str(need), (id_, need)
        if need.kind in TRAINED:
            assert str(need) in own or "as a grid or an arm column has them" in str(need)


@pytest.mark.parametrize("against", AGAINST)
@pytest.mark.parametrize("rows", LITTLE)
def test_a_table_never_needs_what_only_training_meets(table, rows, against):
    needs = needs_of(table, LITTLE[rows], AGAINST[against])
    assert needs
    assert_of_a_table(needs)


@pytest.mark.parametrize("rows", ["runs", "one run", "all failed"])
def test_questions_that_a_table_does_not_ask_name_what_would_ask_them(table, rows):
    needs = dict(needs_of(table, LITTLE[rows], None))
    assert needs["plateau"] == NEEDS["plateau"]
    assert needs["batch_size"] == NEEDS["batch_size"]
    assert (needs["plateau"].kind, needs["batch_size"].kind) == ("curve", "arm")


def test_without_a_baseline_each_question_names_what_would_be_one(table):
    needs = dict(needs_of(table, LITTLE["runs"], None))
    for id_ in ("success_vs_baseline", "mean_vs_baseline", "variance_vs_baseline"):
        assert needs[id_] == NEEDS[id_]
        assert needs[id_].kind == "baseline"
    assert "SUCCESSES/RUNS" in str(needs["success_vs_baseline"])
    assert "SUCCESSES/RUNS" not in str(needs["mean_vs_baseline"]), "counts have no mean"


def test_pairs_that_a_table_lacks_are_rows_and_not_an_arm_of_a_sweep(table):
    rows = [row | {"layers": 4 + 4 * (i % 2)} for i, row in enumerate(runs(12))]
    needs = needs_of(table, rows, None, Terms(references={"layers": 4}))
    ((_, need),) = [(id_, need) for id_, need in needs if id_ == "layers"]
    assert need.kind == "arm"
    assert str(need).startswith("runs that differ in layers alone")
    assert_of_a_table(needs)


def test_a_curve_without_its_points_is_another_table(table, tmp_path):
    curves = tmp_path / "curves.csv"
    points = [f"r{i},{step},{0.1 + 0.001 * step}" for i in range(8) for step in (0, 3)]
    curves.write_text("run,step,perf\n" + "\n".join(points) + "\n")
    rows = [row | {"steps": 100} for row in ALONE]
    _, verdicts = judged(table(rows, curves=curves))
    assert verdicts["plateau"].verdict == "unanswerable"
    assert verdicts["plateau"].needs == (NEEDS["plateau"],)


def test_a_metric_without_a_zero_and_without_a_margin_needs_both_of_the_user(table):
    rows = [{"run": f"r{i}", "lr": 1e-7 * (i + 1), "points": 20.0 + i % 5} for i in range(24)]
    asked = {"metric": "points", "direction": "max"}
    needs = needs_of(table, rows, None, **asked)
    assert dict(needs)["success_above_half"].kind == "metric"
    assert_of_a_table(needs)


@pytest.mark.parametrize("rows", ["all failed", "one run"])
def test_groups_of_little_need_no_training_either(table, rows):
    by = [row | {"model": model} for model in ("a", "b") for row in LITTLE[rows]]
    by = [row | {"run": f"{i}"} for i, row in enumerate(by)]
    assert_of_a_table(needs_of(table, by, BEFORE, by=("model",)))


# ---- two backends -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (differing(*NEAR), []),
        (differing(*FAR), []),
        (differing(*WIDE), ["runs"]),
        (differing(0.01, 0.01, 0.01), ["runs"]),
        (differing(0.01), ["runs"]),
        (compared((0.1, "failed"), (0.1, 0.1), (0.1, 0.2)), ["runs", "runs"]),
        (compared((0.1, "failed"), (0.1, 0.1), (0.1, 0.1)), ["runs"]),
    ],
    ids=["near", "far", "wide", "constant", "one", "unfinished and wide", "unfinished and equal"],
)
def test_backends_that_are_undecided_need_runs_and_no_training_of_a_sweep(found, expected):
    assert kinds(found.verdict) == expected


# ---- all of them --------------------------------------------------------------------------------


def test_kinds_that_training_meets_are_kinds():
    assert set(get_args(NeedKind)) >= TRAINED
    assert {need.kind for need in NEEDS.values()} <= set(get_args(NeedKind)) - {"training"}
