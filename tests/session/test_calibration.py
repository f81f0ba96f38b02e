"""The runs of a range test."""

from harness import LogUniform, Sweep
from harness.judging.range_test import Limits
from harness.session.calibration import Ladder
from harness.sweeps.transfer import middle

SWEEP = Sweep(
    "small", runs=4, steps=100, space=dict(learning_rate=LogUniform(1e-7, 1e-5), warmup_steps=20)
)


def test_runs_of_a_ladder_share_their_seed_and_others_have_fresh_ones():
    ladder = Ladder(SWEEP, middle(SWEEP), 25, 3, Limits(1e-6, 1e-8, 1e-2))
    low, high = ladder.run(1e-6), ladder.run(1e-5)
    fresh, second = (ladder.run(1e-5, fresh=n) for n in (1, 2))
    assert low.seed == high.seed
    assert len({low.seed, fresh.seed, second.seed}) == 3
    assert (low.config["learning_rate"], high.config["learning_rate"]) == (1e-6, 1e-5)
    assert low.config.without("learning_rate") == fresh.config.without("learning_rate")
    assert len({low.id, high.id, fresh.id, second.id}) == 4
    # Of a part of the sweep's steps: what is counted in steps shrinks with them.
    assert (low.steps, low.declared_steps, low.evaluate_every) == (25, 100, 25)
    other = Ladder(SWEEP, middle(SWEEP), 25, 4, Limits(1e-6, 1e-8, 1e-2))
    assert other.run(1e-6).seed not in (low.seed, fresh.seed)
