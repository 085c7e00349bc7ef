"""Contrasts: averages over noise, realised differences, licences and support."""

from __future__ import annotations

import numpy as np
import pytest

from dotwin.errors import LicenceError, SpecificationError
from dotwin.inference import Fit
from dotwin.spec import Intervention, Scenario, Twin, do, scale, shift
from dotwin.worlds import Contrast, Futures

UNITS, PERIODS, DRAWS = 20, 12, 60


def confounded(build, *, hidden: bool) -> Fit:
    """staff -> falls, both moved by management where it is declared hidden."""
    make_panel, known_fit = build
    twin = Twin(
        twin="homes",
        panel={
            "unit": "home",
            "levels": ["region"],
            "period": {"column": "month", "frequency": "month"},
        },
        indicators={
            "pay": {"domain": "demand"},
            "staff": {
                "domain": "demand",
                "family": "normal",
                "plausible": [2, 4],
                "causes": {"pay": {"scale": "natural"}},
            },
            "falls": {
                "domain": "outcome",
                "family": "poisson",
                "causes": {"staff": {"scale": "natural"}},
            },
            "visitors": {"domain": "context", "family": "poisson"},
        },
        hidden_causes={"management": {"affects": ["staff", "falls"], "level": "home"}}
        if hidden
        else {},
    )
    rng = np.random.default_rng(2)
    shape = (UNITS, PERIODS)
    panel = make_panel(
        twin,
        {
            "pay": rng.normal(0, 1, shape),
            "staff": rng.normal(3, 0.5, shape),
            "falls": rng.poisson(4, shape),
            "visitors": rng.poisson(4, shape),
        },
        UNITS,
        PERIODS,
        {"region": ["north"] * 10 + ["south"] * 10},
    )
    values = {
        "staff.intercept": np.full(DRAWS, 3.0),
        "staff.causes": np.full((DRAWS, 1), 0.1),
        "staff.residual_sd": np.full(DRAWS, 0.5),
        "falls.intercept": np.full(DRAWS, np.log(4)),
        # The only thing not known: how strongly staff acts.
        "falls.causes": np.linspace(-0.5, -0.1, DRAWS)[:, None],
        "visitors.intercept": np.full(DRAWS, 1.0),
    }
    return type(known_fit(twin, panel, {k: v[0] for k, v in values.items()})).from_parameters(
        twin, panel, values
    )


@pytest.fixture(scope="module")
def fit(build) -> Fit:
    return confounded(build, hidden=False)


@pytest.fixture(scope="module")
def futures(fit: Fit) -> Futures:
    more = Scenario("more", [shift("staff", 0.5)])
    both = Scenario("both", [shift("staff", 0.5), scale("visitors", 2.0)])
    pay = Scenario("pay", [shift("pay", 1.0)])
    same = Scenario("same", more.interventions)
    return fit.simulate(periods=3, scenarios=[more, both, pay, same], seed=4, draws=DRAWS)


def truth(fit: Fit, amount: float) -> np.ndarray:
    """E[falls | shift] - E[falls] per unit: staff is normal, falls log-linear in it."""
    slope = fit.draws().values["falls.causes"][:, 0]
    centre = fit.designs["falls"].reference.factors["staff"][0]
    pay_centre = fit.designs["staff"].reference.factors["pay"][0]
    pay = fit.panel.values("pay")[:, -1]
    staff = 3.0 + 0.1 * (pay - pay_centre)
    eta = np.log(4) + slope[:, None] * (staff - centre) + 0.5 * (0.5 * slope[:, None]) ** 2
    return np.exp(eta) * np.expm1(slope * amount)[:, None]


def test_an_expected_contrast_is_that_of_the_means(fit: Fit, futures: Futures) -> None:
    contrast = futures.contrast("more", on="falls", replicates=40)
    row = contrast.summary().iloc[0]
    exact = truth(fit, 0.5).sum(axis=1)
    assert row["mean"] == pytest.approx(exact.mean(), rel=0.02)
    # What spread is left is that of the parameters: the interval is that of the exact effects.
    assert row["5%"] == pytest.approx(np.quantile(exact, 0.05), rel=0.08)
    assert row["95%"] == pytest.approx(np.quantile(exact, 0.95), rel=0.12)
    assert row["noise"] < 0.1


def test_more_replicates_leave_less_noise(futures: Futures) -> None:
    few = futures.contrast("more", on="falls", replicates=4).summary(by="home")["noise"].mean()
    many = futures.contrast("more", on="falls", replicates=24).summary(by="home")["noise"].mean()
    assert many < 0.6 * few


