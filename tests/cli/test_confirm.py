"""``sweep confirm``: what it trains, says and refuses, with a trainer of no time."""

import json

import pytest

from tests.cli.helpers import stored
from tests.plugin.shared import by_config

pytest_plugins = ["pytester"]

ASKS = """
from harness import Confirm
from harness.claims import winner

space = dict(learning_rate=LogUniform(1e-7, 1e-6), batch_size=8, rank=Uniform(1, 2))
sweep = toy(runs=6, space=space, arms={arms}, questions={questions})
"""


def write(sweeps, arms="{}", questions="{}"):
    sweeps.write(body=ASKS.format(arms=arms, questions=questions))
    by_config(sweeps)


@pytest.fixture
def finished(sweeps):
    """A project whose sweep has trained its main runs, and asks nothing."""
    write(sweeps)
    sweeps.run("--sweep", "toy")
    return sweeps


def confirmed():
    return [result.run for result in stored("toy") if result.run.arm == "confirm"]


def test_the_leaders_and_the_median_are_trained_and_judged(finished, sweep):
    status, out, err = sweep("confirm toy --top 2 --seeds 4")
    assert status == 0, err
    ranked = sorted(
        (result for result in stored("toy") if result.run.arm == "main"),
        key=lambda result: -result.outcome.delta_perf,
    )
    ids = [result.run.id for result in ranked]
    assert f"{ids[0]} and {ids[1]} against {ids[3]}, each with 4 fresh seeds: 12 runs" in err
    assert {(run.index, run.pair) for run in confirmed()} == set(
        enumerate([ids[3], ids[0], ids[1]])
    )
    assert "winner" in out
    assert "Confirmed with fresh seeds" in out
    folder = finished.path / ".sweep/reports/toy-confirm"
    data = json.loads((folder / "report.json").read_text())
    asked = [q for q in data["questions"] if q["asked"]]
    assert [q["id"] for q in asked] == ["winner"]
    assert not [f for f in data["audit"] if f["code"] == "post_hoc"]
    assert not (finished.path / ".sweep/reports/toy-smoke").exists()


def test_it_goes_on_with_what_is_new(finished, sweep):
    sweep("confirm toy --top 1 --seeds 4")
    trained = len(finished.trained)
    status, _, err = sweep("confirm toy --top 1 --seeds 4")
    assert (status, len(finished.trained)) == (0, trained)
    assert "8 runs, 8 of them in the store" in err
    sweep("confirm toy --top 1 --seeds 5")
    assert len(finished.trained) == trained + 2


def test_what_is_declared_is_what_is_trained(sweeps, sweep):
    write(
        sweeps,
        "dict(confirm=Confirm(top=2, seeds=4), placebo=1)",
        "dict(best=winner.beats(1, margin=0.03), half=success_rate.above(0.5))",
    )
    sweeps.run("--sweep", "toy", "--sweep-arms", "none")
    data = json.loads(sweep("confirm toy --json")[1])
    assert [q["id"] for q in data["questions"] if q["asked"]] == ["best"]
    assert len(confirmed()) == 12
    assert {run.pair[:6] for run in confirmed() if run.index == 0} == {"toy-01"}
    # The runs of the declared arm are the same, so that the session trains only the placebo.
    before = len(sweeps.trained)
    sweeps.run("--sweep", "toy")
    assert len(sweeps.trained) == before + 1


def test_a_plan_takes_the_spread_from_the_fresh_seeds_that_are_stored(sweeps, sweep):
    write(sweeps, "dict(confirm=Confirm(top=2, seeds=4))", "dict(best=winner.beats())")
    assert "not known yet" in sweep("plan toy")[1]
    sweeps.run("--sweep", "toy")
    assert "of 8 stored pairs" in " ".join(sweep("plan toy")[1].split())


@pytest.mark.parametrize("against", ["3", "learning_rate=3e-7,batch_size=8,rank=1.5"])
def test_the_reference_may_be_a_run_or_a_config(finished, sweep, against):
    status, _, err = sweep(f"confirm toy --top 1 --seeds 4 --against {against}")
    assert status == 0, err
    (reference,) = {(run.pair, run.config["rank"]) for run in confirmed() if run.index == 0}
    if against == "3":
        assert reference[0].startswith("toy-03-")
    else:
        assert reference == (None, 1.5)


