"""How often an analysis finds what is not there: `python -m tests.analysis.rates` prints rates."""

from __future__ import annotations

from collections import Counter

import numpy as np

from tests import published_broad
from tests.analysis.analyses import analysis_of
from tests.factories import make_results

BEST = {"batch_size": 8, "generations": 16}
"""Parameters that may do something, and their better value."""

TRUTHS = (None, "collapsed", *BEST)
"""What there is: nothing, nothing with 15% collapsed runs, or a parameter that does something."""


def design(rng, n):
    """Columns of the broad space, drawn at random."""
    batch = rng.choice([4, 8, 12], n).tolist()
    schedule = rng.choice(["advanced", "cosine"], n).tolist()
    return {
        "learning_rate": np.exp(rng.uniform(np.log(1e-7), np.log(2e-6), n)).tolist(),
        "batch_size": batch,
        "generations": [int(rng.choice(published_broad.GENERATIONS[size])) for size in batch],
        "lr_schedule": schedule,
        "warmup_steps": [int(rng.choice(published_broad.WARMUPS[name])) for name in schedule],
        "entropy_coef": rng.choice(published_broad.ENTROPIES, n).tolist(),
    }


def rates(truth, simulations, n, seed):
    """The rates of any conclusion, effect and interaction that is not true, and of the true one."""
    rng, found = np.random.default_rng(seed), Counter()
    for _ in range(simulations):
        columns = design(rng, n)
        deltas = rng.normal(0, 0.1, n)
        if truth == "collapsed":
            deltas -= 0.4 * (rng.random(n) < 0.15)
        elif truth:
            deltas += 0.3 * (np.array(columns[truth]) == BEST[truth])
        results = make_results(deltas, parameters=columns, curve=(), se=None)
        one = analysis_of(results, seed=int(rng.integers(1 << 30)))
        evidence = {c.parameter for c in one.high.conclusions if c.standing == "evidence"}
        effects = {effect.parameter for effect in one.effects if effect.is_shown(one.alpha)}
        found["conclusion"] += bool(evidence - {truth})
        found["effect"] += bool(effects - {truth})
        found["interaction"] += bool(one.interactions.shown)
        found["true"] += truth in evidence
    wrong = {name: found[name] / simulations for name in ("conclusion", "effect", "interaction")}
    return wrong, found["true"] / simulations


if __name__ == "__main__":
    for truth in TRUTHS:
        print(truth, *rates(truth, 300, 48, seed=2))
