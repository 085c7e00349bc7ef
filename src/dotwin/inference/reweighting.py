"""The draws of one mechanism, re-weighted by rows that came later.

With all parameters but the effects of single units called g, a draw of g from the earlier posterior
gets the weight p(new rows | old rows, g): each unit's effect is integrated out over what its old
rows say of it (`dotwin.inference.unit_integrals`). New period shocks and the effects of new groups
are drawn given g, near their conditional, and what is left of it goes into the weight
(`dotwin.inference.newcomers`). Pareto-smoothed weights resample the draws, and each unit with new
rows gets an effect drawn anew given all its rows.

What old rows say of a unit is read from a curve that is tabulated once
(`dotwin.inference.unit_curves`), so that the work grows with the new rows. Where curves are not
exact enough, and where a mechanism has more than one linear predictor, old rows are added up for
each draw.

The certificate: Pareto k below 0.7 (Vehtari et al. 2024, JMLR 25(72)), an effective size of the
weights of at least 400, where copies of one earlier draw count as one, and integrals whose weights
and drawn effects are, on some draws, those of all rows at more nodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dotwin.inference.changes import Changes, rows_of
from dotwin.inference.newcomers import extended, newcomers_of, propose
from dotwin.inference.unit_curves import (
    Averages,
    CurveDensity,
    UnitCurves,
    averages_of,
    curves_of,
    information_of,
)
from dotwin.inference.unit_guess import Guess, guess_of
from dotwin.inference.unit_integrals import (
    UnitDensity,
    UnitIntegrals,
    UnitRows,
    integrals,
    unit_rows,
)
from dotwin.mechanisms.design import Design
from dotwin.mechanisms.parameters import parameters
from dotwin.mechanisms.response import log_likelihood

__all__ = ["ESS_MIN", "KHAT_MAX", "Reweighted", "resampled", "reweight", "smoothed"]

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

#: Above this Pareto k, smoothed weights are not to be trusted (Vehtari et al. 2024).
KHAT_MAX = 0.7
#: As many effective draws as are asked of a sampler (Vehtari et al. 2021).
ESS_MIN = 400
#: To first order, the sd of a change of the log weights bounds the shift of any mean in sds.
WEIGHT_MAX = 0.02
#: By how many of its sds a unit's effect may change with more nodes (root mean square over draws).
EFFECT_MAX = 0.1
#: Draws on which the integrals are checked, and those from which modes and curves are learned.
CHECKED, LEARNED = 30, 200
#: Earlier draws that are weighted, evenly spread; all of them where these leave too few.
WEIGHTED = 2000
#: Numbers held at once: draws are taken in blocks below this many.
BLOCK = 4_000_000
#: Effects drawn for each draw, of which copies of it by resampling take different ones.
COPIES = 2


@dataclass(frozen=True)
class Way:
    """A way of taking the integrals over the effects of units.

    Parameters
    ----------
    curves : bool
        Whether old rows are read from curves rather than added up.
    nodes, steps : int
        Of the quadrature, and Newton steps to its centre.
    """

    curves: bool
    nodes: int
    steps: int

    @property
    def check(self) -> Way:
        """What it is compared with."""
        more = 2 if self.curves else self.nodes + 1
        return Way(False, self.nodes + more, self.steps)


#: The first that is exact enough is taken.
WAYS = (
    Way(True, 5, 0),
    Way(True, 7, 1),
    Way(False, 5, 0),
    Way(False, 7, 1),
    Way(False, 15, 2),
)


@dataclass(frozen=True, eq=False)
class Reweighted:
    """Draws that were re-weighted, and whether they can be used.

    Parameters
    ----------
    posterior : dict of str to array
        By posterior name, the draw first; empty where they cannot be used.
    khat : float
        Pareto k of the weights.
    ess : float
        Their effective size; copies of one earlier draw count as one.
    draws : int
        How many were weighted.
    quadrature : float
        By how much weights and effects change with more nodes; 1 is the most that is allowed.
    """

    posterior: Mapping[str, Floats] = field(default_factory=dict)
    khat: float = np.nan
    ess: float = np.nan
    draws: int = 0
    quadrature: float = 0.0

    @property
    def is_weighted(self) -> bool:
        """Whether there are weights."""
        return bool(np.isfinite(self.khat))

    @property
    def is_short(self) -> bool:
        """Whether nothing but the number of effective draws is wanting."""
        sound = self.quadrature < 1.0 and self.khat < KHAT_MAX
        return sound and self.ess < ESS_MIN

    @property
    def complaint(self) -> str:
        """Why they cannot be used; empty where they can."""
        if not self.quadrature < 1.0:
            return (
                f"integrals over unit effects are not exact enough ({self.quadrature:.2g} times "
                f"the error that is allowed)"
            )
        if not self.khat < KHAT_MAX:
            return f"the weights have too heavy a tail (k-hat {self.khat:.2f})"
        if not self.ess >= ESS_MIN:
            return f"too few effective draws are left ({self.ess:,.0f} of {self.draws:,})"
        return ""


def reweight(
    old: Design,
    new: Design,
    changes: Changes,
    values: Mapping[str, Floats],
    *,
    unit: str,
    keep: int,
    seed: int,
) -> Reweighted:
    """Re-weight a mechanism's draws by its new rows.

    Parameters
    ----------
    old, new : Design
        Of the earlier panel and of the later one, at the same reference scales and constants.
    changes : Changes
        With no earlier row revised or gone.
    values : dict of str to array
        Draws of the earlier posterior, the draw first.
    unit : str
        The level of the units.
    keep : int
        How many draws to return.
    seed : int

    Returns
    -------
    Reweighted
    """
    available = next(iter(values.values())).shape[0]
    some = _spread_over(available, WEIGHTED)
    thinned = {name: array[some] for name, array in values.items()}
    result = _weighted(old, new, changes, thinned, unit, keep, seed)
    # All of them may do where some leave too few.
    if result.is_short and result.ess * available >= ESS_MIN * result.draws:
        result = _weighted(old, new, changes, values, unit, keep, seed)
    return result


def _weighted(
    old: Design,
    new: Design,
    changes: Changes,
    values: Mapping[str, Floats],
    unit: str,
    keep: int,
    seed: int,
) -> Reweighted:
    rng = np.random.default_rng(seed)
    particles = extended(old, new, values)
    count = next(iter(particles.values())).shape[0]
    inner = f"{new.child}.{unit}" if unit in new.main.predictor.levels else ""
    task = _Task(old, new, changes, inner, unit)
    way, error = _enough(task, particles, seed)
    if not error < 1.0:
        return Reweighted(draws=count, quadrature=error)
    logs = np.zeros(count)
    effects = np.zeros((COPIES, count, task.touched))
    for block in task.blocks(count):
        held = {name: array[block] for name, array in particles.items()}
        ratio, inside = task.weigh(held, rng, way)
        logs[block] = ratio
        if inside is not None:
            logs[block] += inside.gain()
            effects[:, block] = inside.draw(rng.uniform(size=(COPIES, ratio.size, task.touched)))
        for name, array in held.items():
            particles[name][block] = array
    weights, khat = smoothed(logs)
    ess = _effective(weights, _sources(new, values))
    result = Reweighted({}, khat, ess, count, error)
    if result.complaint:
        return result
    at, copy = resampled(weights, keep, rng)
    posterior = {name: array[at] for name, array in particles.items()}
    if inner:
        whole = posterior[inner]
        whole[:, task.units.group] = effects[copy % COPIES, at]
        _fill_unseen(whole, old, new, task, posterior[task.sd], rng)
    return Reweighted(posterior, khat, ess, count, error)


class _Task:
    """What does not depend on the draws."""

    def __init__(self, old: Design, new: Design, changes: Changes, inner: str, unit: str) -> None:
        self.inner, self.level, self.sd = inner, unit, f"{new.child}.sd_{unit}"
        self.units: UnitRows = (
            unit_rows(new, changes.earlier, changes.added, unit)
            if inner
            else (
                UnitRows(
                    rows_of(new, changes.earlier[:0]),
                    rows_of(new, changes.added),
                    np.zeros(0, dtype=np.intp),
                    np.zeros(changes.added.size, dtype=np.intp),
                    np.zeros(0, dtype=np.intp),
                    unit,
                )
            )
        )
        self.rows = self.units.new
        self.newcomers = newcomers_of(old, new, self.rows, inner)
        self.averages: Averages | None = None
        self.guess: Guess | None = None
        self.curves: UnitCurves | None = None

    @property
    def touched(self) -> int:
        """How many units have new rows and an effect."""
        return int(self.units.group.size)

    def blocks(self, count: int) -> list[slice]:
        """Cut draws into blocks that fit into memory."""
        effects = sum(one.size for one in self.newcomers)
        held = self.units.old.rows if self.curves is None else 0
        held += self.rows.rows + 100 * self.touched + effects**2
        size = max(1, BLOCK // max(held, 1))
        return [slice(at, min(at + size, count)) for at in range(0, count, size)]

    def learn(self, particles: Mapping[str, Floats], seed: int) -> None:
        """Learn from some draws where effects lie, and tabulate what rows say of them."""
        picked = _spread_over(next(iter(particles.values())).shape[0], LEARNED)
        some = {name: array[picked] for name, array in particles.items()}
        effect, sd = some[self.inner][:, self.units.group], some[self.sd]
        some[self.inner] = np.zeros_like(some[self.inner])
        weights = information_of(self.units, some, effect.mean(axis=0))
        self.averages = averages_of(self.units, weights, some, self.inner)
        self.guess = guess_of(self.units, effect, self.averages.of(some), sd)
        self.propose(some, np.random.default_rng(seed))
        self.curves = curves_of(self.units, self.averages, some, effect, particles)

    def propose(
        self, values: dict[str, Floats], rng: np.random.Generator
    ) -> tuple[Floats, Floats, Floats]:
        """Draw new effects in place; return their log ratio and the guess for each unit.

        The effects of the units, which are given as 0, are left so.
        """
        if self.guess is None or self.averages is None:
            raise RuntimeError("the modes are guessed before draws are weighed")
        inner = values[self.inner]
        start, spread = self.guess.of(self.averages.of(values), values[self.sd])
        inner[:, self.units.group] = start
        ratio = propose(self.newcomers, self.rows, values, spread[:, self.units.new_unit], rng)
        inner[:, self.units.group] = 0.0
        return ratio, start, spread

    def weigh(
        self, values: dict[str, Floats], rng: np.random.Generator, way: Way
    ) -> tuple[Floats, UnitIntegrals | None]:
        """Draw new effects in place; return their log ratio and the integrands of the units."""
        if not self.rows.rows:
            return propose(self.newcomers, self.rows, values, None, rng), None
        if not self.inner:
            ratio = propose(self.newcomers, self.rows, values, None, rng)
            return ratio + log_likelihood(self.rows, values).sum(axis=1), None
        own = values[self.inner]
        values[self.inner] = np.zeros_like(own)
        ratio, start, spread = self.propose(values, rng)
        density: UnitDensity | CurveDensity = (
            CurveDensity(self.curves, values)
            if way.curves and self.curves is not None
            else UnitDensity(self.units, values)
        )
        inside = integrals(density, start, spread, values[self.sd], way.nodes, way.steps)
        values[self.inner] = own
        return ratio, inside


def _enough(task: _Task, particles: Mapping[str, Floats], seed: int) -> tuple[Way, float]:
    """Find the first way that is exact enough, and what error it leaves."""
    if not task.inner or not task.rows.rows:
        return WAYS[0], 0.0
    task.learn(particles, seed)
    picked = _spread_over(next(iter(particles.values())).shape[0], CHECKED)
    noise = np.random.default_rng(seed).uniform(size=(1, picked.size, task.touched))
    error = np.inf
    for way in WAYS:
        if way.curves and task.curves is None:
            continue
        gains, drawn, scale = [], [], np.ones(1)
        for one in (way, way.check):
            some = {name: array[picked] for name, array in particles.items()}
            # The same new effects either way.
            _, inside = task.weigh(some, np.random.default_rng(seed), one)
            assert inside is not None
            gains.append(inside.gain())
            drawn.append(inside.draw(noise)[0])
            scale = inside.scale
        apart = (drawn[1] - drawn[0]) / scale
        worst = float(np.sqrt((apart**2).mean(axis=0)).max(initial=0.0))
        error = max(float(np.std(gains[1] - gains[0])) / WEIGHT_MAX, worst / EFFECT_MAX)
        if error < 1.0:
            if not way.curves:
                task.curves = None
            return way, error
    return WAYS[-1], error if np.isfinite(error) else np.inf


def _spread_over(count: int, most: int) -> Indices:
    picked = min(count, most)
    return np.floor((np.arange(picked) + 0.5) * count / picked).astype(np.intp)


def smoothed(logs: Floats) -> tuple[Floats, float]:
    """Return normalised Pareto-smoothed weights and their k."""
    from arviz_stats.base.array import array_stats

    if np.isnan(logs).any() or not np.isfinite(logs.max()):
        return np.full(logs.size, 1.0 / logs.size), np.inf
    if np.ptp(logs) == 0.0:
        return np.full(logs.size, 1.0 / logs.size), 0.0
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        smooth, khat = array_stats.psislw(-logs)
    weights = np.exp(smooth - np.max(smooth))
    return weights / weights.sum(), float(khat)


def _sources(design: Design, values: Mapping[str, Floats]) -> Indices:
    """Number draws so that copies of one earlier draw have one number."""
    free = [
        values[one.name].reshape(values[one.name].shape[0], -1)
        for one in parameters(
            design.equation, design.reference, design.group_names, design.period_names
        )
        if one.kind in ("free", "dispersion", "cutpoints")
    ]
    _, number = np.unique(np.concatenate(free, axis=1), axis=0, return_inverse=True)
    return np.asarray(number, dtype=np.intp).ravel()


def _effective(weights: Floats, sources: Indices) -> float:
    return float(1.0 / (np.bincount(sources, weights) ** 2).sum())


def resampled(weights: Floats, keep: int, rng: np.random.Generator) -> tuple[Indices, Indices]:
    """Resample systematically; return which draws, in their order, and the number of each copy.

    Copies stay side by side, so that what measures the autocorrelation of chains sees them.
    """
    wanted = (np.arange(keep) + rng.uniform()) / keep
    total = np.cumsum(weights)
    at = np.minimum(np.searchsorted(total / total[-1], wanted), weights.size - 1)
    first = np.searchsorted(at, at)
    return at.astype(np.intp), (np.arange(keep) - first).astype(np.intp)


def _fill_unseen(
    effects: Floats,
    old: Design,
    new: Design,
    task: _Task,
    sd: Floats,
    rng: np.random.Generator,
) -> None:
    """Draw the effects of new units without a row of their own from their population."""
    seen = set(old.group_names[task.level])
    touched = set(task.units.group.tolist())
    unseen = [
        i
        for i, name in enumerate(new.group_names[task.level])
        if name not in seen and i not in touched
    ]
    effects[:, unseen] = sd[:, None] * rng.standard_normal((sd.size, len(unseen)))
