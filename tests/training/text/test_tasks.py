"""Tasks of text: read, split, named by their content, graded, and refused in one line."""

import dataclasses
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import harness.training.text.arithmetic as shipped
from harness import HarnessError, Reward, TextTask, UsageError, arithmetic
from harness.training.text.prompts import normalised
from harness.training.text.rewarding import TIME_LIMIT
from harness.training.text.scoring import RULES
from harness.training.text.tasks import load_task

LINES = [{"prompt": f"{n} + 1 =", "answer": n + 1} for n in range(40)]


def written(path, *lines):
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(texts) + "\n")
    return path


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "sums.jsonl"


# ---- reading -------------------------------------------------------------------------------------


def test_a_bare_file_is_a_task(file):
    task = load_task("sums.jsonl", written(file, *LINES).parent)
    assert (task.name, task.perf) == ("sums", "numeric")
    assert task.notes[0].startswith("reward numeric, as all answers are numbers: ")
    assert len(task.rows) == len(task.numbers("train")) + len(task.numbers("held_out")) == 40
    assert task.rows[3].id == "4"
    graded = task.grade([0, 0, 5], ["1", "2", "It is 6."], [[1], [2], [3]])
    assert graded.rewards.tolist() == graded.scores.tolist() == [1, 0, 1]
    assert graded.rewards.dtype == np.float32
    assert graded.parts["numeric"].tolist() == [1, 0, 1]


def test_the_first_line_has_settings_and_other_fields_are_kept(file):
    settings = {
        "name": "s", "rewards": {"exact": 1, "numeric": 0.5}, "perf": "numeric",
        "max_tokens": 8, "samples": 2, "temperature": 0.7, "top_p": 0.9, "lr_transfer": 3,
        "prompt": "question", "system": "Be short.",
    }  # fmt: skip
    lines = [
        {"question": "1+1", "answer": "2", "id": "a", "split": "held_out", "hard": True},
        {"question": "1+2", "answer": "3", "cluster": 7},
    ]
    task = TextTask.read(written(file, {"task": settings}, "", *lines))
    assert (task.name, task.perf, task.max_tokens, task.samples) == ("s", "numeric", 8, 2)
    assert (task.temperature, task.top_p, task.lr_transfer) == (0.7, 0.9, 3)
    first, second = task.rows
    assert (first.id, first.split, first.columns) == ("a", "held_out", {"hard": True})
    assert (second.id, second.split, second.cluster) == ("2", "train", "7")
    assert [m["role"] for m in first.prompt] == ["system", "user"]
    assert task.grade([0, 0], ["2", "2.0"]).rewards.tolist() == [1.5, 0.5]
    assert task.grade([0, 0], ["2", "2.0"]).scores.tolist() == [1, 1]
    assert TextTask.read(file, samples=5, name="t").samples == 5


def test_a_chat_stays_one_and_a_text_becomes_one_if_asked(file):
    chat = [{"role": "user", "content": "1+1"}]
    lines = [{"prompt": chat, "answer": 2, "split": "held_out"}, {"prompt": "1+2", "answer": 3}]
    task = TextTask.read(written(file, *lines))
    assert task.rows[0].prompt == ({"role": "user", "content": "1+1"},)
    assert task.rows[1].prompt == "1+2"
    assert TextTask.read(file, chat=True).rows[1].prompt == ({"role": "user", "content": "1+2"},)


def test_a_task_is_made_in_python(tmp_path):
    task = TextTask.from_records(LINES, name="sums", held_out=[{"prompt": "9+9", "answer": 18}])
    assert [row.split for row in task.rows] == ["train"] * 40 + ["held_out"]
    assert (task.training_prompts, task.is_text) == (40, True)
    with pytest.raises(UsageError, match=r"^task 't': held_out has no records$"):
        TextTask.from_records(LINES, name="t", held_out=[])
    (tmp_path / "tasks.py").write_text(
        "from harness import TextTask\n"
        "lines = [{'prompt': f'{n}', 'answer': n} for n in range(40)]\n"
        "mine = TextTask.from_records(lines, name='mine')\n"
        "def made(): return mine\n"
        "other = 3\n"
    )
    assert load_task("tasks.py:mine", tmp_path).name == "mine"
    assert load_task("tasks.py:made", tmp_path) is load_task("tasks.py:mine", tmp_path)
    with pytest.raises(UsageError, match=r"task 'tasks.py:other': expected a TextTask .* type int"):
        load_task("tasks.py:other", tmp_path)


