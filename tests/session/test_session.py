"""The session's logic, without pytest: a fake executor, a real store."""

import pytest

from harness import Choice, LogUniform, Outcome, UsageError
from harness.claims import mean_gain, spread, success_rate
from harness.errors import StoreError
from harness.protocols import Finished, Started
from harness.session.progress import Observer
from harness.store import Store
from harness.sweeps.plan import Selection
from tests.session.fakes import done, make
from tests.tables.tables import write_csv

GRPO = {
    "trainer": None,
    "space": {
        "learning_rate": LogUniform(1e-7, 1e-6),
        "batch_size": 8,
        "generations": Choice(16, 32),
    },
}


def test_the_first_run_submits_all_and_each_waits_for_its_own(start):
    sweep = make()
    session = start(sweep)
    runs = sweep.plan()
    assert session.result(runs[1]).run == runs[1]
    assert [job.run for job in session.fakes[0].submitted] == list(runs)
    assert len(session.fakes[0].jobs) == 1
    assert session.result(runs[0]).outcome.delta_perf == 0.1
    assert len(session.fakes[0].jobs) == 1
    session.result(runs[2])
    assert session.fakes[0].jobs == []


def test_what_is_finished_is_stored_at_once_and_reused(start):
    sweep = make()
    session = start(sweep)
    session.result(sweep.plan()[0])
    assert len(session.store.results()) == 1
    session.close()
    again = start(sweep)
    assert (again.stored("s"), again.planned("s")) == (1, 3)
    again.finish()
    assert [job.run.index for job in again.fakes[0].submitted] == [1, 2]
    third = start(sweep)
    third.finish()
    assert third.fakes[0].submitted == []


def test_failed_runs_are_tried_again_next_time_and_not_before(start):
    sweep = make()
    session = start(sweep, outcomes={1: Outcome(status="failed", error="no")})
    session.finish()
    assert session.result(sweep.plan()[1]).outcome.status == "failed"
    assert str(session.missing("s")) == "1 of 3 runs missing (1 failed)"
    session.close()
    again = start(sweep)
    again.finish()
    assert [job.run.index for job in again.fakes[0].submitted] == [1]
    assert again.missing("s") is None


def test_a_diverged_run_is_final(start):
    sweep = make()
    session = start(sweep, outcomes={1: Outcome(status="diverged", stopped_at=3)})
    session.finish()
    assert session.missing("s") is None
    session.close()
    assert start(sweep).stored("s") == 3


def test_only_selected_runs_are_trained(start):
    sweep = make(questions={"success_above_half": success_rate.above(0.5)})
    session = start(sweep, select=lambda runs: runs[:1])
    session.finish()
    assert len(session.fakes[0].submitted) == 1
    verdict = session.verdict("s", "success_above_half")
    assert verdict.verdict == "not judged"
    assert verdict.answer == "not judged: 2 of 3 runs missing"
    assert session.report_folder("s").name == "s-smoke"


def test_a_question_waits_for_its_runs_and_its_baseline_s(start):
    base = make("base")
    sweep = make(baseline="base", questions={"mean_vs_baseline": mean_gain.above_baseline()})
    session = start(sweep, base)
    verdict = session.verdict("s", "mean_vs_baseline")
    assert verdict.verdict not in ("not judged",)
    assert session.fakes[0].jobs == []
    assert session.report("s") is session.report("s")


def test_offline_trains_nothing(start):
    sweep = make()
    trained = start(sweep)
    trained.result(sweep.plan()[0])
    trained.close()
    session = start(sweep, offline=True)
    assert session.result(sweep.plan()[0]) is not None
    assert session.result(sweep.plan()[1]) is None
    session.finish()
    assert session.fakes == []


