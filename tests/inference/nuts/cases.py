"""Small random mechanisms of every family, and their PyMC models at the same points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dotwin.inference.nuts.centring import Centring
from dotwin.inference.nuts.layout import Layout, chosen_centrings
from dotwin.mechanisms.design import Design, build_design
from dotwin.mechanisms.pooling import pooled_levels
from dotwin.mechanisms.pymc_model import build_pymc_model
from dotwin.panel import read_panel
from dotwin.spec.twin import Twin

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Reference:
    """PyMC's log density, gradient and parameters, at the layout's unconstrained points."""

    log_density: Callable[[Floats], float]
    gradient: Callable[[Floats], Floats]
    parameters: Callable[[Floats], dict[str, Floats]]


def table(
    seed: int,
    outcome: Callable[[np.random.Generator, Floats], Any],
    *,
    providers: int = 14,
    periods: int = 5,
    regions: int = 4,
) -> pd.DataFrame:
    """Make a table of providers in regions by quarter; ``outcome`` draws y from a predictor."""
    rng = np.random.default_rng(seed)
    provider = np.repeat(np.arange(providers), periods)
    quarter = np.tile(np.arange(periods), providers)
    staffing, beds = rng.normal(size=provider.size), rng.normal(size=providers)[provider]
    eta = 0.3 * staffing - 0.2 * beds + 0.3 * rng.normal(size=providers)[provider]
    frame = pd.DataFrame(
        {
            "region": [f"r{p % regions}" for p in provider],
            "provider": [f"p{p:03d}" for p in provider],
            "quarter": [f"{2020 + q // 4}Q{q % 4 + 1}" for q in quarter],
            "staffing": staffing,
            "beds": beds,
            "days": rng.uniform(5, 20, provider.size).round(1),
            "visits": rng.integers(5, 40, provider.size),
            "surveys": rng.integers(1, 4, provider.size),
        }
    )
    return frame.assign(y=outcome(rng, eta))


def mechanism(frame: pd.DataFrame, **indicator: Any) -> Design:
    """Build the design of ``y``."""
    fields: dict[str, Any] = {
        "domain": "quality",
        "causes": {"staffing": {"varying": ["region"]}, "beds": {}},
        "pooling": ["region", "provider"],
        **indicator,
    }
    frequency = {"column": "quarter", "frequency": "quarter"}
    given = {
        name: {"domain": "context"} for name in ("staffing", "beds", "days", "visits", "surveys")
    }
    twin = Twin(
        twin="case",
        panel={"unit": "provider", "levels": ["region"], "period": frequency},
        indicators={**given, "y": fields},
    )
    return build_design(twin, "y", read_panel(frame, twin))


def as_pymc(design: Design) -> dict[str, list[Centring]]:
    """Parametrise group effects as the PyMC model does: no shift, slopes non-centred."""
    weights = {
        f"{arrays.predictor.prefix}.{level}": pooled.weight
        for arrays in design.predictors
        for level, pooled in pooled_levels(design, arrays).items()
    }
    return {
        name: [
            replace(
                how, pull=np.zeros(how.pull.size), weight=weights.get(name, np.zeros(how.pull.size))
            )
            for how in hows
        ]
        for name, hows in chosen_centrings(design).items()
    }


def pymc_reference(design: Design, layout: Layout) -> Reference:
    """Compile PyMC's log density, quickly rather than well."""
    model = build_pymc_model([design])
    places: dict[str, Any] = {}
    for value, rv in model.values_to_rvs.items():
        name = rv.name
        if name == design.child:
            continue
        for suffix in ("_raw", "_z", "_steps"):
            name = name.removesuffix(suffix) if name not in layout.places else name
        place = layout.places.get(name)
        if place is None:
            name, _, element = name.rpartition("_")
            start = layout.places[name].start + int(element)
            place = slice(start, start + 1)
        places[value.name] = place
    shapes = {name: np.shape(x) for name, x in model.initial_point().items()}
    density = model.compile_logp(mode="FAST_COMPILE")
    slope = model.compile_dlogp(mode="FAST_COMPILE")
    order = [value.name for value in model.continuous_value_vars]
    listed = [model[one.name] for one in layout.listed]
    expanded = model.compile_fn(
        model.replace_rvs_by_values(listed),
        mode="FAST_COMPILE",
        point_fn=True,
        on_unused_input="ignore",
    )

    def point(x: Floats) -> dict[str, Floats]:
        return {name: x[place].reshape(shapes[name]) for name, place in places.items()}

    def gradient(x: Floats) -> Floats:
        flat, result, at = slope(point(x)), np.zeros(x.size), 0
        for name in order:
            place = places[name]
            size = place.stop - place.start
            result[place] = flat[at : at + size]
            at += size
        return result

    def constrained(x: Floats) -> dict[str, Floats]:
        names = [one.name for one in layout.listed]
        return dict(zip(names, expanded(point(x)), strict=True))

    return Reference(lambda x: float(density(point(x))), gradient, constrained)
