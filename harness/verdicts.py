"""The values of judging, all frozen: evidence, verdicts, powers and findings."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from harness.metrics import DELTA_PERF, MARGIN, MIN_GAIN, UP, Metric
from harness.records import MAIN, Conditions, Config, Result, Span, Value

VerdictName = Literal["supported", "refuted", "inconclusive", "unanswerable", "not judged"]


Rule = Literal["shown", "above zero"]
"""A success rule: the metric is shown to be above 0, or it merely is."""


@dataclass(frozen=True, slots=True)
class Counts:
    """The published counts of a baseline whose runs are not at hand.

    ``rule`` says when a run counted as a success, such as ``ΔPerf > 0`` or ``val_loss < 0.3``;
    empty where that is the rule of the sweep that is compared with them.
    """

    name: str
    successes: int
    runs: int
    rule: str
    source: str

    def known_rule(self, metric: Metric) -> Rule | None:
        """Return the success rule of ``metric`` that ``rule`` states; None where it is another."""
        if not self.rule:
            return "above zero"
        stated = re.fullmatch(r"(.+)([<>])([-+\d.e]+)", _plain(self.rule))
        if stated is None:
            return None
        name, sign, value = stated.groups()
        try:
            target = float(value)
        except ValueError:
            return None
        own = name == _plain(metric.name) and sign == metric.improving.sign
        gained = metric.is_change and name in ("δperf", "deltaperf") and sign == UP.sign
        return "above zero" if target == metric.target and (own or gained) else None


def _plain(text: str) -> str:
    """Return a name or a rule without spaces, marks and capitals, which do not matter."""
    return re.sub(r"[\s_*`]", "", text).casefold().replace("−", "-")


@dataclass(frozen=True, slots=True)
class Baseline:
    """A baseline whose runs are at hand.

    ``notes`` say how it was read, if it was a table.
    """

    name: str
    results: tuple[Result, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that a question may be judged on.

    ``runs`` are the sweep's main runs, ``arms`` its other runs by arm. Those of a stored sweep are
    finished; those of a table may have any status. ``baseline_name`` is known even where the
    ``baseline`` is not at hand. ``unlike`` says why counts, spread and tail of the two sides do not
    compare, apart from their evaluation. ``runs_having`` is called with a parameter, one of its
    values and a number, and returns how many main runs it takes to have that number with the value,
    None where too many; it is None itself where no sweep is declared. ``given`` names the parameter
    that another's values depend on by declaration; None where the design is not known, as of a
    table. ``adaptive`` says why later runs may depend on earlier outcomes, None where they do not.
    ``questions`` is the number of questions that are corrected together.
    """

    sweep: str
    runs: tuple[Result, ...]
    arms: Mapping[str, tuple[Result, ...]] = field(default_factory=dict)
    baseline: Baseline | Counts | None = None
    baseline_name: str | None = None
    alpha: float = 0.05
    margin: float | None = MARGIN
    min_gain: float = MIN_GAIN
    seed: int = 0
    metric: Metric = DELTA_PERF
    unlike: str | None = None
    runs_having: Callable[[str, Value, int], int | None] | None = None
    given: Mapping[str, str] | None = None
    adaptive: str | None = None
    questions: int = 1

    @classmethod
    def from_results(
        cls,
        sweep: str,
        results: Iterable[Result],
        *,
        baseline: Baseline | Counts | None = None,
        baseline_name: str | None = None,
        alpha: float = 0.05,
        margin: float | None = MARGIN,
        min_gain: float = MIN_GAIN,
        seed: int = 0,
        metric: Metric = DELTA_PERF,
    ) -> Evidence:
        """Return the finished runs among ``results`` as evidence: the main runs, and each arm."""
        arms = by_arm(result for result in results if result.is_final)
        return cls(
            sweep=sweep,
            runs=arms.pop(MAIN, ()),
            arms=arms,
            baseline=baseline,
            baseline_name=baseline_name,
            alpha=alpha,
            margin=margin,
            min_gain=min_gain,
            seed=seed,
            metric=metric,
        )


def by_arm(results: Iterable[Result]) -> dict[str, tuple[Result, ...]]:
    """Return ``results`` by their arm, `MAIN` among them, in order of appearance."""
    arms: dict[str, list[Result]] = {}
    for result in results:
        arms.setdefault(result.run.arm, []).append(result)
    return {arm: tuple(runs) for arm, runs in arms.items()}


