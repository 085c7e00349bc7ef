"""Where the boxes and arrows of a drawn graph go: layers from cause to effect."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["Layout", "layered"]

#: Room for an arrow that passes a layer, where a box takes 1.
_LINE = 0.2


@dataclass(frozen=True)
class Layout:
    """Places of boxes and bends of arrows, in steps of one layer and one row.

    Parameters
    ----------
    places : dict of str to (float, float)
        Layer (0 is leftmost) and row of each box.
    bends : dict of (str, str) to list of (float, float)
        Places that an arrow passes between its two boxes, from cause to effect; rows there are
        free of boxes.
    """

    places: dict[str, tuple[float, float]]
    bends: dict[tuple[str, str], list[tuple[float, float]]]


def layered(
    nodes: Sequence[str], forward: Sequence[tuple[str, str]], lagged: Iterable[tuple[str, str]]
) -> Layout:
    """Lay out a graph in layers so that arrows run from left to right and seldom cross.

    Arrows of feedback run backwards: they are laid out turned round, so that they too get a free
    way between the boxes.

    Parameters
    ----------
    nodes : sequence of str
    forward : sequence of (str, str)
        Arrows without a cycle.
    lagged : iterable of (str, str)
        Further arrows, which may close cycles; none from a node to itself.

    Returns
    -------
    Layout

    References
    ----------
    .. [1] Sugiyama, K., Tagawa, S., Toda, M. (1981). Methods for visual understanding of
       hierarchical system structures. doi:10.1109/TSMC.1981.4308636
    """
    from fast_sugiyama import from_edges

    # Each line of the layout carries an arrow, the turned arrow of a feedback, or both.
    lines: dict[tuple[str, str], set[tuple[str, str]]] = {edge: {edge} for edge in forward}
    for cause, effect in lagged:
        line = (effect, cause) if _leads(lines, effect, cause) else (cause, effect)
        lines.setdefault(line, set()).add((cause, effect))

    # Numbers, because the library orders names by their hash, which differs between runs.
    number = {name: i for i, name in enumerate(nodes)}
    linked = sorted({number[name] for edge in lines for name in edge})
    dense = {i: k for k, i in enumerate(linked)}
    edges = [(dense[number[a]], dense[number[b]]) for a, b in lines]
    top = 0.0
    parts = (
        from_edges(edges, vertex_spacing=1, dummy_vertices=True, dummy_size=_LINE) if edges else []
    )
    # Dummies are numbered anew in each part, so each part is read on its own.
    places: dict[str, tuple[float, float]] = {}
    bends: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for positions, _, _, steps in sorted(parts, key=lambda part: -len(part[0])):
        depth = max(y for _, (_, y) in positions)
        left = min(x for _, (x, _) in positions)
        at = {key: (depth - y, x - left + top) for key, (x, y) in positions}
        after: dict[int | str, list[int | str]] = {}
        for a, b in steps or ():
            after.setdefault(a, []).append(b)
        for key, place in at.items():
            if isinstance(key, int) and key < len(linked):
                places[nodes[linked[key]]] = place
        for key in at:
            if not isinstance(key, int) or key >= len(linked):
                continue
            for step in after.get(key, ()):
                way: list[tuple[float, float]] = []
                while isinstance(step, int) and step >= len(linked):
                    way.append(at[step])
                    (step,) = after[step]
                line = nodes[linked[key]], nodes[linked[int(step)]]
                for arrow in lines[line]:
                    bends[arrow] = way if arrow == line else way[::-1]
        top = max(row for _, row in at.values()) + 1
    alone = [name for name in nodes if name not in places]
    for i, name in enumerate(alone):
        width = max((layer for layer, _ in places.values()), default=3.0) + 1
        places[name] = (i % width, top + i // width)
    return Layout(places, bends)


def _leads(edges: Iterable[tuple[str, str]], start: str, end: str) -> bool:
    """Tell whether a directed path leads from start to end."""
    children: dict[str, list[str]] = {}
    for a, b in edges:
        children.setdefault(a, []).append(b)
    waiting, seen = [start], {start}
    while waiting:
        node = waiting.pop()
        if node == end:
            return True
        fresh = [child for child in children.get(node, ()) if child not in seen]
        seen.update(fresh)
        waiting += fresh
    return False
