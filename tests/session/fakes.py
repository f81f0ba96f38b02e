"""A sweep and an executor that train nothing."""

from harness import Choice, LogUniform, Outcome, Sweep
from harness.protocols import Finished, Progressed, Skipped, Started
from harness.records import Progress


def trainer(job, notify):
    raise AssertionError("the fake executor trains nothing")


def make(name="s", **changes):
    space = {"learning_rate": LogUniform(1e-7, 1e-6), "batch_size": Choice(4, 8)}
    given = {"name": name, "runs": 3, "steps": 10, "space": space, "trainer": trainer, **changes}
    return Sweep(**given)


class FakeExecutor:
    """Finishes one run a poll, in the order submitted."""

    workers = 1

    def __init__(self, outcomes=None, on_event=None, may_begin=None):
        self.jobs, self.submitted, self.closed = [], [], False
        self.untold = []
        self.outcomes = outcomes or {}
        self.on_event = on_event
        self.may_begin = may_begin

    def submit(self, jobs):
        self.submitted += jobs
        self.jobs += jobs

    def poll(self, timeout):
        if not self.jobs:
            raise AssertionError("polled with nothing to wait for")
        job = self.jobs.pop(0)
        if not self.may_begin(job):
            self.on_event(Skipped(job.key))
            return [Skipped(job.key)]
        of = self.outcomes
        outcome = of(job.run) if callable(of) else of.get(job.run.index, done())
        progress = Progressed(job.key, Progress("train", job.run.steps, job.run.steps, 0.5))
        events = [Started(job.key), progress, Finished(job.key, outcome)]
        for event in events:
            self.on_event(event)
        return events

    def close(self):
        self.closed = True
        return self.untold


def done(delta=0.1, **changes):
    given = {"perf_before": 0.1, "perf_after": 0.1 + delta, "delta_perf": delta}
    given |= {"delta_perf_se": 0.01, "prompts": 512, "samples": 4, "prompts_changed": 99}
    return Outcome(status="completed", **(given | changes))
