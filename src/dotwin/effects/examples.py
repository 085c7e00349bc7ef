"""Very small fits with known parameters, for the examples of this room."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from dotwin.inference import Fit

__all__ = ["joe"]


def joe() -> Fit:
    """Return the fit of one pupil: encouragement, homework and the score of an exam.

    Homework is half of encouragement plus what is the pupil's own; the score is 0.7 of
    encouragement and 0.4 of homework plus what is the pupil's own. Joe has encouragement 0.5,
    homework 1 and a score of 1.5.

    Returns
    -------
    Fit

    References
    ----------
    .. [1] Pearl, J., Glymour, M. and Jewell, N. P. (2016). Causal Inference in Statistics: A
       Primer, section 4.2.3. Wiley.

    Examples
    --------
    >>> joe().panel.values("score").item()
    1.5
    """
    import xarray as xr

    from dotwin.inference import Fit
    from dotwin.panel import Panel
    from dotwin.spec import Twin

    natural = {"scale": "natural"}
    own = {"family": "normal", "plausible": [-2, 2]}
    twin = Twin(
        twin="exam",
        panel={"unit": "pupil"},
        indicators={
            "encouragement": {"domain": "context", **own},
            "homework": {"domain": "quality", **own, "causes": {"encouragement": natural}},
            "score": {
                "domain": "outcome",
                **own,
                "causes": {"encouragement": natural, "homework": natural},
            },
        },
    )
    facts = {"encouragement": 0.5, "homework": 1.0, "score": 1.5}
    data = xr.Dataset(
        {name: (("unit", "period"), np.array([[value]])) for name, value in facts.items()},
        coords={"unit": ["Joe"], "period": [0]},
    )
    values = {
        "encouragement.intercept": 0.0, "encouragement.residual_sd": 1.0,
        "homework.intercept": 0.0, "homework.causes": [0.5], "homework.residual_sd": 1.0,
        "score.intercept": 0.0, "score.causes": [0.7, 0.4], "score.residual_sd": 1.0,
    }  # fmt: skip
    return Fit.from_parameters(twin, Panel.from_dataset(data, twin), values)


def small_pilot() -> Fit:
    """Return the fit of six homes, of which two began coaching in March and two in April.

    Falls are 5 and the home's own in every month without coaching, and 1 fewer with it.

    Returns
    -------
    Fit
        Of known parameters.

    Examples
    --------
    >>> small_pilot().panel.values("coaching").sum(axis=1).tolist()
    [3.0, 3.0, 2.0, 2.0, 0.0, 0.0]
    """
    import pandas as pd
    import xarray as xr

    from dotwin.inference import Fit
    from dotwin.panel import Panel
    from dotwin.spec import Twin

    twin = Twin(
        twin="coaching",
        panel={"unit": "home", "period": {"column": "month", "frequency": "month"}},
        indicators={
            "coaching": {
                "domain": "quality",
                "assigned": {"how": "phased", "column": "coaching"},
            },
            "falls": {
                "domain": "outcome",
                "unit": "per home and month",
                "family": "normal",
                "plausible": [2, 8],
                "pooling": ["home"],
                "causes": {"coaching": {"scale": "natural", "between": "same"}},
            },
        },
    )
    starts = np.array([2, 2, 3, 3, 9, 9])
    coaching = (np.arange(5)[None, :] >= starts[:, None]).astype(float)
    own = np.array([-1.0, 0.0, 1.0, -0.5, 0.5, 0.0])
    data = xr.Dataset(
        {
            "coaching": (("unit", "period"), coaching),
            "falls": (("unit", "period"), 5.0 + own[:, None] - coaching),
        },
        coords={
            "unit": list("ABCDEF"),
            "period": pd.date_range("2024-01", periods=5, freq="MS").to_numpy(),
        },
    )
    values = {
        # The intercept is that at the reference centre of coaching.
        "falls.intercept": 5.0 - coaching.mean(),
        "falls.causes": [-1.0],
        "falls.sd_home": 1.0,
        "falls.home": own[None, :],
        "falls.residual_sd": np.linspace(0.2, 0.4, 100),
    }
    return Fit.from_parameters(twin, Panel.from_dataset(data, twin), values)
