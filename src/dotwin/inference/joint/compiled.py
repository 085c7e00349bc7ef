"""The compiled kernels, looked up when first needed because numba is slow to import."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from dotwin.inference import nuts

__all__ = ["Kernels", "kernels"]


class Kernels(NamedTuple):
    """The three steps of a sweep.

    Parameters
    ----------
    transition : compiled function
        Moves a mechanism's parameters.
    refresh : compiled function
        Brings what the unknown values are drawn with up to these parameters.
    sweep : compiled function
        Draws every unknown value.
    """

    transition: Any
    refresh: Any
    sweep: Any


@cache
def kernels() -> Kernels:
    """Return the kernels; they are compiled once per machine, later processes read them."""
    from dotwin.inference.joint.cell_kernels import build_cell_sweep
    from dotwin.inference.joint.hamiltonian import build_transition
    from dotwin.inference.joint.mechanism_kernels import build_refresh

    version = _version()
    return Kernels(
        build_transition(version),
        build_refresh(version),
        build_cell_sweep(version),
    )


def _version() -> int:
    """Number the sources, so that a change of any of them compiles anew."""
    digest = hashlib.sha256()
    folders = [Path(__file__).parent, Path(nuts.__file__).parent]
    for source in sorted(path for folder in folders for path in folder.glob("*.py")):
        digest.update(source.read_bytes())
    return int.from_bytes(digest.digest()[:4])
