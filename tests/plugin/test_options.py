"""What each option of the plugin does."""

from tests.plugin.shared import report

pytest_plugins = ["pytester"]


def test_arms_can_be_left_out_or_chosen(sweeps):
    sweeps.write()
    sweeps.run("--sweep", "toy", "--sweep-arms", "none").assert_outcomes(passed=9)
    assert len(sweeps.trained) == 8
    sweeps.run("--sweep", "toy", "--sweep-arms", "placebo").assert_outcomes(passed=10)
    assert len(sweeps.trained) == 9


def test_fewer_runs_are_the_first_of_the_sample_and_say_so(sweeps):
    sweeps.write()
    result = sweeps.run("--sweep", "toy", "--sweep-runs", "3")
    result.assert_outcomes(passed=6, skipped=0)
    small = report(sweeps, "toy-smoke")
    assert small["scaled_down"] is True
    assert not (sweeps.path / ".sweep/reports/toy").exists()
    assert "scaled_down" in {finding["code"] for finding in small["audit"]}
    before = list(sweeps.trained)
    sweeps.run("--sweep", "toy")
    assert len(sweeps.trained) == 11
    assert sweeps.trained[: len(before)] == before


def test_a_sweep_can_be_enlarged(sweeps):
    sweeps.write()
    sweeps.run("--sweep", "toy", "--sweep-arms", "none")
    sweeps.run("--sweep", "toy", "--sweep-arms", "none", "--sweep-runs", "10")
    assert len(sweeps.trained) == len(set(sweeps.trained)) == 10


def test_fewer_steps_scale_the_curve(sweeps):
    sweeps.write()
    sweeps.run("--sweep", "toy", "--sweep-steps", "4", "--sweep-arms", "none")
    small = report(sweeps, "toy-smoke")
    assert small["scaled_down"] is True
    assert [point["step"] for point in small["runs"][0]["curve"]] == [0, 1, 2, 3, 4]


def test_offline_judges_what_is_stored_and_trains_nothing(sweeps):
    sweeps.write()
    result = sweeps.run("--sweep", "toy", "--sweep-offline")
    assert result.ret == 4
    assert "there is no store at" in result.stderr.str()
    assert not (sweeps.path / ".sweep").exists()
    sweeps.run("--sweep", "toy", "--sweep-arms", "none")
    result = sweeps.run("--sweep", "toy", "--sweep-offline")
    result.stdout.fnmatch_lines(["*3 not trained*"])
    assert len(sweeps.trained) == 8
    sweeps.run("--sweep", "toy")
    sweeps.run("--sweep", "toy", "--sweep-offline").assert_outcomes(passed=12)
    assert len(sweeps.trained) == 11


def test_fresh_trains_again(sweeps):
    sweeps.write()
    sweeps.run("--sweep", "toy")
    sweeps.run("--sweep", "toy", "--sweep-fresh").assert_outcomes(passed=12)
    assert len(sweeps.trained) == 22


def test_the_local_executor_gives_the_same_report(sweeps):
    sweeps.write()
    sweeps.run("--sweep", "toy", executor="inline")
    inline = report(sweeps)
    options = ("--sweep", "toy", "--sweep-fresh", "--sweep-workers", "3")
    sweeps.run(*options, executor="local").assert_outcomes(passed=12)
    strip = ("seconds", "device")
    for written in (inline, local := report(sweeps)):
        for run in written["runs"]:
            for name in strip:
                run.pop(name, None)
    assert inline["runs"] == local["runs"]
    assert inline["questions"] == local["questions"]


def test_a_run_that_takes_too_long_is_stopped(sweeps):
    sweeps.write(
        body="""
        import time
        def slow(job, notify):
            if job.run.index == 1:
                time.sleep(60)
            return trainer(job, notify)
        sweep = toy(trainer=slow, runs=3, arms={})
        """
    )
    result = sweeps.run("--sweep", "toy", "--sweep-timeout", "1.5", executor="local")
    result.stdout.fnmatch_lines(["*toy-01-* timed out*"])
    assert result.ret == 1


def test_store_and_report_can_lie_elsewhere(sweeps):
    sweeps.write()
    sweeps.run("--sweep", "toy", "--sweep-store", "sqlite:///else.db", "--sweep-report", "out")
    assert (sweeps.path / "else.db").exists()
    assert report(sweeps, folder="out")["sweep"] == "toy"
    assert not (sweeps.path / ".sweep/store.db").exists()
