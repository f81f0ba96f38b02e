"""What the next runs could be spent on, after sweeps with a known truth."""

import math
from dataclasses import replace

import numpy as np
import pytest

from harness import Choice, LogUniform, Uniform, statistics
from harness.claims import matters, success_rate
from harness.claims.power import sweep_power
from harness.observations.selection import selection
from harness.records import CONFIRM, Config
from harness.refine import ConfirmOption, Narrower, Nothing, Seeds, Wider, advise, refine
from harness.verdicts import Evidence, Verdict
from tests.factories import make_confirmed, make_result, make_results
from tests.refine.sweeps import runs_of, sweep_of

NOISE = 0.02


def flat(config):
    return 0.05


def evidence_of(results, **changes):
    return Evidence("old", tuple(results), **{"given": {}} | changes)


def advised(
    sweep, results, *, asked=(), arms=None, runs=None, is_declared=True, priced=False, **changes
):
    evidence = evidence_of(results, arms=arms or {}, **changes)
    proposal = refine(
        "old", results, rng=np.random.default_rng(0), sweep=sweep if is_declared else None,
        margin=evidence.margin,
    )  # fmt: skip
    power = sweep_power(proposal.sweep, results, baseline_runs=len(results)) if priced else ()
    return advise(
        proposal, evidence, sweep=sweep if is_declared else None, asked=asked, power=power,
        runs=runs,
    )  # fmt: skip


def option(advice, kind):
    return next((one for one in advice.options if one.kind == kind), None)


@pytest.fixture(scope="module")
def plain():
    """A sweep of two parameters that do nothing, and its runs."""
    sweep = sweep_of({"width": Choice(1, 2, 3), "depth": Choice(1, 2)}, runs=24)
    return sweep, runs_of(sweep, flat, np.random.default_rng(1), se=None)


@pytest.fixture(scope="module")
def random():
    """A sweep of configs that differ by noise alone, all different, and its runs."""
    sweep = sweep_of({"rate": LogUniform(1e-4, 1e-2), "depth": Choice(1, 2)}, runs=24)
    return sweep, runs_of(sweep, flat, np.random.default_rng(3), se=None)


def seeded(sweep, spread, noise, seeds=2, seed=0):
    """The runs of a sweep with several seeds, of configs with this spread."""
    rng = np.random.default_rng(seed)
    worth = {}
    return [
        make_result(
            id=run.id, index=run.index, sweep="old", config=run.config, seed=run.seed,
            repeat=run.repeat, curve=(), se=None,
            delta=float(worth.setdefault(run.config, rng.normal(0, spread)) + rng.normal(0, noise)),
        )
        for run in sweep.plan(arms=(), seeds=seeds)
    ]  # fmt: skip


def test_the_runs_are_as_many_as_the_sweep_has_or_as_asked_for(random):
    sweep, results = random
    assert advised(sweep, results).runs == 24
    assert advised(replace(sweep, seeds=2), results).runs == 48
    assert advised(sweep, results, runs=7).runs == 7
    for one in advised(sweep, results, runs=30).options:
        assert one.runs <= 30


def test_the_power_to_confirm_is_that_of_the_shrunk_lead(random):
    sweep, results = random
    found = option(advised(sweep, results), "confirm")
    again = selection(results, {}, again=True)
    worth = sorted((w.shrunk for w in again.of.values()), reverse=True)
    assert again.noise == found.noise == "residual"
    assert found.left == pytest.approx(worth[0] - np.median(worth))
    assert 0 <= found.left < found.lead / 2
    expected = statistics.beats_power(
        (np.array(worth[: len(found.leaders)]) - np.median(worth)) / again.error,
        found.seeds,
        np.random.default_rng(5),
        margin=0.02 / again.error,
    )
    assert found.chance == pytest.approx(expected, abs=0.02)
    naive = statistics.beats_power([found.lead / found.sd], found.seeds, np.random.default_rng(5))
    assert found.chance < naive - 0.2
    assert option(advised(sweep, results, margin=0.5), "confirm").chance < 0.01


def test_few_that_may_be_the_best_are_confirmed_with_more_seeds(random):
    sweep, results = random
    ahead = [
        replace(r, outcome=replace(r.outcome, delta_perf=0.5 if n == 5 else r.outcome.delta_perf))
        for n, r in enumerate(results)
    ]
    ahead = [replace(r, outcome=replace(r.outcome, delta_perf_se=0.02)) for r in ahead]
    many, few = (option(advised(sweep, of), "confirm") for of in (results, ahead))
    assert (len(many.leaders), many.seeds) == (5, 4)
    assert len(few.leaders) < len(many.leaders)
    assert few.seeds > many.seeds
    assert few.leaders[0] == results[5].run.id
    assert few.covered > 0.8


