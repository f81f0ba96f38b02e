"""Which backend and which device a name means, on machines that this is not."""

from __future__ import annotations

import sys

import pytest

from harness.errors import BackendError, UsageError
from harness.training import backends
from harness.training.backends import (
    BACKENDS,
    Backend,
    choice,
    require_device,
    resolve_backend,
    resolve_device,
)
from harness.training.settings import program

TORCH = {"torch", "safetensors"}
JAX = {"jax", "optax", "safetensors"}


@pytest.fixture
def here(monkeypatch):
    """Return a function that makes some modules the only ones installed."""

    def install(*modules):
        monkeypatch.setattr(backends, "_installed", lambda module: module in modules)

    return install


# ---- backends -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("installed", "chosen"),
    [
        (TORCH | JAX, "torch"),
        (TORCH, "torch"),
        (JAX, "jax"),
        (JAX | {"torch"}, "torch"),
        (JAX - {"optax"} | TORCH, "torch"),
    ],
)
def test_auto_is_the_first_whose_libraries_are_all_here(here, installed, chosen):
    here(*installed)
    assert resolve_backend("auto").name == chosen


def test_half_a_backend_is_none(here):
    here("torch", *JAX - {"safetensors"})
    assert resolve_backend("auto", needed=False)
    with pytest.raises(BackendError, match="torch lacks safetensors; jax lacks safetensors"):
        resolve_backend("auto")


def test_where_none_is_here_both_extras_are_offered(here):
    here()
    with pytest.raises(BackendError) as caught:
        resolve_backend("auto")
    assert str(caught.value) == (
        "no training backend is installed (torch lacks torch and safetensors; jax lacks jax, optax "
        'and safetensors); run: pip install "pytest-sweep[torch]" or '
        'pip install "pytest-sweep[jax]"'
    )
    assert resolve_backend("auto", needed=False).name == "torch"


@pytest.mark.parametrize(
    ("name", "installed", "said"),
    [
        ("jax", {"jax"}, "backend 'jax': optax and safetensors are not installed"),
        ("jax", {"jax", "safetensors"}, "backend 'jax': optax is not installed"),
        ("jax", set(), "backend 'jax': jax, optax and safetensors are not installed"),
        ("torch", {"torch"}, "backend 'torch': safetensors is not installed"),
    ],
)
def test_what_a_backend_lacks_comes_with_the_line_that_installs_it(here, name, installed, said):
    here(*installed)
    with pytest.raises(BackendError) as caught:
        resolve_backend(name)
    assert str(caught.value) == f'{said}; run: pip install "pytest-sweep[{name}]"'
    assert resolve_backend(name, needed=False).name == name


@pytest.mark.parametrize(
    ("asked", "name", "installed", "said"),
    [
        ("torch", "torch", TORCH | JAX, "torch"),
        ("auto", "torch", TORCH, "torch (auto)"),
        ("auto", "torch", TORCH | JAX, "torch (auto; jax is installed too)"),
        ("auto", "jax", JAX, "jax (auto)"),
        ("auto", "torch", set(), "torch (auto; none is installed here)"),
    ],
)
def test_a_choice_says_how_it_was_made(here, asked, name, installed, said):
    here(*installed)
    assert choice(asked, name) == said


def test_an_extra_has_what_its_backend_needs():
    import re
    import tomllib
    from pathlib import Path

    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    extras = tomllib.loads(text)["project"]["optional-dependencies"]
    for name, backend in BACKENDS.items():
        offered = {re.split(r"[<>=\[]", one)[0] for one in extras[name]}
        assert set(backend.libraries) == offered


# ---- programs -----------------------------------------------------------------------------------


def test_runs_of_one_shape_share_a_program_whatever_else_differs():
    config = {"batch_size": 8, "generations": 16, "learning_rate": 1e-7}
    named = program("jax", config)
    assert named
    assert program("jax", config | {"learning_rate": 2e-7, "warmup_steps": 30}) == named
    assert program("jax", config | {"generations": 24}) != named
    assert program("jax", config | {"microbatch": 4}) != named


