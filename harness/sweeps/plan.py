"""The plan of a sweep for one session: its runs, their keys and their conditions."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import UsageError, nearest
from harness.records import CONFIRM, MAIN, Conditions, Config, Run, run_key
from harness.sweeps.confirming import Place, filled, is_open
from harness.sweeps.sources import packages, sources
from harness.sweeps.sweep import Sweep
from harness.sweeps.trainers import trainer_file
from harness.sweeps.transfer import TASK, transfer_of
from harness.text import plural
from harness.verdicts import EXPERIMENTS, command

if TYPE_CHECKING:
    from harness.training.backends import Backend, Memory
    from harness.training.text.tasks import TextTask

ANSWERED = "answered"
UNTIL = ("all", ANSWERED)
"""Runs are trained until all of them are, or until every question is answered."""

OWN = "own"
"""The backend of a sweep that brings its own training function."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The part of a sweep that is run, and how; None means as declared.

    ``runs`` is the number of main runs to keep, the first ones. ``steps`` and ``seeds`` replace the
    declared numbers of steps and of seeds, ``arms`` are the names of the arms to keep, and
    ``until`` is one of `UNTIL`. ``place`` is where pytest finds the sweeps: what it is called on,
    or empty where its configuration says. ``model`` and ``task`` replace those of the sweep, whose
    own are relative to ``root``. ``digests`` is the file where digests of models are kept.
    """

    runs: int | None = None
    steps: int | None = None
    seeds: int | None = None
    arms: tuple[str, ...] | None = None
    backend: str = "auto"
    device: str = "auto"
    precision: str = "float32"
    until: str = UNTIL[0]
    place: str = EXPERIMENTS
    model: str | None = None
    task: str | None = None
    root: str = ""
    digests: str | None = None

    def command(self, sweeps: Iterable[str], options: str = "") -> str:
        """Return the command that trains ``sweeps`` so; ``options``, if any, begin with a space."""
        return command(sweeps, options + self.means, self.place)

    @property
    def means(self) -> str:
        """The options of pytest that train the same; empty where all are the defaults."""
        return self.options("--sweep-")

    def options(self, prefix: str) -> str:
        """Return the options that train the same: ``--sweep-`` is pytest's prefix, ``--`` ours."""
        said = (
            ("backend", self.backend, "auto"),
            ("precision", self.precision, "float32"),
            ("model", self.model, None),
            ("task", self.task, None),
        )
        return "".join(
            f" {prefix}{name} {shlex.quote(given)}"
            for name, given, usual in said
            if given is not None and given != usual
        )


def located(source: str | None, here: Path) -> str | None:
    """Return a model or task given ``here``: a path as an absolute one, a name as it is."""
    if source is None:
        return None
    path = Path(source).expanduser()
    file, colon, name = source.rpartition(":")
    if (here / path).exists() or path.suffix in (".jsonl", ".gguf"):
        return str((here / path).absolute())
    if colon and file.endswith(".py"):
        return f"{(here / file).absolute()}:{name}"
    return source


def place(arguments: Iterable[str], here: Path) -> str:
    """Return what to call pytest on to find the sweeps of ``arguments`` and their baselines.

    ``arguments`` are paths and node ids, relative to ``here``, or names of packages. The folder of
    a file stands for it, because a baseline is often declared in another file.
    """
    found = []
    for argument in arguments:
        path = Path(argument.split("::", maxsplit=1)[0])
        if (here / path).is_file():
            path = path.parent
        is_folder = (here / path).is_dir()
        found.append(shlex.quote(f"{path}/") if is_folder else f"--pyargs {path}")
    return " ".join(dict.fromkeys(found))


