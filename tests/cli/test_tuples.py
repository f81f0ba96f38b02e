"""Values of parameters that are tuples: every verb takes them as they were declared."""

import ast
from pathlib import Path

import pytest

from harness import Choice, LogInt
from harness.judging.reference import load as load_reference
from harness.plugin.declared import discover
from harness.refine.source import distribution
from harness.sweeps.plan import Selection, plan
from harness.tables import read_runs
from tests.cli.helpers import data, stored
from tests.refine.sweeps import load

pytest_plugins = ["pytester"]

SHAPES = ((64,), (64, 64), None, (1, (2.5, "a")), True)

BODY = f"""
sweep = toy(
    runs=30,
    space=dict(
        hidden=Choice(*{SHAPES}, weights=(1, 4, 1, 1, 1)),
        betas=(0.9, 0.99),
        width=LogInt(4, 512),
        depth=Given("hidden", {{(64,): 1, (64, 64): Choice(2, 3), None: 4, (1, (2.5, "a")): (5,),
                               True: 6}}),
    ),
    arms=dict(hidden=Pairs(12, values=[(64,), None])),
    questions=dict(
        hidden=no_worse("hidden", (64, 64), than=((64,), None)),
        width=best_inside("width", within="hidden"),
    ),
)
"""


@pytest.fixture
def trained(sweeps):
    sweeps.write(body=f"from harness import Given, LogInt\n{BODY}")
    assert sweeps.run("--sweep", "toy", "--sweep-fail-on", "failed").ret == 0
    return sweeps


def test_values_come_back_from_the_store_as_they_went_in(trained):
    assert {result.run.config["hidden"] for result in stored()} == set(SHAPES)
    assert {result.run.config["betas"] for result in stored()} == {(0.9, 0.99)}
    assert {result.run.config["depth"] for result in stored()} == {1, 2, 3, 4, (5,), 6}
    assert all(type(result.run.config["width"]) is int for result in stored())
    done = trained.trained
    trained.run("--sweep", "toy", "--sweep-fail-on", "failed")
    assert trained.trained == done  # their keys are the same


@pytest.mark.slow
def test_every_verb_takes_them(trained, sweep, tmp_path):
    planned = data(sweep, "plan toy")["runs"]
    report = data(sweep, "report toy")
    assert [r["config"] for r in report["runs"] if r["arm"] == "main"] == [
        r["config"] for r in planned if r["arm"] == "main"
    ]
    asked = {question["id"]: question for question in report["questions"]}
    assert asked["hidden"]["n"] == 24
    assert asked["width"]["verdict"] != "unanswerable"
    found = data(sweep, "analyze toy")
    (hidden,) = [one for one in found["effects"] if one["parameter"] == "hidden"]
    assert hidden["matters"]["answer"] == "hidden does not vary among runs of equal depth"
    out = sweep("analyze toy")[1]
    assert "(64, 64)" in out
    out = sweep("report toy")[1]
    assert "hidden (64,)" in out
    assert "hidden –" in out  # the arm's runs where it is not set
    assert sweep("runs toy")[0] == 0
    status, code, _ = sweep("refine toy")
    assert status == 0
    ast.parse(code)
    assert "LogInt(" in code
    assert "(64, 64)" in code
    assert '"(64, 64)"' not in code


def test_a_night_is_compared_with_a_reference_of_them(trained, sweep):
    assert sweep("report toy --save-reference")[0] == 0
    found = trained.run("--sweep", "toy", "--sweep-fail-on", "failed,regressed", "--sweep-fresh")
    assert found.ret == 0
    path = trained.path / ".sweep/reports/toy/reference.json"
    (sweep_,) = discover([trained.path / "experiments"]).values()
    read = load_reference(path, {"toy": plan(sweep_, Selection())})
    configs = {
        run.run.id: run.run.config for run in (*read.evidence.runs, *read.evidence.arms["hidden"])
    }
    assert configs == {run.run.id: run.run.config for run in stored()}


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_table_of_them_is_judged_and_refined_as_the_store_is(trained, sweep, ending):
    assert sweep(f"export toy --to runs.{ending}")[0] == 0
    read = read_runs(Path(f"runs.{ending}")).results
    assert {r.run.id: r.run.config for r in read} == {r.run.id: r.run.config for r in stored()}
    assert data(sweep, f"judge runs.{ending}")["questions"]
    status, code, _ = sweep(f"refine runs.{ending} --steps 20")
    assert status == 0
    assert "(64, 64)" in code
    assert '"(64, 64)"' not in code
    assert sweep(f"analyze runs.{ending}")[0] == 0


def test_what_refine_writes_of_them_can_be_declared(tmp_path):
    space = f"dict(hidden={distribution(Choice(*SHAPES), depth=1)}, betas=(0.9, 0.99), "
    space += f"width={distribution(LogInt(4, 512), depth=1)})"
    text = "from harness import Choice, LogInt, Sweep\n"
    made = load(f"{text}next_ = Sweep('next', runs=4, steps=10, space={space})\n", tmp_path)
    assert made.parameters.distributions["hidden"] == Choice(*SHAPES)
    assert made.parameters.distributions["width"] == LogInt(4, 512)
