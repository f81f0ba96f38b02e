import math
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import Choice, Config, Given, LogInt, LogUniform, Space, SweepError, Uniform
from harness.sweeps.sampling import SAMPLERS, unit_points
from harness.sweeps.strategies import configs

UNIT = st.floats(0, 1, exclude_max=True)


@given(UNIT, UNIT)
def test_quantile_functions_do_not_fall(u, v):
    low, high = sorted((u, v))
    for distribution in (Uniform(-2, 3), LogUniform(1e-7, 2e-6), LogInt(1, 900)):
        assert distribution.quantile(low, {}) <= distribution.quantile(high, {})
    choice = Choice("a", "b", "c", weights=(1, 2, 3))
    order = choice.options.index
    assert order(choice.quantile(low, {})) <= order(choice.quantile(high, {}))


@given(UNIT)
def test_values_stay_in_range(u):
    assert 1e-7 <= LogUniform(1e-7, 2e-6).quantile(u, {}) <= 2e-6
    assert -2 <= Uniform(-2, 3).quantile(u, {}) <= 3


@given(UNIT, st.integers(1, 10**12), st.integers(1, 10**12))
def test_whole_numbers_on_a_log_scale_stay_whole_and_in_range(u, low, more):
    drawn = LogInt(low, low + more).quantile(u, {})
    assert type(drawn) is int
    assert low <= drawn <= low + more


def test_whole_numbers_on_a_log_scale_are_as_likely_as_their_share_of_it():
    low, high, points = 1, 12, 200_000
    drawn = [LogInt(low, high).quantile((i + 0.5) / points, {}) for i in range(points)]
    whole = math.log((high + 0.5) / (low - 0.5))
    for k in range(low, high + 1):
        share = math.log((k + 0.5) / (k - 0.5)) / whole
        assert drawn.count(k) / points == pytest.approx(share, abs=2e-5)
    assert LogInt(1, 12).quantile(0.0, {}) == 1
    assert LogInt(1, 12).quantile(1.0, {}) == 12


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_draws_whole_numbers_over_the_whole_range(sampler):
    space = Space({"width": LogInt(4, 512), "depth": LogInt(1, 3)})
    drawn = [space.config(point) for point in unit_points(sampler, 64, 64, 2, 0).tolist()]
    widths = sorted(config["width"] for config in drawn)
    assert widths[0] < 8
    assert widths[-1] > 256
    assert 30 <= widths[32] <= 70  # the middle of 4 to 512 on the logarithmic scale is 45
    assert {config["depth"] for config in drawn} == {1, 2, 3}


def test_log_uniform_halves_its_orders_of_magnitude():
    assert LogUniform(1e-7, 1e-5).quantile(0.5, {}) == pytest.approx(1e-6)
    assert LogUniform(1e-7, 1e-5).quantile(0.0, {}) == 1e-7


def test_choice_follows_its_weights():
    choice = Choice("advanced", "cosine", weights=(65, 35))
    grid = (np.arange(10_000) + 0.5) / 10_000
    drawn = [choice.quantile(u, {}) for u in grid]
    assert drawn.count("advanced") == 6_500
    assert choice.quantile(np.nextafter(0.65, 0), {}) == "advanced"
    assert choice.quantile(0.65, {}) == "cosine"


@given(UNIT)
def test_choice_never_draws_a_weight_of_zero(u):
    assert Choice(1, 2, 3, weights=(0, 1, 0)).quantile(u, {}) == 2


def test_the_upper_end_of_a_choice_is_its_last_option_with_a_weight():
    assert Choice(1, 2, 3, weights=(1, 1, 0)).quantile(1.0, {}) == 2


def test_a_parameter_may_be_given_one_declared_after_it():
    space = Space({"w": Given("s", a=Choice(1), b=Choice(2)), "s": Choice("a", "b")})
    assert dict(space.config([0.0, 0.9])) == {"w": 2, "s": "b"}
    assert list(space.config([0.0, 0.9])) == ["w", "s"]


SPACE = Space(
    {
        "learning_rate": LogUniform(1e-7, 2e-6),
        "batch_size": Choice(4, 8),
        "generations": Given("batch_size", {4: Choice(20, 30), 8: Choice(16)}),
        "width": LogInt(16, 1024),
        "seedless": 3,
    }
)


