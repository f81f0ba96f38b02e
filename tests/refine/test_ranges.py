"""Which ranges are cut, widened or kept: by effects, and seldom by noise."""

from collections import Counter

import numpy as np
import pytest

from harness import Choice, LogInt, LogUniform, Sweep, Uniform
from harness.metrics import DELTA_PERF, Metric
from harness.refine import refine
from harness.refine.ranges import decide_range
from harness.refine.sample import Criteria, Shown, sample_of
from harness.refine.source import literal
from tests.factories import make_result
from tests.refine.sweeps import BROAD, position, refined, revision, runs_of, sweep_of

KINDS = ("normal", "left", "right", "tied")


def lost(runs, draws, seed, margin=0.02, kinds=KINDS):
    """How many of so many useless sweeps lose something; by margin 0 the tests are bare."""
    rng, count = np.random.default_rng(seed), Counter()
    noise = {
        "normal": lambda n: rng.normal(0, 0.07, n),
        "left": lambda n: np.where(rng.random(n) < 0.15, -0.4, 0.05) + rng.normal(0, 0.03, n),
        "right": lambda n: np.where(rng.random(n) < 0.15, 0.4, -0.05) + rng.normal(0, 0.03, n),
        "tied": lambda n: np.round(rng.normal(0, 0.07, n), 1),
    }
    for kind in kinds:
        for _ in range(draws):
            seed = int(rng.integers(2**31))
            sweep = Sweep("old", runs, 50, BROAD.space, seed=seed, margin=margin)
            made = [
                make_result(id=run.id, config=run.config, delta=float(delta), curve=())
                for run, delta in zip(sweep.plan(), noise[kind](runs), strict=True)
            ]
            count[kind] += refine("old", made, rng=rng, sweep=sweep).narrows
    return count


def test_noise_is_seldom_narrowed():
    assert sum(lost(24, 12, seed=1).values()) <= 5


@pytest.mark.slow
@pytest.mark.parametrize("runs", [24, 48])
def test_noise_is_narrowed_in_a_twentieth_at_most(runs):
    # Without what keeps parameters that do not matter, and Holm, normal noise is narrowed most.
    for sweeps, kinds in ((100, KINDS[:1]), (40, KINDS[1:])):
        most = 0.05 * sweeps + 2.5 * (0.05 * 0.95 * sweeps) ** 0.5
        for kind, count in lost(runs, sweeps, seed=runs, margin=1e-9, kinds=kinds).items():
            assert count <= most, kind


def test_a_falling_response_is_cut_above_and_widened_below():
    found = revision(refined(BROAD, lambda c: -0.3 * position(c["learning_rate"])), "learning_rate")
    assert found.action == "move"
    assert found.after.high < 1.2e-6
    assert found.after.low < 1e-7
    assert found.figure.p_value <= found.figure.needed == 0.05 / 12
    assert found.figure.estimate < -0.02
    assert found.gives_up.startswith(f"learning rate above {literal(found.after.high)}: ")


@pytest.mark.slow
@pytest.mark.parametrize(("runs", "least"), [(24, 2 / 3), (48, 0.9)])
def test_a_strong_fall_is_mostly_cut(runs, least):
    rng, cut = np.random.default_rng(runs), 0
    for _ in range(60):
        sweep = Sweep("old", runs, 50, BROAD.space, seed=int(rng.integers(2**31)))
        made = [
            make_result(
                id=run.id,
                config=run.config,
                delta=-0.3 * position(run.config["learning_rate"]) + rng.normal(0, 0.07),
                curve=(),
            )
            for run in sweep.plan()
        ]
        found = revision(refine("old", made, rng=rng, sweep=sweep), "learning_rate")
        cut += found.after.high < 2e-6
    assert cut / 60 >= least


def test_a_rising_response_is_cut_below():
    found = revision(refined(BROAD, lambda c: 0.3 * position(c["learning_rate"])), "learning_rate")
    assert found.after.low > 1.5e-7
    assert found.after.high > 2e-6
    assert "best runs lie at the upper edge" in found.why


def test_what_falls_from_its_middle_on_is_not_widened():
    """No fall to the lower end is shown, but the best runs do not lie there either."""

    def shelf(config):
        x = position(config["learning_rate"])
        return 0.008 * (0.3 < x < 0.55) - 0.4 * (x > 0.6)

    found = revision(refined(BROAD, shelf), "learning_rate")
    assert found.action == "narrow"
    assert found.after.low == 1e-7


@pytest.mark.parametrize(("level", "cut"), [(0.025, True), (1e-6, False)])
def test_a_range_is_cut_only_where_the_fall_passes_the_level_of_all_tests(level, cut):
    rng = np.random.default_rng(0)
    sweep = sweep_of({"learning_rate": LogUniform(1e-7, 2e-6)})
    results = runs_of(sweep, lambda c: -0.3 * (c["learning_rate"] > 6e-7), rng)
    known = {"learning_rate": Shown(True, shape="falls")}
    terms = Criteria(level, 0.05, 0.02, DELTA_PERF, rng, known)
    sample = sample_of(results, DELTA_PERF)
    found = decide_range("learning_rate", LogUniform(1e-7, 2e-6), sample, terms)
    assert (found.after.high < 2e-6) == cut
    assert found.figure.p_value < 0.01


