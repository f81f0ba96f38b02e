"""Find the sources of a training function: its file, its local imports, what it depends on.

Modules are found from the syntax, and nothing is imported. A module is local unless it is Python's
own or installed, in ``site-packages``.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import machinery, metadata
from pathlib import Path

from harness.errors import UsageError
from harness.records import digest, file_digest

PROJECT = ("pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg", "setup.py", ".git")
"""The project of a file is the nearest directory upwards that has one of these."""

_PACKAGE = "package "
"""Begins the name of an installed package; all other names are paths."""

_SUFFIXES = (".py", *machinery.EXTENSION_SUFFIXES)
_OURS = Path(__file__).parents[1]
_PYTHON = tuple(Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib"))
_SITES = {"site-packages", "dist-packages"}
_NO_CONTENT = {"__pycache__", ".git", ".sweep"}
"""Folders that are left out of the content of a folder."""

_LONGEST_NAME = 200
_MUCH = 2**24
"""Of a larger file that the code merely names, the size is noted and not the content."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The sources of runs: name → digest of the content, or version of a package.

    ``files`` are part of a run's identity: the file of the training function, the local modules
    that it imports and that those import, the scripts that it runs as programs, and what the sweep
    says it depends on. ``noted`` are not:
    the installed packages that are imported, and other files that the code names. Paths are
    relative to the folder of the training function.
    """

    files: Mapping[str, str] = field(default_factory=dict)
    noted: Mapping[str, str] = field(default_factory=dict)

    def version(self, own: str) -> str:
        """Return the version of a trainer whose file alone has the version ``own``.

        It does not depend on where the files lie.
        """
        if len(self.files) <= 1:
            return own
        return digest([own, sorted((Path(name).name, at) for name, at in self.files.items())])


def sources(file: Path, depends_on: Iterable[str | os.PathLike[str]] = ()) -> Sources:
    """Return the sources of a training function in ``file`` that depends on ``depends_on``.

    A relative path is looked for in the folder of ``file`` and in those above it, up to the
    project's. A text that is no path there is the name of an installed package.

    Raises
    ------
    UsageError
        Where a file, folder or package is not there; the message names it.
    """
    base = file.parent
    local = _with_imports(file)
    files = {_relative(path, base): _content(path) for path in local}
    for given in depends_on:
        path = _found(given, base)
        if path is not None:
            files[_relative(path, base)] = _content(path)
        else:
            files[f"{_PACKAGE}{given}"] = _version(given, base)
    noted = packages(_imported_packages(local))
    noted |= {_relative(path, base): _glance(path) for path in _named_files(local, base)}
    return Sources(files, {name: at for name, at in noted.items() if name not in files})


def packages(names: Iterable[str]) -> dict[str, str]:
    """Return the versions of those packages that are installed, named as in `Sources`."""
    return {_PACKAGE + name: at for name in names if (at := _installed(name)) is not None}


def changes(now: Mapping[str, str], then: Mapping[str, str]) -> tuple[str, ...]:
    """Return in words what differs between two states of some sources; packages have versions."""
    differ = sorted(name for name in {*now, *then} if now.get(name) != then.get(name))
    return tuple(
        f"{name.removeprefix(_PACKAGE)} {then.get(name, 'absent')} → {now.get(name, 'absent')}"
        if name.startswith(_PACKAGE)
        else name
        for name in differ
    )


def described(sources: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names in ``sources``, those of packages with their versions."""
    return tuple(
        f"{name.removeprefix(_PACKAGE)} {at}" if name.startswith(_PACKAGE) else name
        for name, at in sources.items()
    )


def project(file: Path) -> Path:
    """Return the folder of the project that ``file`` is in: its own folder where nothing says."""
    folders = file.parents
    return next((at for at in folders if any((at / name).exists() for name in PROJECT)), folders[0])


# ---- modules -------------------------------------------------------------------------------------


