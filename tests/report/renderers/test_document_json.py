"""The comparison of two backends as JSON."""

import json

import pytest

from harness.report.renderers.document_json import parity_data
from tests.judging.parity_runs import (
    compared,
    outcome,
    parting,
)


def test_a_comparison_of_backends():
    found = compared(
        (outcome(0.1, before=0.12), outcome(0.2, before=0.13, trace=parting(4))),
        (0.1, outcome("failed", error="no")),
        (0.1, 0.11),
    )
    written = parity_data(found)
    assert json.loads(json.dumps(written, allow_nan=False)) == written
    assert list(written) == [
        "schema", "sweep", "backends", "precision", "steps", "model", "task", "runs", "step_1",
        "equivalence",
    ]  # fmt: skip
    assert (written["model"], written["task"]) == (None, None)
    assert (written["schema"], written["backends"], written["steps"]) == (1, ["torch", "jax"], 20)
    first, failed, _ = written["runs"]
    assert first["torch"] == {
        "status": "completed", "perf_before": 0.12, "delta_perf": 0.1, "se": 0.01, "error": None,
    }  # fmt: skip
    assert first["difference"] == pytest.approx(0.1)
    assert (first["parted_at"], first["steps"]) == (4, 4)
    assert (failed["difference"], failed["difference_se"], failed["parted_at"]) == (None,) * 3
    assert (failed["jax"]["status"], failed["jax"]["error"], failed["steps"]) == ("failed", "no", 0)
    assert written["step_1"] == {
        "runs": 2, "loss": 0.0, "entropy": 0.0, "grad_norm": 0.0, "largest": 0.0,
    }  # fmt: skip
    assert list(written["equivalence"]) == [
        "estimate", "low", "high", "level", "margin", "verdict", "n", "reason", "needs",
    ]  # fmt: skip
    assert (written["equivalence"]["n"], written["equivalence"]["margin"]) == (2, 0.02)


def test_a_comparison_that_has_no_interval():
    equivalence = parity_data(compared((0.1, 0.12)))["equivalence"]
    assert (equivalence["low"], equivalence["high"], equivalence["level"]) == (None, None, None)
    assert equivalence["verdict"] == "unanswerable"
    nothing = parity_data(compared(("failed", "failed")))
    assert nothing["equivalence"]["estimate"] is None
    assert nothing["step_1"] == {
        "runs": 0, "loss": None, "entropy": None, "grad_norm": None, "largest": None,
    }  # fmt: skip
