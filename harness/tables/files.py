"""Open what holds a table: a file, one that is compressed, or standard input."""

from __future__ import annotations

import io
import sys
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Literal

from harness.errors import UsageError, nearest
from harness.sweeps.baseline import PACKED, STDIN
from harness.text import first, listed

Format = Literal["CSV", "TSV", "JSON lines", "JSON", "Parquet", "Excel"]

FORMATS: dict[str, Format] = {
    ".csv": "CSV",
    ".tsv": "TSV",
    ".jsonl": "JSON lines",
    ".ndjson": "JSON lines",
    ".json": "JSON",
    ".parquet": "Parquet",
    ".xlsx": "Excel",
    ".xls": "Excel",
    ".ods": "Excel",
}
"""The ending of a file's name → its format."""

LARGEST = 256 * 2**20
"""The largest table that is read, in bytes when unpacked: two million runs of a dozen columns."""

TEXT: tuple[Format, ...] = ("CSV", "TSV", "JSON lines", "JSON")

INSTALL = 'pip install "pytest-sweep[tables]"'

_SIGNATURES = (
    (b"PAR1", "Parquet", ".parquet"),
    (b"\x1f\x8b", "gzip", ".gz"),
    (b"BZh", "bzip2", ".bz2"),
    (b"\xfd7zXZ\0", "xz", ".xz"),
    (b"\x28\xb5\x2f\xfd", "zstandard", ".zst"),
    (b"SQLite format 3", "an SQLite database", ".db"),
    (b"\xd0\xcf\x11\xe0", "an old Excel file", ".xls"),
    (b"PK\x03\x04", "a zip archive, as Excel files are", ".xlsx or .zip"),
)
"""How files of some formats begin → what they are, and the ending that says so."""


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of a table, unpacked; ``path`` names it, ``part`` is what was asked for of it."""

    path: Path
    format: Format
    data: bytes
    part: str = ""
    packed: str = ""


def divided(name: str) -> tuple[str, str]:
    """Divide ``FILE#PART`` into the file and the part; a file of the whole name comes first.

    The address of a database of SQLite is that of its file.
    """
    name = name.removeprefix("sqlite:///")
    if Path(name).exists():
        return name, ""
    file, _, part = name.rpartition("#") if "#" in name else (name, "", "")
    return (file, part) if file else (name, "")


def read_content(name: str, part: str = "") -> Content:
    """Read the bytes of the table called ``name``; ``-`` is standard input.

    Raises
    ------
    UsageError
        Where there is no such file, its name or its first bytes are not those of a table, or it is
        larger than `LARGEST`.
    """
    path = Path(name)
    if name == STDIN:
        return _piped(sys.stdin.buffer, Path("stdin"), part)
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            with path.open("rb") as pipe:
                return _piped(pipe, Path("stdin"), part)
        packing, format_ = _checked(path)
        data = _unpacked(path, packing) if packing else path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    return _recoded(Content(path, format_, data, part, packing))


def _checked(path: Path) -> tuple[str, Format]:
    """Return the ending of a compressed file, empty where it is none, and the format inside."""
    if not path.exists():
        raise UsageError(f"there is no file {path}{nearest(path.name, _beside(path))}")
    if path.is_dir():
        raise UsageError(
            f"{path} is a folder, and none of MLflow's, Ray Tune's or W&B's; give one file ending "
            f"in {endings()}"
        )
    ending = path.suffix.lower()
    packing = ending if ending in PACKED else ""
    inner = path.with_suffix("").suffix.lower() if packing else ending
    if packing == ".zip":
        inner = Path(_member(path).filename).suffix.lower()
    if inner not in FORMATS:
        if path.suffix.lower() in (".db", ".sqlite", ".sqlite3"):
            raise UsageError(f"{path.name} is no database of Optuna's or MLflow's")
        within = f" with {inner or 'no ending'} in it" if packing else ""
        raise UsageError(
            f"{path.name}{within} cannot be read as a table: a table's name ends in {endings()}, "
            f"and may be compressed ({', '.join(PACKED)})"
        )
    if not packing:
        _check_length(path, path.stat().st_size)
    if not path.stat().st_size:
        raise UsageError(f"{path.name} is empty: expected a header and a row for each run")
    return packing, FORMATS[inner]


def _beside(path: Path) -> list[str]:
    """Return the names of the tables in a file's folder."""
    return [
        file.name
        for file in path.parent.glob("*")
        if file.suffix.lower() in (*FORMATS, *PACKED) and file.is_file()
    ]


def endings() -> str:
    """Return the endings that are read, as a list for people."""
    return listed(FORMATS, "or")


def _check_length(path: Path, length: int) -> None:
    if length > LARGEST:
        said = f"{length / 2**20:,.0f} MiB, " if length > LARGEST + 1 else ""
        raise UsageError(
            f"{path.name} has {said}more than the {LARGEST // 2**20} MiB that "
            "are read: keep one row a run, and only the columns with ids, parameters and outcomes"
        )


# ---- compressed files ----------------------------------------------------------------------------


def _unpacked(path: Path, packing: str) -> bytes:
    """Return the unpacked bytes of a compressed file, never more than are read."""
    try:
        with _opened(path, packing) as file:
            data: bytes = file.read(LARGEST + 1)
    except (EOFError, zlib.error, zipfile.BadZipFile, ValueError, RuntimeError) as error:
        raise UsageError(f"{path.name} cannot be unpacked: {error}") from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise UsageError(f"{path.name} cannot be unpacked: {error}") from error
    _check_length(path, len(data))
    return data


