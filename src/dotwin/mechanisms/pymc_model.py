"""The PyMC interpreter of mechanisms: a model with named coords for one component of a twin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dotwin.mechanisms.design import Design, PredictorDesign
from dotwin.mechanisms.parameters import Parameter, parameters
from dotwin.mechanisms.pooling import centring_weights
from dotwin.spec.prior import Prior

if TYPE_CHECKING:
    import pymc as pm

    from dotwin.mechanisms.imputation import Imputation

__all__ = ["build_pymc_model", "sampled_names"]


def sampled_names(designs: Sequence[Design]) -> list[str]:
    """Return the names of the parameters that a component's posterior holds."""
    return [one.name for design in designs for one in _listed(design)]


def _listed(design: Design) -> list[Parameter]:
    return parameters(design.equation, design.reference, design.group_names, design.period_names)


def build_pymc_model(designs: Sequence[Design], imputation: Imputation | None = None) -> pm.Model:
    """Build the PyMC model of a component: mechanisms that are fitted together.

    Parameters
    ----------
    designs : sequence of Design
        One per mechanism of the component.
    imputation : Imputation, optional
        Missing causes that are parameters.

    Returns
    -------
    pymc.Model
        Its variables have the posterior's names and coords; outcomes are observed variables named
        by their indicator.
    """
    import pymc as pm

    coords: dict[str, Sequence[str]] = {}
    for design in designs:
        for one in _listed(design):
            coords.update(zip(one.dims, one.coords, strict=True))
        coords[f"{design.child}.row"] = [str(i) for i in range(design.rows)]
    with pm.Model(coords=coords) as model:
        filled = imputation.declare() if imputation is not None else {}
        for design in designs:
            _add_mechanism(model, design, imputation, filled)
    return model


def _add_mechanism(
    model: pm.Model, design: Design, imputation: Imputation | None, filled: Mapping[str, Any]
) -> None:
    import pymc as pm

    eq = design.equation
    weights = {
        arrays.predictor.prefix: centring_weights(design, arrays) for arrays in design.predictors
    }
    values: dict[str, Any] = {}
    for one in _listed(design):
        prefix, _, key = one.name.rpartition(".")
        values[one.name] = _declare(one, values, weights.get(prefix, {}).get(key))
    extra: dict[str, Any] = {p.name: values[f"{eq.child}.{p.name}"] for p in eq.family.dispersion}
    if f"{eq.child}.cutpoints" in values:
        extra["cutpoints"] = values[f"{eq.child}.cutpoints"]
    eta: Any = 0.0
    for arrays in design.predictors:
        columns = (
            imputation.columns(design, arrays, filled) if imputation is not None else arrays.columns
        )
        value = _predictor(arrays, design, values, columns)
        role = arrays.predictor.role
        if role == "mean":
            eta = value
        else:
            extra["zeros_eta" if role == "zeros" else f"{role}_eta"] = value
    if design.lower is not None:
        extra["lower"] = design.lower
    row = f"{design.child}.row"
    if design.child in filled:
        y = filled[design.child][design.unit, design.period]
        pm.Potential(
            f"{design.child}.log_density", eq.family.pymc_logp(y, eta, extra, design.trials)
        )
        return
    distribution = eq.family.pymc_dist(eta, extra, design.trials)
    model.register_rv(distribution, design.child, observed=design.y, dims=(row,))


def _declare(one: Parameter, values: Mapping[str, Any], weights: Any) -> Any:
    import pymc as pm
    import pytensor.tensor as pt

    if one.kind == "walk":
        steps = pm.Normal(f"{one.name}_steps", 0.0, 1.0, shape=one.shape[0] - 1)
        path = pt.concatenate([np.zeros(1), pt.cumsum(steps * values[one.sd])])
        return pm.Deterministic(one.name, path, dims=one.dims)
    if one.kind == "effects":
        sd = values[one.sd]
        if weights is None:
            z = pm.Normal(f"{one.name}_z", 0.0, 1.0, dims=one.dims)
            return pm.Deterministic(one.name, z * sd[:, None], dims=one.dims)
        raw = pm.Normal(f"{one.name}_z", 0.0, sd ** np.asarray(weights), dims=one.dims)
        return pm.Deterministic(one.name, raw * sd ** (1.0 - np.asarray(weights)), dims=one.dims)
    if one.kind == "cutpoints":
        (prior,) = one.priors
        first = np.linspace(-1.0, 1.0, one.shape[0])
        return _variable(
            prior,
            one.name,
            one.dims,
            transform=pm.distributions.transforms.ordered,
            initval=first,
        )
    if one.kind == "dispersion":
        assert one.transform is not None
        if one.transform.prior_on == one.transform.name:
            return _variable(one.priors[0], one.name, ())
        raw = _variable(one.priors[0], f"{one.name}_raw", ())
        return pm.Deterministic(one.name, one.transform.natural(raw))
    if len(set(one.priors)) <= 1:
        return _variable(one.priors[0], one.name, one.dims)
    if all(prior.distribution == "normal" for prior in one.priors):
        mean, sd = (np.array([p.arguments[i] for p in one.priors]) for i in (0, 1))
        return pm.Normal(one.name, mean, sd, dims=one.dims)
    parts = [_variable(p, f"{one.name}_{i}", ()) for i, p in enumerate(one.priors)]
    return pm.Deterministic(one.name, pt.stack(parts), dims=one.dims)


def _variable(prior: Prior, name: str, dims: tuple[str, ...], **options: Any) -> Any:
    import pymc as pm

    a = prior.arguments
    options = {"dims": dims or None, **options}
    match prior.distribution:
        case "normal":
            return pm.Normal(name, a[0], a[1], **options)
        case "student_t":
            return pm.StudentT(name, nu=a[0], mu=a[1], sigma=a[2], **options)
        case "half_normal":
            return pm.HalfNormal(name, a[0], **options)
        case "half_student_t":
            return pm.HalfStudentT(name, nu=a[0], sigma=a[1], **options)
        case "exponential":
            return pm.Exponential(name, a[0], **options)
        case "gamma":
            return pm.Gamma(name, alpha=a[0], beta=a[1], **options)
        case "lognormal":
            return pm.LogNormal(name, a[0], a[1], **options)
        case "beta":
            return pm.Beta(name, a[0], a[1], **options)
        case _:
            return pm.Uniform(name, a[0], a[1], **options)


def _predictor(
    arrays: PredictorDesign, design: Design, values: Mapping[str, Any], columns: Any
) -> Any:
    import pytensor.tensor as pt

    predictor = arrays.predictor
    prefix = predictor.prefix
    eta: Any = arrays.offset
    if f"{prefix}.intercept" in values:
        eta = eta + values[f"{prefix}.intercept"]
    if predictor.terms:
        eta = eta + pt.dot(columns, values[f"{prefix}.causes"])
    for level in predictor.levels:
        eta = eta + values[f"{prefix}.{level}"][arrays.groups[level]]
    for level in predictor.slope_levels:
        for position, k in enumerate(predictor.slopes(level)):
            slope = values[f"{prefix}.slope_{level}"][position][arrays.groups[level]]
            eta = eta + slope * columns[:, k]
    for kind, present in (("period", predictor.period), ("walk", predictor.walk)):
        if present:
            eta = eta + values[f"{prefix}.{kind}"][design.period]
    return eta
