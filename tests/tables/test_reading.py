"""Files as tables: every format, and every way a file can be wrong."""

import contextlib
import json
import math
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.tables import ReadOptions, read_runs
from harness.tables import table as table_module
from harness.tables.reading import read_table
from tests.conftest import ROOT
from tests.tables.tables import write, write_csv, write_json, write_parquet

ENDINGS = ["csv", "tsv", "jsonl", "json", "parquet", "xlsx", "csv.gz", "tsv.zip", "db", "wandb"]

ROWS = [
    {"run": "a", "lr": 1e-7, "bs": 8, "on": True, "note": 'x, "y"\nz', "delta_perf": 0.1},
    {"run": "b", "lr": 2e-7, "bs": None, "on": False, "note": "–", "delta_perf": -0.1},
]


def refused(path, *parts):
    with pytest.raises(UsageError) as caught:
        read_table(path)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message, message
    return message


# ---- formats ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "writer"),
    [
        ("t.csv", write_csv),
        ("t.tsv", lambda path, rows: write_csv(path, rows, "\t")),
        ("t.CSV", lambda path, rows: write_csv(path, rows, ";")),
        ("t.jsonl", write_json),
        ("t.json", write_json),
        ("t.parquet", write_parquet),
    ],
)
def test_every_format_says_the_same(tmp_path, file, writer):
    table = read_table(writer(tmp_path / file, ROWS))
    assert {name: table.values(name) for name in table.columns} == {
        name: [row[name] for row in ROWS] for name in ROWS[0]
    }
    assert len(table) == 2


def test_what_separates_the_columns_is_said(tmp_path):
    assert read_table(write_csv(tmp_path / "t.csv", ROWS, ";")).format == "CSV with semicolons"
    assert read_table(write_csv(tmp_path / "t.csv", ROWS)).format == "CSV"
    assert read_table(write(tmp_path / "t.tsv", "a,b\n1,2\n")).format == "TSV with commas"


def test_a_byte_order_mark_blank_lines_and_windows_line_ends_do_no_harm(tmp_path):
    text = '\ufeff"run",lr\r\n\r\na,1\r\n,\r\n   \r\n"b",2\r\n\r\n'.replace("   \r\n", " , \r\n")
    table = read_table(write(tmp_path / "t.csv", text))
    assert dict(table.columns) == {"run": ("a", "b"), "lr": ("1", "2")}
    assert list(table.places) == [3, 6]


def test_the_line_of_a_row_is_the_one_it_begins_on(tmp_path):
    table = read_table(write(tmp_path / "t.csv", 'run,note\na,"x\ny"\nb,z\n'))
    assert [table.where(row) for row in range(2)] == ["t.csv, line 2", "t.csv, line 4"]


@pytest.mark.parametrize("first", ["", "Unnamed: 0"])
def test_a_column_without_a_name_is_left_out(tmp_path, first):
    table = read_table(write(tmp_path / "t.csv", f"{first},run\n0,a\n1,b\n"))
    assert list(table.columns) == ["run"]
    assert table.unnamed == 1


def test_nested_objects_are_columns_with_dots(tmp_path):
    rows = [{"config": {"lr": 1, "model": {"depth": 2}}, "tags": ["a"]}, {"config": {"bs": 8}}]
    table = read_table(write_json(tmp_path / "t.jsonl", rows))
    assert dict(table.columns) == {
        "config.lr": [1, None],
        "config.model.depth": [2, None],
        "tags": ['["a"]', None],
        "config.bs": [None, 8],
    }


def test_parquet_of_every_type(tmp_path):
    import datetime
    import decimal

    import pyarrow
    from pyarrow import parquet

    when = datetime.datetime(2025, 1, 2, 3, 4, 5)
    columns = {
        "struct": [{"lr": 1e-7, "in": {"x": 1}}, None],
        "list": [[1, 2], None],
        "when": pyarrow.array([1, None], pyarrow.timestamp("ns")),
        "day": [when.date(), None],
        "time": [when.time(), None],
        "took": [datetime.timedelta(seconds=1), None],
        "decimal": [decimal.Decimal("0.5"), None],
        "level": pyarrow.array(["a", None]).dictionary_encode(),
        "small": pyarrow.array([0.5, math.nan], pyarrow.float32()),
        "map": pyarrow.array([[("a", 1)], None], pyarrow.map_(pyarrow.string(), pyarrow.int8())),
        "__index_level_0__": [0, 1],
    }
    parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet")
    table = read_table(tmp_path / "t.parquet")
    assert table.values("struct.lr") == [1e-7, None]
    assert table.values("struct.in.x") == [1, None]
    assert table.values("list") == ["[1, 2]", None]
    assert table.values("when")[0].startswith("1970-01-01")
    assert table.values("day")[0] == "2025-01-02"
    assert table.values("time")[0].startswith("03:04:05")
    assert table.values("took")[1] is None
    assert table.values("decimal") == [0.5, None]
    assert table.values("level") == ["a", None]
    assert table.values("small")[0] == 0.5
    assert math.isnan(table.values("small")[1])
    assert table.values("map")[1] is None
    assert "__index_level_0__" not in table.columns
    assert table.where(1) == "t.parquet, row 2"