def test_main_runs_that_are_missing_are_named_with_the_command(sweeps, sweep, monkeypatch):
    write(sweeps)
    monkeypatch.setenv("MODE_4", "fails")
    sweeps.run("--sweep", "toy")
    status, out, err = sweep("confirm toy")
    assert (status, out) == (2, "")
    assert "1 of 6 runs missing (1 failed), and the leaders are known once" in err
    assert "pytest experiments/ --sweep toy" in err
    assert not confirmed()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "--top 4",
            "4 leaders to confirm (top), but of 6 runs at most 3 can be ahead of the",
        ),
        ("--top 0", "'0' is not a whole number of at least 1"),
        ("--seeds 3", "3 fresh seeds are too few to be judged; give 4 or more"),
        ("--against 9", "the reference is run 9; the main runs are 0 to 5"),
        ("--against nobody", "the reference is 'nobody', which is no main run"),
        (
            "--against learning_rate=fast,batch_size=8,rank=1",
            "the reference has learning_rate 'fast'; expected a value like those that the sweep",
        ),
        ("--against rank=1", "the reference has the parameters rank; expected a whole config"),
        ("--against =1", "'=1' is no config; write NAME=VALUE for each parameter"),
        ("--margin -1", "'-1' is not a number above 0"),
    ],
)
def test_what_cannot_be_confirmed_is_one_line(finished, sweep, line, said):
    trained = len(finished.trained)
    status, out, err = sweep(f"confirm toy {line}")
    assert (status, out) == (2, "")
    assert said in " ".join(err.split())
    assert len(finished.trained) == trained


def test_runs_of_other_code_tell_no_leaders(finished, sweep):
    with (finished.path / "experiments" / "toy_trainer.py").open("a") as file:
        file.write("# changed\n")
    status, _, err = sweep("confirm toy")
    assert status == 2
    assert "6 of 6 runs missing" in err
    assert not confirmed()


def test_a_run_that_fails_is_status_1_and_trained_the_next_time(finished, sweep, monkeypatch):
    monkeypatch.setenv("MODE_CONFIRM", "fails")
    status, out, _ = sweep("confirm toy --top 1 --seeds 4")
    assert status == 1
    assert "8 of 8 runs of arm confirm missing (8 failed)" in " ".join(out.split())
    assert "needs sweep confirm toy --top 1 --seeds 4" in " ".join(out.split())
    monkeypatch.delenv("MODE_CONFIRM")
    assert sweep("confirm toy --top 1 --seeds 4")[0] == 0
    assert len(confirmed()) == 8


def test_refine_does_not_propose_what_was_confirmed(finished, sweep):
    def proposed():
        out = sweep("refine toy --next-runs 24 --json")[1]
        return {option["kind"] for option in json.loads(out)["next"]["options"]}

    assert "confirm" in proposed()
    sweep("confirm toy --top 3 --seeds 4")
    assert "confirm" not in proposed()


def test_another_reference_leaves_the_margin_as_it_is_declared(sweeps, sweep):
    write(
        sweeps,
        "dict(confirm=Confirm(top=1, seeds=4))",
        "dict(best=winner.beats(1, margin=0.03))",
    )
    sweeps.run("--sweep", "toy", "--sweep-arms", "none")
    (asked,) = (
        q for q in json.loads(sweep("confirm toy --against 2 --json")[1])["questions"] if q["asked"]
    )
    assert asked["id"] == "best"
    assert "run number 2" in asked["claim"]
    assert asked["claim"].endswith("margin: 0.03")


def test_the_command_that_would_decide_it_confirms_as_many_leaders(finished):
    write(finished, "dict(confirm=Confirm(top=2, seeds=4))", "dict(winner=winner.beats())")
    finished.run("--sweep", "toy", "--sweep-arms", "none")
    folder = finished.path / ".sweep/reports/toy-smoke"
    questions = json.loads((folder / "report.json").read_text())["questions"]
    (needs,) = [q["needs"] for q in questions if q["id"] == "winner"]
    assert needs == ["sweep confirm toy --top 2 --seeds 4"]
