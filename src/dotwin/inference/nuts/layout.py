"""Where every parameter of a mechanism lies in one unconstrained vector, and how to read it back.

The parametrisation is that of `dotwin.mechanisms.pymc_model`: single elements on the scale of
their prior's transform, group effects divided by a power of their sd; but group effects are also
shifted, as `dotwin.inference.nuts.centring` says.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dotwin.inference.nuts.centring import Centring, centring
from dotwin.inference.nuts.constants import prior_code, prior_constant
from dotwin.inference.nuts.effects import effect_parts, effect_starts, shared
from dotwin.inference.nuts.elements import element_priors, single_values, size_of, starting_point
from dotwin.inference.nuts.parts import FreeParts, Natural, Parts, PriorCode
from dotwin.inference.nuts.rows import (
    PredictorPlaces,
    predictor_parts,
    response_parts,
    without_rows,
)
from dotwin.mechanisms.design import Design
from dotwin.mechanisms.parameters import Parameter, parameters

__all__ = ["Layout", "build_layout", "chosen_centrings"]

Floats = NDArray[np.float64]

_NATURAL = {
    "1/sqrt(dispersion)": Natural.INVERSE_SQUARE,
    "nu - 2": Natural.TWO_MORE,
}
_HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)


@dataclass(frozen=True, eq=False)
class Layout:
    """The unconstrained vector of one mechanism.

    Parameters
    ----------
    listed : list of Parameter
    places : dict of str to slice
        Of each parameter in the unconstrained vector.
    centrings : dict of str to list of Centring
        How the effects of each parameter are parametrised.
    centres : dict of str to list of array, dims (group,)
        What groups share at ``middle``.
    parts : Parts
        What the compiled log density reads.
    middle, spread : array, dims (element,)
        Where chains start, and how far around.
    """

    listed: list[Parameter]
    places: dict[str, slice]
    centrings: dict[str, list[Centring]]
    centres: dict[str, list[Floats]]
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
                result[one.name] = self._effects(one, raw, result)
            elif one.kind == "cutpoints":
                steps = np.concatenate([raw[..., :1], np.exp(raw[..., 1:])], axis=-1)
                result[one.name] = np.cumsum(steps, axis=-1)
            else:
                values = single_values(one, raw).reshape((*outer, *one.shape))
                result[one.name] = one.transform.natural(values) if one.transform else values
        return result

    def _effects(self, one: Parameter, raw: Floats, known: dict[str, Floats]) -> Floats:
        outer = raw.shape[:-1]
        raw = raw.reshape((*outer, -1, one.shape[-1]))
        sds = known[one.sd].reshape((*outer, -1, 1))
        result = np.empty(raw.shape)
        for j, (how, centre) in enumerate(
            zip(self.centrings[one.name], self.centres[one.name], strict=True)
        ):
            away = shared(how, one.name, known) - centre
            result[..., j, :] = raw[..., j, :] * sds[..., j, :] ** (1.0 - how.weight)
            result[..., j, :] -= how.pull * away
        return result.reshape((*outer, *one.shape))


def build_layout(
    design: Design,
    centrings: Mapping[str, list[Centring]] | None = None,
    *,
    unknown: Mapping[str, frozenset[int]] | None = None,
) -> Layout:
    """Lay out a mechanism's parameters and gather what its log density reads.

    Parameters
    ----------
    design : Design
    centrings : dict of str to list of Centring, optional
        How the effects of each parameter are parametrised; chosen from the data unless given.
    unknown : dict of str to frozenset of int, optional
        Terms that read unknown values, by the predictor's prefix: their columns will change.

    Returns
    -------
    Layout
    """
    eq = design.equation
    listed = parameters(eq, design.reference, design.group_names, design.period_names)
    places = _places(listed)
    hows = dict(centrings) if centrings is not None else chosen_centrings(design)
    free, constant = _free_parts(listed, places)
    middle, spread = starting_point(design, listed, places)
    effects, centres = effect_parts(listed, places, hows, middle)
    elements = free.code.size
    starts = effect_starts(listed, places, elements)
    predictors = [
        predictor_parts(
            design,
            arrays,
            PredictorPlaces(places, starts),
            (unknown or {}).get(arrays.predictor.prefix, frozenset()),
        )
        for arrays in design.predictors
        if arrays.predictor.role in ("mean", "zeros")
    ]
    response, rows_constant = response_parts(design, places, _natural(listed))
    parts = Parts(
        constant=constant + rows_constant - (middle.size - elements) * _HALF_LOG_TWO_PI,
        free=free,
        effects=effects,
        main=predictors[0],
        second=predictors[1] if len(predictors) > 1 else without_rows(),
        response=response,
    )
    return Layout(listed, places, hows, centres, parts, middle, spread)


def chosen_centrings(design: Design) -> dict[str, list[Centring]]:
    """Choose the parametrisation of every group effect of a mechanism."""
    return {
        f"{arrays.predictor.prefix}.{key}": how
        for arrays in design.predictors
        for key, how in centring(design, arrays).items()
    }


def _places(listed: list[Parameter]) -> dict[str, slice]:
    """Free elements first, then cutpoints, effects and the steps of walks."""
    order = {"free": 0, "dispersion": 0, "cutpoints": 1, "effects": 2, "walk": 3}
    places: dict[str, slice] = {}
    at = 0
    for one in sorted(listed, key=lambda p: order[p.kind]):
        places[one.name] = slice(at, at + size_of(one))
        at += size_of(one)
    return places


def _free_parts(listed: list[Parameter], places: dict[str, slice]) -> tuple[FreeParts, float]:
    single = [one for one in listed if one.kind in ("free", "dispersion", "cutpoints")]
    size = sum(size_of(one) for one in single)
    code, arguments = np.zeros(size, dtype=np.int64), np.zeros((3, size))
    first, cutpoints, constant = 0, 0, 0.0
    for one in single:
        place = places[one.name]
        for j, prior in enumerate(element_priors(one), start=place.start):
            code[j] = PriorCode.ORDERED if one.kind == "cutpoints" else prior_code(prior)
            arguments[: len(prior.arguments), j] = prior.arguments
            constant += prior_constant(prior)
        if one.kind == "cutpoints":
            first, cutpoints = place.start, size_of(one)
    return FreeParts(code, arguments, first, cutpoints), constant


def _natural(listed: list[Parameter]) -> list[tuple[str, Natural]]:
    return [
        (one.name, _NATURAL.get(one.transform.prior_on, Natural.SAME))
        for one in listed
        if one.transform is not None
    ]
