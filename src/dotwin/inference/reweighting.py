"""The draws of one mechanism, re-weighted by rows that came later.

With all parameters but the effects of single units called g, a draw of g from the earlier posterior
gets the weight p(new rows | old rows, g): each unit's effect is integrated out over what its old
rows say of it (`dotwin.inference.unit_integrals`). New period shocks and the effects of new groups
are drawn given g, near their conditional, and what is left of it goes into the weight
(`dotwin.inference.newcomers`). Pareto-smoothed weights resample the draws, and each unit with new
rows gets an effect drawn anew given all its rows.

The certificate: Pareto k below 0.7 (Vehtari et al. 2024, JMLR 25(72)), an effective size of the
weights of at least 400, where copies of one earlier draw count as one, and quadrature whose weights
and drawn effects twice the nodes do not change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dotwin.inference.changes import Changes, rows_of
from dotwin.inference.newcomers import extended, newcomers_of, propose
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
#: Draws on which the quadrature is checked, and on which the units' modes are guessed.
CHECKED, GUESSED = 100, 200
#: Nodes and Newton steps to begin with, and what follows where they do not suffice.
TRIES = ((5, 0), (7, 1), (15, 2))
#: Earlier draws that are weighted, evenly spread; all of them where these leave too few.
WEIGHTED = 2000
#: Rounds in which the information of a unit's rows and their place are found.
ROUNDS = 4
#: Numbers held at once: draws are taken in blocks below this many.
BLOCK = 4_000_000
#: Effects drawn for each draw, of which copies of it by resampling take different ones.
COPIES = 2


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
    tried, error = _enough_nodes(task, particles, seed)
    if not error < 1.0:
        return Reweighted(draws=count, quadrature=error)
    logs = np.zeros(count)
    effects = np.zeros((count, task.touched, COPIES))
    for block in task.blocks(count):
        held = {name: array[block] for name, array in particles.items()}
        ratio, inside = task.weigh(held, rng, *tried)
        logs[block] = ratio
        if inside is not None:
            logs[block] += inside.gain()
            effects[block] = inside.draw(rng.uniform(size=(ratio.size, task.touched, COPIES)))
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
        whole[:, task.units.group] = effects[at, :, copy % COPIES]
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
        self.guess: _Guess | None = None

    @property
    def touched(self) -> int:
        """How many units have new rows and an effect."""
        return int(self.units.group.size)

    def blocks(self, count: int) -> list[slice]:
        """Cut draws into blocks that fit into memory."""
        effects = sum(one.size for one in self.newcomers)
        held = self.units.old.rows + self.rows.rows + 100 * self.touched + effects**2
        size = max(1, BLOCK // max(held, 1))
        return [slice(at, min(at + size, count)) for at in range(0, count, size)]

    def weigh(
        self, values: dict[str, Floats], rng: np.random.Generator, nodes: int, steps: int
    ) -> tuple[Floats, UnitIntegrals | None]:
        """Draw new effects in place; return their log ratio and the integrands of the units."""
        draws = next(iter(values.values())).shape[0]
        if not self.rows.rows:
            return propose(self.newcomers, self.rows, values, None, rng), None
        if not self.inner:
            ratio = propose(self.newcomers, self.rows, values, None, rng)
            return ratio + log_likelihood(self.rows, values).sum(axis=1), None
        if self.guess is None:
            raise RuntimeError("the modes are guessed before draws are weighed")
        own = values[self.inner].copy()
        sd = values[self.sd]
        values[self.inner] = np.zeros_like(own)
        density = UnitDensity(self.units, values)
        start, spread = self.guess.of(density.old_eta, sd)
        values[self.inner][:, self.units.group] = start
        ratio = propose(self.newcomers, self.rows, values, spread[:, self.units.new_unit], rng)
        values[self.inner][:, self.units.group] = 0.0
        inside = integrals(density, start, spread, sd, nodes, steps)
        values[self.inner] = own
        return ratio + np.zeros(draws), inside


@dataclass(frozen=True, eq=False)
class _Guess:
    """The modes of units with old rows, as if these rows were normal.

    Parameters
    ----------
    units : UnitRows
    place, shared, information : array, dims (unit,)
        Where a unit's old rows alone put its effect when what they share besides is at its mean;
        that mean; and their information.
    """

    units: UnitRows
    place: Floats
    shared: Floats
    information: Floats

    def of(self, eta: Floats, sd: Floats) -> tuple[Floats, Floats]:
        """Guess modes and spreads, dims (draw, unit)."""
        known = self.units.known
        prior = 1.0 / sd[:, None] ** 2
        information = np.where(known, self.information, 0.0)
        place = self.place - (_by_unit(self.units, eta) - self.shared)
        start = place * information / (information + prior)
        return start, 1.0 / np.sqrt(information + prior)


def _by_unit(units: UnitRows, eta: Floats) -> Floats:
    """Average a linear predictor over each unit's old rows, dims (draw, unit)."""
    result = np.zeros((eta.shape[0], units.group.size))
    if units.old_unit.size:
        starts = np.flatnonzero(np.diff(units.old_unit, prepend=-1))
        size = np.diff(np.append(starts, units.old_unit.size))
        result[:, units.old_unit[starts]] = np.add.reduceat(eta, starts, axis=1) / size
    return result


