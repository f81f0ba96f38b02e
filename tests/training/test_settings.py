"""What a config may say about GRPO."""

from __future__ import annotations

import math

import pytest

from harness.errors import UsageError
from harness.training.settings import GRPOSettings, check_config

CONFIG = {"learning_rate": 2e-7, "batch_size": 8, "generations": 16}


def test_the_learning_rate_is_the_task_s(make_job):
    settings = GRPOSettings.from_job(make_job(learning_rate=2e-7, lr_transfer=5_000.0))
    assert settings.learning_rate == pytest.approx(1e-3)
    assert (settings.batch_size, settings.generations) == (8, 16)
    assert settings.lr_schedule == "advanced"


def test_what_is_counted_in_steps_is_scaled(make_job):
    job = make_job(steps=50, declared_steps=100, warmup_steps=30)
    settings = GRPOSettings.from_job(job)
    assert (settings.warmup_steps, settings.kl_warmup_steps) == (15, 10)
    job = make_job(steps=20, declared_steps=100, warmup_steps=0, kl_warmup_steps=1)
    settings = GRPOSettings.from_job(job)
    assert (settings.warmup_steps, settings.kl_warmup_steps) == (0, 1)


def test_defaults_are_the_sweeps_own():
    settings = GRPOSettings(**CONFIG)
    assert (settings.kl_coef, settings.kl_warmup_steps) == (0.005, 20)
    assert (settings.advantage_clip, settings.max_grad_norm) == (2.0, 1.0)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"learning_rate": 0.0},
        {"learning_rate": 0},
        {"microbatch": None},
        {"microbatch": 4, "kl_coef": 0, "weight_decay": 0.1, "lr_schedule": "linear"},
    ],
)
def test_good_configs_pass(changes):
    check_config(CONFIG | changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": -1e-7}, "learning_rate is -1e-07; expected a finite number of at least"),
        ({"learning_rate": math.nan}, "learning_rate is nan"),
        ({"learning_rate": math.inf}, "learning_rate is inf"),
        ({"learning_rate": "high"}, "learning_rate is 'high'"),
        ({"learning_rate": None}, "learning_rate is None"),
        ({"batch_size": 0}, "batch_size is 0; expected a whole number of at least 1"),
        ({"batch_size": 8.0}, "batch_size is 8.0; expected a whole number"),
        ({"batch_size": True}, "batch_size is True; expected a whole number"),
        ({"generations": 1}, "generations is 1; expected a whole number of at least 2"),
        ({"lr_schedule": "cosin"}, "lr_schedule is 'cosin'; expected one of advanced, cosine"),
        ({"warmup_steps": -1}, "warmup_steps is -1"),
        ({"entropy_coef": -0.1}, "entropy_coef is -0.1"),
        ({"kl_coef": "a"}, "kl_coef is 'a'"),
        ({"advantage_clip": 0}, "advantage_clip is 0; expected a finite number above 0"),
        ({"max_grad_norm": 0.0}, "max_grad_norm is 0.0"),
        ({"microbatch": 0}, "microbatch is 0; expected a whole number of at least 1, or None"),
        ({"batchsize": 8}, "parameter 'batchsize' is not one of GRPO's.*mean 'batch_size'"),
    ],
)
def test_bad_configs_are_one_clear_line(changes, message):
    with pytest.raises(UsageError, match=message) as caught:
        check_config(CONFIG | changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", CONFIG)
def test_what_is_needed_is_asked_for(name):
    config = {key: value for key, value in CONFIG.items() if key != name}
    with pytest.raises(UsageError, match=f"needs {name}"):
        check_config(config)
