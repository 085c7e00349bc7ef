"""The joint density of mechanisms and hidden causes is PyMC's, parameters and values together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dotwin.inference.components import components_of
from dotwin.inference.engine import Component, Settings
from dotwin.inference.joint import JointEngine
from dotwin.inference.joint.chain import Chain
from dotwin.inference.joint.compiled import kernels
from dotwin.inference.joint.density_kernels import block_density
from dotwin.inference.joint.tables import build_tables
from dotwin.mechanisms.pymc_model import build_pymc_model
from tests.inference.hidden.cases import panel_with, twin_with

#: Hidden cause, and the families of what it affects.
CASES: dict[str, tuple[dict[str, Any], dict[str, dict[str, Any]], tuple[str, ...]]] = {
    "of a unit, constant": (
        {"level": "home", "over": "constant"},
        {
            "turnover": {"family": "normal"},
            "falls": {"family": "poisson"},
            "calls": {"family": "bernoulli"},
        },
        ("home",),
    ),
    "of a unit and period": (
        {"level": "home", "over": "period", "loadings": {"falls": "normal(0.2, 0.4)"}},
        {
            "turnover": {"family": "student_t"},
            "falls": {"family": "negative_binomial"},
            "calls": {"family": "gamma"},
        },
        ("region",),
    ),
    "of a region and period": (
        {"level": "region", "over": "period"},
        {"turnover": {"family": "beta"}, "falls": {"family": "normal"}},
        ("home", "period"),
    ),
    "of a period": (
        {"level": "period", "over": "period", "loadings": {"turnover": "exponential(2)"}},
        {"turnover": {"family": "normal"}, "falls": {"family": "poisson"}},
        ("period",),
    ),
}


def joint_of(case: str) -> Component:
    hidden, families, pooling = CASES[case]
    twin = twin_with(hidden, families, pooling=pooling)
    (joint,) = components_of(twin, panel_with(twin))
    return joint


@pytest.mark.parametrize("case", CASES)
def test_joint_density_and_gradient_are_pymcs(case: str) -> None:
    import pytensor.tensor as pt

    joint = joint_of(case)
    assert JointEngine().accepts(joint)
    tables = build_tables(joint)
    chain = Chain(tables, kernels(), Settings(1, 0, 1, 1), np.random.SeedSequence(3), 0.9, 1)
    (block,), (parts,), (point,) = chain.blocks, chain._lists, chain.points
    model = build_pymc_model(joint.designs, parametrisation="named")
    terms = model.compile_fn(model.logp(sum=False), mode="FAST_COMPILE")
    hidden = model["management"]
    slopes = model.compile_dlogp(vars=[hidden], mode="FAST_COMPILE")
    first = block.first[-1]
    rng = np.random.default_rng(4)
    for _ in range(3):
        there = point + 0.3 * rng.normal(size=point.size)
        gradient = np.empty(there.size)
        value = block_density(there, parts, block, gradient)
        shape = joint.factors["management"].shape
        known: dict[str, Any] = {"management": there[first:].reshape(shape)}
        stretch = 0.0
        for m, one in enumerate(tables.mechanisms):
            own = one.layout.constrain(there[None, block.first[m] : block.first[m + 1]])
            known |= {name: array[0] for name, array in own.items()}
            # PyMC moves the log of a dispersion, the kernels the log of 1 / sqrt(dispersion).
            kinds = [p.transform.prior_on for p in one.layout.listed if p.transform is not None]
            stretch += kinds.count("1/sqrt(dispersion)") * np.log(2.0)
            # An effect is its unconstrained number times a power of its sd.
            for name, hows in one.layout.centrings.items():
                for how in hows:
                    sd = known[f"{name.rpartition('.')[0]}.sd_{name.rpartition('.')[2]}"]
                    stretch += float(np.sum(1.0 - how.weight) * np.log(sd))
        at = {}
        for variable in model.free_RVs:
            number: Any = known[variable.name]
            transform = model.rvs_to_transforms[variable]
            if transform is not None:
                number = transform.forward(pt.constant(number), *variable.owner.inputs).eval()
            at[model.rvs_to_values[variable].name] = number
            if variable.name.endswith(".causes"):
                # In PyMC's named model a positive loading is a number of its own scale.
                stretch += _log_scale(joint, variable.name, number)
        theirs = float(sum(np.sum(term) for term in terms(at)))
        np.testing.assert_allclose(value, theirs + stretch, rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(gradient[first:], slopes(at), rtol=1e-8, atol=1e-8)
        # The parameters' own slopes, by central differences of the density.
        for j in rng.choice(first, 5, replace=False):
            step = np.zeros(there.size)
            step[j] = 1e-5
            rise = block_density(there + step, parts, block, np.empty(there.size))
            fall = block_density(there - step, parts, block, np.empty(there.size))
            np.testing.assert_allclose(gradient[j], (rise - fall) / 2e-5, rtol=2e-5, atol=1e-4)


def _log_scale(joint: Component, name: str, number: Any) -> float:
    """Log derivative of the coefficients that are drawn as logs, where PyMC draws them plainly."""
    design = next(d for d in joint.designs if f"{d.child}.causes" == name)
    terms = design.equation.main.terms
    positive = [k for k, term in enumerate(terms) if term.prior.distribution != "normal"]
    return float(np.log(np.asarray(number)[positive]).sum())
