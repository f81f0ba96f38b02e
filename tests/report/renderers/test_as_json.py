"""Reports as JSON."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.metrics import DELTA_PERF
from harness.report.renderers import as_json
from harness.verdicts import Verdict
from tests.factories import make_results
from tests.report.samples import VERDICTS, every_kind, sample

KINDS = every_kind()
NUMBER = (int, float, type(None))
TEXT = (str, type(None))
RUN = {
    "id": str, "arm": str, "pair": TEXT, "seed": int, "steps": int, "status": str, "config": dict,
    "perf_before": NUMBER, "perf_after": NUMBER, "delta_perf": NUMBER, "delta_perf_se": NUMBER,
    "train_delta_perf": NUMBER, "curve": list, "backend": str, "device": TEXT, "seconds": NUMBER,
}  # fmt: skip
QUESTION = {
    "id": str, "question": str, "claim": str, "verdict": str, "answer": str, "estimate": NUMBER,
    "low": NUMBER, "high": NUMBER, "level": NUMBER, "p_value": NUMBER, "p_holm": NUMBER, "n": int,
    "method": str, "reason": str, "needs": list,
}  # fmt: skip
FINDING = {"code": str, "severity": str, "message": str, "parameters": list}
TOP = {
    "schema": int, "sweep": str, "baseline": TEXT, "scaled_down": bool, "complete": bool,
    "environment": dict, "runs": list, "questions": list, "audit": list,
}  # fmt: skip
floats = st.none() | st.floats(allow_nan=True, allow_infinity=True)


def check(data, schema):
    for key, kind in schema.items():
        assert isinstance(data[key], kind), (key, data[key])


@pytest.mark.parametrize("name", KINDS)
def test_json_keeps_its_schema(name):
    text = as_json.render(KINDS[name])
    data = json.loads(text, parse_constant=pytest.fail)
    check(data, TOP)
    assert data["schema"] == 1
    assert list(data)[:3] == ["schema", "sweep", "baseline"]
    for run in data["runs"]:
        check(run, RUN)
        for point in run["curve"]:
            assert list(point) == ["step", "perf", "se"]
    for question in data["questions"]:
        check(question, QUESTION)
    for finding in data["audit"]:
        check(finding, FINDING)


def test_json_tells_the_clusters_of_a_standard_error_where_there_are_any():
    (alone, grouped) = make_results([0.1, 0.2])
    grouped = replace(grouped, outcome=replace(grouped.outcome, clusters=9.5, clusters_changed=7))
    found = as_json.run_data(grouped, DELTA_PERF)
    assert (found["clusters"], found["clusters_changed"]) == (9.5, 7)
    assert "clusters" not in as_json.run_data(alone, DELTA_PERF)


def test_json_has_every_run_of_every_arm_and_every_verdict():
    data = as_json.as_data(sample())
    assert [q["verdict"] for q in data["questions"]] == [v.verdict for v in VERDICTS]
    arms = [run["arm"] for run in data["runs"]]
    assert [arms.count(arm) for arm in ("main", "placebo", "null", "half", "batch_size")] == [
        24, 2, 4, 4, 6,
    ]  # fmt: skip
    diverged = [run for run in data["runs"] if run["status"] == "diverged"]
    assert [run["delta_perf"] for run in diverged] == [None]


def test_unfinished_runs_are_listed_but_are_no_evidence():
    failed = make_results([None], prefix="late", error="out of memory")
    report = sample(unfinished=failed, missing=["1 of 25 runs missing (1 failed)"])
    data = as_json.as_data(report)
    assert data["complete"] is False
    assert data["runs"][-1]["id"] == "late-00"
    assert data["runs"][-1]["error"] == "out of memory"


def test_equal_reports_give_equal_json():
    assert as_json.render(sample()) == as_json.render(sample())


@settings(max_examples=60, deadline=None)
@given(numbers=st.tuples(*[floats] * 6), delta=floats, setting=floats)
def test_json_never_holds_what_is_not_a_number(numbers, delta, setting):
    verdict = Verdict("q", "", "", "inconclusive", "", *numbers)
    (odd,) = make_results([0.1], seconds=delta, train_delta_perf=delta)
    odd = replace(odd, run=replace(odd.run, config=odd.run.config.replace(x=setting)))
    report = sample(main=(odd,), verdicts=(verdict,), baseline=False)
    json.loads(as_json.render(report), parse_constant=pytest.fail)
