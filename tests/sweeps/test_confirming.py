"""The arm that confirms leaders: its runs before the leaders are known, and what is refused."""

from dataclasses import dataclass

import pytest

from harness import BaseClaim, Choice, Config, Confirm, LogUniform, Pairs, Sweep, SweepError
from harness.claims import mean_gain
from harness.judging.stored import question_hashes
from harness.records import CONFIRM, Conditions, run_key
from harness.sweeps.confirming import Place, is_open
from harness.sweeps.plan import Plan, Selection, counted_runs

UNDER = Conditions("t", "1", "own", "float32", "cpu", "task", "1", "model")


def trainer(job, notify):
    raise AssertionError("nothing is trained here")


@dataclass(frozen=True)
class Wins(BaseClaim):
    """A claim on leaders that are confirmed."""

    reference: str | int | Config = "median"

    @property
    def arms(self):
        return (CONFIRM,)

    @property
    def confirms_against(self):
        return self.reference

    def question(self, metric=None):
        return "Does the leader win?"

    def describe(self, metric=None):
        return f"the leader is ahead of {self.reference!r}"

    def decide(self, id, evidence):
        raise AssertionError("nothing is judged here")


def make(top=2, seeds=4, reference=None, **changes):
    space = {"learning_rate": LogUniform(1e-7, 1e-6), "batch_size": Choice(4, 8)}
    usual = {"runs": 6, "steps": 10, "space": space, "trainer": trainer, "name": "s"}
    usual["arms"] = {"confirm": Confirm(top=top, seeds=seeds)}
    if reference is not None:
        usual["questions"] = {"winner": Wins(reference)}
    return Sweep(**{**usual, **changes})


def confirming(sweep, **given):
    return [run for run in sweep.plan(**given) if run.arm == CONFIRM]


def test_the_runs_come_last_seed_by_seed_with_the_reference_first():
    runs = make().plan()
    assert [run.arm for run in runs] == ["main"] * 6 + [CONFIRM] * 12
    assert [(run.repeat, run.index) for run in runs[6:]] == [
        (seed, place) for seed in range(4) for place in range(3)
    ]
    assert [run.id for run in runs[6:9]] == [
        "s-confirm-reference-s0",
        "s-confirm-1-s0",
        "s-confirm-2-s0",
    ]
    assert all(is_open(run) for run in runs[6:])
    assert not any(is_open(run) for run in runs[:6])


def test_the_places_share_fresh_seeds_that_no_main_run_has():
    runs = make().plan()
    fresh = {(run.repeat, run.seed) for run in runs[6:]}
    assert sorted(repeat for repeat, _ in fresh) == [0, 1, 2, 3]
    main = {run.seed for run in make().plan(seeds=3) if run.arm == "main"}
    assert not {seed for _, seed in fresh} & main


def test_the_seeds_are_pinned():
    """Another seed means that what is stored is trained again: never by accident."""
    assert [run.seed for run in confirming(make())][::3] == [
        1375385163,
        3678647196,
        3830704095,
        391360495,
    ]


def test_more_seeds_and_leaders_are_added_to_what_was_trained():
    places = {place: Place(Config({"learning_rate": place}), None) for place in range(4)}

    def keys(sweep):
        runs = sweep.plan()
        planned = Plan(sweep, Selection(), UNDER, {}, tuple(filter(is_open, runs)))
        return set(planned.with_places(places).runs)

    assert keys(make()) < keys(make(seeds=5))
    assert keys(make()) < keys(make(top=3))


def test_the_main_runs_and_their_arms_stay_as_they_are():
    assert make().plan()[:6] == make(arms={}).plan()
    assert make().declaration == make(arms={}).declaration
    assert make().plan(arms=()) == make(arms={}).plan()


@pytest.mark.parametrize("reference", [4, "s-04-lr3.5e-07-bs8"])
def test_a_reference_that_is_a_main_run_is_known_before(reference):
    sweep = make(reference=reference)
    main = sweep.plan()[4]
    known = [run for run in confirming(sweep) if not is_open(run)]
    assert {(run.index, run.config, run.pair) for run in known} == {(0, main.config, main.id)}
    assert len(known) == 4


def test_a_whole_config_is_a_reference():
    config = Config({"learning_rate": 1e-7, "batch_size": 4})
    known = [run for run in confirming(make(reference=config)) if not is_open(run)]
    assert {(run.index, run.config, run.pair) for run in known} == {(0, config, None)}


def test_of_fewer_main_runs_fewer_leaders_can_be_ahead_of_the_median():
    assert {run.index for run in confirming(make(top=3), runs=2)} == {0, 1}
    assert confirming(make(top=3), runs=1) == []


def test_fewer_steps_are_those_of_the_main_runs():
    runs = make().plan(steps=4)
    assert {(run.steps, run.declared_steps, run.evaluate_every) for run in runs} == {(4, 10, 4)}


def test_places_beyond_the_configs_there_are_are_left_out():
    sweep = make()
    open_runs = tuple(confirming(sweep))
    planned = Plan(sweep, Selection(), UNDER, {}, open_runs)
    found = planned.with_places({0: Place(Config({"a": 1}), None), 1: Place(Config({"a": 2}), "x")})
    assert {run.index for run in found.runs.values()} == {0, 1}
    assert found.open == ()
    assert [key for key, run in found.runs.items() if key != run_key(run, UNDER)] == []


def test_every_seed_that_confirms_counts_where_the_seeds_of_main_runs_count_once():
    runs = counted_runs(make(seeds=5, runs=6).plan(seeds=2))
    assert sum(run.arm == CONFIRM for run in runs) == 15
    assert sum(run.arm == "main" for run in runs) == 6


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"top": 4}, "4 leaders to confirm (top), but of 6 runs at most 3 can be ahead"),
        ({"top": 0}, "Confirm: top is 0; expected a whole number of at least 1"),
        ({"seeds": 3}, "Confirm: seeds is 3; expected a whole number of at least 4"),
        ({"arms": {"confirm": 3}}, "arm 'confirm' is 3; expected Confirm(top=3, seeds=8)"),
        (
            {"arms": {"confirm": Pairs(3, values=(4,))}},
            "arm 'confirm' is Pairs(count=3, values=(4,)); expected Confirm(top=3, seeds=8)",
        ),
        ({"reference": 6}, "the reference is run 6; the main runs are 0 to 5"),
        ({"reference": "s-04"}, "the reference is 's-04', which is no main run"),
        (
            {"reference": Config({"learning_rate": 1e-7})},
            "the reference has the parameters learning_rate; expected a whole config: "
            "learning_rate and batch_size",
        ),
        (
            {"questions": {"a": Wins("median"), "b": Wins(0)}},
            "its questions compare the leaders with 'median' and 0; the arm 'confirm' has one",
        ),
    ],
)
def test_what_cannot_be_confirmed_is_refused_in_one_line(given, said):
    with pytest.raises(SweepError) as error:
        make(**given)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_the_question_is_known_by_the_size_of_the_arm_and_others_are_not():
    def hashes(**given):
        questions = {"winner": Wins(), "mean": mean_gain.above_arm("null")}
        return question_hashes(make(questions=questions, **given))

    usual = hashes()
    for other in (hashes(seeds=5), hashes(top=3)):
        assert other["winner"] != usual["winner"]
        assert other["mean"] == usual["mean"]
