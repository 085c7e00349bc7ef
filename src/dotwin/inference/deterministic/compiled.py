"""The compiled kernels of a family, looked up when first needed because numba is slow to import."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["effects_kernel", "information_kernel", "marginal_kernel", "moments_kernel"]


@cache
def marginal_kernel(family: int, kind: int) -> Any:
    """Return the marginal likelihood of a family and kind of truncation."""
    from dotwin.inference.deterministic.marginal_kernel import build_marginal

    return build_marginal(family, kind, _version())


@cache
def information_kernel(family: int, kind: int) -> Any:
    """Return the marginal likelihood with its gradient and information."""
    from dotwin.inference.deterministic.information_kernel import build_information

    return build_information(family, kind, _version())


@cache
def effects_kernel(family: int, kind: int) -> Any:
    """Return draws of effects given the globals."""
    from dotwin.inference.deterministic.effects_kernel import build_effects

    return build_effects(family, kind, _version())


@cache
def moments_kernel() -> Any:
    """Return the sums of squares and products of a normal mechanism."""
    from dotwin.inference.deterministic.moments_kernel import build_moments

    return build_moments(_version())


@cache
def _version() -> int:
    """Number the sources, so that a change of any of them compiles anew."""
    digest = hashlib.sha256()
    here = Path(__file__).parent
    borrowed = [here.parent / "nuts" / name for name in ("special.py", "truncation.py", "parts.py")]
    own = ("integrand", "lanes", "rows", "tails", "terms", "moments_kernel")
    kernels = [*own, "marginal_kernel", "information_kernel", "effects_kernel"]
    for source in [*(here / f"{name}.py" for name in kernels), *borrowed]:
        digest.update(source.read_bytes())
    return int.from_bytes(digest.digest()[:4])
