"""``sweep plan``: what a design can show, what is wrong with it, and how long that takes."""

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest

from harness import statistics
from harness.cli import plan as verb
from harness.cli.plan import estimate
from harness.plugin.declared import discover
from harness.store import Store
from harness.sweeps.plan import Selection, plan
from tests.cli.helpers import data
from tests.factories import make_curve, make_result

ROOT = Path(__file__).parents[2]
FOCUSED = f"plan focused --experiments {ROOT / 'experiments'}"
pytest_plugins = ["pytester"]
pytestmark = pytest.mark.usefixtures("priced_once")


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


def power_of(found, question):
    return [power for power in found["power"] if power["question"] == question]


def test_the_power_of_every_question(sweep, elsewhere):
    found = data(sweep, FOCUSED)
    questions = discover([ROOT / "experiments"])["focused"].questions
    assert list(dict.fromkeys(power["question"] for power in found["power"])) == list(questions)
    one = found["power"][0]
    assert list(one) == [
        "question", "effect", "size", "n", "unit", "power", "needed", "most", "says", "given", "why"
    ]  # fmt: skip
    assert (one["n"], one["unit"], one["needed"]) == (24, "runs", 37)
    assert one["power"] == pytest.approx(statistics.binomial_power(24, 0.7))
    assert "33% of the baseline's 48 runs" in power_of(found, "success_vs_baseline")[0]["given"]
    assert power_of(found, "batch_size")[0]["unit"] == "pairs"


def test_the_audit_of_the_design(sweep, elsewhere):
    codes = [finding["code"] for finding in data(sweep, FOCUSED)["audit"]]
    assert codes == [
        "mixed_conditions", "confounded", "underpowered", "missing_baseline", "annealed_window"
    ]  # fmt: skip
    codes = [finding["code"] for finding in data(sweep, f"{FOCUSED} --arms none")["audit"]]
    assert codes.count("no_control") == 2
    assert codes[0] == "constant_parameter"


def test_coverage_and_duplicates(sweep, elsewhere):
    found = data(sweep, FOCUSED)
    rate, batch = found["coverage"][:2]
    assert list(rate) == [
        "parameter", "levels", "low", "high", "share", "orders", "orders_declared", "gap",
        "gap_share",
    ]  # fmt: skip
    assert rate["orders"] < rate["orders_declared"] == pytest.approx(0.699, abs=1e-3)
    assert batch["levels"] == [{"value": 8, "runs": 24}]
    assert batch["gap"] is None
    assert found["duplicates"] == []


def test_configs_that_occur_twice(sweep, sweeps):
    sweeps.write(
        body="sweep = toy(space=dict(learning_rate=Choice(1e-7, 2e-7), batch_size=8), arms={})"
    )
    found = data(sweep, "plan toy")
    assert sum(map(len, found["duplicates"])) == 8
    assert "2 of 8 configs are distinct." in sweep("plan toy")[1]
    assert "No config occurs twice." in sweep(FOCUSED)[1]


def test_a_sweep_that_varies_nothing(sweep, sweeps):
    sweeps.write(body="sweep = toy(space=dict(learning_rate=1e-7, batch_size=8), arms={})")
    out = sweep("plan toy")[1]
    assert "1 of 8 configs are distinct." in out
    assert "in 8 runs" not in out


def test_the_plan_in_words(sweep, elsewhere):
    out = sweep(FOCUSED)[1]
    assert re.search(r"^success_above_half +70% of runs succeed +24 +0\.56 +37$", out, re.M)
    assert re.search(r"^ +80% of runs succeed +24 +0\.91 +18$", out, re.M)
    assert re.search(r"^ +gain of 1 SD from step 50 +24 +> 0\.99 +8$", out, re.M)
    assert re.search(r"^variance_vs_baseline .* > 192$", out, re.M)
    said = " ".join(out.split())
    assert (
        "Read: with 24 runs, a true success rate of 70% is shown to be above one half with "
        "probability 0.56; a probability of 0.8 needs 37 runs."
    ) in said
    assert "8.5e-8 to 3.9e-7, 0.67 of 0.70 orders of magnitude; the widest gap, " in said
    assert "warning: confounded: warmup_steps depends on lr_schedule" in said


