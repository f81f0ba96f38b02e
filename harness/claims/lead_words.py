"""Say in words how leaders with fresh seeds compare with the reference, and with each other."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial

from harness import statistics
from harness.claims.base import gain, outcome, outcomes_between
from harness.claims.leads import Lead
from harness.metrics import Metric
from harness.observations.fresh import FreshRuns, by_item
from harness.text import interval, listed, number, plural
from harness.verdicts import Confirmed


def name_of(fresh: FreshRuns | Confirmed) -> str:
    """Return a leader in words: its main run and its place, or the reference."""
    if fresh.place == 0:
        return fresh.run or "the reference"
    return f"{fresh.run} (place {fresh.place})" if fresh.run else f"place {fresh.place}"


def first_line(one: Confirmed, metric: Metric) -> str:
    """Say what the leader that was named before is worth, beside what the sweep made of it."""
    said = partial(outcome, metric=metric)
    if one.mean is None:
        return ""
    text = f"the leader of the sweep, named before: {name_of(one)}, {said(one.mean)} confirmed"
    if one.low is not None and one.high is not None:
        own = statistics.Estimate(one.mean, one.low, one.high, 0.95, one.seeds, "")
        text += f", {outcomes_between(own, metric)}"
    if one.measured is not None:
        text += f"; the sweep had measured {said(one.measured)}"
    if one.after_selection is not None:
        text += f", {said(one.after_selection)} after selection"
    return text


def candidates_line(confirmed: Sequence[Confirmed], alpha: float) -> str:
    """Say which leaders may be the best."""
    may = [name_of(one) for one in confirmed if one.may_be_best]
    out = [name_of(one) for one in confirmed if one.may_be_best is False]
    if not out:
        return "any of the leaders may be the best"
    is_not = "is not" if len(out) == 1 else "are not"
    return (
        f"{listed(may, 'or')} may be the best, {listed(out)} {is_not}; whichever is truly best is "
        f"left out with a probability of at most {alpha:.2g}"
    )


def diverged_lines(reference: FreshRuns, leads: Sequence[Lead]) -> Iterable[str]:
    """Yield a line for each config of which runs diverged."""
    if reference.diverged:
        yield (
            f"the reference diverged with {reference.diverged} of "
            f"{plural(len(reference.outcomes), 'seed')}"
        )
    for lead in leads:
        if lead.fresh.diverged:
            of = plural(len(lead.fresh.outcomes), "seed")
            yield f"{name_of(lead.fresh)} diverged with {lead.fresh.diverged} of {of}"


def item_line(leader: FreshRuns, reference: FreshRuns, metric: Metric) -> str:
    """Say how a leader and the reference compare item by item; empty where nothing tells."""
    found = by_item(leader, reference)
    if found is None:
        return ""
    mean, n = found.mean, len(found.items)
    ends = sorted((metric.change(mean.low), metric.change(mean.high)))
    own = replace(mean, low=ends[0], high=ends[1])
    better, worse = (found.fell, found.rose) if metric.minimised else (found.rose, found.fell)
    gained = gain_text(metric.change(mean.value), metric)
    return (
        f"{name_of(leader)} item by item, means over seeds: better in {better} and worse in "
        f"{worse} of {plural(n, 'item')}, {gained} on average, "
        f"{interval(own)} for other items like these"
    )


def ruled_out(leads: Sequence[Lead], margin: float, metric: Metric) -> str:
    """Return what is ruled out of all leaders."""
    if all(lead.fresh.is_lost for lead in leads):
        return "no, all leaders diverged with every seed"
    if all(lead.alone.high < 0.0 for lead in leads):
        return f"no, all leaders are {metric.worsening.higher}"
    if any(lead.together.low > 0.0 for lead in leads):
        return f"no leader is ahead by the margin of {number(margin)}"
    return f"no gain as large as the margin of {number(margin)}"


def gain_text(difference: float, metric: Metric) -> str:
    """Return a lead in words, also where no seed tells it."""
    return gain(difference, metric) if math.isfinite(difference) else "with no difference known"
