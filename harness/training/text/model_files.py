"""A language model as files: where it is, and what it is known by. Imports no library of models."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import UsageError, nearest
from harness.files import write_whole

_CONTENT = (".json", ".safetensors", ".bin", ".model", ".txt", ".jinja")
"""Endings of the files of a folder that a model and its tokeniser are read from."""

_BESIDE = {"trainer_state.json", "training_args.bin", "README.txt", "LICENSE.txt"}
"""Files with such an ending that neither reads."""

_HUB = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
"""The form of a name on the hub."""


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A model in transformers' format: a folder, or one GGUF file.

    ``digest`` is of the content of all files that the model and its tokeniser are read from, so
    that a copy elsewhere is the same model.
    """

    name: str
    path: Path
    digest: str

    @property
    def identity(self) -> str:
        """The model in one word, which is part of a run's key."""
        return f"{self.name}@{self.digest}"

    @property
    def folder(self) -> Path:
        """The folder that transformers reads."""
        return self.path if self.gguf is None else self.path.parent

    @property
    def gguf(self) -> str | None:
        """The name of the GGUF file in the folder; None where the model is a folder."""
        return self.path.name if self.path.suffix == ".gguf" else None


def locate(source: str, folder: Path, known: Path | None = None) -> ModelFiles:
    """Return the model that ``source`` names: a folder, a GGUF file, or a name on the hub.

    Paths are relative to ``folder``. A name on the hub is looked for among what is downloaded, and
    downloaded where it is not there. Digests are kept in the file ``known``, by size and time of
    change: a large model is not read again each time.

    Raises
    ------
    UsageError
        Where there is no such model.
    """
    path = folder / Path(source).expanduser()
    if not path.exists():
        if (
            path.suffix == ".gguf"
            or source.startswith((".", "/", "~"))
            or not _HUB.fullmatch(source)
        ):
            siblings = [one.name for one in path.parent.iterdir()] if path.parent.is_dir() else []
            raise UsageError(
                f"model {source!r}: {path} does not exist{nearest(path.name, siblings)}; expected "
                "a folder in transformers' format, a GGUF file or a name on the hub"
            )
        return _described(Path(_downloaded(source)), source.rsplit("/", maxsplit=1)[-1], known)
    path = path.resolve()
    if path.is_file() and path.suffix != ".gguf":
        raise UsageError(
            f"model {source!r} is a file; expected a folder in transformers' format, or a GGUF file"
        )
    if path.is_dir() and not (path / "config.json").is_file():
        raise UsageError(
            f"model {source!r}: {path} has no config.json, so it is no model in transformers' "
            "format; name the folder that save_pretrained wrote"
        )
    return _described(path, path.stem if path.is_file() else path.name, known)


def _downloaded(name: str) -> str:
    """Return the folder of a model of the hub."""
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise UsageError(
            f"model {name!r} is no folder here, and names on the hub need transformers; run: "
            'pip install "pytest-sweep[hf]"'
        ) from None
    with contextlib.suppress(Exception):
        return str(snapshot_download(name, local_files_only=True))
    try:
        return str(snapshot_download(name))
    except Exception as error:  # noqa: BLE001  of any of the libraries below it
        said = (str(error) or type(error).__name__).splitlines()[0]
        raise UsageError(
            f"model {name!r} is no folder here, and cannot be had from the hub ({said:.100})"
        ) from None


def _described(path: Path, name: str, known: Path | None) -> ModelFiles:
    files = [path] if path.is_file() else list(_files(path))
    if path.is_dir() and not any(one.suffix in (".safetensors", ".bin") for one in files):
        raise UsageError(
            f"model {name!r}: {path} has no weights (*.safetensors); is its download complete?"
        )
    for one in files:
        if one.suffix == ".safetensors":
            _require_whole(one, name)
    plain = re.sub(r"[^\w.-]", "-", name)
    seen = [[str(one), one.stat().st_size, one.stat().st_mtime_ns] for one in files]
    mark = hashlib.sha256(json.dumps(seen).encode()).hexdigest()[:32]
    digests: dict[str, str] = {}
    if known is not None:
        with contextlib.suppress(OSError, ValueError, TypeError):
            digests = dict(json.loads(known.read_text()))
    if mark not in digests:
        content = hashlib.sha256()
        for one in files:
            with one.open("rb") as file:
                part = hashlib.file_digest(file, "sha256").hexdigest()
            content.update(f"{one.name} {part}\n".encode())
        digests[mark] = content.hexdigest()[:12]
        if known is not None:
            with contextlib.suppress(OSError):  # it is read anew next time
                write_whole(known, json.dumps(digests).encode())
    return ModelFiles(plain, path, digests[mark])


def _require_whole(path: Path, name: str) -> None:
    """Check that a file of weights is as long as it says that it is, without reading the weights.

    It begins with the length of a header in JSON, which says where each tensor begins and ends.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            size = path.stat().st_size
            header = json.loads(file.read(length)) if 8 + length <= size else {}
        ends = [one["data_offsets"][1] for key, one in header.items() if key != "__metadata__"]
        is_whole = bool(ends) and 8 + length + max(ends) == size
    except (OSError, ValueError, TypeError, LookupError, AttributeError):
        is_whole = False
    if not is_whole:
        raise UsageError(
            f"model {name!r}: {path} is not a whole file of safetensors; is its download complete?"
        )


def config_of(files: ModelFiles) -> dict[str, Any]:
    """Return what ``config.json`` says of a model; `UsageError` where it is none that is read."""
    if files.gguf:
        raise UsageError(
            f"model {files.name!r} is a GGUF file, which Torch alone trains from: "
            "--sweep-backend torch, or save it in transformers' format"
        )
    path = files.path / "config.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"model {files.name!r}: {path} cannot be read ({error})") from None
    if not isinstance(found, dict):
        raise UsageError(f"model {files.name!r}: {path} is no JSON object")
    return found


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.suffix in _CONTENT and path.name not in _BESIDE and path.is_file():
            yield path