def test_identical_scenarios_have_a_contrast_of_exactly_zero(futures: Futures) -> None:
    for of in ("expected", "realised"):
        contrast = futures.contrast("same", against="more", on=["staff", "falls"], of=of)
        for name in ("staff", "falls"):
            np.testing.assert_array_equal(contrast.draws[name].values, 0.0)
        assert "do not differ" in repr(contrast)


def test_effects_on_what_is_not_reached_are_exactly_zero(futures: Futures) -> None:
    contrast = futures.contrast("more", on=["visitors", "pay"])
    assert (contrast.summary()[["mean", "5%", "95%"]] == 0).all(axis=None)
    assert contrast.licence.identified.status == "yes"


def test_a_contrast_shows_what_can_differ_unless_told(futures: Futures) -> None:
    assert futures.contrast("more").outcomes == ("staff", "falls")
    assert futures.contrast("both", against="more").outcomes == ("visitors",)


def test_a_realised_contrast_is_the_difference_of_the_futures(futures: Futures) -> None:
    contrast = futures.contrast("more", of="realised")
    draws = futures.draws["falls"]
    difference = draws.sel(scenario="more") - draws.sel(scenario="baseline")
    np.testing.assert_array_equal(contrast.draws["falls"].values, difference.values)
    assert contrast.coupling == "monotone"
    assert "coupling: monotone" in repr(contrast)
    assert "noise" not in contrast.summary()


def test_shares_made_worse_and_harm_not_ruled_out(futures: Futures) -> None:
    contrast = futures.contrast("more", of="realised")
    # More staff never adds a fall at the same noise, since every draw's effect is negative.
    worse = contrast.share_made_worse("falls", worse="higher")
    assert (worse["mean"] == 0).all()
    better = contrast.share_made_worse("falls", worse="lower", by="region")
    assert ((better["mean"] > 0) & (better["mean"] < 1)).all()
    assert (worse["coupling"] == "monotone").all()
    assert (contrast.largest_harm("falls", worse="higher")["harm"] == 0).all()
    summary = contrast.summary(on="falls")
    harm = contrast.largest_harm("falls", worse="lower")["harm"]
    np.testing.assert_allclose(harm, -summary["5%"])
    with pytest.raises(SpecificationError, match="'higher' or 'lower'"):
        contrast.largest_harm("falls", worse="more")


def test_groups_of_a_contrast_add_up(futures: Futures) -> None:
    contrast = futures.contrast("more", on="falls")
    whole = contrast.summary().set_index("period")["mean"]
    parts = contrast.summary(by="region").groupby("period")["mean"].sum()
    np.testing.assert_allclose(parts.loc[whole.index], whole, rtol=1e-12)


def test_a_declared_hidden_cause_takes_the_licence_away(build) -> None:
    fit = confounded(build, hidden=True)
    more = Scenario("more", [shift("staff", 0.5)])
    futures = fit.simulate(periods=2, scenarios=[more], seed=4, draws=10)
    with pytest.raises(LicenceError, match="management") as refused:
        futures.contrast("more")
    assert "assume='no hidden causes'" in str(refused.value)
    assumed = futures.contrast("more", on="falls", assume="no hidden causes")
    assert assumed.licence.identified.status == "assumed"
    assert not assumed.licence.ok
    assert "association under the declared graph, not an effect" in repr(assumed)
    assert "Recording management would identify it" in str(refused.value)
    verdict = assumed.identification["falls"]
    assert verdict.status == "not licensed"
    assert verdict.identification.would_identify == (("management",),)
    assert futures.contrast("more", on="staff").licence.identified.status == "yes"
    assert len(futures.summary())  # the scenario itself needs no licence


def test_the_effect_of_a_given_is_not_identified_unless_its_variation_is_declared(futures) -> None:
    with pytest.raises(LicenceError, match="why it varies is not declared"):
        futures.contrast("pay")
    licence = futures.licence("pay", "falls")
    assert licence.identified.status == "no"
    assert licence.backtested.sentence == "Not backtested."


def test_a_licence_prints_all_four_verdicts(futures: Futures) -> None:
    text = str(futures.contrast("more", on="falls").licence)
    for verdict in ("identified: yes", "supported: ", "converged: yes", "backtested: unknown"):
        assert verdict in text


def test_an_unknown_assumption_is_refused(futures: Futures) -> None:
    with pytest.raises(SpecificationError, match="no hidden causes"):
        futures.contrast("more", assume="nothing")
    with pytest.raises(SpecificationError, match="even number"):
        futures.contrast("more", replicates=3)
    with pytest.raises(SpecificationError, match="Did you mean 'more'"):
        futures.contrast("mor")


