"""What a night's file may hold, in which order nights are, and how a night is kept."""

import errno
import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.tables.nights import (
    keep,
    night,
    plain_direction,
    read_history,
    read_night,
)

NOW = datetime(2026, 3, 1, 4, 5, 6, tzinfo=UTC)


def write(path, data):
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return path


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "history").mkdir()
    return tmp_path / "history"


@pytest.fixture
def tonight(tmp_path):
    return read_night(write(tmp_path / "metrics.json", {"accuracy": 0.5}))


# ---- a night ------------------------------------------------------------------------------------


def test_numbers_are_metrics_by_dotted_name_and_all_else_is_said(tmp_path):
    file = write(
        tmp_path / "n.json",
        """{"eval": {"accuracy": 0.8, "by": {"loss": 1}}, "a.b": 2, "none": null, "text": "0.81",
        "flag": true, "list": [1], "nan": NaN, "inf": -Infinity, "huge": 1e999, "whole": 1%s,
        "date": "2026-01-02"}"""
        % ("0" * 400),
    )
    found = read_night(file)
    assert found.metrics == {"eval.accuracy": 0.8, "eval.by.loss": 1.0, "a.b": 2.0}
    assert found.others == {
        "none": "null",
        "text": "text",
        "flag": "true or false",
        "list": "a list",
        "nan": "NaN",
        "inf": "infinite",
        "huge": "infinite",
        "whole": "infinite",
    }
    assert (found.name, found.says("nan"), found.says("gone")) == ("n", "NaN", "missing")


def test_a_byte_order_mark_is_no_mistake(tmp_path):
    (tmp_path / "n.json").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_night(tmp_path / "n.json").metrics == {"a": 1.0}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"a": 1', "no JSON"),
        ("", "no JSON"),
        ('{"a": 1}\n{"a": 2}', "no JSON"),
        ("[1, 2]", "no object of names and numbers"),
        ("3", "no object"),
        ('"' + "x" * 300 + '"', "no object"),
        ('{"a": 1, "a": 2}', "'a' stands there twice"),
        ('{"a": {"b": 1}, "a.b": 2}', "'a.b' stands there twice"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a": ' + "1" * 5000 + "}", "no JSON"),
    ],
)
def test_what_is_no_night_is_one_line(tmp_path, content, said):
    file = write(tmp_path / "n.json", content)
    with pytest.raises(UsageError) as caught:
        read_night(file)
    line = str(caught.value)
    assert str(file) in line
    assert said in line
    assert "\n" not in line
    assert len(line) < len(str(file)) + 200


def test_what_is_no_file_is_one_line(tmp_path):
    with pytest.raises(UsageError, match="is a folder"):
        read_night(tmp_path)
    with pytest.raises(UsageError, match=r"gone\.json cannot be read: No such file"):
        read_night(tmp_path / "gone.json")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="no text in UTF-8"):
        read_night(tmp_path / "binary.json")


def test_names_that_a_terminal_would_obey_are_made_harmless(tmp_path):
    found = read_night(write(tmp_path / "n.json", {"a\u001b[31m": 1}))
    assert list(found.metrics) == ["a"]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"date": "2026-01-02"}, "2026-01-02T00:00:00+00:00"),
        ({"created_at": "2026-01-02T03:04:05Z"}, "2026-01-02T03:04:05+00:00"),
        ({"time": "2026-01-02 03:04+02:00"}, "2026-01-02T01:04:00+00:00"),
        ({"timestamp": 1767323045}, "2026-01-02T03:04:05+00:00"),
        ({"date": "yesterday", "day": "2026-01-02"}, "2026-01-02T00:00:00+00:00"),
        ({"time": 3600}, None),
        ({"timestamp": 1e30}, None),
        ({"timestamp": True}, None),
        ({"run": {"date": "2026-01-02"}}, None),
        ({}, None),
    ],
)
def test_the_date_of_a_night(data, expected):
    found = night(Path("n.json"), json.dumps({**data, "a": 1}))
    when = found.date and datetime.fromtimestamp(found.date, UTC).isoformat()
    assert when == expected
    assert found.metrics == {"a": 1.0}


# ---- the order of nights ------------------------------------------------------------------------


def names(history):
    return [one.name for one in history.nights]


def test_nights_are_in_order_of_their_names_with_numbers_by_value(folder, tonight):
    for number in (10, 9, 1, 100):
        write(folder / f"night-{number}.json", {"a": number})
    write(folder / "notes.txt", "no night")
    (folder / "paged").mkdir()
    write(folder / "paged" / "night-2.json", {"a": 2})
    found = read_history(folder, tonight)
    assert (names(found), found.by) == (["night-1", "night-9", "night-10", "night-100"], "name")


def test_nights_are_in_order_of_the_date_that_all_have(folder, tonight):
    for name, day in (("a", 3), ("b", 1), ("c", 2)):
        write(folder / f"{name}.json", {"a": 1, "date": f"2026-01-0{day}"})
    found = read_history(folder, tonight)
    assert (names(found), found.by) == (["b", "c", "a"], "date")
    write(folder / "d.json", {"a": 1})
    found = read_history(folder, tonight)
    assert (names(found), found.by) == (["a", "b", "c", "d"], "name")


