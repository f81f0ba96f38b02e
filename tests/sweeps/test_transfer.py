"""Where the factor of a model's learning rates comes from, and the file that keeps it."""

import json
from dataclasses import replace

import pytest

from harness import Choice, LogUniform, Sweep
from harness.errors import UsageError
from harness.sweeps.transfer import (
    FILE,
    Calibration,
    declared_rates,
    factor_of,
    keep,
    middle,
    read,
    trained_part,
    transfer_of,
)

TASK = ("sums", "v1")
MODEL = "tiny@abc"


def sweep(**space):
    rates = {"learning_rate": LogUniform(1e-7, 1e-5), "batch_size": 4, "generations": 8}
    return Sweep("small", runs=4, steps=20, space={**rates, **space})


def made(**changes):
    usual = Calibration(
        model=MODEL,
        task="sums",
        task_version="v1",
        adapters={},
        lr_transfer=12.5,
        learning_rate=1.25e-5,
        low=5e-6,
        high=None,
        sweep="small",
        declared=(1e-7, 1e-5),
        steps=10,
        delta_perf=0.1,
        delta_perf_se=0.01,
        backend="torch",
        precision="float32",
        found_at="2026-01-02T03:04:05+00:00",
    )
    return replace(usual, **changes)


def transfer(root, model=MODEL, task=TASK, own=None, of=None):
    return transfer_of(of or sweep(), model, task, own=own, root=root, more=" --model m")


def test_what_is_kept_is_read_again(tmp_path):
    lora = made(adapters={"lora_rank": 8, "lora_modules": ("q_proj", "v_proj")})
    assert keep(made(), tmp_path) is None
    assert keep(lora, tmp_path) is None
    assert set(map(repr, read(tmp_path))) == {repr(made()), repr(lora)}


def test_a_second_calibration_of_the_same_replaces_the_first(tmp_path):
    keep(made(), tmp_path)
    other = made(model="other@1")
    keep(other, tmp_path)
    again = made(lr_transfer=30.0, sweep="wide")
    assert keep(again, tmp_path) == made()
    assert {one.lr_transfer: one.model for one in read(tmp_path)} == {30.0: MODEL, 12.5: "other@1"}


def test_the_order_of_entries_does_not_depend_on_when_they_were_kept(tmp_path):
    for folder, order in (("a", (1, 2)), ("b", (2, 1))):
        for number in order:
            keep(made(model=f"m{number}@1"), tmp_path / folder)
    assert (tmp_path / "a" / FILE).read_text() == (tmp_path / "b" / FILE).read_text()


def test_the_task_counts_before_a_calibration_and_that_before_one(tmp_path):
    assert (transfer(tmp_path).factor, transfer(tmp_path).origin) == (1.0, "")
    keep(made(), tmp_path)
    assert (transfer(tmp_path).factor, transfer(tmp_path).origin) == (12.5, "calibrated")
    declared = transfer(tmp_path, own=1.0)
    assert (declared.factor, declared.origin) == (1.0, "task")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"model": "tiny@def"}, "other weights or files of that name (tiny@abc, this is tiny@def)"),
        ({"task": ("hard", "v1")}, "has it for task sums"),
        ({"task": ("sums", "v2")}, "another version of that task"),
        ({"of": sweep(lora_rank=8)}, "has it for all weights"),
    ],
)
def test_a_calibration_of_something_else_is_not_used_and_named(tmp_path, asked, said):
    keep(made(), tmp_path)
    found = transfer(tmp_path, **asked)
    assert (found.factor, found.origin) == (1.0, "")
    assert said in found.said
    assert found.said.endswith("find it by sweep calibrate small --model m")


def test_adapters_of_other_settings_are_something_else(tmp_path):
    keep(made(adapters={"lora_rank": 8}), tmp_path)
    assert transfer(tmp_path, of=sweep(lora_rank=8)).origin == "calibrated"
    other = transfer(tmp_path, of=sweep(lora_rank=8, lora_alpha=64))
    assert "other settings of adapters" in other.said


def test_a_model_of_another_name_is_not_spoken_of(tmp_path):
    keep(made(model="large@1"), tmp_path)
    assert FILE not in transfer(tmp_path).said


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"schema": 2, "calibrations": []}',
        '{"schema": 1}',
        '{"schema": 1, "calibrations": [{"model": "m"}]}',
    ],
)
def test_a_damaged_file_is_a_mistake_in_one_line_and_is_not_overwritten(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    for call in (lambda: transfer(tmp_path), lambda: keep(made(), tmp_path)):
        with pytest.raises(UsageError, match=r"lr_transfer\.json .*sweep calibrate again"):
            call()
    assert (tmp_path / FILE).read_text() == text


@pytest.mark.parametrize("factor", [0, -1.0, "12", None])
def test_a_factor_that_is_no_number_above_0_is_refused(tmp_path, factor):
    keep(made(), tmp_path)
    data = json.loads((tmp_path / FILE).read_text())
    data["calibrations"][0]["lr_transfer"] = factor
    (tmp_path / FILE).write_text(json.dumps(data))
    with pytest.raises(UsageError, match="no number above 0"):
        transfer(tmp_path)


def test_the_middle_of_a_space_and_of_its_rates():
    of = sweep(generations=Choice(8, 16, 24), lora_rank=Choice(4, 8, 16))
    assert middle(of)["generations"] == 16
    assert middle(of)["learning_rate"] == pytest.approx(1e-6)
    assert trained_part({"lora_rank": 8}) == "adapters of rank 8"
    assert declared_rates(of) == (1e-7, 1e-5)
    assert declared_rates(sweep(learning_rate=Choice(1e-6, 4e-6, 2e-6))) == (1e-6, 4e-6)
    assert factor_of(1.2345e-5, (1e-7, 1e-5)) == 12.3


def test_a_sweep_without_a_learning_rate_is_refused():
    with pytest.raises(UsageError, match="no learning_rate"):
        declared_rates(Sweep("odd", runs=2, steps=2, space=dict(batch_size=4)))
