"""Recognise the exports of trackers, and tell which of their columns are bookkeeping."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from harness.tables.naming import Name

State = Literal["completed", "diverged", "failed", "timeout", "oom", "pruned", "unfinished"]
"""The state of a run in a table: a status, stopped early, or not finished yet."""

_WORDS: dict[State, str] = {
    "completed": "completed complete finished finish terminated success successful succeeded ok "
    "done passed",
    "diverged": "diverged exploded",
    "failed": "failed fail failure error errored exception crashed crash killed kill interrupted "
    "preempted preempting cancelled canceled aborted abort memout",
    "timeout": "timeout timed_out timedout time_out",
    "oom": "oom out_of_memory cuda_oom cuda_out_of_memory",
    "pruned": "pruned early_stopped stopped_early",
    "unfinished": "running waiting pending scheduled queued starting paused unfinished",
}
STATES: dict[str, State] = {
    word: state for state, words in _WORDS.items() for word in words.split()
}
"""A tracker's word for the state of a run → the state."""


@dataclass(frozen=True, slots=True)
class Tracker:
    """A tracker that exports tables.

    ``keeps`` are its own columns, as in the table. ``mixes`` says that parameters and measurements
    look alike in its exports. The column ``iterations`` counts how far a run got, and the columns
    ``ids`` may name a run.
    """

    name: str
    known_by: str
    keeps: frozenset[str] = frozenset()
    mixes: bool = False
    iterations: str | None = None
    ids: tuple[str, ...] = ()


def _words(text: str, separator: str | None = None) -> frozenset[str]:
    return frozenset(word.strip() for word in text.split(separator))


WANDB = Tracker(
    "W&B",
    "Name, State, Created",
    _words(
        "Name, State, Notes, User, Tags, Created, Runtime, Sweep, ID, Agent, Group, Job Type, "
        "Hostname, Host, Commit, GitHub, Git State, End Time, Updated, Relative Time, "
        "Relative Time (Process), Relative Time (Wall), Wall Time, Description, GPU Count, "
        "GPU Type, CPU Count, OS, Python Version, Path, URL, Entity, Project, Program, Command",
        ",",
    ),
    mixes=True,
    ids=("ID", "Name"),
)
MLFLOW = Tracker(
    "MLflow",
    "run_id, experiment_id, artifact_uri",
    _words("run_id experiment_id artifact_uri start_time end_time status"),
    ids=("run_id",),
)
MLFLOW_PAGE = Tracker(
    "MLflow (from its web page)",
    "Run ID, Start Time, Duration",
    _words(
        "Start Time, Duration, Run ID, Name, Run Name, Source Type, Source Name, Source, User, "
        "Status, Version, Models, Dataset, Created, Experiment ID, Experiment Name, Description",
        ",",
    ),
    mixes=True,
    ids=("Run ID", "Name"),
)
OPTUNA = Tracker(
    "Optuna",
    "number, state, params_…",
    _words("number state value datetime_start datetime_complete duration Number State Value"),
    ids=("number", "Number"),
)
RAY_TUNE = Tracker(
    "Ray Tune",
    "trial_id, training_iteration, config/…",
    _words(
        "trial_id date timestamp time_this_iter_s time_total_s time_since_restore pid hostname "
        "node_ip logdir checkpoint_dir_name done training_iteration iterations_since_restore "
        "experiment_id experiment_tag trial_name should_checkpoint episodes_total timesteps_total "
        "timesteps_since_restore trial_log_path"
    ),
    iterations="training_iteration",
    ids=("trial_id",),
)

SKLEARN = Tracker(
    "scikit-learn",
    "mean_test_…, rank_test_…, param_…",
)
"""A search's results, where a blank is None, a value as any other."""

