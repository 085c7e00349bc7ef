"""Draw the figures of the pages on early warning and on testing the graph.

Remake them with `python docs/warning_figures.py`: the workforce twin is fitted to a panel that it
made itself, first to all but the last four months.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import dotwin as dw
from dotwin.errors import ConvergenceWarning

IMAGES = Path(__file__).parent / "images"
KEPT = 20


def main() -> None:
    twin = dw.read_twin("workforce_pressure")
    panel = twin.simulate_panel(units={"region": 4, "provider": 40}, periods=KEPT + 4, seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fit = dw.fit(
            twin, panel.select(periods=slice(0, KEPT)), draws=500, tune=500, chains=2, seed=1
        )
    warning = fit.early_warning("missed_visits_share", horizon=4, seed=1)
    print(warning)
    print(warning.interventions().to_string())
    print(warning.drivers(warning.units[0]).to_string())
    shown = list(warning.units)[:24]
    warning.plot(shown).savefig(IMAGES / "early-warning.png", dpi=130)
    scores = warning.score(panel)
    print(scores)
    test = fit.test_graph(seed=1)
    print(test)
    test.plot().savefig(IMAGES / "graph-test.png", dpi=130)


if __name__ == "__main__":
    main()
