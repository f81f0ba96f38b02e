import functools
import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import Choice, Counts, Given, LogUniform, Pairs, Sweep, SweepError, Uniform
from harness.claims import best_inside, no_worse, success_rate
from harness.metrics import DELTA_PERF, Metric
from harness.plugin.declared import discover
from harness.records import Conditions, digest, run_key
from harness.sweeps.plan import Selection, plan
from harness.training.schedules import scale_steps

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
SWEEPS = discover([EXPERIMENTS])
SPACE = {"learning_rate": LogUniform(1e-7, 1e-6), "batch_size": Choice(4, 8)}


class Trainers:
    """What people give in place of a function: a class, an instance, a method."""

    def __call__(self, run):
        pass

    fit = __call__


def make(**changes):
    return Sweep(**{"name": "s", "runs": 4, "steps": 10, "space": SPACE, **changes})


def test_the_samples_are_pinned():
    """Another digest means that stored runs are no longer their sweep's: never by accident."""
    configs = {name: [dict(r.config) for r in s.plan(arms=())] for name, s in SWEEPS.items()}
    assert {name: (len(c), digest(c)) for name, c in configs.items()} == {
        "broad": (48, "4c00d4cbf1b02a62"),
        "focused": (24, "7327a814e17544e8"),
    }


def test_the_declared_spaces_are_drawn_from():
    focused = SWEEPS["focused"].plan(arms=())
    assert all(8e-8 <= run.config["learning_rate"] <= 4e-7 for run in focused)
    assert {run.config["batch_size"] for run in focused} == {8}
    for run in (*focused, *SWEEPS["broad"].plan()):
        few = (20, 30, 40) if run.config["batch_size"] <= 6 else (16, 24, 32)
        assert run.config["generations"] in few
        longest = {"advanced": (10, 20, 30), "cosine": (0, 10, 20)}[run.config["lr_schedule"]]
        assert run.config["warmup_steps"] in longest


