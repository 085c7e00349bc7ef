"""Draw the figure of the page on units that act on each other.

Remake it with `python docs/sharing_figure.py`. The parameters are stated; nothing is fitted.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("svg")

import matplotlib.pyplot as plt
import numpy as np

import dotwin as dw
from dotwin.inference import Fit
from dotwin.worlds import Futures

MONTH = {"column": "month", "frequency": "month"}
#: Homes 1 to 6 lie in the north; each of the first three lends nurses to one home in the south.
LENDING = [
    row
    for north, south in ((1, 7), (2, 8), (3, 9))
    for row in ([f"home-{north:02d}", f"home-{south:02d}", 1.0],
                [f"home-{south:02d}", f"home-{north:02d}", 1.0])
]  # fmt: skip
FILLED = dw.Scenario(
    "posts filled in the north",
    [dw.shift("vacancies", -3, where="region == 'region-01'")],
    source="recruitment abroad",
)
MOVED = dw.Scenario(
    "hours follow need", [dw.redeploy("hours", "need[-1]", within="region", share=0.1)]
)


def example(draws: int = 400) -> Fit:
    """Vacancies cost hours at home and where nurses are shared; hours and need move falls."""
    natural = {"scale": "natural", "between": "same"}
    normal = {"family": "normal"}
    twin = dw.Twin(
        twin="shared-staff",
        panel={"unit": "home", "levels": ["region"], "period": MONTH},
        exposures={"shared_staff": {"weights": LENDING, "because": "nurses work in both homes"}},
        indicators={
            "residents": {"domain": "demand", "simulated_as": "lognormal(4, 0.3)"},
            "need": {
                "domain": "demand",
                "plausible": [1, 3],
                "causes": {"need[-1]": natural},
                **normal,
            },
            "vacancies": {
                "domain": "workforce",
                "unit": "posts in a hundred",
                "plausible": [0, 30],
                "causes": {"vacancies[-1]": natural},
                **normal,
            },
            "hours": {
                "domain": "workforce",
                "unit": "nursing hours per resident and day",
                "plausible": [2.5, 4.5],
                "weight": "residents",
                "causes": {
                    "vacancies": natural,
                    "sum(vacancies, over=shared_staff)": natural,
                },
                **normal,
            },
            "falls": {
                "domain": "safeguarding",
                "family": "poisson",
                "exposure": "residents",
                "causes": {"hours": natural, "need": natural},
            },
        },
    )
    rng = np.random.default_rng(0)

    def about(*middle: float, sd: float) -> np.ndarray:
        return np.array(middle) + rng.normal(0, sd, (draws, len(middle)))

    values = {
        "need.intercept": 2.0,
        "need.causes": [0.9],
        "need.residual_sd": 0.15,
        "vacancies.intercept": 15.0,
        "vacancies.causes": [0.8],
        "vacancies.residual_sd": 2.0,
        "hours.intercept": 3.5,
        "hours.causes": about(-0.04, -0.02, sd=0.003),
        "hours.residual_sd": 0.1,
        "falls.intercept": -2.2,
        "falls.causes": about(-0.5, 0.8, sd=0.06),
    }
    first = {k: np.asarray(v)[0] if np.ndim(v) == 2 else v for k, v in values.items()}
    units = {"region": 2, "home": 12}
    panel = twin.simulate_panel(units=units, periods=12, seed=1, parameters=first)
    return Fit.from_parameters(twin, panel, values)


def simulated() -> Futures:
    """Both scenarios, side by side."""
    return example().simulate(periods=6, scenarios=[FILLED, MOVED], seed=1, draws=400)


def by_home(futures: Futures) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Change in hours in the last month: low, middle and high, by home."""
    changed, base = (
        futures.draws["hours"].sel(scenario=name).isel(period=-1).stack(all=("chain", "draw"))
        for name in (FILLED.name, "baseline")
    )
    low, middle, high = np.quantile((changed - base).transpose("unit", "all"), (0.05, 0.5, 0.95), 1)
    return low, middle, high


def main() -> None:
    mpl.rcParams |= {"svg.hashsalt": "dotwin", "font.size": 9, "svg.fonttype": "none"}
    futures = simulated()
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
    low, middle, high = by_home(futures)
    homes = np.arange(middle.size)
    colours = np.repeat(["#0072B2", "#D55E00", "#888888"], [6, 3, 3])
    words = ["posts filled here", "shares nurses with these", "neither"]
    for colour, word in zip(dict.fromkeys(colours), words, strict=True):
        own = colours == colour
        left.errorbar(
            homes[own] + 1,
            middle[own],
            [(middle - low)[own], (high - middle)[own]],
            fmt="o",
            markersize=4,
            color=colour,
            label=word,
        )
    left.set_xticks(homes + 1)
    left.set_xlabel("home (1 to 6: north, 7 to 12: south)")
    left.set_ylabel("change in nursing hours")
    left.set_title("three posts in a hundred filled in the north", loc="left", fontsize=9)
    left.legend(frameon=False)
    table = futures.contrast(MOVED.name, on="falls", replicates=16).gains_and_losses()
    for role, colour in (("receives", "#0072B2"), ("gives", "#D55E00")):
        rows = table[table["role"] == role]
        months = np.arange(len(rows)) + 1
        right.fill_between(months, rows["5%"], rows["95%"], alpha=0.2, color=colour, linewidth=0)
        right.plot(
            months, rows["mean"], color=colour, label=f"homes that are expected to {role[:-1]}"
        )
    right.set_xlabel("month")
    right.set_ylabel("change in falls")
    right.set_title("a tenth of the hours follows need", loc="left", fontsize=9)
    right.legend(frameon=False)
    for ax in (left, right):
        ax.axhline(0, color="#222222", linewidth=0.8)
        ax.spines[["top", "right"]].set_visible(False)
    path = Path(__file__).parent / "images" / "sharing.svg"
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
