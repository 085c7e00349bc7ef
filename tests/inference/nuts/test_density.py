"""The compiled log density is PyMC's, for every family and modifier, with its gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from dotwin.inference.nuts.density import compiled_log_density
from dotwin.inference.nuts.effects import shared
from dotwin.inference.nuts.layout import Layout, build_layout
from tests.inference.nuts.cases import Reference, as_pymc, mechanism, pymc_reference, table

Draw = Callable[[np.random.Generator, np.ndarray], Any]


@dataclass(frozen=True)
class Case:
    layout: Layout
    own: Layout
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
    "student_t, at least": (_positive, {"family": "student_t", "at_least": "surveys"}),
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


#: Together these take every path through the kernels once; the others take their combinations.
FEW = (
    "normal, walk",
    "normal, log link, at least",
    "student_t",
    "gamma, hurdle",
    "beta, percentage, ends",
    "binomial, inflated",
    "beta_binomial, at least",
    "negative_binomial, hurdle, at least",
    "ordinal",
    "every prior",
)


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=() if name in FEW else pytest.mark.slow) for name in CASES],
)
def case(request: pytest.FixtureRequest) -> Case:
    draw, indicator = CASES[request.param]
    design = mechanism(table(7, draw), **indicator)
    layout = build_layout(design, as_pymc(design))
    return Case(layout, build_layout(design), pymc_reference(design, layout))


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


def _raw_in(
    layout: Layout, parameters: dict[str, np.ndarray], point: np.ndarray
) -> tuple[Any, float]:
    """Return the same parameters in another parametrisation, and the log of what volume becomes."""
    result, log_volume = point.copy(), 0.0
    for name, hows in layout.centrings.items():
        one = next(p for p in layout.listed if p.name == name)
        sds = np.atleast_1d(parameters[one.sd])
        effects = parameters[name].reshape(len(hows), -1)
        raw = []
        for how, sd, effect, centre in zip(hows, sds, effects, layout.centres[name], strict=True):
            away = shared(how, name, parameters) - centre
            raw.append((effect + how.pull * away) / sd ** (1.0 - how.weight))
            log_volume -= float(((1.0 - how.weight) * np.log(sd)).sum())
        result[layout.places[name]] = np.concatenate(raw)
    return result, log_volume


def test_parametrisation_changes_nothing_but_the_volume(case: Case) -> None:
    density, rng = compiled_log_density(), np.random.default_rng(11)
    here, there = case.own, case.layout
    gradient = np.empty(here.size)
    for _ in range(3):
        point = here.middle + rng.normal(size=here.size)
        parameters = here.constrain(point)
        again, ours = _raw_in(here, parameters, point)
        np.testing.assert_allclose(again, point, rtol=1e-9, atol=1e-9)
        other, theirs = _raw_in(there, parameters, point)
        expected = density(other, there.parts, np.empty(there.size)) + theirs - ours
        assert density(point, here.parts, gradient) == pytest.approx(expected, rel=1e-10)


def test_gradient_is_the_slope_of_the_density_in_every_direction(case: Case) -> None:
    density, rng = compiled_log_density(), np.random.default_rng(12)
    layout, scratch, gradient = case.own, np.empty(case.own.size), np.empty(case.own.size)
    point = layout.middle + 0.5 * rng.normal(size=layout.size)
    density(point, layout.parts, gradient)

    def slope(direction: np.ndarray, step: float) -> float:
        up, down = (density(point + h * direction, layout.parts, scratch) for h in (step, -step))
        return (up - down) / (2.0 * step)

    for direction in np.eye(layout.size):
        # Richardson's extrapolation takes the step's square out.
        expected = (4.0 * slope(direction, 5e-4) - slope(direction, 1e-3)) / 3.0
        scale = max(abs(expected), 1e-3 * float(np.abs(gradient).max()))
        assert abs(float(gradient @ direction) - expected) < 1e-5 * scale


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
