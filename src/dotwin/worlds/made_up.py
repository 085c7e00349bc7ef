"""Made-up units and givens, for panels that are simulated from a twin alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from dotwin.errors import Problem, SpecificationError, nearest
from dotwin.mechanisms.references import RANGE_IN_SDS
from dotwin.spec.expressions import parse
from dotwin.worlds.noise import normal_noise, prior_quantile, tail_noise, uniform, unit_numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dotwin.spec.twin import Indicator, Twin

__all__ = ["first_ordinal", "made_up_givens", "made_up_units", "rough_exact", "rough_values"]

#: Half of a given's variance is stable within a unit, the other half new in each period.
_STABLE = 0.5
#: A unit such as "1 for profit, 0 not for profit".
_YES_OR_NO = re.compile(r"1\b.*\b0\b")
#: Made-up panels start here.
_FIRST_MONTH = np.datetime64("2020-01", "M")
_ONE_DRAW = np.zeros(1, dtype=np.int64)


def made_up_units(twin: Twin, units: Mapping[str, int]) -> dict[str, list[str]]:
    """Name made-up units and put them into groups.

    Parameters
    ----------
    twin : Twin
    units : dict of str to int
        How many of each level, the unit among them.

    Returns
    -------
    dict of str to list of str
        Each unit's id under the unit's name, and its group under each level's name. Groups nest:
        the units of a group follow each other, and groups differ by at most one in size.
    """
    levels = twin.panel.all_levels
    problems = [
        Problem(f"units > {name}", f"is no level of the twin. {nearest(name, levels)}")
        for name in units
        if name not in levels
    ]
    problems += [
        Problem("units", f"say how many {level}s there are, as in {{'{level}': 6}}.")
        for level in levels
        if level not in units
    ]
    problems += [
        Problem(f"units > {name}", "is a count of 1 or more.")
        for name, count in units.items()
        if count < 1
    ]
    for outer, inner in pairwise(levels):
        if units.get(outer, 1) > units.get(inner, 1):
            problems.append(Problem(f"units > {outer}", f"more {outer}s than {inner}s."))
    if problems:
        raise SpecificationError(problems)
    count = units[twin.unit]
    position = np.arange(count)
    found = {}
    for level in levels:
        width = max(2, len(str(units[level])))
        group = position * units[level] // count
        found[level] = [f"{level}-{number + 1:0{width}d}" for number in group.tolist()]
    return found


def first_ordinal(frequency: str) -> int:
    """Return the calendar's number of a made-up panel's first period."""
    from dotwin.panel.periods import period_ordinals

    return int(period_ordinals(np.array([_FIRST_MONTH]), frequency)[0])


def made_up_givens(
    twin: Twin, groups: Mapping[str, list[str]], ordinals: NDArray[np.int64], seed: int
) -> dict[str, NDArray[Any]]:
    """Draw the givens of a made-up panel, dims (unit, period).

    A given has the distribution that ``simulated_as`` says, else a normal with 90 % of it in
    ``plausible`` (on the log scale where all of that is above 0, on the logit scale where it lies
    within 0 and 1). Half of its variance, on the normal scale, is stable within a unit; the rest is
    new in each period. Categories are equally likely and never change. A given whose unit says
    what 1 and 0 mean, as in "1 for profit, 0 otherwise", is 1 for half of the units. What counts
    are out of is rounded to whole numbers.
    """
    problems = []
    found: dict[str, NDArray[Any]] = {}
    for name in twin.given:
        one = twin.indicators[name]
        level = one.level or twin.unit
        members = unit_numbers(groups[level])
        stable = tail_noise(seed, f"{name}: stable", _ONE_DRAW, members, 0)[0]
        if one.categories:
            position = np.floor(uniform(stable) * len(one.categories)).astype(int)
            values = np.asarray(one.categories, dtype=str)[position]
            found[name] = np.repeat(values[:, None], len(ordinals), axis=1)
            continue
        if _YES_OR_NO.match(one.unit) and one.simulated_as is None and one.plausible is None:
            found[name] = np.repeat((stable > 0).astype(float)[:, None], len(ordinals), axis=1)
            continue
        if one.simulated_as is None and one.plausible is None:
            problems.append(
                Problem(
                    f"indicators > {name}",
                    "a given is simulated from simulated_as: or plausible:, and it has neither.",
                )
            )
            continue
        fresh = np.stack(
            [tail_noise(seed, name, _ONE_DRAW, members, int(t))[0] for t in ordinals], axis=1
        )
        if len(ordinals) == 1:
            z = normal_noise(fresh)
        else:
            z = np.sqrt(_STABLE) * normal_noise(stable)[:, None]
            z = z + np.sqrt(1.0 - _STABLE) * normal_noise(fresh)
        found[name] = _distributed(one, z)
        if any(other.trials == name for other in twin.indicators.values()):
            found[name] = np.maximum(np.round(found[name]), 0.0)
        elif any(
            other.exposure and name in parse(other.exposure).names()
            for other in twin.indicators.values()
        ):
            found[name] = np.maximum(found[name], 1e-6)
    if problems:
        raise SpecificationError(problems)
    return found


def _distributed(one: Indicator, z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give standard normal values the distribution of an indicator."""
    from scipy.special import expit, logit, ndtr

    if one.simulated_as is not None:
        tail = np.minimum(ndtr(-np.abs(z)), 0.5)
        return prior_quantile(one.simulated_as, np.where(z > 0, -tail, tail))
    assert one.plausible is not None
    scale = one.out_of or 1.0
    low, high = (end / scale for end in one.plausible)
    forward: Callable[[Any], Any] = _identity
    back: Callable[[Any], Any] = _identity
    if low > 0 and high < 1:
        forward, back = logit, expit
    elif low > 0:
        forward, back = np.log, np.exp
    low, high = forward(low), forward(high)
    values = back(0.5 * (low + high) + z * (high - low) / RANGE_IN_SDS) * scale
    return np.asarray(values, dtype=float)