def test_a_question_that_cannot_be_answered_says_why_in_its_row(sweep, elsewhere):
    out = sweep(f"{FOCUSED} --arms none")[1]
    assert re.search(r"^batch_size +no batch_size arm: unanswerable +0 +0\.00 +–$", out, re.M)


def test_the_power_of_less_is_that_of_less(sweep, elsewhere):
    found = data(sweep, f"{FOCUSED} --runs 8")
    assert power_of(found, "success_above_half")[0]["power"] == pytest.approx(
        statistics.binomial_power(8, 0.7)
    )
    assert "12 of each are needed" in power_of(found, "batch_size")[0]["why"]


@pytest.fixture
def stored(elsewhere):
    """A store with the runs of both sweeps, whose ΔPerf spreads with an SD of .05 or so."""
    sweeps = discover([ROOT / "experiments"])
    with Store.open("s.db") as store:
        for name in ("broad", "focused"):
            asked = plan(sweeps[name], Selection(backend="torch"), trains=False)
            for key, run in asked.runs.items():
                delta = 0.05 * ((run.index * 7) % 11 - 5) / 3 + 0.01 * len(run.arm)
                curve = make_curve(0.12, delta, run.steps)
                result = make_result(key=key, delta=delta, curve=curve)
                # Stored by a sweep of another name: a run is what its key says.
                known = replace(run, sweep="older") if name == "focused" else run
                store.save(replace(result, run=known, conditions=asked.conditions))
    return "--backend torch --store s.db"


def test_stored_runs_tell_the_spread(sweep, stored):
    found = data(sweep, f"{FOCUSED} {stored}")
    mean = power_of(found, "mean_vs_baseline")[0]
    assert re.fullmatch(
        r"against 48 runs of the baseline; the SD of a run is 0\.05\d, of 24 stored runs of "
        r"focused",
        mean["given"],
    )
    assert mean["size"] == pytest.approx(0.027, abs=0.002)
    rate = power_of(found, "success_vs_baseline")[0]
    assert re.fullmatch(r"in the baseline \d+ of 48 succeeded", rate["given"])
    assert "stored runs of focused" in power_of(found, "plateau")[0]["given"]
    # Pairs that all differ by the same tell nothing.
    assert power_of(found, "batch_size")[0]["given"].endswith("is 0.016, assumed")
    assert "missing_baseline" not in [finding["code"] for finding in found["audit"]]
    assert found["cost"]["stored_runs"] > 0


def test_runs_of_another_backend_tell_nothing(sweep, stored):
    other = stored.replace("torch", "jax")
    mean = power_of(data(sweep, f"{FOCUSED} {other}"), "mean_vs_baseline")[0]
    assert mean["given"].endswith("48 stored runs of broad")


