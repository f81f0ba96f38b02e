"""Logs of Inspect and lm-eval are read as runs with the scores of their items."""

import json

import pytest

import harness
from harness.errors import UsageError
from harness.tables import ReadOptions, read_runs
from tests.tables.evals import LATER, inspect_log, write_eval, write_lm_eval


@pytest.mark.parametrize("form", ["deflate", "zstd", "samples", "json"])
def test_a_log_of_inspect_is_a_run_with_items(tmp_path, form):
    path = tmp_path / ("log.json" if form == "json" else "log.eval")
    log = inspect_log()
    if form == "json":
        path.write_text(json.dumps(log, indent=2))
    else:
        packing = "zstd" if form == "zstd" else "deflate"
        write_eval(path, log, packing=packing, summaries=form != "samples")
    reading = read_runs(path)
    (found,) = reading.results
    assert found.run.id == "sums-base-aaaaaaaa"
    assert dict(found.run.config) == {
        "task": "sums",
        "model": "m/base",
        "level": 3,
        "temperature": 0.5,
        "model_args.level": 4,
    }
    assert reading.metric.name == "accuracy"
    outcome = found.outcome
    assert outcome.delta_perf == pytest.approx(1.75 / 4)
    assert outcome.delta_perf_se == 0.2
    assert outcome.items.ids == ("a", "b", "c", "d")
    assert outcome.items.after == (0.5, 1.0, 0.0, 0.25)
    assert outcome.items.clusters == ()
    assert outcome.prompts == 4


@pytest.mark.parametrize("reduced", [True, False])
def test_without_reductions_epochs_are_averaged_here(tmp_path, reduced):
    log = inspect_log()
    if not reduced:
        log["reductions"] = []
    write_eval(tmp_path / "log.eval", log)
    items = read_runs(tmp_path / "log.eval").results[0].outcome.items
    assert items.after == (0.5, 1.0, 0.0, 0.25)


def test_a_metric_that_is_not_the_mean_of_the_items_has_no_items(tmp_path):
    log = inspect_log()
    log["results"]["scores"][0]["metrics"]["accuracy"]["value"] = 0.9
    write_eval(tmp_path / "log.eval", log)
    outcome = read_runs(tmp_path / "log.eval").results[0].outcome
    assert (outcome.delta_perf, outcome.items) == (0.9, None)


@pytest.mark.parametrize(("field", "clusters"), [("text", 2.0), ("deep.er", 4.0)])
def test_errors_are_by_the_cluster_that_is_named(tmp_path, field, clusters):
    write_eval(tmp_path / "log.eval", inspect_log())
    outcome = read_runs(tmp_path / "log.eval", ReadOptions(clusters=field)).results[0].outcome
    assert outcome.clusters == clusters
    # text: sums of deviations ±0.625 in two clusters
    expected = {2.0: (2 * 2 * 0.625**2) ** 0.5 / 4, 4.0: 0.4269562 / 2}[clusters]
    assert outcome.delta_perf_se == pytest.approx(expected, rel=1e-5)


def test_two_evaluations_are_before_and_after_where_the_user_says_so(tmp_path):
    write_eval(tmp_path / "1.eval", inspect_log())
    write_eval(tmp_path / "2.eval", inspect_log("m/tuned", LATER, "bbbbbbbb22"))
    assert len(read_runs(tmp_path).results) == 2
    for name in ("m/base", "base", "sums-base-aaaaaaaa", "1.eval"):
        reading = read_runs(tmp_path, ReadOptions(before_log=name, clusters="text"))
        (found,) = reading.results
        outcome = found.outcome
        assert reading.metric.zero == "no change"
        assert found.run.config["model"] == "m/tuned"
        assert outcome.items.ids == ("a", "b", "c")  # d and e were scored once
        assert outcome.items.before == (0.5, 1.0, 0.0)
        assert outcome.items.after == (1.0, 1.0, 0.5)
        assert (outcome.perf_before, outcome.delta_perf) == (0.5, pytest.approx(1 / 3))
        assert (outcome.prompts, outcome.samples, outcome.prompts_changed) == (3, 2, 2)
        assert (outcome.clusters, outcome.clusters_changed) == (pytest.approx(9 / 5), 2)
        assert any("left out: 2 items" in note for note in reading.notes)


def test_lm_evals_tasks_are_runs_with_items(tmp_path):
    write_lm_eval(tmp_path / "base")
    reading = read_runs(tmp_path, ReadOptions(metric="acc", clusters="subject"))
    (found,) = reading.results
    assert found.run.id == "toy-base-2026-01-01T00"
    assert dict(found.run.config) == {
        "task": "toy",
        "model": "x/base",
        "num_fewshot": 5,
        "dtype": "float16",
    }
    assert found.outcome.items.after == (1.0, 0.0, 1.0, 0.0)
    assert found.outcome.items.ids == ("0", "1", "2", "3")
    assert found.outcome.items.clusters == ("s0", "s0", "s1", "s1")
    assert found.outcome.delta_perf_se == 0.0
    assert any("without acc, left out: 1 evaluation" in note for note in reading.notes)


def test_each_filter_of_lm_eval_has_its_own_samples(tmp_path):
    write_lm_eval(tmp_path / "base")
    options = ReadOptions(metric="metrics.exact_match,loose")
    (found,) = read_runs(tmp_path, options).results
    assert found.outcome.items.after == (1.0, 1.0, 1.0, 0.0)


