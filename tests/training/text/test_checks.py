"""What is asked of the runs of a language model before any is trained."""

from dataclasses import replace

import psutil
import pytest

from harness.errors import UsageError
from harness.records import Conditions
from harness.training.settings import GRPOSettings
from harness.training.text import checks
from harness.training.text.anatomy import Anatomy
from harness.training.text.arithmetic import arithmetic
from harness.training.text.checks import check_runs
from harness.training.text.model_files import ModelFiles

FULL = GRPOSettings(learning_rate=1e-6, batch_size=2, generations=2, kl_coef=0.0)
LORA = replace(FULL, lora_rank=2)
TASK = arithmetic(1, held_out=8, max_tokens=5)


@pytest.fixture
def check(monkeypatch, tmp_path):
    """Check runs of a model of 1,000 weights on a machine with 100,000 bytes of free memory."""
    seen = []
    monkeypatch.setattr(checks, "lacks_text", lambda backend: [])
    monkeypatch.setattr("harness.training.backends._installed", lambda library: True)
    monkeypatch.setattr(checks, "anatomy_of", lambda *given: Anatomy(1000, {"a.up": 8}))
    monkeypatch.setattr(checks, "tokenised", lambda *given, trained: seen.append(trained))
    free = psutil.virtual_memory()._replace(available=100_000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    monkeypatch.setattr(checks, "devices_here", lambda backend: ("cpu",))

    def run(*settings, workers=1, backend="torch", device="auto", precision="float32"):
        conditions = Conditions("", "", backend, precision, device, "", "", "")
        files = ModelFiles("small", tmp_path, "")
        check_runs(conditions, files, TASK, settings, workers=workers)
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


def test_memory_is_checked_where_it_is_this_machine_s(check, monkeypatch):
    check(FULL, workers=6)
    with pytest.raises(UsageError, match=r"^model 'small' has 1,000 weights, .* for 7 workers; "):
        check(FULL, workers=7)
    with pytest.raises(UsageError, match="for 6 workers"):
        check(FULL, workers=6, precision="bfloat16")
    with pytest.raises(UsageError, match="for 7 workers"):
        check(FULL, workers=7, device="cpu")
    check(FULL, workers=None)
    check(FULL, workers=7, device="cuda")
    monkeypatch.setattr(checks, "devices_here", lambda backend: ("cpu", "cuda:0"))
    check(FULL, workers=7)


def test_without_the_backend_a_plan_asks_nothing_of_it(check, monkeypatch):
    monkeypatch.setattr(checks, "lacks_text", lambda backend: ["transformers"])
    assert check(FULL, LORA, workers=1000) == []
