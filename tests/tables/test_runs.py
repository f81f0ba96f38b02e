"""A table of runs as records: the same from every format, neutral in all it does not say."""

import string
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness import audit, observations
from harness.metrics import Metric
from harness.tables import ReadOptions, read_runs
from harness.verdicts import Baseline, Evidence
from tests import published_broad
from tests.tables.tables import configs, deltas, read, write_csv, write_json, write_parquet


def test_a_reading_of_the_plainest_table(tmp_path):
    path = tmp_path / "mine.csv"
    reading = read(path, "run,lr,delta_perf\na,1e-7,0.1\nb,2e-7,-0.1\n")
    assert (reading.name, reading.source) == ("mine", str(path))
    assert reading.metric == Metric()
    assert (reading.parameters, reading.by, reading.groups) == (("learning_rate",), (), ((), ()))
    assert not reading.has_seed
    assert reading.notes == (
        "mine.csv: 2 rows of 3 columns, CSV",
        "outcome: ΔPerf, from delta_perf, more is better",
        "parameters: learning_rate (lr)",
        "run ids from run",
    )
    result = reading.results[0]
    assert (result.run.sweep, result.run.arm, result.run.pair) == ("mine", "main", None)
    assert (result.run.seed, result.run.steps, result.outcome.curve) == (0, 0, ())
    assert result.outcome.perf_before is None


def test_the_runs_of_the_broad_sweep(tmp_path):
    reading = read_runs(published_broad.write(tmp_path / "broad.csv"))
    rows = published_broad.rows()
    assert reading.parameters == published_broad.PARAMETERS
    assert deltas(reading) == [row["delta_perf"] for row in rows]
    assert configs(reading) == [
        {name: row[name] for name in published_broad.PARAMETERS} for row in rows
    ]
    kinds = {name: type(value) for name, value in configs(reading)[0].items()}
    assert kinds["generations"] is int
    assert kinds["learning_rate"] is float


def test_two_tables_are_like_for_like(tmp_path):
    one = read(tmp_path / "a.csv", "lr,delta_perf,delta_perf_se\n1,0.1,0.01\n2,0.3,0.01\n")
    two = read(tmp_path / "b.csv", "lr,delta_perf,delta_perf_se\n1,0.2,0.01\n2,0.2,0.01\n")
    assert observations.mixed(one.results) == ()
    assert observations.mismatched(one.results, two.results) == ()
    ours, theirs = observations.observe(one.results), observations.observe(two.results)
    assert observations.evaluated_differently(ours, theirs) is None
    assert ours.total == 2
    found = audit.audit(Evidence("a", one.results, baseline=Baseline("b", two.results)))
    assert found
    assert not [f for f in found if f.code in ("mixed_conditions", "scaled_down")]


# ---- formats ------------------------------------------------------------------------------------

NAMES = st.text(string.ascii_lowercase, min_size=3, max_size=6).filter(
    lambda name: name not in ("run", "arm", "pair", "seed", "state", "step", "steps", "status")
)
CELLS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**9), 10**9),
    st.floats(allow_infinity=False, allow_nan=False),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6),
)
OUTCOMES = st.one_of(st.none(), st.floats(-1, 1), st.just(float("nan")))


@st.composite
def made_tables(draw):
    names = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    number = draw(st.integers(1, 6))
    columns = {name: draw(st.lists(CELLS, min_size=number, max_size=number)) for name in names}
    rows = [
        {"run": f"r{row}"}
        | {f"config.{name}": column[row] for name, column in columns.items()}
        | {"seed": draw(st.integers(0, 99)), "delta_perf": draw(OUTCOMES) if row else 0.5}
        for row in range(number)
    ]
    return rows


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None
)
@given(made_tables())
def test_every_format_gives_the_same_runs(tmp_path, rows):
    params = tuple(name for name in rows[0] if name.startswith("config."))
    readings = [
        read_runs(path, ReadOptions(params=params))
        for path in (
            write_csv(tmp_path / "t.csv", rows),
            write_csv(tmp_path / "t.tsv", rows, "\t"),
            write_json(tmp_path / "t.jsonl", rows),
            write_json(tmp_path / "t.json", rows),
            write_parquet(tmp_path / "t.parquet", rows),
        )
    ]
    first = readings[0]
    assert len(first.results) >= 1
    for reading in readings[1:]:
        assert reading.results == first.results
        assert repr(reading.results) == repr(first.results)
        assert (reading.parameters, reading.metric) == (first.parameters, first.metric)


def test_whole_numbers_are_ints_whichever_way_they_are_written(tmp_path):
    one = read(tmp_path / "a.csv", 'generations,"lr",delta_perf\n16,"1e-7",0.1\n24,2e-7,0.2\n')
    two = read(tmp_path / "b.csv", "generations,lr,delta_perf\n16.0,1e-07,0.1\n24.0,2e-7,0.2\n")
    assert configs(one) == configs(two)
    assert [type(config["generations"]) for config in configs(two)] == [int, int]


# ---- size ---------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_100_000_runs_are_read_in_seconds(tmp_path, ending):
    rng = np.random.default_rng(1)
    number = 100_000
    columns = {"run": [f"r{row}" for row in range(number)]}
    columns |= {f"p{name}": rng.random(number).tolist() for name in range(8)}
    columns |= {f"q{name}": rng.choice(["a", "b"], number).tolist() for name in range(8)}
    columns |= {"seed": [row % 5 for row in range(number)], "steps": [100] * number}
    columns["delta_perf"] = rng.uniform(-1, 1, size=number).tolist()
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    writer = {"csv": write_csv, "jsonl": write_json, "parquet": write_parquet}[ending]
    path = writer(tmp_path / f"t.{ending}", rows)
    del rows
    started = time.process_time()
    reading = read_runs(path)
    assert len(reading.results) == number
    assert len(reading.parameters) == 16
    assert time.process_time() - started < 15
