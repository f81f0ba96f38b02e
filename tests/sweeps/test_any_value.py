"""A declaration of any value is refused in one line, or its values come back as they went in."""

import datetime
import json
from decimal import Decimal
from enum import Enum, IntEnum
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from harness import Choice, Given, LogInt, LogUniform, Pairs, Sweep, SweepError, Uniform
from harness.analysis import analyze
from harness.claims import best_inside, lower_tail, no_worse, still_improves, success_rate
from harness.judging.evidence import evidence_of
from harness.records import MAIN, Outcome, Result
from harness.report.documents.analysis import document
from harness.report.renderers.document_json import analysis_data
from harness.report.renderers.terminal import render_document
from harness.store import Store
from harness.store.codec import decode, encode_outcome, encode_run
from harness.sweeps.plan import Selection, plan
from harness.tables.exporting import run_columns, text_of


class Size(IntEnum):
    SMALL = 8


class Colour(Enum):
    RED = "red"


ATOMS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(10**400), 10**400),
    st.floats(),
    st.text(max_size=9),
    st.sampled_from(["1e-6", "nan", "8", "", "\ud800", "a\0b", "(1, 2)"]),
    st.binary(max_size=3),
    st.complex_numbers(),
    st.decimals(),
    st.fractions(),
    st.dates(),
    st.datetimes(),
    st.timedeltas(),
    arrays.scalar_dtypes().flatmap(arrays.from_dtype),
    arrays.arrays(arrays.scalar_dtypes(), arrays.array_shapes(min_dims=0, max_side=3)),
    st.sampled_from([Size.SMALL, Colour.RED, Path("a/b"), len, print, lambda: 0, object(), dict,
                     Choice, Uniform(0, 1), Choice(1, 2), Decimal("NaN"), Fraction(1, 3), np.nan,
                     datetime.UTC, range(3), ..., NotImplemented, ValueError("a\nb"), np]),
)  # fmt: skip
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(-1e6, 1e6) | st.text(max_size=5),
    lambda inside: st.lists(inside, max_size=3).map(tuple),
    max_leaves=4,
)
ANY = PLAIN | st.recursive(
    ATOMS,
    lambda inside: st.one_of(
        st.lists(inside, max_size=3).map(tuple),
        st.lists(inside, max_size=3),
        st.dictionaries(st.text(max_size=3), inside, max_size=2),
        st.frozensets(st.integers(), max_size=2),
        st.sets(st.text(max_size=2), max_size=2),
    ),
    max_leaves=4,
)


def sweep(**changes):
    return Sweep(**{"name": "s", "runs": 5, "steps": 10, "space": {"x": Choice(1, 2)}, **changes})


def values(space, **changes):
    """A sweep of this space and a parameter that always varies, to be analysed."""
    return sweep(space={"pace": Uniform(0, 1), **space}, **changes)


