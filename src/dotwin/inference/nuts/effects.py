"""Group effects, period shocks and walks as the kernels read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dotwin.inference.nuts.centring import Centring
from dotwin.inference.nuts.elements import single_values, size_of
from dotwin.inference.nuts.parts import EffectParts
from dotwin.mechanisms.parameters import Parameter

__all__ = ["effect_parts", "effect_starts", "shared"]

Floats = NDArray[np.float64]


def effect_starts(
    listed: Sequence[Parameter], places: Mapping[str, slice], elements: int
) -> dict[str, int]:
    """Say where each parameter's effects begin among all effects.

    A walk's path has one value more than it has steps.
    """
    starts: dict[str, int] = {}
    walks = 0
    for one in listed:
        if one.kind == "effects":
            starts[one.name] = places[one.name].start - elements
        elif one.kind == "walk":
            starts[one.name] = places[one.name].start - elements + walks
            walks += 1
    return starts


def shared(how: Centring, name: str, known: Mapping[str, Floats]) -> Floats:
    """Return what the groups of a parameter have in their linear predictor besides themselves.

    Parameters
    ----------
    how : Centring
    name : str
        Of the parameter that holds the groups' effects.
    known : dict of str to array, dims (..., the parameter's own)
        The other parameters.

    Returns
    -------
    array, dims (..., group)
    """
    prefix, _, _ = name.rpartition(".")
    result = np.zeros(1)
    if how.intercept and f"{prefix}.intercept" in known:
        result = known[f"{prefix}.intercept"][..., None]
    if how.terms:
        result = result + known[f"{prefix}.causes"][..., list(how.terms)] @ how.means
    for level, parent in how.parents.items():
        result = result + known[f"{prefix}.{level}"][..., parent]
    return result


def effect_parts(
    listed: Sequence[Parameter],
    places: Mapping[str, slice],
    centrings: Mapping[str, list[Centring]],
    middle: Floats,
) -> tuple[EffectParts, dict[str, list[Floats]]]:
    """Gather the effects, and what groups share where chains start.

    Parameters
    ----------
    listed : sequence of Parameter
    places : dict of str to slice
    centrings : dict of str to list of Centring
    middle : array, dims (element,)

    Returns
    -------
    EffectParts
    dict of str to list of array, dims (group,)
    """
    made = [one for one in listed if one.kind == "effects"]
    walks = [one for one in listed if one.kind == "walk"]
    elements = min((places[one.name].start for one in (*made, *walks)), default=middle.size)
    starts = effect_starts(listed, places, elements)
    known = {
        one.name: single_values(one, middle[places[one.name]]).reshape(one.shape)
        for one in listed
        if one.kind == "free"
    }
    known |= {one.name: np.zeros(one.shape) for one in made}
    centres = {
        one.name: [
            np.broadcast_to(shared(how, one.name, known), one.shape[-1:])
            for how in centrings[one.name]
        ]
        for one in made
    }
    segments = [(one, j, how) for one in made for j, how in enumerate(centrings[one.name])]
    size = sum(size_of(one) for one in made)
    most = max((len(how.terms) for _, _, how in segments), default=0)
    deep = max((len(how.parents) for _, _, how in segments), default=0)
    weight, pull, centre = np.zeros(size), np.zeros(size), np.zeros(size)
    means, parents = np.zeros((most, size)), np.full((deep, size), -1, dtype=np.int64)
    rows = np.zeros((6, len(segments)), dtype=np.int64)
    for s, (one, j, how) in enumerate(segments):
        prefix, _, _ = one.name.rpartition(".")
        groups = one.shape[-1]
        first = starts[one.name] + j * groups
        span = slice(first, first + groups)
        weight[span], pull[span], centre[span] = how.weight, how.pull, centres[one.name][j]
        means[: len(how.terms), span] = how.means
        for depth, (level, parent) in enumerate(how.parents.items()):
            parents[depth, span] = starts[f"{prefix}.{level}"] + parent
        intercept = places.get(f"{prefix}.intercept") if how.intercept else None
        causes = places[f"{prefix}.causes"].start if how.terms else 0
        rows[:, s] = (
            places[one.sd].start + j,
            first,
            groups,
            intercept.start if intercept is not None else -1,
            causes + (how.terms[0] if how.terms else 0),
            len(how.terms),
        )
    sd, start, groups_of, intercepts, first_term, terms = (row.copy() for row in rows)
    parts = EffectParts(
        sd=sd,
        start=start,
        size=groups_of,
        weight=weight,
        pull=pull,
        centre=centre,
        intercept=intercepts,
        first_term=first_term,
        terms=terms,
        means=means,
        parents=parents,
        walk_sd=np.array([places[one.sd].start for one in walks], dtype=np.int64),
        walk_size=np.array([size_of(one) for one in walks], dtype=np.int64),
    )
    return parts, centres
