"""Every parameter of a mechanism: its name, dims, prior and meaning.

One list serves inference, simulation from the prior, the table of priors and the reader.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dotwin.mechanisms.columns import Reference
from dotwin.mechanisms.equation import DEFAULT_PRIORS, Equation, Predictor
from dotwin.mechanisms.family import DispersionParameter
from dotwin.spec.prior import Prior

__all__ = ["Parameter", "draw_prior", "parameters"]

Kind = Literal["free", "dispersion", "effects", "walk", "cutpoints", "factor"]


@dataclass(frozen=True)
class Parameter:
    """One named parameter, scalar or array.

    Parameters
    ----------
    name : str
        Its name in the posterior.
    kind : {'free', 'dispersion', 'effects', 'walk', 'cutpoints', 'factor'}
        Free: its elements have the priors. Dispersion: the prior is on a transform of it. Effects:
        normal around 0 with the sd that ``sd`` names, by the last dim. Walk: the running sum of
        such effects. Cutpoints: ordered. Factor: standard normal.
    dims : tuple of str
    coords : tuple of sequences
        The names along each dim.
    priors : tuple of Prior
        One for all elements, or one per element.
    sd : str
        The parameter that scales effects.
    transform : DispersionParameter, optional
    meaning : str
    """

    name: str
    kind: Kind
    dims: tuple[str, ...] = ()
    coords: tuple[Sequence[str], ...] = ()
    priors: tuple[Prior, ...] = ()
    sd: str = ""
    transform: DispersionParameter | None = None
    meaning: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of elements along each dim."""
        return tuple(len(names) for names in self.coords)


def parameters(
    eq: Equation,
    reference: Reference,
    group_names: Mapping[str, Sequence[str]],
    period_names: Sequence[str],
) -> list[Parameter]:
    """List a mechanism's parameters, each after those that it depends on.

    Parameters
    ----------
    eq : Equation
    reference : Reference
        Default priors of identity links are in its child's sds.
    group_names : dict of str to list of str
        The groups of each level.
    period_names : list of str

    Returns
    -------
    list of Parameter
    """
    found: list[Parameter] = []
    for predictor in eq.predictors:
        found += _of_predictor(eq, predictor, reference, group_names, period_names)
    given = eq.indicator.priors
    for one in eq.family.dispersion:
        factor = reference.child[1] if one.relative_to_child_sd else 1.0
        prior = given.get(one.name) or _scaled(Prior.parse(one.default_prior), factor)
        found.append(
            Parameter(
                f"{eq.child}.{one.name}",
                "dispersion",
                priors=(prior,),
                transform=one,
                meaning=one.meaning,
            )
        )
    return found


def _scaled(prior: Prior, factor: float) -> Prior:
    """Put a default prior of a scale into units of ``factor``."""
    if factor == 1.0 or prior.distribution != "half_normal":
        return prior
    return Prior(prior.distribution, (prior.arguments[0] * factor,))