def _with_imports(file: Path) -> tuple[Path, ...]:
    """Return ``file`` and, sorted, the local files that it imports, directly or through others.

    A file that is an argument of a program that one of them runs counts as imported; what it
    imports is looked for beside it.
    """
    waiting, known = [(file, file.parent)], {file}
    while waiting:
        at, base = waiting.pop()
        found = {(path, base) for path in _imported(at, base) if _is_local(path)}
        found |= {(path, path.parent) for path in _run_by(at, base)}
        new = {path: (path, base) for path, base in found if path not in known}
        waiting += new.values()
        known |= new.keys()
    return (file, *sorted(known - {file}))


def _run_by(file: Path, base: Path) -> Iterator[Path]:
    """Yield the files of the project in the arguments of the programs that ``file`` runs."""
    top = project(base / "any")
    for arguments in _read(file).commands:
        for before, given in zip(("", *arguments), arguments, strict=False):
            if before == "-m" and given:
                own, folders = _top(given.split(".")[0], base)
                yield from filter(_is_local, own)
                yield from filter(_is_local, _below(folders, given.split(".")[1:], ["__main__"]))
            for text in (given, given.partition("=")[2]):  # --data=train.csv
                path = _found(text, base) if 0 < len(text) <= _LONGEST_NAME else None
                if path is not None and path.is_file() and path.is_relative_to(top):
                    yield path


def _imported(file: Path, base: Path) -> Iterator[Path]:
    """Yield the files of the modules that ``file`` imports, and of the packages they are in."""
    for level, module, names in _read(file).imports:
        parts = module.split(".") if module else []
        if level:
            above = file.parents[min(level, len(file.parents)) - 1]
            yield from _below([above], parts, names)
        else:
            own, folders = _top(parts[0], base)
            yield from own
            yield from _below(folders, parts[1:], names)


