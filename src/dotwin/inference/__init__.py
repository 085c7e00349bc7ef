"""Inference: components, engines, the fit, its diagnosis, its likelihoods, and its files."""

from dotwin.inference.diagnosis import Diagnosis
from dotwin.inference.fit import Fit
from dotwin.inference.fitting import ENGINES, fit
from dotwin.inference.storage import load_fit

__all__ = ["ENGINES", "Diagnosis", "Fit", "fit", "load_fit"]