def test_no_library_is_imported_to_read_text(tmp_path):
    code = "import sys; from pathlib import Path; from harness.tables import read_runs; "
    code += "read_runs(Path(sys.argv[1])); print({'numpy', 'pyarrow', 'python_calamine', "
    code += "'narwhals', 'pandas', 'optuna', 'mlflow'} & set(sys.modules))"
    path = write_csv(tmp_path / "t.csv", ROWS)
    command = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "{'numpy'}\n"


def test_without_pyarrow_the_command_that_installs_it_is_given(tmp_path, monkeypatch):
    path = write_parquet(tmp_path / "t.parquet", ROWS)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    refused(path, "t.parquet needs pyarrow", 'pip install "pytest-sweep[tables]"', "as CSV")


# ---- what is no table ---------------------------------------------------------------------------


def test_there_is_no_such_file(tmp_path):
    write(tmp_path / "runs.csv", "a\n1\n")
    refused(tmp_path / "run.csv", "there is no file", "did you mean 'runs.csv'?")
    folder = tmp_path / "other"
    for name in ("docs", "docs.csv.d", "doc.csv"):
        (folder / name).mkdir(parents=True)
    (folder / "docs.py").touch()
    assert "did you mean" not in refused(folder / "docs.csv", "there is no file")
    refused(tmp_path / "nowhere" / "run.csv", "there is no file")


def test_a_folder(tmp_path):
    refused(tmp_path, "is a folder", ".csv, .tsv, .jsonl", ".parquet, .xlsx, .xls or .ods")


@pytest.mark.parametrize("file", ["t.doc", "t", "t.csv.rar", "t.doc.gz", "t.gz"])
def test_another_ending(tmp_path, file):
    refused(write(tmp_path / file, "a\n1\n"), file, "name ends in .csv", "(.gz, .bz2, .xz,")


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "json", "parquet", "xlsx", "csv.gz"])
def test_an_empty_file(tmp_path, ending):
    refused(write(tmp_path / f"t.{ending}", ""), f"t.{ending} is empty")


@pytest.mark.parametrize(
    ("file", "text", "part"),
    [
        ("t.csv", "run,lr\n", "a header and no rows"),
        ("t.csv", "run,lr\n\n , \n", "a header and no rows"),
        ("t.csv", "\n\n \n", "only blank lines"),
        ("t.jsonl", "\n\n", "holds no objects"),
        ("t.json", "[]", "holds no objects"),
    ],
)
def test_no_rows(tmp_path, file, text, part):
    refused(write(tmp_path / file, text), part)


def test_no_rows_in_parquet(tmp_path):
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"a": pyarrow.array([], "int8")}), tmp_path / "t.parquet")
    refused(tmp_path / "t.parquet", "a header and no rows")


def test_columns_of_one_name(tmp_path):
    refused(write(tmp_path / "t.csv", "lr, lr,bs\n1,2,3\n"), "column 'lr' more than once")
    refused(write(tmp_path / "t.csv", "a,b,a,b\n1,2,3,4\n"), "columns 'a', 'b' more than once")
    row = '{"config": {"lr": 1}, "config.lr": 2}\n'
    refused(write(tmp_path / "t.jsonl", row), "line 1", "'config.lr' is there twice")


def test_columns_of_one_name_in_parquet(tmp_path):
    import pyarrow
    from pyarrow import parquet

    made = pyarrow.Table.from_arrays([pyarrow.array([1])] * 2, names=["a", "a"])
    parquet.write_table(made, tmp_path / "t.parquet")
    refused(tmp_path / "t.parquet", "'a' more than once")


@pytest.mark.parametrize(
    ("row", "says"), [("b,1", "2 cells"), ("b,1,2,3", "4 cells"), ("b", "1 cell,")]
)
def test_a_ragged_row(tmp_path, row, says):
    path = write(tmp_path / "t.csv", f"run,lr,bs\na,1,8\n\n{row}\nc,1,8\n")
    refused(path, "t.csv, line 4", says, "3 columns")


def test_a_table_without_a_header(tmp_path):
    refused(write(tmp_path / "t.csv", "0.1,8\n0.2,16\n"), "begins with numbers (0.1,8, …)")


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "json"])
def test_text_in_another_encoding(tmp_path, ending):
    path = tmp_path / f"t.{ending}"
    path.write_bytes(b'run,note\n"a",1\n"b","\xe9"\n')
    refused(path, f"t.{ending}, line 3: not UTF-8")
    path.write_bytes(b"\xff\xfea\0\xd8")
    refused(path, "broken text in UTF-16", "save it as UTF-8")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-8-sig"])
