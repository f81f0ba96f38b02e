"""Write a learning-rate range test: the rate and the factor, why, and what to beware of."""

from __future__ import annotations

from dataclasses import dataclass

from harness.judging.range_test import (
    FEWEST_SEEDS,
    MOST_SEEDS,
    RangeTest,
    Rung,
    chance_of_luck,
    gains_more,
)
from harness.metrics import DELTA_PERF
from harness.observations.health import equal_rewards
from harness.records import Conditions, Config, Result
from harness.report.blocks import (
    Bullets,
    Column,
    Document,
    Point,
    Scatter,
    Section,
    SummaryLine,
    Table,
    Text,
    filled,
)
from harness.statistics import MIN_PROMPTS_CHANGED
from harness.sweeps.sweep import Sweep
from harness.sweeps.transfer import (
    FILE,
    Calibration,
    adapters_of,
    middle_rate,
    trained_part,
)
from harness.text import (
    NONE,
    Digits,
    duration,
    learning_rate,
    listed,
    parameter_name,
    parameter_value,
    plural,
)


@dataclass(frozen=True, slots=True)
class CalibrationPage:
    """A range test of a sweep's settings, and what was done with it.

    ``ladder`` is what its runs are stored as, ``declared`` the ends of the sweep's learning rates.
    ``factor`` is what the test found, None where nothing; ``own`` what the task itself declares.
    ``results`` are all runs, ``failed`` one that did not finish. ``kept`` is the file that now has
    the factor, empty where none has, and ``replaced`` what it had before.
    """

    sweep: Sweep
    ladder: str
    config: Config
    steps: int
    declared: tuple[float, float]
    conditions: Conditions
    test: RangeTest
    factor: float | None
    own: float | None
    results: tuple[Result, ...]
    failed: Result | None = None
    kept: str = ""
    replaced: Calibration | None = None

    @property
    def part(self) -> str:
        """Say what of the model is trained."""
        return trained_part(adapters_of(self.config))

    @property
    def seconds(self) -> float:
        """The time that all runs took."""
        return sum(result.outcome.seconds or 0.0 for result in self.results)


def document(page: CalibrationPage) -> Document:
    """Return a range test as a document: the answer, a row for each rate, and the picture."""
    test, digits = page.test, Digits.of(rung.gain for rung in page.test.rungs)
    known = page.conditions
    size = f"{plural(len(test.rungs), 'learning rate')}, {plural(page.steps, 'step')} each"
    what = f"{page.part} of {known.model} on {known.task}"
    return Document(
        headline=f"{page.sweep.name}: {what}, {size}, {known.backend}, {known.precision}",
        sections=filled(
            Section("Learning rates", (*_picture(test), *_table(page, digits))),
            Section("How it was done", (_method(page),)),
        ),
        summary=tuple(_summary(page, digits)),
        digits=digits,
    )


# ---- the answer ---------------------------------------------------------------------------------


def _summary(page: CalibrationPage, digits: Digits) -> list[SummaryLine]:
    """Return rate, factor, reason, bracket and caution in at most five lines."""
    test, lines = page.test, []
    match test.standing:
        case "found":
            lines = [
                SummaryLine("Rate", _rate(page, digits)),
                SummaryLine("Factor", _factor(page)),
                SummaryLine("Why", _why(test, digits)),
                SummaryLine("Uncertain", _bracket(test)),
            ]
        case "unconfirmed":
            said = f"none: {learning_rate(test.rate)} seemed to help, but {_doubt(test, digits)}"
            lines = [SummaryLine("Rate", said), SummaryLine("Why", _why(test, digits))]
        case "none" | "unmeasured" if page.failed is not None:
            rate = page.failed.run.config["learning_rate"]
            lines = [SummaryLine("Rate", f"none yet: the run at {rate:g} did not finish")]
        case "none":
            lines = [SummaryLine("Rate", "none: no rate helped within the range")]
            if test.rungs:
                lines.append(SummaryLine("Why", _why_none(test, digits)))
        case "unmeasured":
            lines = [SummaryLine("Rate", "none: no run has been measured yet")]
    if page.factor is None:
        lines.append(SummaryLine("Factor", _no_factor(page)))
    if beware := _beware(page):
        lines.append(SummaryLine("Beware", "; ".join(beware)))
    return lines


