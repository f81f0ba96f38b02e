"""Findings about the metric: that it does not move, is too coarse, or disagrees with others."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from harness import observations, statistics
from harness.audit.view import ALARM, View
from harness.metrics import DELTA_PERF, Metric
from harness.observations import FloatArray, Observations
from harness.records import Config, Result, finite
from harness.tables import notes
from harness.text import exact, first, plural, significant
from harness.verdicts import Baseline, Finding
from harness.words import canonical, direction

FAR = 40.0
"""Median absolute deviations from the median, scaled to those of a normal distribution.

Of 100 runs with Student's t of three degrees of freedom one lies beyond in 0.4% of sweeps."""

DISTINCT = 0.9
"""The share of values that differ where two equal ones are no coincidence."""

GAP = 3.0
"""A repeated extreme is far from the rest if it is this many times the width of the rest away."""

FEWEST_SPREAD = 5
"""The fewest values that tell what is far."""

NAMED = 3
"""The most runs that are named."""

FEWEST_EQUAL = 3
"""The fewest runs that seldom measure the very same perf before training, each by itself."""


def degenerate_metric(view: View) -> Iterator[Finding]:
    for whose, observed in _sides(view):
        if observed.is_degenerate:
            metric, n = view.evidence.metric, observed.delta.size
            value = exact(metric.level(float(observed.delta[0])), plus=metric.is_change)
            yield Finding(
                "degenerate_metric",
                "error",
                f"{metric.name} is {value} in {n} of {n} runs of {whose}: it measures "
                f"something that training does not change; look at how {metric.measure} is "
                "computed before anything else",
                brief=f"{metric.name} is the same in every run",
            )


def placebo_moved(view: View) -> Iterator[Finding]:
    """Find placebo runs that did not end where they started, where that is known."""
    metric = view.evidence.metric
    known = list(observations.moved_by(view.evidence.arms.get("placebo", ()), metric))
    moved = [metric.change(distance) for distance in known if distance != 0.0]
    if moved:
        worst = max(moved, key=abs)
        found = f"measure a {metric.name} other than 0 (up to {worst:+.3g}): before and after"
        if not metric.is_change:
            found = f"end with another {metric.name} than they began with (by up to {worst:+.3g}): "
            found += "the first point of the curve and the end"
        yield Finding(
            "placebo_moved",
            "error",
            f"{len(moved)} of {len(known)} placebo runs, trained with a learning rate of 0, "
            f"{found} are not evaluated alike, so no {metric.name} of this sweep can be trusted",
            brief="the placebo moved",
        )


def shared_before(view: View) -> Iterator[Finding]:
    """Find one measurement before training in the ΔPerf of every run.

    It is not recorded whether the evaluation is deterministic and so has no error to share.
    """
    if view.evidence.metric.zero != "no change":
        return
    for whose, observed in _sides(view):
        outcomes = [result.outcome for result in observed.completed]
        before = [o.perf_before for o in outcomes if finite(o.perf_before) is not None]
        n = len(outcomes)
        if len(before) < max(n, FEWEST_EQUAL) or observed.is_degenerate:
            continue
        if statistics.is_constant(np.array(before, dtype=np.float64)):
            yield Finding(
                "shared_before",
                "warning",
                f"perf before training is {before[0]:.4g} in {n} of {n} runs of {whose}: one "
                f"measurement, whose error is in every {view.metric} and does not average out over "
                "runs"
                + _shared_luck(observed, view.evidence.alpha)
                + "; measure perf before for each run, with sampling noise of its own (harmless "
                "where the evaluation is greedy, on fixed prompts)",
                brief="perf before training was measured once",
            )


def coarse_metric(view: View) -> Iterator[Finding]:
    """Say that one held-out item, or the noise of the evaluation, is too large for the margin.

    Without a margin nothing is too large; values that lie on no lattice tell of no item.
    """
    observed, evidence = view.observed, view.evidence
    margin = evidence.margin
    if margin is None or not margin > 0.0 or observed.is_degenerate or observed.delta.size < 2:
        return
    known = observed.prompts[np.isfinite(observed.prompts) & (observed.prompts > 0)]
    if known.size:
        worth, of = 1.0 / float(known.min()), f"of {int(known.min())} held-out items one"
    else:
        worth, of = statistics.lattice_step(observed.delta) or 0.0, "one held-out item"
        if evidence.metric != DELTA_PERF:
            of = f"one step of {view.metric}, whose values lie on a grid,"
    brief = "a coarse evaluation"
    if worth >= margin / 2:
        yield Finding(
            "coarse_metric",
            "warning",
            f"{of} is worth {_amount(worth, view)}, against a margin of "
            f"{_amount(margin, view)}: evaluate more items",
            brief=brief,
        )
    elif observed.se is not None:
        detectable = statistics.detectable_gain(observed.se)
        if detectable > evidence.min_gain > 0.0:
            yield Finding(
                "coarse_metric",
                "warning",
                f"the median run's evaluation detects gains from {_amount(detectable, view)} on "
                f"(2.8·SE), more than the {_amount(evidence.min_gain, view)} asked for: evaluate "
                "more items",
                brief=brief,
            )


