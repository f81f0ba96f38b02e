"""Programs: the config goes in, scores come out, and nothing of theirs is left running."""

from __future__ import annotations

import json
import re
import sys
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from harness.errors import HarnessError, UsageError
from harness.records import Config
from harness.training.run import train
from tests.processes import is_gone

LINE = r"^tests/training/test_command.py:\d+: run.command: "
CONFIG = Config(
    {"learning_rate": 1e-06, "sizes": (64, 32), "bias": True, "dropout": None, "kind": "a b"}
)


@pytest.fixture
def job(make_job, tmp_path):
    made = make_job(steps=20, evaluate_every=5, cache=tmp_path, trainer=f"{tmp_path}/t.py:train")
    return replace(
        made, run=replace(made.run, config=CONFIG), folder=str(tmp_path / "runs" / "key")
    )


@pytest.fixture
def outcome(job):
    """Return the outcome of a training function, and what it reported."""

    def of(function, told=None, **changes):
        notify = (lambda progress: None) if told is None else told.append
        return train(function, replace(job, **changes), notify)

    return of


@pytest.fixture
def command(outcome):
    """Return what a program of Python gives, in a sweep that measures a loss."""

    def given(code, *arguments, metric="loss", **options):
        found = []

        def trained(run):
            argv = [sys.executable, "-c", code, *arguments]
            found.append(run.command(argv, metric, **options))
            return 1.0

        outcome(trained, metric="x")
        return found[0]

    return given


# ---- the config ----------------------------------------------------------------------------------


def test_a_program_gets_the_config_in_its_arguments_its_environment_and_a_file(outcome, tmp_path):
    code = (
        "import json, os, sys; print('said', sys.argv[1:], file=sys.stderr); "
        "json.dump([sys.argv[1:], dict(os.environ), os.getcwd()], open('said.json', 'w'))"
    )
    inside = tmp_path / "inside"
    inside.mkdir()

    def trained(run):
        argv = [
            sys.executable,
            "-c",
            code,
            "--lr={learning_rate}",
            Path("{folder}/x"),
            3,
            "{{a}}",
            '{"b": {"c": 1}}',
        ]
        run.command([*argv, *run.arguments()], cwd="inside", env={"TAG": "{kind}-{seed}"})
        assert run.arguments("{name}:{value}")[1] == "sizes:64,32"
        return 1.0

    outcome(trained, metric="loss")
    argv, environment, folder = json.loads((inside / "said.json").read_text())
    own = str(tmp_path / "runs" / "key")
    every = ["--learning_rate=1e-06", "--sizes=64,32", "--bias=true", "--kind=a b"]
    assert argv == ["--lr=1e-06", f"{own}/x", "3", "{a}", '{"b": {"c": 1}}', *every]
    said = {name: at for name, at in environment.items() if name.startswith("SWEEP_")}
    config = json.loads(said.pop("SWEEP_CONFIG"))
    assert said.pop("SWEEP_PROGRAM")
    assert Config.from_json(config) == CONFIG
    assert config == json.loads(Path(own, "config.json").read_text())
    assert said == {
        "SWEEP_LEARNING_RATE": "1e-06",
        "SWEEP_SIZES": "64,32",
        "SWEEP_BIAS": "true",
        "SWEEP_DROPOUT": "",
        "SWEEP_KIND": "a b",
        "SWEEP_SEED": "3",
        "SWEEP_STEPS": "20",
        "SWEEP_EVALUATE_EVERY": "5",
        "SWEEP_ID": "toy-main-0",
        "SWEEP_ARM": "main",
        "SWEEP_FOLDER": own,
    }
    assert environment["TAG"] == "a b-3"
    assert folder == str(inside)


# ---- scores --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("printed", "options", "value"),
    [
        (['{"loss": 3}', "done", '{"loss": 2.5, "x": 1}', '{"y": 1}'], {}, 2.5),
        (['{"eval": {"loss": 2}}'], {"metric": "eval.loss"}, 2),
        (['{"eval.loss": 2}'], {"metric": "eval.loss"}, 2),
        (['{"step": 5, "loss": 2}', '{"step": 10, "loss": 1.5}'], {}, 1.5),
        (['{"loss": [1, 2]}'], {}, [1, 2]),
        (["loss 3", "Loss: 1,234.5"], {"metric": re.compile(r"[lL]oss:? (\S+)")}, 1234.5),
        (["nothing"], {"metric": None}, None),
    ],
)
def test_the_metric_is_what_came_last(command, printed, options, value):
    code = "\n".join(f"print({line!r})" for line in printed)
    assert command(code, **options) == value


