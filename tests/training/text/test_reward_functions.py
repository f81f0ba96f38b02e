"""Reward functions of a user's own: what they are given, and how one that fails ends a run."""

import os
import re
import subprocess
import sys
import textwrap
import threading
import time

import psutil
import pytest

from harness import HarnessError, Reward, TextTask, UsageError

LINES = [{"prompt": f"{n} + 1 =", "answer": n + 1, "k": n} for n in range(40)]

MARK = f"73.{os.getpid()}"

REWARDS = """
import asyncio, os, re, sys, time

def half(completions): return [0.5 for _ in completions]

def by_column(completions, k, answers, prompts, missing=7):
    assert missing == 7
    return [10 * k + a + len(p) / 100 for k, a, p in zip(k, answers, prompts, strict=True)]

def trl(prompts, completions, completion_ids, **kwargs):
    '''A function as TRL has them, for chats: messages come, and columns by their names.'''
    assert set(kwargs) == {"answers", "answer", "k", "most"}, kwargs
    texts = [messages[-1]["content"] for messages in completions]
    assert prompts[0] == [{"role": "user", "content": "0 + 1 ="}]
    return [float(t == str(a)) + len(ids) for t, a, ids in
            zip(texts, kwargs["answer"], completion_ids, strict=True)]

async def later(completions):
    first, *rest = await asyncio.gather(*(asyncio.sleep(0.01, len(c)) for c in completions))
    return [float(n) for n in (first, *rest)]

def awaitable(completions): return later(completions)

def array(completions):
    import numpy
    return numpy.array([True for _ in completions])

def pid(completions): return [os.getpid()] * len(completions)

def prints(completions):
    print("hello from a reward"); sys.stdout.flush()
    return [1] * len(completions)

def hangs(completions):
    if "slow" in completions:
        re.match("(a+)+$", "a" * 60 + "b")
    return [1.0] * len(completions)

def sleeps(completions): time.sleep(60)

async def waits(completions): await asyncio.sleep(60)

def starts(completions):
    import subprocess
    subprocess.run(["sleep", "73.MARK"])

def raises(completions): return [1 / (text != "bad") for text in completions]

def raises_for_all(completions):
    if len(completions) > 1: raise ValueError("two\\nlines " + "x" * 500)
    return [1.0]

def leaves(completions): sys.exit("no")

def dies(completions): os._exit(3)

def none(completions): return [1.0, None, 1.0]

def nan(completions): return [1.0, float("nan"), 1.0]

def infinite(completions): return [1.0, 1.0, 1e39]

def huge(completions): return [10**400] * len(completions)

def text(completions): return ["1.0"] * len(completions)

def fewer(completions): return [1.0]

def number(completions): return 1.0

def nothing(completions): pass
""".replace("73.MARK", MARK)


