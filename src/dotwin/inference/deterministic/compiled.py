"""The compiled kernels of a family, looked up when first needed because numba is slow to import."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

__all__ = [
    "RowKernels",
    "effects_kernel",
    "information_kernel",
    "marginal_kernel",
    "moments_kernel",
    "row_kernels",
    "sources",
]


class RowKernels(NamedTuple):
    """Addresses of what is compiled by family, and what keeps it alive.

    See `dotwin.inference.deterministic.row_kernels`.
    """

    bases: int
    values: int
    modes: int
    slopes: int
    alive: tuple[Any, ...]


@cache
def row_kernels(family: int, kind: int) -> RowKernels:
    """Return the log densities of a family and kind of truncation."""
    from dotwin.inference.deterministic import row_kernels as rows

    builders = (rows.build_bases, rows.build_values, rows.build_modes, rows.build_slopes)
    alive = tuple(build(int(family), int(kind), _version()) for build in builders)
    bases, values, modes, slopes = (one.address for one in alive)
    return RowKernels(bases, values, modes, slopes, alive)


@cache
def marginal_kernel() -> Any:
    """Return the marginal likelihood."""
    from dotwin.inference.deterministic.marginal_kernel import build_marginal

    return build_marginal(_version())


@cache
def information_kernel(inflated: bool) -> Any:
    """Return the marginal likelihood with its gradient and information."""
    from dotwin.inference.deterministic.information_kernel import build_information

    return build_information(inflated, _version())


@cache
def effects_kernel() -> Any:
    """Return draws of effects given the globals."""
    from dotwin.inference.deterministic.effects_kernel import build_effects

    return build_effects(_version())


@cache
def moments_kernel() -> Any:
    """Return the sums of squares and products of a normal mechanism."""
    from dotwin.inference.deterministic.moments_kernel import build_moments

    return build_moments(_version())


@cache
def _version() -> int:
    """Number the sources, so that a change of any of them compiles anew."""
    digest = hashlib.sha256()
    for source in sources():
        digest.update(source.read_bytes())
    return int.from_bytes(digest.digest()[:4])


def sources() -> list[Path]:
    """Return the files that anything compiled here is made of."""
    here = Path(__file__).parent
    by_family = ("terms", "counts", "amounts", "inflated", "tails", "lanes", "row_kernels")
    shared = ("addresses", "rows", "integrand", "moments_kernel")
    kernels = ("marginal_kernel", "information_kernel", "effects_kernel")
    borrowed = [here.parent / "nuts" / name for name in ("special.py", "truncation.py", "parts.py")]
    return [*(here / f"{name}.py" for name in (*by_family, *shared, *kernels)), *borrowed]