@pytest.mark.parametrize(
    ("content", "metric", "value"),
    [
        ('{"loss": 2.5}', "loss", 2.5),
        ('{\n "eval": {"loss": 2.5}\n}', "eval.loss", 2.5),
        ('{"loss": 9}\n{"loss": 2.5}\n{"step": 1}', "loss", 2.5),
        ("2.5\n", "loss", 2.5),
        ("loss=9 loss=2.5", re.compile(r"loss=(\S+)"), 2.5),
    ],
)
def test_the_metric_may_be_in_a_file(command, content, metric, value):
    code = f"import os; open(os.environ['SWEEP_FOLDER'] + '/m.json', 'w').write({content!r})"
    assert command(code, metric=metric, file="m.json") == value


def test_the_curve_comes_line_by_line(outcome, capfd):
    """What the program prints is in the log at once, and a point is told while it runs."""
    code = (
        "import pathlib, sys, time\n"
        "for step in (0, 10, 20):\n"
        '    print(\'{"step": %d, "accuracy": %f, "se": 0.01}\' % (step, 0.5 + step / 100))\n'
        "    print('log', step, file=sys.stderr)\n"
        "    while step == 10 and not pathlib.Path('told').exists(): time.sleep(0.02)\n"
    )
    told = []

    def notify(progress):
        if progress.evaluation is not None:
            told.append(progress.evaluation)
        if len(told) == 2:
            Path(folder, "told").touch()

    folder = None

    def trained(run):
        nonlocal folder
        folder = run.folder
        run.command([sys.executable, "-c", code], metric="accuracy", cwd=folder)

    found = outcome(trained, type("", (), {"append": staticmethod(notify)}))
    assert [(p.step, p.perf, p.se) for p in found.curve] == [
        (0, 0.5, 0.01),
        (10, 0.6, 0.01),
        (20, 0.7, 0.01),
    ]
    assert told == list(found.curve)
    assert found.delta_perf == pytest.approx(0.2)
    assert found.delta_perf_se == pytest.approx(0.01 * 2**0.5)
    out = capfd.readouterr().out
    assert "log 10" in out
    assert '"step": 20' in out


def test_scores_by_item_and_the_curve_of_a_pattern(outcome):
    def by_item(run):
        lines = ['{"step": 0, "right": [0, 1]}', '{"step": 20, "right": [1, 1]}']
        code = "\n".join(f"print({line!r})" for line in lines)
        run.command([sys.executable, "-c", code], "right")

    def by_pattern(run):
        code = "for step in (5, 20): print(f'step {step:d}: loss {9 - step / 10}')"
        curve = re.compile(r"step (\d+): loss (\S+)")
        run.command([sys.executable, "-c", code], curve=curve)

    assert outcome(by_item).items.after == (1, 1)
    found = outcome(by_pattern, metric="loss")
    assert [(p.step, p.perf) for p in found.curve] == [(5, 8.5), (20, 7.0)]
    assert found.value == 7.0


def test_a_score_that_is_not_finite_ends_the_program_and_the_run(outcome):
    code = 'import time; print(\'{"step": 5, "loss": NaN}\', flush=True); time.sleep(600)'

    found = outcome(lambda run: run.command([sys.executable, "-c", code]), metric="loss")
    assert (found.status, found.stopped_at) == ("diverged", 5)


def test_a_program_that_continues_by_itself_keeps_its_curve(outcome, tmp_path):
    """It is killed after step 10, goes on from there, and is killed after the last step."""
    code = (
        "import os, pathlib\n"
        "at = pathlib.Path(os.environ['SWEEP_FOLDER'], 'at')\n"
        "for step in range(int(at.read_text()) + 5 if at.exists() else 0, 25, 5):\n"
        '    print(\'{"step": %d, "accuracy": %f}\' % (step, step / 20))\n'
        "    at.write_text(str(step))\n"
        "    if step == int(os.environ['UNTIL']): os.kill(os.getpid(), 9)\n"
    )

    def trained(run, until):
        run.command([sys.executable, "-c", code], "accuracy", env={"UNTIL": until})

    saved = {"checkpoint": str(tmp_path / "checkpoint"), "checkpoint_every": 1}
    for until in (10, 20):
        with pytest.raises(HarnessError, match=r" was killed by SIGKILL; it last said: \{"):
            outcome(lambda run, until=until: trained(run, until), **saved)
    found = outcome(lambda run: trained(run, 99), **saved)
    assert [point.step for point in found.curve] == [0, 5, 10, 15, 20]
    assert found.perf_before == 0.0