def test_the_lines_of_the_documentation_are_a_task(file):
    page = (Path(__file__).parents[3] / "docs" / "tasks.md").read_text()
    lines, rewards = re.findall(r"^```json\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    task = TextTask.read(written(file, lines))
    assert task.grade([0, 1, 2], ["4 * 3 = 12", "#### 14", "41"]).scores.tolist() == [1, 1, 0]
    file.with_name("rewards.py").write_text("def brevity(completions): return []\n")
    for first in rewards.splitlines():
        assert TextTask.read(written(file, first, HELD, GOOD)).perf in ("numeric", "exact")
    defaults = {field.name: field.default for field in dataclasses.fields(TextTask)}
    for name, shown in re.findall(r"^\| `(max_tokens|samples)` \| `(\d+)`", page, re.MULTILINE):
        assert defaults[name] == int(shown)
    for name, rule in RULES.items():
        assert f"| `{name}` |" in page, rule
    assert f"({TIME_LIMIT:g})" in page
    for name, make in shipped.TASKS.items():
        made = make()
        train, held_out = (len(made.numbers(split)) for split in ("train", "held_out"))
        asked = made.rows[0].id
        assert f"| `{name}` | {asked}" in page
        assert re.search(rf"`{name}` .* \| {held_out}, {train:,} \|", page)


# ---- sides ---------------------------------------------------------------------------------------

PROMPTS = st.lists(st.text(min_size=1).filter(str.strip), min_size=1, max_size=30)


def sides(prompts):
    lines = [*LINES, *({"prompt": prompt, "answer": 1} for prompt in prompts)]
    task = TextTask.from_records(lines, name="t", reward="numeric")
    return {normalised(row.prompt): row.split for row in task.rows}


@given(PROMPTS, PROMPTS)
def test_a_side_is_the_content_s_and_stays_when_lines_are_added(some, more):
    before = sides(some)
    after = sides([*more, *(f" {prompt.upper()}\n" for prompt in some), *some])
    assert {prompt: after[prompt] for prompt in before} == before


def test_about_a_fifth_is_held_out():
    prompts = [{"prompt": f"prompt {n}", "answer": 1} for n in range(2000)]
    task = TextTask.from_records(prompts, name="t")
    assert 340 < len(task.numbers("held_out")) < 460
    assert f"{len(task.numbers('held_out'))} of 2,000 prompts are, by a hash" in task.notes[1]


def test_a_second_file_is_held_out(file):
    written(file.with_name("test.jsonl"), {"prompt": "x", "answer": 1})
    written(file, {"task": {"held_out": "test.jsonl"}}, *LINES)
    task = TextTask.read(file)
    assert task.numbers("held_out").tolist() == [40]
    written(file.with_name("test.jsonl"), {"prompt": " 3 +  1 = ", "answer": 1})
    with pytest.raises(UsageError, match=r"^test.jsonl:1: .* trained on \(sums.jsonl:5\)"):
        TextTask.read(file)


def test_prompts_that_repeat_are_told(file):
    lines = [*LINES, {"prompt": "3 +  1 =", "answer": 4}, {"prompt": "4 + 1 =", "answer": 6}]
    notes = TextTask.read(written(file, *lines)).notes
    assert notes[2] == (
        "2 prompts of 42 repeat an earlier one, such as sums.jsonl:41 and sums.jsonl:4"
    )
    assert notes[3].endswith(
        "another answer than the earlier one, such as sums.jsonl:42 and sums.jsonl:5"
    )


# ---- what is refused -----------------------------------------------------------------------------

HELD = {"prompt": "h", "answer": 1, "split": "held_out"}
GOOD = {"prompt": "p", "answer": 1}

BAD = [
    ("", r"^task file sums.jsonl is empty; expected lines like"),
    ("\n \n", r"^task file sums.jsonl is empty"),
    ('{"task": {}}', r"^sums.jsonl:1: no prompts; expected lines like"),
    (b'{"prompt": "p\xff"}', r"^sums.jsonl:1: not UTF-8: byte 14"),
    ([GOOD, '{"prompt": "x"'], r"^sums.jsonl:2: not JSON \(Expecting ',' delimiter\): '{\"pro"),
    ([GOOD, '{"prompt": "x", "answer": NaN}'], r"^sums.jsonl:2: not JSON \(NaN is not a number"),
    ([GOOD, "[1]"], r"^sums.jsonl:2: '\[1\]'; expected an object like"),
    (["[" * 10**5], r"^sums.jsonl:1: not JSON"),
    ([GOOD, {"promt": "x", "answer": 1}], r"^sums.jsonl:2: no 'prompt'; the line has .* 'promt'\?"),
    ([{"prompt": " ", "answer": 1}], r"^sums.jsonl:1: the prompt is empty"),
    ([{"prompt": 3, "answer": 1}], r"^sums.jsonl:1: the prompt is 3; expected text, or the mess"),
    ([{"prompt": [{"role": "user"}]}], r"^sums.jsonl:1: the message .* expected a role and a cont"),
    (
        [{"prompt": [{"role": "assistant", "content": "2"}], "answer": 1}],
        r"^sums.jsonl:1: the last message is the assistant's",
    ),
    ([GOOD, HELD, {"prompt": "x"}], r"^sums.jsonl:3: no answer, and no reward is named"),
    ([{"task": {"reward": "exact"}}, HELD, {"prompt": "x"}], r"^sums.jsonl:3: no 'answer', which"),
    (
        [{"task": {"reward": "numeric"}}, HELD, {"prompt": "x", "answer": "two"}],
        r"^sums.jsonl:3: the answer 'two' is not a number, which the reward 'numeric' needs",
    ),
    (
        [{"task": {"reward": "numeric"}}, HELD, {"prompt": "x", "answer": {}}],
        r"^sums.jsonl:3: the answer {} is none that the reward 'numeric' can read",
    ),
    (
        [{"task": {"reward": "multiple_choice"}}, HELD, GOOD],
        r"^sums.jsonl:2: the answer '1' is not a letter",
    ),
    ([GOOD, GOOD | {"split": "heldout"}], r"^sums.jsonl:2: split 'heldout' .* 'held_out'\?$"),
    ([GOOD, GOOD | {"split": 1}], r"^sums.jsonl:2: split 1 is not one of train, held_out$"),
    ([HELD], r"^sums.jsonl: no prompts to train on among 1 prompt"),
    ([GOOD | {"split": "train"}], r"^sums.jsonl: no held-out prompts among 1 prompt; give more"),
    ([GOOD, HELD | {"prompt": "P "}], r"^sums.jsonl:2: this held-out .* on \(sums.jsonl:1\): the"),
    ([GOOD | {"id": 2}, HELD], r"^sums.jsonl:2: the id '2' is also that of sums.jsonl:1$"),
    ([GOOD | {"id": []}, HELD], r"^sums.jsonl:1: id \[\]; expected text or a number$"),
    ([{"task": 3}, GOOD], r"^sums.jsonl:1: 'task' is 3; expected settings by name$"),
    ([{"task": {"sample": 3}}, GOOD], r"^sums.jsonl:1: no setting 'sample'; .* 'samples'\?$"),
    ([{"task": {"samples": 0}}, GOOD, HELD], r"^task 'sums': samples 0; expected a whole number"),
    ([{"task": {"samples": True}}, GOOD, HELD], r"^task 'sums': samples True; expected a whole"),
    ([{"task": {"top_p": 1.5}}, GOOD, HELD], r"^task 'sums': top_p 1.5; .* above 0 up to 1$"),
    ([{"task": {"temperature": 0}}, GOOD, HELD], r"^task 'sums': temperature 0; expected a numb"),
    ([{"task": {"name": "a\nb"}}, GOOD, HELD], r"^task 'a\\nb': the name is no printable text$"),
    ([{"task": {"held_out": 3}}, GOOD], r"^sums.jsonl:1: held_out 3; expected a file's name$"),
    ([{"task": {"held_out": "no.jsonl"}}, GOOD], r"^task file no.jsonl cannot be read: No such"),
    ([{"task": {"reward": "exakt"}}, GOOD], r"^sums.jsonl:1: reward 'exakt' .* 'exact'\?$"),
    ([{"task": {"reward": "exact", "rewards": 1}}, GOOD], r"^sums.jsonl:1: 'reward' and 'rewards'"),
    ([{"task": {"rewards": []}}, GOOD], r"^sums.jsonl:1: no rewards; name one"),
    ([{"task": {"rewards": ["exact", "exact"]}}, GOOD], r"^sums.jsonl:1: two rewards are called"),
    (
        [{"task": {"rewards": {"exact": None}}}, GOOD],
        r"^sums.jsonl:1: .* weight None; expected a n",
    ),
    (
        [{"task": {"reward": {"rule": "exact", "name": 3}}}, GOOD],
        r"^sums.jsonl:1: reward 3: the nam",
    ),
    ([{"task": {"rewards": {"exact": "1"}}}, GOOD], r"^sums.jsonl:1: .* weight '1'; expected a n"),
    ([{"task": {"reward": 3}}, GOOD], r"^sums.jsonl:1: the reward 3; expected a rule's name"),
    (
        [{"task": {"reward": {"rule": "regex", "pat": 1}}}, GOOD],
        r"no setting 'pat'; .*'pattern'\?$",
    ),
    (
        [{"task": {"reward": {"rule": "regex", "pattern": "(a"}}}, GOOD, HELD],
        r"^sums.jsonl:1: reward 'regex': '\(a' is not a regular expression: missing \)",
    ),
    (
        [{"task": {"reward": "regex"}}, GOOD, HELD | {"answer": "[a"}],
        r"^sums.jsonl:3: the answer: '\[a' is not a regular expression: unterminated",
    ),
    (
        [{"task": {"reward": {"rule": "exact", "pattern": "a"}}}, GOOD, HELD],
        r"^sums.jsonl:1: reward 'exact' has a pattern; only the rule 'regex' takes one$",
    ),
    (
        [{"task": {"perf": "fast"}}, GOOD, HELD],
        r"^task 'sums': perf 'fast' is not one of .* numeric",
    ),
    (
        [{"task": {"reward": "no.py:f"}}, GOOD],
        r"^sums.jsonl:1: reward 'no.py:f': there is no file ",
    ),
    (
        [{"task": {"reward": "no_such_module_here:f"}}, GOOD],
        r"^sums.jsonl:1: reward 'no_such_module_here:f' cannot be imported: ModuleNotFoundError",
    ),
    (
        [{"task": {"reward": "f.py:g"}}, GOOD],
        r"^sums.jsonl:1: reward 'f.py:g': 'f.py' defines no 'g'",
    ),
    ([{"task": {"reward": "f.py:x"}}, GOOD], r"^sums.jsonl:1: .* expected a function, but .* int$"),
    (
        [{"task": {"reward": "f.py:f"}}, GOOD | {"colour": 1}, HELD],
        r"^sums.jsonl:2: the reward 'f' takes 'color', and the line has no .* 'colour'\?$",
    ),
    ([{"task": {"reward": "f.py:none"}}, GOOD, HELD], r"'none' takes no 'completions'"),
]


@pytest.mark.parametrize(("content", "said"), BAD, ids=[str(n) for n in range(len(BAD))])
def test_what_cannot_be_used_is_one_line(file, content, said):
    file.with_name("f.py").write_text(
        "x = 3\ndef f(completions, color): return []\ndef none(prompts): return []\n"
    )
    if isinstance(content, list):
        written(file, *content)
    else:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UsageError, match=said) as refused:
        load_task("sums.jsonl", file.parent)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("arithmetic-9", r"^task 'arithmetic-9' is not one of arithmetic-1, .* did you mean 'arit"),
        ("no.jsonl", r"^task file no.jsonl cannot be read: No such file"),
        ("no.py:task", r"^task 'no.py:task': there is no file "),
        ("t.py", r"^task 't.py': name the task in that file, as in t.py:task$"),
        ("folder", r"^task file folder cannot be read: Is a directory$"),
    ],
)
def test_a_source_that_is_none_is_one_line(file, source, said):
    file.with_name("t.py").write_text("")
    file.with_name("folder").mkdir()
    with pytest.raises(UsageError, match=said):
        load_task(source, file.parent)


