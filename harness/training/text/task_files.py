"""Read tasks of text from JSON lines or mappings, and choose what is held out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import UsageError, nearest, short
from harness.records import is_number
from harness.text import plural
from harness.training.text.prompts import Prompt, normalised, overlaps
from harness.training.text.rewarding import Reward, declared
from harness.training.text.scoring import PATTERN, RULES, rule_for
from harness.training.text.tasks import Row, Settings, Split, TextTask

HELD_OUT_SHARE = 5
"""One in so many prompts is held out where nothing says which are."""

SPLITS: tuple[Split, ...] = ("train", "held_out")

_TASK = ("perf", "max_tokens", "samples", "temperature", "top_p", "lr_transfer")
SETTINGS = tuple(Settings.__annotations__)
"""What the first line of a file may set, and the arguments of `TextTask.read`."""

_LONGEST = 100


@dataclass(frozen=True, slots=True)
class _Line:
    """The fields of a line, and where it stands: in messages, and in whose folder."""

    place: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Prompt:
    """What a line asks, and which side it says that it is on, if it says so."""

    place: str
    row: Row
    split: Split | None


def read(path: Path, given: Settings) -> TextTask:
    """Read a file of JSON lines, as `TextTask.read` describes."""
    lines = _lines(path)
    what, settings = short(path), {}
    if lines and lines[0].fields.keys() == {"task"}:
        settings = lines[0].fields["task"]
        what = lines[0].place
        if not isinstance(settings, Mapping):
            raise UsageError(f"{what}: 'task' is {settings!r}; expected settings by name")
        lines = lines[1:]
    if not lines:
        raise UsageError(f"{what}: no prompts; expected lines like {_EXAMPLE}")
    both = _checked(settings, what) | _checked(given, f"task {short(path)}")
    if "held_out" in both:
        if not isinstance(both["held_out"], str | Path):
            raise UsageError(f"{what}: held_out {both['held_out']!r}; expected a file's name")
        both["held_out"] = _lines(path.parent / both["held_out"])
    return _task(lines, {"name": path.stem} | both, what, path.parent)


def from_records(records: Iterable[Mapping[str, Any]], given: Settings) -> TextTask:
    """Make a task of mappings, as `TextTask.from_records` describes."""
    settings = _checked(given, "task")
    if "name" not in settings:
        raise UsageError("task of records: it has no name; give it one by name='…'")
    if "held_out" in settings:
        settings["held_out"] = _numbered(settings["held_out"], "held-out record")
        if not settings["held_out"]:
            raise UsageError(f"task {settings['name']!r}: held_out has no records")
    what = f"task {settings['name']!r}"
    lines = _numbered(records, "record")
    if not lines:
        raise UsageError(f"{what}: no records")
    return _task(lines, settings, what, Path())


# ---- lines ---------------------------------------------------------------------------------------

_EXAMPLE = '{"prompt": "17 + 25 =", "answer": 42}'


def _lines(path: Path) -> list[_Line]:
    name = short(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"task file {name} cannot be read: {error.strerror}") from None
    found = []
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        place = f"{name}:{number}"
        if line.strip():
            found.append(_Line(place, _parsed(line, place)))
    if not found:
        raise UsageError(f"task file {name} is empty; expected lines like {_EXAMPLE}")
    return found


def _parsed(line: bytes, place: str) -> Mapping[str, Any]:
    try:
        fields = json.loads(line.decode(), parse_constant=_refuse)
    except UnicodeDecodeError as error:
        raise UsageError(f"{place}: not UTF-8: byte {error.start + 1} of the line") from None
    except (ValueError, RecursionError) as error:
        said = str(error).partition(": line ")[0]
        raise UsageError(f"{place}: not JSON ({said}): {_cut(line.decode())!r}") from None
    if not isinstance(fields, dict):
        raise UsageError(f"{place}: {_cut(line.decode())!r}; expected an object like {_EXAMPLE}")
    return fields


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a number of JSON")


def _numbered(records: object, name: str) -> list[_Line]:
    if isinstance(records, str | Mapping) or not isinstance(records, Iterable):
        raise UsageError(f"got {records!r} for {name}s; expected a list of mappings")
    found = []
    for number, record in enumerate(records, start=1):
        if not isinstance(record, Mapping):
            raise UsageError(f"{name} {number}: {_cut(repr(record))}; expected a mapping")
        found.append(_Line(f"{name} {number}", record))
    return found


def _cut(text: str, most: int = _LONGEST) -> str:
    text = text.strip()
    return text if len(text) <= most else f"{text[: most - 1]}…"


# ---- settings ------------------------------------------------------------------------------------


def _checked(given: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Return the settings that are given, with ``reward`` and ``rewards`` as one."""
    found = {name: value for name, value in given.items() if value is not None}
    for name in found:
        if name not in SETTINGS:
            raise UsageError(
                f"{what}: no setting {name!r}; there are {', '.join(SETTINGS)}"
                f"{nearest(name, SETTINGS)}"
            )
    if {"reward", "rewards"} <= found.keys():
        raise UsageError(f"{what}: 'reward' and 'rewards' are one setting; keep one of them")
    if "reward" in found:
        found["rewards"] = found.pop("reward")
    for name in ("name", "prompt", "answer", "system", "perf"):
        if not isinstance(found.get(name, ""), str):
            raise UsageError(f"{what}: {name} {found[name]!r}; expected text")
    if not isinstance(found.get("chat", False), bool):
        raise UsageError(f"{what}: chat {found['chat']!r}; expected true or false")
    return found


