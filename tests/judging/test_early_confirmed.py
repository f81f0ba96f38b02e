"""When the question on the winner is decided before all fresh seeds are in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness import Confirm
from harness.claims import mean_gain, winner
from harness.judging.early import EarlyAnswers, launch_order
from harness.records import CONFIRM
from harness.statistics import look_levels, p_over_looks
from tests.factories import make_confirmed, make_result
from tests.judging.early_runs import Finished, after, better_by_a_tenth, planned_of

ASKED = {"winner": winner.beats(margin=0.02)}
LEADERS = 3


def planned_with(seeds=8, questions=ASKED, **changes):
    """A plan of 24 main runs, and of fresh seeds of three of them and a reference."""
    planned = planned_of(questions=questions, **changes)
    main = list(planned.of_arms().items())
    places = [replace(make_result(), key=key, run=run) for key, run in main[: LEADERS + 1]]
    fresh = make_confirmed([[0.0] * seeds for _ in places], places, sweep="s", steps=100)
    return replace(planned, runs={**planned.runs, **{one.key: one.run for one in fresh}})


def told(lead, sd=0.01, seed=0):
    """Outcomes by run: leader 1 is ahead by ``lead``, whatever the main runs are."""
    drawn = {}

    def delta(run):
        if run.arm != CONFIRM:
            return 0.1 + 0.003 * (run.index % 5)
        key = run.index, run.repeat
        rng = np.random.default_rng([seed, *key])
        return drawn.setdefault(key, lead * (run.index == 1) + rng.normal(0, sd))

    return delta


def test_fresh_seeds_come_last_seed_by_seed():
    planned = planned_with(arms={"null": 4})
    order = [planned.runs[key] for key in launch_order(planned)]
    assert all(run.arm != CONFIRM for run in order[:28])
    fresh = order[28:]
    assert [(run.repeat, run.index) for run in fresh] == [
        (repeat, place) for repeat in range(8) for place in range(LEADERS + 1)
    ]


def test_a_clear_lead_is_shown_at_half_of_the_seeds():
    planned = planned_with()
    count, verdicts = after(planned, told(0.2))
    found = verdicts["winner"]
    assert count == 24 + 4 * (LEADERS + 1), "all main runs, and four seeds of each config"
    assert found.verdict == "supported"
    decided = found.decided
    assert (decided.runs, decided.planned, decided.look, decided.looks) == (4, 8, 1, 3)
    assert found.n == 4
    assert found.details[0] == "look 1 of 3, 4 of 8 in, at level 0.0021"


def test_the_seeds_wait_for_every_main_run():
    planned = planned_with()
    runs = Finished(planned, told(0.2))
    first, *_ = runs.order
    lacking = [key for key in runs.order if key != first]
    runs = Finished(planned, told(0.2), order=lacking)
    assert EarlyAnswers(planned).verdicts(runs.evidence()) == {}


def test_a_look_waits_for_all_configs_of_a_seed_and_takes_no_later_one():
    planned = planned_with()
    runs = Finished(planned, told(0.2))
    block = LEADERS + 1
    early = EarlyAnswers(planned)
    assert early.verdicts(runs.evidence(24 + 4 * block - 1)) == {}
    found = early.verdicts(runs.evidence(24 + 6 * block))["winner"]
    assert found.decided.runs == 4
    assert [one.seeds for one in found.confirmed] == [4] * block
    assert any("with the runs that came in after that look" in line for line in found.details)


def test_a_reference_that_no_main_run_has_is_seen_too():
    planned = planned_with()
    runs = {
        key: replace(run, pair=None) if (run.arm, run.index) == (CONFIRM, 0) else run
        for key, run in planned.runs.items()
    }
    count, verdicts = after(replace(planned, runs=runs), told(0.2))
    assert (count, verdicts["winner"].verdict) == (24 + 16, "supported")


@pytest.mark.parametrize("seeds", [4, 5, 8])
def test_looks_begin_at_four_seeds(seeds):
    _, verdicts = after(planned_with(seeds), told(0.0, sd=0.1))
    found = verdicts["winner"]
    assert found.decided.looks == {4: 1, 5: 2, 8: 3}[seeds]


def test_the_p_value_is_that_over_the_looks():
    planned = planned_with()
    runs = Finished(planned, told(0.012, sd=0.02, seed=3))
    verdict = EarlyAnswers(planned).verdicts(runs.evidence())["winner"]
    whole, shares, leaders = runs.evidence(), (0.5, 0.75, 1.0), len(verdict.confirmed) - 1
    assert leaders > 1
    singly = []
    for look, level in zip((4, 6, 8), look_levels(0.05, shares, leaders), strict=True):
        seen = tuple(one for one in whole.arms[CONFIRM] if one.run.repeat < look)
        one = ASKED["winner"].judge("winner", replace(whole, arms={CONFIRM: seen}, alpha=level))
        singly.append(one.p_value)
    looks = singly[: verdict.decided.look]
    assert verdict.p_value == pytest.approx(p_over_looks(looks, shares, leaders), rel=1e-6)


def test_without_the_arm_it_does_not_keep_the_sweep_going():
    planned = planned_of(questions={**ASKED, "mean": mean_gain.above_arm("null")},
                         arms={"null": 8})  # fmt: skip
    count, verdicts = after(planned, better_by_a_tenth)
    assert verdicts["winner"].verdict == "unanswerable"
    assert count < 32


def test_it_is_open_until_the_leaders_are_known():
    """Else a sweep whose other questions are answered would end before its leaders are trained."""
    questions = {**ASKED, "null": mean_gain.above_arm("null")}
    planned = planned_of(questions=questions, arms={"null": 8, "confirm": Confirm(3, 8)})
    assert len(planned.open) == 32
    count, verdicts = after(planned, better_by_a_tenth)
    assert count is None
    assert set(verdicts) == {"null"}


def test_configs_with_several_seeds_wait_for_all_of_them():
    planned = planned_with(seeds=4, runs=6)
    several = planned_of(questions=ASKED, runs=6, seeds=2)
    fresh = {key: run for key, run in planned.runs.items() if run.arm == CONFIRM}
    both = replace(several, runs={**several.runs, **fresh})
    count, verdicts = after(both, told(0.2))
    assert (count, verdicts["winner"].verdict) == (12 + 16, "supported")


def test_looks_keep_the_level():
    """Three looks at three leaders of which none is better."""
    planned = planned_with(questions={"winner": winner.beats(margin=0.001)})
    sweeps, supported = 100, 0
    for seed in range(sweeps):
        runs = Finished(planned, told(0.0, sd=0.05, seed=seed))
        verdict = EarlyAnswers(planned).verdicts(runs.evidence())["winner"]
        supported += verdict.verdict == "supported"
    assert supported <= 0.05 * sweeps + 3 * np.sqrt(0.05 * 0.95 * sweeps)


def test_other_questions_do_not_wait_for_fresh_seeds():
    asked = {"null": mean_gain.above_arm("null")}
    planned = planned_with(questions=asked, arms={"null": 8})
    count, verdicts = after(planned, better_by_a_tenth)
    assert (count, verdicts["null"].verdict) == (12, "supported")
