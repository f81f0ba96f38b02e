"""Imports point one way, and heavy libraries stay in the rooms made for them."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HARNESS, CONTRIBUTING = ROOT / "harness", ROOT / "CONTRIBUTING.md"

LAYERS = [
    {"records", "errors", "files"},
    {"text", "words"},
    {"metrics"},
    {"verdicts"},
    {"protocols"},
    {"statistics"},
    {"training", "store"},
    {"executors"},
    {"sweeps"},
    {"tables"},
    {"observations"},
    {"claims", "audit"},
    {"analysis"},
    {"refine", "judging"},
    {"report"},
    {"integrations"},
    {"session"},
    {"doctor", "spaces"},
    {"plugin"},
    {"notebook"},
    {"cli"},
]
RANK = {room: rank for rank, rooms in enumerate(LAYERS) for room in rooms}

HEAVY = {
    "pytest": {"plugin"},
    "torch": {
        "training/device_torch",
        "training/text/anatomy_torch",
        "training/text/cache_torch",
        "training/text/grpo_torch",
        "training/text/loading_torch",
        "training/text/loss_torch",
        "training/text/model_torch",
        "training/text/products_torch",
        "training/grpo_torch",
        "training/model_torch",
        "training/text/sampling_torch",
        "training/warm_start_torch",
        "integrations/transformers",
    },
    "transformers": {
        "integrations/transformers",
        "training/text/anatomy_torch",
        "training/text/cache_torch",
        "training/text/grpo_torch",
        "training/text/loading_torch",
        "training/text/tokenised",
    },
    "trl": set(),
    "datasets": set(),
    "sqlalchemy": {"store"},
    "pyarrow": {"tables/binary", "tables/files"},
    "python_calamine": {"tables/binary"},
    "narwhals": {"tables/frames"},
    "mlflow": {"integrations/trackers/mlflow"},
    "optuna": {"integrations/trackers/optuna", "tables/stores/optuna"},
    "tensorboard": {"integrations/trackers/tensorboard"},
    "wandb": {"integrations/trackers/wandb"},
    "yaml": {"spaces/reading"},
    "scipy": {"sweeps/sampling", "statistics"},
    "hypothesis": {"sweeps/strategies"},
    "tabulate": {"report", "cli"},
    "jinja2": {"report"},
    "rich": {"session/progress"},
    "jax": {
        "training/text/decoder_jax",
        "training/text/layers_jax",
        "training/text/sampling_jax",
        "training/device_jax",
        "training/grpo_jax",
        "training/programs_jax",
        "training/text/programs_jax",
        "training/text/grpo_jax",
        "training/model_jax",
        "training/warm_start_jax",
    },
    "optax": {
        "training/grpo_jax",
        "training/text/grpo_jax",
        "training/programs_jax",
        "training/text/programs_jax",
        "training/warm_start_jax",
    },
    "ray": {"executors/cluster"},
}


def found():
    for file in sorted(HARNESS.rglob("*.py")):
        name = str(file.relative_to(HARNESS).with_suffix("")).removesuffix("/__init__")
        if name != "__init__":
            yield name, file


MODULES = list(found())


def written():
    """Return the layers as the table of rooms in CONTRIBUTING.md has them, the lowest first."""
    rows = re.findall(r"^\|[^|]+\|(.*`.*)\|$", CONTRIBUTING.read_text(), re.MULTILINE)
    parts = [part for row in rows for part in row.split(", over ")]
    return [set(re.findall(r"`(\w+)`", part)) for part in reversed(parts)]


def test_the_table_of_rooms_has_every_module_in_its_layer():
    assert written() == LAYERS
    assert {name.split("/")[0] for name, _ in MODULES} == set(RANK)


def imported(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            if node.module == "harness":
                yield from (f"harness.{alias.name}" for alias in node.names)
            else:
                yield node.module


@pytest.mark.parametrize(("name", "file"), MODULES, ids=lambda value: str(value)[-30:])
def test_imports_point_downwards(name, file):
    room = name.split("/")[0]
    for target in imported(file):
        if not target.startswith("harness."):
            continue
        other = target.split(".")[1]
        if other in ("__version__", room):
            continue
        assert RANK[other] < RANK[room], f"{name} imports {target}"


@pytest.mark.parametrize(("name", "file"), MODULES, ids=lambda value: str(value)[-30:])
def test_a_heavy_library_stays_in_its_room(name, file):
    for target in imported(file):
        rooms = HEAVY.get(target.split(".")[0])
        if rooms is not None:
            assert name in rooms or name.split("/")[0] in rooms, f"{name} imports {target}"


def test_the_torch_and_the_jax_trainer_never_meet():
    for name, file in MODULES:
        if name.endswith("_jax"):
            assert not any("torch" in target for target in imported(file)), name
        if name.endswith("_torch"):
            assert not any("jax" in target for target in imported(file)), name


WITHIN_REPORT = ["blocks", "failures", "figures", "model", "documents", "renderers"]


def test_a_report_goes_from_its_model_to_documents_to_renderers():
    rank = {part: place for place, part in enumerate(WITHIN_REPORT)}
    for name, file in MODULES:
        room, _, part = name.partition("/")
        if room != "report" or not part:
            continue
        own = part.split("/")[0]
        for target in imported(file):
            if target.startswith("harness.report."):
                other = target.split(".")[2]
                assert other == own or rank[other] < rank[own], f"{name} imports {target}"


def kinds_of_claim():
    for name, file in MODULES:
        if name.startswith("claims"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.ClassDef):
                    yield node.name


def asked_types(tree):
    """Yield the names that a module tests the type of a value against."""
    for node in ast.walk(tree):
        if isinstance(node, ast.MatchClass):
            yield from (n.id for n in ast.walk(node.cls) if isinstance(n, ast.Name))
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "isinstance":
            yield from (n.id for n in ast.walk(node.args[1]) if isinstance(n, ast.Name))


def test_nothing_outside_claims_asks_which_claim_it_has():
    kinds = set(kinds_of_claim())
    assert {"SuccessAbove", "BestInside", "BaseClaim"} <= kinds
    for name, file in MODULES:
        if not name.startswith("claims"):
            assert not kinds & set(asked_types(ast.parse(file.read_text()))), name
