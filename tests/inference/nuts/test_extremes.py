"""One row at a time, far out in every direction, against arithmetic of many digits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pandas as pd
import pytest

from dotwin.inference.nuts.density import compiled_log_density
from dotwin.inference.nuts.layout import build_layout
from dotwin.mechanisms.design import build_design
from dotwin.panel import read_panel
from dotwin.spec.twin import Twin

Log = Callable[..., Any]


def _expit(x: Any) -> Any:
    return 1 / (1 + mp.exp(-x))


def _poisson(k: Any, eta: Any, raw: Any, n: int) -> Any:
    return k * eta - mp.exp(eta) - mp.loggamma(k + 1)


def _negative_binomial(k: Any, eta: Any, raw: Any, n: int) -> Any:
    a, mean = raw**-2, mp.exp(eta)
    gammas = mp.loggamma(k + a) - mp.loggamma(a) - mp.loggamma(k + 1)
    return gammas + a * mp.log(a / (a + mean)) + k * mp.log(mean / (a + mean))


def _binomial(k: Any, eta: Any, raw: Any, n: int) -> Any:
    return mp.log(mp.binomial(n, k)) + k * mp.log(_expit(eta)) + (n - k) * mp.log(_expit(-eta))


def _beta_binomial(k: Any, eta: Any, raw: Any, n: int) -> Any:
    a, b = raw**-2 * _expit(eta), raw**-2 * _expit(-eta)
    return mp.log(mp.binomial(n, k)) + mp.log(mp.beta(k + a, n - k + b)) - mp.log(mp.beta(a, b))


def _gamma(y: Any, eta: Any, raw: Any, n: int) -> Any:
    k = raw**-2
    return k * mp.log(k) - k * eta + (k - 1) * mp.log(y) - k * y * mp.exp(-eta) - mp.loggamma(k)


def _beta(y: Any, eta: Any, raw: Any, n: int) -> Any:
    a, b = raw**-2 * _expit(eta), raw**-2 * _expit(-eta)
    return (a - 1) * mp.log(y) + (b - 1) * mp.log(1 - y) - mp.log(mp.beta(a, b))


def _normal(y: Any, eta: Any, raw: Any, n: int) -> Any:
    return -(((y - eta) / raw) ** 2) / 2 - mp.log(raw) - mp.log(2 * mp.pi) / 2


def _log_normal_tail(lower: Any, eta: Any, raw: Any) -> Any:
    return mp.log(mp.erfc((lower - eta) / raw / mp.sqrt(2)) / 2)


LOGS: dict[str, Log] = {
    "poisson": _poisson,
    "negative_binomial": _negative_binomial,
    "binomial": _binomial,
    "beta_binomial": _beta_binomial,
    "gamma": _gamma,
    "beta": _beta,
    "normal": _normal,
}
TRIALS = 90


def _log_at_least(family: str, lower: int, eta: Any, raw: Any) -> Any:
    if family == "normal":
        return _log_normal_tail(lower, eta, raw)
    mass = mp.exp(LOGS[family](0, eta, raw, TRIALS))
    kept, ratio = 1 - mass, _ratios(family, eta, raw)
    for k in range(lower - 1):
        mass *= ratio(k)
        kept -= mass
    return mp.log(kept)


def _ratios(family: str, eta: Any, raw: Any) -> Callable[[int], Any]:
    """P(Y = k + 1) / P(Y = k) as a function of k."""
    mean, p, q = mp.exp(eta), _expit(eta), _expit(-eta)
    size = raw**-2
    share = mean / (mean + size)
    a, b = size * p, size * q
    match family:
        case "poisson":
            return lambda k: mean / (k + 1)
        case "negative_binomial":
            return lambda k: (k + size) / (k + 1) * share
        case "binomial":
            return lambda k: mp.mpf(TRIALS - k) / (k + 1) * mean
        case _:
            return lambda k: (TRIALS - k) * (a + k) / (k + 1) / (b + TRIALS - k - 1)


def _ours(family: str, y: float, eta: float, raw: float, lower: int) -> tuple[float, np.ndarray]:
    """Return the log density of one row and its gradient in (eta, log raw), priors included."""
    indicators: dict[str, Any] = {
        "y": {
            "domain": "quality",
            "family": family,
            "priors": {"intercept": "normal(0, 1)"},
        }
    }
    frame = pd.DataFrame({"home": ["a"], "y": [y], "n": [TRIALS], "lower": [lower]})
    if "binomial" in family and not family.startswith("negative"):
        indicators = {"n": {"domain": "demand"}, **indicators}
        indicators["y"]["trials"] = "n"
    if lower:
        indicators = {"lower": {"domain": "context"}, **indicators}
        indicators["y"]["at_least"] = "lower"
    if family not in ("poisson", "binomial"):
        name = "residual_sd" if family == "normal" else "dispersion"
        indicators["y"]["priors"][name] = "half_normal(1)"
    twin = Twin(twin="row", panel={"unit": "home"}, indicators=indicators)
    layout = build_layout(build_design(twin, "y", read_panel(frame, twin)))
    point = np.array([eta, np.log(raw)][: layout.size])
    gradient = np.empty(layout.size)
    return compiled_log_density()(point, layout.parts, gradient), gradient


def _exact(family: str, y: float, eta: float, raw: float, lower: int) -> tuple[Any, list[Any]]:
    scaled = family not in ("poisson", "binomial")

    def density(eta: Any, log_raw: Any) -> Any:
        v = mp.exp(log_raw)
        value = LOGS[family](mp.mpf(y), eta, v, TRIALS) - eta**2 / 2 - mp.log(2 * mp.pi) / 2
        if scaled:
            value += mp.log(2) - mp.log(2 * mp.pi) / 2 - v**2 / 2 + log_raw
        return value - _log_at_least(family, lower, eta, v) if lower else value

    # The oracle takes what lies below a bound from 1, which may leave 1e-120.
    with mp.workdps(220 if lower > 3 else 80):
        at = (mp.mpf(eta), mp.log(mp.mpf(raw)))
        slopes = [mp.diff(density, at, (1, 0))]
        if scaled:
            slopes.append(mp.diff(density, at, (0, 1)))
        return density(*at), slopes


ROWS = [
    *(("poisson", y, eta, 1.0, 0) for y, eta in [(0, -30.0), (0, 6.0), (3, -30.0), (900, 2.0)]),
    *(
        ("negative_binomial", y, eta, raw, 0)
        for y in (0, 2, 40, 5000)
        for eta in (-25.0, 0.5, 12.0)
        for raw in (1e-6, 0.02, 1.0, 30.0)
    ),
    *(("binomial", y, eta, 1.0, 0) for y in (0, 33, 90) for eta in (-30.0, 0.0, 30.0)),
    *(
        ("beta_binomial", y, eta, raw, 0)
        for y in (0, 33, 90)
        for eta in (-9.0, 0.0, 9.0)
        for raw in (1e-3, 0.3, 8.0)
    ),
    *(("gamma", y, eta, raw, 0) for y in (1e-3, 5.0) for eta in (-3.0, 4.0) for raw in (1e-4, 3.0)),
    *(("beta", y, eta, raw, 0) for y in (1e-6, 0.7) for eta in (-6.0, 2.0) for raw in (0.05, 3.0)),
    *(("poisson", 70, eta, 1.0, lower) for eta in (-12.0, 0.0, 5.0) for lower in (1, 3, 20)),
    *(
        ("negative_binomial", 70, eta, raw, lower)
        for eta in (-12.0, 1.0, 5.0)
        for raw in (1e-3, 0.5, 6.0)
        for lower in (1, 3, 20)
    ),
    *(("binomial", 80, eta, 1.0, lower) for eta in (-9.0, 0.0, 5.0) for lower in (1, 3, 20)),
    *(
        ("beta_binomial", 80, eta, raw, lower)
        for eta in (-6.0, 0.0, 5.0)
        for raw in (0.1, 2.0)
        for lower in (1, 3, 20)
    ),
    *(("normal", 9.0, eta, raw, 8) for eta in (-30.0, 0.0, 9.0, 60.0) for raw in (0.2, 5.0)),
]


@pytest.mark.parametrize(("family", "y", "eta", "raw", "lower"), ROWS)
def test_one_row_is_precise_far_out(
    family: str, y: float, eta: float, raw: float, lower: int
) -> None:
    value, gradient = _ours(family, y, eta, raw, lower)
    expected, slopes = _exact(family, y, eta, raw, lower)
    assert value == pytest.approx(float(expected), rel=1e-10, abs=1e-10)
    for ours, exact in zip(gradient, slopes, strict=True):
        assert ours == pytest.approx(float(exact), rel=1e-7, abs=1e-8)
