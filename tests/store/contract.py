"""What every store does, whatever database is under it."""

from __future__ import annotations

import itertools
import json
import math
import sys
from dataclasses import replace
from typing import get_args

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import StoreError
from harness.records import (
    FINAL,
    Conditions,
    Config,
    Evaluation,
    ItemScores,
    Outcome,
    Result,
    Run,
    Status,
    StepTrace,
)
from harness.report.renderers import as_json
from harness.store import Store
from harness.store.tables import ITEM_LABELS
from tests.factories import make_evidence, make_result, make_trace, report_of

STATUSES: tuple[Status, ...] = get_args(Status)
FLEETING = tuple(status for status in STATUSES if status not in FINAL)

text = st.text(max_size=12)
times = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
"""Kept as a column, in which PostgreSQL has no NUL."""
names = st.text("abcdefgh_-0123456789", min_size=1, max_size=12)
finite = st.floats(allow_nan=False, allow_infinity=False)
counts = st.integers(0, 2**62)
values = st.none() | st.booleans() | st.integers() | finite | text

NUMBERS = itertools.count()


def names_of_items(store):
    """Return how many sets of names the store holds."""
    query = sa.select(sa.func.count()).select_from(ITEM_LABELS)
    return store._database.read(lambda connection: connection.scalar(query))


def maybe(strategy):
    return st.none() | strategy


runs = st.builds(
    Run,
    id=text,
    sweep=names,
    index=st.integers(0, 10**6),
    arm=names,
    pair=maybe(text),
    config=st.dictionaries(text, values, max_size=5).map(Config),
    seed=st.integers(0, 2**128),
    steps=counts,
    declared_steps=counts,
    evaluate_every=counts,
)
conditions = st.builds(
    Conditions, **dict.fromkeys(Conditions.__dataclass_fields__, text) | {"lr_transfer": finite}
)


@st.composite
def item_scores(draw):
    """Scores of any size, few distinct ones or many, with or without what came before and names."""
    n = draw(st.integers(0, 6) | st.just(300))
    drawn = draw(st.lists(finite | st.sampled_from([0.0, -0.0, 1.0, 0.25]), min_size=1, max_size=6))
    after = [drawn[i % len(drawn)] / (i + 1 if n == 300 else 1) for i in range(n)]
    names = draw(st.lists(text, min_size=n, max_size=n)) if n < 300 else [f"q{i}" for i in range(n)]
    parts = [part if draw(st.booleans()) else () for part in (after[::-1], names, names[::-1])]
    return ItemScores(tuple(after), *map(tuple, parts))


outcomes = st.builds(
    Outcome,
    status=st.sampled_from(STATUSES),
    **dict.fromkeys(
        ("perf_before", "perf_after", "delta_perf", "delta_perf_se", "train_delta_perf"),
        maybe(finite),
    ),
    **dict.fromkeys(("seconds", "evaluation_seconds"), maybe(finite)),
    **dict.fromkeys(("prompts", "samples", "prompts_changed", "tokens"), maybe(counts)),
    **dict.fromkeys(("peak_memory", "stopped_at"), maybe(counts)),
    curve=st.lists(st.builds(Evaluation, counts, finite, finite, finite), max_size=4).map(tuple),
    trace=st.lists(st.builds(StepTrace, counts, *[finite] * 6, st.none() | counts), max_size=4).map(
        tuple
    ),
    device=maybe(text),
    weights=maybe(text),
    error=maybe(text),
    value=maybe(finite),
    clusters=maybe(finite),
    clusters_changed=maybe(counts),
    items=maybe(item_scores()),
)
results = st.builds(
    Result,
    key=names,
    run=runs,
    conditions=conditions,
    outcome=outcomes,
    environment=st.dictionaries(text, values, max_size=4),
    finished_at=maybe(times),
)


ITEMS = ItemScores((0.0, 0.25, 1.0), (0.25, 0.25, 0.5), ("q1", "q2", "q3"), ("a", "a", "b"))