@dataclass(frozen=True, slots=True)
class Decision:
    """The way a question was decided in a sweep that stops once all of them are.

    It was decided by ``curtailment``, when the remaining runs could not change the verdict, or at
    a ``look``, one of ``looks``, at level ``alpha``. By then ``runs`` (or pairs) of the ``planned``
    had finished.
    """

    by: Literal["curtailment", "look"]
    runs: int
    planned: int
    look: int | None = None
    looks: int | None = None
    alpha: float | None = None

    def __str__(self) -> str:
        at = f"{self.runs} of {self.planned} in"
        if self.look is None:
            return f"{at}, and the others cannot change it"
        level = "" if self.alpha is None else f", at level {self.alpha:.2g}"
        return f"look {self.look} of {self.looks}, {at}{level}"


NeedKind = Literal[
    "training",
    "confirm",
    "baseline",
    "arm",
    "curve",
    "evaluation",
    "parameter",
    "margin",
    "runs",
    "metric",
]
"""Kinds of needs: runs that pytest trains, fresh seeds of the leaders, a baseline to compare with,
an arm beside the main runs, a point of the learning curve, another evaluation, a parameter that
varies, a margin, more runs, or another metric."""


@dataclass(frozen=True, slots=True)
class Need:
    """Something that would answer an open question, in the claim's words.

    Code decides by its ``kind``, never by its words: for a table, for one, a need of training is
    replaced. A ``training`` need has the ``sweeps`` to train, and further ``options`` of pytest. A
    ``confirm`` need has the sweep whose leaders to train again, and options of `sweep confirm`.
    """

    kind: NeedKind
    text: str
    sweeps: tuple[str, ...] = ()
    options: str = ""

    def __str__(self) -> str:
        return self.text


EXPERIMENTS = "experiments/"
"""Where the sweeps of most projects lie."""


def command(sweeps: Iterable[str], options: str = "", place: str = EXPERIMENTS) -> str:
    """Return the command that trains ``sweeps``; ``options``, if any, begin with a space.

    ``place`` is what pytest is called on; empty where its configuration says where to look.
    """
    where = f" {place}" if place else ""
    return f"pytest{where} --sweep {','.join(sweeps)}{options}"


def training(*sweeps: str, options: str = "") -> Need:
    """Return the need of runs that pytest trains; ``options``, if any, begin with a space."""
    return Need("training", command(sweeps, options), sweeps, options)


def confirming(sweep: str, options: str = "", text: str = "") -> Need:
    """Return the need of fresh seeds of a sweep's leaders; ``options`` begin with a space.

    The command comes after ``text``, which says what it is for.
    """
    return Need("confirm", f"{text}sweep confirm {sweep}{options}", (sweep,), options)


Unit = Literal["change", "difference", "level", "share", "parameter"]
"""The unit of an estimate: a gain of one thing over another, where more is better; a difference of
two spreads or rates; a level, which is a value of the metric; a share of runs; a parameter's
value."""


Shape = Literal["rises", "falls", "peak inside", "flat"]
"""The shape of the outcome, of which more is better, along a parameter's range, where shown."""


@dataclass(frozen=True, slots=True)
class LevelEffect:
    """A level of a parameter, or a part of its range, with the other parameters held equal.

    ``mean`` is the adjusted mean of its ``runs`` in the metric's unit, more is better. The
    intervals from ``low`` to ``high`` hold for all levels together; an end is None where there is
    none.
    ``may_be_best`` is False where another level is shown to be better.
    """

    level: Value | Span
    runs: int
    mean: float
    low: float | None = None
    high: float | None = None
    may_be_best: bool = True


