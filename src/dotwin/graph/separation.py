"""When variables of a graph are independent: the search for a path that joins them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

__all__ = ["Node", "Nodes", "OpenPath", "first_open_path", "node_name"]

#: A variable, or a variable at a period of an unrolled graph.
type Node = str | tuple[str, int]
type Nodes = Node | Iterable[Node]


def node_name(node: Node) -> str:
    """Print a node: ``x``, or ``x[3]`` for the variable x at period 3.

    Examples
    --------
    >>> node_name(("staff", 3))
    'staff[3]'
    """
    return node if isinstance(node, str) else f"{node[0]}[{node[1]}]"


@dataclass(frozen=True)
class OpenPath:
    """A path along which two variables are dependent, whatever one does to the other.

    Parameters
    ----------
    nodes : tuple of Node
        From one end to the other.
    arrows : tuple of {'←', '→'}
        Between neighbours, one fewer than the nodes.

    Examples
    --------
    >>> print(OpenPath(("X", "Z", "Y"), ("←", "→")))
    X ← Z → Y
    """

    nodes: tuple[Node, ...]
    arrows: tuple[str, ...]

    def words(self, names: Mapping[Node, str]) -> str:
        """Print the path with other names for some of its nodes."""
        text = names.get(self.nodes[0], node_name(self.nodes[0]))
        for arrow, node in zip(self.arrows, self.nodes[1:], strict=True):
            text += f" {arrow} {names.get(node, node_name(node))}"
        return text

    def __str__(self) -> str:
        return self.words({})


def first_open_path(
    start: Sequence[Node],
    goal: Set[Node],
    *,
    given: Set[Node],
    determined: Set[Node],
    causes: Callable[[Node], Iterable[Node]],
    effects: Callable[[Node], Iterable[Node]],
) -> OpenPath | None:
    """Search breadth-first over (node, direction of arrival) for a path that d-connects.

    Parameters
    ----------
    start, goal : sequence of Node, set of Node
        The ends; the order of the first decides among paths of one length.
    given, determined : set of Node
        What is conditioned on, and that with all that is an exact function of it.
    causes, effects : callable
        The neighbours of a node along the arrows that the question leaves in the graph.

    Returns
    -------
    OpenPath or None
    """
    opened: set[Node] = set(given)  # colliders here let dependence pass
    upwards = deque(given)
    while upwards:
        for cause in causes(upwards.popleft()):
            if cause not in opened:
                opened.add(cause)
                upwards.append(cause)
    # Arrived 'up' is from an effect (or the start), 'down' is from a cause.
    came: dict[tuple[Node, str], tuple[Node, str] | None] = {
        (node, "up"): None for node in start if node not in determined
    }
    queue = deque(came)
    while queue:
        state = queue.popleft()
        node, arrival = state
        if node in goal and node not in determined:
            return _trace(state, came)
        moves: list[tuple[Node, str]] = []
        if node not in determined:
            moves += [(effect, "down") for effect in effects(node)]
        if (arrival == "up" and node not in determined) or (arrival == "down" and node in opened):
            moves += [(cause, "up") for cause in causes(node)]
        for move in moves:
            if move not in came:
                came[move] = state
                queue.append(move)
    return None


def _trace(
    end: tuple[Node, str], came: Mapping[tuple[Node, str], tuple[Node, str] | None]
) -> OpenPath:
    states = [end]
    while (before := came[states[-1]]) is not None:
        states.append(before)
    states.reverse()
    arrows = tuple("→" if arrival == "down" else "←" for _, arrival in states[1:])
    return OpenPath(tuple(node for node, _ in states), arrows)