def test_a_program_that_starts_over_measures_again(outcome, tmp_path):
    """It has no step 0, and its second attempt does not come as far as the first."""
    code = (
        "import os\n"
        "for step in range(5, int(os.environ['UNTIL']), 5):\n"
        '    print(\'{"step": %d, "loss": 9}\' % step)\n'
        "if os.environ['UNTIL'] == '25': os.kill(os.getpid(), 9)\n"
    )

    def trained(run, until):
        run.command([sys.executable, "-c", code], env={"UNTIL": until})

    given = {"checkpoint": str(tmp_path / "checkpoint"), "checkpoint_every": 1, "metric": "loss"}
    with pytest.raises(HarnessError):
        outcome(lambda run: trained(run, 25), **given)
    with pytest.raises(UsageError, match="logged no loss at the last step"):
        outcome(lambda run: trained(run, 20), **given)


# ---- mistakes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "options", "said"),
    [
        ("python train.py", {}, "got 'python train.py'; expected a list, as ['python', 't"),
        ([], {}, "got no program; expected a list with its name first"),
        ([["a"]], {}, "got the argument ['a']; expected text, a path or a number"),
        (["x", "{learing_rate}"], {}, "has {learing_rate}, which is not one of id, arm, seed, st"),
        (["x", "{learing_rate}"], {}, "; write {{learing_rate}} to mean {learing_rate}"),
        (["./absent"], {}, "'./absent' cannot be started in "),
        (["x"], {"cwd": "absent"}, "absent to run x in"),
        (["x"], {"metric": 3}, "metric=3; expected a name, or re.compile(…) with a group: the n"),
        (["x"], {"metric": re.compile("loss")}, "metric='loss'; expected a name, or re.compile"),
        (["x"], {"curve": "loss"}, "curve='loss'; expected re.compile(…) with two groups: the"),
    ],
)  # fmt: skip
def test_a_program_that_cannot_be_run_is_one_line(outcome, argv, options, said):
    with pytest.raises(UsageError, match=LINE) as raised:
        outcome(lambda run: run.command(argv, **options))
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("code", "options", "said"),
    [
        ("print('all done')", {}, "gave no loss; it last said: all done"),
        ("print('loss=0.3')", {}, 'text like loss=0.3 by metric=re.compile(r"loss=(\\S+)")'),
        ("", {}, "gave no loss; it printed nothing"),
        ("print('{\"loss\": \"2\"}')", {}, "gave '2'; expected a number"),
        ("print('loss two')", {"metric": re.compile(r"loss (\S+)")}, "the pattern found 'two'"),
        ("print('{\"loss\": 1, \"step\": 1.5}')", {}, "printed step 1.5; expected a whole number"),
        ("print('{\"loss\": 1, \"step\": 99}')", {}, "step 99; expected a whole number from 1"),
        ("print('x')", {"file": "m.json"}, "m.json; it last said: x"),
    ],
)  # fmt: skip
def test_a_metric_that_did_not_come_is_one_line(command, code, options, said):
    with pytest.raises(UsageError, match=LINE) as raised:
        command(code, **options)
    assert said in str(raised.value)


def test_a_metric_that_did_not_come_is_none_of_another_program(outcome):
    def trained(run):
        run.before(0.5)
        run.log(20, 0.7)
        run.after(run.command([sys.executable, "-c", ""], "accuracy"))

    with pytest.raises(UsageError, match=r"gave no accuracy; it printed nothing"):
        outcome(trained)


def test_a_file_that_an_earlier_attempt_has_left_is_not_read(command, tmp_path):
    left = tmp_path / "runs" / "key" / "m.json"
    left.parent.mkdir(parents=True)
    left.write_text('{"loss": 1}')
    with pytest.raises(UsageError, match=r"has not written \S+/m.json; it printed nothing"):
        command("", file="m.json")


def test_a_program_that_fails_is_named_with_its_status_and_last_line(command):
    with pytest.raises(HarnessError) as raised:
        command("import sys; print('one'); sys.exit('no such data: rows.csv')")
    said = str(raised.value)
    assert said.startswith(sys.executable)
    assert said.endswith(" ended with status 1; it last said: no such data: rows.csv")


# ---- the end -------------------------------------------------------------------------------------

PARENT = """
import os, subprocess, sys, time
code = "import time; time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
print(child.pid, os.getpid(), flush=True)
"""


def pids(out):
    """Return the process ids of a program and of what it has started, which it has printed."""
    program, started = out.split()[:2]
    return int(program), int(started)


