"""`sweep judge`: what it prints of a table, its JSON, its exit status, and lines for mistakes."""

import json

import numpy as np
import pytest

from harness.claims import STANDARD_IDS
from tests import published_broad


@pytest.fixture
def judge(sweep, tmp_path, monkeypatch):
    """Run the verb in an empty folder; return status, output and errors."""
    monkeypatch.chdir(tmp_path)
    return lambda line: sweep(f"judge {line}")


@pytest.fixture
def tables(tmp_path):
    """A sweep and its baseline as tables, a group of each model."""
    rng = np.random.default_rng(8)
    for name, mean in (("runs", 0.08), ("before", 0.03)):
        rows = ["run,model,lr,batch_size,delta_perf,delta_perf_se"]
        rows += [
            f"{name}{i},{('s', 'l')[i % 2]},{10 ** rng.uniform(-7, -6):.6g},{(4, 8, 12)[i % 3]},"
            f"{mean + 0.02 * rng.normal():.5f},0.01"
            for i in range(24)
        ]
        (tmp_path / f"{name}.csv").write_text("\n".join(rows))
    return tmp_path


def test_it_prints_what_was_read_and_the_report(judge, tables):
    status, out, err = judge("runs.csv --baseline before.csv --reference bs=8")
    assert (status, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    answer, first, rest = out.split("\n\n", 2)
    assert answer.startswith("Answers: supported success_above_half")
    assert "runs.csv: 24 rows" in first
    assert "learning_rate (lr)" in first
    assert "margin 0.02 on scores from 0 to 1, least gain 0.05" in first
    assert "not pre-registered" in " ".join(rest.split())
    assert "mean_vs_baseline" in rest
    assert "Is batch size 8 no worse than 4 and 12?" in rest
    assert "Task" not in rest


def test_brief_prints_the_answer_alone(judge, tables):
    out = judge("runs.csv --baseline before.csv --reference bs=8")[1]
    status, brief, err = judge("runs.csv --baseline before.csv --reference bs=8 --brief")
    assert (status, err) == (0, "")
    assert brief == out.split("\n\n")[0] + "\n"
    labels = [line.split(":")[0] for line in brief.splitlines() if line[0] != " "]
    assert len(labels) <= 5
    assert set(labels) <= {"Answers", "Matters", "Best", "Not known", "Beware"}


def test_the_answer_of_groups_is_one(judge, tables):
    out = judge("runs.csv --by model")[1]
    brief = judge("runs.csv --by model --brief")[1]
    assert out.startswith(brief)
    assert "model s: " in brief
    assert "model l: " in brief
    data = json.loads(judge("runs.csv --by model --json")[1])
    assert " ".join(data["summary"]) == " ".join(brief.split())
    assert all(group["summary"] for group in data["groups"])


def test_what_nobody_asked_is_one_line(judge, tables):
    out = judge("runs.csv")[1]
    questions = out.split("Questions\n")[1]
    flat = " ".join(questions.split())
    assert "Not asked: success_vs_baseline, mean_vs_baseline, " in flat
    assert "unanswerable" not in out
    data = json.loads(judge("runs.csv --json")[1])
    by_id = {question["id"]: question for question in data["questions"]}
    assert set(STANDARD_IDS) <= set(by_id)
    assert by_id["mean_vs_baseline"]["asked"] is False
    assert by_id["mean_vs_baseline"]["verdict"] == "unanswerable"
    assert by_id["mean_vs_baseline"]["needs"]
    assert by_id["success_above_half"]["asked"] is True


def test_json_has_all_standard_questions(judge, tables):
    status, out, _ = judge("runs.csv --baseline before.csv --json")
    data = json.loads(out)
    assert status == 0
    assert set(STANDARD_IDS) <= {question["id"] for question in data["questions"]}
    assert data["metric"]["name"] == "ΔPerf"
    assert data["table"] == "runs.csv"
    assert data["read"]
    assert len(data["runs"]) == 24
    assert data["baseline"] == "before"


def test_groups_have_a_report_each_and_a_table_beside_each_other(judge, tables):
    status, out, _ = judge("runs.csv --baseline before.csv --by model")
    assert status == 0
    assert "Groups side by side" in out
    assert "runs, model s" in out
    _, out, _ = judge("runs.csv --baseline before.csv --by model --json")
    data = json.loads(out)
    assert [group["by"] for group in data["groups"]] == [{"model": "s"}, {"model": "l"}]
    assert "questions" not in data


def test_reports_are_written_where_asked(judge, tables):
    judge("runs.csv --report out")
    assert {path.name for path in (tables / "out").iterdir()} == {
        "report.html",
        "report.json",
        "report.md",
    }
    judge("runs.csv --by model --report groups")
    assert {path.name for path in (tables / "groups").iterdir()} == {"model=s", "model=l"}


def test_strict_fails_on_a_refuted_claim(judge, tables):
    assert judge("before.csv --baseline runs.csv")[0] == 0
    assert judge("before.csv --baseline runs.csv --strict")[0] == 1
    assert judge("runs.csv --baseline before.csv --strict")[0] == 0


def test_counts_and_the_published_ones_are_baselines(judge, tmp_path):
    published_broad.write(tmp_path / "broad.csv")
    _, out, _ = judge("broad.csv --baseline published --json")
    by_id = {q["id"]: q for q in json.loads(out)["questions"]}
    assert by_id["success_vs_baseline"]["verdict"] == "inconclusive"
    assert "6 of 19" in by_id["success_vs_baseline"]["answer"]
    _, again, _ = judge("broad.csv --baseline 6/19 --json")
    same = {q["id"]: q for q in json.loads(again)["questions"]}["success_vs_baseline"]
    assert same["estimate"] == by_id["success_vs_baseline"]["estimate"]


def test_a_minimised_metric_is_shown_in_its_own_numbers(judge, tmp_path):
    rng = np.random.default_rng(3)
    rows = [f"{(i + 1) * 1e-5:.3g},{2 + 0.1 * rng.normal():.4f}" for i in range(12)]
    (tmp_path / "runs.csv").write_text("\n".join(["lr,loss", *rows]))
    status, out, _ = judge("runs.csv --metric loss --direction min")
    assert status == 0
    assert "mean loss" in out
    assert "−loss" not in out
    values = [float(row.split(",")[1]) for row in rows]
    first = out.split("Runs by loss")[1].split("○")[1].split()[0]
    assert float(first) == pytest.approx(min(values), abs=5e-4)
    assert "ΔPerf" not in out
    assert "success" not in out.split("Questions")[0].split("Runs by")[1]
    judge("runs.csv --metric loss --direction min --report out")
    assert "ΔPerf" not in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("nowhere.csv", "nowhere.csv"),
        ("runs.csv --baseline 20/19", "at most as many successes as runs"),
        ("runs.csv --baseline broda", "no store"),
        ("runs.csv --baseline nowhere.csv", "nowhere.csv"),
        ("runs.csv --by modell", "modell"),
        ("runs.csv --reference batch_size=7", "no run has that value"),
        ("runs.csv --reference batch_size", "is not COL=VALUE"),
        ("runs.csv --margin -1", "not a number above 0"),
        ("runs.csv --success-above 2", "not a number above 0 and below 1"),
    ],
)
def test_mistakes_are_one_line(judge, tables, line, said):
    status, out, err = judge(line)
    assert status == 2
    assert out == ""
    assert said in err
    assert "Traceback" not in err


