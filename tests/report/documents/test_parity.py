"""What the comparison of two backends says."""

import re

import pytest

from tests.judging.parity_runs import (
    FAR,
    NEAR,
    WIDE,
    as_text,
    compared,
    differing,
    outcome,
)


def test_the_table_has_a_row_a_run():
    lines = as_text(differing(0.007, -0.002), 80)
    assert lines[0] == "s: torch and jax, 2 runs of 20 steps, float32, cpu"
    assert lines[1] == ""
    assert re.fullmatch(
        r"run +ΔPerf, torch +ΔPerf, jax +difference +in SEs +tokens part at step", lines[2]
    )
    assert re.fullmatch(
        r"00 +\+0\.1000 ± 0\.0100 +\+0\.1070 ± 0\.0100 +\+0\.0070 +\+0\.5 +never", lines[4]
    )
    wide = as_text(differing(0.007, -0.002), 120)
    assert wide[4].startswith("00-lr2e-07 ")


def test_devices_that_differ_are_named():
    found = compared((outcome(device="cpu"), outcome(device="cuda:0")), (0.1, 0.1))
    assert as_text(found, 120)[0].endswith("float32, torch: cpu, jax: cpu, cuda:0")


def test_the_question_comes_with_its_answer_and_what_it_needs():
    lines = as_text(differing(*WIDE), 80)
    start = lines.index("inconclusive: Are torch and jax the same experiment?")
    assert lines[start - 1] == ""
    assert lines[start + 1].startswith("  undecided: mean difference")
    assert any(line.startswith("  needs: about ") for line in lines)


@pytest.mark.parametrize("differences", [NEAR, FAR, WIDE, (0.1,)])
def test_colour_is_for_the_word_of_the_verdict_alone(differences):
    found = differing(*differences)
    plain, coloured = ("\n".join(as_text(found, 80, colour=colour)) for colour in (False, True))
    assert "\033" not in plain
    assert re.sub(r"\033\[\d+m", "", coloured) == plain
    assert re.findall(r"\033\[\d+m([^\033]*)\033\[0m", coloured) == [found.verdict.verdict]
