"""When questions are decided before all runs are in. No pytest plugin, no session."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from harness import Choice, LogUniform, Pairs, Sweep
from harness.claims import (
    BaseClaim,
    best_inside,
    lower_tail,
    mean_gain,
    no_worse,
    spread,
    still_improves,
    success_rate,
)
from harness.judging.early import EarlyAnswers, launch_order, not_needed
from harness.judging.evidence import gather
from harness.statistics import p_over_looks
from harness.sweeps.plan import ANSWERED, Selection, plan
from harness.verdicts import Baseline, Counts
from tests.factories import make_evidence, make_result, make_results

HALF = success_rate.above(0.5)


def trainer(job, notify):
    raise AssertionError("nothing is trained here")


def planned_of(runs=24, questions=None, arms=None, kept=None, **changes):
    space = {"learning_rate": LogUniform(1e-7, 1e-6), "batch_size": 8, "generations": Choice(1, 2)}
    declared = {"seed": 3, "trainer": trainer, "space": space, "steps": 100, **changes}
    asked = {"half": HALF} if questions is None else questions
    sweep = Sweep("s", runs=runs, questions=asked, arms=arms or {}, **declared)
    return plan(sweep, Selection(until=ANSWERED, arms=kept), trains=False)


class Finished:
    """Runs of a plan that have finished, one after the other in the order of launching."""

    def __init__(self, planned, delta, order=None, baseline=None, name=None, **common):
        self.planned, self.baseline, self.name = planned, baseline, name
        self.order = launch_order(planned) if order is None else order
        self.made = {}
        for key, run in planned.runs.items():
            value = delta(run)
            status = "diverged" if value is None else "completed"
            made = make_result(delta=value, status=status, key=key, **common)
            self.made[key] = replace(made, run=run)

    def evidence(self, count=None):
        keys = set(self.order[:count])
        return gather(
            self.planned,
            lambda asked: {key: self.made[key] for key in asked if key in keys},
            self.baseline,
            self.name,
        )

    def answered_after(self):
        """After how many runs all is answered, and the verdicts then; all of them where never."""
        early = EarlyAnswers(self.planned)
        for count in range(len(self.order) + 1):
            if early.all_answered(self.evidence(count)):
                return count, EarlyAnswers(self.planned).verdicts(self.evidence(count))
        return None, EarlyAnswers(self.planned).verdicts(self.evidence())


def after(planned, delta, **given):
    return Finished(planned, delta, **given).answered_after()


# ---- the order of launching ---------------------------------------------------------------------


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


# ---- counts -------------------------------------------------------------------------------------


def test_a_count_stops_when_the_rest_cannot_change_it():
    count, verdicts = after(planned_of(), lambda run: 0.1)
    assert count is None, "ΔPerf is the same in every run"
    count, verdicts = after(planned_of(), lambda run: 0.1 + 0.001 * run.index)
    assert count == 17
    verdict = verdicts["half"]
    assert (verdict.verdict, verdict.n) == ("supported", 17)
    assert str(verdict.decided) == "17 of 24 in, and the others cannot change it"
    assert verdict.details[0] == str(verdict.decided)
    assert verdict.reason == "at worst p = 0.032"
    assert verdict.p_value == pytest.approx(0.0320, abs=1e-4)
    assert verdict.low > 0.5
    assert (verdict.high, verdict.estimate) == (1.0, 1.0)
    count, verdicts = after(planned_of(), lambda run: -0.1 + 0.001 * run.index)
    assert (count, verdicts["half"].verdict) == (17, "refuted")


def test_a_count_that_can_no_longer_be_shown_is_decided_too():
    planned = planned_of()
    place = {planned.runs[k].index: i for i, k in enumerate(launch_order(planned))}
    count, verdicts = after(
        planned, lambda run: (0.1 if place[run.index] % 2 else -0.1) + 0.001 * run.index
    )
    assert (count, verdicts["half"].verdict) == (16, "inconclusive")
    assert verdicts["half"].needs
    assert verdicts["half"].low <= 0.5 < verdicts["half"].high


@pytest.mark.parametrize("claim", [HALF, success_rate.above(0.3), success_rate.above_baseline()])
def test_what_curtailment_says_is_what_every_remainder_says(claim):
    rng, runs = random.Random(2), 8
    baseline = [0.1, 0.11, -0.1, -0.1, 0.1, *[-0.1 - 0.001 * i for i in range(9)]]
    kinds = (0.1, -0.1, 0.03, None)  # a success, a failure, neither, and diverged

    def evidence(drawn):
        values = [None if kind is None else kind + 1e-4 * i for i, kind in enumerate(drawn)]
        return make_evidence(values, baseline)

    decided = set()
    for weights in ((1, 0, 0, 0), (0, 1, 0, 0), (6, 1, 1, 0), (1, 1, 6, 1), (6, 4, 0, 0)):
        drawn = rng.choices(kinds, weights, k=runs)
        for n in range(runs - 3, runs):
            found = claim.curtailed("q", evidence(drawn[:n]), runs)
            said = [
                claim.judge("q", evidence([*drawn[:n], *rest]))
                for rest in itertools.combinations_with_replacement(kinds, runs - n)
            ]
            names = {verdict.verdict for verdict in said}
            assert (found is not None) == (len(names) == 1), (drawn, n)
            if found is not None:
                decided |= names
                assert {found.verdict} == names
                assert found.p_value == pytest.approx(max(v.p_value for v in said))
                assert found.low == pytest.approx(min(v.low for v in said))
                assert found.high == pytest.approx(max(v.high for v in said))
    assert len(decided) > 1


def test_against_published_counts_chance_must_be_beaten_too():
    counts = Counts("published", 0, 19, "ΔPerf > 0", "a table")
    asked = {"q": success_rate.above_baseline()}
    planned = planned_of(questions=asked)
    count, verdicts = after(planned, lambda run: 0.1 + 0.001 * run.index, baseline=counts)
    assert (count, verdicts["q"].verdict) == (17, "supported")


def test_counts_by_another_rule_never_compare():
    counts = Counts("published", 2, 19, "better than before", "a table")
    asked = {"q": success_rate.above_baseline(), "half": HALF}
    planned = planned_of(questions=asked)
    count, verdicts = after(planned, lambda run: 0.1 + 0.001 * run.index, baseline=counts)
    assert (count, verdicts["q"].verdict) == (17, "inconclusive")
    assert "see the mean" in verdicts["q"].answer


def test_a_claim_on_counts_waits_for_its_baseline():
    asked = {"q": success_rate.above_baseline(), "half": HALF}
    runs = Finished(
        planned_of(questions=asked),
        lambda run: 0.1 + 0.001 * run.index,
        baseline=Baseline("b", make_results([-0.1, -0.2, -0.3, -0.11], prefix="b")),
    )
    early, evidence = EarlyAnswers(runs.planned), runs.evidence()
    assert early.verdicts(evidence, baseline_ready=False).keys() == {"half"}
    assert not early.all_answered(evidence, baseline_ready=False)
    assert early.all_answered(evidence)


# ---- looks --------------------------------------------------------------------------------------

MEAN = {"mean": mean_gain.above_baseline()}
BROAD = Baseline("b", make_results([0.01 * (i % 7 - 3) for i in range(48)], prefix="b"))


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


def better_by_a_tenth(run):
    return 0.1 + 0.003 * (run.index % 5) if run.arm == "main" else 0.001 * run.index


def test_no_look_is_taken_at_which_nothing_could_be_said():
    asked = {"batch_size": no_worse("batch_size", 8, than=(4,), margin=0.02)}
    planned = planned_of(questions=asked, arms={"batch_size": Pairs(12, (4,))})
    count, verdicts = after(planned, better_by_a_tenth)
    assert count == 24, "12 pairs, and none of the other 12 main runs"
    verdict = verdicts["batch_size"]
    assert verdict.verdict == "supported"
    assert (verdict.decided.look, verdict.decided.looks) == (1, 1)
    assert verdict.decided.alpha == pytest.approx(0.05)
    assert verdict.level == pytest.approx(0.9)


def test_more_pairs_than_a_verdict_takes_have_looks():
    asked = {"batch_size": no_worse("batch_size", 8, than=(4, 12), margin=0.02)}
    planned = planned_of(questions=asked, arms={"batch_size": Pairs(24, (4, 12))})
    count, verdicts = after(planned, better_by_a_tenth)
    assert (count, verdicts["batch_size"].decided.runs) == (36, 12)


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


def test_gains_are_looked_at_where_a_collapse_would_have_been_met():
    planned = planned_of(questions={"plateau": still_improves(margin=0.01)}, runs=48)
    _, verdicts = after(planned, lambda run: 0.2 + 0.001 * run.index)
    decided = verdicts["plateau"].decided
    assert (decided.look, decided.looks, decided.runs) == (1, 2, 36)


class Positive(BaseClaim):
    """A claim of a user's own, that looks at nothing but the sign and takes its level."""

    def question(self, metric=None):
        return "Is the mean above zero?"

    def describe(self, metric=None):
        return "mean > 0"

    def decide(self, id, evidence):
        values = [r.outcome.delta_perf for r in evidence.runs]
        p_value = float(stats.ttest_1samp(values, 0, alternative="greater").pvalue)
        name = "supported" if p_value <= evidence.alpha else "inconclusive"
        return self.verdict(id, evidence, name, name, p_value=p_value, n=len(values))


