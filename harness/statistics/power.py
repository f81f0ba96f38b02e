"""The power of the tests, before there are data.

Each function gives the probability that a test rejects at a stated truth: exactly where the
distribution is known, else by simulating the test on samples drawn with the generator that is
given. Effects on means are in standard deviations. `runs_needed` searches the smallest sample.

References
----------
Cohen (1988), "Statistical power analysis for the behavioral sciences", ch. 2 (noncentral t);
Satterthwaite (1946), Biometrics Bull. 2:110; Boschloo (1970), Statistica Neerlandica 24:1; Brown &
Forsythe (1974), JASA 69:364; Berger (1982), Technometrics 24:295 (intersection–union); Schuirmann
(1987), J. Pharmacokinet. Biopharm. 15:657 (two one-sided tests); Hsu (1981), Ann. Stat. 9:1026.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache, partial

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray
from scipy import special

from harness.statistics.agreement import tails_shown_by_t
from harness.statistics.comparisons import MAX_TABLES, binomial_threshold
from harness.statistics.estimates import chunks, cvar_rows
from harness.statistics.permutation import studentised
from harness.statistics.response import bracket_p_values
from harness.statistics.values import FloatArray, as_values, check_rate

TARGET = 0.8
"""The power that a sample is usually planned for."""

_USUAL = 0.05
"""The level of a test that a guess of its size is made for."""

_CANDIDATES = 4_000
_RATES = np.linspace(0.0, 1.0, 401)
_QUANTILES = (np.arange(512) + 0.5) / 512


def size_to_decide(n: int, p_value: float, alpha: float = 0.05) -> int | None:
    """Return about how many observations decide a one-sided test that ``n`` of them left open.

    They reach ``alpha`` with the power `TARGET` if the effect is as large, in standard errors of
    one observation, as the ``p_value`` of the ``n`` suggests: a statistic that grows with √n then
    needs n·((z(1 − alpha) + z(TARGET)) / z(1 − p_value))², as in Cohen (1988), section 2.4. At
    least n + 1. None where the n point the other way.
    """
    z = -float(special.ndtri(p_value))
    if not z > 0.0:
        return None
    size = n * (float(special.ndtri(TARGET) - special.ndtri(alpha)) / z) ** 2
    return max(n + 1, math.ceil(size))


def partial_power(squares: float, columns: int, dof: int, alpha: float = 0.05) -> float:
    """Return the power of a partial F test of ``columns`` with ``dof`` residual degrees of freedom.

    ``squares`` is the noncentrality: the sum of squares that the effect adds to runs, in variances
    of a run (Cohen 1988, ch. 9).
    """
    beyond = float(special.fdtri(columns, dof, 1.0 - alpha))
    return float(1.0 - special.ncfdtr(columns, dof, squares, beyond))


def equivalence_margin(error: float, dof: int, alpha: float = 0.05) -> float:
    """Return the margin within which equal means are shown to agree with probability `TARGET`.

    ``error`` is the standard error of their difference. Two one-sided tests at ``alpha``
    (Schuirmann 1987).
    """
    quantiles = [float(scipy.stats.t.isf(p, max(1, dof))) for p in (alpha, (1.0 - TARGET) / 2.0)]
    return sum(quantiles) * error


def best_power(
    counts: ArrayLike, gain: float, rng: np.random.Generator, dof: int, *, alpha: float = 0.05
) -> float:
    """Return the probability that the best level is shown to be better than each other one.

    That levels differ must be shown too, by their F. ``counts`` [k] are the runs of the levels, or
    those that they are worth beside other parameters; one of them, each in turn, is better than all
    others by ``gain`` standard deviations of a run. Simulated.
    """
    n = as_values(counts, "counts")
    k, draws = n.size, 2_000
    beyond = float(scipy.stats.t.isf(alpha / (k - 1), max(1, dof)))
    noise = rng.standard_normal((draws, k)) / np.sqrt(n)
    spread = np.sqrt(rng.chisquare(max(1, dof), draws) / max(1, dof))
    best = np.arange(draws) % k
    means = noise + gain * (np.arange(k) == best[:, None])
    errors = np.sqrt(1.0 / n + 1.0 / n[best][:, None]) * spread[:, None]
    apart = (means[np.arange(draws), best][:, None] - means) / errors
    apart[np.arange(draws), best] = np.inf
    middle = (means * n).sum(axis=1, keepdims=True) / n.sum()
    f = (n * (means - middle) ** 2).sum(axis=1) / (k - 1) / spread**2
    differ = f > float(special.fdtri(k - 1, max(1, dof), 1.0 - alpha))
    return float(((apart.min(axis=1) > beyond) & differ).mean())


def runs_needed(
    power: Callable[[int], float],
    least: int = 2,
    most: int = 1_000,
    target: float = TARGET,
    *,
    start: int | None = None,
    every: bool = False,
) -> int | None:
    """Return the smallest n from ``least`` to ``most`` whose ``power(n)`` reaches ``target``.

    None where none does. n is guessed from ``start``, by a statistic that grows with √n, and then
    bracketed. Where power goes in teeth, as with counts, that n reaches the target and n − 1 does
    not, but a smaller one may. With ``every`` each n is tried in turn, which is exact.
    """
    if every:
        return next((n for n in range(least, most + 1) if power(n) >= target), None)

    def guess(n: int, reached: float) -> int:
        seen, wanted = (float(special.ndtri(min(max(p, 1e-3), 0.999))) for p in (reached, target))
        beyond = float(special.ndtri(1.0 - _USUAL))
        return math.ceil(n * ((beyond + wanted) / max(beyond + seen, 0.2)) ** 2)

    short, n = least - 1, min(max(least, start or least), most)
    reached = power(n)
    while reached < target:
        if n == most:
            return None
        short, n = n, min(max(guess(n, reached), n + max(1, n // 16)), 4 * n, most)
        reached = power(n)
    step = 1
    while n - short > 1:
        # Step from the last n towards the guess, by more each time: a guess that is off by little
        # is mended by small steps, and one that is far off in few.
        near = min(guess(n, reached), n - step) if step < n - short else (short + n) // 2
        middle = min(max(near, short + 1), n - 1)
        found = power(middle)
        if found < target:
            short = middle
        else:
            n, reached = middle, found
        step *= 2
    return n


def binomial_power(n: int, true_rate: float, rate: float = 0.5, alpha: float = 0.05) -> float:
    """Return the power of the exact one-sided binomial test that a rate is above ``rate``.

    Each of ``n`` runs is a success with probability ``true_rate`` (0 to 1). 0 where no count of
    successes shows it.
    """
    return at_least(binomial_threshold(n, rate, alpha), n, true_rate)


def at_least(successes: int | None, n: int, rate: float) -> float:
    """Return the probability of at least ``successes`` of ``n`` at a true ``rate``; 0 for None."""
    check_rate(rate)
    return 0.0 if successes is None else float(scipy.stats.binom.sf(successes - 1, n, rate))


def boschloo_power(
    n: int, true_rate: float, other_n: int, other_rate: float, alpha: float = 0.05
) -> float:
    """Return the power of Boschloo's one-sided test that the first rate is above the second.

    Of ``n`` runs with ``true_rate`` against ``other_n`` with ``other_rate`` (0 to 1), over every
    pair of counts.
    """
    check_rate(true_rate)
    check_rate(other_rate)
    if not (n and other_n):
        return 0.0
    enough = np.array(_boschloo_thresholds(n, other_n, alpha))
    shown = scipy.stats.binom.sf(enough - 1, n, true_rate)
    return float(scipy.stats.binom.pmf(np.arange(other_n + 1), other_n, other_rate) @ shown)


def boschloo_threshold(
    n: int, other_successes: int, other_n: int, alpha: float = 0.05
) -> int | None:
    """Return the fewest successes of ``n`` that Boschloo's test shows to be more than the others.

    The others had ``other_successes`` of ``other_n``. None where no count shows it.
    """
    if not (n and other_n):
        return None
    enough = _boschloo_thresholds(n, other_n, alpha)[other_successes]
    return enough if enough <= n else None


def welch_power(
    effect: float, n: int, other_n: int, sd_ratio: float = 1.0, alpha: float = 0.05
) -> float:
    """Return the power of Welch's one-sided t test at a mean that is higher by ``effect``.

    ``effect`` is in standard deviations of the others, ``sd_ratio`` the SD of the ``n`` values
    over that of the ``other_n``. By the noncentral t distribution at the degrees of freedom of the
    true variances (Satterthwaite).
    """
    if min(n, other_n) < 2:
        return 0.0
    parts = sd_ratio**2 / n, 1.0 / other_n
    error = math.sqrt(sum(parts))
    freedom = error**4 / (parts[0] ** 2 / (n - 1) + parts[1] ** 2 / (other_n - 1))
    return float(scipy.stats.nct.sf(scipy.stats.t.isf(alpha, freedom), freedom, effect / error))


def paired_power(effect: float, n: int, alpha: float = 0.05) -> float:
    """Return the power of the one-sided paired t test at a mean difference of ``effect`` SDs."""
    if n < 2:
        return 0.0
    critical = scipy.stats.t.isf(alpha, n - 1)
    return float(scipy.stats.nct.sf(critical, n - 1, effect * math.sqrt(n)))


def gain_power(
    effect: float, n: int, margin: float = 0.0, alpha: float = 0.05, *, several: int = 1
) -> float:
    """Return the probability that a mean gain is shown, and not shown to be below ``margin``.

    The interval [L, U] of Student's t at 1 − 2α of ``n`` gains then has L > 0 and U ≥ ``margin``.
    The true gain is ``effect``; both are in standard deviations of a gain. The distribution of the
    mean is integrated over that of the standard deviation. Where the gain is one of ``several``
    that are looked at together, L is that of an interval at 1 − 2α/several.
    """
    if n < 2:
        return 0.0
    deviations = np.sqrt(scipy.stats.chi2.ppf(_QUANTILES, n - 1) / (n - 1))
    above, below = (scipy.stats.t.isf(p, n - 1) for p in (alpha / several, alpha))
    error = deviations / math.sqrt(n)
    least = np.maximum(above * error, margin - below * error)
    return float(scipy.stats.norm.sf((least - effect) * math.sqrt(n)).mean())


def non_inferiority_power(
    margin: float,
    pairs: int,
    values: int,
    rng: np.random.Generator,
    *,
    alpha: float = 0.05,
    simulations: int = 8_000,
) -> float:
    """Return the probability that a reference is shown to be no worse than all of ``values`` arms.

    The values are truly equal, with ``pairs`` pairs for each arm, and all paired t tests must
    reject (intersection–union). ``margin`` is in standard deviations of a run, apart from what its
    pair shares with it: a difference then has √2 of them. The arms are paired with the same runs of
    the reference, so that their tests rise and fall together; more than one is simulated.
    """
    if pairs < 2:
        return 0.0
    if values == 1:
        return paired_power(margin / math.sqrt(2.0), pairs, alpha)
    critical = float(scipy.stats.t.isf(alpha, pairs - 1))
    shown = 0
    for size in chunks(simulations, pairs * (values + 1)):
        reference = rng.standard_normal((size, 1, pairs))
        differences = reference - rng.standard_normal((size, values, pairs))
        errors = differences.std(axis=2, ddof=1) / math.sqrt(pairs)
        reached = differences.mean(axis=2) + margin > critical * errors
        shown += int(reached.all(axis=1).sum())
    return shown / simulations


def brown_forsythe_power(
    sd_ratio: float,
    n: int,
    other_n: int,
    rng: np.random.Generator,
    *,
    alpha: float = 0.05,
    simulations: int = 4_000,
) -> float:
    """Return the power of the one-sided Brown–Forsythe test that ``n`` values vary less.

    Their SD is ``sd_ratio`` times that of the ``other_n``; both are normal. Simulated.
    """
    if min(n, other_n) < 2:
        return 0.0
    freedom = n + other_n - 2
    critical = scipy.stats.t.isf(alpha, freedom)
    shown = 0
    for size in chunks(simulations, n + other_n):
        ours = sd_ratio * rng.standard_normal((size, n))
        theirs = rng.standard_normal((size, other_n))
        one, two = (np.abs(x - np.median(x, axis=1, keepdims=True)) for x in (ours, theirs))
        squares = sum(x.var(axis=1) * x.shape[1] for x in (one, two))
        error = np.sqrt(squares / freedom * (1 / n + 1 / other_n))
        shown += int((two.mean(axis=1) - one.mean(axis=1) > critical * error).sum())
    return shown / simulations


def cvar_power(
    effect: float,
    n: int,
    other_n: int,
    rng: np.random.Generator,
    *,
    share: float = 0.25,
    alpha: float = 0.05,
    simulations: int = 1_000,
    resamples: int = 99,
) -> float:
    """Return the power of `compare_tails` where the worst ``share`` is better by ``effect``.

    ``n`` values against ``other_n``, both normal with an SD of 1, the first higher by ``effect``.
    Simulated; with 99 permutations of each sample in place of 4,999 the power is .02 too low at
    most.
    """
    if min(n, other_n) < 2:
        return 0.0
    tails = partial(cvar_rows, share=share)
    most, shown = math.floor(alpha * (resamples + 1) + 1e-9) - 1, 0
    for size in chunks(simulations, n + other_n):
        rows = rng.standard_normal((size, n + other_n))
        rows[:, :n] += effect
        # Both tests must agree: only what the t tests show is permuted, and only while it may.
        rows = rows[tails_shown_by_t(rows[:, :n], rows[:, n:], share, alpha)]
        seen, reached = studentised(rows, n, tails)[2], np.zeros(rows.shape[0], dtype=np.intp)
        for _ in range(resamples):
            reached += studentised(rng.permuted(rows, axis=1), n, tails)[2] >= seen
            left = reached <= most
            rows, seen, reached = rows[left], seen[left], reached[left]
        shown += rows.shape[0]
    return shown / simulations


def bracket_power(
    positions: ArrayLike,
    drop: float,
    rng: np.random.Generator,
    blocks: Sequence[Hashable] | None = None,
    *,
    alpha: float = 0.05,
    simulations: int = 1_000,
    resamples: int = 1_999,
) -> float:
    """Return the power of the bracket test at runs that lie at ``positions`` [n] of a range.

    Positions go from 0 to 1. The response is a parabola that falls by ``drop`` standard deviations
    of a run from the middle of the range to each end; the noise is normal. Simulated.
    """
    x = as_values(positions, "positions")
    outcomes = -drop * (2.0 * x - 1.0) ** 2 + rng.standard_normal((simulations, x.size))
    p_values = bracket_p_values(x, outcomes, rng, blocks, resamples)
    return float((p_values.max(axis=1) <= alpha).mean())


@lru_cache(maxsize=1024)
def _boschloo_thresholds(n: int, other_n: int, alpha: float) -> tuple[int, ...]:
    """Return for each count of the others [other_n + 1] the fewest successes of ``n`` that reject.

    n + 1 where none does. Boschloo's test takes Fisher's p value as its statistic. It rejects up to
    the largest one at which no true rate, the same on both sides, rejects more often than
    ``alpha``. Beyond the tables that `boschloo` takes exactly, it rejects where Fisher's test does.
    """
    fisher = _fisher(n, other_n)
    rejects = fisher <= alpha
    if n * other_n <= MAX_TABLES:
        rows, columns = np.nonzero(~rejects)
        order = np.argsort(fisher[rows, columns], kind="stable")[:_CANDIDATES]
        rows, columns = rows[order], columns[order]
        ours, theirs = (
            np.asarray(scipy.stats.binom.pmf(np.arange(size + 1)[:, None], size, _RATES))
            for size in (n, other_n)
        )
        surely = np.einsum("xg,xy,yg->g", ours, rejects.astype(np.float64), theirs, optimize=True)
        size = (surely + np.cumsum(ours[rows] * theirs[columns], axis=0)).max(axis=1)
        # Tables of equal p value are taken together: each counts as the last of them.
        p = fisher[rows, columns]
        last = np.searchsorted(p, p * (1 + 1e-9), side="right") - 1
        more = size[last] <= alpha
        rejects[rows[more], columns[more]] = True
    enough = np.where(rejects.any(axis=0), rejects.argmax(axis=0), n + 1)
    return tuple(int(count) for count in enough)


def _fisher(n: int, other_n: int) -> FloatArray:
    """Return Fisher's one-sided p value of every table [n + 1, other_n + 1]."""
    ours, theirs = np.arange(n + 1)[:, None], np.arange(other_n + 1)[None, :]
    logs = _log_choose(n, ours) + _log_choose(other_n, theirs)
    chance = np.exp(logs - _log_choose(n + other_n, ours + theirs))
    p = np.empty_like(chance)
    for total in range(n + other_n + 1):
        rows = np.arange(max(0, total - other_n), min(n, total) + 1)
        p[rows, total - rows] = np.cumsum(chance[rows, total - rows][::-1])[::-1]
    return p


def _log_choose(n: int, k: NDArray[np.intp]) -> FloatArray:
    return np.asarray(-np.log(n + 1.0) - special.betaln(n - k + 1.0, k + 1.0))