def test_what_the_best_share_must_be_more_than_chance():
    """Four of the best share a value that two thirds of all runs have."""
    results = [
        make_result(
            id=f"t-{index}",
            config={"kind": "ab"[index % 3 == 0], "rate": 1.0 + index / 7},
            delta=(0.15 if index in (1, 7, 13, 19) else 0.02) + 0.001 * (index % 5),
            curve=(),
        )
        for index in range(24)
    ]
    proposal = refine("t.csv", results, rng=np.random.default_rng(0), is_table=True, margin=0.02)
    assert revision(proposal, "kind").action == "keep"


def test_a_peak_is_cut_on_both_sides_and_not_widened():
    def peak(config):
        return -0.6 * abs(position(config["learning_rate"]) - 0.5)

    found = revision(refined(BROAD, peak), "learning_rate")
    assert found.action == "narrow"
    assert 1e-7 < found.after.low < 4.5e-7 < found.after.high < 2e-6
    assert "below" in found.gives_up
    assert "above" in found.gives_up


def test_diverged_runs_count_as_the_worst():
    def breaks(config):
        return None if config["learning_rate"] > 1e-6 else 0.1

    found = revision(refined(BROAD, breaks), "learning_rate")
    assert 1e-6 < found.after.high < 1.7e-6


def test_a_flat_response_with_a_slight_fall_is_kept():
    proposal = refined(BROAD, lambda c: -0.012 * position(c["learning_rate"]))
    assert revision(proposal, "learning_rate").after == LogUniform(1e-7, 2e-6)


def test_without_a_margin_nothing_is_left_out():
    sweep = sweep_of({"learning_rate": LogUniform(1e-7, 2e-6), "batch_size": Choice(4, 8)})

    def falls(config):
        return -0.3 * position(config["learning_rate"]) - 0.2 * (config["batch_size"] == 4)

    rng = np.random.default_rng(0)
    results = runs_of(sweep, falls, rng)
    proposal = refine("t.csv", results, rng=rng, is_table=True, metric=Metric("reward"))
    assert not proposal.narrows
    assert all("--margin" in found.why for found in proposal.revisions)
    assert any("no margin is stated for reward" in line for line in proposal.notes)
    assert refine("t.csv", results, rng=rng, is_table=True, margin=0.02).narrows


def test_a_range_within_zero_to_one_stays_there():
    sweep = sweep_of({"dropout": Uniform(0.0, 0.5), "momentum": Uniform(0.6, 0.95)})
    proposal = refined(sweep, lambda c: -0.6 * c["dropout"] + c["momentum"])
    assert revision(proposal, "dropout").after.low == 0.0
    assert revision(proposal, "dropout").after.high < 0.5
    assert revision(proposal, "momentum").after.high == 1.0


def test_whole_numbers_on_a_log_scale_are_cut_and_widened_in_whole_numbers():
    def falls(config):
        return -0.3 * np.log(config["width"] / 16) / np.log(64)

    found = revision(refined(sweep_of({"width": LogInt(16, 1024)}), falls), "width")
    assert found.action == "move"
    assert type(found.after) is LogInt
    assert (type(found.after.low), type(found.after.high)) == (int, int)
    assert 1 <= found.after.low < 16
    assert 16 < found.after.high < 1024
    assert "per decade" not in found.why


def test_whole_numbers_from_one_on_have_nothing_below():
    found = revision(refined(sweep_of({"n": LogInt(1, 64)}), lambda c: -0.3 * c["n"]), "n")
    assert found.after.low == 1
    assert found.after.high < 64
    assert "nothing below it was tried" in found.why or "edge" not in found.why


def test_a_range_that_is_cut_to_one_whole_number_is_kept():
    sweep = sweep_of({"n": LogInt(1, 9)}, runs=96)
    found = revision(refined(sweep, lambda c: -0.4 * (c["n"] > 1)), "n")
    assert isinstance(found.after, LogInt)
    assert found.after.low < found.after.high


def test_a_choice_of_many_numbers_is_cut_like_a_range():
    options = tuple(range(10, 130, 10))
    sweep = sweep_of({"width": Choice(*options, weights=range(1, 13))}, runs=60)
    found = revision(refined(sweep, lambda c: 0.3 * (c["width"] < 70)), "width")
    assert found.action == "narrow"
    assert found.after.options == options[: len(found.after.options)]
    assert found.after.weights == tuple(range(1, 13))[: len(found.after.options)]
    assert 6 <= len(found.after.options) < 12
    assert "nothing below it was tried" in found.why or "edge" not in found.why
