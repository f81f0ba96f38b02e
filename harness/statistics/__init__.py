"""Estimates, comparisons, learning curves and responses: arrays in, estimates out.

Every function is pure; where it resamples it takes a NumPy generator. The names below load the
modules behind them, and SciPy with them, when one is first used: a sweep file imports its claims
at collection, long before anything is judged.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.statistics.association import association, lattice_step
    from harness.statistics.comparisons import (
        binomial,
        binomial_threshold,
        boschloo,
        brown_forsythe,
        cvar_permutation,
        equivalent,
        holm,
        non_inferiority,
        paired,
        paired_equivalence,
        pairs_to_decide,
        rank_sum,
        sd_ratio,
        welch,
    )
    from harness.statistics.curves import gain, nearest_point, rate_in_window
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
    )
    from harness.statistics.response import bracket, flat, smallest_window
    from harness.statistics.values import (
        Bracket,
        Comparison,
        Equivalence,
        Estimate,
        Window,
        is_constant,
    )

_HOMES = {
    "association": "association lattice_step",
    "comparisons": (
        "binomial binomial_threshold boschloo brown_forsythe cvar_permutation equivalent holm "
        "non_inferiority paired paired_equivalence pairs_to_decide rank_sum sd_ratio welch"
    ),
    "curves": "gain nearest_point rate_in_window",
    "estimates": (
        "bca_mean clopper_pearson cvar cvar_interval cvar_standard_error detectable_gain "
        "improvement_interval interquartile_mean mean_interval net_sd sd_interval shown_to_fail "
        "shown_to_improve wilson"
    ),
    "response": "bracket flat smallest_window",
    "values": "Bracket Comparison Equivalence Estimate Window is_constant",
}
_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = [
    "Bracket",
    "Comparison",
    "Equivalence",
    "Estimate",
    "Window",
    "association",
    "bca_mean",
    "binomial",
    "binomial_threshold",
    "boschloo",
    "bracket",
    "brown_forsythe",
    "clopper_pearson",
    "cvar",
    "cvar_interval",
    "cvar_permutation",
    "cvar_standard_error",
    "detectable_gain",
    "equivalent",
    "flat",
    "gain",
    "holm",
    "improvement_interval",
    "interquartile_mean",
    "is_constant",
    "lattice_step",
    "mean_interval",
    "nearest_point",
    "net_sd",
    "non_inferiority",
    "paired",
    "paired_equivalence",
    "pairs_to_decide",
    "rank_sum",
    "rate_in_window",
    "sd_interval",
    "sd_ratio",
    "shown_to_fail",
    "shown_to_improve",
    "smallest_window",
    "welch",
    "wilson",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value
