"""The best value of a parameter lies inside its range: judging, power, early verdicts, nights."""

from __future__ import annotations

import numpy as np
import pytest

from harness import Choice, LogInt, LogUniform, Uniform, statistics
from harness.claims import best_inside
from harness.claims.power import sweep_power
from harness.judging.early import EarlyAnswers, launch_order
from tests.claims.cases import check, judge, noise, spaced
from tests.claims.powers import SPACE, make_sweep, price, why
from tests.factories import make_evidence, make_results
from tests.judging.early_runs import HALF, Finished, planned_of
from tests.judging.nights import assert_regresses, peaked

# ---- judging -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("deltas", "answer"),
    [
        (spaced(0, 0.2), "best near 4e-7, the upper edge of the range: widen it"),
        (spaced(0.2, 0), "best near 8e-8, the lower edge of the range: widen it"),
    ],
)
def test_an_optimum_at_the_edge_is_named(deltas, answer):
    verdict = judge("lr_sweet_spot", make_evidence(deltas))
    assert verdict.verdict == "inconclusive"
    assert verdict.answer == answer
    assert str(verdict.needs[0]).startswith("a range of learning_rate that goes")


def test_rise_then_flat_is_not_a_bracket():
    deltas = spaced(0, 0.2, 12) + noise(0.2, 0.02, 12)
    verdict = judge("lr_sweet_spot", make_evidence(deltas))
    assert verdict.verdict == "inconclusive"
    assert "upper edge" in verdict.answer


def test_the_best_value_is_estimated():
    verdict = judge("lr_sweet_spot", make_evidence(spaced(0, 0.2, 12) + spaced(0.2, 0, 12)))
    assert 1.5e-7 < verdict.estimate < 2.2e-7
    assert "rises to about" in verdict.answer
    assert "e-7" in verdict.answer


def test_diverged_runs_rank_worst_along_the_range():
    deltas = spaced(0, 0.2, 10) + spaced(0.2, 0.1, 8) + [None] * 6
    verdict = judge("lr_sweet_spot", make_evidence(deltas))
    assert verdict.verdict == "supported"
    assert "6 diverged runs ranked worst" in verdict.details


def test_diverged_runs_rank_worst_where_every_run_lost():
    # Nothing that a finished run can lose, on whatever scale, ranks below a diverged one.
    deltas = np.array(spaced(0, 0.2, 10) + spaced(0.2, 0.1, 8)) - 30.0
    verdict = judge("lr_sweet_spot", make_evidence([*deltas, *[None] * 6]))
    assert verdict.verdict == "supported"
    assert verdict.estimate < 3e-7


def test_blocks_of_another_parameter():
    batch = [4, 8, 12] * 16
    rng = np.random.default_rng(0)
    x = np.linspace(0, 1, 48)
    deltas = -0.4 * (2 * (x - 0.5)) ** 2 + 0.02 * np.array(batch) * 10 + rng.normal(0, 0.05, 48)
    runs = make_results(deltas, parameters={"batch_size": batch})
    claim = best_inside("learning_rate", within="batch_size")
    verdict = claim.judge("x", make_evidence(runs=runs))
    assert verdict.verdict == "supported"
    assert verdict.method.endswith("within batch_size")
    assert claim.parameters == ("learning_rate", "batch_size")
    assert best_inside("learning_rate").judge("x", make_evidence(runs=runs)).p_value > 0.05


@pytest.mark.parametrize("values", [["a"] * 24, [None] * 24, [True, False] * 12, [1, 2] * 12])
def test_a_parameter_without_a_range(values):
    runs = make_results(spaced(0, 0.1), parameters={"knob": values})
    for name in ("knob", "nothing"):
        verdict = best_inside(name).judge("x", make_evidence(runs=runs))
        check(verdict)
        assert verdict.verdict == "unanswerable"
        assert verdict.p_value is None


def test_fewer_than_eight_runs_are_too_few():
    verdict = judge("lr_sweet_spot", make_evidence(spaced(0, 0.2, 7)))
    check(verdict)
    assert verdict.verdict == "inconclusive"
    assert "too few runs" in verdict.answer


