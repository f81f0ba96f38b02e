"""The documentation says what the code does: its options, commands, examples, fields and links.

What there is to say is taken from the parsers, the dataclasses and the files themselves.
"""

import argparse
import ast
import dataclasses
import json
import math
import re
import shlex
import subprocess
import sys
import tomllib
from configparser import ConfigParser
from functools import cache
from pathlib import Path

import pytest

from harness import Sweep, audit, claims
from harness.cli import VERBS
from harness.cli import main as sweep_main
from harness.cli import parser as sweep_parser
from harness.plugin.options import add_options
from harness.records import Status
from harness.report.renderers import as_json
from harness.sweeps.baseline import is_table
from harness.training.settings import GRPOSettings
from harness.training.tasks import get_task
from harness.training.warm_start import parameter_shapes
from harness.verdicts import Finding, Verdict, VerdictName
from tests.factories import make_arm, make_evidence, make_result, report_of

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = [README, *(ROOT / name for name in ("CONTRIBUTING.md", "CHANGELOG.md"))]
PAGES += sorted(DOCS.rglob("*.md")) + sorted((ROOT / "benchmarks").glob("*.md"))
page = pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))


# ---- reading the pages --------------------------------------------------------------------------


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


# ---- what there is to say -----------------------------------------------------------------------


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
    add_options(recorder)
    return recorder.options


