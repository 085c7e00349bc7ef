"""Is the hand-written joint model dotwin's? Its log density against the sum of the components'.

Each component's density comes from `dotwin.mechanisms.pymc_model`. Effects divided by a power
1 - w of their spread s have the density of the effects themselves times s to that power, so the
densities of all parametrisations are compared at one and the same point.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from peers_data import LEVELS, arrays_of, designs_of, simulated, twin
from peers_model import PARAMETRISATIONS, joint_model, weights_of

from dotwin.mechanisms.pymc_model import build_pymc_model


def largest_difference(providers: int = 24, seed: int = 1) -> float:
    """Return the largest relative difference of any parametrisation from the components' sum."""
    import pytensor

    panel = simulated(providers, periods=6)
    designs = designs_of(twin(), panel)
    mechanisms = [arrays_of(design) for design in designs]
    rng = np.random.default_rng(seed)
    worst = 0.0
    with pytensor.config.change_flags(mode="FAST_COMPILE"):
        parts = [build_pymc_model([design]) for design in designs]
        start: dict[str, Any] = {}
        for part in parts:
            for variable in part.free_RVs:
                shape = tuple(int(n) for n in variable.shape.eval())
                positive = ".sd_" in variable.name or variable.name.endswith(("_sd", "_raw"))
                low, high = (0.3, 0.6) if positive else (-0.3, 0.3)
                start[variable.name] = rng.uniform(low, high, shape)
        for one in mechanisms:
            start[f"{one['name']}.intercept"] += one["priors"]["intercept"][0]
        total = 0.0
        for part in parts:
            total += density_of(part, start)
        for parametrisation in PARAMETRISATIONS:
            point, scale = moved(mechanisms, start, parametrisation)
            found = density_of(joint_model(mechanisms, parametrisation), point) - scale
            worst = max(worst, abs(found - total) / abs(total))
    return worst


def density_of(model: Any, point: dict[str, Any]) -> float:
    """Return a model's log density; what is positive enters by its logarithm."""
    values = {}
    for variable, value in model.rvs_to_values.items():
        if variable in model.free_RVs:
            given = point[variable.name]
            values[value.name] = np.log(given) if value.name.endswith("_log__") else given
    return sum(float(np.sum(x)) for x in model.compile_logp(jacobian=False, sum=False)(values))


def moved(
    mechanisms: list[dict[str, Any]], start: dict[str, Any], parametrisation: str
) -> tuple[dict[str, Any], float]:
    """Return the point in a parametrisation, and what its density has more for its scale."""
    point, more = dict(start), 0.0
    for one in mechanisms:
        for level in LEVELS:
            name = f"{one['name']}.{level}"
            sd = start[f"{one['name']}.sd_{level}"]
            mixed, now = (weights_of(one, level, p) for p in ("mixed", parametrisation))
            raw = start[f"{name}_z"] * sd ** (now - mixed)
            point[name] = point[f"{name}_z"] = raw
            more += float(((mixed - now) * np.log(sd) * np.ones(raw.size)).sum())
    return point, more


if __name__ == "__main__":
    print(f"largest relative difference: {largest_difference():.1e}")
