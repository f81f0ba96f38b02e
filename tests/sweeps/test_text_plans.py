"""The plan of a sweep that trains a language model: what its runs are known by."""

import json
from dataclasses import replace

import pytest

from harness import LogUniform, Sweep, UsageError
from harness.sweeps.plan import Selection, plan
from harness.training.text.tokenised import of_conditions
from tests.training.text.test_model_files import weights

LINE = {"prompt": "1+1=", "answer": "2"}


@pytest.fixture
def project(tmp_path):
    """A folder with a model, and a task whose reward imports a file beside it."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"model_type": "llama"}')
    (tmp_path / "model" / "model.safetensors").write_bytes(weights())
    (tmp_path / "marks.py").write_text("from words import GOOD\ndef mark(completions): ...\n")
    (tmp_path / "words.py").write_text("GOOD = 1\n")
    settings = {"task": {"rewards": ["exact", "marks.py:mark"]}}
    lines = [settings, *[LINE | {"prompt": f"{n}+1="} for n in range(20)]]
    (tmp_path / "sums.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return tmp_path


def planned(project, model="model", **given):
    space = dict(learning_rate=LogUniform(1e-6, 1e-5), batch_size=2, generations=2)
    sweep = Sweep("small", runs=2, steps=2, seed=1, space=space, **given)
    asked = dict(root=str(project), backend="torch", model=model, task="sums.jsonl")
    return plan(sweep, Selection(**asked), trains=False)


def test_a_change_of_what_a_reward_s_file_imports_is_another_task(project):
    before = planned(project)
    assert before.conditions.files.keys() == {str(project / "words.py")}
    assert planned(project).runs.keys() == before.runs.keys()
    (project / "words.py").write_text("GOOD = 2\n")
    after = planned(project)
    assert after.conditions.task_version != before.conditions.task_version
    assert after.conditions.trainer_version == before.conditions.trainer_version
    assert not after.runs.keys() & before.runs.keys()


def test_a_task_of_text_without_a_model_is_refused_with_what_names_one(project):
    for task in ("arithmetic-2", "sums.jsonl", "mine.py:sums", "my.tasks:sums"):
        space = dict(x=LogUniform(1.0, 2.0))
        sweep = Sweep("small", runs=2, steps=1, space=space, task=task)
        with pytest.raises(UsageError, match=f"^task '{task}' is for a language model, and none"):
            plan(sweep, Selection(root=str(project), backend="torch"), trains=False)


def test_where_a_task_of_text_lies_is_no_part_of_a_declaration(project):
    """The model may be named by an option alone."""
    known = {planned(project, task=task).sweep.declaration for task in ("a.jsonl", "/b/c.py:t")}
    assert len(known) == 1


def test_workers_know_a_model_of_the_hub_by_its_name(project, monkeypatch):
    """It lies in a folder that is named after its commit."""
    folder = (project / "model").rename(project / "0a1b2c")
    monkeypatch.setattr("harness.training.text.model_files._downloaded", lambda name: str(folder))
    monkeypatch.setattr("harness.training.text.tokenised.tokenised", lambda task, files: task)
    conditions = planned(project, model="someone/Small-1M").conditions
    assert conditions.model.startswith("Small-1M@")
    task, files = of_conditions(conditions)
    assert files.identity == conditions.model
    assert task.version_with(conditions.files) == conditions.task_version


def test_workers_refuse_a_model_or_task_that_has_changed(project, monkeypatch):
    monkeypatch.setattr("harness.training.text.tokenised.tokenised", lambda task, files: task)
    conditions = planned(project).conditions
    of_conditions(conditions)
    (project / "model" / "config.json").write_text("{}")
    with pytest.raises(UsageError, match=r"^model 'model@.*' has changed since this session began"):
        of_conditions(conditions)
    other = replace(planned(project).conditions, files={})
    with pytest.raises(UsageError, match=r"^task 'sums' has changed since this session began"):
        of_conditions(other)