AS_VALUES = {
    "options": lambda one, two: values({"x": Choice(one, two)}),
    "an option": lambda one, _: values({"x": Choice(one)}),
    "a plain value": lambda one, two: values({"x": one, "y": two}),
    "cases": lambda one, two: values({"y": Choice(one, 5), "x": Given("y", {one: two, 5: 6})}),
    "pairs": lambda one, two: values({"x": one}, arms={"x": Pairs(2, values=(two, "other"))}),
    "a reference": lambda one, two: values(
        {"x": Choice(one, two)},
        arms={"x": Pairs(3, values=[two])},
        questions={"q": no_worse("x", one, than=(two,))},
    ),
    "ends": lambda one, two: values({"x": Uniform(one, two)}),
    "ends on a log scale": lambda one, two: values({"x": LogUniform(one, two)}),
    "whole ends": lambda one, two: values({"x": LogInt(one, two)}),
    "weights": lambda one, two: values({"x": Choice(1, 2, weights=(one, two))}),
    "a learning rate": lambda one, _: values({"learning_rate": one}),
}
AS_SETTINGS = {
    "name": lambda one: sweep(name=one),
    "the name of a parameter": lambda one: sweep(space={one: 1} if _can_be_key(one) else one),
    "runs": lambda one: sweep(runs=min(one, 9) if type(one) is int else one),
    **{
        name: lambda one, name=name: sweep(**{name: one})
        for name in ("steps", "seed", "space", "arms", "questions", "evaluate_every", "alpha")
    },
    **{
        name: lambda one, name=name: sweep(**{name: one})
        for name in (
            "margin",
            "min_gain",
            "sampler",
            "task",
            "baseline",
            "trainer",
            "model",
            "depends_on",
        )
    },
    "placebo": lambda one: sweep(space={"learning_rate": 1}, arms={"placebo": one}),
    "pairs": lambda one: sweep(arms={"x": Pairs(one, (3,))}),
    "an arm": lambda one: sweep(arms={"x": one}),
    "values": lambda one: sweep(arms={"x": Pairs(1, one)}),
    "all weights": lambda one: sweep(space={"x": Choice(1, 2, weights=one)}),
    "all cases": lambda one: sweep(space={"x": Choice(1, 2), "y": Given("x", one)}),
    "a parameter": lambda one: sweep(space={"x": 1, "y": Given(one, {1: 2})}),
    "a question": lambda one: sweep(questions={"q": one}),
    "a rate": lambda one: sweep(questions={"q": success_rate.above(one)}),
    "since": lambda one: sweep(questions={"q": still_improves(since=one)}),
    "a margin": lambda one: sweep(questions={"q": still_improves(margin=one)}),
    "a share": lambda one: sweep(questions={"q": lower_tail.above_baseline(one)}),
    "what is best": lambda one: sweep(questions={"q": best_inside(one)}),
    "within": lambda one: sweep(questions={"q": best_inside("x", within=one)}),
    "than": lambda one: sweep(questions={"q": no_worse("x", 1, than=one)}),
    "what is no worse": lambda one: sweep(questions={"q": no_worse(one, 1, than=(2,))}),
}


def _can_be_key(value):
    try:
        hash(value)
    except TypeError:
        return False
    return True


def declared(declare, *given):
    """What is declared, or None where it is refused in one line."""
    try:
        return declare(*given)
    except SweepError as error:
        said = str(error)
    assert len(said.splitlines()) == 1
    assert len(said) < 500
    return None


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with Store.open(str(tmp_path_factory.mktemp("store") / "store.db")) as opened:
        yield opened


def come_back(made, store):
    """Plan, store, read, judge, analyse and export a sweep; return its configs as they came."""
    planned = plan(made, Selection(), trains=False)
    for index, (key, run) in enumerate(planned.runs.items()):
        gain = 0.01 * (index % 3 - run.index)
        outcome = Outcome("completed", 0.5, 0.5 + gain, gain, delta_perf_se=0.01)
        result = Result(key, run, planned.conditions, outcome)
        store.save(result)
        assert decode(key, encode_run(run), None, *encode_outcome(result), None, None).run == run
    found = store.of(planned.runs)
    results = [found[key] for key in planned.runs]
    evidence = evidence_of(made, results)
    for id_, claim in made.questions.items():
        assert claim.judge(id_, evidence).id == id_
    analysis = analyze(evidence)
    json.dumps(analysis_data(analysis), allow_nan=False)
    render_document(document(analysis))
    text_of(run_columns(results), "CSV")
    json.dumps([dict(run.config) for run in planned.runs.values()], allow_nan=False)
    return [result.run for result in results]


@settings(max_examples=40, deadline=None, suppress_health_check=[*HealthCheck])
@pytest.mark.parametrize("place", AS_VALUES)
@given(one=ANY, two=ANY)
def test_values_come_back_as_they_went_in_or_are_refused(store, place, one, two):
    assume(place != "cases" or _can_be_key(one))  # Python itself refuses other keys of a dict
    made = declared(AS_VALUES[place], one, two)
    if made is None:
        return
    planned = list(made.plan())
    back = come_back(made, store)
    assert repr([run.config for run in back]) == repr([run.config for run in planned])
    assert back == planned
    assert {hash(run.config) for run in back} == {hash(run.config) for run in planned}


@settings(max_examples=25, deadline=None, suppress_health_check=[*HealthCheck])
@pytest.mark.parametrize("place", AS_SETTINGS)
@given(one=ANY)
@example(one=2e-311)
@example(one=np.array([False, False]))
def test_a_setting_of_any_kind_is_taken_or_refused(place, one):
    made = declared(AS_SETTINGS[place], one)
    if made is not None:
        assert len({run.id for run in made.plan(runs=1)}) == len(made.plan(runs=1))
        assert all(run.arm == MAIN or run.pair for run in made.plan(runs=1))
        json.dumps([claim.describe() for claim in made.questions.values()], allow_nan=False)