@given(st.binary(max_size=200))
def test_no_file_makes_reading_raise_anything_else(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    path.write_bytes(content)
    with pytest.raises(UsageError):
        TextTask.read(path)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)
FIELDS = st.sampled_from(["prompt", "answer", "id", "split", "cluster", "x"])


@given(st.lists(st.dictionaries(FIELDS, VALUES), max_size=4))
def test_no_record_makes_reading_raise_anything_else(records):
    try:
        task = TextTask.from_records(records, name="t")
    except UsageError as error:
        said = str(error)
        if "\n" in said:
            pytest.fail(said)
    else:
        task.grade(range(len(task.rows)), ["1"] * len(task.rows))
        assert task.version


# ---- versions ------------------------------------------------------------------------------------


def test_the_version_is_the_content_s(file):
    version = TextTask.read(written(file, *LINES)).version
    moved = file.with_name("moved.jsonl")
    shutil.copy(file, moved)
    assert TextTask.read(moved).version == version
    for change in ({"samples": 2}, {"max_tokens": 9}, {"rewards": "exact"}, {"top_p": 0.5}):
        assert TextTask.read(file, **change).version != version
    assert TextTask.read(file, lr_transfer=2.0, name="n").version == version
    assert TextTask.read(written(file, *LINES[1:])).version != version
    assert TextTask.read(written(file, *LINES[1:], LINES[0] | {"x": 1})).version != version