def test_support_tells_small_changes_from_unheard_of_ones(fit: Fit) -> None:
    scenarios = [
        Scenario("little", [shift("staff", 0.2)]),
        Scenario("much", [shift("staff", 1.4)]),
        Scenario("unheard", [do("staff", 30.0)]),
    ]
    futures = fit.simulate(periods=3, scenarios=scenarios, seed=4, draws=DRAWS)
    found = {name: futures.support(name) for name in ("little", "much", "unheard")}
    assert found["little"].verdict == "supported"
    assert found["much"].verdict in ("thin", "extrapolated")
    assert found["unheard"].verdict == "extrapolated"
    assert found["unheard"].table["outside"].item() == 1.0
    usual = fit.panel.values("staff").std(axis=1, ddof=1)
    within = np.sqrt((usual**2).mean())
    assert found["little"].table["in_sds"].item() == pytest.approx(0.2 / within, rel=1e-6)
    assert futures.licence("unheard", "falls").supported.status == "no"


def test_support_looks_at_causes_jointly(build) -> None:
    """Each value alone is ordinary; the pair of them is not."""
    make_panel, known_fit = build
    twin = Twin(
        twin="homes",
        panel={"unit": "home"},
        indicators={
            "beds": {"domain": "context", "plausible": [-2, 2]},
            "staff": {"domain": "demand", "unconfounded": "set by law", "plausible": [-2, 2]},
            "falls": {
                "domain": "outcome",
                "family": "normal",
                "causes": {"staff": {}, "beds": {}},
            },
        },
    )
    beds = np.linspace(-2, 2, 300)[:, None]
    staff = beds + 0.1 * np.random.default_rng(0).normal(size=beds.shape)
    panel = make_panel(twin, {"beds": beds, "staff": staff, "falls": staff}, 300)
    values = {"falls.intercept": 0.0, "falls.causes": [1.0, 0.0], "falls.residual_sd": 1.0}
    fit = known_fit(twin, panel, values, draws=2)
    ordinary = Scenario("ordinary", [do("staff", 2.0, where="beds > 1.9")])
    odd = Scenario("odd", [do("staff", 2.0, where="beds < -1.9")])
    futures = fit.simulate(scenarios=[ordinary, odd], seed=1, draws=2)
    assert futures.support("ordinary").table["outside"].item() == 0.0
    assert futures.support("odd").table["outside"].item() == 1.0


def test_a_finding_reads_as_a_sentence(futures: Futures) -> None:
    contrast: Contrast = futures.contrast("more")
    assert repr(contrast).startswith("Under 'more', total falls is ")
    assert "lower in" in repr(contrast)
    assert "90 % interval" in repr(contrast)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (do("x", 1.0), "yes"),
        (shift("x", 1.0), "assumed"),
        (do("x", 1.0, over=2), "assumed"),
        (do("x", 1.0, periods=1), "assumed"),
        (do("x", 1.0, where="y[-1] > 0"), "assumed"),
    ],
    ids=str,
)
def test_a_change_of_what_comes_by_itself_is_judged_with_its_own_causes(
    change: Intervention, status: str, build
) -> None:
    # x and w share a hidden cause, and x listens to the past of y. Setting x for good silences all
    # that; where x's own mechanism goes on, its later values carry the hidden cause on to y.
    make_panel, known_fit = build
    normal = {"domain": "outcome", "family": "normal", "plausible": [-2.0, 2.0]}
    twin = Twin(
        twin="loop",
        panel={"unit": "home", "period": {"column": "month", "frequency": "month"}},
        indicators={
            "x": {**normal, "causes": {"y[-1]": {}}},
            "y": {**normal, "causes": {"x": {}}},
            "w": {**normal, "causes": {"y": {}}},
        },
        hidden_causes={"h": {"affects": ["w", "x"], "level": "home"}},
    )
    values = np.random.default_rng(0).normal(size=(3, 8, 4))
    panel = make_panel(twin, dict(zip("xyw", values, strict=True)), 8, 4)
    known = {
        f"{name}.{part}": value
        for name in "xyw"
        for part, value in (("intercept", 0.0), ("causes", [0.3]), ("residual_sd", 1.0))
    }
    futures = known_fit(twin, panel, known, 4).simulate(
        periods=3, scenarios=Scenario("changed", [change]), seed=1
    )
    contrast = futures.contrast("changed", on="y", assume="no hidden causes")
    assert contrast.licence.identified.status == status
