"""How often `sweep gate` pages, with and without a fault, beside thresholds as projects use them.

    python benchmarks/gate_nights.py                 all tables, in some ten minutes on one core
    python benchmarks/gate_nights.py --only pages --trials 400

Five metrics a night, of which more is worse; a fault makes one of them worse by some SDs in all of
the last m nights. Beside the gate stand three rules that look at tonight alone: "worse than any
night before", "worse than mean + 3 SD", and Student's t of one new value at 1/200 over the number
of metrics. With a fault they count as paging if they do in any of the m nights.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats
from tabulate import tabulate

from harness.judging.gate import DECLINE, RESEMBLE
from harness.statistics import (
    ONE_IN,
    autocorrelation,
    rank_last,
    robust_z,
    slow_decline,
    usual_nights,
)

FloatArray = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], FloatArray]
"""From a generator and a number n of nights to their metrics [n, 5], of SD 1."""
Rule = Callable[[FloatArray, int], bool]
"""Says whether nights [n, 5] page, of which the last m may be faulty."""

METRICS = 5
Sizes = Sequence[tuple[int, int]]
SIZES: Sizes = ((10, 4), (20, 3), (40, 2), (80, 2))
"""Nights before, and how many last ones are judged together: what the verb chooses."""
SHIFTS = (2.0, 3.0, 4.0)


def normal(rng: np.random.Generator, n: int) -> FloatArray:
    return rng.standard_normal((n, METRICS))


def skewed(rng: np.random.Generator, n: int) -> FloatArray:
    return rng.exponential(size=(n, METRICS)) - 1.0


def heavy(rng: np.random.Generator, n: int) -> FloatArray:
    return rng.standard_t(3, (n, METRICS)) / math.sqrt(3.0)


def alike(rng: np.random.Generator, n: int) -> FloatArray:
    """Return metrics of which each two have a correlation of .8."""
    own, common = rng.standard_normal((n, METRICS)), rng.standard_normal((n, 1))
    return math.sqrt(0.8) * common + math.sqrt(0.2) * own


def accidents(rng: np.random.Generator, n: int) -> FloatArray:
    """Return normal metrics, in one night of twenty all worse by 8 SDs."""
    return normal(rng, n) + 8.0 * (rng.random((n, 1)) < 0.05)


def following(by: float) -> Draw:
    """Return nights of which each resembles the one before, with correlation ``by``."""

    def draw(rng: np.random.Generator, n: int) -> FloatArray:
        x = normal(rng, n)
        for night in range(1, n):
            x[night] = by * x[night - 1] + math.sqrt(1.0 - by**2) * x[night]
        return x

    return draw


NIGHTS: dict[str, Draw] = {
    "normal": normal,
    "skewed to the bad side": skewed,
    "t with 3 degrees": heavy,
    "correlated, .8": alike,
    "1 night in 20 far off": accidents,
}


# ---- rules --------------------------------------------------------------------------------------


def gate(x: FloatArray, m: int) -> bool:
    return rank_last(x, m).pages


def worst_seen(x: FloatArray, m: int) -> bool:
    return bool((x[-m:] > x[:-m].max(axis=0)).any())


def three_sds(x: FloatArray, m: int) -> bool:
    before = x[:-m]
    return bool((x[-m:] > before.mean(axis=0) + 3.0 * before.std(axis=0, ddof=1)).any())


def student(x: FloatArray, m: int) -> bool:
    before, k = x[:-m], len(x) - m
    error = before.std(axis=0, ddof=1) * math.sqrt(1.0 + 1.0 / k)
    limit = stats.t.isf(1.0 / ONE_IN / x.shape[1], k - 1)
    return bool((x[-m:] > before.mean(axis=0) + limit * error).any())


RULES: dict[str, Rule] = {
    "gate": gate,
    "worst seen": worst_seen,
    "mean + 3 SD": three_sds,
    "t, Bonferroni": student,
}


def rates(
    draw: Draw, k: int, m: int, shift: float, trials: int, rng: np.random.Generator
) -> list[float]:
    """Return how often each rule pages; without a shift the last night is judged alone."""
    pages = dict.fromkeys(RULES, 0)
    for trial in range(trials):
        x = draw(rng, k + m)
        x[-m:, trial % METRICS] += shift
        alone = np.concatenate([x[:k], x[-1:]])
        for name, rule in RULES.items():
            sees_all = name == "gate" or shift > 0.0
            pages[name] += rule(x, m) if sees_all else rule(alone, 1)
    return [count / trials for count in pages.values()]


# ---- other statistics of the same test ----------------------------------------------------------


def by_median(x: FloatArray) -> FloatArray:
    x = x - np.median(x, axis=0)
    return np.asarray(x / (1.4826 * np.median(np.abs(x), axis=0)))


def by_mean(x: FloatArray) -> FloatArray:
    return np.asarray((x - x.mean(axis=0)) / x.std(axis=0))


def by_rank(x: FloatArray) -> FloatArray:
    return np.asarray(special.ndtri((stats.rankdata(x, axis=0) - 0.5) / len(x)))


STATISTICS: dict[str, Callable[[FloatArray], FloatArray]] = {
    "the gate's": robust_z,
    "median deviation": by_median,
    "the same, cut at 3": lambda x: np.clip(by_median(x), -3.0, 3.0),
    "mean and SD": by_mean,
    "normal ranks": by_rank,
}


def by_statistic(
    draw: Draw, k: int, m: int, shift: float, trials: int, rng: np.random.Generator
) -> list[float]:
    """Return how often the exact test pages with each statistic."""
    chosen = np.array(list(combinations(range(k + m), m)))
    pages = dict.fromkeys(STATISTICS, 0)
    for trial in range(trials):
        x = draw(rng, k + m)
        x[-m:, trial % METRICS] += shift
        for name, statistic in STATISTICS.items():
            sums = statistic(x)[chosen].sum(axis=1).max(axis=1)
            pages[name] += int((sums >= sums[-1] - 1e-9).sum()) * ONE_IN <= len(chosen)
    return [count / trials for count in pages.values()]


# ---- tables -------------------------------------------------------------------------------------


def show(title: str, head: tuple[str, ...], rows: list[tuple[object, ...]], digits: int) -> None:
    print(f"\n{title}\n")
    print(tabulate(rows, head, tablefmt="github", floatfmt=f".{digits}f"), flush=True)


def pages(trials: int, rng: np.random.Generator, sizes: Sizes = SIZES) -> None:
    rows: list[tuple[object, ...]] = [
        (name, k, m, *(100.0 * rate for rate in rates(draw, k, m, 0.0, trials, rng)))
        for name, draw in NIGHTS.items()
        for k, m in sizes
    ]
    head = ("nights", "before", "together", *RULES)
    show("Pages in 100 unchanged nights", head, rows, 1)


def power(trials: int, rng: np.random.Generator, sizes: Sizes = SIZES) -> None:
    rows: list[tuple[object, ...]] = [
        (name, k, m, f"{shift:g}", *rates(draw, k, m, shift, trials, rng))
        for name, draw in NIGHTS.items()
        for k, m in sizes
        for shift in SHIFTS
    ]
    head = ("nights", "before", "together", "SDs", *RULES)
    show("Faults that page within the nights judged together", head, rows, 2)


def statistic(trials: int, rng: np.random.Generator, sizes: Sizes = SIZES) -> None:
    rows: list[tuple[object, ...]] = [
        (name, k, m, *by_statistic(draw, k, m, 3.0, trials, rng))
        for name, draw in NIGHTS.items()
        for k, m in sizes
    ]
    head = ("nights", "before", "together", *STATISTICS)
    show("A fault of 3 SDs, by the statistic", head, rows, 2)


def signs(trials: int, rng: np.random.Generator, sizes: Sizes = SIZES) -> None:
    """Show nights that resemble the ones before, and slow declines, with what is said of them."""
    rows: list[tuple[object, ...]] = []
    for by in (0.0, 0.2, 0.4, 0.6):
        for k, m in sizes:
            counts = [_said(following(by)(rng, k + m), m, rng) for _ in range(trials)]
            rows.append((f"{by:g}", k, m, *(100.0 * np.mean(counts, axis=0))))
    head = ("correlation", "before", "together", *SAID)
    show("Nights that resemble the ones before, in 100", head, rows, 1)
    rows = []
    for in_all in SHIFTS:
        for k, m in sizes:
            drift = np.linspace(0.0, in_all, k + m)[:, None] * (np.arange(METRICS) == 0)
            counts = [_said(normal(rng, k + m) + drift, m, rng) for _ in range(trials)]
            rows.append((f"{in_all:g}", k, m, *(100.0 * np.mean(counts, axis=0))))
    head = ("SDs in all", "before", "together", *SAID)
    show("One metric gets worse slowly, over all nights, in 100", head, rows, 1)


SAID = ("pages", "called not calibrated", "called declining")


def _said(x: FloatArray, m: int, rng: np.random.Generator) -> tuple[bool, bool, bool]:
    resembling, declining = autocorrelation(x[:-m], rng, 199), slow_decline(x, rng, 199)
    return rank_last(x, m).pages, resembling.p_value <= RESEMBLE, declining.p_value <= DECLINE


def year(trials: int, rng: np.random.Generator, _: Sizes = SIZES) -> None:
    """Show a year of nights, what pages left out of the history, as with ``--keep``."""
    rows: list[tuple[object, ...]] = []
    for name, draw in NIGHTS.items():
        unchanged, found, late = 0, list[float](), 0
        years = max(1, trials // 40)
        for _again in range(years):
            x = draw(rng, 22 + 365 + 30)
            x[-30:, 0] += 4.0
            history = list(x[:22])
            paged = [not _kept(history, night) for night in x[22:]]
            unchanged += sum(paged[:-30])
            found.append(paged[-30:].index(True) + 1 if any(paged[-30:]) else math.inf)
            late += sum(paged[-10:])
        rows.append((name, unchanged / years, f"{np.median(found):g}", late / years))
    head = ("nights", "pages in 365 nights", "first page on night", "pages on nights 21 to 30")
    show("A year of nights, then a fault of 4 SDs that stays", head, rows, 1)


def _kept(history: list[FloatArray], night: FloatArray) -> bool:
    """Judge a night, and add it to the history unless it pages."""
    x = np.array([*history, night])
    if rank_last(x, usual_nights(len(x))).pages:
        return False
    history.append(night)
    return True


TABLES = {"pages": pages, "power": power, "statistic": statistic, "signs": signs, "year": year}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--only", choices=TABLES, help="print this table alone")
    options.add_argument(
        "--sizes",
        type=_size,
        nargs="+",
        default=SIZES,
        metavar="KxM",
        help="nights before and together, as 40x3 (default: what the verb chooses at 10 to 80)",
    )
    options.add_argument("--trials", type=int, default=2000, help="trials of each row")
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    for number, (name, table) in enumerate(TABLES.items()):
        if given.only in (None, name):
            table(given.trials, np.random.default_rng([given.seed, number]), given.sizes)


def _size(text: str) -> tuple[int, int]:
    before, together = text.split("x")
    return int(before), int(together)


if __name__ == "__main__":
    main()
