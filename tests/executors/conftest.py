"""What tests of devices and their memory share."""

from __future__ import annotations

import pytest

from tests.executors.nvidia_smi import write_smi


@pytest.fixture
def smi(tmp_path, monkeypatch):
    """Have this nvidia-smi alone on the path, that prints what it is given, or fails."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)

    def write(**printed):
        monkeypatch.setenv("PATH", str(write_smi(tmp_path / "bin", **printed)))

    return write
