"""Effects that are known from elsewhere: published numbers, enumeration, peers, closed forms."""

from __future__ import annotations

import causaldata
import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats
from scipy.special import expit

import dotwin as dw
from dotwin.inference import Fit
from tests.effects.small import MONTHS, NATURAL, binary_network, known_fit, linear, make_panel


def test_a_logit_chain_agrees_with_numerical_integration() -> None:
    """X ~ N(0, 1), M = X + N(0, sd 2), Y ~ Bernoulli(logit^-1(M - 2))."""
    twin = dw.Twin(
        twin="chain",
        panel={"unit": "home"},
        indicators={
            "x": {"domain": "context", "family": "normal", "plausible": [-1, 1]},
            "m": {
                "domain": "quality",
                "family": "normal",
                "plausible": [-1, 1],
                "causes": {"x": NATURAL},
            },
            "y": {"domain": "outcome", "family": "bernoulli", "causes": {"m": NATURAL}},
        },
    )
    rng = np.random.default_rng(0)
    panel = make_panel(twin, {n: rng.integers(0, 2, (400, 1)) for n in "xmy"}, 400)
    values = {
        "x.intercept": 0.0, "x.residual_sd": 1.0,
        "m.intercept": 0.0, "m.causes": [1.0], "m.residual_sd": 2.0,
        "y.intercept": -2.0, "y.causes": [1.0],
    }  # fmt: skip
    effect = known_fit(twin, panel, values, draws=20).effect("x", on="y", contrast=(0, 2), seed=1)

    def truth(x: float) -> float:
        density = stats.norm(x, 2).pdf
        return integrate.quad(lambda m: expit(m - 2) * density(m), -30, 30)[0]

    assert truth(0.0) == pytest.approx(0.225, abs=5e-4)
    assert truth(2.0) - truth(0.0) == pytest.approx(0.275, abs=5e-4)
    draws = effect.draws["difference"].values.ravel()
    error = 4 * draws.std(ddof=1) / np.sqrt(draws.size)
    assert error < 0.002
    assert draws.mean() == pytest.approx(truth(2.0) - truth(0.0), abs=error)
    risks = effect.worlds.mean(("chain", "draw"))
    assert risks.sel(world="x = 0").item() == pytest.approx(truth(0.0), abs=error)
    # Nothing but noise makes draws differ when the parameters are known, and the table says so.
    assert effect.summary()["noise"].item() > 0.5


@pytest.mark.filterwarnings("ignore:.*get_example_model:FutureWarning")
def test_the_asia_network_agrees_with_pgmpy() -> None:
    from pgmpy.inference import CausalInference
    from pgmpy.utils import get_example_model

    model = get_example_model("asia")
    parents = {
        "asia": [], "smoke": [], "tub": ["asia"], "lung": ["smoke"], "bronc": ["smoke"],
        "dysp": ["bronc", "either"],
    }  # fmt: skip

    def table(name: str) -> dict[tuple[int, ...], float]:
        cpd = model.get_cpds(name)
        above = parents[name]
        states = [tuple(map(int, f"{k:0{len(above)}b}")) for k in range(2 ** len(above))]
        words = ("no", "yes")
        return {
            (state if above else ()): cpd.get_value(
                **{name: "yes"}, **{p: words[s] for p, s in zip(above, state, strict=True)}
            )
            for state in (states if above else [()])
        }

    risk = {name: table(name) for name in parents}
    fit = binary_network(parents, risk, exact={"either": "max(lung, tub)"}, units=1000)
    effect = fit.effect("smoke", on="dysp", seed=2)
    query = CausalInference(model).query
    truth = [query(["dysp"], do={"smoke": s}).get_value(dysp="yes") for s in ("no", "yes")]
    assert truth == pytest.approx([0.319133, 0.552808], abs=5e-7)
    spread = effect.worlds.std("draw").max().item()
    error = 4 * spread / np.sqrt(effect.worlds.sizes["draw"])
    assert error < 0.003
    np.testing.assert_allclose(effect.worlds.mean(("chain", "draw")), truth, atol=error)


#: Hernán, M. A. and Robins, J. M. (2020). Causal Inference: What If, table 2.2: twenty people,
#: L severity, A treatment, Y death.
WHAT_IF = {
    "severe": [0] * 8 + [1] * 12,
    "treated": [0] * 4 + [1] * 4 + [0] * 3 + [1] * 9,
    "death": [0, 1, 0, 0, 0, 0, 0, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 0, 0, 0],
}


