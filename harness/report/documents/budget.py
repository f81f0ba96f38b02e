"""Say where the spread of results comes from, and what the next runs buy."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import TYPE_CHECKING

from harness.report.blocks import Block, Column, Shares, Table, Text
from harness.text import NONE, Digits, percent, plural

if TYPE_CHECKING:
    from harness.observations.budget import NoiseBudget, Source
    from harness.verdicts import Outlook, Purchase

NOTHING = 0.02
"""A gain of power below this is nothing."""

_LACKS = {
    "few results": "There are too few results to tell where their spread comes from.",
    "equal results": "The results are all equal: nothing spreads.",
}

_NEXT: Mapping[str, str] = {
    "seed": "more seeds or more configs make a mean surer, more evaluation items do not",
    "evaluation": "more evaluation items, or samples of each, make every result surer",
    "config": "configs differ by far more than their noise",
    "parameters": "configs differ by far more than their noise",
    "together": "a second seed of each config tells which of the two it is",
    "machine": "compare configs on one of them, or train each on all",
}


def source_name(source: Source, found: NoiseBudget) -> str:
    """Return a source in words."""
    alone = found.evaluation is not None
    names: dict[Source, str] = {
        "config": "config",
        "parameters": "parameters, added up",
        "seed": "seed" if alone else "seed and evaluation",
        "together": "seed, and parameters together",
        "evaluation": "evaluation",
        "machine": {"platform": "machine"}.get(found.kind or "", found.kind or "machine"),
    }
    if source == "together" and not found.modelled:
        return "config and seed" if alone else "config, seed and evaluation"
    if source == "together" and not alone:
        return "seed, evaluation, parameters together"
    return names[source]


def dominant_text(found: NoiseBudget) -> str:
    """Return the source that dominates, with its share and what follows; empty where none does."""
    source = found.dominating
    if source is None:
        return ""
    share = percent(found.shares[source])
    return f"{share} of the variance is {source_name(source, found)}: {_NEXT[source]}"


def _share(value: float | None) -> str:
    """Return a share as ``71%``; what is there is never 0%."""
    return "< 1%" if value is not None and 0.0 < value < 0.005 else percent(value)


def budget_blocks(
    found: NoiseBudget, outlook: Outlook | None, digits: Digits | None = None
) -> tuple[Block, ...]:
    """Return the sources of the spread as a table and a bar, and what the next runs buy."""
    if not found.parts:
        lack = found.lacks.get("config")
        return (Text(_LACKS[lack]),) if lack == "equal results" else ()
    digits = digits or Digits.of(one.value for one in found.parts.values())
    # An SD of 0 tells no digits; a small share of the variance may still be a tenth of the SD.
    digits = digits.enough_for(max(one.value for one in found.parts.values()) / 10)
    shares = found.shares
    columns = (
        Column("source", right=False),
        Column("SD"),
        Column(f"{found.level:.0%} interval", right=False),
        Column("share of variance"),
    )
    rows = [
        (
            source_name(source, found),
            digits.plain(one.value) if one.value else "0",
            digits.between(one.low, one.high, signed=False) if isfinite(one.high) else "not known",
            _share(shares.get(source)),
        )
        for source, one in found.parts.items()
    ]
    rows.append(("a single result", digits.plain(found.total), "", ""))
    bar = tuple((source_name(source, found), share) for source, share in shares.items())
    blocks: list[Block] = [Table(columns, tuple(rows)), Shares(bar), Text(_about(found))]
    if outlook is not None:
        blocks += outlook_blocks(outlook, found, digits)
    return tuple(blocks)


def _about(found: NoiseBudget) -> str:
    said = [f"{plural(found.runs, 'run')} of {plural(found.configurations, 'config')}."]
    if found.diverged:
        said.append(f"{plural(found.diverged, 'diverged run')} left out.")
    if found.lacks.get("config") == "one configuration":
        said.append("What configs do is not known from one.")
    if not found.repeats:
        said.append(
            "Seeds do not repeat, so that config and seed cannot be told apart: two seeds a config "
            "would tell."
        )
        if found.modelled:
            said.append(
                "What the parameters explain by adding up is the configs'; the rest bounds what "
                "seeds and evaluation do."
            )
    if found.evaluation is None:
        said.append("What sampling the evaluation does is not known: there are no standard errors.")
    else:
        said.append(
            "The evaluation is that of the standard errors; of it, runs on the same items share a "
            "part, so that it is at most this."
        )
    if found.lacks.get("machine") == "goes with configurations":
        kind = {"platform": "machine"}.get(found.kind or "", found.kind)
        said.append(f"Each {kind} has configs of its own: what it does is not told from theirs.")
    return " ".join(said)


# ---- what the next runs buy ----------------------------------------------------------------------


def outlook_blocks(outlook: Outlook, found: NoiseBudget, digits: Digits) -> list[Block]:
    """Return what the next runs buy, in a line or two and as a table."""
    if not outlook.purchases:
        return []
    best = outlook.most
    columns = [Column(f"the next {plural(outlook.runs, 'run')} as", right=False)]
    columns.append(Column("SD of a result"))
    columns += [Column(f"power of {best.question}", wrap=True)] if best else []
    now = ["none: as it is", digits.plain(outlook.sd), *([_power(best.now)] if best else [])]
    rows = [tuple(now)]
    for place, one in enumerate(outlook.purchases):
        cells = [_purchase(one, outlook), _range(*map(digits.plain, one.sd))]
        if best:
            known = best.after[place]
            cells.append(NONE if known is None else _range(*map(_power, known)))
        rows.append(tuple(cells))
    return [Text(outlook_text(outlook, found)), Table(tuple(columns), tuple(rows))]


def outlook_text(outlook: Outlook, found: NoiseBudget) -> str:
    """Return what the next runs bring to the question that gains most."""
    runs, best = f"With the next {plural(outlook.runs, 'run')}", outlook.most
    if best is None:
        return f"{runs} the SD of a result becomes as below.{_pairs_text(outlook)}"
    if best.most - best.now < NOTHING:
        return f"{runs}, no question is sure to gain power.{_pairs_text(outlook)}"
    known = [
        (one, power)
        for one, power in zip(outlook.purchases, best.after, strict=True)
        if power is not None
    ]
    trained = sorted((pair for pair in known if pair[0].runs), key=lambda pair: -pair[1][0])
    (first, gained), *others = trained
    said = [
        f"{runs}, {_purchase(first, outlook)} bring the power of {best.question} ({best.effect}) "
        f"from {_power(best.now)} to {_range(*map(_power, gained))}"
    ]
    said += [f"{_purchase(one, outlook)} to {_range(*map(_power, power))}" for one, power in others]
    items = [(one, power) for one, power in known if not one.runs]
    if items:
        most, power = items[-1]
        nothing = power[1] - best.now < NOTHING
        said.append(
            "more evaluation items bring nothing"
            if nothing
            else f"{_purchase(most, outlook)} to {_range(*map(_power, power))}"
        )
    text = f"{'; '.join(said)}."
    if any(power[1] - power[0] >= NOTHING for _, power in others):
        text += " Low end: none of the unexplained spread is the seeds'; high end: all of it."
    return text + _pairs_text(outlook)


def _pairs_text(outlook: Outlook) -> str:
    """Return what the runs bring to a question on pairs, where that is something."""
    gained = outlook.most_of_pairs
    if gained is None or gained.most - gained.now < NOTHING:
        return ""
    return (
        f" Spent on pairs with their arm, they bring {gained.question} ({gained.effect}) from "
        f"{_power(gained.now)} to {_power(gained.most)}."
    )


def _purchase(one: Purchase, outlook: Outlook) -> str:
    """Return a way to spend runs in words, as a plural."""
    more = one.configs - outlook.configs
    if one.kind == "configs":
        return f"{more} more configs" + (f" of {plural(one.seeds, 'seed')}" * (one.seeds > 1))
    if one.kind == "seeds":
        return f"{one.seeds} seeds a config"
    if one.kind == "deeper":
        return f"{more} more configs of {one.seeds} seeds"
    return f"{one.items:g} times the evaluation items"


def _power(power: float) -> str:
    """Return a power to two decimals, and never as 0 or 1."""
    return "> .99" if power > 0.995 else "< .01" if power < 0.005 else f"{power:.2f}".lstrip("0")


def _range(low: str, high: str) -> str:
    return low if low == high else f"{low}–{high}"