@pytest.mark.parametrize(("n", "expected"), [(7, None), (8, (1, 4)), (11, (1, 5)), (12, (2, 4))])
def test_few_runs_confirm_few_leaders(random, n, expected):
    found = option(advised(*random, runs=n), "confirm")
    assert (found and (len(found.leaders), found.seeds)) == expected


def test_what_was_confirmed_is_not_confirmed_again(random):
    sweep, results = random
    best = max(results, key=lambda result: result.outcome.delta_perf)
    other = min(results, key=lambda result: result.outcome.delta_perf)
    for reference, leader, seeds, expected in (
        (other, best, 4, None),
        (best, other, 4, "confirm"),  # the reference was not confirmed as a leader
        (other, best, 3, "confirm"),  # too few seeds to be judged
    ):
        fresh = make_confirmed([[0.0] * seeds, [0.1] * seeds], [reference, leader])
        found = option(advised(sweep, results, arms={CONFIRM: fresh}), "confirm")
        assert (found and found.kind) == expected


def test_without_the_noise_of_seeds_their_number_comes_first():
    results = make_results([0.01, 0.05, -0.02, 0.03], se=None, parameters={"width": [1, 2, 3, 4]})
    found = advised(None, results, is_declared=False, runs=8)
    assert isinstance(found.first, Seeds)
    assert option(found, "confirm").chance is None
    with_errors = make_results(
        [0.01, 0.05, -0.02, 0.03], se=0.01, parameters={"width": [1, 2, 3, 4]}
    )
    found = advised(None, with_errors, is_declared=False, runs=8)
    assert isinstance(found.first, Seeds)
    assert option(found, "confirm").at_most


def test_more_seeds_are_counted_with_the_arms():
    sweep = sweep_of({"rate": LogUniform(1e-4, 1e-2)}, runs=12, arms={"null": 4})
    results = runs_of(sweep, flat, np.random.default_rng(3), se=None)
    found = option(advised(sweep, results, runs=30), "seeds")
    assert (found.now, found.then, found.configs) == (1, 3, 12)
    assert (found.runs, found.with_arms) == (24, 32)
    assert found.known == statistics.sd_within(0.2, 24)
    assert found.question is None
    assert option(advised(sweep, results, runs=11), "seeds") is None


def test_known_seeds_say_what_more_of_them_do_for_an_open_question():
    questions = {"rate": success_rate.above(0.5), "matters": matters("depth")}
    space = {"rate": LogUniform(1e-4, 1e-2), "depth": Choice(1, 2)}
    sweep = sweep_of(space, runs=24, seeds=2, questions=questions)
    verdicts = [Verdict(id_, "", "", "inconclusive", "") for id_ in questions]
    noisy = option(advised(sweep, seeded(sweep, 0.0, 0.05), asked=verdicts), "seeds")
    assert (noisy.question, noisy.now, noisy.then) == ("matters", 2, 4)
    assert noisy.power_then > noisy.power_now + 0.04
    steady = option(advised(sweep, seeded(sweep, 0.05, 0.001), asked=verdicts), "seeds")
    assert steady.power_then == pytest.approx(steady.power_now, abs=0.01)
    decided = [replace(verdict, verdict="supported") for verdict in verdicts]
    assert option(advised(sweep, seeded(sweep, 0.0, 0.05), asked=decided), "seeds").question is None


def test_the_noise_of_a_run_is_that_of_its_own_seed():
    sweep = sweep_of({"rate": LogUniform(1e-4, 1e-2)}, runs=24, seeds=2)
    found = option(advised(sweep, seeded(sweep, 0.02, 0.05)), "confirm")
    assert found.noise == "seeds"
    assert found.sd == pytest.approx(0.05, rel=0.3)


def test_where_the_proposal_widens_a_range_it_is_the_wider_sweep():
    sweep = sweep_of({"rate": LogUniform(1e-4, 1e-2)}, runs=48)
    results = runs_of(sweep, lambda c: 0.1 * math.log10(c["rate"]), np.random.default_rng(2))
    found = advised(sweep, results, priced=True)
    assert isinstance(found.first, Wider)
    assert found.first.proposed
    (beyond,) = found.first.beyond
    assert (beyond.parameter, beyond.end, beyond.edge) == ("rate", "upper", 1e-2)
    assert beyond.after.high > 1e-2
    assert found.first.chance > 0.5
    assert option(found, "narrower") is None


