"""All that is simulated, by table, and how it is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from harness.audit import CODES

from . import audits, best_values, comparisons, families, ordinary, parameters, singles, useless
from .cells import ALPHA, Cell, Measured

TABLES: dict[str, Callable[[], Iterator[Cell]]] = {
    "success_above_half": singles.success_above_half,
    "success_vs_baseline": comparisons.success_vs_baseline,
    "mean_vs_baseline": comparisons.mean_vs_baseline,
    "variance_vs_baseline": comparisons.variance_vs_baseline,
    "lower_tail_vs_baseline": comparisons.lower_tail_vs_baseline,
    "plateau": singles.plateau,
    "lr_sweet_spot": singles.lr_sweet_spot,
    "batch_size": singles.batch_size,
    "gain_over_null": useless.gain_over_null,
    "matters": parameters.matters_x,
    "best_value": best_values.best_x,
    "parameter_intervals": best_values.parameter_intervals,
    "holm": families.holm,
    "parameters_together": best_values.parameters_together,
    "one_at_a_time": parameters.one_at_a_time,
    "ordinary": ordinary.alone,
    "audit_clean": audits.clean,
    "audit_dirty": audits.dirty,
}

HEADINGS = {
    "holm": "All eight questions at once",
    "parameter_intervals": "How large the effect of a parameter is",
    "parameters_together": "All parameters of a table at once",
    "one_at_a_time": "A parameter beside the others, and by itself",
    "ordinary": "The ordinary tests by themselves",
    "audit_clean": "The audit on clean designs",
    "audit_dirty": "The audit where something is amiss",
}

PLAIN = {
    "audit_dirty": "found, of",
    "ordinary": "all together, the ordinary one alone",
    "one_at_a_time": "found beside the others, by itself",
}
"""The titles of tables that have neither errors nor power."""

SIGNS = {
    "supported": "s",
    "refuted": "r",
    "difference": "d",
    "level": "m",
    "rises": "u",
    "falls": "f",
}
"""What an entry begins with, where it has several rates."""

Found = Mapping[Cell, Measured]


def cells(tables: Iterable[str] = TABLES) -> list[Cell]:
    """Return the cells of ``tables``, in their order."""
    return [cell for name in tables for cell in TABLES[name]()]


def written(table: str, found: Found) -> str:
    """Return a table in Markdown, under its heading; ``found`` are all of its cells."""
    parts = [f"### {HEADINGS.get(table, table)}"]
    if table == "audit_clean":
        parts.append(_clean(found))
    elif table in PLAIN:
        parts.append(_grid(found, PLAIN[table], _shown))
    else:
        wrong = {cell: one for cell, one in found.items() if cell.wrong}
        power = {cell: one for cell, one in found.items() if not cell.wrong}
        parts.append(_grid(wrong, "wrong verdicts where", _errors))
        if power:
            parts.append(_grid(power, "right verdicts where", _shown))
    return "\n\n".join(parts)


def liberal(found: Found) -> list[str]:
    """Return a line on each rate that is above α by more than two simulation errors."""
    return [
        f"{cell.key}: {name} {_rate(one.rate(name))}"
        + (" (known)" if cell.limit is not None else "")
        for cell, one in found.items()
        for name in cell.wrong
        if one.above(name)
    ]


def _grid(found: Found, title: str, entry: Callable[[Cell, Measured], str]) -> str:
    columns = sorted({cell.column for cell in found}, key=_by_size)
    rows: dict[str, dict[str, str]] = {}
    for cell, one in found.items():
        rows.setdefault(cell.row, {})[cell.column] = entry(cell, one)
    return _markdown(
        [title, *columns],
        [[row, *(entries.get(c, "") for c in columns)] for row, entries in rows.items()],
    )


def _errors(cell: Cell, one: Measured) -> str:
    return " ".join(
        [
            *(_marked(one, name, first=len(cell.wrong) > 1) for name in cell.wrong),
            *(f"({_rate(one.rate(name))})" for name in cell.shown),
        ]
    )


def _shown(cell: Cell, one: Measured) -> str:
    return " ".join(_rate(one.rate(name)) for name in cell.shown)


def _marked(one: Measured, name: str, *, first: bool) -> str:
    sign = SIGNS.get(name, "") if first else ""
    text = f"{sign}{_rate(one.rate(name))}"
    return f"**{text}**" if one.above(name) else text


def _clean(found: Found) -> str:
    columns = sorted({cell.column for cell in found}, key=_by_size)
    by_place = {(cell.row, cell.column): one for cell, one in found.items()}
    rows = []
    for row in dict.fromkeys(cell.row for cell in found):
        for code in (*CODES, "any"):
            measured = [by_place[row, column] for column in columns]
            if code == "any" or any(one.counts[code] for one in measured):
                texts = [
                    _rate(one.rate(code)) if code == "any" else _marked(one, code, first=False)
                    for one in measured
                ]
                rows.append([row, f"`{code}`" if code != "any" else "any code", *texts])
    return _markdown(["design", "code", *columns], rows)


def _rate(rate: float) -> str:
    text = f"{rate:.3f}"
    return text if text.startswith("1") else text[1:]


def _by_size(column: str) -> tuple[int, ...]:
    return tuple(int(part) for part in column.split("/"))


def _markdown(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] + ["---:"] * (len(heads) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


__all__ = ["ALPHA", "TABLES", "cells", "liberal", "written"]
