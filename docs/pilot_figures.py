"""Draw the figures of the page on pilots.

Remake them with `python docs/pilot_figures.py`. The roll-out is simulated: coaching lowers falls by
half in homes with heavy needs and by a fifth in others, and takes half a year to get there. In the
end it is to go to all homes, and half of the rest do not begin.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")

import numpy as np
import xarray as xr

import dotwin as dw

IMAGES = Path(__file__).with_name("images")
HOMES, MONTHS, LATER = 90, 24, 6


def twin() -> dw.Twin:
    """Return the twin of the page."""
    return dw.Twin(
        twin="coaching",
        panel={
            "unit": "home",
            "levels": ["region"],
            "period": {"column": "month", "frequency": "month"},
        },
        indicators={
            "coaching": {
                "domain": "quality",
                "label": "coaching",
                "assigned": {"how": "phased", "column": "coaching"},
            },
            "thousand_resident_days": {"domain": "demand"},
            "needs": {"domain": "context", "plausible": [1.0, 3.0]},
            "falls": {
                "domain": "outcome",
                "family": "poisson",
                "exposure": "thousand_resident_days",
                "plausible": [2.0, 12.0],
                "pooling": ["region", "home", "period"],
                "causes": {
                    "needs": {"because": "residents who need more help fall more"},
                    "coaching": {"because": "what the pilot is for"},
                },
            },
        },
    )


def panel(seed: int) -> dw.Panel:
    """Simulate the roll-out, and what came when it went to all homes."""
    rng = np.random.default_rng(seed)
    months = MONTHS + LATER
    starts = rng.permutation(np.repeat([10, 15, MONTHS], HOMES // 3))
    follows = rng.random(HOMES) < 1 / 2
    starts = np.where((starts == MONTHS) & ~follows, months, starts)
    needs = np.clip(rng.normal(2.0, 0.5, (HOMES, 1)) + rng.normal(0, 0.2, (HOMES, months)), 0.5, 4)
    days = np.round(rng.uniform(1.0, 4.0, (HOMES, 1)) * np.ones((1, months)), 1)
    since = np.arange(months)[None, :] - starts[:, None]
    reached = np.clip((since + 1) / 6, 0.0, 1.0)
    heavy = needs[:, :1] > 2.2
    effect = np.where(heavy, np.log(0.5), np.log(0.8)) * reached
    level = np.log(5.0) + rng.normal(0, 0.3, (HOMES, 1)) + rng.normal(0, 0.08, (1, months))
    rate = np.exp(level + 0.25 * (needs - 2.0))
    falls = rng.poisson(days * rate * np.exp(effect))
    seen = (since >= 0) & (np.arange(months) < MONTHS)
    true = (days * rate * np.expm1(effect))[seen].sum() / days[seen].sum()
    print(f"the true effect is {true:.3f}")
    dims = ("unit", "period")
    data = xr.Dataset(
        {
            "coaching": (dims, (since >= 0).astype(float)),
            "thousand_resident_days": (dims, days),
            "needs": (dims, needs),
            "falls": (dims, falls.astype(float)),
        },
        coords={
            "unit": [f"home {i:02d}" for i in range(HOMES)],
            "period": (np.datetime64("2023-01") + np.arange(months)).astype("datetime64[ns]"),
            "region": ("unit", np.resize(["north", "south", "west"], HOMES)),
        },
    )
    return dw.Panel.from_dataset(data, twin())


def main() -> None:
    """Write the figures, and print what the page quotes."""
    whole = panel(4)
    early = whole.select(periods=slice(0, MONTHS))
    fit = dw.fit(twin(), early, draws=1000, chains=2, seed=1, progress=False)
    pilot = fit.pilot("coaching", on="falls", seed=1)
    before = pilot.pre_period(4)
    stood_in = pilot.stand_ins()
    for one in (pilot, pilot.licence, pilot.cohorts, before, stood_in):
        print(one, end="\n\n")
    print(pilot.summary(["cohort"]).to_string())
    print(pilot.summary("start(needs) > 2.2").to_string())
    print(pilot.summary("since").to_string())
    futures = fit.simulate(periods=LATER, scenarios=dw.do("coaching", 1), seed=1)
    follow = futures.follow_up(whole, "do(coaching, 1)")
    print(follow, follow.parts().tail(4).to_string(), follow.coverage().to_string(), sep="\n")
    save("pilot", before.plot())
    save("follow-up", follow.plot())
    published()


def published() -> None:
    """Ask of published data what laws on self-defence did to homicides, with and without a lag.

    Cheng, C. and Hoekstra, M. (2013), doi 10.3368/jhr.48.3.821, in the package `causaldata`.
    """
    import causaldata

    table = causaldata.castle.load_pandas().data[["sid", "year", "post", "homicide"]]
    table = table.assign(homicide=np.log(table["homicide"]), post=(table["post"] > 0).astype(float))
    for causes in ({}, {"homicide[-1]": {}}):
        states = dw.Twin(
            twin="states",
            panel={
                "unit": "state",
                "columns": {"state": "sid"},
                "period": {"column": "year", "frequency": "year"},
            },
            indicators={
                "law": {
                    "domain": "context",
                    "column": "post",
                    "assigned": {"how": "phased", "column": "post"},
                },
                "homicide": {
                    "domain": "outcome",
                    "unit": "log per 100,000",
                    "family": "normal",
                    "plausible": [0.3, 2.5],
                    "pooling": ["state", "period"],
                    "causes": {**causes, "law": {}},
                },
            },
        )
        fit = dw.fit(
            states, dw.read_panel(table, states), draws=1000, chains=2, seed=1, progress=False
        )
        pilot = fit.pilot("law", on="homicide", seed=1)
        print(pilot, pilot.pre_period(3), pilot.stand_ins(), sep="\n", end="\n\n")


def save(name: str, figure: Any) -> None:
    """Write a figure that has the same bytes each time."""
    with mpl.rc_context({"svg.hashsalt": "dotwin", "svg.fonttype": "none"}):
        figure.savefig(IMAGES / f"{name}.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
