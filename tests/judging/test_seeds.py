"""Evidence on configs of several seeds: merged, early answers, baselines, references."""

from dataclasses import replace

import numpy as np
import pytest

from harness import Choice
from harness.claims import judge_all, mean_gain, still_improves, success_rate
from harness.claims.power import sweep_power
from harness.errors import UsageError
from harness.judging.early import EarlyAnswers, launch_order
from harness.judging.evidence import Gathered, gather, pooled
from harness.judging.reference import load
from harness.judging.stored import judge_sweep
from harness.report.model import build
from harness.report.renderers import as_json
from harness.store import Store
from harness.verdicts import Baseline
from tests.factories import make_results, make_trace
from tests.judging.early_runs import Finished, better_by_a_tenth, planned_of

SEEDS = 3


def by_config(run):
    """A config's own value, and what its seeds do about it."""
    return 0.1 + 0.01 * run.index + (0.003, -0.002, -0.001)[run.repeat]


def test_a_config_counts_once_by_the_mean_of_its_seeds():
    planned = planned_of(6, seeds=SEEDS)
    runs = Finished(planned, by_config).evidence().runs
    assert len(runs) == 6
    assert sorted(r.outcome.delta_perf for r in runs) == pytest.approx(
        [0.1 + 0.01 * index for index in range(6)]
    )
    assert {len(result.repeats) for result in runs} == {3}
    assert {result.run.repeat for result in runs} == {0}


def test_seeds_of_the_only_config_so_far_are_merged():
    planned = planned_of(6, seeds=SEEDS)
    assert len(Finished(planned, by_config).evidence(3).runs) == 1


@pytest.mark.parametrize("size", [1, 2])
def test_arms_are_merged_and_matched_with_configs(size):
    planned = planned_of(6, seeds=SEEDS, arms={"half": size}, questions={})
    runs = Finished(planned, lambda run: by_config(run) / (1 + (run.arm == "half")))
    evidence = runs.evidence()
    half = evidence.arms["half"]
    assert len(half) == size
    mains = {result.run.id: result for result in evidence.runs}
    for result in half:
        own = mains[result.run.pair]
        assert own.run.config == result.run.config
        assert result.outcome.delta_perf == pytest.approx(own.outcome.delta_perf / 2)


# ---- early answers ------------------------------------------------------------------------------


def test_the_seeds_of_a_config_begin_one_after_the_other():
    planned = planned_of(6, seeds=SEEDS, arms={"half": 2})
    order = [planned.runs[key] for key in launch_order(planned)]
    mains = [run for run in order if run.arm == "main"]
    assert [run.index for run in mains[::3]] == [run.index for run in mains[2::3]]
    assert [run.repeat for run in mains] == [0, 1, 2] * 6
    single = [planned_of(6).runs[key].index for key in launch_order(planned_of(6))]
    assert [run.index for run in mains[::3]] == single


def test_early_answers_count_configs_of_which_every_seed_is_in():
    planned = planned_of(seeds=SEEDS)
    finished = Finished(planned, better_by_a_tenth)
    count, verdicts = finished.answered_after()
    alone, of_one = Finished(planned_of(), better_by_a_tenth).answered_after()
    assert verdicts["half"].decided == of_one["half"].decided
    assert verdicts["half"].n == of_one["half"].n == alone
    assert count == SEEDS * alone
    assert EarlyAnswers(planned).verdicts(finished.evidence(count - 1)) == {}


def test_first_seeds_alone_settle_nothing_early():
    planned = planned_of(seeds=SEEDS)
    first = sorted(launch_order(planned), key=lambda key: planned.runs[key].repeat)
    finished = Finished(planned, better_by_a_tenth, order=first)
    assert len(finished.evidence(24).runs) == 24
    assert EarlyAnswers(planned).verdicts(finished.evidence(24)) == {}
    assert EarlyAnswers(planned).verdicts(finished.evidence(47)) == {}


def test_looks_wait_for_every_seed():
    asked = {"mean": mean_gain.above_baseline()}
    theirs = Baseline("b", make_results([0.01 * (i % 5) for i in range(48)], prefix="b"))
    count, verdicts = Finished(
        planned_of(seeds=SEEDS, questions=asked), better_by_a_tenth, baseline=theirs
    ).answered_after()
    alone, of_one = Finished(
        planned_of(questions=asked), better_by_a_tenth, baseline=theirs
    ).answered_after()
    assert count == SEEDS * alone
    assert verdicts["mean"].decided == of_one["mean"].decided


