"""The same mechanism in the terms of other reference scales.

A coefficient is the change of the linear predictor per reference sd. Where a reference is taken
from the rows of a panel, a panel that is simulated has references of its own, and the parameters
that made it must be said in their terms.

With z = (x - c) / s the old and z' = (x - c') / s' the new column of a factor, z = a z' + b with
a = s' / s and b = (c' - c) / s. A term's coefficient is multiplied by a, and b times it goes to the
intercept. The product of two factors is z w = (a z' + b)(e w' + f), so parts of its coefficient go
to the two factors' own terms.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dotwin.mechanisms.columns import Reference
    from dotwin.mechanisms.design import Design
    from dotwin.mechanisms.equation import Predictor, Term

__all__ = ["rescaled"]

type Parameters = Mapping[str, NDArray[np.float64]]


def rescaled(old: Design, new: Design, parameters: Parameters) -> dict[str, NDArray[np.float64]]:
    """Say the parameters of a mechanism in the terms of another design's reference scales.

    Parameters
    ----------
    old, new : Design
        Of the same equation.
    parameters : dict of str to array
        By posterior name, the draw first.

    Returns
    -------
    dict of str to array
        The parameters that change, by posterior name. The linear predictor of every row is what it
        was; a slope that varies by group and whose centre moves is exact for the common part only.
    """
    changed: dict[str, NDArray[np.float64]] = {}
    for predictor in old.equation.predictors:
        if not predictor.terms:
            continue
        name = f"{predictor.prefix}.causes"
        coefficients, moved = _coefficients(
            predictor, old.reference, new.reference, parameters[name]
        )
        changed[name] = coefficients
        cutpoints = f"{predictor.prefix}.cutpoints"
        if cutpoints in parameters:
            changed[cutpoints] = parameters[cutpoints] - moved[:, None]
        else:
            intercept = f"{predictor.prefix}.intercept"
            changed[intercept] = parameters[intercept] + moved
        for level in predictor.slope_levels:
            factors = np.array(
                [
                    _stretch(predictor.terms[k], old.reference, new.reference)
                    for k in predictor.slopes(level)
                ]
            )
            slopes, spread = (
                f"{predictor.prefix}.slope_{level}",
                f"{predictor.prefix}.sd_slope_{level}",
            )
            changed[slopes] = parameters[slopes] * factors[None, :, None]
            changed[spread] = parameters[spread] * factors
    return changed


def _line(factor: str, old: Reference, new: Reference) -> tuple[float, float]:
    """Return a and b of z = a z' + b."""
    (c, s), (c_new, s_new) = old.factors[factor], new.factors[factor]
    return s_new / s, (c_new - c) / s


def _stretch(term: Term, old: Reference, new: Reference) -> float:
    """Return by how much a term's coefficient is multiplied."""
    if term.natural and not term.is_unit_constant:
        return 1.0
    size = old.multiplier / new.multiplier
    if term.category or not term.factors:
        return size
    for factor in term.factors:
        size *= _line(str(factor), old, new)[0]
    return size


def _coefficients(
    predictor: Predictor, old: Reference, new: Reference, before: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the new coefficients (draw, term), and what goes to the intercept (draw,)."""
    after = before * np.array([_stretch(term, old, new) for term in predictor.terms])
    moved = np.zeros(len(before))
    ratio = old.multiplier / new.multiplier
    for k, term in enumerate(predictor.terms):
        if term.category or not term.factors:
            continue
        lines = [_line(str(factor), old, new) for factor in term.factors]
        scales = [old.factors[str(factor)][1] for factor in term.factors]
        natural = term.natural and not term.is_unit_constant
        # What one of the product is worth: raw units where natural, else the child's reference sd.
        worth = float(np.prod(scales)) if natural else old.multiplier
        if not term.within:
            moved += before[:, k] * worth * float(np.prod([b for _, b in lines]))
        if len(lines) < 2:
            continue
        for own in (0, 1):
            (a, _), (_, b) = lines[own], lines[1 - own]
            target = _own_term(predictor, term, str(term.factors[own]))
            if b == 0.0 or target is None:
                continue
            receiver = predictor.terms[target]
            if receiver.natural and not receiver.is_unit_constant:
                share = worth * b / scales[own]
            elif natural:
                share = worth * b * a / new.multiplier
            else:
                share = ratio * b * a
            after[:, target] += before[:, k] * share
    return after, moved


def _own_term(predictor: Predictor, term: Term, factor: str) -> int | None:
    """Find the term of one factor alone that varies as a product's part does."""

    def find(kind: str, within: bool) -> int | None:
        for k, one in enumerate(predictor.terms):
            alone = len(one.factors) == 1 and str(one.factors[0]) == factor
            if alone and one.kind == kind and one.within == within:
                return k
        return None

    if term.within:  # a factor that never varies within a unit has no such part
        return find("cause", True)
    own = find(term.kind, False)
    return find("cause", False) if own is None else own
