"""``sweep gate``: its answer, its exit status, what it keeps, and every mistake in one line."""

import json
import re

import pytest

from tests.judging.histories import drawn, write_nights

LINE = "gate metrics.json --history history"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with 22 nights of history and tonight's metrics, in which `sweep` runs."""
    monkeypatch.chdir(tmp_path)
    write_nights(tmp_path, drawn(23))
    return tmp_path


def tonight(project, **changes):
    file = project / "metrics.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_the_answer_comes_in_the_first_five_lines(sweep, project):
    write_nights(project, drawn(23, faulty=3, accuracy=-4))
    status, out, err = sweep(LINE)
    assert (status, err) == (1, "")
    page, nights, size, power, empty = out.splitlines()[:5]
    said = r"Page: accuracy is worse: 0\.7\d+ in the last three nights, 0\.\d+ before"
    assert re.fullmatch(said, page)
    assert nights == "Nights: 2026-01-21, 2026-01-22 and tonight, against 20 before, by date"
    assert re.match(r"Size: \d\.\d SDs worse; rank [1-8] of 1,771 choices of 3 nights", size)
    assert re.fullmatch(r"Power: 2, 3 or 4 SDs in one metric, 3 nights long, page in "
                        r"\d+%, \d+% or \d+%", power)  # fmt: skip
    assert empty == ""
    assert all(len(line) <= 80 for line in out.splitlines())
    assert "take 2026-01-21 and 2026-01-22 out of it too" in " ".join(out.split())


def test_unchanged_nights_do_not_page(sweep, project):
    status, out, err = sweep(LINE)
    assert (status, err) == (0, "")
    assert re.match(r"No page: furthest is (accuracy|val_loss): ", out)
    assert "then:" not in out


def test_what_is_not_judged_is_said(sweep, project):
    for file in (project / "history").iterdir():
        data = json.loads(file.read_text()) | {"pass_rate": 1}
        file.write_text(json.dumps({k: v for k, v in data.items() if k != "date"}))
    (project / "history" / "2026-01-05.json").write_text('{"accuracy": null}')
    tonight(project, kl=0.1, f1=0.3, pass_rate=1)
    _, out, _ = sweep(LINE)
    said = " ".join(out.split())
    assert "order: by name, numbers by value; not every file has a date" in said
    assert "left out: 2026-01-05 (1 night), without a number for a metric" in said
    assert "not judged: kl: no plain direction" in said
    assert "not judged: f1: in fewer than nine of ten nights before" in said
    assert "not judged: pass_rate: the same in every night" in said


def test_options_say_what_is_judged(sweep, project):
    tonight(project, kl=0.1)
    for number, file in enumerate(sorted((project / "history").iterdir())):
        file.write_text(json.dumps(json.loads(file.read_text()) | {"kl": number % 7}))
    _, out, _ = sweep(f"{LINE} --metric kl,accuracy --direction kl=min --nights 4 --json")
    data = json.loads(out)
    assert [(m["metric"], m["direction"]) for m in data["metrics"]] == [
        ("kl", "min"),
        ("accuracy", "max"),
    ]
    assert len(data["last"]) == 4
    _, out, _ = sweep(f"{LINE} --ignore accuracy --json")
    assert [m["metric"] for m in json.loads(out)["metrics"]] == ["val_loss"]


# ---- --keep -------------------------------------------------------------------------------------


def stored(project):
    return sorted(file.stem for file in (project / "history").iterdir())


def test_a_night_that_does_not_page_is_kept_once(sweep, project):
    status, out, _ = sweep(f"{LINE} --keep")
    assert (status, out.splitlines()[-1]) == (0, "kept: history/2026-01-23.json")
    assert stored(project)[-1] == "2026-01-23"
    kept = project / "history" / "2026-01-23.json"
    assert kept.read_text() == (project / "metrics.json").read_text()
    status, again, _ = sweep(f"{LINE} --keep --json")
    data = json.loads(again)
    assert (status, data["same"], data["kept"]) == (0, "2026-01-23.json", "history/2026-01-23.json")
    assert len(stored(project)) == 23


def test_a_night_that_pages_is_not_kept(sweep, project):
    write_nights(project, drawn(23, faulty=3, accuracy=-4))
    status, out, _ = sweep(f"{LINE} --keep")
    assert (status, out.splitlines()[-1]) == (1, "not kept: what pages stays out of the history")
    assert len(stored(project)) == 22


def test_without_the_option_nothing_is_written(sweep, project):
    sweep(LINE)
    assert len(stored(project)) == 22


