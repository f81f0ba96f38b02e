"""What a model is made of, known before its weights are read, and the memory that training needs.

A backend says what it is made of by its ``text_anatomy`` (see `harness.training.backends`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from harness.errors import UsageError
from harness.text import byte_size, listed, plural
from harness.training.backends import Memory
from harness.training.settings import GRPOSettings
from harness.training.text.adapters import adapted_layers
from harness.training.text.architecture import architecture
from harness.training.text.decoder_files import weight_files
from harness.training.text.model_files import ModelFiles, config_of

SMALL_RANK = 16
"""The rank of the adapters that are proposed where all weights are too many."""

_ADAMW = 16
"""Bytes of a trained weight in float32, its gradient and AdamW's two moments."""

_WHOLE, _HALF = 4, 2
"""Bytes of a weight in float32 and in bfloat16."""


@dataclass(frozen=True, slots=True)
class Anatomy:
    """The number of weights of a model, and its linear layers but the head.

    ``linear`` has the path of each, such as ``model.layers.3.self_attn.q_proj``, and how many
    features go in and out of it together.
    """

    weights: int
    linear: Mapping[str, int]


def of_decoder(files: ModelFiles) -> Anatomy:
    """Return what a model is made of, as the decoder on JAX computes it.

    Raises
    ------
    UsageError
        Where it does not compute such a model, or read such files.
    """
    shape = architecture(config_of(files), files.name)
    weight_files(files.folder, files.name)
    sizes = shape.shapes()
    stacked = sum(math.prod(size) for name, size in sizes.items() if name.startswith("layers."))
    rest = sum(math.prod(size) for name, size in sizes.items() if not name.startswith("layers."))
    ours = {f"layers.{name}" for name in shape.modules.values()}
    linear = {}
    for path, name in shape.tensors().items():
        kind = re.sub(r"^layers\.\d+\.", "layers.", name)
        if kind in ours:
            linear[path.removesuffix(".weight")] = sum(sizes[kind])
    return Anatomy(shape.layers * stacked + rest, linear)


def training_bytes(
    of: Anatomy, settings: GRPOSettings, precision: str, *, kind: str = "cpu"
) -> int:
    """Return the least memory that training a model takes, in bytes: a run's, on one device.

    A trained weight takes its float32 value, its gradient and two moments of AdamW. Computing in
    bfloat16 takes a copy of the trained weights, and a KL penalty a copy of those at the start,
    unless adapters are trained: without them the model is its own reference. Into the memory of a
    CPU weights are read in float32, whatever is computed in; a device of another ``kind`` need not
    have them so. What the layers compute on the way comes on top, and depends on the lengths of
    prompts and completions.
    """
    size = _WHOLE if precision == "float32" else _HALF
    if settings.lora_rank:
        features = sum(of.linear[path] for path in adapted_layers(settings, [*of.linear]))
        read = of.weights * _WHOLE if kind == "cpu" else 0
        return max(read, of.weights * size + settings.lora_rank * features * _ADAMW)
    computed = 0 if precision == "float32" else size
    reference = size if settings.kl_coef else 0
    return of.weights * (_ADAMW + computed + reference)


def check_memory(
    name: str,
    of: Anatomy,
    settings: Iterable[GRPOSettings],
    precision: str,
    memory: Memory,
) -> None:
    """Check that a model can be trained in a memory, by as many runs as share it.

    Parameters
    ----------
    name
        The model's, for the message.
    of
        What it is made of.
    settings
        Those of the runs. The largest of them counts.
    precision
        What is computed in.
    memory
        What the runs share.

    Raises
    ------
    UsageError
        Where the memory is too small, with what would fit.
    """

    def needed(one: GRPOSettings) -> int:
        return training_bytes(of, one, precision, kind=memory.kind)

    largest = max(settings, key=needed)
    each = needed(largest)
    if each * memory.runs <= memory.available:
        return
    ways = [*_smaller(largest, needed, memory)]
    together = f", {byte_size(each * memory.runs)} for {plural(memory.runs, 'worker')}"
    raise UsageError(
        f"model {name!r} has {_count(of.weights)} weights, and training it takes at least "
        f"{byte_size(each)}{together if memory.runs > 1 else ''}; {memory.said}: "
        f"take {listed(ways, last='or') if ways else 'a smaller model'}"
    )


def _smaller(
    settings: GRPOSettings, needed: Callable[[GRPOSettings], int], memory: Memory
) -> Iterator[str]:
    """Yield what to change so that the model fits, the least change first."""
    fits = memory.available // needed(settings)
    if fits:
        yield f"{memory.option} {fits}"
    if settings.lora_rank:
        return
    changes: dict[str, Any] = {"kl_coef": 0.0} if settings.kl_coef else {}
    for name, value in (changes | {"lora_rank": SMALL_RANK}).items():
        size = needed(replace(settings, **{name: value}))
        if size * memory.runs <= memory.available:
            yield f"{name}={value:g} ({byte_size(size)})"


def _count(weights: int) -> str:
    for unit, name in ((10**9, "billion"), (10**6, "million")):
        if weights >= unit:
            return f"{weights / unit:.3g} {name}"
    return f"{weights:,}"
