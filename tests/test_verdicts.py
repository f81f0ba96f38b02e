"""The values of judging, where they do more than hold what they are given."""

import pytest

from harness.verdicts import Counts


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        ("ΔPerf > 0", "above zero"),
        ("delta_perf>0.0", "above zero"),
        ("`Delta Perf > 0`", "above zero"),
        ("ΔPerf > 0.1", None),
        ("reward above zero", None),
    ],
)
def test_published_rules_are_read(words, rule):
    assert Counts("published", 6, 19, words, "a summary").known_rule == rule