@dataclass(frozen=True, slots=True)
class ParameterEffect:
    """What a verdict found of one parameter: whether it ``matters``, or which value is ``best``.

    ``levels`` are empty where the question is unanswerable. ``share`` is the share of the metric's
    variance that the parameter explains beside the others, 0 to 1. ``shape`` is known for a range,
    where one is shown. ``p_matters`` is the p value that it matters. ``by_ranks`` are the best and
    the worst level by adjusted ranks, where the means have the best and the worst the other way
    round: a few runs far off make those means.
    """

    asks: Literal["matters", "best"]
    parameter: str
    levels: tuple[LevelEffect, ...] = ()
    share: float | None = None
    shape: Shape | None = None
    p_matters: float | None = None
    by_ranks: tuple[Value | Span, Value | Span] | None = None


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A config that was trained again with fresh seeds: a leader of a sweep, or the reference.

    ``place`` is 0 for the reference, 1 for the leader that was named before, and so on. ``run`` is
    the id of the main run with this ``config``, None where none has it. ``seeds`` runs completed
    and ``diverged`` did not. ``mean`` is that of the completed ones, more is better, with its
    standard error ``se`` and its own 95% interval from ``low`` to ``high``.

    ``difference`` is a leader's gain over the reference, seed by seed, over ``pairs`` of runs; the
    intervals from ``difference_low`` to ``difference_high`` hold for all leaders together, and so
    does ``p_value``. ``may_be_best`` is False where another leader is shown to be better. All are
    None of the reference. ``measured`` is what the main sweep had measured of the config, and
    ``after_selection`` what was expected to be left of that; None where not known.
    """

    place: int
    run: str | None
    config: Config
    seeds: int
    diverged: int = 0
    mean: float | None = None
    se: float | None = None
    low: float | None = None
    high: float | None = None
    pairs: int | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    p_value: float | None = None
    may_be_best: bool | None = None
    measured: float | None = None
    after_selection: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judged question.

    ``low`` and ``high`` are the interval that agrees with the verdict, at confidence ``level``;
    an unbounded end or a missing number is None. ``p_value`` is that of ``supported``. ``details``
    are further lines worth printing (other intervals, other tests). ``decided`` says how it was
    decided, if that was possible before all runs were in. ``effect`` is set by the two claims on
    one parameter, `matters` and `best_value`, and ``confirmed`` by the one on the winner.
    """

    id: str
    question: str
    claim: str
    verdict: VerdictName
    answer: str
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    level: float | None = None
    p_value: float | None = None
    p_holm: float | None = None
    n: int = 0
    method: str = ""
    reason: str = ""
    needs: tuple[Need, ...] = ()
    details: tuple[str, ...] = ()
    decided: Decision | None = None
    unit: Unit = "change"
    effect: ParameterEffect | None = None
    confirmed: tuple[Confirmed, ...] = ()

    def is_shown(self, alpha: float) -> bool:
        """Return whether the claim is supported by Holm's p at level ``alpha``."""
        return self.verdict == "supported" and self.p_holm is not None and self.p_holm <= alpha


@dataclass(frozen=True, slots=True)
class Effect:
    """A way in which a claim may be true: in ``words``, as a number ``size``, and its power.

    ``shown`` is printed between "with 24 runs," and "with probability". ``power`` is a function of
    the number of runs or pairs. ``sds`` is the size as the power takes it, mostly in SDs, and
    ``power_at`` the power at a size of these and a number of runs or pairs.
    """

    words: str
    size: float
    shown: str
    power: Callable[[int], float]
    sds: float = 0.0
    power_at: Callable[[float, int], float] | None = None


PowerUnit = Literal["runs", "pairs", "seeds"]
"""The unit of a power: main runs, pairs of a main run and one of an arm, or fresh seeds."""

MOST = 1_000
"""The largest size that is tried for a power of 0.8."""


@dataclass(frozen=True, slots=True)
class Pricing:
    """The standard effects of a claim under a design; none if ``why`` says what the design lacks.

    ``n`` are the planned ones of the ``unit``. ``given`` is what the power rests on. Sizes from
    ``least`` to ``most`` are searched for a power of 0.8; with ``every``, each of them is tried.

    ``noise`` says whose SD the effects are measured in, where the noise budget tells how that
    changes: that of a ``result``; of what is left ``beside`` the parameters; of ``pairs``, of which
    more runs make more. None where the power follows from no such SD. Where results are compared
    with ``others`` other runs, the SD of these stays.
    """

    n: int
    effects: tuple[Effect, ...] = ()
    why: str = ""
    given: str = ""
    unit: PowerUnit = "runs"
    least: int = 2
    most: int = MOST
    every: bool = False
    noise: Literal["result", "beside", "pairs"] | None = None
    others: int = 0


