"""Executors by name, trainers by reference, the tail of a log."""

from __future__ import annotations

import math
import os
import sys
from dataclasses import replace

import numpy as np
import pytest

from harness.errors import BackendError, UsageError
from harness.executors import logs, make_executor
from harness.executors.load import check_unchanged, load_trainer
from harness.executors.logs import begin_log, tail
from harness.executors.outcomes import failure, one_line, sound, train
from harness.records import Evaluation, Outcome, file_digest
from harness.text import byte_size
from tests.executors import contract, trainers
from tests.factories import make_result


def test_an_unknown_executor_names_the_nearest():
    with pytest.raises(UsageError, match=r"'lokal' is not one of .*; did you mean 'local'\?"):
        make_executor("lokal")
    with pytest.raises(UsageError, match="executor 'x' is not one of local, inline, ray"):
        make_executor("x")


def test_without_ray_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    for room in ("ray", "cluster"):
        monkeypatch.delitem(sys.modules, f"harness.executors.{room}", raising=False)
        monkeypatch.delattr(f"harness.executors.{room}", raising=False)
    with pytest.raises(BackendError) as caught:
        make_executor("ray")
    assert str(caught.value) == (
        "executor 'ray' needs Ray (import of ray halted; None in sys.modules): "
        "pip install 'pytest-sweep[ray]', or use 'local' (worker processes of this machine)"
    )


@pytest.mark.parametrize("options", [{"workers": 0}, {"workers": -1}, {"threads": 0}])
def test_there_is_at_least_one_of_each(options):
    with pytest.raises(UsageError, match="must be at least 1, not"):
        make_executor("local", **options)


def test_a_module_s_function():
    assert load_trainer("tests.executors.trainers:quick") is trainers.quick


def test_a_file_is_imported_once_and_finds_its_neighbours(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "a_neighbour_of_mine.py").write_text("VALUE = 7\n")
    file = tmp_path / "my-trainer.py"
    file.write_text("import a_neighbour_of_mine\ndef train(job, notify): pass\n")
    monkeypatch.chdir(tmp_path)
    loaded = load_trainer(f"{file}:train")
    assert loaded is load_trainer("my-trainer.py:train")
    assert sys.modules[loaded.__module__].a_neighbour_of_mine.VALUE == 7


