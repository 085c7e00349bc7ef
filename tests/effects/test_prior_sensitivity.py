"""Power scaling of an effect, against conjugate closed forms and ArviZ on PyMC's densities."""

from __future__ import annotations

from typing import Any

import arviz as az
import numpy as np
import pandas as pd
import pymc as pm
import pytest
import xarray as xr
from scipy import stats

import dotwin as dw
from dotwin.effects import Effect
from dotwin.errors import SpecificationError
from dotwin.inference import Fit
from dotwin.inference.power_scaling import Moved, log_prior, sensitivity_to, verdict
from dotwin.mechanisms.family import dispersion_parameter
from dotwin.mechanisms.parameters import Parameter
from dotwin.spec import Twin
from dotwin.spec.prior import PRIORS, Prior
from tests.effects.small import MONTHS, linear, make_panel

UNITS, SLOPE, SIGMA = 60, 0.3, 1.0
#: What a residual sd that is all but known looks like, so that the rest is conjugate.
KNOWN = {"residual_sd": f"lognormal({np.log(SIGMA)}, 0.0001)"}


def normal_fit(mean: float, sd: float) -> tuple[Fit, Any, Any]:
    """y on x with a known residual sd, and a normal prior of the slope; the rows' x and y."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=UNITS)
    x = (x - x.mean()) / x.std()
    noise = rng.normal(size=UNITS)
    design = np.column_stack([np.ones(UNITS), x])
    noise = noise - design @ np.linalg.lstsq(design, noise)[0]
    y = SLOPE * x + SIGMA * noise / noise.std()
    twin = Twin(
        twin="conjugate",
        panel={"unit": "home"},
        indicators={
            "x": {"domain": "context", "plausible": [-3.29 / 2, 3.29 / 2]},
            "y": {
                "domain": "outcome",
                "family": "normal",
                "plausible": [-3.29 / 2, 3.29 / 2],
                "causes": {"x": {"prior": f"normal({mean}, {sd})"}},
                "priors": {"intercept": "normal(0, 1)", **KNOWN},
            },
        },
    )
    panel = make_panel(twin, {"x": x[:, None], "y": y[:, None]}, UNITS)
    return dw.fit(twin, panel, draws=2000, chains=2, seed=1, progress=False), x, y


def asked(fit: Fit) -> Effect:
    return fit.effect(
        "x", on="y", contrast=(0, 1), draws=4000, seed=1, assume="no hidden causes", replicates=1
    )


def closed_form(mean: float, sd: float, x: Any, y: Any, prior: float, data: float) -> Any:
    """Posterior of the slope, the columns being orthogonal, with both factors at a power."""
    precision = prior / sd**2 + data * (x @ x) / SIGMA**2
    return stats.norm(
        (prior * mean / sd**2 + data * (x @ y) / SIGMA**2) / precision, precision**-0.5
    )


PRIORS_OF_SLOPE = {
    "the data decide": (0.0, 2.0),
    "the prior moves the answer": (0.3, 0.02),
    "prior and data disagree": (1.5, 0.15),
    "prior and data both count": (0.5, 0.15),
}


@pytest.fixture(scope="module", params=PRIORS_OF_SLOPE)
def case(request: pytest.FixtureRequest) -> tuple[str, Any, Effect]:
    mean, sd = PRIORS_OF_SLOPE[request.param]
    fit, x, y = normal_fit(mean, sd)
    return request.param, (mean, sd, x, y), asked(fit)


def test_scaled_posteriors_are_the_conjugate_ones(case: tuple[str, Any, Effect]) -> None:
    _, known, effect = case
    found = effect.prior_sensitivity()
    safe = pd.concat([found.trusted("prior"), found.trusted("likelihood")])
    for _, row in safe.iterrows():
        powers = {"prior": 1.0, "data": 1.0}
        powers["prior" if row["scaled"] == "prior" else "data"] = row["power"]
        exact = closed_form(*known, **powers)
        sd = exact.std()
        # Four standard errors of a mean, and of quantiles, of so many draws.
        error = 4 * sd / np.sqrt(row["ess"])
        assert row["mean"] == pytest.approx(exact.mean(), abs=error)
        for end, p in (("5%", 0.05), ("95%", 0.95)):
            at = stats.norm.pdf(stats.norm.ppf(p)) / np.sqrt(p * (1 - p))
            assert row[end] == pytest.approx(exact.ppf(p), abs=error / at)
    assert {0.8, 1.0, 1.25} <= set(safe.loc[safe["scaled"] == "prior", "power"])


def test_verdicts_are_those_of_the_case(case: tuple[str, Any, Effect]) -> None:
    expected, _, effect = case
    found = effect.prior_sensitivity()
    assert found.verdict == expected
    assert found.table["mechanism"].tolist() == ["all mechanisms", "y"]
    # One mechanism alone is all of them.
    assert found.table["prior"].nunique() == found.table["likelihood"].nunique() == 1
    words = {
        "the data decide": "The data decide the effect of x on mean y",
        "the prior moves the answer": "The prior moves the effect of x on mean y",
        "prior and data disagree": "Prior and data disagree on the effect of x on mean y",
        "prior and data both count": "Prior and data both count for the effect of x on mean y",
    }
    assert repr(found).startswith(words[expected])
    figure = found.plot()
    assert expected in figure.get_suptitle()
    line = figure.axes[0].lines[0]
    middle = list(line.get_xdata()).index(1.0)
    assert line.get_ydata()[middle] == pytest.approx(effect.summary()["mean"].iloc[0])


def test_sensitivities_are_those_of_arviz_on_the_densities_of_pymc(
    case: tuple[str, Any, Effect],
) -> None:
    expected, (mean, sd, x, y), effect = case
    fit = effect.question.fit
    posterior = fit.posterior["posterior"].to_dataset()
    tree = xr.DataTree.from_dict({"posterior": posterior})
    model = fit.pymc_model("y")
    with model:
        pm.stats.compute_log_likelihood(tree, progressbar=False)
        pm.stats.compute_log_prior(tree, progressbar=False)
    densities = {name: tree[name].to_dataset() for name in ("log_prior", "log_likelihood")}
    draws = effect.draws[["difference"]].drop_vars("period", errors="ignore")
    whole = xr.DataTree.from_dict({"posterior": draws, **densities})
    theirs = az.psense_summary(whole, round_to=12).loc["difference"]
    ours = effect.prior_sensitivity().table.iloc[0]
    assert ours["prior"] == pytest.approx(theirs["prior"], rel=1e-6)
    assert ours["likelihood"] == pytest.approx(theirs["likelihood"], rel=1e-6)
    if expected.startswith("prior and data"):
        between = abs(mean - (x @ y) / (x @ x)) / np.sqrt(sd**2 + SIGMA**2 / (x @ x))
        assert ours["apart"] == pytest.approx(between, rel=0.15)
    whole = xr.DataTree.from_dict({"posterior": posterior, **densities})
    theirs = az.psense_summary(whole, var_names=["y.causes", "y.intercept"], round_to=12)
    table = fit.prior_sensitivity(draws=4000).set_index("parameter")
    for mine, their in (("y.causes[x]", "y.causes[x]"), ("y.intercept", "y.intercept")):
        assert table.loc[mine, "prior"] == pytest.approx(theirs.loc[their, "prior"], rel=1e-6)


@pytest.mark.parametrize("name", PRIORS)
def test_log_priors_are_scipys(name: str) -> None:
    exact = {
        "normal": stats.norm(0.3, 0.7),
        "student_t": stats.t(4, 0.3, 0.7),
        "half_normal": stats.halfnorm(0, 0.7),
        "half_student_t": stats.t(4, 0, 0.7),
        "exponential": stats.expon(scale=1 / 0.7),
        "gamma": stats.gamma(2.5, scale=1 / 0.7),
        "lognormal": stats.lognorm(0.7, scale=np.exp(0.3)),
        "beta": stats.beta(2.5, 0.7),
        "uniform": stats.uniform(-0.3, 1.0),
    }[name]
    arguments = {
        "normal": (0.3, 0.7),
        "student_t": (4, 0.3, 0.7),
        "half_normal": (0.7,),
        "half_student_t": (4, 0.7),
        "exponential": (0.7,),
        "gamma": (2.5, 0.7),
        "lognormal": (0.3, 0.7),
        "beta": (2.5, 0.7),
        "uniform": (-0.3, 0.7),
    }[name]
    x = np.array([0.1, 0.4, 0.65])
    one = Parameter("y.sd", "free", priors=(Prior(name, arguments),))
    twice = np.log(2.0) if name == "half_student_t" else 0.0
    np.testing.assert_allclose(log_prior([one], {"y.sd": x}), exact.logpdf(x) + twice, rtol=1e-12)


def test_two_mechanisms_are_scaled_together_at_the_draws_that_the_effect_took() -> None:
    rng = np.random.default_rng(8)
    ones = np.ones(UNITS)

    def noise(*columns: Any) -> Any:
        x = np.column_stack([ones, *columns])
        e = rng.normal(size=UNITS)
        e = e - x @ np.linalg.lstsq(x, e)[0]
        return e / e.std()

    x = noise()
    z = 0.5 * x + noise(x)
    y = 0.6 * z + noise(x, z)
    own = {
        "domain": "outcome",
        "family": "normal",
        "plausible": [-3.29 / 2, 3.29 / 2],
        "priors": {"intercept": "normal(0, 1)", **KNOWN},
    }
    twin = Twin(
        twin="chain",
        panel={"unit": "home"},
        indicators={
            "x": {"domain": "context", "plausible": [-3.29 / 2, 3.29 / 2]},
            "z": {**own, "causes": {"x": {"prior": "normal(1, 0.2)"}}},
            "y": {**own, "causes": {"z": {"prior": "normal(0, 2)"}}},
        },
    )
    panel = make_panel(twin, {"x": x[:, None], "z": z[:, None], "y": y[:, None]}, UNITS)
    fit = dw.fit(twin, panel, draws=2000, chains=2, seed=1, progress=False)
    effect = fit.effect(
        "x", on="y", contrast=(0, 1), draws=1000, seed=1, assume="no hidden causes", replicates=1
    )
    found = effect.prior_sensitivity()
    for _, row in found.trusted("prior").iterrows():
        # Posteriors of the two slopes are independent, and their product has this mean and sd.
        a = closed_form(1.0, 0.2, x, z, row["power"], 1.0)
        b = closed_form(0.0, 2.0, z, y, row["power"], 1.0)
        sd = np.sqrt(a.var() * b.var() + a.var() * b.mean() ** 2 + b.var() * a.mean() ** 2)
        assert row["mean"] == pytest.approx(a.mean() * b.mean(), abs=4 * sd / np.sqrt(row["ess"]))
    table = found.table.set_index("mechanism")
    assert table.loc["z", "verdict"].startswith("prior and data")
    assert table.loc["y", "verdict"] == "the data decide"
    assert "most by the priors of z" in repr(found)


def test_what_chance_would_do_is_no_verdict() -> None:
    none, seen, chance = Moved(0.02, 0.01), Moved(0.2, 0.03), Moved(0.2, 0.3)
    assert verdict(none, none) == "neither moves it"
    assert verdict(none, seen) == "the data decide"
    assert verdict(none, chance) == "the prior does not move it"
    assert verdict(chance, seen) == "too few draws to tell"
    assert verdict(seen, chance) == "the prior moves the answer"


def test_a_prior_on_a_transform_is_a_density_of_that() -> None:
    prior = Prior("half_normal", (0.7,))
    one = Parameter(
        "y.dispersion", "dispersion", priors=(prior,), transform=dispersion_parameter("")
    )
    x = np.array([0.1, 0.4, 0.65])
    exact = stats.halfnorm(0, 0.7).logpdf(x)
    np.testing.assert_allclose(log_prior([one], {"y.dispersion": x**-2}), exact, rtol=1e-12)


def test_a_cause_that_differs_between_units_only_is_seen_to_owe_its_effect_to_the_data() -> None:
    rng = np.random.default_rng(5)
    homes, months = 60, 40
    x = rng.normal(size=homes)[:, None]
    y = 0.5 * x + 0.5 * rng.normal(size=(homes, 1)) + 0.3 * rng.normal(size=(homes, months))
    twin = Twin(
        twin="units",
        panel={"unit": "home", "period": MONTHS},
        indicators={
            "x": {"domain": "context", "plausible": [-1.6, 1.6]},
            "y": {
                "domain": "outcome",
                "family": "normal",
                "plausible": [-2, 2],
                "pooling": ["home"],
                "causes": {"x": {}},
            },
        },
    )
    panel = make_panel(twin, {"x": x, "y": y}, homes, months)
    fit = dw.fit(twin, panel, draws=500, chains=2, seed=1, progress=False)
    effect = fit.effect(
        "x", on="y", contrast=(0, 1), horizon=1, draws=1000, seed=1, assume="no hidden causes"
    )
    found = effect.prior_sensitivity()
    assert found.verdict == "the data decide"
    # Rows given the units' effects say nothing of it, whatever their many weights give by chance.
    tree = fit.log_likelihood("y")
    rows = tree["log_likelihood"]["y"].values.sum(axis=-1).ravel()
    given = sensitivity_to(effect.draws["difference"].values.ravel(), rows)
    assert given.size > 0.05
    assert not given.counts


def test_what_cannot_be_judged_is_refused() -> None:
    fit = linear({"x": {}, "y": {"x": 1.0}})
    with pytest.raises(SpecificationError, match="known values"):
        fit.prior_sensitivity()
    with pytest.raises(SpecificationError, match="without by="):
        fit.effect("x", on="y", contrast=(0, 2), horizon=1, by="home").prior_sensitivity()
