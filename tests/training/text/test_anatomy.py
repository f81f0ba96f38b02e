"""What a model is made of, without its weights, and the memory that its training takes."""

import contextlib
import json
from dataclasses import replace

import pytest

from harness.errors import UsageError
from harness.training.backends import Memory
from harness.training.settings import GRPOSettings
from harness.training.text.anatomy import (
    Anatomy,
    check_memory,
    of_decoder,
    training_bytes,
)
from harness.training.text.model_files import locate
from tests.training.text import tiny_models

with contextlib.suppress(ModuleNotFoundError):
    from harness.training.text.anatomy_torch import anatomy

PLAIN = GRPOSettings(learning_rate=1e-6, batch_size=4, generations=4, kl_coef=0.0)
LINEAR = {f"model.layers.{n}.{name}": 30 for n in (0, 1) for name in ("attn.q", "attn.v", "up")}
SMALL = Anatomy(weights=1000, linear=LINEAR)
GB = 2**30


@pytest.mark.parametrize(
    ("precision", "changes", "bytes_of_a_weight"),
    [
        ("float32", {}, 16),  # weight, gradient and two moments
        ("float32", {"kl_coef": 0.1}, 16 + 4),
        ("bfloat16", {}, 16 + 2),
        ("bfloat16", {"kl_coef": 0.1}, 16 + 2 + 2),
        ("float32", {"gradient_checkpointing": True}, 16),
    ],
)
def test_all_weights_in_training_take_so_many_bytes_each(precision, changes, bytes_of_a_weight):
    assert training_bytes(SMALL, replace(PLAIN, **changes), precision) == 1000 * bytes_of_a_weight


@pytest.mark.parametrize("kl_coef", [0.0, 0.1])  # without adapters the model is the reference
def test_adapters_take_little_beside_the_model(kl_coef):
    lora = replace(PLAIN, lora_rank=2, kl_coef=kl_coef)
    assert training_bytes(SMALL, lora, "float32") == 1000 * 4 + 6 * 30 * 2 * 16
    some = replace(lora, lora_modules=("q", "attn.v"))
    assert training_bytes(SMALL, some, "float32") == 1000 * 4 + 4 * 30 * 2 * 16
    assert training_bytes(SMALL, some, "bfloat16") == 1000 * 2 + 4 * 30 * 2 * 16
    # Computed in bfloat16, but read in float32.
    assert training_bytes(SMALL, replace(some, lora_rank=1), "bfloat16") == 1000 * 4


def memory(available, workers=1, kind="cpu", option="--sweep-workers"):
    return Memory(kind, available, workers, "so much is free", option)


def refused(weights, given, *, precision="float32", **changes):
    """Return what is said of a model that is too large."""
    linear = {f"layers.{n}.q": 8192 for n in range(100)}
    settings = [PLAIN, replace(PLAIN, **changes)]
    with pytest.raises(UsageError) as caught:
        check_memory("huge", Anatomy(weights, linear), settings, precision, given)
    return str(caught.value)


def test_a_model_larger_than_memory_is_refused_with_its_size_and_what_fits():
    said = refused(10**9, memory(18 * GB), kl_coef=0.1)
    assert said == (
        "model 'huge' has 1 billion weights, and training it takes at least 18.6 GiB; so much is "
        "free: take kl_coef=0 (14.9 GiB) or lora_rank=16 (3.9 GiB)"
    )
    assert refused(10**9, memory(8 * GB)).endswith(": take lora_rank=16 (3.9 GiB)")
    assert refused(10**9, memory(2 * GB)).endswith(": take a smaller model")
    lora = refused(10**9, memory(2 * GB), lora_rank=8, kl_coef=0.1)
    assert "at least 14.9 GiB" in lora  # the runs without adapters are the largest


def test_of_several_workers_as_many_as_fit_are_proposed():
    said = refused(10**8, memory(4 * GB, workers=4))
    assert "1.5 GiB, 6.0 GiB for 4 workers; so much is free: " in said
    assert "take --sweep-workers 2 or lora_rank=16 (0" not in said
    assert said.split(": ")[-1].startswith("take --sweep-workers 2 or lora_rank=16 (")
    said = refused(10**8, memory(4 * GB, workers=4, kind="cuda", option="--sweep-per-gpu"))
    assert "so much is free: take --sweep-per-gpu 2 or " in said


def test_a_gpu_need_not_have_weights_in_float32_that_it_computes_with_in_bfloat16():
    given = Anatomy(10**9, {"layers.0.q": 8192}), [replace(PLAIN, lora_rank=2)], "bfloat16"
    with pytest.raises(UsageError, match=r"at least 3\.7 GiB; "):
        check_memory("m", *given, memory(3 * GB))
    check_memory("m", *given, memory(3 * GB, kind="cuda"))
    with pytest.raises(UsageError, match=r"at least 1\.9 GiB; "):
        check_memory("m", *given, memory(GB, kind="cuda"))


def test_what_just_fits_is_not_refused():
    one = training_bytes(SMALL, PLAIN, "float32")
    check_memory("m", SMALL, [PLAIN], "float32", memory(3 * one, workers=3))
    with pytest.raises(UsageError, match="take --sweep-workers 2"):
        check_memory("m", SMALL, [PLAIN], "float32", memory(3 * one - 1, workers=3))


# ---- a model by its config -----------------------------------------------------------------------


@pytest.mark.trl
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["llama", "llama3", "qwen2", "qwen3", "gpt2"])
def test_both_backends_see_in_a_config_what_the_model_has(tiny_model, kind):
    from torch import nn

    files = locate(str(tiny_model(kind)), tiny_model(kind).parent)
    built = tiny_models.build(kind)
    head = built.get_output_embeddings()
    linear = {
        name: sum(module.weight.shape)
        for name, module in built.named_modules()
        if isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D"
        if module is not head
    }
    seen, ours = anatomy(files), of_decoder(files)
    assert seen == Anatomy(sum(one.numel() for one in built.parameters()), linear)
    assert ours.weights == seen.weights
    assert sorted(ours.linear.values()) == sorted(seen.linear.values())
    assert all(any(path.endswith(f".{name}") for path in seen.linear) for name in ours.linear)


@pytest.mark.trl
@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model_type": "newllm"}, "is no causal language model .*`newllm`"),
        ({"model_type": "t5", "architectures": None}, "is no causal language model .*T5Config"),
        ({"hidden_size": "wide"}, "is no causal language model"),
    ],
)
def test_what_transformers_cannot_make_is_refused_in_one_line(tiny_model, tmp_path, changes, said):
    config = json.loads((tiny_model() / "config.json").read_text()) | changes
    for file in tiny_model().iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UsageError, match=said) as caught:
        anatomy(locate(str(tmp_path), tmp_path))
    assert "\n" not in str(caught.value)
