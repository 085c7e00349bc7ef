"""Draw the figures of rivals, priors and groups left out, on a panel that is made up.

Remake them with `python docs/sensitivity_figures.py`. Need moves support and falls; in one region
support brings falls down three times as much as elsewhere.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("svg")

import numpy as np
import pandas as pd

import dotwin as dw
from dotwin.inference import Fit

IMAGES = Path(__file__).parent / "images"
HOMES, MONTHS, REGIONS = 48, 8, 6


def table() -> pd.DataFrame:
    """Return the made-up rows."""
    rng = np.random.default_rng(4)
    region = np.arange(HOMES) % REGIONS
    shape = (HOMES, MONTHS)
    need = rng.normal(size=(HOMES, 1)) + 0.5 * rng.normal(size=shape)
    support = 0.8 * need + rng.normal(size=shape)
    slope = np.where(region == 2, -1.2, -0.4)[:, None]
    level = 0.3 * rng.normal(size=REGIONS)[region][:, None] + 0.3 * rng.normal(size=(HOMES, 1))
    falls = 5 + slope * support + 0.9 * need + level + rng.normal(size=shape)
    home, month = (index.ravel() for index in np.indices(shape))
    return pd.DataFrame(
        {
            "region": [f"region {r + 1}" for r in region[home]],
            "home": [f"home {h:02d}" for h in home],
            "month": pd.period_range("2025-01", periods=MONTHS, freq="M").astype(str)[month],
            "need": need.ravel(),
            "support": support.ravel(),
            "falls": falls.ravel(),
        }
    )


def fitted(name: str, causes: dict[str, object], **more: object) -> Fit:
    """Fit one graph to the rows."""
    normal = {"domain": "outcome", "family": "normal", "pooling": ["region", "home"]}
    twin = dw.Twin(
        twin=name,
        panel={
            "unit": "home",
            "levels": ["region"],
            "period": {"column": "month", "frequency": "month"},
        },
        indicators={
            "need": {"domain": "context", "plausible": [-1.6, 1.6]},
            "support": {**normal, "plausible": [-2, 2], "causes": {"need": {}}},
            "falls": {**normal, "plausible": [3, 7], "causes": causes},
        },
        **more,
    )
    panel = dw.read_panel(table(), twin)
    return dw.fit(twin, panel, draws=1000, chains=4, seed=1, progress=False)


def main() -> None:
    mpl.rcParams |= {"svg.hashsalt": "dotwin", "svg.fonttype": "none"}
    asked = {"contrast": (0, 1), "horizon": 1, "draws": 2000, "seed": 1}
    need = {"need": {}}
    hidden = {"hidden_causes": {"frailty": {"level": "home", "affects": ["support", "falls"]}}}
    fits = {
        "need confounds": fitted("confounds", {"support": {}, **need}),
        "need does not": fitted("plain", {"support": {}}),
        "frailty is hidden": fitted("hidden", {"support": {}, **need}, **hidden),
    }
    convinced = fitted("convinced", {"support": {"prior": "normal(0.2, 0.05)"}, **need})
    effect = fits["need confounds"].effect("support", on="falls", **asked)
    found = {
        "rivals": dw.rivals(fits).effect("support", on="falls", **asked),
        "prior-sensitivity": convinced.effect("support", on="falls", **asked).prior_sensitivity(),
        "left-out": effect.leave_out("region", seed=1, progress=False),
    }
    for name, one in found.items():
        one.plot().savefig(IMAGES / f"{name}.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
