"""How often each question's rule says ``supported`` where the claim is false, and where it is true.

Quick versions run always; those at size are marked slow. A rate may exceed α by 2.5 simulation
errors at most.
"""

import math

import numpy as np
import pytest

from harness import statistics
from harness.claims import (
    best_inside,
    lower_tail,
    mean_gain,
    no_worse,
    spread,
    still_improves,
    success_rate,
)
from harness.records import Baseline, Counts, Evaluation, Evidence
from tests.factories import make_arm, make_result, make_results

ALPHA = 0.05


def at_most_alpha(rate, simulations, alpha=ALPHA):
    return rate <= alpha + 2.5 * math.sqrt(alpha * (1 - alpha) / simulations)


def rate_of(verdict, claim, draw, simulations, seed=0):
    """The rate of a verdict over evidence drawn by ``draw(rng)``."""
    rng = np.random.default_rng(seed)
    found = [claim.judge("question", draw(rng)).verdict == verdict for _ in range(simulations)]
    return float(np.mean(found))


def skewed(rng, n):
    """Gains around zero with 15% collapsed runs, their mean taken off."""
    collapsed = rng.random(n) < 0.15
    return np.where(collapsed, -0.4, 0.05) + rng.normal(0, 0.03, n) + 0.15 * 0.4 - 0.85 * 0.05


def successes(share, n, rng):
    """Runs of which a share is clearly shown to improve, the others not to."""
    return np.where(rng.random(n) < share, 0.1, 0.0) + rng.normal(0, 0.001, n)


def versus(ours, theirs, **common):
    """Evidence of two samples; ``theirs`` may be counts."""
    if not isinstance(theirs, Counts):
        theirs = Baseline("broad", make_results(theirs, prefix="broad", curve=(), **common))
    runs = make_results(ours, curve=(), **common)
    return Evidence("focused", runs=runs, baseline=theirs, baseline_name="broad")


def curves(gains, rng):
    """Runs whose curve gains ``gains`` from step 50 to 100."""
    runs = []
    for index, gain in enumerate(gains):
        half = 0.12 + rng.normal(0, 0.05)
        points = [(0, 0.12), (50, half), (100, half + gain)]
        curve = tuple(Evaluation(step, perf, 0.01, perf) for step, perf in points)
        runs.append(make_result(id=f"s-{index}", delta=half + gain - 0.12, curve=curve))
    return Evidence("focused", runs=tuple(runs))


def responding(shape, noise, n=24, evenly=False):
    """A draw of runs along learning rates, ΔPerf ``shape(x)`` with noise of SD ``noise(x)``."""

    def draw(rng):
        x = np.linspace(0, 0.999, n) if evenly else rng.random(n)
        y = shape(x) + rng.normal(size=n) * noise(x)
        parameters = {"learning_rate": list(np.exp(x))}
        return Evidence("focused", runs=make_results(y, parameters=parameters, curve=()))

    return draw


def constant(value):
    return lambda x: np.full(x.size, value)


def matched(differences, rng):
    """Twelve pairs and more for each arm, reference minus arm as given [arms, pairs]."""
    reference = rng.normal(0.05, 0.05, differences.shape[1])
    main = make_results(reference, curve=())
    arm = ()
    for value, row in zip((4, 12), differences, strict=True):
        arm += make_arm("batch_size", main, reference - row, {"batch_size": value}, curve=())
    return Evidence("focused", runs=main, arms={"batch_size": arm})


HALF = success_rate.above(0.5)
BETTER = success_rate.above_baseline()
PLATEAU = still_improves(since=50, margin=0.02)
INSIDE = best_inside("learning_rate", margin=0.02)
BATCH = no_worse("batch_size", 8, than=(4, 12), margin=0.02)
USELESS_BASELINE = Counts("published", 6, 19, "ΔPerf > 0", "a summary")

FALSE_CLAIMS = {
    # Half of the runs succeed, no more.
    "success_above_half": (HALF, lambda rng: versus(successes(0.5, 24, rng), ()), 250),
    # Nothing is learnt: ΔPerf is noise.
    "success_of_useless_runs": (HALF, lambda rng: versus(rng.normal(0, 0.01, 24), ()), 200),
    "success_vs_baseline": (
        BETTER,
        lambda rng: versus(successes(0.4, 24, rng), successes(0.4, 19, rng)),
        200,
    ),
    # The published baseline did worse than useless training, which is no credit to this sweep.
    "useless_vs_published": (
        BETTER,
        lambda rng: versus(rng.normal(0, 0.01, 24), USELESS_BASELINE),
        200,
    ),
    "useless_without_se": (
        BETTER,
        lambda rng: versus(rng.normal(0, 1, 24), rng.normal(-0.5, 1, 24), se=None),
        200,
    ),
    "variance": (
        spread.below_baseline(),
        lambda rng: versus(rng.normal(0.1, 0.05, 24), rng.normal(0, 0.05, 48)),
        200,
    ),
    "variance_skewed": (
        spread.below_baseline(),
        lambda rng: versus(skewed(rng, 24), skewed(rng, 48)),
        200,
    ),
    "plateau": (PLATEAU, lambda rng: curves(rng.normal(0, 0.03, 24), rng), 300),
    "flat": (INSIDE, responding(constant(0.0), constant(0.1)), 150),
    "slope": (INSIDE, responding(lambda x: 0.5 * x, constant(0.1)), 150),
    "rise_then_flat": (INSIDE, responding(lambda x: np.minimum(x, 0.5), constant(0.1)), 150),
    "cliff": (INSIDE, responding(lambda x: np.where(x > 0.7, -0.4, 0.0), constant(0.05)), 150),
    "noise_that_grows": (INSIDE, responding(constant(0.0), lambda x: 0.02 + 0.2 * x), 150),
    # One arm is better by exactly the margin.
    "batch_size": (
        BATCH,
        lambda rng: matched(rng.normal([[-0.02], [0.1]], 0.016, (2, 12)), rng),
        300,
    ),
}


