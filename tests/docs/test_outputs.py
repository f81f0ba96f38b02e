"""What the documentation shows a command to print, the command prints; so with the picture."""

import re
import shlex
import shutil

import pytest

from harness.cli import main
from tests.docs.pages import PAGES, ROOT
from tests.published_broad import write

SHOWN = re.compile(r"^\$ (sweep [^\n]+)\n```\n\n```text\n(.*?)^```$", re.M | re.S)
VERBS = ("judge", "analyze", "refine", "plan", "list", "gate")
PAGED = 1  # the example of `sweep gate`
AT_HAND = ("docs/examples/", "published.csv", "focused")


def shown():
    """Return page, command and text of each output that can be made anew."""
    for page in PAGES:
        for command, text in SHOWN.findall(page.read_text()):
            verb, *rest = shlex.split(command)[1:]
            if verb in VERBS and (not rest or rest[0].startswith(AT_HAND)):
                yield pytest.param(command, text, id=f"{page.name}: {command}")


def test_there_are_outputs_to_compare():
    assert len(list(shown())) >= 7


@pytest.mark.usefixtures("priced_once")
@pytest.mark.parametrize(("command", "text"), list(shown()))
def test_a_command_prints_what_is_shown(command, text, tmp_path, monkeypatch, capsys):
    shutil.copytree(ROOT / "experiments", tmp_path / "experiments")
    shutil.copytree(ROOT / "docs" / "examples", tmp_path / "docs" / "examples")
    write(tmp_path / "published.csv")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    verb, *_ = rest = shlex.split(command)[1:]
    assert main(rest) == (PAGED if verb == "gate" else 0)
    out, err = capsys.readouterr()
    printed = err + out
    for part in re.split(r"^…\n", text, flags=re.MULTILINE):
        assert part in printed, f"not printed, or not in this order:\n{part}"
        printed = printed.partition(part)[2]


def test_the_picture_is_what_its_script_draws(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "scripts")
    import readme_picture

    assert readme_picture.PICTURE.read_text() == readme_picture.picture()