def test_the_plan_is_the_same_in_another_process():
    code = (
        "import json; from harness.plugin.declared import discover;"
        f"s = discover([{str(EXPERIMENTS)!r}])['focused'];"
        "print(json.dumps([[r.id, r.seed, dict(r.config)] for r in s.plan()]))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    here = [[run.id, run.seed, dict(run.config)] for run in SWEEPS["focused"].plan()]
    assert json.loads(printed.stdout) == here


def test_an_arm_of_random_rewards_adds_runs_and_changes_none():
    """The keys of stored runs stay what they were."""
    focused = SWEEPS["focused"]
    more = replace(focused, arms={**focused.arms, "random": 8})
    assert more.declaration == focused.declaration
    added = [run for run in more.plan() if run not in set(focused.plan())]
    assert [run for run in more.plan() if run.arm != "random"] == list(focused.plan())
    mains = {run.id: run for run in focused.plan(arms=())}
    assert len(added) == 8
    for run in added:
        main = mains[run.pair]
        assert (run.arm, run.config, run.seed) == ("random", main.config, main.seed)
        assert run.steps == main.steps


def test_arms_are_pairs_of_main_runs():
    runs = {run.id: run for run in SWEEPS["focused"].plan()}
    assert Counter(run.arm for run in runs.values()) == {
        "main": 24,
        "placebo": 2,
        "null": 8,
        "half": 12,
        "batch_size": 24,
    }
    for run in runs.values():
        if run.arm == "main":
            assert run.pair is None
            continue
        main = runs[run.pair]
        assert (main.seed, main.index, main.arm) == (run.seed, run.index, "main")
        changed = {k for k in run.config if run.config[k] != main.config[k]}
        wanted = {"placebo": {"learning_rate"}, "batch_size": {"batch_size"}}.get(run.arm, set())
        assert changed == wanted
        assert run.steps == (50 if run.arm == "half" else 100)
        assert run.evaluate_every == (5 if run.arm == "half" else 10)
    assert all(r.config["learning_rate"] == 0 for r in runs.values() if r.arm == "placebo")


def test_an_arm_of_pairs_leaves_out_the_value_a_main_run_has():
    runs = make(arms={"batch_size": Pairs(4, values=(4, 8))}).plan()
    by_id = {run.id: run for run in runs}
    arm = [run for run in runs if run.arm == "batch_size"]
    assert len(arm) == 4
    assert all(run.config["batch_size"] != by_id[run.pair].config["batch_size"] for run in arm)


def test_ids_read_well_and_are_unique():
    ids = [run.id for sweep in SWEEPS.values() for run in sweep.plan()]
    assert len(set(ids)) == len(ids)
    assert "focused-07-" in ids[48 + 7]
    assert ids[48 + 7].count("-") >= 5
    odd = make(space={"lr": Uniform(0, 1), "data mix": "web/code 1:2"}).plan()[0].id
    assert " " not in odd
    assert "/" not in odd


def test_seeds_differ_between_runs_and_between_sweeps():
    seeds = [run.seed for sweep in SWEEPS.values() for run in sweep.plan(arms=())]
    assert len(set(seeds)) == len(seeds) == 72


@given(st.integers(1, 12), st.integers(1, 12))
def test_enlarging_keeps_the_runs_there_were(count, more):
    sweep = make(runs=12)
    small, large = sweep.plan(runs=count), sweep.plan(runs=count + more)
    assert large[:count] == small


def test_fewer_runs_keep_only_their_arms():
    runs = SWEEPS["focused"].plan(runs=3)
    mains = {run.id for run in runs if run.arm == "main"}
    assert len(mains) == 3
    assert {run.pair for run in runs if run.arm != "main"} <= mains
    assert Counter(run.arm for run in runs)["batch_size"] == 6


@given(st.integers(0, 200), st.integers(1, 200), st.integers(1, 200))
def test_steps_scale_in_proportion(value, steps, declared):
    scaled = scale_steps(value, steps, declared)
    assert abs(scaled - value * steps / declared) <= 0.5 or scaled == 1
    assert (scaled == 0) == (value == 0)
    assert scale_steps(value, declared, declared) == value


def test_a_shorter_sweep_scales_its_evaluations():
    assert {run.evaluate_every for run in SWEEPS["focused"].plan(steps=20, arms=())} == {2}


CONDITIONS = Conditions("t:f", "1", "torch", "float32", "cpu", "addition", "1", "decoder")


def test_the_key_is_that_of_the_training_alone():
    main, half = make(arms={"half": 1}).plan()[0], make(arms={"half": 1}).plan()[-1]
    key = run_key(main, CONDITIONS)
    assert key == run_key(make(runs=2).plan()[0], CONDITIONS)
    elsewhere = Conditions(
        "elsewhere:f", "1", "torch", "float32", "cuda", "addition", "1", "decoder"
    )
    assert key == run_key(main, elsewhere)
    others = [
        run_key(half, CONDITIONS),
        run_key(make(seed=1).plan()[0], CONDITIONS),
        run_key(make(steps=11).plan()[0], CONDITIONS),
        run_key(make().plan(steps=5)[0], CONDITIONS),
        *(
            run_key(main, Conditions(*values))
            for values in (
                ("t:f", "2", "torch", "float32", "cpu", "addition", "1", "decoder"),
                ("t:f", "1", "jax", "float32", "cpu", "addition", "1", "decoder"),
                ("t:f", "1", "torch", "bfloat16", "cpu", "addition", "1", "decoder"),
                ("t:f", "1", "torch", "float32", "cpu", "addition", "2", "decoder"),
                ("t:f", "1", "torch", "float32", "cpu", "addition", "1", "larger"),
                ("t:f", "1", "torch", "float32", "cpu", "addition", "1", "decoder", 2.0),
            )
        ),
    ]
    assert len({key, *others}) == len(others) + 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "a b"}, "sweep name 'a b': use letters"),
        ({"runs": 0}, "runs is 0; expected a whole number of at least 1"),
        ({"steps": 2.5}, "steps is 2.5"),
        ({"evaluate_every": 0}, "evaluate_every is 0"),
        ({"sampler": "soboll"}, "did you mean 'sobol'?"),
        ({"arms": {"placebos": 2}}, "did you mean 'placebo'?"),
        ({"arms": {"placebo": 0}}, "arm 'placebo': runs is 0"),
        ({"arms": {"null": 5}}, "has 5 runs, more than the sweep's 4"),
        ({"arms": {"batch_size": 2}}, "expected Pairs(count, values=…)"),
        ({"arms": {"half": Pairs(1, (2,))}}, "expected a number of runs"),
        ({"arms": {"placebo": 1}, "space": {"depth": 2}}, "sets learning_rate to 0, but"),
        ({"questions": {"q": best_inside("learning_rat")}}, "did you mean 'learning_rate'?"),
        ({"questions": {"q": no_worse("width", 8, than=(4,))}}, "names the parameter 'width'"),
        ({"space": {"w": Given("s", a=1)}}, "sweep 's': w: given 's'"),
        ({"name": 5}, "sweep name 5: use letters"),
        ({"seed": "x"}, "seed is 'x'; expected a whole number"),
        ({"space": [1]}, "space is [1]; expected space=dict(…)"),
        ({"questions": [1]}, "questions is [1]; expected questions=dict(…)"),
        ({"questions": {"q": 5}}, "question 'q' is 5, which is no claim"),
        ({"baseline": Counts("x", 30, 19, "ΔPerf > 0", "nowhere")}, "30 successes in 19 runs"),
        ({"name": ".."}, "sweep name '..': use letters"),
        ({"baseline": "s"}, "its baseline is itself"),
        ({"baseline": "a/b.csv"}, "'a/b.csv' is a table; declare a sweep or Counts, and give a ta"),
        ({"questions": {"q": best_inside}}, "which is no claim"),
        ({"alpha": 0.0}, "alpha is 0.0; expected a number above 0 and below 0.5"),
        ({"margin": -1}, "margin is -1"),
        (
            {"trainer": functools.wraps(len)(lambda run: None)},
            "trainer is the function len, which its file does not have under this name",
        ),
        (
            {"trainer": lambda run: None},
            "trainer is a lambda; workers load it by name: write def train(run) at the top level",
        ),
        ({"trainer": functools.partial(make, x=1)}, "trainer is a functools.partial; workers"),
        ({"trainer": Trainers}, "trainer is the class Trainers; workers"),
        ({"trainer": Trainers()}, "trainer is an instance of Trainers; workers"),
        ({"trainer": Trainers().fit}, "trainer is the method Trainers.__call__; workers"),
        ({"trainer": "mod.py:train"}, "trainer is 'mod.py:train'; workers"),
    ],
)
def test_what_cannot_be_run_is_refused_by_name(changes, said):
    with pytest.raises(SweepError) as error:
        make(**changes)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_the_declaration_changes_with_the_space_only_where_it_matters():
    declared = make().declaration
    assert declared == make(runs=9, arms={"half": 1}).declaration
    finer = {**SPACE, "learning_rate": LogUniform(1e-7, 1.0000000001e-6)}
    assert declared != make(space=finer).declaration
    assert declared != make(seed=5).declaration


