"""What a stored report must be for a sweep to be compared with it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from harness import Sweep, UsageError
from harness.judging.reference import load, references
from harness.observations.fresh import fresh_runs
from harness.records import CONFIRM
from harness.report.renderers import as_json
from harness.report.renderers.write import write_reference
from harness.sweeps.plan import Selection, plan
from tests.factories import make_confirmed, report_of
from tests.judging.nights import PLANNED, PLANS, SWEEP, evidence, kept, trainer, verdicts  # noqa: F401


@pytest.fixture(scope="module")
def data():
    """Return a report that can be compared with, as JSON."""
    seen = evidence()
    report = report_of(seen, verdicts(seen), (), conditions=PLANNED.conditions, steps=100)
    return json.loads(as_json.render(report))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": 2}, "is a report of schema 2, and this version reads 1"),
        ({"sweep": "other"}, "is of sweep 'other'; expected one of s"),
        ({"sweep": None}, "is of sweep None; expected one of s"),
        ({"complete": False}, "is of an unfinished sweep"),
        ({"conditions": None}, "is of None steps, and this sweep trains 100"),
        ({"conditions": {"steps": 20}}, "is of 20 steps, and this sweep trains 100"),
        (
            {"conditions": {"steps": 100, "task": "sums"}},
            "is of task sums, and this sweep's is own",
        ),
        ({"runs": 3}, "is no report that can be compared with"),
        ({"runs": [{}]}, "lacks 'status'"),
        ({"runs": [{"status": "great"}]}, "is damaged (status 'great')"),
        ({"questions": [{"id": "half"}]}, "lacks 'verdict'"),
        ({"questions": [3]}, "is damaged"),
    ],
)
def test_a_report_that_cannot_be_compared_with_is_one_line(tmp_path, data, change, said):
    path = tmp_path / "r.json"
    path.write_text(json.dumps(data | change))
    with pytest.raises(UsageError) as error:
        load(path, PLANS)
    assert said in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_number_that_is_none_is_named(tmp_path, data):
    path = tmp_path / "r.json"
    runs = [{**data["runs"][0], "delta_perf": "much"}]
    path.write_text(json.dumps(data | {"runs": runs}))
    with pytest.raises(UsageError, match="'much' is no number"):
        load(path, PLANS)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "there is no reference"),
        (b"", "is no JSON"),
        (b"\xff\xfe\x00", "cannot be read: it is no text"),
        (b"[1]", "is JSON, but no report of a sweep"),
        (b"{}", "is JSON, but no report of a sweep"),
    ],
)
def test_a_file_that_is_no_report_is_one_line(tmp_path, content, said):
    path = tmp_path / "r.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=said):
        load(path, PLANS)
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        load(tmp_path, PLANS)


def test_references_are_found_where_they_are_kept(tmp_path, data):
    folders = {"s": tmp_path / "s"}
    assert references(PLANS, folders) == {}
    with pytest.raises(UsageError, match="sweep report s --save-reference"):
        references(PLANS, folders, required=True)
    folders["s"].mkdir()
    (folders["s"] / "reference.json").write_text(json.dumps(data))
    assert references(PLANS, folders, required=True).keys() == {"s"}
    assert references(PLANS, folders) == {}
    other = tmp_path / "other.json"
    other.write_text(json.dumps(data))
    assert references(PLANS, folders, [other])["s"].path == other
    with pytest.raises(UsageError, match="are both of sweep 's'"):
        references(PLANS, folders, [other, folders["s"] / "reference.json"])


def test_a_sweep_without_questions_needs_no_reference(tmp_path):
    silent = Sweep("t", runs=2, steps=100, space=SWEEP.space, trainer=trainer)
    plans = {"t": plan(silent, Selection(), trains=False)}
    assert references(plans, {"t": tmp_path}, required=True) == {}


def test_an_unfinished_sweep_is_no_reference(tmp_path):
    seen = evidence()
    report = report_of(seen, verdicts(seen), (), missing=("4 of 24 runs missing",))
    with pytest.raises(UsageError, match=r"no reference yet \(4 of 24 runs missing\)"):
        write_reference(report, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_fresh_seeds_keep_their_places_and_their_numbers(kept):  # noqa: F811
    """So that a later night finds the leaders and the blocks again."""
    seen = evidence()
    places = (seen.runs[3], {"learning_rate": 1e-5, "batch_size": 8}, seen.runs[0])
    fresh = make_confirmed([[0.0, 0.1, None], [0.2, 0.3, 0.4], [0.5, None, 0.6]], places)
    read = kept(replace(seen, arms={**seen.arms, CONFIRM: fresh})).evidence.arms[CONFIRM]
    for one, other in zip(fresh_runs(read), fresh_runs(fresh), strict=True):
        assert (one.place, one.run, one.config) == (other.place, other.run, other.config)
        assert dict(one.outcomes) == dict(other.outcomes)
