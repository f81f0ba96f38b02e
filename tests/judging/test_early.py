"""When questions are decided before all runs are in. No pytest plugin, no session."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness import Pairs
from harness.claims import best_inside, lower_tail, mean_gain, no_worse, spread, still_improves
from harness.judging.early import EarlyAnswers, launch_order, not_needed
from harness.statistics import p_over_looks
from harness.sweeps.plan import Selection, plan
from harness.verdicts import Baseline, Counts
from tests.factories import make_results
from tests.judging.early_runs import (
    BROAD,
    HALF,
    MEAN,
    Finished,
    after,
    normal,
    planned_of,
    rate_of_support,
)

# ---- the order of launching ----------------------------------------------------------------------


def test_main_runs_are_shuffled_and_arms_follow_theirs():
    planned = planned_of(arms={"placebo": 3, "null": 2})
    order = [planned.runs[key] for key in launch_order(planned)]
    main = [run.index for run in order if run.arm == "main"]
    assert sorted(main) == list(range(24))
    assert main != sorted(main)
    assert len(order) == len(planned.runs)
    of = None
    for run in order:
        of = run.id if run.arm == "main" else of
        assert run.pair in (None, of)


def test_the_order_follows_from_the_declaration_alone():
    one, same, other = planned_of(), planned_of(), planned_of(seed=4)
    assert launch_order(one) == launch_order(same)
    assert [one.runs[k].index for k in launch_order(one)] != [
        other.runs[k].index for k in launch_order(other)
    ]
    few = plan(one.sweep, Selection(runs=10), trains=False)
    kept = [key for key in launch_order(one) if key in few.runs]
    assert list(launch_order(few)) == kept


def test_pairs_that_a_question_needs_come_first():
    asked = {"batch_size": no_worse("batch_size", 8, than=(4,))}
    planned = planned_of(questions=asked, arms={"batch_size": Pairs(12, (4,)), "null": 2})
    order = [planned.runs[key] for key in launch_order(planned)]
    indexes = [run.index for run in order if run.arm == "main"]
    assert sorted(indexes[:12]) == list(range(12))
    assert indexes[:12] != list(range(12))
    unasked = planned_of(arms={"batch_size": Pairs(12, (4,))})
    main = [unasked.runs[k].index for k in launch_order(unasked) if unasked.runs[k].arm == "main"]
    assert sorted(main[:12]) != list(range(12))


# ---- looks ---------------------------------------------------------------------------------------


def test_a_strong_effect_is_shown_at_the_first_look():
    planned = planned_of(questions=MEAN)
    count, verdicts = after(planned, lambda run: 0.2 + 0.001 * run.index, baseline=BROAD)
    assert count == 12
    verdict = verdicts["mean"]
    assert verdict.verdict == "supported"
    assert verdict.level == pytest.approx(1 - 2 * 0.0055746, abs=1e-5)
    decided = verdict.decided
    assert (decided.by, decided.runs, decided.planned) == ("look", 12, 24)
    assert (decided.look, decided.looks) == (1, 3)
    assert decided.alpha == pytest.approx(0.0056, abs=5e-5)
    assert verdict.details[0] == "look 1 of 3, 12 of 24 in, at level 0.0056"
    assert verdict.p_value < 0.05


@pytest.mark.parametrize("gain", [0.2, 0.03, 0.02, 0.015, 0.01, 0.0])
def test_the_p_value_is_that_over_the_looks(gain):
    planned = planned_of(questions=MEAN)
    runs = Finished(planned, lambda run: gain + 0.01 * (run.index % 5 - 2), baseline=BROAD)
    order = launch_order(planned)
    singly = []
    for look in (12, 18, 24):
        keys = set(order[:look])
        seen = replace(
            runs.evidence(), runs=tuple(r for r in runs.evidence().runs if r.key in keys)
        )
        singly.append(MEAN["mean"].judge("mean", seen).p_value)
    verdict = EarlyAnswers(planned).verdicts(runs.evidence())["mean"]
    looks = singly[: verdict.decided.look]
    assert verdict.p_value == pytest.approx(p_over_looks(looks, (0.5, 0.75, 1.0)), rel=0.02)
    assert (verdict.p_value <= 0.05) == (verdict.verdict == "supported")


def test_where_nothing_is_shown_all_runs_are_needed():
    planned = planned_of(questions=MEAN)
    count, verdicts = after(planned, lambda run: 0.001 * (run.index % 5 - 2), baseline=BROAD)
    assert (count, verdicts["mean"].verdict) == (24, "inconclusive")
    assert verdicts["mean"].decided.look == 3
    assert verdicts["mean"].level == pytest.approx(1 - 2 * 0.0427, abs=1e-4)
    assert verdicts["mean"].p_value > 0.05


def test_a_look_takes_the_first_runs_begun_whichever_end_first():
    planned = planned_of(questions=MEAN)
    order = list(launch_order(planned))
    first = set(order[:12])

    def delta(run):
        mine = next(key for key, other in planned.runs.items() if other is run)
        return (0.2 if mine in first else -0.2) + 0.001 * run.index

    late = Finished(planned, delta, order=order[::-1], baseline=BROAD)
    count, verdicts = late.answered_after()
    assert count == 24, "the first of the order ended last"
    assert verdicts["mean"].verdict == "supported"
    assert verdicts["mean"].decided.look == 1
    assert verdicts["mean"].details[-1].startswith("with the runs that came in after that look: ")


def test_what_was_decided_stays_whatever_comes_after():
    planned = planned_of(questions={**MEAN, "half": HALF})
    runs = Finished(planned, lambda run: 0.03 + 0.001 * run.index, baseline=BROAD)
    early = EarlyAnswers(planned)
    seen = {}
    for count in range(25):
        now = {id_: v.verdict for id_, v in early.verdicts(runs.evidence(count)).items()}
        assert now.items() >= seen.items()
        seen = now
        fresh = EarlyAnswers(planned).verdicts(runs.evidence(count))
        assert fresh == EarlyAnswers(planned).verdicts(runs.evidence(count))
        assert {id_: v.verdict for id_, v in fresh.items()} == now


def test_a_run_that_failed_holds_up_its_look_and_no_count():
    planned = planned_of(questions={**MEAN, "half": HALF})
    order = launch_order(planned)
    runs = Finished(planned, lambda run: 0.2 + 0.001 * run.index, order=order[1:], baseline=BROAD)
    verdicts = EarlyAnswers(planned).verdicts(runs.evidence())
    assert verdicts.keys() == {"half"}


def test_every_other_claim_comes_to_a_verdict_at_looks():
    asked = {
        "spread": spread.below_baseline(),
        "tail": lower_tail.above_baseline(),
        "plateau": still_improves(margin=0.01),
        "best": best_inside("learning_rate", margin=0.02),
    }
    planned = planned_of(questions=asked)
    wide = Baseline("b", make_results([0.2 * (i % 7 - 3) for i in range(48)], prefix="b"))
    count, verdicts = after(
        planned, lambda run: 0.2 + 0.001 * run.index, baseline=wide, prompts=None, samples=None
    )
    assert {id_: v.decided.looks for id_, v in verdicts.items()} == {
        **dict.fromkeys(asked, 3),
        "tail": 2,  # it takes 16 runs
        "plateau": 1,  # it takes 28 to look at before the end
    }
    assert verdicts["tail"].verdict == verdicts["plateau"].verdict == "supported"
    assert count in (12, 18, 24)


# ---- what cannot be answered ---------------------------------------------------------------------


def test_a_question_that_this_sweep_cannot_answer_does_not_keep_it_going():
    asked = {
        "half": HALF,
        "mean": mean_gain.above_baseline(),
        "batch_size": no_worse("batch_size", 8, than=(4,)),
    }
    arms = {"batch_size": Pairs(12, (4,))}
    gaining = {"delta": lambda run: 0.1 + 0.001 * run.index}
    without = planned_of(questions=asked, arms=arms, kept=())
    count, verdicts = after(without, **gaining, name="broad")
    assert count == 17
    assert verdicts["mean"].verdict == verdicts["batch_size"].verdict == "unanswerable"
    published = Counts("published", 6, 19, "ΔPerf > 0", "a table")
    count, verdicts = after(without, **gaining, baseline=published)
    assert (count, verdicts["mean"].verdict) == (17, "unanswerable")


def test_where_nothing_at_all_can_be_answered_the_sweep_goes_on():
    planned = planned_of(questions=MEAN)
    count, verdicts = after(planned, lambda run: 0.1 + 0.001 * run.index, name="broad")
    assert (count, verdicts["mean"].verdict) == (None, "unanswerable")
    assert after(planned_of(questions={}), lambda run: 0.1 + 0.001 * run.index)[0] is None


def test_what_is_spared_is_told_with_its_time():
    planned = planned_of()
    runs = Finished(planned, lambda run: 0.1, seconds=2.0)
    evidence = runs.evidence(18)
    saved = not_needed(planned, evidence.runs)
    assert (saved.trained, saved.planned, saved.left) == (18, 24, 6)
    assert saved.seconds == pytest.approx(12.0)
    assert not_needed(planned, runs.evidence().runs) is None
    untimed = Finished(planned, lambda run: 0.1, seconds=None).evidence(18)
    assert not_needed(planned, untimed.runs).seconds is None


# ---- how often it is wrong -----------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asked", "draw", "baseline"),
    [
        (spread.below_baseline(), normal(), normal()),
        (mean_gain.above_baseline(), normal(), normal()),
        (mean_gain.above_baseline(), normal(sd=0.1), normal(sd=0.03)),
        (lower_tail.above_baseline(), normal(), normal()),
        (still_improves(since=50, margin=0.001), normal(), None),
    ],
    ids=["spread", "mean", "mean-unequal", "tail", "plateau"],
)
def test_useless_sweeps_are_supported_no_more_often_than_alpha(asked, draw, baseline):
    sweeps = 300
    early, taken = rate_of_support(asked, draw, baseline, sweeps, seed=13)
    assert early <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / sweeps)
    assert early > 0.02, "this simulation can fail in both directions"
    assert taken > 23