@pytest.fixture
def task(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rewards.py").write_text(REWARDS)
    made = []

    def make(*rewards, lines=LINES, **settings):
        named = [f"rewards.py:{one}" if isinstance(one, str) else one for one in rewards]
        rewards = ["numeric", *named]
        made.append(TextTask.from_records(lines, name="t", rewards=rewards, **settings))
        return made[-1]

    yield make
    for one in made:
        one.close()


def function(name, **settings):
    return Reward(f"rewards.py:{name}", **settings)


# ---- what they are given -------------------------------------------------------------------------


def test_a_function_gets_the_arguments_that_it_has(task):
    mine = task("half", "by_column")
    graded = mine.grade([0, 2], ["1", "x"])
    assert graded.parts["half"].tolist() == [0.5, 0.5]
    assert graded.parts["by_column"].tolist() == pytest.approx([1.07, 23.07])
    assert graded.scores.tolist() == [1, 0]


def test_a_function_of_trl_gets_messages_and_columns(task):
    mine = task(function("trl", messages=True, arguments={"most": 3}), chat=True)
    graded = mine.grade([0, 0], ["1", "2"], [[5, 6], [7]])
    assert graded.parts["trl"].tolist() == [3, 1]


@pytest.mark.parametrize(
    ("name", "found"), [("later", [1, 3]), ("awaitable", [1, 3]), ("array", [1, 1])]
)
def test_functions_may_be_async_and_return_arrays(task, name, found):
    mine = task(name)
    assert mine.grade([0, 1], ["a", "abc"]).parts[name].tolist() == found
    assert mine.grade([0, 1], ["abc", "a"]).parts[name].tolist() == found[::-1]


def test_the_process_stays_and_ends_with_the_task(task):
    mine = task("pid")
    first = int(mine.grade([0], ["a"]).parts["pid"][0])
    assert first == int(mine.grade([0], ["b"]).parts["pid"][0])
    process = psutil.Process(first)
    mine.close()
    assert not process.is_running()
    assert int(mine.grade([0], ["a"]).parts["pid"][0]) != first


def test_a_function_without_a_name_elsewhere_runs_in_a_thread(task):
    threads = []

    def local(completions):
        threads.append(threading.current_thread())
        return [float(len(text)) for text in completions]

    mine = task(local, Reward(lambda completions: [2.0] * len(completions), name="two"))
    graded = mine.grade([0, 0], ["a", "bc"])
    assert graded.parts["local"].tolist() == [1, 2]
    assert graded.parts["two"].tolist() == [2, 2]
    assert threads[0] is not threading.main_thread()


def test_what_a_function_prints_is_in_the_output(tmp_path):
    (tmp_path / "rewards.py").write_text(REWARDS)
    code = """
    from harness import TextTask
    lines = [{"prompt": f"{n}", "answer": n} for n in range(40)]
    task = TextTask.from_records(lines, name="t", rewards=["numeric", "rewards.py:prints"])
    print(task.grade([0], ["a"]).parts["prints"].tolist())
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["hello from a reward", "[1.0]"]
    assert done.stderr == ""


def test_arguments_that_a_function_does_not_take_are_refused(task):
    with pytest.raises(UsageError, match="'half' takes no 'most', which it is given"):
        task(function("half", arguments={"most": 3}))


# ---- what ends a run -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "raises",
            r"raised ZeroDivisionError: .* \(rewards.py:\d+\) for a completion to prompt 2 '1",
        ),
        (
            "raises_for_all",
            r"raised ValueError: two lines x+… \(rewards.py:\d+\) for 3 comp.*prompt 1",
        ),
        ("leaves", r"raised SystemExit: no .* for a completion to prompt 1 '0 \+ 1 ='$"),
        ("dies", r"ended its process with status 3 for 3 completions, the first .* prompt 1 '0 \+"),
        ("none", r"gave None for a completion to prompt 2 '1 \+ 1 ='; expected a finite number$"),
        ("nan", r"gave nan for a completion to prompt 2 '1 \+ 1 ='; expected a finite number$"),
        ("infinite", r"gave 1e\+39 for a completion to prompt 3 '2 \+ 1 ='; expected a finite"),
        ("huge", r"gave a number that is too large for a completion to prompt 1 "),
        ("text", r"gave '1.0' of type str for a completion to prompt 1 "),
        (
            "fewer",
            r"returned 1 reward for 3 completions, the first of them to prompt 1 '0 \+ 1 ='; ex",
        ),
        (
            "number",
            r"returned float for 3 completions, the first .*; expected a list with a number",
        ),
        (
            "nothing",
            r"returned NoneType for 3 completions, .* prompt 1 '0 \+ 1 ='; expected a list",
        ),
    ],
)
def test_a_function_that_fails_is_named_with_the_prompt(task, name, said):
    with pytest.raises(HarnessError, match=rf"^reward '{name}' {said}") as ended:
        task(name).grade([0, 1, 2], ["1", "bad", "3"])
    assert "\n" not in str(ended.value)


def test_the_prompt_is_cut_at_80_characters(task):
    lines = [*LINES, {"prompt": "y" * 300, "answer": 1, "id": "long"}]
    with pytest.raises(HarnessError, match=f"prompt long '{'y' * 80}'$"):
        task("raises", lines=lines).grade([40], ["bad"])


@pytest.mark.parametrize("name", ["hangs", "sleeps", "waits", "starts"])
def test_a_function_that_hangs_is_ended_within_its_limit(task, name):
    mine = task(function(name, time_limit=0.3))
    began = time.monotonic()
    said = rf"^reward '{name}' took longer than its time limit of 0.3 s for 1 comp.* prompt 1 '0"
    with pytest.raises(HarnessError, match=said):
        mine.grade([0], ["slow"])
    assert time.monotonic() - began < 5
    # What is killed may still stand there for a moment.
    while marked := [
        p for p in psutil.process_iter(["cmdline"]) if MARK in (p.info["cmdline"] or ())
    ]:
        assert time.monotonic() - began < 10, marked
        time.sleep(0.01)
    assert not any("serve(" in " ".join(p.cmdline()) for p in psutil.Process().children())


def test_a_pattern_that_never_ends_is_ended_too():
    reward = Reward("regex", pattern="(a+)+$", time_limit=0.3)
    mine = TextTask.from_records(LINES, name="t", rewards=reward)
    with pytest.raises(HarnessError, match=r"^reward 'regex' took longer than its time limi"):
        mine.grade([0], ["a" * 60 + "b"])
    assert mine.grade([0, 0], ["aa", "b"]).scores.tolist() == [1, 0]
    mine.close()


def test_a_thread_that_hangs_is_left_within_its_limit():
    release = threading.Event()

    def stuck(completions):
        release.wait(60)

    mine = TextTask.from_records(LINES, name="t", rewards=["exact", Reward(stuck, time_limit=0.2)])
    began = time.monotonic()
    with pytest.raises(HarnessError, match="reward 'stuck' took longer"):
        mine.grade([0], ["1"])
    assert time.monotonic() - began < 5
    release.set()


def test_after_a_failure_nothing_of_the_old_call_is_taken_for_a_new_one(task):
    mine = task("raises", "later")
    with pytest.raises(HarnessError, match="'raises'"):
        mine.grade([0, 0], ["bad", "bad"])
    assert mine.grade([0, 0], ["a", "abcd"]).parts["later"].tolist() == [1, 4]


def test_the_process_ends_with_the_one_that_started_it(tmp_path):
    """Also when that is killed while a function hangs."""
    (tmp_path / "rewards.py").write_text(
        "import os, re\n"
        "def hangs(completions):\n"
        "    print(os.getpid(), flush=True)\n"
        "    re.match('(a+)+$', 'a' * 60 + 'b')\n"
    )
    code = """
    from harness import TextTask
    lines = [{"prompt": f"{n}", "answer": n} for n in range(40)]
    task = TextTask.from_records(lines, name="t", rewards=["numeric", "rewards.py:hangs"])
    task.grade([0], ["a"])
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        started = psutil.Process(int(process.stdout.readline()))
        process.kill()
        psutil.wait_procs([started], timeout=10)
        assert not started.is_running() or started.status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"time_limit": 0}, "time_limit 0; expected seconds above 0"),
        ({"time_limit": float("inf")}, "time_limit inf; expected seconds above 0"),
        ({"weight": float("nan")}, "weight nan; expected a number"),
        ({"messages": 1}, "messages 1; expected true or false"),
        ({"arguments": 3}, "arguments 3; expected names with values"),
    ],
)
def test_settings_of_a_reward_are_checked(settings, said):
    with pytest.raises(UsageError, match=re.escape(f"reward 'f': {said}")):
        Reward("m:f", **settings)
