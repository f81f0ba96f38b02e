"""What is asked of the runs of a language model before any is trained."""

from dataclasses import replace

import pytest

from harness.errors import UsageError
from harness.records import Conditions
from harness.training.backends import Memory
from harness.training.settings import GRPOSettings
from harness.training.text import checks
from harness.training.text.anatomy import Anatomy
from harness.training.text.arithmetic import arithmetic
from harness.training.text.checks import check_runs
from harness.training.text.model_files import ModelFiles

FULL = GRPOSettings(learning_rate=1e-6, batch_size=2, generations=2, kl_coef=0.0)
LORA = replace(FULL, lora_rank=2)
TASK = arithmetic(1, held_out=8, max_tokens=5)

CPU = Memory("cpu", 100_000, 1, "so much is free", "--sweep-workers")
GPU = Memory("cuda", 100_000, 1, "the GPU has so much", "--sweep-per-gpu")
SIX, SEVEN = replace(CPU, runs=6), replace(CPU, runs=7)
SIX_ON_GPU, SEVEN_ON_GPU = replace(GPU, runs=6), replace(GPU, runs=7)


@pytest.fixture
def check(monkeypatch, tmp_path):
    """Check runs of a model of 1,000 weights, by default where 100,000 bytes are free."""
    seen = []
    monkeypatch.setattr(checks, "lacks_text", lambda backend: [])
    monkeypatch.setattr("harness.training.backends._installed", lambda library: True)
    monkeypatch.setattr(checks, "anatomy_of", lambda *given: Anatomy(1000, {"a.up": 8}))
    monkeypatch.setattr(checks, "tokenised", lambda *given, trained: seen.append(trained))
    monkeypatch.setattr(checks, "devices_here", lambda backend: ("cpu",))

    def run(*settings, memory=(CPU,), backend="torch", device="auto", precision="float32"):
        conditions = Conditions("", "", backend, precision, device, "", "", "")
        files = ModelFiles("small", tmp_path, "")
        check_runs(conditions, files, TASK, settings, memory)
        return seen

    return run


def test_the_longest_completion_of_all_runs_must_fit(check):
    longer = replace(FULL, max_tokens=7)
    assert check(FULL, longer) == [7]
    assert check(FULL, replace(FULL, max_tokens=3)) == [7, 5]
    assert check(replace(FULL, max_tokens=3)) == [7, 5, 3]


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_layers_to_adapt_must_be_there(check, backend):
    check(replace(LORA, lora_modules="up"), backend=backend)
    check(replace(FULL, lora_modules="down"), backend=backend)  # nothing is adapted
    with pytest.raises(UsageError, match=r"^lora_modules has 'down'; the linear layers of this"):
        check(FULL, replace(LORA, lora_modules=("up", "down")), backend=backend)


def test_adapters_on_torch_need_peft(check, monkeypatch):
    monkeypatch.setattr("harness.training.backends._installed", lambda name: name != "peft")
    check(LORA, backend="jax")
    check(FULL)
    with pytest.raises(UsageError, match=r'need peft; run: pip install "pytest-sweep\[hf\]"$'):
        check(FULL, LORA)


def test_the_model_must_fit_in_the_memory_of_this_machine(check):
    check(FULL, memory=[SIX])
    with pytest.raises(UsageError, match=r"^model 'small' has 1,000 weights, .* for 7 workers; "):
        check(FULL, memory=[SEVEN])
    with pytest.raises(UsageError, match="for 6 workers"):
        check(FULL, memory=[SIX], precision="bfloat16")
    with pytest.raises(UsageError, match="for 7 workers"):
        check(FULL, memory=[SEVEN], device="cpu")
    check(FULL, memory=[])


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_the_model_must_fit_in_the_memory_of_the_gpu(check, device):
    check(FULL, memory=[SIX_ON_GPU], device=device)
    said = "for 7 workers; the GPU has so much: take --sweep-per-gpu 6 or "
    with pytest.raises(UsageError, match=said):
        check(FULL, memory=[SEVEN_ON_GPU], device=device)


@pytest.mark.parametrize(
    ("here", "memory", "said"),
    [
        (("cpu",), [SIX, SEVEN_ON_GPU], ""),  # a build for the CPU beside a GPU
        (("cpu",), [SEVEN, SIX_ON_GPU], "so much is free"),
        (("cpu", "cuda:0"), [SEVEN, SIX_ON_GPU], ""),
        (("cpu", "cuda:0"), [SIX, SEVEN_ON_GPU], "the GPU has so much"),
        (("cpu", "cuda:0"), [SEVEN, SEVEN_ON_GPU], "the GPU has so much"),
        (("cpu", "cuda:0"), [SEVEN], ""),
        (("cpu", "tpu:0"), [SEVEN, SEVEN_ON_GPU], ""),
    ],
)
def test_without_a_named_device_the_memory_is_that_which_the_backend_computes_in(
    check, monkeypatch, here, memory, said
):
    asked = []
    monkeypatch.setattr(checks, "devices_here", lambda backend: asked.append(backend) or here)
    if said:
        with pytest.raises(UsageError, match=f"; {said}: take --sweep-"):
            check(FULL, memory=memory, backend="jax")
    else:
        check(FULL, memory=memory, backend="jax")
    assert asked == ["jax"]


def test_the_backend_is_not_asked_for_its_devices_where_all_fits(check, monkeypatch):
    monkeypatch.setattr(checks, "devices_here", lambda backend: pytest.fail("it takes seconds"))
    check(FULL, memory=[SIX, SIX_ON_GPU])
    check(FULL, memory=[SIX], device="cpu")
    with pytest.raises(UsageError, match="so much is free"):
        check(FULL, memory=[SEVEN], device="cpu")


def test_without_the_backend_a_plan_asks_nothing_of_it(check, monkeypatch):
    monkeypatch.setattr(checks, "lacks_text", lambda backend: ["transformers"])
    assert check(FULL, LORA, memory=[replace(CPU, runs=1000)]) == []
