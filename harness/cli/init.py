"""``sweep init``: write a first sweep, or one with a space from elsewhere."""

from __future__ import annotations

import argparse
import shlex
import sys
from importlib.util import find_spec
from pathlib import Path

from harness.cli import common
from harness.errors import UsageError
from harness.sweeps.sweep import NAME

HELP = "write a first sweep that runs as it is, or one with the space of a file from elsewhere"

TEMPLATES = Path(__file__).parents[1] / "templates"
"""The folder of the examples: one for each template, whose files are copied."""

NEEDS = {
    "numpy": None,
    "sklearn": ("sklearn", "scikit-learn"),
    "torch": ("torch", "pytest-sweep[torch]"),
    "jax": ("jax", "pytest-sweep[jax]"),
    "command": None,
    "trl": ("trl", "pytest-sweep[trl]"),
    "smollm2": ("transformers", "pytest-sweep[hf]"),
}
"""Template → the module that it imports, and what pip installs for it."""

MODELS = {"smollm2": "models/SmolLM2"}
"""Template → the folder of the language model that it trains, in the commands to type next."""

FOLDER = "experiments"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments and options."""
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        default=Path(FOLDER),
        metavar="DIR",
        help=f"where to write, made if it is not there (default: {FOLDER})",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--template",
        choices=NEEDS,
        default="numpy",
        help="what trains in it (default: numpy, which needs nothing else)",
    )
    what.add_argument(
        "--from",
        dest="source",
        metavar="FILE",
        help="take the space of a ConfigSpace (JSON), Optuna (a study.db, or distributions in "
        "JSON), a W&B sweep or a Hydra configuration (YAML), or Ray Tune (Python, which is not "
        "run, or JSON); FILE#NAME where it has several",
    )
    parser.add_argument(
        "--name",
        metavar="NEW",
        help="with --from, what the sweep is called (default: stated there)",
    )
    common.add_options(
        parser,
        "runs",
        "steps",
        runs="with --from, main runs of the sweep (default: stated there, or 24)",
        steps="with --from, steps of its runs (default: 1, a whole training)",
    )
    parser.add_argument("--force", action="store_true", help="overwrite files that exist")


def run(options: argparse.Namespace) -> int:
    """Write the files, and print the two commands to type next."""
    notes: list[str] = []
    if options.source is None:
        given = [f"--{name}" for name in ("name", "runs", "steps") if getattr(options, name)]
        if given:
            raise UsageError(f"{given[0]} needs --from: a template is written as it is")
        name, files = _template(options.template)
        notes += _missing(options.template)
    else:
        name, text, notes = _from_elsewhere(options)
        files = {f"test_{name}.py": text}
    written = _write(options.folder, files, force=options.force)
    model = None if options.source else MODELS.get(options.template)
    commands = _commands(options.folder, name, model)
    if options.json:
        common.print_json(
            {
                "sweep": name,
                "written": list(map(str, written)),
                "notes": notes,
                "next": commands,
            }
        )
        return 0
    for note in notes:
        print(f"sweep: note: {note}", file=sys.stderr)
    for path in written:
        print(f"written: {path}")
    print("next:")
    for command in commands:
        print(f"  {command}")
    return 0


def _template(name: str) -> tuple[str, dict[str, str]]:
    """Return the sweep of a template, and its files by name."""
    files = {
        path.name: path.read_text(encoding="utf-8")
        for path in sorted((TEMPLATES / name).glob("*.py"))
    }
    sweep = next(file for file in files if file[:5] == "test_")
    return Path(sweep).stem[5:], files


def _missing(template: str) -> list[str]:
    needed, model = NEEDS[template], MODELS.get(template)
    said = []
    if needed is not None and find_spec(needed[0]) is None:
        said += [f'it trains with {needed[0]}, which is not installed: pip install "{needed[1]}"']
    if model is not None and not Path(model).is_dir():
        said += [f"it trains a language model: put its folder in the place of {model}"]
    return said


def _from_elsewhere(options: argparse.Namespace) -> tuple[str, str, list[str]]:
    """Return the name of the sweep, its file, and what has no counterpart in it."""
    common.use_one_thread()
    from harness.errors import SweepError
    from harness.spaces import read_space
    from harness.spaces.source import declared, python

    if options.name is not None and not NAME.fullmatch(options.name):
        raise UsageError(
            f"--name {options.name!r}: use letters, digits, '_' and '.', a letter or digit first"
        )
    found = read_space(options.source)
    try:
        sweep = declared(found, name=options.name, runs=options.runs, steps=options.steps)
    except SweepError as error:
        raise UsageError(f"{options.source}: {error}") from None
    source = Path(options.source).name
    text = python(found, sweep, source, _command(options))
    return sweep.name, text, [str(note) for note in found.notes]


def _command(options: argparse.Namespace) -> str:
    """Return the command that makes this file again."""
    words = ["sweep", "init", "--from", options.source]
    for name in ("name", "runs", "steps"):
        if getattr(options, name) is not None:
            words += [f"--{name}", str(getattr(options, name))]
    return shlex.join(words)


def _write(folder: Path, files: dict[str, str], *, force: bool) -> list[Path]:
    """Write files into a folder, which is made; none where one exists, unless by ``force``."""
    paths = [folder / name for name in files]
    there = next((path for path in paths if path.exists()), None)
    if there is not None and not force:
        raise UsageError(f"{there} exists, and init overwrites nothing without --force")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in zip(paths, files.values(), strict=True):
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{folder} cannot be written to: {error.strerror}") from None
    return paths


def _commands(folder: Path, name: str, model: str | None = None) -> list[str]:
    """Return the commands that plan and train a sweep in ``folder``, of a model if it needs one."""
    usual = common.root(argparse.Namespace()) / FOLDER
    where = [] if folder.resolve() == usual.resolve() else ["--experiments", str(folder)]
    of = [] if model is None else [model]
    return [
        shlex.join(["sweep", "plan", name, *where, *(f"--model={one}" for one in of)]),
        shlex.join(["pytest", f"{folder}/", "--sweep", name, *(f"--sweep-model={m}" for m in of)]),
    ]
