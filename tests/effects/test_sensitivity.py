"""A hidden cause of stated strength, against regressions that hold it and that leave it out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm

from dotwin.errors import SpecificationError
from dotwin.inference import Fit
from dotwin.spec import Twin
from tests.effects.small import NATURAL, linear, make_panel

ROWS = 20_000


def simulated(family: str = "normal") -> tuple[dict[str, Any], Any]:
    """Rows of w → a, (w, a) → y with a hidden cause of a and y; w, a, y and the hidden cause."""
    rng = np.random.default_rng(4)
    u, w = rng.normal(size=(2, ROWS))
    a = 0.8 * w + 0.5 * u + rng.normal(size=ROWS)
    eta = 0.7 * a - 0.6 * w + 0.4 * u
    y = eta + rng.normal(size=ROWS) if family == "normal" else rng.random(ROWS) < expit(eta)
    return {"w": w[:, None], "a": a[:, None], "y": np.asarray(y, float)[:, None]}, u


def fitted(values: dict[str, Any], slopes: Any, family: str = "normal", draws: int = 400) -> Fit:
    """A fit of y's coefficients (intercept, a, w), its slope of a spread by 0.05."""
    twin = Twin(
        twin="hidden",
        panel={"unit": "home"},
        indicators={
            "w": {"domain": "context"},
            "a": {"domain": "outcome", "family": "normal", "causes": {"w": NATURAL}},
            "y": {"domain": "outcome", "family": family, "causes": {"a": NATURAL, "w": NATURAL}},
        },
    )
    panel = make_panel(twin, values, ROWS)
    spread = norm.ppf((np.arange(draws) + 0.5) / draws) * 0.05
    causes = np.stack([slopes[1] + spread, np.full(draws, slopes[2])], axis=1)
    centres = (
        Fit.from_parameters(twin, panel, _stated(0.0, causes, family))
        .designs["y"]
        .reference.factors
    )
    intercept = slopes[0] + causes[:, 0] * centres["a"][0] + causes[:, 1] * centres["w"][0]
    return Fit.from_parameters(twin, panel, _stated(intercept, causes, family))


def _stated(intercept: Any, causes: Any, family: str) -> dict[str, Any]:
    more = {"y.residual_sd": 1.0} if family == "normal" else {}
    return {
        "a.intercept": 0.0,
        "a.causes": [0.8],
        "a.residual_sd": 1.1,
        "y.intercept": intercept,
        "y.causes": causes,
        **more,
    }


def least_squares(y: Any, *columns: Any) -> Any:
    return np.linalg.lstsq(np.column_stack([np.ones(ROWS), *columns]), y, rcond=None)[0]


def logistic(y: Any, *columns: Any) -> Any:
    x = np.column_stack([np.ones(ROWS), *columns])
    b = np.zeros(x.shape[1])
    for _ in range(25):
        p = expit(x @ b)
        b = b + np.linalg.solve(x.T @ (x * (p * (1 - p))[:, None]), x.T @ (y - p))
    return b


def strength(values: dict[str, Any], short: Any) -> tuple[float, float]:
    """The strength on y of 0.4 per sd, and the partial correlation of 0.5 per sd with a."""
    a, w = values["a"][:, 0], values["w"][:, 0]
    left = a - np.column_stack([np.ones(ROWS), w]) @ least_squares(a, w)
    largest = max(abs(short[1]) * a.std(), abs(short[2]) * w.std())
    return 0.4 / largest, 0.5 / left.std()


def test_the_linear_bias_is_what_leaving_the_hidden_cause_out_does_to_least_squares() -> None:
    values, u = simulated()
    a, w, y = (values[name][:, 0] for name in "awy")
    short, long = least_squares(y, a, w), least_squares(y, a, w, u)
    k, rho = strength(values, short)
    effect = fitted(values, short).effect(
        "a", on="y", contrast=(0, 1), draws=400, seed=1, replicates=2, assume="no hidden causes"
    )
    found = effect.sensitivity(strengths=[k], correlation=rho)
    # Sampling error of a slope at 20,000 rows: about 0.007.
    towards = found.table[found.table["direction"] == "towards 0"].iloc[0]
    assert towards["bias"] == pytest.approx(short[1] - long[1], abs=0.02)
    assert towards["mean"] == pytest.approx(long[1], abs=0.02)
    assert abs(short[1] - long[1]) > 0.1


def test_a_strength_on_both_arrows_tips_where_the_closed_form_says() -> None:
    values, _ = simulated()
    a, w, y = (values[name][:, 0] for name in "awy")
    short = least_squares(y, a, w)
    effect = fitted(values, short).effect(
        "a", on="y", contrast=(0, 1), draws=400, seed=1, replicates=2, assume="no hidden causes"
    )
    found = effect.sensitivity(strengths=[0.4, 0.8, 1.2])
    k, rho = strength(values, short)
    # bias at strength k: (k gamma)(k alpha) / var(a given w)
    left = 0.5 / rho
    one = (0.4 / k) * (0.8 * w.std()) / left**2
    edge = float(effect.summary()["5%"].iloc[0])
    assert found.tipping == pytest.approx(np.sqrt(edge / one), rel=0.01)
    assert "times as strong" in repr(found)
    assert found.plot() is not None


def test_a_logit_is_corrected_nearly_as_by_recording_the_hidden_cause() -> None:
    values, u = simulated("bernoulli")
    a, w, y = (values[name][:, 0] for name in "awy")
    short, long = logistic(y, a, w), logistic(y, a, w, u)
    k, rho = strength(values, short)
    effect = fitted(values, short, "bernoulli").effect(
        "a", on="y", contrast=(0, 1), draws=100, seed=1, replicates=2, assume="no hidden causes"
    )
    found = effect.sensitivity(strengths=[k], correlation=rho)
    z = long[0] + long[2] * w + long[3] * u
    truth = (expit(z + long[1]) - expit(z)).mean()
    towards = found.table[found.table["direction"] == "towards 0"].iloc[0]
    assert towards["mean"] == pytest.approx(truth, abs=0.015)
    assert found.table["mean"].iloc[0] - truth > 0.025
    assert "approximately" in repr(found)


def test_feedback_and_givens_without_a_correlation_are_refused() -> None:
    loop = linear({"a": {"lag(y)": 0.3}, "y": {"a": 0.5}})
    with pytest.raises(SpecificationError, match="acts back"):
        loop.effect(
            "a", on="y", horizon=2, seed=1, assume=["no hidden causes", "edge"]
        ).sensitivity()
    plain = linear({"a": {}, "y": {"a": 0.5}})
    with pytest.raises(SpecificationError, match="partial correlation"):
        plain.effect(
            "a", on="y", horizon=2, seed=1, assume=["no hidden causes", "edge"]
        ).sensitivity()
