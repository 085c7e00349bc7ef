"""Draw the figure of the page on effects: what the g-formula finds, and what adjusting finds.

Remake it with `python docs/effects_figure.py`. The parameters are stated; nothing is fitted.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("svg")

import matplotlib.pyplot as plt
import numpy as np

import dotwin as dw
from dotwin.inference import Fit

MONTH = {"column": "month", "frequency": "month"}


def example() -> Fit:
    """Need goes on, falls with hours, and moves both hours and falls."""
    natural = {"scale": "natural"}
    shared = {"domain": "workforce", "family": "normal"}
    twin = dw.Twin(
        twin="nursing-hours",
        panel={"unit": "home", "period": MONTH},
        indicators={
            "need": shared
            | {"plausible": [1, 3], "causes": {"need[-1]": natural, "hours[-1]": natural}},
            "hours": shared | {"plausible": [2.5, 4.5], "causes": {"need": natural}},
            "falls": shared | {"plausible": [0, 10], "causes": {"need": natural, "hours": natural}},
        },
    )
    draws = 400
    rng = np.random.default_rng(0)
    truth = {
        "need.intercept": 2.0,
        "need.causes": np.array([0.7, -0.5]) + rng.normal(0, 0.04, (draws, 2)),
        "need.residual_sd": 0.25,
        "hours.intercept": 3.5,
        "hours.causes": [0.5],
        "hours.residual_sd": 0.35,
        "falls.intercept": 5.0,
        "falls.causes": np.array([1.5, -0.8]) + rng.normal(0, 0.12, (draws, 2)),
        "falls.residual_sd": 0.5,
    }
    first = {k: np.asarray(v)[0] if np.ndim(v) == 2 else v for k, v in truth.items()}
    panel = twin.simulate_panel(units={"home": 40}, periods=12, seed=1, parameters=first)
    return Fit.from_parameters(twin, panel, truth)


def main() -> None:
    mpl.rcParams |= {"svg.hashsalt": "dotwin", "font.size": 9, "svg.fonttype": "none"}
    fit = example()
    asked = {"on": "falls", "contrast": (3.5, 4.0), "horizon": 12}
    held = 0.5 * fit.draws().values["falls.causes"][:, 1]
    figure, axes = plt.subplots(1, 2, figsize=(9, 2.6), layout="constrained", sharey=True)
    for ax, hold, title in zip(
        axes,
        ("throughout", "once"),
        ("half an hour more, for good", "in one month only"),
        strict=True,
    ):
        draws = fit.effect("hours", hold=hold, **asked).draws["difference"].isel(chain=0)
        low, middle, high = np.quantile(draws, [0.05, 0.5, 0.95], axis=0)
        months = np.arange(1, 13)
        ax.fill_between(months, low, high, alpha=0.2, color="#0072B2", linewidth=0)
        ax.plot(months, middle, color="#0072B2", label="need follows the hours")
        if hold == "throughout":
            low, high = np.quantile(held, [0.05, 0.95])
            ax.axhspan(low, high, alpha=0.2, color="#D55E00", linewidth=0)
            ax.axhline(np.median(held), color="#D55E00", linestyle="--", label="need held fixed")
        ax.axhline(0, color="#222222", linewidth=0.8)
        ax.spines[["top", "right"]].set_visible(False)
        ax.set_title(title, loc="left", fontsize=9)
        ax.set_xlabel("month")
    axes[0].set_ylabel("change in falls")
    axes[1].legend(*axes[0].get_legend_handles_labels(), frameon=False, loc="lower right")
    path = Path(__file__).parent / "images" / "effects.svg"
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
