"""Weights in files: what is read, and what is refused in one line."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

from harness.errors import UsageError
from harness.training.text.architecture import architecture
from harness.training.text.decoder_files import read_weights
from tests.training.text.test_architecture import LLAMA

pytestmark = pytest.mark.jax


def tensors(**changes):
    shape = architecture(LLAMA | dict(tie_word_embeddings=True), "tiny")
    sizes, found = shape.shapes(), {}
    for theirs, ours in shape.tensors().items():
        own = ".".join(part for part in ours.split(".") if not part.isdigit())
        found[f"model.{theirs}"] = np.zeros(sizes[own], dtype=np.float32)
    found |= {name.replace("__", "."): array for name, array in changes.items()}
    return shape, {name: array for name, array in found.items() if array is not None}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, None),
        ({"model__layers__0__self_attn__rotary_emb__inv_freq": np.zeros(4)}, None),
        ({"model__norm__weight": None}, "1 tensor is missing, such as norm.weight"),
        (
            {"model__layers__1__extra": np.zeros(2, np.float32)},
            "does not know, such as model.layers.1.extra",
        ),
        ({"model__norm__weight": np.zeros(3, np.float32)}, r"is \[3\]; config.json says \[32\]"),
        (
            {"model__norm__weight": np.zeros(32, np.int8)},
            "type of tensor model.norm.weight is 'I8'",
        ),
        ({"lm_head__weight": np.ones((211, 32), np.float32)}, "lm_head.weight is not the embed"),
        ({"lm_head__weight": np.zeros((211, 32), np.float32)}, None),
    ],
)
def test_tensors_that_do_not_fit_are_refused(tmp_path, changes, said):
    from safetensors.numpy import save_file

    shape, arrays = tensors(**changes)
    save_file(arrays, tmp_path / "model.safetensors")
    refused = contextlib.nullcontext() if said is None else pytest.raises(UsageError, match=said)
    with refused:
        read_weights(tmp_path, shape, "tiny")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "there is no model.safetensors"),
        ({"model.safetensors": "x"}, "cannot be read"),
        ({"model.safetensors.index.json": "{"}, "cannot be read"),
        ({"model.safetensors.index.json": '{"weight_map": {"a": "b.st"}}'}, "names b.st, not in"),
    ],
)
def test_files_that_cannot_be_read_are_refused(tmp_path, files, said):
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(UsageError, match=said):
        read_weights(tmp_path, tensors()[0], "tiny")