@pytest.mark.parametrize("width", [50, 80, 120])
def test_a_plan_fits_the_terminal(sweep, elsewhere, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    assert max(map(len, sweep(FOCUSED)[1].splitlines())) <= width


# ---- while it counts ----------------------------------------------------------------------------


class Clock:
    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr(verb.time, "monotonic", lambda: self.now)


def waited(monkeypatch, seconds, rewrites, end=True):
    """What is said of four parts that take ``seconds`` each."""
    clock, stream = Clock(monkeypatch), io.StringIO()
    waiting = verb.Waiting(stream, 4, rewrites=rewrites)
    for part in "abcd":
        waiting(part)
        clock.now += seconds
    if end:
        waiting.end()
    return stream.getvalue()


def test_a_short_wait_says_nothing(monkeypatch):
    for rewrites in (True, False):
        assert waited(monkeypatch, 0.4, rewrites) == ""
    assert waited(monkeypatch, 5.0, rewrites=False) == ""


def test_a_long_wait_says_how_long_still(monkeypatch):
    said = waited(monkeypatch, 1.5, rewrites=True)
    assert said == (
        "\r\x1b[Ksweep: power of c, 2 of 4 done, about 3 s to go"
        "\r\x1b[Ksweep: power of d, 3 of 4 done, about 2 s to go"
        "\r\x1b[K"
    )


def test_a_log_gets_a_line_every_half_minute(monkeypatch):
    said = waited(monkeypatch, 20.0, rewrites=False)
    assert said == "sweep: power of c, 2 of 4 done, about 40 s to go\n"


# ---- a small sweep -------------------------------------------------------------------------------


def test_plan_as_json_is_the_plan_of_the_sweep(sweep, declared):
    plan = data(sweep, "plan toy")
    names = "sweep runs coverage duplicates cost power noise_budget audit"
    assert list(plan) == names.split()
    assert plan["noise_budget"] is None  # no run is stored
    arms = [run["arm"] for run in plan["runs"]]
    assert arms == ["main"] * 8 + ["placebo"] + ["batch_size"] * 2
    first = plan["runs"][0]
    assert list(first) == ["id", "arm", "pair", "seed", "repeat", "steps", "config"]
    assert first["config"]["batch_size"] == 8
    assert plan["runs"][-1]["config"]["batch_size"] == 4
    assert plan["cost"] == {
        "runs": 11,
        "steps": 220,
        "completions": None,
        "seconds": None,
        "stored_runs": 0,
    }


def test_plan_in_words(sweep, declared):
    status, out, _ = sweep("plan toy")
    assert status == 0
    assert out.startswith("toy: 8 runs of 20 steps, random sample, seed 3\n")
    assert "log-uniform 1e-07 to 1e-06 (1.0 orders of magnitude)" in out
    assert len(re.findall(r"^0\d +\d", out, re.MULTILINE)) == 8
    assert re.search(r"^placebo +1 +20 +the first 1 run.* learning rate of 0", out, re.MULTILINE)
    assert re.search(r"^batch_size +2 +20 +the first 2 runs with batch size 4", out, re.MULTILINE)
    assert "Cost: 11 runs, 220 steps." in out
    assert "Time is not known yet: no run is stored." in out


@pytest.mark.usefixtures("priced_once")
def test_plan_says_which_backend_it_is_about(sweep, monkeypatch, tmp_path, both_installed):
    monkeypatch.chdir(tmp_path)
    line = f"plan focused --experiments {ROOT / 'experiments'}"
    said = "\ntrained with backend torch (auto; jax is installed too), float32\n"
    assert said in sweep(line)[1]
    assert (
        "\ntrained with backend jax, bfloat16\n"
        in sweep(f"{line} --backend jax --precision bfloat16")[1]
    )


def test_a_sweep_with_its_own_function_names_no_backend(sweep, trained, both_installed):
    assert "trained with" not in sweep("plan toy")[1]
    assert "runs looked up" not in sweep("report toy")[1]


def test_plan_of_less(sweep, declared):
    plan = data(sweep, "plan toy --runs 2 --steps 10 --arms none")
    assert [(run["arm"], run["steps"]) for run in plan["runs"]] == [("main", 10)] * 2
    out = sweep("plan toy --runs 2 --steps 10 --arms none")[1]
    assert out.startswith("toy: 2 runs of 10 steps (declared: 8 of 20 steps)")
    arms = {run["arm"] for run in data(sweep, "plan toy --arms placebo")["runs"]}
    assert arms == {"main", "placebo"}
    assert len(data(sweep, "plan toy --arms all")["runs"]) == 11


def test_plan_knows_the_time_from_runs_like_these(sweep, trained):
    cost = data(sweep, "plan toy")["cost"]
    assert cost["stored_runs"] == 13
    assert cost["seconds"] == pytest.approx(0.01 / 20 * 220)
    assert "About 0.1 s with one worker, judging by 13 stored runs." in sweep("plan toy")[1]
    assert data(sweep, "plan toy --precision bfloat16")["cost"]["seconds"] is None


@pytest.mark.usefixtures("priced_once")
def test_plan_without_stored_runs_knows_no_time(sweep, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    plan = data(sweep, f"plan focused --experiments {ROOT / 'experiments'}")
    assert plan["cost"]["completions"] > 0
    assert plan["cost"]["steps"] == 6_400
    assert plan["cost"]["seconds"] is None


@pytest.mark.parametrize("option", ["--backend tensorflow", "--precision float8"])
def test_plan_refuses_what_cannot_be_trained(sweep, monkeypatch, option):
    monkeypatch.chdir(ROOT)
    status, out, err = sweep(f"plan focused {option}")
    assert (status, out) == (2, "")
    assert option.split()[1] in err


def test_plan_with_a_store_that_is_not_there_says_so(sweep, declared):
    status, _, err = sweep("plan toy --store none.db")
    assert status == 2
    assert re.fullmatch(r"sweep: error: there is no store at .*none\.db.*\n", err)


def test_a_name_that_is_nearly_right(sweep, declared):
    for line in ("plan tyo", "report tyo"):
        status, _, err = sweep(line)
        assert status == 2
        assert err == "sweep: error: no sweep 'tyo'; there are toy, wide; did you mean 'toy'?\n"


def test_an_arm_that_the_sweep_has_not(sweep, declared):
    status, _, err = sweep("plan toy --arms placebos")
    assert status == 2
    assert "did you mean 'placebo'?" in err


def test_time_is_estimated_by_completions_where_configs_have_them():
    settings = {"batch_size": 4, "generations": 10}
    done = [make_result(config=settings, steps=10, seconds=s) for s in (4.0, 8.0, 400.0)]
    planned = [make_result(config={**settings, "generations": 20}, steps=10).run]
    cost = estimate(planned, done, "")
    assert (cost.completions, cost.seconds, cost.stored) == (800, pytest.approx(16.0), 3)
    none = estimate(planned, [], "nothing is stored")
    assert (none.seconds, none.why) == (None, "nothing is stored")


DEPTHS = """
sweep = toy(
    runs={runs},
    space=dict(learning_rate=LogUniform(1e-7, 1e-6), max_depth=Choice(2, 4, 8)),
    arms=dict(max_depth=Pairs({pairs}, values=(2, 8))),
    questions=dict(max_depth=no_worse("max_depth", 4, than=(2, 8))),
)
"""


def test_too_few_pairs_are_named_with_a_number_that_is_enough_by_plan_and_by_verdict(sweeps, sweep):
    def flat(words):
        return " ".join(words.split())

    sweeps.write(body=DEPTHS.format(runs=20, pairs=12))
    out = sweep("plan toy")[1]
    (few,) = {int(n) for n in re.findall(r"the first (\d+) runs of max depth 4, with", flat(out))}
    assert few < 12
    assert "max depth 2, 8 (12 were asked for)" in flat(out)
    (runs,) = {int(n) for n in re.findall(r"in a sweep of runs=(\d+), of which", flat(out))}
    needed = (
        f"an arm max_depth=Pairs(12, values=(2, 8)) in a sweep of runs={runs}, of which 12 have "
    )
    needed += f"max depth 4 ({few} of 20 have it now)"
    assert f"warning: unanswerable: max_depth cannot be supported: pairs: {few} with 2" in flat(out)
    assert needed in flat(out)
    options = ("--sweep-arms", "none", "--sweep-fail-on", "failed")
    said = sweeps.run("--sweep", "toy", *options).stdout.str()
    assert f"needs: {needed}, run with --sweep-arms max_depth" in flat(said)
    made = [run for run in data(sweep, "plan toy")["runs"] if run["arm"] == "max_depth"]
    assert len(made) == 2 * few  # no run is wasted

    sweeps.write(body=DEPTHS.format(runs=runs, pairs=12))
    out = sweep("plan toy")[1]
    assert "the first 12 runs of max depth 4, with max depth 2, 8" in flat(out)
    assert "asked for" not in flat(out)
    assert "cannot be supported" not in flat(out)
    (asked,) = data(sweep, "plan toy")["power"]
    assert (asked["n"], asked["unit"]) == (12, "pairs")