LIBERAL = {
    # The pooled test of absolute deviations, with fewer runs on the side claimed to vary less:
    # .056 measured at 24 against 48 normal runs.
    "variance": 0.057,
}


@pytest.mark.parametrize("name", FALSE_CLAIMS)
def test_a_false_claim_is_seldom_supported(name):
    claim, draw, simulations = FALSE_CLAIMS[name]
    rate = rate_of("supported", claim, draw, simulations)
    assert at_most_alpha(rate, simulations), f"{name}: {rate}"


@pytest.mark.slow
@pytest.mark.parametrize("name", FALSE_CLAIMS)
def test_a_false_claim_is_seldom_supported_at_size(name):
    claim, draw, _ = FALSE_CLAIMS[name]
    rate = rate_of("supported", claim, draw, 4_000, seed=7)
    assert at_most_alpha(rate, 4_000, LIBERAL.get(name, ALPHA)), f"{name}: {rate}"


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (lambda rng: rng.normal(0, 0.05, 24), lambda rng: rng.normal(0, 0.05, 48)),
        (lambda rng: rng.normal(0, 0.02, 24), lambda rng: rng.normal(0, 0.08, 48)),
        (lambda rng: rng.normal(0, 0.08, 12), lambda rng: rng.normal(0, 0.02, 48)),
    ],
)
def test_equal_means_are_seldom_told_apart(ours, theirs):
    rng, simulations = np.random.default_rng(0), 1000
    found = [statistics.welch(ours(rng), theirs(rng)) for _ in range(simulations)]
    for side in ("p_greater", "p_less"):
        rate = float(np.mean([getattr(compared, side) <= ALPHA for compared in found]))
        assert at_most_alpha(rate, simulations), rate


EQUIVALENCE = {
    # (pairs, margin in standard deviations of a difference)
    "two_pairs": (2, 2.0),
    "six_pairs": (6, 1.0),
    "many_pairs": (24, 0.5),
    # The noise hides the margin: there the interval lies outside of it twice as often as α.
    "narrow_margin": (6, 0.05),
    "margin_of_an_error": (6, 0.4),
}


def equivalence_rates(pairs, margin, simulations, side=1.0, seed=0):
    """The rates of "within" and of "beyond" where the true mean lies exactly at the margin."""
    rng = np.random.default_rng(seed)
    found = [
        statistics.paired_equivalence(rng.normal(side * margin, 1.0, pairs), margin)
        for _ in range(simulations)
    ]
    return [
        float(np.mean([getattr(one, name) <= ALPHA for one in found]))
        for name in ("p_within", "p_beyond")
    ]


@pytest.mark.parametrize("side", [1.0, -1.0])
@pytest.mark.parametrize("name", EQUIVALENCE)
def test_a_difference_of_the_margin_is_seldom_called_less_or_more(name, side):
    rates = equivalence_rates(*EQUIVALENCE[name], 2_000, side)
    assert all(at_most_alpha(rate, 2_000) for rate in rates), rates


@pytest.mark.slow
@pytest.mark.parametrize("name", EQUIVALENCE)
def test_a_difference_of_the_margin_is_seldom_called_less_or_more_at_size(name):
    rates = equivalence_rates(*EQUIVALENCE[name], 8_000, seed=7)
    assert all(at_most_alpha(rate, 8_000) for rate in rates), rates


def test_an_interval_outside_of_a_narrow_margin_is_not_enough():
    """The reason why "beyond" is not read off the interval: at .098 it is α twice over."""
    rng, beyond = np.random.default_rng(0), 0
    for _ in range(1000):
        found = statistics.paired_equivalence(rng.normal(0.01, 1.0, 6), 0.01)
        beyond += found.low > 0.01 or found.high < -0.01
    assert not at_most_alpha(beyond / 1000, 1000)


def test_the_verdict_on_means_is_welchs():
    rng = np.random.default_rng(0)
    for _ in range(8):
        ours, theirs = rng.normal(0.03, 0.05, 24), rng.normal(0, 0.05, 48)
        verdict = mean_gain.above_baseline().judge("mean", versus(ours, theirs))
        assert (verdict.verdict == "supported") == (
            statistics.welch(ours, theirs).p_greater <= ALPHA
        )


