"""Check that the sdist and the wheel in a folder hold the package, and nothing that is not it.

python scripts/check_distributions.py DIST
"""

from __future__ import annotations

import sys
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

BESIDE = ("LICENSE", "README.md", "pyproject.toml")
"""The files beside the package without which the sdist builds no wheel."""


def package(root: Path) -> dict[str, bytes]:
    """Return the files of the package in the tree, by their names from the root."""
    # harness/templates is a link to the examples, which pathlib does not follow by itself.
    folders = root / "harness", root / "harness" / "templates"
    found = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    found.append(root / "pytest_sweep_plugin.py")
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in found
        if "__pycache__" not in path.parts
    }


def in_wheel(path: Path) -> dict[str, bytes]:
    """Return the files of a wheel, without its metadata."""
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
        return {name: archive.read(name) for name in names}


def in_sdist(path: Path) -> dict[str, bytes]:
    """Return the files of an sdist, by their names from its root."""
    with tarfile.open(path) as archive:
        files = [(member, archive.extractfile(member)) for member in archive if member.isfile()]
        return {member.name.partition("/")[2]: file.read() for member, file in files if file}


def problems(held: Mapping[str, bytes], wanted: Mapping[str, bytes]) -> list[str]:
    """Return what a distribution lacks and what it holds otherwise than the tree."""
    lacks = [f"lacks {name}" for name in sorted(wanted.keys() - held.keys())]
    common = sorted(wanted.keys() & held.keys())
    return lacks + [f"has another {name}" for name in common if held[name] != wanted[name]]


def strangers(held: Iterable[str], wanted: Iterable[str]) -> list[str]:
    """Return what a distribution holds and should not."""
    return [f"has {name}, which is not of the package" for name in sorted({*held} - {*wanted})]


def check(dist: Path, root: Path = ROOT) -> list[str]:
    """Return what is wrong with the distributions in a folder, one line each."""
    wheels, sdists = sorted(dist.glob("*.whl")), sorted(dist.glob("*.tar.gz"))
    if len(wheels) != 1 or len(sdists) != 1:
        return [f"{dist} has {len(wheels)} wheels and {len(sdists)} sdists, not one of each"]
    wanted = package(root)
    wheel, sdist = in_wheel(wheels[0]), in_sdist(sdists[0])
    found = [f"the wheel {line}" for line in problems(wheel, wanted) + strangers(wheel, wanted)]
    wanted |= {name: (root / name).read_bytes() for name in BESIDE}
    generated = {"MANIFEST.in", "PKG-INFO", "setup.cfg"}
    source = {name for name in sdist if ".egg-info/" not in name} - generated
    return found + [
        f"the sdist {line}" for line in problems(sdist, wanted) + strangers(source, wanted)
    ]


def main() -> int:
    """Print what is wrong with the distributions in the folder that is named."""
    dist = Path(sys.argv[1])
    found = check(dist)
    for line in found:
        print(line, file=sys.stderr)
    if not found:
        print(f"{len(package(ROOT))} files of the package, in the sdist and in the wheel")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
