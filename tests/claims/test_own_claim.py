"""The claim that the documentation writes is planned, judged, decided early and compared."""

from pathlib import Path

import numpy as np
import pytest

from harness import statistics
from harness.claims import judge_all
from harness.claims.power import sweep_power
from harness.judging.reference import Reference
from harness.judging.regressions import compare
from tests.docs.pages import DOCS, example_files
from tests.factories import make_evidence
from tests.judging.early_runs import after, planned_of

FILE = "test_median.py"


@pytest.fixture(scope="module")
def median():
    """The sweep of the example, whose one question asks whether the median gain is above 0.05."""
    example = {"__name__": "test_median"}
    exec(example_files(DOCS / "writing-sweeps.md")[FILE], example)
    return example["median"]


def judged(median, gains, **fields):
    evidence = make_evidence(gains, sweep="median", baseline_name=None, **fields)
    return judge_all(median.questions, evidence)[0]


def test_it_is_planned(median):
    likely, more = sweep_power(median)
    assert (likely.size, likely.n, likely.needed) == (0.7, 24, 37)
    assert likely.power == statistics.binomial_power(24, 0.7)
    assert more.power == statistics.binomial_power(24, 0.8)
    assert likely.says == (
        "with 24 runs, a true share of 70% is shown to be more than half with probability 0.56; "
        "a probability of 0.8 needs 37 runs"
    )


@pytest.mark.parametrize(
    ("above", "verdict"),
    [(24, "supported"), (17, "supported"), (16, "inconclusive"), (8, "inconclusive"),
     (7, "refuted"), (0, "refuted")],
)  # fmt: skip
def test_it_is_judged_by_the_number_above(median, above, verdict):
    gains = [0.06 + 0.001 * i for i in range(above)] + [0.04 - 0.01 * i for i in range(24 - above)]
    found = judged(median, gains)
    exact = statistics.binomial(above, 24)
    assert found.verdict == verdict
    assert (found.estimate, found.p_value, found.n) == (above / 24, exact.p_greater, 24)
    assert (found.low, found.high, found.level) == (exact.low, exact.high, 0.9)
    assert found.answer == f"{above} of 24 runs gain more than 0.05"
    assert [need.kind for need in found.needs] == ["runs"] * (verdict == "inconclusive")


def test_a_diverged_run_does_not_gain(median):
    gains = [0.06 + 0.001 * i for i in range(17)]
    assert judged(median, [*gains, *[0.0] * 7]).verdict == "supported"
    assert judged(median, [*gains[1:], None, *[0.0] * 7]).verdict == "inconclusive"


def test_noise_is_seldom_taken_for_an_answer(median):
    rng = np.random.default_rng(1)
    gains = 0.05 + 0.05 * rng.standard_t(3, size=(400, 24))  # their true median is 0.05
    said = [judged(median, list(row)).verdict for row in gains]
    for wrong in ("supported", "refuted"):
        assert 0 < said.count(wrong) / len(said) < 0.05 + 2 * (0.05 * 0.95 / len(said)) ** 0.5


def test_it_is_decided_early(median):
    planned = planned_of(questions=median.questions)
    count, verdicts = after(planned, lambda run: 0.1 + 0.001 * run.index)
    found = verdicts["median_gain"]
    assert (count, found.verdict, found.n) == (12, "supported", 12)
    assert (found.decided.look, found.decided.looks) == (1, 3)
    assert found.p_value < 0.05
    count, verdicts = after(planned, lambda run: 0.05 + (0.01 if run.index % 2 else -0.01))
    assert (count, verdicts["median_gain"].verdict) == (24, "inconclusive")


def compared(median, now, then):
    before = make_evidence(then, sweep="median", baseline_name=None)
    supported = {v.id: v for v in judge_all(median.questions, before) if v.verdict == "supported"}
    reference = Reference(Path("reference.json"), before, supported)
    evidence = make_evidence(now, sweep="median", baseline_name=None)
    (found,) = compare(median, reference, evidence, judge_all(median.questions, evidence))
    return found


def test_it_is_compared_with_a_reference(median):
    good = [0.06 + 0.001 * i for i in range(24)]
    worse = compared(median, [gain - 0.1 for gain in good], good)
    assert (worse.regressed, worse.now) == (True, "refuted")
    assert "in the number of runs that gain more is beyond the gate's level (p = " in worse.answer
    noise = compared(median, [*good[:16], *[0.0] * 8], [*good[:18], *[0.0] * 6])
    assert (noise.regressed, noise.now) == (False, "inconclusive")
    assert "is not beyond the gate's level (p = " in noise.answer