def _of_predictor(
    eq: Equation,
    predictor: Predictor,
    reference: Reference,
    group_names: Mapping[str, Sequence[str]],
    period_names: Sequence[str],
) -> list[Parameter]:
    prefix, given = predictor.prefix, predictor.priors
    factor = reference.multiplier if predictor.role == "mean" else 1.0
    found: list[Parameter] = []

    def sd(name: str, key: str, default: str, meaning: str) -> Parameter:
        prior = given.get(key) or _scaled(DEFAULT_PRIORS[default], factor)
        return Parameter(name, "free", priors=(prior,), meaning=meaning)

    if eq.indicator.family == "ordinal" and predictor.role == "mean":
        names = eq.indicator.categories
        cuts = tuple(f"{a} | {b}" for a, b in pairwise(names))
        prior = given.get("cutpoints", DEFAULT_PRIORS["cutpoints"])
        found.append(
            Parameter(
                f"{prefix}.cutpoints",
                "cutpoints",
                (f"{prefix}.cutpoint",),
                (cuts,),
                (prior,),
                meaning="where one category gives way to the next, on the logit scale",
            )
        )
    else:
        found.append(
            Parameter(
                f"{prefix}.intercept",
                "free",
                priors=(given.get("intercept") or _default_intercept(predictor, reference),),
                meaning="the linear predictor where every cause is at its reference centre",
            )
        )
    if predictor.terms:
        found.append(
            Parameter(
                f"{prefix}.causes",
                "free",
                (f"{prefix}.cause",),
                (tuple(term.name for term in predictor.terms),),
                tuple(term.prior for term in predictor.terms),
                meaning="change of the linear predictor per reference sd of the cause",
            )
        )
    for level in predictor.levels:
        name = f"{prefix}.sd_{level}"
        found.append(sd(name, level, "group", f"spread of intercepts between {level} groups"))
        found.append(
            Parameter(
                f"{prefix}.{level}",
                "effects",
                (level,),
                (tuple(group_names[level]),),
                sd=name,
                meaning=f"how far each {level} lies from the others, given its causes",
            )
        )
    for level in predictor.slope_levels:
        names = tuple(predictor.terms[k].name for k in predictor.slopes(level))
        dim = f"{prefix}.varying_{level}"
        prior = given.get(f"slope_{level}", DEFAULT_PRIORS["slope"])
        name = f"{prefix}.sd_slope_{level}"
        found.append(
            Parameter(
                name,
                "free",
                (dim,),
                (names,),
                (prior,) * len(names),
                meaning=f"spread of the cause's effect between {level} groups",
            )
        )
        found.append(
            Parameter(
                f"{prefix}.slope_{level}",
                "effects",
                (dim, level),
                (names, tuple(group_names[level])),
                sd=name,
                meaning=f"how far the cause's effect in each {level} lies from the common one",
            )
        )
    if predictor.period:
        name = f"{prefix}.sd_period"
        found.append(sd(name, "period", "period", "spread of shocks that all units share"))
        found.append(
            Parameter(
                f"{prefix}.period",
                "effects",
                ("period",),
                (tuple(period_names),),
                sd=name,
                meaning="the shock of each period",
            )
        )
    if predictor.walk:
        name = f"{prefix}.sd_walk"
        found.append(sd(name, "walk", "walk", "size of a period's step of the drifting level"))
        found.append(
            Parameter(
                f"{prefix}.walk",
                "walk",
                ("period",),
                (tuple(period_names),),
                sd=name,
                meaning="the drifting level, 0 in the first period",
            )
        )
    return found


def _default_intercept(predictor: Predictor, reference: Reference) -> Prior:
    if predictor.role == "zeros":
        return DEFAULT_PRIORS["zeros.intercept"]
    if predictor.role != "mean":
        return DEFAULT_PRIORS["ends.intercept"]
    sd = DEFAULT_PRIORS["intercept_sd"].arguments[0] * reference.multiplier
    return Prior("normal", (reference.child[0], sd))


def draw_prior(
    listed: Sequence[Parameter],
    draws: int,
    seed: int,
    fixed: Mapping[str, NDArray[np.float64]] | None = None,
) -> dict[str, NDArray[np.float64]]:
    """Draw every parameter from its prior.

    Parameters
    ----------
    listed : list of Parameter
    draws : int
    seed : int
    fixed : dict of str to array, optional
        Values to keep, without the draw dim.

    Returns
    -------
    dict of str to array
        The draw first.
    """
    rng = np.random.default_rng(seed)
    result: dict[str, NDArray[np.float64]] = {}
    for one in listed:
        shape = (draws, *one.shape)
        if fixed is not None and one.name in fixed:
            values = np.asarray(fixed[one.name], dtype=float)
            result[one.name] = np.broadcast_to(values, shape).copy()
            continue
        if one.kind == "factor":
            result[one.name] = rng.standard_normal(shape)
            continue
        if one.kind in ("effects", "walk"):
            sd = result[one.sd]
            steps = rng.standard_normal(shape) * sd[..., None]
            if one.kind == "walk":
                steps[:, 0] = 0.0
                steps = np.cumsum(steps, axis=1)
            result[one.name] = steps
            continue
        if len(one.priors) == 1:
            values = _sample(one.priors[0], shape, rng)
        else:
            values = np.stack([_sample(p, (draws,), rng) for p in one.priors], axis=-1)
        if one.kind == "cutpoints":
            values = np.sort(values, axis=-1)
        if one.transform is not None:
            values = one.transform.natural(values)
        result[one.name] = np.asarray(values, dtype=float)
    return result


def _sample(prior: Prior, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float64]:
    a = prior.arguments
    match prior.distribution:
        case "normal":
            return rng.normal(a[0], a[1], shape)
        case "student_t":
            return a[1] + a[2] * rng.standard_t(a[0], shape)
        case "half_normal":
            return np.abs(rng.normal(0.0, a[0], shape))
        case "half_student_t":
            return np.abs(a[1] * rng.standard_t(a[0], shape))
        case "exponential":
            return rng.exponential(1.0 / a[0], shape)
        case "gamma":
            return rng.gamma(a[0], 1.0 / a[1], shape)
        case "lognormal":
            return rng.lognormal(a[0], a[1], shape)
        case "beta":
            return rng.beta(a[0], a[1], shape)
        case _:
            return rng.uniform(a[0], a[1], shape)