def _rate(page: CalibrationPage, digits: Digits) -> str:
    test = page.test
    return (
        f"{learning_rate(test.rate)} for {page.part}: after {plural(page.steps, 'step')} ΔPerf is "
        f"{_again(test, digits)} with {plural(len(test.fresh), 'fresh seed')}, {_shown(test)}"
    )


def _shown(test: RangeTest) -> str:
    """Say why fresh seeds confirm the rate."""
    if len(test.fresh) == MOST_SEEDS:
        return "all of which gain"
    return f"whose mean is above 0 one-sided at {test.alpha:g}"


def _again(test: RangeTest, digits: Digits) -> str:
    """Return the gain of each fresh seed."""
    return listed(_gain(rung, digits, error=False) for rung in test.fresh)


def _doubt(test: RangeTest, digits: Digits) -> str:
    """Say why fresh seeds do not confirm the rate."""
    done = len(test.fresh)
    match test.doubt:
        case "no gain":
            seed = f"fresh seed {done}" if done > 1 else "the first fresh seed"
            return f"{seed} gains nothing there (ΔPerf {_again(test, digits)})"
        case "items":
            mean = f"the mean of {plural(done, 'fresh seed')} (ΔPerf {_again(test, digits)})"
            return f"{mean} may be 0, as far as prompts differ"
        case _:
            return f"of {FEWEST_SEEDS} to {MOST_SEEDS} runs with fresh seeds {done} have finished"


def _factor(page: CalibrationPage) -> str:
    assert page.factor is not None
    low, high = page.declared
    used = _range(low * page.factor, high * page.factor)
    said = (
        f"lr_transfer {page.factor:g} takes the middle of the sweep's rates, "
        f"{learning_rate(middle_rate(page.declared))}, to that rate: {_range(low, high)} are used "
        f"as {used}"
    )
    if page.own is not None:
        return f"{said}; not kept, because the task itself declares {page.own:g}"
    before = page.replaced
    instead = ""
    if before is not None and before.lr_transfer != page.factor:
        instead = f" in place of {before.lr_transfer:g} (sweep {before.sweep})"
    return f"{said}; kept in {page.kept}{instead}"


def _no_factor(page: CalibrationPage) -> str:
    if page.own is not None:
        return f"the task's own lr_transfer, {page.own:g}, stays"
    return f"nothing is written to {FILE}; name one in the task, or try what Beware says"


def _why(test: RangeTest, digits: Digits) -> str:
    best = max((r for r in test.rungs if r.rate in test.helps), key=lambda r: r.gain or 0.0)
    others = [rate for rate in test.may_be_best if rate != best.rate]
    most = f"{learning_rate(best.rate)} gained most ({_gain(best, digits)})"
    said = f"of {plural(len(test.rungs), 'rate')}, {most}"
    if others:
        said += f", and {_rates(others)} cannot be told from it"
    above = [rung for rung in test.rungs if rung.rate > max(test.may_be_best)]
    if above:
        lost = above[-1]
        ended = "diverged" if lost.gain is None else _gain(lost, digits)
        said += f"; above, it is worse: {learning_rate(lost.rate)} {ended}"
    return said


def _why_none(test: RangeTest, digits: Digits) -> str:
    measured = [rung for rung in test.rungs if rung.gain is not None]
    if not measured:
        return "every run diverged"
    best = max(measured, key=lambda rung: rung.gain or 0.0)
    return f"the most, {_gain(best, digits)} at {learning_rate(best.rate)}, is within the noise"


def _bracket(test: RangeTest) -> str:
    low, high = (learning_rate(end) if end else "" for end in (test.low, test.high))
    reached = f"between {low} and {high}" if low and high else ""
    reached = reached or (f"above {low}" if low else f"below {high}" if high else "anywhere")
    return (
        f"the best rate lies {reached}, as far as the noise of measuring goes; "
        "the rates were compared with one seed"
    )


def _beware(page: CalibrationPage) -> list[str]:
    """Return what the reader must know before using the factor."""
    test, said = page.test, []
    if page.failed is not None:
        why = page.failed.outcome.error or "no error was recorded"
        rate = page.failed.run.config["learning_rate"]
        said.append(f"the run at {rate:g} is {page.failed.outcome.status} ({why}): run it again")
    picked = test.nearest or (test.rungs[0] if test.rungs else None)
    if picked and picked.no_signal is not None:
        perfs = [point.perf for point in picked.outcome.curve]
        said += filter(None, [equal_rewards(picked.no_signal, perfs)])
    if test.standing == "found":
        if test.high is None:
            said.append("the highest rate tried may be the best: go on by --to")
        if test.low is None:
            said.append("the lowest rate tried may be the best: go down by --from")
        if page.steps < page.sweep.steps:
            said.append(
                f"these runs have {page.steps} of the sweep's {page.sweep.steps} steps, and longer "
                "ones may want a lower rate"
            )
    elif page.failed is None:
        said.append("more --steps, more held-out prompts or samples would show smaller gains")
    return said


