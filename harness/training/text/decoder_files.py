"""Read a checkpoint of transformers for `harness.training.text.decoder_jax`: NumPy alone, no Torch.

Llama, Mistral without a sliding window, Qwen2, Qwen3 and GPT-2 differ in few things; `Architecture`
names them. What is not known is refused: a decoder that leaves out one setting still talks, and no
test of the training would notice.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.errors import UsageError
from harness.records import is_number, is_whole
from harness.text import listed, plural

Config = Mapping[str, Any]
"""The content of a ``config.json``."""

Arrays = dict[str, npt.NDArray[Any]]

ACTIVATIONS = ("silu", "swish", "gelu", "gelu_new", "gelu_pytorch_tanh", "relu")
"""The activations that are computed, by transformers' names."""

ROTARY = ("default", "linear", "llama3")
"""The kinds of scaling of rotary positions that are computed, by transformers' names."""

MODULES = {
    "q_proj": "q",
    "k_proj": "k",
    "v_proj": "v",
    "o_proj": "o",
    "gate_proj": "gate",
    "up_proj": "up",
    "down_proj": "down",
}
"""The linear layers of a Llama or Qwen by transformers' names, and ours."""

GPT2_MODULES = {"attn.c_attn": "qkv", "attn.c_proj": "o", "mlp.c_fc": "up", "mlp.c_proj": "down"}
"""The linear layers of GPT-2 by transformers' names, and ours."""

_OWNERS = {
    **dict.fromkeys(("q_proj", "k_proj", "v_proj", "o_proj"), "self_attn"),
    **dict.fromkeys(("gate_proj", "up_proj", "down_proj"), "mlp"),
}


