"""Sets of variables to adjust for: whether one is valid, the best, a smallest, all minimal ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from dotwin.graph.mixed_graph import MixedGraph, members

__all__ = ["Adjustment"]

#: Among how many variables every set is looked at.
_FEW = 8


@dataclass(frozen=True, eq=False)
class Adjustment:
    r"""The question which sets make :math:`P(y \mid do(x)) = \sum_w P(y \mid x, w) P(w)` true.

    A set does exactly when it holds nothing that lies on a causal path or is affected by what
    does, and separates causes from outcomes in the graph without the first arrows of the causal
    paths: the adjustment criterion [1]_ [2]_, which for one cause agrees with the back door on
    which sets of its ancestors and the outcome's are valid, and goes further for several causes.

    Parameters
    ----------
    graph : MixedGraph
    causes, outcomes : int
    always : int
        What every set holds: variables that the answer is conditional on. The set, with them, is
        then also one that no cause affects.

    References
    ----------
    .. [1] Shpitser, I., VanderWeele, T. and Robins, J. (2010). On the validity of covariate
       adjustment for estimating causal effects. UAI 26, 527-536. arXiv:1203.3515
    .. [2] van der Zander, B., Liśkiewicz, M. and Textor, J. (2019). Separators and adjustment sets
       in causal graphs: complete criteria and an algorithmic framework.
       doi:10.1016/j.artint.2018.12.006
    """

    graph: MixedGraph
    causes: int
    outcomes: int
    always: int = 0

    @cached_property
    def causal(self) -> int:
        """The variables on a directed path to an outcome that leaves the causes for good."""
        free = self.graph.everything & ~self.causes
        reached = 0
        for i in members(self.causes):
            reached |= self.graph.children[i]
        return self.graph.descendants(reached & free, free) & self.graph.ancestors(
            self.outcomes, free
        )

    @cached_property
    def forbidden(self) -> int:
        """What no valid set may hold."""
        affected = self.graph.descendants(self.causal)
        if self.always:
            affected |= self.graph.descendants(self.causes)
        return affected | self.causes | self.outcomes

    @cached_property
    def cut(self) -> MixedGraph:
        """The graph without the first arrow of each causal path."""
        return self.graph.without_arrows(
            (i, k)
            for i in members(self.causes)
            for k in members(self.graph.children[i] & self.causal)
        )

    def is_valid(self, chosen: int) -> bool:
        """Tell whether adjusting for a set, with what is always in it, gives the effect."""
        chosen |= self.always
        if chosen & self.forbidden:
            return False
        return self.cut.separated(self.causes, self.outcomes, chosen)

    @cached_property
    def candidates(self) -> int:
        """The largest set worth looking in: valid whenever any set is."""
        relevant = self.cut.ancestors(self.causes | self.outcomes | self.always)
        return relevant & ~self.forbidden & ~self.always

    @cached_property
    def exists(self) -> bool:
        """Whether any set is valid."""
        return self.is_valid(self.candidates)

    @cached_property
    def optimal(self) -> int | None:
        r"""The set with the smallest asymptotic variance of all valid ones, where it is known.

        It holds the parents of the variables on causal paths (that are not themselves on them or
        affected by them). It is the best of all sets when no hidden cause joins a variable on a
        causal path with anything outside these and what they affect [1]_ [2]_.

        Where one does, the variables joined that way are drawn in, with their parents, as far as
        no path from the cause is opened [3]_. Such a set :math:`O` is the best when, for each
        valid set :math:`W`, the cause is independent of :math:`O \setminus W` given :math:`W`,
        and the outcome of :math:`W \setminus O` given :math:`O` and the cause: adding the one and
        dropping the other then both lower the variance [2]_. That is checked for one cause where
        there are few sets. Else no set need be best, and None is returned.

        References
        ----------
        .. [1] Henckel, L., Perković, E. and Maathuis, M. (2022). Graphical criteria for efficient
           total effect estimation via adjustment in causal linear models.
           doi:10.1111/rssb.12451
        .. [2] Rotnitzky, A. and Smucler, E. (2020). Efficient adjustment sets for population
           average causal treatment effect estimation in graphical models. JMLR 21(188).
        .. [3] Runge, J. (2021). Necessary and sufficient graphical conditions for optimal
           adjustment sets in causal graphical models with hidden variables. NeurIPS 34.
           arXiv:2102.10324
        """
        if self.always or not self.exists or self.outcomes & ~self.causal:
            return None
        affected = self.graph.descendants(self.causal)
        joined = 0
        for i in members(self.causal):
            joined |= self.graph.siblings[i]
        if joined & ~affected:
            return self._optimal_with_hidden
        best = self.graph.all_parents(self.causal) & ~self.forbidden
        return best if self.is_valid(best) else None

    @property
    def _optimal_with_hidden(self) -> int | None:
        graph, causes = self.graph, self.causes
        allowed = graph.everything & ~self.forbidden
        if causes.bit_count() > 1 or allowed.bit_count() > _FEW:
            return None
        ancestors = graph.ancestors(causes | self.outcomes) & allowed
        reached = fresh = self.causal
        while fresh:
            near = 0
            for i in members(fresh):
                near |= graph.siblings[i]
            near &= allowed & ~reached
            fresh = sum(
                1 << i
                for i in members(near)
                if ancestors >> i & 1 or self.cut.separated(causes, 1 << i, ancestors)
            )
            reached |= fresh
        best = (reached | graph.all_parents(reached)) & allowed
        if not self.is_valid(best):
            return None
        for other in _subsets(allowed):
            if not self.is_valid(other):
                continue
            missing, surplus = best & ~other, other & ~best
            if missing and not graph.separated(causes, missing, other):
                return None
            if surplus and not graph.separated(self.outcomes, surplus, best | causes):
                return None
        return best

    # ── separators in an undirected graph ──────────────────────────────────────────────────────

    @cached_property
    def _between(self) -> tuple[list[int], int, int, int]:
        """Return the undirected graph of candidates, and what touches causes and outcomes.

        A set within the ancestors separates exactly when it cuts the undirected graph of
        `MixedGraph.neighbours`. What may not be chosen is taken out of that graph, its neighbours
        joined to one another.

        Returns
        -------
        neighbours : list of int
            Among candidates only.
        at_causes, at_outcomes : int
            The candidates next to a cause, and next to an outcome.
        candidates : int
        """
        relevant = self.cut.ancestors(self.causes | self.outcomes | self.always)
        neighbours = self.cut.neighbours(relevant)
        ends = self.causes | self.outcomes
        shown = relevant & ~self.always
        passed = shown & ~self.candidates & ~ends
        for i in range(len(neighbours)):
            neighbours[i] &= shown
        for i in members(passed):
            around = neighbours[i]
            for k in members(around):
                neighbours[k] = (neighbours[k] | around) & ~(1 << k | 1 << i)
            neighbours[i] = 0
        at_causes = at_outcomes = 0
        for i in members(self.causes):
            at_causes |= neighbours[i]
        for i in members(self.outcomes):
            at_outcomes |= neighbours[i]
        inner = self.candidates
        return (
            [around & inner for around in neighbours],
            at_causes & inner,
            at_outcomes & inner,
            inner,
        )

    @cached_property
    def smallest(self) -> int | None:
        """A valid set with the fewest members, or None.

        As many paths from causes to outcomes as can be found without a variable in common are as
        many as the variables that cut them all (Menger 1927).
        """
        if not self.exists:
            return None
        neighbours, at_causes, at_outcomes, _ = self._between
        after: dict[int, int] = {}  # the next variable on a path already found
        before: dict[int, int] = {}
        while True:
            # States: arriving at a variable from before ('in') or from behind it ('out').
            came: dict[tuple[int, str], tuple[int, str] | None] = {}
            queue: list[tuple[int, str]] = []
            for i in members(at_causes):
                came[i, "in"] = None
                queue.append((i, "in"))
            end: tuple[int, str] | None = None
            for state in queue:  # grows while it is read
                i, side = state
                moves: list[tuple[int, str]] = []
                if side == "in":
                    if i in after:
                        # Occupied: only back along the path that occupies it.
                        if before[i] != -1:
                            moves.append((before[i], "out"))
                    else:
                        moves.append((i, "out"))
                else:
                    if at_outcomes >> i & 1:
                        end = state
                        break
                    moves += [(k, "in") for k in members(neighbours[i])]
                    if i in after:
                        moves.append((i, "in"))
                for move in moves:
                    if move not in came:
                        came[move] = state
                        queue.append(move)
            if end is None:
                reached_in = {i for i, side in came if side == "in"}
                reached_out = {i for i, side in came if side == "out"}
                return sum(1 << i for i in reached_in - reached_out)
            _augment(end, came, after, before)

    def minimal(self) -> Iterator[int]:
        """Yield every valid set of which nothing can be left out, with bounded work for each.

        The part of the graph on the causes' side grows by a variable at a time, or leaves it out
        for good; either choice leads to another set.

        References
        ----------
        .. [1] Takata, K. (2010). Space-optimal, backtracking algorithms to list the minimal vertex
           separators of a graph. doi:10.1016/j.dam.2010.05.013
        """
        if not self.exists:
            return
        neighbours, at_causes, at_outcomes, inner = self._between

        def closest(side: int) -> tuple[int, int]:
            """Return the cut nearest to a part that holds the causes, and what it encloses."""
            border = at_causes
            for i in members(side):
                border |= neighbours[i]
            border &= ~side
            # What outcomes reach without crossing the border; the border they touch is a cut.
            outside = inner & ~border & ~side
            beyond = self._spread(at_outcomes & outside, neighbours, outside)
            touched = at_outcomes
            for i in members(beyond):
                touched |= neighbours[i]
            chosen = border & touched
            enclosed = self._spread(at_causes & ~chosen, neighbours, inner & ~chosen)
            return chosen, enclosed

        def grow(side: int, left_out: int) -> Iterator[int]:
            chosen, enclosed = closest(side)
            if enclosed & left_out:
                return
            # What touches an outcome cannot come over to the causes' side.
            open_to = chosen & ~left_out & ~at_outcomes
            if not open_to:
                yield chosen
                return
            one = open_to & -open_to
            yield from grow(enclosed | one, left_out)
            yield from grow(enclosed, left_out | one)

        yield from grow(0, 0)

    @staticmethod
    def _spread(start: int, neighbours: list[int], within: int) -> int:
        found = fresh = start & within
        while fresh:
            reached = 0
            for i in members(fresh):
                reached |= neighbours[i]
            fresh = reached & within & ~found
            found |= fresh
        return found


def _subsets(bits: int) -> Iterator[int]:
    """Yield every subset of a set."""
    one = bits
    while True:
        yield one
        if not one:
            return
        one = (one - 1) & bits


def _augment(
    end: tuple[int, str],
    came: dict[tuple[int, str], tuple[int, str] | None],
    after: dict[int, int],
    before: dict[int, int],
) -> None:
    """Reroute the paths found so far along a walk that adds one more."""
    walk: list[tuple[int, str]] = []
    state: tuple[int, str] | None = end
    while state is not None:
        walk.append(state)
        state = came[state]
    walk.reverse()
    steps = set(after.items())
    steps |= {(-1, i) for i, k in before.items() if k == -1}
    first = walk[0][0]
    steps.add((-1, first))
    for (i, side), (k, other) in pairwise(walk):
        if i == k:
            continue
        if side == "out" and other == "in":
            steps.add((i, k))
        else:  # back along a path: its step is taken away
            steps.discard((k, i))
    steps.add((walk[-1][0], -1))
    after.clear()
    before.clear()
    for i, k in steps:
        if i != -1:
            after[i] = k
        if k != -1:
            before[k] = i
