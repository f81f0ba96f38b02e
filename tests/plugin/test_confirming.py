"""Sessions that confirm leaders: their items, their order, what is judged, resumed and left out."""

import pytest

from tests.plugin.shared import by_config, report

pytest_plugins = ["pytester"]

BODY = """
from harness import Confirm
from harness.claims import winner

space = dict(learning_rate=LogUniform(1e-7, 1e-6), batch_size=8, rank=Uniform(1, 2))
sweep = toy(runs=6, space=space, arms=dict(placebo=1, confirm=Confirm(top={top}, seeds={seeds})),
            questions=dict(winner=winner.beats("median"), half=success_rate.above(0.5)))
"""


def write(sweeps, top=2, seeds=4):
    sweeps.write(body=BODY.format(top=top, seeds=seeds))
    by_config(sweeps)


def winner(sweeps, name="toy"):
    return {q["id"]: q for q in report(sweeps, name)["questions"]}["winner"]


def leaders(data):
    """Return the main runs that are confirmed, the reference first."""
    runs = [run for run in data["runs"] if run["arm"] == "confirm"]
    return list(dict.fromkeys(run["pair"] for run in runs))


def test_the_leaders_are_trained_after_the_others_and_judged(sweeps):
    write(sweeps)
    result = sweeps.run("--sweep", "toy", "-v")
    ids = sweeps.trained
    assert [id_.startswith("toy-confirm-") for id_ in ids] == [False] * 7 + [True] * 12
    result.stdout.fnmatch_lines(["sweep toy: 19 runs of up to 20 steps, 0 in the store"])
    result.stdout.fnmatch_lines(["*test_run[[]toy-confirm-1-s0] PASSED*"])
    data = report(sweeps)
    main = [run for run in data["runs"] if run["arm"] == "main"]
    ranked = [run["id"] for run in sorted(main, key=lambda run: -run["delta_perf"])]
    assert leaders(data) == [ranked[3], ranked[0], ranked[1]]
    assert data["complete"]
    found = winner(sweeps)
    assert (found["verdict"], found["n"]) == ("supported", 4)
    assert any(id_ in found["answer"] for id_ in ranked[:2])
    assert [row["run"] for row in found["confirmed"]] == leaders(data)


def test_more_seeds_are_added_and_the_question_is_another(sweeps):
    write(sweeps)
    sweeps.run("--sweep", "toy")
    first = sweeps.trained
    write(sweeps, seeds=5)
    sweeps.run("--sweep", "toy")
    assert [id_[-3:] for id_ in sweeps.trained[len(first) :]] == ["-s4"] * 3
    changed = {f["message"].split()[0] for f in report(sweeps)["audit"] if f["code"] == "post_hoc"}
    assert changed == {"winner"}


def test_a_sweep_that_is_finished_may_still_ask_which_leader_wins(sweeps):
    sweeps.write(body=BODY.format(top=2, seeds=4).replace('winner=winner.beats("median"), ', ""))
    sweeps.run("--sweep", "toy", "--sweep-arms", "none")
    write(sweeps)
    sweeps.run("--sweep", "toy")
    assert not [f for f in report(sweeps)["audit"] if f["code"] == "post_hoc"]


def test_without_the_arm_the_question_names_the_command(sweeps):
    write(sweeps)
    sweeps.run("--sweep", "toy", "--sweep-arms", "none")
    found = winner(sweeps, "toy-smoke")
    assert found["verdict"] == "unanswerable"
    assert any("sweep confirm toy" in need for need in found["needs"])


def test_while_a_main_run_fails_no_leader_is_known(sweeps, monkeypatch):
    write(sweeps)
    monkeypatch.setenv("MODE_4", "fails")
    sweeps.run("--sweep", "toy")
    assert not [id_ for id_ in sweeps.trained if "confirm" in id_]
    assert winner(sweeps, "toy-smoke")["verdict"] == "not judged"
    monkeypatch.delenv("MODE_4")
    sweeps.run("--sweep", "toy")
    assert len([id_ for id_ in sweeps.trained if "confirm" in id_]) == 12
    assert winner(sweeps)["verdict"] != "not judged"


def test_offline_nothing_is_trained_and_what_is_stored_is_judged(sweeps):
    write(sweeps)
    sweeps.run("--sweep", "toy")
    before = sweeps.trained
    sweeps.run("--sweep", "toy", "--sweep-offline")
    assert sweeps.trained == before
    assert winner(sweeps)["n"] == 4


def test_chosen_items_alone_are_trained(sweeps):
    write(sweeps)
    sweeps.run("--sweep", "toy", "-k", "not confirm-2")
    confirmed = {id_[:-3] for id_ in sweeps.trained if "confirm" in id_}
    assert confirmed == {"toy-confirm-reference", "toy-confirm-1"}


@pytest.mark.slow
def test_workers_of_xdist_confirm_the_same(sweeps):
    write(sweeps)
    sweeps.run("--sweep", "toy")
    alone = report(sweeps)
    sweeps.run("--sweep", "toy", "-n", "2", "--sweep-fresh")
    assert leaders(report(sweeps)) == leaders(alone)
    assert len(sweeps.trained) == 2 * 19
    assert report(sweeps)["complete"]


def test_it_stops_once_the_answer_cannot_change(sweeps, monkeypatch):
    """The leader is far ahead: half of the seeds show it."""
    monkeypatch.setenv("GAIN", "0.1")
    write(sweeps, seeds=16)
    sweeps.run("--sweep", "toy", "--sweep-until", "answered", "--sweep-workers", "1")
    confirmed = [id_ for id_ in sweeps.trained if "confirm" in id_]
    assert len(confirmed) <= 3 * 16
    seeds = [int(id_.rpartition("-s")[2]) for id_ in confirmed]
    assert seeds == sorted(seeds)


def test_a_question_without_the_arm_says_what_to_declare(sweeps):
    write(sweeps)
    body = BODY.format(top=2, seeds=4).replace(", confirm=Confirm(top=2, seeds=4)", "")
    assert body != BODY.format(top=2, seeds=4)
    sweeps.write(body=body)
    sweeps.run("--sweep", "toy")
    found = winner(sweeps)
    assert found["verdict"] == "unanswerable"
    assert found["needs"][0].startswith("an arm confirm=Confirm(top=3, seeds=8) in the sweep; or,")