def test_configs_drawn_twice_are_one_unit():
    few = {"space": {"batch_size": Choice(4, 8, 12)}, "runs": 12}
    planned = planned_of(**few, seeds=2)
    assert planned.size == 3
    verdict = Finished(planned, better_by_a_tenth).answered_after()[1]["half"]
    assert verdict.decided.planned == 3


# ---- the judged sweep ---------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path):
    with Store.open(f"sqlite:///{tmp_path / 's.db'}") as opened:
        yield opened


def judged(planned, finished, store, count=None):
    keys = set(finished.order[:count])

    def lookup(asked):
        return {key: finished.made[key] for key in asked if key in keys}

    planned = replace(planned, selection=replace(planned.selection, until="all"))
    return judge_sweep(Gathered(planned, gather(planned, lookup), None, lookup, store))


def test_a_missing_seed_leaves_a_question_not_judged(store):
    planned = planned_of(6, seeds=SEEDS)
    finished = Finished(planned, by_config)
    (verdict,) = [v for v in judged(planned, finished, store, 17).verdicts if v.id == "half"]
    assert (verdict.verdict, verdict.reason) == ("not judged", "1 of 18 runs missing")
    (verdict,) = [v for v in judged(planned, finished, store).verdicts if v.id == "half"]
    assert (verdict.verdict, verdict.n) == ("supported", 6)


def test_a_diverged_seed_is_left_out_of_the_mean_and_half_of_them_are_a_divergence(store):
    planned = planned_of(6, seeds=SEEDS)
    lost = {(0, 1), (1, 1), (1, 2)}
    finished = Finished(
        planned, lambda run: None if (run.index, run.repeat) in lost else by_config(run)
    )
    found = judged(planned, finished, store)
    runs = {result.run.index: result.outcome for result in found.evidence.runs}
    assert runs[0].delta_perf == pytest.approx(0.101)
    assert runs[1].status == "diverged"
    report = build(found)
    assert (report.seeds.runs, report.seeds.diverged) == (18, 3)
    assert report.complete


def test_the_report_tells_the_spreads_apart(store):
    planned = planned_of(6, seeds=SEEDS)
    data = as_json.as_data(build(judged(planned, Finished(planned, by_config), store)))
    seeds = data["seeds"]
    assert (seeds["configs"], seeds["runs"], seeds["each"]) == (6, 18, 3)
    assert seeds["between_seeds"]["sd"] == pytest.approx(0.002646, abs=1e-6)
    assert seeds["between_configs"]["sd"] == pytest.approx(0.018646, abs=1e-5)
    assert len(data["runs"]) == 6
    first = data["runs"][0]
    assert [run["id"] for run in first["seeds"]] == [
        first["id"], f"{first['id']}-r1", f"{first['id']}-r2"
    ]  # fmt: skip
    assert first["seeds"][0]["seed"] == first["seed"]
    one = planned_of(6)
    data = as_json.as_data(build(judged(one, Finished(one, lambda run: 0.01 * run.index), store)))
    assert data["seeds"] is None
    assert all("seeds" not in run for run in data["runs"])


def test_seeds_that_change_nothing_are_found_and_traces_are_read_seed_by_seed(store):
    planned = planned_of(12, seeds=SEEDS, questions={"plateau": still_improves(since=50)})
    rates = make_trace([1e-6 * (100 - step) / 100 for step in range(100)])
    finished = Finished(planned, lambda run: 0.01 * run.index**1.1, trace=rates)
    found = {one.code: one.message for one in judged(planned, finished, store).findings}
    assert found["repeated_runs"].startswith("24 runs repeat another exactly")
    assert "plateau looks at steps 50 to 100" in found["annealed_window"]
    finished = Finished(planned, lambda run: by_config(run) + 0.001 * (run.seed % 97))
    found = {one.code for one in judged(planned, finished, store).findings}
    assert not found & {"repeated_runs", "annealed_window"}


# ---- baselines and references -------------------------------------------------------------------


def test_counts_do_not_compare_with_another_number_of_seeds():
    single = Baseline("b", make_results([0.01 * (i % 7 - 3) for i in range(48)], prefix="b"))
    evidence = Finished(planned_of(8, seeds=SEEDS), by_config, baseline=single).evidence()
    assert evidence.unlike == "3 repeats a configuration against 1 run"
    verdict = success_rate.above_baseline().judge("q", evidence)
    assert verdict.verdict in ("inconclusive", "unanswerable")
    of_means = mean_gain.above_baseline().judge("q", evidence)
    assert of_means.verdict == "supported"
    same = Finished(planned_of(8, seeds=SEEDS), by_config).evidence()
    again = Finished(
        planned_of(8, seeds=SEEDS), by_config, baseline=Baseline("b", same.runs)
    ).evidence()
    assert again.unlike is None


