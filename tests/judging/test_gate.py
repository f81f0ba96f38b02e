"""Which metrics and nights the gate takes, what it says of them, and what it refuses."""

import pytest

from harness.errors import UsageError
from harness.judging.gate import Asked, TooFewNightsError, judge
from tests.judging.histories import as_nights, drawn


def judged(rows, **asked):
    return judge(*as_nights(rows), Asked(**asked))


def refused(rows, **asked):
    with pytest.raises(UsageError) as caught:
        judged(rows, **asked)
    line = str(caught.value)
    assert "\n" not in line
    return line


# ---- the answer ---------------------------------------------------------------------------------


def test_a_fault_pages_with_its_metric_nights_size_and_power():
    found = judged(drawn(23, faulty=3, accuracy=-4))
    assert (found.pages, found.shift.metric) == (True, "accuracy")
    assert (found.last, len(found.before)) == (("n20", "n21", "n22"), 20)
    assert found.before[0] == "n0"
    assert 2.5 < found.shift.in_sds < 5.5
    assert found.shift.last < found.shift.before
    assert (found.choices, found.rank <= 8) == (1771, True)
    shifts, power = zip(*found.power, strict=True)
    assert shifts == (2.0, 3.0, 4.0)
    assert 0.1 < power[0] < power[1] < power[2] <= 1.0


@pytest.mark.parametrize(("moved", "pages"), [({"val_loss": 5}, True), ({"val_loss": -5}, False),
                                              ({"accuracy": 5}, False)])  # fmt: skip
def test_a_metric_pages_in_its_bad_direction_alone(moved, pages):
    assert judged(drawn(23, faulty=3, **moved)).pages is pages


def test_a_direction_that_is_said_comes_before_that_of_the_name():
    rows = drawn(23, faulty=3, accuracy=5)
    assert judged(rows, directions={"accuracy": "min"}).pages
    assert judged(rows, directions={"accuracy": "min"}).shifts[0].direction == "min"


def test_the_same_nights_get_the_same_answer():
    rows = drawn(30)
    assert judged(rows) == judged(rows)


@pytest.mark.parametrize(("total", "m"), [(10, 4), (18, 3), (41, 2)])
def test_the_usual_number_of_last_nights(total, m):
    assert len(judged(drawn(total)).last) == m


def test_the_number_of_last_nights_may_be_said():
    found = judged(drawn(30), nights=4)
    assert len(found.last) == 4
    assert found.choices == 27405


def test_an_early_night_that_is_too_many_is_left_out(monkeypatch):
    monkeypatch.setattr("harness.judging.gate.most_total", lambda m: 25)
    found = judged(drawn(30))
    assert (found.earlier, len(found.before) + len(found.last), found.before[0]) == (5, 25, "n5")


# ---- which metrics ------------------------------------------------------------------------------


def with_more(rows, name, values):
    return [{**row, name: value} for row, value in zip(rows, values, strict=True)]


def test_a_metric_without_a_direction_is_set_aside_until_one_is_said():
    rows = with_more(drawn(23), "kl", [n % 5 for n in range(23)])
    assert judged(rows).aside == (("kl", "no direction"),)
    found = judged(rows, directions={"kl": "min"})
    assert [s.metric for s in found.shifts] == ["accuracy", "val_loss", "kl"]
    assert not found.aside


def test_only_metrics_that_are_named_are_judged():
    found = judged(drawn(23), metrics=("val_loss",))
    assert [s.metric for s in found.shifts] == ["val_loss"]
    found = judged(drawn(23), ignored=("val_loss",))
    assert [s.metric for s in found.shifts] == ["accuracy"]


def test_a_metric_that_is_the_same_in_every_night_is_set_aside():
    rows = with_more(drawn(23), "pass_rate", [1.0] * 23)
    assert judged(rows).aside == (("pass_rate", "constant"),)


def test_a_metric_that_was_the_same_before_and_is_worse_now_pages():
    rows = with_more(drawn(23), "pass_rate", [1.0] * 20 + [0.9] * 3)
    found = judged(rows)
    assert (found.pages, found.shift.metric) == (True, "pass_rate")
    assert (found.shift.sd, found.shift.in_sds) == (0.0, None)
    alone = judged([{"pass_rate": row["pass_rate"]} for row in rows])
    assert (alone.pages, alone.power, alone.resembling) == (True, (), None)


def test_a_new_metric_is_set_aside_unless_it_is_named():
    rows = drawn(40)
    for row, value in zip(rows[-12:], range(12), strict=True):
        row["f1"] = value % 5
    assert judged(rows).aside == (("f1", "not in the history"),)
    found = judged(rows, metrics=("f1", "accuracy"))
    assert (len(found.before), len(found.incomplete)) == (8, 28)


