"""No verdict is supported through a missing value."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import HarnessError
from harness.judging.table import judge_table
from harness.judging.table_questions import Terms
from harness.tables import ReadOptions, read_runs
from tests.judging.tables import judged, runs
from tests.tables.tables import write_csv, write_json, write_parquet

WRITERS = {
    ".csv": write_csv,
    ".tsv": lambda path, rows: write_csv(path, rows, "\t"),
    ".jsonl": write_json,
    ".parquet": write_parquet,
}

# ---- any table, any cell -------------------------------------------------------------------------


def sample(rng, n, mean, spread, has):
    """Rows of runs, near the edge of showing something; one in ten collapsed."""
    rows = []
    for i in range(n):
        delta = mean + spread * rng.normal() - (0.3 if rng.random() < 0.1 else 0.0)
        row = {"run": f"r{i}", "lr": float(f"{10 ** rng.uniform(-7, -6):.4g}")}
        row |= {"delta_perf": round(float(np.clip(delta, -0.9, 0.9)), 5)}
        if "repeats" in has:
            row |= {"lr": float(f"{(i // 2 + 1) * 1e-7:.4g}"), "seed": i % 2 + 1}
        if "batch" in has:
            row["batch_size"] = int(rng.choice((4, 8, 12)))
        if "se" in has:
            row["delta_perf_se"] = float(rng.choice((0.01, 0.012, 0.02)))
        if "prompts" in has:
            row |= {"prompts": int(rng.choice((512, 512, 9))), "samples": 4}
            row["prompts_changed"] = int(rng.choice((3, 8, 8)))
        if "status" in has:
            row["status"] = str(rng.choice(("completed", "completed", "completed", "diverged")))
            row["perf_before"] = round(float(rng.uniform(0.1, 0.5)), 3)
        if "group" in has:
            row["size"] = str(rng.choice(("small", "large")))
        rows.append(row)
    return rows


def with_arm(rng, rows):
    """Main runs of batch size 8, and an arm of runs that are much like them with batch size 4."""
    main = [{**row, "batch_size": 8, "arm": "main", "pair": None} for row in rows]
    arm = [
        {**row, "run": f"a{i}", "batch_size": 4, "arm": "batch_size", "pair": row["run"],
         "delta_perf": round(row["delta_perf"] + 0.03 * rng.normal(), 5)}
        for i, row in enumerate(main)
    ]  # fmt: skip
    return main + arm


def curves(rng, rows):
    gain = rng.choice((0.0, 0.02, 0.03))
    points = []
    for row in rows:
        perf = 0.4
        for step in (0, 50, 96, 100):
            points.append({"run": row["run"], "step": step, "perf": round(perf, 4)})
            perf = float(np.clip(perf + gain + 0.03 * rng.normal(), 0.0, 1.0))
    return points


KINDS = ("repeats", "batch", "se", "prompts", "status", "group")


def drawn(seed):
    """Return the tables of a random judgement, and how it is asked."""
    rng = np.random.default_rng(seed)
    has = {kind for kind in KINDS if rng.random() < 0.4}
    has -= set() if "se" in has else {"prompts"}
    rows = sample(rng, int(rng.integers(12, 31)), rng.choice((0.0, 0.03, 0.06)), 0.05, has)
    tables, asked = {"runs": rows}, {}
    if rng.random() < 0.7:
        theirs = sample(rng, int(rng.integers(12, 31)), rng.choice((-0.1, -0.04)), 0.1, has)
        tables["before"] = theirs
    if rng.random() < 0.4 and not has & {"repeats", "batch"}:
        tables["runs"] = with_arm(rng, rows)
        asked["references"] = {"batch_size": 8}
    if rng.random() < 0.4:
        tables["curves"] = curves(rng, tables["runs"])
    return tables, asked, ("size",) if "group" in has else ()


def supported(folder, tables, asked, by, ending=".csv"):
    """Write the tables, and return the questions that are supported, with their group."""
    written = {
        name: WRITERS[ending](folder / f"{name}{ending}", rows) for name, rows in tables.items()
    }
    options = ReadOptions(by=by, curves=written.get("curves"))
    reading, against = read_runs(written["runs"], options), None
    if "before" in written:
        against = read_runs(written["before"], replace(options, by=(), curves=None))
    return {
        (tuple(group.by.items()), verdict.id)
        for group in judge_table(reading, against, Terms(**asked)).groups
        for verdict in group.judgement.verdicts
        if verdict.verdict == "supported"
    }


def supported_or_refused(*args):
    """Return what is supported: nothing where the tables are refused, which takes one line."""
    try:
        return supported(*args)
    except HarnessError as error:
        refusal = str(error)
    assert "\n" not in refusal
    return set()


def holds(folder, seed, data, ending=".csv"):
    tables, asked, by = drawn(seed)
    name = data.draw(st.sampled_from(sorted(tables)))
    rows = tables[name]
    extremes = sorted(range(len(rows)), key=lambda at: rows[at].get("delta_perf", 0))
    row = data.draw(st.sampled_from((extremes[0], extremes[-1])) | st.integers(0, len(rows) - 1))
    column = data.draw(st.just("delta_perf") | st.sampled_from(sorted(rows[row])))
    if column not in rows[row]:
        column = "perf"
    blanked = [{**one, column: None} if at == row else one for at, one in enumerate(rows)]
    after = supported_or_refused(folder, {**tables, name: blanked}, asked, by, ending)
    if after:
        assert after <= supported(folder, tables, asked, by, ending), (seed, name, row, column)


SETTINGS = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)


@given(seed=st.integers(0, 10_000), data=st.data())
@settings(SETTINGS, max_examples=40)
def test_a_blank_cell_supports_nothing(tmp_path, seed, data):
    holds(tmp_path, seed, data)


@pytest.mark.slow
@given(seed=st.integers(0, 1_000_000), data=st.data())
@settings(SETTINGS, max_examples=150)
def test_a_blank_cell_supports_nothing_at_size(tmp_path, seed, data):
    holds(tmp_path, seed, data)


@pytest.mark.slow
@pytest.mark.parametrize("ending", [ending for ending in WRITERS if ending != ".csv"])
@given(seed=st.integers(0, 1_000_000), data=st.data())
@settings(SETTINGS, max_examples=60)
def test_a_blank_cell_supports_nothing_in_any_format(tmp_path, seed, data, ending):
    """What a format alone can do wrong is to read a blank as something else, which any would."""
    holds(tmp_path, seed, data, ending)


@given(seed=st.integers(0, 10_000), data=st.data())
@settings(SETTINGS, max_examples=15)
def test_blanks_anywhere_give_verdicts_or_one_line(tmp_path, seed, data):
    tables, asked, by = drawn(seed)
    share = data.draw(st.sampled_from((0.02, 0.2, 0.6, 1.0)))
    rng = np.random.default_rng(seed)
    torn = {
        name: [
            {key: str(rng.choice(("", " ", "NA", "nan"))) if rng.random() < share else cell
             for key, cell in row.items()}
            for row in rows
        ]
        for name, rows in tables.items()
    }  # fmt: skip
    supported_or_refused(tmp_path, torn, asked, by)


# ---- what each gap does --------------------------------------------------------------------------


def blank(rows, place, *columns):
    return [
        {**row, **dict.fromkeys(columns)} if at == place else row for at, row in enumerate(rows)
    ]


def collapsed(n=24, **columns):
    """Runs of which the first lost half of all perf: enough to spoil any mean."""
    rows = runs(n, 1, 0.06, 0.01, **columns)
    rows[0]["delta_perf"] = -0.9
    return rows


VERSUS = ("mean_vs_baseline", "variance_vs_baseline", "lower_tail_vs_baseline")


@pytest.mark.parametrize("id_", VERSUS)
def test_a_lost_collapse_shows_nothing_about_values(table, id_):
    base = table(runs(24, 2, -0.02, 0.05), name="before")
    whole, gap = (
        judged(table(rows), base)[1][id_]
        for rows in (collapsed(), blank(collapsed(), 0, "delta_perf"))
    )
    assert whole.verdict != "supported"
    assert gap.verdict == "inconclusive"
    assert gap.p_value == 1.0
    assert gap.answer.startswith("not shown: r0 has no delta_perf; as if the rest were all: yes")
    assert str(gap.needs[0]) == "delta_perf of r0"


def test_a_lost_run_is_no_success_and_the_others_keep_theirs(table):
    rows = runs(24, 1, 0.06, 0.01)
    count = judged(table(blank(rows, 3, "delta_perf")))[1]["success_above_half"]
    assert (count.verdict, count.n, count.estimate) == ("supported", 24, 23 / 24)
    assert "1 run without a result: no success" in count.details


@pytest.mark.parametrize("column", ["delta_perf", "delta_perf_se"])
def test_a_lost_run_of_the_baseline_is_a_success(table, column):
    """16 of 24 against 6 of 24 is shown; against 10 of 24 it is not."""
    ours, theirs = runs(24, 1, 0.0, 0.0001), runs(24, 2, 0.0, 0.0001)
    for at, row in enumerate(ours):
        row["delta_perf"] += 0.1 * (at < 16)
    for at, row in enumerate(theirs):
        row["delta_perf"] += 0.1 * (at < 6)
    whole = judged(table(ours), table(theirs, name="before"))[1]["success_vs_baseline"]
    assert whole.verdict == "supported"
    torn = [{**row, column: None if at > 19 else row[column]} for at, row in enumerate(theirs)]
    gap = judged(table(ours), table(torn, name="before"))[1]["success_vs_baseline"]
    assert gap.verdict == "inconclusive"
    if column == "delta_perf":
        assert "16 of 24 (67%) against 10 of 24 (42%)" in gap.answer
        assert any("4 runs of the baseline without a result" in line for line in gap.details)


def test_the_opposite_is_not_shown_by_a_lost_run_either(table):
    """6 of 24 against 16 of 24 is fewer; against 12 that are known it is not."""
    ours, theirs = runs(24, 1, 0.0, 0.0001), runs(24, 2, 0.0, 0.0001)
    for at, row in enumerate(ours):
        row["delta_perf"] += 0.1 * (at < 6)
    for at, row in enumerate(theirs):
        row["delta_perf"] += 0.1 * (at < 16)
    whole = judged(table(ours), table(theirs, name="before"))[1]["success_vs_baseline"]
    assert whole.verdict == "refuted"
    torn = [{**row, "delta_perf": None if at < 6 else row["delta_perf"]}
            for at, row in enumerate(theirs)]  # fmt: skip
    gap = judged(table(ours), table(torn, name="before"))[1]["success_vs_baseline"]
    assert gap.verdict == "inconclusive"


def test_the_last_standard_error_to_go_leaves_the_rule(table):
    """With one standard error or none in its column, no run is shown to improve."""
    rows = [{**row, "delta_perf_se": None if at else 0.01} for at, row in
            enumerate(runs(24, 1, 0.06, 0.01))]  # fmt: skip
    for torn in (rows, blank(rows, 0, "delta_perf_se")):
        verdict = judged(table(torn))[1]["success_above_half"]
        assert verdict.verdict == "inconclusive"
        assert "shown to improve" in verdict.answer


@pytest.mark.parametrize("column", ["prompts", "prompts_changed"])
def test_a_run_without_its_prompts_is_not_shown_to_improve(table, column):
    rows = [{**row, "prompts": 512, "prompts_changed": 3 if at == 0 else 90} for at, row in
            enumerate(runs(24, 1, 0.06, 0.01))]  # fmt: skip
    rows[0]["prompts"] = 512 if column == "prompts_changed" else 2
    for torn in (rows, blank(rows, 0, column)):
        assert judged(table(torn))[1]["success_above_half"].estimate == 23 / 24


def test_a_configuration_with_a_lost_repeat_is_lost(table):
    rows = [{**row, "lr": f"{1 + at // 2}e-7", "seed": at % 2} for at, row in
            enumerate(runs(24, 1, 0.06, 0.01))]  # fmt: skip
    count = judged(table(blank(rows, 0, "delta_perf")))[1]["success_above_half"]
    assert (count.n, count.estimate) == (12, 11 / 12)


def test_a_run_of_an_unknown_arm_is_a_lost_main_run(table):
    rows = [{**row, "arm": "null" if at < 8 else "main"} for at, row in
            enumerate(runs(32, 1, 0.06, 0.01))]  # fmt: skip
    count = judged(table(blank(rows, 0, "arm")))[1]["success_above_half"]
    assert (count.n, count.estimate) == (25, 24 / 25)


def test_where_blank_means_main_it_stays_so(table):
    rows = [{**row, "arm": "null" if at < 8 else None} for at, row in enumerate(runs(32, 1, 0.06))]
    assert judged(table(rows))[1]["success_above_half"].n == 24


def grid(n=14):
    """Pairs that differ in batch size alone; the reference lost the first by far."""
    rng = np.random.default_rng(3)
    rows = []
    for i in range(n):
        common = {"lr": f"{1 + i}e-7", "seed": i + 1}
        ours = -0.9 if i == 0 else 0.05 + 0.005 * rng.normal()
        rows += [
            {"run": f"r{i}", "batch_size": 8, "delta_perf": ours, **common},
            {"run": f"o{i}", "batch_size": 4, "delta_perf": 0.05 + 0.005 * rng.normal(), **common},
        ]
    return rows


@pytest.mark.parametrize("column", ["delta_perf", "lr", "seed", "batch_size"])
def test_a_lost_pair_shows_no_value_to_be_no_worse(table, column):
    for place in (0, 1):
        for rows in (grid(), blank(grid(), place, column)):
            verdicts = judged(table(rows), references={"batch_size": 8})[1]
            assert verdicts["batch_size"].verdict == "inconclusive"


def test_a_lost_run_that_no_pair_needs_takes_nothing_from_the_pairs(table):
    rows = grid()[2:]
    rows.append({"run": "x", "batch_size": 8, "delta_perf": None, "lr": "9e-6", "seed": 99})
    verdicts = judged(table(rows), references={"batch_size": 8})[1]
    assert verdicts["batch_size"].verdict == "supported"


@pytest.mark.parametrize("column", ["delta_perf", "lr"])
def test_a_lost_point_at_the_edge_brackets_nothing(table, column):
    lrs = np.linspace(-7, -5, 24)
    rows = [
        {"run": f"r{i}", "lr": f"{10.0**x:.4g}", "delta_perf": 0.1 - 0.2 * (x + 6) ** 2}
        for i, x in enumerate(lrs)
    ]
    assert judged(table(rows))[1]["lr_sweet_spot"].verdict == "supported"
    gap = judged(table(blank(rows, 23, column)))[1]["lr_sweet_spot"]
    assert gap.verdict == "inconclusive"
    assert "r23 has no" in gap.reason


def test_a_parameter_that_says_none_has_a_value(table):
    rows = [{**row, "augment": ("none" if at == 0 else f"a{at % 3}")} for at, row in
            enumerate(runs(24, 1, 0.06, 0.01))]  # fmt: skip
    reading = table(rows)
    assert not any(result.gaps for result in reading.results)
    torn = table(blank(rows, 0, "augment"))
    assert [gap.column for result in torn.results for gap in result.gaps] == ["augment"]


def test_several_blanks_are_a_level(table):
    rows = [{**row, "warmup": None if at % 2 else 10} for at, row in enumerate(runs(24))]
    assert not any(result.gaps for result in table(rows).results)


@pytest.mark.parametrize("step", [50, 100])
def test_a_lost_point_of_a_curve_shows_no_improvement(tmp_path, step):
    rng = np.random.default_rng(1)
    rows = runs(32, 1, 0.06, 0.01)
    points = [
        {"run": row["run"], "step": at, "perf": 0.3 + 0.001 * at + 0.01 * rng.random()}
        for row in rows
        for at in (0, 50, 98, 100)
    ]
    assert ((), "plateau") in supported(tmp_path, {"runs": rows, "curves": points}, {}, ())
    place = next(at for at, point in enumerate(points) if point["step"] == step)
    torn = {"runs": rows, "curves": blank(points, place, "perf")}
    assert ((), "plateau") not in supported(tmp_path, torn, {}, ())


def test_a_run_without_its_group_is_refused(tmp_path):
    rows = [{**row, "size": "small"} for row in runs(6)]
    path = write_csv(tmp_path / "runs.csv", blank(rows, 2, "size"))
    with pytest.raises(HarnessError, match="line 4: no value in column 'size'"):
        read_runs(path, ReadOptions(by=("size",)))


def test_a_diverged_run_without_its_perf_before_may_have_lost_all(table):
    rows = [{**row, "perf_before": 0.3, "status": "completed"} for row in runs(24, 1, 0.06, 0.01)]
    rows[0] |= {"status": "diverged", "delta_perf": None}
    base = table([{**row, "perf_before": 0.3} for row in runs(24, 2, -0.3, 0.05)], name="before")
    id_ = "lower_tail_vs_baseline"
    assert judged(table(blank(rows, 0, "perf_before")), base)[1][id_].verdict == "inconclusive"