def test_fresh_ignores_what_is_stored_and_replaces_it(start):
    sweep = make()
    session = start(sweep)
    session.finish()
    session.close()
    again = start(sweep, fresh=True, outcomes=dict.fromkeys(range(3), done(0.2)))
    assert again.stored("s") == 0
    again.finish()
    assert len(again.fakes[0].submitted) == 3
    assert {result.outcome.delta_perf for result in again.store.results()} == {0.2}


def test_a_result_that_cannot_be_saved_is_saved_later(start, monkeypatch):
    sweep = make()
    session = start(sweep)
    save, calls = session.store.save, []

    def locked_once(result, *, fresh):
        calls.append(result)
        if len(calls) == 1:
            raise StoreError("the store is locked")
        save(result, fresh=fresh)

    monkeypatch.setattr(session.store, "save", locked_once)
    with pytest.raises(StoreError):
        session.result(sweep.plan()[0])
    session.finish()
    assert len(session.store.results()) == 3


def test_a_job_names_the_program_that_its_backend_compiles(start, both_installed):
    session = start(make(**GRPO, runs=8), selection=Selection(backend="jax"))
    session.finish()
    jobs = session.fakes[0].submitted
    programs = {job.run.config["generations"]: job.program for job in jobs}
    assert len(programs) == len(set(programs.values())) == 2
    assert "" not in programs.values()
    for sweep, backend in ((make("t", **GRPO), "torch"), (make("own"), "jax")):
        session = start(sweep, selection=Selection(backend=backend))
        session.finish()
        assert {job.program for job in session.fakes[0].submitted} == {""}


def test_runs_of_one_backend_do_not_count_for_another(start, both_installed):
    sweep = make(**GRPO)
    failed = {2: Outcome(status="failed", error="no")}
    start(sweep, selection=Selection(backend="torch"), outcomes=failed).finish()
    session = start(sweep, selection=Selection(backend="jax"))
    assert session.stored("s") == 0
    session.result(sweep.plan()[0])
    assert len(session.store.results()) == 4
    assert {r.conditions.backend for r in session.report("s").runs} == {"jax"}
    assert len(session.report("s").runs) == 1
    assert session.not_counted("s") == " (2 more by torch, not counted)"
    again = start(sweep)
    assert (again.stored("s"), again.not_counted("s")) == (2, " (1 more by jax, not counted)")
    assert start(make("own")).not_counted("own") == ""


def test_a_session_says_what_it_trains_with(start, both_installed):
    both = "backend torch (auto; jax is installed too), device auto, float32"
    assert start(make(**GRPO)).trained_with() == f"sweep: {both}"
    mixed = start(make("mine"), make("s", **GRPO), make("t", **GRPO))
    assert mixed.trained_with() == f"sweep s, t: {both}"
    assert start(make()).trained_with() == ""
    chosen = Selection(backend="jax", device="cpu", precision="bfloat16")
    session = start(make(**GRPO), selection=chosen)
    assert session.trained_with() == "sweep: backend jax, device cpu, bfloat16"
    session = start(make(**GRPO), offline=True)
    assert "device" not in session.trained_with()


def test_a_device_is_looked_for_by_the_backend_that_trains(start, both_installed, monkeypatch):
    asked = []

    def devices_here(backend):
        asked.append(backend)
        return ("cpu", "tpu:0")

    monkeypatch.setattr("harness.training.backends.devices_here", devices_here)
    start(make(**GRPO), selection=Selection(backend="jax", device="tpu"))
    assert asked == ["jax"]
    with pytest.raises(UsageError, match="device 'cuda' is not here"):
        start(make(**GRPO), selection=Selection(backend="torch", device="cuda"))
    start(make(), selection=Selection(device="cuda"))
    start(make(**GRPO), selection=Selection(device="cuda"), offline=True)
    assert asked == ["jax", "torch"]


