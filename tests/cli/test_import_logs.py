"""Logs of evaluations are imported, listed and compared by the command."""

import json

import pytest

from tests.cli.helpers import stored
from tests.tables.evals import LATER, SCORES, inspect_log, write_eval, write_lm_eval


@pytest.fixture
def logs(tmp_path, monkeypatch):
    """A project with two logs of Inspect."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".git").mkdir()
    (tmp_path / "logs").mkdir()
    write_eval(tmp_path / "logs" / "1.eval", inspect_log())
    write_eval(tmp_path / "logs" / "2.eval", inspect_log("m/tuned", LATER, "bbbbbbbb22"))
    return tmp_path


def test_evaluations_are_kept_with_their_items(logs, sweep):
    status, out, err = sweep("import logs --sweep evals --clusters text")
    assert (status, err) == (0, "")
    assert out.endswith("imported 2 runs of evals: 2 completed\n")
    base, tuned = (result.outcome for result in stored("evals"))
    assert (base.value, base.delta_perf) == (pytest.approx(1.75 / 4), None)
    assert tuned.items.ids == ("a", "b", "c", "e")
    assert tuned.items.clusters == ("one", "one", "two", "two")
    again = sweep("import logs --sweep evals --clusters text")[1]
    assert again.endswith("2 runs were in the store already\n")
    out = sweep("runs sums-tuned-bbbbbbbb --against sums-base-aaaaaaaa")[1]
    assert "2 of 3 items higher, 0 lower, 1 the same" in out
    assert "left out: 1 that only the first has, 1 only the second" in out
    assert "0.625" in sweep("runs sums-tuned-bbbbbbbb")[1]


def test_other_scores_of_the_same_mean_are_other_figures(logs, sweep):
    sweep("import logs/1.eval --sweep evals")
    turned = {"a": SCORES["c"], "c": SCORES["a"], "b": SCORES["b"], "d": SCORES["d"]}
    write_eval(logs / "logs" / "1.eval", inspect_log(scores=turned))
    status, _, err = sweep("import logs/1.eval --sweep evals")
    assert status == 2
    assert "is stored with other figures" in err
    assert sweep("import logs/1.eval --sweep evals --replace")[0] == 0
    (found,) = stored("evals")
    assert found.outcome.items.after == (0.0, 0.5, 1.0, 0.25)


def test_before_and_after_become_a_run_with_its_items(logs, sweep):
    assert sweep("import logs --sweep gain --before-log base")[0] == 0
    (found,) = stored("gain")
    assert found.outcome.delta_perf == pytest.approx(1 / 3)
    assert found.outcome.items.before == (0.5, 1.0, 0.0)
    assert "2 of 3 items rose, 0 fell" in sweep(f"runs {found.run.id}")[1]


def test_several_logs_are_judged(logs, sweep):
    status, out, err = sweep("judge logs/1.eval logs/2.eval")
    assert (status, err) == (0, "")
    assert "2 rows of" in out
    report = sweep("judge logs --json")[1]
    assert '"items"' not in report


@pytest.mark.parametrize(("named", "runs"), [("all.eval", "1 run of all"), ("logs/", "2 runs of")])
def test_logs_are_analysed_and_compared_with_as_tables_are(logs, sweep, named, runs):
    write_eval(logs / "all.eval", inspect_log(number="cccccccc33"))
    status, out, _ = sweep(f"judge logs --baseline {named} --json")
    assert status == 0
    assert json.loads(out)["baseline"]
    assert runs in sweep(f"analyze {named}")[2]  # a pattern takes four


def test_without_samples_the_way_to_have_them_is_told(logs, sweep):
    write_lm_eval(logs / "lm")
    write_lm_eval(logs / "lm", "tuned", stamp="2026-01-02T00")
    for file in (logs / "lm").glob("samples_toy_2026-01-02*"):
        file.unlink()
    status, _, err = sweep("import lm --sweep lm --metric acc")
    assert status == 2
    assert "toy-tuned-2026-01-02T00 has no scores by item" in err
    assert "--log_samples" in err


@pytest.mark.parametrize("verb", ["judge", "import --sweep x"])
def test_options_of_logs_are_for_logs(logs, sweep, verb):
    (logs / "runs.csv").write_text("run,delta_perf\na,0.1\nb,0.2\n")
    status, out, err = sweep(f"{verb} runs.csv --before-log base")
    assert (status, out) == (2, "")
    assert "--before-log base is for logs of evaluations, and runs.csv is none" in err