@cache
def pytest_help():
    command = [sys.executable, "-m", "pytest", "-p", "harness.plugin", "--help"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def default_of(settings):
    """Return the default of an option in words, from what its parser says."""
    default = settings.get("default")
    if settings.get("action") == "store_true":
        return "off"
    if default is None:
        said = re.search(r"\(default: ([^,) ]+)", settings.get("help") or "")
        return said[1] if said else "none"
    return ",".join(default) if isinstance(default, tuple | list) else str(default)


def options_table():
    """Return option → default as docs/options.md states them, by the section they stand in."""
    return {
        match[1]: re.sub("`", "", row[1])
        for row in tables(DOCS / "options.md")
        if (match := re.match(r"`(--sweep[\w-]*)", row[0]))
    }


# ---- options ------------------------------------------------------------------------------------


def test_every_option_of_the_plugin_is_documented():
    shown = set(re.findall(r"^ +(--sweep[\w-]*)", pytest_help(), re.MULTILINE))
    assert shown == set(plugin_options())
    assert set(options_table()) == shown


@pytest.mark.parametrize("name", plugin_options())
def test_the_default_of_an_option_is_the_stated_one(name):
    assert options_table()[name] == default_of(plugin_options()[name])


@pytest.mark.parametrize("name", plugin_options())
def test_the_help_states_the_default_that_the_parser_has(name):
    settings = plugin_options()[name]
    if settings.get("default") is not None and settings.get("action") != "store_true":
        assert f"(default: {default_of(settings)}" in settings["help"]


@page
def test_no_page_names_an_option_that_does_not_exist(page):
    named = set(re.findall(r"(--sweep[\w-]*)", page.read_text()))
    assert named <= set(plugin_options())


# ---- the command --------------------------------------------------------------------------------


@cache
def verbs():
    """Return the parsers of the verbs of ``sweep`` by name."""
    actions = sweep_parser()._actions
    return next(a.choices for a in actions if isinstance(a, argparse._SubParsersAction))


def arguments_of(verb):
    """Return name → action of a verb's arguments and options, ``--help`` apart."""
    actions = [a for a in verbs()[verb]._actions if not isinstance(a, argparse._HelpAction)]
    return {max(a.option_strings, key=len, default=a.metavar or a.dest): a for a in actions}


def verb_table(verb):
    """Return argument → default as docs/options.md states them: the verb's own and the shared."""
    section = re.search(
        rf"^### sweep {verb}$(.*?)(?=^##)", (DOCS / "options.md").read_text(), re.M | re.S
    )
    assert section, f"docs/options.md has no heading 'sweep {verb}'"
    rows = re.findall(r"^\| `([\w-]+)[^|]* \|([^|]*)\|", section[1], re.M)
    rows += [(name, default) for name, default, named in shared_options() if verb in named]
    assert len({name for name, _ in rows}) == len(rows), f"sweep {verb} has an option twice"
    return {name: default.strip().strip("`") for name, default in rows}


@cache
def shared_options():
    """Return (option, default, verbs) as docs/options.md states them for several verbs at once."""
    shared = []
    for option, default, verbs, _ in [r for r in tables(DOCS / "options.md") if len(r) == 4][1:]:
        if verbs == "verbs":  # the head of a further table
            continue
        every, _, left_out = verbs.partition("all")
        named = set(re.findall(r"\w+", every)) or set(VERBS) - {left_out.removeprefix(" but ")}
        assert named <= set(VERBS), f"{option}: {verbs}"
        shared.append((re.match(r"`([\w-]+)", option)[1], default, named))
    return shared


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_is_documented_with_its_options(verb):
    assert set(verb_table(verb)) == set(arguments_of(verb))
    assert f"`sweep {verb}" in prose(README)


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_the_defaults_of_a_verb_are_the_stated_ones(verb):
    for name, action in arguments_of(verb).items():
        required = not action.option_strings and action.nargs is None
        flag = isinstance(action, argparse._StoreTrueAction)
        settings = {"default": action.default, "help": action.help}
        settings |= {"action": "store_true"} if flag else {}
        assert verb_table(verb)[name] == ("" if required else default_of(settings)), name
        assert action.help, f"sweep {verb} {name} has no help"


def test_no_verb_is_documented_that_does_not_exist():
    headings = re.findall(r"^### sweep (\w+)$", (DOCS / "options.md").read_text(), re.M)
    named = {
        match[1]
        for path in PAGES
        for span in code_spans(path)
        if (match := re.match(r"sweep ([a-z]+)\b", span))
    }
    assert set(headings) | named == set(VERBS)


# ---- fields, statuses, codes --------------------------------------------------------------------


def keys(value):
    if isinstance(value, dict):
        for name, inside in value.items():
            yield name
            if name not in ("config", "environment"):
                yield from keys(inside)
    elif isinstance(value, list):
        for inside in value:
            yield from keys(inside)


def test_every_field_of_the_json_report_is_documented():

    main = (make_result(id="s-00"), make_result(id="s-01", delta=0.1, index=1))
    evidence = make_evidence(runs=main, arms={"null": make_arm("null", main, [0.0, 0.01])})
    verdicts = claims.judge_all({"half": claims.success_rate.above(0.5)}, evidence)
    report = report_of(evidence, verdicts, [Finding("post_hoc", "warning", "changed")])
    fields = set(keys(as_json.as_data(report)))
    assert {"schema", "delta_perf", "p_holm", "severity"} <= fields
    assert fields - set(code_spans(DOCS / "report.md")) == set()


def json_fields(verb):
    """Return the fields that docs/options.md names in the rows on a verb's JSON."""
    rows = [row for row in tables(DOCS / "options.md") if row[0] == f"`{verb}`"]
    return {name for row in rows for name in re.findall(r"`(\w+)`", row[1])}


@pytest.mark.usefixtures("priced_once")
@pytest.mark.parametrize("command", [["list"], ["plan", "focused"]], ids=["list", "plan"])
def test_every_field_of_a_verb_s_json_is_documented(command, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert sweep_main([*command, "--json"]) == 0
    fields = set(keys(json.loads(capsys.readouterr().out)))
    fields -= set(experiments()["focused"].arms)
    assert fields - json_fields(command[0]) == set()


def test_every_field_of_parity_s_json_is_documented():
    from harness.judging.parity import compare
    from harness.report.renderers.document_json import parity_data as as_data

    result = make_result()
    backends = ("torch", "jax")
    sides = (result.run, result.outcome, result.outcome)
    found = as_data(compare("s", backends, "float32", [sides, sides], margin=0.02))
    assert set(keys(found)) - {*backends, *json_fields("parity")} == set()


def test_every_code_of_the_audit_is_documented():
    assert set(audit.CODES) <= {row[0].strip("`") for row in tables(DOCS / "report.md")}


def test_every_status_and_verdict_is_documented():
    statuses = {row[0].strip("`") for row in tables(DOCS / "options.md")}
    assert set(Status.__args__) <= statuses
    verdicts = {row[0].strip("`") for row in tables(README)}
    assert set(VerdictName.__args__) <= verdicts


def test_every_property_of_an_item_is_documented():
    from harness.plugin import items

    run = items._run_properties(make_result())
    numbers = dict.fromkeys(("estimate", "low", "high", "level", "p_value"), 0.5)
    asked = Verdict("q", "Is it?", "it is", "supported", "yes", **numbers, method="t", n=2)
    names = {name for name, _ in run + items._verdict_properties(asked)}
    named = {name for name in names if not name.startswith("sweep.config.")}
    assert named - set(code_spans(DOCS / "report.md")) == set()


def test_every_standard_question_is_documented():
    headings = set(re.findall(r"^### (\w+)$", prose(DOCS / "questions.md"), re.MULTILINE))
    assert headings == set(claims.STANDARD_IDS)


@pytest.mark.parametrize(
    ("kind", "file"), [(Sweep, "writing-sweeps.md"), (GRPOSettings, "training.md")]
)
def test_the_fields_of_a_declaration_are_documented_with_their_defaults(kind, file):
    rows = [row for row in tables(DOCS / file) if len(row) == 3]
    stated = {row[0].strip("`"): row[1].strip("`") for row in reversed(rows)}  # the first counts
    for field in dataclasses.fields(kind):
        if not field.init:
            continue
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        if default is dataclasses.MISSING:
            assert stated[field.name] == ""
        else:
            assert ast.literal_eval(stated[field.name]) == default, field.name


def test_the_figures_of_the_embedded_task_are_the_stated_ones():
    task = get_task("addition")
    held_out, warm, train = (len(task.prompts(s)) for s in ("held_out", "warm_start", "train"))
    said = " ".join((DOCS / "measurement.md").read_text().split())
    assert f"on {held_out} held-out prompts with {task.samples} completions each" in said
    assert f"{warm} prompts for the warm start and {train:,} for training" in said
    start = task.warm_start
    parameters = sum(math.prod(shape) for shape in parameter_shapes(task).values())
    said = " ".join((DOCS / "training.md").read_text().split())
    assert f"{parameters:,} parameters" in said
    assert f"for {start.steps} steps of {start.batch} demonstrations" in said
    assert f"a share of {start.noise} of the answers" in said


# ---- examples -----------------------------------------------------------------------------------


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


@page
def test_every_example_can_be_imported(page, tmp_path, monkeypatch):
    for sweep in sweeps_of(run_examples(page, tmp_path, monkeypatch)).values():
        assert sweep.plan()


def test_the_sweep_of_the_readme_is_the_one_in_experiments(tmp_path, monkeypatch):
    shown = sweeps_of(run_examples(README, tmp_path, monkeypatch))["focused"]
    real = experiments()["focused"]
    for name in ("runs", "steps", "seed", "baseline", "arms"):
        assert getattr(shown, name) == getattr(real, name)
    for one, other in ((shown.space, real.space), (shown.questions, real.questions)):
        assert one.items() <= other.items()


def test_the_trainer_of_the_documentation_trains(pytester, tmp_path):
    for name, text in example_files(DOCS / "writing-sweeps.md").items():
        if name in ("my_trainer.py", "test_mine.py"):
            (pytester.path / name).write_text(text)
    pytester.makeini("[pytest]\n")
    result = pytester.runpytest_inprocess(
        "-p", "harness.plugin", "test_mine.py", "--sweep", "mine", "--sweep-executor", "inline"
    )
    assert result.ret in (0, 1)
    outcomes = result.parseoutcomes()
    assert outcomes["passed"] >= 16 + 1 + 8
    assert "error" not in outcomes


# ---- commands -----------------------------------------------------------------------------------


@cache
def experiments():
    from harness.sweeps.discovery import discover

    return discover([ROOT / "experiments"])


def options_in(text):
    return set(re.findall(r"(?<![\w-])(--?[A-Za-z][\w-]*)", text))


def check_pytest(words, names, files):
    words = iter(words)
    for word in words:
        name, _, value = word.partition("=")
        if name.startswith("-"):
            assert name in options_in(pytest_help()), f"pytest has no option {name}"
        if name == "--sweep":
            for sweep in (value or next(words)).split(","):
                assert sweep in names, f"there is no sweep {sweep}"
        elif name in plugin_options():
            if plugin_options()[name].get("action") != "store_true" and not value:
                next(words)
        elif name in ("-k", "-m", "-n", "-p"):
            next(words)
        elif not name.startswith("-"):
            target = name.split("::")[0]
            assert target in files or (ROOT / target).exists(), f"there is no {target}"


def check_tox(words):
    tox = ConfigParser()
    tox.read(ROOT / "tox.ini")
    known = set(re.split(r"[,\s]+", tox["tox"]["env_list"]))
    known |= {name.removeprefix("testenv:") for name in tox.sections()}
    for before, word in zip(["", *words], words, strict=False):
        if before == "-e":
            assert set(word.split(",")) <= known, f"tox has no environment {word}"


def check_pip(words):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for before, word in zip(["", *words], words, strict=False):
        if before in ("-c", "-r"):
            assert (ROOT / word).exists(), word
        for extras in re.findall(r"^(?:\.|pytest-sweep)\[(.+)\]$", word):
            assert set(extras.split(",")) <= set(project["optional-dependencies"]), word


def check_command(command, said, names, files):
    words = shlex.split(command)
    program, rest = words[0], words[1:]
    if program.startswith("./"):
        assert (ROOT / program).stat().st_mode & 0o111, f"{program} cannot be run"
        if program.endswith("run_tests.sh"):
            check_tox(rest)
        else:
            check_pytest(rest, names, files)
    elif program == "pytest":
        check_pytest(rest, names, files)
    elif program == "sweep":
        sweep_parser().parse_args(rest)
        named = next((word for word in rest[1:] if not word.startswith("-")), "")
        known = not named or named in names or is_table(named) or named.endswith(".db")
        assert known, f"there is no sweep {named}"
    elif program == "python" and rest[0] == "-c":
        done = subprocess.run(
            [sys.executable, "-c", rest[1]], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.stdout.splitlines() == said, done.stderr
    elif program == "python":
        assert (ROOT / rest[0]).exists(), f"there is no {rest[0]}"
    elif program.endswith("pip"):
        check_pip(rest)
    elif program != "python3":
        pytest.fail(f"unknown program {program}")


@page
def test_every_command_can_be_typed(page, tmp_path, monkeypatch):
    found = commands(page)
    files = example_files(page)
    names = {*experiments(), *sweeps_of(run_examples(page, tmp_path, monkeypatch))}
    names |= {
        m[1] for command, _ in found if (m := re.match("sweep import.* --sweep (.+)", command))
    }
    for command, said in found:
        check_command(command, said, names, files)


def test_the_readme_has_the_two_commands_first():
    first = [command for command, _ in commands(README)][:2]
    assert first == ["./scripts/launch_focused_sweep.sh", "./scripts/run_tests.sh"]


# ---- links and names ----------------------------------------------------------------------------


def anchors(path):
    """Return the anchors of a page's headings, as GitHub and MkDocs make them."""
    headings = re.findall(r"^#+ (.+)$", prose(path), re.MULTILINE)
    plain = (re.sub(r"[^\w\s-]", "", heading.replace("`", "")).lower() for heading in headings)
    return {re.sub(r"\s+", "-", heading.strip()) for heading in plain}


@page
def test_every_relative_link_leads_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), link
        assert not anchor or anchor in anchors(path), link


@page
def test_every_file_named_in_a_page_exists(page):
    for span in code_spans(page):
        if re.fullmatch(r"\.?(harness|experiments|tests|scripts|docs|benchmarks)/[\w./-]+", span):
            assert (ROOT / span).exists(), span


def test_nothing_refers_to_what_is_not_in_the_repository():
    outside = ["DESIGN" + ".md", ".." + "/shared", "/work" + "/shared"]
    folders = ("harness", "experiments", "tests", "benchmarks", "docs", "scripts", ".github", ".ci")
    files = [file for folder in folders for file in (ROOT / folder).rglob("*") if file.is_file()]
    files += [file for file in ROOT.iterdir() if file.is_file()]
    for file in files:
        if file.suffix in (".pyc", ".db") or "__pycache__" in file.parts:
            continue
        text = file.read_text(errors="ignore")
        assert not any(name in text for name in outside), file
