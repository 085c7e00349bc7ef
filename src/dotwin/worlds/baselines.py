"""Forecasts that any model must beat: a unit's own history, and its last value carried on.

Both are distributions of the indicator's own kind around a number per unit, with one spread for
all units, learnt from the same past.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from dotwin.mechanisms.families import Family, build_family
from dotwin.mechanisms.links import get_link
from dotwin.mechanisms.tails import draw_tail_noise

if TYPE_CHECKING:
    from dotwin.spec.indicator import Indicator

__all__ = ["METHODS", "Baseline", "History", "baseline", "history_of"]

Floats = NDArray[np.float64]
Method = Literal["own history", "persistence"]
METHODS: tuple[Method, ...] = ("own history", "persistence")

#: Half an observation of the average unit keeps a rate off 0 and a share off 0 and 1.
HALF = 0.5
#: Rows that suffice for one spread.
ROWS = 20_000
#: Where the log of a dispersion is looked for: from all but boundless spread to none.
LOG_DISPERSION = (-6.0, 12.0)
#: Degrees of freedom that are tried for heavy tails.
TAILS = (2.2, 3.0, 5.0, 10.0, 50.0)


@dataclass(frozen=True, eq=False)
class History:
    """What a baseline knows of an indicator.

    Parameters
    ----------
    kind : str
        A family's name.
    values : array, dims (unit, period)
        Recorded values of the past; NaN where missing.
    size : array, dims (unit, period)
        Trials or exposure that belong to them; 1 elsewhere.
    ahead : array, dims (unit,)
        Trials or exposure of the period that is forecast.
    out_of : float
    ends : tuple of float
    categories : int
        Number of categories of an ordinal indicator.
    groups : int array, dims (unit,), optional
        Units of one group have one history: that of the group.
    """

    kind: str
    values: Floats
    size: Floats
    ahead: Floats
    out_of: float = 1.0
    ends: tuple[float, ...] = ()
    categories: int = 0
    groups: NDArray[np.intp] | None = None


@dataclass(frozen=True, eq=False)
class Baseline:
    """A forecast of one period for all units.

    Parameters
    ----------
    log_density : callable
        Of observed values, dims (unit,).
    sample : callable
        ``sample(rng, n)`` gives draws, dims (draw, unit).
    """

    log_density: Callable[[Floats], Floats]
    sample: Callable[[np.random.Generator, int], Floats]


def history_of(
    one: Indicator, values: Floats, size: Floats | None, ahead: Floats | None
) -> History:
    """Choose the kind of distribution that a baseline of an indicator has.

    Counts are negative binomial and counts out of trials beta-binomial, so that no baseline loses
    for want of spread. Trials and exposures that are not known ahead leave a plain count.

    Parameters
    ----------
    one : Indicator
    values : array, dims (unit, period)
    size, ahead : array or None
        Trials or exposure of the past and of the period that is forecast.
    """
    family = str(one.family)
    kind = family
    if family in ("poisson", "negative_binomial"):
        kind = "negative_binomial"
    elif one.trials is not None:
        kind = "beta_binomial" if size is not None else "negative_binomial"
    known = size is not None and ahead is not None
    return History(
        kind=kind,
        values=values,
        size=size if known and size is not None else np.ones(values.shape),
        ahead=ahead if known and ahead is not None else np.ones(values.shape[0]),
        out_of=one.out_of or 1.0,
        ends=one.ends,
        categories=len(one.categories) if family == "ordinal" else 0,
    )


def baseline(history: History, method: Method, horizon: int) -> Baseline:
    """Make a forecast from a unit's own past.

    Parameters
    ----------
    history : History
    method : {'own history', 'persistence'}
        Around the unit's mean so far, or around its last value; the spread is that with which the
        same rule missed before, one for all units.
    horizon : int
        How many periods ahead.

    Returns
    -------
    Baseline
    """
    if history.categories:
        return _by_category(history, method, horizon)
    top, bottom = _parts(history)
    pooled = np.nansum(top) / max(np.nansum(np.where(np.isfinite(top), bottom, np.nan)), 1e-12)
    rule = _Around(history.kind, pooled, float(np.nanmean(bottom)))
    centre_now, centre_then, rows = _centres(top, bottom, rule, method, horizon, history.groups)
    atoms = _Atoms.of(history)
    inside = rows & atoms.interior(history.values)
    if inside.sum() > ROWS:
        keep = np.flatnonzero(inside)[:: int(np.ceil(inside.sum() / ROWS))]
        inside = np.zeros(inside.size, dtype=bool)
        inside[keep] = True
        inside = inside.reshape(rows.shape)
    family = build_family(history.kind)
    trials = history.size[inside] if family.needs_trials else None
    offset = np.log(history.size) if history.kind == "negative_binomial" else np.zeros(rows.shape)
    spread = _spread(
        family,
        history.values[inside] / history.out_of,
        (centre_then + offset)[inside],
        trials,
    )
    eta = centre_now
    if history.kind == "negative_binomial":
        eta = eta + np.log(np.maximum(history.ahead, 1e-12))
    ahead = history.ahead if family.needs_trials else None
    return atoms.forecast(family, eta, spread, ahead)


@dataclass(frozen=True)
class _Around:
    """How a unit's own numbers become a linear predictor."""

    kind: str
    pooled: float
    usual: float

    def centre(self, top: Floats, bottom: Floats) -> Floats:
        """Return the link of total over size, with half an observation of the pooled mean."""
        family = build_family(self.kind)
        bounded = family.link != "identity" and self.kind != "lognormal"
        extra = HALF * self.usual if bounded else 0.0
        some = bottom > 0
        mean = (top + extra * self.pooled) / np.where(some | (extra > 0), bottom + extra, 1.0)
        mean = np.where(some, mean, self.pooled)
        if not bounded:
            return np.asarray(mean)
        if family.link == "logit":
            mean = np.clip(mean, 1e-6, 1.0 - 1e-6)
        return np.asarray(get_link(family.link).forward(np.maximum(mean, 1e-9)))