def test_a_file_that_failed_to_import_is_tried_again(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("1 / 0\n")
    with pytest.raises(UsageError, match="cannot be imported: ZeroDivisionError: division by zero"):
        load_trainer(f"{file}:train")
    file.write_text("def train(job, notify): pass  # corrected\n")
    assert callable(load_trainer(f"{file}:train"))


@pytest.mark.parametrize("reference", ["", "module", ":function", "module:", "file.py"])
def test_what_is_no_reference(reference):
    with pytest.raises(UsageError, match=r"write 'package\.module:function'"):
        load_trainer(reference)


def test_the_tail_of_a_log(tmp_path):
    log = tmp_path / "deep" / "run.log"
    assert tail(str(log)) == []
    begin_log(str(log))
    assert tail(str(log)) == []
    log.write_bytes(b"x" * 100_000 + b"\n\n  a \xff line\n\nlast\n\n")
    assert tail(str(log), 2) == ["a \ufffd line", "last"]
    assert len(tail(str(log), 3)[0]) == 200
    log.write_text("before\nFatal Python error: Aborted\n\nCurrent thread\n  File 1\n  File 2\n")
    assert tail(str(log), 2) == ["Fatal Python error: Aborted", "Current thread"]


@pytest.mark.parametrize("locks", [True, False], ids=["with locks", "without locks"])
def test_a_long_log_is_cut_to_its_ends(tmp_path, monkeypatch, locks):
    if not locks:
        monkeypatch.setattr("fcntl.flock", lambda *_: os.close(-1))  # an OSError
    log = tmp_path / "run.log"
    logs.cut(str(log))
    assert not log.exists()
    log.write_bytes(b"x" * logs.LIMIT)
    logs.cut(str(log))
    assert log.stat().st_size == logs.LIMIT

    log.write_bytes(b"a" * logs.KEPT + b"b" * (2 * logs.LIMIT) + b"c" * logs.KEPT)
    for _ in range(2):
        logs.cut(str(log))
        cut = log.read_bytes()
        assert cut.startswith(b"a" * logs.KEPT + b"\n[sweep] the middle of this log is left out")
        assert cut.endswith(b"\n" + b"c" * logs.KEPT)
        assert b"b" not in cut.replace(b"[sweep] the middle of", b"")

    with log.open("ab") as more:
        more.write(b"d" * (2 * logs.LIMIT) + b"the end")
    logs.cut(str(log))
    cut = log.read_bytes()
    assert cut.count(b"[sweep] the middle") == 1
    assert cut.endswith(b"ddd" + b"the end")


def test_who_writes_a_log_goes_on_at_its_end_after_it_is_cut(tmp_path):
    log = tmp_path / "run.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"x" * (logs.LIMIT + 1))
        logs.cut(str(log))
        writer.write(b"more")
    assert log.read_bytes().endswith(b"xmore")
    assert log.stat().st_size < logs.LIMIT


def test_bytes_in_words():
    assert [byte_size(n) for n in (7, 2048, 3 * 2**19, 5 * 2**30)] == [
        "7 bytes",
        "2.0 KiB",
        "1.5 MiB",
        "5.0 GiB",
    ]


def test_numbers_of_libraries_become_plain():
    made = Outcome(
        "completed",
        perf_before=np.float32(0.5),
        delta_perf=np.float64(0.25),
        prompts=np.int64(512),
        curve=[Evaluation(np.int64(3), np.float32(0.5), np.float32(0.25), np.float64(1.0))],
    )
    plain = sound(made)
    assert plain == Outcome(
        "completed",
        perf_before=0.5,
        delta_perf=0.25,
        prompts=512,
        curve=(Evaluation(3, 0.5, 0.25, 1.0),),
    )
    numbers = [plain.perf_before, plain.delta_perf, plain.prompts, plain.curve[0].step]
    assert [type(number) for number in numbers] == [float, float, int, int]


@pytest.mark.parametrize("unknown", [None, math.nan, math.inf])
def test_a_point_of_a_curve_needs_no_standard_error(unknown):
    points = (Evaluation(0, 0.1, unknown, 0.1), Evaluation(9, math.nan, 0.01, 0.1))
    (kept,) = sound(Outcome("completed", delta_perf=0.1, curve=points)).curve
    assert (kept.step, kept.perf) == (0, 0.1)
    assert math.isnan(kept.se)


def test_a_sound_outcome_stays_as_it_is():
    made = replace(trainers.completed(_Job), curve=(trainers.point(1),))
    assert sound(made) == made


@pytest.mark.parametrize("wrong", [None, {}, Outcome("fine"), Outcome("failed", curve=(1,))])
def test_what_is_no_outcome_is_a_type_error(wrong):
    with pytest.raises(TypeError, match=r"returned|expected Evaluation"):
        sound(wrong)


def test_an_error_is_one_line_of_bounded_length():
    assert one_line(ValueError()) == "ValueError"
    assert one_line(ValueError("a\n  b")) == "ValueError: a b"
    assert len(one_line(ValueError("x" * 10_000))) == 400
    assert failure(UsageError("what\nto do"), None).error == "what to do"


class _Job:
    class run:
        index = 3


def test_code_that_changes_after_the_plan_is_not_trained(tmp_path):
    """Its runs would be stored as those of the code that was planned."""
    helper, file = tmp_path / "helper.py", tmp_path / "train.py"
    helper.write_text("GAIN = 1")
    file.write_text("import helper")
    (tmp_path / "data.csv").write_text("1")
    planned = {path.name: file_digest(path) for path in (file, helper)} | {"data.csv": "large"}
    conditions = make_result(trainer=f"{file}:train", files=planned).conditions
    check_unchanged(conditions)
    helper.write_text("GAIN = 2")
    check_unchanged(conditions)  # this process has imported it before
    after = replace(conditions, files=planned | {"helper.py": file_digest(helper)})
    with pytest.raises(UsageError, match=r"helper\.py changed after it was read for this session"):
        check_unchanged(after)
    file.write_text("def train(job, notify): raise AssertionError")
    job = replace(contract.make_job(tmp_path, 0), conditions=after)
    with pytest.raises(UsageError, match=r"py changed after it was read for this session"):
        train(job, print)