def test_failed_rows_are_told_by_reason_in_words_that_fit_tables(judge, tmp_path):
    rows = ["run,lr,status,error,acc"]
    rows += [f"exp/{n},1e-{n % 5 + 1},completed,,0.{n + 10}" for n in range(20)]
    rows += [f"bad/{n},1e-3,failed,out of memory at step {n}," for n in range(12)]
    (tmp_path / "runs.csv").write_text("\n".join(rows))
    status, out, _ = judge("runs.csv --metric acc --direction max --ignore error")
    assert status == 0
    flat = " ".join(out.split())
    assert "bad/7 and 4 more" in flat
    assert "bad/8" not in flat
    assert "They have no result, and count as runs that failed." in flat
    for word in ("tried again", "--sweep-", "declares no baseline"):
        assert word not in out


def test_runs_are_shown_by_their_ids_in_the_table(judge, tmp_path):
    rows = [f"exp/{chr(97 + n)},{n + 1},{0.5 + n / 100}" for n in range(12)]
    (tmp_path / "runs.csv").write_text("\n".join(["run,width,acc", *rows]))
    out = judge("runs.csv --metric acc --direction max")[1]
    listed = out.split("Runs by acc")[1]
    assert all(f"exp/{chr(97 + n)} " in listed for n in range(12))
    rows = [f"{n + 1},{0.5 + n / 100}" for n in range(12)]
    (tmp_path / "plain.csv").write_text("\n".join(["width,acc", *rows]))
    out = judge("plain.csv --metric acc --direction max")[1]
    assert "\n12   ○" in out.split("Runs by acc")[1]