def outlier(view: View) -> Iterator[Finding]:
    """Find runs whose value lies far from all others, or is an extreme that occurs exactly again.

    A few runs far beyond a heavy tail: more than `FAR` median absolute deviations from the median,
    of values above 0 on a logarithmic scale too. Many such runs are a group of their own, and none
    of them is a stray.
    """
    observed = view.observed
    metric = view.evidence.metric
    values = (-observed.delta if metric.minimised else observed.delta) + metric.target
    if observed.is_degenerate or values.size < FEWEST_SPREAD:
        return
    repeated = _repeated_extreme(values)
    if repeated is not None:
        yield _aborted(view, values, repeated)
    rest = np.ones(values.size, dtype=np.bool_) if repeated is None else ~repeated
    far = _far(values[rest])
    if far.any():
        runs = [run for run, inside in zip(observed.completed, rest, strict=True) if inside]
        yield _outlying(view, runs, values[rest], far)


def repeated_runs(view: View) -> Iterator[Finding]:
    """Find runs that repeat another one exactly, where results otherwise differ.

    Copied rows, or seeds that change nothing, count as if they were further measurements.
    """
    observed = view.observed
    alike: dict[tuple[Config, int], list[float]] = {}
    for run, value in zip(observed.completed, observed.delta.tolist(), strict=True):
        alike.setdefault((run.run.config, run.run.steps), []).append(value)
    counts = [Counter(values) for values in alike.values()]
    copies, distinct = len(observed.completed) - sum(map(len, counts)), np.unique(observed.delta)
    if not copies or distinct.size < max(FEWEST_SPREAD, DISTINCT * sum(map(len, counts))):
        return
    tied = sum(math.comb(count, 2) for of in counts for count in of.values())
    if tied <= 2 * (chance := _ties_by_chance(alike.values(), distinct)) + 3 * math.sqrt(chance):
        return
    verb = "repeats" if copies == 1 else "repeat"
    brief = f"{plural(copies, 'run')} {verb} another exactly"
    yield Finding(
        "repeated_runs",
        "warning",
        f"{brief}, with equal parameters and an equal {view.evidence.metric.name}: rows that "
        "were copied, or seeds that change nothing, are no further measurements, and p values and "
        "intervals that count them are too sure. Leave the copies out",
        brief=brief,
    )


def _ties_by_chance(groups: Iterable[Sequence[float]], distinct: FloatArray) -> float:
    """Return about how many pairs within ``groups`` of normal values tie because of rounding.

    ``distinct`` [k] are all values that differ, in order. Two normal values rounded to a step are
    equal with a probability of about 0.19 steps over their median absolute deviation.
    """
    several = [np.array(values) for values in groups if len(values) > 1]
    apart = np.concatenate([np.abs(values - np.median(values)) for values in several])
    apart = apart[apart > 0.0]
    if not apart.size:
        return 0.0
    pairs = sum(math.comb(values.size, 2) for values in several)
    return 0.19 * pairs * float(np.diff(distinct).min()) / float(np.median(apart))


def _repeated_extreme(values: FloatArray) -> NDArray[np.bool_] | None:
    """Return which of ``values`` [n] share an extreme value far from the rest; None without any.

    A value of exactly 0 needs no other: few metrics measure it, and aborted runs log it.
    """
    for end in (values.min(), values.max()):
        same = values == end
        rest = values[~same]
        again = int(same.sum()) >= (2 if end != 0.0 else 1)
        if not again or rest.size < max(FEWEST_SPREAD - 1, same.sum()):
            continue
        rest = rest[~_far(rest)]
        width, gap = float(rest.max() - rest.min()), float(np.abs(rest - end).min())
        if width > 0.0 and gap > GAP * width:
            return np.asarray(same)
    return None


