"""Log densities of a group's rows at many effects, compiled for one family and truncation.

These are all that depends on the family. The kernels that integrate effects out are compiled once
and call them by their address, so that another family costs little to compile.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import cfunc, types
from numba.extending import overload
from numpy.typing import NDArray

from dotwin.inference.deterministic.amounts import amount_terms
from dotwin.inference.deterministic.counts import count_terms
from dotwin.inference.deterministic.inflated import inflated
from dotwin.inference.deterministic.lanes import FLAGS
from dotwin.inference.deterministic.terms import INFLATED, WHOLE, Terms
from dotwin.inference.nuts.parts import FamilyCode

__all__ = ["LANES", "build_bases", "build_modes", "build_slopes", "build_values"]

Floats = NDArray[np.float64]

#: Draws that are evaluated side by side.
LANES = 16
_COUNTS = (
    FamilyCode.POISSON,
    FamilyCode.NEGATIVE_BINOMIAL,
    FamilyCode.BINOMIAL,
    FamilyCode.BETA_BINOMIAL,
)
_INTEGER = types.int64
_LINE, _TABLE, _STACK = types.float64[::1], types.float64[:, ::1], types.float64[:, :, ::1]
#: First and last row; outcomes, extras and bounds of all rows.
_ROWS = (_INTEGER, _INTEGER, _LINE, _LINE, _LINE)
#: Steps of Newton's method towards a group's mode, and how far each may go.
_STEPS, _LONGEST = 50, 2.0
_CLOSE = 1e-9
_OPTIONS: Any = {"cache": True, "fastmath": FLAGS, "error_model": "numpy"}


def terms_of(family: int, kind: int) -> Terms:
    """Return the functions of a family and kind."""
    chosen = count_terms if family in _COUNTS else amount_terms
    if kind == INFLATED:
        return inflated(chosen(family, WHOLE), family)
    return chosen(family, kind)


def term(name: str, family: int, kind: int) -> Any:
    """Return one of the functions of a family and kind; a kernel gets it as it is compiled."""
    return getattr(terms_of(family, kind), name)


@overload(term, prefer_literal=True)
def _compiled_term(name: str, family: int, kind: int) -> Any:
    # Numba passes types of literals, and compares signatures, annotations included.
    given: Any = (name, family, kind)
    function = term(*(one.literal_value for one in given))

    def chosen(name: str, family: int, kind: int) -> Any:
        return function

    return chosen


def build_bases(family: int, kind: int, version: int) -> Any:
    """Compile the exponential that each row's linear predictor has.

    Parameters
    ----------
    family, kind : int
        `FamilyCode`, and the kind of truncation.
    version : int
        A number that changes whenever any module of the kernels does; part of the key under which
        the compiled code is kept on disk.
    """

    @cfunc(types.void(_INTEGER, _STACK, _TABLE), **_OPTIONS)
    def bases(count: int, predictors: Floats, shape: Floats) -> None:
        """Fill in the second of some rows' predictors from the first.

        ``predictors``, dims (what, row, lane), are eta, its base and, where there is one, the
        predictor of a second source of zeros; ``shape``, dims (what, lane), are the effects' sd,
        the family's parameter, and its logarithm or second parameter.
        """
        base_of = term("base_of", family, kind)
        eta, base, d, c = predictors[0], predictors[1], shape[1], shape[2]
        for r in range(count):
            for lane in range(d.size):
                base[r, lane] = base_of(eta[r, lane], d[lane], c[lane]) + 0.0 * version

    return bases


def build_values(family: int, kind: int, version: int) -> Any:
    """Compile the log density of a group's rows and effect, for draws in lanes.

    Parameters
    ----------
    family, kind, version : int
        As for `build_bases`.
    """

    @cfunc(types.void(*_ROWS, _STACK, _TABLE, _TABLE, _TABLE, _LINE, _TABLE), **_OPTIONS)
    def values(
        first: int,
        last: int,
        outcome: Floats,
        extras: Floats,
        bounds: Floats,
        predictors: Floats,
        shape: Floats,
        table: Floats,
        place: Floats,
        nodes: Floats,
        into: Floats,
    ) -> None:
        """Fill in the log of a group's integrand at each node, dims (node, lane).

        ``place``, dims (what, lane), has where a node at 0 lies and how far one at 1 is from it,
        and room for the effects and what moves a base to them.
        """
        move_of, value = term("move_of", family, kind), term("value", family, kind)
        eta, base, second = predictors[0], predictors[1], predictors[-1]
        sd, d, c = shape[0], shape[1], shape[2]
        middle, spread, v, move = place[0], place[1], place[2], place[3]
        for k in range(nodes.size):
            here, node = into[k], nodes[k]
            for lane in range(LANES):
                v[lane] = middle[lane] + spread[lane] * node
                z = v[lane] / sd[lane]
                here[lane] = -0.5 * z * z + 0.0 * version
                move[lane] = move_of(v[lane])
            for r in range(last - first):
                i = first + r
                e, b, zero = eta[r], base[r], second[r]
                y, extra, lower = outcome[i], extras[i], bounds[i]
                for lane in range(LANES):
                    here[lane] += value(
                        e[lane], b[lane], v[lane], move[lane], y, extra, lower,
                        d[lane], c[lane], zero[lane], table, lane,
                    )  # fmt: skip

    return values


def build_modes(family: int, kind: int, version: int) -> Any:
    """Compile the search for the mode of a group's effect, for one draw.

    Parameters
    ----------
    family, kind, version : int
        As for `build_bases`.
    """

    @cfunc(types.void(_INTEGER, *_ROWS, _TABLE, _LINE, _TABLE, *(3 * [_LINE])), **_OPTIONS)
    def modes(
        group: int,
        first: int,
        last: int,
        outcome: Floats,
        extras: Floats,
        bounds: Floats,
        predictors: Floats,
        shape: Floats,
        table: Floats,
        mode_of: Floats,
        known: Floats,
        row_bend: Floats,
    ) -> None:
        """Move a group's mode from where it is to where it should be, by Newton's method.

        ``known`` takes the information of the group's rows there, ``row_bend`` that of each row.
        Predictors have no lanes, dims (what, row), nor has the shape.
        """
        base_of, move_of = term("base_of", family, kind), term("move_of", family, kind)
        curved, mixed = term("curved", family, kind), term("mixed", family, kind)
        eta, base, second = predictors[0], predictors[1], predictors[-1]
        d, c = shape[1], shape[2]
        precision = 1.0 / (shape[0] * shape[0]) + 0.0 * version
        mode, held = mode_of[group], 0.0
        for r in range(last - first):
            base[r] = base_of(eta[r], d, c)
        for _ in range(_STEPS):
            pull, held = -mode * precision, 0.0
            move = move_of(mode)
            for r in range(last - first):
                i = first + r
                e, b, y, extra = eta[r], base[r], outcome[i], extras[i]
                slope, bend = curved(e, b, mode, move, y, extra, bounds[i], d, c, table, 0)
                if kind == INFLATED:
                    slope, bend, _, _, _ = mixed(
                        e, b, mode, move, y, extra, d, c, second[r], slope, bend, table, 0
                    )
                pull += slope
                held += bend
                row_bend[i] = bend
            # Where the integrand bends the wrong way its prior's curvature leads on.
            whole = held + precision
            step = pull / (whole if whole > 0.1 * precision else precision)
            step = min(max(step, -_LONGEST), _LONGEST)
            mode += step
            if abs(step) * math.sqrt(precision) < _CLOSE:
                break
        mode_of[group], known[group] = mode, held

    return modes


def build_slopes(family: int, kind: int, version: int) -> Any:
    """Compile the log density of a group's rows and its derivatives, for one draw.

    Parameters
    ----------
    family, kind, version : int
        As for `build_bases`.
    """

    @cfunc(types.void(*_ROWS, _TABLE, _LINE, _TABLE, _LINE, _LINE, _LINE, _STACK), **_OPTIONS)
    def slopes(
        first: int,
        last: int,
        outcome: Floats,
        extras: Floats,
        bounds: Floats,
        predictors: Floats,
        shape: Floats,
        table: Floats,
        v: Floats,
        move: Floats,
        into: Floats,
        found: Floats,
    ) -> None:
        """Add log densities at effects, and fill in derivatives, dims (which, row, effect).

        They are the slope and minus the second derivative and, where zeros may come from a second
        source, the same in its predictor and minus the mixed derivative. ``move`` is room for what
        moves a base to the effects. Predictors have no lanes, dims (what, row), nor has the shape.
        """
        base_of, move_of = term("base_of", family, kind), term("move_of", family, kind)
        value, curved = term("value", family, kind), term("curved", family, kind)
        mixed = term("mixed", family, kind)
        eta, second, d, c = predictors[0], predictors[-1], shape[1], shape[2]
        for k in range(v.size):
            move[k] = move_of(v[k]) + 0.0 * version
        for r in range(last - first):
            i = first + r
            e, zero = eta[r], second[r]
            b = base_of(e, d, c)
            y, extra, lower = outcome[i], extras[i], bounds[i]
            for k in range(v.size):
                into[k] += value(
                    e, b, v[k], move[k], y, extra, lower, d, c, zero, table, 0
                )  # fmt: skip
                slope, bend = curved(e, b, v[k], move[k], y, extra, lower, d, c, table, 0)
                if kind == INFLATED:
                    slope, bend, found[2, r, k], found[3, r, k], found[4, r, k] = mixed(
                        e, b, v[k], move[k], y, extra, d, c, zero, slope, bend, table, 0
                    )
                found[0, r, k] = slope
                found[1, r, k] = bend

    return slopes
