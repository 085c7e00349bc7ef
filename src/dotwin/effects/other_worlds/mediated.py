"""The nested worlds behind an effect that is taken apart, averaged and compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dotwin.effects.other_worlds.mediators import Paths
from dotwin.spec.expressions import evaluate, parse
from dotwin.worlds.aggregate import Groups
from dotwin.worlds.nested import Nested, nesting
from dotwin.worlds.world import WorldEnvironment

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dotwin.worlds.program import Program
    from dotwin.worlds.run import Run
    from dotwin.worlds.world import World

__all__ = ["Kind", "parts_of"]

Kind = Literal["interventional", "natural", "path"]


def parts_of(
    run: Run, paths: Paths, kind: Kind, groups: Groups, replicates: int | None
) -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]]]:
    """Simulate the nested worlds and take their differences; and what noise is left."""
    recipe, programs = _recipe(run, paths, kind)
    count = replicates if replicates is not None else _usual_replicates(run, programs, recipe)
    each = []
    for replicate in range(count):
        # The other noise is that of the next replicate but one: the next is this one's mirror.
        other = (replicate + 2) % (2 * ((count + 1) // 2)) if count > 2 else 2 + replicate
        level = _levels(run, paths, programs, recipe, groups, replicate, other)
        each.append(_differences(level, kind))
    parts = {name: np.mean([one[name] for one in each], axis=0) for name in each[0]}
    # Mirrored noise is one: its two halves are not independent.
    pairs = [each[i : i + 2] for i in range(0, count, 2)]
    if len(pairs) > 1:
        means = {n: np.stack([_mean(pair, n) for pair in pairs]) for n in parts}
        share = len(pairs)
    else:
        # Some draws at independent noise show how far the one pair is from its average.
        step = max(1, run.shape[0] * run.shape[1] // _DRAWS_FOR_NOISE)
        further = [
            _differences(
                _levels(run, paths, programs, recipe, groups, replicate, other, step), kind
            )
            for replicate, other in zip(range(4, 4 + count), range(6, 6 + count), strict=True)
        ]
        means = {n: np.stack([_mean(each, n)[::step], _mean(further, n)[::step]]) for n in parts}
        share = 1
    noise = {n: values.var(axis=0, ddof=1).mean(axis=0) / share for n, values in means.items()}
    return parts, noise


def _mean(several: Sequence[Mapping[str, NDArray[np.float64]]], name: str) -> NDArray[np.float64]:
    return np.asarray(np.mean([one[name] for one in several], axis=0))


#: About so many values are simulated unless told how often.
_BUDGET = 60_000_000
#: On how many draws the noise that is left is judged where there is one pair of replicates.
_DRAWS_FOR_NOISE = 50


def _usual_replicates(run: Run, programs: Sequence[Program], recipe: Sequence[Nested]) -> int:
    chains, draws, units, periods = run.shape
    nodes = sum(len(programs[one.program].order) for one in recipe)
    each = max(chains * draws * units, 20_000) * periods * nodes
    if each > 2 * _BUDGET:
        return 1
    return 2 * int(np.clip(_BUDGET // (2 * each), 1, 8))


def _recipe(run: Run, paths: Paths, kind: Kind) -> tuple[tuple[Nested, ...], tuple[Program, ...]]:
    """Say which worlds are needed and what must be simulated in each."""
    _, a, b = run.programs
    twin = run.twin

    def pruned(program: Program, needed: frozenset[str]) -> Program:
        return replace(program, order=tuple(n for n in program.order if n in needed))

    whole = paths.above(twin, {paths.on}) | paths.above(twin, set(paths.through))
    first, second = pruned(a, whole), pruned(b, whole)
    cut = paths.above(twin, {paths.on}, blocked=frozenset(paths.through))
    if kind == "path":
        recipe = (Nested("a", 0), Nested("b", 1), Nested("path", 1, arrows=paths.arrows))
        return recipe, (first, second)
    held_first, held_second = pruned(a, cut), pruned(b, cut)
    if kind == "natural":
        return (
            Nested("a", 0),
            Nested("b", 1),
            Nested("b, M of a", 3, imposed=dict.fromkeys(paths.through, "a")),
            Nested("a, M of b", 2, imposed=dict.fromkeys(paths.through, "b")),
        ), (first, second, held_first, held_second)
    only = paths.above(twin, set(paths.through))
    like_a, like_b = (dict.fromkeys(paths.through, name) for name in ("G of a", "G of b"))
    return (
        Nested("a", 0),
        Nested("b", 1),
        Nested("G of a", 4, other_noise=True),
        Nested("G of b", 5, other_noise=True),
        Nested("a, G of a", 2, imposed=like_a),
        Nested("b, G of a", 3, imposed=like_a),
        Nested("b, G of b", 3, imposed=like_b),
    ), (first, second, held_first, held_second, pruned(a, only), pruned(b, only))


def _levels(
    run: Run,
    paths: Paths,
    programs: tuple[Program, ...],
    recipe: tuple[Nested, ...],
    groups: Groups,
    replicate: int,
    other: int,
    step: int = 1,
) -> dict[str, NDArray[np.float64]]:
    """Average the outcome in each world, dims (draw, group, period); of every so many draws."""
    chains, draws, _, periods = run.shape
    shape = (chains * draws, len(groups.labels), periods)
    above = {one.name: np.zeros(shape) for one in recipe}
    below = {one.name: np.zeros(shape) for one in recipe}
    one = run.twin.indicators[paths.on]
    over = parse(str(one.trials or one.exposure)) if one.trials or one.exposure else None
    past = run.start.past

    def keep(rows: slice, name: str, world: World, expected: list[Any]) -> None:
        if name.startswith("G of"):
            return
        for t in range(periods):
            value = np.atleast_2d(np.asarray(expected[t], dtype=float))
            size: Any = np.ones(value.shape)
            if over is not None:
                environment = WorldEnvironment(run.twin, world, run.start.members, past + t)
                size = np.asarray(evaluate(over, environment), dtype=float)
            value, size = np.broadcast_arrays(value, size)
            known = np.isfinite(value) & np.isfinite(size)
            for into, part in ((above, value), (below, size)):
                filled = np.where(known, part, 0.0)[..., None]
                into[name][rows, :, t] = groups.total(filled)[..., 0]

    nesting(run, programs, paths.on, replicate, other).nest(recipe, keep, step)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {name: above[name] / below[name] for name in above}


def _differences(
    level: Mapping[str, NDArray[np.float64]], kind: Kind
) -> dict[str, NDArray[np.float64]]:
    total = level["b"] - level["a"]
    if kind == "path":
        along = level["path"] - level["a"]
        return {"total": total, "along the path": along, "elsewhere": total - along}
    if kind == "natural":
        held, moved = level["b, M of a"], level["a, M of b"]
        return {
            "total": total,
            "direct": held - level["a"],
            "indirect": level["b"] - held,
            "total direct": level["b"] - moved,
            "pure indirect": moved - level["a"],
        }
    direct = level["b, G of a"] - level["a, G of a"]
    indirect = level["b, G of b"] - level["b, G of a"]
    return {
        "total": total,
        "direct": direct,
        "indirect": indirect,
        "overall": direct + indirect,
        "gap": total - direct - indirect,
    }
