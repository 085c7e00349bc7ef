"""Draw the figures of the pages on counterfactuals and attribution.

Remake them with `python docs/counterfactual_figures.py`. The panel is simulated from the priors of
the workforce-pressure twin, and the twin is fitted to it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")

import dotwin as dw

IMAGES = Path(__file__).with_name("images")
SCENARIO = dw.Scenario("filled posts", [dw.at_most("vacancy_rate", 0.07)])


def fitted() -> Any:
    """Fit the embedded twin to a panel that is simulated from it."""
    twin = dw.read_twin("workforce_pressure")
    panel = twin.simulate_panel(units={"region": 4, "provider": 30}, periods=18, seed=17)
    return dw.fit(twin, panel, draws=400, chains=2, seed=1, progress=False)


def main() -> None:
    """Write the figures, and print what the pages quote."""
    fit = fitted()
    answer = fit.counterfactual(
        SCENARIO, periods=slice("2020-12", "2021-06"), on=["missed_visits", "hospitalizations"]
    )
    print(answer, answer.summary(on="missed_visits").to_string(), answer.licence, sep="\n")
    print(answer.uncertainty(on="missed_visits").tail(2).to_string())
    change = fit.attribute("hospitalizations", before="2021-01", after="2021-06")
    print(change, change.summary(), change.licence, sep="\n")
    sources = fit.influence("share(missed_visits)", horizon=3)
    print(sources, sources.summary().to_string(), sources.licence, sep="\n")
    parts = fit.mediation(
        "vacancy_rate", on="hospitalizations", through="missed_visits", contrast=(0.1, 0.2)
    )
    print(parts, parts.summary().groupby("part", sort=False).tail(1).to_string(), sep="\n")
    for name, figure in (
        ("counterfactual", answer.plot("missed_visits / scheduled_visits")),
        ("attribution", change.plot()),
        ("influence", sources.plot()),
    ):
        with mpl.rc_context({"svg.hashsalt": "dotwin", "svg.fonttype": "none"}):
            figure.savefig(IMAGES / f"{name}.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