def test_an_exception_ends_the_program_with_all_it_has_started(outcome, capfd):
    class OverdueError(BaseException):
        """As an executor raises, from the report of progress, when the time is up."""

    def notify(progress):
        if psutil.Process().children(recursive=True)[1:]:
            raise OverdueError

    def trained(run):
        run.command([sys.executable, "-c", f"{PARENT}\ntime.sleep(600)"])

    with pytest.raises(OverdueError):
        outcome(trained, type("", (), {"append": staticmethod(notify)}))
    assert all(is_gone(pid) for pid in pids(capfd.readouterr().out))


def test_what_a_program_leaves_behind_is_ended(command, capfd):
    """It holds the program's output open, which is not waited for, and starts more later."""
    later = (
        "import os, subprocess, sys, time; time.sleep(0.3); "
        "sleep = [sys.executable, '-c', 'import time; time.sleep(600)']; "
        "child = subprocess.Popen(sleep, start_new_session=True); "
        "print(os.getpid(), child.pid, flush=True); time.sleep(600)"
    )
    code = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {later!r}]); "
    began = time.monotonic()
    assert command(code + "print('{\"loss\": 2}')") == 2
    assert time.monotonic() - began < 20
    left = pids(capfd.readouterr().out.replace('{"loss": 2}', ""))
    assert [pid for pid in left if not is_gone(pid)] == []


# ---- programs that behave badly ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "mode", "said"),
    [
        ("#!/bin/sh\n", 0o600, r"expected that it may be executed: chmod \+x "),
        (
            "#!/bin/sh\r\n",
            0o700,
            r"and not #!/bin/sh \(its lines end as on Windows\)$",
        ),
        ("#!/no/such/program\n", 0o700, "and not #!/no/such/program$"),
        ("echo 1\n", 0o700, "or a first line like #!/bin/sh in "),
    ],
)
def test_a_script_that_cannot_be_started_says_what_it_lacks(command_line, first, mode, said):
    folder, run = command_line
    script = folder / "x.sh"
    script.write_bytes(first.encode())
    script.chmod(mode)
    with pytest.raises(UsageError, match=LINE + r"'\S+x.sh' cannot be started in .*" + said):
        run([script])


@pytest.fixture
def command_line(outcome, tmp_path):
    def given(argv, **options):
        outcome(lambda run: run.command(argv, "loss", **options), metric="x")

    return tmp_path, given


def test_an_argument_that_no_program_can_have_is_one_line(command_line):
    with pytest.raises(UsageError, match=LINE + r"'true' cannot be started in .* \(embedded null"):
        command_line[1](["true", "a\0b"])


def test_what_a_program_has_left_behind_may_go_on_printing(command):
    chatty = "import time\nwhile True: print('still here', flush=True); time.sleep(.05)"
    code = (
        "import subprocess, sys; "
        f"subprocess.Popen([sys.executable, '-c', {chatty!r}], start_new_session=True); "
        """print('{"loss": 2}')"""
    )
    began = time.monotonic()
    assert command(code) == 2
    assert time.monotonic() - began < 20


def test_what_a_program_has_left_behind_may_flood_us(command):
    code = """print('{"loss": 2}', flush=True); import subprocess; subprocess.Popen(['yes'])"""
    assert command(code) == 2


def test_a_program_that_prints_faster_than_we_read_waits(job, monkeypatch):
    """What it has printed and nobody has read must not fill the memory."""
    read = []

    def echo(line):
        read.append(line)
        if len(read) == 1:  # meanwhile the program prints on
            time.sleep(0.5)

    monkeypatch.setattr("harness.training.command._echo", echo)
    code = (
        "import sys, time\n"
        "for i in range(200_000): print(i, time.monotonic())\n"
        """print('{"loss": 2}')"""
    )
    train(
        lambda run: run.command([sys.executable, "-c", code], "loss") and 1.0,
        replace(job, metric="x"),
        lambda progress: None,
    )
    at = [float(line.split()[1]) for line in read[:-1]]
    assert len(at) == 200_000
    assert max(later - earlier for earlier, later in pairwise(at)) > 0.2


def test_json_too_deep_to_read_is_a_line_like_any_other(command):
    assert command("""print('{"a":' * 100_000 + '}' * 100_000); print('{"loss": 2}')""") == 2


def test_garbage_that_a_program_prints_does_not_reach_the_message(command):
    code = r"import os, sys; os.write(1, b'\x00\x1b[31m\xff\xfe bad\n'); sys.exit(3)"
    with pytest.raises(HarnessError, match="ended with status 3; it last said: ") as caught:
        command(code)
    assert str(caught.value).isprintable()


def test_a_file_that_cannot_be_read_is_one_line(command):
    code = "import os; os.mkdir(os.environ['SWEEP_FOLDER'] + '/loss')"
    with pytest.raises(UsageError, match=LINE + r"\S+loss cannot be read \(Is a directory\)$"):
        command(code, file="loss")