def what_if() -> Fit:
    values = {name: np.array(column)[:, None] for name, column in WHAT_IF.items()}
    table = pd.DataFrame(WHAT_IF)
    share = table.groupby("severe")["treated"].mean()
    risk = table.groupby(["severe", "treated"])["death"].mean()
    return binary_network(
        {"treated": ["severe"], "death": ["severe", "treated"]},
        {"treated": {(s,): share[s] for s in (0, 1)}, "death": risk.to_dict()},
        values=values,
        units=20,
        draws=2,
        given={"severe": {}},
    )


def test_standardised_risks_are_those_of_what_if() -> None:
    effect = what_if().effect("treated", on="death")
    np.testing.assert_allclose(effect.worlds, 0.5, rtol=1e-12)
    np.testing.assert_allclose(effect.draws["difference"], 0.0, atol=1e-12)
    np.testing.assert_allclose(effect.draws["ratio"], 1.0, rtol=1e-12)


def test_a_declared_group_is_averaged_over_its_own_covariates() -> None:
    fit = what_if()
    # Of the thirteen treated, nine are severe: (4 * 1/4 + 9 * 2/3) / 13.
    treated = fit.effect("treated", on="death", among="start(treated) == 1")
    np.testing.assert_allclose(treated.worlds, 7 / 13, rtol=1e-12)
    by = fit.effect("treated", on="death", by="severe")
    np.testing.assert_allclose(by.worlds.sel(severe="0"), 1 / 4, rtol=1e-12)
    np.testing.assert_allclose(by.worlds.sel(severe="1"), 2 / 3, rtol=1e-12)


@pytest.mark.realdata
def test_the_national_supported_work_experiment_is_met() -> None:
    """The difference of means on re78 is 1794.34 (se 632.9)."""
    table = causaldata.nsw_mixtape.load_pandas().data
    table = table.assign(person=np.arange(len(table)).astype(str))[["person", "treat", "re78"]]
    assert len(table) == 445
    prior_sd = 10_000.0
    twin = dw.Twin(
        twin="nsw",
        panel={"unit": "person"},
        indicators={
            "treat": {"domain": "context", "unconfounded": "randomised"},
            "re78": {
                "domain": "outcome",
                "family": "normal",
                "causes": {"treat": {"prior": f"normal(0, {prior_sd:g})", "scale": "natural"}},
            },
        },
    )
    fit = dw.fit(twin, dw.read_panel(table, twin), draws=1000, chains=4, seed=1, progress=False)
    effect = fit.effect("treat", on="re78", draws=4000)
    draws = effect.draws["difference"].values.ravel()
    shrinkage = 1794.34 * 632.9**2 / (prior_sd**2 + 632.9**2)
    error = 2 * draws.std() / np.sqrt(draws.size)
    assert draws.mean() == pytest.approx(1794.34, abs=error + 2 * shrinkage)
    assert draws.std() == pytest.approx(632.9, rel=0.05)
    assert effect.licence.identified.status == "yes"


def test_two_linear_paths_add_up_as_in_the_tests_of_dowhy() -> None:
    """T -> X0 -> Y with 1 and T -> X1 -> Y with 0.5.

    dowhy's tests/gcm/test_whatif.py expects 1.5.
    """
    twin = dw.Twin(
        twin="paths",
        panel={"unit": "row"},
        indicators={
            "t": {"domain": "context", "family": "bernoulli"},
            "x0": {"domain": "quality", "family": "normal", "causes": {"t": NATURAL}},
            "x1": {"domain": "quality", "family": "normal", "causes": {"t": NATURAL}},
            "y": {
                "domain": "outcome",
                "family": "normal",
                "causes": {"x0": NATURAL, "x1": NATURAL},
            },
        },
    )
    rng = np.random.default_rng(5)
    t = rng.integers(0, 2, 1000)
    x0, x1 = rng.normal(0, 0.2, 1000) + t, rng.normal(0, 0.2, 1000) + 0.5 * t
    y = x0 + x1 + rng.normal(0, 0.1, 1000)
    table = pd.DataFrame({"t": t, "x0": x0, "x1": x1, "y": y})
    table["row"] = np.arange(1000).astype(str)
    fit = dw.fit(twin, dw.read_panel(table, twin), draws=500, chains=2, seed=1, progress=False)
    row = fit.effect("t", on="y").summary().iloc[0]
    assert row["mean"] == pytest.approx(1.5, abs=0.06)
    assert row["5%"] < 1.5 < row["95%"]


SYSTEM = {
    "x": {"x[-1]": 0.5, "y[-1]": 0.2},
    "m": {"x": 0.8, "m[-1]": 0.3},
    "y": {"m": 1.5, "x[-1]": -0.4, "y[-1]": 0.25},
}


