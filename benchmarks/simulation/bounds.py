"""Ways to compare leaders with one reference by seed: how often each is wrong, and what it sees.

All sweeps are drawn and judged at once, where no run diverges. `by_rule` is the rule of the claim
`winner.beats` so, of which a test compares the two sweep by sweep.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from .confirmations import NOISES, Trial, looks_of
from .selections import FloatArray, Rng

ALPHA = 0.05
BOUNDS = ("Bonferroni", "Šidák", "one by one", "Dunnett, pooled")
"""Student's t of each difference by itself at three bounds, and Dunnett's with one variance."""

_DRAWS = 200_000


def trials(seeds: int, leaders: int = 3) -> list[Trial]:
    """Return the trials that the bounds are compared on: nothing better, and one ahead by 2 SDs."""
    chosen = [one for one in NOISES if not one[3]][:6]
    equal = [Trial(n, (0.0,) * leaders, seeds, draws, shared) for n, draws, shared, _ in chosen]
    ahead = [
        Trial(f"{n}, one ahead by 2 SD", (2.0, *(0.0,) * (leaders - 1)), seeds, draws, shared)
        for n, draws, shared, _ in (chosen[0], chosen[2])
    ]
    return [*equal, *ahead]


def draw(trial: Trial, sweeps: int, rng: Rng) -> FloatArray:
    """Return outcomes [sweeps, places, seeds], the reference first."""
    values = np.zeros((sweeps, len(trial.ahead) + 1, trial.seeds))
    for place, lead in enumerate((0.0, *trial.ahead)):
        noise = trial.draws[min(place, len(trial.draws) - 1)](rng, sweeps * trial.seeds)
        values[:, place] = lead + noise.reshape(sweeps, trial.seeds)
    return values + trial.shared * rng.normal(size=(sweeps, 1, trial.seeds))


def by_rule(values: FloatArray, alpha: float = ALPHA, margin: float = 0.0) -> FloatArray:
    """Return 1 for each of ``values`` [sweeps, places, seeds] where the claim is supported.

    −1 where it is refuted, and 0 where it is neither.
    """
    apart = values[:, 1:] - values[:, :1]
    k, n = apart.shape[1:]
    means, errors = apart.mean(axis=2), apart.std(axis=2, ddof=1) / math.sqrt(n)
    above, below = special.stdtrit(n - 1, 1.0 - np.array([alpha / k, alpha]))
    high = means + below * errors
    supported = ((means - above * errors > 0.0) & (high >= margin)).any(axis=1)
    return np.where(supported, 1.0, np.where((high < margin).all(axis=1), -1.0, 0.0))


@dataclass(frozen=True)
class Power:
    """How often the claim is supported, at the end and at looks, and the seeds these need."""

    supported: float
    early: float
    taken: float


def power(trial: Trial, sweeps: int, rng: Rng) -> Power:
    """Return how often the claim on the winner is supported."""
    values = draw(trial, sweeps, rng)
    at, levels = looks_of(trial)
    said, taken = np.zeros(sweeps), np.full(sweeps, float(at[-1]))
    for look, level in zip(at, levels, strict=True):
        found, is_open = by_rule(values[:, :, :look], level), said == 0.0
        taken[is_open & (found != 0.0)] = look
        said[is_open] = found[is_open]
    once = (by_rule(values) > 0.0).mean()
    return Power(float(once), float((said > 0.0).mean()), float(taken.mean()))


def shown(trial: Trial, sweeps: int, rng: Rng) -> dict[str, float]:
    """Return how often each bound shows a leader to be better than the reference."""
    values, k, n = draw(trial, sweeps, rng), len(trial.ahead), trial.seeds
    apart = values[:, 1:] - values[:, :1]
    means = apart.mean(axis=2)
    alone = (means / apart.std(axis=2, ddof=1) * math.sqrt(n)).max(axis=1)
    rest = values - values.mean(axis=2, keepdims=True) - values.mean(axis=1, keepdims=True)
    rest += values.mean(axis=(1, 2), keepdims=True)
    error = np.sqrt(2.0 / n * (rest**2).sum(axis=(1, 2)) / (k * (n - 1)))
    pooled = (means / error[:, None]).max(axis=1)
    bonferroni, sidak, single = special.stdtrit(
        n - 1, 1.0 - np.array([ALPHA / k, 1.0 - (1.0 - ALPHA) ** (1.0 / k), ALPHA])
    )
    over = (alone > bonferroni, alone > sidak, alone > single, pooled > dunnett(k, k * (n - 1)))
    return {name: float(one.mean()) for name, one in zip(BOUNDS, over, strict=True)}


def dunnett(k: int, dof: int) -> float:
    """Return the one-sided bound of Dunnett (1955) for k groups as large as the control, drawn."""
    rng = np.random.default_rng(5)
    each: FloatArray = rng.normal(size=(_DRAWS, k))
    control: FloatArray = rng.normal(size=(_DRAWS, 1))
    spread = np.sqrt(rng.chisquare(dof, _DRAWS) / dof)
    return float(np.quantile((each - control).max(axis=1) / math.sqrt(2.0) / spread, 1.0 - ALPHA))
