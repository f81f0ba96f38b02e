"""Planned sweeps of which some runs have finished, and what is answered by then."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from simulation.cells import undistracted

from harness import Choice, LogUniform, Sweep
from harness.claims import mean_gain, success_rate
from harness.judging.early import EarlyAnswers, launch_order
from harness.judging.evidence import gather
from harness.sweeps.plan import ANSWERED, Selection, plan
from harness.verdicts import Baseline
from tests.factories import make_result, make_results

HALF = success_rate.above(0.5)


MEAN = {"mean": mean_gain.above_baseline()}


BROAD = Baseline("b", make_results([0.01 * (i % 7 - 3) for i in range(48)], prefix="b"))


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


def better_by_a_tenth(run):
    return 0.1 + 0.003 * (run.index % 5) if run.arm == "main" else 0.001 * run.index


def rate_of_support(asked, draw, baseline, sweeps, seed):
    """Return how often a claim is supported over the looks, and how many runs that took."""
    rng = np.random.default_rng(seed)
    planned = planned_of(questions={"q": asked})
    early = taken = 0
    with undistracted():
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
