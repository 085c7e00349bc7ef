"""Who receives and who gives where a resource moves between units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dotwin.errors import SpecificationError
from dotwin.worlds.aggregate import Groups

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dotwin.worlds.futures import Futures

__all__ = ["Roles", "roles_of"]

#: Less than this part of the largest net movement is rounding.
_NOTHING = 1e-9


@dataclass(frozen=True, eq=False)
class Roles:
    """Units by what they are expected to receive.

    Parameters
    ----------
    groups : Groups
        By ``role``.
    names : tuple of str
        Of receives, gives and neither those that occur.
    sizes : tuple of int
        How many units.
    moved : array, dims (role, period)
        What they receive, on average over draws; less than 0 where they give.
    """

    groups: Groups
    names: tuple[str, ...]
    sizes: tuple[int, ...]
    moved: NDArray[np.float64]


def roles_of(futures: Futures, scenario: str) -> Roles:
    """Return who receives and who gives in a scenario that redeploys one resource.

    Parameters
    ----------
    futures : Futures
    scenario : str

    Raises
    ------
    SpecificationError
        When it redeploys nothing, or several resources.
    """
    found = {name: one for (s, name), one in futures.received.items() if s == scenario}
    if len(found) != 1:
        what = f"redeploys {' and '.join(found)}" if found else "redeploys nothing"
        raise SpecificationError(
            f"'{scenario}' {what}; gains and losses are those of one resource that moves."
        )
    ((_, received),) = found.items()
    net = received.sum(axis=1)
    least = _NOTHING * float(np.abs(net).max(initial=0.0))
    role = np.where(net > least, 0, np.where(net < -least, 1, 2))
    present = [i for i in range(3) if (role == i).any()]
    codes = np.searchsorted(present, role)
    names = tuple(("receives", "gives", "neither")[i] for i in present)
    return Roles(
        Groups(("role",), tuple((name,) for name in names), codes.astype(np.intp)),
        names,
        tuple(int((role == i).sum()) for i in present),
        np.stack([received[role == i].sum(axis=0) for i in present]),
    )
