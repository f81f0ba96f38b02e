"""Estimates, comparisons, learning curves and responses: arrays in, estimates out.

Every function is pure; where it resamples it takes a NumPy generator. The names below load the
modules behind them, and SciPy with them, when one is first used: a sweep file imports its claims
at collection, long before anything is judged.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.statistics.agreement import (
        compare_means,
        compare_spreads,
        compare_tails,
        matched,
        non_inferiority,
        skewed_paired,
    )
    from harness.statistics.comparisons import (
        binomial,
        binomial_threshold,
        boschloo,
        brown_forsythe,
        equivalent,
        holm,
        paired,
        paired_equivalence,
        pairs_to_decide,
        rank_sum,
        sd_ratio,
        welch,
    )
    from harness.statistics.curves import gain, nearest_point, rate_in_window
    from harness.statistics.dependence import association, lattice_step
    from harness.statistics.effects import (
        interaction,
        levels_differ,
        permutation_importance,
        slope,
        trend,
        variance_share,
    )
    from harness.statistics.estimates import (
        bca_mean,
        clopper_pearson,
        cvar,
        cvar_interval,
        cvar_standard_error,
        detectable_gain,
        improvement_interval,
        interquartile_mean,
        mean_interval,
        net_sd,
        sd_interval,
        shown_to_fail,
        shown_to_improve,
        wilson,
        with_noise,
    )
    from harness.statistics.marks import levels_covered, overlap, range_covered
    from harness.statistics.narrowing import (
        FEWEST_COMPARED,
        Worse,
        WorseEnd,
        all_of_one,
        worse_by,
        worse_end,
    )
    from harness.statistics.permutation import cvar_permutation, welch_permutation
    from harness.statistics.power import (
        TARGET,
        at_least,
        binomial_power,
        boschloo_power,
        boschloo_threshold,
        bracket_power,
        brown_forsythe_power,
        cvar_power,
        gain_power,
        non_inferiority_power,
        paired_power,
        runs_needed,
        welch_power,
    )
    from harness.statistics.response import (
        bracket,
        bracket_p_values,
        flat,
        smallest_window,
    )
    from harness.statistics.sequential import (
        Direction,
        boschloo_bounds,
        curtailed_binomial,
        curtailed_boschloo,
        look_levels,
        p_over_looks,
        spent,
    )
    from harness.statistics.values import (
        FEWEST_BRACKETED,
        Bracket,
        Comparison,
        Equivalence,
        Estimate,
        Window,
        is_constant,
        strictest,
    )

_HOMES = {
    "agreement": (
        "compare_means compare_spreads compare_tails matched non_inferiority skewed_paired"
    ),
    "dependence": "association lattice_step",
    "comparisons": (
        "binomial binomial_threshold boschloo brown_forsythe equivalent holm paired "
        "paired_equivalence pairs_to_decide rank_sum sd_ratio welch"
    ),
    "curves": "gain nearest_point rate_in_window",
    "effects": "interaction levels_differ permutation_importance slope trend variance_share",
    "estimates": (
        "bca_mean clopper_pearson cvar cvar_interval cvar_standard_error detectable_gain "
        "improvement_interval interquartile_mean mean_interval net_sd sd_interval shown_to_fail "
        "shown_to_improve wilson with_noise"
    ),
    "marks": "levels_covered overlap range_covered",
    "narrowing": "FEWEST_COMPARED Worse WorseEnd all_of_one worse_by worse_end",
    "power": (
        "TARGET at_least binomial_power boschloo_power boschloo_threshold bracket_power "
        "brown_forsythe_power cvar_power gain_power non_inferiority_power paired_power "
        "runs_needed welch_power"
    ),
    "permutation": "cvar_permutation welch_permutation",
    "response": "bracket bracket_p_values flat smallest_window",
    "sequential": (
        "Direction boschloo_bounds curtailed_binomial curtailed_boschloo look_levels p_over_looks "
        "spent"
    ),
    "values": (
        "FEWEST_BRACKETED Bracket Comparison Equivalence Estimate Window is_constant strictest"
    ),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = [
    "FEWEST_BRACKETED",
    "FEWEST_COMPARED",
    "TARGET",
    "Bracket",
    "Comparison",
    "Direction",
    "Equivalence",
    "Estimate",
    "Window",
    "Worse",
    "WorseEnd",
    "all_of_one",
    "association",
    "at_least",
    "bca_mean",
    "binomial",
    "binomial_power",
    "binomial_threshold",
    "boschloo",
    "boschloo_bounds",
    "boschloo_power",
    "boschloo_threshold",
    "bracket",
    "bracket_p_values",
    "bracket_power",
    "brown_forsythe",
    "brown_forsythe_power",
    "clopper_pearson",
    "compare_means",
    "compare_spreads",
    "compare_tails",
    "curtailed_binomial",
    "curtailed_boschloo",
    "cvar",
    "cvar_interval",
    "cvar_permutation",
    "cvar_power",
    "cvar_standard_error",
    "detectable_gain",
    "equivalent",
    "flat",
    "gain",
    "gain_power",
    "holm",
    "improvement_interval",
    "interaction",
    "interquartile_mean",
    "is_constant",
    "lattice_step",
    "levels_covered",
    "levels_differ",
    "look_levels",
    "matched",
    "mean_interval",
    "nearest_point",
    "net_sd",
    "non_inferiority",
    "non_inferiority_power",
    "overlap",
    "p_over_looks",
    "paired",
    "paired_equivalence",
    "paired_power",
    "pairs_to_decide",
    "permutation_importance",
    "range_covered",
    "rank_sum",
    "rate_in_window",
    "runs_needed",
    "sd_interval",
    "sd_ratio",
    "shown_to_fail",
    "shown_to_improve",
    "skewed_paired",
    "slope",
    "smallest_window",
    "spent",
    "strictest",
    "trend",
    "variance_share",
    "welch",
    "welch_permutation",
    "welch_power",
    "wilson",
    "with_noise",
    "worse_by",
    "worse_end",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value