def _guess(task: _Task, particles: Mapping[str, Floats]) -> _Guess:
    """Learn the guess from draws: an effect is normal around the shrunken place of its rows."""
    count = next(iter(particles.values())).shape[0]
    picked = _spread_over(count, GUESSED)
    values = {name: array[picked] for name, array in particles.items()}
    effect = values[task.inner][:, task.units.group]
    prior = 1.0 / values[task.sd][:, None] ** 2
    values[task.inner] = np.zeros_like(values[task.inner])
    shared = _by_unit(task.units, UnitDensity(task.units, values).old_eta)
    away = shared - shared.mean(axis=0)
    information = 1.0 / np.maximum(effect.var(axis=0), 1e-12)
    for _ in range(ROUNDS):
        shrunk = information / (information + prior)
        place = (shrunk * (effect + shrunk * away)).sum(axis=0) / (shrunk**2).sum(axis=0)
        scatter = (effect - shrunk * (place - away)).var(axis=0)
        information = _information(scatter, prior)
    return _Guess(task.units, place, shared.mean(axis=0), information)


def _information(variance: Floats, prior: Floats) -> Floats:
    """Find the information with which precisions of prior and rows give an average variance."""
    low, high = np.full(variance.size, -30.0), np.full(variance.size, 60.0)
    for _ in range(50):
        middle = 0.5 * (low + high)
        is_low = (1.0 / (np.exp(middle) + prior)).mean(axis=0) > variance
        low, high = np.where(is_low, middle, low), np.where(is_low, high, middle)
    return np.asarray(np.exp(middle))


def _enough_nodes(
    task: _Task, particles: Mapping[str, Floats], seed: int
) -> tuple[tuple[int, int], float]:
    """Find how many nodes and Newton steps the integrals need, and what error is left."""
    if not task.inner or not task.rows.rows:
        return TRIES[0], 0.0
    task.guess = _guess(task, particles)
    picked = _spread_over(next(iter(particles.values())).shape[0], CHECKED)
    noise = np.random.default_rng(seed).uniform(size=(picked.size, task.touched, 1))
    error = np.inf
    for nodes, steps in TRIES:
        gains, drawn, scale = [], [], np.ones(1)
        for count in (nodes, 2 * nodes + 1):
            some = {name: array[picked] for name, array in particles.items()}
            # The same new effects for each number of nodes.
            _, inside = task.weigh(some, np.random.default_rng(seed), count, steps)
            assert inside is not None
            gains.append(inside.gain())
            drawn.append(inside.draw(noise)[..., 0])
            scale = inside.scale
        apart = (drawn[1] - drawn[0]) / scale
        worst = float(np.sqrt((apart**2).mean(axis=0)).max(initial=0.0))
        error = max(float(np.std(gains[1] - gains[0])) / WEIGHT_MAX, worst / EFFECT_MAX)
        if error < 1.0:
            return (nodes, steps), error
    return TRIES[-1], error if np.isfinite(error) else np.inf


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
