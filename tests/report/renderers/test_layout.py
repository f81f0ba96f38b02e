"""Tables within a width."""

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.report.blocks import Column, Table
from harness.report.renderers.layout import table_text

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@settings(max_examples=80, deadline=None)
@given(
    rows=st.lists(st.tuples(words, words, words, words), max_size=4),
    flags=st.tuples(*[st.tuples(st.booleans(), st.integers(0, 2), st.booleans())] * 4),
    width=st.integers(20, 100),
)
def test_whatever_a_table_holds_fits(rows, flags, width):
    columns = tuple(
        Column(f"a title {i}", right=right, drop=drop, wrap=wrap)
        for i, (right, drop, wrap) in enumerate(flags)
    )
    lines = table_text(Table(columns, tuple(rows)), width)
    assert all(len(line) <= width for line in lines)


def test_the_first_column_is_shortened_before_anything_else():
    columns = (Column("run", right=False), Column("a long title"))
    table = Table(
        columns, (("focused-00-lr2e-7", "1"), ("focused-01-lr3e-7", "2")), short=("00", "01")
    )
    wide, narrow = table_text(table, 40), table_text(table, 24)
    assert [line.split() for line in wide[2:]] == [
        ["focused-00-lr2e-7", "1"],
        ["focused-01-lr3e-7", "2"],
    ]
    assert [line.split() for line in narrow[2:]] == [["00", "1"], ["01", "2"]]
    assert "a long title" in narrow[0]


def test_one_wide_cell_hides_no_column():
    columns = (Column("run"), Column("acc"), Column("lr", drop=3), Column("cfg", drop=3, wrap=True))
    rows = tuple((str(n), "0.5", "1e-3", '{"a": ' + "x" * 200 + "}") for n in range(3))
    lines = table_text(Table(columns, rows), 60)
    assert lines[0].split() == ["run", "acc", "lr", "cfg"]
    assert len(lines) == 5
    assert all(len(line) <= 60 for line in lines)
    assert all(line.endswith("…") for line in lines[2:])
    assert "1e-3" in lines[2]
