"""Read the weights of a checkpoint of transformers for `decoder_jax`: NumPy alone, no Torch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.errors import UsageError
from harness.text import listed, plural
from harness.training.text.architecture import GPT2_MODULES, Architecture, Arrays, refused

_BUFFERS = ("rotary_emb.inv_freq", "attn.bias", "attn.masked_bias")
"""Ends of names of tensors that hold no weights."""


def read_weights(folder: Path, shape: Architecture, name: str) -> Arrays:
    """Return the weights in ``folder`` by our names, in float32; those of layers are stacked.

    ``layers.up`` is ``[layers, out, in]``. Files are ``model.safetensors``, or those that
    ``model.safetensors.index.json`` names.

    Raises
    ------
    UsageError
        Where a file or tensor is missing, damaged, of another shape or type, or not known.
    """
    wanted, shapes = shape.tensors(), shape.shapes()
    weights: Arrays = {}
    for ours, size in shapes.items():
        stacked = (shape.layers, *size) if ours.startswith("layers.") else size
        weights[ours] = np.empty(stacked, dtype=np.float32)
    missing, unknown, head = dict.fromkeys(wanted), [], None
    for path in weight_files(folder, name):
        for theirs, array in _tensors(path, name):
            short = theirs.removeprefix("model.").removeprefix("transformer.")
            if short not in wanted:
                if short == "lm_head.weight":
                    head = array
                elif not short.endswith(_BUFFERS):
                    unknown.append(theirs)
                continue
            ours = wanted[short]
            layer, _, own = ours.removeprefix("layers.").partition(".")
            slot = weights[f"layers.{own}"][int(layer)] if own else weights[ours]
            # GPT-2's matrices are [in, out].
            turned = shape.rotary is None and own in GPT2_MODULES.values()
            content = array.T if turned else array
            if content.shape != slot.shape:
                raise UsageError(
                    f"model {name!r}: tensor {theirs} is {list(content.shape)}; config.json says "
                    f"{list(slot.shape)}"
                )
            slot[...] = content
            missing.pop(short, None)
    if missing:
        more = plural(len(missing), "tensor is", "tensors are")
        raise UsageError(f"model {name!r}: {more} missing, such as {next(iter(missing))}")
    if unknown:
        more = plural(len(unknown), "tensor", "tensors")
        raise UsageError(
            f"model {name!r}: {more} that the JAX backend does not know, such as {unknown[0]}: use "
            "--sweep-backend torch"
        )
    if head is not None and not np.array_equal(head, weights["embed"]):
        raise UsageError(
            f"model {name!r}: tie_word_embeddings is True, but lm_head.weight is not the embedding"
        )
    return weights


def weight_files(folder: Path, name: str) -> list[Path]:
    """Return the safetensors files of a model; `UsageError` where there are none."""
    index = folder / "model.safetensors.index.json"
    if not index.exists():
        single = folder / "model.safetensors"
        if not single.exists():
            raise UsageError(
                f"model {name!r}: there is no model.safetensors in {folder}; the JAX backend reads "
                "nothing else: save the model with save_pretrained, or use --sweep-backend torch"
            )
        return [single]
    try:
        named = sorted(set(json.loads(index.read_text())["weight_map"].values()))
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise UsageError(f"model {name!r}: {index} cannot be read ({error!r})") from error
    absent = [file for file in named if not (folder / file).exists()]
    if absent:
        raise UsageError(f"model {name!r}: {index.name} names {listed(absent)}, not in {folder}")
    return [folder / file for file in named]


def _tensors(path: Path, name: str) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """Yield the name and content of each tensor in a file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            for key in file.keys():  # noqa: SIM118
                kind = file.get_slice(key).get_dtype()
                if kind not in ("F32", "F16", "BF16") and not key.endswith(_BUFFERS):
                    known = "F32, F16 and BF16"
                    raise refused(name, f"the type of tensor {key}", kind, known)
                yield key, file.get_tensor(key)
    except (OSError, SafetensorError) as error:
        raise UsageError(f"model {name!r}: {path} cannot be read ({error})") from error
