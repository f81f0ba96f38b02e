"""What a model of transformers is made of, for `anatomy`. Reads no weights."""

from __future__ import annotations

import torch

from harness.errors import UsageError, first_sentence
from harness.training.text.anatomy import Anatomy
from harness.training.text.loading_torch import is_linear
from harness.training.text.model_files import ModelFiles


def anatomy(files: ModelFiles) -> Anatomy:
    """Return what the model in ``files`` is made of, as its config describes it.

    Raises
    ------
    UsageError
        Where transformers has no causal language model for the config.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    where = {"gguf_file": files.gguf} if files.gguf else {}
    try:
        config = AutoConfig.from_pretrained(files.folder, **where)
        with torch.device("meta"):  # shapes, and no memory
            model = AutoModelForCausalLM.from_config(config)
    except Exception as error:  # noqa: BLE001  of whatever the model's own code does with its config
        raise UsageError(
            f"model {files.name!r} is no causal language model that transformers can make: "
            f"{first_sentence(error)}"
        ) from None
    head = model.get_output_embeddings()
    linear = {
        name: sum(module.weight.shape)
        for name, module in model.named_modules()
        if module is not head and is_linear(module)
    }
    # A weight that two modules share is met once.
    return Anatomy(sum(one.numel() for one in model.parameters()), linear)