def test_nights_are_kept_until_there_are_enough(sweep, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "history").mkdir()
    for number, row in enumerate(drawn(10)):
        day = f"2026-01-{number + 1:02}"
        (tmp_path / "metrics.json").write_text(json.dumps({"date": day} | row))
        status, out, _ = sweep(f"{LINE} --keep")
        assert status == 0
        said = " ".join(out.split())
        if number < 9:
            assert f"No answer yet: too few nights: {number + 1} with tonight" in said
            assert f"Kept: history/{day}.json" in said
    assert "rank" in out
    assert len(stored(tmp_path)) == 10


def test_a_night_that_is_gathered_is_kept_once(sweep, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_nights(tmp_path, drawn(3))
    first, second = (sweep(f"{LINE} --keep") for _ in range(2))
    assert first == second
    assert len(stored(tmp_path)) == 3


def test_no_answer_yet_as_json(sweep, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_nights(tmp_path, drawn(3))
    status, out, _ = sweep(f"{LINE} --keep --json")
    assert status == 0
    assert json.loads(out) == {
        "schema": 1,
        "pages": None,
        "has": 3,
        "needs": 10,
        "kept": "history/2026-01-03.json",
    }


def test_a_fault_pages_for_as_long_as_it_lasts(sweep, tmp_path, monkeypatch):
    """What pages is not kept, so a regression does not become the norm."""
    monkeypatch.chdir(tmp_path)
    rows = drawn(60, seed=11, faulty=30, accuracy=-6)
    write_nights(tmp_path, rows[:23])
    pages = []
    for number, row in enumerate(rows[23:], 23):
        day = f"2026-02-{number - 22:02}" if number < 51 else f"2026-03-{number - 50:02}"
        (tmp_path / "metrics.json").write_text(json.dumps({"date": day} | row))
        pages.append(sweep(f"{LINE} --keep")[0])
    assert not any(pages[:7])
    assert all(pages[9:])


# ---- mistakes -----------------------------------------------------------------------------------


def mistake(sweep, line):
    status, out, err = sweep(line)
    assert (status, out) == (2, ""), out
    assert err.startswith(("sweep: error: ", "usage: "))
    assert "Traceback" not in err
    if not err.startswith("usage: "):
        assert err.count("\n") == 1
    return err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("gate gone.json --history history", "gone.json cannot be read: No such file"),
        ("gate history --history history", "history is a folder"),
        ("gate metrics.json --history gone", "--history gone is not there"),
        ("gate metrics.json --history metrics.json", "metrics.json is no folder"),
        ("gate metrics.json", "--history"),
        (f"{LINE} --metric lost", "no night has it"),
        (f"{LINE} --nights 5", "invalid choice"),
        (f"{LINE} --nights 1", "take 200"),
        (f"{LINE} --direction accuracy", "is not NAME=max or NAME=min"),
        (f"{LINE} --direction accuracy=up", "is not NAME=max or NAME=min"),
        (f"{LINE} --direction =max", "is not NAME=max or NAME=min"),
        (f"{LINE} --metric ,", "names nothing"),
    ],
)
def test_a_mistake_is_one_line(sweep, project, line, said):
    assert said in mistake(sweep, line)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "no JSON"),
        ("[1]", "no object"),
        ('{"accuracy": 0.8, "accuracy": 0.9}', "twice"),
        ('{"accuracy": null, "val_loss": 0.5}', "accuracy is null tonight"),
        ('{"accuracy": "0.8", "val_loss": 0.5}', "accuracy is text tonight"),
        ('{"accuracy": NaN, "val_loss": 0.5}', "accuracy is NaN tonight"),
        ('{"val_loss": 0.5}', "accuracy is missing tonight"),
        ('{"date": "2025-01-01", "accuracy": 0.8, "val_loss": 0.5}', "is later than metrics.json"),
        ("{}", "no number"),
    ],
)
def test_a_night_that_is_misread_gets_no_answer(sweep, project, text, said):
    (project / "metrics.json").write_text(text)
    assert said in mistake(sweep, f"{LINE} --keep")
    assert len(stored(project)) == 22


def test_a_broken_night_of_the_history_is_named(sweep, project):
    (project / "history" / "2026-01-04.json").write_text('{"accuracy": 0.8')
    assert "history/2026-01-04.json is no JSON" in mistake(sweep, LINE)


def test_too_few_nights_are_refused(sweep, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_nights(tmp_path, drawn(9))
    assert "9 with tonight, and 4 judged together take 10" in mistake(sweep, LINE)