@dataclass(frozen=True, slots=True)
class Power:
    """The probability that a question is supported if its claim is true by ``effect``.

    ``size`` is that effect in the claim's own unit, ``n`` the planned ones of its ``unit``.
    ``needed`` is the number that brings the power to 0.8, None where none up to ``most`` does.
    ``says`` is all of it in one sentence, ``given`` what it rests on. If the plan lacks something
    that the question needs, the power is 0 and ``why`` says what. A power of None is not known.
    """

    question: str
    effect: str = ""
    size: float | None = None
    n: int = 0
    unit: PowerUnit = "runs"
    power: float | None = None
    needed: int | None = None
    most: int = 0
    says: str = ""
    given: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Purchase:
    """A way to spend further runs, or further held-out items, on a sweep.

    ``configs``: more configurations like those so far; ``seeds``: more seeds of the same ones;
    ``deeper``: fewer new configurations with more seeds each; ``items``: so many times the held-out
    items, and no further runs. It trains ``runs``, and leaves the sweep with ``configs`` configs;
    those that are new, or all of more seeds, have ``seeds``. ``sd`` is the least and the largest SD
    to expect of a result.
    """

    kind: Literal["configs", "seeds", "deeper", "items"]
    runs: int
    configs: int
    seeds: int
    items: float = 1.0
    sd: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Gained:
    """The power of a question at an effect, ``now`` and after each purchase: least and largest.

    None for a purchase whose worth is not known.
    """

    question: str
    effect: str
    now: float
    after: tuple[tuple[float, float] | None, ...]

    @property
    def most(self) -> float:
        """The largest power that a purchase is sure to bring."""
        return max((known[0] for known in self.after if known is not None), default=self.now)


@dataclass(frozen=True, slots=True)
class Outlook:
    """What further runs of a sweep buy: each purchase, and the power that each question gains.

    ``runs`` are those to spend. ``sd`` is the SD to expect of a result as the sweep is.
    """

    runs: int
    configs: int
    seeds: int
    sd: float
    purchases: tuple[Purchase, ...] = ()
    questions: tuple[Gained, ...] = ()

    @property
    def most(self) -> Gained | None:
        """The question on results whose power gains most."""
        return _most(one for one in self.questions if None not in one.after)

    @property
    def most_of_pairs(self) -> Gained | None:
        """The question on pairs whose power gains most."""
        return _most(one for one in self.questions if None in one.after)


def _most(questions: Iterable[Gained]) -> Gained | None:
    return max(questions, key=lambda one: one.most - one.now, default=None)


@dataclass(frozen=True, slots=True)
class NotNeeded:
    """Runs that are not needed, since every question is decided.

    ``trained`` of the ``planned`` runs, arms included, have finished. The others would have taken
    about ``seconds`` to train, None where that is not known.
    """

    trained: int
    planned: int
    seconds: float | None = None

    @property
    def left(self) -> int:
        """The number of runs that are not needed."""
        return self.planned - self.trained


class Difference(NamedTuple):
    """Something that may differ between two sweeps, with the p value of "for the worse"."""

    what: str
    p_value: float


@dataclass(frozen=True, slots=True)
class Regression:
    """A question that a reference report supports, beside the verdict ``now``.

    ``p_value`` is that of "this sweep is worse than the reference in what the claim rests on", None
    where the two were not compared. Up to ``level`` it is more than noise. ``answer`` says in words
    what was found.
    """

    id: str
    now: VerdictName | None
    level: float
    answer: str
    p_value: float | None = None
    regressed: bool = False


@dataclass(frozen=True, slots=True)
class Regressions:
    """The questions that the reference report at ``path`` supports, beside their verdicts now."""

    path: str
    questions: tuple[Regression, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something the audit found about the sweep itself; ``brief`` is the message in a few words."""

    code: str
    severity: Literal["info", "warning", "error"]
    message: str
    parameters: tuple[str, ...] = ()
    brief: str = ""


@dataclass(frozen=True, eq=False)
class Judgement:
    """The verdicts on the runs of a sweep or a table, with all that a report is made of.

    A judged table is ``of_table``: nothing is trained. ``missing`` says in words what has not
    finished, as "4 of 24 runs missing". ``unfinished`` are results that are no evidence: failed,
    timed out, interrupted. ``scale`` says in words how much of the declared sweep this is, where
    it is ``scaled_down``. ``not_needed`` counts runs that were spared because every question was
    answered without them. ``compared`` has the questions of a reference report. ``conditions`` and
    ``steps`` are those of the runs; where None, those of the first run.
    """

    evidence: Evidence
    verdicts: tuple[Verdict, ...] = ()
    findings: tuple[Finding, ...] = ()
    scaled_down: bool = False
    scale: str = ""
    missing: tuple[str, ...] = ()
    unfinished: tuple[Result, ...] = ()
    not_needed: NotNeeded | None = None
    compared: Regressions | None = None
    conditions: Conditions | None = None
    steps: int | None = None
    of_table: bool = False
    outlook: Outlook | None = None
