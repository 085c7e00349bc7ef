"""Panels on which an importance sample is wrong although its weights look well."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from dotwin.inference.deterministic.problem import Problem
from dotwin.inference.deterministic.split import problems_of
from dotwin.mechanisms.design import build_design
from dotwin.panel import Panel, read_panel
from dotwin.spec.twin import Twin


def panel_of(frame: pd.DataFrame, **indicator: Any) -> Panel:
    """A panel of providers by quarter with an outcome ``y`` and perhaps a given ``x``."""
    given = {"x": {"domain": "context"}} if "x" in frame else {}
    twin = Twin(
        twin="case",
        panel={
            "unit": "provider",
            "period": {"column": "quarter", "frequency": "quarter"},
        },
        indicators={**given, "y": {"domain": "quality", **indicator}},
    )
    return read_panel(frame, twin)


def problem_of(panel: Panel) -> Problem:
    """The problem of the outcome's mean."""
    return problems_of(build_design(panel.twin, "y", panel))[0]


def frame_of(providers: int, quarters: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Providers by quarter, and the number of each row's provider."""
    provider = np.repeat(np.arange(providers), quarters)
    quarter = np.tile(np.arange(quarters), providers)
    names = [f"{2020 + q // 4}Q{q % 4 + 1}" for q in quarter]
    frame = pd.DataFrame({"provider": [f"p{p:03d}" for p in provider], "quarter": names})
    return frame, provider


def far_apart() -> Panel:
    """Yes or no of providers that differ very much, three quarters each."""
    rng = np.random.default_rng(1)
    frame, provider = frame_of(100, 3)
    eta = -0.5 + 2.7 * rng.normal(size=100)[provider]
    frame["y"] = (rng.random(provider.size) < 1 / (1 + np.exp(-eta))).astype(int)
    return panel_of(
        frame,
        family="bernoulli",
        pooling=["provider"],
        priors={"provider": "half_normal(3)"},
    )


def two_modes() -> Panel:
    """Counts that outliers scatter, under a prior that expects no scatter but for its tail."""
    rng = np.random.default_rng(2)
    frame, provider = frame_of(12, 4)
    counts = rng.poisson(4.0, provider.size)
    counts[[3, 17, 30]] = 14
    frame["y"] = counts
    return panel_of(
        frame, family="negative_binomial", priors={"dispersion": "half_student_t(1, 0.00003)"}
    )


def separated() -> Panel:
    """A cause that divides yes from no completely, under a prior with a tail like Cauchy's."""
    frame, provider = frame_of(20, 2)
    frame["x"] = np.where(provider < 10, 0.0, 1.0)
    frame["y"] = frame["x"].astype(int)
    return panel_of(frame, family="bernoulli", causes={"x": {"prior": "student_t(1, 0, 2.5)"}})
