"""What the runs of a table are judged by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.errors import UnclearTableError, UsageError
from harness.tables.asked import Asked
from harness.tables.cells import is_numeric
from harness.tables.columns import MEASURED, Columns, resolve
from harness.tables.naming import is_known, is_measured, is_minimised
from harness.tables.table import Table
from harness.tables.trackers import is_bookkeeping
from harness.verdicts import Metric


@dataclass(frozen=True, slots=True)
class Judged:
    """How the outcome of a run is read: ``sign`` · (``value`` − ``less``), so that more is better.

    ``value``, ``before`` and ``se`` are columns; ``less`` is what stands in the column ``before``,
    or else the number ``target``. ``perf_before`` and ``perf_after`` are columns of perf itself,
    where more of it is better, ``said`` says what was chosen.
    """

    metric: Metric
    value: str
    before: str | None = None
    target: float = 0.0
    se: str | None = None
    perf_before: str | None = None
    perf_after: str | None = None
    said: str = ""

    @property
    def sign(self) -> int:
        """−1 where less of the metric is better."""
        return -1 if self.metric.minimised else 1

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that runs are judged by."""
        known = (self.value, self.before, self.se, self.perf_before, self.perf_after)
        return tuple(dict.fromkeys(column for column in known if column is not None))


def choose(table: Table, columns: Columns, asked: Asked) -> Judged:
    """Return what the runs are judged by, as the user named it, or the column ``delta_perf``.

    Raises
    ------
    UsageError
        Where that cannot be known without asking.
    """
    if asked.metric is not None and (asked.before or asked.after):
        raise UsageError("--metric judges by one column, --before and --after by two: give either")
    if asked.target is not None and asked.metric is None:
        raise UsageError("--target is a value of the metric: name the metric's column by --metric")
    if asked.before or asked.after:
        return _change(table, columns, asked)
    delta = columns.roles.get("delta_perf")
    wanted = delta if asked.metric is None else _resolve(table, columns, asked.metric)
    if wanted is None:
        raise UnclearTableError(_nothing_to_judge(table, columns))
    if wanted == delta:
        return _delta_perf(columns, asked, wanted)
    return _plain(table, columns, asked, wanted)


def _change(table: Table, columns: Columns, asked: Asked) -> Judged:
    """Return the change from the column before to the column after."""
    if not (asked.before and asked.after):
        given, missing = ("before", "after") if asked.before else ("after", "before")
        raise UsageError(f"--{given} needs --{missing} COL beside it: a change has two ends")
    before, after = (_resolve(table, columns, name) for name in (asked.before, asked.after))
    if before == after:
        raise UsageError(f"--before and --after both name {after!r}: a change has two ends")
    name = columns.names[after]
    if asked.direction is None and is_minimised(name):
        raise UsageError(
            f"less of {name.bare} seems to be better: say --direction min, or --direction max if "
            "not"
        )
    minimised = asked.direction == "min"
    se = columns.roles.get("delta_perf_se")
    metric = Metric(f"{'−' if minimised else ''}Δ{name.bare}", "no change", minimised)
    return Judged(
        metric,
        after,
        before,
        se=se,
        perf_before=None if minimised else before,
        perf_after=None if minimised else after,
        said=f"outcome: {after} − {before}, {_better(minimised)}{_with(se)}",
    )


def _delta_perf(columns: Columns, asked: Asked, delta: str) -> Judged:
    """Return ΔPerf, or what it is ahead of the target."""
    minimised, roles = asked.direction == "min", columns.roles
    if asked.target is None:
        metric = Metric("−ΔPerf" if minimised else "ΔPerf", "no change", minimised)
    else:
        metric = Metric(_past("ΔPerf", asked.target, minimised), "target", minimised)
    se = roles.get("delta_perf_se")
    return Judged(
        metric,
        delta,
        target=asked.target or 0.0,
        se=se,
        perf_before=None if minimised else roles.get("perf_before"),
        perf_after=None if minimised else roles.get("perf_after"),
        said=f"outcome: ΔPerf, from {delta}{_against(asked)}, {_better(minimised)}{_with(se)}",
    )


def _plain(table: Table, columns: Columns, asked: Asked, wanted: str) -> Judged:
    """Return a plain final metric, or what it is ahead of the target."""
    name = columns.names[wanted]
    if asked.direction is None:
        raise UsageError(
            f"--metric {asked.metric}: say whether more or less of it is better, by "
            "--direction max or --direction min"
        )
    minimised = asked.direction == "min"
    beside = {f"{name.canonical}{end}" for end in ("_se", "_stderr", "_sem", ".se")}
    se = next((raw for raw, n in columns.names.items() if n.canonical in beside), None)
    if asked.target is None:
        metric = Metric(f"−{name.bare}" if minimised else name.bare, "arbitrary", minimised)
    else:
        metric = Metric(_past(name.bare, asked.target, minimised), "target", minimised)
    return Judged(
        metric,
        wanted,
        target=asked.target or 0.0,
        se=se,
        said=f"outcome: {wanted}{_against(asked)}, {_better(minimised)}{_with(se)}",
    )


def _resolve(table: Table, columns: Columns, wanted: str) -> str:
    return resolve(table, columns.names, wanted, MEASURED[1:])


def _nothing_to_judge(table: Table, columns: Columns) -> str:
    """Return what to ask where nothing says what runs are judged by."""
    roles, asks = columns.roles, "--metric COL --direction max|min, or --before COL --after COL"
    if "perf_before" in roles and "perf_after" in roles:
        asks = f"--before {roles['perf_before']} --after {roles['perf_after']}"
    found = _candidates(table, columns)
    some = ", ".join(found[:8]) + (f" and {len(found) - 8} more" if len(found) > 8 else "")
    return (
        f"{table.path.name} has no column delta_perf: say what its runs are judged by, by {asks}; "
        + (f"columns of numbers: {some}" if found else "it has no column of numbers")
    )


def _candidates(table: Table, columns: Columns) -> list[str]:
    """Return the columns of numbers that may be an outcome, the likeliest first."""
    ranked: Mapping[str, int] = {
        raw: 0
        if name.kind == "measurement" or is_measured(name) or raw.lower().startswith("value")
        else 2
        if is_known(name)
        else 1
        for raw, name in columns.names.items()
        if name.kind in MEASURED
        and (raw.lower() == "value" or not is_bookkeeping(name, columns.tracker))
        and raw not in (columns.run, columns.roles.get("seed"), columns.roles.get("steps"))
        and is_numeric(table.values(raw))
    }
    return sorted(ranked, key=lambda raw: ranked[raw])


def _past(name: str, target: float, minimised: bool) -> str:
    """Return how far past the target a metric is, in symbols."""
    sign = "+" if target < 0 else "−"
    text = f"{name} {sign} {abs(target):g}"
    return f"−({text})" if minimised else text


def _against(asked: Asked) -> str:
    return "" if asked.target is None else f" against the target {asked.target:g}"


def _better(minimised: bool) -> str:
    return "less is better" if minimised else "more is better"


def _with(se: str | None) -> str:
    return f"; standard errors from {se}" if se else ""
