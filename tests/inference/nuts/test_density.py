"""The compiled log density is PyMC's, for every family and modifier, with its gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from dotwin.inference.nuts.density import compiled_log_density
from dotwin.inference.nuts.layout import Layout, build_layout
from tests.inference.nuts.cases import Reference, mechanism, pymc_reference, table

Draw = Callable[[np.random.Generator, np.ndarray], Any]


@dataclass(frozen=True)
class Case:
    layout: Layout
    reference: Reference


def _counts(rng: np.random.Generator, eta: np.ndarray) -> Any:
    return rng.poisson(np.exp(1.0 + eta))


def _above(rng: np.random.Generator, eta: np.ndarray) -> Any:
    return 3 + rng.poisson(np.exp(eta))


def _many(rng: np.random.Generator, eta: np.ndarray) -> Any:
    return 3 + rng.poisson(np.exp(2.5 + eta))


def _few(rng: np.random.Generator, eta: np.ndarray) -> Any:
    return rng.integers(0, 5, eta.size)


def _hits(rng: np.random.Generator, eta: np.ndarray) -> Any:
    return rng.integers(3, 6, eta.size)


def _zero_or(draw: Draw) -> Draw:
    return lambda rng, eta: np.where(rng.random(eta.size) < 0.3, 0, draw(rng, eta))


def _bell(rng: np.random.Generator, eta: np.ndarray) -> Any:
    return 5.0 + eta + rng.normal(size=eta.size)


def _positive(rng: np.random.Generator, eta: np.ndarray) -> Any:
    return 3.0 + np.exp(eta) * rng.gamma(2.0, size=eta.size)


def _share(rng: np.random.Generator, eta: np.ndarray) -> Any:
    return rng.beta(2.0, 5.0, eta.size)


def _share_with_ends(rng: np.random.Generator, eta: np.ndarray) -> Any:
    x = rng.random(eta.size)
    return np.where(x < 0.1, 0.0, np.where(x > 0.9, 1.0, _share(rng, eta)))


def _yes(rng: np.random.Generator, eta: np.ndarray) -> Any:
    return (rng.random(eta.size) < 0.4).astype(int)


def _category(rng: np.random.Generator, eta: np.ndarray) -> Any:
    return np.array(["low", "middle", "high", "top"])[rng.integers(0, 4, eta.size)]


_ZEROS = {"as": "hurdle", "causes": {"beds": {}, "staffing": {}}, "pooling": ["region", "period"]}
_PRIORS = {
    "staffing * beds": {"prior": "student_t(4, 0.1, 0.5)", "varying": ["provider"]},
    "staffing": {"prior": "half_normal(1)", "varying": ["region", "provider"]},
    "beds": {"prior": "uniform(-1, 2)"},
}
_SDS = {"region": "exponential(2)", "provider": "gamma(2, 4)", "period": "half_student_t(3, 0.5)"}

CASES: dict[str, tuple[Draw, dict[str, Any]]] = {
    "normal": (_bell, {"family": "normal"}),
    "normal, log link": (_bell, {"family": "normal", "link": "log"}),
    "normal, walk": (_bell, {"family": "normal", "trend": "walk", "pooling": ["period"]}),
    "normal, season": (
        _bell,
        {"family": "normal", "trend": "linear", "season": {"cycle": 4, "harmonics": 2}},
    ),
    "normal, own lag": (_bell, {"family": "normal", "causes": {"y[-1]": {}, "staffing": {}}}),
    "normal, at least": (_positive, {"family": "normal", "at_least": "surveys"}),
    "normal, log link, at least": (
        _positive,
        {"family": "normal", "link": "log", "at_least": "surveys"},
    ),
    "student_t": (_bell, {"family": "student_t"}),
    "lognormal": (_positive, {"family": "lognormal"}),
    "lognormal, at least": (_positive, {"family": "lognormal", "at_least": "surveys"}),
    "lognormal, hurdle": (_zero_or(_positive), {"family": "lognormal", "zeros": _ZEROS}),
    "gamma": (_positive, {"family": "gamma"}),
    "gamma, hurdle": (_zero_or(_positive), {"family": "gamma", "zeros": _ZEROS}),
    "beta": (_share, {"family": "beta"}),
    "beta, one end": (
        lambda rng, eta: np.minimum(_share_with_ends(rng, eta), 0.99),
        {"family": "beta", "ends": [0]},
    ),
    "beta, percentage, ends": (
        lambda rng, eta: 100.0 * _share_with_ends(rng, eta),
        {"family": "beta", "ends": [0, 100], "out_of": 100},
    ),
    "bernoulli": (_yes, {"family": "bernoulli"}),
    "binomial": (_few, {"family": "binomial", "trials": "visits"}),
    "binomial, hurdle": (
        _zero_or(_few),
        {"family": "binomial", "trials": "visits", "zeros": "hurdle"},
    ),
    "binomial, inflated": (
        _zero_or(_few),
        {"family": "binomial", "trials": "visits", "zeros": "inflated"},
    ),
    "binomial, at least": (
        _hits,
        {"family": "binomial", "trials": "visits", "at_least": "surveys"},
    ),
    "beta_binomial": (_few, {"family": "beta_binomial", "trials": "visits"}),
    "beta_binomial, inflated": (
        _zero_or(_few),
        {"family": "beta_binomial", "trials": "visits", "zeros": "inflated"},
    ),
    "beta_binomial, hurdle": (
        _zero_or(_few),
        {"family": "beta_binomial", "trials": "visits", "zeros": "hurdle"},
    ),
    "beta_binomial, at least": (
        _hits,
        {"family": "beta_binomial", "trials": "visits", "at_least": "surveys"},
    ),
    "poisson": (_counts, {"family": "poisson", "exposure": "days"}),
    "poisson, inflated": (_zero_or(_counts), {"family": "poisson", "zeros": "inflated"}),
    "poisson, hurdle": (_zero_or(_counts), {"family": "poisson", "zeros": _ZEROS}),
    "poisson, at least": (_above, {"family": "poisson", "at_least": "surveys"}),
    "negative_binomial": (_counts, {"family": "negative_binomial", "exposure": "days"}),
    "negative_binomial, inflated": (
        _zero_or(_counts),
        {"family": "negative_binomial", "zeros": {**_ZEROS, "as": "inflated"}},
    ),
    "negative_binomial, hurdle": (
        _zero_or(_counts),
        {"family": "negative_binomial", "zeros": "hurdle"},
    ),
    "negative_binomial, at least": (
        _many,
        {"family": "negative_binomial", "at_least": "surveys"},
    ),
    "negative_binomial, hurdle, at least": (
        _zero_or(_above),
        {"family": "negative_binomial", "zeros": _ZEROS, "at_least": "surveys"},
    ),
    "ordinal": (_category, {"family": "ordinal", "categories": ["low", "middle", "high", "top"]}),
    "every prior": (
        _counts,
        {
            "family": "negative_binomial",
            "causes": _PRIORS,
            "pooling": ["region", "provider", "period"],
            "priors": {
                **_SDS,
                "intercept": "student_t(5, 0, 2)",
                "dispersion": "lognormal(-1, 0.5)",
                "slope_region": "uniform(0, 2)",
                "slope_provider": "beta(2, 3)",
            },
        },
    ),
}


@pytest.fixture(scope="module", params=list(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    draw, indicator = CASES[request.param]
    design = mechanism(table(7, draw), **indicator)
    layout = build_layout(design)
    return Case(layout, pymc_reference(design, layout))


@pytest.mark.parametrize("spread", [0.1, 0.7, 1.5])
def test_log_density_and_gradient_are_those_of_the_pymc_model(case: Case, spread: float) -> None:
    density, gradient = compiled_log_density(), np.empty(case.layout.size)
    rng = np.random.default_rng(int(10 * spread))
    for _ in range(3):
        point = case.layout.middle + spread * rng.normal(size=case.layout.size)
        value = density(point, case.layout.parts, gradient)
        # PyMC keeps log(sqrt(2 / pi)) of each half-normal in single precision: 6e-9 apiece.
        expected_value = case.reference.log_density(point)
        assert value == pytest.approx(expected_value, rel=1e-8, abs=1e-7)
        expected = case.reference.gradient(point)
        scale = np.maximum(np.abs(expected), 1e-3 * np.abs(expected).max())
        np.testing.assert_array_less(np.abs(gradient - expected) / scale, 1e-8)


def test_constrained_points_are_the_parameters_of_the_pymc_model(case: Case) -> None:
    points = case.layout.middle + np.random.default_rng(3).normal(size=(2, 3, case.layout.size))
    found = case.layout.constrain(points)
    for chain, draw in np.ndindex(2, 3):
        expected = case.reference.parameters(points[chain, draw])
        assert list(found) == list(expected)
        for name, values in expected.items():
            np.testing.assert_allclose(found[name][chain, draw], values, rtol=1e-10, err_msg=name)


def test_chains_start_where_the_density_is_finite(case: Case) -> None:
    density, gradient = compiled_log_density(), np.empty(case.layout.size)
    for seed in range(5):
        start = case.layout.start(seed)
        assert np.isfinite(density(start, case.layout.parts, gradient))
        assert np.isfinite(gradient).all()