@dataclass(frozen=True)
class Plan:
    """The selected runs of a sweep, by key, and the conditions that they are trained under.

    ``open`` are those that confirm leaders, while the results that tell the leaders are not in.
    """

    sweep: Sweep
    selection: Selection
    conditions: Conditions
    runs: Mapping[str, Run]
    open: tuple[Run, ...] = ()

    def with_places(self, places: Mapping[int, Place]) -> Plan:
        """Return this plan with the open runs of ``places``, whose configs are known now."""
        known = {run_key(run, self.conditions): run for run in filled(self.open, places)}
        return replace(self, runs={**self.runs, **known}, open=())

    def of_arms(self, arms: Iterable[str] = (MAIN,)) -> dict[str, Run]:
        """Return the runs of some arms, by key."""
        wanted = set(arms)
        return {key: run for key, run in self.runs.items() if run.arm in wanted}

    def opens(self, arms: Iterable[str]) -> int:
        """Return the number of runs of some arms whose configs are not known yet."""
        wanted = set(arms)
        return sum(run.arm in wanted for run in self.open)

    @property
    def seeds(self) -> int:
        """The number of seeds that each config of the main runs is trained with."""
        return self.selection.seeds or self.sweep.seeds

    @property
    def configs(self) -> int:
        """The number of main runs with one seed, before any more."""
        return sum(run.arm == MAIN and run.repeat == 0 for run in self.runs.values())

    @cached_property
    def counted(self) -> Mapping[str, Config | str]:
        """What each main run counts as, by its id: its config, where that has several seeds.

        Runs that count as the same count once. Of a sweep of one config each run counts.
        """
        return {run.id: unit for run, unit in counted_as(self.of_arms().values())}

    @property
    def size(self) -> int:
        """The number of results that the main runs count as, once all have finished."""
        return len(set(self.counted.values()))

    @property
    def is_scaled_down(self) -> bool:
        """Return whether this is not the declared sweep: fewer runs, or other steps or seeds."""
        fewer = self.selection.runs is not None and self.selection.runs < self.sweep.runs
        other = self.selection.steps is not None and self.selection.steps != self.sweep.steps
        return fewer or other or self.seeds != self.sweep.seeds

    @property
    def scale(self) -> str:
        """The part of the declared sweep in words; empty where it is all of it."""
        if not self.is_scaled_down:
            return ""
        runs, steps = self.configs, self.selection.steps or self.sweep.steps
        said = f"{runs} of {self.sweep.runs} runs, {steps} of {self.sweep.steps} steps"
        return said + (
            f", {self.seeds} of {plural(self.sweep.seeds, 'seed')}"
            if max(self.seeds, self.sweep.seeds) > 1
            else ""
        )

    @property
    def lacks_arms(self) -> bool:
        """Return whether an arm that the sweep declares is left out."""
        kept = self.selection.arms
        return kept is not None and not set(self.sweep.arms) <= set(kept)


def counted_as(runs: Iterable[Run]) -> list[tuple[Run, Config | str]]:
    """Return main runs with what each counts as: runs that count as the same count once.

    Where a config is trained with several seeds it is the config, as `repeats.merge` has it; else,
    and where all runs are of one config, each run counts by itself.
    """
    listed = list(runs)
    several = any(run.repeat for run in listed) and len({run.config for run in listed}) > 1
    return [(run, run.config if several else run.id) for run in listed]


def counted_runs(runs: Iterable[Run]) -> tuple[Run, ...]:
    """Return one run for each result that ``runs`` of all arms count as, once all are in.

    Of a config with several seeds that is the first seed's run. Where leaders are confirmed each
    seed counts.
    """
    listed = list(runs)
    main = counted_as(run for run in listed if run.arm == MAIN)
    if all(unit == run.id for run, unit in main):
        return tuple(listed)
    first = {(run.arm, run.config): run for run in reversed(listed)}
    return tuple(run for run in listed if run.arm == CONFIRM or run is first[run.arm, run.config])


def planned(sweep: Sweep, selection: Selection) -> tuple[Run, ...]:
    """Return the runs of ``sweep`` that ``selection`` asks for, ignoring arms it does not have."""
    arms = None if selection.arms is None else [a for a in sweep.arms if a in selection.arms]
    return sweep.plan(runs=selection.runs, steps=selection.steps, seeds=selection.seeds, arms=arms)


def plan(sweep: Sweep, selection: Selection, *, trains: bool = True) -> Plan:
    """Return the plan of ``sweep`` under ``selection``.

    Raises
    ------
    UsageError
        Where the backend or the task cannot be used.
    """
    conditions = conditions_of(sweep, selection, trains=trains)
    runs = planned(sweep, selection)
    known = {run_key(run, conditions): run for run in runs if not is_open(run)}
    return Plan(sweep, selection, conditions, known, tuple(filter(is_open, runs)))


