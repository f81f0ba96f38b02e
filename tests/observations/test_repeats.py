"""Repeats of a configuration count as one."""

import math

import pytest

from harness.observations.repeats import merge
from tests.factories import make_curve, make_result


def run(number, lr, delta, **common):
    return make_result(
        id=f"r{number}", config={"learning_rate": lr}, delta=delta, **{"seed": number} | common
    )


def test_repeats_become_their_mean_with_the_error_of_a_mean():
    runs = [run(0, 1e-7, 0.1), run(1, 1e-7, 0.3), run(2, 2e-7, 0.2), run(3, 2e-7, 0.2)]
    found = merge(runs)
    assert (found.merged, found.configurations, found.each) == (True, 2, 2)
    assert [r.outcome.delta_perf for r in found.results] == pytest.approx([0.2, 0.2])
    assert [r.outcome.delta_perf_se for r in found.results] == pytest.approx(
        [0.01 / math.sqrt(2)] * 2
    )
    assert [r.run.id for r in found.results] == ["r0", "r2"]
    assert "2 configurations with 2 repeats each" in found.note("runs")


def test_single_configurations_and_a_single_one_are_left_as_they_are():
    apart = [run(0, 1e-7, 0.1), run(1, 2e-7, 0.3)]
    assert merge(apart).results == tuple(apart)
    assert merge(apart).note("runs") == ""
    alone = [run(0, 1e-7, 0.1), run(1, 1e-7, 0.3)]
    assert merge(alone).results == tuple(alone)
    assert "2 runs of one configuration" in merge(alone).note("runs")
    assert merge([]).results == ()


def test_a_configuration_diverges_with_half_of_its_repeats():
    def repeats(lr, *deltas):
        return [
            run(f"{lr}-{i}", lr, d, status="completed" if d is not None else "diverged", seed=i)
            for i, d in enumerate(deltas)
        ]

    runs = repeats(1e-7, 0.1, None, None) + repeats(2e-7, 0.1, 0.3, None) + repeats(3e-7, 0.1, None)
    found = [r.outcome for r in merge(runs).results]
    assert [outcome.status for outcome in found] == ["diverged", "completed", "diverged"]
    assert found[1].delta_perf == pytest.approx(0.2)


def test_what_did_not_finish_is_kept_beside():
    runs = [run(0, 1e-7, 0.1), run(1, 1e-7, 0.3), run(2, 2e-7, 0.2)]
    failed = run(3, 1e-7, None, status="failed")
    found = merge([*runs, failed])
    assert found.results[-1] is failed
    assert found.results[0].outcome.delta_perf == pytest.approx(0.2)


def test_one_repeat_without_an_error_leaves_the_mean_without():
    runs = [run(0, 1e-7, 0.1), run(1, 1e-7, 0.3, se=None), run(2, 2e-7, 0.2)]
    assert merge(runs).results[0].outcome.delta_perf_se is None


def test_the_fewest_clusters_of_repeats_count():
    clusters = [{"clusters": 20.5, "clusters_changed": 7}, {"clusters": 9.0, "clusters_changed": 8}]
    runs = [run(n, 1e-7, 0.1, **few) for n, few in enumerate(clusters)] + [run(2, 2e-7, 0.1)]
    merged, alone = (r.outcome for r in merge(runs).results)
    assert (merged.clusters, merged.clusters_changed) == (9.0, 8)
    assert (alone.clusters, alone.clusters_changed) == (None, None)


def test_curves_are_averaged_where_all_have_a_point():
    first = run(0, 1e-7, 0.1, curve=make_curve(0.1, 0.1, 100, 50))
    second = run(1, 1e-7, 0.3, curve=make_curve(0.1, 0.3, 100, 25))
    third = run(2, 2e-7, 0.3)
    (point, *_, last) = merge([first, second, third]).results[0].outcome.curve
    steps = [p.step for p in merge([first, second, third]).results[0].outcome.curve]
    assert steps == [0, 50, 100]
    assert (point.perf, last.perf) == pytest.approx((0.1, 0.3))
    assert last.se == pytest.approx(0.01 / math.sqrt(2))
