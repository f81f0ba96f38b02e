"""What the published sweep is refined to."""

import numpy as np
import pytest

from harness import Choice, Constant, Counts, Given, LogUniform, Pairs
from harness.refine import refine
from tests import published_broad
from tests.refine.sweeps import BROAD, FOCUSED, revision


@pytest.fixture(scope="module")
def published():
    return refine(
        "runs.csv",
        published_broad.results(),
        rng=np.random.default_rng(0),
        is_table=True,
        margin=0.02,
    )


def test_batch_size_8_comes_with_pairs_for_4_and_12(published):
    found = revision(published, "batch_size")
    assert (found.action, found.after) == ("fix", Constant(8))
    assert published.sweep.arms["batch_size"] == Pairs(12, values=(4, 12))
    assert "all 16 high performers (ΔPerf > 0.1) have 8, as 18 of 48 runs do" in found.why
    assert "generations (4: 20, 30, 40; 8: 16, 24, 32; 12: 16, 24, 32)" in found.why
    assert found.gives_up.startswith("batch size 4 and 12, except in the pairs of the arm")
    claim = published.sweep.questions["batch_size"]
    assert (claim.reference, claim.than, claim.margin) == (8, (4, 12), 0.02)


def test_generations_are_not_narrowed_on_what_the_batch_size_implies(published):
    found = revision(published, "generations")
    assert found.action == "keep"
    assert found.before == Given(
        "batch_size", {4: Choice(20, 30, 40), 8: Choice(16, 24, 32), 12: Choice(16, 24, 32)}
    )
    assert found.after == Choice(16, 24, 32)
    assert "is no evidence: batch size 8 allows no others" in found.why
    assert found.figure.needed == pytest.approx(0.05 / 12 / 3)  # three cases share a test
    assert not found.gives_up


def test_what_the_published_summary_does_not_show_is_kept(published):
    for name in ("learning_rate", "lr_schedule", "warmup_steps", "entropy_coef"):
        found = revision(published, name)
        assert (found.action, found.after) == ("keep", found.before), name
        assert "p = " in found.why, name
    assert isinstance(revision(published, "learning_rate").after, LogUniform)
    assert "advanced over cosine" in revision(published, "lr_schedule").why
    assert revision(published, "warmup_steps").before == Given(
        "lr_schedule", advanced=Choice(10, 20, 30), cosine=Choice(0, 10, 20)
    )


def test_a_table_is_compared_by_its_counts_alone(published):
    assert published.sweep.baseline == Counts(
        name="runs.csv",
        successes=16,
        runs=48,
        rule="ΔPerf > 0",
        source="48 finished runs of runs.csv",
    )
    asked = set(published.sweep.questions)
    assert {"success_vs_baseline", "plateau", "lr_sweet_spot"} <= asked
    assert not asked & {"mean_vs_baseline", "variance_vs_baseline", "lower_tail_vs_baseline"}
    assert any("only the counts" in line for line in published.notes)


def test_the_declared_sweep_is_refined_alike(published):
    """The declaration says what the table lets be inferred."""
    rng = np.random.default_rng(0)
    declared = refine("broad", published_broad.results(), rng=rng, sweep=BROAD)
    for ours, theirs in zip(declared.revisions, published.revisions, strict=True):
        assert ours.action == theirs.action
        if ours.parameter != "learning_rate":
            assert (ours.before, ours.after) == (theirs.before, theirs.after)
    assert declared.sweep.baseline == "broad"
    assert set(declared.sweep.questions) == {*FOCUSED.questions}
    assert declared.tests == published.tests == 12
