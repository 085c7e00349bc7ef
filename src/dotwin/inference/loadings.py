"""What hidden causes that are fitted add to what they affect, and how far the data say so."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from dotwin.errors import LicenceError
from dotwin.graph.factors import FactorVerdict, factor_verdicts
from dotwin.graph.twin_graph import TwinGraph
from dotwin.inference.engine import Component, Draws, Engine, Settings
from dotwin.inference.schedule import run
from dotwin.mechanisms.factors import factor_terms
from dotwin.mechanisms.parameters import Parameter, draw_prior
from dotwin.spec.prior import Prior

if TYPE_CHECKING:
    from distributed import Client

    from dotwin.inference.fit import Fit
    from dotwin.mechanisms.design import Design
    from dotwin.panel import Panel
    from dotwin.spec.twin import Twin

__all__ = [
    "AS_DECLARED",
    "PRIOR",
    "judged",
    "loadings",
    "sentences",
    "under_other_priors",
    "verdicts_of",
]

#: What to assume where the data cannot tell what a hidden cause adds to each indicator.
PRIOR = "prior"
AS_DECLARED = "as declared"
#: Further priors of the loadings: their spread times these.
_OTHERS = {"halved": 0.5, "doubled": 2.0}
#: Draws from which a prior's mean and spread are taken.
_DRAWS = 100_000
_COLUMNS = [
    "hidden cause", "indicator", "priors", "prior", "prior_sd", "mean", "sd", "low", "high",
    "shift", "status",
]  # fmt: skip


def judged(twin: Twin, panel: Panel, assumed: Collection[str]) -> dict[str, FactorVerdict]:
    """Judge the hidden causes that are to be fitted, and refuse those that the data cannot tell.

    Parameters
    ----------
    twin : Twin
    panel : Panel
    assumed : collection of str
        With `PRIOR` none is refused.

    Returns
    -------
    dict of str to FactorVerdict

    Raises
    ------
    LicenceError
        It names each, and what would identify it.
    """
    verdicts = factor_verdicts(TwinGraph(twin), periods=len(panel.period_labels))
    failed = [one for one in verdicts.values() if not one.identified]
    if failed and PRIOR not in assumed:
        said = " ".join(f"{one.hidden}: {one.reason} {one.add}" for one in failed)
        raise LicenceError(
            f"what the data cannot tell is not fitted. {said} Leave out over: to declare it only, "
            f"or say fit(..., assume='{PRIOR}') to let the prior of its loadings decide; they are "
            f"then shown under three priors."
        )
    return verdicts


def verdicts_of(fit: Fit) -> dict[str, FactorVerdict]:
    """Judge the hidden causes of a fit by the periods that it was made from.

    Parameters
    ----------
    fit : Fit
        Which may have been saved without most of its panel.
    """
    periods = max((len(design.period_names) for design in fit.designs.values()), default=1)
    return factor_verdicts(TwinGraph(fit.twin), periods=periods)


def loadings(fit: Fit, *, interval: float = 0.9) -> pd.DataFrame:
    """Tabulate what one sd of each hidden cause adds to each indicator that it affects.

    Parameters
    ----------
    fit : Fit
    interval : float

    Returns
    -------
    DataFrame
        Columns hidden cause, indicator, priors ('as declared', and 'halved' and 'doubled' where
        the fit was told to assume the prior), prior, prior_sd, mean, sd, the interval's ends,
        shift (of the mean from the prior's, in prior sds) and status. On the link scale; in
        reference sds of the indicator where its link is the identity. An sd next to prior_sd says
        that the data did not move it.
    """
    values = fit.draws().values
    verdicts = verdicts_of(fit)
    table = pd.DataFrame(
        _rows(list(fit.designs.values()), values, AS_DECLARED, interval), columns=_COLUMNS
    )
    kept: pd.DataFrame | None = fit.notes.get("loadings")
    if kept is not None:
        table = pd.concat([table, kept[kept["priors"] != AS_DECLARED]], ignore_index=True)
    table["status"] = [verdicts[name].status for name in table["hidden cause"]]
    order = table.sort_values(["hidden cause"], kind="stable").reset_index(drop=True)
    edge = (1.0 - interval) / 2.0
    names = {"low": f"{100 * edge:g}%", "high": f"{100 * (1.0 - edge):g}%"}
    return order.rename(columns=names)


def under_other_priors(
    fit: Fit,
    components: Sequence[Component],
    resting: Collection[str],
    engines: Sequence[Engine],
    settings: Settings,
    *,
    cache: Path | None,
    client: Client | None,
    progress: bool,
) -> pd.DataFrame:
    """Fit components again under narrower and wider priors of some loadings.

    Parameters
    ----------
    fit : Fit
    components : sequence of Component
    resting : collection of str
        Hidden causes whose loadings rest on their prior.
    engines : sequence of Engine
    settings : Settings
    cache, client, progress : optional
        As for the fit itself.

    Returns
    -------
    DataFrame
        As `loadings` gives it, for 90 % intervals.
    """
    concerned = [one for one in components if set(one.factors) & set(resting)]
    rows = _rows(_designs(concerned), fit.draws().values, AS_DECLARED, 0.9)
    for word, factor in _OTHERS.items():
        scaled = [_scaled_component(one, resting, factor) for one in concerned]
        results = run(scaled, engines, settings, cache=cache, progress=progress, client=client)
        for component, draws in zip(scaled, results, strict=True):
            rows += _rows(component.designs, _flat(draws), word, 0.9)
    table = pd.DataFrame(rows, columns=_COLUMNS)
    return table[table["hidden cause"].isin(list(resting))].reset_index(drop=True)


def sentences(fit: Fit) -> list[str]:
    """Say of each hidden cause that is fitted on what it rests and how far the data moved it."""
    if not fit.factors:
        return []
    graph = TwinGraph(fit.twin)
    verdicts = verdicts_of(fit)
    table = loadings(fit)
    found = []
    for name, verdict in verdicts.items():
        forms = f" ({', '.join(verdict.forms)})" if verdict.forms else ""
        own = table[table["hidden cause"] == name]
        parts = []
        for indicator, rows in own.groupby("indicator", sort=False):
            first = rows[rows["priors"] == AS_DECLARED].iloc[0]
            said = f"{graph.label(str(indicator))} {first['mean']:.2f}"
            said += f" (sd {first['sd']:.2f}, of the prior {first['prior_sd']:.2f}"
            others = rows[rows["priors"] != AS_DECLARED]
            said += "".join(f"; prior {r.priors}: {r.mean:.2f}" for r in others.itertuples())
            parts.append(f"{said})")
        found.append(
            f"{graph.label(name)} is fitted as a latent factor, {verdict.status}{forms}. "
            f"{verdict.reason} Loadings: {', '.join(parts)}."
        )
    return found


def _designs(components: Sequence[Component]) -> list[Design]:
    return [design for component in components for design in component.designs]


def _flat(draws: Draws) -> dict[str, Any]:
    return {k: v.reshape(-1, *v.shape[2:]) for k, v in draws.posterior.items()}


def _rows(
    designs: Sequence[Design], values: Mapping[str, Any], word: str, interval: float
) -> list[dict[str, Any]]:
    edge = (1.0 - interval) / 2.0
    found: list[dict[str, Any]] = []
    for design in designs:
        main = design.equation.main
        for k, name in factor_terms(main):
            draws = values[f"{main.prefix}.causes"][:, k]
            prior = main.terms[k].prior
            centre, spread = _moments(prior)
            low, high = np.quantile(draws, [edge, 1.0 - edge])
            found.append(
                {
                    "hidden cause": name,
                    "indicator": design.child,
                    "priors": word,
                    "prior": str(prior),
                    "prior_sd": spread,
                    "mean": float(draws.mean()),
                    "sd": float(draws.std()),
                    "low": float(low),
                    "high": float(high),
                    "shift": float(draws.mean() - centre) / spread,
                    "status": "",
                }
            )
    return found


def _moments(prior: Prior) -> tuple[float, float]:
    """Return the mean and sd of a prior."""
    one = Parameter("loading", "free", priors=(prior,))
    draws = draw_prior([one], _DRAWS, seed=0)["loading"]
    return float(draws.mean()), float(draws.std())


def _scaled_component(component: Component, hidden: Collection[str], factor: float) -> Component:
    return replace(
        component, designs=tuple(_scaled_design(d, hidden, factor) for d in component.designs)
    )


def _scaled_design(design: Design, hidden: Collection[str], factor: float) -> Design:
    """Return a design whose loadings have priors of another spread."""
    main = design.equation.main
    terms = tuple(
        replace(term, prior=_scaled(term.prior, factor))
        if term.kind == "hidden" and term.name in hidden
        else term
        for term in main.terms
    )
    other = replace(main, terms=terms)
    eq = replace(design.equation, predictors=(other, *design.equation.predictors[1:]))
    arrays = replace(design.main, predictor=other)
    return replace(design, equation=eq, predictors=(arrays, *design.predictors[1:]))


def _scaled(prior: Prior, factor: float) -> Prior:
    """Return a prior whose spread is multiplied; a share keeps its own."""
    a = prior.arguments
    scaled: tuple[float, ...]
    match prior.distribution:
        case "normal":
            scaled = (a[0], a[1] * factor)
        case "student_t":
            scaled = (a[0], a[1], a[2] * factor)
        case "half_student_t":
            scaled = (a[0], a[1] * factor)
        case "exponential":
            scaled = (a[0] / factor,)
        case "gamma":
            scaled = (a[0], a[1] / factor)
        case "lognormal":
            scaled = (a[0] + float(np.log(factor)), a[1])
        case "uniform":
            middle, half = 0.5 * (a[0] + a[1]), 0.5 * (a[1] - a[0]) * factor
            scaled = (middle - half, middle + half)
            if a[0] >= 0.0:
                scaled = (a[0] * factor, a[1] * factor)
        case "beta":
            scaled = a
        case _:
            scaled = (a[0] * factor,)
    return Prior(prior.distribution, scaled)
