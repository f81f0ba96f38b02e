"""Write reports to files, each completely or not at all."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from harness.errors import UsageError
from harness.files import replacing
from harness.judging.reference import REFERENCE
from harness.records import Value
from harness.report.blocks import Document
from harness.report.model import Report
from harness.report.renderers import as_json, html, markdown

JOB_SUMMARY = "GITHUB_STEP_SUMMARY"
"""The variable with the file that GitHub Actions shows as the summary of a job."""

FILES = ("report.json", "report.md", "report.html")
"""The files of a report."""


def write_report(report: Report, directory: Path) -> None:
    """Write ``report.json``, ``report.md`` and ``report.html`` into ``directory``.

    A reader sees either the old file or the new one, never half of it.

    Raises
    ------
    UsageError
        Where the directory cannot be made or written to.
    """
    forms = (as_json.pieces(report), [markdown.render(report)], [html.render(report)])
    _write(dict(zip(FILES, forms, strict=True)), directory)


def write_document(page: Document, data: object, directory: Path, *, title: str) -> None:
    """Write a document of another kind, and its ``data`` as JSON, as `write_report` does."""
    text = json.dumps(data, indent=1, allow_nan=False) + "\n"
    forms = ([text], [markdown.render_document(page)], [html.render_document(page, title)])
    _write(dict(zip(FILES, forms, strict=True)), directory)


def folder_of(by: Mapping[str, Value]) -> str:
    """Return the name of the folder for the report of a group; empty where there is none."""
    parts = ",".join(f"{name}={value}" for name, value in by.items())
    return re.sub(r"[^A-Za-z0-9_.=,+-]", "_", parts)


def add_to_job_summary(reports: Sequence[tuple[Report, str]]) -> str:
    """Append a summary of reports, each with its place, to the summary of a job of GitHub Actions.

    It has ten lines in all, or three a report if there are many. It is not written where there is
    no such job, nor twice. Returns a warning where it cannot be written, else nothing.
    """
    file = os.environ.get(JOB_SUMMARY)
    if not file or not reports:
        return ""
    most = max(3, 10 // len(reports))
    text = "\n".join(markdown.summary(report, most, where) for report, where in reports)
    path = Path(file)
    try:
        if path.exists() and text in path.read_text(encoding="utf-8", errors="replace"):
            return ""
        with path.open("a", encoding="utf-8", errors="backslashreplace") as summary:
            summary.write(f"{text}\n")
    except OSError as error:
        reason = error.strerror or error
        return f"no summary of this job: {JOB_SUMMARY}={file} cannot be written: {reason}"
    return ""


def remove_superseded(report: Report, smoke: Path) -> Path | None:
    """Remove the files of a partial report of the same sweep from the folder ``smoke``.

    ``report`` is whole and settled, and so the earlier one is not worth a look any more. What else
    lies in the folder stays, and so does a report of a sweep that bears the folder's name. Returns
    the folder if its files were removed.
    """
    try:
        data = json.loads((smoke / "report.json").read_text(encoding="utf-8"))
        if not isinstance(data, dict) or data.get("sweep") != report.sweep:
            return None
        for name in FILES:
            (smoke / name).unlink(missing_ok=True)
        if not any(smoke.iterdir()):
            smoke.rmdir()
    except (OSError, ValueError):
        return None
    return smoke


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
    with (
        replacing(path) as (part,),
        part.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file,
    ):
        file.writelines(pieces)
