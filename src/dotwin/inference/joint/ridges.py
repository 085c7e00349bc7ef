"""Where hidden causes and what indicators have of their own are seen only as a sum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dotwin.inference.engine import Component
from dotwin.inference.joint.rows import Rows
from dotwin.inference.nuts.layout import Layout
from dotwin.inference.nuts.parts import FreeParts
from dotwin.mechanisms.design import Design
from dotwin.mechanisms.equation import Factor
from dotwin.mechanisms.factors import factor_terms
from dotwin.mechanisms.parameters import Parameter

if TYPE_CHECKING:
    from dotwin.inference.joint.density_kernels import Block

__all__ = ["Ridge", "ridges_of"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Member:
    """One indicator on a ridge.

    Parameters
    ----------
    mechanism : int
        Its place in the component.
    loading, spread : int
        Free elements of its mechanism.
    multiplier : float
        What a loading of 1 adds.
    effects : slice or None
        Its own effects in its mechanism's unconstrained vector, where the sum is of those.
    rows, cells : int array, dims (row,)
        Its rows among those of the component, and the values of the hidden cause that act on them,
        where the sum is of their scatter.
    """

    mechanism: int
    loading: int
    spread: int
    multiplier: float
    effects: slice | None
    rows: Integers
    cells: Integers


@dataclass(frozen=True, eq=False)
class Ridge:
    """A hidden cause with the indicators in which it is seen only in a sum.

    Parameters
    ----------
    span : slice
        Its values among the unknown ones.
    members : tuple of Member
    collapsed : bool
        Whether these are all that it affects, so that its values can be drawn given the sums.
    free : FreeParts
        Priors of the loadings and spreads.
    """

    span: slice
    members: tuple[Member, ...]
    collapsed: bool
    free: FreeParts

    def move(self, kernel: Any, rng: np.random.Generator, point: Floats, block: Block) -> None:
        """Move a point along the ridge, in place.

        Parameters
        ----------
        kernel : compiled function
            From `build_ridge_move`.
        rng : Generator
        point : array
        block : Block
            Whose state is that of the point, before and after.
        """
        state, first = block.state, block.first
        begin = int(first[-1] + np.searchsorted(block.cell, self.span.start))
        values = slice(begin, begin + self.span.stop - self.span.start)
        starts = [int(first[one.mechanism]) for one in self.members]
        at = [start + one.loading for start, one in zip(starts, self.members, strict=True)]
        at += [start + one.spread for start, one in zip(starts, self.members, strict=True)]
        own = np.full((values.stop - values.start, len(self.members)), np.nan)
        for k, (start, one) in enumerate(zip(starts, self.members, strict=True)):
            if one.effects is not None:
                own[:, k] = point[start + one.effects.start : start + one.effects.stop]
            else:
                outcome = state.store[block.rows.outcome[one.rows]]
                own[one.cells, k] = outcome - state.eta[one.rows]
        hidden, place = point[values].copy(), point[at]
        scaled = np.array([one.effects is not None for one in self.members])
        multiplier = np.array([one.multiplier for one in self.members])
        kernel(rng, own, scaled, hidden, place, self.free, multiplier, self.collapsed)
        point[at], point[values] = place, hidden
        state.store[block.cells.value[self.span]] = hidden
        for k, (start, one) in enumerate(zip(starts, self.members, strict=True)):
            if one.effects is not None:
                point[start + one.effects.start : start + one.effects.stop] = own[:, k]
            else:
                outcome = state.store[block.rows.outcome[one.rows]]
                state.eta[one.rows] = outcome - own[one.cells, k]


def ridges_of(
    component: Component,
    layouts: Sequence[Layout],
    rows: Sequence[Rows],
    spans: Mapping[str, slice],
) -> list[Ridge]:
    """Find the ridges of a component's hidden causes.

    Parameters
    ----------
    component : Component
    layouts : sequence of Layout
    rows : sequence of Rows
    spans : dict of str to slice
        The values of each hidden cause among all unknown ones.
    """
    found = []
    for name, values in component.factors.items():
        affected = [
            (m, design, factor)
            for m, design in enumerate(component.designs)
            for factor in design.equation.factors
            if factor.name == name
        ]
        listed = [
            (m, _member(m, design, factor, values, layouts[m], rows[m]))
            for m, design, factor in affected
        ]
        members = [(m, one) for m, one in listed if one is not None]
        collapsed = len(members) == len(affected)
        if not collapsed:
            # With the values held, a scatter's spread and loading are what the sampler moves well.
            members = [(m, one) for m, one in members if one.effects is not None]
        if members:
            free = _priors([layouts[m].parts.free for m, _ in members], [one for _, one in members])
            found.append(Ridge(spans[name], tuple(one for _, one in members), collapsed, free))
    return found


def _member(
    m: int, design: Design, factor: Factor, values: Parameter, layout: Layout, rows: Rows
) -> Member | None:
    main, one = design.equation.main, design.equation.indicator
    k = next(k for k, name in factor_terms(main) if name == factor.name)
    loading = layout.places[f"{main.prefix}.causes"].start + k
    multiplier = design.reference.multiplier
    nothing = np.zeros(0, dtype=np.int64)
    effects = f"{main.prefix}.{factor.level}"
    if factor.dims == (factor.level,) and effects in layout.places:
        spread = layout.places[f"{main.prefix}.sd_{factor.level}"].start
        return Member(m, loading, spread, multiplier, layout.places[effects], nothing, nothing)
    plain = one.family == "lognormal" or (one.family == "normal" and one.link != "log")
    if not plain or one.at_least is not None or one.zeros is not None:
        return None
    cells = design.factors[factor.name][rows.order].astype(np.int64)
    if np.unique(cells).size < cells.size:
        return None
    spread = layout.places[f"{design.child}.residual_sd"].start
    at = rows.first + np.arange(cells.size, dtype=np.int64)
    return Member(m, loading, spread, multiplier, None, at, cells)


def _priors(free: Sequence[FreeParts], members: Sequence[Member]) -> FreeParts:
    """Gather the priors of the members' loadings, then of their spreads."""
    pairs = [(f, one.loading) for f, one in zip(free, members, strict=True)]
    pairs += [(f, one.spread) for f, one in zip(free, members, strict=True)]
    return FreeParts(
        code=np.array([f.code[j] for f, j in pairs], dtype=np.int64),
        arguments=np.ascontiguousarray([f.arguments[:, j] for f, j in pairs]).T.copy(),
        first_cutpoint=0,
        cutpoints=0,
    )
