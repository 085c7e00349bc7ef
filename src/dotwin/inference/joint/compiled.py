"""The compiled kernels, looked up when first needed because numba is slow to import."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from dotwin.inference import nuts

__all__ = ["Kernels", "kernels"]


class Kernels(NamedTuple):
    """The steps of a sweep.

    Parameters
    ----------
    listed : function
        Makes the list of what the mechanisms of a block read.
    transition : compiled function
        Moves a block: parameters and continuous unknown values.
    sweep : compiled function
        Draws every unknown count.
    ridge : compiled function
        Moves a hidden cause with its loadings.
    """

    listed: Any
    transition: Any
    sweep: Any
    ridge: Any


@cache
def kernels() -> Kernels:
    """Return the kernels; they are compiled once per machine, later processes read them."""
    from dotwin.inference.joint.cell_kernels import build_count_sweep
    from dotwin.inference.joint.density_kernels import build_parts_list
    from dotwin.inference.joint.hamiltonian import build_transition
    from dotwin.inference.joint.ridge_kernels import build_ridge_move

    version = _version()
    return Kernels(
        build_parts_list(version),
        build_transition(version),
        build_count_sweep(version),
        build_ridge_move(version),
    )


def _version() -> int:
    """Number the sources, so that a change of any of them compiles anew."""
    digest = hashlib.sha256()
    folders = [Path(__file__).parent, Path(nuts.__file__).parent]
    for source in sorted(path for folder in folders for path in folder.glob("*.py")):
        digest.update(source.read_bytes())
    return int.from_bytes(digest.digest()[:4])
