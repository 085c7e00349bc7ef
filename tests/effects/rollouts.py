"""Roll-outs with known effects, for the tests of pilots."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

import dotwin as dw
from dotwin.inference import Fit
from dotwin.panel import Panel
from dotwin.spec import Twin

NEVER = 10_000
Floats = NDArray[np.float64]


def rollout_twin(how: str = "phased", **falls: Any) -> Twin:
    """Return a twin of falls, which a programme is to lower."""
    why: dict[str, Any] = {"assigned": {"how": how, "column": "coaching"}} if how else {}
    mechanism: dict[str, Any] = {
        "family": "normal",
        "plausible": [-3.3, 3.3],
        "pooling": ["home", "period"],
        "causes": {"coaching": {"scale": "natural"}},
        **falls,
    }
    spreads = dict.fromkeys(mechanism["pooling"], "half_normal(3)")
    mechanism["priors"] = {**spreads, **falls.get("priors", {})}
    return Twin(
        twin="rollout",
        panel={"unit": "home", "period": {"column": "month", "frequency": "month"}},
        indicators={
            "coaching": {"domain": "quality", **why},
            "falls": {"domain": "outcome", "unit": "per month", **mechanism},
        },
    )


def panel_of(twin: Twin, starts: NDArray[Any], falls: Floats, **more: Floats) -> Panel:
    """Return the panel of homes that began at some periods."""
    homes, months = falls.shape
    coaching = (np.arange(months)[None, :] >= starts[:, None]).astype(float)
    arrays = {"coaching": coaching, "falls": falls, **more}
    return Panel.from_dataset(
        xr.Dataset(
            {name: (("unit", "period"), values) for name, values in arrays.items()},
            coords={
                "unit": [f"h{i:03d}" for i in range(homes)],
                "period": pd.date_range("2020-01", periods=months, freq="MS").to_numpy(),
            },
        ),
        twin,
    )


def staggered(
    seed: int, homes: int = 60, months: int = 12, noise: float = 0.5, drift: float = 0.0
) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Draw starts, falls, and the effect of each home and month.

    A third of the homes begin in the 5th month, a third in the 9th, the rest never. The effect
    grows with time, by 1 a month in the first cohort and by 0.25 in the second. ``drift`` is what
    falls in homes that will begin change by each month, without any programme.
    """
    rng = np.random.default_rng(seed)
    starts = np.repeat([4, 8, NEVER], homes // 3)
    since = np.arange(months)[None, :] - starts[:, None]
    slope = np.repeat([-1.0, -0.25, 0.0], homes // 3)[:, None]
    effect = np.where(since >= 0, slope * (since + 1), 0.0)
    falls = (
        rng.normal(0.0, 1.5, (homes, 1))
        + rng.normal(0.0, 1.0, (1, months))
        + rng.normal(0.0, noise, (homes, months))
        + drift * np.arange(months)[None, :] * (starts < NEVER)[:, None]
    )
    return starts, falls + effect, effect


def fitted(twin: Twin, panel: Panel, draws: int = 500) -> Fit:
    """Fit without chains."""
    return dw.fit(
        twin, panel, draws=draws, chains=2, seed=1, engine="deterministic", progress=False
    )


def fixed_effects(starts: NDArray[np.int64], falls: Floats) -> float:
    """Return the coefficient of the programme in a regression on units and periods."""
    months = falls.shape[1]
    x = (np.arange(months)[None, :] >= starts[:, None]).astype(float)

    def within(values: Floats) -> Floats:
        return values - values.mean(1, keepdims=True) - values.mean(0) + values.mean()

    residual = within(x)
    return float((residual * falls).sum() / (residual**2).sum())


def callaway_santanna(starts: NDArray[np.int64], falls: Floats, cohort: int, period: int) -> float:
    """Return ATT(g, t) against units that have not begun, without covariates.

    Callaway and Sant'Anna (2021), doi 10.1016/j.jeconom.2020.12.001, equation 2.9 without X.
    """
    change = falls[:, period] - falls[:, cohort - 1]
    return float(change[starts == cohort].mean() - change[starts > period].mean())


def imputed(starts: NDArray[np.int64], falls: Floats) -> Floats:
    """Return falls less what least squares on untreated unit-periods imputes.

    Borusyak, Jaravel and Spiess (2024), doi 10.1093/restud/rdae007, with effects of units and
    periods.
    """
    homes, months = falls.shape
    untreated = np.arange(months)[None, :] < starts[:, None]
    unit, period = np.nonzero(np.ones_like(untreated))
    design = np.concatenate([np.eye(homes)[unit], np.eye(months)[period][:, 1:]], axis=1)
    used = untreated.ravel()
    solved = np.linalg.lstsq(design[used], falls.ravel()[used], rcond=None)[0]
    return np.asarray((falls.ravel() - design @ solved).reshape(falls.shape))