def _parts(history: History) -> tuple[Floats, Floats]:
    """Return what adds up and what it is counted by, dims (unit, period)."""
    y = history.values / history.out_of
    if history.kind == "lognormal":
        y = np.log(np.where(y > 0, y, np.nan))
    elif history.kind == "gamma":
        y = np.where(y > 0, y, np.nan)
    elif history.kind == "beta":
        y = np.where((y > 0) & (y < 1), y, np.nan)
    counted = history.kind in ("negative_binomial", "beta_binomial")
    bottom = history.size if counted else np.ones(y.shape)
    return np.where(bottom > 0, y, np.nan), bottom


def _centres(
    top: Floats,
    bottom: Floats,
    rule: _Around,
    method: Method,
    horizon: int,
    groups: NDArray[np.intp] | None = None,
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Return the predictor of the forecast, those of the past's forecasts, and which count."""
    known = np.isfinite(top)
    a, b = np.where(known, top, 0.0), np.where(known, bottom, 0.0)
    if method == "own history":
        total, weight = a.sum(axis=1), b.sum(axis=1)
        if groups is not None:
            total, weight = (np.bincount(groups, part)[groups] for part in (total, weight))
        # Each past value is forecast from the unit's others, so that the spread is honest.
        then = rule.centre(total[:, None] - a, weight[:, None] - b)
        several = known & (known.sum(axis=1, keepdims=True) > 1)
        return rule.centre(total, weight), then, several if several.any() else known
    last = np.maximum.accumulate(np.where(known, np.arange(known.shape[1]), -1), axis=1)
    units = np.arange(known.shape[0])
    has = last[:, -1] >= 0
    where = np.maximum(last[:, -1], 0)
    now = rule.centre(np.where(has, a[units, where], 0.0), np.where(has, b[units, where], 0.0))
    then = np.full(known.shape, now[:, None])
    earlier = np.zeros_like(known)
    if known.shape[1] > horizon:
        before = np.maximum(last[:, :-horizon], 0)
        seen = last[:, :-horizon] >= 0
        then[:, horizon:] = rule.centre(
            np.where(seen, a[units[:, None], before], 0.0),
            np.where(seen, b[units[:, None], before], 0.0),
        )
        earlier[:, horizon:] = seen & known[:, horizon:]
    return now, then, earlier if earlier.any() else known


def _spread(family: Family, y: Floats, eta: Floats, trials: Floats | None) -> dict[str, Any]:
    """Fit a family's other parameters to the misses of past forecasts, by maximum likelihood."""
    from scipy.optimize import minimize_scalar

    names = [parameter.name for parameter in family.dispersion]
    if not names:
        return {}

    def search(fixed: dict[str, float], name: str) -> tuple[float, float]:
        def loss(log_value: float) -> float:
            logp = family.logp(y, eta, {**fixed, name: np.exp(log_value)}, trials)
            return -float(np.maximum(logp, -1e6).sum())

        found = minimize_scalar(loss, bounds=LOG_DISPERSION, method="bounded")
        return float(found.fun), float(np.exp(found.x))

    if "nu" not in names:
        return {names[0]: search({}, names[0])[1]}
    tried = {nu: search({"nu": nu}, "residual_sd") for nu in TAILS}
    nu = min(tried, key=lambda one: tried[one][0])
    return {"nu": nu, "residual_sd": tried[nu][1]}


@dataclass(frozen=True)
class _Atoms:
    """Values with probability of their own: zeros of a positive indicator, ends of a share."""

    out_of: float
    shares: dict[float, float] = field(default_factory=dict)

    @classmethod
    def of(cls, history: History) -> _Atoms:
        points: tuple[float, ...] = history.ends
        if history.kind in ("gamma", "lognormal"):
            points = (0.0,)
        y = history.values[np.isfinite(history.values)]
        # As if half a case had been seen of each point.
        shares = {
            float(p): float(((y == p).sum() + HALF) / (y.size + 1.0))
            for p in points
            if history.ends or (y == p).any()
        }
        return cls(history.out_of, shares)

    def interior(self, values: Floats) -> NDArray[np.bool_]:
        inside = np.isfinite(values)
        for point in self.shares:
            inside &= values != point
        return np.asarray(inside)

    def forecast(
        self, family: Family, eta: Floats, spread: dict[str, Any], trials: Floats | None
    ) -> Baseline:
        rest = 1.0 - sum(self.shares.values())

        def log_density(y: Floats) -> Floats:
            scaled = np.asarray(y, dtype=float) / self.out_of
            result = family.logp(scaled, eta, spread, trials) + np.log(rest / self.out_of)
            for point, share in self.shares.items():
                result = np.where(y == point, np.log(share), result)
            return np.asarray(result)

        def sample(rng: np.random.Generator, n: int) -> Floats:
            noise = draw_tail_noise(rng, (n, eta.size))
            values = family.quantile(noise, eta, spread, trials) * self.out_of
            u, reached = rng.random(values.shape), 0.0
            for point, share in self.shares.items():
                values = np.where((u >= reached) & (u < reached + share), point, values)
                reached += share
            return np.asarray(values)

        return Baseline(log_density, sample)


def _by_category(history: History, method: Method, horizon: int) -> Baseline:
    """Forecast categories: own shares and the pooled ones as one case, or pooled transitions."""
    k, y = history.categories, history.values
    known = np.isfinite(y)
    marks = np.stack([(y == c) & known for c in range(k)], axis=-1).astype(float)
    pooled = (marks.sum(axis=(0, 1)) + HALF) / (known.sum() + HALF * k)
    if method == "own history":
        chances = (marks.sum(axis=1) + pooled) / (known.sum(axis=1)[:, None] + 1.0)
    else:
        moves = np.tile(pooled, (k, 1))
        for t in range(horizon, y.shape[1]):
            both = known[:, t - horizon] & known[:, t]
            pairs = (y[both, t - horizon].astype(int), y[both, t].astype(int))
            np.add.at(moves, pairs, 1.0)
        moves /= moves.sum(axis=1, keepdims=True)
        last = np.maximum.accumulate(np.where(known, np.arange(y.shape[1]), -1), axis=1)[:, -1]
        state = np.where(last >= 0, y[np.arange(len(y)), np.maximum(last, 0)], np.nan)
        chances = np.where(
            np.isfinite(state)[:, None], moves[np.nan_to_num(state).astype(int)], pooled
        )

    def log_density(observed: Floats) -> Floats:
        code = np.nan_to_num(observed).astype(int)
        return np.asarray(np.log(chances[np.arange(len(code)), code]))

    def sample(rng: np.random.Generator, n: int) -> Floats:
        u = rng.random((n, len(chances), 1))
        return np.asarray((u > np.cumsum(chances, axis=1)[None, :, :-1]).sum(axis=-1), dtype=float)

    return Baseline(log_density, sample)