def test_a_file_of_samples_is_its_task(tmp_path):
    write_lm_eval(tmp_path)
    (found,) = read_runs(next(tmp_path.glob("samples_toy_*"))).results
    assert found.run.config["task"] == "toy"


def test_several_files_are_read_together(tmp_path):
    write_lm_eval(tmp_path / "base")
    write_lm_eval(tmp_path / "tuned", "tuned", (1.0, 1.0, 1.0, 0.0), "2026-01-02T00")
    files = tuple(map(str, sorted(tmp_path.glob("*/results_*.json"))))
    (found,) = read_runs(files, ReadOptions(before_log="x/base", metric="acc")).results
    assert found.run.id == "toy-tuned-2026-01-02T00"
    assert found.outcome.delta_perf == 0.25
    assert found.outcome.items.before == (1.0, 0.0, 1.0, 0.0)


def test_a_frame_of_them_is_judged_in_python(tmp_path):
    write_eval(tmp_path / "1.eval", inspect_log())
    write_eval(tmp_path / "2.eval", inspect_log("m/tuned", LATER, "bbbbbbbb22"))
    (tmp_path / "base.csv").write_text("run,delta_perf\na,0.1\nb,0.2\n")
    judged = harness.judge(
        (str(tmp_path / "1.eval"), str(tmp_path / "2.eval")),
        clusters="text",
        before_log="base",
        baseline=str(tmp_path / "base.csv"),
        library="records",
    )
    (run,) = judged.runs
    assert (run["run"], run["delta_perf"]) == ("sums-tuned-bbbbbbbb", pytest.approx(1 / 3))
    assert run["clusters_changed"] == 2


def bad(tmp_path, kind):
    """Write a log that cannot be read, and return what to read and the options."""
    path = tmp_path / "log.eval"
    log = inspect_log()
    if kind == "no zip":
        path.write_bytes(b"PK no zip")
    elif kind == "cut off":
        write_eval(path, log)
        path.write_bytes(path.read_bytes()[:300])
    elif kind == "damaged":
        write_eval(path, log)
        path.write_bytes(path.read_bytes().replace(path.read_bytes()[60:90], b"\0" * 30, 1))
    elif kind == "damaged zstd":
        write_eval(path, log, packing="zstd")
        path.write_bytes(path.read_bytes().replace(path.read_bytes()[60:90], b"\0" * 30, 1))
    elif kind == "another header":
        write_eval(path, {**log, "eval": {"nothing": 1}})
    elif kind == "json":
        path = tmp_path / "log.json"
        path.write_text(json.dumps(log)[:-300])
    elif kind == "samples alone":
        path = tmp_path / "samples_toy_2026.jsonl"
        path.write_text('{"doc_id": 0, "acc": 1.0}\n')
    elif kind == "torn samples":
        write_lm_eval(tmp_path)
        torn = next(tmp_path.glob("samples_toy_*"))
        torn.write_text(torn.read_text()[:-20])
        return tmp_path, ReadOptions()
    elif kind == "no such cluster":
        write_eval(path, log)
        return path, ReadOptions(clusters="nothing")
    elif kind == "no such model":
        write_eval(path, log)
        return path, ReadOptions(before_log="bse")
    elif kind == "nothing after":
        write_eval(path, log)
        return path, ReadOptions(before_log="base")
    elif kind == "clusters of a table":
        path = tmp_path / "runs.csv"
        path.write_text("run,acc\na,1\n")
        return path, ReadOptions(clusters="text")
    elif kind == "a table among logs":
        write_eval(path, log)
        other = tmp_path / "runs.csv"
        other.write_text("run,acc\na,1\n")
        return (str(path), str(other)), ReadOptions()
    return path, ReadOptions()


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("no zip", "log.eval is not whole"),
        ("cut off", "log.eval is not whole"),
        ("damaged", "log.eval cannot be unpacked"),
        ("damaged zstd", "log.eval cannot be unpacked"),
        ("another header", "log.eval is no log of Inspect that is known here"),
        ("json", "log.json is not whole: the log is not JSON"),
        ("samples alone", "needs lm-eval's results_….json of the same time beside it"),
        ("torn samples", "line 4: no sample of lm-eval"),
        ("no such cluster", "--clusters nothing: no item in log.eval has a field of that name"),
        ("no such model", "--before-log bse: no evaluation of that model or id"),
        ("nothing after", "--before-log base: no other evaluation was completed"),
        ("clusters of a table", "--clusters text is for logs of evaluations"),
        ("a table among logs", "runs.csv is no log of Inspect or lm-eval"),
    ],
)
def test_what_cannot_be_read_is_one_line(tmp_path, kind, said):
    source, options = bad(tmp_path, kind)
    with pytest.raises(UsageError) as caught:
        read_runs(source, options)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_evaluation_that_failed_or_is_not_done_is_no_result(tmp_path):
    log = inspect_log(status="error", number="bbbbbbbb22")
    log.pop("results")
    write_eval(tmp_path / "1.eval", log)
    write_eval(tmp_path / "2.eval", inspect_log())
    started = inspect_log(number="cccccccc33")
    write_eval(tmp_path / "3.eval", started, leave_out=("header.json",))
    reading = read_runs(tmp_path)
    assert sorted(r.outcome.status for r in reading.results) == ["completed", "failed"]
