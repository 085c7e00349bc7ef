"""The transform that makes each hyperparameter nearly normal.

The posterior of the log of a spread has an exponential tail towards 0, which no proposal on that
scale covers. So the log density is tabulated along each hyperparameter, the others where a
regression on it puts them, and the hyperparameter is moved to tau = Phi^-1(F(h)) with the
distribution F of that table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dotwin.inference.deterministic.marginal import Marginal, Peak
from dotwin.inference.deterministic.search import Mode

__all__ = ["Axis", "Transform", "profile_axes"]

Floats = NDArray[np.float64]

#: Where the density is tabulated, in sds from the mode, until it has dropped this much.
_DISTANCES = (0.8, 1.6, 2.6, 4.0, 6.0, 9.0, 13.0)
_DROP = 7.0
#: The other hyperparameters go along with one at most this many sds.
_ALONG = 2.0
#: How fast a tail falls at least, and towards a spread of 0 at most: as the log of a spread of
#: which the data say nothing there. Where they say much, so slow a tail would hold more than all
#: the rest, so it may fall as fast as puts the width of the rest under it.
_SLOWEST, _FASTEST_LEFT = 0.05, 1.0
#: Points of the table of the distribution, and where tau's table ends.
_FINE = 4001
_TAU_END = 37.0


@dataclass(frozen=True, eq=False)
class Axis:
    """One hyperparameter as a smooth function of a nearly normal one.

    Parameters
    ----------
    curve : PchipInterpolator
        From tau to h.
    slope : PchipInterpolator
        Its derivative.
    end : float
        Beyond plus or minus this, h goes on in a line.
    """

    curve: Any
    slope: Any
    end: float

    def value(self, tau: Floats) -> Floats:
        """Return h at tau."""
        inside = np.clip(tau, -self.end, self.end)
        return np.asarray(self.curve(inside) + self.slope(inside) * (tau - inside))

    def log_slope(self, tau: Floats) -> Floats:
        """Return the log of dh / dtau."""
        return np.asarray(np.log(self.slope(np.clip(tau, -self.end, self.end))))


@dataclass(frozen=True, eq=False)
class Transform:
    """All hyperparameters as functions of nearly normal ones.

    Parameters
    ----------
    axes : tuple of Axis
    """

    axes: tuple[Axis, ...]

    def value(self, tau: Floats) -> Floats:
        """Return hyperparameters at tau, dims (..., hyper)."""
        if not self.axes:
            return tau
        return np.stack([a.value(tau[..., j]) for j, a in enumerate(self.axes)], axis=-1)

    def log_slope(self, tau: Floats) -> Floats:
        """Return the log of the volume that tau's volume is turned into."""
        result = np.zeros(tau.shape[:-1])
        for j, axis in enumerate(self.axes):
            result = result + axis.log_slope(tau[..., j])
        return np.asarray(result)


def profile_axes(marginal: Marginal, mode: Mode) -> Transform:
    """Tabulate the log density along each hyperparameter.

    Parameters
    ----------
    marginal : Marginal
    mode : Mode

    Returns
    -------
    Transform
    """
    size = mode.peak.h.size
    sds = np.sqrt(np.diag(mode.covariance)) if size else np.zeros(0)
    axes = []
    for j in range(size):
        along = mode.covariance[:, j] / mode.covariance[j, j]
        found = [(mode.peak.h[j], mode.peak.log_density)]
        for sign in (-1.0, 1.0):
            near: Peak = mode.peak
            for distance in _DISTANCES:
                step = sign * distance * sds[j]
                others = np.clip(along * step, -_ALONG * sds, _ALONG * sds)
                others[j] = step
                near_or_not = near if near.found else None
                here = marginal.peak(mode.peak.h + others, near_or_not)
                if not here.found:
                    break
                found.append((float(here.h[j]), here.log_density))
                near = here
                if here.log_density < mode.peak.log_density - _DROP:
                    break
        table = np.array(sorted(found))
        axes.append(_from_table(table[:, 0], table[:, 1] - mode.peak.log_density))
    return Transform(tuple(axes))


def _from_table(h: Floats, log_density: Floats) -> Axis:
    """Turn a table of a log density into the axis whose tau is standard normal under it."""
    from scipy.interpolate import PchipInterpolator
    from scipy.special import log_ndtr

    left = (log_density[1] - log_density[0]) / (h[1] - h[0])
    right = (log_density[-2] - log_density[-1]) / (h[-1] - h[-2])
    right = max(right, _SLOWEST)
    fine = np.linspace(h[0], h[-1], _FINE)
    height = np.exp(PchipInterpolator(h, log_density)(fine))
    pieces = 0.5 * (height[1:] + height[:-1]) * np.diff(fine)
    left = min(max(left, _SLOWEST), max(_FASTEST_LEFT, 1.0 / float(pieces.sum())))
    tails = height[0] / left, height[-1] / right
    below = tails[0] + np.r_[0.0, np.cumsum(pieces)]
    above = tails[1] + np.r_[np.cumsum(pieces[::-1])[::-1], 0.0]
    total = below[-1] + tails[1]
    low, high = np.log(below / total), np.log(above / total)

    taus = np.unique(
        np.r_[np.linspace(-8.0, 8.0, 321), np.linspace(8.0, _TAU_END, 117)[1:]].tolist()
        + np.linspace(-_TAU_END, -8.0, 117)[:-1].tolist()
    )
    wanted_low, wanted_high = log_ndtr(taus), log_ndtr(-taus)
    values = np.where(
        taus < 0, np.interp(wanted_low, low, fine), np.interp(-wanted_high, -high, fine)
    )
    beyond_left, beyond_right = wanted_low < low[0], wanted_high < high[-1]
    values = np.where(beyond_left, h[0] + (wanted_low - low[0]) / left, values)
    values = np.where(beyond_right, h[-1] + (high[-1] - wanted_high) / right, values)
    return _axis(taus, values)


def _axis(taus: Floats, values: Floats) -> Axis:
    from scipy.interpolate import PchipInterpolator

    curve = PchipInterpolator(taus, values)
    return Axis(curve, curve.derivative(), float(taus[-1]))
