"""What tests of an analysis ask for, and look up in it."""

from harness.analysis import analyze
from tests import published_broad
from tests.factories import make_results

PUBLISHED = analyze("broad", published_broad.results())


def analyzed(deltas, columns=None, **options):
    """The analysis of runs with these outcomes and parameters, without standard errors."""
    results = make_results(deltas, parameters=columns, curve=(), se=None)
    return analyze("s", results, **options)


def conclusion(found, parameter):
    return next(one for one in found.high.conclusions if one.parameter == parameter)


def effect(found, parameter):
    return next(one for one in found.effects if one.parameter == parameter)


def one_of_two(n=40):
    """Twenty good runs and twenty bad ones, apart by far."""
    return [0.2 + 0.001 * i if i % 2 else -0.2 - 0.001 * i for i in range(n)]
