"""Worlds: the forward engine, futures, contrasts, and panels simulated from a twin."""

from dotwin.worlds.contrast import Contrast
from dotwin.worlds.futures import Futures
from dotwin.worlds.licence import Licence, Verdict
from dotwin.worlds.prior_predictive import PriorPredictive, prior_predictive
from dotwin.worlds.simulate import simulate
from dotwin.worlds.simulate_panel import simulate_panel
from dotwin.worlds.support import Support

__all__ = [
    "Contrast",
    "Futures",
    "Licence",
    "PriorPredictive",
    "Support",
    "Verdict",
    "prior_predictive",
    "simulate",
    "simulate_panel",
]
