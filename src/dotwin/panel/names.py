"""Do the names that a condition compares with occur in a panel?

``region == 'nort'`` holds nowhere, and whoever wrote it meant something: it is told, not obeyed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from dotwin.errors import Problem, SpecificationError, nearest
from dotwin.spec.expressions import Compare, Expr, Ref, Start, Text

if TYPE_CHECKING:
    from dotwin.panel.panel import Panel

__all__ = ["refuse_unknown_names"]


def refuse_unknown_names(panel: Panel, asked: Iterable[tuple[str, Expr]]) -> None:
    """Raise where a level or a text indicator is compared with a name that does not occur.

    Parameters
    ----------
    panel : Panel
    asked : iterable of (str, Expr)
        Where each expression stands, for the message.

    Raises
    ------
    SpecificationError
        With every such name.
    """
    problems = []
    for where, expression in asked:
        for part in expression.walk():
            if not isinstance(part, Compare):
                continue
            for one, other in ((part.left, part.right), (part.right, part.left)):
                ref = one.item if isinstance(one, Start) else one
                if not isinstance(ref, Ref) or not isinstance(other, Text):
                    continue
                known = _names(panel, ref.name)
                if known is not None and other.value not in known:
                    words = f"no {ref.name} is called '{other.value}'. "
                    problems.append(Problem(where, words + nearest(other.value, sorted(known))))
    if problems:
        raise SpecificationError(problems)


def _names(panel: Panel, name: str) -> frozenset[str] | None:
    """Return the groups of a level or the words of a text indicator; None for a number."""
    if name in panel.twin.panel.all_levels:
        return frozenset(map(str, panel.groups(name)[1]))
    values = panel.values(name) if name in panel.twin.indicators else np.zeros(0)
    return frozenset(map(str, np.unique(values))) if values.dtype.kind in "OUT" else None
