"""Load a causal language model of transformers, with adapters, in the precision of training."""

from __future__ import annotations

import warnings
from typing import Any, TypeAlias

import torch
from torch import nn

from harness.errors import UsageError
from harness.training.settings import GRPOSettings
from harness.training.text import adapters
from harness.training.text.model_files import ModelFiles

Module: TypeAlias = Any  # a model of transformers, which a type checker need not have


def load(files: ModelFiles, settings: GRPOSettings, *, seed: int) -> Module:
    """Return the model in float32, with adapters where the settings ask for them.

    Nothing is dropped out, also in training. The first factor of each adapter is drawn from the
    run's ``seed``.

    Raises
    ------
    UsageError
        Where the model cannot be read, or has no modules of the names that are to be adapted.
    """
    from transformers import AutoModelForCausalLM

    where = {"gguf_file": files.gguf} if files.gguf else {}
    try:
        model: Module = AutoModelForCausalLM.from_pretrained(
            files.folder, dtype=torch.float32, **where
        )
    except (OSError, ValueError, KeyError, ImportError) as error:
        said = (str(error) or type(error).__name__).splitlines()[0]
        raise UsageError(f"model {files.name!r} cannot be read: {said:.200}") from None
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        for name, value in vars(module).items():  # what functions are called with
            if "dropout" in name and isinstance(value, float):
                setattr(module, name, 0.0)
    model.eval()
    return _adapted(model, settings, seed) if settings.lora_rank else model


def _adapted(model: Module, settings: GRPOSettings, seed: int) -> Module:
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        raise UsageError(
            f"lora_rank is {settings.lora_rank}, and peft is not installed; run: "
            'pip install "pytest-sweep[hf]"'
        ) from None
    head, within = model.get_output_embeddings(), f"{model.base_model_prefix}."
    # The paths begin at the decoder, as they do in a checkpoint without the head.
    linear = {
        name.removeprefix(within): name
        for name, one in model.named_modules()
        if one is not head and is_linear(one)
    }
    chosen = adapters.adapted_layers(settings, [*linear])
    config = LoraConfig(
        r=settings.lora_rank,
        lora_alpha=adapters.alpha_of(settings),  # type: ignore[arg-type]  # it is only divided
        lora_dropout=0.0,
        target_modules=[linear[path] for path in chosen],
        fan_in_fan_out=all(_is_transposed(model.get_submodule(linear[path])) for path in chosen),
        task_type="CAUSAL_LM",
    )
    with warnings.catch_warnings():  # peft asks transformers in ways that will go
        warnings.simplefilter("ignore", FutureWarning)
        adapted: Module = get_peft_model(model, config)
    with torch.no_grad():
        for path in chosen:
            for first in adapted.get_submodule(f"base_model.model.{linear[path]}.lora_A").values():
                drawn = adapters.first_factor(seed, path, *first.weight.shape)
                first.weight.copy_(torch.from_numpy(drawn))
    adapted.eval()
    return adapted


def is_linear(module: nn.Module) -> bool:
    """Return whether a layer is a product with a matrix."""
    return isinstance(module, nn.Linear) or _is_transposed(module)


def _is_transposed(module: nn.Module) -> bool:
    """Return whether a layer is one of GPT-2's, whose matrix is ``[in, out]``."""
    return type(module).__name__ == "Conv1D"


def convert(model: Module, dtype: torch.dtype, *, keep: bool) -> None:
    """Convert a model to ``dtype``, but for the weights that are trained where ``keep`` says so."""
    with torch.no_grad():
        for one in model.parameters():
            if not (keep and one.requires_grad):
                one.data = one.data.to(dtype)
        for module in model.modules():
            for name, buffer in module.named_buffers(recurse=False):
                if buffer.is_floating_point() and "inv_freq" not in name:
                    setattr(module, name, buffer.to(dtype))
