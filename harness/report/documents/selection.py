"""Say what the best run is worth after it was chosen among others, and how that is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from harness.metrics import Metric
from harness.observations.selection import Noise, Selection, Worth
from harness.report.blocks import Block, Column, Table, Text
from harness.report.failures import short_id
from harness.text import NONE, Digits, plural, verdict_numbers

if TYPE_CHECKING:
    from harness.records import Result

MOST_LEADERS = 10
"""The most high performers that are listed."""

KNOWN_FROM: Mapping[Noise, str] = {
    "seeds": "the seeds of a config, whose mean counts: seeds and evaluation are both in it",
    "standard errors": (
        "standard errors, of the evaluation alone: what another seed would change is left out, so "
        "that more of it may be luck"
    ),
    "residual": (
        "what the parameters, added up, leave unexplained: seeds and evaluation are in it, and so "
        "is what parameters do together"
    ),
}
"""Where the noise of a run is known from, and what that leaves out."""

UNKNOWN = "no standard errors, no seeds, and too few runs to tell noise from effects"
MISSING = "its standard error is missing"


def best_text(found: Selection, metric: Metric) -> str:
    """Return the best run with its value, and in brief what is left of that after selection.

    ``focused-02 (ΔPerf +0.031; +0.016 after selection, −0.015 to +0.060; the best with probability
    0.40)``. Empty where there is no run.
    """
    if found.top is None:
        return ""
    name = f"{metric.name} {_numbers(found, metric)[0]}"
    if found.lack == "one result":
        return f"{found.top.run.id} ({name})"
    return f"{found.top.run.id} ({name}; {_left(found, metric, in_brief=True)})"


def best_noun(found: Selection) -> str:
    """Return what the best is called: a run, or a config with several seeds."""
    return "config" if found.top is not None and found.top.repeats else "run"


def _left(found: Selection, metric: Metric, *, in_brief: bool) -> str:
    """Return what is left of the best after selection, or why that cannot be said."""
    worth = _of_best(found)
    if worth is None:
        return f"how much of it is luck cannot be said: {UNKNOWN if found.lack else MISSING}"
    _, shrunk, ends = _numbers(found, metric)
    interval = "" if in_brief else f"{found.level:.0%} interval "
    return (
        f"{shrunk} after selection, {interval}{ends}; the best with probability "
        f"{probability(worth.best)}"
    )


def _of_best(found: Selection) -> Worth | None:
    return None if found.top is None else found.of.get(found.top.run.id)


def _numbers(found: Selection, metric: Metric) -> tuple[str, str, str]:
    """Return the best run's value, what is left of it, and its interval, as the metric has them."""
    outcome = found.top.outcome.delta_perf if found.top else None
    assert outcome is not None
    value, worth = metric.level(outcome), _of_best(found)
    if worth is None or worth.low is None or worth.high is None:
        return verdict_numbers(value, None, None, signed=metric.is_change)[0], NONE, NONE
    low, high = metric.ends(worth.low, worth.high)
    shrunk, ends = verdict_numbers(metric.level(worth.shrunk), low, high, signed=metric.is_change)
    return verdict_numbers(value, low, high, signed=metric.is_change)[0], shrunk, ends


def probability(p: float) -> str:
    """Return a probability to two decimals, and never as 0 or 1."""
    return "< 0.01" if p < 0.005 else "> 0.99" if p >= 0.995 else f"{p:.2f}"


def selection_columns(
    results: Sequence[Result], found: Selection, metric: Metric, digits: Digits
) -> dict[Column, list[str]]:
    """Return columns of what results are worth after selection; none where that is not known."""
    if found.noise is None:
        return {}
    worth = [found.of.get(result.run.id) for result in results]
    return {
        Column("shrunk"): [
            "" if one is None else digits.signed(metric.level(one.shrunk)) for one in worth
        ],
        Column("P(best)", drop=1): ["" if one is None else probability(one.best) for one in worth],
    }


def selection_blocks(
    found: Selection, metric: Metric, *, confirmed: bool = False
) -> tuple[Block, ...]:
    """Say what is left of the best run after selection, and where its noise is known from.

    ``confirmed`` says that fresh seeds of the leaders are told of elsewhere.
    """
    if found.top is None or found.lack in ("one result", "equal results"):
        return ()
    noun = best_noun(found)
    said = [
        f"The best of {plural(found.count, noun)} looks better than it is. {short_id(found.top)} "
        f"has {metric.name} {_numbers(found, metric)[0]}; {_left(found, metric, in_brief=False)}."
    ]
    if found.noise is not None:
        said += [
            f"Shrunk: what is left of {metric.name}, by empirical Bayes over the {noun}s. "
            f"P(best): the probability to be truly the best.",
            f"The noise is known from {KNOWN_FROM[found.noise]}.",
        ]
        if found.lacking:
            have = "has" if found.lacking == 1 else "have"
            said.append(
                f"{plural(found.lacking, noun)} {have} no standard error, and could have been "
                "chosen: the largest of the others stands in."
            )
    if not confirmed:
        said.append("Only fresh seeds of the leaders tell without bias what they are worth.")
    return (Text(" ".join(said)),)


def leader_blocks(
    leaders: Sequence[Result], found: Selection, metric: Metric, digits: Digits
) -> tuple[Block, ...]:
    """List the high performers, best first, with what is left of each after selection."""
    shown = list(leaders[:MOST_LEADERS])
    if not shown or found.noise is None:
        return selection_blocks(found, metric)
    levels = [metric.level(result.outcome.delta_perf or 0.0) for result in shown]
    worth = [found.of.get(result.run.id) for result in shown]
    ends = [
        "" if one is None or one.low is None or one.high is None
        else digits.between(*metric.ends(one.low, one.high))
        for one in worth
    ]  # fmt: skip
    columns = {
        Column("high performer", right=False): [short_id(result) for result in shown],
        Column(metric.name): [digits.signed(level) for level in levels],
        Column("shrunk"): [],
        Column(f"{found.level:.0%} interval", right=False): ends,
    } | selection_columns(shown, found, metric, digits)
    more = len(leaders) - len(shown)
    note = f"The best {len(shown)} of {len(leaders)}; --json has all." if more else ""
    table = Table(tuple(columns), tuple(zip(*columns.values(), strict=True)), note=note)
    return (table, *selection_blocks(found, metric))
