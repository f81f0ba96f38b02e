"""Which device a name means, on machines that this is not."""

from __future__ import annotations

import os

import pytest

from harness.errors import BackendError, UsageError
from harness.training import backends
from harness.training.backends import resolve_backend, resolve_device

BIG = ("cpu", "cuda:0", "cuda:1")


@pytest.mark.parametrize(
    ("asked", "available", "expected"),
    [
        ("auto", ("cpu",), "cpu"),
        ("auto", BIG, "cuda:0"),
        ("cpu", BIG, "cpu"),
        ("cuda", BIG, "cuda:0"),
        ("cuda:1", BIG, "cuda:1"),
    ],
)
def test_a_device_that_is_here_is_found(asked, available, expected):
    assert resolve_device(asked, available) == expected


@pytest.mark.parametrize(
    ("asked", "available"), [("cuda", ("cpu",)), ("cuda:0", ("cpu",)), ("cuda:2", BIG)]
)
def test_a_device_that_is_not_here_is_one_clear_line(asked, available):
    with pytest.raises(BackendError, match=f"device '{asked}' is not here") as caught:
        resolve_device(asked, available)
    assert str(caught.value).endswith(", ".join(available))


@pytest.mark.parametrize("asked", ["gpu", "cuda:", "cuda:x", "", "CPU", "cuda:0\n"])
def test_what_is_no_device_says_what_is(asked):
    with pytest.raises(UsageError, match="is not auto, cpu, cuda or cuda:N"):
        resolve_device(asked, BIG)


def test_a_missing_backend_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(backends, "_installed", lambda module: False)
    with pytest.raises(BackendError, match=r'pip install "pytest-sweep\[torch\]"'):
        resolve_backend("torch")
    monkeypatch.setattr(backends, "_installed", lambda module: True)
    assert resolve_backend("auto").name == "torch"


@pytest.mark.jax
def test_jax_computes_with_the_threads_that_it_is_given(monkeypatch):
    from harness.training import device_jax

    for given, threads in ((None, 1), ("3", 3), ("0", 1), ("2,1", 1)):
        if given is None:
            monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        else:
            monkeypatch.setenv("OMP_NUM_THREADS", given)
        assert device_jax.threads_given() == threads
    monkeypatch.delenv("NPROC", raising=False)
    with device_jax._frugal(3):
        assert os.environ["NPROC"] == "3"
    assert "NPROC" not in os.environ
    device = device_jax.open_device("cpu")
    assert device_jax.describe(device) == "cpu (1 thread)"
    assert device_jax.describe(device, 2) == "cpu (2 threads)"
