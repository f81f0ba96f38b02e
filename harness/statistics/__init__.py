# ruff: noqa: F403  type checkers read the names by module, since none is loaded here
"""Estimates, comparisons, learning curves and responses: arrays in, estimates out.

Every function is pure; where it resamples it takes a NumPy generator. The names below load the
modules behind them, and SciPy with them, when one is first used: a sweep file imports its claims
at collection, long before anything is judged.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.statistics.additive import *
    from harness.statistics.agreement import *
    from harness.statistics.comparisons import *
    from harness.statistics.components import *
    from harness.statistics.curves import *
    from harness.statistics.deciding import *
    from harness.statistics.dependence import *
    from harness.statistics.effects import *
    from harness.statistics.estimates import *
    from harness.statistics.groups import *
    from harness.statistics.marks import *
    from harness.statistics.narrowing import *
    from harness.statistics.nights import *
    from harness.statistics.permutation import *
    from harness.statistics.power import *
    from harness.statistics.response import *
    from harness.statistics.sequential import *
    from harness.statistics.shrinkage import *
    from harness.statistics.simultaneous import *
    from harness.statistics.values import *

_HOMES = {
    "additive": (
        "ASYMPTOTIC_FROM ENTERS AdjustedLevels Factor PartialTest adjusted_levels factor nuisance "
        "p_associated p_spreads_differ partial_test rank_beside rank_shares trial_order "
        "within_levels"
    ),
    "agreement": (
        "compare_means compare_spreads compare_tails matched non_inferiority skewed_paired"
    ),
    "deciding": "beats_power sd_within",
    "dependence": "Together association go_together lattice_step",
    "components": (
        "Components beyond crossed explained residual_sd root_mean_square variance_components"
    ),
    "comparisons": (
        "binomial binomial_threshold boschloo brown_forsythe equivalent holm paired "
        "paired_equivalence pairs_to_decide rank_sum sd_ratio welch"
    ),
    "curves": "gain nearest_point rate_in_window",
    "effects": "interaction",
    "estimates": (
        "MIN_PROMPTS_CHANGED bca_mean clopper_pearson cvar cvar_interval "
        "cvar_standard_error detectable_gain improvement_interval interquartile_mean mean_interval "
        "net_sd resamples_for sd_interval shown_to_fail shown_to_improve wilson with_noise"
    ),
    "groups": "ClusteredError clustered_error",
    "marks": "levels_covered overlap range_covered",
    "narrowing": "FEWEST_COMPARED Worse WorseEnd all_of_one worse_by worse_end",
    "nights": (
        "FAR LastNights MOST_NIGHTS ONE_IN Trend autocorrelation fewest_before most_total "
        "power_of_shift rank_last robust_z slow_decline usual_nights"
    ),
    "power": (
        "TARGET at_least best_power binomial_power boschloo_power boschloo_threshold bracket_power "
        "brown_forsythe_power cvar_power equivalence_margin gain_power non_inferiority_power "
        "paired_power partial_power runs_needed size_to_decide welch_power"
    ),
    "permutation": "cvar_permutation welch_permutation",
    "response": "bracket bracket_p_values flat smallest_window",
    "sequential": (
        "Direction boschloo_bounds curtailed_binomial curtailed_boschloo look_levels p_over_looks "
        "spent"
    ),
    "shrinkage": "Shrunk selection_interval shrink",
    "simultaneous": "matched_each not_best",
    "values": (
        "FEWEST_BRACKETED Bracket Comparison Equivalence Estimate Window is_constant strictest"
    ),
}
"""The names that each module offers."""

_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}

if not TYPE_CHECKING:  # a type checker has the imports above
    __all__ = list(_HOME)


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value
