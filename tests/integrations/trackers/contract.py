"""What every tracker does with the runs and verdicts of a sweep, read back by its own means."""

import math
from dataclasses import dataclass, field

import pytest

from harness import Choice, Given, LogUniform, Pairs, Sweep
from harness.errors import UsageError
from harness.integrations.trackers import Tracking
from harness.integrations.trackers.base import tracked_sweep, undeclared_sweep
from harness.records import Evaluation
from harness.verdicts import Verdict
from tests.factories import make_arm, make_result, make_results
from tests.session.fakes import trainer

SPACE = {
    "learning_rate": LogUniform(1e-8, 1e-5),
    "batch_size": 8,
    "schedule": Choice("cosine", "linear"),
    "warmup": Given("schedule", cosine=Choice(0, 10), linear=5),
    "layers": Choice((64,), (64, 64)),
    "clip": Choice(None, 0.5, True),
}
ARMS = {"placebo": 1, "batch_size": Pairs(1, values=(4,))}
CONFIG = {
    "learning_rate": 3.2e-7,
    "batch_size": 8,
    "schedule": "cosine",
    "warmup": 10,
    "layers": (64, 64),
    "clip": None,
}
AT = "2025-06-01T12:00:00.250000Z"


def declared(name="toy", **space):
    return Sweep(name, runs=8, steps=100, space=SPACE | space, arms=ARMS, trainer=trainer)


def a_run(number=0, **changes):
    given = {"config": CONFIG, "sweep": "toy", "finished_at": AT, "seed": 7 + number}
    return make_result(**{"id": f"toy-{number:02}", "index": number} | given | changes)


def verdict(id="success_above_half", name="supported", **changes):
    given = {"question": "?", "claim": "c", "answer": f"it is {name}", "p_holm": 0.01234567}
    return Verdict(id=id, verdict=name, **given | changes)


def verdicts_in(tags, scope):
    """Return the tags of a scope's verdicts by their names without it."""
    before = f"{scope}." if scope else ""
    asked = ("verdict.", "answer.", "estimate.", "p_holm.")
    found = {n.removeprefix(before): text for n, text in tags.items() if n.startswith(before)}
    return {name: text for name, text in found.items() if name.startswith(asked)}


@dataclass(frozen=True)
class Seen:
    """What a tracker shows of a run: texts where it has only texts."""

    key: str
    status: str
    config: dict[str, str]
    tags: dict[str, str]
    numbers: dict[str, float]
    curve: list[tuple[int, float]] = field(default_factory=list)


