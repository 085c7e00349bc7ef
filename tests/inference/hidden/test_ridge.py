"""Moves along a ridge leave the joint distribution as it is, and what is held stays held."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dotwin.inference.joint.compiled import kernels
from dotwin.inference.nuts.parts import FreeParts, PriorCode

PLACES, MEMBERS = 5, 3
MULTIPLIER = np.array([1.0, 2.0, 0.5])
#: Loadings: one half-normal, the others normal; spreads: half-normal, one exponential.
FREE = FreeParts(
    code=np.array(
        [
            PriorCode.HALF_NORMAL,
            PriorCode.NORMAL,
            PriorCode.NORMAL,
            PriorCode.HALF_NORMAL,
            PriorCode.HALF_NORMAL,
            PriorCode.EXPONENTIAL,
        ],
        dtype=np.int64,
    ),
    arguments=np.array([[0.5, 0.1, 0, 0.5, 0.8, 2.0], [0, 0.5, 0.4, 0, 0, 0], [0.0] * 6]),
    first_cutpoint=0,
    cutpoints=0,
)


def from_prior(rng: np.random.Generator) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Loadings and spreads, unconstrained."""
    return np.array(
        [
            np.log(abs(rng.normal(0, 0.5))),
            rng.normal(0.1, 0.5),
            rng.normal(0, 0.4),
            np.log(abs(rng.normal(0, 0.5))),
            np.log(abs(rng.normal(0, 0.8))),
            np.log(rng.exponential(0.5)),
        ]
    )


def natural(place: np.ndarray[tuple[int], np.dtype[np.float64]]) -> tuple[list[float], list[float]]:
    loading = [float(np.exp(place[0])), float(place[1]), float(place[2])]
    return loading, [float(v) for v in np.exp(place[3:])]


@pytest.mark.parametrize("collapsed", [True, False])
@pytest.mark.parametrize("scaled", [True, False])
def test_draws_of_the_joint_remain_draws_of_the_joint(collapsed: bool, scaled: bool) -> None:
    """Loadings, spreads, values and own parts drawn from their prior, moved: still the prior."""
    rng = np.random.default_rng(5)
    marks, before = [], []
    held = 0.0
    for _ in range(4000):
        place, hidden = from_prior(rng), rng.normal(size=PLACES)
        loading, spread = natural(place)
        z = rng.normal(size=(PLACES, MEMBERS))
        own = z if scaled else z * spread
        own[0, 1] = np.nan

        def sums(c: list[float], s: list[float], parts: Any, values: Any) -> Any:
            return parts * (np.array(s) if scaled else 1.0) + np.outer(values, MULTIPLIER * c)

        first = sums(loading, spread, own, hidden)
        before.append([*place[1:3], *np.exp(place[[0, 3, 4, 5]])])
        kernels().ridge(
            rng, own, np.full(MEMBERS, scaled), hidden, place, FREE, MULTIPLIER, collapsed
        )
        loading, spread = natural(place)
        held = max(held, np.nanmax(np.abs(sums(loading, spread, own, hidden) - first)))
        part = own if scaled else own / spread
        marks.append(
            [
                loading[0] ** 2 - 0.25,
                loading[1] - 0.1,
                (loading[1] - 0.1) ** 2 - 0.25,
                loading[2] ** 2 - 0.16,
                spread[0] ** 2 - 0.25,
                spread[1] ** 2 - 0.64,
                spread[2] - 0.5,
                spread[2] ** 2 - 0.5,
                hidden[0],
                hidden[1] ** 2 - 1.0,
                part[1, 0],
                part[2, 1] ** 2 - 1.0,
                part[2, 2] ** 2 - 1.0,
                # Independent they were, and independent they remain.
                hidden[2] * loading[2],
                hidden[3] * part[3, 0],
                (loading[0] ** 2 - 0.25) * (spread[0] ** 2 - 0.25),
                (hidden[4] ** 2 - 1.0) * (spread[1] ** 2 - 0.64),
            ]
        )
    values = np.array(marks)
    errors = values.mean(axis=0) / (values.std(axis=0) / np.sqrt(len(values)))
    # Seventeen numbers, none beyond 4 standard errors by chance once in a thousand such tests.
    assert np.abs(errors).max() < 4.0, errors
    assert held < 1e-9
    moved = np.abs(np.array([m[0] for m in marks]) + 0.25 - np.array(before)[:, 2] ** 2)
    assert np.median(moved) > 1e-3