def test_stored_seeds_are_pooled_as_configs(store):
    planned = planned_of(6, seeds=SEEDS, arms={"half": 2}, questions={})
    for result in Finished(planned, by_config).made.values():
        store.save(result)
    found = pooled(store.results(sweep="s"))
    assert (len(found.main), len(found.arms["half"]), found.others) == (6, 2, 0)
    assert {result.run.pair for result in found.arms["half"]} <= {r.run.id for r in found.main}
    declared = pooled(store.results(sweep="s"), None, planned_of(6).sweep)
    assert all(not result.repeats for result in declared.main)


def test_a_reference_must_have_as_many_seeds(tmp_path, store):
    planned = planned_of(6, seeds=SEEDS)
    report = build(judged(planned, Finished(planned, by_config), store))
    path = tmp_path / "reference.json"
    path.write_text(as_json.render(report))
    found = load(path, {"s": planned})
    assert len(found.evidence.runs) == 6
    with pytest.raises(UsageError, match="has 3 seeds a config, and this sweep 1: save a new one"):
        load(path, {"s": planned_of(6)})


# ---- power --------------------------------------------------------------------------------------


def test_power_counts_configs_and_takes_the_variance_of_a_mean():
    asked = {"half": success_rate.above(0.5), "mean": mean_gain.above_baseline()}
    one, three = (
        sweep_power(planned_of(12, seeds=k, questions=asked, baseline="b").sweep) for k in (1, 3)
    )
    assert [(p.n, p.power) for p in three] == [(p.n, p.power) for p in one]
    assert three[0].says.startswith("with 12 configs, ")
    stored = tuple(Finished(planned_of(12), lambda run: 0.01 * run.index).made.values())
    sweep = planned_of(12, seeds=SEEDS, questions=asked, baseline="b").sweep
    first = [p for p in sweep_power(sweep, stored) if p.question == "mean"]
    assert "for a single run, where 3 are planned: more seeds vary less" in first[0].given
    planned = planned_of(12, seeds=SEEDS)
    noisy = Finished(planned, lambda run: 0.001 * run.index + 0.3 * (0, 1, -1)[run.repeat])
    stored = tuple(noisy.made.values())
    means = [p for p in sweep_power(sweep, stored) if p.question == "mean"]
    assert means[0].size == pytest.approx(0.5 * 0.001 * 13**0.5)
    assert "for the mean of 3 seeds" in means[0].given
    more = planned_of(12, seeds=12, questions=asked, baseline="b").sweep
    twelve = [p for p in sweep_power(more, stored) if p.question == "mean"]
    assert twelve[0].size == pytest.approx(0.5 * 0.3 / 12**0.5, rel=0.01)


# ---- verdicts on noise ---------------------------------------------------------------------------


def of_losses(rng, mean):
    """Verdicts on 12 configs of 3 seeds by a loss around ``mean``, against one around 1."""
    asked = {"half": success_rate.above(0.5), "mean": mean_gain.above_baseline()}
    loss = {"metric": "val_loss", "target": 1.0, "seeds": SEEDS}
    planned = planned_of(12, questions=asked, **loss)

    def evidence(mean, baseline=None):
        finished = Finished(planned, lambda run: 0.0, baseline=baseline, name="b")
        for key, made in finished.made.items():
            outcome = replace(made.outcome, delta_perf=None, value=rng.normal(mean, 0.1), curve=())
            finished.made[key] = replace(made, outcome=outcome)
        return finished.evidence()

    theirs = Baseline("b", evidence(1.0).runs)
    return {v.id: v.verdict for v in judge_all(asked, evidence(mean, theirs))}


@pytest.mark.slow
def test_seeds_of_useless_configs_support_nothing_more_often_than_alpha_allows():
    rng = np.random.default_rng(1)
    found = [of_losses(rng, 1.0) for _ in range(200)]
    for name in ("half", "mean"):
        # 18 of 200 and more have a probability of .01 where the rate is .05.
        assert sum(one[name] == "supported" for one in found) < 18


def test_a_lower_loss_is_seen_and_a_higher_one_is_no_success():
    rng = np.random.default_rng(2)
    better = of_losses(rng, 0.8)
    assert (better["half"], better["mean"]) == ("supported", "supported")
    worse = of_losses(rng, 1.2)
    assert (worse["half"], worse["mean"]) == ("refuted", "refuted")
