"""The PyMC interpreter of mechanisms: a model with named coords for one component of a twin."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dotwin.mechanisms.design import Design, PredictorDesign
from dotwin.mechanisms.factors import factor_terms, factors_of
from dotwin.mechanisms.parameters import Parameter, parameters
from dotwin.mechanisms.pooling import pooled_levels
from dotwin.spec.prior import Prior

if TYPE_CHECKING:
    import pymc as pm

    from dotwin.mechanisms.imputation import Imputation

__all__ = ["Likelihood", "build_pymc_model", "sampled_names"]

#: Turns a mechanism and its parameters by name into the log density of its rows.
Likelihood = Callable[[Design, Mapping[str, Any]], Any]


def sampled_names(designs: Sequence[Design]) -> list[str]:
    """Return the names of the parameters that a component's posterior holds."""
    return [*(one.name for design in designs for one in _listed(design)), *factors_of(designs)]


def _listed(design: Design) -> list[Parameter]:
    return parameters(design.equation, design.reference, design.group_names, design.period_names)


def build_pymc_model(
    designs: Sequence[Design],
    imputation: Imputation | None = None,
    *,
    parametrisation: Literal["sampling", "named"] = "sampling",
    likelihood: Likelihood | None = None,
) -> pm.Model:
    """Build the PyMC model of a component: mechanisms that are fitted together.

    Parameters
    ----------
    designs : sequence of Design
        One per mechanism of the component.
    imputation : Imputation, optional
        Missing causes that are parameters.
    parametrisation : {'sampling', 'named'}
        'sampling' centres each group's effect as far as its data inform it. 'named' has every
        parameter as a variable of its own, so that a posterior by these names is all that PyMC
        needs to predict.
    likelihood : callable, optional
        Returns the log density of a mechanism's rows from its parameters by name. It then stands
        in the model as a potential, where the outcome is an observed variable otherwise.

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
    factors = factors_of(designs)
    for one in factors.values():
        coords.update(zip(one.dims, one.coords, strict=True))
    with pm.Model(coords=coords) as model:
        filled = imputation.declare() if imputation is not None else {}
        hidden = {name: pm.Normal(name, 0.0, 1.0, dims=f.dims) for name, f in factors.items()}
        for design in designs:
            named = parametrisation == "named"
            values = {**hidden, **_declare_parameters(design, named=named)}
            if likelihood is not None:
                pm.Potential(f"{design.child}.log_density", likelihood(design, values))
            else:
                _add_rows(model, design, imputation, filled, values)
    return model


def _declare_parameters(design: Design, *, named: bool) -> dict[str, Any]:
    weights = {
        f"{arrays.predictor.prefix}.{level}": pooled.weight
        for arrays in design.predictors
        for level, pooled in pooled_levels(design, arrays).items()
    }
    values: dict[str, Any] = {}
    for one in _listed(design):
        variable = _declare_named(one, values) if named else None
        if variable is None:
            variable = _declare(one, values, weights.get(one.name))
        values[one.name] = variable
    return values


def _add_rows(
    model: pm.Model,
    design: Design,
    imputation: Imputation | None,
    filled: Mapping[str, Any],
    values: Mapping[str, Any],
) -> None:
    import pymc as pm

    eq = design.equation
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


def _declare_named(one: Parameter, values: Mapping[str, Any]) -> Any:
    """Declare a parameter as a variable that the posterior holds; None where it is one anyway."""
    import pymc as pm
    import pytensor.tensor as pt

    if one.transform is not None and one.transform.prior_on != one.transform.name:
        return _transformed(one)
    if len({prior.distribution for prior in one.priors}) > 1:
        flat = pm.Flat(one.name, dims=one.dims)
        for i, prior in enumerate(one.priors):
            kind, arguments = _distribution(prior)
            pm.Potential(f"{one.name}_prior_{i}", pm.logp(kind.dist(**arguments), flat[i]))
        return flat
    if one.kind not in ("effects", "walk"):
        return None
    sd = values[one.sd]
    if one.kind == "effects":
        return pm.Normal(one.name, 0.0, sd if len(one.shape) == 1 else sd[:, None], dims=one.dims)
    size = one.shape[0] - 1
    steps = pm.Normal(f"{one.name}_steps", 0.0, sd, shape=size)
    return pm.Deterministic(
        one.name, pt.concatenate([np.zeros(1), pt.cumsum(steps)]), dims=one.dims
    )


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
    kind, arguments = _distribution(prior)
    return kind(name, **arguments, dims=dims or None, **options)


def _distribution(prior: Prior) -> tuple[Any, dict[str, float]]:
    """Return the PyMC distribution of a prior and its arguments by name."""
    import pymc as pm

    kind, names = {
        "normal": (pm.Normal, ("mu", "sigma")),
        "student_t": (pm.StudentT, ("nu", "mu", "sigma")),
        "half_normal": (pm.HalfNormal, ("sigma",)),
        "half_student_t": (pm.HalfStudentT, ("nu", "sigma")),
        "exponential": (pm.Exponential, ("lam",)),
        "gamma": (pm.Gamma, ("alpha", "beta")),
        "lognormal": (pm.LogNormal, ("mu", "sigma")),
        "beta": (pm.Beta, ("alpha", "beta")),
        "uniform": (pm.Uniform, ("lower", "upper")),
    }[prior.distribution]
    return kind, dict(zip(names, prior.arguments, strict=True))


def _transformed(one: Parameter) -> Any:
    """Declare a parameter whose prior is on a transform of it, under its own name."""
    import pymc as pm

    assert one.transform is not None
    natural, (prior,) = one.transform.natural, one.priors
    kind, arguments = _distribution(prior)
    low = 2.0 if one.transform.prior_on == "nu - 2" else 0.0
    return pm.CustomDist(
        one.name,
        dist=lambda size: natural(kind.dist(**arguments, size=size)),
        transform=pm.distributions.transforms.Interval(low, None),
    )


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
    for k, name in factor_terms(predictor):
        loading = design.reference.multiplier * values[f"{prefix}.causes"][k]
        eta = eta + loading * values[name].flatten()[design.factors[name]]
    return eta
