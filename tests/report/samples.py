"""Reports made for tests, from results of `tests.factories` and made-up verdicts."""

from __future__ import annotations

import numpy as np

from harness.metrics import DELTA_PERF
from harness.verdicts import Baseline, Counts, Finding, Verdict, training
from tests.factories import PUBLISHED, make_arm, make_evidence, make_results, report_of

LONG = (
    "the best learning rate is near 4e-7, the upper edge of the range: widen it, since what lies "
    "beyond the edge was never tried and a_word_without_any_place_to_break_it_that_is_longer_than_"
    "most_terminals_are_wide must not break the page either"
)

VERDICTS = (
    Verdict(
        "success_above_half",
        "Do more than half improve?",
        "success rate > 0.5",
        "supported",
        "yes: 17 of 24",
        0.708,
        0.521,
        0.85,
        0.9,
        0.032,
        0.19,
        24,
        "exact one-sided binomial",
        unit="share",
        details=("success rate: 95% interval 51% to 85% (Wilson)",),
    ),
    Verdict(
        "mean_vs_baseline",
        "Is the mean higher?",
        "mean > baseline",
        "refuted",
        "no: lower",
        -0.0412,
        -0.0612,
        -0.0212,
        0.9,
        0.9999,
        1.0,
        72,
        "Welch's t test",
    ),
    Verdict(
        "lr_sweet_spot",
        "Is the best inside?",
        "best inside",
        "inconclusive",
        LONG,
        4e-7,
        None,
        None,
        None,
        0.31,
        0.9,
        24,
        "bracket test",
        unit="parameter",
    ),
    Verdict(
        "variance_vs_baseline",
        "Less spread?",
        "spread < baseline",
        "unanswerable",
        "published counts have no spread",
        reason="published counts have no spread",
        needs=(training("broad", "focused"),),
    ),
    Verdict(
        "plateau",
        "Still improving?",
        "gain > 0",
        "not judged",
        "not judged: 4 of 24 runs missing",
        reason="4 of 24 runs missing",
    ),
    Verdict(
        "open_ended",
        "One side only?",
        "x > 0",
        "supported",
        "yes",
        0.3,
        0.1,
        None,
        0.95,
        0.0001,
        0.0004,
        8,
        "a test",
    ),
)

FINDINGS = (
    Finding("coarse_metric", "info", "one item is worth 2 points", ("learning_rate",)),
    Finding("placebo_moved", "error", "the placebo moved"),
)


def deltas(count, seed=1):
    return [float(d) for d in np.random.default_rng(seed).normal(0.05, 0.08, count)]


def sample(
    main=None,
    baseline=None,
    arms=True,
    verdicts=VERDICTS,
    findings=FINDINGS,
    metric=DELTA_PERF,
    **facts,
):
    """A report of 24 runs beside 48; pass ``baseline`` Counts, a Baseline or deltas, or False."""
    main = make_results(deltas(24), prefix="focused") if main is None else main
    if baseline is None:
        baseline = Baseline("broad", make_results(deltas(48, 2), prefix="broad", steps=50))
    by_arm = {}
    if arms and len(main) >= 4:
        by_arm = {
            "placebo": make_arm("placebo", main[:2], [0.0, 0.0], {"learning_rate": 0.0}),
            "null": make_arm("null", main[:4], [0.01, -0.01, 0.0, 0.004]),
            "half": make_arm("half", main[:4], [0.02, 0.03, 0.01, 0.05], steps=50),
            "batch_size": (
                *make_arm("batch_size", main[:3], [0.02, 0.03, 0.01], {"batch_size": 4}),
                *make_arm("batch_size", main[:3], [0.05, 0.06, None], {"batch_size": 12}),
            ),
        }
    evidence = make_evidence(
        runs=tuple(main),
        arms=by_arm,
        baseline=baseline or None,
        baseline_name="broad" if baseline is not False else None,
        metric=metric,
    )
    return report_of(evidence, verdicts, findings, **facts)


def every_kind():
    """Reports of every kind that a form must be able to write, by name."""
    constant = make_results([0.2025] * 24, prefix="focused")
    return {
        "whole": sample(),
        "empty": sample(main=(), baseline=False, verdicts=(), findings=()),
        "one run": sample(main=make_results([0.1]), baseline=False),
        "all diverged": sample(main=make_results([None] * 6)),
        "no baseline": sample(baseline=False),
        "counts": sample(baseline=PUBLISHED),
        "other counts": sample(baseline=Counts("old", 0, 0, "ΔPerf > 0", "a table")),
        "200 runs": sample(main=make_results(deltas(200), prefix="focused")),
        "constant": sample(main=constant),
        "no errors": sample(main=make_results(deltas(24), se=None)),
        "no curves": sample(main=make_results(deltas(8), curve=())),
        "big numbers": sample(main=make_results([1e6 * d for d in deltas(12)])),
        "tiny numbers": sample(main=make_results([1e-9 * d for d in deltas(12)])),
        "transfer": sample(main=make_results(deltas(24), lr_transfer=12000.0)),
        "unicode": sample(
            main=make_results(deltas(4), parameters={"überschrift": ["é|`", "<b>", "学習", "a\nb"]})
        ),
        "text rates": sample(
            main=make_results(deltas(3), parameters={"learning_rate": ["a", None, 0.0]})
        ),
        "incomplete": sample(missing=("4 of 24 runs missing (2 failed)",), scaled_down=True),
    }