def test_the_version_has_the_source_of_a_reward(file):
    source = "def short(completions): return [0.0 for _ in completions]\n"
    versions = []
    for folder, text in (("a", source), ("b", source), ("c", source + "# changed\n")):
        (file.parent / folder).mkdir()
        (file.parent / folder / "rewards.py").write_text(text)
        path = written(file.parent / folder / "t.jsonl", *LINES)
        task = TextTask.read(path, rewards=["numeric", "rewards.py:short"])
        versions.append(task.version)
        assert task.files == (path.with_name("rewards.py"),)
    assert versions[0] == versions[1] != versions[2]


def test_the_version_has_what_a_reward_s_file_imports_wherever_it_lies(file):
    task = TextTask.read(written(file, *LINES))
    assert task.version_with({}) == task.version
    here = task.version_with({"/a/words.py": "1", "/a/more.py": "2"})
    assert task.version_with({"/b/more.py": "2", "/b/words.py": "1"}) == here
    assert len({task.version, here, task.version_with({"/a/words.py": "2"})}) == 3


def test_a_value_that_json_has_not_is_refused():
    lines = [*LINES, {"prompt": "x", "answer": 1, "when": object()}]
    with pytest.raises(UsageError, match="values that JSON has not"):
        _ = TextTask.from_records(lines, name="t").version


