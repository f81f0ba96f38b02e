"""One value of a parameter is no worse than others: judging, power, early verdicts, nights."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from harness import Choice, Pairs
from harness.claims import no_worse
from harness.claims.power import sweep_power
from harness.judging.evidence import evidence_of
from harness.verdicts import Need
from tests.claims.cases import check, judge, noise, spaced, with_arms
from tests.claims.powers import SPACE, make_sweep, only, price, runs_of, why
from tests.factories import make_arm, make_evidence, make_result, make_results
from tests.judging.early_runs import after, better_by_a_tenth, planned_of
from tests.judging.nights import assert_regresses, peaked

# ---- judging -------------------------------------------------------------------------------------


PAIRS = "an arm batch_size=Pairs(12, values=(4, 12))"
ARM_NEEDED = f"{PAIRS} in the sweep, run with --sweep-arms batch_size"


def test_the_worst_arm_is_shown():
    verdict = judge("batch_size", with_arms({4: noise(0.03), 12: noise(0.0, seed=1)}))
    assert verdict.verdict == "supported"
    assert "batch size 8 against 12" in verdict.answer
    assert verdict.low > -0.02
    assert len(verdict.details) == 2


def test_a_worse_reference_is_refuted_at_a_shared_level():
    verdict = judge("batch_size", with_arms({4: noise(-0.06), 12: noise(0.05, seed=1)}))
    assert verdict.verdict == "refuted"
    assert verdict.level == pytest.approx(0.95)
    assert verdict.high < -0.02
    assert "against 4" in verdict.answer


@pytest.mark.parametrize(
    ("p_value", "alone", "of_two"),
    [
        (0.06, "inconclusive", "inconclusive"),
        (0.04, "refuted", "inconclusive"),
        (0.026, "refuted", "inconclusive"),
        (0.024, "refuted", "refuted"),
    ],
)
def test_one_value_of_two_refutes_at_half_of_alpha(p_value, alone, of_two):
    spread = np.array(noise(0.0))
    spread -= spread.mean()
    error = spread.std(ddof=1) / math.sqrt(12)
    worse = spread - 0.02 - stats.t.isf(p_value, 11) * error
    evidence = with_arms({4: list(worse), 12: noise(0.0, seed=1)})
    assert judge("batch_size", evidence).verdict == of_two
    claim = no_worse("batch_size", 8, than=(4,), margin=0.02)
    assert claim.judge("batch_size", evidence).verdict == alone


def test_fewer_than_twelve_pairs_decide_nothing():
    verdict = judge("batch_size", with_arms({4: noise(0.0), 12: noise(0.0, n=11, seed=1)}))
    check(verdict)
    assert verdict.verdict == "inconclusive"
    assert verdict.reason == "fewer than 12 pairs with 12"
    assert verdict.needs == (Need("arm", ARM_NEEDED),)


def test_missing_arms_are_named_as_a_sweep_declares_and_runs_them():
    verdict = judge("batch_size", make_evidence(spaced(0, 0.1)))
    assert verdict.needs == (Need("arm", ARM_NEEDED),)
    assert verdict.p_value == 1.0


def test_a_sweep_without_the_reference_cannot_answer():
    runs = make_results(spaced(0, 0.1), parameters={"batch_size": [16] * 24})
    verdict = judge("batch_size", make_evidence(runs=runs))
    check(verdict)
    assert verdict.verdict == "unanswerable"
    assert verdict.p_value is None


def test_a_reference_that_diverges_where_others_do_not_is_not_supported():
    evidence = with_arms({4: noise(0.0, n=14), 12: noise(0.0, n=14, seed=1)})
    first = evidence.runs[0]
    broken = replace(first, outcome=replace(first.outcome, status="diverged", delta_perf=None))
    verdict = judge("batch_size", replace(evidence, runs=(broken, *evidence.runs[1:])))
    check(verdict)
    assert verdict.verdict == "inconclusive"
    assert "diverged" in verdict.reason


def test_an_arm_of_another_backend_is_matched_with_nothing():
    def by_jax(results):
        return tuple(replace(r, conditions=replace(r.conditions, backend="jax")) for r in results)

    twelve = noise(0.0, n=13, seed=1)
    evidence = with_arms({4: [None, *noise(0.0, n=13)], 12: [twelve[0], None, *twelve[1:]]})
    second = evidence.runs[1]
    lost = replace(second, outcome=replace(second.outcome, status="diverged", delta_perf=None))
    runs = (evidence.runs[0], lost, *evidence.runs[2:])
    arm = by_jax(evidence.arms["batch_size"])
    other = replace(evidence, runs=runs, arms={"batch_size": arm})
    verdict = judge("batch_size", other)
    assert verdict.verdict == "unanswerable"
    assert verdict.answer.startswith("no finished run with batch size 4 or 12 is matched")
    both = judge("batch_size", replace(other, runs=by_jax(runs)))
    assert both.n == 28


def test_an_arm_that_diverges_speaks_for_the_reference():
    evidence = with_arms({4: noise(0.0, n=14), 12: [None, None, *noise(0.0, n=12, seed=1)]})
    verdict = judge("batch_size", evidence)
    assert verdict.verdict == "supported"
    assert "2 of the other" in verdict.details[1]


def test_one_difference_in_every_pair_is_no_measurement():
    assert judge("batch_size", with_arms({4: [0.0] * 12, 12: [0.0] * 12})).verdict == "unanswerable"


# ---- power ---------------------------------------------------------------------------------------


def test_the_reference_power_of_the_batch_size():
    found = only(price("batch_size"))
    assert (found.n, found.unit, found.size) == (12, "pairs", 0.0)
    assert found.power == pytest.approx(0.82, abs=0.02)
    assert found.given == "the SD of a run, apart from what its pair shares, is 0.016, assumed"
    assert found.says.startswith(
        "with 12 pairs, a batch size of 8 that is equal to 4 and 12 is shown to be no worse by "
        "0.020 with probability 0.8"
    )


def test_the_spread_of_pairs_is_that_of_stored_ones():
    rng = np.random.default_rng(0)
    main = runs_of("s", rng.normal(0.05, 0.2, 12))
    differences = rng.normal(0, 0.03, (2, 12))
    arms = [
        make_arm(
            "batch_size",
            main,
            [run.outcome.delta_perf - x for run, x in zip(main, row, strict=True)],
            {"batch_size": value},
        )
        for value, row in zip((4, 12), differences, strict=True)
    ]
    found = only(price("batch_size", (*main, *arms[0], *arms[1])))
    variance = np.mean([np.var(row, ddof=1) for row in differences])
    assert found.given == (
        "the SD of a run, apart from what its pair shares, is "
        f"{math.sqrt(variance / 2):.3f}, of 24 stored pairs"
    )
    assert found.power < only(price("batch_size")).power
    # Few pairs tell nothing.
    assert "assumed" in only(price("batch_size", (*main, *arms[0][:7]))).given


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"arms": {}}, "no batch_size arm: unanswerable"),
        ({"arms": {"batch_size": Pairs(8, (4, 12))}},
         f"pairs: 8 with 4 and 8 with 12; 12 of each are needed: {PAIRS} in the sweep"),
        ({"arms": {"batch_size": Pairs(12, (4,))}},
         f"pairs: 12 with 4 and 0 with 12; 12 of each are needed: {PAIRS} in the sweep"),
        ({"space": {**SPACE, "batch_size": 6}},
         f"no run has batch size 8: it takes {PAIRS} in the sweep, and 12 main runs with batch "
         "size 8 (0 of 24 have it)"),
    ],
)  # fmt: skip
def test_arms_that_are_missing_leave_it_unanswerable(fields, said):
    assert why("batch_size", **fields) == said


def test_an_arm_that_is_left_out_is_missing():
    sweep = make_sweep("batch_size")
    found = only(sweep_power(sweep, runs=sweep.plan(arms=())))
    assert found.why == "no batch_size arm: unanswerable"


VARIED = {**SPACE, "batch_size": Choice(4, 8, 12)}


@pytest.mark.parametrize("sampler", ["random", "sobol", "latin_hypercube"])
def test_too_few_main_runs_of_the_reference_come_with_a_number_that_is_enough(sampler):
    few = {"space": VARIED, "sampler": sampler, "arms": {"batch_size": Pairs(12, (4, 12))}}
    sweep = make_sweep("batch_size", **few)
    mains = sum(run.config["batch_size"] == 8 for run in sweep.plan(arms=()))
    assert 0 < mains < 12
    arm = [run for run in sweep.plan() if run.arm == "batch_size"]
    assert len(arm) == 2 * mains  # every one of them is compared with both
    size = sweep.runs_having("batch_size", 8, 12)
    enough = f"{PAIRS} in a sweep of runs={size}, of which 12 have batch size 8 ({mains} of 24 "
    enough += "have it now)"
    found = only(sweep_power(sweep))
    assert found.why == (
        f"pairs: {mains} with 4 and {mains} with 12; 12 of each are needed: {enough}"
    )
    assert on_main_runs(sweep).needs[0].text == f"{enough}, run with --sweep-arms batch_size"
    larger = only(sweep_power(make_sweep("batch_size", **few, runs=size)))
    assert (larger.n, larger.why) == (12, "")


def on_main_runs(sweep):
    """The verdict where the main runs of ``sweep`` have finished, and none of its arms."""
    made = [
        make_result(id=run.id, config=run.config, delta=0.1 + run.index / 100)
        for run in sweep.plan(arms=())
    ]
    return sweep.questions["batch_size"].judge("batch_size", evidence_of(sweep, made))


def test_a_table_without_a_declared_sweep_says_how_many_runs_of_the_reference_it_takes():
    """Nothing is known of its space, so no number of runs is."""
    results = make_results([0.1, 0.2, 0.3], parameters={"batch_size": [8, 4, 8]})
    verdict = judge("batch_size", make_evidence(runs=results))
    assert verdict.needs[0].text == (
        f"{PAIRS} in the sweep, and 12 main runs with batch size 8 (2 of 3 have it), run with "
        "--sweep-arms batch_size"
    )


def test_pairs_that_no_question_compares_are_made_of_any_main_run():
    arms = {"batch_size": Pairs(12, (4, 12))}
    sweep = make_sweep("success_above_half", space=VARIED, arms=arms)
    paired = {run.index for run in sweep.plan() if run.arm == "batch_size"}
    assert paired == set(range(12))


def test_questions_of_two_references_share_an_arm():
    asked = {
        "eight": no_worse("batch_size", 8, than=(4, 12)),
        "four": no_worse("batch_size", 4, than=(8,)),
    }
    arms = {"batch_size": Pairs(40, (4, 8, 12))}
    sweep = make_sweep(space=VARIED, questions=asked, arms=arms, runs=40)
    by_id = {run.id: run.config["batch_size"] for run in sweep.plan(arms=())}
    paired = {(by_id[r.pair], r.config["batch_size"]) for r in sweep.plan() if r.arm != "main"}
    assert paired == {(8, 4), (8, 12), (4, 8), (4, 12)}


def test_a_reference_that_the_space_does_not_have_is_told_apart_from_too_few_runs():
    space = {**SPACE, "batch_size": Choice(8, 4, 12, weights=(1, 1e6, 1e6))}
    sweep = make_sweep("batch_size", space=space)
    assert sweep.runs_having("batch_size", 8, 12) is None
    assert "and 12 main runs with batch size 8 (0 of 24 have it)" in only(sweep_power(sweep)).why


def test_the_sweep_s_margin_is_used_where_the_claim_has_none():
    asked = no_worse("batch_size", 8, than=(4, 12))
    tight = only(price(None, questions={"q": asked}, margin=0.01))
    assert tight.power < only(price("batch_size")).power
    assert "no worse by 0.010" in tight.says


# ---- before all runs are in ----------------------------------------------------------------------


def test_no_look_is_taken_at_which_nothing_could_be_said():
    asked = {"batch_size": no_worse("batch_size", 8, than=(4,), margin=0.02)}
    planned = planned_of(questions=asked, arms={"batch_size": Pairs(12, (4,))})
    count, verdicts = after(planned, better_by_a_tenth)
    assert count == 24, "12 pairs, and none of the other 12 main runs"
    verdict = verdicts["batch_size"]
    assert verdict.verdict == "supported"
    assert (verdict.decided.look, verdict.decided.looks) == (1, 1)
    assert verdict.decided.alpha == pytest.approx(0.05)
    assert verdict.level == pytest.approx(0.9)


def test_more_pairs_than_a_verdict_takes_have_looks():
    asked = {"batch_size": no_worse("batch_size", 8, than=(4, 12), margin=0.02)}
    planned = planned_of(questions=asked, arms={"batch_size": Pairs(24, (4, 12))})
    count, verdicts = after(planned, better_by_a_tenth)
    assert (count, verdicts["batch_size"].decided.runs) == (36, 12)


# ---- from night to night -------------------------------------------------------------------------


def test_a_night_on_which_the_other_value_is_better_has_regressed(reference):
    assert_regresses(
        reference, "batch_size", truth=lambda run: peaked(run) + 0.1 * (run.arm == "batch_size")
    )
