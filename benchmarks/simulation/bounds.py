"""Ways to compare leaders with one reference by seed: how often each is wrong, and what it sees."""

from __future__ import annotations

import math

import numpy as np
from scipy import special

from .confirmations import NOISES, Trial
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


def shown(trial: Trial, sweeps: int, rng: Rng) -> dict[str, float]:
    """Return how often each bound shows a leader to be better than the reference."""
    k, n = len(trial.ahead), trial.seeds
    values = np.zeros((sweeps, k + 1, n))
    for place, lead in enumerate((0.0, *trial.ahead)):
        draw = trial.draws[min(place, len(trial.draws) - 1)]
        values[:, place] = lead + draw(rng, sweeps * n).reshape(sweeps, n)
    values += trial.shared * rng.normal(size=(sweeps, 1, n))
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
