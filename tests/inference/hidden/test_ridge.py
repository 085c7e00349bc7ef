"""Moves along a ridge leave the joint distribution as it is, and what is held stays held."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from dotwin.inference.joint.compiled import kernels
from dotwin.inference.nuts.parts import FreeParts, PriorCode

Floats = NDArray[np.float64]

PLACES, REPLICATES = 5, 4000
MULTIPLIER = np.array([1.0, 2.0, 0.5])
#: Mean and sd of the loadings, the first half-normal; then what the spreads' priors hold.
LOADINGS = [(0.0, 0.5), (0.1, 0.5), (0.0, 0.4)]
SPREADS = [(PriorCode.HALF_NORMAL, 0.5), (PriorCode.HALF_NORMAL, 0.8), (PriorCode.EXPONENTIAL, 2.0)]


def priors(members: int) -> FreeParts:
    code = [PriorCode.HALF_NORMAL, *[PriorCode.NORMAL] * (members - 1)]
    code += [kind for kind, _ in SPREADS[:members]]
    first = [LOADINGS[0][1], *[mean for mean, _ in LOADINGS[1:members]]]
    second = [0.0, *[sd for _, sd in LOADINGS[1:members]]]
    first += [argument for _, argument in SPREADS[:members]]
    second += [0.0] * members
    arguments = np.array([first, second, [0.0] * (2 * members)])
    return FreeParts(np.array(code, dtype=np.int64), arguments, 0, 0)


def drawn(rng: np.random.Generator, members: int) -> tuple[Floats, Floats]:
    """Loadings and spreads from their prior."""
    loading = np.array([rng.normal(mean, sd) for mean, sd in LOADINGS[:members]])
    loading[0] = abs(loading[0])
    spread = [
        rng.exponential(1.0 / argument)
        if kind == PriorCode.EXPONENTIAL
        else abs(rng.normal(0.0, argument))
        for kind, argument in SPREADS[:members]
    ]
    return loading, np.array(spread)


def marks(loading: Floats, spread: Floats, hidden: Floats, part: Floats) -> list[float]:
    """Numbers whose expectation under the joint is 0, by closed forms."""
    found = [
        loading[0] ** 2 - 0.25,
        loading[1] - 0.1,
        (loading[1] - 0.1) ** 2 - 0.25,
        spread[0] ** 2 - 0.25,
        spread[1] ** 2 - 0.64,
        hidden[0],
        hidden[1] ** 2 - 1.0,
        part[1, 0],
        part[2, 1] ** 2 - 1.0,
        # Independent they are, and independent they remain.
        hidden[2] * (loading[1] - 0.1),
        hidden[3] * part[3, 0],
        (loading[0] ** 2 - 0.25) * (spread[0] ** 2 - 0.25),
        (loading[0] ** 2 - 0.25) * ((loading[1] - 0.1) ** 2 - 0.25),
        (hidden[4] ** 2 - 1.0) * (spread[1] ** 2 - 0.64),
        (part[4, 0] ** 2 - 1.0) * (spread[0] ** 2 - 0.25),
    ]
    if loading.size == 3:
        found += [loading[2] ** 2 - 0.16, spread[2] - 0.5, spread[2] ** 2 - 0.5]
    return found


@pytest.mark.parametrize("members", [2, 3])
@pytest.mark.parametrize("collapsed", [True, False])
@pytest.mark.parametrize("scaled", [True, False])
def test_draws_of_the_joint_remain_draws_of_the_joint(
    members: int, collapsed: bool, scaled: bool
) -> None:
    """Loadings, spreads, values and own parts drawn from their prior, moved: still the prior."""
    rng = np.random.default_rng(5)
    multiplier, free = MULTIPLIER[:members], priors(members)
    found, moves, held = [], [], 0.0
    for _ in range(REPLICATES):
        loading, spread = drawn(rng, members)
        hidden, part = rng.normal(size=PLACES), rng.normal(size=(PLACES, members))
        own = part.copy() if scaled else part * spread
        own[0, 1] = np.nan
        place = np.concatenate([np.log(loading[:1]), loading[1:], np.log(spread)])
        before = part * spread + np.outer(hidden, multiplier * loading)
        kernels().ridge(
            rng, own, np.full(members, scaled), hidden, place, free, multiplier, collapsed
        )
        moves.append(abs(np.exp(place[0]) - loading[0]))
        loading = np.concatenate([np.exp(place[:1]), place[1:members]])
        spread = np.exp(place[members:])
        part = own if scaled else own / spread
        after = part * spread + np.outer(hidden, multiplier * loading)
        held = max(held, float(np.nanmax(np.abs(after - before))))
        found.append(marks(loading, spread, hidden, part))
    values = np.array(found)
    errors = values.mean(axis=0) / (values.std(axis=0) / np.sqrt(REPLICATES))
    # At most eighteen numbers: one beyond 4 standard errors by chance in a thousand such tests.
    assert np.abs(errors).max() < 4.0, errors
    assert held < 1e-9
    assert np.median(moves) > 0.01
