"""Write what the leaders of a sweep are worth, trained again with fresh seeds."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.report.blocks import Column, Section, Table
from harness.report.documents.sweep_runs import config_columns
from harness.report.failures import short_of
from harness.report.model import Report
from harness.text import NONE, Digits, plural

if TYPE_CHECKING:
    from harness.verdicts import Confirmed

TITLE = "Confirmed with fresh seeds"


def confirmed_section(report: Report, digits: Digits) -> Section:
    """Return the reference and the leaders with what fresh seeds say of them; empty of others."""
    rows = report.confirmed
    if not rows:
        return Section(TITLE, ())
    metric = report.metric
    leaders = [one for one in rows if one.place]
    gains = _gains(rows, digits)
    columns = {
        Column("place", right=False): [str(one.place or "reference") for one in rows],
        Column("run", right=False): [short_of(one.run or "", report.sweep) for one in rows],
        Column(metric.name): [_level(one.mean, report, digits) for one in rows],
        Column("95% interval", right=False, drop=2): [_own(one, report, digits) for one in rows],
        Column("seeds"): [_seeds(one) for one in rows],
        Column("gain"): ["" if one.place == 0 else gains.signed(one.difference) for one in rows],
        Column("interval", right=False): [
            "" if one.place == 0 else _ends(gains, one.difference_low, one.difference_high)
            for one in rows
        ],
    }
    if len(leaders) > 1:
        columns[Column("best")] = [_may(one) for one in rows]
    columns[Column("sweep", drop=1)] = [_level(one.measured, report, digits) for one in rows]
    if any(one.after_selection is not None for one in rows):
        columns[Column("shrunk", drop=1)] = [
            _level(one.after_selection, report, digits) for one in rows
        ]
    configs = [one.config for one in rows]
    names = list(dict.fromkeys(name for config in configs for name in config))
    varied = [n for n in names if any(c.get(n) != configs[0].get(n) for c in configs)]
    settings = config_columns(configs, varied, report.lr_transfer)
    columns |= {replace(column, drop=3): cells for column, cells in settings.items()}
    table = Table(tuple(columns), tuple(zip(*columns.values(), strict=True)), _note(rows, report))
    return Section(TITLE, (table,))


def _note(rows: tuple[Confirmed, ...], report: Report) -> str:
    """Return what the columns say, and what may be relied on."""
    level = next((v.level for v in report.asked if v.confirmed and v.level is not None), None)
    together = "" if level is None else f" at {level:.0%}"
    leaders = sum(one.place > 0 for one in rows)
    said = [
        f"Means over fresh seeds. Gain: how far a leader is ahead of the reference, seed by "
        f"seed{', + is better' if report.metric.minimised else ''}; its interval{together}"
        + (" holds for all leaders together." if leaders > 1 else ".")
    ]
    if any(one.measured is not None for one in rows):
        left = any(one.after_selection is not None for one in rows)
        said.append(
            "Sweep: what the main runs had measured" + ("; shrunk: what was left." if left else ".")
        )
    if leaders > 1:
        said += [
            "Best: whether a leader may be the best of them.",
            "Place 1 led the sweep and was named before, so that its mean is unbiased. The highest "
            f"of {plural(leaders, 'mean')} is not: rely on the interval of its gain.",
        ]
    return " ".join(said)


def _level(value: float | None, report: Report, digits: Digits) -> str:
    return "" if value is None else digits.signed(report.metric.level(value))


def _own(one: Confirmed, report: Report, digits: Digits) -> str:
    if one.low is None or one.high is None:
        return ""
    return digits.between(*report.metric.ends(one.low, one.high))


def _ends(gains: Digits, low: float | None, high: float | None) -> str:
    ends = gains.between(low, high)
    return "" if ends == NONE else ends


def _gains(rows: tuple[Confirmed, ...], digits: Digits) -> Digits:
    """Return digits that write gains: with a sign, as many as outcomes have or as they need."""
    gains = Digits(digits.places, figures=digits.figures)
    for one in rows:
        if one.difference_low is not None and one.difference_high is not None:
            gains = gains.enough_for((one.difference_high - one.difference_low) / 2.0)
    return gains


def _seeds(one: Confirmed) -> str:
    """Return the number of seeds, and of how many if some diverged."""
    return f"{one.seeds} of {one.seeds + one.diverged}" if one.diverged else str(one.seeds)


def _may(one: Confirmed) -> str:
    return "" if one.may_be_best is None else "may be" if one.may_be_best else "no"