PROTOCOL = (
    *("parameters", "within", "arms", "paired_at", "uses_baseline", "fewest", "by_counts"),
    *(
        "on_spread",
        "on_gains",
        "rests_on",
        "confirms_against",
        "question",
        "asked",
        "describe",
        "judge",
        "runs_of",
        "curtailed",
        "power",
        "worse",
    ),
    "window",
)


def like_a_claim(without=None):
    """Return an object that has what a claim has but for one member, and derives from nothing."""
    whole = success_rate.above(0.5)
    members = {name: getattr(whole, name) for name in PROTOCOL if name != without}
    return type("Homemade", (), {"__repr__": lambda self: "Homemade()"} | members)()


@pytest.mark.parametrize("member", PROTOCOL)
def test_a_claim_that_lacks_a_member_of_the_protocol_is_refused_in_one_line(member):
    with pytest.raises(SweepError) as error:
        make(questions={"q": like_a_claim(without=member)})
    said = str(error.value)
    assert said.startswith("sweep 's': question 'q' is Homemade(), which is no claim (it lacks ")
    assert f"(it lacks {member}); use one, as " in said
    assert "derive yours from harness.BaseClaim" in said
    assert "\n" not in said


def test_a_claim_that_has_all_of_it_is_asked_whatever_it_derives_from():
    asked = like_a_claim()
    assert make(questions={"q": asked}).questions["q"] is asked


