"""The chance that further runs decide what a sweep has left open.

References
----------
Dunn (1961), JASA 56:52 (several comparisons, each at α over their number); Cohen (1988),
"Statistical power analysis for the behavioral sciences", ch. 2.
"""

from __future__ import annotations

import math

import numpy as np
import scipy
from numpy.typing import ArrayLike

from harness.statistics.estimates import chunks
from harness.statistics.power import gain_power
from harness.statistics.values import as_values


def beats_power(
    leads: ArrayLike,
    n: int,
    rng: np.random.Generator,
    *,
    margin: float = 0.0,
    alpha: float = 0.05,
    simulations: int = 8_000,
) -> float:
    """Return the probability that some of k leaders is shown to be ahead of a reference.

    Each leader and the reference have ``n`` runs, with the same seeds. A leader is ahead by the
    one-sided paired t test over seeds at ``alpha``/k, where the upper bound at ``alpha`` is not
    below ``margin``. ``leads`` [k] are the true leads; both are in standard deviations of a run.
    The leaders are compared with the same runs of the reference, so that their tests rise and fall
    together; more than one is simulated.
    """
    true = as_values(leads, "leads")
    k = true.size
    if n < 2 or k == 0:
        return 0.0
    if k == 1:
        return gain_power(float(true[0]) / math.sqrt(2.0), n, margin / math.sqrt(2.0), alpha)
    lower, upper = (float(scipy.stats.t.isf(level, n - 1)) for level in (alpha / k, alpha))
    shown = 0
    for size in chunks(simulations, n * (k + 1)):
        reference = rng.standard_normal((size, 1, n))
        ahead = true[:, None] + rng.standard_normal((size, k, n)) - reference
        means, errors = ahead.mean(axis=2), ahead.std(axis=2, ddof=1) / math.sqrt(n)
        is_shown = (means > lower * errors) & (means + upper * errors >= margin)
        shown += int(is_shown.any(axis=1).sum())
    return shown / simulations


def sd_within(share: float, dof: int) -> float:
    """Return the probability that an estimated SD is off by at most ``share`` of the true one.

    The estimate has ``dof`` degrees of freedom: its square, over the true one, is χ²/dof.
    """
    if dof < 1:
        return 0.0
    low, high = (dof * (1.0 + sign * share) ** 2 for sign in (-1.0, 1.0))
    return float(scipy.stats.chi2.cdf(high, dof) - scipy.stats.chi2.cdf(low, dof))
