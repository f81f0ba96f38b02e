"""Low-rank adapters of linear layers (LoRA): which layers, what scale, and their first values.

Hu et al., "LoRA", 2021 (arXiv:2106.09685): a matrix W ``[out, in]`` becomes W + scale · B A, with A
``[rank, in]`` and B ``[out, rank]``. Only A and B are trained. Both backends ask here, so that a
run has the same adapters on each. Imports neither of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from harness.errors import UsageError, nearest
from harness.text import listed
from harness.training.settings import GRPOSettings
from harness.training.uniforms import generator

ALL_LINEAR = "all-linear"
"""The value of ``lora_modules`` that means all linear layers but the head, as None does."""


def adapted_layers(settings: GRPOSettings, layers: Sequence[str]) -> list[str]:
    """Return those of ``layers`` that ``lora_modules`` names, in their order.

    ``layers`` are the paths of the model's linear layers but the head, such as
    ``layers.3.self_attn.q_proj``. A name means each path that is the name or ends with it, from a
    dot on.

    Raises
    ------
    UsageError
        Where a name means none of them.
    """
    asked = settings.lora_modules
    names = [asked] if isinstance(asked, str) else [*(asked or [ALL_LINEAR])]
    if names == [ALL_LINEAR]:
        return [*layers]
    for name in names:
        if not any(_means(name, path) for path in layers):
            known = [*dict.fromkeys(path.rpartition(".")[2] for path in layers)]
            raise UsageError(
                f"lora_modules has {name!r}; the linear layers of this model are {listed(known)}"
                f"{nearest(name, known)}"
            )
    return [path for path in layers if any(_means(name, path) for name in names)]


def _means(name: str, path: str) -> bool:
    return f".{path}".endswith(f".{name}")


def alpha_of(settings: GRPOSettings) -> float:
    """Return ``lora_alpha``, or twice the rank where it is None."""
    return 2.0 * settings.lora_rank if settings.lora_alpha is None else settings.lora_alpha


def scale_of(settings: GRPOSettings) -> float:
    """Return what the product of the two factors counts."""
    return alpha_of(settings) / settings.lora_rank


def first_factor(seed: int, path: str, rank: int, features: int) -> npt.NDArray[np.float32]:
    """Draw the A ``[rank, features]`` that the adapter of the layer at ``path`` begins with.

    It is uniform within ±1/√features, where ``features`` are those that go in, as in peft. B begins
    at 0, so that training begins at the model itself.
    """
    drawn = generator(seed, f"adapter {path}").random((rank, features), dtype=np.float32)
    return ((2 * drawn - 1) / math.sqrt(features)).astype(np.float32)
