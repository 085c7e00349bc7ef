"""Where every parameter of a mechanism lies in one unconstrained vector, and how to read it back.

The parametrisation is that of `dotwin.mechanisms.pymc_model`: single elements on the scale of
their prior's transform, group effects divided by a power of their sd.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dotwin.inference.nuts.constants import (
    is_positive,
    prior_code,
    prior_constant,
    prior_middle,
    prior_spread,
)
from dotwin.inference.nuts.parts import EffectParts, FreeParts, Natural, Parts, PriorCode
from dotwin.inference.nuts.rows import (
    PredictorPlaces,
    predictor_parts,
    response_parts,
    without_rows,
)
from dotwin.mechanisms.design import Design
from dotwin.mechanisms.parameters import Parameter, parameters
from dotwin.mechanisms.pooling import centring_weights
from dotwin.spec.prior import Prior

__all__ = ["Layout", "build_layout"]

Floats = NDArray[np.float64]

_NATURAL = {
    "1/sqrt(dispersion)": Natural.INVERSE_SQUARE,
    "nu - 2": Natural.TWO_MORE,
}
#: How far chains start from the middle, in sds of the prior.
_JITTER = 0.1
_HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)


@dataclass(frozen=True, eq=False)
class Layout:
    """The unconstrained vector of one mechanism.

    Parameters
    ----------
    listed : list of Parameter
    places : dict of str to slice
        Of each parameter in the unconstrained vector.
    weights : dict of str to array
        How centred each group effect is.
    parts : Parts
        What the compiled log density reads.
    middle, spread : array, dims (element,)
        Where chains start, and how far around.
    """

    listed: list[Parameter]
    places: dict[str, slice]
    weights: dict[str, Floats]
    parts: Parts
    middle: Floats
    spread: Floats

    @property
    def size(self) -> int:
        """Length of the unconstrained vector."""
        return int(self.middle.size)

    def start(self, seed: int) -> Floats:
        """Draw a starting point."""
        rng = np.random.default_rng(seed)
        return self.middle + self.spread * rng.uniform(-1.0, 1.0, self.size)

    def constrain(self, points: Floats) -> dict[str, Floats]:
        """Turn unconstrained points into parameters.

        Parameters
        ----------
        points : array, dims (..., element)

        Returns
        -------
        dict of str to array, dims (..., the parameter's own)
        """
        outer = points.shape[:-1]
        result: dict[str, Floats] = {}
        for one in self.listed:
            raw = points[..., self.places[one.name]]
            if one.kind == "walk":
                steps = raw * result[one.sd][..., None]
                zero = np.zeros((*outer, 1))
                result[one.name] = np.concatenate([zero, np.cumsum(steps, axis=-1)], axis=-1)
            elif one.kind == "effects":
                sd = result[one.sd][..., None]
                power = sd ** (1.0 - self.weights[one.name])
                result[one.name] = raw.reshape(*outer, *one.shape) * power
            elif one.kind == "cutpoints":
                steps = np.concatenate([raw[..., :1], np.exp(raw[..., 1:])], axis=-1)
                result[one.name] = np.cumsum(steps, axis=-1)
            else:
                values = _values(one, raw).reshape(*outer, *one.shape)
                result[one.name] = one.transform.natural(values) if one.transform else values
        return result


def build_layout(design: Design) -> Layout:
    """Lay out a mechanism's parameters and gather what its log density reads.

    Parameters
    ----------
    design : Design

    Returns
    -------
    Layout
    """
    eq = design.equation
    listed = parameters(eq, design.reference, design.group_names, design.period_names)
    places = _places(listed)
    weights = _weights(design, listed)
    free, constant = _free_parts(listed, places)
    effects = _effect_parts(listed, places, weights)
    elements = free.code.size
    held = effects.weight.size + int(effects.walk_size.sum())
    starts = _effect_starts(listed, places, elements)
    predictors = [
        predictor_parts(design, arrays, PredictorPlaces(places, starts))
        for arrays in design.predictors
        if arrays.predictor.role in ("mean", "zeros")
    ]
    response, rows_constant = response_parts(design, places, _natural(listed))
    parts = Parts(
        constant=constant + rows_constant - held * _HALF_LOG_TWO_PI,
        free=free,
        effects=effects,
        main=predictors[0],
        second=predictors[1] if len(predictors) > 1 else without_rows(),
        response=response,
    )
    middle, spread = _start(design, listed, places)
    return Layout(listed, places, weights, parts, middle, spread)


def _size(one: Parameter) -> int:
    size = int(np.prod(one.shape, dtype=int))
    return size - 1 if one.kind == "walk" else size


def _places(listed: list[Parameter]) -> dict[str, slice]:
    """Free elements first, then cutpoints, effects and the steps of walks."""
    order = {"free": 0, "dispersion": 0, "cutpoints": 1, "effects": 2, "walk": 3}
    places: dict[str, slice] = {}
    at = 0
    for one in sorted(listed, key=lambda p: order[p.kind]):
        places[one.name] = slice(at, at + _size(one))
        at += _size(one)
    return places


def _priors(one: Parameter) -> tuple[Prior, ...]:
    return one.priors if len(one.priors) == _size(one) else one.priors * _size(one)


def _weights(design: Design, listed: list[Parameter]) -> dict[str, Floats]:
    known = {
        f"{arrays.predictor.prefix}.{level}": weight
        for arrays in design.predictors
        for level, weight in centring_weights(design, arrays).items()
    }
    return {
        one.name: np.broadcast_to(known.get(one.name, np.zeros(1)), one.shape)
        for one in listed
        if one.kind == "effects"
    }


def _values(one: Parameter, raw: Floats) -> Floats:
    """Undo the transforms of single elements."""
    values = np.array(raw, dtype=float)
    for j, prior in enumerate(_priors(one)):
        code = prior_code(prior)
        if is_positive(code):
            values[..., j] = np.exp(raw[..., j])
        elif code in (PriorCode.BETA, PriorCode.UNIFORM):
            share = 1.0 / (1.0 + np.exp(-raw[..., j]))
            low, high = prior.arguments if code == PriorCode.UNIFORM else (0.0, 1.0)
            values[..., j] = low + (high - low) * share
    return values


def _free_parts(listed: list[Parameter], places: dict[str, slice]) -> tuple[FreeParts, float]:
    single = [one for one in listed if one.kind in ("free", "dispersion", "cutpoints")]
    size = sum(_size(one) for one in single)
    code, arguments = np.zeros(size, dtype=np.int64), np.zeros((3, size))
    first, cutpoints, constant = 0, 0, 0.0
    for one in single:
        place = places[one.name]
        for j, prior in enumerate(_priors(one), start=place.start):
            code[j] = PriorCode.ORDERED if one.kind == "cutpoints" else prior_code(prior)
            arguments[: len(prior.arguments), j] = prior.arguments
            constant += prior_constant(prior)
        if one.kind == "cutpoints":
            first, cutpoints = place.start, _size(one)
    return FreeParts(code, arguments, first, cutpoints), constant


def _effect_parts(
    listed: list[Parameter], places: dict[str, slice], weights: dict[str, Floats]
) -> EffectParts:
    runs: list[tuple[int, int, int]] = []
    held: list[Floats] = []
    walks: list[tuple[int, int]] = []
    first = min(
        (places[one.name].start for one in listed if one.kind in ("effects", "walk")), default=0
    )
    for one in listed:
        place = places[one.name]
        if one.kind == "effects":
            groups = one.shape[-1]
            sd = places[one.sd].start
            for j in range(_size(one) // groups if groups else 0):
                runs.append((sd + j, place.start - first + j * groups, groups))
            held.append(np.asarray(weights[one.name], dtype=float).ravel())
        elif one.kind == "walk":
            walks.append((places[one.sd].start, _size(one)))
    segments = np.array(runs, dtype=np.int64).reshape(-1, 3)
    steps = np.array(walks, dtype=np.int64).reshape(-1, 2)
    return EffectParts(
        *(np.ascontiguousarray(column) for column in segments.T),
        weight=np.concatenate([np.zeros(0), *held]),
        walk_sd=np.ascontiguousarray(steps[:, 0]),
        walk_size=np.ascontiguousarray(steps[:, 1]),
    )


def _effect_starts(
    listed: list[Parameter], places: dict[str, slice], elements: int
) -> dict[str, int]:
    """Where each parameter's effects begin among all effects; a walk's path has one value more."""
    starts: dict[str, int] = {}
    walks = 0
    for one in listed:
        if one.kind == "effects":
            starts[one.name] = places[one.name].start - elements
        elif one.kind == "walk":
            starts[one.name] = places[one.name].start - elements + walks
            walks += 1
    return starts


def _natural(listed: list[Parameter]) -> list[tuple[str, Natural]]:
    return [
        (one.name, _NATURAL.get(one.transform.prior_on, Natural.SAME))
        for one in listed
        if one.transform is not None
    ]


def _start(
    design: Design, listed: list[Parameter], places: dict[str, slice]
) -> tuple[Floats, Floats]:
    """Choose where chains start: at the priors' middles, but constants where the data are."""
    size = max((place.stop for place in places.values()), default=0)
    middle, spread = np.zeros(size), np.full(size, _JITTER)
    for one in listed:
        place = places[one.name]
        if one.kind in ("free", "dispersion"):
            priors = _priors(one)
            middle[place] = [prior_middle(prior) for prior in priors]
            spread[place] = [_JITTER * prior_spread(prior) for prior in priors]
        elif one.kind == "effects":
            sd = middle[places[one.sd]]
            groups = one.shape[-1]
            scale = np.exp(np.minimum(sd, 0.0))
            spread[place] = _JITTER * np.repeat(scale, groups)
    y = design.y / (design.equation.indicator.out_of or 1.0)
    for arrays in design.predictors:
        prefix, role = arrays.predictor.prefix, arrays.predictor.role
        if f"{prefix}.intercept" in places:
            at = places[f"{prefix}.intercept"].start
            if role == "mean":
                middle[at] = design.reference.child[0]
            else:
                share = (float((y == (1.0 if role == "end1" else 0.0)).sum()) + 0.5) / (y.size + 1)
                middle[at] = math.log(share / (1.0 - share))
    cutpoints = f"{design.child}.cutpoints"
    if cutpoints in places:
        place = places[cutpoints]
        count = place.stop - place.start
        below = np.array([(y <= k).sum() for k in range(count)]) + 0.5 * np.arange(1, count + 1)
        share = below / (y.size + 0.5 * (count + 1))
        cuts = np.log(share / (1.0 - share))
        middle[place] = np.concatenate([cuts[:1], np.log(np.diff(cuts))])
    return middle, spread