def test_where_only_the_audit_sees_an_edge_the_range_goes_as_far_again():
    sweep = sweep_of({"rate": Uniform(2.0, 4.0), "depth": Choice(1, 2)}, runs=24)
    results = runs_of(sweep, lambda c: -0.02 * c["rate"], np.random.default_rng(2))
    found = advised(sweep, results)
    assert isinstance(found.first, Wider)
    assert not found.first.proposed
    (beyond,) = found.first.beyond
    assert (beyond.end, beyond.after) == ("lower", Uniform(0.0, 4.0))
    assert found.first.chance is not None
    assert option(found, "narrower") is not None


def test_nothing_lies_beyond_the_end_of_a_domain():
    values = [0.0, *np.linspace(0.02, 0.5, 23).tolist()]
    results = [
        make_result(id=f"s-{n:02d}", index=n, delta=0.1 - 0.1 * value, config={"dropout": value})
        for n, value in enumerate(values)
    ]
    assert option(advised(None, results, is_declared=False), "wider") is None


def test_repeats_count_once_where_an_edge_is_looked_for():
    sweep = sweep_of({"rate": LogUniform(1e-4, 1e-2), "depth": Choice(1, 2)}, runs=24, seeds=2)
    assert option(advised(sweep, seeded(sweep, 0.1, 0.0005)), "wider") is None


def test_nothing_lies_beyond_one_layer():
    results = [
        make_result(id=f"s-{n:02d}", index=n, delta=0.1 - 0.01 * layers, config={"layers": layers})
        for n, layers in enumerate([*range(1, 9)] * 3)
    ]
    assert option(advised(None, results, is_declared=False), "wider") is None
    up = [replace(r, run=replace(r.run, config=Config({"layers": 9 - r.run.config["layers"]})))
          for r in results]  # fmt: skip
    found = option(advised(None, up, is_declared=False), "wider")
    (beyond,) = found.beyond
    assert (beyond.parameter, beyond.end, beyond.edge, beyond.after) == ("layers", "upper", 8, None)
    assert found.chance is None


def test_the_proposed_sweep_has_the_power_of_its_first_question(random):
    sweep, results = random
    proposal = refine("old", results, rng=np.random.default_rng(0), sweep=sweep)
    power = sweep_power(proposal.sweep, results, baseline_runs=len(results))
    found = option(advised(sweep, results, priced=True), "narrower")
    assert isinstance(found, Narrower)
    first = next(one for one in power if not one.why)
    assert (found.question, found.chance) == (first.question, first.power)
    assert (found.runs, found.with_arms) == (24, len(proposal.sweep.plan()))
    assert found.changed == 0


SUPPORTED = [Verdict("a", "", "", "supported", ""), Verdict("b", "", "", "unanswerable", "")]
OPEN = [*SUPPORTED, Verdict("c", "", "", "inconclusive", "")]


def test_no_more_runs_where_all_is_decided_and_the_configs_are_alike(random):
    sweep, results = random
    assert advised(sweep, results, asked=SUPPORTED, margin=0.2).first == Nothing("alike")
    sweep = replace(sweep, seeds=2)
    apart = seeded(sweep, 0.1, 0.0005)
    assert advised(sweep, apart, asked=SUPPORTED, margin=0.02).first == Nothing("told apart")
    sweep = random[0]
    for asked, margin in ((SUPPORTED, 0.02), (OPEN, 0.2), ((), 0.2), (SUPPORTED, None)):
        found = advised(sweep, results, asked=asked, margin=margin)
        assert option(found, "nothing") is None


def test_a_constant_metric_leaves_nothing_to_decide(plain):
    sweep, results = plain
    same = [replace(r, outcome=replace(r.outcome, delta_perf=0.2)) for r in results]
    found = advised(sweep, same)
    assert found.options == (Nothing("constant"),)


def test_equal_runs_give_equal_advice(random):
    assert advised(*random) == advised(*random)


def test_leaders_are_completed_runs(random):
    sweep, results = random
    lost = [
        replace(r, outcome=replace(r.outcome, status="diverged", delta_perf=None)) if n % 2 else r
        for n, r in enumerate(results)
    ]
    found = option(advised(sweep, lost), "confirm")
    assert isinstance(found, ConfirmOption)
    assert {int(id_.split("-")[1]) % 2 for id_ in found.leaders} == {0}