def test_a_night_without_a_number_is_left_out_and_named():
    rows = drawn(31)
    rows[3]["accuracy"] = None
    rows[9]["val_loss"] = "0.5"
    found = judged(rows)
    assert found.incomplete == ("n3", "n9")
    assert len(found.before) == 26
    without = judged([row for n, row in enumerate(rows) if n not in (3, 9)])
    assert (found.rank, found.choices) == (without.rank, without.choices)


# ---- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "said"), [(None, "null"), ("0.8", "text"), (float("nan"), "NaN"), ("gone", "missing")]
)
def test_a_metric_of_the_history_that_is_no_number_tonight_is_refused(value, said):
    rows = drawn(23)
    rows[-1]["accuracy"] = value
    if value == "gone":
        del rows[-1]["accuracy"]
    line = refused(rows)
    assert f"accuracy is {said} tonight and a number in the nights before" in line
    assert "--ignore accuracy" in line
    assert judged(rows, ignored=("accuracy",)).shift.metric == "val_loss"
    assert judged(rows, metrics=("val_loss",)).shift.metric == "val_loss"
    assert f"accuracy is {said} tonight" in refused(rows, metrics=("accuracy",))


@pytest.mark.parametrize(
    ("total", "nights", "needs"), [(9, None, 10), (11, 3, 12), (20, 2, 21), (199, 1, 200)]
)
def test_too_few_nights_say_how_many_are_needed(total, nights, needs):
    with pytest.raises(TooFewNightsError, match=f"{total} with tonight") as caught:
        judged(drawn(total), nights=nights)
    assert (caught.value.has, caught.value.needs) == (total, needs)
    assert f"take {needs}" in str(caught.value)
    assert judged(drawn(needs), nights=nights).choices >= 200


def test_more_nights_together_are_offered_where_they_are_enough():
    assert "2 together take 21, 3 together take 12, 4 together take 10 (--nights)" in refused(
        drawn(30), nights=1
    )
    assert "--nights" not in refused(drawn(5))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"metrics": ("acuracy",)}, "--metric acuracy: no night has it; did you mean 'accuracy'?"),
        ({"ignored": ("x",)}, "--ignore x: no night has it"),
        ({"directions": {"acc": "max"}}, "--direction acc: no night has it"),
        ({"directions": {"kl": "down"}}, "the direction of kl is max or min, not 'down'"),
        ({"nights": 5}, "nights 5: 1 to 4"),
        ({"nights": 0}, "nights 0: 1 to 4"),
        ({"metrics": ("kl",)}, "--direction kl=max or --direction kl=min"),
        ({"metrics": ("same",)}, "same: the same in all 23 nights"),
        ({"ignored": ("accuracy", "val_loss", "same", "kl")}, "all are ignored"),
    ],
)
def test_a_question_that_cannot_be_answered_is_one_line(asked, said):
    rows = with_more(drawn(23), "kl", range(23))
    rows = with_more(rows, "same", [1.0] * 23)
    if "metrics" in asked and asked["metrics"] == ("same",):
        asked = {**asked, "directions": {"same": "max"}}
    assert said in refused(rows, **asked)


def test_nights_of_which_nothing_can_be_judged_are_refused():
    assert "has a name that says" in refused([{"kl": n} for n in range(23)])
    assert "has no number" in refused([{"a": "x"}] * 23)
    assert "the same in all 23 nights" in refused([{"accuracy": 1.0}] * 23)
    line = refused([*drawn(22), {"f1": 0.5}], ignored=("accuracy", "val_loss"))
    assert "nine of ten nights of the history: f1" in line


def test_too_many_metrics_are_refused():
    rows = [{f"acc.{i}": (i * n) % 7 for i in range(201)} for n in range(23)]
    assert "201 metrics" in refused(rows)


# ---- signs --------------------------------------------------------------------------------------


def test_nights_that_resemble_the_ones_before_are_called_not_calibrated():
    rows = drawn(40)
    for n, row in enumerate(rows):
        row["accuracy"] = 0.8 + 0.02 * ((n // 6) % 2) + 0.001 * row["val_loss"]
    found = judged(rows)
    assert found.resembling.metric == "accuracy"
    assert (found.resembling.size > 0.5, found.resembling.p_value < 0.01) == (True, True)
    assert judged(drawn(40)).resembling is None


def test_a_fault_in_the_last_nights_is_no_resemblance():
    found = judged(drawn(23, faulty=3, seed=4, accuracy=-8))
    assert (found.pages, found.resembling) == (True, None)


def test_a_slow_decline_is_said_and_does_not_page():
    rows = drawn(40, seed=1)
    for n, row in enumerate(rows):
        row["accuracy"] -= 0.0015 * max(0, n - 10)
    found = judged(rows)
    assert not found.pages
    assert found.declining.metric == "accuracy"
    assert found.declining.since in found.before
    assert judged(drawn(40, seed=1)).declining is None