def test_the_times_of_files_do_not_matter(folder, tonight):
    for age, name in enumerate("abc"):
        os.utime(write(folder / f"{name}.json", {"a": age}), (1e9 - age, 1e9 - age))
    assert names(read_history(folder, tonight)) == ["a", "b", "c"]


def test_a_folder_that_is_none_is_one_line(tmp_path, tonight):
    with pytest.raises(UsageError, match="gone is not there"):
        read_history(tmp_path / "gone", tonight)
    with pytest.raises(UsageError, match=r"metrics\.json is no folder"):
        read_history(tonight.file, tonight)


def test_a_broken_night_is_named(folder, tonight):
    write(folder / "a.json", "{")
    with pytest.raises(UsageError, match=r"a\.json is no JSON"):
        read_history(folder, tonight)


def test_tonight_is_not_counted_twice(folder):
    write(folder / "a.json", {"a": 1})
    file = write(folder / "b.json", {"a": 2})
    found = read_history(folder, read_night(file))
    assert (names(found), found.same) == (["a"], "b.json")
    copy = write(folder.parent / "metrics.json", {"a": 2})
    found = read_history(folder, read_night(copy))
    assert (names(found), found.same) == (["a"], "b.json")
    earlier = write(folder.parent / "metrics.json", {"a": 1})
    assert names(read_history(folder, read_night(earlier))) == ["a", "b"]


def test_a_night_that_is_not_the_latest_is_refused(folder, tmp_path):
    early = write(folder / "a.json", {"a": 1})
    write(folder / "b.json", {"a": 2})
    with pytest.raises(UsageError, match=r"b\.json is later than .*a\.json, by name"):
        read_history(folder, read_night(early))
    for name, day in (("a", 1), ("b", 2)):
        write(folder / f"{name}.json", {"a": day, "date": f"2026-01-0{day}"})
    before = write(tmp_path / "m.json", {"a": 3, "date": "2026-01-01T12:00"})
    with pytest.raises(UsageError, match="by date"):
        read_history(folder, read_night(before))
    after = write(tmp_path / "m.json", {"a": 3, "date": "2026-01-02"})
    assert names(read_history(folder, read_night(after))) == ["a", "b"]


# ---- keeping a night ----------------------------------------------------------------------------


def test_a_night_is_kept_by_its_date_or_that_of_today(folder, tmp_path, tonight):
    empty = read_history(folder, tonight)
    first = keep(tonight, empty, folder, NOW)
    second = keep(tonight, empty, folder, NOW)
    assert [first.name, second.name] == ["2026-03-01.json", "2026-03-01T040506.json"]
    assert first.read_text() == tonight.text
    dated = read_night(write(tmp_path / "m.json", {"a": 1, "date": "2026-02-03"}))
    assert keep(dated, empty, folder, NOW).name == "2026-02-03.json"
    assert sorted(one.name for one in folder.iterdir()) == [
        "2026-02-03.json",
        "2026-03-01.json",
        "2026-03-01T040506.json",
    ]
    with pytest.raises(UsageError, match="there already"):
        keep(tonight, empty, folder, NOW)


def test_the_night_that_was_kept_is_the_latest(folder, tonight):
    keep(tonight, read_history(folder, tonight), folder, datetime(2026, 2, 28, tzinfo=UTC))
    other = night(tonight.file, '{"accuracy": 1}')
    history = read_history(folder, other)
    kept = keep(other, history, folder, NOW)
    assert names(read_history(folder, tonight))[-1] == kept.stem


def test_a_night_that_would_not_be_the_latest_is_not_kept(folder, tonight):
    write(folder / "night-1.json", {"accuracy": 0.4})
    history = read_history(folder, tonight)
    # Digits come after letters in the order of names.
    assert keep(tonight, history, folder, NOW).name == "2026-03-01.json"
    write(folder / "2027-01-01.json", {"accuracy": 0.4})
    with pytest.raises(UsageError, match="would not be the latest"):
        keep(tonight, read_history(folder, tonight), folder, NOW)


def test_a_folder_that_cannot_be_written_is_one_line(folder, tonight):
    history = read_history(folder, tonight)
    folder.rmdir()
    with pytest.raises(UsageError, match="cannot be written: No such file"):
        keep(tonight, history, folder, NOW)


def test_a_disk_that_is_full_leaves_nothing_half_written(folder, tonight, monkeypatch):
    def is_full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", is_full)
    with pytest.raises(UsageError, match="cannot be written: No space left"):
        keep(tonight, read_history(folder, tonight), folder, NOW)
    assert list(folder.iterdir()) == []


# ---- directions ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("accuracy", "max"),
        ("eval.val_loss", "min"),
        ("train/reward.450", "max"),
        ("metrics.perplexity", "min"),
        ("tokens_per_second", "max"),
        ("kl", None),
        ("accuracy_std", None),
        ("loss_weight", None),
        ("config.loss", None),
        ("split0_accuracy", None),
        ("epoch", None),
        ("learning_rate", None),
        ("seed", None),
    ],
)
def test_a_direction_is_known_where_the_name_says_it_of_a_metric(name, way):
    assert plain_direction(name) == way