def _task(lines: Sequence[_Line], settings: Mapping[str, Any], what: str, folder: Path) -> TextTask:
    rewards: Sequence[Reward] | None = None
    if "rewards" in settings:
        rewards = declared(settings["rewards"], what, folder)
    held_out: Sequence[_Line] = settings.get("held_out", ())
    prompts = [_prompt(line, number, settings) for number, line in enumerate([*lines, *held_out])]
    notes = []
    if held_out:
        prompts = _sides(prompts, len(lines))
    elif any(prompt.split for prompt in prompts):
        prompts = [_on(prompt, prompt.split or "train") for prompt in prompts]
    else:
        prompts = [_on(prompt, _side(prompt.row.prompt)) for prompt in prompts]
        notes.append(_by_hash(prompts))
    _check_sides(prompts, what)
    _check_ids(prompts)
    notes += _duplicates(prompts)
    if rewards is None:
        rewards, note = _by_answers(prompts)
        notes.insert(0, note)
    rows = tuple(prompt.row for prompt in prompts)
    kept = {name: settings[name] for name in _TASK if name in settings}
    task = TextTask(settings["name"], rows, tuple(rewards), **kept, notes=tuple(notes))
    task.check([prompt.place for prompt in prompts])
    return task


# ---- prompts -------------------------------------------------------------------------------------


def _prompt(line: _Line, number: int, settings: Mapping[str, Any]) -> _Prompt:
    fields, place = line.fields, line.place
    asked, answered = settings.get("prompt", "prompt"), settings.get("answer", "answer")
    prompt = _asked(fields, asked, place, settings)
    split = fields.get("split")
    if split is not None and split not in SPLITS:
        raise UsageError(
            f"{place}: split {split!r} is not one of {', '.join(SPLITS)}{nearest(split, SPLITS)}"
        )
    own = {asked, answered, "id", "split", "cluster"}
    row = Row(
        prompt=prompt,
        answer=fields.get(answered),
        id=_word(fields, "id", place) or str(number + 1),
        cluster=_word(fields, "cluster", place),
        split=split or "train",
        columns={name: value for name, value in fields.items() if name not in own},
    )
    return _Prompt(place, row, split)


def _word(fields: Mapping[str, Any], name: str, place: str) -> str | None:
    value = fields.get(name)
    if value is None:
        return None
    if not (isinstance(value, str) or is_number(value)) or not str(value).strip():
        raise UsageError(f"{place}: {name} {value!r}; expected text or a number")
    return str(value)


def _asked(fields: Mapping[str, Any], name: str, place: str, settings: Mapping[str, Any]) -> Prompt:
    """Return the prompt of a line: text, or the messages of a chat."""
    value = fields.get(name)
    if value is None:
        hint = nearest(name, [other for other in fields if other != "answer"])
        raise UsageError(
            f"{place}: no {name!r}; the line has {', '.join(fields) or 'nothing'}{hint}"
        )
    system = settings.get("system")
    before = () if system is None else ({"role": "system", "content": system},)
    if isinstance(value, str):
        if not value.strip():
            raise UsageError(f"{place}: the {name} is empty")
        if system is None and not settings.get("chat", False):
            return value
        return (*before, {"role": "user", "content": value})
    if not isinstance(value, list | tuple) or not value:
        raise UsageError(
            f"{place}: the {name} is {_cut(repr(value))}; expected text, or the messages of a chat,"
            ' [{"role": "user", "content": "…"}]'
        )
    for message in value:
        if not isinstance(message, Mapping) or not all(
            isinstance(message.get(key), str) for key in ("role", "content")
        ):
            raise UsageError(
                f"{place}: the message {_cut(repr(message))}; expected a role and a content, both "
                "of text"
            )
    if value[-1]["role"] == "assistant":
        raise UsageError(
            f"{place}: the last message is the assistant's, which a model is to write; remove it"
        )
    if before and value[0]["role"] == "system":
        before = ()
    return (*before, *(dict(message) for message in value))