@dataclass(frozen=True, slots=True)
class Architecture:
    """What a decoder computes. It can be hashed: programs are compiled for each.

    ``heads`` are those of the queries, ``groups`` those of keys and values, each of ``size``
    features. ``rotary`` has the angles per position, ``[size / 2]`` in radians, or is None where
    positions are learned; such a model has layer norms with biases, and others RMS norms.
    ``biased`` are the linear layers with a bias. ``tied`` says that the head is the embedding.
    """

    kind: str
    vocabulary: int
    width: int
    layers: int
    heads: int
    groups: int
    size: int
    inner: int
    context: int
    epsilon: float
    activation: str
    rotary: tuple[float, ...] | None
    biased: tuple[str, ...]
    qk_norm: bool
    tied: bool

    @property
    def modules(self) -> Mapping[str, str]:
        """The linear layers by transformers' names, and ours."""
        return GPT2_MODULES if self.rotary is None else MODULES

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of each tensor by our name; those of a layer begin with ``layers.``.

        Matrices are ``[out, in]``.
        """
        width, inner = self.width, self.inner
        query, key = self.heads * self.size, self.groups * self.size
        if self.rotary is None:
            matrices = {"qkv": (query + 2 * key, width), "o": (width, query)}
        else:
            matrices = {
                "q": (query, width),
                "k": (key, width),
                "v": (key, width),
                "o": (width, query),
                "gate": (inner, width),
            }
        matrices |= {"up": (inner, width), "down": (width, inner)}
        own: dict[str, tuple[int, ...]] = {**matrices}
        own |= {f"{name}_bias": matrices[name][:1] for name in self.biased}
        norms = {"attention_norm": (width,), "mlp_norm": (width,)}
        if self.qk_norm:
            norms |= {"q_norm": (self.size,), "k_norm": (self.size,)}
        top: dict[str, tuple[int, ...]] = {"embed": (self.vocabulary, width), "norm": (width,)}
        if self.rotary is None:
            top |= {"position": (self.context, width), "norm_bias": (width,)}
            norms |= {"attention_norm_bias": (width,), "mlp_norm_bias": (width,)}
        if not self.tied:
            top["head"] = (self.vocabulary, width)
        return top | {f"layers.{name}": shape for name, shape in (own | norms).items()}

    def tensors(self) -> dict[str, str]:
        """Return the names of all tensors in a checkpoint, and ours; layers as ``layers.N.NAME``.

        The prefix ``model.`` or ``transformer.``, which some checkpoints lack, is left out.
        """
        if self.rotary is None:
            top = {"wte": "embed", "wpe": "position", "ln_f": "norm"}
            layer, norms = "h", {"ln_1": "attention_norm", "ln_2": "mlp_norm"}
            modules = GPT2_MODULES
        else:
            top = {"embed_tokens": "embed", "norm": "norm"}
            layer = "layers"
            norms = {"input_layernorm": "attention_norm", "post_attention_layernorm": "mlp_norm"}
            if self.qk_norm:
                norms |= {"self_attn.q_norm": "q_norm", "self_attn.k_norm": "k_norm"}
            modules = {f"{_OWNERS[name]}.{name}": ours for name, ours in MODULES.items()}
        shapes = self.shapes()
        parts = {theirs: ("", ours) for theirs, ours in top.items()}
        for index in range(self.layers):
            for theirs, ours in (modules | norms).items():
                parts[f"{layer}.{index}.{theirs}"] = (f"layers.{index}.", ours)
        found = {}
        for theirs, (within, ours) in parts.items():
            place = "layers." if within else ""
            found[f"{theirs}.weight"] = f"{within}{ours}"
            if f"{place}{ours}_bias" in shapes:
                found[f"{theirs}.bias"] = f"{within}{ours}_bias"
        return found if self.tied else found | {"lm_head.weight": "head"}


_CLASSES = {
    "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
    "gpt2": "GPT2LMHeadModel",
}
"""The architectures that are known, by ``model_type``."""

_BUFFERS = ("rotary_emb.inv_freq", "attn.bias", "attn.masked_bias")
"""Ends of names of tensors that hold no weights."""


def _refuse(name: str, setting: str, value: object, known: str) -> UsageError:
    return UsageError(
        f"model {name!r}: {setting} is {value!r}; the JAX backend computes {known}: use "
        "--sweep-backend torch"
    )


def architecture(config: Config, name: str) -> Architecture:
    """Return the architecture that ``config`` describes; ``name`` is the model's, for messages.

    Settings that are absent have transformers' defaults.

    Raises
    ------
    UsageError
        Where it has a setting that the decoder does not know, or lacks a size.
    """
    kind = config.get("model_type")
    if kind not in _CLASSES:
        raise _refuse(name, "model_type", kind, f"{', '.join(_CLASSES)}")
    classes = config.get("architectures") or [_CLASSES[kind]]
    if list(classes) != [_CLASSES[kind]]:
        raise _refuse(name, "architectures", classes, f"{_CLASSES[kind]} for {kind}")
    for setting in ("quantization_config", "auto_map"):
        if config.get(setting) is not None:
            what = "weights as they are" if setting == "quantization_config" else "no other code"
            raise _refuse(name, setting, config[setting], what)
    return (_gpt2 if kind == "gpt2" else _llama)(config, name)


def _whole(config: Config, name: str, setting: str, default: int | None = None) -> int:
    """Return a size of at least 1; where it is None or absent the default, if there is one."""
    value = config.get(setting)
    if value is None:
        value = default
    if not is_whole(value) or value < 1:
        raise UsageError(
            f"model {name!r}: {setting} in config.json is {value!r}; expected a whole number of at "
            "least 1"
        )
    return int(value)


def _decimal(config: Config, name: str, setting: str, default: float | None = None) -> float:
    """Return a number above 0; where it is None or absent the default, if there is one."""
    value = config.get(setting)
    if value is None:
        value = default
    if not is_number(value) or not 0 < value < math.inf:
        raise UsageError(
            f"model {name!r}: {setting} in config.json is {value!r}; expected a number above 0"
        )
    return float(value)


def _activation(config: Config, name: str, setting: str, default: str) -> str:
    value = config.get(setting, default)
    if value not in ACTIVATIONS:
        raise _refuse(name, setting, value, ", ".join(ACTIVATIONS))
    return str(value)


def _gpt2(config: Config, name: str) -> Architecture:
    neutral = {
        "add_cross_attention": False,
        "scale_attn_weights": True,
        "scale_attn_by_inverse_layer_idx": False,
    }
    for setting, known in neutral.items():
        if config.get(setting, known) is not known:
            raise _refuse(name, setting, config[setting], str(known))
    width, heads = _whole(config, name, "n_embd"), _whole(config, name, "n_head")
    if width % heads:
        raise _refuse(name, "n_head", heads, f"a divisor of n_embd ({width})")
    return Architecture(
        kind="gpt2",
        vocabulary=_whole(config, name, "vocab_size"),
        width=width,
        layers=_whole(config, name, "n_layer"),
        heads=heads,
        groups=heads,
        size=width // heads,
        inner=_whole(config, name, "n_inner", 4 * width),
        context=_whole(config, name, "n_positions"),
        epsilon=_decimal(config, name, "layer_norm_epsilon", 1e-5),
        activation=_activation(config, name, "activation_function", "gelu_new"),
        rotary=None,
        biased=("qkv", "o", "up", "down"),
        qk_norm=False,
        tied=bool(config.get("tie_word_embeddings", True)),
    )


def _llama(config: Config, name: str) -> Architecture:
    kind = config["model_type"]
    window = config.get("sliding_window", 4096 if kind == "mistral" else None)
    if window is not None and (kind in ("llama", "mistral") or config.get("use_sliding_window")):
        raise _refuse(name, "sliding_window", window, "attention over all tokens")
    others = sorted(set(config.get("layer_types") or ()) - {"full_attention"})
    if others:
        raise _refuse(name, "layer_types", others[0], "full_attention")
    width, heads = _whole(config, name, "hidden_size"), _whole(config, name, "num_attention_heads")
    groups = _whole(config, name, "num_key_value_heads", 32 if kind == "qwen2" else heads)
    if heads % groups:
        known = f"a divisor of num_attention_heads ({heads})"
        raise _refuse(name, "num_key_value_heads", groups, known)
    size = _whole(config, name, "head_dim", 128 if kind == "qwen3" else width // heads)
    if size % 2:
        raise _refuse(name, "head_dim", size, "an even number")
    biased: tuple[str, ...] = ("q", "k", "v") if kind == "qwen2" else ()
    if kind in ("llama", "qwen3") and config.get("attention_bias"):
        biased = ("q", "k", "v", "o")
    if kind == "llama" and config.get("mlp_bias"):
        biased = (*biased, "gate", "up", "down")
    return Architecture(
        kind=kind,
        vocabulary=_whole(config, name, "vocab_size"),
        width=width,
        layers=_whole(config, name, "num_hidden_layers"),
        heads=heads,
        groups=groups,
        size=size,
        inner=_whole(config, name, "intermediate_size"),
        context=_whole(config, name, "max_position_embeddings"),
        epsilon=_decimal(config, name, "rms_norm_eps", 1e-6),
        activation=_activation(config, name, "hidden_act", "silu"),
        rotary=_rotary(config, name, size),
        biased=biased,
        qk_norm=kind == "qwen3",
        tied=bool(config.get("tie_word_embeddings", False)),
    )


def _rotary(config: Config, name: str, size: int) -> tuple[float, ...]:
    """Return the angles per position of rotary embeddings, as transformers scales them.

    Su et al., RoFormer, 2021 (arXiv:2104.09864), equation 15; positions divided by a factor (Chen
    et al., 2023, arXiv:2306.15595); and Llama 3.1's, which divides low frequencies alone.
    """
    given = {**(config.get("rope_scaling") or {}), **(config.get("rope_parameters") or {})}
    kind = given.get("rope_type", given.get("type", "default"))
    if kind not in ROTARY:
        raise _refuse(name, "rope_type", kind, ", ".join(ROTARY))
    share = given.get("partial_rotary_factor", config.get("partial_rotary_factor"))
    if share not in (None, 1):
        raise _refuse(name, "partial_rotary_factor", share, "1, rotation of whole heads")
    base = _decimal({"rope_theta": config.get("rope_theta")} | given, name, "rope_theta", 1e4)
    angles = 1.0 / base ** (np.arange(0, size, 2, dtype=np.float32) / np.float32(size))
    angles = angles.astype(np.float32)
    if kind == "linear":
        angles /= np.float32(_decimal(given, name, "factor"))
    if kind == "llama3":
        factor, low, high = (
            _decimal(given, name, setting)
            for setting in ("factor", "low_freq_factor", "high_freq_factor")
        )
        context = _whole(config, name, "max_position_embeddings")
        original = _whole(given, name, "original_max_position_embeddings", context)
        turns = original * angles / np.float32(2 * math.pi)  # over the original context
        mixed = np.clip((turns - low) / (high - low), 0.0, 1.0)
        angles = (1 - mixed) * angles / factor + mixed * angles
    return tuple(angles.astype(np.float32).tolist())


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
                    raise _refuse(name, f"the type of tensor {key}", kind, known)
                yield key, file.get_tensor(key)
    except (OSError, SafetensorError) as error:
        raise UsageError(f"model {name!r}: {path} cannot be read ({error})") from error
