"""Chains that begin where an earlier posterior lies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dotwin.inference.nuts.constants import is_positive, prior_code
from dotwin.inference.nuts.effects import shared
from dotwin.inference.nuts.elements import element_priors
from dotwin.inference.nuts.layout import Layout
from dotwin.inference.nuts.parts import PriorCode
from dotwin.mechanisms.parameters import Parameter

__all__ = ["Scales", "scales_of", "unconstrained"]

Floats = NDArray[np.float64]

#: Draws from which on a spread is known well enough to be of use; spreads are at least this.
_FEWEST, _NARROWEST = 16, 1e-4
#: Chains begin at most this many sds from the middle.
_WIDEST = 2.0


@dataclass(frozen=True, eq=False)
class Scales:
    """Where chains begin, and the scales that they first move in.

    Parameters
    ----------
    middle, scale : array, dims (element,)
        A point is middle + scale * z, so that a unit metric in z is a diagonal one of the points.
    starts : array, dims (start, element)
        Values of z.
    """

    middle: Floats
    scale: Floats
    starts: Floats

    def start(self, seed: int) -> Floats:
        """Choose a starting point."""
        rng = np.random.default_rng(seed)
        return np.array(self.starts[rng.integers(len(self.starts))])


def scales_of(layout: Layout, near: Mapping[str, Floats] | None) -> Scales | None:
    """Turn a few draws near the posterior into scales, or return None where they are not usable.

    Parameters
    ----------
    layout : Layout
    near : dict of str to array, dims (draw, ...)
    """
    if near is None:
        return None
    count = min(len(values) for values in near.values())
    points = np.array(
        [unconstrained(layout, {k: v[i] for k, v in near.items()}) for i in range(count)]
    ).reshape(count, layout.size)
    points = points[np.isfinite(points).all(axis=1)]
    if len(points) < _FEWEST:
        return None
    middle, scale = points.mean(axis=0), np.maximum(points.std(axis=0), _NARROWEST)
    return Scales(middle, scale, np.clip((points - middle) / scale, -_WIDEST, _WIDEST))


def unconstrained(layout: Layout, values: Mapping[str, Floats]) -> Floats:
    """Turn parameters into an unconstrained point, as `Layout.constrain` turns it back.

    Parameters
    ----------
    layout : Layout
    values : dict of str to array
        One value of every parameter, inside its support.

    Returns
    -------
    array, dims (element,)
    """
    point = np.empty(layout.size)
    for one in layout.listed:
        given = np.asarray(values[one.name], dtype=float)
        place = layout.places[one.name]
        if one.kind == "walk":
            point[place] = np.diff(given) / values[one.sd]
        elif one.kind == "effects":
            point[place] = _effects(layout, one, values)
        elif one.kind == "cutpoints":
            point[place] = np.concatenate([given[:1], np.log(np.diff(given))])
        else:
            natural = one.transform.prior_quantity(given) if one.transform else given
            point[place] = _single(one, np.ravel(natural))
    return point


def _single(one: Parameter, values: Floats) -> Floats:
    """Apply the transforms of single elements."""
    raw = np.array(values, dtype=float)
    for j, prior in enumerate(element_priors(one)):
        code = prior_code(prior)
        if is_positive(code):
            raw[j] = np.log(values[j])
        elif code in (PriorCode.BETA, PriorCode.UNIFORM):
            low, high = prior.arguments if code == PriorCode.UNIFORM else (0.0, 1.0)
            share = (values[j] - low) / (high - low)
            raw[j] = np.log(share) - np.log1p(-share)
    return raw


def _effects(layout: Layout, one: Parameter, values: Mapping[str, Floats]) -> Floats:
    effects = np.reshape(values[one.name], (-1, one.shape[-1]))
    sds = np.ravel(values[one.sd])
    raw = np.empty(effects.shape)
    for j, (how, centre) in enumerate(
        zip(layout.centrings[one.name], layout.centres[one.name], strict=True)
    ):
        away = shared(how, one.name, values) - centre
        raw[j] = (effects[j] + how.pull * away) / sds[j] ** (1.0 - how.weight)
    return raw.ravel()
