"""What the audit says of the health of training."""

from dataclasses import replace

import pytest

from harness.audit import audit
from harness.audit.health import CODES
from harness.verdicts import Evidence
from tests.audit.designs import only
from tests.factories import make_results
from tests.observations.test_health import trained


def sweep(*runs, **arms):
    """Runs of a sweep, each with an id and a ΔPerf of its own, and its arms."""
    named = tuple(
        replace(run, run=replace(run.run, id=f"s-{n:02d}"),
                outcome=replace(run.outcome, delta_perf=run.outcome.delta_perf + 1e-4 * n))
        for n, run in enumerate(runs)
    )  # fmt: skip
    return Evidence("s", named, arms)


def found(evidence):
    return [finding.code for finding in audit(evidence) if finding.code in CODES]


HEALTHY = trained()


def test_nothing_is_said_of_healthy_runs_or_where_nothing_was_measured():
    assert found(sweep(*[HEALTHY] * 4)) == []
    assert found(Evidence("s", make_results([0.1, 0.2, 0.3]))) == []


def test_nothing_is_said_of_arms_which_are_made_to_learn_nothing():
    silent = trained(0.99, moved=0.0, truncated=0.9, kl=3.0, delta=-0.2)
    arms = dict.fromkeys(("placebo", "null", "half"), (silent,))
    assert found(sweep(*[HEALTHY] * 3, **arms)) == []


def test_most_groups_without_signal():
    finding = only("no_signal", audit(sweep(*[trained(0.81)] * 3, HEALTHY, trained(0.99))))
    assert finding.severity == "info"
    assert "4 of 5 runs had little to learn from" in finding.message
    assert "75% of groups or more (99% in s-04)" in finding.message
    finding = only("no_signal", audit(sweep(*[trained(0.81)] * 3)))
    assert (finding.severity, finding.brief) == ("warning", "little to learn from")
    assert finding.message == (
        "in 81% of groups all rewards were equal: nothing to learn from; more generations or "
        "easier prompts (mean over 3 runs)"
    )


def test_many_completions_cut_off():
    finding = only("truncation", audit(sweep(trained(truncated=0.3), HEALTHY)))
    assert finding.severity == "warning"
    assert "16% of completions were cut off" in finding.message
    finding = only("truncation", audit(sweep(trained(truncated=0.2), *[HEALTHY] * 3)))
    assert finding.severity == "info"
    assert "in 1 of 4 runs 10% of completions or more were cut off" in finding.message
    assert "(20% in s-00)" in finding.message


def test_policies_that_collapsed():
    lost = trained((0.2, 0.9), kl=(None, 2.0), length=(8.0, 1.0), delta=-0.18)
    finding = only("policy_collapse", audit(sweep(HEALTHY, lost, HEALTHY)))
    assert finding.severity == "warning"
    assert finding.message.startswith(
        "the policy of 1 of 3 runs collapsed: s-01 (entropy 1 to 1, KL 2, length 8 to 1, perf "
        "0.200 to 0.020); lower"
    )
    many = only("policy_collapse", audit(sweep(*[lost] * 5)))
    assert "and 3 more; lower" in many.message


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_weights_that_hardly_move(precision):
    still = trained(moved=0.0052)
    still = replace(still, conditions=replace(still.conditions, precision=precision))
    finding = only("frozen_weights", audit(sweep(still, HEALTHY, trained(moved=0.01))))
    assert finding.severity == "warning"
    assert finding.message.startswith(
        "in 1 of 3 runs less than 1% of the weights changed, as the model computes with them (from "
        "0.52%, at learning rates up to 2e-7)"
    )
    assert finding.message.endswith("compute in float32") is (precision == "bfloat16")


def test_weights_that_do_not_move_at_all():
    finding = only("frozen_weights", audit(sweep(*[trained(moved=0.0)] * 3)))
    assert finding.severity == "error"
    assert "no weight changed in any of 3 runs" in finding.message


@pytest.mark.parametrize("without", ["learning_rate", "grad_norm"])
def test_without_a_step_nothing_moves_and_that_is_right(without):
    still = trained(moved=0.0)
    trace = tuple(replace(step, **{without: 0.0}) for step in still.outcome.trace)
    still = replace(still, outcome=replace(still.outcome, trace=trace))
    assert "frozen_weights" not in found(sweep(still, HEALTHY))