# ---- rewards that are not scores -----------------------------------------------------------------


def test_perf_lies_between_0_and_1(tmp_path):
    def length(completions):
        return [len(text) for text in completions]

    task = TextTask.from_records(LINES, name="t", rewards=[length, "exact"])
    with pytest.raises(HarnessError, match=r"'length' gave 3 .* prompt 1 '0 \+ 1 ='; it is the t"):
        task.grade([0, 0], ["1", "abc"])
    task = TextTask.from_records(LINES, name="t", rewards=[length, "exact"], perf="exact")
    assert task.grade([0, 0], ["1", "abc"]).rewards.tolist() == [2, 3]


def test_rewards_can_be_declared_in_each_way():
    def one(completions):
        return [1.0] * len(completions)

    weighted = Reward("exact", weight=2, name="right")
    for given_ in (
        ["exact", one],
        {"exact": 1, one: 0.5},
        [weighted, Reward(one)],
        [{"rule": "exact", "weight": 3}, {"rule": "numeric"}],
        "exact",
        weighted,
    ):
        task = TextTask.from_records(LINES, name="t", rewards=given_)
        graded = task.grade([0], ["1"])
        weights = {reward.name: reward.weight for reward in task.rewards}
        assert set(graded.parts) == set(weights)
        assert graded.rewards[0] == sum(weights.values())
    with pytest.raises(UsageError, match=r"'exact' has arguments; only a function takes them"):
        Reward("exact", arguments={"a": 1})