def by_recursion(path: list[float | None]) -> list[float]:
    """The response of y to x set along a path (None: left to itself), all else at zero noise."""
    x = m = y = 0.0
    found = []
    for value in path:
        before = x, m, y
        x = 0.5 * before[0] + 0.2 * before[2] if value is None else value
        m = 0.8 * x + 0.3 * before[1]
        y = 1.5 * m - 0.4 * before[0] + 0.25 * before[2]
        found.append(y)
    return found


@pytest.mark.parametrize(
    ("asked", "path"),
    [
        ({}, [1.0] * 6),
        ({"hold": "once"}, [1.0, None, None, None, None, None]),
        ({"periods": 2}, [1.0, 1.0, None, None, None, None]),
        ({"start": 3}, [None, None, 1.0, 1.0, 1.0, 1.0]),
        ({"start": "2024-05", "hold": "once"}, [None, 1.0, None, None, None, None]),
    ],
)
def test_responses_of_a_linear_system_are_those_of_its_recursion(asked, path) -> None:
    """Feedback goes on: y acts on later x wherever x is not set."""
    effect = linear(SYSTEM).effect("x", on="y", contrast=(2, 3), horizon=6, **asked)
    difference = effect.draws["difference"]
    # Both worlds are what they would be anyway until the change begins, so the responses differ by
    # one unit of the change and are the same for every draw, whatever the noise.
    expected = np.broadcast_to(by_recursion(path), difference.shape)
    np.testing.assert_allclose(difference, expected, atol=1e-10)
    running = effect.cumulative().draws["difference"]
    np.testing.assert_allclose(running, np.cumsum(expected, axis=-1), atol=1e-10)
    at = effect.at(4).draws["difference"]
    assert at.dims == ("chain", "draw")
    np.testing.assert_allclose(at, expected[..., 3], atol=1e-10)


def test_treatment_affected_confounding_needs_the_g_formula() -> None:
    """Need is moved by earlier support, and moves later support and falls.

    Support s: need = 0.6 need[-1] - 0.5 s[-1]; s = 0.7 need; falls = need - 0.3 s. Set to 1
    rather than 0 in four periods, support changes falls in the fourth by
    -0.3 - 0.5 (1 + 0.6 + 0.36) = -1.28. Holding need fixed leaves -0.3.
    """
    twin = dw.Twin(
        twin="homes",
        panel={"unit": "home", "period": MONTHS},
        indicators={
            "need": {
                "domain": "context",
                "family": "normal",
                "causes": {"need[-1]": {}, "support[-1]": {}},
            },
            "support": {"domain": "workforce", "family": "normal", "causes": {"need": {}}},
            "falls": {
                "domain": "outcome",
                "family": "normal",
                "causes": {"need": {}, "support": {}},
            },
        },
    )
    rng = np.random.default_rng(8)
    units, periods = 60, 10
    need, support, falls = np.zeros((3, units, periods))
    for t in range(periods):
        before = max(t - 1, 0)
        lagged = 0.6 * need[:, before] - 0.5 * support[:, before] if t else 0.0
        need[:, t] = lagged + rng.normal(0, 1, units)
        support[:, t] = 0.7 * need[:, t] + rng.normal(0, 1, units)
        falls[:, t] = need[:, t] - 0.3 * support[:, t] + rng.normal(0, 1, units)
    truth = -0.3 - 0.5 * (1 + 0.6 + 0.36)
    panel = make_panel(twin, {"need": need, "support": support, "falls": falls}, units, periods)
    fit = dw.fit(twin, panel, draws=500, chains=2, seed=1, progress=False)
    effect = fit.effect("support", on="falls", contrast=(0, 1), horizon=4)
    row = effect.at(4).summary().iloc[0]
    assert row["5%"] < truth < row["95%"]
    assert row["95%"] - row["5%"] < 0.6

    # Regression of falls on present and past support, with need held fixed.
    rows = [np.ones(units * (periods - 3)), need[:, 3:].ravel()]
    rows += [support[:, 3 - lag : periods - lag].ravel() for lag in range(4)]
    x, y = np.column_stack(rows), falls[:, 3:].ravel()
    estimate, residual, *_ = np.linalg.lstsq(x, y)
    pick = np.array([0, 0, 1, 1, 1, 1])
    cov = np.linalg.inv(x.T @ x) * residual.item() / (len(y) - x.shape[1])
    adjusted, se = pick @ estimate, np.sqrt(pick @ cov @ pick)
    assert not adjusted - 4 * se < truth < adjusted + 4 * se
