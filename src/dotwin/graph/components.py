"""Which mechanisms are fitted together: those that share an unknown."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dotwin.graph.twin_graph import TwinGraph

__all__ = ["Component", "components"]


@dataclass(frozen=True)
class Component:
    """Mechanisms to fit together.

    Parameters
    ----------
    mechanisms : tuple of str
        Indicators with a family, as declared.
    imputed : tuple of str
        Causes whose missing values are parameters here.
    hidden_causes : tuple of str
        Hidden causes that act on one of the mechanisms.
    """

    mechanisms: tuple[str, ...]
    imputed: tuple[str, ...] = ()
    hidden_causes: tuple[str, ...] = ()


def components(graph: TwinGraph, impute: Collection[str]) -> tuple[Component, ...]:
    """Return the groups of mechanisms that share an unknown; see `TwinGraph.components`."""
    fitted = graph.twin.stochastic
    group = {name: {name} for name in fitted}
    readers: dict[str, list[str]] = {}
    for cause in impute:
        found = _readers(graph, cause)
        readers[cause] = [name for name in fitted if name == cause or name in found]
        merged = set().union(*(group[name] for name in readers[cause]))
        for name in merged:
            group[name] = merged
    for hidden in graph.twin.hidden_causes.values():
        if hidden.is_fitted:
            merged = set().union(*(group[name] for name in hidden.affects if name in group))
            for name in merged:
                group[name] = merged
    result: dict[tuple[str, ...], None] = {}
    for name in fitted:
        result[tuple(one for one in fitted if one in group[name])] = None
    return tuple(
        Component(
            mechanisms,
            tuple(c for c in graph.indicators if set(readers.get(c, ())) & set(mechanisms)),
            tuple(
                name
                for name, hidden in graph.twin.hidden_causes.items()
                if set(hidden.affects) & set(mechanisms)
            ),
        )
        for mechanisms in result
    )


def _readers(graph: TwinGraph, cause: str) -> set[str]:
    """Return the indicators that read a cause, through exact ones too."""
    found: set[str] = set()
    waiting = [cause]
    while waiting:
        for child in graph.children(waiting.pop()):
            if child not in found:
                found.add(child)
                if graph.twin.indicators[child].equals is not None:
                    waiting.append(child)
    return found
