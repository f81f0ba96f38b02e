"""Write reports to files, each completely or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from harness.errors import UsageError
from harness.judging.reference import REFERENCE
from harness.report.model import Report
from harness.report.renderers import as_json, html, markdown


def write_report(report: Report, directory: Path) -> None:
    """Write ``report.json``, ``report.md`` and ``report.html`` into ``directory``.

    A reader sees either the old file or the new one, never half of it.

    Raises
    ------
    UsageError
        Where the directory cannot be made or written to.
    """
    forms = {
        "report.json": as_json.pieces(report),
        "report.md": [markdown.render(report)],
        "report.html": [html.render(report)],
    }
    _write(forms, directory)


def write_reference(report: Report, directory: Path) -> Path:
    """Keep ``report`` in ``directory`` as the reference of later reports, and return the file.

    Raises
    ------
    UsageError
        Where the report is of an unfinished sweep, or cannot be written.
    """
    waiting = [verdict.id for verdict in report.verdicts if verdict.verdict == "not judged"]
    lacking = [*report.missing, *(f"{id_} is not judged" for id_ in waiting)]
    if lacking:
        raise UsageError(
            f"sweep {report.sweep!r} is no reference yet ({'; '.join(lacking)}): finish it first"
        )
    _write({REFERENCE: as_json.pieces(report)}, directory)
    return directory / REFERENCE


def _write(forms: Mapping[str, Iterable[str]], directory: Path) -> None:
    """Write files of these names into ``directory``."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, pieces in forms.items():
            _replace(directory / name, pieces)
    except OSError as error:
        raise UsageError(
            f"cannot write the report to {directory}: {error.strerror or error}; name another "
            "directory"
        ) from error


def _replace(path: Path, pieces: Iterable[str]) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(
            handle, "w", encoding="utf-8", errors="backslashreplace", newline="\n"
        ) as file:
            file.writelines(pieces)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(temporary).unlink()
        raise
