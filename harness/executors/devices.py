"""Find the GPUs of this machine, choose some, and give one to a process."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from harness.errors import UsageError

VISIBLE = "CUDA_VISIBLE_DEVICES"
ORDER = "CUDA_DEVICE_ORDER"

JAX_SHARE = 0.9
"""The part of a GPU's memory that all JAX programs on it may take together."""

_PATIENCE = 60.0
_GPU = re.compile(r"GPU (\d+): ")
_SLICE = re.compile(r"\s+MIG (\S+)\s+Device\s+(\d+): \(UUID: (\S+)\)")


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU, or a MIG instance of one.

    ``index`` is nvidia-smi's, with ``1:0`` for the first instance of GPU 1. ``memory`` is in bytes,
    or None if unknown.
    """

    index: str
    uuid: str
    name: str
    memory: int | None

    def __str__(self) -> str:
        size = "" if self.memory is None else f", {self.memory / 2**30:.0f} GiB"
        return f"{self.index} ({self.uuid}, {self.name}{size})"


def devices() -> tuple[Device, ...]:
    """Return the GPUs of this machine, with MIG instances in place of a GPU that is divided.

    nvidia-smi lists them: it comes with the driver and needs no library. Raises `UsageError` if it
    cannot.
    """
    fields = "--query-gpu=index,uuid,name,memory.total"
    gpus = [_device(line) for line in _ask(fields, "--format=csv,noheader").splitlines() if line]
    parts = _slices(_ask("--list-gpus"), {gpu.index: gpu for gpu in gpus})
    return tuple(device for gpu in gpus for device in parts.get(gpu.index) or [gpu])


def chosen(asked: int | Sequence[str]) -> tuple[Device, ...]:
    """Return the first ``asked`` GPUs, or those that it names by index or UUID.

    If ``CUDA_VISIBLE_DEVICES`` is set, only its GPUs count, in its order. Raises `UsageError` if
    there are not enough, or not these. The message names those that are here.
    """
    setting = os.environ.get(VISIBLE)
    found = visible(devices(), setting)
    left = "" if setting is None else f" ({VISIBLE} is {setting!r})"
    here = f"there are {len(found)} GPUs here{left}: {', '.join(map(str, found))}"
    if len(found) < 2:
        here = f"there is {f'1 GPU here{left}: {found[0]}' if found else f'no GPU here{left}'}"
    if isinstance(asked, int):
        if asked > len(found):
            raise UsageError(f"{asked} GPUs were asked for, but {here}")
        return found[:asked]
    named: dict[str, Device] = {}
    for entry in asked:
        matches = _named(entry, found)
        if not matches:
            raise UsageError(f"GPU {entry!r} is not the index or UUID of one; {here}")
        named.update((device.uuid, device) for device in matches)
    return tuple(named.values())


def visible(found: Sequence[Device], setting: str | None) -> tuple[Device, ...]:
    """Return the devices that a value of ``CUDA_VISIBLE_DEVICES`` leaves; None leaves all.

    As in CUDA, an entry that names none of them hides those after it.
    """
    if setting is None:
        return tuple(found)
    left: dict[str, Device] = {}
    for entry in setting.split(","):
        matches = _named(entry.strip(), found)
        if not matches:
            break
        left.update((device.uuid, device) for device in matches)
    return tuple(left.values())


def of_cuda(number: int) -> Device | None:
    """Return the GPU that this process sees as ``cuda:number``; None where it is not known.

    By default CUDA puts the fastest GPU first, and nvidia-smi does not say which that is. So of
    different GPUs this is the largest: what does not fit there fits on none.
    """
    try:
        here = devices()
    except UsageError:  # there is no driver
        return None
    seen = visible(here, os.environ.get(VISIBLE))
    if number >= len(seen):
        return None
    alike = len({(device.name, device.memory) for device in here}) == 1
    if alike or os.environ.get(ORDER) == "PCI_BUS_ID":
        return seen[number]
    sizes = {device: device.memory for device in here if device.memory is not None}
    return max(sizes, key=sizes.__getitem__) if len(sizes) == len(here) else None


def environment(device: Device, sharers: int) -> dict[str, str]:
    """Return the variables with which a process sees only ``device``, shared by ``sharers``.

    By default JAX takes most of a GPU's memory at once. With these variables a process takes what
    it needs, up to its share. They leave out what the user has set.
    """
    ours = {VISIBLE: device.uuid}
    if "XLA_PYTHON_CLIENT_PREALLOCATE" not in os.environ:
        ours["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    fraction = "XLA_PYTHON_CLIENT_MEM_FRACTION"
    if not {fraction, "XLA_CLIENT_MEM_FRACTION"} & os.environ.keys():
        ours[fraction] = f"{JAX_SHARE / sharers:.3f}"
    return ours


def _ask(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["nvidia-smi", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
            check=True,
        )
    except OSError as error:
        raise UsageError(
            f"nvidia-smi, which lists the GPUs, cannot be run ({error.strerror}): "
            "install NVIDIA's driver, or leave --sweep-gpus out"
        ) from None
    except subprocess.TimeoutExpired:
        raise UsageError(
            f"nvidia-smi does not list the GPUs: no answer in {_PATIENCE:g} s"
        ) from None
    except subprocess.CalledProcessError as error:
        said = " ".join((error.stdout + error.stderr).split()) or f"exit code {error.returncode}"
        raise UsageError(f"nvidia-smi does not list the GPUs: {said}") from None
    return done.stdout


def _device(line: str) -> Device:
    try:
        index, uuid, name, memory = (field.strip() for field in line.split(","))
    except ValueError:
        raise UsageError(f"nvidia-smi does not list the GPUs: {line.strip()}") from None
    amount = re.fullmatch(r"(\d+) MiB", memory)
    return Device(index, uuid, name, int(amount[1]) * 2**20 if amount else None)


def _slices(listing: str, gpus: dict[str, Device]) -> dict[str, list[Device]]:
    """Return the MIG instances that ``nvidia-smi --list-gpus`` prints, by their GPU's index."""
    found: dict[str, list[Device]] = {}
    gpu = ""
    for line in listing.splitlines():
        if head := _GPU.match(line):
            gpu = head[1]
        elif (part := _SLICE.match(line)) and gpu in gpus:
            profile, number, uuid = part.groups()
            size = re.search(r"\.(\d+)gb", profile)
            memory = int(size[1]) * 2**30 if size else None
            name = f"{gpus[gpu].name} MIG {profile}"
            found.setdefault(gpu, []).append(Device(f"{gpu}:{number}", uuid, name, memory))
    return found


def _named(entry: str, found: Sequence[Device]) -> list[Device]:
    """Return the devices with this index, this UUID, or a UUID that begins with it."""
    if entry.startswith(("GPU-", "MIG-")):
        matches = [device for device in found if device.uuid.startswith(entry)]
        return matches if len(matches) == 1 else []
    return [device for device in found if entry in (device.index, device.index.split(":")[0])]