# ---- arithmetic ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", shipped.TASKS)
def test_shipped_tasks_are_fixed_and_right(name, tmp_path):
    task = load_task(name, tmp_path)
    assert task.name == name
    assert task.version == shipped.TASKS[name]().version
    texts = [normalised(row.prompt) for row in task.rows]
    assert len(set(texts)) == len(texts)
    for row in task.rows[::50]:
        asked = row.prompt[-1]["content"].removeprefix("What is ").removesuffix("?")
        assert row.answer == eval(asked)
        assert row.id == asked
    answers = [str(row.answer) for row in task.rows]
    replies = [f"{row.id} = {row.answer}" for row in task.rows]
    assert task.grade(range(len(answers)), answers).scores.all()
    assert task.grade(range(len(answers)), replies).scores.all()
    assert len(task.numbers("held_out")) == (32 if name == "arithmetic-1" else 512)
    shown = task.rows[0].prompt[1:-1]
    assert not {one["content"] for one in shown} & {row.prompt[-1]["content"] for row in task.rows}
    for question, reply in zip(shown[::2], shown[1::2], strict=True):
        asked = question["content"].removeprefix("What is ").removesuffix("?")
        assert reply["content"] == f"{asked} = {eval(asked)}"
        kinds = [re.sub("[0-9]", "0", one) for one in (asked, task.rows[0].id)]
        assert re.sub("[-*]", "+", kinds[0]) == re.sub("[-*]", "+", kinds[1])


def test_shipped_tasks_stay_as_they_are():
    versions = {name: make().version for name, make in shipped.TASKS.items()}
    assert versions == {
        "arithmetic-1": "339367773163b98c",
        "arithmetic-2": "b7219ab928869e6b",
        "arithmetic-3": "fc7485b3fc29e918",
        "arithmetic-4": "c5cd38169a29788f",
        "arithmetic-5": "ecff1dc2f91ff25c",
    }


def test_arithmetic_has_arguments():
    task = arithmetic(digits=1, terms=3, operations="*-", held_out=64, samples=2, chat=False)
    assert (len(task.numbers("held_out")), task.samples) == (64, 2)
    for row in task.rows:
        assert row.prompt == f"{row.id} ="
        assert row.answer == eval(row.id)
    assert {sign for row in task.rows for sign in row.id if sign in "+-*"} == {"-", "*"}
    assert len(arithmetic(9, 9, held_out=1, operations="+-*").rows) == 4097


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"digits": 0}, "digits 0; expected 1 to 9"),
        ({"terms": 1}, "terms 1; expected 2 to 9"),
        ({"digits": 1}, r"held_out 512; there are \d+ such prompts, expected at most \d+"),
        ({"operations": "/"}, r"operations '/'; expected some of \+ - \*"),
        ({"held_out": 1.5}, "held_out 1.5; expected 1 to 65536"),
    ],
)
def test_arithmetic_refuses(arguments, said):
    with pytest.raises(UsageError, match=f"^arithmetic: {said}"):
        arithmetic(**arguments)
