"""A sweep in which there is nothing to find, and what tests ask of findings."""

import numpy as np

from harness.claims import best_inside, no_worse, still_improves, success_rate
from tests.factories import (
    make_evidence,
    make_result,
)

QUESTIONS = {
    "success_above_half": success_rate.above(0.5),
    "plateau": still_improves(since=50, margin=0.02),
    "lr_sweet_spot": best_inside("learning_rate"),
    "batch_size": no_worse("batch_size", 8, than=(4, 12), margin=0.02),
}


def clean_parameters(rng, n):
    """Independent draws, as of a random space."""
    return {
        "learning_rate": np.exp(rng.uniform(np.log(8e-8), np.log(4e-7), n)).tolist(),
        "batch_size": rng.choice([4, 8, 12], n).tolist(),
        "generations": rng.choice([16, 24, 32], n).tolist(),
        "lr_schedule": rng.choice(["advanced", "cosine"], n).tolist(),
        "entropy_coef": rng.choice([0.001, 0.002, 0.005], n).tolist(),
    }


def clean(rng, n=24, **fields):
    runs = tuple(
        make_result(
            id=f"s-{index}",
            delta=float(delta),
            before=float(rng.normal(0.12, 0.01)),
            config={k: v[index] for k, v in parameters.items()},
            train_delta_perf=float(delta + rng.normal(0, 0.03)),
            curve=(),
        )
        for parameters in [clean_parameters(rng, n)]
        for index, delta in enumerate(rng.normal(0.05, 0.05, n))
    )
    return make_evidence(runs=runs, **fields)


def codes(findings):
    return [finding.code for finding in findings]


def only(code, findings):
    found = [finding for finding in findings if finding.code == code]
    assert len(found) == 1, findings
    return found[0]
