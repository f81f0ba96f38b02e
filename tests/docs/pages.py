"""The pages of the documentation, read: their blocks, prose, tables, commands and examples."""

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from harness import Sweep
from harness.plugin import pytest_addoption

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = [README, *(ROOT / name for name in ("CONTRIBUTING.md", "CHANGELOG.md"))]
PAGES += sorted(DOCS.rglob("*.md")) + sorted((ROOT / "benchmarks").glob("*.md"))
page = pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))


def blocks(path, *languages):
    """Return the fenced blocks of a page in these languages."""
    fence = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    return [text for language, text in fence.findall(path.read_text()) if language in languages]


def prose(path):
    """Return a page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)


def tables(path):
    """Return the rows of all tables of a page, as lists of cells."""
    lines = prose(path).splitlines()
    rows = [line for line in lines if line.startswith("|") and not re.match(r"^\|[ :|-]+\|$", line)]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]


def commands(path):
    """Return the commands of a page, each with what it is said to print."""
    found = []
    for block in blocks(path, "console", "bash", "sh", "shell"):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif found and line.strip():
                found[-1][1].append(line)
    return found


def example_files(path):
    """Return the Python blocks of a page by file name; the nameless get one."""
    named = {}
    for number, block in enumerate(blocks(path, "python")):
        name = re.match(r"# (\w+\.py)\n", block)
        named[name[1] if name else f"test_example_{number}.py"] = block
    return named


def code_spans(path):
    return re.findall(r"(?<!`)`([^`\n]+)`(?!`)", prose(path))


class Recorder:
    """Takes the options that the plugin adds to pytest."""

    def __init__(self):
        self.options = {}

    def getgroup(self, *_):
        return self

    def addoption(self, name, **settings):
        self.options[name] = settings


@cache
def plugin_options():
    recorder = Recorder()
    pytest_addoption(recorder)
    return recorder.options


@cache
def pytest_help():
    command = [sys.executable, "-m", "pytest", "-p", "harness.plugin", "--help"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def run_examples(path, folder, monkeypatch):
    """Execute the Python blocks of a page, and return what each defines."""
    monkeypatch.syspath_prepend(folder)
    files = example_files(path)
    for name, text in files.items():
        (folder / name).write_text(text)
    namespaces = []
    for name, text in files.items():
        namespace = {"__name__": name.removesuffix(".py"), "__file__": str(folder / name)}
        exec(compile(text, str(folder / name), "exec"), namespace)
        namespaces.append(namespace)
    for name in files:
        sys.modules.pop(name.removesuffix(".py"), None)
    return namespaces


def sweeps_of(namespaces):
    values = [value for namespace in namespaces for value in namespace.values()]
    return {value.name: value for value in values if isinstance(value, Sweep)}


@cache
def experiments():
    from harness.plugin.declared import discover

    return discover([ROOT / "experiments"])