def _top(name: str, base: Path) -> tuple[list[Path], list[Path]]:
    """Return the file of a top-level module, if it has one, and the folders of its submodules."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):  # a module that was made by hand
        spec = None
    if spec is None:  # workers also look beside the training function
        return list(_module(base, name)), [base / name]
    own = [Path(spec.origin).resolve()] if spec.has_location and spec.origin else []
    return own, [Path(place) for place in spec.submodule_search_locations or ()]


def _below(folders: list[Path], parts: list[str], names: Iterable[str]) -> Iterator[Path]:
    """Yield the files of the module ``parts`` below ``folders``, and its submodules ``names``."""
    for part in parts:
        for folder in folders:
            yield from _module(folder, part)
        folders = [folder / part for folder in folders]
    for folder in folders:
        for name in names:
            yield from _module(folder, name)


def _module(folder: Path, name: str) -> Iterator[Path]:
    """Yield the file of the module or package ``name`` in ``folder``; none for a namespace."""
    for stem in (folder / name / "__init__", folder / name):
        for suffix in _SUFFIXES:
            if (path := stem.with_name(stem.name + suffix)).is_file():
                yield path.resolve()
                return


def _is_local(file: Path) -> bool:
    return not (
        file.is_relative_to(_OURS)
        or _SITES.intersection(file.parts)
        or any(file.is_relative_to(place) for place in _PYTHON)
    )


def _imported_packages(files: Iterable[Path]) -> list[str]:
    """Return the top-level modules that ``files`` import and that Python itself does not have."""
    imports = (of for file in files for of in _read(file).imports)
    tops = {module.split(".")[0] for level, module, _ in imports if not level}
    return sorted(tops - sys.stdlib_module_names - {_OURS.name})


@lru_cache(maxsize=256)
def _installed(name: str) -> str | None:
    """Return the version of the package called ``name``, or that has the module ``name``."""
    with suppress(metadata.PackageNotFoundError):
        return metadata.version(name)
    for package in _distributions().get(name, ()):  # all packages are read only for such a name
        with suppress(metadata.PackageNotFoundError):
            return metadata.version(package)
    return None


@lru_cache(maxsize=1)
def _distributions() -> Mapping[str, list[str]]:
    return metadata.packages_distributions()


# ---- files ---------------------------------------------------------------------------------------


def _found(given: str | os.PathLike[str], base: Path) -> Path | None:
    """Return the file or folder called ``given``; None where there is none of that name."""
    top = project(base / "any")
    for folder in (base, *base.parents):
        if (folder / given).exists():
            return (folder / given).resolve()
        if folder == top:
            break
    return None


def _version(given: str | os.PathLike[str], base: Path) -> str:
    version = _installed(given) if isinstance(given, str) else None
    if version is None:
        kind = "file or folder" if isinstance(given, os.PathLike) else "file, folder or package"
        raise UsageError(
            f"depends_on names {str(given)!r}, and there is no such {kind}; paths are looked for "
            f"in {base} and the folders above it, up to the project's"
        )
    return version


def _named_files(files: Iterable[Path], base: Path) -> set[Path]:
    """Return the files of the project that are named in the code of ``files``, and none of them."""
    top = project(base / "any")
    texts = {text for file in files for text in _read(file).texts}
    found = {path for text in texts if (path := _found(text, base)) is not None}
    return {path for path in found.difference(files) if path.is_file() and path.is_relative_to(top)}


def _relative(path: Path, base: Path) -> str:
    return Path(os.path.relpath(path, base)).as_posix()


@dataclass(frozen=True, slots=True)
class _Read:
    """The imports in a file (level, module, names), and the texts that may name other files.

    ``commands`` are the texts in the arguments of each program that it runs by `run.command`.
    """

    imports: tuple[tuple[int, str, tuple[str, ...]], ...] = ()
    texts: frozenset[str] = frozenset()
    commands: tuple[tuple[str, ...], ...] = ()


def _read(file: Path) -> _Read:
    return _parsed(file, _state(file)) if file.suffix == ".py" else _Read()


def _content(path: Path) -> str:
    """Return a digest of a file, or of all files in a folder with their names."""
    if path.is_file():
        return _hashed(path, _state(path))
    files = []
    for folder, below, names in os.walk(path):
        below[:] = sorted(set(below) - _NO_CONTENT)
        files += [file for name in sorted(names) if (file := Path(folder, name)).is_file()]
    with ThreadPoolExecutor() as pool:  # hashing is done outside Python's lock
        digests = pool.map(lambda file: _hashed(file, _state(file)), files)
        return digest([[_relative(f, path), at] for f, at in zip(files, digests, strict=True)])


def _glance(file: Path) -> str:
    size = file.stat().st_size
    return _content(file) if size <= _MUCH else f"{size} bytes"


def _state(file: Path) -> tuple[int, int]:
    """Return what tells a file from what it was before: when it was changed, and its size."""
    found = file.stat()
    return found.st_mtime_ns, found.st_size


@lru_cache(maxsize=4096)
def _hashed(file: Path, state: tuple[int, int]) -> str:
    return file_digest(file)


@lru_cache(maxsize=1024)
def _parsed(file: Path, state: tuple[int, int]) -> _Read:
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return _Read()  # whoever imports it is told
    imports: list[tuple[int, str, tuple[str, ...]]] = []
    commands = []
    texts = set()
    for node in _executed(tree):
        if isinstance(node, ast.Import):
            imports += [(0, alias.name, ()) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = tuple(alias.name for alias in node.names if alias.name != "*")
            imports.append((node.level, node.module or "", names))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            texts.add(node.value)
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "command":
            given = [node.args[0]] if node.args else [k.value for k in node.keywords]
            commands.append(tuple(_texts(given)))
    return _Read(tuple(imports), frozenset(filter(_may_name_a_file, texts)), tuple(commands))


def _texts(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Yield the texts in some expressions, in the order in which they are written."""
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        yield from _texts(ast.iter_child_nodes(node))


def _executed(node: ast.AST) -> Iterator[ast.AST]:
    """Yield all nodes below ``node`` but those that only a type checker sees."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            yield from _executed(ast.Module(child.orelse, []))
        else:
            yield child
            yield from _executed(child)


def _may_name_a_file(text: str) -> bool:
    """Return whether a text of the code has the form of a file's name with an ending."""
    return len(text) <= _LONGEST_NAME and text.isprintable() and bool(Path(text).suffix)
