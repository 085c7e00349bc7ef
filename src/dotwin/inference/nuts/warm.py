"""Chains that begin where an earlier posterior lies."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from dotwin.inference.nuts.constants import is_positive, prior_code
from dotwin.inference.nuts.effects import shared
from dotwin.inference.nuts.elements import element_priors
from dotwin.inference.nuts.layout import Layout
from dotwin.inference.nuts.parts import PriorCode
from dotwin.mechanisms.parameters import Parameter

__all__ = ["unconstrained"]

Floats = NDArray[np.float64]


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
