"""A leader beats a reference, both with fresh seeds: judging, power, early verdicts, nights."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from harness import Config
from harness.claims import judge_all, winner
from harness.claims.design import Design
from harness.claims.judging import judge_one
from harness.claims.power import power_of
from harness.errors import SweepError
from harness.metrics import Metric
from harness.observations.selection import selection
from harness.records import CONFIRM, Gap, ItemScores
from harness.statistics import gain_power
from harness.verdicts import Need, confirming
from tests.claims.cases import check, noise
from tests.claims.powers import make_sweep, runs_of
from tests.factories import make_confirmed, make_evidence, make_result, make_results

ASKED = winner.beats(margin=0.02)
MAIN = make_results(noise(0.05, 0.05, 12), prefix="focused")
ORDER = sorted(MAIN, key=lambda result: -result.outcome.delta_perf)
PLACES = (ORDER[6], *ORDER[:3])
"""The median and the three leaders."""


def fresh(*rows, places=PLACES, **fields):
    """Evidence in which the reference and the leaders have these outcomes by seed."""
    arm = make_confirmed(rows, places[: len(rows)])
    return make_evidence(runs=MAIN, arms={CONFIRM: arm}, **fields)


def at(mean, sd=0.02, n=8, seed=0):
    return noise(mean, sd, n, seed)


def judged(evidence, claim=ASKED):
    verdict = claim.judge("winner", evidence)
    check(verdict)
    return verdict


def of_place(verdict, place):
    return next(one for one in verdict.confirmed if one.place == place)


def differences(*pairs):
    return [a - b for a, b in zip(*pairs, strict=True) if a is not None and b is not None]


# ---- judging -------------------------------------------------------------------------------------


def test_the_winner_is_named_with_the_interval_that_holds_for_all_leaders():
    rows = at(0.0), at(0.03, seed=1), at(0.07, seed=2), at(0.01, seed=3)
    found = judged(fresh(*rows))
    gains = differences(rows[2], rows[0])
    half = stats.t.isf(0.05 / 3, 7) * stats.sem(gains)
    assert found.verdict == "supported"
    assert found.answer == (
        f"yes: {ORDER[1].run.id} (place 2), +{np.mean(gains):.3f} over the median config "
        "(8 fresh seeds)"
    )
    assert found.estimate == pytest.approx(np.mean(gains))
    assert (found.low, found.high) == pytest.approx((np.mean(gains) - half, np.mean(gains) + half))
    assert (found.level, found.n, found.unit) == (pytest.approx(0.9), 8, "change")
    each = [
        stats.ttest_1samp(differences(row, rows[0]), 0, alternative="greater").pvalue
        for row in rows[1:]
    ]
    assert found.p_value == pytest.approx(3 * min(each))
    assert found.method == "paired t test by seed, Bonferroni over 3 leaders"


def test_one_leader_is_judged_at_the_whole_level():
    rows = at(0.0), at(0.05, seed=1)
    found = judged(fresh(*rows))
    test = stats.ttest_1samp(differences(rows[1], rows[0]), 0, alternative="greater")
    assert found.p_value == pytest.approx(test.pvalue)
    assert found.method == "paired t test by seed"
    assert of_place(found, 1).may_be_best is True


def test_a_lead_that_one_alone_would_show_is_not_shown_among_three():
    gains = noise(0.0, 1.0, 8, seed=5)
    gains = (np.array(gains) - np.mean(gains)) / stats.sem(gains)
    lead = 0.01 * (gains + 2.2)  # t = 2.2: p = .032 by itself, .095 among three
    reference, flat = at(0.0), [-0.05] * 4 + [0.05] * 4
    leader = [a + b for a, b in zip(reference, lead, strict=True)]
    low = [a + b for a, b in zip(reference, flat, strict=True)]
    claim = winner.beats(margin=0.001)
    assert judged(fresh(reference, leader), claim).verdict == "supported"
    among = judged(fresh(reference, leader, low, low), claim)
    assert among.verdict == "inconclusive"
    assert among.p_value == pytest.approx(0.0957, abs=1e-3)
    (need,) = among.needs
    assert need.kind == "confirm"
    assert need.sweeps == ("focused",)
    assert need.text == (
        f"about {need.options.split()[-1]} seeds (8 now), if they turn out like these: "
        f"sweep confirm focused{need.options}"
    )
    assert int(need.options.removeprefix(" --seeds ")) > 8


def test_it_is_refuted_only_where_every_leader_is_below_the_margin():
    reference = at(0.0, 0.004)
    below = at(0.005, 0.004, seed=1), at(0.01, 0.004, seed=2)
    found = judged(fresh(reference, *below))
    assert (found.verdict, found.p_value, found.needs) == ("refuted", 1.0, ())
    assert found.answer.startswith("no leader is ahead by the margin of 0.020: at most ")
    gains = differences(below[1], reference)
    half = stats.t.isf(0.05, 7) * stats.sem(gains)
    assert (found.low, found.high) == pytest.approx((np.mean(gains) - half, np.mean(gains) + half))
    wide = judged(fresh(reference, *below, at(0.0, 0.1, seed=3)))
    assert wide.verdict == "inconclusive", "the third may be ahead by more"


@pytest.mark.parametrize(
    ("mean", "margin", "verdict", "answer"),
    [
        (-0.06, 0.02, "refuted", "no, all leaders are lower: at most "),
        (0.0, 0.02, "refuted", "no gain as large as the margin of 0.020: at most "),
        (-0.06, None, "refuted", "no, all leaders are lower: at most "),
        (0.0, None, "inconclusive", "not shown: "),
        (0.06, None, "supported", "yes: "),
    ],
)
def test_without_a_margin_it_is_above_or_below(mean, margin, verdict, answer):
    rows = at(0.0, 0.005), at(mean, 0.005, seed=1)
    evidence = fresh(*rows, margin=margin)
    if margin is None:
        evidence = replace(evidence, metric=Metric("accuracy", "arbitrary"))
    found = judged(evidence, winner.beats())
    assert found.verdict == verdict
    assert found.answer.startswith(answer)


def test_the_details_say_what_the_leader_was_measured_as_and_what_is_left():
    rows = at(0.0), at(0.03, seed=1), at(0.07, seed=2), at(-0.04, seed=3)
    evidence = fresh(*rows)
    found = judged(evidence)
    leader = of_place(found, 1)
    worth = selection(evidence.runs, None).of[ORDER[0].run.id]
    assert leader.measured == ORDER[0].outcome.delta_perf
    assert leader.after_selection == worth.shrunk
    half = stats.t.isf(0.025, 7) * stats.sem(rows[1])
    assert (leader.low, leader.high) == pytest.approx(
        (np.mean(rows[1]) - half, np.mean(rows[1]) + half)
    )
    assert leader.se == pytest.approx(stats.sem(rows[1]))
    first, *each, candidates, unseen = found.details
    assert first == (
        f"the leader of the sweep, named before: {ORDER[0].run.id} (place 1), "
        f"+{leader.mean:.3f} confirmed, 95% interval +{leader.low:.3f} to +{leader.high:.3f}; the "
        f"sweep had measured +{leader.measured:.3f}, +{worth.shrunk:.3f} after selection"
    )
    assert [line.split(" (")[0] for line in each] == [one.run.id for one in ORDER[:3]]
    assert candidates.startswith(
        f"{ORDER[1].run.id} (place 2) may be the best, {ORDER[0].run.id} (place 1) and "
        f"{ORDER[2].run.id} (place 3) are not; "
    )
    assert unseen.startswith("8 runs: if 15% of runs collapse")


def test_the_numbers_of_each_place_are_there_for_a_table():
    rows = at(0.0), at(0.03, seed=1), [*at(0.07, n=7, seed=2), None]
    reference, first, second = judged(fresh(*rows)).confirmed
    assert (reference.place, reference.run) == (0, ORDER[6].run.id)
    assert (reference.difference, reference.may_be_best, reference.pairs) == (None, None, None)
    assert (first.seeds, first.diverged, first.pairs) == (8, 0, 8)
    assert (second.seeds, second.diverged, second.pairs) == (7, 1, 7)
    assert second.config == ORDER[1].run.config
    assert second.difference == pytest.approx(np.mean(differences(rows[2], rows[0])))
    for one in (first, second):
        assert one.difference_low < one.difference < one.difference_high


def test_a_config_that_no_main_run_has_is_told_by_its_settings():
    other = {"learning_rate": 1e-6, "batch_size": 4}
    evidence = fresh(at(0.0), at(0.05, seed=1), places=(other, ORDER[0]))
    claim = winner.beats(other, margin=0.02)
    found = judged(evidence, claim)
    assert found.verdict == "supported"
    assert found.answer.endswith(" over the reference (8 fresh seeds)")
    assert "than that of the config (batch_size=4, learning_rate=1e-06)" in found.question
    assert of_place(found, 0).run is None
    assert of_place(found, 0).measured is None


@pytest.mark.parametrize("minimised", [False, True])
def test_scores_by_item_are_compared_over_the_same_items(minimised):
    """A loss by item is better where it is lower."""
    evidence = fresh(at(0.0), at(0.05, seed=1))
    rng, sign = np.random.default_rng(0), -1.0 if minimised else 1.0
    items = rng.uniform(0.2, 0.4, 50)

    def scored(result):
        gain = sign * 0.1 * result.run.index * (np.arange(50) < 30)
        scores = ItemScores(after=tuple(items + gain))
        return replace(result, outcome=replace(result.outcome, items=scores))

    evidence = replace(evidence, arms={CONFIRM: tuple(map(scored, evidence.arms[CONFIRM]))})
    if minimised:
        evidence = replace(evidence, metric=Metric("loss", "arbitrary", minimised=True))
    line = judged(evidence).details[-1]
    gain = "0.060 better" if minimised else "+0.060"
    assert line.startswith(
        f"{ORDER[0].run.id} (place 1) item by item, means over seeds: better in 30 and worse in 0 "
        f"of 50 items, {gain} on average, 95% interval +0.0"
    )
    assert line.endswith(" for other items like these")


# ---- which may be the best -----------------------------------------------------------------------


def test_leaders_that_are_shown_to_be_worse_than_another_are_not_the_best():
    rows = at(0.0), at(0.05, seed=1), at(0.052, seed=2), at(0.0, seed=3)
    found = judged(fresh(*rows))
    assert [one.may_be_best for one in found.confirmed] == [None, True, True, False]
    assert "may be the best, " in found.details[4]


def test_a_leader_that_diverged_once_is_not_shown_to_be_better_than_another():
    steady = at(0.05, 0.004, seed=1)
    better = judged(fresh(at(0.0), steady, at(0.07, 0.004, n=7, seed=2)))
    assert [one.may_be_best for one in better.confirmed] == [None, False, True]
    lost = judged(fresh(at(0.0), steady, [*at(0.07, 0.004, n=7, seed=2), None]))
    assert [one.may_be_best for one in lost.confirmed] == [None, True, True]


def test_equal_leaders_may_all_be_the_best():
    rows = at(0.0), at(0.05, seed=1), at(0.05, seed=2), at(0.05, seed=3)
    found = judged(fresh(*rows))
    assert all(one.may_be_best for one in found.confirmed[1:])
    assert found.details[4] == "any of the leaders may be the best"


def test_what_seeds_share_takes_no_part():
    """The same to all configs of a seed: every difference is as it was."""
    rows = at(0.0), at(0.03, seed=1), at(0.06, seed=2)
    shared = noise(0.0, 0.5, 8, seed=9)
    moved = [[a + b for a, b in zip(row, shared, strict=True)] for row in rows]
    one, other = judged(fresh(*rows)), judged(fresh(*moved))
    assert (other.verdict, other.p_value) == (one.verdict, pytest.approx(one.p_value))
    assert [row.may_be_best for row in other.confirmed] == [r.may_be_best for r in one.confirmed]


# ---- runs that diverged or are missing -----------------------------------------------------------


def test_a_leader_that_diverges_counts_as_the_worst_seen():
    rows = at(0.0), [*at(0.06, n=7, seed=1), None]
    found = judged(fresh(*rows))
    floor = -0.12  # all of the perf before, which is worse than any run
    worst = [*differences(rows[1], rows[0]), floor - rows[0][7]]
    test = stats.ttest_1samp(worst, 0, alternative="greater")
    assert (found.verdict, found.p_value) == ("inconclusive", pytest.approx(test.pvalue))
    assert "leaders diverged where the reference did not, and counted as the worst" in found.reason
    assert found.needs == (Need("runs", "leaders that do not diverge"),)
    assert (found.n, found.p_value > 0.05) == (8, True)
    assert f"{ORDER[0].run.id} (place 1) diverged with 1 of 8 seeds" in found.details


def test_another_leader_may_win_where_one_diverges():
    found = judged(fresh(at(0.0), [*at(0.06, n=7, seed=1), None], at(0.05, seed=2)))
    assert found.verdict == "supported"
    assert found.answer.startswith(f"yes: {ORDER[1].run.id} (place 2)")


def test_a_reference_that_diverges_speaks_for_the_leaders():
    reference = [*at(0.0, 0.004, n=7), None]
    better = judged(fresh(reference, at(0.06, 0.004, seed=1)))
    assert better.verdict == "supported"
    assert "the reference diverged with 1 of 8 seeds" in better.details
    equal = at(0.0, 0.004, seed=1)
    assert judged(fresh(reference, equal)).verdict == "inconclusive"
    assert judged(fresh(reference[:7], equal[:7])).verdict == "refuted"


def test_where_both_diverge_nothing_is_to_be_said_of_either():
    rows = at(0.0, n=7), at(0.06, n=7, seed=1)
    found = judged(fresh(*([*row, None] for row in rows)))
    assert (found.verdict, found.n) == ("supported", 8)
    assert found.p_value == pytest.approx(judged(fresh(*rows)).p_value)


def test_a_leader_that_always_diverges_is_out():
    found = judged(fresh(at(0.0), [None] * 8, at(0.06, seed=1)))
    assert (found.verdict, of_place(found, 1).may_be_best) == ("supported", False)
    assert of_place(found, 1).mean is None
    found = judged(fresh(at(0.0, 0.004), [None] * 8, at(0.0, 0.004, seed=1)))
    assert found.verdict == "refuted"
    found = judged(fresh(at(0.0), [None] * 8, [None] * 8))
    assert (found.verdict, found.answer) == (
        "refuted", "no, all leaders diverged with every seed",
    )  # fmt: skip


def test_a_need_counts_what_the_open_leader_takes():
    """The first is ahead by less than the margin for certain: it is the second that is open."""
    reference = at(0.0, 0.001)
    small, open_one = at(0.01, 0.001, seed=1), at(0.005, 0.05, seed=2)
    found = judged(fresh(reference, small, open_one))
    assert found.verdict == "inconclusive"
    (need,) = found.needs
    alone = judged(fresh(reference, open_one)).needs[0]
    assert int(need.options.split()[-1]) > 20
    assert int(need.options.split()[-1]) == int(alone.options.split()[-1])


def test_blocks_without_one_side_are_left_out():
    """What is interrupted is not final, and its seed counts for the others."""
    rows = at(0.0), at(0.06, seed=1), at(0.05, seed=2)
    evidence = fresh(*rows)
    arm = tuple(
        replace(one, outcome=make_result(status="interrupted").outcome)
        if (one.run.index, one.run.repeat) in {(1, 7), (1, 6)}
        else one
        for one in evidence.arms[CONFIRM]
    )
    found = judged(replace(evidence, arms={CONFIRM: arm}))
    assert [one.pairs for one in found.confirmed] == [None, 6, 8]
    assert of_place(found, 1).difference == pytest.approx(
        np.mean(differences(rows[1][:6], rows[0][:6]))
    )


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ((), "no run with fresh seeds has finished"),
        ((at(0.0),), "no run with fresh seeds has finished: none of a leader"),
        (([], at(0.05)), "no run with fresh seeds has finished: none of the reference"),
        ((at(0.0, n=3), at(0.05, n=3)), "too few seeds to tell: 3 fresh seeds of a leader and"),
    ],
)
def test_without_fresh_seeds_it_says_how_to_have_them(rows, said):
    found = judged(fresh(*rows))
    assert (found.verdict, found.p_value) == ("unanswerable", 1.0)
    assert found.answer.startswith(said)
    (need,) = found.needs
    assert need.kind == "confirm"
    assert need.text.startswith("sweep confirm focused")
    assert judged(make_evidence(runs=MAIN)).needs == (confirming("focused"),)


@pytest.mark.parametrize(("seeds", "verdict"), [(3, "unanswerable"), (4, "supported")])
def test_four_seeds_are_the_fewest(seeds, verdict):
    found = judged(fresh(at(0.0, 0.002, seeds), at(0.06, 0.002, seeds, seed=1)))
    assert (found.verdict, found.n) == (verdict, seeds)


def test_one_difference_for_every_seed_is_no_measurement():
    found = judged(fresh([0.0] * 8, [0.05] * 8))
    assert (found.verdict, found.needs[0].kind) == ("unanswerable", "evaluation")
    # One that varies can be judged all the same.
    found = judged(fresh([0.0] * 8, [0.05] * 8, at(0.06, 0.004, seed=1)))
    assert found.answer.startswith(f"yes: {ORDER[1].run.id}")


def test_main_runs_that_lack_a_value_do_not_matter_and_fresh_ones_do():
    evidence = fresh(at(0.0), at(0.06, seed=1))
    lacking = replace(MAIN[0], gaps=(Gap("result", "ΔPerf"),))
    assert judge_one("q", ASKED, replace(evidence, runs=(lacking, *MAIN[1:]))).verdict == (
        "supported"
    )
    first, *others = evidence.arms[CONFIRM]
    first = replace(first, gaps=(Gap("result", "ΔPerf"),))
    found = judge_one("q", ASKED, replace(evidence, arms={CONFIRM: (first, *others)}))
    assert found.verdict == "inconclusive"


def test_a_loss_is_told_in_its_own_direction():
    evidence = replace(
        fresh(at(0.0), at(0.06, seed=1)), metric=Metric("Δloss", "no change", minimised=True)
    )
    found = judged(evidence)
    assert found.question == (
        "Is the Δloss of a leader lower than that of the median config, with fresh seeds?"
    )
    assert " better over the median config" in found.answer
    assert found.estimate > 0.0


# ---- what holds of any data ----------------------------------------------------------------------

outcomes = st.lists(st.none() | st.floats(-1, 1).map(lambda x: round(x, 3)), min_size=0, max_size=9)
tables = st.lists(outcomes, min_size=0, max_size=4)


@settings(max_examples=120, deadline=None)
@given(rows=tables, margin=st.none() | st.floats(0.001, 0.5))
def test_any_fresh_runs_are_judged(rows, margin):
    for verdict in judge_all({"winner": winner.beats(margin=margin)}, fresh(*rows)):
        check(verdict)


@settings(max_examples=60, deadline=None)
@example(rows=[[None] * 4, [None] * 4, [None]], turned=random.Random(0))
@given(rows=tables, turned=st.randoms())
def test_neither_the_order_of_the_runs_nor_that_of_the_leaders_changes_the_verdict(rows, turned):
    evidence = fresh(*rows)
    arm = list(evidence.arms.get(CONFIRM, ()))
    turned.shuffle(arm)
    found = judged(evidence)
    assert judged(replace(evidence, arms={CONFIRM: tuple(arm)})) == found
    swapped = [*rows[:1], *reversed(rows[1:])]
    other = judged(fresh(*swapped))
    assert (other.verdict, other.n) == (found.verdict, found.n)
    assert other.p_value == pytest.approx(found.p_value)


@settings(max_examples=60, deadline=None)
@given(rows=tables, smaller=st.floats(0.001, 0.1), by=st.floats(1.0, 5.0))
def test_a_larger_margin_supports_less_and_refutes_more(rows, smaller, by):
    found = [
        judged(fresh(*rows), winner.beats(margin=margin)).verdict
        for margin in (smaller, smaller * by)
    ]
    assert found[0] != "refuted" or found[1] == "refuted"
    assert found[1] != "supported" or found[0] == "supported"


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.lists(st.floats(-1, 1), min_size=8, max_size=8), min_size=3, max_size=4),
    extra=st.lists(st.floats(-1, 1), min_size=8, max_size=8),
)
def test_one_more_leader_only_widens_what_is_said_of_the_others(rows, extra):
    few, more = (judged(fresh(*some)) for some in (rows[:2], [*rows[:2], extra]))
    if few.verdict == "unanswerable" or more.verdict == "unanswerable":
        return
    one, other = of_place(few, 1), of_place(more, 1)
    assert other.p_value >= one.p_value
    if one.difference_low is not None and other.difference_low is not None:
        assert other.difference_low <= one.difference_low
        assert other.difference_high >= one.difference_high


# ---- the statement -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (winner.beats(), winner.beats(7)),
        (winner.beats(7), winner.beats("7")),
        (winner.beats(), winner.beats(margin=0.02)),
        (winner.beats({"lr": 1}), winner.beats({"lr": 2})),
        (winner.beats({"lr": 1}), winner.beats({"lr": "1"})),
    ],
)
def test_the_reference_and_the_margin_are_in_the_statement(one, two):
    assert one.describe() != two.describe()
    assert "\n" not in one.describe()
    assert hash(one) != hash(two)


def test_a_mapping_becomes_a_config_and_its_order_does_not_matter():
    claim = winner.beats({"lr": np.float64(1e-6), "layers": (1, 2)})
    assert claim.reference == Config({"lr": 1e-6, "layers": (1, 2)})
    assert claim.confirms_against == claim.reference
    same = winner.beats({"layers": (1, 2), "lr": 1e-6})
    assert (same, hash(same)) == (claim, hash(claim))
    assert same.describe() == claim.describe()
    assert winner.beats().confirms_against == "median"
    assert (claim.arms, claim.fewest) == (("confirm",), 4)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (1.5, "the reference is 1.5; expected 'median', the number or the id of a main run, or a"),
        (True, "the reference is True; expected"),
        (None, "the reference is None; expected"),
        (-1, "the reference is -1; expected a whole number of at least 0"),
        ("", "the reference is ''; expected text in one line, as 'median'"),
        ("a\nb", "expected text in one line"),
        ({}, "the reference is {}; expected a whole config"),
        ({"lr": [1, 2]}, "the reference: [1, 2] is a list; write a tuple"),
        ({"lr": float("nan")}, "the reference: nan is not a finite number"),
        ({3: 4}, "the name of a parameter is 3; expected text"),
    ],
)
def test_a_reference_that_is_none_is_refused_in_one_line(given, said):
    with pytest.raises(SweepError) as raised:
        winner.beats(given)
    assert str(raised.value).startswith("winner.beats: ")
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_margin_that_is_none_is_refused():
    with pytest.raises(SweepError, match="margin"):
        winner.beats(margin=0)
    with pytest.raises(SweepError, match="no argument 'than'"):
        winner.beats(than=3)


# ---- power ---------------------------------------------------------------------------------------


def slots(leaders=3, seeds=8):
    """The planned runs that confirm leaders, whose configs are not known yet."""
    places = [{}] * (leaders + 1)
    made = make_confirmed([[0.0] * seeds for _ in places], places)
    return tuple(result.run for result in made)


def priced(stored=(), planned=None, claim=ASKED):
    sweep = make_sweep(questions={"q": claim}, baseline=None)
    runs = (*sweep.plan(arms=()), *(slots() if planned is None else planned))
    return power_of("q", claim, Design(sweep, runs, tuple(stored)))


@pytest.mark.parametrize(("leaders", "seeds"), [(3, 8), (1, 8), (3, 4)])
def test_the_power_is_that_of_a_leader_that_is_ahead_among_so_many(leaders, seeds):
    whole = priced(planned=slots(leaders, seeds))
    assert [one.size for one in whole] == [1.0, 2.0]
    for one in whole:
        assert one.power == gain_power(one.size, seeds, 1.0, several=leaders)
        assert (one.n, one.unit) == (seeds, "seeds")
    assert whole[1].says.startswith(
        f"with {seeds} seeds, a leader that is 2 SD ahead of the median config is shown with"
    )
    assert f"needs {whole[1].needed} seeds" in whole[1].says or whole[1].needed is None


def test_the_spread_is_that_of_stored_seeds():
    rng = np.random.default_rng(0)
    main = runs_of("s", rng.normal(0.05, 0.06, 24))
    rows = rng.normal(0.0, 0.03, (3, 8))
    arm = make_confirmed(rows.tolist(), (main[0], main[1], main[2]), sweep="s")
    found = priced((*main, *arm))[0]
    spread = np.sqrt(np.mean([np.var(row - rows[0], ddof=1) for row in rows[1:]]))
    assert found.given == (
        f"the SD of a difference between two runs of equal seed is {spread:.3f}, of 16 stored "
        "pairs; 3 leaders, one of them ahead"
    )
    assert found.size == pytest.approx(max(spread, 0.02))


def test_equal_differences_tell_no_spread():
    """But for rounding they are one number, of which the spread is none."""
    main = runs_of("s", noise(0.05, 0.03, 24))
    rows = noise(0.0, 0.03, 8), [value + 0.1 for value in noise(0.0, 0.03, 8)]
    assert "not known yet" in priced((*main, *make_confirmed(rows, main[:2], sweep="s")))[0].given


def test_else_it_is_that_of_two_seeds_of_a_config():
    rng = np.random.default_rng(1)
    settings_ = {"learning_rate": [1e-7] * 4 + [2e-7] * 4}
    twice = runs_of("s", rng.normal(0.05, 0.03, 8), parameters=settings_)
    found = priced(twice)[0]
    assert "taken to be that of two runs that share nothing: 8 stored runs of s" in found.given
    assert "not known yet" in priced(runs_of("s", rng.normal(0.05, 0.03, 24)))[0].given


@pytest.mark.parametrize(
    ("planned", "said"),
    [
        ((), "no confirm arm: unanswerable"),
        (slots(0), "no confirm arm: unanswerable"),
        (slots(3, 3), "3 fresh seeds, where 4 are needed"),
    ],
)
def test_without_runs_that_confirm_there_is_no_power(planned, said):
    (found,) = priced(planned=planned)
    assert (found.power, found.why) == (0.0, said)


def test_the_promised_power_is_what_simulations_give():
    rng, spread, simulations = np.random.default_rng(1), 0.05, 300
    claim, shown = winner.beats(margin=0.001), 0
    for _ in range(simulations):
        rows = rng.normal(0.0, spread / np.sqrt(2.0), (4, 8))
        rows[1] += spread
        verdict = claim.judge("q", fresh(*rows.tolist()))
        shown += verdict.verdict == "supported"
    power = gain_power(1.0, 8, 0.02, several=3)
    assert shown / simulations == pytest.approx(power, abs=4 * np.sqrt(0.25 / simulations))


# ---- from night to night -------------------------------------------------------------------------


def night(seed, lead=0.06, places=PLACES, **fields):
    rows = [at(0.0, 0.01, seed=seed), at(lead, 0.01, seed=seed + 50), at(0.0, 0.01, seed=seed + 90)]
    return fresh(*rows, places=places, **fields)


@pytest.mark.parametrize(("lead", "regressed"), [(0.06, False), (0.0, True)])
def test_a_night_on_which_the_lead_is_gone_has_regressed(lead, regressed):
    then, now = night(1), night(2, lead)
    was = ASKED.judge("q", then)
    assert was.verdict == "supported"
    (test,) = ASKED.worse(now, then, was)
    assert test.what == "lead over the median config"
    assert (test.p_value < 0.001) == regressed


def test_the_largest_fall_is_corrected_for_the_number_of_leaders():
    then, now = night(1), night(2, 0.055)
    was = ASKED.judge("q", then)

    def fell(*places):
        sides = (
            replace(
                side,
                arms={CONFIRM: tuple(r for r in side.arms[CONFIRM] if r.run.index in (0, *places))},
            )
            for side in (now, then)
        )
        (test,) = ASKED.worse(*sides, was)
        return test.p_value

    each = fell(1), fell(2)
    assert fell(1, 2) == pytest.approx(min(1.0, 2 * min(each)))
    assert min(each) < 0.4, "or the correction would not be seen"


def test_leaders_are_compared_with_themselves_in_whatever_place_they_are():
    then = night(1)
    now = fresh(
        at(0.0, 0.01, seed=1), at(0.0, 0.01, seed=91), at(0.06, 0.01, seed=51),
        places=(PLACES[0], PLACES[2], PLACES[1]),
    )  # fmt: skip
    (test,) = ASKED.worse(now, then, ASKED.judge("q", then))
    assert test.p_value == pytest.approx(1.0)


def test_other_leaders_are_compared_by_those_that_were_named_before():
    then = night(1)
    was = ASKED.judge("q", then)
    (same,) = ASKED.worse(night(2, places=(PLACES[0], *ORDER[8:10])), then, was)
    (gone,) = ASKED.worse(night(2, 0.0, places=(PLACES[0], *ORDER[8:10])), then, was)
    assert gone.p_value < 0.001 < same.p_value
    assert gone.what == same.what == "lead over the median config"


def test_a_night_without_fresh_seeds_is_compared_by_its_main_runs():
    then = night(1)
    (test,) = ASKED.worse(replace(then, arms={}), then, ASKED.judge("q", then))
    assert test.what == "mean ΔPerf"
