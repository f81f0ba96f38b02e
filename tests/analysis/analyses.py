"""What tests of an analysis ask for, and look up in it."""

from harness.analysis import analyze
from harness.verdicts import Evidence
from tests import published_broad
from tests.factories import make_results

OPTIONS = ("asked", "high", "parameter", "ranges")


def analysis_of(results, sweep="s", **given):
    """The analysis of main runs; ``given`` are options of it, and fields of the evidence."""
    options = {name: given.pop(name) for name in OPTIONS if name in given}
    return analyze(Evidence(sweep, tuple(results), **given), **options)


PUBLISHED = analysis_of(published_broad.results(), "broad")


def analyzed(deltas, columns=None, **given):
    """The analysis of runs with these outcomes and parameters, without standard errors."""
    results = make_results(deltas, parameters=columns, curve=(), se=None)
    return analysis_of(results, **given)


def conclusion(found, parameter):
    return next(one for one in found.high.conclusions if one.parameter == parameter)


def effect(found, parameter):
    return next(one for one in found.effects if one.parameter == parameter)


def one_of_two(n=40):
    """Twenty good runs and twenty bad ones, apart by far."""
    return [0.2 + 0.001 * i if i % 2 else -0.2 - 0.001 * i for i in range(n)]
