"""An analysis in words, for a terminal and as JSON."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.metrics import Metric
from harness.report.documents.analysis import document
from harness.report.renderers.document_json import analysis_data as as_data
from harness.report.renderers.terminal import render_document
from harness.text import chance, parameter_value, significant
from tests.analysis.analyses import PUBLISHED, analysis_of
from tests.factories import make_results

PAGE = Path(__file__).parents[3] / "docs" / "analyze.md"


def run(deltas, columns=None, se=None, **options):
    return analysis_of(make_results(deltas, parameters=columns, curve=(), se=se), **options)


def told(found, width=80):
    return render_document(document(found), width)


def flat(found):
    return " ".join(told(found).split())


def pairs(n=40):
    """Twenty good runs and twenty bad ones by one parameter, which a second one goes with."""
    deltas = [0.2 + 0.001 * i if i % 2 else -0.2 - 0.001 * i for i in range(n)]
    return deltas, {"a": [8 if i % 2 else 4 for i in range(n)], "b": [i % 2 for i in range(n)]}


def crossed():
    rng = np.random.default_rng(0)
    one, two = rng.integers(0, 2, 48), rng.integers(0, 2, 48)
    rates = np.exp(rng.uniform(-16, -13, 48))
    deltas = 0.1 * (one == two) + rng.normal(0, 0.05, 48)
    return deltas, {"learning_rate": rates.tolist(), "a": one.tolist(), "b": two.tolist()}


EVERY_KIND = {
    "published": PUBLISHED,
    "bound": run(*pairs()),
    "measured": run([0.01 * i for i in range(-5, 20)], se=0.01, high=0.05),
    "interaction": run(*crossed()),
    "diverged": run([0.2, 0.15, None, -0.1, None, 0.3]),
    "few": run([0.1, 0.2, 0.0, 0.3]),
    "none": run([0.01 * i for i in range(9)]),
    "loss": run([-0.01 * i for i in range(30)], metric=Metric("loss", "arbitrary", True)),
    "rewards": run(np.linspace(100, 3000, 24), metric=Metric("reward", "arbitrary")),
    "repeats": run(
        np.linspace(-0.1, 0.2, 24),
        {
            "learning_rate": np.repeat(np.geomspace(1e-7, 1e-6, 8), 3).tolist(),
            "kind": [*["a"] * 9, *["b"] * 15],
        },
        arms={"null": make_results([0.0, 0.2]), "random": make_results([0.0, 0.2, 0.3])},
    ),
}


@pytest.mark.parametrize("name", EVERY_KIND)
@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_no_line_is_wider_than_the_terminal(name, width):
    for line in told(EVERY_KIND[name], width).splitlines():
        assert len(line) <= width, line


@pytest.mark.parametrize("name", EVERY_KIND)
def test_nothing_reads_like_a_number_that_is_none(name):
    text = told(EVERY_KIND[name], 120)
    assert not re.search(r"\b(nan|inf|np)\b|None(?! is shown)", text)
    assert not re.search(r"(?<![a-z-])-\d", text)  # a minus is −


@pytest.mark.parametrize("name", EVERY_KIND)
def test_json_holds_numbers_or_null_and_every_field_is_documented(name):
    data = as_data(EVERY_KIND[name])
    assert json.loads(json.dumps(data, allow_nan=False)) == data

    def fields(value):
        if isinstance(value, dict):
            for field, inside in value.items():
                yield field
                if field not in ("p_within", "left_out"):
                    yield from fields(inside)
        elif isinstance(value, list):
            for inside in value:
                yield from fields(inside)

    section = PAGE.read_text().partition("## What JSON has")[2]
    assert set(fields(data)) - set(re.findall(r"`(\w+)`", section)) == set()


# ---- the published sweep ------------------------------------------------------------------------


def test_the_published_figures_are_printed():
    text = flat(PUBLISHED)
    assert "broad: 48 runs, 16 high performers (ΔPerf > 0.1)" in text
    assert re.search(r"8 16 18 6\.8e-11 2\.3e-8 7\.3e-6", text)
    rows = re.findall(r"^(1e-7|3e-7|1e-6) to (\S+) +(\d+) +(\S+) .* ([\d.]+%) \((\d)\)", told(
        PUBLISHED
    ), re.M)  # fmt: skip
    assert rows == [
        ("1e-7", "3e-7", "19", "−0.132", "31.6%", "6"),
        ("3e-7", "1e-6", "19", "−0.151", "26.3%", "5"),
        ("1e-6", "2e-6", "10", "−0.189", "50.0%", "5"),
    ]


def test_the_published_conclusions_are_weighed():
    text = flat(PUBLISHED)
    assert "evidence: batch_size 8 in 100% of the high performers (16 of 16). 18 of 48 runs" in text
    assert "(one given value of three, all equally likely: 2.3e-8)" in text
    assert "the reward of a training batch changes with what the batch holds" in text
    assert (
        "not evidence: generations 16, 24 and 32 in 100% of the high performers (16 of 16), never "
        "20, 30 or 40. batch_size 8, which all of them have, implies it: runs with batch_size 8 "
        "have generations 16, 24 and 32 and no other. It says nothing by itself."
    ) in text
    assert "not evidence: learning_rate 1.02e-7 to 1.37e-6 among the high performers. 45 of" in text
    assert "not evidence: lr_schedule advanced in 9 and cosine in 7 of the 16 high" in text
    assert text.endswith(
        "The high performers are evidence about batch_size, and not about the other 5 parameters."
    )


def test_where_it_is_known_how_runs_were_measured_nothing_is_said_of_it():
    measured = replace(PUBLISHED, unmeasured=False)
    assert "the reward of a training batch" not in flat(measured)


# ---- the other kinds ----------------------------------------------------------------------------


def test_parameters_that_cannot_be_told_apart_name_each_other():
    text = flat(EVERY_KIND["bound"])
    assert "cannot be told apart: a 8 in 100% of the high performers (20 of 20)." in text
    assert "it comes and goes with b: b may be the cause as well" in text
    assert text.endswith("The high performers are evidence about no parameter.")


def test_an_interaction_is_named_with_where_it_shows():
    text = flat(EVERY_KIND["interaction"])
    assert re.search(r"(a × b|b × a): \d\d% of the variance beyond what the two add up to", text)
    assert "These are worth a look, of 3 pairs tested." in text


def test_where_an_interaction_shows_is_a_part_of_a_range_by_its_ends_and_a_tuple_as_it_is():
    rng = np.random.default_rng(0)
    rates, shapes = rng.uniform(0, 1, 90), rng.integers(0, 2, 90)
    deltas = 0.2 * ((rates > 0.66) == shapes) + rng.normal(0, 0.02, 90)
    columns = {"dropout": rates.tolist(), "hidden": [((64,), (64, 64))[i] for i in shapes]}
    text = flat(run(deltas, {"learning_rate": [1e-6] * 90, **columns}))
    assert re.search(
        r"with (dropout 0\.\d+ to 0\.\d+ and hidden \(64,( 64)?\)"
        r"|hidden \(64,( 64)?\) and dropout 0\.\d+ to 0\.\d+):",
        text,
    )


def test_what_no_run_or_every_run_is():
    assert "No run is a high performer (ΔPerf > 0.1)" in flat(EVERY_KIND["none"])
    assert "Every run is a high performer" in flat(run([0.2, 0.3, 0.4, 0.5]))


def test_a_minimised_metric_is_told_in_its_own_direction():
    text = flat(EVERY_KIND["loss"])
    assert "10 high performers (the best third, loss up to 0.09)" in text
    assert "mean loss" in " ".join(told(EVERY_KIND["loss"], 200).split())
    assert "success" not in text
    given = run([-0.01 * i for i in range(30)], metric=Metric("loss", "arbitrary", True), high=-0.1)
    assert "10 high performers (loss < 0.1)" in flat(given)


def test_two_rules_of_success_stand_side_by_side_where_there_is_room():
    text = told(EVERY_KIND["measured"], 160)
    assert "above 0" in text
    assert "A success: ΔPerf is shown to be above 0." in text
    assert "above 0" not in told(PUBLISHED, 160)


def test_repeats_the_useless_arms_and_lost_runs_are_said():
    text = flat(EVERY_KIND["repeats"])
    assert "s: 8 configurations in 24 runs" in text
    assert "In the null arm, which cannot learn, 1 of 2 are as high." in text
    assert "In the random arm, which cannot learn, 2 of 3 are as high." in text
    text = flat(EVERY_KIND["diverged"])
    assert "2 runs diverged: ranked worst, no high performer, and left out of means." in text
    assert "The same in every run: batch_size." in text


def test_numbers_and_values():
    assert [significant(x) for x in (1.02e-7, 0.005, -0.25, 0.0, 3e6, 12)] == [
        "1.02e-7", "0.005", "−0.25", "0", "3e6", "12",
    ]  # fmt: skip
    assert [parameter_value(x) for x in (None, True, 8, "a", 1e-7)] == [
        "not set", "true", "8", "a", "1e-7",
    ]  # fmt: skip
    assert [chance(p) for p in (1.0, 0.46, 0.05, 5e-4, 2.3e-8, 0.0)] == [
        "1.00", "0.46", "0.050", "5e-4", "2.3e-8", "< 0.001",
    ]  # fmt: skip


def test_of_many_parameters_only_the_means_of_those_that_matter_are_told():
    rng = np.random.default_rng(0)
    columns = {f"p{i}": rng.integers(0, 2, 60).tolist() for i in range(9)}
    found = run(0.3 * np.array(columns["p3"]) + rng.normal(0, 0.03, 60), columns)
    means = told(found, 120).partition("may be best")[2].partition("Means are adjusted")[0]
    assert [name for name in columns if re.search(rf"^{name} ", means, re.M)] == ["p3"]
    assert re.search(r"^p3 +0 +\d+ .* no$", means, re.M)
