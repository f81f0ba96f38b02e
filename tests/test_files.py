"""Files are written whole or not at all."""

import os
from pathlib import Path

import pytest

from harness.files import part_of, replacing, write_whole


@pytest.fixture
def synced(monkeypatch):
    """The paths that were waited for, in order."""
    found = []
    monkeypatch.setattr(
        os, "fsync", lambda file: found.append(Path(f"/proc/self/fd/{file}").readlink())
    )
    return found


def test_all_take_their_places_once_all_are_written(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("old")
    with replacing(one, two) as (first, second):
        first.write_text("new")
        assert one.read_text() == "old"
        second.write_text("other")
        assert not two.exists()
    assert (one.read_text(), two.read_text()) == ("new", "other")
    assert sorted(tmp_path.iterdir()) == [one, two]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_an_exception_leaves_what_was_there(tmp_path, error):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("old")

    def fail():
        with replacing(one, two) as (first, _):
            first.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert one.read_text() == "old"
    assert list(tmp_path.iterdir()) == [one]


def test_what_cannot_take_its_place_is_told_and_removed(tmp_path):
    (tmp_path / "one" / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match="one") as told, replacing(tmp_path / "one") as (part,):
        part.write_text("new")
    assert told.value.filename == str(part_of(tmp_path / "one"))
    assert list(tmp_path.iterdir()) == [tmp_path / "one"]


def test_a_durable_file_is_on_the_disk_before_it_takes_its_place(tmp_path, synced):
    path = tmp_path / "new" / "one"
    write_whole(path, b"a", memoryview(b"bc"))
    assert path.read_bytes() == b"abc"
    assert synced == [part_of(path), path.parent]
    with replacing(path) as (part,):
        part.write_bytes(b"d")
    assert len(synced) == 2
