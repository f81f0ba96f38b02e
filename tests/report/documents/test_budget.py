"""Where the spread comes from and what the next runs buy, in words."""

from dataclasses import replace

import pytest

from harness.observations.budget import NoiseBudget
from harness.report.blocks import Shares, Table, Text
from harness.report.documents.budget import budget_blocks, dominant_text, outlook_text
from harness.statistics import Estimate
from harness.verdicts import Gained, Outlook, Purchase


def sd(value, low=None, high=None):
    low, high = value / 2 if low is None else low, value * 2 if high is None else high
    return Estimate(value, low, high, 0.95, 24, "m")


REPEATED = NoiseBudget(
    runs=48,
    configurations=24,
    each=2.0,
    config=sd(0.04),
    seed=sd(0.03),
    evaluation=sd(0.01),
    lacks={"machine": "one machine"},
)
SINGLE = NoiseBudget(
    runs=24,
    configurations=24,
    parameters=sd(0.04),
    together=sd(0.03),
    modelled=True,
    lacks={"config": "no repeats", "seed": "no repeats", "evaluation": "no standard errors"},
)
PURCHASES = (
    Purchase("configs", 24, 48, 1, sd=(0.05, 0.05)),
    Purchase("seeds", 24, 24, 2, sd=(0.04, 0.05)),
    Purchase("deeper", 24, 32, 3, sd=(0.04, 0.05)),
    Purchase("items", 0, 24, 1, 4.0, sd=(0.05, 0.05)),
)


def outlook(*questions):
    return Outlook(24, 24, 1, 0.05, PURCHASES, questions)


def gained(*after, now=0.47, question="q"):
    after = tuple((one, one) if isinstance(one, float) else one for one in after)
    return Gained(question, "an effect", now, after)


def test_the_table_has_sd_interval_and_share():
    table, bar, text = budget_blocks(REPEATED, None)
    assert isinstance(table, Table)
    assert table.rows[0] == ("config", "0.0400", "0.0200 to 0.0800", "62%")
    assert [row[0] for row in table.rows] == ["config", "seed", "evaluation", "a single result"]
    assert isinstance(bar, Shares)
    assert sum(share for _, share in bar.parts) == pytest.approx(1.0)
    assert "48 runs of 24 configs" in text.text


def test_what_is_not_known_is_said():
    *_, text = budget_blocks(SINGLE, None)
    assert "cannot be told apart: two seeds a config would tell" in text.text
    assert "there are no standard errors" in text.text
    names = [row[0] for row in budget_blocks(SINGLE, None)[0].rows]
    assert names[:2] == ["parameters, added up", "seed, evaluation, parameters together"]
    whole = replace(SINGLE, parameters=None, modelled=False)
    assert budget_blocks(whole, None)[0].rows[0][0] == "config, seed and evaluation"
    assert budget_blocks(NoiseBudget(lacks={"config": "few results"}), None) == ()
    (equal,) = budget_blocks(NoiseBudget(lacks={"config": "equal results"}), None)
    assert isinstance(equal, Text)


def test_a_part_of_nothing_is_0_and_an_open_end_is_not_known():
    none = replace(REPEATED, seed=sd(0.0, 0.0, float("inf")))
    assert budget_blocks(none, None)[0].rows[1][1:3] == ("0", "not known")


def test_the_source_that_dominates_is_named_with_what_follows():
    assert dominant_text(REPEATED) == ""
    noisy = replace(REPEATED, seed=sd(0.2))
    assert dominant_text(noisy).startswith("96% of the variance is seed: more seeds")
    coarse = replace(REPEATED, evaluation=sd(0.2))
    assert "more evaluation items" in dominant_text(coarse)


def test_the_line_begins_with_what_brings_most():
    text = outlook_text(outlook(gained(0.71, 0.5, 0.6, 0.48)), REPEATED)
    assert text == (
        "With the next 24 runs, 24 more configs bring the power of q (an effect) from .47 to .71; "
        "8 more configs of 3 seeds to .60; 2 seeds a config to .50; more evaluation items bring "
        "nothing."
    )


def test_items_that_bring_something_and_a_range():
    text = outlook_text(outlook(gained(0.71, (0.5, 0.7), (0.6, 0.61), 0.6)), SINGLE)
    assert "2 seeds a config to .50–.70; 4 times the evaluation items to .60." in text
    assert "Low end: none of the unexplained spread is the seeds'; high end: all of it." in text


def test_pairs_are_told_of_beside():
    pairs = gained(0.8, None, None, None, now=0.3, question="pairs")
    text = outlook_text(outlook(gained(0.71, 0.5, 0.6, 0.48), pairs), REPEATED)
    assert text.endswith(
        "Spent on pairs with their arm, they bring pairs (an effect) from .30 to .80."
    )


def test_where_nothing_is_gained_it_says_so():
    assert "no question is sure to gain power" in outlook_text(
        outlook(gained(0.48, 0.47, 0.47, 0.47)), REPEATED
    )
    assert "becomes as below" in outlook_text(outlook(), REPEATED)


def test_certain_powers_are_not_certain():
    text = outlook_text(outlook(gained(0.999, 0.5, 0.6, 0.48, now=0.001)), REPEATED)
    assert "from < .01 to > .99" in text