def _opened(path: Path, packing: str) -> Any:  # noqa: ANN401 (a file that is open)
    if packing == ".gz":
        import gzip

        return gzip.open(path)
    if packing == ".bz2":
        import bz2

        return bz2.open(path)
    if packing == ".xz":
        import lzma

        try:
            return io.BytesIO(lzma.open(path).read(LARGEST + 1))
        except lzma.LZMAError as error:
            raise ValueError(error) from error
    if packing == ".zip":
        return zipfile.ZipFile(path).open(_member(path))
    return _zstandard(path, str(path), "or compress it with gzip")


def _zstandard(path: Path, source: Any, otherwise: str) -> Any:  # noqa: ANN401 (open files)
    try:
        from pyarrow import input_stream
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{path.name} needs pyarrow to be unpacked: {INSTALL}, {otherwise}"
        ) from error
    return input_stream(source, compression="zstd")


def unpacked_member(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """Return the bytes of a file in a zip archive, also one that is packed with Zstandard.

    Raises
    ------
    UsageError
        Where it is damaged or too large, or packed in a way that cannot be undone here.
    """
    _check_length(path, member.file_size)
    try:
        if member.compress_type != _ZSTANDARD:
            return archive.read(member)
        assert archive.fp is not None
        archive.fp.seek(member.header_offset)
        head = archive.fp.read(_LOCAL_HEAD)
        names = sum(int.from_bytes(head[at : at + 2], "little") for at in (26, 28))
        archive.fp.seek(member.header_offset + _LOCAL_HEAD + names)
        packed = archive.fp.read(member.compress_size)
        otherwise = "or convert it: inspect log convert --to json"
        with _zstandard(path, io.BytesIO(packed), otherwise) as file:
            data: bytes = file.read()
    except (EOFError, OSError, zlib.error, zipfile.BadZipFile, NotImplementedError) as error:
        raise UsageError(f"{path.name} cannot be unpacked: {error}") from error
    return data


_ZSTANDARD = 93
"""The method of Zstandard in zip archives, which Python reads from 3.14 on."""

_LOCAL_HEAD = 30
"""The bytes before a member's name; the lengths of the name and of what follows it are at 26."""


def _member(path: Path) -> zipfile.ZipInfo:
    """Return the one file in a zip archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [one for one in archive.infolist() if not _is_aside(one)]
    except zipfile.BadZipFile as error:
        raise UsageError(f"{path.name} cannot be unpacked: {error}") from error
    if len(members) != 1:
        names = first((one.filename for one in members), 3) if members else "none"
        raise UsageError(
            f"{path.name} has {len(members)} files in it ({names}): expected one table; unpack it "
            "and give the table"
        )
    return members[0]


def _is_aside(member: zipfile.ZipInfo) -> bool:
    name = member.filename
    return member.is_dir() or name.startswith("__MACOSX/") or name.rpartition("/")[2][:1] == "."


# ---- what is in a file ---------------------------------------------------------------------------


def _recoded(content: Content) -> Content:
    """Check that a file is what its ending says; return text in UTF-16 as UTF-8."""
    path, data = content.path, content.data
    if not data:
        raise UsageError(f"{path.name} is empty: expected a header and a row for each run")
    binary = content.format not in TEXT
    if binary and content.format == "Excel":
        return content
    for begins, what, ending in _SIGNATURES:
        if data.startswith(begins) and FORMATS.get(ending) != content.format:
            raise UsageError(
                f"{path.name} is not {content.format} but {what}: let its name end in {ending}"
            )
    if binary:
        return content
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        try:
            data = data.decode("utf-16").encode()
        except UnicodeError as error:
            raise UsageError(f"{path.name} is broken text in UTF-16: save it as UTF-8") from error
    if (at := data.find(b"\0")) >= 0:
        line = data.count(b"\n", 0, at) + 1
        raise UsageError(
            f"{path.name} holds binary data, not {content.format}: a NUL byte in line {line}"
        )
    begins = data.lstrip(b"\xef\xbb\xbf \t\r\n")[:100]
    if begins[:1] in b"{[" and begins and content.format in ("CSV", "TSV"):
        raise UsageError(f"{path.name} is not {content.format} but JSON: name it .json or .jsonl")
    if begins[:14].lower().startswith((b"<!doctype html", b"<html", b"<?xml")):
        raise UsageError(f"{path.name} is a web page, not {content.format}: download the file")
    return replace(content, data=data)


def undecodable(content: Content) -> str:
    """Return the message for text that is not UTF-8: it names the line."""
    try:
        content.data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.data.count(b"\n", 0, error.start) + 1
        return f"{content.path.name}, line {line}: not UTF-8 text; save the table as UTF-8"
    return f"{content.path.name} is not UTF-8 text; save the table as UTF-8"


# ---- standard input ------------------------------------------------------------------------------


def _piped(file: IO[bytes], path: Path, part: str) -> Content:
    """Read a pipe, whose format its content tells."""
    isatty: Callable[[], bool] = getattr(file, "isatty", lambda: False)
    if isatty():
        raise UsageError("'-' reads standard input: pipe a table into it, … | sweep judge -")
    data = file.read(LARGEST + 1)
    _check_length(path, len(data))
    begins = data.lstrip(b"\xef\xbb\xbf \t\r\n")
    format_: Format = "CSV"
    if data.startswith(b"PAR1"):
        format_ = "Parquet"
    elif begins[:1] in (b"{", b"["):
        format_ = "JSON lines"
    elif b"\t" in begins.partition(b"\n")[0]:
        format_ = "TSV"
    return _recoded(Content(path, format_, data, part))
