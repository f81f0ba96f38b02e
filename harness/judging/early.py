"""Decide questions before all runs of a sweep are in, and order the runs so that they can be.

A question on counts is decided once the runs still to come cannot change its verdict. Any other is
judged at looks, at levels that spend its α over them. A look takes the first runs in the order in
which they begin, not in which they end. So it depends on the plan and the results alone, and the
same command gives the same answer from the store.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from harness import statistics
from harness.claims.judging import judge_one
from harness.observations.repeats import each_run
from harness.protocols import Claim
from harness.records import CONFIRM, MAIN, Config, Result, Run
from harness.sweeps.plan import Plan
from harness.verdicts import Decision, Evidence, NotNeeded, Verdict

LOOKS = (0.5, 0.75, 1.0)
"""A question is judged when these shares of the runs that it needs are in."""


def launch_order(planned: Plan) -> tuple[str, ...]:
    """Return the keys of the planned runs in the order in which they begin.

    The main runs are shuffled, the same way everywhere, each followed by its runs in the arms.
    Main runs with a pair that a question needs come first: that question is decided by them alone.
    The seeds of a config come one after the other, since it counts once all of them are in. What
    confirms the leaders comes last, seed by seed.
    """
    sweep = planned.sweep
    needed = {arm for claim in sweep.questions.values() for arm in claim.arms}
    paired = {run.pair for run in planned.runs.values() if run.arm in needed}

    def place(run: Run) -> tuple[bool, bytes, int]:
        text = f"{sweep.name}:{sweep.seed}:{run.index}:order"
        return run.id not in paired, hashlib.sha256(text.encode()).digest(), run.repeat

    followers: dict[str | None, list[str]] = {}
    for key, run in planned.runs.items():
        if run.arm not in (MAIN, CONFIRM):
            followers.setdefault(run.pair, []).append(key)
    main = planned.of_arms()
    order = sorted(main, key=lambda key: place(main[key]))
    confirming = planned.of_arms((CONFIRM,))
    last = sorted(confirming, key=lambda key: (confirming[key].repeat, confirming[key].index))
    return (*(k for key in order for k in (key, *followers.get(main[key].id, ()))), *last)


@dataclass(frozen=True, eq=False)
class _Question:
    """A question with the runs that it needs.

    A unit is a main run, or a config with all of its seeds, with the pairs if the question needs
    them. Where fresh seeds confirm the leaders it is a seed of all of them. The main runs ``first``
    are needed for each look: they tell which are the leaders, each of which has a test of its own
    among the ``tests``.
    """

    claim: Claim
    units: tuple[tuple[str, ...], ...]
    lacks_arms: bool
    first: tuple[str, ...] = ()
    tests: int = 1

    @classmethod
    def of(cls, claim: Claim, planned: Plan, order: Iterable[str]) -> _Question:
        runs, counted = planned.runs, planned.counted
        mains: dict[Config | str, list[str]] = {}
        pairs: dict[Config | str, list[str]] = {}
        blocks: dict[int, list[str]] = {}
        for key in order:
            run = runs[key]
            if run.arm == MAIN:
                mains.setdefault(counted[run.id], []).append(key)
            elif run.arm in claim.arms and run.arm == CONFIRM:
                blocks.setdefault(run.repeat, []).append(key)
            elif run.arm in claim.arms:
                pairs.setdefault(counted[run.pair or ""], []).append(key)
        if CONFIRM in claim.arms:
            first = tuple(key for keys in mains.values() for key in keys)
            lacks = not blocks and not planned.opens(claim.arms)
            leaders = {run.index for run in runs.values() if run.arm == CONFIRM} - {0}
            seeds = tuple(map(tuple, blocks.values()))
            return cls(claim, seeds, lacks, first, max(1, len(leaders)))
        units = {unit: (*keys, *pairs.get(unit, ())) for unit, keys in mains.items()}
        paired = tuple(keys for unit, keys in units.items() if unit in pairs)
        return cls(claim, paired or tuple(units.values()), bool(claim.arms) and not paired)

    @cached_property
    def looks(self) -> tuple[int, ...]:
        """The numbers of units at which the question is judged, once there are enough of them."""
        total, fewest = len(self.units), self.claim.fewest
        at = {math.ceil(share * total) for share in LOOKS}
        return tuple(count for count in sorted(at) if count >= fewest or count == total)

    @property
    def shares(self) -> tuple[float, ...]:
        return tuple(count / len(self.units) for count in self.looks)


@dataclass
class EarlyAnswers:
    """The questions of a planned sweep, judged as its runs come in.

    It remembers what has been decided, so give it the growing evidence of one store only.
    """

    planned: Plan
    _said: dict[str, list[Verdict]] = field(default_factory=dict)
    _decided: dict[str, bool] = field(default_factory=dict)

    @cached_property
    def _questions(self) -> dict[str, _Question]:
        order, asked = launch_order(self.planned), self.planned.sweep.questions
        return {id_: _Question.of(claim, self.planned, order) for id_, claim in asked.items()}

    def verdicts(self, evidence: Evidence, *, baseline_ready: bool = True) -> dict[str, Verdict]:
        """Return the verdicts on the questions that no further run of this sweep can change.

        Without ``baseline_ready``, runs of the baseline are still to come, and the questions that
        compare with it wait.
        """
        return self._judge(self._questions, self._whole(evidence), baseline_ready)

    def all_answered(self, evidence: Evidence, *, baseline_ready: bool = True) -> bool:
        """Return whether no further run can change a verdict, and one of them is an answer."""
        undecided = [id_ for id_ in self._questions if id_ not in self._decided]
        self._judge(undecided, self._whole(evidence), baseline_ready)
        return self._decided.keys() == self._questions.keys() and any(self._decided.values())

    @cached_property
    def _seeds(self) -> Mapping[str, Collection[str]]:
        """The keys of all main runs that count as one, by the key of each."""
        of: dict[Config | str, list[str]] = {}
        for key, run in self.planned.of_arms().items():
            of.setdefault(self.planned.counted[run.id], []).append(key)
        return {key: keys for keys in of.values() for key in keys}

    def _whole(self, evidence: Evidence) -> Evidence:
        """Return the evidence without the configs of which a seed has not finished."""
        whole = tuple(r for r in evidence.runs if len(r.repeats or (r,)) == len(self._seeds[r.key]))
        return evidence if len(whole) == len(evidence.runs) else replace(evidence, runs=whole)

    def _judge(
        self, ids: Iterable[str], evidence: Evidence, baseline_ready: bool
    ) -> dict[str, Verdict]:
        found: dict[str, Verdict] = {}
        for id_ in ids:
            question = self._questions[id_]
            if baseline_ready or not question.claim.uses_baseline:
                verdict = self._verdict(id_, question, evidence)
                if verdict is not None:
                    found[id_] = verdict
                    self._decided[id_] = verdict.verdict != "unanswerable"
        return found

    def _verdict(self, id: str, question: _Question, evidence: Evidence) -> Verdict | None:
        claim = question.claim
        if question.lacks_arms or (claim.uses_baseline and evidence.baseline is None):
            # Nothing that this sweep trains can answer it.
            verdict = judge_one(id, claim, evidence)
            return verdict if verdict.verdict == "unanswerable" else None
        if claim.by_counts:
            if len(evidence.runs) == self.planned.size:
                return judge_one(id, claim, evidence)
            return claim.curtailed(id, evidence, self.planned.size)
        return self._at_looks(id, question, evidence)

    def _at_looks(self, id: str, question: _Question, evidence: Evidence) -> Verdict | None:
        samples = (evidence.runs, *evidence.arms.values())
        finished = {run.key for results in samples for run in each_run(results)}
        if not question.units:  # not known yet which runs they are
            return None
        claim, said = question.claim, self._said.setdefault(id, [])
        levels = statistics.look_levels(evidence.alpha, question.shares, question.tests)
        for number, count in enumerate(question.looks):
            if number == len(said):
                taken = (question.first, *question.units[:count])
                if any(key not in finished for unit in taken for key in unit):
                    return None
                said.append(self._look(id, question, evidence, number, levels[number]))
            verdict, last = said[number], number == len(levels) - 1
            if last or verdict.verdict in ("supported", "refuted") or _by_design(verdict, claim):
                p_values = [v.p_value for v in said[: number + 1] if v.p_value is not None]
                if len(p_values) == number + 1:
                    p_value = statistics.p_over_looks(p_values, question.shares, question.tests)
                    verdict = replace(verdict, p_value=p_value)
                return verdict if last else _with_all(verdict, claim, evidence)
        return None

    def _look(
        self, id: str, question: _Question, evidence: Evidence, number: int, level: float
    ) -> Verdict:
        count, total = question.looks[number], len(question.units)
        decision = Decision("look", count, total, number + 1, len(question.looks), level)
        keys = {key for unit in (question.first, *question.units[:count]) for key in unit}
        runs = tuple(r for r in evidence.runs if r.key in keys)
        ids = {result.run.id for result in runs}

        def is_seen(result: Result) -> bool:
            if result.run.arm == CONFIRM:  # which comes in by seeds, not with its main run
                return result.key in keys
            return result.run.pair in ids

        seen = replace(
            evidence,
            runs=runs,
            arms={arm: tuple(filter(is_seen, results)) for arm, results in evidence.arms.items()},
            alpha=level,
        )
        verdict = judge_one(id, question.claim, seen)
        return replace(verdict, details=(str(decision), *verdict.details), decided=decision)


def not_needed(planned: Plan, results: Iterable[Result]) -> NotNeeded | None:
    """Return the runs that an answered sweep does not need; None where all runs are in.

    Their time is estimated from the time of a step in the finished ``results``.
    """
    done = {result.key: result for result in results if result.is_final}
    left = [run for key, run in planned.runs.items() if key not in done]
    if not left:
        return None
    timed = [(r.outcome.seconds, r.run.steps) for r in done.values()]
    known = [(seconds, steps) for seconds, steps in timed if seconds is not None]
    steps = sum(run.steps for run in left)
    rate = sum(s for s, _ in known) / sum(n for _, n in known) if known else None
    seconds = None if rate is None else rate * steps
    return NotNeeded(len(planned.runs) - len(left), len(planned.runs), seconds)


def _by_design(verdict: Verdict, claim: Claim) -> bool:
    """Return whether the design rules the question out, not just the values met so far."""
    return verdict.verdict == "unanswerable" and verdict.p_value is None and not claim.parameters


def _with_all(verdict: Verdict, claim: Claim, evidence: Evidence) -> Verdict:
    """Return ``verdict`` with a line on all runs that are in, if more are in than it used."""
    now = judge_one(verdict.id, claim, evidence)
    if now.n == verdict.n:
        return verdict
    line = f"with the runs that came in after that look: {now.answer}"
    return replace(verdict, details=(*verdict.details, line))