def test_of_a_table_with_repeats_only_the_mean_is_compared(start, tmp_path):
    rows = [{"lr": (i // 2 + 1) * 1e-7, "seed": i % 2, "delta_perf": 0.001 * i} for i in range(24)]
    asked = {"mean": mean_gain.above_baseline(), "spread": spread.below_baseline()}
    session = start(
        make(runs=12, questions=asked),
        outcomes={index: done(0.1 + 0.001 * index) for index in range(12)},
        baseline=str(write_csv(tmp_path / "runs.csv", rows)),
    )
    assert session.baseline_read[0] == "runs.csv: 24 rows of 3 columns, CSV"
    mean, varied = (session.verdict("s", name) for name in asked)
    assert (mean.verdict, mean.n) == ("supported", 12 + 12)
    assert varied.verdict == "unanswerable"
    assert "1 run a configuration against 2 repeats" in varied.reason
    assert start(make()).baseline_read == ()


def test_an_explicit_baseline_must_be_there(start):
    with pytest.raises(UsageError, match="baseline 'nowhere' is not in the store"):
        start(make(), baseline="nowhere")


def test_less_than_the_declared_sweep_is_a_smoke(start):
    sweep = make()
    session = start(sweep, selection=Selection(steps=5))
    session.finish()
    assert session.report("s").scaled_down
    assert session.report_folder("s").name == "s-smoke"
    session = start(sweep)
    session.finish()
    assert session.report_folder("s").name == "s"


def test_what_finished_before_the_end_is_saved_though_nobody_waited_for_it(start):
    sweep = make()
    session = start(sweep)
    session.result(sweep.plan()[0])
    job = session.fakes[0].submitted[1]
    session.fakes[0].untold = [Started(job.key), Finished(job.key, done(0.3))]
    session.close()
    stored = start(sweep).store.results()
    assert sorted(result.outcome.delta_perf for result in stored) == [0.1, 0.3]


def test_closing_stops_the_executor_and_may_be_repeated(start):
    session = start(make(), select=lambda runs: runs)
    session.result(make().plan()[0])
    session.close()
    session.close()
    assert session.fakes[0].closed


def test_the_observer_sees_counts_that_add_up(start):
    seen = []

    class Recorder(Observer):
        def update(self, tally):
            seen.append((tally.done, len(tally.running), tally.left, tally.steps_now))

    session = start(make(), observer=Recorder())
    session.finish()
    assert all(sum(counts[:3]) == 3 for counts in seen)
    assert seen[-1] == (3, 0, 0, 30)
    assert [counts[3] for counts in seen] == sorted(counts[3] for counts in seen)


def test_a_run_that_has_ended_is_told_of_once_and_after_it_is_saved(start, tmp_path):
    ended = []

    def tell(result):
        with Store.open(str(tmp_path / "store.db")) as store:
            assert result.key in store.get([result.key])
        ended.append(result.run.id)

    session = start(sweep := make(), on_finished=tell)
    session.finish()
    session.refresh()
    assert ended == [run.id for run in sweep.plan()]
    start(sweep, on_finished=tell).finish()
    assert len(ended) == 3
    start(sweep, on_finished=tell, fresh=True).finish()
    assert len(ended) == 6


def test_a_run_that_another_session_trained_is_not_told_of(start):
    ended = []
    sweep = make()
    mine = start(sweep, on_finished=lambda result: ended.append(result.run.index))
    (first, *_) = sweep.plan()
    other = start(sweep, select=lambda runs: runs[:1])
    other.result(first)

    mine.result(first)
    assert ended == []
    mine.finish()
    assert ended == [1, 2]


def test_a_run_that_could_not_be_saved_at_once_is_told_of_later(start, monkeypatch):
    ended = []
    session = start(sweep := make(), on_finished=lambda result: ended.append(result.run.index))
    save, failures = session.store.save, [StoreError("full")]

    def saved(*given, **named):
        if failures:
            raise failures.pop()
        return save(*given, **named)

    monkeypatch.setattr(session.store, "save", saved)
    with pytest.raises(StoreError):
        session.result(sweep.plan()[0])
    assert ended == []
    session.finish()
    assert ended == [0, 1, 2]