# ---- picture, table and method ------------------------------------------------------------------


def _picture(test: RangeTest) -> tuple[Scatter | Text, ...]:
    if not test.rungs:
        return ()
    points = [
        Point(r.rate, r.gain, r.outcome.delta_perf_se, r.rate in test.helps, f"{r.rate:g}")
        for r in test.rungs
    ]
    for n, fresh in enumerate(test.fresh, 1):
        error, gains = fresh.outcome.delta_perf_se, gains_more(fresh, None, test.alpha)
        points.append(
            Point(fresh.rate, fresh.gain, error, gains, f"{fresh.rate:g}, fresh seed {n}")
        )
    return (Scatter(tuple(points), DELTA_PERF.name),)


def _table(page: CalibrationPage, digits: Digits) -> tuple[Table, ...]:
    test = page.test
    if not test.rungs:
        return ()
    columns = (
        Column("learning rate", right=False),
        Column("ΔPerf"),
        Column("success", right=False),
        Column("KL", drop=2),
        Column("entropy", right=False, drop=3),
        Column("best?", right=False),
        Column("time", drop=1),
    )
    rows = []
    fresh = [(rung, f", fresh seed {n}") for n, rung in enumerate(test.fresh, 1)]
    for rung, seed in (*((rung, "") for rung in test.rungs), *fresh):
        helps = gains_more(rung, None, test.alpha) if seed else rung.rate in test.helps
        place = "may be" if rung.rate in test.may_be_best else "no"
        rows.append(
            (
                f"{learning_rate(rung.rate)}{seed}",
                _gain(rung, digits),
                "yes" if helps else "no",
                NONE if rung.kl is None else f"{rung.kl:.2g}",
                NONE if rung.entropy is None else "{:.2f} to {:.2f}".format(*rung.entropy),
                "" if seed else place if test.helps else NONE,
                duration(rung.outcome.seconds),
            )
        )
    return (Table(columns, tuple(rows)),)


def _method(page: CalibrationPage) -> Bullets:
    test = page.test
    settings = [
        f"{parameter_name(name)} {parameter_value(value)}"
        for name, value in page.config.items()
        if name != "learning_rate"
    ]
    alpha = f"{test.alpha:g}"
    items = [
        (
            "runs",
            f"each from the same weights with the same seed; {', '.join(settings)}, the middle of "
            f"the sweep's space; {duration(page.seconds)} in all, stored as {page.ladder}",
        ),
        (
            "success",
            f"the mean gain of the held-out prompts is above 0, one-sided at {alpha}, and at least "
            f"{MIN_PROMPTS_CHANGED} changed",
        ),
        (
            "best?",
            "no, where the best rate is shown to gain more on the same prompts, one-sided at "
            f"{alpha} over the number of other rates",
        ),
        (
            "the rate",
            "the mean of the successes that may be the best, on a logarithmic scale and weighted "
            f"by their gains; it counts only if fresh seeds there gain: {FEWEST_SEEDS} with a mean "
            f"above 0 by Student's t over the seeds, one-sided at {alpha}, or else "
            f"{MOST_SEEDS} of {MOST_SEEDS}; so luck, in measuring or with seeds, names a rate in "
            f"at most {chance_of_luck(test.alpha):.2g} of tests; whether rewards that say nothing "
            "would help as much is not in it: the sweep's arm null tells",
        ),
        (
            "KL and entropy",
            "of the last step, to the policy at the start, and of the first and the last step, in "
            "nats a token",
        ),
    ]
    return Bullets(tuple(items))


def _gain(rung: Rung, digits: Digits, *, error: bool = True) -> str:
    if rung.gain is None:
        return rung.outcome.status
    return digits.with_error(rung.gain, rung.outcome.delta_perf_se if error else None)


def _range(low: float, high: float) -> str:
    return f"{learning_rate(low)} to {learning_rate(high)}"


def _rates(rates: list[float]) -> str:
    return listed(map(learning_rate, rates))
