"""Draw the figures of the pages on early warning and on testing the graph.

Remake them with `python docs/warning_figures.py`: a small twin is fitted to a panel that it made
itself, so its graph is right.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import dotwin as dw
from dotwin.errors import ConvergenceWarning

IMAGES = Path(__file__).parent / "images"
TWIN = {
    "twin": "small-homes",
    "panel": {"unit": "home", "period": {"column": "month", "frequency": "month"}},
    "indicators": {
        "turnover": {
            "domain": "workforce",
            "family": "normal",
            "plausible": [-3, 3],
            "pooling": ["home"],
            "causes": {"turnover[-1]": {}},
        },
        "vacancies": {
            "domain": "workforce",
            "family": "poisson",
            "pooling": ["home"],
            "causes": {"turnover": {"scale": "natural", "between": "same"}},
        },
        "falls": {
            "domain": "outcome",
            "family": "poisson",
            "pooling": ["home"],
            "causes": {"log1p(vacancies)": {"scale": "natural", "between": "same"}},
        },
    },
    "thresholds": {"many falls": {"of": "falls", "above": 5}},
}
TRUTH = {
    "turnover.intercept": 0.0,
    "turnover.causes": [0.4, 0.0],
    "turnover.residual_sd": 1.0,
    "turnover.sd_home": 0.5,
    "vacancies.intercept": 0.7,
    "vacancies.causes": [0.3],
    "vacancies.sd_home": 0.3,
    "falls.intercept": 0.8,
    "falls.causes": [0.5],
    "falls.sd_home": 0.5,
}


def main() -> None:
    twin = dw.Twin(**TWIN)
    panel = twin.simulate_panel(units={"home": 40}, periods=14, seed=2, parameters=TRUTH)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fit = dw.fit(twin, panel, draws=500, tune=500, chains=2, seed=1, progress=False)
    warning = fit.early_warning("many falls", horizon=4, seed=1)
    print(warning)
    warning.plot(list(warning.units)[:24]).savefig(IMAGES / "early-warning.png", dpi=130)
    test = fit.test_graph(seed=1)
    print(test)
    test.plot().savefig(IMAGES / "graph-test.png", dpi=130)


if __name__ == "__main__":
    main()
