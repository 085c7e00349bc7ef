"""The joint model of the twin as one writes it by hand in PyMC, in three parametrisations.

It needs PyMC and arrays, nothing of dotwin. `check` in `benchmarks/peers.py` holds its density
against that of dotwin's own models.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt

#: Effects of providers and regions: themselves, or divided by a power of their spread. 'mixed'
#: gives each group the power that its data call for; 'providers centred' is what most would try.
PARAMETRISATIONS = ("centred", "non-centred", "mixed", "providers centred")


def weights_of(one: dict[str, Any], level: str, parametrisation: str) -> Any:
    """Return how centred each group is: 1 wholly, 0 not at all."""
    if parametrisation == "mixed":
        return one["weights"][level]
    centred = {"centred": True, "non-centred": False, "providers centred": level == "provider"}
    return float(centred[parametrisation])


def joint_model(mechanisms: list[dict[str, Any]], parametrisation: str) -> pm.Model:
    """Build the model of all mechanisms."""
    with pm.Model() as model:
        for one in mechanisms:
            mechanism(one, parametrisation)
    return model


def mechanism(one: dict[str, Any], parametrisation: str) -> None:
    """Add one mechanism to the model in whose context it is called."""
    name, family, priors = one["name"], one["family"], one["priors"]
    eta = one["offset"] + pm.Normal(f"{name}.intercept", *priors["intercept"])
    causes = pm.Normal(f"{name}.causes", *priors["causes"].T)
    eta = eta + pt.dot(one["columns"], causes)
    for level, index in one["groups"].items():
        sd = pm.HalfNormal(f"{name}.sd_{level}", *priors[f"sd_{level}"])
        effects = group(one, level, sd, weights_of(one, level, parametrisation))
        eta = eta + effects[index]
    y = one["y"]
    if family in ("normal", "lognormal"):
        sd = pm.HalfNormal(f"{name}.residual_sd", *priors["residual_sd"])
        kind = pm.Normal if family == "normal" else pm.LogNormal
        kind(name, eta, sd, observed=y)
    elif family == "poisson":
        pm.Poisson(name, pt.exp(eta), observed=y)
    elif family == "bernoulli":
        pm.Bernoulli(name, logit_p=eta, observed=y)
    elif family == "binomial":
        pm.Binomial(name, one["trials"], logit_p=eta, observed=y)
    else:
        raw = pm.HalfNormal(f"{name}.dispersion_raw", *priors["dispersion"])
        dispersion = pm.Deterministic(f"{name}.dispersion", raw**-2.0)
        if family == "negative_binomial":
            pm.NegativeBinomial(name, mu=pt.exp(eta), alpha=dispersion, observed=y)
        elif family == "gamma":
            pm.Gamma(name, alpha=dispersion, beta=dispersion * pt.exp(-eta), observed=y)
        elif family == "beta":
            mean = pt.sigmoid(eta)
            pm.Beta(name, dispersion * mean, dispersion * pt.sigmoid(-eta), observed=y)
        else:
            raise ValueError(family)


def group(one: dict[str, Any], level: str, sd: Any, weight: Any) -> Any:
    """Declare the effects of a level's groups."""
    name, size = f"{one['name']}.{level}", one["sizes"][level]
    if np.ndim(weight) == 0 and weight == 1.0:
        return pm.Normal(name, 0.0, sd, shape=size)
    if np.ndim(weight) == 0:
        z = pm.Normal(f"{name}_z", 0.0, 1.0, shape=size)
        return pm.Deterministic(name, z * sd)
    raw = pm.Normal(f"{name}_z", 0.0, sd**weight, shape=size)
    return pm.Deterministic(name, raw * sd ** (1.0 - weight))
