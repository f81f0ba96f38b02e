"""The numbers of a column are read under one convention, or refused; never as categories."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.tables.conventions import decide, decimal_mark, written
from harness.tables.table import Table, value
from tests.tables.tables import read, write

NOTHING, POINTS, COMMAS = (False, False), (False, True), (True, False)


def found(cells, elsewhere=NOTHING, separator=","):
    """Return the numbers that the cells of a column are read as, and the note on them."""
    convention = decide(cells, lambda: elsewhere, separator)
    assert convention.doubt is None, convention.doubt
    return [value(convention.read.get(cell, cell)) for cell in cells], convention.note


@pytest.mark.parametrize(
    ("cells", "numbers", "note"),
    [
        (["0,000025", "0,9", "138"], [0.000025, 0.9, 138], "decimal commas"),
        (["1,5e-3", "2e-4"], [0.0015, 0.0002], "decimal commas"),
        (["1.234,5", "12,0"], [1234.5, 12.0], "decimal commas"),
        (["1 000", "12 000,5"], [1000, 12000.5], "decimal commas"),
        (["1,234", "0,5"], [1.234, 0.5], "decimal commas"),
        (["auto", "0,5", "0,25"], ["auto", 0.5, 0.25], "decimal commas"),
        (["1,000", "2,000"], [1000, 2000], "commas between thousands"),
        (["1,234", "5,678", "987"], [1234, 5678, 987], "commas between thousands"),
        (["1,234", "0.5"], [1234, 0.5], "commas between thousands"),
        (["-1,234,567", "2,500.25"], [-1234567, 2500.25], "commas between thousands"),
        (["1.234.567", "12"], [1234567, 12], "points between thousands"),
        (["1_000", "500"], [1000, 500], "thousands apart"),
        (["1 000", "1\u202f500"], [1000, 1500], "thousands apart"),
        (["1'000", "16’000"], [1000, 16000], "thousands apart"),
        (["−0.5", "0.2"], [-0.5, 0.2], ""),
        (["10%", "5.5 %", "0"], [0.1, 0.055, 0], "percentages, as shares: 10% is 0.1"),
        (["0,5%", "7,5 %"], [0.005, 0.075], "decimal commas, percentages, as shares: 10% is 0.1"),
        (["5k", "1.5k", "500"], [5000, 1500, 500], "k is 1,000"),
        (["500M", "7B"], [500_000_000, 7_000_000_000], "M is 1,000,000"),
        (["7B", "13B"], [7, 13], "in B"),
        (["8 GB", "16 GB"], [8, 16], "in GB"),
        (["8GB", "512MB", "0"], [8, 0.512, 0], "in GB"),
        (["2 GiB", "512 MiB"], [2, 0.5], "in GiB"),
        (["90 s", "2 min"], [90, 120], "in s"),
        (["1e-3 s", "2 s"], [0.001, 2], "in s"),
        (["4 heads", "8 heads"], [4, 8], "in heads"),
    ],
)
def test_a_column_is_read_under_one_convention(cells, numbers, note):
    assert found(cells) == (numbers, note)


@pytest.mark.parametrize(
    "cells",
    [
        ["adam", "sgd"],
        ["1e-6", "8", "0.5"],
        ["1.2.3", "1.2.4"],
        ["256,128,64", "64,32,16"],
        ["3a", "5f", "9c"],
        ["1st", "2nd"],
        ["4bit", "8bit"],
        ["2025-01-01"],
        ["7B", "13B", "base"],
        ["12 0", "0x10", "5e444_00000"],
        ["resnet 50", "v1,2", "8"],
    ],
)
def test_what_is_no_number_stays_as_it_is(cells):
    assert found(cells) == ([value(cell) for cell in cells], "")


@pytest.mark.parametrize(
    ("cells", "elsewhere", "cell", "advice"),
    [
        (["1,234", "5,678"], NOTHING, "1,234", "1.234 or 1234"),
        (["1,234", "5,678"], POINTS, "1,234", "1.234 or 1234"),
        (["128,128", "256,256"], POINTS, "128,128", "128.128 or 128128"),
        (["1,000", "2,000"], COMMAS, "1,000", "1.000 or 1000"),
        (["1.000", "2.000"], COMMAS, "1.000", "1.000 or 1000"),
        (["64,64", "128,128"], POINTS, "64,64", "64.64 or a pair: write 64.64 or (64, 64)"),
        (["1,5", "2,5"], NOTHING, "1,5", "a pair"),
        (["0,1", "2,3"], POINTS, "0,1", "a pair"),
        (["0.5", "0,5"], NOTHING, "0,5", "another cell is '0.5'"),
        (["0,5", "1.234"], NOTHING, "1.234", "1.234 or 1234"),
        (["8 GB", "16 GB", "32"], NOTHING, "32", "others are in GB"),
        (["8", "16", "32 GB"], NOTHING, "32 GB", "the others have no unit"),
        (["0.1", "0.2", "10%"], NOTHING, "10%", "as a share, without a sign"),
        (["8 GB", "16 px"], NOTHING, "16 px", "others are in GB"),
    ],
)
def test_what_leaves_two_readings_open_is_not_read(cells, elsewhere, cell, advice):
    doubt = decide(cells, lambda: elsewhere, ",").doubt
    assert doubt is not None
    assert doubt[0] == cell
    assert advice in doubt[1]


def test_other_columns_and_the_separator_tell_what_a_comma_is():
    assert found(["1,5", "2,5"], COMMAS)[0] == [1.5, 2.5]
    assert found(["1,5", "2,5"], separator=";")[0] == [1.5, 2.5]
    assert decide(["1,5", "2,5"], lambda: POINTS, ";").doubt
    assert found(["1,234", "5,678"], COMMAS)[0] == [1.234, 5.678]
    assert found(["1.000", "2.000"], POINTS)[0] == [1.0, 2.0]


@pytest.mark.parametrize(
    ("cell", "mark"),
    [("0,5", "comma"), ("0.5", "point"), ("1,234", None), ("1.234", None), ("1,234e-5", "comma"),
     ("1.234,5", "comma"), ("1,234.5", "point"), ("8", None)],
)  # fmt: skip
def test_the_decimal_mark_that_a_cell_shows(cell, mark):
    assert decimal_mark(written(cell)) == mark


@given(st.lists(st.text(alphabet="0123456789.,- %kGB_'e", min_size=1, max_size=8), max_size=6))
def test_whatever_is_in_a_column_it_is_read_or_refused(cells):
    convention = decide([cell.strip() for cell in cells], lambda: NOTHING, ",")
    assert all(isinstance(value(text), int | float) for text in convention.read.values())


# ---- in a table ----------------------------------------------------------------------------------


def test_decimal_commas_in_a_file_with_semicolons(tmp_path):
    text = "lr;dropout;reward\n0,000025;0,85;138\n0,000058;0,50;122\n"
    reading = read(tmp_path / "t.csv", text, metric="reward", direction="max")
    assert [r.run.config["learning_rate"] for r in reading.results] == [0.000025, 0.000058]
    assert [r.run.config["dropout"] for r in reading.results] == [0.85, 0.5]
    assert "lr, dropout: decimal commas" in reading.notes


@pytest.mark.parametrize("asked", [{}, {"params": ("lr",)}, {"by": ("lr",)}])
def test_a_parameter_in_doubt_is_refused_with_its_line(tmp_path, asked):
    text = 'lr,delta_perf\n"1,234",0.1\n"5,678",0.2\n'
    with pytest.raises(UsageError, match=r"t.csv, line 2: '1,234' in column 'lr': it may be 1.234"):
        read(tmp_path / "t.csv", text, **asked)


def test_a_parameter_in_doubt_is_not_dropped_as_a_name(tmp_path):
    rows = "".join(f'"1,{n}",{n / 1000}\n' for n in range(234, 250))
    with pytest.raises(UsageError, match="line 2: '1,234' in column 'width'"):
        read(tmp_path / "t.csv", f"width,delta_perf\n{rows}")


def test_points_in_a_file_of_decimal_commas_may_be_thousands(tmp_path):
    text = "lr;tokens;delta_perf\n0,1;1.000;0,5\n0,2;2.000;0,4\n"
    with pytest.raises(UsageError, match=r"line 2: '1.000' in column 'tokens': it may be 1.000 or"):
        read(tmp_path / "t.csv", text)


def test_a_count_of_steps_is_read_so_too(tmp_path):
    reading = read(tmp_path / "t.csv", 'steps,delta_perf\n"1,000",0.1\n"2,000",0.2\n')
    assert "steps: commas between thousands" in reading.notes


def test_a_metric_in_doubt_is_refused_with_its_line(tmp_path):
    text = 'lr,acc\n1,0.5\n2,"0,6"\n'
    with pytest.raises(UsageError, match=r"line 3: '0,6' in column 'acc': another cell is '0.5'"):
        read(tmp_path / "t.csv", text, metric="acc", direction="max")


def test_a_column_that_is_not_used_may_be_in_doubt(tmp_path):
    text = 'lr,bs,notes,delta_perf\n1,8,"1,234",0.1\n2,4,"5,678",0.2\n'
    assert read(tmp_path / "t.csv", text, params=("lr", "bs")).parameters == (
        "learning_rate",
        "batch_size",
    )


def test_true_and_false_beside_numbers_are_values_of_their_own(tmp_path):
    text = "amp,delta_perf\ntrue,0.1\n1,0.2\nfalse,0.3\n0,0.4\n"
    reading = read(tmp_path / "t.csv", text)
    levels = [result.run.config["amp"] for result in reading.results]
    assert levels == ["true", 1, "false", 0]
    assert len(set(levels)) == 4
    only = read(tmp_path / "o.csv", "amp,delta_perf\ntrue,0.1\nfalse,0.3\n")
    assert [result.run.config["amp"] for result in only.results] == [True, False]


def test_ids_stay_as_they_are_written(tmp_path):
    reading = read(tmp_path / "t.csv", 'run,lr,delta_perf\n007,1,0.1\n"1,000",2,0.2\n')
    assert [result.run.id for result in reading.results] == ["007", "1,000"]


def test_text_in_a_parquet_or_json_file_is_read_so_too(tmp_path):
    path = write(tmp_path / "t.json", '[{"mem": "8 GB"}, {"mem": "16 GB"}, {"mem": null}]')
    table = Table(path, "JSON", {"mem": ["8 GB", "16 GB", None]}, range(1, 4))
    assert table.values("mem") == [8, 16, None]