def _far(values: FloatArray) -> NDArray[np.bool_]:
    """Return which of ``values`` [n] are strays: few, and far beyond a heavy tail."""
    far = _beyond(values)
    if (values > 0.0).all():
        far &= _beyond(np.log(values))
    return far if far.sum() <= max(1, values.size // 20) else np.zeros_like(far)


def _beyond(values: FloatArray) -> NDArray[np.bool_]:
    if values.size < FEWEST_SPREAD:
        return np.zeros(values.size, dtype=np.bool_)
    apart = np.abs(values - np.median(values))
    usual = 1.4826 * float(np.median(apart))
    # Few values have a small deviation by chance.
    return np.asarray((usual > 0.0) & (apart > FAR * (1 + 4 / values.size) * usual))


def _aborted(view: View, values: FloatArray, same: NDArray[np.bool_]) -> Finding:
    value, rest = float(values[same][0]), values[~same]
    low, high = significant(float(rest.min())), significant(float(rest.max()))
    leads = bool(view.observed.delta[same][0] == view.observed.delta.max())
    best = ", which rank best" if leads else ""
    best = best if same.sum() > 1 else best.replace("rank", "ranks")
    name, many = view.evidence.metric.name, plural(int(same.sum()), "run")
    return Finding(
        "outlier",
        "warning",
        f"{name} is exactly {significant(value)} in {many}{best}; the others lie from {low} to "
        f"{high}: were these aborted? Leave them out, or give them a status of failed",
        brief=f"{name} is exactly {significant(value)} in {many}",
    )


def _outlying(
    view: View, runs: Sequence[Result], values: FloatArray, far: NDArray[np.bool_]
) -> Finding:
    order = np.flatnonzero(far)[np.argsort(-np.abs(values[far] - np.median(values)))]
    told = [f"{runs[i].run.id} ({significant(float(values[i]))})" for i in order]
    near = values[~far]
    low, high = significant(float(near.min())), significant(float(near.max()))
    verb = "lies" if len(told) == 1 else "lie"
    return Finding(
        "outlier",
        "warning",
        f"{first(told, NAMED)} {verb} far from the other runs, whose "
        f"{view.evidence.metric.name} is {low} to {high}: ranks decide whether a parameter "
        "matters, but means, spreads and sizes of effects are those of the outlier",
        brief=f"{first(told, 1)} {verb} far off",
    )


def train_eval_divergence(view: View) -> Iterator[Finding]:
    pairs = [
        (train, float(delta))
        for result, delta in zip(view.observed.completed, view.observed.delta, strict=True)
        if (train := finite(result.outcome.train_delta_perf)) is not None
    ]
    if len(pairs) < 4:
        return
    train, held_out = np.array(pairs).T
    apart = statistics.paired(train - held_out)
    margin = 0.02 if view.evidence.margin is None else view.evidence.margin
    if abs(apart.estimate) > margin and min(apart.p_greater, apart.p_less) <= ALARM / 4:
        opposite = int((np.sign(train) * np.sign(held_out) < 0).sum())
        yield Finding(
            "train_eval_divergence",
            "warning",
            f"training reward changed by {train.mean():+.4g} on average, held-out perf by "
            f"{held_out.mean():+.4g}; in {opposite} of {len(pairs)} runs they have opposite signs: "
            "the reward of training batches is no measure of improvement",
            brief="training reward and held-out perf disagree",
        )


def against_the_name(view: View) -> Iterator[Finding]:
    """Find a declared metric that is judged the other way than its name says."""
    if view.declared_runs is not None:
        yield from declared_against_its_name(view.evidence.metric)


def declared_against_its_name(metric: Metric) -> Iterator[Finding]:
    """Yield a finding where a sweep declares a direction that is not that of its metric's name."""
    by_name = direction(canonical(metric.name))
    if metric.zero != "no change" and by_name not in (None, "min" if metric.minimised else "max"):
        yield notes.against_the_name(metric.name, metric.minimised, 'direction="{}"')


def _amount(value: float, view: View) -> str:
    """Return an amount of the metric: ΔPerf in points, another metric in its own unit."""
    if view.metric == DELTA_PERF.name:
        return f"{100 * value:.3g} points of perf"
    return f"{significant(value)} of {view.evidence.metric.name}"


def _sides(view: View) -> Iterator[tuple[str, Observations]]:
    """Yield the runs of the sweep and those of its baseline, with what they are called."""
    baseline = view.evidence.baseline
    yield "this sweep", view.observed
    if isinstance(baseline, Baseline):
        yield f"the baseline {baseline.name}", observations.observe(baseline.results)


def _shared_luck(observed: Observations, alpha: float) -> str:
    """Say how often useless runs that share a measurement before are shown to succeed.

    Where it is as noisy as those after, its place among n + 1 like measurements is as likely to be
    any, and so is the number of runs above it. With standard errors it takes more than ΔPerf > 0.
    """
    n = observed.total
    enough = statistics.binomial_threshold(n, alpha=alpha)
    if observed.rule != "above zero" or enough is None:
        return ""
    chance = (n + 1 - enough) / (n + 1)
    return f": {n} useless runs show more than 50% success with probability {chance:.2f}"