def tail_rate(draw, simulations, resamples=499):
    rng = np.random.default_rng(0)
    found = [
        statistics.cvar_permutation(*draw(rng), rng, resamples=resamples).p_greater <= ALPHA
        for _ in range(simulations)
    ]
    return float(np.mean(found))


def equal_tails_unequal_spread(rng):
    """CVaR of the worst quarter of N(m, s) is m − 1.2711·s: equal here."""
    return rng.normal(0.1 * 1.2711, 0.1, 24), rng.normal(0.05 * 1.2711, 0.05, 48)


@pytest.mark.parametrize(
    ("draw", "limit"),
    [
        (lambda rng: (rng.normal(0, 0.05, 24), rng.normal(0, 0.05, 48)), ALPHA),
        (lambda rng: (skewed(rng, 24), skewed(rng, 48)), ALPHA),
        (lambda rng: (rng.normal(0, 1, 8), rng.normal(0, 1, 8)), ALPHA),
        # What the verdict prints beside itself: .07 to .08 where the spreads differ.
        (equal_tails_unequal_spread, 0.08),
    ],
)
def test_equal_tails_are_seldom_told_apart(draw, limit):
    rate = tail_rate(draw, 500)
    assert at_most_alpha(rate, 500, limit), rate


def test_a_better_tail_is_found():
    rng = np.random.default_rng(1)
    draw = lambda: versus(rng.normal(0.05, 0.02, 24), rng.normal(0, 0.08, 48))  # noqa: E731
    found = [lower_tail.above_baseline().judge("t", draw()).verdict for _ in range(20)]
    assert found.count("supported") >= 18


FALSE_REFUTATIONS = {
    # Half of the runs are shown to fail, no more.
    "success_above_half": (HALF, lambda rng: versus(successes(0.5, 24, rng), ()), 250),
    # No run improves by much, and none can be shown to fail: not shown is not shown not.
    "coarse_evaluation": (
        HALF,
        lambda rng: versus(rng.normal(0.03, 0.03, 24), (), se=0.03),
        200,
    ),
    # Perf does gain the margin.
    "plateau": (PLATEAU, lambda rng: curves(rng.normal(0.02, 0.03, 24), rng), 300),
    # Thirds differ by more than the margin, on average.
    "not_flat": (
        INSIDE,
        responding(lambda x: np.floor(3 * x) * 0.01, constant(0.01), n=48, evenly=True),
        100,
    ),
    "batch_size": (
        BATCH,
        lambda rng: matched(rng.normal([[-0.02], [-0.02]], 0.016, (2, 12)), rng),
        300,
    ),
}


@pytest.mark.parametrize("name", FALSE_REFUTATIONS)
def test_a_true_claim_is_seldom_refuted(name):
    claim, draw, simulations = FALSE_REFUTATIONS[name]
    rate = rate_of("refuted", claim, draw, simulations, seed=3)
    assert at_most_alpha(rate, simulations), f"{name}: {rate}"


def bracket_power(drop, n, simulations, seed=0):
    """Power at a quadratic response that falls by ``drop`` SDs from its centre to both ends."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(simulations):
        x = rng.random(n)
        y = -drop * (2 * (x - 0.5)) ** 2 + rng.normal(size=n)
        found.append(statistics.bracket(x, y, rng).p_value <= ALPHA)
    return float(np.mean(found))


@pytest.mark.parametrize(
    ("drop", "n", "power"), [(3, 24, 0.47), (4, 24, 0.61), (5.3, 24, 0.81), (4, 48, 0.98)]
)
def test_power_of_the_bracket_test(drop, n, power):
    simulations = 150 if n == 24 else 60
    error = math.sqrt(power * (1 - power) / simulations)
    assert bracket_power(drop, n, simulations) == pytest.approx(power, abs=3.5 * error)


@pytest.mark.slow
@pytest.mark.parametrize(("drop", "power"), [(3, 0.47), (4, 0.65), (5.3, 0.81)])
def test_power_of_the_bracket_test_at_size(drop, power):
    assert bracket_power(drop, 24, 3_000, seed=1) == pytest.approx(power, abs=0.04)


def test_power_of_the_success_rate():
    for share, power in ((0.7, 0.565), (0.8, 0.911)):
        rate = rate_of(
            "supported", HALF, lambda rng, share=share: versus(successes(share, 24, rng), ()), 150
        )
        assert rate == pytest.approx(power, abs=3.5 * math.sqrt(power * (1 - power) / 150))


def test_power_of_the_batch_size_arms():
    """Twelve pairs, no true difference, runs of SD .016: differences of SD .016·√2."""
    rate = rate_of(
        "supported",
        BATCH,
        lambda rng: matched(rng.normal(0, 0.016 * math.sqrt(2), (2, 12)), rng),
        200,
    )
    assert rate == pytest.approx(0.82, abs=0.1)