def check_configs(planned: Plan, memory: Sequence[Memory]) -> None:
    """Check that our own trainers can train every config of a plan, those of its arms too.

    `sweep plan` and a session call it before anything else, so that both refuse the same. A sweep's
    own training function checks its values itself. ``memory`` is what the runs of a language model
    must have room in, as `harness.session.jobs.memory_of` finds it.

    Raises
    ------
    UsageError
        Where a parameter is missing or unknown, or a value of one cannot be used with the task; or
        where a language model cannot be trained so (see `harness.training.text.checks`).
    """
    if planned.sweep.trainer is not None:
        return
    from harness.training.settings import Fits, check_config
    from harness.training.tasks import get_task
    from harness.training.text.tasks import load_task

    source, name = planned.conditions.task_source, planned.conditions.task
    text = load_task(source, Path()) if source else None
    task: Fits = text or get_task(name)
    configs = dict.fromkeys(run.config for run in planned.runs.values())
    try:
        for config in configs:
            check_config(config, task)
        if text is not None and configs:
            _check_text(planned, text, configs, memory)
    except UsageError as error:
        raise UsageError(f"sweep {planned.sweep.name!r}: {error}") from None


def _check_text(
    planned: Plan, task: TextTask, configs: Iterable[Config], memory: Sequence[Memory]
) -> None:
    """Check that the language model of a plan can be trained with ``configs``."""
    from harness.training.settings import GRPOSettings
    from harness.training.text.checks import check_runs
    from harness.training.text.model_files import locate

    conditions, digests = planned.conditions, planned.selection.digests
    files = locate(conditions.model_source, Path(), None if digests is None else Path(digests))
    named = replace(files, name=conditions.model.rpartition("@")[0])
    given: list[dict[str, Any]] = [dict(config) for config in configs]
    settings = [GRPOSettings(**one) for one in given]
    check_runs(conditions, named, task, settings, memory)


def conditions_of(sweep: Sweep, selection: Selection, *, trains: bool) -> Conditions:
    """Return the conditions of the runs of ``sweep``, without importing a trainer.

    The version of a sweep's own training function is made from its `sources`. Without ``trains``
    the backend need not be installed here, as when runs are only looked up.

    Raises
    ------
    UsageError
        Where the backend, the device's name, the precision or the task cannot be used, or what the
        sweep depends on is not there.
    """
    from harness.training.backends import check_device, check_precision, resolve_backend

    check_precision(selection.precision)
    check_device(selection.device)
    if sweep.trainer is not None:
        for name, given in (("model", selection.model), ("task", selection.task)):
            if given is not None:
                raise UsageError(
                    f"--sweep-{name} {given}: sweep {sweep.name!r} has a training function of its "
                    "own; the option is for the harness's own training"
                )
        file = trainer_file(sweep.trainer)
        found = sources(file, sweep.depends_on)
        own = found.files[file.name]
        return Conditions(
            trainer=f"{file}:{sweep.trainer.__qualname__}",
            trainer_version=found.version(own),
            backend=OWN,
            precision=selection.precision,
            device=selection.device,
            task=sweep.task or "own",
            task_version="",
            model=sweep.trainer.__qualname__,
            files=found.files,
            noted=found.noted,
            metric=sweep.metric or "",
            direction=sweep.direction or "",
        )
    from harness.training.grpo import TRAINING_VERSION
    from harness.training.tasks import DEFAULT_TASK, get_task
    from harness.training.text.tasks import is_of_text

    backend = resolve_backend(selection.backend, needed=trains)
    model, named = selection.model or sweep.model, selection.task or sweep.task
    if model is not None:
        return _of_text(backend, sweep, selection, model, named, trains=trains)
    if named is not None and is_of_text(named):
        raise UsageError(
            f"task {named!r} is for a language model, and none is named: --sweep-model DIR (sweep "
            f"plan: --model DIR), or Sweep({sweep.name!r}, model=…)"
        )
    task = get_task(named or DEFAULT_TASK)
    return Conditions(
        trainer=backend.trainer,
        trainer_version=TRAINING_VERSION,
        backend=backend.name,
        precision=selection.precision,
        device=selection.device,
        task=task.name,
        task_version=task.version,
        model=task.model,
        lr_transfer=task.lr_transfer,
        noted=packages(backend.libraries),
    )


