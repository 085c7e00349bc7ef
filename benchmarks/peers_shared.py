"""The largest model that pathmc and dotwin both express: four mechanisms of four families.

pathmc 0.4.0 has gaussian, Student-t, Bernoulli, Poisson and negative-binomial outcomes, linear
predictors without functions of a cause, and intercepts of one level of units. It has no beta,
binomial, gamma or lognormal outcomes, no trials, exposures or nested levels, no lag of a
mechanism's own in its link, and no within and between parts of a cause; so these are left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

PROVIDERS, PERIODS = 60, 24
FAMILIES = {
    "hours": "normal",
    "visits": "negative_binomial",
    "incidents": "poisson",
    "inspection": "bernoulli",
}
CAUSES = {
    "hours": ["acuity"],
    "visits": ["hours", "acuity"],
    "incidents": ["hours", "acuity"],
    "inspection": ["incidents", "acuity"],
}


def write_shared(folder: Path, seed: int = 1) -> None:
    """Write the table and the twin, unless they are there."""
    if (folder / "twin.yaml").exists():
        return
    import dotwin as dw

    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    provider = np.repeat(np.arange(PROVIDERS), PERIODS)

    def effects() -> Any:
        return 0.4 * rng.standard_normal(PROVIDERS)[provider]

    acuity = rng.standard_normal(provider.size)
    hours = 0.3 * acuity + effects() + rng.standard_normal(provider.size)
    rate = np.exp(1.5 + 0.1 * hours + 0.1 * acuity + effects())
    visits = rng.negative_binomial(2.0, 2.0 / (2.0 + rate))
    incidents = rng.poisson(np.exp(0.5 - 0.2 * hours + 0.2 * acuity + effects()))
    logit = -1.0 + 0.2 * incidents + 0.1 * acuity + effects()
    frame = pd.DataFrame(
        {
            "provider": [f"p{i:03d}" for i in provider],
            "month": np.tile(pd.date_range("2020-01-01", periods=PERIODS, freq="MS"), PROVIDERS),
            "acuity": acuity,
            "hours": hours,
            "visits": visits,
            "incidents": incidents,
            "inspection": (rng.random(provider.size) < 1.0 / (1.0 + np.exp(-logit))).astype(int),
        }
    )
    frame.to_csv(folder / "panel.csv", index=False)
    own = {"because": "the benchmark's own equation", "between": "same", "scale": "natural"}
    twin = dw.Twin(
        twin="what both express",
        panel={"unit": "provider", "period": {"column": "month", "frequency": "month"}},
        indicators={
            "acuity": {"domain": "demand"},
            **{
                name: {
                    "domain": "outcome",
                    "family": family,
                    "pooling": ["provider"],
                    "causes": {x: {**own, "prior": "normal(0, 10)"} for x in CAUSES[name]},
                    "priors": {"intercept": "normal(0, 10)", "provider": "half_normal(1)"}
                    | ({"residual_sd": "half_normal(1)"} if family == "normal" else {}),
                }
                for name, family in FAMILIES.items()
            },
        },
    )
    (folder / "twin.yaml").write_text(twin.to_yaml(), encoding="utf-8")


def by_pathmc(folder: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Fit by pathmc, which takes PyMC's fastest sampler."""
    import pathmc

    frame = pd.read_csv(folder / "panel.csv", parse_dates=["month"])
    theirs = {"negative_binomial": "negbinomial", "normal": "gaussian"}
    model = pathmc.model(
        "\n".join(f"{name} ~ {' + '.join(causes)}" for name, causes in CAUSES.items()),
        data=frame,
        families={name: theirs.get(family, family) for name, family in FAMILIES.items()},
        panel={"unit": "provider", "time": "month"},
        pooling="partial",
    )
    trace = model.fit(
        draws=options["draws"],
        tune=options["tune"],
        chains=options["chains"],
        random_seed=1,
        cores=1,
        progressbar=False,
        compute_log_likelihood=False,
        compute_convergence_checks=False,
    )
    parts = ("alpha_", "beta_", "mu_alpha_", "sigma_")
    values = {
        str(name): v.values
        for name, v in trace["posterior"].to_dataset().items()
        if str(name).startswith(parts)
    }
    return {"draws": values}