@given(configs(SPACE))
def test_strategy_draws_consistent_configs(config):
    assert config["generations"] in {4: (20, 30), 8: (16,)}[config["batch_size"]]
    assert 1e-7 <= config["learning_rate"] <= 2e-6
    assert 16 <= config["width"] <= 1024
    assert config["seedless"] == 3
    assert hash(config) == hash(config.replace())


def test_space_describes_itself():
    described = SPACE.describe()
    assert described["learning_rate"] == "log-uniform 1e-07 to 2e-06 (1.3 orders of magnitude)"
    assert described["width"] == "log-uniform whole numbers 16 to 1024 (1.8 orders of magnitude)"
    assert described["generations"] == "by batch_size: 4: 20, 30; 8: 16"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: LogUniform(4e-7, 8e-8), "LogUniform(4e-07, 8e-08): the lower end must be below"),
        (lambda: Uniform(1, 1), "Uniform(1, 1): the lower end must be below"),
        (lambda: Uniform(0, math.inf), "inf is not a finite number"),
        (lambda: Uniform("a", 1), "'a' is not a finite number"),
        (lambda: LogUniform(0, 1), "both ends must be above zero"),
        (lambda: LogUniform(-1, 1), "both ends must be above zero"),
        (Choice, "at least one option"),
        (lambda: Choice(1, 1), "options repeat"),
        (lambda: Choice(1, 2, weights=(1,)), "2 options but 1 weights"),
        (lambda: Choice(1, 2, weights=(1, -1)), "none negative"),
        (lambda: Choice(1, 2, weights=(0, 0)), "not all zero"),
        (lambda: Choice(1, 2, weights=(1, math.nan)), "nan is not a finite number"),
        (lambda: Given("x"), "at least one case"),
        (lambda: Space({}), "the space is empty"),
        (lambda: Space({"a": [1, 2]}), "a: [1, 2] is neither a distribution nor a plain value"),
        (lambda: Space({"a": Given("b", x=1)}), "a: given 'b', which is no parameter"),
        (lambda: Space({"a": Given("b", x=1), "b": Given("a", x=1)}), "in a circle"),
        (lambda: Space({"a": Given("b", x=1), "b": Choice("x", "y")}), "no case for b = 'y'"),
        (lambda: Space({"a": Given("b", x=1), "b": Uniform(0, 1)}), "which is a range"),
        (lambda: Space({"a": Given("b", {1: 1, 2: 2}), "b": LogInt(1, 2)}), "which is a range"),
        (lambda: Space({"learning_rate": 0.0}), "learning_rate: 0.0 is not above zero"),
        (lambda: Space({"learning_rate": Choice(1e-6, -1e-6)}), "-1e-06 is not above zero"),
        (lambda: Space({"learning_rate": Uniform(-1, 1)}), "-1 is not above zero"),
        (lambda: Space({"learning_rate": "fast"}), "'fast' is not a number"),
    ],
)
def test_what_cannot_be_drawn_from_is_refused_by_name(make, said):
    with pytest.raises(SweepError) as error:
        make()
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_config_is_found_by_its_values_in_another_process():
    config = Config({"lr_schedule": "cosine", "batch_size": 8})
    hash(config)  # which is that of this process
    code = (
        "import pickle, sys; from harness import Config; "
        "config = pickle.load(sys.stdin.buffer); "
        "print(config in {Config({'lr_schedule': 'cosine', 'batch_size': 8})})"
    )
    said = subprocess.run(
        [sys.executable, "-c", code],
        input=pickle.dumps(config),
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "1"},
    )
    assert said.stdout.split() == [b"True"]


@pytest.mark.parametrize(
    ("drawn", "words"),
    [
        (Choice(*range(1, 9)), "1, 2, 3, 4, 5, 6, 7, 8"),
        (Choice(*range(16, 1025)), "16, 17, …, 1024 (1009 values)"),
        (Choice(*range(100, 0, -10)), "100, 90, …, 10 (10 values)"),
        (Choice(*(k / 100 for k in range(0, 51, 5))), "0.0, 0.05, …, 0.5 (11 values)"),
        (Choice(1, 2, 3, 4, 5, 6, 7, 8, 10), "1, 2, 3, 4, 5, 6, 7, 8, 10"),
        (Choice(*(k + 0.5 for k in range(9)), "x"), None),
        (Choice(*range(9), weights=range(1, 10)), None),
    ],
)
def test_many_numbers_at_one_step_are_described_by_their_ends(drawn, words):
    if words is None:
        assert "…" not in drawn.describe()
    else:
        assert drawn.describe() == words