def test_text_as_excel_writes_it(tmp_path, encoding):
    text = ("\ufeff" if encoding == "utf-16-be" else "") + "run\tlr\nα\t1\n"
    table = read_table(write(tmp_path / "t.tsv", text, encoding))
    assert dict(table.columns) == {"run": ("α",), "lr": ("1",)}


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "json"])
def test_binary_data(tmp_path, ending):
    path = tmp_path / f"t.{ending}"
    path.write_bytes(b"run,lr\na,1\nb,\0\n")
    refused(path, f"t.{ending} holds binary data", "a NUL byte in line 3")


SIGNED = [
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "gzip"),
    (b"BZh9", "bzip2"),
    (b"PAR1", "Parquet"),
    (b"SQLite format 3\0", "SQLite"),
]


@pytest.mark.parametrize(("begins", "what"), SIGNED)
@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "json", "parquet"])
def test_a_file_that_is_not_what_its_ending_says(tmp_path, begins, what, ending):
    path = tmp_path / f"t.{ending}"
    path.write_bytes(begins + b"\0\x08\0")
    expected = ("is not a Parquet file",) if ending == "parquet" == what.lower() else (what,)
    refused(path, f"t.{ending} is not", *expected)


@pytest.mark.parametrize("text", ['{"lr": 1}\n', '\n[{"lr": 1}]'])
def test_json_that_is_called_csv(tmp_path, text):
    refused(write(tmp_path / "t.csv", text), "t.csv is not CSV but JSON", ".jsonl")
    refused(write(tmp_path / "t.csv", "<!DOCTYPE html>\n<p>"), "web page")


def test_a_quote_that_is_not_closed(tmp_path):
    refused(write(tmp_path / "t.csv", 'run,lr\na,"1\nb,2\n'), "t.csv, line 3", "quote")
    long = 'run,lr\na,"' + "1\n" * 70_000
    refused(write(tmp_path / "t.csv", long), "more than 131,072 characters", "quote")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ('{"a": 1}\n{"a": }\n', ["line 2: not JSON", "one such object a line"]),
        ('{"a": 1}\n\n[1]\n', ["line 3: [1] is not an object"]),
        ('{"a": 1}\n"' + "x" * 99 + '"\n', ["line 2", "…", "is not an object"]),
        ('{\n "a": 1\n "b": 2\n}\n', ["line 3: not JSON"]),
        ('[{"a": 1},\n {"a": }]', ["line 2: not JSON"]),
        ('[{"a": 1}, 3]', ["item 2: 3 is not an object"]),
        ("[" * 100_000, ["JSON"]),
        ('{"a": ' * 100_000, ["line 1: not JSON"]),
        ('{"a": ' + "9" * 5000 + "}", ["line 1: not JSON"]),
    ],
)
def test_json_that_is_no_table(tmp_path, text, parts):
    refused(write(tmp_path / "t.jsonl", text), *parts)


def test_parquet_that_is_none(tmp_path):
    refused(write(tmp_path / "t.parquet", "run,lr\na,1\n"), "is not a Parquet file")
    refused(write(tmp_path / "t.xlsx", "run,lr\na,1\n"), "is not an Excel file")


def test_a_file_that_is_too_large_is_not_even_opened(tmp_path):
    path = tmp_path / "t.csv"
    with path.open("wb") as file:
        file.truncate(2 * 2**30)
    refused(path, "2,048 MiB", "more than the 256 MiB", "only the columns")


@pytest.mark.parametrize("file", ["t.csv", "t.jsonl", "t.parquet"])
def test_a_table_of_too_many_cells(tmp_path, file, monkeypatch):
    write_ = {"csv": write_csv, "jsonl": write_json, "parquet": write_parquet}
    path = write_[file.removeprefix("t.")](tmp_path / file, ROWS)
    monkeypatch.setattr(table_module, "MOST_CELLS", 11)
    refused(path, "2 rows of 6 columns", "more than the 11 cells")


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    path = write(tmp_path / "t.csv", "run\na\n")

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "read_bytes", refuse)
    refused(path, "cannot be read: Permission denied")


# ---- nothing is a traceback ---------------------------------------------------------------------


def read_or_refuse(path, **asked):
    """Read the runs of a file; whatever else it raises than a line for the user is a fault."""
    with contextlib.suppress(UsageError):
        assert read_runs(path, ReadOptions(**asked)).results


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None
)
@given(st.binary(max_size=200), st.sampled_from(ENDINGS))
def test_whatever_is_in_a_file_is_read_or_refused(tmp_path, data, ending):
    path = tmp_path / f"t.{ending}"
    path.write_bytes(data)
    read_or_refuse(path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inside: (
        st.lists(inside, max_size=3)
        | st.dictionaries(st.sampled_from(["run", "lr", "delta_perf", "config", ""]), inside)
    ),
    max_leaves=12,
)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80, deadline=None
)
@given(JSON)
def test_whatever_json_there_is_it_is_read_or_refused(tmp_path, found):
    path = write(tmp_path / "t.json", json.dumps(found))
    read_or_refuse(path, params=("lr",))
