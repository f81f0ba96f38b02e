"""Every verb that reads a table reads it from every source."""

import csv
import gzip
import io
import json

import pytest

from harness.cli import main
from tests.tables.test_stores import mlflow_run

ROWS = [
    {"run": f"r{n}", "lr": rate, "val_acc": f"{0.5 + n / 50:.2f}"}
    for n, rate in enumerate([0.1, 0.01] * 6)
]
METRIC = ["--metric", "val_acc", "--direction", "max"]


def text(separator=",", mark="."):
    made = io.StringIO()
    writer = csv.DictWriter(made, fieldnames=list(ROWS[0]), delimiter=separator)
    writer.writeheader()
    for row in ROWS:
        writer.writerow({key: str(cell).replace(".", mark) for key, cell in row.items()})
    return made.getvalue()


def excel(path):
    import openpyxl

    book = openpyxl.Workbook()
    book.active.append(list(ROWS[0]))
    for row in ROWS:
        book.active.append([row["run"], row["lr"], float(row["val_acc"])])
    book.save(path)


def mlruns(path):
    experiment = path / "7"
    experiment.mkdir(parents=True)
    (experiment / "meta.yaml").write_text("experiment_id: '7'\nname: mine\n")
    for n, row in enumerate(ROWS):
        metrics = {"val_acc": f"1 {row['val_acc']} 0\n"}
        mlflow_run(experiment, row["run"], params={"lr": str(row["lr"])}, metrics=metrics, start=n)


@pytest.fixture(
    params=["csv.gz", "german.csv", "json", "xlsx", "mlruns", "mlruns#mine", "-"],
    scope="module",
)
def source(request, tmp_path_factory):
    """The name of a table that is made of `ROWS`."""
    folder = tmp_path_factory.mktemp("sources")
    kind = request.param
    path = folder / (kind if "mlruns" in kind else f"t.{kind}")
    if kind == "csv.gz":
        path.write_bytes(gzip.compress(text().encode()))
    elif kind == "german.csv":
        path.write_text(text(";", ","))
    elif kind == "json":
        path.write_text(json.dumps({"meta": 1, "runs": ROWS}, indent=1))
    elif kind == "xlsx":
        excel(path)
    elif kind != "-":
        mlruns(folder / "mlruns")
    return kind if kind == "-" else str(path)


@pytest.fixture
def sweep(source, monkeypatch, capsys, tmp_path):
    """Run a verb, with the table on standard input if that is the source, and return its output."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pytest.ini").touch()

    def run(*words):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text().encode())))
        assert main(list(map(str, words))) == 0
        return capsys.readouterr().out

    return run


def test_judge(sweep, source):
    found = json.loads(sweep("judge", source, *METRIC, "--json"))
    rates = {run["config"]["learning_rate"] for run in found["runs"]}
    assert rates == {0.1, 0.01}
    assert len(found["runs"]) in (2, 12)  # repeats of a configuration are one, unless all are
    asked = {question["id"] for question in found["questions"]}
    assert {"matters_learning_rate", "best_learning_rate"} <= asked


def test_a_baseline(sweep, source, tmp_path):
    (tmp_path / "own.csv").write_text(text())
    found = sweep("judge", "own.csv", *METRIC, "--baseline", source)
    assert "baseline: " in found
    assert "mean_vs_baseline" in found


def test_analyze(sweep, source):
    assert "learning_rate" in sweep("analyze", source, *METRIC)


def test_refine(sweep, source):
    assert "Sweep(" in sweep("refine", source, *METRIC, "--margin", "0.1", "--steps", "10")


def test_import(sweep, source):
    named = "val_acc" if "mlruns" not in source else "metrics.val_acc"
    said = sweep("import", source, "--sweep", "mine", "--before", "lr", "--after", named)
    assert "imported 12 runs of mine" in said


@pytest.mark.parametrize("kind", ["curves.csv.gz", "-", "curves.json"])
def test_curves(kind, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    points = [{"run": row["run"], "step": step, "perf": 0.5} for row in ROWS for step in (0, 5, 10)]
    lines = ["run,step,perf", *(",".join(map(str, point.values())) for point in points)]
    curves = ("\n".join(lines) + "\n").encode()
    (tmp_path / "t.csv").write_text(text())
    (tmp_path / "curves.csv.gz").write_bytes(gzip.compress(curves))
    (tmp_path / "curves.json").write_text(json.dumps({"points": points}))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(curves)))
    assert main(["judge", "t.csv", *METRIC, "--curves", kind]) == 0
    assert "curves: 36 points of perf over step, of 12 runs" in capsys.readouterr().out


def test_the_help_has_every_ending(capsys):
    from harness.tables.files import FORMATS, PACKED

    for verb in ("judge", "analyze", "refine", "import"):
        with pytest.raises(SystemExit):
            main([verb, "--help"])
        shown = " ".join(capsys.readouterr().out.split())
        assert all(ending in shown for ending in (*FORMATS, *PACKED)), verb
        assert "- for standard input" in shown
