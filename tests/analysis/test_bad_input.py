"""Any table is analysed, or refused in one line."""

import json
import math
import re
from dataclasses import replace

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.report.documents.analysis import document
from harness.report.renderers.document_json import analysis_data as as_data
from harness.report.renderers.terminal import render_document
from tests import published_broad
from tests.analysis.analyses import PUBLISHED, analysis_of, analyzed
from tests.factories import make_result

RATES = {"learning_rate": [1e-7, 2e-7, 3e-7, 4e-7, 5e-7], "kind": ["a", "b", "a", "b", "a"]}


@pytest.mark.parametrize(
    ("deltas", "columns", "options", "said"),
    [
        ([], None, {}, "no runs of s have finished with ΔPerf; a pattern takes at least 4"),
        ([0.1], None, {}, "1 run of s has finished with ΔPerf; a pattern takes at least 4"),
        ([0.2025] * 24, None, {}, r"ΔPerf is \+0.2025 in every one of 24 runs of s: a constant"),
        ([None] * 5, None, {}, "all 5 runs of s diverged: there is no ΔPerf to analyse"),
        ([-0.1] * 5, None, {}, "ΔPerf is −0.1 in every one of 5 runs"),
        (
            [0.1, 0.2, 0.3, 0.4],
            {"learning_rate": [1e-7] * 4},
            {},
            "no parameter of s can be compared: learning_rate: the same in every run; batch_size",
        ),
        (
            [0.1, 0.2, 0.3, 0.4, 0.5],
            RATES,
            {"parameter": "batch_size"},
            "--parameter batch_size: the same in every run; those with numbers that vary are "
            "learning_rate",
        ),
        (
            [0.1, 0.2, 0.3, 0.4, 0.5],
            RATES,
            {"parameter": "learning_rat"},
            "--parameter learning_rat: no such parameter; .*; did you mean 'learning_rate'?",
        ),
        (
            [0.1, 0.2, 0.3, 0.4, 0.5],
            RATES,
            {"parameter": "kind"},
            r"--parameter kind: its values are no numbers \(a, b\)",
        ),
        ([0.1] * 5, RATES, {"ranges": (1.0,)}, "--ranges 1: two edges make a range"),
        ([0.1] * 5, RATES, {"ranges": (1.0, 3.0, 2.0)}, "--ranges 1,3,2: 2 does not lie above 3"),
        ([0.1] * 5, RATES, {"ranges": (1.0, math.inf)}, "every edge must be a finite number"),
        (
            [0.1, 0.2, 0.3, 0.4, 0.5],
            RATES,
            {"ranges": (1.0, 2.0), "parameter": "learning_rate"},
            "--ranges 1,2: no run lies in them; learning_rate goes from 1e-07 to 5e-07",
        ),
        (
            [0.1, 0.2, 0.3, 0.4],
            {"learning_rate": [1e-7] * 4, "kind": ["a", "b", "a", "b"]},
            {"ranges": (1.0, 2.0)},
            "--ranges: no parameter of s has a range; name one by --parameter",
        ),
    ],
)
def test_bad_input_is_one_clear_line(deltas, columns, options, said):
    with pytest.raises(UsageError, match=said) as caught:
        analyzed(deltas, columns, **options)
    assert "\n" not in str(caught.value)


def test_runs_that_did_not_finish_do_not_count():
    results = published_broad.results()
    failed = tuple(
        replace(one, outcome=replace(one.outcome, status="failed", delta_perf=None))
        for one in results[:10]
    )
    assert analysis_of((*failed, *results[10:]), "broad").runs == 38
    again = results[0].run.config
    lost = [make_result(id=f"{i}", delta=d, config=again) for i, d in enumerate((math.nan, None))]
    found = analysis_of((*lost, *results), "broad")
    assert replace(found, effects=()) == replace(PUBLISHED, effects=())
    # A result that is missing could change an answer, here as where the table is judged.
    first, known = found.effects[0].matters, PUBLISHED.effects[0].matters
    assert (known.verdict, first.verdict) == ("supported", "inconclusive")
    assert first.answer.startswith("not shown: 0, 1 have no ΔPerf")


values = st.one_of(
    st.sampled_from([4, 8, 12]),
    st.sampled_from(["a", "b", None, True]),
    st.floats(1e-8, 1e3),
    st.integers(-5, 5),
)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(4, 14).flatmap(
        lambda n: st.tuples(
            st.lists(st.one_of(st.none(), st.floats(-1, 1)), min_size=n, max_size=n),
            st.lists(st.lists(values, min_size=n, max_size=n), min_size=1, max_size=3),
        )
    )
)
def test_any_table_is_analysed_or_refused_in_one_line(table):
    deltas, columns = table
    try:
        found = analyzed(deltas, {f"p{i}": column for i, column in enumerate(columns)})
    except UsageError as error:
        event(re.sub(r"\d|p\d.*", "", str(error)))
        return
    json.dumps(as_data(found), allow_nan=False)
    for width in (40, 80):
        text = render_document(document(found), width)
        assert max(map(len, text.splitlines())) <= width
        assert not re.search(r"\bnan\b", text)