class StoreContract:
    """Inherited by the test of each database; ``url`` gives a fresh one for each call."""

    @pytest.fixture
    def url(self, tmp_path):
        raise NotImplementedError

    @pytest.fixture
    def store(self, url):
        with Store.open(url) as store:
            yield store

    @given(result=results)
    @settings(suppress_health_check=list(HealthCheck), deadline=None)
    def test_what_goes_in_comes_out_to_the_bit(self, store, result):
        # All examples share a store, where a final result stays. Hypothesis repeats an example that
        # failed. With its old key it would fail in another way, and hide what was wrong.
        result = replace(result, key=f"{result.key}-{next(NUMBERS)}")
        assert store.save(result)
        found = next(r for r in store.results(result.run.sweep) if r.key == result.key)
        assert repr(found) == repr(result)
        assert found == result

    @pytest.mark.parametrize(
        "number", [0.1 + 0.2, -0.0, 5e-324, sys.float_info.max, 1e22, 1 / 3, 2.0**-1074]
    )
    def test_floats_keep_every_bit(self, store, number):
        result = make_result(
            delta=number,
            perf_after=0.5,
            curve=(),
            trace=make_trace([number]),
            config={"learning_rate": number},
        )
        store.save(result)
        found = store.get([result.key])[result.key]
        assert found.outcome.delta_perf.hex() == number.hex()
        assert found.outcome.trace[0].learning_rate.hex() == number.hex()
        assert found.run.config["learning_rate"].hex() == number.hex()

    @pytest.mark.parametrize(("one", "other"), [(0.0, -0.0), (1, 1.0)])
    def test_equal_numbers_of_conditions_stay_apart(self, store, one, other):
        for number in (one, other):
            result = make_result(key=f"key {number!r}")
            result = replace(result, conditions=replace(result.conditions, lr_transfer=number))
            store.save(result)
            found = store.get([result.key])[result.key]
            assert repr(found.conditions) == repr(result.conditions)

    @pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
    def test_a_number_that_is_not_finite_is_named_and_not_stored(self, store, bad):
        good = make_result()
        in_config = replace(good.run, config=Config({"x": bad}))
        for result, where in (
            (make_result(delta=bad, perf_after=0.1, curve=()), "outcome.delta_perf"),
            (make_result(curve=(Evaluation(3, bad, 0.0, 0.0),)), "curve.0.1"),
            (make_result(trace=make_trace([0.1, bad])), "learning_rate.1"),
            (replace(good, run=in_config), "config.x"),
            (make_result(environment={"x": bad}), "environment.x"),
            (make_result(items=ItemScores((0.1, bad))), "items.after.1"),
            (make_result(items=ItemScores((0.1, 0.2), (bad, 0.2))), "items.before.0"),
        ):
            with pytest.raises(StoreError, match=f"run s-00 cannot be stored: .*{where} is"):
                store.save(result)
        assert store.results() == ()

    def test_a_point_of_a_curve_without_a_standard_error_comes_back_without_one(self, store):
        points = (Evaluation(0, 0.1, math.nan, 0.1), Evaluation(10, 0.2, 0.01, 0.2))
        store.save(make_result(curve=points))
        (found,) = store.results()
        assert repr(found.outcome.curve) == repr(points)
        report = report_of(make_evidence(runs=(found,)))
        (run,) = json.loads(as_json.render(report), parse_constant=pytest.fail)["runs"]
        assert [point["se"] for point in run["curve"]] == [None, 0.01]

    @pytest.mark.parametrize("bad", [math.inf, -math.inf])
    def test_a_standard_error_without_bounds_is_not_stored(self, store, bad):
        with pytest.raises(StoreError, match=r"curve\.0\.2 is"):
            store.save(make_result(curve=(Evaluation(3, 0.1, bad, 0.1),)))

    def test_a_value_that_is_no_plain_one_is_named(self, store):
        with pytest.raises(StoreError, match=r"environment\.x is "):
            store.save(make_result(environment={"x": object()}))

    def test_saving_twice_is_saving_once(self, store):
        result = make_result()
        assert store.save(result)
        store.save(result)
        assert store.results() == (result,)

    @pytest.mark.parametrize("final", sorted(FINAL))
    @pytest.mark.parametrize("status", STATUSES)
    def test_a_final_result_stays(self, store, final, status):
        first, second = make_result(status=final), make_result(status=status, seconds=9.0)
        assert first.key == second.key
        store.save(first)
        assert not store.save(second)
        assert store.results() == (first,)
        assert store.save(second, fresh=True) == second.is_final
        assert store.results() == ((second,) if second.is_final else (first,))

    @pytest.mark.parametrize("fleeting", FLEETING)
    @pytest.mark.parametrize("status", STATUSES)
    def test_any_other_gives_way(self, store, fleeting, status):
        first, second = make_result(status=fleeting), make_result(status=status, seconds=9.0)
        store.save(first)
        assert store.save(second)
        assert store.results() == (second,)

    def test_get_gives_what_there_is_in_the_order_asked(self, store):
        made = [make_result(f"s-{i:04}", seed=i, index=i) for i in range(1203)]
        for result in made:
            store.save(result)
        keys = [result.key for result in made]
        assert store.get([]) == {}
        assert store.get(["nothing"]) == {}
        found = store.get(["nothing", *reversed(keys), keys[0]])
        assert list(found) == keys[::-1]
        assert tuple(found[key] for key in keys) == tuple(made)

    def test_results_of_runs_are_of_the_runs_as_given(self, store):
        made = [make_result(f"s-{i}", seed=i, index=i) for i in range(3)]
        for result in made[::-1]:
            store.save(result)
            store.save(replace(result, run=replace(result.run, sweep="a", id="another name")))
        runs = {result.key: replace(result.run, id=f"mine-{i}") for i, result in enumerate(made)}
        found = store.of({**runs, "nothing": made[0].run})
        assert list(found) == [result.key for result in made]
        assert [found[key].run for key in runs] == list(runs.values())
        assert [found[key].outcome for key in runs] == [result.outcome for result in made]
        assert {len(r.outcome.trace) for r in store.of(runs, traces=False).values()} == {0}

    def test_results_are_in_order_main_runs_first(self, store):
        made = [
            make_result(f"{arm}-{i}", arm=arm, index=i, seed=i, sweep=sweep)
            for sweep in ("a", "b")
            for arm in ("main", "batch_size", "null")
            for i in range(12)
        ]
        # Keys do not know of sweeps: give each sweep a seed of its own.
        made = [
            replace(result, key=f"{result.run.sweep}{result.key}") if result.key else result
            for result in made
        ]
        for result in reversed(made):
            store.save(result)
        assert store.results() == tuple(made)
        assert store.results("b") == tuple(made[36:])
        assert store.results("a", "null") == tuple(made[24:36])
        assert store.results(arm="main") == tuple(made[:12] + made[36:48])
        assert store.results("none") == ()

    def test_without_traces_the_rest_is_the_same(self, store):
        result = make_result(trace=make_trace([0.1, 0.2]), items=ITEMS)
        store.save(result)
        bare = replace(result, outcome=replace(result.outcome, trace=(), items=None))
        assert store.results(traces=False) == (bare,)
        assert store.get([result.key], traces=False) == {result.key: bare}
        assert store.results() == (result,)

    def test_sweeps_that_share_a_training_both_list_it(self, store):
        one, other = make_result("one-3", sweep="one"), make_result("other-0", sweep="other")
        assert one.key == other.key
        store.save(one)
        assert not store.save(replace(other, outcome=replace(other.outcome, seconds=9.0)))
        assert store.results("one") == (one,)
        assert store.results("other") == (replace(other, outcome=one.outcome),)
        assert len(store.get([one.key])) == 1
        assert [summary.sweep for summary in store.sweeps()] == ["one", "other"]

    def test_sweeps_are_summed_up(self, store):
        assert store.sweeps() == ()
        for i, status in enumerate(["completed", "completed", "diverged", "crashed"]):
            at = f"2025-01-0{i + 1}T00:00:00Z"
            store.save(make_result(f"s-{i}", seed=i, status=status, finished_at=at))
        store.save(make_result("n-0", arm="null", seed=0))
        store.save(make_result("t-0", sweep="t", seed=9, finished_at=None))
        first, second = store.sweeps()
        assert (first.sweep, first.runs, first.finished_at) == ("s", 5, "2025-01-04T00:00:00Z")
        assert first.statuses == {"completed": 3, "diverged": 1, "crashed": 1}
        assert first.arms == {"main": 4, "null": 1}
        assert (second.sweep, second.runs, second.finished_at) == ("t", 1, None)

    def test_before_data_the_last_word_on_a_question_counts(self, store):
        store.register("s", "d", {"a": "1", "b": "1"})
        store.register("s", "d", {"a": "2"})
        hashes = {id_: row.hash for id_, row in store.registered("s", "d").items()}
        assert hashes == {"a": "2", "b": "1"}
        assert store.registered("s", "other") == {}
        assert store.registered("t", "d") == {}

    def test_after_data_nothing_is_registered_any_more(self, store):
        store.register("s", "d", {"a": "1"})
        before = store.registered("s", "d")
        store.save(make_result())
        store.register("s", "d", {"a": "2", "new": "1"})
        assert store.registered("s", "d") == before
        store.register("t", "d", {"a": "2"})
        assert store.registered("t", "d")["a"].hash == "2"

    def test_a_time_of_registration_is_the_first_of_that_claim(self, store, monkeypatch):
        times = iter(["2025-01-01T00:00:00Z", "2025-01-02T00:00:00Z", "2025-01-03T00:00:00Z"])
        monkeypatch.setattr("harness.store.results._now", lambda: next(times))
        store.register("s", "d", {"a": "1"})
        store.register("s", "d", {"a": "1"})
        assert store.registered("s", "d")["a"] == ("1", "2025-01-01T00:00:00Z")
        store.register("s", "d", {"a": "2"})
        assert store.registered("s", "d")["a"] == ("2", "2025-01-02T00:00:00Z")

    def test_an_enlarged_sweep_takes_over_what_was_registered(self, store):
        store.register("s", "d", {"a": "1", "b": "1"})
        store.save(make_result())
        store.register("s", "larger", {"a": "1", "b": "2", "new": "1"})
        assert store.registered("s", "larger") == {"a": store.registered("s", "d")["a"]}

    @pytest.mark.parametrize(
        ("status", "curve", "is_data"),
        [
            ("completed", None, True),
            ("diverged", (), True),
            ("crashed", (), False),
            ("timeout", (Evaluation(0, 0.1, 0.1, 0.1),), True),
        ],
    )
    def test_data_are_measurements(self, store, status, curve, is_data):
        store.register("s", "d", {"a": "1"})
        store.save(make_result(status=status, curve=curve))
        store.register("s", "d", {"a": "2"})
        assert store.registered("s", "d")["a"].hash == ("1" if is_data else "2")

    def test_data_once_seen_stay_seen(self, store):
        store.register("s", "d", {"a": "1"})
        store.save(make_result())
        store.save(make_result(status="crashed", curve=()), fresh=True)
        store.register("s", "d", {"a": "2"})
        assert store.registered("s", "d")["a"].hash == "1"

    def test_a_run_is_forgotten_by_one_sweep_and_kept_for_another(self, store):
        store.save(make_result(key="a", sweep="s"))
        store.save(make_result(key="a", sweep="t"))
        store.save(make_result(key="b", sweep="s"))
        store.forget(store.results("s"))
        assert [(r.run.sweep, r.key) for r in store.results()] == [("t", "a")]
        assert list(store.get(["a", "b"])) == ["a"]
        store.forget(store.results("t"))
        assert store.get(["a"]) == {}
        assert store.sweeps() == ()

    def test_runs_that_share_their_items_store_the_names_once(self, store):
        made = [make_result(f"s-{i}", seed=i, index=i, items=ITEMS) for i in range(3)]
        made[1] = replace(made[1], outcome=replace(made[1].outcome, items=replace(ITEMS, ids=())))
        for result in made:
            store.save(result)
        assert store.results() == tuple(made)
        assert names_of_items(store) == 2
        store.forget(made[:2])
        assert names_of_items(store) == 1
        assert store.results() == (made[2],)
        store.forget(made[2:])
        assert names_of_items(store) == 0

    def test_items_with_other_numbers_of_names_are_not_stored(self, store):
        for name in ("before", "ids", "clusters"):
            few = replace(ITEMS, **{name: getattr(ITEMS, name)[:2]})
            with pytest.raises(StoreError, match=rf"items\.{name} has 2 of 3 items"):
                store.save(make_result(items=few))
        assert store.results() == ()

    def test_items_without_names_store_none(self, store):
        result = make_result(items=replace(ITEMS, ids=(), clusters=()))
        store.save(result)
        assert store.results() == (result,)
        assert names_of_items(store) == 0

    def test_items_of_a_result_that_is_replaced_go_with_it(self, store):
        store.save(make_result(status="failed", items=ITEMS))
        store.save(make_result(items=replace(ITEMS, before=())))
        assert store.results()[0].outcome.items == replace(ITEMS, before=())
        store.save(make_result(), fresh=True)
        assert store.results()[0].outcome.items is None

    def test_questions_asked_after_data_that_were_forgotten_stay_post_hoc(self, store):
        store.register("s", "d", {"a": "1"})
        store.save(make_result(key="a", sweep="s"))
        for _ in range(2):
            store.forget(store.results("s"))
        store.register("s", "d", {"a": "2", "new": "1"})
        assert {id_: row.hash for id_, row in store.registered("s", "d").items()} == {"a": "1"}
        store.save(make_result(key="c", sweep="never measured", status="failed", curve=()))
        store.forget(store.results("never measured"))
        store.register("never measured", "d", {"a": "1"})
        assert list(store.registered("never measured", "d")) == ["a"]

    def test_a_run_in_training_is_not_forgotten(self, store, url):
        store.save(make_result(key="a", sweep="s", status="failed"))
        store.save(make_result(key="b", sweep="s"))
        with Store.open(url) as other:
            assert other.acquire("a")
            with pytest.raises(StoreError, match="1 of these runs is being trained by process"):
                store.forget(store.results("s"))
            assert len(store.results("s")) == 2
        store.forget(store.results("s"))
        assert store.results("s") == ()

    def test_the_smallest_run_is_data(self, store):
        store.register("s", "d", {"a": "1"})
        store.save(make_result(steps=2, declared_steps=100))
        store.register("s", "d", {"a": "2"})
        assert store.registered("s", "d")["a"].hash == "1"

    def test_what_is_saved_is_there_for_the_next(self, url):
        result = make_result()
        with Store.open(url) as store:
            store.register("s", "d", {"a": "1"})
            store.save(result)
        with Store.open(url, create=False) as store:
            assert store.results() == (result,)
        with Store.open(url, read_only=True) as store:
            assert store.results() == (result,)
            assert store.registered("s", "d")["a"].hash == "1"
            with pytest.raises(StoreError, match="cannot be written"):
                store.save(make_result(seed=2))

    def test_two_sessions_see_each_others_runs(self, url):
        with Store.open(url) as one, Store.open(url) as other:
            one.save(make_result("s-1", seed=1))
            other.save(make_result("s-2", seed=2))
            assert one.results() == other.results()
            assert len(one.results()) == 2

    def test_closing_twice_is_closing_once(self, url):
        store = Store.open(url)
        store.close()
        store.close()
