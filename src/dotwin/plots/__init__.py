"""A figure for every result object."""

from dotwin.plots.backtest import plot_backtest
from dotwin.plots.checks import plot_calibration, plot_check, plot_predictive
from dotwin.plots.counterfactuals import (
    plot_attribution,
    plot_counterfactual,
    plot_mediation,
    plot_necessity,
)
from dotwin.plots.early_warning import plot_early_warning, plot_reliability
from dotwin.plots.effects import plot_effect
from dotwin.plots.futures import plot_contrast, plot_futures, plot_groups, plot_support
from dotwin.plots.graph_test import plot_graph_test
from dotwin.plots.influence import plot_influence
from dotwin.plots.left_out import plot_left_out
from dotwin.plots.pilots import plot_follow_up, plot_pilot, plot_pre_period, plot_stand_ins
from dotwin.plots.posterior import plot_coefficients, plot_convergence, plot_priors
from dotwin.plots.prior_sensitivity import plot_prior_sensitivity
from dotwin.plots.quantity import Quantity, quantity
from dotwin.plots.rivals import plot_rivals
from dotwin.plots.sensitivity import plot_sensitivity
from dotwin.plots.style import as_svg

__all__ = [
    "Quantity",
    "as_svg",
    "plot_attribution",
    "plot_backtest",
    "plot_calibration",
    "plot_check",
    "plot_coefficients",
    "plot_contrast",
    "plot_convergence",
    "plot_counterfactual",
    "plot_early_warning",
    "plot_effect",
    "plot_follow_up",
    "plot_futures",
    "plot_graph_test",
    "plot_groups",
    "plot_influence",
    "plot_left_out",
    "plot_mediation",
    "plot_necessity",
    "plot_pilot",
    "plot_pre_period",
    "plot_predictive",
    "plot_prior_sensitivity",
    "plot_priors",
    "plot_reliability",
    "plot_rivals",
    "plot_sensitivity",
    "plot_stand_ins",
    "plot_support",
    "quantity",
]
