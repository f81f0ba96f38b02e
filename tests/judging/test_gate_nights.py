"""How often the gate pages, by the simulation that its page shows."""

import gate_nights
import numpy as np
import pytest
from gate_nights import NIGHTS, SIZES, STATISTICS, TABLES, rates


def found(draw, k, m, shift, trials, seed=3):
    rng = np.random.default_rng([seed, k])
    return dict(zip(gate_nights.RULES, rates(draw, k, m, shift, trials, rng), strict=True))


def test_thresholds_page_where_the_gate_does_not_and_the_gate_finds_a_fault():
    unchanged = found(NIGHTS["skewed to the bad side"], 20, 3, 0.0, 200)
    assert unchanged["gate"] <= 0.03
    assert unchanged["worst seen"] >= 0.12
    assert unchanged["t, Bonferroni"] >= 0.02
    assert found(NIGHTS["normal"], 20, 3, 4.0, 100)["gate"] >= 0.85


def test_every_statistic_is_an_exact_one():
    rng = np.random.default_rng(1)
    shares = gate_nights.by_statistic(NIGHTS["t with 3 degrees"], 10, 4, 0.0, 200, rng)
    assert len(shares) == len(STATISTICS)
    assert max(shares) <= 0.03


@pytest.mark.parametrize("name", TABLES)
def test_every_table_is_printed(name, monkeypatch, capsys):
    monkeypatch.setattr(gate_nights, "NIGHTS", {"normal": gate_nights.normal})
    TABLES[name](2, np.random.default_rng(1), ((10, 4),))
    out = capsys.readouterr().out
    assert out.count("|---") >= 1
    assert "nan" not in out


@pytest.mark.slow
@pytest.mark.parametrize("name", NIGHTS)
@pytest.mark.parametrize(("k", "m"), SIZES)
def test_unchanged_nights_page_in_at_most_one_of_two_hundred(name, k, m):
    """The limit lies four simulation errors above 1/200."""
    trials = 1000
    limit = 1 / 200 + 4 * np.sqrt(1 / 200 / trials)
    assert found(NIGHTS[name], k, m, 0.0, trials)["gate"] <= limit


@pytest.mark.slow
@pytest.mark.parametrize(
    ("k", "m", "power"), [(10, 4, 0.6), (20, 3, 0.75), (40, 2, 0.65), (80, 2, 0.75)]
)
def test_a_fault_of_three_sds_is_found_as_often_as_is_said(k, m, power):
    assert found(NIGHTS["normal"], k, m, 3.0, 500)["gate"] >= power


@pytest.mark.slow
def test_a_fault_pages_for_as_long_as_it_lasts_and_a_year_has_few_pages(monkeypatch, capsys):
    monkeypatch.setattr(gate_nights, "NIGHTS", {"normal": gate_nights.normal})
    gate_nights.year(400, np.random.default_rng(5))
    row = capsys.readouterr().out.strip().splitlines()[-1]
    in_a_year, first, late = (float(cell) for cell in row.split("|")[2:5])
    assert in_a_year <= 4.5
    assert first <= 3
    assert late >= 9.0