def _identity(x: Any) -> Any:
    return x


#: A first guess at values of an indicator without a plausible range, by family.
_GUESS: dict[str, tuple[float, float]] = {
    "normal": (-1.0, 1.0),
    "student_t": (-1.0, 1.0),
    "lognormal": (0.5, 2.0),
    "gamma": (0.5, 2.0),
    "beta": (0.1, 0.5),
    "binomial": (0.1, 0.5),
    "beta_binomial": (0.1, 0.5),
    "poisson": (2.0, 10.0),
    "negative_binomial": (2.0, 10.0),
}


def rough_values(
    twin: Twin,
    name: str,
    known: Mapping[str, NDArray[Any]],
    groups: Mapping[str, list[str]],
    ordinals: NDArray[np.int64],
    seed: int,
) -> NDArray[np.float64]:
    """Guess values of a modelled indicator, to begin with; dims (unit, period)."""
    one = twin.indicators[name]
    members = unit_numbers(groups[one.level or twin.unit])
    noise = np.stack(
        [tail_noise(seed, f"{name}: guess", _ONE_DRAW, members, int(t))[0] for t in ordinals],
        axis=1,
    )
    if one.family == "bernoulli":
        return (uniform(noise) < 0.5).astype(float)
    if one.family == "ordinal":
        return np.floor(uniform(noise) * len(one.categories))
    plausible = one.plausible or _GUESS[str(one.family)]
    if one.plausible is None and one.out_of:
        plausible = (plausible[0] * one.out_of, plausible[1] * one.out_of)
    values = _distributed(_with_plausible(one, plausible), normal_noise(noise))
    if one.trials is not None:
        trials = np.asarray(known[one.trials], dtype=float)
        return np.asarray(np.clip(np.round(values * trials), 0.0, trials))
    if one.exposure is not None:
        at_risk = _read(twin, one.exposure, known, groups)
        values = values * np.where(at_risk > 0, at_risk, 1.0)
    if one.family in ("poisson", "negative_binomial"):
        return np.maximum(np.round(values), 1.0)
    return values


def rough_exact(
    twin: Twin, name: str, known: Mapping[str, NDArray[Any]], groups: Mapping[str, list[str]]
) -> NDArray[np.float64]:
    """Guess values of an exact indicator, to begin with; dims (unit, period)."""
    one = twin.indicators[name]
    values = _read(twin, str(one.equals), known, groups)
    return np.where(np.isfinite(values), values, one.start or 0.0)


def _read(
    twin: Twin, text: str, known: Mapping[str, NDArray[Any]], groups: Mapping[str, list[str]]
) -> NDArray[np.float64]:
    """Read an expression of which some indicators are not known yet: they are taken as 0."""
    from dotwin.panel import ArrayEnvironment
    from dotwin.spec.expressions import evaluate

    codes = {
        level: (np.unique(ids, return_inverse=True)[1], sorted(set(ids)))
        for level, ids in groups.items()
    }
    shape = next(iter(known.values())).shape
    every = {name: known.get(name, np.zeros(shape)) for name in twin.indicators}
    values = np.asarray(evaluate(parse(text), ArrayEnvironment(twin, every, codes)), dtype=float)
    return np.broadcast_to(values, shape)


def _with_plausible(one: Indicator, plausible: tuple[float, float]) -> Indicator:
    """Return an indicator with a plausible range and nothing else to be drawn from."""
    return one.model_copy(update={"plausible": plausible, "simulated_as": None})
