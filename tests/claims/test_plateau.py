"""Perf still improves late in the training: judging, power, early verdicts, nights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness import statistics
from harness.claims import still_improves
from harness.claims.power import sweep_power
from harness.records import Evaluation
from harness.verdicts import Evidence
from tests.claims.cases import QUESTIONS, judge, noise, spaced, with_gains
from tests.claims.powers import make_sweep, price, runs_of, why
from tests.factories import make_arm, make_evidence, make_result, make_results, make_trace
from tests.judging.early_runs import after, planned_of
from tests.judging.nights import assert_regresses

# ---- judging -------------------------------------------------------------------------------------


def test_a_small_sure_gain_is_a_plateau():
    verdict = judge("plateau", make_evidence(runs=with_gains(noise(0.008, 0.004, 24))))
    assert verdict.low > 0
    assert verdict.verdict == "refuted"
    assert verdict.answer.startswith("plateau: +0.00")
    assert verdict.p_value == 1.0


def test_a_fall_is_said():
    verdict = judge("plateau", make_evidence(runs=with_gains(noise(-0.1, 0.01, 24))))
    assert verdict.verdict == "refuted"
    assert "falls: −0.1" in verdict.answer
    unsure = judge("plateau", make_evidence(runs=with_gains(spaced(-0.14, 0.1))))
    assert "flat or falls" in unsure.answer


def test_the_window_scales_with_the_steps():
    runs = tuple(
        make_result(
            id=str(index),
            delta=0.01 * gain,
            steps=20,
            declared_steps=100,
            curve=tuple(
                Evaluation(step, 0.1 + gain * step / 200, 0.01, 0) for step in range(0, 21, 2)
            ),
        )
        for index, gain in enumerate(noise(1.0, 0.1))
    )
    verdict = judge("plateau", make_evidence(runs=runs))
    assert "from step 10 to 20" in verdict.answer
    assert verdict.estimate == pytest.approx(0.05, rel=0.2)


def test_the_question_names_the_step_in_runs_of_these_steps():
    def asked(since, *steps):
        runs = [make_result(steps=of, declared_steps=100) for of in steps]
        return still_improves(since).judge("plateau", Evidence("s", tuple(runs))).question

    assert "after step 50," in asked(50, 100)
    assert "after step 10," in asked(50, 20)
    assert "after step 50," in asked(50, 20, 100)  # nothing is said of one of them alone
    assert "after half of the steps," in asked(None, 20)
    assert "after step 50," in asked(50)


def test_half_of_the_steps_is_the_default():
    evidence = make_evidence(runs=with_gains(noise(0.05)))
    default = still_improves(margin=0.02).judge("plateau", evidence)
    assert "from step 50 to 100" in default.answer
    assert default.estimate == judge("plateau", evidence).estimate


def test_it_says_what_the_learning_rate_was():
    trace = make_trace(list(np.linspace(3e-7, 0, 100)))
    verdict = judge("plateau", make_evidence(runs=with_gains(noise(0.05), trace=trace)))
    assert "the learning rate went from 51% to 0% of its peak in that window" in verdict.answer


def test_the_half_arm_separates_longer_training_from_annealing():
    runs = with_gains(noise(0.05))
    half = make_arm("half", runs, noise(0.02, seed=3), steps=50)
    verdict = judge("plateau", make_evidence(runs=runs, arms={"half": half}))
    line = next(line for line in verdict.details if "half of the steps" in line)
    assert "+0.06" in line
    assert "12 pairs" in line


def test_curves_that_lack_the_point_leave_their_run_out():
    runs = (
        with_gains(noise(0.05))
        + make_results(spaced(0, 0.1, 4), curve=())
        + (make_result(id="d", status="diverged"),)
    )
    verdict = judge("plateau", make_evidence(runs=runs))
    assert verdict.n == 12
    assert any("12 of 17 runs" in line for line in verdict.details)


def test_a_gain_that_is_the_same_everywhere_is_no_measurement():
    runs = tuple(
        replace(run, outcome=replace(run.outcome, delta_perf=0.01 * index))
        for index, run in enumerate(with_gains([0.05] * 12))
    )
    assert judge("plateau", make_evidence(runs=runs)).verdict == "unanswerable"


# ---- power ---------------------------------------------------------------------------------------


def curve(*points):
    return tuple(Evaluation(step, perf, 0.01, perf) for step, perf in points)


def stored_gains(name, gains, steps=100):
    """Runs that gain so much in the second half of their steps."""
    results = runs_of(name, gains, steps=steps, declared_steps=steps)
    return tuple(
        replace(
            result,
            outcome=replace(
                result.outcome, curve=curve((0, 0.1), (steps // 2, 0.2), (steps, 0.2 + gain))
            ),
        )
        for result, gain in zip(results, gains, strict=True)
    )


def test_gains_are_the_margin_and_twice_where_their_spread_is_known():
    gains = np.random.default_rng(0).normal(0.01, 0.05, 24)
    deviation = float(np.std(gains, ddof=1))
    for stored, whose in (
        (stored_gains("s", gains), "s"),
        (stored_gains("broad", gains, steps=50), "broad"),
    ):
        one, two = price("plateau", stored)
        assert (one.size, two.size) == (0.02, 0.04)
        assert one.effect == "gain of 0.020 from step 50"
        margin = 0.02 / deviation
        assert one.power == pytest.approx(statistics.gain_power(margin, 24, margin))
        assert two.power == pytest.approx(statistics.gain_power(2 * margin, 24, margin))
        assert one.given == (
            f"the SD of a run's gain is {deviation:.3f}, of 24 stored runs of {whose}"
        )


def test_gains_are_in_sds_where_nothing_is_stored():
    one, two = price("plateau")
    assert (one.size, two.size) == (0.5, 1.0)
    assert one.power == pytest.approx(statistics.gain_power(0.5, 24, 0.5))
    assert "not known yet" in one.given


@pytest.mark.parametrize(
    ("since", "every", "said"),
    [
        (
            50,
            30,
            "perf is evaluated every 30 steps, not near enough to step 50 (within 5% of the steps)",
        ),
        (100, 10, "step 100 is not followed by an evaluation before the last"),
        (98, 50, "step 98 is not followed by an evaluation before the last"),
        (50, 55, None),
        (None, 10, None),
        (0, 10, None),
    ],
)
def test_a_window_must_be_evaluated_at_its_start(since, every, said):
    asked = {"q": still_improves(since=since)}
    if said is None:
        assert price(None, questions=asked, evaluate_every=every)[0].power > 0.5
    else:
        assert why(None, questions=asked, evaluate_every=every) == said


def test_a_window_is_scaled_with_the_steps():
    sweep = make_sweep("plateau")
    assert sweep_power(sweep, runs=sweep.plan(steps=20))[0].effect.endswith("from step 10")


# ---- before all runs are in ----------------------------------------------------------------------


def test_gains_are_looked_at_where_a_collapse_would_have_been_met():
    planned = planned_of(questions={"plateau": still_improves(margin=0.01)}, runs=48)
    _, verdicts = after(planned, lambda run: 0.2 + 0.001 * run.index)
    decided = verdicts["plateau"].decided
    assert (decided.look, decided.looks, decided.runs) == (1, 2, 36)


# ---- from night to night -------------------------------------------------------------------------


def test_a_night_that_gains_nothing_late_has_regressed(reference):
    assert_regresses(reference, "plateau", late=0.0)


# ---- the window ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("since", "steps", "declared", "window"),
    [
        (50, 100, 100, (50, 100)),
        (None, 100, 100, (50, 100)),
        (0, 100, 100, (0, 100)),
        (None, 20, 100, (10, 20)),  # a scaled-down sweep scales it
        (30, 20, 100, (6, 20)),
        (None, 50, 50, (25, 50)),  # half of a declaration, whatever it is
        (30, 100, 50, (60, 100)),
        (30, 100, 0, (30, 100)),  # a table may not know its declared steps
    ],
)
def test_the_window_is_that_part_of_the_run(since, steps, declared, window):
    run = replace(make_result().run, steps=steps, declared_steps=declared)
    assert still_improves(since=since).window(run) == pytest.approx(window)


def test_it_is_the_window_that_is_judged():
    runs = with_gains(noise(0.05))
    first, last = QUESTIONS["plateau"].window(runs[0].run)
    assert f"from step {first:g} to {last:g}" in judge("plateau", make_evidence(runs=runs)).answer


@pytest.mark.parametrize("asked", [name for name in QUESTIONS if name != "plateau"])
def test_no_other_claim_looks_at_a_part_of_the_curve(asked):
    assert QUESTIONS[asked].window(make_result().run) is None
