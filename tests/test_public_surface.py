"""What `from harness import …` offers, and that a sweep file needs nothing else."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import harness

ROOT = Path(__file__).parents[1]

SURFACE = [
    "DELTA_PERF",
    "BaseClaim",
    "Checkpoint",
    "Choice",
    "Config",
    "Confirm",
    "Constant",
    "Counts",
    "Difference",
    "Effect",
    "Evaluation",
    "Evidence",
    "Given",
    "HarnessError",
    "Job",
    "LogInt",
    "LogUniform",
    "Metric",
    "Need",
    "Outcome",
    "Pairs",
    "Pricing",
    "Progress",
    "Result",
    "Reward",
    "Run",
    "Space",
    "StepTrace",
    "Sweep",
    "SweepError",
    "TextTask",
    "TrainingRun",
    "Uniform",
    "UsageError",
    "Verdict",
    "arithmetic",
    "best_inside",
    "best_value",
    "claims",
    "configs",
    "judge",
    "load",
    "lower_tail",
    "matters",
    "mean_gain",
    "no_worse",
    "scale_steps",
    "spread",
    "statistics",
    "still_improves",
    "success_rate",
    "winner",
]


def test_the_public_surface_is_what_is_listed_here():
    assert dir(harness) == sorted([*SURFACE, "__version__"])
    assert sorted(harness.__all__) == sorted(SURFACE)


@pytest.mark.parametrize("name", SURFACE)
def test_every_public_name_can_be_imported(name):
    namespace = {}
    exec(f"from harness import {name}", namespace)
    assert namespace[name] is getattr(harness, name)


def test_the_types_declared_are_the_names_that_are_loaded():
    tree = ast.parse((ROOT / "harness" / "__init__.py").read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    declared = {alias.name: node.module for node in block.body for alias in node.names}
    loaded = {name: home for home, names in harness._HOMES.items() for name in names}
    assert declared == loaded | dict.fromkeys(harness._MODULES, "harness")


def test_a_name_that_is_not_there_is_said_so():
    with pytest.raises(AttributeError, match="'harness' has no attribute 'Sweeps'"):
        harness.Sweeps  # noqa: B018


def test_the_package_itself_loads_nothing():
    code = "import harness, sys; print(*(m for m in sys.modules if m.startswith('harness.')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("folder", ["docs", "experiments"])
def test_docs_and_examples_import_nothing_internal(folder):
    files = [*(ROOT / folder).rglob("*.md"), *(ROOT / folder).rglob("*.py")]
    files += [ROOT / "README.md"] if folder == "docs" else []
    public = (
        "harness",
        "harness.claims",
        "harness.statistics",
        "harness.integrations.transformers",
    )
    for file in files:
        for line in file.read_text().splitlines():
            words = line.split()
            if words[:1] == ["from"] and words[1].split(".")[0] == "harness":
                assert words[1] in public, f"{file.name}: {line.strip()}"