class TrackerContract:
    """Inherit from this, and say how a tracker is named, read back, and broken."""

    library: str
    good, bad, stopped = "", "", ""
    """Its words for a run that is completed, failed and diverged."""

    @pytest.fixture
    def target(self, tmp_path):
        """A tracker and an empty place for it, as ``--sweep-track`` takes them."""
        raise NotImplementedError

    def runs(self, target, sweep="toy"):
        """Return what the tracker shows of each run, by its own reader."""
        raise NotImplementedError

    def verdicts(self, target, sweep="toy", scope=""):
        """Return name → text of the verdicts of a scope that the tracker shows."""
        raise NotImplementedError

    def harm(self, target):
        """Leave the one run in the tracker as a session leaves it that is killed meanwhile."""
        raise NotImplementedError

    @pytest.fixture
    def wrong(self, tmp_path):
        """A tracker at a place where nothing can be written."""
        (tmp_path / "file").write_text("no folder")
        return f"{self.library}:{tmp_path / 'file' / 'inside'}"

    def write(self, target, *results, verdicts=(), scope="", sweep=None):
        """Write in a session of its own."""
        tracking = Tracking([target], self.folder, self.folder)
        tracking.begin([tracked_sweep(sweep or declared())])
        for result in results:
            tracking.write_run(result)
        tracking.write_verdicts("toy", verdicts, scope)
        tracking.close()
        assert tracking.failures == {}

    @pytest.fixture(autouse=True)
    def _in_folder(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        self.folder = tmp_path

    def test_a_run_is_there_with_all_that_is_known_of_it(self, target):
        result = a_run()
        self.write(target, result)
        (seen,) = self.runs(target)
        assert (seen.key, seen.status) == (result.key, self.good)
        assert {name: float(seen.config[name]) for name in ("learning_rate", "batch_size")} == {
            "learning_rate": 3.2e-7,
            "batch_size": 8,
        }
        assert (seen.config["schedule"], seen.config["layers"]) == ("cosine", "(64, 64)")
        assert seen.config["clip"] in ("None", "null")
        told = {"run": "toy-00", "arm": "main", "status": "completed", "sweep": "toy"}
        told |= {"seed": "7", "steps": "100", "backend": "torch", "finished_at": AT}
        assert told.items() <= seen.tags.items()
        close = pytest.approx  # some keep numbers of four bytes
        assert seen.numbers["delta_perf"] == close(0.05)
        assert seen.numbers["delta_perf_se"] == close(0.01)
        assert seen.numbers["perf_after"] == close(0.17)
        points = [(point.step, close(point.perf)) for point in result.outcome.curve]
        assert len(points) == 11
        assert seen.curve == points

    def test_an_arm_s_run_names_its_pair(self, target):
        (main,) = make_results([0.1], prefix="toy", parameters={"batch_size": [8]})
        (other,) = make_arm("batch_size", [main], [0.2], changes={"batch_size": 4})
        self.write(target, main, other)
        found = {seen.key: seen for seen in self.runs(target)}
        assert found[other.key].tags["pair"] == "toy-00"
        assert found[other.key].tags["arm"] == "batch_size"
        assert "pair" not in found[main.key].tags

    def test_a_run_that_did_not_complete_has_the_tracker_s_own_status(self, target):
        found = {
            status: a_run(number, status=status, error="out of disk", curve=())
            for number, status in enumerate(["diverged", "failed", "timeout", "crashed"])
        }
        self.write(target, *found.values())
        seen = {one.key: one for one in self.runs(target)}
        for status, result in found.items():
            expected = self.stopped if status == "diverged" else self.bad
            assert seen[result.key].status == expected
            assert seen[result.key].tags["status"] == status
            assert seen[result.key].tags["error"] == "out of disk"
            assert "delta_perf" not in seen[result.key].numbers

    def test_what_is_there_is_not_written_again(self, target):
        results = [a_run(number) for number in range(3)]
        self.write(target, *results[:2], verdicts=[verdict()])
        before = self.runs(target)
        self.write(target, *results, verdicts=[verdict()])  # resumed
        self.write(target, *results, verdicts=[verdict()])  # and exported
        after = self.runs(target)
        assert [one for one in after if one.key != results[2].key] == before
        assert sorted(one.key for one in after) == sorted(result.key for result in results)

    def test_a_run_that_was_trained_again_is_replaced(self, target):
        failed = a_run(status="failed", error="out of disk", curve=())
        again = a_run(delta=0.2)
        assert failed.key == again.key
        self.write(target, failed, a_run(1))
        self.write(target, again)
        found = {seen.key: seen for seen in self.runs(target)}
        assert len(found) == len(self.runs(target)) == 2
        assert found[again.key].status == self.good
        assert found[again.key].numbers["delta_perf"] == pytest.approx(0.2)
        assert len(found[again.key].curve) == 11
        assert found[a_run(1).key].numbers["delta_perf"] == pytest.approx(0.05)

    def test_what_a_killed_session_left_is_written_whole(self, target):
        self.write(target, a_run())
        (whole,) = self.runs(target)
        self.harm(target)
        self.write(target, a_run())
        assert self.runs(target) == [whole]

    def test_verdicts_are_updated_and_not_appended(self, target):
        first = [verdict(), verdict("plateau", "refuted", p_holm=None)]
        self.write(target, a_run(), verdicts=first)
        said = self.verdicts(target)
        assert said["verdict.success_above_half"] == "supported"
        assert said["answer.success_above_half"] == "it is supported"
        assert said["p_holm.success_above_half"] == "0.0123457"
        assert said["verdict.plateau"] == "refuted"
        self.write(target, a_run(), verdicts=[verdict(name="inconclusive"), first[1]])
        now = self.verdicts(target)
        assert now["verdict.success_above_half"] == "inconclusive"
        assert now["verdict.plateau"] == "refuted"
        assert now.keys() == said.keys()

    def test_verdicts_on_a_part_leave_those_on_the_whole(self, target):
        self.write(target, a_run(), verdicts=[verdict()])
        self.write(target, a_run(), verdicts=[verdict(name="inconclusive")], scope="smoke")
        assert self.verdicts(target)["verdict.success_above_half"] == "supported"
        part = self.verdicts(target, scope="smoke")
        assert part["verdict.success_above_half"] == "inconclusive"

    def test_a_question_that_is_asked_no_more_has_no_verdict(self, target):
        self.write(target, verdicts=[verdict(), verdict("plateau")])
        self.write(target, verdicts=[verdict(name="refuted")])
        said = self.verdicts(target)
        assert said["verdict.success_above_half"] == "refuted"
        assert said.get("verdict.plateau", "no longer asked") == "no longer asked"

    def test_two_sweeps_are_apart(self, target):
        self.write(target, a_run(), verdicts=[verdict()])
        tracking = Tracking([target], self.folder, self.folder)
        tracking.begin([tracked_sweep(declared()), tracked_sweep(declared("other"))])
        tracking.write_run(a_run(5, sweep="other", id="other-05"))
        tracking.write_verdicts("other", [verdict(name="refuted")])
        assert tracking.failures == {}
        assert [seen.tags["run"] for seen in self.runs(target)] == ["toy-00"]
        assert [seen.tags["run"] for seen in self.runs(target, "other")] == ["other-05"]
        assert self.verdicts(target)["verdict.success_above_half"] == "supported"
        assert self.verdicts(target, "other")["verdict.success_above_half"] == "refuted"

    def test_odd_values_do_no_harm(self, target):
        config = CONFIG | {"learning_rate": 0.0, "what|is:this?": "x" * 9000, "μ": "naïve\n✓"}
        curve = (Evaluation(0, 0.1, math.nan, 0.1), Evaluation(10, math.nan, 0.1, 0.1))
        odd = a_run(
            config=config, curve=curve, arm="placebo", pair="toy-01", delta=0.0, before=None
        )
        rows = a_run(1, finished_at=None, seconds=None, error="e" * 20_000, status="failed")
        many = a_run(2, config={f"p{number}": number for number in range(150)})
        self.write(target, odd, rows, many)
        assert len(self.runs(target)) == 3
        self.write(target, odd, rows, many)
        found = {seen.key: seen for seen in self.runs(target)}
        assert len(self.runs(target)) == 3
        assert float(found[odd.key].config["learning_rate"]) == 0
        assert found[odd.key].curve[0] == (0, pytest.approx(0.1))
        assert float(found[many.key].config["p149"]) == 149

    def test_a_sweep_whose_options_became_more_goes_on(self, target):
        self.write(target, a_run())
        more = declared(
            schedule=Choice("linear", "step", "cosine"), batch_size=Choice(8, 16), warmup=5
        )
        new = a_run(1, config=CONFIG | {"schedule": "step", "batch_size": 16, "warmup": 5})
        self.write(target, new, sweep=more)
        found = {seen.key: seen for seen in self.runs(target)}
        assert found[new.key].config["schedule"] == "step"
        assert found[a_run().key].config["schedule"] == "cosine"

    def test_a_sweep_that_no_file_declares_is_written(self, target):
        results = [a_run(), a_run(1, config=CONFIG | {"learning_rate": 1e-6, "layers": (1,)})]
        tracking = Tracking([target], self.folder, self.folder)
        tracking.begin([undeclared_sweep("toy", results)])
        for result in results:
            tracking.write_run(result)
        assert tracking.failures == {}
        assert sorted(seen.config["layers"] for seen in self.runs(target)) == ["(1,)", "(64, 64)"]

    def test_a_place_that_cannot_be_written_is_one_line(self, wrong):
        with pytest.raises(UsageError, match=self.library) as caught:
            Tracking([wrong], self.folder, self.folder).begin([tracked_sweep(declared())])
        assert "\n" not in str(caught.value)

    def test_a_library_that_is_not_installed_is_one_line(self, target, missing):
        missing(self.library)
        with pytest.raises(UsageError) as caught:
            Tracking([target], self.folder, self.folder)
        assert f"{self.library} needs the package {self.library}" in str(caught.value)
        assert f"pip install 'pytest-sweep[{self.library}]'" in str(caught.value)
