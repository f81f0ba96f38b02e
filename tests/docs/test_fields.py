"""Every field, code, status and figure that a program or reader meets is documented."""

import ast
import dataclasses
import json
import math
import re

import pytest

from harness import Sweep, audit, claims
from harness.cli import main as sweep_main
from harness.records import Status
from harness.report.renderers import as_json
from harness.training.settings import GRPOSettings
from harness.training.tasks import get_task
from harness.training.warm_start import parameter_shapes
from harness.verdicts import Finding, Verdict, VerdictName
from tests.docs.pages import DOCS, README, ROOT, code_spans, experiments, prose, tables
from tests.factories import make_arm, make_evidence, make_result, make_trace, report_of
from tests.judging.histories import drawn, write_nights


def keys(value):
    if isinstance(value, dict):
        for name, inside in value.items():
            yield name
            if name not in ("config", "environment"):
                yield from keys(inside)
    elif isinstance(value, list):
        for inside in value:
            yield from keys(inside)


def test_every_field_of_the_json_report_is_documented():

    measured = {"no_signal": 0.1, "truncated": 0.0, "length": 5.0}
    trace = make_trace([1e-7], **measured)
    first = make_result(id="s-00", trace=trace, weights_moved=0.9)
    main = (first, make_result(id="s-01", delta=0.1, index=1))
    evidence = make_evidence(runs=main, arms={"null": make_arm("null", main, [0.0, 0.01])})
    verdicts = claims.judge_all({"half": claims.success_rate.above(0.5)}, evidence)
    report = report_of(evidence, verdicts, [Finding("post_hoc", "warning", "changed")])
    fields = set(keys(as_json.as_data(report)))
    assert {"schema", "delta_perf", "p_holm", "severity", "worst_run", "weights_moved"} <= fields
    assert fields - set(code_spans(DOCS / "report.md")) == set()


def json_fields(verb):
    """Return the fields that docs/options.md names in the rows on a verb's JSON."""
    rows = [row for row in tables(DOCS / "options.md") if row[0] == f"`{verb}`"]
    return {name for row in rows for name in re.findall(r"`(\w+)`", row[1])}


@pytest.mark.usefixtures("priced_once")
@pytest.mark.parametrize("command", [["list"], ["plan", "focused"]], ids=["list", "plan"])
def test_every_field_of_a_verb_s_json_is_documented(command, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert sweep_main([*command, "--json"]) == 0
    fields = set(keys(json.loads(capsys.readouterr().out)))
    fields -= set(experiments()["focused"].arms)
    assert fields - json_fields(command[0]) == set()


def test_every_field_of_parity_s_json_is_documented():
    from harness.judging.parity import compare
    from harness.report.renderers.document_json import parity_data as as_data

    result = make_result()
    backends = ("torch", "jax")
    sides = (result.run, result.outcome, result.outcome)
    found = as_data(compare("s", backends, "float32", [sides, sides], margin=0.02))
    assert set(keys(found)) - {*backends, *json_fields("parity")} == set()


def test_every_field_of_the_gate_s_json_is_documented(tmp_path, monkeypatch, capsys):
    from harness.report.renderers.document_json import no_gate_data

    rows = drawn(40, seed=1)
    for number, row in enumerate(rows):
        row["accuracy"] -= 0.002 * number
        row["kl"] = number
    write_nights(tmp_path, rows)
    monkeypatch.chdir(tmp_path)
    sweep_main(["gate", "metrics.json", "--history", "history", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["resembling"]
    assert found["declining"]
    assert found["aside"]
    fields = set(keys(found)) | set(no_gate_data(1, 10, ""))
    assert fields - json_fields("gate") == set()


def test_every_code_of_the_audit_is_documented():
    assert set(audit.CODES) <= {row[0].strip("`") for row in tables(DOCS / "report.md")}


def test_every_status_and_verdict_is_documented():
    statuses = {row[0].strip("`") for row in tables(DOCS / "options.md")}
    assert set(Status.__args__) <= statuses
    verdicts = {row[0].strip("`") for row in tables(README)}
    assert set(VerdictName.__args__) <= verdicts


def test_every_property_of_an_item_is_documented():
    from harness.plugin import items

    run = items._run_properties(make_result())
    numbers = dict.fromkeys(("estimate", "low", "high", "level", "p_value"), 0.5)
    asked = Verdict("q", "Is it?", "it is", "supported", "yes", **numbers, method="t", n=2)
    names = {name for name, _ in run + items._verdict_properties("s", asked)}
    named = {name for name in names if not name.startswith("sweep.config.")}
    assert named - set(code_spans(DOCS / "report.md")) == set()


def test_every_standard_question_is_documented():
    headings = set(re.findall(r"^### (\w+)$", prose(DOCS / "questions.md"), re.MULTILINE))
    assert headings == set(claims.STANDARD_IDS)


@pytest.mark.parametrize(
    ("kind", "file"), [(Sweep, "writing-sweeps.md"), (GRPOSettings, "training.md")]
)
def test_the_fields_of_a_declaration_are_documented_with_their_defaults(kind, file):
    rows = [row for row in tables(DOCS / file) if len(row) == 3]
    stated = {row[0].strip("`"): row[1].strip("`") for row in reversed(rows)}  # the first counts
    for field in dataclasses.fields(kind):
        if not field.init:
            continue
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        if default is dataclasses.MISSING:
            assert stated[field.name] == ""
        else:
            assert ast.literal_eval(stated[field.name]) == default, field.name


def test_the_figures_of_the_embedded_task_are_the_stated_ones():
    task = get_task("addition")
    held_out, warm, train = (len(task.prompts(s)) for s in ("held_out", "warm_start", "train"))
    said = " ".join((DOCS / "measurement.md").read_text().split())
    assert f"on {held_out} held-out prompts with {task.samples} completions each" in said
    assert f"{warm} prompts for the warm start and {train:,} for training" in said
    start = task.warm_start
    parameters = sum(math.prod(shape) for shape in parameter_shapes(task).values())
    said = " ".join((DOCS / "training.md").read_text().split())
    assert f"{parameters:,} parameters" in said
    assert f"for {start.steps} steps of {start.batch} demonstrations" in said
    assert f"a share of {start.noise} of the answers" in said
