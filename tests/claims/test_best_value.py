"""The claim on the best value: levels with and without order, ends, and when none is named."""

import numpy as np
import pytest

from harness.claims import best_value, judge_all, matters
from harness.records import Span
from tests.claims.cases import check
from tests.claims.test_matters import choice, judged, rates, runs
from tests.factories import make_evidence


def test_the_best_of_levels_is_named_where_each_other_one_is_worse():
    def effect(config):
        return {"adam": 0.05, "sgd": 0.0, "lion": 0.01}[config["optimizer"]]

    found = runs(36, 1, effect, optimizer=choice("adam", "sgd", "lion"), learning_rate=rates)
    verdict = judged(best_value("optimizer"), found)
    assert (verdict.verdict, verdict.answer) == ("supported", "adam is best")
    may = {level.level: level.may_be_best for level in verdict.effect.levels}
    assert may == {"adam": True, "sgd": False, "lion": False}


def test_levels_that_may_be_the_best_are_told_from_those_that_are_not():
    def effect(config):
        return {"adam": 0.05, "sgd": 0.0, "lion": 0.05}[config["optimizer"]]

    found = runs(36, 2, effect, optimizer=choice("adam", "sgd", "lion"), learning_rate=rates)
    verdict = judged(best_value("optimizer"), found)
    assert verdict.verdict == "inconclusive"
    assert verdict.answer == "adam or lion may be the best; sgd is not"


def both(found, **fields):
    """Judge both claims on the learning rate and the optimizer together."""
    questions = {}
    for parameter in ("optimizer", "learning_rate"):
        questions[f"matters_{parameter}"] = matters(parameter)
        questions[f"best_{parameter}"] = best_value(parameter)
    verdicts = judge_all(questions, make_evidence(runs=found, **fields))
    return {verdict.id: verdict for verdict in verdicts}


def test_no_value_is_named_where_the_parameter_is_not_shown_to_matter():
    """Of 60 sweeps in which nothing matters, some would name a best optimizer by chance."""
    named = alone = 0
    for seed in range(60):
        found = runs(24, seed, lambda _: 0.0, optimizer=choice("a", "b"), learning_rate=rates)
        alone += judged(best_value("optimizer"), found).verdict == "supported"
        verdict = both(found)["best_optimizer"]
        named += not all(level.may_be_best for level in verdict.effect.levels)
        if verdict.verdict != "refuted" and not named:
            assert "is not shown to matter" in verdict.answer
    assert named <= alone <= 8


def test_a_named_value_survives_the_correction():
    found = runs(
        36, 3, lambda c: 0.05 * (c["optimizer"] == "adam"),
        optimizer=choice("adam", "sgd", "lion"), learning_rate=rates,
    )  # fmt: skip
    verdicts = both(found)
    assert verdicts["matters_optimizer"].p_holm <= 0.05
    assert verdicts["best_optimizer"].answer == "adam is best"


@pytest.mark.parametrize(
    ("effect", "shape", "said"),
    [
        (lambda x: 0.05 * x, "rises", "rises over the whole range: the best is from "),
        (lambda x: -0.05 * x, "falls", "falls over the whole range: the best is from "),
        (lambda x: -0.3 * (x - 0.5) ** 2, "peak inside", "rises to about "),
        (lambda _: 0.0, "flat", "no best value: the same within ±0.020 along the range"),
    ],
)
def test_the_shape_along_a_range_is_told(effect, shape, said):
    found = runs(
        48, 4, lambda c: effect(np.log10(c["learning_rate"]) + 7), learning_rate=rates,
        optimizer=choice("a", "b"),
    )  # fmt: skip
    verdict = both(found)["best_learning_rate"]
    assert (verdict.effect.shape, verdict.unit) == (shape, "parameter")
    assert said in verdict.answer
    assert all(isinstance(level.level, Span) for level in verdict.effect.levels)
    if shape == "falls":
        assert ", at the lower end or beyond (p < 0.001 that it matters)" in verdict.answer
        assert "goes lower" in str(verdict.needs[0])


@pytest.mark.parametrize(
    ("values", "end"),
    [
        ((0, 1, 2, 3), "the best is 0, the lower end"),
        ((1, 2, 3, 4), "the best is 1, the lower end"),
        ((0.0, 0.1, 0.2, 0.4), "the best is 0, the lower end"),
        ((64, 128, 256, 512), "the best is at 64, the lower edge of the range, or beyond"),
        ((0.1, 0.2, 0.4, 0.8), "the best is at 0.1, the lower edge of the range, or beyond"),
    ],
)
def test_the_end_of_a_domain_is_an_end_and_not_an_edge(values, end):
    found = runs(40, 5, lambda c: -0.05 * values.index(c["x"]), x=choice(*values))
    verdict = judged(best_value("x"), found)
    assert end in verdict.answer
    assert ("goes lower" in str(verdict.needs[0])) == ("edge" in end)


def test_two_numbers_are_levels():
    found = runs(24, 6, lambda c: 0.05 * (c["batch_size"] == 8), batch_size=choice(4, 8))
    verdict = judged(best_value("batch_size"), found)
    assert (verdict.verdict, verdict.answer) == ("supported", "8 is best")


def test_a_dominating_parameter_does_not_hide_the_shape():
    def effect(config):
        x = np.log10(config["learning_rate"]) + 7
        return 0.3 * (config["optimizer"] == "a") - 0.3 * (x - 0.5) ** 2

    found = runs(60, 7, effect, learning_rate=rates, optimizer=choice("a", "b"))
    assert judged(best_value("learning_rate"), found).effect.shape == "peak inside"
    check(judged(best_value("optimizer"), found))


@pytest.mark.parametrize(
    ("best", "said"),
    [
        (12, "12 is the best of those tried, at the upper edge: the best may lie beyond"),
        (1, "1 is the best of those tried"),  # nothing lies below one layer
    ],
)
def test_one_of_few_numbers_that_is_ahead_of_all_others_is_named(best, said):
    """A step at the end is no rise over any stretch short of it."""
    values = (4, 8, 12) if best == 12 else (1, 2, 3)
    found = runs(60, 8, lambda c: 0.2 * (c["x"] == best), x=choice(*values))
    verdict = judged(best_value("x"), found)
    assert (verdict.verdict, verdict.answer) == ("inconclusive", said)
    assert [one.level for one in verdict.effect.levels if one.may_be_best] == [best]
    check(verdict)