@pytest.mark.parametrize("backend", ["torch", "own"])
def test_what_compiles_nothing_has_no_program(backend):
    assert program(backend, {"batch_size": 8, "generations": 16}) == ""
    assert program(backend, {"anything": 1}) == ""


# ---- devices ------------------------------------------------------------------------------------

BIG = ("cpu", "cuda:0", "cuda:1")
POD = ("cpu", "tpu:0", "tpu:1")


@pytest.mark.parametrize(
    ("asked", "available", "expected"),
    [
        ("auto", POD, "tpu:0"),
        ("tpu", POD, "tpu:0"),
        ("tpu:1", POD, "tpu:1"),
        ("cuda", ("cpu", "tpu:0", "cuda:3"), "cuda:3"),
        ("tpu", ("cpu", "cuda:0", "tpu:2"), "tpu:2"),
    ],
)
def test_a_bare_kind_is_the_first_of_that_kind(asked, available, expected):
    assert resolve_device(asked, available) == expected


@pytest.mark.parametrize(
    ("asked", "available"), [("tpu", BIG), ("cuda", POD), ("tpu:2", POD), ("tpu", ("cpu",))]
)
def test_another_kind_will_not_do(asked, available):
    with pytest.raises(BackendError, match=f"device '{asked}' is not here; this machine has cpu"):
        resolve_device(asked, available)


@pytest.mark.parametrize("asked", ["tpu:", "tpu:x", "tpux", "tpu0", "tpu:0\n"])
def test_what_is_no_device_is_refused(asked):
    with pytest.raises(UsageError, match="is not auto, cpu, cuda or cuda:N, tpu or tpu:N"):
        resolve_device(asked, POD)


@pytest.fixture
def backend(tmp_path, monkeypatch):
    """Make the devices of a backend called ``fake`` be what ``code`` says."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(code, name="fake_devices"):
        (tmp_path / f"{name}.py").write_text(f"def available_devices():\n    {code}\n")
        monkeypatch.setitem(BACKENDS, "fake", Backend("fake", (), "t:f", name))
        return "fake"

    yield make
    backends._found.cache_clear()


def test_a_backend_is_asked_for_its_devices_in_a_process_of_its_own(backend):
    fake = backend("print('hello')\n    return ('cpu', 'tpu:0')")
    require_device("tpu:0", fake)
    require_device("tpu", fake)
    with pytest.raises(BackendError, match="device 'cuda' is not here; this machine has cpu, tpu"):
        require_device("cuda", fake)
    assert "fake_devices" not in sys.modules


def test_a_project_s_own_harness_is_not_taken_for_ours(backend, tmp_path):
    (tmp_path / "harness.py").write_text("theirs = 1")
    require_device("tpu:0", backend("import harness.errors\n    return ('cpu', 'tpu:0')"))


def test_auto_and_the_cpu_are_not_asked_for(backend):
    fake = backend("raise SystemExit('asked')")
    for asked in ("auto", "cpu"):
        require_device(asked, fake)
    with pytest.raises(UsageError, match="did you mean 'cuda'"):
        require_device("cudaa", fake)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise RuntimeError('libcuda is of another version')", "libcuda is of another version"),
        ("import os; os._exit(3)", "exit code 3"),
        ("import time; time.sleep(60)", "no answer in 1 s"),
    ],
)
def test_a_backend_that_cannot_say_is_one_line(backend, monkeypatch, code, said):
    monkeypatch.setattr(backends, "_PATIENCE", 1.0)
    with pytest.raises(BackendError) as caught:
        require_device("cuda", backend(code))
    text = str(caught.value)
    assert text.startswith("backend 'fake' cannot list the devices: ")
    assert said in text
    assert "\n" not in text