BOOKKEEPING = _words(
    "run run_id run_uuid run_name run_number id uid uuid trial trial_id trial_name name "
    "config_id configuration_id conf_id exp exp_id exp_name trial_number run_index run_idx "
    "display_name experiment experiment_id experiment_name experiment_tag sweep sweep_id group_id "
    "job_id job_name slurm_job_id session_id project project_id parent_run_id key index host "
    "hostname node node_ip ip machine pid ppid user username user_id author notes note tags tag "
    "comment comments description created created_at updated updated_at started started_at "
    "finished finished_at completed_at start_time end_time start_date end_date date datetime "
    "date_time starttime endtime timestamp time runtime duration elapsed wall_time walltime "
    "wall_clock seconds minutes hours train_time training_time peak_memory stopped_at error "
    "exception traceback curve commit sha branch entity logdir log_dir checkpoint "
    "checkpoint_dir_name path url uri done declared_steps evaluate_every"
)
"""Names of columns that tell, in any table, which run it was, and where and when it ran."""

_BOOKKEPT = re.compile(
    r"_.*|.*_(uuid|hash|path|paths|dir|dirs|folder|file|filename|uri|url|timestamp|datetime|"
    r"duration|elapsed|runtime|hostname|walltime|wall_time|time_s|time_ms|seconds|started_at|"
    r"created_at|updated_at|finished_at)|(artifact|git|slurm|wandb|mlflow)[._].*|checkpoint\..*|"
    r"tuner\.(initial_epoch|bracket|round|trial_id)"
)
_PATH = re.compile(r"(/|\./|\.\./|~/|[A-Za-z]:[\\/]|\w+://).+")
_TIME = re.compile(r"\d{4}-\d\d-\d\d([T _]\d\d[:-]\d\d.*)?")

OURS = Tracker(
    "pytest-sweep",
    "sweep, run, trainer_version, finished_at",
    _words("sweep backend trainer_version device seconds finished_at error"),
    ids=("run",),
)
"""The tables of ``sweep export``, where a column marked as a parameter always is one."""


def recognised(names: Mapping[str, Name]) -> Tracker | None:
    """Return the tracker whose export has these columns; None where no known one does."""
    raw = set(names)
    kinds = {name.kind for name in names.values()}
    lower = {name.lower() for name in raw}
    recognised_by = (
        (OURS, {"sweep", "run", "arm", "status", "trainer_version", "error"} <= raw),
        (WANDB, {"Name", "State"} <= raw and raw & {"Created", "Runtime", "Sweep", "User"}),
        (
            MLFLOW,
            {"run_id", "experiment_id"} <= raw
            and ("artifact_uri" in raw or kinds & {"parameter", "measurement"}),
        ),
        (
            MLFLOW_PAGE,
            "Run ID" in raw and raw & {"Start Time", "Duration", "Source Type", "Source Name"},
        ),
        (
            OPTUNA,
            {"number", "state"} <= lower
            and ("parameter" in kinds or any(re.match(r"values?(_|$)", name) for name in lower)),
        ),
        (RAY_TUNE, "trial_id" in raw and raw & {"training_iteration", "time_total_s"}),
        (
            SKLEARN,
            any(name.startswith("mean_test_") for name in raw)
            and any(name.startswith(("rank_test_", "split0_test_", "param_")) for name in raw),
        ),
    )
    return next((tracker for tracker, is_its in recognised_by if is_its), None)


def is_bookkeeping(name: Name, tracker: Tracker | None) -> bool:
    """Return whether a column with this name and no prefix is bookkeeping about the run."""
    if tracker is not None and name.raw in tracker.keeps:
        return True
    return name.canonical in BOOKKEEPING or _BOOKKEPT.fullmatch(name.canonical) is not None


def place_or_time(texts: Iterable[str]) -> str | None:
    """Return "paths" or "time stamps" where all of the texts are such; None where not."""
    known = list(texts)
    for form, what in ((_PATH, "paths"), (_TIME, "time stamps")):
        if known and all(map(form.fullmatch, known)):
            return what
    return None


def misspelt(word: str) -> str | None:
    """Return the word for a state that ``word`` is almost; None where it is like none."""
    import difflib

    close = difflib.get_close_matches(word.lower(), STATES, n=1, cutoff=0.8)
    return close[0] if close else None


def state(text: str) -> State | None:
    """Return the state that a tracker's word for it means; None where the word is unknown."""
    word = re.sub(r"\W+", "_", text.strip().lower()).removeprefix("trialstate_")
    return STATES.get(word.removeprefix("trialstatus_"))
