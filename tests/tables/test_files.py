"""Compressed files, Excel, standard input and pipes."""

import bz2
import gzip
import io
import lzma
import os
import threading
import zipfile

import pytest

from harness.errors import UsageError
from harness.tables import files, read_runs
from harness.tables.reading import read_table
from tests.tables.tables import write

TEXT = "run,lr,delta_perf\na,1e-7,0.1\nb,2e-7,0.2\n"


def zipped(text, *names):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name in names:
            archive.writestr(name, text)
    return data.getvalue()


def zstandard(data):
    import pyarrow

    return pyarrow.compress(data, codec="zstd", asbytes=True)


PACKED = {
    "t.csv.gz": gzip.compress(TEXT.encode()),
    "t.csv.bz2": bz2.compress(TEXT.encode()),
    "t.CSV.XZ": lzma.compress(TEXT.encode()),
    "t.csv.zip": zipped(TEXT, "t.csv", "__MACOSX/._t.csv"),
    "runs.zip": zipped(TEXT, "results/runs.csv"),
    "t.tsv.gz": gzip.compress(TEXT.replace(",", "\t").encode()),
}


@pytest.mark.parametrize("file", PACKED)
def test_a_compressed_file(tmp_path, file):
    path = tmp_path / file
    path.write_bytes(PACKED[file])
    reading = read_runs(path)
    assert [result.run.id for result in reading.results] == ["a", "b"]
    assert reading.name == file.partition(".")[0]
    assert f"unpacked from {path.suffix.lower()}" in reading.notes[0]


def test_zstandard(tmp_path):
    path = tmp_path / "t.csv.zst"
    path.write_bytes(zstandard(TEXT.encode()))
    assert len(read_table(path)) == 2


@pytest.mark.parametrize("ending", [".gz", ".bz2", ".xz", ".zip", ".zst"])
def test_a_compressed_file_that_is_broken(tmp_path, ending):
    path = tmp_path / f"t.csv{ending}"
    path.write_bytes(b"run,lr\n1,2\n")
    with pytest.raises(UsageError, match=r"t\.csv.* cannot be unpacked: "):
        read_table(path)


@pytest.mark.parametrize("ending", [".gz", ".bz2", ".xz"])
def test_a_compressed_file_that_was_cut_off(tmp_path, ending):
    whole = {".gz": gzip, ".bz2": bz2, ".xz": lzma}[ending].compress(os.urandom(5000))
    path = tmp_path / f"t.csv{ending}"
    path.write_bytes(whole[:-900])
    with pytest.raises(UsageError, match="cannot be unpacked"):
        read_table(path)


def test_a_zip_with_several_files(tmp_path):
    path = tmp_path / "t.zip"
    path.write_bytes(zipped(TEXT, "a.csv", "b.csv"))
    with pytest.raises(UsageError, match=r"t.zip has 2 files in it \(a.csv, b.csv\)"):
        read_table(path)


def test_a_small_file_that_becomes_a_large_one(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "LARGEST", 1 << 20)
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"run\n" + b"a\n" * (1 << 20)))
    with pytest.raises(UsageError, match="has more than the 1 MiB that are read"):
        read_table(path)


def test_a_line_that_is_wrong_in_a_compressed_file(tmp_path):
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"run,lr\na,1\nb\n"))
    with pytest.raises(UsageError, match=r"t.csv.gz, line 3: 1 cell, but the header names 2"):
        read_table(path)


# ---- comments ------------------------------------------------------------------------------------


def test_comments_are_left_out_and_said(tmp_path):
    text = "# made by ann, today\n\nrun,lr\na,1\n# a pause\nb,2\n"
    table = read_table(write(tmp_path / "t.csv", text))
    assert dict(table.columns) == {"run": ("a", "b"), "lr": ("1", "2")}
    assert table.notes == ("comments, left out: lines 1, 5",)
    assert list(table.places) == [4, 6]


def test_a_comment_may_be_the_header(tmp_path):
    table = read_table(write(tmp_path / "t.tsv", "# run\tlr\nx\t1\ny\t2\n"))
    assert dict(table.columns) == {"run": ("x", "y"), "lr": ("1", "2")}
    assert table.notes == ()


# ---- Excel ---------------------------------------------------------------------------------------


@pytest.fixture
def book(tmp_path):
    import openpyxl

    made = openpyxl.Workbook()
    made.active.title = "Notes"
    runs = made.create_sheet("Runs")
    runs.append([])
    runs.append(["run", "lr", "on", None, "delta_perf"])
    runs.append(["a", 1e-7, True, None, 0.1])
    runs.append(["b", 8, False, None, None])
    made.create_sheet("More").append(["run"])
    made.save(tmp_path / "t.xlsx")
    return tmp_path / "t.xlsx"


def test_a_sheet_of_excel(book):
    table = read_table(book)
    assert table.values("lr") == [1e-7, 8]
    assert table.values("on") == [True, False]
    assert table.values("delta_perf") == [0.1, None]
    assert (table.where(0), table.unnamed) == ("t.xlsx, row 3", 1)
    assert table.notes == ("sheet 'Runs'; others: 'Notes', 'More' (t.xlsx#SHEET)",)


def test_a_sheet_that_is_named(book):
    with pytest.raises(UsageError, match="a header and no rows"):
        read_table(f"{book}#More")
    with pytest.raises(UsageError, match=r"no sheet 'runs': it has 'Notes', .* mean 'Runs'"):
        read_table(f"{book}#runs")
    with pytest.raises(UsageError, match=r"t.csv has no parts, such as #x"):
        read_table(f"{write(book.with_name('t.csv'), TEXT)}#x")


# ---- standard input ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "format_"),
    [
        (TEXT.encode(), "CSV"),
        (TEXT.replace(",", ";").encode(), "CSV with semicolons"),
        (TEXT.replace(",", "\t").encode(), "TSV"),
        (b'{"run": "a", "delta_perf": 0.1}\n{"run": "b", "delta_perf": 0.2}\n', "JSON lines"),
        (b'[{"run": "a", "delta_perf": 0.1},\n{"run": "b", "delta_perf": 0.2}]', "JSON"),
    ],
)
def test_standard_input_is_told_by_its_content(monkeypatch, data, format_):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
    reading = read_runs("-")
    assert [result.run.id for result in reading.results] == ["a", "b"]
    assert reading.notes[0].startswith("stdin: 2 rows")
    assert f", {format_}" in reading.notes[0]


def test_nothing_is_piped(monkeypatch):
    class Terminal(io.BytesIO):
        def isatty(self):
            return True

    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(Terminal()))
    with pytest.raises(UsageError, match="'-' reads standard input: pipe a table into it"):
        read_table("-")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO()))
    with pytest.raises(UsageError, match="stdin is empty"):
        read_table("-")


def test_a_named_pipe(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    thread = threading.Thread(target=path.write_text, args=(TEXT,))
    thread.start()
    assert len(read_table(path)) == 2
    thread.join()