# ---- power ---------------------------------------------------------------------------------------


def test_the_bracket_test_is_priced_at_the_values_that_are_drawn():
    sweep = make_sweep("lr_sweet_spot")
    found = sweep_power(sweep)
    assert [power.size for power in found] == [3.0, 4.0, 5.3]
    rates = np.array([run.config["learning_rate"] for run in sweep.plan() if run.arm == "main"])
    positions = np.log(rates / 8e-8) / np.log(5)
    rng = np.random.default_rng(0)
    expected = statistics.bracket_power(positions, 4.0, rng, simulations=4_000)
    assert found[1].power == pytest.approx(expected, abs=0.04)


def test_a_sobol_sample_shows_more_than_a_random_one():
    random, sobol = (
        price("lr_sweet_spot", sampler=sampler)[1].power for sampler in ("random", "sobol")
    )
    assert sobol > random + 0.1


@pytest.mark.parametrize("sampler", ["sobol", "latin_hypercube"])
def test_more_runs_than_declared_are_drawn_by_the_same_sampler(sampler):
    found = price("lr_sweet_spot", sampler=sampler, runs=12, arms={})
    assert found[1].needed > 12


@pytest.mark.parametrize(
    ("drawn", "said"),
    [
        (3e-7, "learning rate has 1 number in this sweep; it needs three"),
        (Choice(1e-7, 3e-7), "learning rate has 2 numbers in this sweep; it needs three"),
    ],
)
def test_a_best_value_needs_three(drawn, said):
    assert why("lr_sweet_spot", space={**SPACE, "learning_rate": drawn}) == said


def test_the_bracket_test_needs_eight_runs():
    assert why("lr_sweet_spot", runs=7, arms={}) == "the bracket test needs 8 runs, not 7"


@pytest.mark.parametrize(
    "drawn", [Uniform(1e-7, 4e-7), Choice(1e-7, 2e-7, 3e-7, 4e-7, 5e-7, 6e-7, 7e-7)]
)
def test_other_ranges_have_positions_too(drawn):
    found = price("lr_sweet_spot", space={**SPACE, "learning_rate": drawn})
    assert 0.2 < found[0].power < found[2].power


def test_whole_numbers_have_their_positions_on_the_scale_they_are_drawn_on():
    def priced(drawn):
        asked = {"q": best_inside("width")}
        space = {"width": drawn, "learning_rate": 1e-7}
        return [found.power for found in price(None, questions=asked, space=space, arms={})]

    whole, real = priced(LogInt(1_000, 10_000_000)), priced(LogUniform(1_000, 10_000_000))
    assert whole == pytest.approx(real, abs=0.02)
    assert whole[2] > 0.4


def test_runs_within_levels_are_compared_within_them():
    space = {**SPACE, "batch_size": Choice(4, 8, 12)}
    asked = best_inside("learning_rate", within="batch_size")
    within = price(None, questions={"q": asked}, space=space, arms={})
    pooled = price("lr_sweet_spot", space=space, arms={})
    assert within[0].power < pooled[0].power


# ---- before all runs are in ----------------------------------------------------------------------


def test_a_parameter_of_few_values_so_far_may_have_more():
    space = {"learning_rate": LogUniform(1e-7, 1e-6), "x": Choice(1, 2, 3, weights=(49, 49, 2))}
    asked = {"half": HALF, "x": best_inside("x", margin=0.02)}
    planned = planned_of(runs=30, questions=asked, space=space)
    order = [planned.runs[k] for k in launch_order(planned)]
    place = next((i for i, run in enumerate(order) if run.config["x"] == 3), 30)
    assert place >= 15, "the third value is not met by the first look"
    early = EarlyAnswers(planned)
    runs = Finished(planned, lambda run: 0.1 + 0.001 * run.index)
    assert "x" not in early.verdicts(runs.evidence(15))
    assert "x" in early.verdicts(runs.evidence())


# ---- from night to night -------------------------------------------------------------------------


def test_a_night_whose_best_value_has_moved_has_regressed(reference):
    assert_regresses(reference, "best", truth=lambda run: 0.3 - peaked(run))
