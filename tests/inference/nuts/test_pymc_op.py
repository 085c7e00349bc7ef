"""The compiled rows inside a PyMC model: the same density, and samplers that run on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pymc as pm
import pytest

from dotwin.errors import SpecificationError
from dotwin.inference import Fit
from dotwin.inference.engine import Component
from dotwin.inference.nuts.fused_model import build_fused_model
from dotwin.mechanisms.pymc_model import build_pymc_model
from tests.inference.joint.cases import component
from tests.inference.nuts.cases import mechanism, table
from tests.inference.nuts.test_density import CASES, FEW

Functions = tuple[Callable[[dict[str, Any]], float], Callable[[dict[str, Any]], np.ndarray]]


def functions(model: pm.Model) -> Functions:
    return model.compile_logp(mode="FAST_COMPILE"), model.compile_dlogp(mode="FAST_COMPILE")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in FEW else pytest.mark.slow) for n in CASES]
)
def test_log_density_and_gradient_are_those_of_the_plain_model(name: str) -> None:
    draw, indicator = CASES[name]
    design = mechanism(table(7, draw), **indicator)
    fused, plain = build_fused_model(Component((design,))), build_pymc_model([design])
    density, gradient = functions(fused)
    expected_density, expected_gradient = functions(plain)
    rng = np.random.default_rng(5)
    for spread in (0.1, 0.7):
        point = {
            key: np.asarray(value) + spread * rng.normal(size=np.shape(value))
            for key, value in plain.initial_point().items()
        }
        for variable in plain.free_RVs:
            if variable.name.endswith(".cutpoints"):
                key = plain.rvs_to_values[variable].name
                point[key] = plain.initial_point()[key]
        assert set(point) == set(fused.initial_point())
        assert density(point) == pytest.approx(expected_density(point), rel=1e-8, abs=1e-8)
        expected = expected_gradient(point)
        scale = np.maximum(np.abs(expected), 1e-3 * np.abs(expected).max())
        np.testing.assert_array_less(np.abs(gradient(point) - expected) / scale, 1e-8)


def test_pymc_samples_the_fused_model_through_nutpie(small_fit: Fit) -> None:
    model = small_fit.pymc_model("missed", kernel="fused")
    with model:
        drawn = pm.sample(
            draws=300,
            tune=300,
            chains=2,
            cores=1,
            random_seed=2,
            nuts_sampler="nutpie",
            progressbar=False,
        )
    for name in ("missed.causes", "missed.intercept", "missed.sd_provider"):
        ours = small_fit.posterior["posterior"][name]
        theirs = drawn["posterior"][name]
        assert set(theirs.dims) == set(ours.dims)
        axes = (0, 1)
        spread = ours.values.std(axis=axes)
        # Each side is worth some tens of independent draws at the least.
        gap = np.abs(theirs.values.mean(axis=axes) - ours.values.mean(axis=axes))
        assert (gap < 4 * spread * np.sqrt(2 / 40)).all()


def test_missing_causes_and_unknown_kernels_are_refused_in_words(small_fit: Fit) -> None:
    with pytest.raises(SpecificationError, match="missing causes as parameters"):
        build_fused_model(component("normal", readers=False))
    with pytest.raises(SpecificationError, match=r"no kernel 'fussed'.*fused"):
        small_fit.pymc_model("missed", kernel="fussed")


def test_a_second_derivative_is_refused() -> None:
    import pytensor.gradient as gradient

    draw, indicator = CASES["student_t"]
    model = build_fused_model(Component((mechanism(table(7, draw), **indicator),)))
    (value, *_) = model.continuous_value_vars
    slope = gradient.grad(model.logp(), value)
    with pytest.raises(NotImplementedError, match="second derivatives"):
        gradient.grad(slope.sum(), value)