# ---- sides ---------------------------------------------------------------------------------------


def _on(prompt: _Prompt, split: Split) -> _Prompt:
    row = prompt.row
    moved = Row(row.prompt, row.answer, row.id, row.cluster, split, row.columns)
    return _Prompt(prompt.place, moved, split)


def _side(prompt: Prompt) -> Split:
    """Return the side of a prompt by a hash of its content, which no other line can change."""
    number = int.from_bytes(hashlib.sha256(normalised(prompt).encode()).digest()[:8], "big")
    return "train" if number % HELD_OUT_SHARE else "held_out"


def _sides(prompts: Sequence[_Prompt], train: int) -> list[_Prompt]:
    """Return prompts of two files: the first ``train`` to be trained on, the rest held out."""
    found = []
    for number, prompt in enumerate(prompts):
        split: Split = "train" if number < train else "held_out"
        if prompt.split not in (None, split):
            raise UsageError(
                f"{prompt.place}: split {prompt.split!r}, in the file of the prompts that are "
                f"{split}; remove one of the two"
            )
        found.append(_on(prompt, split))
    return found


def _of(prompts: Iterable[_Prompt], split: Split) -> list[_Prompt]:
    return [prompt for prompt in prompts if prompt.row.split == split]


def _check_sides(prompts: Sequence[_Prompt], what: str) -> None:
    train, held_out = _of(prompts, "train"), _of(prompts, "held_out")
    counted = plural(len(prompts), "prompt")
    if not train:
        raise UsageError(
            f"{what}: no prompts to train on among {counted}; expected lines whose split is train"
        )
    if not held_out:
        raise UsageError(
            f"{what}: no held-out prompts among {counted}; give more lines, or mark some with "
            '"split": "held_out"'
        )
    shared = overlaps([p.row.prompt for p in train], [p.row.prompt for p in held_out])
    if shared:
        first, second = shared[0]
        also = f", as are {len(shared) - 1} more" if len(shared) > 1 else ""
        raise UsageError(
            f"{held_out[second].place}: this held-out prompt is also trained on "
            f"({train[first].place}){also}: the score would count what was memorised; remove them "
            "from one of the two"
        )


def _check_ids(prompts: Iterable[_Prompt]) -> None:
    known: dict[str, str] = {}
    for prompt in prompts:
        if prompt.row.id in known:
            raise UsageError(
                f"{prompt.place}: the id {prompt.row.id!r} is also that of {known[prompt.row.id]}"
            )
        known[prompt.row.id] = prompt.place


# ---- notes ---------------------------------------------------------------------------------------


def _by_hash(prompts: Sequence[_Prompt]) -> str:
    held_out = len(_of(prompts, "held_out"))
    return (
        f"no line says what is held out: {held_out} of {plural(len(prompts), 'prompt')} are, by a "
        "hash of their content"
    )


def _duplicates(prompts: Sequence[_Prompt]) -> Iterator[str]:
    """Yield what is to be said of prompts that ask the same as an earlier one."""
    known: dict[str, _Prompt] = {}
    repeated, differ = [], []
    for prompt in prompts:
        first = known.setdefault(normalised(prompt.row.prompt), prompt)
        if first is not prompt:
            pair = f"{prompt.place} and {first.place}"
            repeated.append(pair)
            if prompt.row.answer != first.row.answer:
                differ.append(pair)
    if repeated:
        verb = "repeats" if len(repeated) == 1 else "repeat"
        yield (
            f"{plural(len(repeated), 'prompt')} of {len(prompts)} {verb} an earlier one, such as "
            f"{repeated[0]}"
        )
    if differ:
        yield (
            f"{plural(len(differ), 'repeated prompt has', 'repeated prompts have')} another answer "
            f"than the earlier one, such as {differ[0]}"
        )


def _by_answers(prompts: Sequence[_Prompt]) -> tuple[list[Reward], str]:
    for prompt in prompts:
        if prompt.row.answer is None:
            raise UsageError(
                f"{prompt.place}: no answer, and no reward is named that would do without one; "
                f"give an answer, or name a reward: {', '.join((*RULES, PATTERN))} or "
                "file.py:function"
            )
    rule, why = rule_for([prompt.row.answer for prompt in prompts])
    return [Reward(rule)], f"reward {rule}, as {why}: {RULES[rule].meaning}"
