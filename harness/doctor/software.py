"""The software: versions, what a backend lacks, and whether the tasks are there."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib import metadata

from packaging.requirements import Requirement

from harness.doctor.check import Check
from harness.training.backends import BACKENDS, missing_libraries, pip
from harness.training.tasks import TASKS

_PACKAGE = "pytest-sweep"
_SHOWN = ("pytest", "sqlalchemy", "numpy", "scipy")


def versions() -> Iterator[Check]:
    """Yield the versions of what is needed in any case, and what of it is missing or too old."""
    shown = [f"{name} {_version(name) or 'missing'}" for name in (_PACKAGE, *_SHOWN)]
    wanting = [text for text in _requirements() if not _met(Requirement(text))]
    quoted = " ".join(f'"{text}"' for text in wanting)
    yield Check(
        "versions",
        f"Python {platform.python_version()}, {', '.join(shown)}"
        + (f"; not as needed: {', '.join(wanting)}" if wanting else ""),
        "error" if wanting else "ok",
        f"pip install {quoted}" if wanting else "",
    )


def backends() -> Iterator[Check]:
    """Yield for each backend what it has, or lacks; a warning where none has all it needs."""
    missing = {name: missing_libraries(backend) for name, backend in BACKENDS.items()}
    none = all(missing.values())
    for name, backend in BACKENDS.items():
        has = [f"{library} {_version(library)}" for library in backend.libraries
               if library not in missing[name]]  # fmt: skip
        lacks = missing[name]
        yield Check(
            f"backend {name}",
            f"lacks {', '.join(lacks)}" if lacks else ", ".join(has),
            "warning" if none else "ok",
            f"{pip(name)}, to train by it" if lacks else "",
        )


def tasks() -> Iterator[Check]:
    """Yield the tasks that come with the package, each with its prompts made once."""
    for name, task in TASKS.items():
        held_out = len(task.prompts("held_out"))
        yield Check(f"task {name}", f"version {task.version}, {held_out:,} held-out prompts")


def _requirements() -> list[str]:
    """Return what the package needs without any extra, as it states it."""
    try:
        stated = metadata.requires(_PACKAGE) or []
    except metadata.PackageNotFoundError:
        return []
    return [text for text in stated if "extra ==" not in text]


def _met(requirement: Requirement) -> bool:
    version = _version(requirement.name)
    return version is not None and requirement.specifier.contains(version, prereleases=True)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