def test_a_claim_of_one_s_own_is_judged_at_looks_and_not_on_a_constant():
    planned = planned_of(questions={"own": Positive()})
    count, verdicts = after(planned, lambda run: 0.2 + 0.001 * run.index)
    assert (count, verdicts["own"].verdict, verdicts["own"].decided.look) == (12, "supported", 1)
    count, verdicts = after(planned, lambda run: 0.2)
    assert (count, verdicts["own"].verdict) == (None, "unanswerable")


# ---- what cannot be answered --------------------------------------------------------------------


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


def test_a_parameter_of_few_values_so_far_may_have_more():
    space = {"learning_rate": LogUniform(1e-7, 1e-6), "x": Choice(1, 2, 3, weights=(49, 49, 2))}
    asked = {"half": HALF, "x": best_inside("x", margin=0.02)}
    planned = planned_of(runs=30, questions=asked, space=space)
    order = [planned.runs[k] for k in launch_order(planned)]
    place = next((i for i, run in enumerate(order) if run.config["x"] == 3), 30)
    assert place >= 15, "the third value is not met by the first look"
    early = EarlyAnswers(planned)
    runs = Finished(planned, lambda run: 0.1 + 0.001 * run.index)
    assert "x" not in early.verdicts(runs.evidence(15))
    assert "x" in early.verdicts(runs.evidence())


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


# ---- how often it is wrong ----------------------------------------------------------------------


def rate_of_support(asked, draw, baseline, sweeps, seed):
    """Return how often a claim is supported over the looks, and how many runs that took."""
    rng = np.random.default_rng(seed)
    planned = planned_of(questions={"q": asked})
    early = taken = 0
    for _ in range(sweeps):
        values = draw(rng, 24)
        theirs = None if baseline is None else Baseline("b", make_results(baseline(rng, 48)))
        runs = Finished(planned, lambda run, v=values: float(v[run.index]), baseline=theirs)
        verdict = EarlyAnswers(planned).verdicts(runs.evidence())["q"]
        early += verdict.verdict == "supported"
        taken += verdict.decided.runs
    return early / sweeps, taken / sweeps


def normal(mean=0.0, sd=0.05):
    return lambda rng, n: rng.normal(mean, sd, n)


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


@pytest.mark.slow
def test_a_real_effect_is_shown_as_often_with_fewer_runs():
    """By Welch's test at once .99, by the noncentral t distribution."""
    early, taken = rate_of_support(mean_gain.above_baseline(), normal(0.05), normal(), 100, seed=12)
    assert early > 0.94
    assert taken < 17
