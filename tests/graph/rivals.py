"""Two systems on one graph that agree on all that is recorded and differ in an effect.

Where an effect is not identified such a pair exists. It is found by walking: from a random system
along directions in which no recorded probability moves (the null space of their derivatives) and
the effect does, with Newton steps back onto the system's recorded joint after each step. So the
pair does not rest on any theory of identification, and proves its verdict by example.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np

from dotwin.graph import CausalGraph
from dotwin.graph.separation import Node
from tests.graph.discrete import System, random_system

Answer = Callable[[System], np.ndarray]

#: How far the recorded joints may differ: float arithmetic.
AGREE = 1e-13
#: How far the effects must differ.
DIFFER = 1e-3


class _Walk:
    """A system in free numbers: the logits of its tables' rows, relative to the last value."""

    def __init__(self, system: System, answer: Answer) -> None:
        self.start, self.answer = system, answer
        self.shapes = {node: table.shape for node, table in system.tables.items()}
        rows = [
            np.log(table[..., :-1] / table[..., -1:]).ravel() for table in system.tables.values()
        ]
        self.theta = np.concatenate(rows)

    def system(self, theta: np.ndarray) -> System:
        tables, at = {}, 0
        for node, shape in self.shapes.items():
            size = int(np.prod(shape[:-1])) * (shape[-1] - 1)
            logits = theta[at : at + size].reshape(*shape[:-1], shape[-1] - 1)
            at += size
            whole = np.exp(np.concatenate([logits, np.zeros((*shape[:-1], 1))], axis=-1))
            tables[node] = whole / whole.sum(axis=-1, keepdims=True)
        return System(self.start.graph, self.start.parents, tables)

    def recorded(self, theta: np.ndarray) -> np.ndarray:
        return self.system(theta).observed().values.ravel()

    def effect(self, theta: np.ndarray) -> np.ndarray:
        return self.answer(self.system(theta)).ravel()

    def slopes(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the derivatives of the recorded joint and of the effect, by complex steps."""
        tiny = 1e-30
        one, other = [], []
        for j in range(len(theta)):
            moved = theta.astype(complex)
            moved[j] += 1j * tiny
            one.append(self.recorded(moved).imag / tiny)
            other.append(self.effect(moved).imag / tiny)
        return np.array(one).T, np.array(other).T


def rival_systems(
    graph: CausalGraph,
    causes: Collection[Node],
    outcomes: Collection[Node],
    rng: np.random.Generator,
    tries: int = 6,
    answer: Answer | None = None,
    levels: int = 2,
    hidden_levels: int = 2,
) -> tuple[System, System] | None:
    """Return two systems with one recorded joint and two effects, or None when none was found.

    ``answer`` is what they differ in, where that is not P(outcomes | do(causes)).
    """
    # What the outcomes do not come from can be drawn last, alike in both.
    kept = graph.ancestors(outcomes) | set(outcomes) | set(causes)
    small = CausalGraph(
        [(a, b) for a, b in graph.edges if a in kept and b in kept],
        [pair for pair in graph.hidden if set(pair) <= kept],
        nodes=[node for node in graph.nodes if node in kept],
    )
    if answer is None:

        def answer(system: System) -> np.ndarray:
            return system.under(causes, outcomes).values

    for trial in range(tries):
        start = random_system(small, rng, levels, hidden_levels + trial // 2)
        walk = _Walk(start, answer)
        if (found := _walked(walk)) is not None:
            return walk.system(walk.theta), walk.system(found)
    return None


def _walked(walk: _Walk) -> np.ndarray | None:
    goal, first = walk.recorded(walk.theta), walk.effect(walk.theta)
    theta, heading = walk.theta, None
    for _ in range(40):
        joint, effect = walk.slopes(theta)
        left, sizes, right = np.linalg.svd(joint, full_matrices=True)
        rank = int((sizes > sizes[0] * 1e-9).sum())
        still = right[rank:]
        if heading is None:
            # The effect's coordinate that moves most while the recorded joint stands still.
            moves = effect @ still.T
            heading = int(np.argmax(np.linalg.norm(moves, axis=1)))
        direction = (effect[heading] @ still.T) @ still
        if np.linalg.norm(direction) < 1e-7:
            return None
        inverse = (right[:rank].T / sizes[:rank]) @ left[:, :rank].T
        moved = theta + 0.3 * direction / np.linalg.norm(direction)
        for _ in range(60):
            if np.abs(moved).max() > 100:  # a table's row has run into a corner
                return None
            off = walk.recorded(moved) - goal
            if np.abs(off).max() < AGREE / 10:
                break
            moved = moved - inverse @ off
        if np.abs(walk.recorded(moved) - goal).max() > AGREE:
            return None
        theta = moved
        if np.abs(walk.effect(theta) - first).max() > 2 * DIFFER:
            return theta
    return None
