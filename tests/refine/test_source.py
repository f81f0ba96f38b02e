"""The next sweep as Python."""

import ast
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import Choice, Constant, Given, LogInt, LogUniform
from harness.errors import unquoted
from harness.protocols import takes_run
from harness.refine import python, refine
from harness.refine.source import WIDTH, distribution, literal
from tests import published_broad
from tests.factories import make_result
from tests.refine.sweeps import BROAD, FOCUSED, load, position, refined

plain = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**6), 10**6),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
)


@given(plain)
def test_a_value_is_read_back_as_it_was_written(value):
    read = ast.literal_eval(literal(value))
    assert (read, type(read)) == (value, type(value))


def can_be_options(values):
    return len(set(values)) == len(values) and not any(map(unquoted, values))


choices = st.lists(plain, min_size=1, max_size=6).filter(can_be_options).map(lambda o: Choice(*o))
ranges = st.tuples(st.floats(1e-9, 1.0), st.floats(1.5, 1e6)).map(lambda ends: LogUniform(*ends))
wholes = st.tuples(st.integers(1, 99), st.integers(100, 10**9)).map(lambda ends: LogInt(*ends))
tuples = st.lists(plain, max_size=3).map(tuple)
given_ = st.dictionaries(
    st.one_of(st.text("abcdef _", min_size=1, max_size=8), st.integers(0, 99)),
    st.one_of(choices, ranges, wholes, plain, tuples),
    min_size=1,
    max_size=4,
).map(lambda cases: Given("parent", cases))


@settings(max_examples=60)
@given(st.one_of(choices, ranges, wholes, given_, (plain | tuples).map(Constant)))
def test_a_distribution_is_read_back_as_it_was_written(drawn):
    names = {"Choice": Choice, "LogUniform": LogUniform, "LogInt": LogInt, "Given": Given}
    read = eval(distribution(drawn, depth=2, room=10), names)
    assert (read if not isinstance(drawn, Constant) else Constant(read)) == drawn


def test_weights_are_read_back():
    drawn = Choice("advanced", "cosine", weights=(65, 35))
    text = distribution(drawn, depth=0)
    assert text == 'Choice("advanced", "cosine", weights=(65, 35))'
    assert eval(text, {"Choice": Choice}) == drawn


PROPOSALS = {
    "published": lambda: refine(
        "runs.csv",
        published_broad.results(),
        rng=np.random.default_rng(0),
        is_table=True,
        margin=0.02,
    ),
    "falling": lambda: refined(BROAD, lambda c: -0.3 * position(c["learning_rate"])),
    "weighted": lambda: refined(FOCUSED, lambda _: 0.1),
    "odd": lambda: refine(
        'a "table".csv',
        [
            make_result(
                id=f"t-{index}",
                config={
                    "hidden size": [32, 64][index % 2],
                    "a/very.long-name of a parameter": 'say "it\'s"\\'[: 3 + index % 4],
                    "class": None if index % 3 else True,
                },
                delta=0.3 * (index % 2) + 0.01 * (index % 7),
                curve=(),
            )
            for index in range(48)
        ],
        rng=np.random.default_rng(0),
        is_table=True,
        margin=0.02,
        name="7th.try",
    ),
}


@pytest.fixture(params=PROPOSALS, scope="module")
def written(request):
    """A proposal with the Python that declares it."""
    proposal = PROPOSALS[request.param]()
    power = {name: f"with so many runs, {name} is shown" for name in proposal.sweep.questions}
    return proposal, python(proposal, command="sweep refine x", cost=["Cost: 1."], power=power)


def test_the_python_declares_what_was_proposed(written, tmp_path):
    proposal, text = written
    ours, theirs = load(text, tmp_path), proposal.sweep
    for name in ("name", "runs", "steps", "seed", "baseline", "evaluate_every", "margin", "alpha"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert dict(ours.arms) == dict(theirs.arms)
    assert list(ours.questions) == list(theirs.questions)
    for name, claim in ours.questions.items():
        assert claim == theirs.questions[name], name
    assert ours.parameters.distributions == theirs.parameters.distributions
    if not proposal.stub:
        assert ours.plan() == theirs.plan()


def test_the_python_says_why(written):
    proposal, text = written
    said = " ".join(line.strip().removeprefix("# ") for line in text.splitlines())
    for found in proposal.revisions:
        assert " ".join(f"{found.action}: {found.why}.".split()) in said
        if found.gives_up:
            assert " ".join(f"Gives up {found.gives_up}.".split()) in said
    for name in proposal.sweep.questions:
        assert f"With so many runs, {name} is shown." in said
    assert "Cost: 1." in said


def test_no_line_is_too_long(written):
    assert max(map(len, written[1].splitlines())) <= WIDTH


@pytest.mark.parametrize("width", ["88", "100"])
def test_the_python_is_clean_and_formatted(written, width, tmp_path):
    (tmp_path / "test_next.py").write_text(written[1])
    for command in (["check", "--select", "E,F,W,I,UP,B,C4"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--isolated", "--line-length", width, "."],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_training_function_is_imported_from_its_file(tmp_path, monkeypatch):
    (tmp_path / "my_training.py").write_text("def train(job, notify):\n    ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    text = (
        "from harness import LogUniform, Sweep\nfrom my_training import train\n"
        "old = Sweep('old', runs=24, steps=40, trainer=train, task='mine',\n"
        "            space=dict(learning_rate=LogUniform(1e-7, 1e-6)))\n"
    )
    old = load(text, tmp_path, "test_old")
    proposal = refined(old, lambda _: 0.0)
    assert proposal.sweep.trainer is old.trainer
    assert "null" not in proposal.sweep.arms
    assert any("no null arm" in line for line in proposal.notes)
    new = load(python(proposal, command="c"), tmp_path)
    assert new.trainer is old.trainer
    assert new.task == "mine"


def test_a_training_function_that_is_not_known_is_a_stub(tmp_path):
    proposal = PROPOSALS["odd"]()
    assert proposal.stub
    assert any("is a stub" in line for line in proposal.notes)
    new = load(python(proposal, command="c"), tmp_path)
    assert new.name == "7th.try"
    assert takes_run(new.trainer)
    with pytest.raises(NotImplementedError, match="train a run"):
        new.trainer(None)


@pytest.mark.parametrize(
    ("drawn", "text"),
    [
        (Choice(*range(1, 9)), "Choice(1, 2, 3, 4, 5, 6, 7, 8)"),
        (Choice(*range(16, 1025)), "Choice(*range(16, 1025))"),
        (Choice(*range(100, 0, -10)), "Choice(*range(100, 9, -10))"),
        (
            Choice(*(k / 100 for k in range(0, 51, 5))),
            "Choice(*(k / 100 for k in range(0, 51, 5)))",
        ),
    ],
)
def test_many_numbers_at_one_step_are_written_as_a_range(drawn, text):
    assert distribution(drawn, depth=2) == text
    assert eval(text, {"Choice": Choice}) == drawn