# ---- a metric of its own ------------------------------------------------------------------------


def measures(job, notify):
    raise AssertionError("nothing is trained here")


def by_metric(**changes):
    return make(**{"trainer": measures, "metric": "val_loss", **changes})


@pytest.mark.parametrize(
    ("name", "direction"),
    [("val_loss", "min"), ("valLoss", "min"), ("eval/accuracy", "max"), ("test.rmse", "min")],
)
def test_which_way_is_better_is_plain_by_the_name(name, direction):
    assert by_metric(metric=name).judged_by == Metric.final(name, direction)


def test_a_metric_has_no_usual_margin_and_perf_has():
    assert (make().margin, make().min_gain, make().judged_by) == (0.02, 0.05, DELTA_PERF)
    assert (by_metric().margin, by_metric().min_gain) == (None, 0.0)
    given = by_metric(margin=5.0, min_gain=2.0, target=-3, direction="max")
    assert (given.margin, given.min_gain) == (5.0, 2.0)
    assert given.judged_by == Metric("val_loss", "target", False, -3)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"direction": "down"}, "direction 'down' is not one of max, min"),
        ({"metric": "foo"}, "metric 'foo': its name does not say whether more or less of it is "
                            'better; write direction="max" or direction="min"'),
        ({"metric": 3}, "metric is 3; expected text in one line, as 'val_loss'"),
        ({"target": "low"}, "target is 'low'; expected a value of val_loss that a success passes"),
        ({"target": float("nan")}, "target is nan; expected a value of val_loss"),
        ({"target": True}, "target is True; expected a value of val_loss"),
        ({"margin": 0}, "margin is 0; expected a number above 0"),
        ({"margin": -0.1}, "margin is -0.1; expected a number above 0"),
        ({"min_gain": -1}, "min_gain is -1; expected a number of at least 0"),
        ({"metric": None, "direction": "min"}, "direction='min' is of a metric; name the metric"),
        ({"metric": None, "target": 0.5}, "target=0.5 is of a metric; name the metric"),
        ({"trainer": None}, "metric 'val_loss' needs a trainer that measures it"),
    ],
)  # fmt: skip
def test_a_mistake_about_the_metric_is_one_line(changes, said):
    with pytest.raises(SweepError) as caught:
        by_metric(**changes)
    assert str(caught.value).startswith("sweep 's': ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_runs_of_another_metric_are_other_runs_and_those_of_perf_are_as_they_were():
    def keys(sweep):
        return set(plan(sweep, Selection(), trains=False).runs)

    usual = keys(by_metric())
    assert not usual & keys(by_metric(metric="train_loss"))
    assert not usual & keys(make(trainer=measures))
    assert usual == keys(by_metric(direction="max")) == keys(by_metric(target=1.0, margin=0.1))
    (main, *_), conditions = make().plan(), CONDITIONS
    assert run_key(main, conditions) == run_key(main, replace(conditions, direction="min"))