# ---- a bare command -----------------------------------------------------------------------------


def write(folder, name, header, rows):
    (folder / name).write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]))


@pytest.fixture
def losses(tmp_path):
    rows = [(0.001 * (i + 1), i % 3, 60 + i, 2.0 + 0.1 * (i * 5 % 12)) for i in range(12)]
    write(tmp_path, "loss.csv", "lr,depth,epoch,val_loss", rows)
    return tmp_path


def test_a_bare_command_judges_by_the_one_metric_and_says_what_it_took(judge, losses):
    status, out, err = judge("loss.csv")
    assert (status, err) == (0, "")
    said = " ".join(out.split())
    assert "outcome: val_loss, less is better; taken by its name" in said
    assert "not used, looks measured: epoch" in said
    assert "name all: --params learning_rate,depth,NAME" in said
    data = json.loads(judge("loss.csv --json")[1])
    measured = {"name": "val_loss", "direction": "min", "zero": "arbitrary", "target": None}
    assert (data["metric"], data["inferred"]) == (measured, True)
    assert data["parameters"] == ["learning_rate", "depth"]
    assert data["set_aside"] == {"looks measured": ["epoch"]}


def test_a_margin_is_suggested_and_never_taken_by_itself(judge, losses):
    data = json.loads(judge("loss.csv --json")[1])
    said = "Half of the runs lie within ±0.3 of the median: --margin 0.3"
    assert data["margin"] is None
    assert any(said in line for line in data["read"])
    told = json.loads(judge("loss.csv --json --margin 1")[1])
    assert not any(said in line for line in told["read"])


def test_several_metrics_are_complete_commands_to_choose_from(judge, tmp_path):
    write(tmp_path, "two.csv", "lr,val loss,val_acc", [(i, 1 / i, i / 10) for i in range(1, 6)])
    status, out, err = judge("two.csv --margin 0.1 --direction=max")
    assert (status, out) == (2, "")
    assert err.splitlines() == [
        "sweep: error: two.csv: 'val loss', 'val_acc' may each be what its runs are judged by; "
        "choose:",
        "  sweep judge two.csv --margin 0.1 --metric 'val loss' --direction max",
        "  sweep judge two.csv --margin 0.1 --metric val_acc --direction max",
    ]
    commands = judge("two.csv")[2].splitlines()[1:]
    assert commands[0] == "  sweep judge two.csv --metric 'val loss' --direction min"
    assert judge(commands[0].removeprefix("  sweep judge "))[0] == 0


def test_the_baseline_follows_the_metric_that_was_taken(judge, losses):
    rows = [(0.001 * (i + 1), 3.0 + 0.1 * (i * 5 % 12), 0.5) for i in range(12)]
    write(losses, "before.csv", "lr,val_loss,val_acc", rows)
    data = json.loads(judge("loss.csv --baseline before.csv --ignore depth --json")[1])
    assert data["baseline"] == "before"
    (mean,) = [question for question in data["questions"] if question["id"] == "mean_vs_baseline"]
    assert mean["estimate"] == pytest.approx(1.0)


def test_a_direction_against_the_name_is_warned_of(judge, losses):
    data = json.loads(judge("loss.csv --metric val_loss --direction max --json")[1])
    (finding,) = [one for one in data["audit"] if one["code"] == "against_the_name"]
    assert finding["severity"] == "warning"
    assert "by its name less is better" in finding["message"]
    assert data["inferred"] is False


def test_columns_are_ignored_and_must_be_there(judge, losses):
    assert json.loads(judge("loss.csv --ignore depth --json")[1])["parameters"] == ["learning_rate"]
    status, out, err = judge("loss.csv --ignore dpth")
    assert (status, out) == (2, "")
    assert err == "sweep: error: loss.csv has no column 'dpth'; did you mean 'depth'?\n"


def test_a_table_s_failed_runs_are_not_said_to_be_tried_again(judge, tmp_path):
    rows = [(i, "crash" if i == 3 else "keep", i / 10) for i in range(1, 8)]
    write(tmp_path, "runs.csv", "lr,status,acc", rows)
    out = judge("runs.csv")[1]
    assert "Runs that did not finish" in out
    assert "tried again" not in out
    assert "declares no baseline" not in out
    assert "--sweep" not in out
