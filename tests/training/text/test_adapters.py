"""Which layers are adapted, and what the adapters begin with."""

import numpy as np
import pytest

from harness.errors import UsageError
from harness.training.settings import GRPOSettings
from harness.training.text import adapters

LAYERS = [f"layers.{n}.{name}" for n in (0, 1) for name in ("attn.q_proj", "mlp.up_proj", "mlp.q")]


def settings(**given):
    return GRPOSettings(1e-3, 4, 4, lora_rank=4, **given)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (None, LAYERS),
        ("all-linear", LAYERS),
        ("q_proj", [LAYERS[0], LAYERS[3]]),
        (("up_proj", "attn.q_proj"), [LAYERS[0], LAYERS[1], LAYERS[3], LAYERS[4]]),
        ("layers.1.mlp.q", [LAYERS[5]]),
    ],
)
def test_a_name_means_every_path_that_ends_with_it(asked, found):
    assert adapters.adapted_layers(settings(lora_modules=asked), LAYERS) == found


@pytest.mark.parametrize("name", ["proj", "k_proj", "all"])
def test_a_name_of_no_layer_is_refused(name):
    message = f"lora_modules has '{name}'; the linear layers .* are q_proj, up_proj and q"
    with pytest.raises(UsageError, match=message):
        adapters.adapted_layers(settings(lora_modules=("q", name)), LAYERS)


def test_the_scale_is_alpha_by_the_rank():
    assert adapters.scale_of(settings()) == 2
    assert adapters.scale_of(settings(lora_alpha=2.0)) == 0.5


def test_the_first_factor_is_uniform_and_of_its_layer_and_seed():
    one = adapters.first_factor(1, "layers.0.q", 4, 900)
    assert one.shape == (4, 900)
    assert one.dtype == np.float32
    assert 0.032 < np.abs(one).max() <= 1 / 30
    assert one.std() == pytest.approx(1 / 30 / np.sqrt(3), rel=0.05)
    np.testing.assert_array_equal(one, adapters.first_factor(1, "layers.0.q", 4, 900))
    for seed, path in ((2, "layers.0.q"), (1, "layers.1.q")):
        assert not np.array_equal(one, adapters.first_factor(seed, path, 4, 900))
