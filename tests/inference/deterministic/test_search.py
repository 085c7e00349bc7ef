"""The search for the mode of spreads, on surfaces whose mode is known."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dotwin.inference.deterministic.marginal import Peak
from dotwin.inference.deterministic.search import find_mode
from dotwin.inference.nuts.parts import FamilyCode
from dotwin.spec.prior import Prior

MODE = np.array([-1.7, -1.2, -1.04])


@dataclass
class Spreads:
    """Independent spreads, each known from its own number of normal values."""

    values: tuple[float, ...]
    problem: Any = field(init=False)

    def __post_init__(self) -> None:
        one = SimpleNamespace(prior=Prior("half_normal", (0.5,)), typical=0.5)
        self.problem = SimpleNamespace(
            hypers=[one] * len(self.values), family=FamilyCode.GAMMA, concave=True
        )

    def peak(self, h: np.ndarray, near: Peak | None) -> Peak:
        away = h - MODE
        height = -float((np.array(self.values) * (away + 0.5 * np.exp(-2.0 * away))).sum())
        nothing = np.zeros(0)
        return Peak(h, nothing, height, np.zeros((0, 0)), nothing, nothing, True)


@pytest.mark.parametrize("values", [(20.0, 60.0, 1440.0), (20.0, 50_000.0, 1_200_000.0)])
def test_the_mode_is_found_from_everywhere_however_unequally_spreads_are_known(
    values: tuple[float, ...],
) -> None:
    surface: Any = Spreads(values)
    mode = find_mode(surface)
    assert mode.found
    assert mode.agree
    # The log of a spread that n normal values tell has curvature 2 n at its mode.
    sds = 1.0 / np.sqrt(2.0 * np.array(values))
    np.testing.assert_allclose(mode.peak.h, MODE, rtol=0, atol=0.1 * sds.max())
    assert (np.abs(mode.peak.h - MODE) < 0.2 * sds).all()
    np.testing.assert_allclose(np.sqrt(np.diag(mode.covariance)), sds, rtol=0.05)
