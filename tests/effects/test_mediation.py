"""Direct and indirect effects: closed forms, laws, a published example, and refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats
from scipy.special import expit

import dotwin as dw
from dotwin.errors import LicenceError, SpecificationError
from dotwin.inference import Fit
from dotwin.mechanisms import build_design
from dotwin.spec import Twin
from tests.worlds.conftest import known_fit, make_panel

NATURAL = {"scale": "natural"}
NORMAL = {"family": "normal", "plausible": [-1, 1]}
MONTHS = {"column": "month", "frequency": "month"}
GIVEN = {"domain": "context", "plausible": [-1, 1], "unconfounded": "drawn at random"}


def chain_fit(outcome: str = "normal", units: int = 400, draws: int = 100) -> Fit:
    """x -> m -> y and x -> y: m = x + N(0, 0.8); y = -1 + 0.5 x + 0.9 m on its link."""
    twin = Twin(
        twin="chain",
        panel={"unit": "unit"},
        indicators={
            "x": GIVEN,
            "m": {"domain": "quality", **NORMAL, "causes": {"x": NATURAL}},
            "y": {
                "domain": "outcome",
                **(NORMAL if outcome == "normal" else {"family": outcome}),
                "causes": {"x": NATURAL, "m": NATURAL},
            },
        },
    )
    rng = np.random.default_rng(0)
    facts = {name: rng.integers(0, 2, (units, 1)) for name in ("x", "m", "y")}
    values = {
        "m.intercept": 0.0, "m.causes": [1.0], "m.residual_sd": 0.8,
        "y.intercept": -1.0, "y.causes": [0.5, 0.9],
    } | ({"y.residual_sd": 1.0} if outcome == "normal" else {})  # fmt: skip
    return known_fit(twin, make_panel(twin, facts, units), values, draws)


def mean(found, part: str) -> float:
    return float(found.parts[part].mean())


def test_in_a_linear_chain_the_indirect_effect_is_the_product_of_its_steps() -> None:
    fit = chain_fit()
    for kind in ("natural", "interventional"):
        found = fit.mediation("x", on="y", through="m", kind=kind, contrast=(0, 2), draws=100)
        # Noise cancels in natural effects, and averages out in interventional ones.
        error = 1e-9 if kind == "natural" else 4 * 0.9 * 0.8 * np.sqrt(2 / (400 * 100))
        assert mean(found, "direct") == pytest.approx(1.0, abs=error)
        assert mean(found, "indirect") == pytest.approx(1.8, abs=error)
        assert mean(found, "total") == pytest.approx(2.8, abs=1e-9)
    along = fit.mediation("x", on="y", through="m", kind="path", contrast=(0, 2), draws=100)
    assert mean(along, "along the path") == pytest.approx(1.8, abs=1e-9)
    assert mean(along, "elsewhere") == pytest.approx(1.0, abs=1e-9)


def test_through_a_logit_effects_are_those_of_numerical_integration() -> None:
    fit = chain_fit("bernoulli")

    def level(x: float, of: float) -> float:
        density = stats.norm(of, 0.8).pdf
        return integrate.quad(lambda m: expit(-1 + 0.5 * x + 0.9 * m) * density(m), -8, 10)[0]

    truth = {
        "total": level(2, 2) - level(0, 0),
        "direct": level(2, 0) - level(0, 0),
        "indirect": level(2, 2) - level(2, 0),
        "pure indirect": level(0, 2) - level(0, 0),
    }
    assert truth["pure indirect"] != pytest.approx(truth["indirect"], abs=0.02)
    error = 4 * 0.2 / np.sqrt(400 * 100)
    natural = fit.mediation("x", on="y", through="m", kind="natural", contrast=(0, 2), draws=100)
    for part, value in truth.items():
        assert mean(natural, part) == pytest.approx(value, abs=error), part
    # Without a common cause that x moves, one's own mediator is one drawn from the same law.
    other = fit.mediation("x", on="y", through="m", contrast=(0, 2), draws=100)
    for part in ("direct", "indirect"):
        assert mean(other, part) == pytest.approx(truth[part], abs=2 * error), part
    assert mean(other, "gap") == pytest.approx(0.0, abs=3 * error)


def test_the_gap_is_what_own_histories_add() -> None:
    """l ~ Poisson(exp(x)), m = l + noise, y = l m: the gap is the change of their covariance."""
    twin = Twin(
        twin="gap",
        panel={"unit": "unit"},
        indicators={
            "x": GIVEN,
            "l": {"domain": "context", "family": "poisson", "causes": {"x": NATURAL}},
            "m": {"domain": "quality", **NORMAL, "causes": {"l": NATURAL}},
            "y": {
                "domain": "outcome", **NORMAL,
                "causes": {"l": NATURAL, "m": NATURAL, "l * m": NATURAL},
            },
        },
    )  # fmt: skip
    rng = np.random.default_rng(1)
    units = 1000
    facts = {"x": rng.normal(size=(units, 1)), "l": rng.poisson(2, (units, 1)),
             "m": rng.normal(size=(units, 1)), "y": rng.normal(size=(units, 1))}  # fmt: skip
    panel = make_panel(twin, facts, units)
    values = {
        "l.intercept": 0.0, "l.causes": [1.0],
        "m.intercept": 0.0, "m.causes": [1.0], "m.residual_sd": 1.0,
        "y.intercept": 0.0, "y.causes": [0.0, 0.0, 1.0], "y.residual_sd": 1.0,
    }  # fmt: skip
    fit = known_fit(twin, panel, values, 50)
    asked = {"on": "y", "through": "m", "contrast": (0.0, 1.0), "draws": 50}
    with pytest.raises(LicenceError, match=r"x changes l, which acts on y both.*interventional"):
        fit.mediation("x", kind="natural", **asked)
    found = fit.mediation("x", **asked)
    change = np.e - 1.0  # of the mean, and so of the variance, of l
    error = 5 * 12 / np.sqrt(units * 50 * 2)
    assert mean(found, "gap") == pytest.approx(change, abs=error)
    # The product is of centred terms: E[(l - c)(m - d)] = var + (E l - c)(E m - d).
    factors = build_design(twin, "y", panel).reference.factors
    c, d = factors["l"][0], factors["m"][0]
    m_of = {0: 1.0 - 0.0, 1: np.e}
    shift = build_design(twin, "m", panel).reference.factors["l"][0]
    overall = (np.e - c) * (m_of[1] - shift - d) - (1 - c) * (m_of[0] - shift - d)
    assert mean(found, "overall") == pytest.approx(overall, abs=error)
    assert mean(found, "total") == pytest.approx(overall + change, abs=error)
    named = fit.mediation("x", kind="natural", assume="monotone coupling", **asked)
    assert mean(named, "total") == pytest.approx(overall + change, abs=error)
    assert named.licence.identified.status == "assumed"


def test_the_laws_of_natural_effects_hold_in_every_draw() -> None:
    """Pearl (2001): total = direct - indirect of the reverse = direct + total indirect."""
    fit = chain_fit("bernoulli", units=50, draws=20)
    there = fit.mediation("x", on="y", through="m", kind="natural", contrast=(0, 2), draws=20)
    back = fit.mediation("x", on="y", through="m", kind="natural", contrast=(2, 0), draws=20)
    p, q = there.parts, back.parts
    np.testing.assert_allclose(p["total"], p["direct"] + p["indirect"], atol=1e-12)
    np.testing.assert_allclose(p["total"], p["direct"] - q["pure indirect"], atol=1e-12)
    np.testing.assert_allclose(p["total"], p["total direct"] + p["pure indirect"], atol=1e-12)
    np.testing.assert_allclose(p["total"], -q["total"], atol=1e-12)


def feedback_fit(units: int = 60, draws: int = 40) -> Fit:
    """m and y feed on each other; x is set. Linear, so that every effect is a number."""
    twin = Twin(
        twin="feedback",
        panel={"unit": "unit", "period": MONTHS},
        indicators={
            "x": GIVEN,
            "m": {"domain": "quality", **NORMAL,
                  "causes": {"x": NATURAL, "m[-1]": NATURAL, "y[-1]": NATURAL}},
            "y": {"domain": "outcome", **NORMAL, "causes": {"x": NATURAL, "m": NATURAL}},
        },
    )  # fmt: skip
    rng = np.random.default_rng(2)
    facts = {name: rng.normal(size=(units, 6)) for name in ("x", "m", "y")}
    values = {
        "m.intercept": 0.0, "m.causes": [0.7, 0.5, 0.3], "m.residual_sd": 1.0,
        "y.intercept": 0.0, "y.causes": [0.4, 0.6], "y.residual_sd": 1.0,
    }  # fmt: skip
    return known_fit(twin, make_panel(twin, facts, units, 6), values, draws)


def test_with_feedback_the_histories_of_mediators_are_those_of_the_recursion() -> None:
    fit = feedback_fit()
    periods = 4
    asked = {"on": "y", "through": "m", "contrast": (0.0, 1.0), "periods": periods, "draws": 40}
    found = fit.mediation("x", **asked)
    change_m, change_y, moved, last = [], [], 0.0, 0.0
    for _ in range(periods):
        moved = 0.7 + 0.5 * moved + 0.3 * last
        last = 0.4 + 0.6 * moved
        change_m.append(moved)
        change_y.append(last)
    total = found.parts["total"][:, 0].mean(axis=0)
    np.testing.assert_allclose(total, change_y, atol=1e-9)
    error = 5 * 1.5 / np.sqrt(60 * 40 * 2)
    indirect = found.parts["indirect"][:, 0].mean(axis=0)
    np.testing.assert_allclose(indirect, 0.6 * np.array(change_m), atol=error)
    direct = found.parts["direct"][:, 0].mean(axis=0)
    np.testing.assert_allclose(direct, 0.4, atol=error)
    # Along x -> m -> y alone: what comes back from y is not on the path.
    path = fit.mediation("x", kind="path", assume="monotone coupling", **asked)
    alone = np.cumsum(0.7 * 0.5 ** np.arange(periods)) * 0.6
    np.testing.assert_allclose(path.parts["along the path"][:, 0].mean(axis=0), alone, atol=1e-9)


def test_a_path_whose_step_also_acts_otherwise_is_refused(workforce: Fit) -> None:
    with pytest.raises(LicenceError, match="in two states at once"):
        feedback_fit().mediation("x", on="y", through="m", kind="path")
    with pytest.raises(LicenceError, match="vacancy rate changes scheduled visits"):
        workforce.mediation(
            "vacancy_rate", on="hospitalizations", through="missed_visits", kind="natural", draws=4
        )


def test_several_mediators_count_together_and_groups_apart(workforce: Fit) -> None:
    found = workforce.mediation(
        "vacancy_rate", on="hospitalizations", through=["missed_visits", "scheduled_visits"],
        contrast=(0.1, 0.2), periods=3, draws=12, by="region",
    )  # fmt: skip
    assert set(found.draws.data_vars) == {"total", "direct", "indirect", "overall", "gap"}
    assert found.draws["total"].dims == ("chain", "draw", "region", "period")
    table = found.summary()
    assert set(table["region"]) == {label[0] for label in found.groups.labels}
    assert "interventional indirect effect through missed visits and" in repr(found)
    # What vacancies do to hospital stays they do through visits, missed or not planned.
    small = np.abs(found.parts["direct"]).mean() / np.abs(found.parts["total"]).mean()
    assert small < 0.05


def test_seeds_and_draws_decide_alone(workforce: Fit) -> None:
    asked = {"on": "hospitalizations", "through": "missed_visits", "draws": 12, "periods": 2}
    one, two = (workforce.mediation("vacancy_rate", seed=3, **asked) for _ in range(2))
    np.testing.assert_array_equal(one.parts["indirect"], two.parts["indirect"])
    other = workforce.mediation("vacancy_rate", seed=4, **asked)
    assert (one.parts["indirect"] != other.parts["indirect"]).any()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"through": "missed"}, "Did you mean 'missed_visits'"),
        ({"through": "referrals"}, "does not reach referrals"),
        ({"through": "incidents"}, "incidents does not reach hospitalizations"),
        ({"through": "backlog"}, "exact accounting"),
        ({"through": "vacancy_rate"}, "different indicators"),
        ({"kind": "natrual"}, "'interventional', 'natural' or 'path'"),
        ({"contrast": (0.1, 0.1)}, "two values that differ"),
        ({"through": ["incidents"], "kind": "path"}, "vacancy_rate is no cause of incidents"),
    ],
)
def test_what_is_no_question_is_said(workforce: Fit, options, words) -> None:
    asked = {"on": "hospitalizations", "through": "missed_visits", "draws": 4, **options}
    with pytest.raises(SpecificationError, match=words):
        workforce.mediation("vacancy_rate", **asked)


@pytest.mark.slow
def test_the_framing_experiment_agrees_with_statsmodels() -> None:
    """Brader, Valentino and Suhay (2008), by Imai, Keele and Tingley's method, logit outcome.

    The example of statsmodels.stats.mediation; both answers carry their own Monte Carlo error.
    """
    statsmodels = pytest.importorskip("statsmodels")
    import statsmodels.api as sm
    from statsmodels.stats.mediation import Mediation

    table = Path(statsmodels.__file__).parent / "stats" / "tests" / "results" / "framing.csv"
    if not table.exists():
        pytest.skip("statsmodels was installed without its tests' data")
    data = pd.read_csv(table)
    right = "treat + age + educ + gender + income"
    outcome = sm.GLM.from_formula(f"cong_mesg ~ emo + {right}", data, family=sm.families.Binomial())
    mediator = sm.OLS.from_formula(f"emo ~ {right}", data)
    np.random.seed(4231)  # noqa: NPY002 # statsmodels draws from NumPy's old global generator
    peer = Mediation(outcome, mediator, "treat", mediator="emo").fit("parametric", n_rep=100)
    estimates, lows, highs = (peer.summary()[c] for c in peer.summary().columns[:3])

    wide = {"prior": "normal(0, 10)", "scale": "natural"}
    causes = ["treat", "age", "educ", "gender", "income"]
    groups = {
        name: {"domain": "context", "categories": sorted(data[name].unique())}
        for name in ("educ", "gender")
    }
    twin = Twin(
        twin="framing",
        panel={"unit": "person"},
        indicators={
            "treat": {"domain": "context", "unconfounded": "assigned at random"},
            "age": {"domain": "context"}, "income": {"domain": "context"}, **groups,
            "emo": {"domain": "quality", "family": "normal", "causes": dict.fromkeys(causes, wide),
                    "priors": {"intercept": "normal(7, 10)"}},
            "cong_mesg": {"domain": "outcome", "family": "bernoulli",
                          "causes": dict.fromkeys(["emo", *causes], wide),
                          "priors": {"intercept": "normal(0, 10)"}},
        },
    )  # fmt: skip
    data["person"] = [f"p{i:03d}" for i in range(len(data))]
    columns = ["person", *causes, "emo", "cong_mesg"]
    fit = dw.fit(
        twin, dw.read_panel(data[columns], twin), draws=500, chains=2, seed=1, progress=False
    )
    found = fit.mediation("treat", on="cong_mesg", through="emo", kind="natural", draws=1000)
    ours = {
        "ACME (treated)": "indirect",
        "ACME (control)": "pure indirect",
        "ADE (control)": "direct",
        "ADE (treated)": "total direct",
        "Total effect": "total",
    }
    for theirs, part in ours.items():
        draws = found.parts[part][:, 0, 0]
        sd = (highs[theirs] - lows[theirs]) / 3.92
        error = 4 * np.hypot(draws.std() / np.sqrt(len(draws)), sd / np.sqrt(100))
        # The posterior's mean and the estimate differ by what wide priors and n = 265 leave.
        assert draws.mean() == pytest.approx(estimates[theirs], abs=error), theirs
        assert draws.std() == pytest.approx(sd, rel=0.35), theirs
