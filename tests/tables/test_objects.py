"""JSON objects of the shapes that people write, and columns of dictionaries."""

import json

import pytest

from harness.errors import UsageError
from harness.tables import ReadOptions, read_runs
from harness.tables.reading import read_table
from tests.tables.tables import write

ROWS = [{"lr": 0.1, "acc": 0.5}, {"lr": 0.2, "acc": None}]
COLUMNS = {"lr": [0.1, 0.2], "acc": [0.5, None]}
SPLIT = {"columns": ["lr", "acc"], "index": [0, 1], "data": [[0.1, 0.5], [0.2, None]]}

SHAPES = {
    "a list": ROWS,
    "a list in an object": {"runs": ROWS},
    "beside what else there is": {"meta": {"by": "ann"}, "seed": 1, "results": ROWS},
    "a list in each column": COLUMNS,
    "pandas, columns": {"lr": {"0": 0.1, "1": 0.2}, "acc": {"0": 0.5, "1": None}},
    "pandas, columns with an index of text": {"lr": {"x": 0.1, "y": 0.2}, "acc": {"x": 0.5}},
    "pandas, index": {"0": ROWS[0], "1": ROWS[1]},
    "pandas, split": SPLIT,
    "pandas, table": {"schema": {"fields": [{"name": "lr"}]}, "data": ROWS},
    "by name": {"a": ROWS[0], "b": ROWS[1]},
}


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("shape", SHAPES)
def test_objects_that_are_tables(tmp_path, shape, indent):
    path = write(tmp_path / "t.json", json.dumps(SHAPES[shape], indent=indent))
    table = read_table(path)
    assert {name: list(table.columns[name]) for name in COLUMNS} == COLUMNS


def test_the_names_of_the_runs_are_their_ids(tmp_path):
    text = json.dumps(SHAPES["by name"] | {"c": {"id": "seven", "lr": 1}})
    table = read_table(write(tmp_path / "t.json", text))
    assert table.columns["run"] == ["a", "b", None]


def test_where_the_runs_were_found_is_said(tmp_path):
    path = write(tmp_path / "t.json", json.dumps({"meta": 1, "runs": ROWS}))
    assert read_table(path).notes == ("runs from 'runs'; beside it, not read: 'meta'",)


def test_one_of_several_lists_is_named(tmp_path):
    path = write(tmp_path / "t.json", json.dumps({"a": ROWS, "b": ROWS[:1]}))
    with pytest.raises(UsageError, match=r"several lists of objects, 'a', 'b': .* t.json#a"):
        read_table(path)
    assert len(read_table(f"{path}#b")) == 1
    with pytest.raises(UsageError, match=r"no list of objects 'c'; it has 'a', 'b'"):
        read_table(f"{path}#c")


@pytest.mark.parametrize(
    "found",
    [
        {"a": {"x": [1, 2]}, "b": 3},
        {"lr": [1, 2], "acc": [1]},
    ],
)
def test_an_object_of_another_shape(tmp_path, found):
    with pytest.raises(UsageError, match=r"expected \[\{\"lr\": 0.001, \"acc\": 0.9\}, …\]"):
        read_table(write(tmp_path / "t.json", json.dumps(found)))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[{"lr": 1},\n{"lr": 2},\n]', "line 3: not JSON (a comma before the end)"),
        ('[{"lr": 1}\n{"lr": 2}]', "line 2: not JSON (Expecting ',' delimiter)"),
        ('[{"lr": 1},\n{"lr": 2}', "line 2: not JSON"),
        ('[{"lr": 1}]\n[]', "line 1: not JSON (Extra data)"),
    ],
)
def test_a_list_that_is_broken(tmp_path, text, says):
    with pytest.raises(UsageError) as caught:
        read_table(write(tmp_path / "t.json", text))
    assert says in str(caught.value)


def test_a_large_object_is_refused_and_large_lists_are_not(tmp_path, monkeypatch):
    monkeypatch.setattr("harness.tables.objects.LARGEST_OBJECT", 100)
    rows = [{"lr": n, "acc": n / 9} for n in range(9)]
    with pytest.raises(UsageError, match="one object of 0 MiB: write one object for each run"):
        read_table(write(tmp_path / "t.json", json.dumps({"runs": rows})))
    assert len(read_table(write(tmp_path / "t.json", json.dumps(rows)))) == 9
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    assert len(read_table(write(tmp_path / "t.json", lines))) == 9


def test_one_run_is_a_table_of_one_row(tmp_path):
    run = {"config": {"lr": 1}, "summary": {"acc": 0.5}}
    table = read_table(write(tmp_path / "t.json", json.dumps(run, indent=1)))
    assert dict(table.columns) == {"config.lr": [1], "summary.acc": [0.5]}


@pytest.mark.slow
def test_what_pandas_writes(tmp_path):
    import pandas

    frame = pandas.DataFrame(COLUMNS)
    for orient in ("records", "columns", "index", "split", "table"):
        frame.to_json(tmp_path / "t.json", orient=orient)
        table = read_table(tmp_path / "t.json")
        assert {name: list(table.columns[name]) for name in COLUMNS} == COLUMNS, orient


# ---- columns of dictionaries ---------------------------------------------------------------------

SKLEARN = """\
,param_C,param_class_weight,params,mean_test_score
0,1,balanced,"{'C': 1, 'class_weight': 'balanced'}",0.81
1,10,balanced,"{'C': 10, 'class_weight': 'balanced'}",0.83
2,1,"{0: 1, 1: 5}","{'C': 1, 'class_weight': {0: 1, 1: 5}}",0.80
"""


def test_params_of_scikit_learn_are_not_opened_where_param_says_it(tmp_path):
    asked = ReadOptions(metric="mean_test_score", direction="max")
    reading = read_runs(write(tmp_path / "t.csv", SKLEARN), asked)
    assert set(reading.parameters) == {"c", "class_weight"}
    assert reading.set_aside["its keys are columns already"] == ("params",)
    assert "not used, its keys are columns already: params" in reading.notes


def test_a_column_of_dictionaries_is_opened(tmp_path):
    text = "run,config,delta_perf\na,\"{'lr': 0.1, 'm': {'d': 2}}\",1\nb,{},2\n"
    reading = read_runs(write(tmp_path / "t.csv", text), ReadOptions(metric="delta_perf"))
    assert reading.parameters == ("learning_rate", "m.d")
