"""The example of docs/trackers.md hears of the runs and verdicts of a sweep."""

from tests.docs.pages import DOCS, example_files

pytest_plugins = ["pytester"]


def test_the_hooks_of_the_page_are_called(sweeps, monkeypatch):
    sweeps.write()
    monkeypatch.chdir(sweeps.path)
    (name,) = example_files(DOCS / "trackers.md")
    (sweeps.path / name).write_text(example_files(DOCS / "trackers.md")[name])
    result = sweeps.run("--sweep", "toy")
    assert result.ret == 0
    assert "warning" not in result.stdout.str()
    lines = (sweeps.path / "runs.log").read_text().splitlines()
    assert [line.split()[0] for line in lines] == sweeps.trained
    assert all(line.split()[1] == "completed" for line in lines)
    (said,) = (sweeps.path / "verdicts.log").read_text().splitlines()
    assert said.startswith("toy: success_above_half is supported, yes: 8 of 8")
