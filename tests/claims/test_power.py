"""What a sweep's questions are likely to show: which effects, at which sizes, on what grounds."""

from __future__ import annotations

import math
import re
from itertools import pairwise

import numpy as np
import pytest

from harness import Choice, Given, best_value, matters, statistics
from harness.claims import design as claims_design
from harness.claims.design import MOST_SIMULATED, Design
from harness.claims.power import power_of, sweep_power
from harness.observations.columns import read_columns
from tests.claims.cases import QUESTIONS, VERSUS
from tests.claims.powers import SPACE, make_sweep, price, runs_of


def test_every_question_is_priced_in_its_order(everything):
    assert list(dict.fromkeys(power.question for power in everything)) == list(QUESTIONS)


def test_a_larger_effect_is_shown_more_often_and_by_fewer(everything):
    for one, two in pairwise(everything):
        if one.question == two.question:
            assert one.power < two.power
            assert (one.needed or math.inf) > (two.needed or math.inf) - 1


def test_the_power_and_the_runs_needed_agree(everything):
    for found in everything:
        if found.needed is None:
            assert found.power < 0.8
            assert f"a probability of 0.8 is not reached with {found.most:,} runs" in found.says
        else:
            assert (found.power >= 0.8) == (found.needed <= found.n)
            assert f"a probability of 0.8 needs {found.needed} {found.unit}" in found.says


def test_the_sentence_of_a_success_rate(everything):
    assert everything[0].says == (
        "with 24 runs, a true success rate of 70% is shown to be above one half with probability "
        "0.56; a probability of 0.8 needs 37 runs"
    )


def test_no_sentence_is_certain(everything):
    for found in everything:
        assert not re.search(r"probability [01]\.00", found.says)
        assert "nan" not in found.says + found.given + found.effect


def test_equal_sweeps_have_equal_power(everything):
    assert sweep_power(make_sweep(), baseline_runs=48) == everything
    other = sweep_power(make_sweep("variance_vs_baseline", seed=4), baseline_runs=48)
    assert [power.power for power in other] != [
        power.power for power in everything if power.question == "variance_vs_baseline"
    ]


def test_each_question_is_told_of_before_it_is_priced():
    told = []
    asked = {name: QUESTIONS[name] for name in ("plateau", "success_above_half")}
    sweep_power(make_sweep(questions=asked), notify=told.append)
    assert told == ["plateau", "success_above_half"]


def test_a_scaled_down_plan_is_priced_as_it_is():
    sweep = make_sweep("success_above_half")
    found = sweep_power(sweep, runs=sweep.plan(runs=8))
    assert [power.n for power in found] == [8, 8]
    assert found[0].power == statistics.binomial_power(8, 0.7)
    assert found[0].needed == 37


@pytest.mark.slow
def test_a_sweep_too_large_to_simulate_is_priced_as_a_part_of_it():
    asked = {name: QUESTIONS[name] for name in (*VERSUS, "lr_sweet_spot")}
    found = price(None, questions=asked, runs=600, baseline_runs=5_000)
    assert all(power.n == 600 for power in found)
    assert found[-1].power > 0.99


def test_one_question_can_be_priced_alone():
    sweep = make_sweep()
    design = Design(sweep, sweep.plan(), baseline_runs=48)
    found = power_of("q", QUESTIONS["success_above_half"], design)
    assert [power.question for power in found] == ["q", "q"]


def test_the_level_is_the_sweep_s():
    strict = price("success_above_half", alpha=0.01)[0]
    assert strict.power == statistics.binomial_power(24, 0.7, alpha=0.01)
    for asks in ("mean_vs_baseline", "variance_vs_baseline", "plateau", "batch_size"):
        assert price(asks, alpha=0.01)[0].power < price(asks)[0].power - 0.05


def test_stored_runs_say_how_large_an_sd_is_and_change_no_power():
    asked = {"matters": matters("lr_schedule"), "best": best_value("lr_schedule")}
    space = {**SPACE, "lr_schedule": Choice("advanced", "cosine")}
    stored = runs_of("s", np.random.default_rng(0).normal(0.0, 0.02, 24).tolist(), sweep="s")
    plain, known = (price(None, runs, questions=asked, space=space) for runs in ((), stored))
    assert [one.power for one in known] == [one.power for one in plain]
    assert [one.size for one in plain] == [0.5, 1.0, 0.5, 1.0]
    sds = [one.size / two.size for one, two in zip(known, plain, strict=True)]
    assert sds == pytest.approx([0.02] * 4, rel=0.5)


def test_each_size_of_a_sweep_is_drawn_and_read_once(monkeypatch):
    """A thousand runs are not drawn for each guess of how many it takes."""
    read = []

    def counted(configs):
        read.append(len(configs))
        return read_columns(configs)

    monkeypatch.setattr(claims_design, "read_columns", counted)
    sweep = make_sweep(questions={f"m_{n}": matters(n) for n in ("learning_rate", "generations")})
    sweep_power(sweep)
    assert max(read) <= MOST_SIMULATED
    assert len(read) == len(set(read)) < 20


def test_a_parameter_is_priced_by_what_those_leave_that_it_gives():
    """Of four warmup steps two belong to one schedule alone: these runs tell nothing of it."""
    steps = Given("lr_schedule", advanced=Choice(10, 20, 30), cosine=Choice(0, 10, 20))
    free = {"lr_schedule": Choice("advanced", "cosine"), "warmup_steps": Choice(0, 10, 20, 30)}
    bound = free | {"warmup_steps": steps}
    powers = [
        price(None, questions={"q": matters("lr_schedule")}, space=SPACE | space)[-1].power
        for space in (free, bound)
    ]
    assert powers[1] < powers[0] - 0.1
