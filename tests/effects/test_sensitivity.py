"""A hidden cause of stated strength, against regressions that hold it and that leave it out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm

from dotwin.errors import SpecificationError
from dotwin.inference import Fit
from dotwin.mechanisms import build_design
from dotwin.spec import Twin
from tests.effects.small import MONTHS, NATURAL, linear, make_panel

ROWS = 20_000


def simulated(family: str = "normal") -> tuple[dict[str, Any], Any]:
    """Rows of w → a, (w, a) → y with a hidden cause of a and y; w, a, y and the hidden cause."""
    rng = np.random.default_rng(4)
    u, w = rng.normal(size=(2, ROWS))
    a = 0.8 * w + 0.5 * u + rng.normal(size=ROWS)
    eta = 0.7 * a - 0.6 * w + 0.4 * u
    y = eta + rng.normal(size=ROWS) if family == "normal" else rng.random(ROWS) < expit(eta)
    return {"w": w[:, None], "a": a[:, None], "y": np.asarray(y, float)[:, None]}, u


def fitted(values: dict[str, Any], slopes: Any, family: str = "normal", draws: int = 100) -> Fit:
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
        "a", on="y", contrast=(0, 1), draws=100, seed=1, replicates=2, assume="no hidden causes"
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
        "a", on="y", contrast=(0, 1), draws=100, seed=1, replicates=2, assume="no hidden causes"
    )
    found = effect.sensitivity(strengths=[0.5, 1.2])
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
    loop = linear({"a": {"y[-1]": 0.3}, "y": {"a": 0.5}})
    with pytest.raises(SpecificationError, match="acts back"):
        loop.effect(
            "a", on="y", horizon=2, seed=1, assume=["no hidden causes", "edge"]
        ).sensitivity()
    plain = linear({"a": {}, "y": {"a": 0.5}})
    with pytest.raises(SpecificationError, match="partial correlation"):
        plain.effect(
            "a", on="y", horizon=2, seed=1, assume=["no hidden causes", "edge"]
        ).sensitivity()


def test_a_result_of_the_cause_in_the_same_mechanism_takes_no_part_in_the_bias() -> None:
    values, u = simulated()
    a, w, y = (values[name][:, 0] for name in "awy")
    m = 0.9 * a + np.random.default_rng(5).normal(size=ROWS)
    values = {**values, "m": m[:, None], "y": (y + 0.5 * m)[:, None]}
    short = least_squares(values["y"][:, 0], a, w, m)
    long = least_squares(values["y"][:, 0], a, w, m, u)
    twin = Twin(
        twin="hidden",
        panel={"unit": "home"},
        indicators={
            "w": {"domain": "context"},
            "a": {"domain": "outcome", "family": "normal", "causes": {"w": NATURAL}},
            "m": {"domain": "outcome", "family": "normal", "causes": {"a": NATURAL}},
            "y": {
                "domain": "outcome",
                "family": "normal",
                "causes": {"a": NATURAL, "w": NATURAL, "m": NATURAL},
            },
        },
    )
    fit = Fit.from_parameters(
        twin,
        make_panel(twin, values, ROWS),
        {
            **_stated(0.0, list(short[1:]), "normal"),
            **{"m.intercept": 0.0, "m.causes": [0.9], "m.residual_sd": 1.0},
        },
    )
    effect = fit.effect("a", on="y", seed=1, replicates=2, assume="no hidden causes")
    largest = max(abs(b) * c.std() for b, c in zip(short[1:], (a, w, m), strict=True))
    _, rho = strength(values, short)
    found = effect.sensitivity(strengths=[0.4 / largest], correlation=rho)
    assert abs(found.table["bias"]).max() == pytest.approx(short[1] - long[1], abs=0.02)


def test_over_periods_the_outcomes_memory_is_corrected_too() -> None:
    """Held for three periods, b (1 + r + r²) with both from the regression that knows all."""
    rng = np.random.default_rng(6)
    units, periods = 1500, 12
    u, noise, own = rng.normal(size=(3, units, periods))
    a, y = np.zeros((2, units, periods))
    for t in range(1, periods):
        a[:, t] = 0.7 * a[:, t - 1] + 0.6 * u[:, t] + own[:, t]
        y[:, t] = 0.5 * a[:, t] + 0.4 * y[:, t - 1] + 0.5 * u[:, t] + noise[:, t]
    now, before, recorded, hidden = (x.ravel() for x in (a[:, 1:], y[:, :-1], y[:, 1:], u[:, 1:]))
    ones = np.ones(now.size)
    short = np.linalg.lstsq(np.column_stack([ones, now, before]), recorded, rcond=None)[0]
    long = np.linalg.lstsq(np.column_stack([ones, now, before, hidden]), recorded, rcond=None)[0]
    twin = Twin(
        twin="memory",
        panel={"unit": "home", "period": MONTHS},
        indicators={
            "a": {"domain": "outcome", "family": "normal", "causes": {"a[-1]": NATURAL}},
            "y": {
                "domain": "outcome",
                "family": "normal",
                "causes": {"a": NATURAL, "y[-1]": NATURAL},
            },
        },
    )
    fit = Fit.from_parameters(
        twin,
        make_panel(twin, {"a": a, "y": y}, units, periods),
        {
            **_stated(0.0, list(short[1:]), "normal"),
            "a.causes": [0.7],
        },
    )
    effect = fit.effect(
        "a", on="y", contrast=(0, 1), horizon=3, seed=1, replicates=2, assume="no hidden causes"
    )
    z = np.column_stack([ones, before])
    left = (now - z @ np.linalg.lstsq(z, now, rcond=None)[0]).std()
    found = effect.sensitivity(strengths=[0.5 / abs(short[1] * now.std())], correlation=0.6 / left)
    truth, naive = (b * (1 + r + r**2) for b, r in (long[1:3], short[1:3]))
    towards = found.table[found.table["direction"] == "towards 0"].iloc[0]
    assert found.table["mean"].iloc[0] == pytest.approx(naive, abs=1e-6)
    assert towards["mean"] == pytest.approx(truth, abs=0.03)
    assert naive - truth > 0.15
    assert abs(short[2] - long[2]) > 0.02


def test_a_result_of_the_cause_is_refused_where_it_opens_a_path_to_the_hidden_cause() -> None:
    fit = linear({"w": {}, "a": {"w": 1.0}, "m": {"a": 1.0, "w": 1.0}, "y": {"a": 0.5, "m": 0.3}})
    effect = fit.effect("a", on="y", horizon=2, seed=1, assume=["no hidden causes", "edge"])
    with pytest.raises(SpecificationError, match="reads a result of a but not w"):
        effect.sensitivity()


def test_within_units_the_bias_is_what_leaving_the_hidden_cause_out_does_to_their_deviations() -> (
    None
):
    rng = np.random.default_rng(9)
    units, periods = 1500, 12
    u, own, noise = rng.normal(size=(3, units, periods))
    w = rng.normal(size=(units, periods)) + 0.5 * rng.normal(size=(units, 1))
    mean = rng.normal(size=(units, 1))
    a = mean + 0.8 * w + 0.6 * u + own
    # What differs between units goes with the mean of a, and is no part of its effect.
    y = 0.7 * a - 0.6 * w + 0.5 * u + 1.5 * mean + noise
    deviations = [(x - x.mean(axis=1, keepdims=True)).ravel() for x in (a, w, u, y)]
    da, dw, du, dy = deviations
    short = np.linalg.lstsq(np.column_stack([da, dw]), dy, rcond=None)[0]
    long = np.linalg.lstsq(np.column_stack([da, dw, du]), dy, rcond=None)[0]
    twin = Twin(
        twin="within",
        panel={"unit": "home", "period": MONTHS},
        indicators={
            "w": {"domain": "context"},
            "a": {
                "domain": "outcome",
                "family": "normal",
                "causes": {"w": NATURAL},
                "pooling": ["home"],
            },
            "y": {
                "domain": "outcome",
                "family": "normal",
                "causes": {"a": NATURAL, "w": NATURAL},
                "pooling": ["home"],
            },
        },
    )
    panel = make_panel(twin, {"w": w, "a": a, "y": y}, units, periods)
    names = [term.name for term in build_design(twin, "y", panel).main.predictor.terms]
    known = {"a": short[0], "w": short[1], "between: a": 1.9, "between: w": -1.2}
    assert set(names) == set(known)
    fit = Fit.from_parameters(
        twin,
        panel,
        {
            **_stated(0.0, [known[name] for name in names], "normal"),
            **{"a.causes": [0.8, 0.9], "a.sd_home": 1.0, "y.sd_home": 1.0},
        },
    )
    effect = fit.effect(
        "a", on="y", contrast=(0, 1), horizon=1, seed=1, replicates=2, assume="no hidden causes"
    )
    largest = max(abs(short[0]) * da.std(), abs(short[1]) * dw.std())
    left = (da - dw * (da @ dw) / (dw @ dw)).std()
    # Deviations of the hidden cause from its unit's mean vary less than it does.
    rho = 0.6 * np.sqrt(1 - 1 / periods) / left
    found = effect.sensitivity(strengths=[0.5 / largest], correlation=rho)
    towards = found.table[found.table["direction"] == "towards 0"].iloc[0]
    # Sampling error of a slope at 16,500 deviations: about 0.007.
    assert found.table["mean"].iloc[0] == pytest.approx(short[0], abs=1e-6)
    assert towards["mean"] == pytest.approx(long[0], abs=0.02)
    assert short[0] - long[0] > 0.15
    assert "changes within units" in repr(found)