def _of_text(
    backend: Backend,
    sweep: Sweep,
    selection: Selection,
    model: str,
    task: str | None,
    *,
    trains: bool,
) -> Conditions:
    """Return the conditions of runs that train a language model on a task of text."""
    from harness.training.backends import require_text
    from harness.training.grpo import TEXT_TRAINING_VERSION
    from harness.training.tasks import TASKS
    from harness.training.text.model_files import locate
    from harness.training.text.tasks import load_task

    if task is None or task in TASKS:
        given = "no task is named" if task is None else f"task {task!r} is for a small decoder"
        raise UsageError(
            f"model {model!r}: {given}; a language model needs a task of text: --sweep-task "
            "FILE.jsonl, FILE.py:NAME, or a built-in name such as arithmetic-2"
        )
    if trains:
        require_text(backend)
    root = Path(selection.root)
    digests = None if selection.digests is None else Path(selection.digests)
    files = locate(model, root, digests)
    loaded, where = load_task(task, root), located(task, root)
    imported, noted = _imported(loaded.files)
    version = loaded.version_with(imported)
    transfer = transfer_of(
        sweep, files.identity, (loaded.name, version), own=loaded.lr_transfer, root=root
    )
    return Conditions(
        trainer=backend.text_trainer,
        trainer_version=TEXT_TRAINING_VERSION,
        backend=backend.name,
        precision=selection.precision,
        device=selection.device,
        task=loaded.name,
        task_version=version,
        model=files.identity,
        lr_transfer=transfer.factor,
        files=imported,
        noted=noted | packages((*backend.libraries, *backend.text_libraries)),
        model_source=str(files.path),
        task_source=where or task,
        lr_origin=transfer.origin,
    )


def transfer_in_words(sweep: Sweep, selection: Selection, conditions: Conditions) -> str:
    """Say where the factor of a language model's learning rates comes from; empty for others."""
    if not conditions.model_source:
        return ""
    own = conditions.lr_transfer if conditions.lr_origin == TASK else None
    found = transfer_of(
        sweep,
        conditions.model,
        (conditions.task, conditions.task_version),
        own=own,
        root=Path(selection.root),
        more=selection.options("--"),
    )
    return found.said


def _imported(files: Iterable[Path]) -> tuple[dict[str, str], dict[str, str]]:
    """Return what source files import: local files by path, with digests; and what is noted.

    Workers start elsewhere, so the paths are whole ones.
    """
    imported: dict[str, str] = {}
    noted: dict[str, str] = {}
    for file in files:
        found = sources(file)
        imported |= {
            str((file.parent / name).resolve()): at
            for name, at in found.files.items()
            if name != file.name
        }
        noted |= found.noted
    return imported, noted


def trained_with(conditions: Conditions, selection: Selection, *, device: bool = True) -> str:
    """Return backend, device and precision of ``conditions`` in words, with what ``auto`` chose.

    Empty for a sweep's own training function, which decides all of that itself. Without ``device``,
    for runs that are only looked up, the device is left out.
    """
    from harness.training.backends import choice

    if conditions.backend == OWN:
        return ""
    words = [f"backend {choice(selection.backend, conditions.backend)}"]
    words += [f"device {conditions.device}"] if device else []
    return ", ".join([*words, conditions.precision])


def check_until(given: str) -> str:
    """Check that ``given`` is one of `UNTIL`, and return it."""
    if given not in UNTIL:
        raise UsageError(f"until {given!r} is not one of {', '.join(UNTIL)}{nearest(given, UNTIL)}")
    return given


def check_arms(names: Iterable[str], sweeps: Iterable[Sweep]) -> None:
    """Check that some sweep declares every named arm."""
    known = sorted({arm for sweep in sweeps for arm in sweep.arms})
    for name in names:
        if name not in known:
            has = f"have {', '.join(known)}" if known else "have none"
            raise UsageError(
                f"arm {name!r} is in none of the chosen sweeps, which {has}{nearest(name, known)}"
            )
